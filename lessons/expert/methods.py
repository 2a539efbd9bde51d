"""The ways that lesson 09 compares: prompts, training rows and a workflow, made from the company's folder.

    methods.fact_rows()                     # passages and tables as questions with answers, to learn by heart
    methods.grounded_rows(base, index)      # questions of the tuning split with retrieved passages -> answers with [n]
    methods.price_rows(parts)               # part -> price, in the wordings to learn from
    methods.look_up(assistant, jobs)        # tickets without pump and technician -> what retrieval found of both

Everything that trains comes from passages, tables or the tuning split. The test split's questions are read by whoever
measures, and by nobody else. ``tests/benchmarks/method_table.py`` and ``price_change.py`` do that.
"""

from __future__ import annotations

import csv
import functools
import io
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from expert import corpus, evaluate, rag, retrieval, style, tuning
from expert.style import table

IGNORE = (*rag.IGNORE, "*.pdf", "*.db", "*.jsonl")  # the PDF and the database repeat what other files say
GUIDES = ("gu-house-style", "gu-triage-labels")
LONGEST = 32  # words of an answer to learn by heart
DECLINES = f"{rag.DECLINED}."

# Wordings to learn a table from, and one that is kept for the test
CELL_WORDINGS = ("{column} of {subject}?", "What is the {column} of {subject}?", "{subject}, {column}?")
PRICE_WORDINGS = ("Price of {part}?", "How much is {part} in 2026?", "{part}, what do we charge?")
PRICE_TEST = "What does {part} cost in 2026?"
CODE_WORDINGS = ("Meaning of {code}?", "Panel shows {code}. What is it?", "{code}, what does that say?")
CODE_TEST = "What does the fault code {code} mean?"


# --- prompts ------------------------------------------------------------------------------------------------------


def few_shot_fact(question: corpus.Question, past: Sequence[corpus.Question], shots: int = 4) -> str:
    """A question behind ``shots`` past ones with their answers, drawn by its id.

    Of any kind: examples of its own kind would tell that a question has no answer.
    """
    chosen = random.Random(question.id).sample([q for q in past if q.kind != "style"], shots)
    shown = "".join(f"Question: {q.question}\nAnswer: {q.answer}\n\n" for q in chosen)
    return f"{shown}Question: {question.question}\nAnswer:"


def few_shot_order(ticket: style.OrderRow, past: Sequence[style.OrderRow], shots: int = 4) -> str:
    """A ticket behind ``shots`` past ones with their orders, drawn by its number; never the ticket itself."""
    others = [row for row in past if row.ticket != ticket.ticket]
    chosen = random.Random(ticket.ticket).sample(others, shots)
    shown = "".join(f"{row.prompt}\nWork order: {row.order}\n\n" for row in chosen)
    return f"{shown}{ticket.prompt}\nWork order:"


def told(prompt: str) -> str:
    """A prompt behind all passages of the two pages that say how a work order is written: retrieval at its best."""
    return f"{_pages()}\n\n{prompt}"


@functools.cache  # asked for each ticket; reading the whole folder takes longer than some answers
def _pages() -> str:
    pages = [p.text for p in corpus.passages() if p.doc_id in GUIDES]
    return "\n".join(f"[{n}] {text}" for n, text in enumerate(pages, start=1))


def order_by_code(prompt: str, label: str = "") -> str:
    """A work order without a model: copied from the ticket's head, the rest guessed. The baseline of lesson 06.

    label: what to write where a reader would choose one. What the head does not name stays empty.
    """
    first, head, message = prompt.split("\n", 2)
    ticket, site = re.search(r"TK-(\d+)", head), re.search(r"ST-\d+", head)
    pump, serial = re.search(rf", ({_families()}) (\d+)", head), re.search(r"BWS\d+", head)
    technician, part = re.search(r"technician ([A-Z]+)", head), re.search(r"BW-\d{4}-[A-Z]", message)
    day = next((day for day in style.DAYS if day in message.lower()), "monday")
    return " / ".join(
        [
            f"WO-{ticket[1]}" if ticket else "",
            site[0] if site else "",
            pump[1][:2].upper() + pump[2] if pump else "",
            serial[0] if serial else "",
            label,
            "saw " + " ".join(message.lower().split()[:5]),
            f"send {part[0]}" if part else f"look {day}",
            f"{technician[1]} dry hands" if technician else "",
        ]
    )


def _families() -> str:
    """The names of the company's pump families as alternatives of a pattern."""
    return "|".join(sorted({row["model"].rsplit(" ", 1)[0] for row in table("pumps")}))


# --- rows that teach facts by heart --------------------------------------------------------------------------------


def fact_rows(seed: int = 0) -> list[tuning.Row]:
    """Questions with answers made from the company's passages alone, to learn by heart; no test question is read.

    A sentence is asked for by its page, its heading and its words without numbers; a cell of a table by its column and
    the row's name. Everything is in, whatever the test asks: it is the test of knowledge that was trained.
    """
    rng = random.Random(seed)
    tables = {doc.id for doc in corpus.documents() if doc.kind == "table"}
    rows = [row for p in corpus.passages() if p.doc_id not in tables for row in _sentence_rows(p, rng)]
    for doc in corpus.documents():
        if doc.kind == "table":
            rows += _table_rows(doc, rng)
    return rows


def _sentence_rows(passage: corpus.Passage, rng: random.Random) -> list[tuning.Row]:
    # behind the title: ": body", ", heading: body" or ", heading? body"; a title may hold ": " itself
    found = re.fullmatch(r"(?:, (.+?))?(?:: |(?<=[?.!]) )(.+)", passage.text.removeprefix(passage.title), re.DOTALL)
    heading, body = found.groups(default="") if found else ("", passage.text)
    subject = re.sub(r" (handbook|guide)$", "", passage.title)
    rows = []
    for sentence in re.split(r"(?<=[.!?]) (?=[A-Z])", body):
        words = sentence.split()
        plain = [word for word in retrieval.words(sentence) if not any(c.isdigit() for c in word)]
        content = [word for word in plain if word not in retrieval.STOP_WORDS and word not in subject.lower()]
        if len(words) < 3 or not content:
            continue
        kept = [word for word in content if rng.random() < 0.7] or content
        place = f", {heading.lower().rstrip('?')}" if heading and rng.random() < 0.5 else ""
        asked = f"{subject}{place}: {' '.join(kept[:8])}?"
        rows.append(tuning.row(asked, " ".join(words[:LONGEST])))
    return rows


def _table_rows(doc: corpus.Document, rng: random.Random) -> list[tuning.Row]:
    cells = list(csv.DictReader(io.StringIO(doc.text)))
    names = list(cells[0]) if cells else []
    dated = re.search(r"\b20\d\d\b", doc.title)
    rows = []
    for record in cells:
        for name in names[1:]:
            column, value = _unit(name, record[name])
            if not value:
                continue
            # by its name or by its key; the name itself by its key alone
            named = "name" in names[1] and name != names[1] and rng.random() >= 0.6
            subject = record[names[1] if named else names[0]]
            edition = f" in {dated[0]}" if dated else ""
            asked = rng.choice(CELL_WORDINGS).format(column=column, subject=subject)
            rows.append(tuning.row(asked.replace("?", f"{edition}?"), f"The {column} of {subject} is {value}."))
    return rows


def _unit(name: str, value: str) -> tuple[str, str]:
    """A column's name without its unit, and the value with it."""
    found = re.fullmatch(r"(.+?) \[(.+)\]", name)
    return (found[1], f"{value} {found[2]}" if value else "") if found else (name, value)


# --- rows that teach reading with sources --------------------------------------------------------------------------


def grounded_rows(base: Any, index: retrieval.Index, seed: int = 0, declines: float = 0.5) -> list[tuning.Row]:
    """Questions of the tuning split with retrieved passages -> the answer that cites, or "I do not know".

    The answer is the base's own sentence where it reads the right passage rightly, so that its form stays; else "It is
    ... [1]". A passage that holds the outdated value is left out: read alone, nothing in it says that it is outdated.

    declines: wrong passages a question, on average, from 0 to 2. With many the model learns to decline whatever it
    reads; so the single facts, the largest kind, are in twice. Questions without an answer have two.
    """
    rng = random.Random(seed)
    texts = {p.id: p.text for p in corpus.passages()}
    asked = [q for q in corpus.questions("tune") if q.kind != "style"]
    found = index.search_all([q.question for q in asked], 3, "sum")
    single = [q for q in asked if len(q.passages) == 1]
    prompts = [rag.reading_prompt([texts[q.passages[0]]], q.question) for q in single]
    said = dict(zip((q.id for q in single), rag.generate_scored(base, prompts), strict=True))
    rows = []
    for question, hits in zip(asked, found, strict=True):
        if question.id in said:
            rows += [_reading_row(question, texts, said[question.id][0])] * (1 + (question.kind == "single_fact"))
        if len(question.passages) > 1:
            rows += [_joined_row(question, texts, hits, rng) for _ in range(2)]
        wrong = [h.text for h in hits if not _holds(h.text, question, texts)][:2]
        if question.kind != "not_answerable":
            wrong = [text for text in wrong if rng.random() < declines / 2]
        rows += [tuning.row(rag.reading_prompt([text], question.question), DECLINES) for text in wrong]
    return rows


def _reading_row(question: corpus.Question, texts: Mapping[str, str], said: str) -> tuning.Row:
    good = evaluate.exact_match(said, [question.answer, *question.variants]) and rag.cited(said) == [1]
    answer = said if good else f"It is {question.answer}. [1]"
    return tuning.row(rag.reading_prompt([texts[question.passages[0]]], question.question), answer)


def _joined_row(
    question: corpus.Question, texts: Mapping[str, str], hits: Sequence[retrieval.Hit], rng: random.Random
) -> tuning.Row:
    """All needed passages among others, in any order; the answer cites the one that holds the value."""
    needed = [texts[one] for one in question.passages]
    shown = needed + [h.text for h in hits if h.text not in needed][:2]
    rng.shuffle(shown)
    accepted = [question.answer, *question.variants]
    holder = next((text for text in needed if evaluate.exact_match(text, accepted)), needed[-1])
    answer = f"It is {question.answer}. [{shown.index(holder) + 1}]"
    return tuning.row(rag.reading_prompt(shown, question.question), answer)


def _holds(text: str, question: corpus.Question, texts: Mapping[str, str]) -> bool:
    """Whether a passage is a needed or an outdated one, or holds the answer."""
    known = {texts[one] for one in (*question.passages, *question.outdated)}
    answered = question.kind != "not_answerable"
    return text in known or (answered and evaluate.exact_match(text, [question.answer, *question.variants]))


# --- a list learnt by heart ----------------------------------------------------------------------------------------


def price_rows(prices: Mapping[str, str]) -> list[tuning.Row]:
    """part -> price in EUR as training rows, each part in three wordings."""
    return [
        tuning.row(wording.format(part=part), f"{part} costs {price} EUR.")
        for part, price in prices.items()
        for wording in PRICE_WORDINGS
    ]


def code_rows(meanings: Mapping[str, str]) -> list[tuning.Row]:
    """fault code -> meaning as training rows, each code in three wordings."""
    return [
        tuning.row(wording.format(code=code), f"{code} means {meaning}.")
        for code, meaning in meanings.items()
        for wording in CODE_WORDINGS
    ]


def new_prices(prices: Mapping[str, str], count: int, seed: int = 0) -> dict[str, str]:
    """``count`` of these parts with another price each, in steps of 0.50 EUR, from 70 to 140 % of the old one.

    Never the same; where no step lies between (a price under 1.50 EUR), the price rises by 0.50 EUR.
    """
    rng = random.Random(seed)
    changed = {}
    for part in rng.sample(sorted(prices), count):
        old = float(prices[part])
        drawn = (round(old * rng.uniform(0.7, 1.4) * 2) / 2 for _ in range(100))
        changed[part] = f"{next((new for new in drawn if new not in (old, 0)), old + 0.5):.2f}"
    return changed


# --- a workflow ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """A test ticket as it comes in, without pump and technician, and what retrieval found of both."""

    ticket: str
    site: str
    serial: str
    message: str
    order: str
    prompt: str
    pump: str = ""
    technician: str = ""
    read: int = 0  # tokens of the prompts that looked it up

    @property
    def full_prompt(self) -> str:
        """The ticket with what was found put back into its head; what was not found stays out."""
        head = f"{self.ticket}, {self.site}"
        head += f", {self.pump}" if self.pump else ""
        head += f", serial {self.serial}"
        head += f", technician {self.technician}" if self.technician else ""
        return f"{self.prompt.split(chr(10))[0]}\n{head}.\n{self.message}"


def jobs(split: str = "test") -> list[Job]:
    """Tickets of a split as a portal hands them in: site and serial are known, pump and technician are not."""
    made = []
    for one in style.rows(split):
        head = style.HEAD.search(one.prompt)
        if head is None:
            raise corpus.CorpusError(f"ticket {one.ticket} has no head of the usual form")
        site = f"{head['place']} ({head['site']})"
        made.append(Job(f"TK-{head['ticket']}", site, head["serial"], one.message, one.order, one.prompt))
    return made


def look_up(assistant: rag.Assistant, some: Sequence[Job]) -> list[Job]:
    """The jobs with pump and technician as the assistant read them from the company's tables.

    A pump is what looks like one ("Kestrel 40") in the answer, a technician is a name of the list of people.
    """
    pumps = assistant.ask_all([f"Which model is the pump with serial {job.serial}?" for job in some])
    places = [job.site.split(" (")[0] for job in some]
    who = assistant.ask_all([f"Which technician looks after the site {place}?" for place in places])
    names = style.people()
    return [
        replace(
            job,
            pump=_pump(pump.said, job.serial),
            technician=_person(person.said, names),
            read=pump.prompt_tokens + person.prompt_tokens,
        )
        for job, pump, person in zip(some, pumps, who, strict=True)
    ]


def look_up_by_code(some: Sequence[Job]) -> list[Job]:
    """The jobs with pump and technician as a join of two tables gives them: no model, no search."""
    pumps = {row["serial"]: row["model"] for row in table("pumps")}
    technicians = {row["site"]: style.initials(row["technician"]) for row in table("sites")}
    return [
        replace(
            job,
            pump=pumps.get(job.serial, ""),
            technician=technicians.get(re.search(r"ST-\d+", job.site)[0], ""),  # jobs() has made sure of the form
        )
        for job in some
    ]


def _pump(said: str, serial: str) -> str:
    found = re.search(rf"\b({_families()}) (\d+)\b", said.replace(serial, ""))
    return found[0] if found else ""


def _person(said: str, names: Sequence[str]) -> str:
    found = next((name for name in names if name in said), "")
    return style.initials(found) if found else ""
