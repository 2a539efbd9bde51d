"""The assistant of lesson 05 on Brightwater's questions, by kind and by way of asking.

    python tests/benchmarks/rag_table.py            to data/measurements/rag.csv, 5 minutes on 2 cores; the test split
                                                    in all ways, the tuning split for the number of passages
    python tests/benchmarks/rag_table.py --choose   the tuning split: the weight of the search and the limits for doubt

Ways: the question alone (closed book), three passages by meaning, one, three and six by all signs (``how="sum"``),
three read one at a time (``apart``), six with a second search, and the right passages handed over. A question counts as
*right* where an accepted value stands in the answer as a whole. *Stated wrong* is an answer that is neither right nor
"I do not know". *Faithful*: each number, code and name of a stated answer stands in a passage it cites. *Shown* are
the answers without a doubt.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil
from expert import corpus, evaluate, models, rag, retrieval

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "measurements" / "rag.csv"
KINDS = ("single_fact", "table_lookup", "changed_fact", "jargon", "two_passages", "not_answerable")
IGNORE = (*rag.IGNORE, "*.pdf", "*.db", "*.jsonl")  # the PDF and the database repeat what other files say
WAYS = {
    "closed book": None,
    "meaning, 3": {"k": 3, "how": "meaning"},
    "all signs, 1": {"k": 1, "how": "sum"},
    "all signs, 3": {"k": 3, "how": "sum"},
    "all signs, 3 apart": {"k": 3, "how": "sum", "apart": True},
    "all signs, 6": {"k": 6, "how": "sum"},
    "second search, 6": {"k": 6, "how": "sum", "linked": True},
    "right passages given": {},
}


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choose", action="store_true", help="the tuning split; nothing is stored")
    parser.add_argument("--few", type=int, default=1, help="every n-th question only; nothing is stored")
    parser.add_argument("--table", type=Path, default=TABLE)
    given = parser.parse_args()
    model, embedder = models.load("tiny"), models.load_embedder()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        retrieval.open_index(folder, embedder) as index,
    ):
        print(rag.ingest(corpus.data_root(), index, Path(folder, "manifest.json"), ignore=IGNORE))
        if given.choose:
            choose(index, model, given.few)
            return
        rows = [row for name in WAYS for row in measure(index, model, name, "test", given.few)]
        handed_over = {f"all signs, {k}": {"k": k, "how": "sum"} for k in (1, 2, 4, 6)}
        WAYS.update(handed_over)
        for name in (*handed_over, "all signs, 3", "all signs, 3 apart"):
            rows += measure(index, model, name, "tune", given.few)
    if given.few == 1:
        store(rows, given.table)


def measure(index: retrieval.Index, model: models.Loaded, name: str, split: str, few: int) -> list[dict]:
    """One way on all kinds of one split, a row each."""
    rows = []
    for kind in KINDS:
        questions = corpus.questions(split, kind)[::few]
        answers = asked(index, model, name, questions)
        rows.append({"split": split, "way": name, "kind": kind, **scored(questions, answers)})
        line = " ".join(f"{key} {value}" for key, value in list(rows[-1].items())[3:])
        print(f"{name:<21} {kind:<15} {line}", flush=True)
    return rows


def asked(
    index: retrieval.Index, model: models.Loaded, name: str, questions: list[corpus.Question]
) -> list[rag.Answer]:
    """The questions, answered one way. Without a search, the prompt is the question, or holds the right passages."""
    options = WAYS[name]
    if options:
        return rag.Assistant(index, model, **options).ask_all([q.question for q in questions])
    plain, texts = rag.Assistant(index, model), {p.id: p.text for p in corpus.passages()}
    given = [q.passages or q.near[:1] if options is not None else () for q in questions]
    hits = [tuple(retrieval.Hit(i, texts[i], 0.0) for i in ids) for ids in given]
    prompts = [
        rag.assemble([h.text for h in some], q.question, plain.count_tokens)[0]
        for q, some in zip(questions, hits, strict=True)
    ]
    began = time.perf_counter()
    said = rag.generate_scored(model, prompts)
    seconds = (time.perf_counter() - began) / len(prompts)
    return [
        plain.judge(q.question, [p], h, *s, seconds) for q, p, h, s in zip(questions, prompts, hits, said, strict=True)
    ]


def scored(questions: list[corpus.Question], answers: list[rag.Answer]) -> dict[str, object]:
    """What one set of answers is worth."""
    ids = {p.text: p.id for p in corpus.passages()}
    accepted = [[q.answer, *q.variants] for q in questions]
    right = np.array([evaluate.exact_match(a.said, v) for a, v in zip(answers, accepted, strict=True)])
    declined = np.array([a.said.startswith(rag.DECLINED) for a in answers])
    shown = np.array([a.state == "answered" for a in answers])
    stated = ~declined
    low, high = evaluate.bootstrap(right)
    found = [[ids.get(h.text, h.id) for h in a.passages] for a in answers]
    pairs = [(f, q.passages) for f, q in zip(found, questions, strict=True) if q.passages and answers[0].passages]
    loose = [
        bool(rag.unsupported(a.said, [h.text for n, h in enumerate(a.passages, 1) if n in rag.cited(a.said)]))
        for a in answers
    ]
    mean = lambda values: round(float(np.mean(values)), 4) if len(values) else ""  # noqa: E731
    return {
        "questions": len(questions),
        "right": mean(right),
        "low": round(low, 4),
        "high": round(high, 4),
        "f1": mean([evaluate.token_f1(a.said, v) for a, v in zip(answers, accepted, strict=True)]),
        "recall_at_3": mean([retrieval.recall_at(f, r, 3) for f, r in pairs]),
        "recall": mean([retrieval.recall_at(f, r, 99) for f, r in pairs]),
        "mrr": mean([retrieval.reciprocal_rank(f, r) for f, r in pairs]),
        "faithful": mean([not x for x, s in zip(loose, stated, strict=True) if s]),
        "declined": mean(declined),
        "stated_wrong": mean(stated & ~right),
        "shown": mean(shown),
        "shown_wrong": mean(shown & ~right),
        "seconds": mean([a.seconds for a in answers]),
        "prompt_tokens": mean([a.prompt_tokens for a in answers]),
    }


def choose(index: retrieval.Index, model: models.Loaded, few: int) -> None:
    """What to choose: the weight of the search where passages are read apart, and the two limits for doubt."""
    for rag.SCORE_WEIGHT in (0.1, 0.2, 0.5, 1.0):
        print("weight of the search's score:", rag.SCORE_WEIGHT)
        measure(index, model, "all signs, 3 apart", "tune", few)
    questions = [q for kind in KINDS for q in corpus.questions("tune", kind)[::few]]
    answers = asked(index, model, "all signs, 3 apart", questions)
    kept = [(q, a) for q, a in zip(questions, answers, strict=True) if a.state != "declined"]
    right = [evaluate.exact_match(a.said, [q.answer, *q.variants]) for q, a in kept]
    covers = [
        rag.cover(a.question, [h.text for n, h in enumerate(a.passages, 1) if n in rag.cited(a.said)]) for _, a in kept
    ]
    print("limit of the mean log-probability:", rag.best_threshold([a.logprob for _, a in kept], right))
    print("limit of the share of words:", rag.best_threshold(covers, right))


def store(rows: list[dict], table: Path) -> None:
    """Write the table with the machine, the versions, the date and the model's checksum in each row."""
    weights = hashlib.sha256((models.tiny_folder() / "model.safetensors").read_bytes()).hexdigest()[:16]
    about = {
        "model": weights,
        "machine": f"{os.cpu_count()} cores of {processor()}; {psutil.virtual_memory().total / 2**30:.0f} GiB; "
        f"{platform.system()}",
        "versions": f"python {platform.python_version()}; torch {version('torch')}; chromadb {version('chromadb')}",
        "date": datetime.now(UTC).date().isoformat(),
        "script": "tests/benchmarks/rag_table.py",
    }
    table.parent.mkdir(parents=True, exist_ok=True)
    with open(table, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *about], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | about for row in rows)


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
