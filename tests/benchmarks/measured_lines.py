"""What the tables of the benchmarks have in common: who measured, on what, and lines that are never lost."""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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


def stream(script: Path, *arguments: object) -> Iterator[dict[str, object]]:
    """What a script prints, a JSON object a line, run in a fresh process and handed on as it comes."""
    command = [sys.executable, str(script), *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            for text in process.stdout or ():
                if text.startswith("{"):
                    yield json.loads(text)
            if process.wait():
                errors.seek(0)
                raise RuntimeError(f"{' '.join(command[1:])} failed:\n{errors.read()[-2000:]}")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()


def fill_streamed(
    table: Path,
    fields: Sequence[str],
    script: Path,
    todo: Sequence[tuple],
    wanted: Callable[[tuple], Sequence[tuple]],
    key: Callable[[dict], tuple],
    *more: object,
) -> None:
    """Measure the points of which a line is missing, each in a process of its own; write each line as it comes."""
    common = about(script.name)
    lines = [one for one in kept(table) if one["model"] == common["model"]]
    for point in todo:
        missing = [one for one in wanted(point) if tuple(map(str, one)) not in {key(had) for had in lines}]
        if not missing:
            continue
        began = time.perf_counter()
        names = ",".join(str(one[1]) for one in missing)
        for found in stream(script, "--line", *point, names, *more):
            lines.append({name: str(value) for name, value in (found | common).items()})
            write(table, fields, lines)
            last = lines[-1]
            shown = f"right {float(last['right']):.0%}" + (f", form {last['form']}" if last.get("form") else "")
            what = last.get("kind") or last.get("state")
            print(*point, what, shown, f"{time.perf_counter() - began:.0f} s", flush=True)
