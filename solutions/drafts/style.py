"""The house style of Brightwater's work orders: take one apart, score it, and make training rows from tickets.

    rows = style.rows("tune")                       # one chat row a ticket, with its site and ticket beside it
    more = style.recombine(rows, 512, seed=0)       # the same messages under other machines' heads
    style.parts_right(answer, order)                # 0.625: five of eight parts

A work order has eight parts with " / " between them (guides/gu-house-style.md). Tickets and orders come from
``expert.corpus``; the split is by site, as everywhere in the course.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from expert import corpus, tuning

PARTS = ("order", "site", "pump", "serial", "label", "saw", "do", "sign-off")
COPIED = ("order", "site", "pump", "serial", "sign-off")  # found in the ticket's head; the others ask for reading
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
    return [record["name"] for record in _table("people")]


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


def recombine(some: Sequence[OrderRow], count: int, seed: int = 0) -> list[OrderRow]:
    """``count`` rows from the messages of ``some``: each message once as it is, then again under other heads.

    A new head has another ticket number, one of the same rows' sites, any pump that the company sells, another serial
    number and other initials, so that the parts to copy must be read and cannot be learnt by heart. The messages stay.
    """
    rng = random.Random(seed)
    order = rng.sample(range(len(some)), len(some))
    sites = [m for m in _table("sites") if m["site"] in {one.site for one in some}]
    pumps = sorted({m["model"] for m in _table("pumps")})
    made = [some[i] for i in order[:count]]
    while len(made) < count:
        made.append(_new_head(some[order[len(made) % len(order)]], rng.choice(sites), rng.choice(pumps), rng))
    return made


def _new_head(one: OrderRow, site: Mapping[str, str], pump: str, rng: random.Random) -> OrderRow:
    """The same message from this site and pump, with another ticket number, serial number and other initials."""
    number, serial = rng.randrange(10_000, 100_000), f"BWS{rng.randrange(100_000, 1_000_000)}"
    signs = "".join(rng.choices("ABCDEFGHIJKLMNOPRSTUVWYZ", k=2))
    head = f"TK-{number}, {site['name']} ({site['site']}), {pump}, serial {serial}, technician {signs}."
    family, size = pump.rsplit(" ", 1)
    parts = split_order(one.order) | {"order": f"WO-{number}", "site": site["site"], "serial": serial}
    parts |= {"pump": family[:2].upper() + size, "sign-off": f"{signs} dry hands"}
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


def _table(name: str) -> list[dict[str, str]]:
    with open(corpus.data_root() / "tables" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
