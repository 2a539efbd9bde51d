"""Answer questions from a folder of documents, with sources: what lesson 05 builds, for the lessons after it.

    python -m expert.rag FOLDER "Which torque for the cover nuts of a Plover 40?"

    from expert import models, rag
    with rag.open_assistant("data/brightwater", models.load("tiny"), models.load_embedder()) as assistant:
        answer = assistant.ask("Which torque for the cover nuts of a Plover 40?")
        print(answer)

It reads Markdown, text, CSV, JSONL, PDF and SQLite, cuts them into passages, and keeps them in a Chroma index that is
brought up to date at each start: only what changed is embedded again. The index lies in a cache folder of the user
(``index_folder`` says where), never in the folder with the documents. Nothing is sent anywhere.

What the model says is shown as an answer only where measurable signs do not speak against it. Else the best passage is
shown with its source, and the signs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tqdm import tqdm

from expert import corpus, retrieval
from expert.retrieval import Hit, Index, Record

READERS = (".md", ".txt", ".csv", ".jsonl", ".pdf", ".db", ".sqlite", ".sqlite3")
IGNORE = (
    ".*",
    "questions.jsonl",
    "master",
    "DATASHEET.md",
)  # what no reader is to find: the course's own test answers
MAX_WORDS = 80  # tiny-phi3 wants passages under 80 words; MiniLM cuts at 256 tokens
OVERLAP = 15
TOP_K = 3
BUDGET = 900  # tokens of the prompt; tiny-phi3 was trained on prompts of up to 1,024
NEW_TOKENS = 48
DECLINED = "I do not know"
COLLECTION = "passages"
MANIFEST = "manifest.json"
FORMAT = 1
# Chosen on the tuning split of Brightwater's questions: tests/benchmarks/rag_table.py --choose
LOWEST_LOGPROB = -0.05
LOWEST_COVER = 0.6
SCORE_WEIGHT = 1.0  # of a passage's score of the search beside the mean log-probability of the answer read from it
STATES = ("answered", "declined", "unsure")


class RagError(ValueError):
    """The folder, the index or a question is not what this module expects; the message says what to do."""


# --- reading -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """A text of a document with the place where it stands: a paragraph, a row, a page or a line."""

    file: str
    place: str
    title: str
    text: str

    @property
    def id(self) -> str:
        """Made of the file, the place and the text, so that a changed text is another record."""
        digest = hashlib.sha256(f"{self.title}\n{self.text}".encode()).hexdigest()[:12]
        return f"{self.file}#{self.place}#{digest}"

    def record(self) -> Record:
        """As the index keeps it."""
        kind = Path(self.file).suffix.lstrip(".").lower()
        return Record(self.id, self.text, {"file": self.file, "place": self.place, "title": self.title, "kind": kind})


def list_files(folder: str | Path, ignore: Iterable[str] = IGNORE) -> tuple[list[str], list[str]]:
    """The files that can be read, and those of a kind that cannot, as paths inside the folder, in order.

    ignore: patterns for a name on the path ("*.pdf", "master") or for the whole path. Raises RagError where there is no
    such folder, or nothing in it that can be read.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        what = "is a file" if folder.is_file() else "does not exist"
        raise RagError(f"expected a folder of documents, but {folder} {what}")
    readable, other = [], []
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
        inside = path.relative_to(folder)
        names = (*inside.parts, inside.as_posix())
        if path.is_file() and not any(fnmatch(name, pattern) for pattern in ignore for name in names):
            (readable if path.suffix.lower() in READERS else other).append(inside.as_posix())
    if not readable:
        kinds = f"; {len(other)} files of other kinds are there" if other else ""
        raise RagError(f"expected documents in {folder} ({', '.join(READERS)}), but found none{kinds}")
    return readable, other


def read_file(
    folder: str | Path, file: str, titles: Mapping[str, str] | None = None, max_words: int = MAX_WORDS
) -> list[Piece]:
    """The pieces of one file. Raises RagError, in words for a reader, where it cannot be read or holds no text."""
    path = Path(folder) / file
    kind = path.suffix.lower()
    title = (titles or {}).get(path.name) or path.stem.replace("-", " ").replace("_", " ")
    try:
        read = {".md": _markdown, ".txt": _plain, ".csv": _csv, ".jsonl": _jsonl, ".pdf": _pdf}.get(kind, _sqlite)
        found = list(read(path, title))
    except corpus.CorpusError as error:
        raise RagError(str(error).replace(f"{path}: ", "").replace(str(path), file)) from None
    except (OSError, sqlite3.Error, csv.Error) as error:
        raise RagError(f"{type(error).__name__}: {error}".replace(str(path), file)) from None
    pieces = []
    for place, subject, text in found:
        for number, part in enumerate(split_words(text, max_words), start=1):
            where = place if number == 1 else f"{place}, part {number}"
            pieces.append(Piece(file, where, subject.split(",")[0] if subject else title, _led(subject, part)))
    if not pieces:
        raise RagError("there is no text in it" + (" (a scan?)" if kind == ".pdf" else ""))
    return pieces


def split_words(text: str, most: int = MAX_WORDS, overlap: int = OVERLAP) -> list[str]:
    """A text in parts of at most ``most`` words; each part begins with the last ``overlap`` words of the one before.

    >>> split_words("a b c d e", most=3, overlap=1)
    ['a b c', 'c d e']
    """
    if most < 1 or not 0 <= overlap < most:
        raise RagError(f"expected at least one word and an overlap below that, got {most} and {overlap}")
    words = text.split()
    step = most - overlap
    return [" ".join(words[at : at + most]) for at in range(0, max(len(words) - overlap, 1), step) if words]


def _led(subject: str, text: str) -> str:
    """The text behind the words that say what it is about: "Plover 40 handbook, Tightening: ..."."""
    return f"{subject}{' ' if subject.endswith('?') else ': '}{text}" if subject else text


Found = Iterator[tuple[str, str, str]]  # place, subject, text


def _markdown(path: Path, title: str) -> Found:
    """A passage for each paragraph, list and table row, under its title and heading."""
    meta, body = corpus._front_matter(corpus.read_text(path), path)
    heading, number = "", 0
    for block in re.split(r"\n\s*\n", body.strip()):
        first, _, rest = block.strip().partition("\n")
        level = re.match(r"(#+) (.+)", first)
        if level:
            heading = "" if len(level[1]) == 1 else level[2].strip()
            title = level[2].strip() if len(level[1]) == 1 else title
            block = rest
        for text in corpus._block_texts(block.strip()) if block.strip() else ():
            number += 1
            yield (
                f"paragraph {number}",
                f"{title}, {heading}" if heading else title,
                re.sub(r"\*\*|`", "", text),
            )


def _plain(path: Path, title: str) -> Found:
    """A passage for each paragraph, with the line on which it begins."""
    line = 1
    for block in re.split(r"(\n\s*\n)", corpus.read_text(path)):
        if block.strip():
            begins = line + len(block[: len(block) - len(block.lstrip())].splitlines())
            yield f"line {begins}", title, " ".join(block.split())
        line += block.count("\n")


def _csv(path: Path, title: str) -> Found:
    """A sentence for each row: "Price list: part BW-1; price 4.00 EUR"."""
    rows = list(csv.reader(io.StringIO(corpus.read_text(path)), strict=True))
    header = rows[0] if rows else []
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise RagError(f"row {number} has {len(cells)} cells, and the first row has {len(header)}")
        yield f"row {number}", title, _sentence(zip(header, cells, strict=True))


def _jsonl(path: Path, title: str) -> Found:
    """A sentence for each line, which holds one JSON object."""
    for number, line in enumerate(corpus.read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise RagError(f"line {number} is not JSON: {error.msg}") from None
        if not isinstance(record, dict):
            raise RagError(f"line {number} is not a JSON object")
        values = {key: ", ".join(map(str, v)) if isinstance(v, list) else v for key, v in record.items()}
        yield (
            f"line {number}",
            title,
            _sentence((key, "" if v is None else str(v)) for key, v in values.items()),
        )


def _pdf(path: Path, title: str) -> Found:
    """A passage for each page; a long one is cut further on."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(path)
        title = (reader.metadata.title if reader.metadata else None) or title
        pages = [page.extract_text() for page in reader.pages]
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise RagError(f"not a readable PDF ({type(error).__name__}: {error})") from None
    for number, text in enumerate(pages, start=1):
        if text.strip():
            yield f"page {number}", title, " ".join(text.split())


def _sqlite(path: Path, title: str) -> Found:
    """A sentence for each row of each table; the database is opened for reading only."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        for (table,) in base.execute(names).fetchall():
            quoted = table.replace('"', '""')
            rows = base.execute(f'SELECT * FROM "{quoted}"')
            columns = [column[0] for column in rows.description]
            for number, cells in enumerate(rows, start=1):
                filled = [
                    (name, "" if cell is None or isinstance(cell, bytes) else str(cell))
                    for name, cell in zip(columns, cells, strict=True)
                ]
                yield f"table {table}, row {number}", f"{title} {table}", _sentence(filled)


def _sentence(cells: Iterable[tuple[str, str]]) -> str:
    return "; ".join(corpus._cell(name, value) for name, value in cells if value)


# --- the index and its upkeep ------------------------------------------------------------------------------------


@dataclass
class Report:
    """What one ingest did. ``skipped`` names each file that could not be read, and why."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)
    passages: int = 0
    embedded: int = 0
    deleted: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        files = ", ".join(f"{len(getattr(self, n))} {n}" for n in ("new", "changed", "unchanged", "removed"))
        text = f"files: {files}, {len(self.skipped)} skipped, {len(self.other)} of other kinds\n"
        text += f"passages: {self.passages} in the index, {self.embedded} embedded, {self.deleted} deleted"
        return text + "".join(f"\nskipped: {file}: {why}" for file, why in self.skipped.items())


def index_folder(folder: str | Path) -> Path:
    """Where the index of a folder lies by default: ``$EXPERT_CACHE``, else the user's cache folder."""
    given = os.environ.get("EXPERT_CACHE", "").strip()
    if given:
        base = Path(given).expanduser()
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "phi3-industry-expert"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches" / "phi3-industry-expert"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phi3-industry-expert"
    place = Path(folder).expanduser().resolve()
    return base / "rag" / f"{place.name or 'folder'}-{hashlib.sha256(str(place).encode()).hexdigest()[:10]}"


def ingest(
    folder: str | Path,
    index: Index,
    manifest: str | Path,
    *,
    ignore: Iterable[str] = IGNORE,
    max_words: int = MAX_WORDS,
    progress: bool | None = None,
) -> Report:
    """Bring the index up to date with the folder; embed only what is new, delete what is gone.

    The manifest is a file that says which file had which content and which passages. It is written last: an ingest that
    was killed leaves the earlier one, and the next run does the rest. Ids are made of file, place and text, so that
    doing a part of it twice changes nothing. A file that cannot be read is named in the report; what an earlier edition
    of it gave stays in the index.
    """
    began, folder, report = time.perf_counter(), Path(folder).expanduser(), Report()
    files, report.other = list_files(folder, ignore)
    known, present, titles = _load_manifest(Path(manifest), folder), index.ids(), _titles(folder)
    kept: dict[str, dict[str, Any]] = {}
    pieces: dict[str, Piece] = {}
    for file in files:
        before = known.get(file)
        digest = _digest(folder / file, titles.get(Path(file).name, ""), max_words)
        if before and before["hash"] == digest and present.issuperset(before["ids"]):
            report.unchanged.append(file)
            kept[file] = before
            continue
        try:
            found = read_file(folder, file, titles, max_words)
        except RagError as error:
            report.skipped[file] = f"{error} (its earlier passages stay in the index)" if before else str(error)
            if before:
                kept[file] = before
            continue
        (report.changed if before else report.new).append(file)
        kept[file] = {"hash": digest, "ids": [piece.id for piece in found]}
        pieces.update({piece.id: piece for piece in found})
    report.removed = sorted(set(known) - set(files))
    wanted = {one for entry in kept.values() for one in entry["ids"]}
    fresh = [piece.record() for one, piece in pieces.items() if one not in present]
    report.embedded = index.upsert(fresh, progress)
    stale = present - wanted
    index.delete(stale)
    report.deleted, report.passages = len(stale), len(index)
    _write_manifest(Path(manifest), folder, kept)
    report.seconds = time.perf_counter() - began
    return report


def _digest(path: Path, title: str, max_words: int) -> str:
    """Of the content and of what else decides the passages."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return hashlib.sha256(content + f"\n{FORMAT} {max_words} {title}".encode()).hexdigest()


def _titles(folder: Path) -> dict[str, str]:
    """Titles of tables and PDFs from an ``index.json``, where the folder has one as Brightwater's has."""
    try:
        entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        return {name: str(entry["title"]) for name, entry in entries.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return {}


def _load_manifest(path: Path, folder: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): {"hash": e["hash"], "ids": list(e["ids"])} for name, e in record["files"].items()}
        place = record["folder"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # a damaged manifest costs nothing but reading the files again: ids keep passages from doubling
    if place != str(folder.resolve()):
        raise RagError(f"this index is of the folder {place}, not of {folder.resolve()}; choose another --index")
    return files


def _write_manifest(path: Path, folder: Path, files: dict[str, dict[str, Any]]) -> None:
    """Write beside the file, then put it in its place in one step."""
    text = json.dumps({"format": FORMAT, "folder": str(folder.resolve()), "files": files}, indent=1) + "\n"
    handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


# --- the prompt --------------------------------------------------------------------------------------------------


def assemble(
    passages: Sequence[str], question: str, count_tokens: Callable[[str], int], budget: int = BUDGET
) -> tuple[str, int]:
    """The prompt with as many of the passages, from the first on, as the budget of tokens allows; and how many.

    ``count_tokens`` counts the prompt as the model reads it, with the markers of its chat template. Raises RagError
    where the question alone does not fit.
    """
    for most in range(len(passages), -1, -1):
        prompt = reading_prompt(passages[:most], question)
        if count_tokens(prompt) <= budget:
            return prompt, most
    raise RagError(f"the question alone has more than {budget} tokens; ask a shorter one")


def reading_prompt(passages: Sequence[str], question: str) -> str:
    """Numbered passages, an empty line, the question: what the model reads. Without passages: the question alone."""
    numbered = [f"[{number}] {' '.join(text.split())}" for number, text in enumerate(passages, start=1)]
    return "\n".join(numbered) + "\n\n" + question if numbered else question


def cited(answer: str) -> list[int]:
    """The numbers of the passages that an answer cites, in their order."""
    return [int(number) for number in re.findall(r"\[(\d+)\]", answer)]


# --- following a link --------------------------------------------------------------------------------------------

PERSON = re.compile(r"\b[A-Z][a-zà-ž]+ [A-Z][a-zà-ž]+\b")
LINKS = 4


def links(index: Index, question: str, hits: Sequence[Hit]) -> list[str]:
    """Names that the passages hold and the question does not: where the next search could go."""
    asked, found = question.lower(), []
    for hit in hits:
        names = [*index.names(hit.text), *(name.lower() for name in PERSON.findall(hit.text))]
        found += [name for name in names if name not in asked]
    return list(dict.fromkeys(found))[:LINKS]


def search_linked(
    index: Index, questions: Sequence[str], k: int = 2 * TOP_K, how: str = "sum", where: dict | None = None
) -> list[list[Hit]]:
    """Search twice: the second time with the names that stand in the first two passages found.

    For questions whose second passage shares no word with the question: "the torque at Penford Quarry" finds which pump
    stands there, and the pump's name finds the torque. The best passage of the first search stays the first.
    """
    first = index.search_all(questions, k, how, where)
    asked = [(i, f"{q} {name}") for i, q in enumerate(questions) for name in links(index, q, first[i][:2])]
    again: list[list[list[Hit]]] = [[] for _ in questions]
    for (i, _), hits in zip(asked, index.search_all([text for _, text in asked], TOP_K, how, where), strict=True):
        again[i].append(hits)
    return [_in_turn(one[:1], more, one)[:k] for one, more in zip(first, again, strict=True)]


def _in_turn(head: Sequence[Hit], lists: Sequence[Sequence[Hit]], tail: Sequence[Hit]) -> list[Hit]:
    turns = [hit for rank in range(max(map(len, lists), default=0)) for one in lists for hit in one[rank : rank + 1]]
    return list({hit.id: hit for hit in [*head, *turns, *tail]}.values())


# --- signs of doubt ----------------------------------------------------------------------------------------------


def exact_parts(text: str) -> list[str]:
    """What must be copied letter by letter: words with a digit, and words with a capital letter that is no beginning.

    >>> exact_parts("The oil of the Plover 40 is ISO VG 68. [2]")
    ['plover', '40', 'iso', 'vg', '68']
    """
    text = re.sub(r"\[\d+\]", " ", text)
    found = list(retrieval.WORD.finditer(text))
    parts = []
    for number, match in enumerate(found):
        word = match.group()
        begins = number == 0 or re.search(r"[.!?:]\s*$", text[: match.start()])
        if any(c.isdigit() for c in word) or (not begins and any(c.isupper() for c in word)):
            parts.append(word.lower())
    return parts


def unsupported(answer: str, passages: Sequence[str]) -> list[str]:
    """The numbers, codes and names of an answer that stand in none of these passages, in small letters."""
    there = {word for text in passages for word in retrieval.words(text)}
    return [part for part in dict.fromkeys(exact_parts(answer)) if part not in there]


def cover(question: str, passages: Sequence[str]) -> float:
    """Which share of the question's content words stands in these passages, 0 to 1; 1 where it has none."""
    asked = set(retrieval.terms(question))
    there = {term for text in passages for term in retrieval.terms(text)}
    return len(asked & there) / len(asked) if asked else 1.0


def doubts(
    question: str,
    answer: str,
    passages: Sequence[str],
    logprob: float,
    names: Iterable[str] = (),
    lowest_logprob: float = LOWEST_LOGPROB,
    lowest_cover: float = LOWEST_COVER,
) -> list[str]:
    """What speaks against an answer, each in words; an empty list where nothing does.

    passages: those in the prompt, in their order. names: names and codes of the question that the collection knows.
    """
    numbers = cited(answer)
    found = []
    if not numbers:
        found.append("it names no passage")
    if any(not 1 <= number <= len(passages) for number in numbers):
        found.append("it names a passage that is not there")
    named = [passages[number - 1] for number in numbers if 1 <= number <= len(passages)]
    if named:
        loose = unsupported(answer, named)
        if loose:
            found.append(f"not in the passage it names: {', '.join(loose)}")
        low = " ".join(named).lower()
        absent = [name for name in names if name not in low]
        if absent:
            found.append(f"the passage it names is not about {', '.join(absent)}")
        share = cover(question, named)
        if share < lowest_cover:
            found.append(f"only {share:.0%} of the question's words stand in the passage it names")
    if logprob < lowest_logprob:
        found.append(f"the model was not sure of its words (mean log-probability {logprob:.2f})")
    return found


def best_threshold(values: Sequence[float], right: Sequence[bool]) -> float:
    """The limit below which an answer is doubted: it keeps the largest share of the right ones and turns away the
    largest share of the wrong ones, both shares added. Of equally good limits the lowest; -inf where all are right.

    Choose it on questions that nothing is tested on.
    """
    if len(values) != len(right) or not values:
        raise RagError(f"expected as many values as marks, at least one; got {len(values)} and {len(right)}")
    good = [v for v, r in zip(values, right, strict=True) if r]
    bad = [v for v, r in zip(values, right, strict=True) if not r]

    def gain(limit: float) -> float:
        kept = sum(v >= limit for v in good) / max(len(good), 1)
        return kept + sum(v < limit for v in bad) / max(len(bad), 1)

    return max([float("-inf"), *sorted(set(values))], key=lambda limit: (gain(limit), -limit))


# --- generating --------------------------------------------------------------------------------------------------


def generate_scored(
    loaded: Any, prompts: Sequence[str], max_new_tokens: int = NEW_TOKENS, batch_size: int = 32
) -> list[tuple[str, float]]:
    """Greedy answers as ``models.generate`` gives them, each with the mean log-probability of its tokens."""
    import torch

    from expert import models

    rendered = [models.render(loaded, prompt) for prompt in prompts]
    tokens = [loaded.tokenizer(text, add_special_tokens=False)["input_ids"] for text in rendered]
    models._check_length(loaded, tokens, max_new_tokens)
    config = models._generation_config(loaded, max_new_tokens, 0.0, 1.0)
    config.return_dict_in_generate, config.output_logits = True, True
    stops = set(config.eos_token_id)
    answers: list[tuple[str, float]] = [("", 0.0)] * len(prompts)
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    with models._answering(loaded.model, None), tqdm(total=len(order), desc="answers", **_bar()) as bar:
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = [tokens[i] for i in rows]
            inputs = loaded.tokenizer.pad(
                {"input_ids": batch, "attention_mask": [[1] * len(t) for t in batch]},
                padding_side="left",
                return_tensors="pt",
            ).to(loaded.device)
            out = loaded.model.generate(**inputs, generation_config=config)
            new = out.sequences[:, inputs["input_ids"].shape[1] :]
            logprobs = torch.stack(
                [torch.log_softmax(step.float(), -1).gather(1, new[:, [n]])[:, 0] for n, step in enumerate(out.logits)],
                dim=1,
            )
            for i, row, scores in zip(rows, new.tolist(), logprobs.tolist(), strict=True):
                end = next((n for n, token in enumerate(row) if token in stops), len(row))
                counted = scores[: end + 1]
                text = loaded.tokenizer.decode(row[:end], skip_special_tokens=True).strip()
                answers[i] = text, sum(counted) / len(counted)
            bar.update(len(rows))
    return answers


def _bar() -> dict[str, Any]:
    return {"file": sys.stdout, "leave": False, "delay": 3.0}


# --- asking ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Where a cited passage stands: the file inside the folder, and the place in it."""

    number: int
    file: str
    place: str

    def __str__(self) -> str:
        return f"[{self.number}] {self.file}, {self.place}"


@dataclass(frozen=True)
class Answer:
    """What came of a question. ``state`` is "answered", "declined" or "unsure"; ``said`` is the model's own text."""

    question: str
    state: str
    said: str
    sources: tuple[Source, ...]
    passages: tuple[Hit, ...]
    doubts: tuple[str, ...]
    logprob: float
    prompts: tuple[str, ...]
    prompt_tokens: int
    seconds: float

    @property
    def prompt(self) -> str:
        """What the model was asked; where it read the passages apart, all its prompts."""
        return "\n\n".join(self.prompts)

    @property
    def text(self) -> str:
        """What to show: the answer, or in its place the best passage."""
        if self.state == "answered" or not self.passages:
            return self.said
        return self.passages[0].text

    def __str__(self) -> str:
        if not self.passages:
            return "I do not know: there is no passage about it in the folder."
        if self.state == "answered":
            return "\n".join([self.said, *map(str, self.sources)])
        first = _source(1, self.passages[0])
        opening = "The documents do not seem to say." if self.state == "declined" else "I am not sure."
        lines = [f"{opening} The passage that comes nearest:", self.passages[0].text, str(first)]
        return "\n".join(lines + [f"(The model's answer is not shown: {'; '.join(self.doubts)}.)"] * bool(self.doubts))


def _source(number: int, hit: Hit) -> Source:
    return Source(number, str(hit.fields.get("file", hit.id)), str(hit.fields.get("place", "")))


# the prompts, the passages in them, the answer, its mean log-probability
Reply = tuple[tuple[str, ...], tuple[Hit, ...], str, float]


class Assistant:
    """A model and an index that answer together.

    k: how many passages to read at most. how: a way of ``Index.search``. linked: search twice, see ``search_linked``.
    apart: read the passages one at a time, each with the question, and take the answer of which search and model are
    surest together (as in RAG-Sequence, Lewis et al. 2020, section 2.1, with one answer in place of a sum over all).
    Each passage is a prompt of its own: more tokens, and no question that needs two passages can be answered.
    """

    def __init__(
        self,
        index: Index,
        model: Any,
        *,
        k: int = TOP_K,
        how: str = "sum",
        linked: bool = False,
        apart: bool = False,
        budget: int = BUDGET,
        lowest_logprob: float = LOWEST_LOGPROB,
        lowest_cover: float = LOWEST_COVER,
    ) -> None:
        self.index, self.model, self.k, self.how = index, model, k, how
        self.linked, self.apart = linked, apart
        self.report: Report | None = None
        self.budget = min(budget, model.context - NEW_TOKENS)
        self.limits = {"lowest_logprob": lowest_logprob, "lowest_cover": lowest_cover}

    def ask(self, question: str, where: dict | None = None) -> Answer:
        """One question. where: a filter on the fields file, place, title and kind."""
        return self.ask_all([question], where)[0]

    def ask_all(self, questions: Sequence[str], where: dict | None = None) -> list[Answer]:
        """Many questions, retrieved and answered in batches; ``seconds`` is the mean over them."""
        began = time.perf_counter()
        search = (lambda *given: search_linked(self.index, *given)) if self.linked else self.index.search_all
        found = search(questions, self.k, self.how, where)
        read = self._read_apart if self.apart else self._read_together
        said = read(questions, found)
        seconds = (time.perf_counter() - began) / max(len(questions), 1)
        return [self.judge(q, *one, seconds) for q, one in zip(questions, said, strict=True)]

    def _read_together(self, questions: Sequence[str], found: Sequence[Sequence[Hit]]) -> list[Reply]:
        built = [self._prompt(q, hits) for q, hits in zip(questions, found, strict=True)]
        todo = [i for i, (_, hits) in enumerate(built) if hits]
        said = dict(zip(todo, generate_scored(self.model, [built[i][0] for i in todo]), strict=True)) if todo else {}
        return [((prompt,), hits, *said.get(i, (f"{DECLINED}.", 0.0))) for i, (prompt, hits) in enumerate(built)]

    def _read_apart(self, questions: Sequence[str], found: Sequence[Sequence[Hit]]) -> list[Reply]:
        built = [[self._prompt(q, [hit]) for hit in hits] for q, hits in zip(questions, found, strict=True)]
        alone = [prompt for prompts in built for prompt, read in prompts if read]
        said = iter(generate_scored(self.model, alone)) if alone else iter(())
        replies: list[Reply] = []
        for hits, prompts in zip(found, built, strict=True):
            told = [(n, hits[n], prompt, *next(said)) for n, (prompt, read) in enumerate(prompts) if read]
            if not told:
                replies.append(((), (), f"{DECLINED}.", 0.0))
                continue
            stated = [one for one in told if not one[3].startswith(DECLINED)] or told[:1]
            best = max(stated, key=lambda one: one[4] + SCORE_WEIGHT * one[1].score)
            text = re.sub(r"\[1\]", f"[{best[0] + 1}]", best[3])
            replies.append((tuple(one[2] for one in told), tuple(hits), text, best[4]))
        return replies

    def count_tokens(self, prompt: str) -> int:
        """The tokens of a prompt, with the markers of the chat template."""
        from expert import models

        text = models.render(self.model, prompt)
        return len(self.model.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _prompt(self, question: str, hits: Sequence[Hit]) -> tuple[str, tuple[Hit, ...]]:
        prompt, most = assemble([hit.text for hit in hits], question, self.count_tokens, self.budget)
        return prompt, tuple(hits[:most])

    def judge(
        self,
        question: str,
        prompts: Sequence[str],
        hits: tuple[Hit, ...],
        said: str,
        logprob: float,
        seconds: float,
    ) -> Answer:
        """What to make of what the model said: its state, its sources, and what speaks against it."""
        numbers = [n for n in dict.fromkeys(cited(said)) if 1 <= n <= len(hits)]
        state, against = "declined", []
        if not said.startswith(DECLINED):
            names = self.index.names(question)
            against = doubts(question, said, [hit.text for hit in hits], logprob, names, **self.limits)
            state = "unsure" if against else "answered"
        sources = tuple(_source(n, hits[n - 1]) for n in numbers)
        tokens = sum(map(self.count_tokens, prompts))
        return Answer(question, state, said, sources, hits, tuple(against), logprob, tuple(prompts), tokens, seconds)


@contextmanager
def open_assistant(
    folder: str | Path,
    model: Any,
    embedder: Any,
    index: str | Path | None = None,
    *,
    ignore: Iterable[str] = IGNORE,
    progress: bool | None = None,
    **options: Any,
) -> Iterator[Assistant]:
    """An assistant for a folder, its index brought up to date first; ``assistant.report`` says what that took.

    index: where the index lies; by default in the user's cache folder. options: those of Assistant.
    """
    list_files(folder, ignore)  # the folder's faults first, before anything is made
    place = Path(index).expanduser() if index else index_folder(folder)
    with retrieval.open_index(place, embedder, COLLECTION) as opened:
        report = ingest(folder, opened, place / MANIFEST, ignore=ignore, progress=progress)
        assistant = Assistant(opened, model, **options)
        assistant.report = report
        yield assistant


@contextmanager
def open_collection(index: str | Path, embedder: Any, name: str = COLLECTION) -> Iterator[Index]:
    """An index that is there already, without its folder. Raises RagError where there is none of that name."""
    import chromadb

    place = Path(index).expanduser()
    if not (place / "chroma.sqlite3").is_file():
        raise RagError(f"there is no index at {place}; make one with: python -m expert.rag FOLDER QUESTION --index ...")
    client = chromadb.PersistentClient(path=str(place), settings=retrieval.client_settings())
    there = sorted(collection.name for collection in client.list_collections())
    client.close()
    if name not in there:
        raise RagError(f"unknown collection {name!r} in {place}; it has: {', '.join(there) or 'none'}")
    with retrieval.open_index(place, embedder, name) as opened:
        yield opened


# --- the command line --------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m expert.rag FOLDER QUESTION``: 0 where it could answer, 2 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m expert.rag", description="Ask a folder of documents a question.")
    parser.add_argument("folder", help="a folder with Markdown, text, CSV, JSONL, PDF or SQLite files")
    parser.add_argument("question", nargs="+", help="one or several questions, each in quotes")
    parser.add_argument("--index", help="where the index lies (default: the cache folder of the user)")
    parser.add_argument("--profile", default="tiny", help="tiny, phi3, a model's folder or a hub id")
    parser.add_argument("--k", type=int, default=TOP_K, help=f"how many passages to read (default {TOP_K})")
    parser.add_argument(
        "--together", action="store_true", help="read all passages in one prompt (tiny-phi3 reads them one at a time)"
    )
    parser.add_argument("--ignore", action="append", default=[], help="a name or pattern to leave out; may be repeated")
    given = parser.parse_args(arguments)
    ignore = (*IGNORE, *given.ignore)
    try:
        list_files(given.folder, ignore)
        from expert import models

        embedder = models.load_embedder("phi3" if given.profile == "phi3" else "tiny")
        options = {"k": given.k, "apart": given.profile == "tiny" and not given.together}
        model = models.load(given.profile)
        with open_assistant(given.folder, model, embedder, given.index, ignore=ignore, **options) as assistant:
            print(f"{assistant.report}\nup to date after {assistant.report.seconds:.1f} s")
            for answer in assistant.ask_all(given.question):
                print(f"\n{answer.question}\n{answer}")
    except (RagError, retrieval.RetrievalError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
