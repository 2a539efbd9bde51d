"""The house style of Brightwater's work orders: take one apart, score it, and make training rows from tickets.

    rows = style.rows("tune")                       # one chat row a ticket, with its site and ticket beside it
    more = style.recombine(rows, 512, seed=0)       # the same messages under other machines' heads
    style.parts_right(answer, order)                # 0.625: five of eight parts

A work order has eight parts with " / " between them (guides/gu-house-style.md). Tickets and orders come from
``expert.corpus``; the split is by site, as everywhere in the course.
"""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from expert import corpus, tuning

PARTS = ("order", "site", "pump", "serial", "label", "saw", "do", "sign-off")
COPIED = ("order", "site", "pump", "serial", "sign-off")  # found in the ticket's head; the others ask for reading
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
FORM = {
    "order": r"WO-\d+",
    "site": r"ST-\d+",
    "pump": r"[A-Z]{2}\d+",
    "serial": r"BWS\d+",
    "label": r"[A-Z]+",
    "saw": r"saw( \S+){1,6}",
    "do": r"(fit|look|send|call) \S+",
    "sign-off": r"[A-Z]{2,3} dry hands",
}
HEAD = re.compile(
    r"TK-(?P<ticket>\d+), (?P<place>.+?) \((?P<site>ST-\d+)\), (?P<model>\w+ \d+), serial (?P<serial>\w+), "
    r"technician (?P<technician>[^.\n]+)\."
)


@dataclass(frozen=True)
class OrderRow:
    """A training row, and what is known about it: its ticket, its site, and the message without its head."""

    row: dict[str, Any]
    ticket: str
    site: str
    message: str

    @property
    def prompt(self) -> str:
        return self.row["messages"][0]["content"]

    @property
    def order(self) -> str:
        return self.row["messages"][-1]["content"]


def split_order(text: str) -> dict[str, str]:
    """The parts of a work order by name; parts that are missing are empty, parts too many are joined to the last."""
    cells = [cell.strip() for cell in text.strip().split(" / ", len(PARTS) - 1)]
    return dict(zip(PARTS, cells + [""] * (len(PARTS) - len(cells)), strict=True))


def in_form(text: str) -> bool:
    """Whether a text has the form of a work order: eight parts, each of its kind. Says nothing on their content."""
    return all(re.fullmatch(FORM[name], part) for name, part in split_order(text).items())


def parts_right(answer: str, order: str) -> float:
    """The share of the eight parts that are letter by letter those of the right order, 0 to 1."""
    got, wanted = split_order(answer), split_order(order)
    return sum(got[name] == wanted[name] for name in PARTS) / len(PARTS)


def initials(name: str) -> str:
    """The first letters of a name's words: "Tomas Hruby" is "TH"."""
    return "".join(word[0] for word in name.split())


def without_names(text: str, names: Sequence[str]) -> str:
    """The text with each of these names cut to its initials; longer names first, whole words only."""
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(name)}\b", initials(name), text)
    return text


def people() -> list[str]:
    """The names of everybody in the company's list of people."""
    return [record["name"] for record in table("people")]


def rows(split: str) -> list[OrderRow]:
    """One row for each style question of a split ("tune" or "test"): the ticket in, the work order out, no names."""
    names, tickets = people(), {t.id: t for t in corpus.tickets()}
    found = []
    for question in corpus.questions(split, "style"):
        prompt = without_names(question.question, names)
        ticket = tickets[question.ticket]
        message = prompt.split("\n", 2)[2]
        found.append(OrderRow(tuning.row(prompt, question.answer), ticket.id, ticket.site, message))
    return found


def recombine(
    some: Sequence[OrderRow], count: int, seed: int = 0, reworded: float = 0.0, around: float = 0.0, longest: int = 4
) -> list[OrderRow]:
    """``count`` rows from the messages of ``some``: each message once as it is, then again under other heads.

    reworded: the share of the rows under other heads, 0 to 1, whose message is changed as well, see ``reword``.
    around, longest: go on to ``reword``.

    A new head has another ticket number, the name of one of the same rows' sites with a number drawn at random, a pump
    that the company sells in a size drawn at random, another serial number and other initials. So the parts to copy
    must be read: with the true sizes a model learns by heart that a Kestrel is a KE65. The messages stay.
    """
    rng = random.Random(seed)
    order = rng.sample(range(len(some)), len(some))
    sites = [m for m in table("sites") if m["site"] in {one.site for one in some}]
    families = sorted({m["model"].rsplit(" ", 1)[0] for m in table("pumps")})
    made = [some[i] for i in order[:count]]
    words = sorted({word.lower() for one in some for word in re.findall(r"[A-Za-z]{3,}", one.message)} - set(DAYS))
    while len(made) < count:
        one = _new_head(some[order[len(made) % len(order)]], rng.choice(sites), rng.choice(families), rng)
        made.append(
            reword(one, words, rng, around=around, longest=longest) if reworded and rng.random() < reworded else one
        )
    return made


def reword(
    one: OrderRow,
    words: Sequence[str],
    rng: random.Random,
    share: float = 0.6,
    around: float = 0.0,
    longest: int = 4,
) -> OrderRow:
    """The row with words exchanged in what was seen, and another day or part number, in message and order alike.

    A model that has read a message ten times knows its order by heart. Of this row it knows nothing: what was seen has
    to be found and copied. With ``around``, the words beside it go too, so that they do not tell either.

    words: what to draw from; share, around: of the words of three letters and more, how many go in what was seen and
    beside it, 0 to 1; longest: the most words of what was seen.
    """
    parts, text = split_order(one.order), one.message
    verb, _, target = parts["do"].partition(" ")
    seen = parts["saw"].removeprefix("saw ")
    if around:
        sentences = re.split(r"(?<=[.!?]) ", text)
        text = " ".join(_beside(sentence, seen, target, words, rng, around) for sentence in sentences)
    place = re.search(re.escape(seen), text, re.IGNORECASE)
    if place:
        new = [rng.choice(words) if len(word) > 2 and rng.random() < share else word for word in seen.split()]
        while len(new) > longest or (len(new) > 2 and rng.random() < 0.3):
            new.pop(rng.randrange(len(new)))
        seen = " ".join(new)
        shown = seen[0].upper() + seen[1:] if place[0][0].isupper() else seen
        text = text[: place.start()] + shown + text[place.end() :]
    drawn = target
    if target in DAYS:
        drawn = rng.choice(DAYS)
    elif re.fullmatch(r"BW-\d{4}-[A-Z]", target):
        drawn = f"BW-{rng.randrange(1000, 10_000)}-{rng.choice('ABCEGHIKLMPRSVW')}"
    text = re.sub(
        re.escape(target), lambda m: drawn.capitalize() if m[0].istitle() else drawn, text, flags=re.IGNORECASE
    )
    parts |= {"saw": f"saw {seen}", "do": f"{verb} {drawn}"}
    prompt = one.prompt[: one.prompt.rindex(one.message)] + text
    return replace(one, row=tuning.row(prompt, " / ".join(parts.values())), message=text)


def _beside(sentence: str, seen: str, target: str, words: Sequence[str], rng: random.Random, share: float) -> str:
    """The sentence with words beside what was seen exchanged; days stay, and so does a sentence that asks for one."""
    place = re.search(re.escape(seen), sentence, re.IGNORECASE)
    if not place and target.lower() in sentence.lower():
        return sentence

    def another(found: re.Match) -> str:
        if found[0].lower() in DAYS or rng.random() >= share:
            return found[0]
        drawn = rng.choice(words)
        return drawn.capitalize() if found[0][0].isupper() else drawn

    start, end = place.span() if place else (len(sentence), len(sentence))
    before, behind = (re.sub(r"\b[A-Za-z]{3,}\b(?!-)", another, text) for text in (sentence[:start], sentence[end:]))
    return before + sentence[start:end] + behind


def _new_head(one: OrderRow, site: Mapping[str, str], family: str, rng: random.Random) -> OrderRow:
    """The same message from a site of this name and a pump of this family; all numbers and the initials are drawn."""
    number, serial = rng.randrange(10_000, 100_000), f"BWS{rng.randrange(100_000, 1_000_000)}"
    signs = "".join(rng.choices("ABCDEFGHIJKLMNOPRSTUVWYZ", k=2))
    size, place = rng.randrange(10, 260, 5), f"ST-{rng.randrange(1, 100):03}"
    head = f"TK-{number}, {site['name']} ({place}), {family} {size}, serial {serial}, technician {signs}."
    parts = split_order(one.order) | {"order": f"WO-{number}", "site": place, "serial": serial}
    parts |= {"pump": f"{family[:2].upper()}{size}", "sign-off": f"{signs} dry hands"}
    prompt = HEAD.sub(lambda _: head, one.prompt, count=1)
    return replace(one, row=tuning.row(prompt, " / ".join(parts.values())), site=site["site"])


def spoil(some: Sequence[OrderRow], share: float, seed: int = 0) -> list[OrderRow]:
    """The rows with the orders of some of them moved on by one, as when a column of a sheet has slipped.

    share: of the rows, 0 to 1; at least two are needed to exchange anything. Which ones: drawn by ``seed``.
    """
    hit = random.Random(seed).sample(range(len(some)), round(share * len(some)))
    made = list(some)
    for here, there in zip(hit, hit[1:] + hit[:1], strict=True):
        made[here] = replace(some[here], row=tuning.row(some[here].prompt, some[there].order))
    return made


def table(name: str) -> list[dict[str, str]]:
    """The rows of one of the company's tables, such as "prices-2026"."""
    text = corpus.read_text(corpus.data_root() / "tables" / f"{name}.csv")
    return list(csv.DictReader(io.StringIO(text)))
