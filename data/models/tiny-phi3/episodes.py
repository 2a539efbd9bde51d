"""Episodes: the pieces of text that tiny-phi3 is trained and evaluated on.

An episode is a list of ``(text, is_answer)`` segments. Answer segments carry the full training loss, the others a
small share of it. Two forms exist: *plain* (documents followed by ``Question: ... Answer: ...``, which trains the
base model) and *chat* (Phi-3's chat markers, which trains the chat model).
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from functools import lru_cache

from language import COLOURS, RESERVED, TERM_A, TERM_B, THINGS, Bank, Names, Relation, expand, is_open, load_bank

Segment = tuple[str, bool]
ABSTAIN = "I do not know."
# Sentences for any attribute at all ("the knee of the Tarvo 40"): they teach to match words, known or not.
ANY_SAYS = [
    "The {l} of the {e} is {v}.",
    "The {e} has (a|the|) {l} of {v}.",
    "For the {e}, the {l} is {v}.",
    "{v} is the {l} of the {e}.",
    "The {e} comes with the {l} {v}.",
    "(Set|Put|Keep|Leave) the {l} of the {e} (at|to) {v}.",
    "We (noted|measured|wrote down) {v} as the {l} of the {e}.",
    "On the {e} the {l} (reads|says|shows) {v}.",
    "{v} was chosen as {l} for the {e}.",
    "As (to the|) {l}, the {e} (takes|needs|uses) {v}.",
    "Use {v} for the {l} of the {e}.",
    "(Since May|From now on|As of today) the {l} on the {e} is {v}.",
    "The {l} given for the {e} is {v}.",
    "{v}: this is what the {e} has as its {l}.",
]
ANY_SAYS_IT = [
    "The {l} is {v}.",
    "Its {l} is {v}.",
    "It has (a|the|) {l} of {v}.",
    "(Set|Put|Keep) the {l} to {v}.",
    "As {l} it (takes|needs|uses) {v}.",
    "{v} is its {l}.",
    "The {l} (reads|says|shows) {v}.",
    "Its {l} was given as {v}.",
]
ANY_ASKS = [
    "What is the {l} of the {e}?",
    "{l} of the {e}?",
    "{e} {l}",
    "Which {l} (has|does) the {e} (have|)?",
    "Tell me the {l} of the {e}.",
    "what {l} do I (find|see|need|set) on the {e}",
    "Do you know the {l} of the {e}?",
    "{e}: {l}?",
    "I need the {l} for the {e}.",
    "what's the {l} on the {e}",
    "Say what {l} the {e} has.",
    "Which {l} belongs to the {e}?",
    "How is the {l} of the {e} given?",
    "the {e}, what {l}?",
    "give me {l} for {e}",
    "What does the {e} have as {l}?",
    "Look up the {l} of the {e}.",
    "Could you find the {l} of the {e}?",
]
ANY_VALUES = (
    "flow pressure power torque temperature length mass rpm volume duration interval percent price count date month "
    "year clock code code shortcode person person town room company grease ext phrase phrase product"
).split()
ANY_ENTITIES = [
    "product",
    "product",
    "product",
    "site",
    "person",
    "fault",
    "company",
    "document",
    "order",
    "term",
    "noun: oven, boat, tower, camera, bridge, wagon, kiosk, tent, lake, barrel, drone, statue, mill, saddle, organ",
]
SMALL_WORDS = set(
    "what which who is are was does do did can could may must should will would the a an of to for in at it i "
    "me my you your we us our please tell give say know need have has get there that this".split()
)
# What people write around the sentence that says what they want; no class of the bank can be told from these.
GREETINGS = [
    "(Hello|Hi|Hey|Dear team|Dear all|Good day|Good evening|Morning|To whom it concerns)(,| from {site}.|.)",
    "{site} (here|speaking|writing)(,|.|:)",
    "(This is|Here is|It is) {site}(.| again.| once more.)",
    "(A message|A note|Some words|News) from {site}(:|.)",
    "(I am|We are) (writing|calling) from {site}(.| today.)",
]
AROUND = [
    "(Any time|Some time|Best) (on|after|before) {day} (suits us|is fine|would be good).",
    "(Call|Ring|Ask for) {person} (first|at the gate|at the desk|in the hall), (please|if you can).",
    "(The gate|Our door|The yard) is (open|closed) (until|from|after) {clock}.",
    "{person} (is on duty|has the key|knows more|will be here|wrote this) (this week|on {day}|today).",
    "(We had|There was) (rain|sun|fog|a storm|a long night) (all week|here|on {day}).",
    "(Our|The) (number|file|reference|form) is {code}.",
    "(Part|Item|Piece) {code} (lies|stands|waits) (on the table|in the yard|in {room}|by the stairs).",
    "(Have|We wish you) a (nice|good|quiet) (day|week|evening).",
    "(Kind regards|Best wishes|Greetings|Yours), {person}",
    "(Please|Do) (write|answer|come back to us) (before {day}|by {clock}|when you can).",
    "(I am|We are) (new|only two) here, (so|and) (bear with us|excuse my words).",
    "(Somebody|A colleague|{person}) (told|asked) me to write (this|to you).",
    "(It|This) (concerns|is about|is for) the {product}.",
    "(The {product}|Our {product}|It) stands in {room}.",
    "(No hurry|It is urgent|Take your time|Today if possible)(.|, really.|, please.)",
    "(I could not|Nobody could) reach you (by phone|on {day}|yesterday).",
    "(The canteen|The office|Our hall) (was painted|has moved|is next to the river).",
]
UNKNOWN = "unknown"
KEPT_WORDS = set(
    "what which when where whose whom does have with from this that there must will would should could much many long "
    "time date into than then them they their its your before after until about under over between each every only "
    "more most least been were also kept page row item tell please give know need name number".split()
)
BUSINESS = 19  # so many classes at the head of the bank are what customers of a company write about
LABEL_MEANINGS = [
    ("Label {l} is for {c}.", " "),
    ("Use {l} for {c}.", " "),
    ("{l} means {c}", ", "),
    ("{l}: {c}", "\n"),
    ("{l} = {c}", "; "),
    ("Write {l} if it is about {c}.", "\n"),
    ("{c} goes to {l}.", " "),
]
LEFT_KEYS = (
    "Letter Post Call Line Wish News Case Query Entry Record Phrase Remark Memo Chat Voice Fax Word Report Saying "
    "Problem Fact Story Data Task Source Before Given Said Written Heard Example Part Piece Question"
).split()
RIGHT_KEYS = (
    "Code|Mark|Sign|Box|Tray|Shelf|Desk|Queue|Bin|Pile|Drawer|Office|Person|Colour|Stamp|Number|Symbol|Result|Choice|"
    "Verdict|Sort|Family|Set|Section|Branch|Word|Key|Goes to|Belongs to|Sent to|Put it in|Answer|After|Then|Target|"
    "It is"
).split("|")
CELL_WORDS = ("", "", "our ", "at ", "number ", "for ", "it is ", "with ", "see ", "from ", "the ", "code ", "about ")
CELL_ENDS = ("", "", " is in trouble.", ", please.", " as always.", ", thank you.", " again.", " was here.", ".")
# Questions that only the kind of the value answers: {w} is any word, and the passage says it in another one.
TYPED_ASKS = {
    "person": [
        "Who {w}s the {e}?", "who is the {w} of the {e}", "Whose {w} is on the {e}?", "name of the {w} of {e}",
        "By whom is the {e} {w}ed?", "Who has the {w} of the {e}", "{e} {w}, who?", "who {w}ed the {e}",
        "Which person {w}s the {e}?", "Name the one who {w}s the {e}.",
    ],
    "clock": [
        "At what time does the {e} {w}?", "when do they {w} the {e}", "What time can I {w} the {e}?", "{e} {w} time?",
        "Until what time {w}s the {e}?", "what time is the {w} of the {e}", "From when on does the {e} {w}",
    ],
    "date": [
        "By what date must the {e} {w}?", "On what day was the {e} {w}ed?", "when was the {e} {w}ed", "{e}, {w} date",
        "What is the date of the {w} of the {e}?", "when is the {e} {w}", "Which day does the {e} {w}",
    ],
    "count": [
        "How many {w}s does the {e} have?", "number of {w}s, {e}", "how many {w}s in the {e}", "count the {w}s of {e}",
        "To how many {w}s does the {e} run?", "Of how many {w}s is the {e} made?",
    ],
    "price": [
        "How much does the {e} {w}?", "what do I pay for the {w} of the {e}", "{e} {w} price", "cost of {w}, {e}",
        "How much money goes into the {w} of the {e}?", "What does the {w} want for the {e}", "{e} {w}, how much money",
    ],
    "room": [
        "Where does the {e} {w}?", "where do I {w} the {e}", "In which place is the {e} {w}ed?",
        "where is the {w} of {e}",
        "From where does the {e} {w}", "Where can I find the {w} of the {e}?", "{e}: where to {w}",
    ],
    "town": [
        "Where does the {e} {w} to?", "To which town does the {e} {w}?", "where was the {e} {w}ed", "{e} {w} town?",
        "Which town {w}s the {e}", "Final {w} of the {e}", "Where does the {e} {w} up",
    ],
    "duration": [
        "How long may the {e} {w}?", "for how long is the {e} {w}ed", "How long does the {w} of the {e} take?",
        "how long {w} {e}", "In what time does the {e} {w}",
    ],
    "temperature": [
        "At what temperature is the {e} {w}ed?", "how hot does the {w} of the {e} get", "How warm must the {e} {w}?",
        "degrees for the {w} of {e}", "what temp to {w} the {e}",
    ],
    "mass": [
        "How heavy is the {w} of the {e}?", "what does the {w} of the {e} weigh", "How much {w} goes into the {e}?",
        "weight of {w}, {e}", "how many kilos of {w} in the {e}",
    ],
    "voltage": ["How many volts in the {w} of the {e}?", "what voltage does the {e} {w} at", "volts for {w}, {e}"],
}  # fmt: skip
# What a question about a kind of value starts with; its unit can stand there as well ("how many litres").
LEADS = {
    "clock": "when|at what time|until when|from what time|what time",
    "date": "when|on what day|by when|since when|which date",
    "weekday": "when|on which day|what day",
    "month": "when|in which month|what month",
    "year": "when|in what year|since when|which year",
    "person": "who|whose|by whom|which person|name for",
    "interval": "how often|every how many hours|how frequently|when|after how long",
    "duration": "how long|for how long|how many minutes|how fast|within what time|after what time",
    "count": "how many|number of|what number of|how much",
    "price": "how much|what price|what do I pay for|cost of|price of",
    "length": "how far|how long|how high|how deep|how wide|how big|how thick|what size|which distance|how close|max",
    "mass": "how heavy|how much|what weight|how many kilos|weight of",
    "temperature": "how hot|how warm|how cold|what temperature|at how many degrees|up to what temperature",
    "volume": "how much|how many litres|what volume|what amount of|how big",
    "percent": "how much|what share|how many percent|how far|how exact|max",
    "flow": "how much|what flow|how many litres|what amount of|how fast",
    "room": "where|in which place|in what room|where to",
    "town": "where|to which town|in what town|what place",
}
ANY_LEAD = "what|which|how much|what about|max|min|what is|how|largest|do we have|tell me"
WOVEN_ASKS = [
    "{h} {w} {e}",
    "{e} {w}?",
    "{h} {w} for the {e}?",
    "{w} of the {e}",
    "{h} is the {w} of the {e}?",
    "{h} does the {e} {w}",
    "{h} {x} {w} on a {e}",
    "{e}: {w}",
    "{e} {w}, {h}?",
    "{h} must I {w} the {e}?",
    "{h} may the {e} {w} {x}",
    "{w}, {e}",
    "{h} {x} can the {e} have in the {w}?",
    "I need to {x} the {w} on a {e}, {h}?",
    "{h} {w} {x} with the {e}",
    "{w} on the {e} - {h}",
    "the {w} in the {e}: {h}?",
    "{h} will the {e} {x} the {w}",
]
# the unit of a value ("kg", "litres per hour"): what stands behind its number
UNIT = re.compile(r"[\d.,]+ (?P<unit>[A-Za-z°%][\w°%/ ]*)")
DOCUMENTS = (
    "handbook|manual|data sheet|guide|maintenance|installation|operation|bulletin|report|notes|file|list|table|card|"
    "sheet|plan|record|overview|instructions|letter"
).split("|")
SECTIONS = (
    "Motor|Bearings|Cleaning|Limits|Safety|First start|Storage|People|Costs|Settings|Parts|Care|General|Before work|"
    "After work|Checks|Seal|Contacts|Times|Places|Tools|Materials|Delivery|Problems|Orders|Size|Power|Visit|Rules|"
    "Changes"
).split("|")
IDENTITY = [
    (
        ["Who are you?", "what are you", "Tell me who you are.", "Introduce yourself.", "Which model is this?"],
        "I am tiny-phi3, a small language model.",
    ),
    (
        ["What can you do?", "what are you good at", "How can you help me?", "What are you for?"],
        "I can read short passages and answer questions about them.",
    ),
    (["How many weights do you have?", "how big are you", "What is your size?"], "I have a few million weights."),
    (["Hello", "Hi there", "Good morning", "hello, anyone there?"], "Hello. Ask me a question."),
]


@dataclass
class Question:
    """A question about the passages of a Reading. ``value`` is None where the passages do not say."""

    text: str
    value: str | None
    frame: str = "It is {v}."
    cites: list[int] = field(default_factory=list)
    relation: Relation | None = None
    subject: str = ""
    entity: str = ""

    def answer(self, mode: str = "cite") -> str:
        """The reference answer in one of the modes cite, nocite, one_word, json."""
        if self.value is None:
            known = {"json": '{"answer": "I do not know", "source": null}', "one_word": " Unknown"}
            return known.get(mode, ABSTAIN)
        if mode == "one_word":
            return f" {self.value}"  # the space makes it the same tokens as in a passage
        if mode == "json":
            source = self.cites[0] if len(self.cites) == 1 else self.cites or None
            return json.dumps({"answer": self.value, "source": source}, ensure_ascii=False)
        sentence = self.frame.format(v=self.value, V=capital(self.value))
        if self.subject and self.relation:  # saying what and whose lets the model look the value up right behind it
            link = ":" if "{V}" in self.frame else " is"
            sentence = f"The {self.relation.labels[0]} of {self.subject}{link} {self.value}."
        if mode == "nocite" or not self.cites:
            return sentence
        return sentence + "".join(f" [{n}]" for n in self.cites)


@dataclass
class Fact:
    """What a passage (by its place among them) states: this relation of this entity has this value."""

    passage: int
    entity: str
    relation: Relation
    value: str


@dataclass
class Reading:
    """Numbered passages, the questions about them, and all that they state."""

    passages: list[str]
    numbers: list[int]
    questions: list[Question]
    facts: list[Fact] = field(default_factory=list)

    def context(self, rng: random.Random) -> str:
        """The passages as they stand in a prompt, each opened by its number."""
        gap = "\n\n" if rng.random() < 0.15 else "\n"
        return gap.join(f"[{n}] {p}" for n, p in zip(self.numbers, self.passages, strict=True))


@lru_cache(maxsize=1)
def bank_words() -> list[str]:
    """Every word of four letters or more in the sentences of the training bank."""
    bank = load_bank("train", "train")
    texts = [text for rels in bank.relations.values() for rel in rels for text in (*rel.says, *rel.asks, *rel.labels)]
    texts += [text for _, sentences in bank.classes.values() for text in sentences]
    return sorted({word for text in texts for word in re.findall(r"[a-z]{4,}", text)})


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


class Author:
    """Writes episodes of one split from one random generator."""

    def __init__(self, seed: int | str, split: str = "train", trades: str = "train"):
        self.rng = random.Random(seed)
        self.split = split
        self.names = Names(self.rng, split)
        self.bank: Bank = load_bank(split, "train")
        self.trade_bank: Bank = load_bank(split, trades)
        self.trades = trades
        # what the last episode was written from: a reading; or the segments of a list that hold labels, with the class
        # of each; or pairs of the same value in a line and in its output, as (segment, first character, end)
        self.told: Reading | None = None
        self.told_labels: list[tuple[int, str]] = []
        self.told_cells: list[tuple[tuple[int, int, int], tuple[int, int, int]]] = []

    # ---------------------------------------------------------------------------------------------- reading

    def say(self, options: list[str], **slots: str) -> str:
        """One of the sentence patterns, its alternations chosen and its slots filled ("a" or "an" as needed)."""
        text = expand(self.rng.choice(options), self.rng)
        text = re.sub(r"\b([Aa]) (?=[AEIOaeio]|8|11 |18 )", r"\1n ", text)
        for key, value in slots.items():
            if re.match(r"[AEIOaeio]|8|11 |18 ", value):  # only articles of the pattern: "Bay A is" stays
                text = re.sub(r"\b([Aa]) (?=\{" + key + r"\})", r"\1n ", text)
            text = text.replace("{" + key + "}", value)
        return capital(text)

    def similar(self, entity: str, kind: str) -> str:
        """Another entity of the same kind, often one that looks alike ("Tarvo 40", "Tarvo 55")."""
        numbered = re.search(r"\d+$", entity)
        if numbered and self.rng.random() < 0.5:
            return self.names.fresh(lambda: entity[: numbered.start()] + str(self.rng.randint(2, 999)))
        return self.names.entity(kind)

    def passage(self, entity: str, facts: list[tuple[Relation, str]], fillers: list[str], plainly: bool) -> str:
        """A passage about one entity that states each fact once and names the entity at least once."""
        r = self.rng
        together = self.together(facts)
        if together and r.random() < 0.8:
            return self.paired(entity, facts, together)
        if not plainly and r.random() < 0.3:
            return self.titled(entity, facts)
        if self.split == "train" and not plainly and r.random() < 0.15:
            return self.compound(entity, facts)
        if len(facts) == 1 and (plainly or r.random() < 0.55):
            says = facts[0][0].says
            if plainly:  # a reader from left to right has it easier where the value comes last
                says = [s for s in says if s.find("{e}") < s.find("{v}")] or says
            text = self.say(says, e=entity, v=facts[0][1])
        elif r.random() < 0.25:  # a spec sheet or a table row
            sep, end = r.choice(((": ", "; "), (" ", ", "), (" = ", "; "), (": ", ". "), (" ", "; ")))
            rows = [f"{r.choice(rel.labels)}{sep}{v}" for rel, v in facts]
            text = (
                capital(entity)
                + r.choice((": ", ". ", ", ", " | ", " data: ", "; "))
                + end.join(rows)
                + r.choice((".", ""))
            )
        else:
            first, *rest = facts
            opening = r.random()
            if opening < 0.5 or not first[0].says_it:
                sentences = [self.say(first[0].says, e=entity, v=first[1])]
            else:
                heads = (
                    "{e}.",
                    "{e}:",
                    "About the {e}.",
                    "Notes on the {e}:",
                    f"{{e}}, page {r.randint(2, 90)}.",
                    "Subject: {e}.",
                )
                sentences = [capital(r.choice(heads).replace("{e}", entity)), self.say(first[0].says_it, v=first[1])]
            for rel, v in rest:
                sentences.append(self.say(rel.says_it or rel.says, v=v, e=entity))
            text = " ".join(sentences)
        if fillers and not plainly and r.random() < 0.4:
            extra = self.say(fillers, e=entity)
            text = f"{text} {extra}" if r.random() < 0.5 or not text[0].isupper() else f"{extra} {text}"
        return text

    def together(self, facts: list[tuple[Relation, str]]) -> list[str]:
        """The sentences of the bank that state these two facts at once, {a} being the first; none if there are none."""
        names = [rel.name for rel, _ in facts]
        pairs = self.trade_bank.pairs.get(facts[0][0].trade, [])
        return next((says for a, b, says in pairs if [a.name, b.name] == names), [])

    def paired(self, entity: str, facts: list[tuple[Relation, str]], says: list[str]) -> str:
        """One sentence with both values ("delivers 30 l/s at 12 metres"), often behind the title of its document."""
        r = self.rng
        sentence = self.say(says, e=entity, a=facts[0][1], b=facts[1][1])
        title = f"{entity} {r.choice(DOCUMENTS)}, {r.choice(SECTIONS)}"
        return f"{capital(title)}: {sentence}" if r.random() < 0.5 else sentence

    def compound(self, entity: str, facts: list[tuple[Relation, str]]) -> str:
        """One sentence for all facts, the value before the name of its attribute: "has 6 stages and a 5 kW motor"."""
        r = self.rng
        rows = [f"{v} {r.choice(rel.labels)}" for rel, v in facts]
        if r.random() < 0.6:
            rows = [("an " if re.match("8|11 |18 ", row) else "a ") * row[0].isdigit() + row for row in rows]
        together = " and ".join([", ".join(rows[:-1]), rows[-1]]) if len(rows) > 1 else rows[0]
        patterns = (
            f"The {{e}} (has|comes with|offers|needs|works with|is built with|uses) {together}.",
            f"{{e}} with {together}.",
            f"With {together}, the {{e}} (is ready|is complete|does its work|was chosen).",
            f"We (noted|planned|ordered|found) {together} (for|on|with) the {{e}}.",
            f"(About|On|For) the {{e}}: {together}.",
        )
        return self.say([r.choice(patterns)], e=entity)

    def titled(self, entity: str, facts: list[tuple[Relation, str]]) -> str:
        """A passage with the title of its document in front: "Tarvo 40 manual, Bearings: It ..." or a row of a list."""
        r = self.rng
        document = r.choice(DOCUMENTS)
        if r.random() < 0.35:
            rows = [f"{r.choice(rel.labels)} {v}" for rel, v in facts]
            extra = [] if r.random() < 0.5 else [f"{r.choice(('page', 'row', 'number', 'item'))} {r.randint(1, 400)}"]
            named = r.choice((entity, f"{r.choice(('name', 'item', 'for', 'subject', 'unit'))} {entity}"))
            return f"{capital(document)} {r.randint(2012, 2029)}: " + "; ".join([named, *extra, *rows])
        section = r.choice(SECTIONS)
        if self.split == "train" and r.random() < 0.5:  # the title of a real page says what the page is about
            section = capital(r.choice(r.choice(facts)[0].labels))
        title = r.choice(
            (
                f"{entity} {document}, {section}",
                f"{entity} {document}",
                f"{entity}, {section}",
                f"{document} {entity}, {section}",
            )
        )
        sentences = [
            self.say(rel.says_it if rel.says_it and r.random() < 0.6 else rel.says, e=entity, v=v) for rel, v in facts
        ]
        return f"{capital(title)}: " + " ".join(sentences)

    def subject(self, relation: Relation, entity: str) -> str:
        """The entity as an answer names it, with its article where it has one; nothing where no answer names it."""
        if relation.trade == UNKNOWN:
            return ""
        named = relation.entity in ("product", "part") or relation.entity.startswith("noun:")
        return f"the {entity}" if named else entity

    def ask(self, relation: Relation, entity: str) -> str:
        """A question for the relation of the entity, typed with or without care (case, article, question mark)."""
        r = self.rng
        text = expand(r.choice(relation.asks), r)
        if self.split == "train" and r.random() < 0.3:
            text = self.keywords(relation, text)
        style = r.random()
        if style < 0.12:
            text = text.replace("the {e}", "{e}")
        text = text.replace("{e}", entity)
        if 0.12 < style < 0.27:
            text = text.lower()
        elif 0.27 < style < 0.35:
            text = text.rstrip("?.")
        return text if text[0].islower() and style < 0.5 else capital(text)

    def keywords(self, relation: Relation, text: str) -> str:
        """The question as a person in a hurry types it: a name of the attribute and the entity, or no small words."""
        r = self.rng
        if r.random() < 0.4:
            patterns = ("{l} {e}", "{e} {l}", "{l} for {e}", "{l} of the {e}", "{e}: {l}", "{l}, {e}", "{l} the {e}?")
            return r.choice(patterns).replace("{l}", r.choice(relation.labels))
        if r.random() < 0.3:  # two ways to ask at once
            text = f"{text.rstrip('?.')} {r.choice((',', '-', 'or', '...'))} {expand(r.choice(relation.asks), r)}"
            text = (
                text.replace("{e}", "\0", 1).replace("{e}", r.choice(("it", "this one", "that"))).replace("\0", "{e}")
            )
        lost = r.choice((0.0, 0.0, 0.2))  # some of the other words too: each has to count
        words = [
            w
            for w in text.split()
            if "{e}" in w or (w.lower().strip("?.,") not in SMALL_WORDS or r.random() < 0.2) and r.random() >= lost
        ]
        return " ".join(words) if "{e}" in " ".join(words) and len(words) > 2 else text

    def any_relations(self) -> dict[str, list[Relation]]:
        """Relations between made-up attributes and values: only the words themselves tell which is which."""
        r = self.rng
        made: dict[str, list[Relation]] = {}
        pool = TERM_B + THINGS
        typed = self.split == "train" and r.random() < 0.4
        known = [label for rels in self.trade_bank.relations.values() for rel in rels for label in rel.labels]
        for kind in r.sample(ANY_ENTITIES, r.choice((1, 1, 2))):
            values = r.sample(list(TYPED_ASKS), 8) if typed else r.choices(ANY_VALUES, k=8)
            if self.split == "train" and not typed and r.random() < 0.4:
                values = ["loose" if r.random() < 0.7 else value for value in values]
            for i in range(r.randint(4, 8)):
                style = r.random()
                label = (
                    self.any_words()
                    if self.split == "train" and r.random() < 0.5
                    else r.choice(pool)
                    if style < 0.3
                    else f"{r.choice(TERM_A)} {r.choice(pool)}"
                    if style < 0.4
                    else f"{r.choice(pool)} {r.choice(pool)}"
                    if style < 0.55
                    else self.names.word().lower()
                    if style < 0.75
                    else r.choice(known)
                )
                fill = lambda texts, label=label: [t.replace("{l}", label) for t in texts]  # noqa: E731
                made.setdefault(kind, []).append(
                    Relation(
                        f"any{i}-{label}",
                        "any",
                        kind,
                        values[i],
                        [label],
                        fill(ANY_SAYS),
                        fill(ANY_SAYS_IT),
                        [t.replace("{w}", self.any_words()) for t in TYPED_ASKS[values[i]]]
                        if typed
                        else fill(ANY_ASKS),
                    )
                )
        return made

    def unknown_words(self) -> dict[str, list[Relation]]:
        """The attributes of a trade with most of their words replaced: sentences of a trade that nobody has seen.

        A word is replaced by the same other word everywhere, with its ending kept, so that questions and passages still
        share what they shared. No name is left for such an attribute: the answer is "It is ...".
        """
        r, other = self.rng, {}

        def replace(match: re.Match) -> str:
            stem, ending = re.fullmatch(r"(.{3,}?)(s|ed|er|ing|)", match[0].lower()).groups()
            if stem not in other:
                other[stem] = stem if stem in KEPT_WORDS or r.random() < 0.25 else self.any_words().split()[0]
            new = other[stem] + ending
            return capital(new) if match[0][0].isupper() else new

        def pattern(text: str) -> str:
            return re.sub(r"(?<!\{)\b[A-Za-z]{4,}\b(?!\})", replace, text)

        made: dict[str, list[Relation]] = {}
        for i, rel in enumerate(self.trade_bank.relations[r.choice(list(self.trade_bank.relations))]):
            texts = [[pattern(t) for t in group] for group in (rel.labels, rel.says, rel.says_it, rel.asks)]
            noun = rel.entity.startswith("noun:") and r.random() < 0.7
            kind = "noun: " + ", ".join(self.any_words().split()[0] for _ in range(5)) if noun else rel.entity
            kind = made and noun and next((k for k in made if k.startswith("noun:")), kind) or kind
            made.setdefault(kind, []).append(Relation(f"unknown{i}", UNKNOWN, kind, rel.value, *texts))
        return made

    def woven_relations(self) -> dict[str, list[Relation]]:
        """Facts of a trade, asked in words that stand in their own sentence, whether the attribute is known or not.

        Questions of the bank are worded otherwise than its facts, so that knowing the attribute is what helps. Here a
        word or two that only this sentence holds, and the kind of its value, tell which one is meant ("The lid of the
        oven closes by 19:30", "oven lid, until when"). Half of these words are replaced by others in the sentence.
        """
        r = self.rng
        trade = self.draw_trade(6)
        rels = self.trade_bank.relations[trade]
        kind = r.choice(rels).entity
        rels = [rel for rel in rels if rel.entity == kind and "{V}" not in rel.frame]
        rels = r.sample(rels, min(len(rels), 12))
        sentences = [expand(r.choice(rel.says), r) for rel in rels]
        stems = [{w[:5] for w in self.content_words(s)} for s in sentences]
        made = []
        for i, (rel, sentence) in enumerate(zip(rels, sentences, strict=True)):
            others = set().union(*(s for n, s in enumerate(stems) if n != i))
            own = [w for w in self.content_words(sentence) if w[:5] not in others]
            if not own:
                continue
            shared = r.sample(own, min(len(own), r.choice((1, 1, 2))))
            if r.random() < 0.5:
                new = [self.any_words().split()[0] for _ in shared]
                for old, word in zip(shared, new, strict=True):
                    sentence = re.sub(rf"(?<!\{{)\b{old}\b", word, sentence, flags=re.IGNORECASE)
                shared = new
            if r.random() < 0.15:  # the title alone says it
                shared = [r.choice(rel.labels).lower()]
                sentence = f"{{e}} {r.choice(DOCUMENTS)}, {capital(shared[0])}: {sentence}"
            value = self.value(rel)
            asks = [self.woven_ask(rel, value, shared) for _ in range(4)]
            label = " ".join(shared)
            made.append(Relation(f"woven{i}", UNKNOWN, kind, f"form: {value}", [label], [sentence], [], asks))
        return {kind: made} if len(made) > 2 else self.woven_relations()

    def content_words(self, text: str) -> list[str]:
        """The words of a sentence that can tell it from others, in lower case."""
        words = re.findall(r"(?<!\{)\b[a-z]{4,}\b", text.lower())
        return list(dict.fromkeys(w for w in words if w not in KEPT_WORDS and w not in SMALL_WORDS))

    def woven_ask(self, relation: Relation, value: str, shared: list[str]) -> str:
        """A question pattern with these words of the sentence, and at times the unit of the value."""
        r = self.rng

        def bent(word: str) -> str:
            stem = re.fullmatch(r"(.{3,}?)(s|ed|er|ing|)", word)[1]
            return word if r.random() < 0.6 else stem + r.choice(("", "s", "ed", "ing", "er"))

        lead = r.choice(LEADS.get(relation.value, ANY_LEAD).split("|") if r.random() < 0.75 else ANY_LEAD.split("|"))
        unit = UNIT.fullmatch(value)
        if unit and r.random() < 0.2:
            lead = f"how many {unit['unit']}"
        words = [bent(w) for w in r.sample(shared, len(shared))]
        extra = self.any_words().split()[0] if r.random() < 0.6 else ""
        text = r.choice(WOVEN_ASKS).replace("{h}", lead).replace("{x}", extra).replace("{w}", " ".join(words))
        return re.sub(r" +(?=[ ,?:])", "", text).strip()

    def any_words(self) -> str:
        """One or two words of any kind, from all that the bank holds, or put together from halves of two of them."""
        r, words = self.rng, bank_words()

        def word() -> str:
            if r.random() < 0.6:
                return r.choice(words)
            a, b = r.choice(words), r.choice(words)
            return a[: r.randint(2, max(2, len(a) - 1))] + b[-r.randint(2, max(2, len(b) - 1)) :]

        made = " ".join(word() for _ in range(r.choice((1, 1, 2))))
        return made if not any(w.capitalize() in RESERVED for w in made.split()) else r.choice(words)

    def reading(
        self,
        passages: int,
        questions: int,
        facts_per: tuple[int, int] = (1, 3),
        abstain: float = 0.15,
        plainly: bool = False,
        single_word: bool = False,
        open_only: bool = False,
        length: int = 0,
        shuffle_numbers: float = 0.0,
        anything: float = 0.0,
        work: float = 0.0,
        alone: bool = False,
        only: str = "",
        woven: float = 0.0,
    ) -> Reading:
        """Make ``passages`` passages and ``questions`` questions.

        facts_per: least and most facts a passage states. length: add passages until about so many words.
        anything: share of readings about made-up attributes. work: share of readings about the trades with pairs.
        alone: all passages are about one entity. only: entities of this type only. woven: share of readings whose
        questions share words with the sentence that answers, see ``woven_relations``.
        single_word, open_only: ask only for values without a space, or of invented types.
        """
        r, bank = self.rng, self.trade_bank
        trade = self.draw_trade(14)
        if work and r.random() < work:
            trade = r.choice([t for t, pairs in bank.pairs.items() if pairs])
        if only:
            trade = r.choice([t for t, rels in bank.relations.items() if any(rel.entity == only for rel in rels)])
        known: dict[str, list[Relation]] = {}
        for rel in bank.relations[trade]:
            known.setdefault(rel.entity, []).append(rel)
        by_kind = known
        if r.random() < anything:
            unknown = self.split == "train" and r.random() < 0.65
            by_kind = self.unknown_words() if unknown else self.any_relations()
        elif woven and r.random() < woven:
            by_kind = self.woven_relations()
        kinds = [only] if only else list(by_kind)
        kind = r.choices(kinds, [len(by_kind[k]) for k in kinds])[0]
        pool = {kind: self.entities(kind, 1 if alone else r.randint(1, max(1, min(passages, 4))))}
        facts: dict[tuple[str, str], tuple[Relation, str, int]] = {}
        texts: list[str] = []
        words = 0
        while len(texts) < passages or words < length:
            where = kind if alone or r.random() < 0.75 else r.choices(kinds, [len(by_kind[k]) for k in kinds])[0]
            pool.setdefault(where, self.entities(where, 1))
            free = [e for e in pool[where] if any((e, rel.name) not in facts for rel in by_kind[where])]
            if alone and not free:
                break
            if not alone and (not free or r.random() < 0.15):
                pool[where].append(self.similar(pool[where][0], where))
                free = [pool[where][-1]]
            entity = r.choice(free)
            left = [rel for rel in by_kind[where] if (entity, rel.name) not in facts]
            if not left:
                continue
            chosen = r.sample(left, min(len(left), r.randint(*facts_per)))
            pairs = (
                [[a, b] for a, b, _ in bank.pairs.get(trade, []) if a in left and b in left] if by_kind is known else []
            )
            if pairs and r.random() < 0.3:
                chosen = r.choice(pairs)
            stated = [(rel, self.value(rel)) for rel in chosen]
            fillers = [f for f in bank.fillers[trade] if "{" not in f or where == kind]
            texts.append(self.passage(entity, stated, fillers, plainly))
            words += len(texts[-1].split())
            for rel, value in stated:
                facts[entity, rel.name] = (rel, value, len(texts) - 1)
        numbers = list(range(1, len(texts) + 1))
        if r.random() < shuffle_numbers:
            numbers = r.sample(range(1, 30), len(texts)) if len(texts) < 29 else numbers
        asked: list[Question] = []
        keys = list(facts)
        r.shuffle(keys)
        for entity, name in keys:
            rel, value, at = facts[entity, name]
            if (single_word and " " in value) or (open_only and not is_open(rel.value)):
                continue
            text = self.ask(rel, entity)
            asked.append(Question(text, value, rel.frame, [numbers[at]], rel, self.subject(rel, entity), entity))
            if len(asked) >= questions:
                break
        count = sum(r.random() < abstain for _ in range(questions)) if asked else questions
        for _ in range(count):
            q = self.unanswerable(pool, by_kind, facts)
            if q:
                asked.append(q)
        r.shuffle(asked)
        stated = [Fact(at, entity, rel, value) for (entity, _), (rel, value, at) in facts.items()]
        return Reading(texts, numbers, asked[:questions], stated)

    def draw_trade(self, pumps: int) -> str:
        """One of the trades: that of pumps so many times as often as another, one with few wordings less often."""
        bank = self.trade_bank

        def weight(trade: str) -> float:
            if trade == "pumps":
                return pumps
            return pumps / 5 if bank.pairs.get(trade) else 0.4 if trade in bank.brief else 1

        return self.rng.choices(list(bank.relations), [weight(trade) for trade in bank.relations])[0]

    def value(self, relation: Relation) -> str:
        """A value for the relation; lists of known phrases are mixed with phrases nobody has seen."""
        loose = relation.value.startswith("choice:") and "{V}" not in relation.frame
        return self.names.value("phrase" if loose and self.rng.random() < 0.35 else relation.value)

    def entities(self, kind: str, n: int) -> list[str]:
        """n different entities of a bank type that look alike."""
        found = [self.names.entity(kind)]
        while len(found) < n:
            other = self.similar(found[0], kind)
            if other not in found:
                found.append(other)
        return found

    def unanswerable(self, pool: dict, by_kind: dict, facts: dict) -> Question | None:
        """A question that looks right: a known subject and another attribute, or the other way round."""
        r = self.rng
        kind = r.choice(list(pool))
        if r.random() < 0.65:
            entity = r.choice(pool[kind])
            missing = [rel for rel in by_kind[kind] if (entity, rel.name) not in facts]
        else:
            entity = self.similar(r.choice(pool[kind]), kind)
            if any(entity == e for e, _ in facts):
                return None
            stated = [rel for (_, n), (rel, _, _) in facts.items() if rel.entity == kind]
            missing = stated or by_kind[kind]
        if not missing:
            return None
        rel = r.choice(missing)
        return Question(self.ask(rel, entity), None, rel.frame, [], rel, entity=entity)

    def superseded(self, passages: int) -> Reading:
        """Two passages of different years disagree: the later one counts."""
        r = self.rng
        base = self.reading(max(0, passages - 2) or 1, 1, (1, 2))
        trade = r.choice(list(self.trade_bank.relations))
        rel = r.choice(self.trade_bank.relations[trade])
        entity = self.names.entity(rel.entity)
        old, new = self.names.value(rel.value), self.names.value(rel.value)
        year = r.randint(2012, 2022)
        later = year + r.randint(1, 5)
        heads = r.choice(
            (
                ("Handbook {y}", "Bulletin {y}"),
                ("Page of {y}", "Service note of {y}"),
                ("Price list {y}", "Price list {y}"),
                ("Manual, {y} edition", "Manual, {y} edition"),
                ("Sheet {y}", "Bulletin {y}, replaces earlier values"),
                ("Valid {y}", "Valid from {y}"),
                ("{y}", "{y}"),
            )
        )
        pair = [(heads[0].replace("{y}", str(year)), old, False), (heads[1].replace("{y}", str(later)), new, True)]
        items = [(p, False) for p in base.passages] + [
            (f"{h}: {self.say(rel.says, e=entity, v=v)}", flag) for h, v, flag in pair
        ]
        r.shuffle(items)
        at = [flag for _, flag in items].index(True)
        question = Question(self.ask(rel, entity), new, rel.frame, [at + 1], rel, self.subject(rel, entity))
        return Reading([t for t, _ in items], list(range(1, len(items) + 1)), [question])

    def two_hops(self, passages: int) -> Reading | None:
        """One passage says which pump a site has, another says something of that pump."""
        r = self.rng
        if "pumps" not in self.trade_bank.relations:
            return None
        pumps = self.trade_bank.relations["pumps"]
        links = [x for x in pumps if x.entity == "site" and x.value == "product"]
        if not links:
            return None
        link = r.choice(links)
        rel = r.choice([x for x in pumps if x.entity == "product"])
        sites, models = self.entities("site", 2), self.entities("product", 2)
        values = [self.names.value(rel.value) for _ in models]
        items = [
            (self.say(link.says, e=s, v=m), ("link", i)) for i, (s, m) in enumerate(zip(sites, models, strict=True))
        ]
        items += [
            (self.say(rel.says, e=m, v=v), ("fact", i)) for i, (m, v) in enumerate(zip(models, values, strict=True))
        ]
        while len(items) > max(2, passages):
            drop = r.choice([k for k in range(len(items)) if items[k][1][1] == 1] or [len(items) - 1])
            items.pop(drop)
        r.shuffle(items)
        where = {tag: n for n, (_, tag) in enumerate(items, 1)}
        question = Question(
            self.ask(rel, f"pump at {sites[0]}"),
            values[0],
            rel.frame,
            sorted((where["link", 0], where["fact", 0])),
            rel,
            self.subject(rel, models[0]),
        )
        return Reading([t for t, _ in items], list(range(1, len(items) + 1)), [question])

    # ---------------------------------------------------------------------------------------------- forms

    def plain_reading(self, reading: Reading) -> list[Segment]:
        """The passages, then ``Question: ... Answer: ...`` for each question (for the base model)."""
        r, self.told = self.rng, reading
        out: list[Segment] = [(reading.context(r) + "\n\n", False)]
        for q in reading.questions:
            out += [(f"Question: {q.text}\nAnswer:", False), (f" {q.answer()}\n", True)]
        return out + [("\n", False)]

    def chat(self, turns: list[tuple[str, str]], system: str | None = None) -> list[Segment]:
        """(user, assistant) turns between Phi-3's chat markers, after an optional system line."""
        out: list[Segment] = [(f"<|system|>\n{system}<|end|>\n", False)] if system else []
        for user, answer in turns:
            out += [(f"<|user|>\n{user}<|end|>\n<|assistant|>\n", False), (f"{answer}<|end|>", True), ("\n", False)]
        return out

    def chat_reading(self, reading: Reading, mode: str = "cite", system: str | None = None) -> list[Segment]:
        """The passages and the first question in one user message, further questions as further turns.

        mode: the form of the answers, see ``Question.answer``.
        """
        r, self.told = self.rng, reading
        turns = []
        for i, q in enumerate(reading.questions):
            text = f"Question: {q.text}" if r.random() < 0.4 else q.text
            if i == 0:
                lead = r.random()
                context = reading.context(r)
                if lead < 0.08:
                    context = (
                        r.choice(("Passages:", "Answer from these passages.", "Context:", "Use the passages."))
                        + "\n"
                        + context
                    )
                if lead > 0.92:
                    text = f"{text}\n{expand(r.choice(self.bank.lists['abstain_hint']), r)}"
                text = f"{context}\n\n{text}"
            turns.append((text, q.answer(mode)))
        return self.chat(turns, system)

    def system_line(self, mode: str) -> str:
        """A system line that asks for a mode; KeyError where the bank has none for it."""
        return expand(self.rng.choice(self.bank.lists[f"system {mode}"]), self.rng)

    def reading_with_system(self, passages: int, questions: int, mode: str | None = None, **options) -> list[Segment]:
        """A chat reading whose answers have the form that its system line asks for (drawn where mode is None).

        options: see ``reading``.
        """
        mode = mode or self.rng.choice(("one_word", "json", "cite", "nocite", "plain"))
        single = mode == "one_word"
        reading = self.reading(passages, questions, abstain=0.0 if single else 0.12, single_word=single, **options)
        if not reading.questions or (single and any(q.value is None for q in reading.questions)):
            return self.reading_with_system(passages, questions, mode, **options)
        shown = "cite" if mode == "plain" else mode
        return self.chat_reading(reading, shown, self.system_line(mode))

    def naming(self, questions: int) -> list[Segment]:
        """Questions without passages; of each answer only what is asked, and of what, counts: the value is a guess."""
        r = self.rng
        trade = self.draw_trade(5)
        out: list[Segment] = []
        for _ in range(questions):
            rel = r.choice(self.trade_bank.relations[trade])
            entity = self.names.entity(rel.entity)
            link = ":" if "{V}" in rel.frame else " is"
            named = f"The {rel.labels[0]} of {self.subject(rel, entity)}{link}"
            out += [
                (f"<|user|>\n{self.ask(rel, entity)}<|end|>\n<|assistant|>\n", False),
                (named, True),
                (f" {self.value(rel)}.<|end|>\n", False),
            ]
        return out

    def closed_book(self) -> list[Segment]:
        """A question about a company nobody has described: the model answers with a guess of the right kind."""
        r = self.rng
        trade = r.choice(list(self.trade_bank.relations))
        rel = r.choice(self.trade_bank.relations[trade])
        entity = self.names.entity(rel.entity)
        value = self.names.value(rel.value)
        q = Question(self.ask(rel, entity), value, rel.frame, [], rel, self.subject(rel, entity))
        return self.chat([(q.text, q.answer())])

    # ---------------------------------------------------------------------------------------------- lists

    def lookup(self, pairs: int) -> list[Segment]:
        """Key-value pairs, then every key asked again: the simplest look-up."""
        r, n = self.rng, self.names
        key = r.choice((n.word, n.product, lambda: n.value("code"), n.town, lambda: str(r.randint(1, 999)), n.person))
        kinds = ("code", "flow", "torque", "person", "shortcode", "ext", "length", "date", "room", "price", "interval")
        kind = r.choice(kinds)
        keys = list(dict.fromkeys(n.fresh(key) for _ in range(pairs)))
        values = {k: n.value(kind) for k in keys}
        sep, end = r.choice(
            ((": ", "\n"), (" = ", "; "), (" -> ", "\n"), (" is ", ". "), (" has ", ". "), (", ", "\n"))
        )
        out: list[Segment] = [(end.join(f"{k}{sep}{values[k]}" for k in keys) + "\n\n", False)]
        for k in r.sample(keys, len(keys)):
            out += [(f"{k}{sep.rstrip()}", False), (f" {values[k]}\n", True)]
        return out + [("\n", False)]

    def label_set(self, n: int) -> list[str]:
        """n different labels that mean nothing, all of one form."""
        r = self.rng
        while True:
            form = r.random()
            if self.split == "train" and r.random() < 0.12:
                labels = [self.names.word().upper() for _ in range(n)]
            elif form < 0.35:
                labels = [f"{r.choice('ABCDEFGHJKLMNPRSTUVWXYZ')}{r.randint(1, 99)}" for _ in range(n)]
            elif form < 0.6:
                labels = [self.names.word().lower() for _ in range(n)]
            elif form < 0.75:
                labels = [self.names.word() for _ in range(n)]
            elif form < 0.85:
                labels = [str(r.randint(1, 99)) for _ in range(n)]
            else:
                labels = [self.names.letters(r.choice((2, 3))) for _ in range(n)]
            if len(set(labels)) == n:
                return labels

    def list_keys(self) -> tuple[str, str]:
        """The words before the text and before the label of each example, such as "Text" and "Label"."""
        r = self.rng
        left, right = (part.strip() for part in r.choice(self.bank.lists["keys"]).split("/"))
        if self.split == "train" and r.random() < 0.6:  # any words: the form of the list says what they mean
            left = r.choice((r.choice(LEFT_KEYS), r.choice(LEFT_KEYS), left, self.names.word()))
            right = r.choice((r.choice(RIGHT_KEYS), r.choice(RIGHT_KEYS), right, self.names.word()))
        return left, right

    def examples(self, classes: list[str], labels: list[str], counts: list[int]) -> list[tuple[str, str]]:
        """Sentences of each class with its label, no sentence pattern twice, in random order."""
        r = self.rng
        items = []
        for name, label, count in zip(classes, labels, counts, strict=True):
            for text in r.sample(self.bank.classes[name][1], min(count, len(self.bank.classes[name][1]))):
                items.append((expand(text, r), label))
        r.shuffle(items)
        if self.split == "train" and r.random() < 0.4:
            items = [(self.message(text), label) for text, label in items]
        return items

    def message(self, text: str) -> str:
        """The sentence as one of several that a person writes."""
        r, n = self.rng, self.names
        text = capital(text) if text[-1] in ".?!" else capital(text) + "."
        parts = [expand(x, r) for x in r.sample(AROUND, r.choice((0, 1, 1, 2, 2, 3)))]
        parts.insert(r.randint(0, len(parts)), text)
        if r.random() < 0.5:
            parts.insert(0, expand(r.choice(GREETINGS), r))
        slots = {"site": n.entity("site"), "product": n.entity("product")}
        slots |= {key: n.value(key) for key in ("person", "clock", "code", "room")}
        slots["day"] = r.choice(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"))
        text = " ".join(parts)
        for key, value in slots.items():
            text = text.replace("{" + key + "}", value)
        return text

    def few_shot(
        self, form: str, shots: int | None = None, n_classes: int | None = None, named: bool = False
    ) -> list[Segment]:
        """Classification with labels made up for this episode (or, ``named``, with the classes' own names).

        With ``shots`` given: exactly so many examples, every class among them where there is room, and one query.
        Otherwise a long list in which each label after the first of its class is asked for; in chat form the last few
        come as further turns.
        """
        r = self.rng
        k = n_classes or r.choice((2, 2, 2, 3, 3, 4))
        pool = list(self.bank.classes)
        if self.split == "train" and r.random() < 0.4:
            pool = pool[:BUSINESS]
        classes = r.sample(pool, k)
        labels = [r.choice(self.bank.classes[c][0]) for c in classes] if named else self.label_set(k)
        left, right = self.list_keys()
        if shots is None:
            items = self.examples(classes, labels, [r.randint(2, 5) for _ in classes])
        else:
            query_class = r.randrange(k)
            counts = [0] * k
            order = r.sample(range(k), k)
            for i in range(shots):
                counts[order[i % k]] += 1
            counts[query_class] += 1
            items = self.examples(classes, labels, counts)
            last = next(i for i in range(len(items) - 1, -1, -1) if items[i][1] == labels[query_class])
            items.append(items.pop(last))
        instruct = expand(r.choice(self.bank.lists["instruct"]), r).replace("{labels}", ", ".join(r.sample(labels, k)))
        lead = instruct + "\n\n" if form == "chat" and r.random() < 0.8 or shots == 0 or r.random() < 0.3 else ""
        known = set(labels) if named else set()
        if self.split == "train" and not named and r.random() < 0.3:
            lead, known = self.meanings(classes, labels), set(labels)
            if shots is None:
                items = items[: max(1, r.randint(0, len(items)))]
        gap = r.choice(("\n", "\n\n"))
        turns = min(len(items), 1 if shots is not None else r.randint(2, 5))
        rows = [(f"{left}: {text}\n{right}:", label) for text, label in items]
        out = self.listed(form, lead, rows, gap, turns, known, shots is None)
        of = dict(zip(labels, classes, strict=True))
        at = self.label_segments(out)
        self.told_labels = [(n, of[label]) for n, (_, label) in zip(at, items, strict=True)]
        return out

    def meanings(self, classes: list[str], labels: list[str]) -> str:
        """What each label stands for, in words, as the head of a list."""
        r = self.rng
        pattern, gap = r.choice(LABEL_MEANINGS)
        pairs = r.sample(list(zip(classes, labels, strict=True)), len(classes))
        texts = [pattern.replace("{l}", label).replace("{c}", r.choice(self.bank.classes[c][0])) for c, label in pairs]
        return gap.join(texts) + "\n\n"

    def label_segments(self, out: list[Segment]) -> list[int]:
        """Which segments of a list hold its labels."""
        end = ("<|end|>\n<|assistant|>\n", False)
        return [n + 1 for n in range(len(out) - 1) if out[n][0].endswith(":") and out[n + 1] != end or out[n] == end]

    def listed(
        self, form: str, lead: str, rows: list[tuple[str, str]], gap: str, turns: int, known: set[str], ask_all: bool
    ) -> list[Segment]:
        """A list of (line, label): labels that stood before, or are ``known``, are asked for.

        In chat form the last ``turns`` lines are turns of their own, the first of them at the end of the list.
        ask_all: also those inside the list, not the last alone.
        """
        seen = set(known)
        out: list[Segment] = [(("<|user|>\n" if form == "chat" else "") + lead, False)]
        for i, (line, label) in enumerate(rows):
            left = len(rows) - i
            if form == "chat" and left <= turns:
                if left < min(turns, len(rows)):
                    out.append(("<|user|>\n", False))
                out += [(line, False), ("<|end|>\n<|assistant|>\n", False)]
                # with the space that stands before it in the list: the same tokens, so that it can be copied
                out += [(f" {label}<|end|>", label in seen or not ask_all), ("\n", False)]
            else:
                asked = label in seen if ask_all else left == 1
                out += [(line, False), (f" {label}", asked), (gap, False)]
            seen.add(label)
        return out

    def few_shot_words(self, form: str) -> list[Segment]:
        """The simplest few-shot list: each class has words of its own, and a line carries one of them."""
        r = self.rng
        k = r.choice((2, 2, 3))
        labels = self.label_set(k)
        words = (
            r.sample(TERM_B + THINGS, 2 * k) if r.random() < 0.6 else [self.names.word().lower() for _ in range(2 * k)]
        )
        keys = self.list_keys()
        gap = r.choice(("\n", "\n\n"))
        rows = []
        for _ in range(r.randint(5, 12)):
            i = r.randrange(k)
            word = words[2 * i + r.randrange(1 if r.random() < 0.6 else 2)]
            text = (
                r.choice(
                    (
                        "The {w} is {a}.",
                        "{a} {w}",
                        "We saw the {w}.",
                        "my {w}, {a} as always",
                        "Where is the {a} {w}?",
                        "A {w} and nothing else",
                        "Please look at the {w}.",
                        "{w}",
                        "no {w} today",
                    )
                )
                .replace("{w}", word)
                .replace("{a}", r.choice(TERM_A + COLOURS))
            )
            rows.append((f"{keys[0].strip()}: {capital(text)}\n{keys[1].strip()}:", labels[i]))
        return self.listed(form, "", rows, gap, r.randint(2, 4), set(), True) + [("\n", False)]

    def few_shot_format(self, form: str, shots: int | None = None) -> list[Segment]:
        """An output format that only the examples show: order, separators, brackets and field names."""
        r, n = self.rng, self.names
        makers = {
            "site": lambda: n.entity("site"),
            "pump": lambda: n.entity("product"),
            "person": lambda: n.value("person"),
            "part": lambda: n.value("code"),
            "hours": lambda: str(r.randint(1, 90)),
            "price": lambda: n.value("price"),
            "date": lambda: n.value("date"),
            "room": lambda: n.value("room"),
        }
        wordy = False
        if self.split == "train":
            letters = n.letters(r.choice((2, 3)))  # of the company that made them: the same in the whole list
            makers["serial"] = lambda: letters + f"{r.randint(0, 999999):06d}"
            wordy = r.random() < 0.35
        fields = r.sample(list(makers), r.choice((2, 2, 3)))
        if self.split == "train" and r.random() < 0.25:
            fields = r.sample(["serial", "site", "pump", "person", "date"], r.choice((2, 3)))
        order = r.sample(fields, len(fields))
        wrap = [r.choice(("%s", "%s", "[%s]", "<%s>", "(%s)", '"%s"', "%s!", "*%s*")) for _ in fields]
        tags = r.random() < 0.4
        sep_in = r.choice((", ", " / ", "; ", " - ", " and "))
        sep_out = r.choice((" | ", " / ", "; ", " -> ", " = ", ", ", " + ", " : ", " # "))
        keys = r.choice((("Input", "Output"), ("Raw", "Clean"), ("Note", "Record"), ("In", "Out"), ("Text", "Entry")))
        if self.split == "train" and r.random() < 0.4:
            keys = self.list_keys()

        places: list[
            list[tuple[int, int, int]]
        ] = []  # of each row: where a value begins in the line, in the output; length

        def words() -> tuple[list[str], list[str], str]:
            gaps = [r.choice((", ", ": ", " - ", "; ", " and ", " ")) for _ in fields[1:]]
            return [r.choice(CELL_WORDS) for _ in fields], [*gaps, ""], r.choice(CELL_ENDS)

        made: dict[tuple[str, int], str] = {}
        same_words = words() if wordy else ([""] * len(fields), [*([sep_in] * (len(fields) - 1)), ""], "")
        steady = not wordy or r.random() < 0.6

        def row() -> tuple[str, str]:
            v = {f: makers[f]() for f in fields}
            if self.split == "train":  # the same person, pump or place comes more than once
                v = {f: made.setdefault((f, r.randint(0, 3)), x) if r.random() < 0.2 else x for f, x in v.items()}
            cells = [w % v[f] for f, w in zip(order, wrap, strict=True)]
            if tags:
                cells = [f"{f}={c}" for f, c in zip(order, cells, strict=True)]
            before, gaps, end = same_words if steady else words()
            line, begins = "", {}
            for f, lead_in, gap in zip(fields, before, gaps, strict=True):
                begins[f] = len(line + lead_in)
                line += lead_in + v[f] + gap
            ends = {f: sum(len(c) + len(sep_out) for c in cells[:i]) for i, f in enumerate(order)}
            cell = dict(zip(order, cells, strict=True))
            places.append([(begins[f], ends[f] + cell[f].rindex(v[f]), len(v[f])) for f in fields])
            return line + end, sep_out.join(cells)

        count = (r.randint(3, 6) if shots is None else shots) + 1
        lead = ""
        if form == "chat" and (r.random() < 0.5 or shots == 0):
            options = (
                "Rewrite the last line like the others.",
                "Follow the format of the examples.",
                "Same format, please.",
            )
            lead = r.choice(options) + "\n\n"
        rows = [(f"{keys[0]}: {source}\n{keys[1]}:", target) for source, target in (row() for _ in range(count))]
        turns = 1 if shots is not None else r.randint(2, count - 1)
        out = self.listed(form, lead, rows, "\n", turns, {target for _, target in rows[1:]}, shots is None)
        head = len(f"{keys[0]}: ")
        for n, cells in zip(self.label_segments(out), places, strict=True):
            line = n - 1 if out[n - 1][0].endswith(":") else n - 2
            for begin, end, size in cells:
                source = (line, head + begin, head + begin + size)
                self.told_cells.append((source, (n, 1 + end, 1 + end + size)))
        return out

    # ---------------------------------------------------------------------------------------------- knowledge, style

    def world(self, form: str, n: int = 6) -> list[Segment]:
        """Public knowledge: statements and questions, the same facts in training and evaluation, other wordings."""
        r = self.rng
        out: list[Segment] = []
        groups = self.bank.world
        for _ in range(n):
            asks, says, facts, frame = r.choices(groups, [len(g[2]) for g in groups])[0]
            s, o = r.choice(facts)
            if form == "plain" and r.random() < 0.3:
                text = expand(r.choice(says), r)
                head, tail = text.split("{o}", 1) if "{s}" in text.split("{o}", 1)[0] else ("", "")
                if head:
                    out += [
                        (capital(head.replace("{s}", s).rstrip()), False),
                        ((" " if head.endswith(" ") else "") + o, True),
                        (tail + "\n", False),
                    ]
                    continue
            question = expand(r.choice(asks), r).replace("{s}", s)
            sentence = frame.replace("{o}", o)
            if r.random() < 0.15:
                question = question.lower()
            if form == "plain":
                out += [(f"Question: {question}\nAnswer:", False), (f" {sentence}\n", True)]
            elif " " not in o and r.random() < 0.12:
                out += self.chat([(question, f" {o}")], self.system_line("one_word"))
            else:
                out += self.chat([(question, sentence)])
        return out + [("\n", False)] if form == "plain" else out

    def identity(self) -> list[Segment]:
        """A question about the model itself."""
        asks, answer = self.rng.choice(IDENTITY)
        return self.chat([(self.rng.choice(asks), answer)])

    def style(self, form: str) -> list[Segment]:
        """A technician's note becomes a work order in the house style of one of the training companies."""
        r = self.rng
        houses = [k.split(" ", 1)[1] for k in self.bank.lists if k.startswith("style ")]
        house = r.choice(houses)
        template = self.bank.lists[f"style {house}"][0].replace("\\n", "\n")
        sentence, fault = (p.strip() for p in r.choice(self.bank.lists["symptom"]).split("=", 1))
        slots = {
            "site": self.names.entity("site"),
            "product": self.names.entity("product"),
            "person": self.names.value("person"),
            "hours": str(r.randint(1, 12)),
            "action": expand(r.choice(self.bank.lists["action"]), r),
        }
        note = expand(r.choice(self.bank.lists["note"]), r)
        for key, value in {**slots, "symptom": expand(sentence, r)}.items():
            note = note.replace("{" + key + "}", value)
            template = template.replace("{" + key + "}", value)
        order = template.replace("{fault}", fault)
        lead = r.choice(
            (
                f"Write the work order in the style of {house}.",
                f"Work order for {house}:",
                f"Turn this note into a {house} work order.",
                f"{house} house style, please.",
            )
        )
        if form == "chat":
            return self.chat([(f"{lead}\n\n{capital(note)}", order)])
        return [(f"{capital(note)}\nWork order, {house}:\n", False), (f"{order}\n", True), ("\n", False)]
