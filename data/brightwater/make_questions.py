"""Questions with their passages, from the hand-written lines in master/questions/.

A line names the document that holds the answer; this module finds the passage in it and refuses a line whose answer
is not there, or is there twice. The split comes from the entity, never from the line.
"""

import re
from collections.abc import Callable
from pathlib import Path

from expert import corpus

UNITS = {
    "Nm": "newton metres", "mm": "millimetres", "kg": "kilograms", "kW": "kilowatts", "EUR": "euros", "Hz": "hertz",
    "°C": "degrees", "m3/h": "cubic metres per hour", "A": "amps", "dB(A)": "decibels", "ml": "millilitres",
    "rpm": "revolutions per minute", "mA": "milliamps", "percent": "%", "litres": "l", "metres": "m", "seconds": "s",
    "minutes": "min", "hours": "h", "grams": "g", "litres per minute": "l/min", "litres per hour": "l/h",
    "mm/s": "millimetres per second", "kg per litre": "kg/l", "strokes per minute": "strokes/min", "watts": "W",
}  # fmt: skip
COUNTED = ("stages", "floors", "flats", "net pens", "nozzles", "packing rings", "people", "shims", "visits")
LEADS = ("every ", "after ", "within ", "to ", "the ", "a ", "an ")
WORK_ORDER_ASKS = (
    "Write the work order for this ticket.", "turn this ticket into one of our work orders pls",
    "Work order, house style, from the following:", "how would dispatch put this on one line?",
    "Make the work order line.", "I need the WO for this one", "put it in house style",
    "Please condense this to a work order.", "what goes on the phone of the technician for this?",
    "ticket in, work order out:", "one line for the van, please", "wo please",
    "Could you draft the order the way Greta wants it?", "Rewrite as a Brightwater work order.",
    "new job, write it up", "What does the work order look like here?", "order line for this message",
    "make a proper WO out of this", "Customer wrote this. Work order?", "as a work order, our way",
    "Fill in the work order.", "shorten this into the usual order", "style guide version of this, please",
    "The van leaves in five minutes, give me the line for:", "same as always: ticket to order",
    "I have to type this into the phone, how does it go?", "write up the job below", "Work order for the job below.",
    "Bring this into the fixed order with the sign-off.",
)  # fmt: skip


class Maker:
    """Looks up passages and splits while the questions are made."""

    def __init__(self, folder: Path, read: Callable, tickets: list[dict], orders: list[dict]):
        self.passages = corpus.passages(folder)
        self.by_id = {passage.id: passage for passage in self.passages}
        self.read, self.tickets, self.orders = read, tickets, orders
        self.split = self._splits()
        self.found: list[dict] = []

    def _splits(self) -> dict[str, str]:
        """Entity -> split. A part follows the pump it fits; codes and sites go by odd and even numbers."""
        split = {row["model"]: row["split"] for row in self.read("models")}
        split |= {row["name"]: row["split"] for row in self.read("people")}
        split |= {row["topic"]: row["split"] for row in self.read("topics")}
        sites = {row["site"]: odd_even(row["site"]) for row in self.read("sites")}
        split |= sites | {row["name"]: sites[row["site"]] for row in self.read("sites")}
        split |= {row["serial"]: sites[row["site"]] for row in self.read("pumps")}
        split |= {row["code"]: odd_even(row["code"]) for row in self.read("faults")}
        split |= {row["part"]: split.get(row["fits"]) or odd_even(row["part"]) for row in self.read("parts")}
        split |= {ticket["id"]: sites[ticket["site"]] for ticket in self.tickets}
        return split | {term: ("test", "tune")[place % 2] for place, term in enumerate(self.terms())}

    def terms(self) -> list[str]:
        """The glossary's terms, in its order."""
        heads = (glossary_term(p.text) for p in self.passages if p.doc_id.startswith("gl-"))
        return [head for head in heads if head]

    def find(self, where: str, needle: str, line: str) -> str:
        """The id of the one passage `where` (a passage id, or `document ~word`) that holds `needle`.

        A `where` that opens with `=` is an entity: the passage is looked for among all that name it.
        """
        name, _, word = where.partition(" ~")
        if name.startswith("="):
            inside = [p for p in self.passages if mentions(p.text, name[1:])]
        else:
            inside = [p for p in self.passages if name in (p.id, p.doc_id)]
        if not inside:
            raise SystemExit(f"master/questions: no document or passage {name!r} in: {line}")
        holding = [p.id for p in inside if holds(p.text, needle) and word.lower() in p.text.lower()]
        if len(holding) != 1:
            raise SystemExit(f"master/questions: {needle!r} stands in {len(holding)} passages of {where!r}: {line}")
        return holding[0]

    def add(self, kind: str, entities: str | list[str], question: str, answer: str, **more) -> None:
        """One question; refuses entities of two splits."""
        entities = entities.split(";") if isinstance(entities, str) else entities
        unknown = [one for one in entities if one not in self.split]
        if unknown:
            raise SystemExit(f"master/questions: unknown entity {unknown} in: {question}")
        splits = {self.split[one] for one in entities}
        if len(splits) != 1:
            raise SystemExit(f"master/questions: {entities} lie in two splits: {question}")
        record = {"kind": kind, "split": splits.pop(), "entity": entities, "question": question, "answer": answer}
        also = more.pop("variants", None) or variants(answer)
        self.found.append(record | {"variants": also} | {k: v for k, v in more.items() if v})

    def near(self, entity: str, question: str) -> list[str]:
        """Three passages that look right: on the entity, or in its document, with the question's words."""
        asked = set(re.findall(r"[a-z]{4,}", question.lower()))
        about = {p.id for p in self.passages if mentions(p.text, entity)}
        beside = {self.by_id[one].doc_id for one in about}
        pool = [p for p in self.passages if p.id in about or (len(about) < 3 and p.doc_id in beside)]
        shared = {p.id: len(asked & set(re.findall(r"[a-z]{4,}", p.text.lower()))) for p in pool}
        return sorted(sorted(shared), key=lambda one: (one not in about, -shared[one]))[:3]


def odd_even(code: str) -> str:
    """The split of a numbered thing."""
    return "test" if int(re.findall(r"\d+", code)[0]) % 2 else "tune"


def holds(text: str, needle: str) -> bool:
    """Whether `needle` stands in `text` as whole words, and not inside a longer number."""
    if needle.lower() not in text.lower():
        return False
    return re.search(rf"(?<![\w.,-]){re.escape(needle)}(?![\w]|[.,]\d|-\d)", text, re.I) is not None


def mentions(text: str, entity: str) -> bool:
    """Whether a passage is about the entity."""
    return holds(text, entity)


def glossary_term(text: str) -> str:
    """The term that a glossary passage defines, or nothing."""
    body = text.partition(": ")[2]
    found = re.match(r"(?:To|An?|The)? ?(.+?) (?:is|are|means) ", body)
    return found[1].lower() if found and len(found[1].split()) <= 4 else ""


def variants(answer: str) -> list[str]:
    """Other spellings a right answer may have."""
    short = [answer.removeprefix(lead) for lead in LEADS if answer.startswith(lead)]
    found = {spelling for base in (answer, *short) for spelling in (base, *spellings(base))}
    found |= {re.sub(r"(\d),(\d{3})", r"\1\2", spelling) for spelling in found}
    return sorted(found - {answer})


def spellings(answer: str) -> list[str]:
    """The unit in words or without its space, a counted thing as a bare number, a price without its last zero."""
    also = []
    number = re.fullmatch(r"(.*?)(-?[\d.,]+) (\S+.*)", answer)
    if number and number[3] in UNITS:
        lead, value, unit = number.groups()
        also += [f"{lead}{value} {UNITS[unit]}", f"{lead}{value}{unit}"]
    if number and number[3] in COUNTED:
        also.append(number[2])
    if re.fullmatch(r"[\d.]+0 EUR", answer):
        also.append(f"{float(answer.split()[0]):g} EUR")
    return also


def single_facts(maker: Maker) -> None:
    """entity | document | answer | question"""
    for row in maker.read("questions/single_fact"):
        place = maker.find(row["where"] or f"={row['entity']}", row["answer"], row["question"])
        maker.add("single_fact", row["entity"], row["question"], row["answer"], passages=[place])


def table_lookups(maker: Maker) -> None:
    """entity | row | answer | question"""
    for row in maker.read("questions/table_lookup"):
        place = maker.find(row["where"], row["answer"], row["question"])
        maker.add("table_lookup", row["entity"], row["question"], row["answer"], passages=[place])


def two_passages(maker: Maker) -> None:
    """entities | first passage, which gives the bridge | second, which knows the answer by the bridge"""
    for row in maker.read("questions/two_passages"):
        first = maker.find(row["first"], row["bridge"], row["question"])
        second = maker.find(row["second"] or f"={row['bridge']}", row["answer"], row["question"])
        if not holds(maker.by_id[second].text, row["bridge"]):
            raise SystemExit(f"master/questions: {second} does not name {row['bridge']!r}: {row['question']}")
        more = {"passages": [first, second], "bridge": row["bridge"]}
        maker.add("two_passages", row["entity"], row["question"], row["answer"], **more)


def changed_facts(maker: Maker) -> None:
    """entity | newer passage | older passage | answer | outdated answer | question"""
    for row in maker.read("questions/changed_fact"):
        new = maker.find(row["new"], row["answer"], row["question"])
        old = maker.find(row["old"], row["outdated"], row["question"])
        if maker.by_id[new].date <= maker.by_id[old].date:
            raise SystemExit(f"master/questions: {new} is not newer than {old}: {row['question']}")
        more = {"passages": [new], "outdated": [old], "outdated_answer": row["outdated"]}
        maker.add("changed_fact", row["entity"], row["question"], row["answer"], **more)


def not_answerable(maker: Maker) -> None:
    """entity | words that an answer would need, none of which any passage on the entity has | question"""
    for row in maker.read("questions/not_answerable"):
        more = {"near": maker.near(row["entity"], row["question"]), "absent": row["absent"].split(";")}
        maker.add("not_answerable", row["entity"], row["question"], "I do not know.", **more)


def jargon(maker: Maker) -> None:
    """term | answer | question"""
    place = {glossary_term(p.text): p.id for p in maker.passages if p.doc_id.startswith("gl-")}
    for row in maker.read("questions/jargon"):
        if row["term"] not in place:
            raise SystemExit(f"master/questions/jargon: no glossary entry for {row['term']!r}")
        where = maker.find(place[row["term"]], row["answer"], row["question"])
        maker.add("jargon", row["term"], row["question"], row["answer"], passages=[where])


def style(maker: Maker) -> None:
    """A ticket in, the work order in house style out; a ticket with a planted instruction is left out."""
    guide = [p.id for p in maker.passages if p.doc_id == "gu-house-style"]
    for ticket, order in zip(maker.tickets, maker.orders, strict=True):
        if "ignore the passages" in ticket["text"]:
            continue
        ask = WORK_ORDER_ASKS[len(maker.found) % len(WORK_ORDER_ASKS)]
        head = f"{ticket['id']}, {ticket['site_name']} ({ticket['site']}), {ticket['model']}, serial {ticket['serial']}"
        question = f"{ask}\n{head}, technician {ticket['technician']}.\n{ticket['text']}"
        label = maker.find("gu-triage-labels", f"The label {ticket['label']}", question)
        maker.add("style", ticket["id"], question, order["text"], passages=[*guide, label], ticket=ticket["id"])


def make(folder: Path, read: Callable, tickets: list[dict], orders: list[dict]) -> list[dict]:
    """All questions as records, numbered by kind and split."""
    maker = Maker(folder, read, tickets, orders)
    for part in (single_facts, two_passages, table_lookups, changed_facts, not_answerable, jargon, style):
        part(maker)
    numbers: dict[str, int] = {}
    records = []
    for record in maker.found:
        name = f"{record['kind'].replace('_', '-')}-{record['split']}"
        numbers[name] = numbers.get(name, 0) + 1
        records.append({"id": f"{name}-{numbers[name]:03d}"} | record)
    return records
