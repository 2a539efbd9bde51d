"""The whole ledger, and the decision guide that follows from it: what lesson 09 ends with.

    decide.whole_ledger()                # each claim: prediction, measurement, verdict, scope, and whose result it is
    print(decide.guide())                # advice, each line with the verdicts it rests on

Where a learner's ledger has no verdict of a lesson, the course's own stands in, marked as such: it is kept in
``data/measurements/ledger.csv``, which ``tests/benchmarks/reference_ledger.py`` reads out of the executed solutions.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from expert import data_folder
from expert.checks import Table, ledger
from expert.claims import CLAIMS

REFERENCE = "ledger.csv"
YOURS, COURSE, NOBODY = "yours", "the course's", ""
NOT_YET = "not yet"


@dataclass(frozen=True)
class Advice:
    """What to do in a case, where all the claims it rests on were supported, and what to do where one was not."""

    case: str
    claims: tuple[str, ...]
    do: str
    otherwise: str


ADVICE = (
    Advice(
        "You begin",
        ("C13", "C25"),
        "write a prompt, then try retrieval, and keep both as the baseline to beat.",
        "write a prompt first all the same, but do not call it the cheapest: count the cost of a right answer.",
    ),
    Advice(
        "Answers must come from documents that others write and change",
        ("C14", "C34", "C30"),
        "retrieve.",
        "measure retrieval against training on your own documents, with the time until right again.",
    ),
    Advice(
        "A wrong answer must be explained and mended the same day",
        ("C33",),
        "retrieve: the source is in the answer.",
        "keep every training row with its source, and plan for retraining.",
    ),
    Advice(
        "Questions join several documents",
        ("C37",),
        "retrieve all pieces into one prompt.",
        "do not promise it yet: test whether your model can join what retrieval finds.",
    ),
    Advice(
        "The form and the words of the trade must be exact",
        ("C31", "C36"),
        "tune, on examples that people have checked.",
        "try more examples in the prompt before you tune for it.",
    ),
    Advice(
        "A list is stable, short and asked for all the time",
        ("C35",),
        "it may be learnt by heart; keep the list, to test and to train again.",
        "look it up.",
    ),
    Advice(
        "A process runs by itself, facts in and a fixed form out",
        ("C38",),
        "retrieve the facts, tune for the form, and let a program check what comes out.",
        "measure each half alone before you join them.",
    ),
    Advice(
        "The same long prompt goes out all day",
        ("C21", "C22", "C27"),
        "tune, once the calls exceed the break-even number.",
        "work out the break-even number; a cheaper prompt may do.",
    ),
    Advice(
        "A small machine must do it",
        ("C18", "C41"),
        "tune a small model, on a 4-bit base if memory is short.",
        "measure the small model tuned; memory, speed and quality do not go together by themselves.",
    ),
    Advice(
        "Before you ship a tuned model",
        ("C24", "C29", "C32"),
        "test what it forgot, look for its weak spots, and count and check its data.",
        "test it all the same: harm that was not seen here may be seen on your data.",
    ),
)


def reference() -> list[dict[str, str]]:
    """The course's own verdicts: claim, lesson, measured, verdict, scope; none where the file is not there."""
    path = data_folder() / "measurements" / REFERENCE
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def whole_ledger(own: Iterable[Mapping[str, str]] | None = None) -> Table:
    """All claims in order, a row for each lesson that measured it; claims that nobody has measured are in it too.

    own: the learner's rows, as ``ledger()`` gives them (None: those). A lesson that the learner has not measured is
    filled in from the course's results; ``whose`` says so.
    """
    own = [dict(row) for row in (ledger() if own is None else own)]
    measured = [row for row in own if row["verdict"] != NOT_YET]
    done = {(row["claim"], row["lesson"]) for row in measured}
    predicted = {(row["claim"], row["lesson"]): row["prediction"] for row in own}
    rows = [_row(row, row["prediction"], YOURS) for row in measured]
    for row in reference():
        key = row["claim"], row["lesson"]
        if key not in done:
            rows.append(_row(row, predicted.get(key, "no prediction"), COURSE))
    there = {row["claim"] for row in rows}
    empty = {"lesson": "", "measured": NOT_YET, "verdict": NOT_YET, "scope": ""}
    rows += [_row({"claim": c} | empty, "no prediction", NOBODY) for c in CLAIMS if c not in there]
    table = Table(sorted(rows, key=lambda row: (row["claim"], row["lesson"])))
    table.title = "The whole ledger"
    return table


def _row(row: Mapping[str, str], prediction: str, whose: str) -> dict[str, str]:
    found = {"claim": row["claim"], "lesson": row["lesson"], "about": CLAIMS.get(row["claim"], "")}
    found |= {"prediction": prediction, "measured": row["measured"], "verdict": row["verdict"]}
    return found | {"scope": row["scope"], "whose": whose}


def guide(rows: Iterable[Mapping[str, str]] | None = None) -> str:
    """The decision guide: each case with its advice and the latest verdict on every claim that it rests on."""
    rows = whole_ledger() if rows is None else rows
    latest = {row["claim"]: row for row in sorted(rows, key=lambda row: row["lesson"]) if row["verdict"] != NOT_YET}
    return "\n".join(line for advice in ADVICE for line in _advised(advice, latest))


def _advised(advice: Advice, latest: Mapping[str, Mapping[str, str]]) -> list[str]:
    verdicts = {claim: latest[claim]["verdict"] if claim in latest else NOT_YET for claim in advice.claims}
    held = all(said == "supported" for said in verdicts.values())
    against = any(said == "not supported" for said in verdicts.values())
    words = advice.do if held else advice.otherwise if against else f"not settled here. If it holds: {advice.do}"
    because = ", ".join(f"{claim} {said}" for claim, said in verdicts.items())
    return [f"- {advice.case}: {words}", f"    ({because})"]
