"""The training language of tiny-phi3: made-up companies, their documents, and questions about them.

The sentences are written by hand in ``language/*.txt`` (see ``language/README.md`` for the format). This module reads
them, invents entities and values, and assembles *episodes*: passages with questions, few-shot lists, public facts,
work orders. Every name, code and number is drawn anew per episode, so a model can only answer by reading.

Held out for the evaluation (``split="eval"``): the last wordings of each block, one value and one name in eight
(by checksum), and three whole trades (library, kitchen, railway). Three more
(``dev_trades.txt``) are neither trained nor in the skill table: on them one run is compared with another.
"""

from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

BANK = Path(__file__).parent / "language"
ALTERNATION = re.compile(r"\(([^()]*\|[^()]*)\)")


# --------------------------------------------------------------------------------------------------------------
# The bank: reading the hand-written files


@dataclass
class Relation:
    """One kind of fact ("rated flow"), with sentences that state it and questions that ask for it."""

    name: str
    trade: str
    entity: str
    value: str
    labels: list[str]
    says: list[str]
    says_it: list[str]
    asks: list[str]
    frame: str = "It is {v}."


@dataclass
class Block:
    """A named block of a bank file: its scalar fields and its lists of lines."""

    kind: str
    name: str
    line: int
    fields: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)


def read_blocks(path: Path) -> list[Block]:
    """Split a bank file into blocks. Raises ValueError with the file and line of anything that does not fit."""
    blocks: list[Block] = []
    current = "items"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        where = f"{path.name}:{number}"
        if line.startswith("["):
            head = line.strip("[]").split(maxsplit=1)
            blocks.append(Block(head[0], head[1] if len(head) > 1 else "", number))
            current = "items"
        elif not blocks:
            raise ValueError(f"{where}: expected a [block] header first, got {line[:40]!r}")
        elif line.startswith("- "):
            blocks[-1].lists.setdefault(current, []).append(line[2:].strip())
        elif re.fullmatch(r"[a-z_]+:.*", line):
            key, rest = line.split(":", 1)
            if rest.strip():
                blocks[-1].fields[key] = rest.strip()
            else:
                current = key
        elif blocks[-1].kind == "world":
            blocks[-1].lists.setdefault(current, []).append(line)
        else:
            raise ValueError(f"{where}: expected '- item', 'key: value' or '[block]', got {line[:60]!r}")
    return blocks


def relation_from(block: Block, trade: str) -> Relation:
    """Check one [relation] block and turn it into a Relation. Raises ValueError where a field or a slot is missing."""
    for key in ("entity", "value"):
        if key not in block.fields:
            raise ValueError(f"relation {block.name} (line {block.line}): field '{key}:' is missing")
    for key, slot in (("says", "{v}"), ("says_it", "{v}"), ("asks", "{e}")):
        for text in block.lists.get(key, []):
            if slot not in text:
                raise ValueError(f"relation {block.name}: {key} line without {slot}: {text!r}")
    labels = [s.strip() for s in block.fields.get("label", block.name.replace("_", " ")).split("|")]
    return Relation(
        name=block.name,
        trade=trade,
        entity=block.fields["entity"],
        value=block.fields["value"],
        labels=labels,
        says=block.lists["says"],
        says_it=block.lists.get("says_it", []),
        asks=block.lists["asks"],
        frame=block.fields.get("frame", "It is {v}."),
    )


def pair_from(block: Block, relations: list[Relation]) -> tuple[Relation, Relation, list[str]]:
    """Check one [pair] block: two relations of one entity, and sentences with {e}, {a} and {b}. Raises ValueError."""
    named = [rel for name in block.name.split() for rel in relations if rel.name == name]
    if len(named) != 2 or named[0].entity != named[1].entity:
        raise ValueError(
            f"pair {block.name} (line {block.line}): expected two relations of one entity, defined above it"
        )
    for text in block.lists.get("says", []):
        if not all(slot in text for slot in ("{e}", "{a}", "{b}")):
            raise ValueError(f"pair {block.name}: expected {{e}}, {{a}} and {{b}} in {text!r}")
    return named[0], named[1], block.lists["says"]


def held_out(items: list, n: int, split: str) -> list:
    """The last n items are for evaluation, the others for training (short lists keep at least two for training)."""
    n = min(n, max(0, len(items) - 2))
    return items if n == 0 else (items[-n:] if split == "eval" else items[:-n])


@dataclass
class Bank:
    """Everything hand-written, for one split."""

    relations: dict[str, list[Relation]]  # by trade
    fillers: dict[str, list[str]]
    classes: dict[str, tuple[list[str], list[str]]]  # class -> (names, sentences)
    world: list[tuple[list[str], list[str], list[tuple[str, str]], str]]  # asks, says, facts, frame of the answer
    lists: dict[str, list[str]]  # styles, symptoms, system lines ...
    brief: set[str]  # trades of ``more_*.txt``: fewer wordings of each fact, and training only
    pairs: dict[str, list[tuple[Relation, Relation, list[str]]]]  # by trade: sentences that state two facts at once


@lru_cache(maxsize=4)
def load_bank(split: str = "train", trades: str = "train") -> Bank:
    """Read the bank for ``split`` ("train" or "eval") and ``trades`` ("train", "heldout" or "dev")."""
    bank = Bank({}, {}, {}, [], {}, set(), {})
    files = ["pumps.txt", "trades.txt"] if trades == "train" else [f"{trades}_trades.txt"]
    if (split, trades) == ("train", "train"):
        files += ["more_trades.txt", "more_pumps.txt"]
    for name in files:
        pending: list[Relation] = []
        pairs: list[Block] = []
        for block in read_blocks(BANK / name):
            if block.kind == "relation":
                pending.append(relation_from(block, ""))
            elif block.kind == "pair":
                pairs.append(block)
            elif block.kind == "filler":
                trade = "pumps" if name == "pumps.txt" else block.name
                for relation in pending:
                    relation.trade = trade
                bank.relations.setdefault(trade, []).extend(pending)
                bank.fillers.setdefault(trade, []).extend(block.lists["items"])
                bank.pairs.setdefault(trade, []).extend(pair_from(block, pending) for block in pairs)
                if name.startswith("more_"):
                    bank.brief.add(trade)
                pending, pairs = [], []
        if pending:  # a file whose last trade has no filler block
            bank.relations.setdefault("general", []).extend(pending)
            bank.fillers.setdefault("general", []).append("This page was checked last month.")
    for trade, relations in bank.relations.items():
        for r in relations:
            if trades == "train" and trade not in bank.brief:
                r.says, r.asks = held_out(r.says, 2, split), held_out(r.asks, 3, split)
                r.says_it = held_out(r.says_it, 1, split)
    for block in read_blocks(BANK / "classes.txt"):
        names = [s.strip() for s in block.fields.get("name", block.name).split("|")]
        bank.classes[block.name] = (names, held_out(block.lists["items"], 6, split))
    for block in read_blocks(BANK / "world.txt"):
        facts = [tuple(p.strip() for p in f.lstrip("- ").split("=", 1)) for f in block.lists["facts"]]
        bank.world.append(
            (
                held_out(block.lists["asks"], 2, split),
                block.lists["says"],
                facts,
                block.fields.get("frame", "It is {o}."),
            )
        )
    for block in read_blocks(BANK / "styles.txt"):
        key = f"{block.kind} {block.name}".strip()
        items = block.lists["items"]
        if block.kind == "system":
            items = held_out(items, 4, split)
        elif block.kind in ("note", "instruct", "abstain_hint", "action", "symptom", "keys"):
            items = held_out(items, max(2, len(items) // 8), split)
        bank.lists[key] = items
    return bank


def expand(text: str, rng: random.Random) -> str:
    """Choose one option of every (a|b|c), innermost first."""
    while True:
        text, n = ALTERNATION.subn(lambda m: rng.choice(m.group(1).split("|")), text)
        if n == 0:
            return re.sub(r"  +", " ", text).replace(" .", ".").replace(" ?", "?").strip()


# --------------------------------------------------------------------------------------------------------------
# Names and values. One in eight is kept for the evaluation.

RESERVED = {w for w in (BANK / "reserved.txt").read_text(encoding="utf-8").split("\n") if w and w[0] != "#"}
RESERVED_NAME = re.compile(r"\b(" + "|".join(map(re.escape, sorted(RESERVED))) + r")\b", re.IGNORECASE)
RESERVED_CODES = {"BW", "BF", "SB", "ST", "TK", "WO", "BWS", "BWP", "HB"}
ONSETS = "b br c ch cr d dr f fl g gl gr h j k kl kr l m n p pl pr qu r s sh sk sl st str t th tr v w y z".split()
VOWELS = "a e i o u a e i o ae ea io ou ei".split()
CODAS = "b ck d ft g l ld lk ll m mp n nd nt r rd rk rn rt s sk ss st t th x z".split() + [""] * 8
ENDINGS = "a o an en er ia in ix on or um us el ek ard ent ora ine old".split()
TOWN_ENDS = "ton ham field gate bridge ford wood ville stead haven burg minster cross hill port mouth".split()
SITES = (
    "Works Mill Depot Plant Hall Yard Refinery Station Harbour Brewery Dairy Quarry Colliery Farm Tower "
    "Laundry Hospital Shipyard Foundry Terminal Reservoir"
).split()
FIRST = (
    "Ada Alan Anna Ben Carla Carl Clara Daniel Dora Edgar Ella Emil Erik Eva Felix Flora Frank Gerda Gina "
    "Gus Hugo Ida Igor Irene Ivan Jack Jane Jonas Julia Karin Kurt Lara Leo Lena Liam Lotte Luis Maria Max Mila "
    "Nadia Nils Nora Olga Otto Paul Petra Rita Rosa Rolf Ruth Sam Sara Simon Stella Stefan Tara Theo Tina Udo "
    "Uma Vera Victor Wanda Walter Xenia Yara Zoe Priya Arjun Mei Chen Jin Aisha Omar Fatima Pedro Lucia"
).split()
MATERIALS = (
    "cast iron|stainless steel|bronze|brass|carbon steel|duplex steel|aluminium|titanium|ceramic|rubber|nylon|"
    "polypropylene|graphite|copper|ductile iron|silicon carbide|glass fibre|oak|leather|granite"
).split("|")
COLOURS = "red blue green yellow orange black white grey silver brown purple pink turquoise beige".split()
LIQUIDS = (
    "clean water|sea water|diesel oil|hot condensate|milk|wine|brine|sewage|slurry|glycol|acid|fuel oil|rain water|"
    "river water|syrup|paint|latex|cooling water"
).split("|")
MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
ROOMS = "Bay Hall Room Shelf Rack Aisle Store Cabinet Building Workshop Gate Dock".split()
THINGS = (
    "tray hose valve tank box crate chain clip cloth fence floor garden glove hook key lamp ledge letter lock meter "
    "motor net office oil paper pipe porter ring road roof sand screw shed sign spring stair stone strap tap tool tube "
    "van wall water wheel window winter yard photograph customer driver engineer boss neighbour invoice visit call"
).split()
PARTS = (
    "inlet valve|outlet valve|cover|casing|bearing housing|coupling|gearbox|motor|base plate|drain plug|strainer|"
    "suction flange|impeller nut|discharge flange|seal chamber|oil sump|foundation|vent plug|fan guard|shaft sleeve"
).split("|")
TERM_A = (
    "lazy hungry quiet broken slow double soft iron wet early spare blind loose late hot thin false hollow "
    "sharp crooked winter summer paper glass golden silver second lost happy angry dusty plain"
).split()
TERM_B = (
    "hammer lid ladder bucket collar gate needle button lantern pocket shadow stone rope wheel horn plate "
    "corner bottle jacket finger whistle knee elbow cradle table mirror ribbon candle saddle belt drum spoon"
).split()
DETERMINERS = "a|the|the|no|one|two|some|any|every|a spare|a job that needs a|a pump with a".split("|")
ADJECTIVES = "old new small heavy long short clean open closed round".split()
PREPOSITIONS = "in|on|behind|under|near|above|without|before|after|next to|for|of".split("|")
COMPANY_ENDS = "Ltd|and Sons|Group|Services|Industries|Supply|Works".split("|")


def is_eval(text: str) -> bool:
    """True for the one name or value in eight that only the evaluation uses."""
    return zlib.crc32(text.lower().encode()) % 8 == 0


class Names:
    """Draws names and values of one split from a random generator."""

    def __init__(self, rng: random.Random, split: str = "train"):
        self.rng, self.split = rng, split

    def fresh(self, make) -> str:
        """Draw until the result belongs to this split and to no reserved name."""
        for _ in range(500):
            text = make()
            if is_eval(text) == (self.split == "eval") and not RESERVED_NAME.search(text):
                return text
        return make()

    def word(self) -> str:
        """A word that means nothing, capitalised: "Tarvo"."""
        r = self.rng
        middle = "".join(r.choice(ONSETS) + r.choice(VOWELS) + r.choice(CODAS) for _ in range(r.choice((1, 1, 2))))
        text = (middle + (r.choice(ENDINGS) if r.random() < 0.5 else "")).capitalize()
        return text + "o" if text in RESERVED else text  # no new draw: not every caller goes through ``fresh``

    def letters(self, n: int) -> str:
        """n capital letters (without I, O, Q) that open no reserved code and spell no reserved name."""
        while True:
            text = "".join(self.rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(n))
            if text not in RESERVED_CODES and text.capitalize() not in RESERVED:
                return text

    def town(self) -> str:
        """A town, e.g. "Larkford"."""
        r = self.rng
        return (r.choice(ONSETS) + r.choice(VOWELS) + r.choice(CODAS) + r.choice(TOWN_ENDS)).capitalize()

    def product(self) -> str:
        """A model name: "Tarvo 40", "Tarvo K7", "KL-300" or "Tarvo Minel"."""
        r = self.rng
        number = r.choice((r.randint(2, 99), r.randint(1, 30) * 10, r.randint(100, 999)))
        form = r.random()
        if form < 0.62:
            return f"{self.word()} {number}"
        if form < 0.75:
            return f"{self.word()} {self.letters(1)}{number}"
        if form < 0.92:
            return f"{self.letters(r.choice((2, 2, 3)))}-{number}"
        return f"{self.word()} {self.word()}"

    def entity(self, kind: str) -> str:
        """An entity of a bank type, e.g. "Tarvo 40" for product. Raises ValueError for an unknown type."""
        r = self.rng
        if kind.startswith("choice:"):
            return self.value(kind)
        if kind.startswith("noun:"):
            noun = r.choice([n.strip() for n in kind[5:].split(",")])
            if self.split == "train" and r.random() < 0.15:  # a plain word in front: "paper desk", "winter round"
                return self.fresh(lambda: f"{r.choice(TERM_A + THINGS)} {noun}")
            return self.fresh(
                lambda: r.choice(
                    (
                        f"{self.word()} {noun}",
                        f"{noun} {r.randint(1, 99)}",
                        f"{self.town()} {noun}",
                        f"{noun} {self.word()}",
                        f"{noun} {self.letters(1)}{r.randint(1, 40)}",
                    )
                )
            )
        makers = {
            "product": self.product,
            "part": lambda: f"{r.choice(PARTS)} of the {self.product()}",
            "site": lambda: f"{r.choice((self.town(), self.word()))} {r.choice(SITES)}",
            "town": self.town,
            "rule": lambda: f"{self.letters(r.choice((2, 3)))}-{r.randint(1, 40):02d}",
            "fault": lambda: r.choice(
                (
                    f"{self.letters(1)}{r.randint(1, 99)}",
                    f"{self.letters(1)}-{r.randint(10, 999)}",
                    f"{self.letters(2)}-{r.randint(10, 999)}",
                )
            ),
            "ticket": lambda: f"ticket {r.randint(1000, 99999)}",
            "order": lambda: f"order {r.randint(1000, 99999)}",
            "document": lambda: (
                f"{r.choice(('manual', 'sheet', 'bulletin', 'page', 'report', 'note', 'memo'))} "
                f"{self.letters(1)}-{r.randint(1, 999)}"
            ),
            "term": lambda: f"{r.choice(TERM_A)} {r.choice(TERM_B)}",
            "person": self.person,
            "company": self.company,
        }
        if kind not in makers:
            raise ValueError(f"unknown entity type {kind!r}; expected one of {sorted(makers)} or 'noun: a, b'")
        return self.fresh(makers[kind])

    def person(self) -> str:
        """A first name from the list and a made-up surname."""
        return f"{self.rng.choice(FIRST)} {self.word()}"

    def phrase(self) -> str:
        """A short noun phrase that nobody can know by heart: "two wet ropes behind the stove"."""
        r = self.rng
        head = f"{r.choice(DETERMINERS)} {r.choice(TERM_A + COLOURS + ADJECTIVES)} {r.choice(TERM_B + THINGS)}"
        head = re.sub(r"\ba (?=[aeio])", "an ", head)
        tail = f" {r.choice(PREPOSITIONS)} the {r.choice(TERM_B + THINGS)}"
        return head + (tail if r.random() < 0.65 else "")

    def company(self) -> str:
        """A company, e.g. "Norvik Supply"."""
        return f"{self.word()} {self.rng.choice(COMPANY_ENDS)}"

    def loose(self, num, dec) -> str:
        """A value as people write it in a sentence: units in words, limits, ranges, rates, counted things."""
        r = self.rng
        unit = r.choice(
            "mm|cm|metres|bar|kW|watts|litres|grams|kilos|volts|amps|percent|degrees|°C|hours|minutes".split("|")
        )
        clock = lambda: f"{r.randint(6, 21):02d}:{r.choice(('00', '15', '30', '45'))}"  # noqa: E731
        limits = ("up to", "below", "above", "at least", "about", "no more than", "within", "under")
        thing = r.choice(PARTS).split()[-1] if r.random() < 0.3 else r.choice(THINGS)
        amount = f"{r.choice((num(1, 950), dec(0, 90)))} {unit}"
        return r.choice(
            (
                amount,
                f"{r.choice(limits)} {amount}",
                f"between {num(1, 90)} and {num(91, 300)} {unit}",
                f"{num(1, 40)} to {num(41, 90)} {unit}",
                f"between {clock()} and {clock()}",
                f"{r.choice(WEEKDAYS)}s at {clock()}",
                f"{amount} per {thing}",
                f"{num(2, 60)} {thing}s a {r.choice(('day', 'week', 'month', 'van', 'shift'))}",
                f"{thing} {num(1, 60)}",
                f"{num(2, 60)} {thing}s",
            )
        )

    def formed(self, forms: str) -> str:
        """One of the forms, its slots filled: {2-60}, {0.02-0.40}, {clock}, {weekday}, {month}, {word}, {L}."""
        r = self.rng

        def slot(match: re.Match) -> str:
            low, dash, high = match[1].partition("-")
            if dash:
                decimals = len(low.partition(".")[2])
                return (
                    f"{r.uniform(float(low), float(high)):.{decimals}f}"
                    if decimals
                    else f"{r.randint(int(low), int(high))}"
                )
            words = {"weekday": WEEKDAYS, "month": MONTHS, "clock": [self.value("clock")], "L": [self.letters(1)]}
            return r.choice(words[match[1]]) if match[1] in words else self.word()

        return re.sub(r"\{([^}]*)\}", slot, r.choice(forms.split("|")).strip())

    def value(self, kind: str) -> str:
        """A value of a bank type, e.g. "45 Nm" for torque. Raises ValueError for an unknown type."""
        r = self.rng
        if kind.startswith("choice:"):
            return r.choice([c.strip() for c in kind[7:].split("|") if c.strip()])
        if kind.startswith("form:"):
            return self.fresh(lambda: self.formed(kind[5:]))
        if kind == "phrase":
            return self.fresh(self.phrase)
        dec = lambda a, b: f"{r.randint(a, b)}.{r.randint(1, 9)}"  # noqa: E731
        big = lambda: f"{r.randint(1, 20)},{r.choice((0, 0, 0, 500, 250, 200, 400, 900, r.randint(1, 999))):03d}"  # noqa: E731
        num = lambda a, b: str(r.randint(a, b))  # noqa: E731
        makers = {
            "flow": lambda: r.choice(
                (
                    f"{num(5, 999)} l/min",
                    f"{num(2, 900)} m3/h",
                    f"{dec(1, 40)} m3/h",
                    f"{num(1, 80)} l/s",
                    f"{num(2, 900)} litres per hour",
                    f"{num(2, 90)} litres a minute",
                )
            ),
            "pressure": lambda: r.choice(
                (f"{num(1, 60)} bar", f"{dec(0, 30)} bar", f"{num(20, 900)} kPa", f"{num(5, 200)} m")
            ),
            "power": lambda: r.choice((f"{num(1, 250)} kW", f"{dec(0, 30)} kW", f"{num(50, 950)} W")),
            "torque": lambda: r.choice((f"{num(4, 400)} Nm", f"{dec(2, 40)} Nm")),
            "temperature": lambda: r.choice((f"{num(1, 300)} °C", f"minus {num(1, 40)} °C", f"{num(20, 250)} degrees")),
            "length": lambda: r.choice(
                (
                    f"{num(2, 600)} mm",
                    f"0.{num(1, 95)} mm",
                    f"{num(2, 80)} m",
                    f"{num(2, 90)} cm",
                    f"{dec(1, 12)} m",
                    f"{num(2, 60)} metres",
                )
            ),
            "mass": lambda: r.choice((f"{num(2, 950)} kg", f"{dec(1, 20)} t", f"{num(10, 900)} g")),
            "rpm": lambda: r.choice((f"{r.randint(1, 3)},{num(100, 999)} rpm", f"{num(100, 990)} rpm")),
            "voltage": lambda: f"{num(12, 690)} V",
            "current": lambda: r.choice((f"{dec(1, 40)} A", f"{num(1, 200)} A", f"{num(1, 90)} amps")),
            "volume": lambda: r.choice((f"{dec(0, 20)} litres", f"{num(2, 900)} litres", f"{num(10, 950)} ml")),
            "duration": lambda: (
                f"{num(2, 90)} {r.choice(('seconds', 'minutes', 'hours', 'days', 'weeks', 'months', 'years'))}"
            ),
            "interval": lambda: r.choice(
                (
                    f"every {big()} hours".replace(",000 hours", ",050 hours"),  # round ones are everybody's
                    f"every {num(2, 48)} months",
                    f"every {num(2, 90)} days",
                    f"every {num(100, 990)} hours",
                    f"every {num(2, 20)} weeks",
                    f"every {num(2, 12)} years",
                )
            ),
            "percent": lambda: f"{num(1, 99)} %",
            "price": lambda: r.choice(
                (f"{num(2, 999)}.{num(10, 99)} EUR", f"{num(3, 990)} EUR", f"{big()} EUR", f"{num(2, 400)} dollars")
            ),
            "count": lambda: num(2, 400),
            "date": lambda: f"{num(1, 28)} {r.choice(MONTHS)} {num(2011, 2029)}",
            "weekday": lambda: r.choice(WEEKDAYS),
            "month": lambda: f"{r.choice(MONTHS)} {num(2011, 2029)}",
            "year": lambda: num(1950, 2029),
            "clock": lambda: f"{r.randint(5, 22):02d}:{r.choice((0, 15, 30, 45, 10, 20, 40, 50)):02d}",
            "level": lambda: r.choice((f"{num(40, 99)} dB", f"{num(40, 99)} dB(A)")),
            "viscosity": lambda: f"{r.choice(('ISO VG', 'SAE', 'grade'))} {num(10, 680)}",
            "code": lambda: r.choice(
                (
                    f"{self.letters(2)}-{num(100, 9999)}",
                    f"{self.letters(1)}{num(100, 9999)}",
                    f"{self.letters(2)}-{num(10, 999)}-{self.letters(1)}",
                    f"{num(100, 999)}-{num(100, 999)}",
                    f"{self.letters(3)}{num(10, 999)}",
                    f"{self.letters(2)}-{num(1000, 9999)}-{self.letters(1)}",
                    f"{self.letters(2)}{num(10, 99)}-{num(10, 99)}",
                )
            ),
            "shortcode": lambda: r.choice(
                (f"{self.letters(1)}{num(1, 99)}", f"{self.letters(2)}{num(1, 99)}", f"IP{num(20, 69)}")
            ),
            "person": self.person,
            "product": self.product,
            "term": lambda: f"{r.choice(TERM_A)} {r.choice(TERM_B)}",
            "town": self.town,
            "site": lambda: f"{r.choice((self.town(), self.word()))} {r.choice(SITES)}",
            "room": lambda: (
                f"{r.choice(ROOMS)} {r.choice((num(1, 60), self.letters(1), f'{self.letters(1)}{num(1, 30)}'))}"
            ),
            "material": lambda: r.choice(MATERIALS),
            "colour": lambda: r.choice(COLOURS),
            "company": self.company,
            "grease": lambda: " ".join(
                (
                    self.word(),
                    r.choice((num(1, 680), f"{self.letters(2)} {num(1, 46)}", f"{self.letters(1)}{num(1, 99)}")),
                )
            ),
            "ext": lambda: num(100, 9999),
            "liquid": lambda: r.choice(LIQUIDS),
            "loose": lambda: self.loose(num, dec),
        }
        if kind not in makers:
            raise ValueError(f"unknown value type {kind!r}; expected one of {sorted(makers)} or 'choice: a | b'")
        if kind in CLOSED:
            return makers[kind]()
        return self.fresh(makers[kind])


CLOSED = {"weekday", "material", "colour", "liquid"}  # too few to hold any out


def is_open(kind: str) -> bool:
    """True where the values of this type are invented (copied from the prompt, never learnt by heart)."""
    return kind not in CLOSED and not kind.startswith("choice:")
