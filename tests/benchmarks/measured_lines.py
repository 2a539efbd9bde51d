"""What the tables of the benchmarks have in common: who measured, on what, and lines that are never lost."""

from __future__ import annotations

import csv
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil
import torch
from expert import models, tuning


def about(script: str) -> dict[str, str]:
    """Model, machine, versions, day and script of a line."""
    names = ("torch", "transformers", "peft", "sentence-transformers")
    memory = round(psutil.virtual_memory().total / 2**30)
    threads = torch.get_num_threads()
    return {
        "model": tuning.fingerprint(models.load("tiny").model),
        "machine": f"{os.cpu_count()} cores of {processor()}; {memory} GiB; {platform.system()}; "
        f"{threads} thread{'s' * (threads > 1)}",
        "versions": f"python {platform.python_version()}; " + "; ".join(f"{name} {version(name)}" for name in names),
        "date": datetime.now(UTC).date().isoformat(),
        "script": f"tests/benchmarks/{script}",
    }


def processor() -> str:
    """The processor's name, where the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def kept(path: Path) -> list[dict[str, str]]:
    """The lines of a table, none where it is not there."""
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, fields: Sequence[str], lines: Sequence[dict]) -> None:
    """The whole table, put in place at once, so that a stop leaves the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".new")
    with open(made, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    made.replace(path)
