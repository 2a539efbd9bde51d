"""The course's own verdicts, read out of the executed solutions: data/measurements/ledger.csv, for lesson 09.

    python tests/benchmarks/reference_ledger.py            write it from the notebooks that there are
    python tests/benchmarks/reference_ledger.py --check    write nothing; fail where the file is not up to date

A lesson's verdicts are what its notebook printed, so nothing is measured here. Lesson 09 itself is left out: it makes
its verdicts before it prints the ledger. Run it after ``solutions/build.py`` has made the notebooks 00 to 08, and after
10 and 11 as well.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import nbformat
from expert.checks import INDENT
from measured_lines import kept, write

ROOT = Path(__file__).resolve().parents[2]
SOLUTIONS = ROOT / "solutions"
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
            label = ""
        elif found and part:
            label = part[1].lower()
            found[-1][label] = part[2]
        elif label and line.startswith(" " * INDENT):
            found[-1][label] += " " + line.strip()
        elif line:  # an empty line may stand within a note; any other text ends it
            label = ""
    return [one for one in found if "verdict" in one]


def rows(folder: Path = SOLUTIONS) -> list[dict[str, str]]:
    """A row for each claim and lesson; where a lesson prints a claim twice, the last one counts.

    A cell that should have printed a verdict and did not is an error: the notebook was not executed to its end.
    """
    made: dict[tuple[str, str], dict[str, str]] = {}
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        lesson = path.name[:2]
        if lesson == LEFT_OUT:
            continue
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            # progress bars go to stderr, and may fall between two pieces of one line
            printed = [o.text for o in cell.get("outputs", []) if o.output_type == "stream" and o.name == "stdout"]
            found = verdicts("".join(printed))
            if cell.cell_type == "code" and re.search(r"^verdict\(", cell.source, re.M) and not found:
                raise SystemExit(f"{path.name}, cell {number}: no verdict was printed. Execute the notebook first.")
            for one in found:
                one |= {"lesson": lesson, "notebook": f"solutions/{path.name}"}
                made[one["claim"], lesson] = {name: one.get(name, "") for name in FIELDS}
    if not made:
        raise SystemExit(f"No notebook in {folder} has printed a verdict.")
    return [made[key] for key in sorted(made)]


def main(arguments: list[str] | None = None) -> int:
    """Write the table, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--notebooks", type=Path, default=SOLUTIONS, help="the folder of the executed solutions")
    given = parser.parse_args(arguments)
    found = rows(given.notebooks)
    if given.check:
        same = kept(given.table) == found
        print("up to date" if same else f"{given.table.name} is stale: run {Path(__file__).name}")
        return int(not same)
    write(given.table, FIELDS, found)
    print(f"{len(found)} verdicts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
