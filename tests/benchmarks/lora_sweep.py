"""Rank, learning rate, alpha and target modules of LoRA on work orders. Lesson 07 draws the result.

    python tests/benchmarks/lora_sweep.py          what is missing in data/measurements/lora_sweep.csv
    python tests/benchmarks/lora_sweep.py --quick  the corners and the middle of the grid only

Rows, steps and batch are those of lora_runs.py. "rank and rate" is the grid of the heat map, with alpha = 2 r. "alpha"
and "targets" change one setting of rank 16 at 2e-3. One seed: neighbours that differ by a few points are not different.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import lora_runs
from expert import models, style, tuning

TABLE = lora_runs.ROOT / "data" / "measurements" / "lora_sweep.csv"
RANKS = (1, 4, 16)
RATES = (5e-4, 2e-3, 8e-3, 3.2e-2)
ALPHAS = (8, 32, 128)
TARGETS = ("qkv_proj", "o_proj+down_proj", "gate_up_proj+down_proj")
ALL = "+".join(tuning.PHI3_LINEAR)
FIELDS = (
    "sweep",
    "r",
    "alpha",
    "rate",
    "targets",
    "form",
    "parts",
    "copied",
    "read",
    "line",
    "public",
    "marks",
    "public_marks",
    "prompt_tokens",
    "new_tokens",
    "answer_seconds",
    "trained",
    "last_loss",
    "train_seconds",
    "model",
    "machine",
    "versions",
    "date",
    "script",
)


def points(quick: bool) -> list[tuple[str, int, int, float, str]]:
    """Sweep, rank, alpha, rate and targets of each run, the coarse ones of the grid first."""
    grid = [("rank and rate", r, 2 * r, rate, ALL) for r in RANKS for rate in RATES]
    coarse = [p for p in grid if p[1] in (RANKS[0], RANKS[-1]) and p[3] in (RATES[0], 2e-3, RATES[-1])]
    if quick:
        return coarse
    rest = [p for p in grid if p not in coarse]
    alphas = [("alpha", 16, alpha, 2e-3, ALL) for alpha in ALPHAS]
    return coarse + rest + alphas + [("targets", 16, 32, 2e-3, targets) for targets in TARGETS]


def one_line(sweep: str, r: int, alpha: float, rate: float, targets: str) -> dict[str, object]:
    """Train and measure one point. A run whose loss is no number any more is a result too: nothing right."""
    base = models.load("tiny")
    point = {"sweep": sweep, "r": r, "alpha": alpha, "rate": rate, "targets": targets}
    try:
        tuned = tuning.tune(
            base,
            lora_runs.rows(60, 0),
            r=r,
            alpha=alpha,
            target_modules=targets.split("+"),
            learning_rate=rate,
            steps=lora_runs.STEPS,
            batch_tokens=lora_runs.BATCH_TOKENS,
            progress=False,
        )
    except tuning.TuningError as error:
        if "The loss is" not in str(error):
            raise
        return point | dict.fromkeys(("form", "parts", "copied", "read", "line", "public"), 0.0)
    tests = style.rows("test")
    report = tuned.report
    last = sum(report.losses[-5:]) / 5
    return (
        point
        | lora_runs.measure_orders(tuned.loaded, [one.prompt for one in tests], tests)
        | lora_runs.measure_public(tuned.loaded)
        | {"trained": report.trained, "last_loss": round(last, 4), "train_seconds": round(report.seconds, 1)}
    )


def main() -> None:
    """Measure what is missing, a line at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--line", nargs=5, metavar=("SWEEP", "R", "ALPHA", "RATE", "TARGETS"))
    given = parser.parse_args()
    if given.line:
        sweep, r, alpha, rate, targets = given.line
        print(json.dumps(one_line(sweep, int(r), int(alpha), float(rate), targets)))
        return
    key = lambda line: (line["sweep"], line["r"], line["alpha"], line["rate"], line["targets"])  # noqa: E731
    lora_runs.fill(given.table, FIELDS, points(given.quick), key, Path(__file__))


if __name__ == "__main__":
    main()
