"""Reading a folder, keeping its index, the prompt, the signs of doubt, and the command line."""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from expert import corpus, data_folder, models, rag, retrieval
from expert.rag import RagError

ROOT = Path(__file__).resolve().parents[1]


class Bag:
    """An embedder that needs no weights: texts that share words are near. It counts what it embeds."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.stop_after: int | None = None

    def get_embedding_dimension(self) -> int:
        return 64

    def encode(self, texts: list[str], **_: object) -> np.ndarray:
        if self.stop_after is not None and len(self.texts) >= self.stop_after:
            raise KeyboardInterrupt
        self.texts += texts
        rows = np.ones((len(texts), 64)) * 1e-3
        for row, text in zip(rows, texts, strict=True):
            for word in retrieval.words(text):
                row += np.random.default_rng(sum(map(ord, word)) * 7 + len(word)).normal(size=64)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "docs"
    (place / "sub").mkdir(parents=True)
    (place / "pump.md").write_text(
        "---\nkind: handbook\n---\n# Otter 12 handbook\n\n## Oil\nThe Otter 12 takes 3 litres.\n\nChange it in May.\n\n"
        "| part | torque |\n|---|---|\n| cover nut | 45 Nm |\n",
        encoding="utf-8",
    )
    (place / "notes.txt").write_text("First note.\nStill the first.\n\n\nSecond note.\n", encoding="utf-8")
    (place / "sub" / "prices.csv").write_text(
        "part,price [EUR],note\nOT-100,4.50,\nOT-200,7.00,new\n", encoding="utf-8"
    )
    (place / "tickets.jsonl").write_text('{"id": 1, "parts": ["OT-100", "OT-200"], "x": null}\n\n', encoding="utf-8")
    with sqlite3.connect(place / "sites.db") as base:
        base.execute("CREATE TABLE sites (name TEXT, pump TEXT, picture BLOB)")
        base.execute("INSERT INTO sites VALUES ('Elm Mill', 'Otter 12', X'00')")
    base.close()
    return place


@contextmanager
def opened(tmp_path: Path, embedder: Bag | None = None):
    with retrieval.open_index(tmp_path / "index", embedder or Bag()) as index:
        yield index


def ingest(folder: Path, index: retrieval.Index, tmp_path: Path, **options: object) -> rag.Report:
    return rag.ingest(folder, index, tmp_path / "index" / "manifest.json", **options)


# --- reading ---


def test_every_kind_is_read_with_its_place(folder: Path) -> None:
    read = {file: rag.read_file(folder, file) for file in rag.list_files(folder)[0]}
    told = {(p.file, p.place): p.text for pieces in read.values() for p in pieces}
    assert told == {
        ("notes.txt", "line 1"): "notes: First note. Still the first.",
        ("notes.txt", "line 5"): "notes: Second note.",
        ("pump.md", "paragraph 1"): "Otter 12 handbook, Oil: The Otter 12 takes 3 litres.",
        ("pump.md", "paragraph 2"): "Otter 12 handbook, Oil: Change it in May.",
        ("pump.md", "paragraph 3"): "Otter 12 handbook, Oil: The cover nut: 45 Nm.",
        ("sites.db", "table sites, row 1"): "sites sites: name Elm Mill; pump Otter 12",
        ("sub/prices.csv", "row 2"): "prices: part OT-100; price 4.50 EUR",
        ("sub/prices.csv", "row 3"): "prices: part OT-200; price 7.00 EUR; note new",
        ("tickets.jsonl", "line 1"): "tickets: id 1; parts OT-100, OT-200",
    }
    assert {p.title for p in read["pump.md"]} == {"Otter 12 handbook"}


def test_a_pdf_is_read_page_by_page() -> None:
    file = "policies/bwp-03-warranty-2026.pdf"
    pieces = rag.read_file(data_folder() / "brightwater", file)
    pages = {piece.place.split(",")[0] for piece in pieces}
    assert "page 1" in pages and all(place.startswith("page ") for place in pages)
    assert "30 months" in " ".join(piece.text for piece in pieces)


def test_brightwater_gives_the_courses_passages() -> None:
    root = corpus.data_root()
    files, _ = rag.list_files(root, (*rag.IGNORE, "*.pdf", "*.db", "*.jsonl"))
    titles = rag._titles(root)
    texts = [piece.text for file in files for piece in rag.read_file(root, file, titles, max_words=10_000)]
    assert sorted(texts) == sorted(passage.text for passage in corpus.passages())
    assert not any("questions" in file or "master" in file for file in files)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("latin.md", "Für die Pumpe".encode("latin-1"), "UTF-8"),
        ("broken.pdf", b"%PDF-1.4 nothing", "not a readable PDF"),
        ("ragged.csv", b"a,b\n1,2,3\n", "row 2 has 3 cells"),
        ("lines.jsonl", b'{"a": 1}\nnot json\n', "line 2 is not JSON"),
        ("list.jsonl", b"[1]\n", "not a JSON object"),
        ("empty.txt", b"", "no text"),
        ("title.md", b"# Only a title\n", "no text"),
        ("open.md", b"---\nkind: x\n", "never closed"),
        ("no.db", b"this is no database at all, only text", "DatabaseError"),
    ],
)
def test_a_bad_file_is_named_skipped_and_counted(
    folder: Path, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(RagError, match=says):
        rag.read_file(folder, name)
    with opened(tmp_path) as index:
        report = ingest(folder, index, tmp_path)
    assert list(report.skipped) == [name] and says in report.skipped[name]
    assert (len(report.new), report.passages) == (5, 9)
    assert "1 skipped" in str(report) and f"skipped: {name}:" in str(report)


def test_folders_that_cannot_be_read(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(RagError, match="does not exist"):
        rag.list_files(tmp_path / "none")
    with pytest.raises(RagError, match="is a file"):
        rag.list_files(folder / "pump.md")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "photo.png").write_bytes(b"x")
    with pytest.raises(RagError, match="found none; 1 files of other kinds"):
        rag.list_files(tmp_path / "empty")
    assert rag.list_files(folder, ("*.db", "sub"))[0] == ["notes.txt", "pump.md", "tickets.jsonl"]


def test_split_words() -> None:
    assert rag.split_words("a b c d e", 3, 1) == ["a b c", "c d e"]
    assert rag.split_words("a b c", 3, 1) == ["a b c"]
    assert rag.split_words("a b c d", 3, 1) == ["a b c", "c d"]
    assert rag.split_words("", 3, 1) == []
    words = " ".join(map(str, range(200)))
    parts = rag.split_words(words, 80, 15)
    assert all(len(part.split()) <= 80 for part in parts)
    assert {word for part in parts for word in part.split()} == set(words.split())
    with pytest.raises(RagError, match="overlap"):
        rag.split_words("a", 3, 3)


# --- upkeep ---


def test_second_run_embeds_nothing_and_a_change_only_itself(folder: Path, tmp_path: Path) -> None:
    embedder = Bag()
    with opened(tmp_path, embedder) as index:
        assert ingest(folder, index, tmp_path).embedded == 9
        again = ingest(folder, index, tmp_path)
        assert (len(again.unchanged), again.embedded, again.deleted) == (5, 0, 0)
        embedder.texts.clear()
        text = (folder / "pump.md").read_text(encoding="utf-8")
        (folder / "pump.md").write_text(text.replace("3 litres", "4 litres"), encoding="utf-8")
        (folder / "notes.txt").unlink()
        (folder / "more.txt").write_text("A third note.", encoding="utf-8")
        report = ingest(folder, index, tmp_path)
        assert (report.new, report.changed, report.removed) == (["more.txt"], ["pump.md"], ["notes.txt"])
        assert sorted(embedder.texts) == [
            "Otter 12 handbook, Oil: The Otter 12 takes 4 litres.",
            "more: A third note.",
        ]
        assert (report.deleted, report.passages) == (3, 8)
        hit = index.search("How much oil does the Otter 12 take?", k=1, how="words")[0]
        assert "4 litres" in hit.text and hit.fields["file"] == "pump.md" and hit.fields["place"] == "paragraph 1"


def test_a_killed_ingest_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(6):
        lines = "\n\n".join(f"Note {number} {n} of the pump." for n in range(100))
        (folder / f"f{number}.txt").write_text(lines, encoding="utf-8")
    embedder = Bag()
    embedder.stop_after = 400  # it dies after the second batch
    with opened(tmp_path, embedder) as index:
        with pytest.raises(KeyboardInterrupt):
            ingest(folder, index, tmp_path)
        half = len(index)
        assert 0 < half < 600 and not (tmp_path / "index" / "manifest.json").exists()
    (folder / "f5.txt").unlink()  # and the folder goes on living meanwhile
    with opened(tmp_path) as index:
        report = ingest(folder, index, tmp_path)
        assert len(index) == 500 and report.embedded == 500 - min(half, 500)
        stored = index.collection.get(include=["documents"])["documents"]
    assert sorted(stored) == sorted(f"f{f}: Note {f} {n} of the pump." for f in range(5) for n in range(100))


def test_killed_between_delete_and_manifest(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as index:
        ingest(folder, index, tmp_path)
        (folder / "notes.txt").write_text("Only this.", encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.setattr(rag, "_write_manifest", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
            with pytest.raises(KeyboardInterrupt):
                ingest(folder, index, tmp_path)
        report = ingest(folder, index, tmp_path)
        assert (report.changed, report.embedded, report.passages) == (["notes.txt"], 0, 8)
        index.delete([next(iter(index.ids()))])  # something took a record out
        assert ingest(folder, index, tmp_path).passages == 8


def test_a_file_that_turns_unreadable_keeps_its_passages(folder: Path, tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        ingest(folder, index, tmp_path)
        (folder / "notes.txt").write_bytes(b"\xff\xfe\xff")
        report = ingest(folder, index, tmp_path)
        assert report.passages == 9 and "earlier passages stay" in report.skipped["notes.txt"]
        assert ingest(folder, index, tmp_path).skipped  # and it is said each time


def test_a_manifest_of_another_folder_or_a_damaged_one(folder: Path, tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        ingest(folder, index, tmp_path)
        (tmp_path / "index" / "manifest.json").write_text("{", encoding="utf-8")
        report = ingest(folder, index, tmp_path)
        assert (report.embedded, report.passages) == (0, 9)
        with pytest.raises(RagError, match="choose another --index"):
            ingest(folder / "sub", index, tmp_path)
        assert len(index) == 9


def test_the_index_lies_outside_the_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERT_CACHE", str(tmp_path / "cache"))
    place = rag.index_folder(folder)
    assert place.is_relative_to(tmp_path / "cache") and place.name.startswith("docs-")
    assert place != rag.index_folder(folder / "sub")
    monkeypatch.delenv("EXPERT_CACHE")
    assert not rag.index_folder(folder).is_relative_to(folder)


# --- the prompt and the signs ---


def count(text: str) -> int:
    return len(text.split())


def test_assemble_fits_the_budget() -> None:
    passages = ["one two three", "four\nfive", "six"]
    assert rag.assemble(passages, "Why so?", count) == (
        "[1] one two three\n[2] four five\n[3] six\n\nWhy so?",
        3,
    )
    assert rag.assemble(passages, "Why so?", count, budget=9) == (
        "[1] one two three\n[2] four five\n\nWhy so?",
        2,
    )
    assert rag.assemble(passages, "Why so?", count, budget=2) == ("Why so?", 0)
    with pytest.raises(RagError, match="the question alone"):
        rag.assemble(passages, "Why so?", count, budget=1)


def test_signs() -> None:
    passages = ["Otter 12, Oil: it takes 3 litres of ISO VG 68.", "Prices: part OT-100; price 4.50 EUR"]
    ask = "How many litres of oil does the Otter 12 take?"
    assert rag.exact_parts("The oil of the Otter 12 is OT-100, 4.50 EUR. Fine. [2]") == [
        "otter",
        "12",
        "ot-100",
        "4.50",
        "eur",
    ]
    assert rag.unsupported("The oil is 3 litres. [1]", passages[:1]) == []
    assert rag.unsupported("The oil is 30 litres. [1]", passages[:1]) == ["30"]
    assert rag.cover("oil litres", passages[:1]) == 1 and rag.cover("oil zebra", passages[:1]) == 0.5
    assert rag.cover("the of", []) == 1
    assert rag.doubts(ask, "The oil of the Otter 12 is 3 litres. [1]", passages, -0.01, ["otter 12"]) == []
    for answer, logprob, names, says in (
        ("The oil is 3 litres.", -0.01, (), "names no passage"),
        ("The oil is 3 litres. [7]", -0.01, (), "not there"),
        ("The oil is 8 litres. [1]", -0.01, (), "not in the passage it names: 8"),
        ("The oil is 4.50. [2]", -0.01, ["otter 12"], "not about otter 12"),
        ("The oil is 4.50. [2]", -0.01, (), "of the question's words"),
        ("The oil is 3 litres. [1]", -9.0, (), "not sure of its words"),
    ):
        assert any(says in doubt for doubt in rag.doubts(ask, answer, passages, logprob, names)), says


def test_best_threshold() -> None:
    assert rag.best_threshold([-3.0, -2.0, -1.0, -0.5], [False, False, True, True]) == -1.0
    assert rag.best_threshold([-3.0, -1.0], [True, True]) == float("-inf")
    with pytest.raises(RagError):
        rag.best_threshold([], [])


# --- the way "sum" and the second search ---


def test_sum_puts_names_and_codes_first(tmp_path: Path) -> None:
    texts = [f"{family} {n}: the cover nut takes {n} Nm" for family in ("Otter", "Beaver") for n in (12, 14, 16, 18)]
    texts += [f"The Otter 12 has fact {n}." for n in range(4)] + [
        "Shelf of OT-100: B-7",
        "Shelf of OT-200: C-9",
    ]
    with opened(tmp_path) as index:
        index.upsert(retrieval.Record(f"r{n}", text) for n, text in enumerate(texts))
        assert set(index.names("which otter 12 and ot-200, 3,000 hours")) == {"otter 12", "ot-200"}
        assert index.search("cover nut of an otter 12", k=1, how="sum")[0].text == texts[0]
        assert index.search("where does OT-200 lie", k=1, how="sum")[0].text == texts[-1]
        all_at_once = index.search_all(["cover nut of an otter 12", "shelf of ot-100"], k=2, how="sum")
        assert all_at_once[1] == index.search("shelf of ot-100", k=2, how="sum")


def test_sum_keeps_to_the_filter(folder: Path, tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        ingest(folder, index, tmp_path)
        for how in retrieval.WAYS:
            hits = index.search("price of OT-100", k=9, how=how, where={"kind": "csv"})
            assert hits and {hit.fields["kind"] for hit in hits} == {"csv"}


def test_second_search_follows_a_name(tmp_path: Path) -> None:
    texts = [
        "Site Elm Mill: the yard pump is part OT-100",
        "OT-100: weight 4 kg",
        "OT-200: weight 5 kg",
        "Nothing here",
    ]
    texts += [f"Weight of the lid {n}: {n} kg, at Oak Mill" for n in range(6)]
    with opened(tmp_path) as index:
        index.upsert(retrieval.Record(f"r{n}", text) for n, text in enumerate(texts))
        hits = rag.search_linked(index, ["weight of the yard pump at Elm Mill"], k=3)[0]
        assert hits[0].id == "r0" and "r1" in [hit.id for hit in hits]
        assert len({hit.id for hit in hits}) == 3


def test_terms() -> None:
    assert retrieval.terms("How are the bearings of the BW-3310-S greased?") == ["bear", "bw-3310-s", "greas"]
    assert retrieval.codes("BW-3310-S, BF-206 and 3,000 m3/h") == {"bw-3310-s", "bf-206"}


# --- asking ---


@pytest.fixture(scope="module")
def model() -> models.Loaded:
    return models.load("tiny")


def test_generate_scored_says_the_same_as_generate(model: models.Loaded) -> None:
    prompts = ["[1] The lid of the box is red.\n\nWhat colour is the lid?", "What is the capital of Norway?"]
    scored = rag.generate_scored(model, prompts)
    assert [text for text, _ in scored] == models.generate(model, prompts, max_new_tokens=rag.NEW_TOKENS)
    assert all(-20 < logprob <= 0 for _, logprob in scored)


def test_ask(folder: Path, tmp_path: Path, model: models.Loaded) -> None:
    with rag.open_assistant(folder, model, Bag(), tmp_path / "ix", lowest_logprob=-99, lowest_cover=0) as assistant:
        answer = assistant.ask("How many litres does the Otter 12 take?")
        assert "[1] " in answer.prompt and all(hit.text in answer.prompt for hit in answer.passages)
        assert answer.prompt.endswith("\n\n" + answer.question)
        assert answer.prompt_tokens <= assistant.budget and answer.state in rag.STATES
        for source in answer.sources:
            assert (folder / source.file).is_file() and source.place
        tight = rag.Assistant(assistant.index, model, budget=60).ask(answer.question)
        assert tight.prompt_tokens <= 60 and len(tight.passages) < 3


def test_passages_read_apart(folder: Path, tmp_path: Path, model: models.Loaded, monkeypatch) -> None:
    """Each prompt holds one passage; the surest statement is taken, with its own number; all refuse: a refusal."""
    with rag.open_assistant(folder, model, Bag(), tmp_path / "ix", apart=True, how="words") as assistant:
        question = "How many litres does the Otter 12 take?"
        first, second, third = hits = assistant.index.search(question, k=3, how="words")
        told = {
            first.text: ("I do not know.", -0.01),
            second.text: ("It is 9. [1]", -9.0),
            third.text: ("No. [1]", 0.0),
        }
        monkeypatch.setattr(rag, "SCORE_WEIGHT", 0.0)

        def fake(loaded: object, prompts: list[str]) -> list[tuple[str, float]]:
            assert [sum(hit.text in prompt for hit in hits) for prompt in prompts] == [1, 1, 1]
            return [told[next(hit.text for hit in hits if hit.text in prompt)] for prompt in prompts]

        monkeypatch.setattr(rag, "generate_scored", fake)
        answer = assistant.ask(question)
        assert answer.said == "No. [3]" and answer.sources[0].file == third.fields["file"]
        assert len(answer.prompts) == 3 and answer.prompt_tokens == sum(map(assistant.count_tokens, answer.prompts))
        told[third.text] = told[second.text] = told[first.text]
        assert assistant.ask(question).state == "declined"


def answer_of(said: str, assistant: rag.Assistant, hits: tuple[retrieval.Hit, ...]) -> rag.Answer:
    return assistant.judge("litres of the Otter 12?", ["prompt"], hits, said, -0.01, 0.1)


def test_the_three_states(folder: Path, tmp_path: Path, model: models.Loaded) -> None:
    with rag.open_assistant(folder, model, Bag(), tmp_path / "ix") as assistant:
        hits = tuple(assistant.index.search("litres of the Otter 12", k=2, how="words"))
        assert "3 litres" in hits[0].text
        good = answer_of("The oil of the Otter 12 is 3 litres. [1]", assistant, hits)
        assert (
            good.state == "answered" and str(good.sources[0]) == "[1] pump.md, paragraph 1" and "3 litres" in good.text
        )
        bad = answer_of("The oil of the Otter 12 is 9 litres. [1]", assistant, hits)
        assert bad.state == "unsure" and bad.text == hits[0].text and "9" in bad.doubts[0]
        assert "9 litres" not in str(bad) and "pump.md, paragraph 1" in str(bad)
        no = answer_of("I do not know.", assistant, hits)
        assert no.state == "declined" and hits[0].text in str(no)
        assert "no passage" in str(answer_of("I do not know.", assistant, ()))


def test_open_collection(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RagError, match="there is no index"), rag.open_collection(tmp_path / "none", Bag()):
        pass
    with opened(tmp_path) as index:
        ingest(folder, index, tmp_path)
    with pytest.raises(RagError, match="unknown collection 'mails'.*passages"):  # noqa: SIM117
        with rag.open_collection(tmp_path / "index", Bag(), "mails"):
            pass
    with rag.open_collection(tmp_path / "index", Bag()) as index:
        assert len(index) == 9


# --- the command line, on a folder that is not Brightwater's ---


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, place = str(data_folder() / "allotment" / "documents"), str(tmp_path / "ix")
    assert rag.main([folder, "How much is the rent of a half plot?", "--index", place]) == 0
    first = capsys.readouterr().out
    assert "0 unchanged" in first and "0 skipped" in first and "How much is the rent of a half plot?" in first
    assert rag.main([folder, "How much is the rent of a half plot?", "--index", place]) == 0
    second = capsys.readouterr().out
    assert "0 new" in second and "0 embedded" in second
    assert rag.main([str(tmp_path / "nowhere"), "Why?"]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_it_is_a_module_that_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "expert.rag", str(tmp_path / "nowhere"), "Why?"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT / "lessons", check=False)
    assert ran.returncode == 2 and ran.stderr.startswith("error: ") and "Traceback" not in ran.stderr


def test_the_allotment_folder_holds_its_answers() -> None:
    folder = data_folder() / "allotment" / "documents"
    files, other = rag.list_files(folder)
    texts = {file: " ".join(p.text for p in rag.read_file(folder, file)) for file in files}
    lines = (data_folder() / "allotment" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line) for line in lines]
    assert len(files) == 20 and not other and len(questions) == 20
    assert {Path(file).suffix for file in files} >= {".md", ".csv", ".jsonl", ".pdf", ".txt"}
    for one in questions:
        if one["file"]:
            assert one["answer"].lower() in " ".join(texts[one["file"]].lower().split()), one
    company = " ".join(p.text for p in corpus.passages())
    assert not [name for name in ("Larkhill",) if name in company]


def test_the_stored_table_is_whole() -> None:
    path = data_folder() / "measurements" / "rag.csv"
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = {row["kind"] for row in rows}
    for split, number in (("test", 8), ("tune", 6)):
        ways = {row["way"] for row in rows if row["split"] == split}
        assert sum(row["split"] == split for row in rows) == len(ways) * len(kinds) == 6 * number
