"""Where attention should look in a reading, and what a fact is about: extra teaching while tiny-phi3 is trained.

The next token's loss alone teaches a small model very slowly which of many facts a question means. The maker of an
episode knows it, so training can say it (supervised attention: Liu et al. 2016). All hints are about one token, and
point to an earlier one:

    owner   the last token of the entity that the fact, or the question, is about
    home    the number of the passage that the fact stands in
    name    the last token of a made-up attribute ("the knee of the Tarvo 40")
    aim     from the place where the answer is decided: the fact that answers, or the first token if none does

In a list of outputs, ``aim`` is the value of the line that the next token repeats. ``kind`` is no place but a class:
the relation of the fact or of the question (``relation_numbers``), or the class of a labelled sentence
(``class_numbers``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import accumulate

from episodes import Author, Fact, Question, Reading, Segment
from language import load_bank

SPACE = "Ġ"  # a space before a number is a token of its own
PLACES = ("owner", "home", "name", "aim")
Hints = dict[str, list[int]]  # for each of PLACES and "kind": a number for each token, 0 for none; places count from 1


@lru_cache(maxsize=1)
def relation_numbers() -> dict[str, int]:
    """A number from 1 on for each relation of the training bank."""
    names = [rel.name for rels in load_bank("train", "train").relations.values() for rel in rels]
    return {name: i for i, name in enumerate(sorted(names), 1)}


@lru_cache(maxsize=1)
def class_numbers() -> dict[str, int]:
    """A number for each class of sentences of the bank, after those of the relations."""
    return {name: i for i, name in enumerate(sorted(load_bank("train", "train").classes), len(relation_numbers()) + 1)}


def no_hints(length: int) -> Hints:
    """Hints for an episode that has none."""
    return {name: [0] * length for name in (*PLACES, "kind")}


def find(part: str, text: str) -> list[tuple[int, int]]:
    """(start, end) of every place where the part stands in the text as whole words, in any case."""
    return [m.span() for m in re.finditer(rf"(?<!\w){re.escape(part)}(?!\w)", text, re.IGNORECASE)]


def list_hints(author: Author, encoded: list) -> Hints:
    """The hints of a list of examples: the class of each labelled sentence, and which value an output repeats."""
    starts = [0, *accumulate(len(e) for e in encoded)]
    hints = no_hints(starts[-1])
    for n, name in author.told_labels:
        number = class_numbers()[name]
        hints["kind"][starts[n] - 1] = hints["kind"][starts[n]] = number
        if encoded[n].tokens[0] == SPACE:
            hints["kind"][starts[n] + 1] = number
    for (line, begin, end), (n, first, _) in author.told_cells:
        for character in range(begin, end):
            token = encoded[n].char_to_token(first + character - begin)
            if token and hints["aim"][starts[n] + token - 1] == 0:
                hints["aim"][starts[n] + token - 1] = starts[line] + encoded[line].char_to_token(character) + 1
    return hints


def reading_hints(reading: Reading, segments: list[Segment], encoded: list) -> Hints:
    """The hints of an episode made from the reading. encoded: the segments' encodings (tokenizers.Encoding)."""
    starts = [0, *accumulate(len(e) for e in encoded)]
    tokens = [token for e in encoded for token in e.tokens]
    hints = no_hints(starts[-1])
    opening = f"[{reading.numbers[0]}] {reading.passages[0]}"
    held = next((n for n, (text, _) in enumerate(segments) if opening in text), None)
    if held is None:
        return hints
    keys: dict[tuple[str, str], int] = {}
    for fact in reading.facts:
        key = fact_hints(fact, reading, segments[held][0], encoded[held], starts[held], hints)
        if key is not None:
            keys[fact.entity, fact.relation.name] = key
    answers = [n for n, (_, wanted) in enumerate(segments) if wanted]
    for question, n in zip(reading.questions, answers, strict=True):
        answer_hints(question, segments, encoded, starts, n, keys, tokens, hints)
    return hints


LITTLE_WORDS = set(
    "a an the this that it its of in on at to for with from by and or up is are was has have had can may must will be "
    "takes take needs gives gets uses comes you we".split()
)


def telling_words(text: str, without: list[str]) -> list[str]:
    """The words of the text that may name an attribute: no little words, numbers, nor parts of these other texts."""
    for part in without:
        for start, end in reversed(find(part, text)):
            text = text[:start] + text[end:]
    return [w for w in re.findall(r"[A-Za-z][\w-]+", text) if w.lower() not in LITTLE_WORDS]


def fact_hints(fact: Fact, reading: Reading, text: str, encoding, start: int, hints: Hints) -> int | None:
    """Write the hints of a fact that a passage states; the token that can know the whole fact, or None if not found.

    This is the first token of the value, or the end of the sentence where the value opens it ("45 Nm is the torque").
    """
    number, passage = reading.numbers[fact.passage], reading.passages[fact.passage]
    at = text.index(f"[{number}] {passage}") + len(f"[{number}] ")
    entities = find(fact.entity, passage)
    values = [v for v in find(fact.value, passage) if not any(s <= v[0] < e for s, e in entities)]
    if not values:
        return None
    first, last = values[0]
    opens = max(passage.rfind(". ", 0, first) + 2, passage.rfind(": ", 0, first) + 2, 0)
    stop = re.search(r"\.(?!\d)|;|$", passage[last:]).start() + last
    closing = min(stop, len(passage) - 1)
    before, after = passage[opens:first].split(), passage[last:stop].split()
    has_space = first > 0 and passage[first - 1] == " "

    def token(character: int) -> int:
        return start + encoding.char_to_token(at + character)

    places = list(range(token(first - has_space), token(last - 1) + 1))
    home = token(1 - len(f"[{number}] ")) + 1
    for place in places:
        hints["home"][place] = home
    key, seen = places[0], first
    named = max((len(x) for x in fact.relation.labels if passage[last:].startswith(f" {x}")), default=0)
    beside = [f.value for f in reading.facts if f.passage == fact.passage and f.value != fact.value]
    beside = [v for v in beside if find(v, passage[opens:stop])]
    told = telling_words(passage[opens:first], [fact.entity, *beside])
    following = re.match(r" ([\w-]+)", passage[last:stop])
    if not named and not told and following and telling_words(following[1], [fact.entity]):
        named = following.end()  # nothing before the value says what it is, the word behind it does
    if named:  # the value stands before the name of its attribute: "a 5 kW motor"
        key, seen = token(last + named), last + named
        places = [key]
    elif beside:  # two values in one sentence: the unit at the end of a value tells it from the other
        key, seen = places[-1], last - 1
        places = [key]
    elif len(before) < 3 <= len(after):
        key, seen, places = token(closing), closing, [token(closing)]
    owner = max((end for _, end in entities if end <= seen), default=None)
    made_up = fact.relation.name not in relation_numbers()
    names = [end for _, end in find(fact.relation.labels[0], passage) if opens <= end <= seen] if made_up else []
    for place in places:
        hints["home"][place] = home
        hints["kind"][place] = relation_numbers().get(fact.relation.name, 0)
        if owner and token(owner - 1) != place:
            hints["owner"][place] = token(owner - 1) + 1
        if names and token(names[-1] - 1) != place:
            hints["name"][place] = token(names[-1] - 1) + 1
    return key


def answer_hints(
    question: Question,
    segments: list[Segment],
    encoded: list,
    starts: list[int],
    n: int,
    keys: dict[tuple[str, str], int],
    tokens: list[str],
    hints: Hints,
) -> None:
    """Write the hints of a question and its answer, the n-th segment: where it is decided, looked up and cited."""
    relation, answer = question.relation, segments[n][0]
    kind = relation_numbers().get(relation.name, 0)
    key = keys.get((question.entity, relation.name))
    decide = starts[n] - 1

    def last_token(part: str, segment: int) -> int:
        found = find(part, segments[segment][0])
        return starts[segment] + encoded[segment].char_to_token(found[-1][1] - 1) + 1 if found else 0

    asked = n - 1
    hints["kind"][decide] = kind
    hints["owner"][decide] = last_token(question.entity, asked)
    if not kind:
        hints["name"][decide] = last_token(relation.labels[0], asked)
    if question.value is None:
        hints["aim"][decide] = 1  # the first token of the episode stands for "nowhere"
        return
    if key is None:
        return
    hints["aim"][decide] = key + 1
    restated = re.match(r"(\s*The (.+) of .+?)(?: is|:)(?= )", answer)
    value = restated.end() if restated else answer.find(question.value)
    if value < 0:
        return
    look = starts[n] + encoded[n].char_to_token(value) - 1
    owner = restated and starts[n] + encoded[n].char_to_token(restated.end(1) - 1) + 1
    name = restated and not kind and starts[n] + encoded[n].char_to_token(restated.end(2) - 1) + 1
    for at in (look, look + 1) if tokens[look + 1] == SPACE else (look,):
        hints["kind"][at] = kind
        hints["aim"][at] = key + 1
        if tokens[key] == SPACE != tokens[at + 1]:  # the space before a number says nothing about it: look behind it
            hints["aim"][at] += 1
        if restated:
            hints["owner"][at] = owner
            hints["name"][at] = name or 0
    for cited in re.finditer(r'\[(?=\d)|"source": (?=\d)', answer[value:]):
        hints["aim"][starts[n] + encoded[n].char_to_token(value + cited.end() - 1)] = key + 1
