"""Write models.csv, the catalogue of language models, from rows.jsonl, the rows with their evidence.

    python make.py           # write models.csv
    python make.py --check   # say whether models.csv is what this script would write

A figure counts only where somebody saw it in a document that can be named. ``note`` holds, for every figure of a row,
the words that were read, the address, and the day. An unknown stays empty.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
COLUMNS = (
    "name family provider era successor_of modality_in modality_out architecture parameters context_length licence "
    "open_weights tunable deployment price_in price_out price_date score_name score training_corpus released note"
).split()
FIGURES = (
    "architecture parameters context_length licence open_weights tunable deployment price_in price_out score "
    "training_corpus released"
).split()


def rows(path: Path = HERE / "rows.jsonl") -> list[dict]:
    """The rows with their evidence. Raises ValueError, with the line, for a row that breaks a rule."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        fault = fault_of(row) or ("its name stands twice" if row["name"] in {r["name"] for r in found} else "")
        if fault:
            raise ValueError(f"{path.name}:{number} ({row.get('name')}): {fault}.")
        found.append(row)
    return found


def fault_of(row: dict) -> str:
    """What is wrong with a row, or nothing."""
    unknown = set(row) - set(COLUMNS) - {"evidence"}
    if unknown:
        return f"unknown fields {sorted(unknown)}"
    for item in row["evidence"]:
        if not item["url"].startswith("https://") or len(item["quote"]) < 2 or len(item["retrieved"]) != 10:
            return f"evidence needs an https address, a quote and a day; this one has {item}"
    seen = {item["field"] for item in row["evidence"]}
    bare = [name for name in FIGURES if row.get(name) not in (None, "") and name not in seen]
    return f"no evidence for {', '.join(bare)}" if bare else ""


def cell(value: object) -> str:
    """A value as it stands in the table: unknown is empty, a whole number has no decimal point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def note(row: dict) -> str:
    """The evidence of a row as one text."""
    return " | ".join(f'{e["field"]}: "{e["quote"]}" ({e["url"]}, {e["retrieved"]})' for e in row["evidence"])


def table() -> str:
    """models.csv as one text, sorted by family and name."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows(), key=lambda r: (r["family"].lower(), r["name"].lower())):
        writer.writerow([note(row) if name == "note" else cell(row.get(name)) for name in COLUMNS])
    return out.getvalue()


def main() -> int:
    """The command line; see the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where models.csv is stale")
    path, text = HERE / "models.csv", table()
    if parser.parse_args().check:
        fresh = path.is_file() and path.read_text(encoding="utf-8") == text
        print("models.csv is up to date" if fresh else "models.csv is stale: run python data/catalogue/make.py")
        return 0 if fresh else 1
    path.with_suffix(".tmp").write_text(text, encoding="utf-8")
    os.replace(path.with_suffix(".tmp"), path)
    print(f"{path.name}: {text.count(chr(10)) - 1} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
