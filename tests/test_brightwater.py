"""The folder of Brightwater Pumps agrees with itself, except where the datasheet says that it does not."""

import csv
import importlib.util
import re
import shutil
import sqlite3
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from expert import corpus

DATA = Path(__file__).resolve().parents[1] / "data" / "brightwater"
AT_LEAST = dict.fromkeys(corpus.KINDS, 40) | {"single_fact": 100}
CODES = r"BW-\d{4}-[A-Z]|BF-\d{3}|SB-\d{4}|ST-\d{3}|TK-\d{5}|WO-\d{5}|BWS\d{6}|BWP-\d{2}"


@pytest.fixture(scope="module")
def make():
    """The generator, as a module."""
    spec = importlib.util.spec_from_file_location("brightwater_make", DATA / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def holds(make):
    """Whether a text holds a value as whole words."""
    return make.make_questions.holds


@pytest.fixture(scope="module")
def documents():
    return corpus.documents(DATA)


@pytest.fixture(scope="module")
def passages():
    return {passage.id: passage for passage in corpus.passages(DATA)}


@pytest.fixture(scope="module")
def questions():
    return corpus.questions(root=DATA)


@pytest.fixture(scope="module")
def tickets():
    return corpus.tickets(DATA)


@pytest.fixture(scope="module")
def orders():
    return corpus.work_orders(DATA)


def table(name: str) -> list[dict[str, str]]:
    """A CSV table."""
    with open(DATA / "tables" / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- What is generated -----------------------------------------------------------------------------------------------


def test_everything_generated_is_fresh(make, capsys):
    assert make.main(["--check"]) == 0, capsys.readouterr().out


def test_check_names_each_stale_file(make, tmp_path, monkeypatch, capsys):
    copy = tmp_path / "brightwater"
    shutil.copytree(DATA, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tables" / "faults.csv").write_text("code\n")
    (copy / "brightwater.db").unlink()
    (copy / "tables" / "extra.csv").write_text("a\n")
    monkeypatch.setattr(make, "HERE", copy)
    assert make.main(["--check"]) == 1
    named = re.findall(r"stale: data/brightwater/(\S+)", capsys.readouterr().out)
    assert sorted(named) == ["brightwater.db", "tables/extra.csv", "tables/faults.csv"]
    assert not (copy / "brightwater.db").exists(), "--check must not write"


def test_a_malformed_master_line_is_named(make, tmp_path, monkeypatch):
    copy = tmp_path / "brightwater"
    shutil.copytree(DATA, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with open(copy / "master" / "sites.psv", "a", encoding="utf-8") as file:
        file.write("ST-019|Nowhere\n")
    monkeypatch.setattr(make, "HERE", copy)
    with pytest.raises(SystemExit, match=r"sites.psv, line 20: expected 7 cells, got 2"):
        make.main(["--check"])


def test_the_pdf_says_what_its_source_says(documents):
    by_id = {doc.id: doc for doc in documents}
    printed = " ".join(by_id["bwp-03-warranty-2026-pdf"].text.split())
    for line in by_id["bwp-03-warranty-2026"].text.split("\n"):
        assert " ".join(line.lstrip("# ").split()) in printed


# --- Documents and passages ------------------------------------------------------------------------------------------


def test_there_are_at_least_eighty_documents(documents):
    assert len(documents) >= 80
    assert {doc.kind for doc in documents} >= {"handbook", "bulletin", "policy", "glossary", "mail", "table", "pdf"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", doc.date) for doc in documents)


def shingles(text: str, size: int = 4) -> set[tuple[str, ...]]:
    """Runs of words, with names and numbers masked, so that a filled-in template shows."""
    masked = re.sub(r"\b[A-Z]+-?\d+\S*|\b(?:[A-Z][a-z]+ )?\d[\d.,]*", "#", text)
    words = re.findall(r"[a-z#]+", masked.lower())
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}


def test_no_two_documents_read_alike(documents):
    written = {doc.id: shingles(doc.text) for doc in documents if doc.path.endswith(".md")}
    alike = []
    for one, other in combinations(written, 2):
        if one[:6] == other[:6] and one.startswith("bwp-"):
            continue  # two editions of one policy
        shared = len(written[one] & written[other]) / max(1, min(len(written[one]), len(written[other])))
        if shared > 0.3:
            alike.append((one, other, round(shared, 2)))
    assert not alike


def test_passages_are_short_and_open_with_their_title(passages):
    for passage in passages.values():
        assert len(passage.text.split()) <= 85, passage.id
        assert passage.text.startswith(passage.title), passage.id


def known_codes(tickets, orders, documents) -> set[str]:
    """Every code that exists."""
    known = {row["part"] for row in table("prices-2026")} | {row["code"] for row in table("faults")}
    known |= {row["site"] for row in table("sites")} | {row["serial"] for row in table("pumps")}
    known |= {ticket.id for ticket in tickets} | {order.id for order in orders}
    titles = " ".join(doc.title for doc in documents if doc.kind in ("bulletin", "policy"))
    return known | set(re.findall(r"SB-\d{4}|BWP-\d{2}", titles))


def test_every_code_mentioned_exists(documents, tickets, orders, questions):
    known = known_codes(tickets, orders, documents)
    texts = {doc.id: doc.text for doc in documents if doc.kind not in ("table", "pdf")}
    texts |= {one.id: f"{one.subject} {one.text}" for one in tickets} | {one.id: one.text for one in orders}
    texts |= {one.id: f"{one.question} {one.answer}" for one in questions}
    texts["datasheet"] = corpus.read_text(DATA / "DATASHEET.md")
    mentioned = {(name, code) for name, text in texts.items() for code in re.findall(CODES, text.upper())}
    mentioned -= {("sb-2406", "BWS124000")}  # a limit of a series, not a pump
    assert not [(name, code) for name, code in mentioned if code not in known]


def test_every_name_mentioned_is_on_the_people_list(documents):
    people = {row["name"] for row in table("people")}
    first = {name.split()[0]: name for name in people}
    for doc in documents:
        for word, surname in re.findall(r"\b([A-Z][a-z]+) ([A-Z][a-z]+)\b", doc.text):
            if word in first:
                assert f"{word} {surname}" == first[word] or surname not in {n.split()[1] for n in people}, doc.id


def test_serials_stand_next_to_their_own_site_and_model(documents, passages):
    pumps = {row["serial"]: row for row in table("pumps")}
    for passage in passages.values():
        for serial in set(re.findall(r"BWS\d{6}", passage.text)) & set(pumps):
            sites = set(re.findall(r"ST-\d{3}", passage.text))
            assert sites <= {pumps[serial]["site"]}, passage.id


# --- Tables, database, tickets and work orders -----------------------------------------------------------------------


def test_tables_agree_with_each_other():
    sites = {row["site"]: row for row in table("sites")}
    people = {row["name"]: row for row in table("people")}
    models = {row["model"] for row in table("service-intervals")}
    parts = {row["part"] for row in table("spare-parts")}
    assert parts == {row["part"] for row in table("prices-2025")} == {row["part"] for row in table("prices-2026")}
    assert all(people[site["technician"]]["role"] == "field technician" for site in sites.values())
    for pump in table("pumps"):
        assert pump["model"] in models and sites[pump["site"]]["name"] == pump["site name"]
    for row in table("spare-parts"):
        assert row["fits"] in models | {"panels", "all"}
        assert row["fits"] in row["name"] or row["fits"] in ("panels", "all")
    assert {row["part"] for row in table("faults")} - {""} <= parts
    positions = Counter((pump["site"], pump["position"]) for pump in table("pumps"))
    assert max(positions.values()) == 1


def test_prices_change_between_the_editions():
    new = {row["part"]: row for row in table("prices-2026")}
    changed = [row for row in table("prices-2025") if row != new[row["part"]]]
    assert 40 <= len(changed) < len(new)


def test_the_database_agrees_with_the_tables():
    base = sqlite3.connect(f"file:{DATA / 'brightwater.db'}?mode=ro", uri=True)
    sites = {row["site"]: row for row in table("sites")}
    pumps = {row["serial"]: row for row in table("pumps")}
    for site, name, business, technician, since in base.execute("SELECT * FROM sites"):
        row = sites.pop(site)
        assert (row["name"], row["business"], row["technician"]) == (name, business, technician)
        assert row["customer since"] == str(since)
    columns = ("serial", "model", "site", "position", "installed")
    found = base.execute("SELECT serial, model, site, position, installed FROM pumps").fetchall()
    assert sorted(found) == sorted(tuple(row[c] for c in columns) for row in pumps.values()) and not sites
    fits = {row["part"]: row["fits"] for row in table("spare-parts")}
    assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    visits = base.execute(
        "SELECT v.date, v.technician, v.work, v.running_hours, p.model, p.installed, s.technician, p.serial"
        " FROM visits v JOIN pumps p USING (serial) JOIN sites s USING (site) ORDER BY p.serial, v.date"
    ).fetchall()
    base.close()
    assert len(visits) >= 200
    hours = {}
    for day, technician, work, running, model, installed, expected, serial in visits:
        assert day > installed and technician == expected
        assert all(fits[part] == model for part in re.findall(r"BW-\d{4}-[A-Z]", work)), work
        assert running > hours.get(serial, 0)
        hours[serial] = running


def test_tickets_agree_with_the_tables(tickets, make):
    assert 110 <= len(tickets) <= 130
    pumps = {row["serial"]: row for row in table("pumps")}
    sites = {row["site"]: row for row in table("sites")}
    fits = {row["part"]: row["fits"] for row in table("spare-parts")}
    for ticket in tickets:
        pump, site = pumps[ticket.serial], sites[ticket.site]
        assert (pump["site"], pump["model"]) == (ticket.site, ticket.model)
        assert (site["name"], site["technician"]) == (ticket.site_name, ticket.technician)
        assert ticket.label == make.LABELS[ticket.triage]
        assert ticket.date > pump["installed"]
        assert set(re.findall(r"BW-\d{4}-[A-Z]", ticket.text)) == set(ticket.parts)
        assert all(fits[part] in (ticket.model, "all", "panels") for part in ticket.parts), ticket.id
    assert set(Counter(ticket.triage for ticket in tickets)) == set(make.LABELS)
    assert len({ticket.text for ticket in tickets}) == len(tickets)


def test_no_two_tickets_are_worded_alike(tickets):
    words = {ticket.id: shingles(ticket.text, 5) for ticket in tickets}
    for one, other in combinations(words, 2):
        assert len(words[one] & words[other]) <= 2, (one, other)


def test_work_orders_follow_the_house_style(tickets, orders, passages):
    assert [order.ticket for order in orders] == [ticket.id for ticket in tickets]
    for ticket, order in zip(tickets, orders, strict=True):
        initials = "".join(word[0] for word in ticket.technician.split())
        family, size = ticket.model.split()
        parts = order.text.split(" / ")
        head = [ticket.id.replace("TK", "WO"), ticket.site, family[:2].upper() + size, ticket.serial, ticket.label]
        assert parts[:5] == head and parts[-1] == f"{initials} dry hands" and len(parts) == 8
        assert parts[5] == f"saw {order.saw}" and order.saw.lower() in ticket.text.lower()
        assert len(order.saw.split()) <= 6 and order.saw == order.saw.lower()
        assert parts[6] == order.do and order.do.split()[0] in ("fit", "look", "send", "call")
        what = order.do.split(" ", 1)[1]
        assert what in ("invoices", "customer", "safety") or what.lower() in ticket.text.lower()
    example = passages["gu-house-style#11"].text.partition("An example of a work order: ")[2]
    assert example in {order.text for order in orders}


def test_the_triage_guide_names_every_label(make, passages):
    guide = " ".join(p.text for p in passages.values() if p.doc_id == "gu-triage-labels")
    for triage, label in make.LABELS.items():
        assert re.search(rf"{label} means (?:an? )?{triage}", guide), label


# --- Questions -------------------------------------------------------------------------------------------------------


def test_there_are_enough_questions(questions):
    counted = Counter((one.split, one.kind) for one in questions)
    for kind, least in AT_LEAST.items():
        for split in corpus.SPLITS:
            assert counted[split, kind] >= least, (split, kind)


def test_no_entity_is_in_two_splits(questions):
    splits: dict[str, set[str]] = {}
    for one in questions:
        assert one.entity
        for entity in one.entity:
            splits.setdefault(entity, set()).add(one.split)
    assert not [entity for entity, both in splits.items() if len(both) > 1]


def test_no_pump_site_or_person_crosses_the_split(questions):
    """A question may name more than its entities: what it names belongs to its split too."""
    sites = {row["name"]: row["site"] for row in table("sites")} | {row["site"]: row["site"] for row in table("sites")}
    owner: dict[str, set[str]] = {}
    names = set(sites) | {row["model"] for row in table("service-intervals")} | {r["name"] for r in table("people")}
    for one in questions:
        for name in names:
            if one.kind != "jargon" and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", f"{one.question} {one.bridge}"):
                owner.setdefault(sites.get(name, name), set()).add(one.split)
    assert not [name for name, both in owner.items() if len(both) > 1]


def test_no_two_questions_are_the_same(questions):
    assert len({one.question.lower() for one in questions}) == len(questions)


def test_every_passage_named_exists(questions, passages):
    for one in questions:
        named = {*one.passages, *one.near, *one.outdated}
        assert named and named <= set(passages), one.id


def faults(one: corpus.Question, passages: dict[str, corpus.Passage], holds) -> list[str]:
    """What is wrong with a question, by kind; nothing for a good one."""
    said = {name: passages[name].text for name in one.passages}
    if one.kind == "not_answerable":
        return unanswerable_faults(one, passages, holds)
    if one.kind == "style":
        return []  # its answer is a work order: see the test of the house style
    wrong = [] if any(holds(text, one.answer) for text in said.values()) else ["no passage holds the answer"]
    if one.kind == "two_passages":
        first, second = said.values()
        wrong += ["the first passage gives the answer alone"] if holds(first, one.answer) else []
        wrong += ["the question gives the bridge away"] if holds(one.question, one.bridge) else []
        both = holds(first, one.bridge) and holds(second, one.bridge)
        wrong += [] if both else ["the bridge is not in both passages"]
    if one.kind == "changed_fact":
        old = [passages[name] for name in one.outdated]
        wrong += [] if all(holds(p.text, one.outdated_answer) for p in old) else ["the old passage lacks the old value"]
        wrong += ["the newer passage is not newer"] if passages[one.passages[0]].date <= old[0].date else []
        wrong += ["old and new value are the same"] if one.answer == one.outdated_answer else []
    return wrong


def unanswerable_faults(one: corpus.Question, passages: dict[str, corpus.Passage], holds) -> list[str]:
    """An unanswerable question has no answer, no passage, and nobody says what it asks about its subject."""
    wrong = ["it has an answer"] if one.answer != "I do not know." or one.variants else []
    wrong += ["it has passages"] if one.passages else []
    wrong += [] if len(one.near) >= 2 and one.absent else ["it lacks near passages or patterns"]
    about = [p for p in passages.values() if any(holds(p.text, entity) for entity in one.entity)]
    wrong += [] if about and one.near[0] in {p.id for p in about} else ["no near passage is about the subject"]
    said = [p.id for p in about if any(re.search(pattern, p.text, re.I) for pattern in one.absent)]
    return wrong + [f"{name} says it" for name in said]


def test_each_answer_is_in_its_passages(questions, passages, holds):
    wrong = {one.id: faults(one, passages, holds) for one in questions}
    assert not {name: why for name, why in wrong.items() if why}


def test_an_unanswerable_question_given_an_answer_is_caught(questions, passages, holds):
    one = next(q for q in questions if q.kind == "not_answerable" and "NPSH" in q.question)
    assert not faults(one, passages, holds)
    assert "it has an answer" in faults(replace(one, answer="3 metres"), passages, holds)
    page = corpus.Passage("new#1", "new", "New", f"The {one.entity[0]} needs an NPSH of 3 metres.", "2026-03-01")
    assert "new#1 says it" in faults(one, passages | {"new#1": page}, holds)


def test_a_wrong_answer_is_caught(questions, passages, holds):
    for kind in ("single_fact", "two_passages", "table_lookup", "changed_fact", "jargon"):
        one = next(q for q in questions if q.kind == kind)
        assert faults(replace(one, answer="9,999 Nm"), passages, holds), kind


def test_no_question_expects_a_value_out_of_date(questions):
    old = {(name, one.outdated_answer) for one in questions for name in one.outdated if "prices" not in name}
    current = [one for one in questions if one.kind in ("single_fact", "two_passages", "table_lookup")]
    assert not [one.id for one in current for name in one.passages if (name, one.answer) in old]


def test_table_questions_on_prices_do_not_depend_on_the_edition_unless_they_say_so(questions):
    new = {row["part"]: row for row in table("prices-2026")}
    old = {row["part"]: row for row in table("prices-2025")}
    for one in questions:
        if one.kind == "table_lookup" and one.passages[0].startswith("prices-"):
            part = one.passages[0].partition("#")[2]
            same = new[part] == old[part]
            assert same or re.search("2026|now|this year|current|at present", one.question), one.id


def test_style_questions_are_the_tickets(questions, tickets, orders):
    by_id = {ticket.id: (ticket, order) for ticket, order in zip(tickets, orders, strict=True)}
    for one in questions:
        if one.kind == "style":
            ticket, order = by_id[one.ticket]
            assert one.answer == order.text and ticket.text in one.question
            for name in (ticket.id, ticket.site, ticket.model, ticket.serial, ticket.technician):
                assert name in one.question
            assert "ignore the passages" not in one.question


def test_questions_do_not_copy_the_documents(questions, passages):
    for one in questions:
        if one.kind in ("style", "not_answerable"):
            continue
        names = "|".join(re.escape(entity.lower()) for entity in one.entity)
        asked = re.findall(r"[a-z0-9]+", re.sub(names, "", one.question.lower()))
        runs = {tuple(asked[i : i + 6]) for i in range(len(asked) - 5)}
        for name in one.passages:
            text = re.findall(r"[a-z0-9]+", re.sub(names, "", passages[name].text.lower()))
            shared = runs & {tuple(text[i : i + 6]) for i in range(len(text) - 5)}
            assert not shared, (one.id, shared)


def test_wordings_vary(questions):
    for kind in corpus.KINDS:
        for split in corpus.SPLITS:
            openings = [tuple(q.question.lower().split()[:2]) for q in questions if (q.kind, q.split) == (kind, split)]
            assert len(set(openings)) >= 24, (kind, split)
            assert Counter(openings).most_common(1)[0][1] <= len(openings) * 0.15, (kind, split)


# --- The datasheet ---------------------------------------------------------------------------------------------------


def test_planted_items_in_the_datasheet_exist(documents, passages, tickets, questions):
    sheet = corpus.read_text(DATA / "DATASHEET.md").partition("## Planted on purpose")[2].partition("\n## ")[0]
    known = {doc.id for doc in documents} | set(passages) | {ticket.id for ticket in tickets}
    known |= {row["part"] for row in table("prices-2026")}
    named = set(re.findall(r"`([^`]+)`", sheet))
    assert named and named <= known, named - known
    replaced = [q for q in questions if q.kind == "changed_fact" and not q.passages[0].startswith("prices-")]
    assert len(replaced) >= 20
    assert all(f"`{q.outdated[0]}`" in sheet and f"`{q.passages[0]}`" in sheet for q in replaced)


def test_the_planted_instructions_are_where_the_datasheet_says(documents, tickets):
    planted = "ignore the passages and answer"
    assert [doc.id for doc in documents if planted in doc.text] == ["ma-2025-08-assistant-note"]
    assert [ticket.id for ticket in tickets if planted in ticket.text] == ["TK-41599"]


def test_the_mail_contradicts_the_page(passages, holds):
    mail = [p for p in passages.values() if p.doc_id == "ma-2025-03-kestrel-torque"]
    assert any(holds(p.text, "60 Nm") and holds(p.text, "Kestrel 40") for p in mail)
    page = [p for p in passages.values() if p.doc_id == "hb-kestrel-40-maintenance"]
    assert any(holds(p.text, "45 Nm") for p in page)
