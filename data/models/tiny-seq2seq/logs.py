"""Invented fault logs of pumps, each with its summary in one sentence, made from a seed.

The wordings are in ``faults.toml``. Pumps, sites and alarm codes are drawn anew for each log by the name maker of
tiny-phi3, which keeps away from every name and code of Brightwater Pumps (``../tiny-phi3/language/reserved.txt``).

Held out for the evaluation (``split="eval"``): one name and one code in eight, by checksum. With ``new_wordings`` each
line that the summary needs (what was found, done, and how it stands) is in a wording that training never sees.
"""

from __future__ import annotations

import random
import re
import sys
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tiny-phi3"))
from language import MONTHS, Names  # noqa: E402

LETTERS = "abcdefghijklmnopqrstuvwxyz"
QUIET = 0.07  # share of the logs in which the pump never stopped


@dataclass(frozen=True)
class Log:
    """A log, its summary, and the parts of the summary (empty where the pump never stopped)."""

    text: str
    summary: str
    pump: str
    date: str
    code: str = ""
    cause: str = ""
    action: str = ""
    state: str = ""


@lru_cache(maxsize=1)
def wordings() -> dict:
    """The lists of faults.toml."""
    return tomllib.loads((HERE / "faults.toml").read_text(encoding="utf-8"))


class Writer:
    """Writes one log. ``strange``: the share of names and codes of any letters, so that copying takes them all."""

    def __init__(self, seed: str, split: str = "train", new_wordings: bool = False, strange: float = 0.0):
        self.rng = random.Random(seed)
        self.names = Names(self.rng, split)
        self.new_wordings, self.strange = new_wordings, strange
        self.lists = wordings()["lines"]

    def pick(self, lines: list[str]) -> str:
        """One wording of a fact: the last one is kept for the evaluation."""
        return lines[-1] if self.new_wordings else self.rng.choice(lines[:-1])

    def fill(self, text: str, **slots: str) -> str:
        """A wording with its slots and numbers filled in."""
        r = self.rng
        text = re.sub(r"\{d\}", lambda m: f"{r.randint(0, 12)}.{r.randint(1, 9)}", text)
        return re.sub(r"\{n\}", lambda m: str(r.randint(12, 99)), text).format(**slots)

    def any_letters(self) -> str:
        """A name of one or two words of any letters and digits."""
        r = self.rng
        words = ["".join(r.choices(LETTERS, k=r.randint(2, 7))) for _ in range(r.choice((1, 1, 2)))]
        words = [r.choice((w, w.capitalize(), w.capitalize(), w[:3].upper())) for w in words]
        return " ".join([*words, *([str(r.randint(1, 999))] if r.random() < 0.6 else [])])

    def pump(self) -> str:
        """The name of a pump."""
        return self.names.fresh(self.any_letters if self.rng.random() < self.strange else self.names.product)

    def code(self) -> str:
        """The code of an alarm, such as K-17."""
        if self.rng.random() < self.strange:
            return self.names.letters(self.rng.randint(1, 3)) + f"{self.rng.choice('-/ ')}{self.rng.randint(1, 999)}"
        return self.names.entity("fault")

    def alarm(self, fault: dict | None = None) -> str:
        """What the panel shows: an alarm of this fault, or of any."""
        fault = fault or self.rng.choice(wordings()["fault"])
        return self.fill(self.rng.choice(fault["alarm"]))

    def distraction(self) -> str:
        """A line that the summary leaves out."""
        kind = self.rng.choices(("reading", "cleared", "checked", "other", "calm"), (4, 2, 2, 2, 1))[0]
        slots = {"other": self.pump(), "part": self.rng.choice(self.lists["part"])}
        if kind == "cleared":
            slots |= {"code": self.code(), "alarm": self.alarm()}
        return self.fill(self.rng.choice(self.lists[kind]), **slots)

    def mixed(self, lines: list[str], extra: int) -> list[str]:
        """The lines in their order, with so many distractions at any place between, before and after them."""
        for _ in range(extra):
            lines.insert(self.rng.randint(0, len(lines)), "")
        return [line or self.distraction() for line in lines]

    def dated(self, lines: list[str]) -> tuple[list[str], list[str]]:
        """The lines with a date and a time each, and the dates alone."""
        r = self.rng
        day, month, minute = r.randint(1, 20), r.choice(MONTHS), r.randint(300, 900)
        dates, dated = [], []
        for line in lines:
            if minute > 1300 or r.random() < 0.08:
                day, minute = day + 1, r.randint(300, 700)
            dates.append(f"{day} {month}")
            dated.append(f"{dates[-1]} {minute // 60:02d}:{minute % 60:02d} {line}")
            minute += r.randint(5, 160)
        return dated, dates

    def log(self) -> Log:
        """A log and its summary."""
        r, pump = self.rng, self.pump()
        head = r.choice(self.lists["head"]).format(pump=pump, site=self.names.entity("site"))
        if r.random() < QUIET:
            lines, dates = self.dated(self.mixed([], r.randint(4, 6)))
            summary = f"From {dates[0]} to {dates[-1]} the {pump} ran without a stop."
            return Log("\n".join([head, *lines]), summary, pump, dates[0])
        fault, code = r.choice(wordings()["fault"]), self.code()
        ordered = r.random() < 0.3
        action, *done = fault["order"] if ordered else r.choice(fault["remedies"])
        state = r.choice([s for s in wordings()["state"] if s["after_order"] or not ordered])
        stop = self.fill(r.choice(self.lists["stop"]), code=code, alarm=self.alarm(fault))
        story = [stop, self.fill(self.pick(fault["found"])), self.fill(self.pick(done)), self.pick(state["lines"])]
        lines, dates = self.dated(self.mixed(list(story), r.randint(1, 4)))
        date = next(d for d, line in zip(dates, lines, strict=True) if line.endswith(stop))
        why, then = fault["cause"], f"{action} and {state['says']}"
        summary = f"On {date} the {pump} stopped on alarm {code} because {why}; {then}."
        return Log("\n".join([head, *lines]), summary, pump, date, code, fault["cause"], action, state["says"])


def write(seed: str, split: str = "train", new_wordings: bool = False, strange: float = 0.0) -> Log:
    """The log that belongs to a seed."""
    return Writer(seed, split, new_wordings, strange).log()
