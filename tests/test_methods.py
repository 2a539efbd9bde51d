"""expert.methods, the ways that lesson 09 compares, and the two scripts that measure them."""

from __future__ import annotations

import ast
import csv
import importlib.util
import io
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import psutil
import pytest
from expert import corpus, evaluate, methods, models, rag, retrieval, style, tuning

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "tests" / "benchmarks"
SEEDS = range(3)  # as many as the scripts measure
TUNE = {q.question: q for q in corpus.questions("tune")}
TEXTS = {p.id: p.text for p in corpus.passages()}


def pair(row: tuning.Row) -> tuple[str, str]:
    """Prompt and answer of a training row."""
    asks, says = row["messages"]
    assert (asks["role"], says["role"]) == ("user", "assistant")
    return asks["content"], says["content"]


def accepted(question: corpus.Question) -> list[str]:
    return [question.answer, *question.variants]


def load_script(name: str, patch: pytest.MonkeyPatch) -> ModuleType:
    """A script of tests/benchmarks; it finds what lies beside it, as when it is run."""
    patch.syspath_prepend(BENCHMARKS)
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, name, module)  # dataclasses look their module up, and one script imports the other
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tests/benchmarks/method_table.py; it cannot write where the course keeps its measurements."""
    module = load_script("method_table", monkeypatch)
    monkeypatch.setattr(module, "TABLE", Path("nowhere", "methods.csv"))
    return module


@pytest.fixture
def change(compare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tests/benchmarks/price_change.py, the same way."""
    module = load_script("price_change", monkeypatch)
    monkeypatch.setattr(module, "TABLE", Path("nowhere", "price_change.csv"))
    return module


@pytest.fixture(scope="module")
def tickets() -> list[style.OrderRow]:
    return style.rows("test")


@pytest.fixture(scope="module")
def usual() -> str:
    """The label that past orders have most often."""
    return Counter(style.split_order(one.order)["label"] for one in style.rows("tune")).most_common(1)[0][0]


# --- an order without a model ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lesson_06(tickets: list[style.OrderRow], usual: str) -> list[str]:
    """The orders of ``by_code`` as lesson 06 has it: its own source, on the same tickets."""
    tree = ast.parse((ROOT / "solutions" / "06_should_you_fine_tune.py").read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in ("message", "by_code")]
    asked = {one.ticket: one.prompt for one in tickets}
    scope = {"asked": asked, "style": style, "re": re, "DAYS": style.DAYS, "usual": usual}
    exec(compile(ast.Module(found, []), "lesson 06", "exec"), scope)
    return [scope["by_code"](SimpleNamespace(id=one.ticket)) for one in tickets]


def test_the_order_by_code_is_that_of_lesson_06(
    tickets: list[style.OrderRow], usual: str, lesson_06: list[str]
) -> None:
    made = [methods.order_by_code(one.prompt, usual) for one in tickets]
    assert len(made) == 60 and made == lesson_06
    share = np.mean([style.parts_right(text, one.order) for text, one in zip(made, tickets, strict=True)])
    notebook = json.loads((ROOT / "solutions" / "06_should_you_fine_tune.ipynb").read_text(encoding="utf-8"))
    printed = "".join(
        "".join(output.get("text", "")) for cell in notebook["cells"] for output in cell.get("outputs", ())
    )
    assert re.findall(r"^code +(\d+%) of parts", printed, re.M)[0] == f"{share:.0%}" == "72%"


HEAD = "TK-41003, Harrowgate Mill (ST-001), Kestrel 40, serial BWS104233, technician TH."
WHOLE = ["WO-41003", "ST-001", "KE40", "BWS104233", "MOSS", "saw it drips since friday night", "look friday"]
WHOLE += ["TH dry hands"]


@pytest.mark.parametrize(
    ("left_out", "empty"),
    [
        ("", ()),
        ("TK-41003, ", ("order",)),
        (" (ST-001)", ("site",)),
        (", Kestrel 40", ("pump",)),
        (", serial BWS104233", ("serial",)),
        (", technician TH", ("sign-off",)),
        (HEAD, style.COPIED),
    ],
)
def test_what_the_head_does_not_name_stays_empty(left_out: str, empty: Sequence[str]) -> None:
    """The message names another one of each, and none of these may be taken."""
    message = "It drips since friday night as the Heron 80 BWS117806 did at ST-009; ask technician NK about TK-40000."
    made = methods.order_by_code(f"write it up\n{HEAD.replace(left_out, '') if left_out else HEAD}\n{message}", "MOSS")
    wanted = ["" if name in empty else part for name, part in zip(style.PARTS, WHOLE, strict=True)]
    assert made.split(" / ") == wanted


def test_label_part_and_day() -> None:
    prompt = f"write it up\n{HEAD}\n"
    assert style.split_order(methods.order_by_code(prompt + "Send BW-3310-S on tuesday"))["label"] == ""
    for message, do in (
        ("Send BW-3310-S on tuesday", "send BW-3310-S"),
        ("Come on Thursday", "look thursday"),
        ("It is loud", "look monday"),
    ):
        assert style.split_order(methods.order_by_code(prompt + message))["do"] == do


# --- prompts -----------------------------------------------------------------------------------------------------


def test_four_past_questions_of_any_kind() -> None:
    past = corpus.questions("tune")
    shown = {f"Question: {q.question}\nAnswer: {q.answer}": q for q in past}
    drawn, kinds = [], Counter()
    for question in corpus.questions("test", "not_answerable"):
        prompt = methods.few_shot_fact(question, past)
        *examples, last = prompt.split("\n\n")
        assert last == f"Question: {question.question}\nAnswer:"
        assert len(set(examples)) == 4
        assert prompt == methods.few_shot_fact(question, past)
        drawn.append(tuple(examples))
        kinds.update(shown[one].kind for one in examples)
    assert len(set(drawn)) == len(drawn)  # each question has its own
    assert set(kinds) == set(corpus.KINDS) - {"style"}  # its own kind alone would give the answer away
    assert kinds["not_answerable"] < kinds.total() / 4


def test_only_the_given_past_questions_are_shown() -> None:
    question = corpus.questions("test", "jargon")[0]
    past = corpus.questions("tune", "jargon")[10:14]
    examples = methods.few_shot_fact(question, past + corpus.questions("tune", "style")).split("\n\n")[:-1]
    assert sorted(examples) == sorted(f"Question: {q.question}\nAnswer: {q.answer}" for q in past)
    assert methods.few_shot_fact(question, past, shots=1).count("Question: ") == 2


def test_four_past_tickets_and_never_the_ticket_itself(tickets: list[style.OrderRow]) -> None:
    given = tickets[:6]  # so few that the ticket itself would soon be drawn
    shown = {f"{one.prompt}\nWork order: {one.order}": one.ticket for one in given}
    drawn = []
    for ticket in given:
        prompt = methods.few_shot_order(ticket, given)
        *examples, last = prompt.split("\n\n")
        assert last == f"{ticket.prompt}\nWork order:"
        numbers = [shown[one] for one in examples]
        assert len(set(numbers)) == 4 and ticket.ticket not in numbers
        assert prompt == methods.few_shot_order(ticket, given)
        drawn.append(tuple(numbers))
    assert len(set(drawn)) == len(drawn)


def test_told_holds_both_pages_and_nothing_else() -> None:
    told = methods.told("write it up\nthe ticket")
    pages, prompt = told.split("\n\n")
    assert prompt == "write it up\nthe ticket"
    wanted = [text for name, text in TEXTS.items() if name.split("#")[0] in ("gu-house-style", "gu-triage-labels")]
    assert len(wanted) > 20
    assert pages.split("\n") == [f"[{number}] {text}" for number, text in enumerate(wanted, start=1)]


# --- rows that teach facts by heart ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def facts() -> list[tuning.Row]:
    return methods.fact_rows(0)


def company_tables() -> list[tuple[corpus.Document, list[dict[str, str]]]]:
    kept = [doc for doc in corpus.documents() if doc.kind == "table"]
    return [(doc, list(csv.DictReader(io.StringIO(doc.text)))) for doc in kept]


def with_unit(column: str, value: str) -> tuple[str, str]:
    """``price [EUR]`` and ``6.20`` as a row names them: ``price`` and ``6.20 EUR``."""
    name, _, unit = column.partition(" [")
    return name, f"{value} {unit.rstrip(']')}".strip()


def test_fact_rows_are_valid_and_drawn_by_the_seed(facts: list[tuning.Row]) -> None:
    assert tuning.validate(facts) == [] and len(facts) > 3000
    again = methods.fact_rows(0)
    assert again == facts
    other = methods.fact_rows(1)
    assert other != facts and len(other) == len(facts)


def test_fact_rows_hold_no_question_of_the_test(facts: list[tuning.Row], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {tuning.normal_form(q.question) for q in [*corpus.questions("test"), *corpus.public_questions()]}
    assert not asked & {tuning.normal_form(pair(row)[0]) for row in facts}

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the questions were read")

    for name in ("questions", "public_questions", "tickets", "work_orders"):
        monkeypatch.setattr(corpus, name, refuse)
    assert methods.fact_rows(0) == facts


def test_a_title_that_holds_a_colon_stays_whole(facts: list[tuning.Row]) -> None:
    titles = {p.title for p in corpus.passages() if ": " in p.title}
    assert len(titles) >= 3
    for title in titles:
        rows = [pair(row) for row in facts if pair(row)[0].startswith(title)]
        assert rows and not any(title.split(": ")[1] in said for _, said in rows)


def test_each_cell_of_each_table_is_learnt(facts: list[tuning.Row]) -> None:
    answers = {pair(row)[1] for row in facts}
    cells = 0
    for doc, records in company_tables():
        for record in records:
            (_, key), (second, label), *_ = record.items()
            subjects = {key, label} if "name" in second else {key}
            for column, value in list(record.items())[1:]:
                name, shown = with_unit(column, value)
                made = {f"The {name} of {subject} is {shown}." for subject in subjects - {shown}}
                assert made & answers or not value, f"{doc.id}: {column} of {key}"
                cells += bool(value)
    assert cells > 1000


def test_a_dated_list_is_asked_for_with_its_year(facts: list[tuning.Row]) -> None:
    prices = {}
    for year in ("2025", "2026"):
        for record in methods.table(f"prices-{year}"):
            for subject in (record["part"], record["name"]):
                prices[year, subject] = f"{record['price [EUR]']} EUR"
    seen = Counter()
    for row in facts:
        asked, answer = pair(row)
        found = re.fullmatch(r"The price of (.+) is (.+)\.", answer)
        if found:
            year = re.search(r" in (20\d\d)\?$", asked)
            assert year and prices[year[1], found[1]] == found[2], asked
            assert found[1] in asked
            seen[year[1]] += 1
    assert seen["2025"] > 100 and seen["2026"] > 100


def test_sentences_are_the_companys_and_are_asked_for_without_their_numbers(facts: list[tuning.Row]) -> None:
    tables = tuple(f"{doc.id}#" for doc, _ in company_tables())
    pages = {name: text for name, text in TEXTS.items() if not name.startswith(tables)}
    cut = [pair(row) for row in facts if not re.match(r"The .+ of .+ is .+\.$", pair(row)[1])]
    spaced = "\n".join(" ".join(text.split()) for text in pages.values())
    assert len(cut) > 1000
    for asked, answer in cut:
        assert answer in spaced and len(answer.split()) <= methods.LONGEST
        assert not re.search(r"\d", asked.rpartition(": ")[2]), asked
    learnt = {pair(row)[1] for row in facts}
    bare = [name for name, text in pages.items() if not any(answer in text for answer in learnt)]
    assert len(bare) < 3  # the name under a letter teaches nothing


# --- rows that teach reading with sources ------------------------------------------------------------------------

WRONG = ("Board: the choir sings outside.", "Board: somebody lost a glove.", "Board: quiz nights are fun.")
REPLIES = ("Here it is {}. [1]", "Here it is a guess. [1]", "Here it is {}. [2]", "Here it is {}.", "I do not know.")
Rows = list[tuple[str, str]]


class FakeIndex:
    """Finds for each question what the test says."""

    def __init__(self, find: Callable[[corpus.Question], Sequence[str]]) -> None:
        self.find, self.asked = find, []

    def search_all(self, questions: Sequence[str], k: int, how: str, *_: object) -> list[list[retrieval.Hit]]:
        self.asked += questions
        assert how == "sum" and k == 3
        found = [self.find(TUNE[one])[:k] for one in questions]
        return [[retrieval.Hit(str(n), text, 1.0 - n / 10) for n, text in enumerate(texts)] for texts in found]


def traps(question: corpus.Question) -> list[str]:
    """What must not be declined comes first: the outdated passage, one that holds the answer by chance, a right one."""
    chance = f"Board: somebody says {accepted(question)[-1]} and sings."
    some = [TEXTS[one] for one in question.outdated]
    some += [] if question.kind == "not_answerable" else [chance, TEXTS[question.passages[0]]]
    return [*some, *WRONG]


def nothing_right(question: corpus.Question) -> Sequence[str]:
    return WRONG


def opened(prompt: str) -> tuple[list[str], corpus.Question]:
    """The passages of a prompt and its question; the numbers before the passages are checked."""
    shown, question = prompt.rsplit("\n\n", 1)
    lines = shown.split("\n")
    for number, text in enumerate(lines, start=1):
        assert text.startswith(f"[{number}] ")
    return [text.split("] ", 1)[1] for text in lines], TUNE[question]


@pytest.fixture
def grounded(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rows]:
    """Makes the rows, with a base that answers every fifth prompt as it should."""
    base = object()

    def scored(loaded: object, prompts: Sequence[str]) -> list[tuple[str, float]]:
        assert loaded is base
        found = zip(itertools.cycle(REPLIES), [opened(prompt)[1] for prompt in prompts])  # noqa: B905
        return [(reply.format(accepted(question)[-1]), -0.1) for reply, question in found]

    monkeypatch.setattr(rag, "generate_scored", scored)

    def make(find: Callable[[corpus.Question], Sequence[str]] = traps, **options: object) -> Rows:
        index = FakeIndex(find)
        rows = methods.grounded_rows(base, index, **options)
        assert sorted(index.asked) == sorted(q.question for q in TUNE.values() if q.kind != "style")
        assert tuning.validate(rows) == []
        return [pair(row) for row in rows]

    return make


def test_only_the_tuning_split_is_read_and_all_of_it(grounded: Callable[..., Rows]) -> None:
    seen = Counter(opened(prompt)[1].id for prompt, answer in grounded() if answer != methods.DECLINES)
    per_kind = {"single_fact": 2, "two_passages": 2, "table_lookup": 1, "changed_fact": 1, "jargon": 1}
    assert seen == {q.id: per_kind[q.kind] for q in TUNE.values() if q.kind in per_kind}


def test_what_holds_the_answer_or_an_outdated_one_is_never_declined(grounded: Callable[..., Rows]) -> None:
    wrong = [text for text in WRONG for q in TUNE.values() if evaluate.exact_match(text, accepted(q))]
    assert wrong == []  # else the test itself would be wrong
    declined = Counter()
    for prompt, answer in grounded(declines=2):
        shown, question = opened(prompt)
        outdated = {TEXTS[one] for one in question.outdated}
        assert not outdated & set(shown)
        if answer == methods.DECLINES:
            (text,) = shown
            assert text in WRONG
            declined[question.kind] += 1
    assert declined["not_answerable"] == 2 * len(corpus.questions("tune", "not_answerable"))
    assert declined["single_fact"] and not declined["changed_fact"]  # its three hits all stay out


@pytest.mark.parametrize(("declines", "least", "most"), [(0, 0, 0), (0.5, 0.4, 0.6), (2, 2, 2)])
def test_how_many_are_declined(declines: float, least: float, most: float, grounded: Callable[..., Rows]) -> None:
    asked = Counter(q.kind for q in TUNE.values() if q.kind != "style")
    unanswered = asked.pop("not_answerable")
    found = Counter(
        opened(prompt)[1].kind for prompt, said in grounded(nothing_right, declines=declines) if "do not know" in said
    )
    assert found.pop("not_answerable") == 2 * unanswered
    assert least <= found.total() / asked.total() <= most


def test_the_bases_own_sentence_stays_where_it_is_right(grounded: Callable[..., Rows]) -> None:
    single = [q for q in corpus.questions("tune") if len(q.passages) == 1]
    wanted = {
        q.id: REPLIES[0].format(accepted(q)[-1]) if n % len(REPLIES) == 0 else f"It is {q.answer}. [1]"
        for n, q in enumerate(single)
    }
    found = {}
    for prompt, answer in grounded():
        shown, question = opened(prompt)
        if len(question.passages) == 1 and answer != methods.DECLINES:
            assert shown == [TEXTS[question.passages[0]]]
            found[question.id] = answer
    assert found == wanted and len({answer.split()[0] for answer in found.values()}) == 2


def test_joined_rows_cite_the_passage_that_holds_the_answer(grounded: Callable[..., Rows]) -> None:
    numbers = Counter()
    for prompt, answer in grounded():
        shown, question = opened(prompt)
        if question.kind == "two_passages" and answer != methods.DECLINES:
            needed = [TEXTS[one] for one in question.passages]
            assert set(needed) < set(shown) and len(shown) <= len(needed) + 2
            (number,) = rag.cited(answer)
            assert answer == f"It is {question.answer}. [{number}]"
            assert shown[number - 1] in needed and evaluate.exact_match(shown[number - 1], accepted(question))
            numbers[number] += 1
    assert set(numbers) == {1, 2, 3, 4}  # any place


def test_the_same_seed_gives_the_same_rows(grounded: Callable[..., Rows]) -> None:
    assert grounded(seed=1) == grounded(seed=1) != grounded(seed=2)
    assert grounded() == grounded(seed=0, declines=0.5)


def test_prompts_are_those_of_the_assistant(grounded: Callable[..., Rows], monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one, with the tokens of its real model: of what it finds nothing is cut off."""
    rows = grounded(declines=1)
    read = [opened(prompt) for prompt, _ in rows]
    hits = [[retrieval.Hit(str(n), text, 1.0) for n, text in enumerate(shown)] for shown, _ in read]
    monkeypatch.setattr(rag, "generate_scored", lambda _, prompts: [(methods.DECLINES, 0.0)] * len(prompts))
    assistant = rag.Assistant(SimpleNamespace(search_all=lambda *_: hits), models.load("tiny"))
    told = assistant.ask_all([question.question for _, question in read])
    assert [one.prompt for one in told] == [prompt for prompt, _ in rows]


# --- a list learnt by heart --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prices() -> dict[str, str]:
    return {row["part"]: row["price [EUR]"] for row in methods.table("prices-2026")}


@pytest.mark.parametrize("count", [1, 10, 118])
def test_new_prices(count: int, prices: dict[str, str]) -> None:
    for seed in SEEDS:
        new = methods.new_prices(prices, count, seed)
        assert len(new) == count and set(new) <= set(prices)
        for part, price in new.items():
            old = float(prices[part])
            assert re.fullmatch(r"\d+\.[05]0", price)
            # half a step beyond: a price is rounded to half a euro after it was drawn
            assert 0.7 * old - 0.25 <= float(price) <= 1.4 * old + 0.25 and float(price) != old
        assert new == methods.new_prices(prices, count, seed) != methods.new_prices(prices, count, seed + 1)
    assert len(prices) == 118


def test_new_prices_are_never_the_old_ones() -> None:
    """At 2 EUR a draw gives 2.00 again every few times."""
    low = {f"part {n}": "2.00" for n in range(200)}
    assert set(methods.new_prices(low, 200).values()) == {"1.50", "2.50", "3.00"}
    lowest = {f"part {n}": "0.50" for n in range(50)}  # every draw gives 0.50
    assert set(methods.new_prices(lowest, 50).values()) == {"1.00"}


@pytest.mark.parametrize(
    ("rows", "question", "answer"),
    [
        (methods.price_rows({"BW-1": "6.20", "BW-2": "8.00"}), methods.PRICE_TEST.format(part="BW-1"), "6.20 EUR"),
        (
            methods.code_rows({"BW-1": "dry running", "BW-2": "too hot"}),
            methods.CODE_TEST.format(code="BW-1"),
            "dry running",
        ),
    ],
)
def test_lists_are_tested_in_a_wording_that_is_not_learnt(rows: list[tuning.Row], question: str, answer: str) -> None:
    pairs = [pair(row) for row in rows]
    assert tuning.validate(rows) == [] and tuning.find_duplicates(rows) == []
    for part in ("BW-1", "BW-2"):
        about = [said for asked, said in pairs if part in asked]
        assert len(about) == 3 and len(set(about)) == 1
        assert evaluate.exact_match(about[0], answer) == (part == "BW-1")
    assert "BW-1" in question
    assert tuning.normal_form(question) not in {tuning.normal_form(asked) for asked, _ in pairs}


# --- a workflow --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jobs() -> list[methods.Job]:
    return methods.jobs()


def test_a_job_lacks_pump_and_technician(jobs: list[methods.Job], tickets: list[style.OrderRow]) -> None:
    assert len(jobs) == len(tickets) == 60
    for job, one in zip(jobs, tickets, strict=True):
        head = style.HEAD.search(one.prompt)
        shown = job.full_prompt.split("\n", 2)
        assert shown[0] == one.prompt.split("\n")[0] and shown[2] == job.message == one.message
        assert shown[1] == f"TK-{head['ticket']}, {head['place']} ({head['site']}), serial {head['serial']}."
        assert job.pump == job.technician == "" and job.read == 0
        assert job.order == one.order == {o.ticket: o.text for o in corpus.work_orders()}[job.ticket]


def test_with_both_put_back_it_is_the_ticket_again(jobs: list[methods.Job], tickets: list[style.OrderRow]) -> None:
    for job, one in zip(jobs, tickets, strict=True):
        head = style.HEAD.search(one.prompt)
        whole = replace(job, pump=head["model"], technician=head["technician"])
        assert whole.full_prompt == job.prompt == one.prompt
        assert head["model"] in replace(job, pump=head["model"]).full_prompt.split("\n")[1]


def test_jobs_of_another_split_and_a_ticket_without_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    past = style.rows("tune")
    assert [job.message for job in methods.jobs("tune")] == [one.message for one in past]
    bare = replace(past[1], row=tuning.row("write it up\nsomewhere\nit leaks", "WO-1"))
    monkeypatch.setattr(style, "rows", lambda split: [past[0], bare])
    with pytest.raises(corpus.CorpusError, match=f"ticket {bare.ticket} has no head"):
        methods.jobs()


def test_code_joins_pump_and_technician_from_the_tables(jobs: list[methods.Job], usual: str) -> None:
    for job in methods.look_up_by_code(jobs):
        made, wanted = (style.split_order(text) for text in (methods.order_by_code(job.full_prompt), job.order))
        assert {name: made[name] for name in style.COPIED} == {name: wanted[name] for name in style.COPIED}
        assert job.full_prompt == job.prompt
        unknown = replace(job, pump="", technician="")
        made = style.split_order(methods.order_by_code(unknown.full_prompt))
        assert [name for name in style.COPIED if made[name] != wanted[name]] == ["pump", "sign-off"]
        assert made["pump"] == made["sign-off"] == ""
    (nowhere,) = methods.look_up_by_code([replace(jobs[0], serial="BWS1", site="Nowhere (ST-999)")])
    assert nowhere.pump == nowhere.technician == ""


class FakeAssistant:
    """Says one thing of pumps and another of people, and keeps what it was asked."""

    def __init__(self, pump: Callable[[int], str], person: Callable[[int], str]) -> None:
        self.says, self.asked = [pump, person], []

    def ask_all(self, questions: Sequence[str]) -> list[SimpleNamespace]:
        say = self.says[len(self.asked)]
        self.asked.append(list(questions))
        tokens = 10 ** len(self.asked)
        return [SimpleNamespace(said=say(n), prompt_tokens=tokens + n) for n in range(len(questions))]


@pytest.mark.parametrize(
    ("pump", "person", "found"),
    [
        (
            "The pump with serial BWS104233 is a Kestrel 40. [1]",
            "Tomas Hruby looks after it. [2]",
            ("Kestrel 40", "TH"),
        ),
        ("Heron 80", "That is Niamh Keane, as before.", ("Heron 80", "NK")),
        ("It is a Kestrel. [1]", "The mill foreman does. [1]", ("", "")),
        ("It is a Zebra 40. [1]", "Tomas Hrubi looks after it. [1]", ("", "")),
        ("BWS104233, since 2019-05-14. [1]", "TH does. [1]", ("", "")),
        ("I do not know.", "I do not know.", ("", "")),
    ],
)
def test_only_pumps_and_people_are_taken_from_an_answer(
    pump: str, person: str, found: tuple[str, str], jobs: list[methods.Job]
) -> None:
    (job,) = methods.look_up(FakeAssistant(lambda _: pump, lambda _: person), jobs[:1])
    assert (job.pump, job.technician) == found


def test_each_job_gets_its_own_answers(jobs: list[methods.Job]) -> None:
    some = jobs[:4]
    names = style.people()
    assistant = FakeAssistant(lambda n: f"A Heron {80 + n}.", lambda n: f"{names[n]}.")
    looked_up = methods.look_up(assistant, some)
    pumps, places = assistant.asked
    for n, (before, job) in enumerate(zip(some, looked_up, strict=True)):
        assert job == replace(before, pump=f"Heron {80 + n}", technician=style.initials(names[n]), read=110 + 2 * n)
        assert before.serial in pumps[n]
        place = style.HEAD.search(before.prompt)["place"]
        assert place in places[n] and "ST-" not in places[n]
    assert [job.pump for job in some] == [""] * 4  # the jobs handed in stay as they are


# --- the script of the large table -------------------------------------------------------------------------------


def test_nine_marks_of_an_order(compare: ModuleType, tickets: list[style.OrderRow]) -> None:
    orders = [one.order for one in tickets]
    for order, other in itertools.pairwise(orders):
        assert compare.order_marks(order, order) == "1" * 9
        for said in (other, other.replace("saw", "seen"), order + ".", "", "WO-41003", order.lower()):
            form, *parts = compare.order_marks(said, order)
            got, wanted = style.split_order(said), style.split_order(order)
            assert form == str(int(style.in_form(said)))
            assert parts == [str(int(got[name] == wanted[name])) for name in style.PARTS]
            assert sum(map(int, parts)) / 8 == style.parts_right(said, order)


def test_each_mark_stands_for_its_part(compare: ModuleType) -> None:
    for place in range(8):
        spoilt = [*WHOLE[:place], WHOLE[place].replace("4", "5").replace("0", "9") + "X", *WHOLE[place + 1 :]]
        marks = compare.order_marks(" / ".join(spoilt), " / ".join(WHOLE))
        assert marks[1:] == "".join("0" if n == place else "1" for n in range(8))
    assert compare.order_marks("no order", " / ".join(WHOLE)) == "0" * 9


def test_what_each_method_is_asked(compare: ModuleType) -> None:
    facts = ("single_fact", "table_lookup", "changed_fact", "jargon", "two_passages", "not_answerable")
    orders = ("style", "workflow")
    assert set(facts) == set(corpus.KINDS) - {"style"}
    wanted = {
        ("code", -1): orders,
        ("zero-shot", -1): (*facts, *orders, "public"),
        ("few-shot", -1): (*facts, *orders),  # the weights of zero-shot know what zero-shot knows
        ("rag", -1): (*facts, *orders),
        ("lora style", 0): (*facts, *orders, "public"),
        ("qlora style", 0): (*facts, *orders, "public"),
        ("rag with lora", 0): (*facts, *orders, "public"),
        ("lora facts", 0): (*facts, *orders, "public", "learnt"),
        ("lora style", 1): (*orders, "public"),
        ("qlora style", 1): (*orders, "public"),
        ("rag with lora", 1): (*facts, *orders, "public"),
    }
    assert list(compare.points(2)) == list(wanted)  # whatever is drawn once before anything is drawn again
    assert {point: compare.kinds_of(*point) for point in wanted} == wanted
    assert {name for name, _ in wanted} == set(compare.METHODS)
    assert list(compare.points(3))[-3:] == [("lora style", 2), ("qlora style", 2), ("rag with lora", 2)]


def test_all_but_what_was_learnt_is_of_the_test_split(compare: ModuleType, facts: list[tuning.Row]) -> None:
    tickets = {q.ticket for q in corpus.questions("test", "style")}
    public = {q.id for q in corpus.public_questions()}
    for kind in compare.KINDS:
        found = compare.asked(kind, 0, 1)
        assert found == compare.asked(kind, 0, 1) and 40 <= len(found) <= (80 if kind == "public" else 60)
        assert compare.asked(kind, 0, 4) == found[::4]
        if kind in compare.FACT_KINDS:
            assert {(q.split, q.kind) for q in found} == {("test", kind)} and len({q.id for q in found}) == len(found)
        elif kind in ("style", "workflow"):
            assert {case.ticket for case in found} == tickets
            assert isinstance(found[0], methods.Job) == (kind == "workflow")
        elif kind == "public":
            assert {q.id for q in found} == public
        else:
            assert found[0].variants == ()
            for seed, rows in ((0, facts), (1, methods.fact_rows(1))):  # an adapter's own rows
                assert {(q.question, q.answer) for q in compare.asked(kind, seed, 1)} < {pair(row) for row in rows}


def test_how_each_method_is_asked(compare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes back are the prompts, with the number of tokens allowed and with who writes."""
    monkeypatch.setattr(compare, "_say", lambda _, prompts, most, writer=None: [(p, most, writer) for p in prompts])
    past = corpus.questions("tune")
    ready = lambda name: compare.Ready(name, "base", "writer" if "lora" in name else None)  # noqa: E731
    questions, orders, jobs = (compare.asked(kind, 0, 20) for kind in ("jargon", "style", "workflow"))
    plain = [q.question for q in questions]
    for name, prompts in (
        ("zero-shot", plain),
        ("few-shot", [methods.few_shot_fact(q, past) for q in questions]),
        ("lora style", plain),
    ):
        assert compare.answer(ready(name), "jargon", questions) == [(p, compare.FACT_TOKENS, None) for p in prompts]
        assert [p for p, *_ in compare.answer(ready(name), "public", questions)] == plain
    before = style.rows("tune")
    tickets = [one.prompt for one in orders]
    for name, prompts in (
        ("zero-shot", tickets),
        ("few-shot", [methods.few_shot_order(one, before) for one in orders]),
        ("rag", [methods.told(prompt) for prompt in tickets]),
        ("rag with lora", tickets),
    ):
        writer = "writer" if "lora" in name else None
        assert compare.answer(ready(name), "style", orders) == [(p, compare.ORDER_TOKENS, writer) for p in prompts]
    bare = [job.full_prompt for job in jobs]
    assert [p for p, *_ in compare.answer(ready("lora style"), "workflow", jobs)] == bare
    for (prompt, *_), job in zip(compare.answer(ready("few-shot"), "workflow", jobs), jobs, strict=True):
        *examples, last = prompt.split("\n\n")
        assert last == f"{job.full_prompt}\nWork order:" and len(examples) == 4
        assert all("technician" in one for one in examples)  # past tickets are whole


def test_the_workflow_looks_up_and_counts_what_it_read(compare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_say", lambda _, prompts, *__: [(prompt, 1000, 7) for prompt in prompts])
    names = style.people()
    jobs = compare.asked("workflow", 0, 20)
    for name in ("rag", "rag with lora"):
        looker = FakeAssistant(lambda n: f"A Heron {80 + n}.", lambda n: names[n])
        said = compare.answer(compare.Ready(name, "base", looker=looker, index="index"), "workflow", jobs)
        for n, (job, (prompt, read, new)) in enumerate(zip(jobs, said, strict=True)):
            whole = replace(job, pump=f"Heron {80 + n}", technician=style.initials(names[n])).full_prompt
            assert prompt == (methods.told(whole) if name == "rag" else whole)
            assert (read, new) == (1110 + 2 * n, 7)


@pytest.mark.parametrize(
    ("adapter", "base", "chosen"), [(0.9, 0.5, "adapter"), (0.5, 0.9, "base"), (0.7, 0.7, "adapter"), (0, 0, "adapter")]
)
def test_who_looks_up_is_chosen_on_past_tickets(
    adapter: float, base: float, chosen: str, compare: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reads this share of the answers rightly, the pumps more often than the people."""
    past = methods.jobs("tune")
    true, names, made = methods.look_up_by_code(past), {style.initials(name): name for name in style.people()}, {}

    def open_reader(index: str, loaded: str, **options: object) -> FakeAssistant:
        share = {"adapter": adapter, "base": base}[loaded]
        pump = lambda n: true[n].pump if n < share * len(past) else "I do not know."  # noqa: E731
        person = lambda n: names[true[n].technician] if n < share * len(past) - 9 else "I do not know."  # noqa: E731
        made[loaded] = FakeAssistant(pump, person)
        assert index == "index" and options["apart"]
        return made[loaded]

    monkeypatch.setattr(rag, "Assistant", open_reader)
    assert compare._looker(compare.Ready("rag with lora", "adapter", index="index"), "base") is made[chosen]
    serials = [job.serial for job in past]
    for reader in made.values():
        assert [re.search(r"BWS\d+", question)[0] for question in reader.asked[0]] == serials
    made.clear()
    assert compare._looker(compare.Ready("rag", "base", index="index"), "base") is made["base"] and len(made) == 1


def test_a_line_of_the_table(compare: ModuleType, tickets: list[style.OrderRow], lesson_06: list[str]) -> None:
    ready = compare.Ready("code", None, setup_seconds=1.25, kept_mib=0.5)
    each = [compare.order_marks(text, one.order) for text, one in zip(lesson_06, tickets, strict=True)]
    for kind in compare.kinds_of("code", -1):
        line = compare.line(ready, kind, -1, 1)
        assert set(line) == set(compare.FIELDS) - {"model", "machine", "versions", "date", "script"}
        assert (line["method"], line["kind"], line["seed"], line["questions"]) == ("code", kind, -1, 60)
        assert line["marks"] == "m" + "".join(each)
        assert line["right"] == round(sum(mark.count("1") - int(mark[0]) for mark in each) / 480, 4)
        assert line["form"] == round(sum(int(mark[0]) for mark in each) / 60, 4) and line["declined"] == 0
        assert (line["setup_seconds"], line["kept_mib"], line["prompt_tokens"]) == (1.2, 0.5, 0)


def test_a_line_of_answers(compare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = compare.asked("jargon", 0, 1)[:3]
    texts = [f"It is {cases[0].answer}. [1]", "I do not know.", "It is a guess."]
    monkeypatch.setattr(compare, "asked", lambda *_: cases)
    said = zip(texts, (10, 20, 60), (3, 4, 5), strict=True)
    monkeypatch.setattr(compare, "answer", lambda *_: list(said))
    line = compare.line(compare.Ready("rag", None), "jargon", -1, 1)
    assert (line["marks"], line["right"], line["declined"], line["form"]) == ("m100", 0.3333, 0.3333, "")
    assert (line["prompt_tokens"], line["new_tokens"]) == (30, 4)


# --- lines that are kept -----------------------------------------------------------------------------------------

FAKE = """
import json, sys
flag, name, seed, kinds, *more = sys.argv[1:]
with open({log!r}, "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
print("loading, no line", flush=True)
for kind in kinds.split(","):
    if kind == {fails!r}:
        sys.exit("boom: no memory")
    print(json.dumps({{"method": name, "kind": kind, "seed": int(seed), "right": 0.5}}), flush=True)
"""
KEPT = ("method", "kind", "seed", "right", "model", "script")


class Table:
    """A table, a small script that fills it, and what the script was called with."""

    def __init__(self, compare: ModuleType, folder: Path) -> None:
        self.compare, self.folder, self.path = compare, folder, folder / "data" / "table.csv"
        self.script, self.log = folder / "fake.py", folder / "log.txt"
        self.fails("none")

    def fails(self, kind: str) -> None:
        """Make the script fail at this kind; what was called before is forgotten."""
        self.script.write_text(FAKE.format(log=str(self.log), fails=kind), encoding="utf-8")
        self.log.write_text("", encoding="utf-8")

    def keep(self, *lines: str) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text("\n".join([",".join(KEPT), *lines, ""]), encoding="utf-8")

    @property
    def lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines()[1:]

    @property
    def called(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()

    def fill(self, *points: tuple[str, int]) -> None:
        wanted = lambda point: [(point[0], kind, point[1]) for kind in ("style", "jargon", "public")]  # noqa: E731
        key = lambda had: (had["method"], had["kind"], had["seed"])  # noqa: E731
        self.compare.fill_streamed(self.path, KEPT, self.script, points, wanted, key, "--few", 2)


@pytest.fixture
def table(compare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setattr("measured_lines.about", lambda script: {"model": "now", "script": script})
    return Table(compare, tmp_path)


def test_only_what_is_missing_is_measured(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    table.keep("rag,jargon,0,0.25,now,earlier.py", "rag,style,1,0.75,now,earlier.py", "rag,jargon,1,0,before,old.py")
    table.fill(("rag", 0), ("rag", 1))
    assert table.called == ["--line rag 0 style,public --few 2", "--line rag 1 jargon,public --few 2"]
    assert table.lines == [
        "rag,jargon,0,0.25,now,earlier.py",
        "rag,style,1,0.75,now,earlier.py",
        *(f"rag,{kind},0,0.5,now,fake.py" for kind in ("style", "public")),
        *(f"rag,{kind},1,0.5,now,fake.py" for kind in ("jargon", "public")),  # the old one was of other weights
    ]
    assert "rag 0 style right 50%" in capsys.readouterr().out
    before = table.path.read_bytes()
    table.fill(("rag", 0), ("rag", 1))
    assert len(table.called) == 2 and table.path.read_bytes() == before  # nothing was missing


def test_a_failure_names_the_command_and_loses_no_line(table: Table) -> None:
    table.keep("code,style,-1,0.75,now,earlier.py")
    table.fails("jargon")
    with pytest.raises(RuntimeError, match=r"fake\.py --line rag 0 style,jargon,public --few 2 failed:\nboom: no mem"):
        table.fill(("rag", 0), ("rag", 1))
    assert table.lines == ["code,style,-1,0.75,now,earlier.py", "rag,style,0,0.5,now,fake.py"]
    assert len(table.called) == 1  # the next point was not begun
    table.fails("none")
    table.fill(("rag", 0))
    assert table.called == ["--line rag 0 jargon,public --few 2"]
    assert len(table.lines) == 4 and table.lines[:2] == [
        "code,style,-1,0.75,now,earlier.py",
        "rag,style,0,0.5,now,fake.py",
    ]


def test_each_line_is_there_as_soon_as_it_is_printed(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def stream(*_: object) -> Iterator[dict[str, object]]:
        for kind in ("style", "jargon"):
            yield {"method": "rag", "kind": kind, "seed": 0, "right": 1.0}
            seen.append(len(table.lines))

    monkeypatch.setattr("measured_lines.stream", stream)
    table.fill(("rag", 0))
    assert seen == [1, 2]


def test_a_script_that_is_left_is_ended(compare: ModuleType, tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text(
        'import json, os, time\nprint(json.dumps({"id": os.getpid()}), flush=True)\ntime.sleep(300)\n', encoding="utf-8"
    )
    running = sys.modules["measured_lines"].stream(slow)
    number = next(running)["id"]
    assert psutil.pid_exists(number)
    running.close()
    assert not psutil.pid_exists(number)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["script", *map(str, arguments)])


def test_the_large_table_is_filled_once(compare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    def stream(script: Path, flag: str, name: str, seed: int, kinds: str, *few: object) -> list[dict[str, object]]:
        called.append((name, seed))
        assert (script.name, flag, few) == ("method_table.py", "--line", ("--few", 1))
        return [{"method": name, "kind": kind, "seed": seed, "right": 0.5} for kind in kinds.split(",")]

    monkeypatch.setattr("measured_lines.stream", stream)
    monkeypatch.setattr("measured_lines.about", lambda script: {"model": "now", "script": script})
    command(monkeypatch, "--table", tmp_path / "t.csv", "--only", "code", "rag")
    compare.main()
    assert called == [("code", -1), ("rag", -1)]
    command(monkeypatch, "--table", tmp_path / "t.csv")
    for _ in range(2):  # the second time nothing is missing
        compare.main()
    assert called[2:] == [point for point in compare.points(3) if point[0] not in ("code", "rag")]
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as file:
        lines = [(had["method"], had["kind"], int(had["seed"])) for had in csv.DictReader(file)]
    wanted = [(name, kind, seed) for name, seed in compare.points(3) for kind in compare.kinds_of(name, seed)]
    assert sorted(lines) == sorted(wanted) and len(set(lines)) == len(lines)


def test_one_process_prints_a_line_a_kind(
    compare: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = lambda name, seed, few: compare.Ready(name, (seed, few))  # noqa: E731
    monkeypatch.setattr(compare, "set_up", made)
    monkeypatch.setattr(
        compare, "line", lambda ready, *given: {"method": ready.name, "base": ready.loaded, "given": given}
    )
    command(monkeypatch, "--line", "code", -1, "style,workflow", "--few", 3)
    compare.main()
    found = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert found == [{"method": "code", "base": [-1, 3], "given": [kind, -1, 3]} for kind in ("style", "workflow")]


# --- the script of prices that change ----------------------------------------------------------------------------


def test_the_plan_asks_for_what_changes_first(change: ModuleType, prices: dict[str, str]) -> None:
    for seed in SEEDS:
        old, new, asked, later, changed = change.plan(seed, 1)
        assert old == prices and new == methods.new_prices(prices, 10, seed)
        assert changed == 10 and len(asked) == len(later) == 40
        assert [question for question, _ in asked] == [question for question, _ in later]
        other = [before != after for before, after in zip(asked, later, strict=True)]
        assert other == [True] * 10 + [False] * 30
        parts = [re.search(r"BW-\d{4}-[A-Z]", question)[0] for question, _ in asked]
        assert len(set(parts)) == 40 and parts[:10] == list(new)
        assert [answer for _, answer in later] == [f"{(prices | new)[part]} EUR" for part in parts]
        assert asked[0][0] == methods.PRICE_TEST.format(part=parts[0])
    short = change.plan(0, 10)
    assert short[4] == 1 and short[2] == change.plan(0, 1)[2][::10]


def test_only_these_prices_are_written(change: ModuleType, tmp_path: Path, prices: dict[str, str]) -> None:
    source = corpus.data_root() / "tables" / "prices-2026.csv"
    (tmp_path / "tables").mkdir()
    path = tmp_path / "tables" / source.name
    path.write_bytes(source.read_bytes())
    change.write_prices(tmp_path, {})
    assert path.read_bytes() == source.read_bytes()
    new = methods.new_prices(prices, 10)
    change.write_prices(tmp_path, new | {"BW-0000-X": "1.00"})  # a part that is not on the list
    before, after = (p.read_bytes().split(b"\n") for p in (source, path))
    assert len(before) == len(after)
    for old, now in zip(before, after, strict=True):
        part, rest = now.decode().partition(",")[::2]
        if part in new:
            assert now != old and f",{new[part]}," in rest
            assert now.replace(f",{new[part]},".encode(), f",{prices[part]},".encode()) == old
        else:
            assert now == old
    change.write_prices(tmp_path, prices)
    assert path.read_bytes() == source.read_bytes()


def test_marks_of_what_changed_and_what_did_not(change: ModuleType) -> None:
    asked = [("a", "6.20 EUR"), ("b", "8.00 EUR"), ("c", "9.00 EUR"), ("d", "1.50 EUR")]
    said = ["It costs 6.20 EUR. [1]", "18.00 EUR", "9.00 EUR", "1.50 EUR"]
    assert change.marked(asked, said, 8.0, 2) == {
        "questions": 4,
        "right": 0.75,
        "right_changed": 0.5,
        "right_same": 1.0,
        "marks": "m1011",
        "answer_seconds": 2.0,
    }
    assert change.marked(asked, said, 8.0, 0)["right_changed"] == ""  # nothing changes, as with the codes


@pytest.fixture
def measured(change: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Nothing is trained, searched or asked: what was to be is kept."""
    done = []

    def train(base: object, rows: list[tuning.Row], steps: int, seed: int) -> tuple[object, float]:
        done.append(("train", base, [pair(row) for row in rows], steps, seed))
        return f"adapter {len(done)}", 2.0

    def ingest(folder: Path, index: object, manifest: Path, ignore: Sequence[str]) -> SimpleNamespace:
        readable = rag.list_files(folder, ignore)[0]
        rows = csv.DictReader(io.StringIO(corpus.read_text(folder / "tables" / "prices-2026.csv")))
        done.append(("ingest", readable, {row["part"]: row["price [EUR]"] for row in rows}))
        return SimpleNamespace(seconds=1.0, embedded=10)

    def ask(who: object, asked: list[tuple[str, str]], changed: int) -> dict[str, object]:
        done.append(("ask", who, asked, changed))
        return {"right": 1.0}

    for owner, name, fake in (
        (change, "train", train),
        (change, "by_adapter", ask),
        (change, "by_rag", ask),
        (change.models, "load", lambda *_: "base"),
        (change.models, "load_embedder", lambda *_: "embedder"),
        (change.tuning, "merge", lambda loaded: f"merged {loaded}"),
        (change.retrieval, "open_index", lambda *_: nullcontext("index")),
        (change.rag, "ingest", ingest),
        (change.rag, "Assistant", lambda *_, **__: "assistant"),
    ):
        monkeypatch.setattr(owner, name, fake)
    return done


def test_each_experiment_gives_its_states(change: ModuleType, measured: list[tuple]) -> None:
    assert set(change.STATES) == {"prices", "codes"}
    for what, ways in change.STATES.items():
        assert tuple(ways) == change.WAYS
        for way, states in ways.items():
            lines = list(change.lines(what, way, 2, 1))
            assert [line["state"] for line in lines] == list(states)
            assert {(line["what"], line["way"], line["seed"]) for line in lines} == {(what, way, 2)}
            for line in lines:
                assert set(line) <= set(change.FIELDS) and line["setup_seconds"] > 0
                spent = line["state"] in ("updated", "patched")
                assert (line["update_rows"] > 0) == spent and line["update_seconds"] >= 0
                assert spent or line["update_seconds"] == 0


def test_the_adapter_learns_the_list_again_or_the_new_prices_only(
    change: ModuleType, measured: list[tuple], prices: dict[str, str]
) -> None:
    _, new, asked, later, _ = change.plan(1, 1)
    lines = list(change.lines("prices", "adapter", 1, 1))
    rows = {name: [pair(row) for row in methods.price_rows(some)] for name, some in (("old", prices), ("new", new))}
    whole = [pair(row) for row in methods.price_rows(prices | new)]
    trained = [one[1:] for one in measured if one[0] == "train"]
    assert trained == [
        ("base", rows["old"], 300, 1),
        ("base", whole, 300, 1),
        ("merged adapter 1", rows["new"], 40, 1),
    ]
    assert [one[1:] for one in measured if one[0] == "ask"] == [
        ("adapter 1", asked, 10),
        ("adapter 1", later, 10),
        ("adapter 4", later, 10),
        ("adapter 6", later, 10),
    ]
    assert [line["update_rows"] for line in lines] == [0, 0, 118, 10]


def test_retrieval_reads_the_new_list_only_after_the_update(
    change: ModuleType, measured: list[tuple], prices: dict[str, str]
) -> None:
    _, new, asked, later, _ = change.plan(1, 1)
    source = (corpus.data_root() / "tables" / "prices-2026.csv").read_bytes()
    lines = list(change.lines("prices", "rag", 1, 1))
    assert [one[0] for one in measured] == ["ingest", "ask", "ask", "ingest", "ask"]
    assert (measured[0][2], measured[3][2]) == (prices, prices | new)
    assert [one[2] for one in measured if one[0] == "ask"] == [asked, later, later]
    for one in (measured[0], measured[3]):
        assert "tables/prices-2026.csv" in one[1] and "tables/prices-2025.csv" not in one[1]
        assert {Path(name).suffix for name in one[1]} == {".md", ".csv"}
    assert [line["update_rows"] for line in lines] == [0, 0, 10]
    assert (corpus.data_root() / "tables" / "prices-2026.csv").read_bytes() == source  # a copy was changed


def test_codes_are_asked_for_in_the_wording_of_the_test(change: ModuleType, measured: list[tuple]) -> None:
    meanings = {row["code"]: row["meaning"] for row in methods.table("faults")}
    for way in change.WAYS:
        measured.clear()
        list(change.lines("codes", way, 0, 1))
        ((_, _, asked, changed),) = [one for one in measured if one[0] == "ask"]
        assert asked == [(methods.CODE_TEST.format(code=c), m) for c, m in meanings.items()] and changed == 0
        learnt = [one[2] for one in measured if one[0] == "train"]
        assert learnt == ([[pair(row) for row in methods.code_rows(meanings)]] if way == "adapter" else [])


def test_the_table_of_prices_is_filled_once(
    change: ModuleType, compare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []

    def stream(script: Path, flag: str, what: str, way: str, seed: int, states: str, *_: object) -> list[dict]:
        called.append((what, way, seed))
        assert (script.name, flag) == ("price_change.py", "--line")
        return [{"what": what, "way": way, "seed": seed, "state": s, "right": 0.5} for s in states.split(",")]

    monkeypatch.setattr("measured_lines.stream", stream)
    monkeypatch.setattr("measured_lines.about", lambda script: {"model": "now", "script": script})
    command(monkeypatch, "--table", tmp_path / "t.csv")
    for _ in range(2):
        change.main()
    prices = [("prices", way, seed) for seed in SEEDS for way in change.WAYS]
    codes = [("codes", "rag", 0), *(("codes", "adapter", seed) for seed in SEEDS)]  # no price is drawn for RAG's codes
    assert sorted(called) == sorted(prices + codes)
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as file:
        lines = [(had["what"], had["way"], int(had["seed"]), had["state"]) for had in csv.DictReader(file)]
    assert sorted(lines) == sorted((*one, state) for one in called for state in change.STATES[one[0]][one[1]])


def test_only_the_states_asked_for_are_printed(
    change: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states = ("before", "changed", "updated", "patched")
    monkeypatch.setattr(change, "lines", lambda *given: ({"given": given, "state": state} for state in states))
    command(monkeypatch, "--line", "prices", "adapter", 2, "patched,before", "--few", 5)
    change.main()
    found = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert found == [{"given": ["prices", "adapter", 2, 5], "state": state} for state in ("before", "patched")]
