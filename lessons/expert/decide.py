"""The whole ledger, and the decision guide that follows from it: what lesson 09 ends with.

    decide.whole_ledger()                # each claim: prediction, measurement, verdict, scope, and whose result it is
    print(decide.guide())                # advice, each line with the verdicts it rests on

Where a learner's ledger has no verdict of a lesson, the course's own stands in, marked as such: it is kept in
``data/measurements/ledger.csv``, which ``tests/benchmarks/reference_ledger.py`` reads out of the executed solutions.
"""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from expert import data_folder
from expert.checks import WIDTH, Table, ledger
from expert.claims import CLAIMS

REFERENCE = "ledger.csv"
YOURS, COURSE, NOBODY = "yours", "the course's", ""
NOT_YET, UNPREDICTED = "not yet", "no prediction"
COLUMNS = ("claim", "lesson", "measured", "verdict", "scope")
VERDICTS = ("supported", "not supported", "not decided")


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
        "write a prompt, try retrieval, write plain code where a rule will do, and keep all as the baseline to beat.",
        "start with a prompt and with plain code all the same, and count what a right answer costs with each way.",
    ),
    Advice(
        "Answers must come from documents that others write and change",
        ("C14", "C34", "C30"),
        "retrieve.",
        "compare retrieval with training on your own documents, in how much is right and how soon after a change.",
    ),
    Advice(
        "A wrong answer must be explained and mended the same day",
        ("C33",),
        "retrieve, because the answer names its source, and a wrong source can be mended.",
        "plant an error and time each way, until its source is found and the answer is right again.",
    ),
    Advice(
        "Questions join several documents",
        ("C37",),
        "retrieve every piece, and check that the answer uses them all.",
        "do not promise it yet; test whether your model can join what retrieval finds.",
    ),
    Advice(
        "The form and the words of the trade must be exact",
        ("C31", "C36"),
        "tune on examples that people have checked, and check what comes out.",
        "try the rules and a few examples in the prompt first, and tune where that falls short.",
    ),
    Advice(
        "A list is stable, short and asked for all the time",
        ("C35",),
        "a program that looks it up is exact; where text must be written with it, an adapter may learn it by heart.",
        "look it up.",
    ),
    Advice(
        "A process runs by itself, facts in and a fixed form out",
        ("C38",),
        "copy by rule what a rule can, retrieve and tune for the rest, and let a program check what comes out.",
        "let rules do what rules can; retrieve and tune only for a part where that is measured to beat the rule.",
    ),
    Advice(
        "The same long prompt goes out all day",
        ("C21", "C22", "C27"),
        "tune, once the calls exceed the break-even number.",
        "shorten the prompt first, then work out the break-even number, with the price of wrong answers.",
    ),
    Advice(
        "A small machine must do it",
        ("C18", "C41"),
        "tune a small model, on a 4-bit base if memory is short.",
        "tune a small model, and measure quality, speed and memory one by one; none follows from the others.",
    ),
    Advice(
        "You gather examples to tune on",
        ("C32",),
        "have people check them, and take many that differ.",
        "begin with a few, and measure what more of them bring; have people check them all the same.",
    ),
    Advice(
        "Before you ship a tuned model",
        ("C24", "C29"),
        "compare it with the model that is not tuned, to see what it forgot and where it is weak.",
        "test it all the same. Harm that was not seen here may be seen on your data.",
    ),
)


def reference() -> list[dict[str, str]]:
    """The course's own verdicts: claim, lesson, measured, verdict, scope. A file that is not whole is an error."""
    path = data_folder() / "measurements" / REFERENCE
    if not path.is_file():
        raise FileNotFoundError(
            f"The course's verdicts are expected at {path}, and there is no such file. "
            "tests/benchmarks/reference_ledger.py makes it from the executed solutions."
        )
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        if not set(COLUMNS) <= set(names):
            raise ValueError(
                f"{path}: expected the columns {', '.join(COLUMNS)}; came {', '.join(names) or 'nothing'}."
            )
        rows = []
        for row in reader:
            if row["claim"] not in CLAIMS or row["verdict"] not in VERDICTS or None in (*row, *row.values()):
                raise ValueError(
                    f"{path}, line {reader.line_num}: expected a claim from {min(CLAIMS)} to {max(CLAIMS)} with its "
                    f"scope and a verdict, one of {', '.join(VERDICTS)}; came {', '.join(map(str, row.values()))}."
                )
            rows.append(row)
    return rows


def whole_ledger(own: Iterable[Mapping[str, str]] | None = None) -> Table:
    """All claims in order, a row for each lesson that measured it; claims that nobody has measured are in it too.

    own: the learner's rows, as ``ledger()`` gives them (None: those). A lesson that the learner has not measured is
    filled in from the course's results; ``whose`` says so. A prediction is kept, also where nothing was measured.
    """
    own = [dict(row) for row in (ledger() if own is None else own)]
    own_rows = {(row["claim"], row["lesson"]): row for row in own}
    course = {(row["claim"], row["lesson"]): row for row in reference()}
    rows = [_row(row, row["prediction"], YOURS) for row in own if row["verdict"] != NOT_YET]
    done = {(row["claim"], row["lesson"]) for row in rows}
    for (claim, lesson), row in course.items():
        if (claim, lesson) not in done:
            # as in ``verdict``: a prediction that names no lesson goes for each lesson without one of its own
            predicted = own_rows.get((claim, lesson)) or own_rows.get((claim, "")) or {"prediction": UNPREDICTED}
            rows.append(_row(row, predicted["prediction"], COURSE))
    there = {row["claim"] for row in rows}
    for (claim, lesson), row in own_rows.items():
        waits = row["verdict"] == NOT_YET and row["prediction"] != UNPREDICTED and (claim, lesson) not in course
        if waits and (lesson or claim not in there):
            rows.append(_row(row, row["prediction"], NOBODY))
    there = {row["claim"] for row in rows}
    empty = {"lesson": "", "measured": NOT_YET, "verdict": NOT_YET, "scope": ""}
    rows += [_row({"claim": c} | empty, UNPREDICTED, NOBODY) for c in CLAIMS if c not in there]
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
    because = ", ".join(f"{claim} {said}" for claim, said in verdicts.items())
    return [
        textwrap.fill(f"- {advice.case}: {_words(advice, verdicts)}", WIDTH, subsequent_indent="  "),
        f"    ({because})",
    ]


def _words(advice: Advice, verdicts: Mapping[str, str]) -> str:
    if "not supported" in verdicts.values():
        return advice.otherwise
    unsettled = [claim for claim, said in verdicts.items() if said != "supported"]
    if not unsettled:
        return advice.do
    *others, last = unsettled
    condition = f"{', '.join(others)} and {last} hold" if others else f"{last} holds"
    return f"not settled here. If {condition}: {advice.do}"
