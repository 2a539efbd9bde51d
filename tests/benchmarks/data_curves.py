"""How much data, and how good: LoRA on work orders with 8 to 512 rows, clean and spoilt. Lesson 06 draws the result.

    python tests/benchmarks/data_curves.py                 what is missing in data/measurements/data_curves.csv
    python tests/benchmarks/data_curves.py --seeds 1       one seed a point

Every run takes the same number of steps, so that only the rows differ. All are measured on the 60 tickets of the test
split (other sites), and on 40 questions with the right passage in the prompt, which the model could answer before.

    none       no tuning
    clean      rows as ``style.recombine`` makes them: 60 tickets, above 60 rows again under other heads
    wrong      the same, with the orders of a quarter of the rows slipped by one
    narrow     as many rows, all from 8 tickets
    leaked     rows from the tickets of the test split too, under other heads
    high rate  clean rows, fifty times the learning rate

Each line is written as soon as it is measured, and a line that is there is not measured again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from expert import corpus, evaluate, models, style, tuning
from expert.exercises.lesson_00 import build_prompt
from measured_lines import about, kept, write

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "measurements" / "data_curves.csv"
STEPS, BATCH_TOKENS, RATE = 160, 512, 2e-3
SIZES = (8, 32, 128, 512)
NEW_TOKENS = 64
FIELDS = (
    "condition",
    "rows",
    "seed",
    "parts",
    "copied",
    "read",
    "label",
    "line",
    "form",
    "reading",
    "marks",
    "reading_marks",
    "held_out_loss",
    "steps",
    "tokens",
    "train_seconds",
    "model",
    "machine",
    "versions",
    "date",
    "script",
)


def points(seeds: int) -> Iterator[tuple[str, int, int]]:
    """Condition, rows and seed of each run, the first seed of all of them first."""
    yield "none", 0, 0
    for seed in range(seeds):
        for size in SIZES:
            yield "clean", size, seed
        for size in SIZES[1:]:
            yield "wrong", size, seed
        yield "narrow", 128, seed
        yield "leaked", 128, seed
        yield "high rate", 128, seed


def data(condition: str, count: int, seed: int) -> list[dict]:
    """The rows that a run learns from."""
    some = style.rows("tune")
    if condition == "narrow":
        some = style.recombine(some, 8, seed)
    if condition == "leaked":
        some = some + style.rows("test")
    made = style.recombine(some, count, seed)
    if condition == "leaked":  # the test rows themselves stay out: only their messages are known, under other heads
        made = style.recombine(some, len(some) + count, seed)[len(some) :]
    if condition == "wrong":
        made = style.spoil(made, 0.25, seed)
    return [one.row for one in made]


def measure(loaded: models.Loaded, tests: list[style.OrderRow], reading: list[corpus.Question]) -> dict[str, object]:
    """The marks of a model: on work orders by part, and on reading."""
    answers = models.generate(loaded, [t.prompt for t in tests], max_new_tokens=NEW_TOKENS, progress=False)
    got = [style.split_order(answer) for answer in answers]
    wanted = [style.split_order(t.order) for t in tests]
    right = {name: [a[name] == b[name] for a, b in zip(got, wanted, strict=True)] for name in style.PARTS}
    texts = {p.id: p.text for p in corpus.passages()}
    prompts = [build_prompt([texts[q.passages[0]]], q.question) for q in reading]
    replies = models.generate(loaded, prompts, max_new_tokens=48, progress=False)
    read = [evaluate.exact_match(r, [q.answer, *q.variants]) for r, q in zip(replies, reading, strict=True)]
    marks = np.sum([right[name] for name in style.PARTS], axis=0)
    mean = lambda names: round(float(np.mean([right[name] for name in names])), 4)  # noqa: E731
    return {
        "parts": mean(style.PARTS),
        "copied": mean(style.COPIED),
        "read": mean([name for name in style.PARTS if name not in style.COPIED]),
        "label": mean(["label"]),
        "line": round(float(np.mean(marks == len(style.PARTS))), 4),
        "form": round(float(np.mean([style.in_form(answer) for answer in answers])), 4),
        "reading": round(float(np.mean(read)), 4),
        # one digit a case, in order, for intervals of differences: parts right of a ticket; 1 for a right answer
        "marks": "p" + "".join(map(str, marks)),
        "reading_marks": "r" + "".join(str(int(right)) for right in read),
    }


def reading_questions() -> list[corpus.Question]:
    """Forty questions whose passage is handed over."""
    return corpus.questions("tune", "single_fact")[:40]


def one_point(base: models.Loaded, condition: str, count: int, seed: int) -> dict[str, object]:
    """Train (or not) and measure one point."""
    tests, loaded, loss, tokens, seconds = style.rows("test"), base, None, 0, 0.0
    if condition == "none":
        loss = tuning.mean_loss(base, [t.row for t in tests])
    else:
        tuned = tuning.tune(
            base,
            data(condition, count, seed),
            steps=STEPS,
            batch_tokens=BATCH_TOKENS,
            learning_rate=RATE * (50 if condition == "high rate" else 1),
            seed=seed,
            held_out=[t.row for t in tests],
            progress=False,
        )
        loaded, loss = tuned.loaded, tuned.report.held_out_after
        tokens, seconds = tuned.report.tokens, tuned.report.seconds
    steps = STEPS if condition != "none" else 0
    found = measure(loaded, tests, reading_questions())
    return (
        {"condition": condition, "rows": count, "seed": seed}
        | found
        | {"held_out_loss": round(loss, 4), "steps": steps, "tokens": tokens, "train_seconds": round(seconds, 1)}
    )


def main() -> None:
    """Measure what is missing, a line at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--table", type=Path, default=TABLE)
    given = parser.parse_args()
    base = models.load("tiny")
    common = about("data_curves.py")
    lines = [line for line in kept(given.table) if line["model"] == common["model"]]
    done = {(line["condition"], int(line["rows"]), int(line["seed"])) for line in lines}
    for point in points(given.seeds):
        if point in done:
            continue
        began = time.perf_counter()
        lines.append(one_point(base, *point) | common)
        write(given.table, FIELDS, lines)
        line, took = lines[-1], time.perf_counter() - began
        print(*point, f"parts {line['parts']:.0%}, line {line['line']:.0%}, {took:.0f} s", flush=True)


if __name__ == "__main__":
    main()
