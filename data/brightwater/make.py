"""Make every generated file of data/brightwater from the tables in master/ and the hand-written documents.

    python data/brightwater/make.py            write what is missing or stale
    python data/brightwater/make.py --check    write nothing, name each stale file, exit 1 if there is one

The same bytes come out on every machine: nothing depends on the clock, the file system or a random number.
"""

import argparse
import csv
import io
import json
import os
import re
import shutil
import sqlite3
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "lessons")]

import make_questions  # noqa: E402  (found only after the line above)
from expert import corpus  # noqa: E402

LABELS = {
    "leak": "MOSS",
    "noise": "DRUM",
    "overheating": "EMBER",
    "no start": "STONE",
    "low flow": "REED",
    "control panel": "SWITCH",
    "spare part order": "CRATE",
    "invoice question": "LEDGER",
    "wrong delivery": "BOOMERANG",
    "visit request": "LANTERN",
    "thanks": "CLOVER",
    "safety": "FLARE",
}
TITLES = {
    "people.csv": ("People list", "2025-12-01"),
    "sites.csv": ("Site list", "2025-12-01"),
    "pumps.csv": ("Pump list", "2025-12-01"),
    "prices-2025.csv": ("Price list 2025", "2025-01-01"),
    "prices-2026.csv": ("Price list 2026", "2026-01-01"),
    "spare-parts.csv": ("Spare parts table", "2026-01-01"),
    "faults.csv": ("Fault code table", "2024-03-01"),
    "service-intervals.csv": ("Service table", "2025-02-01"),
    "bwp-03-warranty-2026.pdf": ("Warranty policy BWP-03, edition 2026 (print)", "2026-01-01"),
}
PDF_SOURCE, PDF = "policies/bwp-03-warranty-2026.md", "policies/bwp-03-warranty-2026.pdf"
GENERATED = ("index.json", "questions.jsonl", "tickets.jsonl", "work_orders.jsonl", "brightwater.db", "DATASHEET.md")
TICKET_STEP = 37  # coprime to the number of tickets: mixes the classes over the year
SQLITE = "3.40.1"  # the version that made the committed brightwater.db
Row = dict[str, str]


def read_master(name: str) -> list[Row]:
    """The rows of master/NAME.psv; an error names the file and the line."""
    path = HERE / "master" / f"{name}.psv"
    lines = path.read_text(encoding="utf-8").splitlines()
    header = lines[0].split("|")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split("|")
        if len(cells) != len(header):
            raise SystemExit(f"{path}, line {number}: expected {len(header)} cells, got {len(cells)}: {line!r}")
        rows.append(dict(zip(header, cells, strict=True)))
    return rows


def to_csv(rows: list[Row], columns: dict[str, str]) -> str:
    """CSV text with `columns` as header name -> master column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row[source] for source in columns.values()] for row in rows)
    return out.getvalue()


def same(*names: str) -> dict[str, str]:
    """Columns that keep their master name."""
    return {name: name for name in names}


def prices(parts: list[Row], year: str) -> str:
    """One edition of the price list."""
    columns = same("part", "name") | {"price [EUR]": f"price {year}", "lead time [days]": f"lead {year}"}
    return to_csv(parts, columns)


def make_tables() -> dict[str, str]:
    """All CSV tables, by file name."""
    sites, pumps, parts = read_master("sites"), read_master("pumps"), read_master("parts")
    names = {row["site"]: row["name"] for row in sites}
    pumps = [row | {"site name": names[row["site"]]} for row in pumps]
    stock = same("part", "name", "fits", "shelf", "minimum stock") | {"weight [kg]": "weight"}
    return {
        "people.csv": to_csv(read_master("people"), same("name", "role", "base", "extension", "van")),
        "sites.csv": to_csv(
            sites, same("site", "name", "business", "technician", "contact", "gate code") | {"customer since": "since"}
        ),
        "pumps.csv": to_csv(pumps, same("serial", "model", "site", "site name", "position", "installed")),
        "prices-2025.csv": prices(parts, "2025"),
        "prices-2026.csv": prices(parts, "2026"),
        "spare-parts.csv": to_csv(parts, stock),
        "faults.csv": to_csv(
            read_master("faults"), same("code", "panel", "meaning", "cause", "first step", "reset", "part")
        ),
        "service-intervals.csv": to_csv(
            read_master("intervals"), same("model", "weekly check", "wear part check", "full overhaul", "usual visit")
        ),
    }


def initials(name: str) -> str:
    """`Tomas Hruby` gives `TH`."""
    return "".join(word[0] for word in name.split())


def short_pump(model: str) -> str:
    """`Kestrel 40` gives `KE40`, as the style guide says."""
    family, size = model.split()
    return family[:2].upper() + size


def make_tickets() -> tuple[list[dict], list[dict]]:
    """Tickets and the work orders written from them."""
    rows = read_master("tickets")
    pumps = {row["serial"]: row for row in read_master("pumps")}
    sites = {row["site"]: row for row in read_master("sites")}
    order = [(index * TICKET_STEP) % len(rows) for index in range(len(rows))]
    if sorted(order) != list(range(len(rows))):
        raise SystemExit(f"master/tickets.psv: {len(rows)} tickets cannot be mixed with a step of {TICKET_STEP}")
    tickets, orders = [], []
    for place, index in enumerate(order):
        row, pump = rows[index], pumps[rows[index]["serial"]]
        ticket = one_ticket(row, pump, sites[pump["site"]], 41003 + 7 * place + place % 3, place)
        tickets.append(ticket)
        orders.append(one_work_order(row, ticket))
    return tickets, orders


def one_ticket(row: Row, pump: Row, site: Row, number: int, place: int) -> dict:
    """A ticket record; the date moves on by three days a ticket."""
    return {
        "id": f"TK-{number}",
        "date": (date(2025, 2, 3) + timedelta(days=3 * place)).isoformat(),
        "site": site["site"],
        "site_name": site["name"],
        "serial": pump["serial"],
        "model": pump["model"],
        "technician": site["technician"],
        "sender": f"{site['contact']}, {site['name']}",
        "subject": row["subject"],
        "text": row["text"],
        "label": LABELS[row["class"]],
        "triage": row["class"],
        "parts": sorted(set(re.findall(r"BW-\d{4}-[A-Z]", row["text"]))),
    }


def one_work_order(row: Row, ticket: dict) -> dict:
    """The work order of a ticket, with its line in house style."""
    order = {
        "id": ticket["id"].replace("TK", "WO"),
        "ticket": ticket["id"],
        "site": ticket["site"],
        "pump": short_pump(ticket["model"]),
        "serial": ticket["serial"],
        "label": ticket["label"],
        "saw": row["saw"],
        "do": row["do"],
        "technician": ticket["technician"],
    }
    parts = [order[key] for key in ("id", "site", "pump", "serial", "label")]
    parts += [f"saw {row['saw']}", row["do"], f"{initials(ticket['technician'])} dry hands"]
    return order | {"text": " / ".join(parts)}


def to_jsonl(records: list[dict]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def visits() -> list[tuple]:
    """The service history: about one visit a year for each pump, by the technician of its site."""
    notes: dict[str, list[str]] = {}
    for row in read_master("visits"):
        notes.setdefault(row["family"], []).append(row["work"])
    technician = {row["site"]: row["technician"] for row in read_master("sites")}
    parts = {(row["fits"], row["part"][-1]): row["part"] for row in read_master("parts")}
    found = []
    for place, pump in enumerate(read_master("pumps")):
        work = notes[pump["model"].split()[0]]
        day, hours, count = date.fromisoformat(pump["installed"]), 0, 0
        while (day := day + timedelta(days=330 + (place * 17 + count * 29) % 71)) < date(2025, 12, 1):
            hours += 2900 + (place * 131 + count * 577) % 2400
            text = re.sub(r"\{(\w)\}", lambda m, p=pump: parts[p["model"], m[1]], work[(place + count) % len(work)])
            found.append((pump["serial"], day.isoformat(), technician[pump["site"]], hours, text))
            count += 1
    return found


def make_database() -> bytes:
    """The SQLite database, with every setting that shapes the file fixed."""
    base = sqlite3.connect(":memory:", isolation_level=None)
    for pragma in ("page_size=4096", "auto_vacuum=NONE", "encoding='UTF-8'", "secure_delete=OFF"):
        base.execute(f"PRAGMA {pragma}")
    base.execute("BEGIN")
    base.execute("CREATE TABLE sites (site TEXT PRIMARY KEY, name TEXT, business TEXT, technician TEXT, since INTEGER)")
    base.execute(
        "CREATE TABLE pumps (serial TEXT PRIMARY KEY, model TEXT, site TEXT REFERENCES sites, position TEXT,"
        " installed TEXT)"
    )
    base.execute(
        "CREATE TABLE visits (visit INTEGER PRIMARY KEY, serial TEXT REFERENCES pumps, date TEXT, technician TEXT,"
        " running_hours INTEGER, work TEXT)"
    )
    sites = [tuple(r[k] for k in ("site", "name", "business", "technician", "since")) for r in read_master("sites")]
    pumps = [tuple(r[k] for k in ("serial", "model", "site", "position", "installed")) for r in read_master("pumps")]
    base.executemany("INSERT INTO sites VALUES (?,?,?,?,?)", sites)
    base.executemany("INSERT INTO pumps VALUES (?,?,?,?,?)", pumps)
    base.executemany("INSERT INTO visits VALUES (NULL,?,?,?,?,?)", sorted(visits(), key=lambda v: (v[1], v[0])))
    base.execute("COMMIT")
    base.execute("VACUUM")  # leaves no remains of earlier pages in the file
    image = bytearray(base.serialize())
    base.close()
    image[24:28] = image[92:96] = (1).to_bytes(4, "big")  # else how often the file was changed
    image[96:100] = (3_040_001).to_bytes(4, "big")  # else the version of the library that wrote it
    return bytes(image)


def dump(image: bytes) -> list[str]:
    """What a database holds, as SQL."""
    base = sqlite3.connect(":memory:")
    try:
        base.deserialize(image)
        return list(base.iterdump())
    except sqlite3.DatabaseError as error:
        return [f"not a database: {error}"]
    finally:
        base.close()


def equal(one: Path, other: Path) -> bool:
    """The same bytes. How SQLite lays out a page may change between its versions: then the same content will do."""
    if one.read_bytes() == other.read_bytes():
        return True
    moved_on = one.suffix == ".db" and sqlite3.sqlite_version != SQLITE
    return moved_on and dump(one.read_bytes()) == dump(other.read_bytes())


def make_pdf(markdown: str) -> bytes:
    """The policy as it is printed for customers. Uncompressed, because zlib's output differs between builds."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.utils import simpleSplit
    from reportlab.pdfgen import canvas

    out = io.BytesIO()
    page = canvas.Canvas(out, pagesize=A4, invariant=1, pageCompression=0)
    page.setTitle(TITLES[Path(PDF).name][0])
    page.setAuthor("Brightwater Pumps")
    height = A4[1] - 72
    for block in re.split(r"\n\s*\n|\n(?=[^#\n])", markdown.partition("\n---\n")[2].strip()):
        size = {"# ": 18, "##": 13}.get(block[:2], 11)
        font = "Helvetica-Bold" if size > 11 else "Helvetica"
        for line in simpleSplit(block.lstrip("# "), font, size, A4[0] - 144):
            if height < 72:
                page.showPage()
                height = A4[1] - 72
            page.setFont(font, size)
            page.drawString(72, height, line)
            height -= size * 1.4
        height -= 6
    page.showPage()
    page.save()
    return out.getvalue()


def make_datasheet(text: str, folder: Path) -> str:
    """The datasheet with its table of counts filled in."""
    counted = [("documents", len(corpus.documents(folder))), ("passages", len(corpus.passages(folder)))]
    for kind in corpus.KINDS:
        both = [len(corpus.questions(split, kind, folder)) for split in corpus.SPLITS]
        counted.append((f"questions, {kind}", f"{both[0]} test, {both[1]} tune"))
    counted += [("tickets", len(corpus.tickets(folder))), ("work orders", len(corpus.work_orders(folder)))]
    counted += [(f"rows of {name}", len(read_master(name))) for name in ("models", "sites", "pumps", "people", "parts")]
    counted += [("rows of faults", len(read_master("faults"))), ("visits in brightwater.db", len(visits()))]
    table = "\n".join(["| what | how many |", "|---|---|"] + [f"| {what} | {number} |" for what, number in counted])
    text = fill(text, "counts", table)
    changed = corpus.questions(kind="changed_fact", root=folder)
    rows = [
        f"| {', '.join(q.entity)} | `{q.outdated[0]}` {q.outdated_answer} | `{q.passages[0]}` {q.answer} |"
        for q in changed
        if not q.passages[0].startswith("prices-")
    ]
    return fill(text, "superseded", "\n".join(["| about | out of date | valid |", "|---|---|---|", *rows]))


def fill(text: str, name: str, content: str) -> str:
    """Put `content` between the marks of a generated block of the datasheet."""
    opened, closed = f"<!-- {name}: made by make.py -->", f"<!-- end of {name} -->"
    if opened not in text or closed not in text:
        raise SystemExit(f"DATASHEET.md: expected the marks {opened!r} and {closed!r}")
    return text.partition(opened)[0] + f"{opened}\n{content}\n{closed}" + text.partition(closed)[2]


def build(folder: Path) -> None:
    """Everything, hand-written and generated, into an empty folder."""
    for path in HERE.rglob("*.md"):
        target = folder / path.relative_to(HERE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    write(folder / "index.json", json.dumps({k: {"title": t, "date": d} for k, (t, d) in TITLES.items()}, indent=1))
    for name, text in make_tables().items():
        write(folder / "tables" / name, text)
    tickets, orders = make_tickets()
    write(folder / "tickets.jsonl", to_jsonl(tickets))
    write(folder / "work_orders.jsonl", to_jsonl(orders))
    write(folder / "brightwater.db", make_database())
    write(folder / PDF, make_pdf(corpus.read_text(HERE / PDF_SOURCE)))
    write(folder / "questions.jsonl", to_jsonl(make_questions.make(folder, read_master, tickets, orders)))
    write(folder / "DATASHEET.md", make_datasheet(corpus.read_text(HERE / "DATASHEET.md"), folder))


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    os.replace(part, path)


def generated_names() -> list[str]:
    """Paths of all generated files, relative to this folder."""
    return [*GENERATED, PDF, *(f"tables/{name}" for name in TITLES if name.endswith(".csv"))]


def stale(folder: Path) -> list[str]:
    """Generated files that differ from, or are missing beside, those in `folder`, and tables nobody makes."""
    names = generated_names()
    wrong = [name for name in names if not (HERE / name).is_file() or not equal(HERE / name, folder / name)]
    known = {HERE / name for name in names}
    return wrong + [p.relative_to(HERE).as_posix() for p in sorted(HERE.glob("tables/*.csv")) if p not in known]


def main(arguments: list[str] | None = None) -> int:
    """Make the files, or with --check say which are stale."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name each stale file")
    checking = parser.parse_args(arguments).check
    with tempfile.TemporaryDirectory() as name:
        build(Path(name))
        names = stale(Path(name))
        for one in names:
            if checking:
                print(f"stale: data/brightwater/{one} (run python data/brightwater/make.py)")
            elif (Path(name) / one).is_file():
                write(HERE / one, (Path(name) / one).read_bytes())
                print(f"made {one}")
            else:
                print(f"not made by make.py, delete it: {one}")
    return 1 if checking and names else 0


if __name__ == "__main__":
    sys.exit(main())
