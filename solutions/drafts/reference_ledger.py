"""The course's own verdicts, read out of the executed solutions: data/measurements/ledger.csv, for lesson 09.

    python tests/benchmarks/reference_ledger.py            write it from the notebooks that there are
    python tests/benchmarks/reference_ledger.py --check    write nothing; fail where the file is not up to date

A lesson's verdicts are what its notebook printed, so nothing is measured here. Lesson 09 itself is left out: it makes
its verdicts before it prints the ledger. Run it after ``solutions/build.py`` has made the notebooks 00 to 08, and after
10 and 11 as well.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "measurements" / "ledger.csv"
FIELDS = ("claim", "lesson", "measured", "verdict", "scope", "note", "notebook")
LABELS = ("Predicted", "Beware", "Measured", "Verdict", "Scope", "Note")
LEFT_OUT = "09"


def verdicts(text: str) -> list[dict[str, str]]:
    """The verdicts in what a cell printed, as ``expert.checks.verdict`` prints them."""
    found: list[dict[str, str]] = []
    label = ""
    for line in text.splitlines():
        head = re.match(r"(C\d\d)  \S", line)
        part = re.match(rf"  ({'|'.join(LABELS)}): +(.*)", line)
        if head:
            found.append({"claim": head[1]})
            label = "about"
        elif not found or not line.startswith("  "):
            label = ""
        elif part:
            label = part[1].lower()
            found[-1][label] = part[2]
        elif label and label != "about":
            found[-1][label] += " " + line.strip()
    return [one for one in found if "verdict" in one]


def rows() -> list[dict[str, str]]:
    """A row for each claim and lesson; where a lesson prints a claim twice, the last one counts."""
    made: dict[tuple[str, str], dict[str, str]] = {}
    for path in sorted((ROOT / "solutions").glob("[0-9][0-9]_*.ipynb")):
        lesson = path.name[:2]
        if lesson == LEFT_OUT:
            continue
        for cell in nbformat.read(path, as_version=4).cells:
            text = "".join(o.get("text", "") for o in cell.get("outputs", []) if o.output_type == "stream")
            for one in verdicts(text):
                one = {"note": ""} | one | {"lesson": lesson, "notebook": f"solutions/{path.name}"}
                made[one["claim"], lesson] = {name: one[name] for name in FIELDS}
    return [made[key] for key in sorted(made)]


def as_text(found: list[dict[str, str]]) -> str:
    """The table as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue()


def main() -> int:
    """Write the table, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--table", type=Path, default=TABLE)
    given = parser.parse_args()
    text = as_text(rows())
    if given.check:
        same = given.table.is_file() and given.table.read_text(encoding="utf-8") == text
        print("up to date" if same else f"{given.table.name} is stale: run {Path(__file__).name}")
        return int(not same)
    given.table.write_text(text, encoding="utf-8")
    print(f"{text.count(chr(10)) - 1} verdicts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
