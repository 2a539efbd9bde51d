"""The company's folder as records: documents, passages, questions, tickets and work orders.

The folder is `brightwater` in the course's data folder, or the one the environment variable `EXPERT_COMPANY` names.
Any folder of Markdown files (and CSV tables in `tables/`) will do for `documents` and `passages`.
"""

import csv
import io
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from expert import data_folder

DATA_VARIABLE = "EXPERT_COMPANY"
KINDS = ("single_fact", "two_passages", "table_lookup", "changed_fact", "not_answerable", "jargon", "style")
SPLITS = ("test", "tune")
NOT_DOCUMENTS = ("DATASHEET.md", "README.md")


class CorpusError(ValueError):
    """The folder, or a file in it, is not what this module expects."""


@dataclass(frozen=True)
class Document:
    """One file a reader can open: Markdown, CSV or PDF."""

    id: str
    title: str
    kind: str
    date: str
    path: str
    text: str


@dataclass(frozen=True)
class Passage:
    """A paragraph, a list or a table row; `text` opens with the title, so that it names its own subject."""

    id: str
    doc_id: str
    title: str
    text: str
    date: str


@dataclass(frozen=True)
class Question:
    """A question with its answer. `passages` hold the answer; `near` look right and do not say it."""

    id: str
    kind: str
    split: str
    entity: tuple[str, ...]
    question: str
    answer: str
    variants: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    outdated_answer: str = ""
    bridge: str = ""
    absent: tuple[str, ...] = ()
    ticket: str = ""
    note: str = ""


@dataclass(frozen=True)
class Ticket:
    """A customer's message with the label dispatch gave it."""

    id: str
    date: str
    site: str
    site_name: str
    serial: str
    model: str
    technician: str
    sender: str
    subject: str
    text: str
    label: str
    triage: str
    parts: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class WorkOrder:
    """The line in house style that dispatch wrote from a ticket; `text` is the line, the rest are its parts."""

    id: str
    ticket: str
    site: str
    pump: str
    serial: str
    label: str
    saw: str
    do: str
    technician: str
    text: str


def data_root(root: str | Path | None = None) -> Path:
    """The company's folder: `root`, else what EXPERT_COMPANY names, else `brightwater` in the course's data folder."""
    chosen = Path(root or os.environ.get(DATA_VARIABLE) or data_folder() / "brightwater").expanduser().resolve()
    if not chosen.is_dir():
        raise CorpusError(f"expected a folder of documents, but {chosen} is not a folder (see {DATA_VARIABLE})")
    return chosen


def read_text(path: str | Path) -> str:
    """The text of a file, the same on every system: UTF-8, line ends as \\n; a PDF page by page."""
    path = Path(path)
    if path.suffix.lower() == ".pdf":
        return _pdf_text(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise CorpusError(f"expected a file, but there is none at {path}") from None
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: expected UTF-8 text, byte {error.start} is not") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _pdf_text(path: Path) -> str:
    try:
        from pypdf import PdfReader
    except ImportError:
        raise CorpusError(f"{path}: reading a PDF needs the package pypdf (pip install pypdf)") from None
    if not path.is_file():
        raise CorpusError(f"expected a file, but there is none at {path}")
    try:
        pages = [page.extract_text() for page in PdfReader(path).pages]
    except Exception as error:  # pypdf raises many kinds; for the reader they mean one thing
        raise CorpusError(f"{path}: expected a readable PDF, got {type(error).__name__}: {error}") from None
    return "\n".join(pages)


def _front_matter(text: str, path: Path) -> tuple[dict[str, str], str]:
    """Split `---` headed `key: value` lines from the body."""
    if not text.startswith("---\n"):
        return {}, text
    head, mark, body = text[4:].partition("\n---\n")
    if not mark:
        raise CorpusError(f"{path}: the front matter opened by --- on line 1 is never closed")
    meta = {}
    for number, line in enumerate(head.split("\n"), start=2):
        key, colon, value = line.partition(":")
        if not colon:
            raise CorpusError(f"{path}, line {number}: expected `key: value`, got {line!r}")
        meta[key.strip()] = value.strip()
    return meta, body


def _markdown_document(path: Path, root: Path) -> Document:
    meta, body = _front_matter(read_text(path), path)
    heading = re.search(r"^# (.+)$", body, re.M)
    title = heading[1].strip() if heading else path.stem.replace("-", " ")
    kind = meta.get("kind", path.parent.name if path.parent != root else "document")
    return Document(path.stem, title, kind, meta.get("date", ""), path.relative_to(root).as_posix(), body.strip())


def _index(root: Path) -> dict[str, dict[str, str]]:
    """Titles and dates of the tables and PDFs, which cannot carry them as Markdown can."""
    path = root / "index.json"
    if not path.is_file():
        return {}
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise CorpusError(f"{path}: expected a JSON object, got {error}") from None


def _other_document(path: Path, root: Path, index: dict[str, dict[str, str]]) -> Document:
    known = index.get(path.name, {})
    title = known.get("title", path.stem.replace("-", " ").replace("_", " "))
    kind = "table" if path.suffix == ".csv" else "pdf"
    doc_id = path.stem if kind == "table" else f"{path.stem}-pdf"
    return Document(doc_id, title, kind, known.get("date", ""), path.relative_to(root).as_posix(), read_text(path))


def _sources(root: Path) -> list[Path]:
    """Every document's file, in a fixed order; `master/` holds what the company never sees."""
    found = [path for path in root.rglob("*") if path.suffix in (".md", ".csv", ".pdf") and path.is_file()]
    inside = [path.relative_to(root) for path in found]
    keep = [p for p in inside if p.name not in NOT_DOCUMENTS and p.parts[0] != "master" and not p.name.startswith(".")]
    return [root / path for path in sorted(keep, key=lambda p: p.as_posix())]


def documents(root: str | Path | None = None) -> list[Document]:
    """All documents, ordered by path. A PDF's id ends in `-pdf`; its Markdown source is a document of its own."""
    root = data_root(root)
    index = _index(root)
    paths = _sources(root)
    if not paths:
        raise CorpusError(f"expected Markdown, CSV or PDF files in {root}, found none")
    found = [_markdown_document(p, root) if p.suffix == ".md" else _other_document(p, root, index) for p in paths]
    _no_double((doc.id for doc in found), "document")
    return found


def _no_double(ids, what: str) -> None:
    seen = set()
    for one in ids:
        if one in seen:
            raise CorpusError(f"two {what}s have the id {one!r}")
        seen.add(one)


def _table_row_sentence(header: list[str], cells: list[str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in zip(header, cells, strict=False)) + "."


def _markdown_table(lines: list[str]) -> list[str]:
    """One sentence per row; a table `item | value` reads `item: value`."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    header, body = rows[0], rows[2:]
    if len(header) == 2:
        return [f"The {first}: {second}." for first, second in body]
    return [_table_row_sentence(header, cells) for cells in body]


def _block_texts(block: str) -> list[str]:
    """A block between blank lines as passages: a paragraph and a list give one each, a table one per row."""
    lines = block.split("\n")
    if lines[0].startswith("|"):
        return _markdown_table(lines)
    lines = [re.sub(r"^\s*(?:[-*]|\d+\.)\s+", "", line).strip() for line in lines]
    return [" ".join(line for line in lines if line)]


def _markdown_passages(doc: Document) -> list[Passage]:
    found, heading = [], ""
    for block in re.split(r"\n\s*\n", doc.text):
        first, _, rest = block.strip().partition("\n")
        level = re.match(r"(#+) (.+)", first)
        if level:
            heading = "" if len(level[1]) == 1 else level[2].strip()
            block = rest
        if not block.strip():
            continue
        lead = f"{doc.title}, {heading}" if heading else doc.title
        lead += " " if lead.endswith("?") else ": "
        for text in _block_texts(block.strip()):
            name = f"{doc.id}#{len(found) + 1}"
            found.append(Passage(name, doc.id, doc.title, re.sub(r"\*\*|`", "", lead + text), doc.date))
    return found


def _cell(name: str, value: str) -> str:
    """`price [EUR]` and `84.50` read `price 84.50 EUR`."""
    unit = re.fullmatch(r"(.+?) \[(.+)\]", name)
    return f"{unit[1]} {value} {unit[2]}" if unit and value else f"{name} {value}"


def _row_names(rows: list[list[str]]) -> list[str]:
    """A name per row: its first cell, or its line number where first cells repeat or are empty."""
    first = [cells[0] if re.fullmatch(r"\S*\d\S*", cells[0]) else "-".join(cells[0].lower().split()) for cells in rows]
    if len(set(first)) == len(first) and all(first):
        return first
    return [str(number) for number in range(2, len(rows) + 2)]


def _table_passages(doc: Document) -> list[Passage]:
    rows = [cells for cells in csv.reader(io.StringIO(doc.text)) if cells]
    header, body = (rows[0], rows[1:]) if rows else ([], [])
    found = []
    for number, (cells, name) in enumerate(zip(body, _row_names(body), strict=True), start=2):
        if len(cells) != len(header):
            raise CorpusError(f"{doc.path}, line {number}: expected {len(header)} cells, got {len(cells)}")
        filled = [_cell(column, value) for column, value in zip(header, cells, strict=True) if value]
        found.append(Passage(f"{doc.id}#{name}", doc.id, doc.title, f"{doc.title}: " + "; ".join(filled), doc.date))
    return found


def passages(root: str | Path | None = None) -> list[Passage]:
    """All passages, ordered by document. A PDF gives none: its Markdown source in the folder does."""
    found = []
    for doc in documents(root):
        if doc.kind != "pdf":
            found += _table_passages(doc) if doc.path.endswith(".csv") else _markdown_passages(doc)
    _no_double((passage.id for passage in found), "passage")
    return found


def _records(path: Path) -> list[tuple[int, dict]]:
    found = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise CorpusError(f"{path}, line {number}: expected one JSON object, got {error}") from None
        if not isinstance(record, dict):
            raise CorpusError(f"{path}, line {number}: expected a JSON object, got {type(record).__name__}")
        found.append((number, record))
    return found


def _load(kind: type, path: Path) -> list:
    """The lines of a JSONL file as records of the dataclass `kind`."""
    found = []
    for number, record in _records(path):
        frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
        try:
            found.append(kind(**frozen))
        except TypeError as error:
            reason = str(error).partition(") ")[2] or str(error)
            raise CorpusError(f"{path}, line {number}: not a {kind.__name__}: {reason}") from None
    _no_double((one.id for one in found), kind.__name__.lower())
    return found


def _one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise CorpusError(f"unknown {name} {value!r}: expected one of {', '.join(allowed)}")


def questions(split: str | None = None, kind: str | None = None, root: str | Path | None = None) -> list[Question]:
    """The evaluation questions, all or those of one split (`test`, `tune`) and one kind."""
    _one_of("split", split, SPLITS)
    _one_of("kind", kind, KINDS)
    path = data_root(root) / "questions.jsonl"
    found = _load(Question, path)
    for one in found:
        if one.kind not in KINDS or one.split not in SPLITS:
            raise CorpusError(f"{path}: question {one.id} has the kind {one.kind!r} and the split {one.split!r}")
    return [q for q in found if split in (None, q.split) and kind in (None, q.kind)]


def public_questions(folder: str | Path | None = None) -> list[Question]:
    """Questions about public facts that tiny-phi3 was trained on, in wordings that it was not trained on."""
    return _load(Question, Path(folder or data_folder() / "models" / "tiny-phi3") / "public_questions.jsonl")


def tickets(root: str | Path | None = None) -> list[Ticket]:
    """The customers' messages with their labels, oldest first."""
    return _load(Ticket, data_root(root) / "tickets.jsonl")


def work_orders(root: str | Path | None = None) -> list[WorkOrder]:
    """The work orders in house style, one per ticket, in the tickets' order."""
    return _load(WorkOrder, data_root(root) / "work_orders.jsonl")
