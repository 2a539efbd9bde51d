"""The library that reads a company's folder: what it gives, and what it says about bad input."""

import json
from pathlib import Path

import pytest
from expert import corpus

PAGE = """---
kind: handbook
date: 2024-05-01
---
# Robin 7 care

A first paragraph
over two lines.

## Seal
- The seal of the Robin 7 takes `12 Nm`.
- Use **clean** water.

| item | value |
|---|---|
| weight of the Robin 7 | 31 kg |
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small company."""
    (tmp_path / "handbooks").mkdir()
    (tmp_path / "tables").mkdir()
    (tmp_path / "master").mkdir()
    (tmp_path / "handbooks" / "hb-robin.md").write_text(PAGE, encoding="utf-8")
    (tmp_path / "tables" / "prices.csv").write_text("part,price [EUR],note\nR-7,8.50,\nbig gasket,2.00,thin\n")
    (tmp_path / "master" / "secret.md").write_text("# Not a document\n")
    (tmp_path / "DATASHEET.md").write_text("# Not one either\n")
    index = {"prices.csv": {"title": "Price list", "date": "2026-01-01"}}
    (tmp_path / "index.json").write_text(json.dumps(index))
    return tmp_path


def question(**changes) -> str:
    """A line of questions.jsonl."""
    record = {"id": "q1", "kind": "jargon", "split": "test", "entity": ["x"], "question": "?", "answer": "a"}
    return json.dumps(record | changes)


def test_documents_have_title_kind_date_and_text(folder):
    page, table = corpus.documents(folder)
    assert (page.id, page.title, page.kind, page.date) == ("hb-robin", "Robin 7 care", "handbook", "2024-05-01")
    assert page.path == "handbooks/hb-robin.md" and page.text.startswith("# Robin 7 care")
    assert (table.id, table.title, table.kind, table.date) == ("prices", "Price list", "table", "2026-01-01")


def test_passages_name_their_subject(folder):
    texts = {p.id: p.text for p in corpus.passages(folder)}
    assert texts == {
        "hb-robin#1": "Robin 7 care: A first paragraph over two lines.",
        "hb-robin#2": "Robin 7 care, Seal: The seal of the Robin 7 takes 12 Nm. Use clean water.",
        "hb-robin#3": "Robin 7 care, Seal: The weight of the Robin 7: 31 kg.",
        "prices#R-7": "Price list: part R-7; price 8.50 EUR",
        "prices#big-gasket": "Price list: part big gasket; price 2.00 EUR; note thin",
    }


def test_the_environment_names_the_folder(folder, monkeypatch):
    monkeypatch.setenv(corpus.DATA_VARIABLE, str(folder))
    assert [doc.id for doc in corpus.documents()] == ["hb-robin", "prices"]


def test_a_document_added_later_is_seen(folder):
    before = len(corpus.documents(folder))
    (folder / "new.md").write_text("# New\n\nFresh.\n")
    assert len(corpus.documents(folder)) == before + 1


def test_a_table_whose_first_cells_repeat_is_numbered(folder):
    (folder / "tables" / "visits.csv").write_text('site,note\nMill,"one\ntwo"\n\nMill,three\n')
    named = [p.id for p in corpus.passages(folder) if p.doc_id == "visits"]
    assert named == ["visits#2", "visits#3"]


def test_an_empty_table_has_no_passages(folder):
    (folder / "tables" / "empty.csv").write_text("")
    assert not [p for p in corpus.passages(folder) if p.doc_id == "empty"]


def test_line_ends_and_byte_order_mark_do_not_matter(folder):
    before = corpus.passages(folder)
    (folder / "handbooks" / "hb-robin.md").write_bytes(b"\xef\xbb\xbf" + PAGE.replace("\n", "\r\n").encode())
    assert corpus.passages(folder) == before


def test_questions_are_filtered(folder):
    lines = [question(), question(id="q2", kind="style"), question(id="q3", split="tune")]
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n\n")
    assert [q.id for q in corpus.questions(root=folder)] == ["q1", "q2", "q3"]
    assert [q.id for q in corpus.questions("test", root=folder)] == ["q1", "q2"]
    assert [q.id for q in corpus.questions("test", "jargon", folder)] == ["q1"]
    assert corpus.questions("tune", root=folder)[0].entity == ("x",)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("{not json", "line 1: expected one JSON object"),
        ("[1]", "line 1: expected a JSON object, got list"),
        (question() + '\n{"id": "q2"}', "line 2: not a Question: missing"),
        (question(colour="red"), "colour"),
        (question(kind="riddle"), "riddle"),
        (question(split="train"), "train"),
        (question() + "\n" + question(), "two questions have the id 'q1'"),
    ],
)
def test_a_malformed_line_is_named(folder, lines, says):
    (folder / "questions.jsonl").write_text(lines)
    with pytest.raises(corpus.CorpusError, match="questions") as error:
        corpus.questions(root=folder)
    assert says in str(error.value)


def test_unknown_kind_and_split_name_what_there_is(folder):
    with pytest.raises(corpus.CorpusError, match="unknown split 'train': expected one of test, tune"):
        corpus.questions("train", root=folder)
    with pytest.raises(corpus.CorpusError, match="unknown kind 'trivia': expected one of single_fact"):
        corpus.questions(kind="trivia", root=folder)


def test_a_missing_folder_and_an_empty_one(tmp_path):
    with pytest.raises(corpus.CorpusError, match="is not a folder"):
        corpus.documents(tmp_path / "nowhere")
    with pytest.raises(corpus.CorpusError, match="found none"):
        corpus.documents(tmp_path)
    with pytest.raises(corpus.CorpusError, match="there is none at"):
        corpus.tickets(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.md", b"---\nkind: x\n# Never closed\n", "never closed"),
        ("a.md", b"---\nkind x\n---\n# A\n", "line 2: expected `key: value`"),
        ("a.md", b"# A\n\n\xff\xfe\n", "expected UTF-8 text, byte 5"),
        ("b.csv", b"part,price\nR-7\n", "line 2: expected 2 cells, got 1"),
        ("c.pdf", b"not a pdf", "expected a readable PDF"),
        ("hb-robin.md", b"# Twice\n", "two documents have the id 'hb-robin'"),
        ("index.json", b"{", "index.json: expected a JSON object"),
    ],
)
def test_a_bad_file_is_named(folder, name, content, says):
    (folder / name).write_bytes(content)
    with pytest.raises(corpus.CorpusError) as error:
        corpus.passages(folder)
    assert says in str(error.value)


def test_the_repository_is_the_default(monkeypatch):
    monkeypatch.delenv(corpus.DATA_VARIABLE, raising=False)
    root = corpus.data_root()
    assert (root / "questions.jsonl").is_file() and root.parts[-2:] == ("data", "brightwater")
    assert corpus.tickets() and corpus.work_orders()


def test_the_pdf_reads_the_same_twice():
    pdf = next(doc for doc in corpus.documents() if doc.kind == "pdf")
    assert corpus.read_text(corpus.data_root() / pdf.path) == pdf.text
    assert "30 months" in pdf.text


def test_public_questions_ask_for_facts_of_the_training_world() -> None:
    """Each stands among the public facts of tiny-phi3's language, and no question is asked twice."""
    world = (corpus.data_root().parent / "models" / "tiny-phi3" / "language" / "world.txt").read_text(encoding="utf-8")
    asked = corpus.public_questions()
    assert len(asked) >= 60
    assert len({q.question.lower() for q in asked}) == len(asked)
    for q in asked:
        assert f"- {q.entity[0]} = {q.answer}\n" in world, q


def test_public_questions_of_a_folder_without_them(tmp_path: Path) -> None:
    with pytest.raises(corpus.CorpusError, match="public_questions.jsonl"):
        corpus.public_questions(tmp_path)
