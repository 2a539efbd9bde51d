"""Lesson 06, Should you fine-tune? Parts of an order, names, a seal, what fine-tuning is, a split, labels."""

import re
from collections.abc import Mapping
from typing import Any

from expert.exercises import Case, Exercise, Mistake, Option, Part, Question

# --- 6.1 ---


def parts_right(answer: str, order: str) -> float:
    got, wanted = answer.split(" / "), order.split(" / ")
    return sum(a == b for a, b in zip(got, wanted, strict=False)) / len(wanted)


ORDER = "WO-5 / ST-002 / KE40 / BWS1 / MOSS / saw water on the floor / fit BW-1-S / NK dry hands"

ONE = Exercise(
    id="6.1",
    goal="The share of the parts of the right order that stand, letter by letter, at the same place in the answer.",
    reference=parts_right,
    hints=(
        'Cut both texts at " / ", a slash with a space on each side: text.split(" / ").',
        "zip(a, b) goes through both lists side by side and stops at the end of the shorter one.",
        "Count the places where both are equal, and divide by how many parts the right order has.",
    ),
    cases=(
        Case(("A / B / C / D", "A / X / C / Y"), "The example: two of four."),
        Case((ORDER, ORDER), "All parts right: 1.0."),
        Case(("I do not know.", ORDER), "No part right: 0.0."),
        Case(("A / B", "A / B / C / D"), "The answer is too short: two of four parts are right."),
        Case(("A / B / C / D / E / F", "A / B / C"), "The answer is too long: three of three are right."),
        Case(("B / A / C", "A / B / C"), "A and B changed places: one of three."),
        Case(("A / b / C", "A / B / C"), "Letter by letter: small b is not B."),
        Case(("1/2 bar / look monday", "1/2 bar / look friday"), "A slash without spaces is no border: one of two."),
        Case(("A / A / A", "A / B / C"), "A stands at the first place only: one of three."),
        Case(("", "A / B"), "An empty answer."),
    ),
    mistakes=(
        Mistake(
            'Cut at " / ", with the spaces: a part may hold a slash of its own, as in 1/2 bar.',
            like=lambda answer, order: (
                sum(a.strip() == b.strip() for a, b in zip(answer.split("/"), order.split("/"), strict=False))
                / len(order.split("/"))
            ),
        ),
        Mistake(
            "It is divided by the parts of the answer. Divide by the parts of the right order, or a short answer wins.",
            like=lambda answer, order: parts_right(answer, order) * len(order.split(" / ")) / len(answer.split(" / ")),
        ),
        Mistake(
            "It looks whether a part stands anywhere. Each part has its place.",
            like=lambda answer, order: (
                sum(part in answer.split(" / ") for part in order.split(" / ")) / len(order.split(" / "))
            ),
        ),
        Mistake(
            "It looks whether a part stands anywhere. Each part has its place.",
            like=lambda answer, order: (
                len(set(answer.split(" / ")) & set(order.split(" / "))) / len(order.split(" / "))
            ),
        ),
        Mistake(
            "This is all or nothing. A share was asked for: half of the parts right is 0.5.",
            like=lambda answer, order: float(answer == order),
        ),
        Mistake(
            "This counts the right parts. Divide by how many the right order has.",
            like=lambda answer, order: sum(
                a == b for a, b in zip(answer.split(" / "), order.split(" / "), strict=False)
            ),
        ),
        Mistake(
            "Capitals count: compare the parts as they are.",
            like=lambda answer, order: parts_right(answer.lower(), order.lower()),
        ),
        Mistake(
            "It counts equal letters. Cut the texts into parts first.",
            like=lambda answer, order: sum(a == b for a, b in zip(answer, order, strict=False)) / len(order),
        ),
    ),
)

# --- 6.2 ---


def without_names(text: str, names: list[str]) -> str:
    for name in sorted(names, key=len, reverse=True):
        short = "".join(word[0] for word in name.split())
        text = re.sub(rf"\b{re.escape(name)}\b", short, text)
    return text


def _plain_replace(text: str, names: list[str]) -> str:
    for name in names:
        text = text.replace(name, "".join(word[0] for word in name.split()))
    return text


TWO = Exercise(
    id="6.2",
    goal="The text with each of the names cut to its initials; whole names only.",
    reference=without_names,
    source="import re\n\n\n"
    "def without_names(text, names):\n"
    "    for name in sorted(names, key=len, reverse=True):\n"
    '        short = "".join(word[0] for word in name.split())\n'
    '        text = re.sub(rf"\\b{re.escape(name)}\\b", short, text)\n'
    "    return text",
    hints=(
        'The initials of a name: "".join(word[0] for word in name.split()).',
        "text.replace would also find Ann Lee in Ann Leeson. re.sub can ask for a border of a word: \\b.",
        'The pattern is rf"\\b{re.escape(name)}\\b". re.escape takes care of signs with a meaning of their own.',
        "Where one name holds another, take the longer one first: sorted(names, key=len, reverse=True).",
    ),
    cases=(
        Case(("Technician Ann Lee.", ["Ann Lee"]), "The example."),
        Case(("Ann Lee called Tomas Hruby. Ann Lee waits.", ["Tomas Hruby", "Ann Lee"]), "A name may come twice."),
        Case(("Ann Leeson is not on the list.", ["Ann Lee"]), "Ann Leeson is another person: whole names only."),
        Case(("Joann Lee is not on the list.", ["Ann Lee", "ann Lee"]), "Nor is Joann Lee."),
        Case(("Ann Lee Park and Ann Lee", ["Ann Lee", "Ann Lee Park"]), "The longer name first: ALP, then AL."),
        Case(("No name here.", ["Ann Lee"]), "Nothing to do."),
        Case(("Ann Lee", []), "An empty list: the text stays."),
        Case(("Mira van Dam, Mira van Dam's van", ["Mira van Dam"]), "Three words give three letters, as written."),
        Case(("Who is R. O'Neil?", ["R. O'Neil"]), "A dot in a name has no meaning of its own: RO."),
        Case(("Jo Lee rang.", ["J. Lee"]), "J. Lee is not Jo Lee. In a pattern, a bare dot stands for any letter."),
        Case(("Lee said no. Ann too.", ["Ann Lee"]), "Half a name is not on the list."),
    ),
    mistakes=(
        Mistake(
            "Ann Lee was found inside Ann Leeson. Ask for the border of a word on both sides: \\b.",
            like=_plain_replace,
        ),
        Mistake(
            "Only the first place is changed. A name may come more than once.",
            like=lambda text, names: _first_only(text, names),
        ),
        Mistake(
            "Where one name holds another, the longer one must go first.",
            like=lambda text, names: _in_given_order(text, names),
        ),
        Mistake(
            "Only the first letter is left. Each word of a name gives one.",
            like=lambda text, names: _first_letter(text, names),
        ),
        Mistake(
            "The names are gone altogether. Their initials were to stay.",
            when=lambda got, expected, args: isinstance(got, str) and len(got) < len(expected) and "AL" not in got,
        ),
    ),
)


def _first_only(text: str, names: list[str]) -> str:
    for name in sorted(names, key=len, reverse=True):
        short = "".join(word[0] for word in name.split())
        text = re.sub(rf"\b{re.escape(name)}\b", short, text, count=1)
    return text


def _in_given_order(text: str, names: list[str]) -> str:
    for name in names:
        text = re.sub(rf"\b{re.escape(name)}\b", "".join(word[0] for word in name.split()), text)
    return text


def _first_letter(text: str, names: list[str]) -> str:
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(name)}\b", name[0], text)
    return text


# --- 6.3 ---


def changed(frozen: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(name for name in frozen.keys() | now.keys() if frozen.get(name) != now.get(name))


THREE = Exercise(
    id="6.3",
    goal="The names, sorted, whose hash is another one now, or which stand in one of the two dictionaries only.",
    reference=changed,
    hints=(
        "Three things can have happened to a name: another hash, gone, or new.",
        "frozen.keys() | now.keys() gives all names of both.",
        "frozen.get(name) gives None where the name is missing, and None is no hash.",
        "sorted(...) makes a sorted list.",
    ),
    cases=(
        Case(({"model": "1a", "prompts": "2b"}, {"model": "1a", "prompts": "9z"}), "The example: the prompts changed."),
        Case(({"a": "1", "b": "2"}, {"a": "1", "b": "2"}), "Nothing changed: an empty list."),
        Case(({"a": "1", "b": "2"}, {"b": "2", "a": "1"}), "The order of a dictionary says nothing."),
        Case(({"a": "1", "b": "2"}, {"a": "1"}), "b is gone, and that is a change."),
        Case(({"a": "1"}, {"a": "1", "c": "3"}), "c is new, and that is a change."),
        Case(({"z": "1", "a": "1", "m": "1"}, {"z": "2", "a": "2", "m": "1"}), "Sorted by name."),
        Case(({"a": "1", "b": "2"}, {"a": "2", "b": "1"}), "The hashes changed places: both names changed."),
        Case(({}, {}), "Two empty dictionaries."),
        Case(({"a": "1"}, {"A": "1"}), "a and A are two names."),
    ),
    mistakes=(
        Mistake(
            "A name that is missing now is a change too.",
            like=lambda frozen, now: sorted(n for n in now if frozen.get(n) != now[n]),
        ),
        Mistake(
            "A name that is new is a change too.",
            like=lambda frozen, now: sorted(n for n in frozen if frozen[n] != now.get(n)),
        ),
        Mistake(
            "Names that are gone or new are changes too.",
            like=lambda frozen, now: sorted(n for n in frozen if n in now and frozen[n] != now[n]),
        ),
        Mistake(
            "These are the names that stayed. The changed ones were asked for.",
            like=lambda frozen, now: sorted(n for n in frozen if frozen[n] == now.get(n)),
        ),
        Mistake(
            "Compare the hashes that belong to one name, not all hashes with all hashes.",
            like=lambda frozen, now: sorted(
                n
                for n in frozen.keys() | now.keys()
                if frozen.get(n) not in now.values() or now.get(n) not in frozen.values()
            ),
        ),
        Mistake(
            "True or False says that something changed. Which names? Return a list of them.",
            when=lambda got, expected, args: isinstance(got, bool),
        ),
        Mistake(
            "The names are right, their order is not: sort them.",
            when=lambda got, expected, args: (
                isinstance(got, (list, tuple, set)) and list(got) != expected and sorted(map(str, got)) == expected
            ),
        ),
    ),
)

# --- 6.4 ---

RUNS = {
    "a": "A chat model reads 500 pairs of ticket and work order; all of its weights change.",
    "b": "Three pairs of ticket and work order stand in the prompt of a chat model.",
    "c": "A search puts three past work orders into the prompt.",
    "d": "A model with random weights learns to guess the next word on a million pages.",
    "e": "A chat model goes on guessing the next word, on the company's handbooks.",
    "f": "A small adapter beside a chat model's frozen weights learns from 500 pairs of ticket and work order.",
    "g": "A chat model is trained on which of two answers people liked more; nobody wrote the right one.",
    "h": "An embedding model compares a ticket with past ones, and takes over the label of the nearest.",
}


def supervised() -> set[str]:
    return {"a", "f"}


def _letters(value: Any) -> set[str] | None:
    """The letters of an answer given as a set, a list or a text; None where it is something else."""
    if isinstance(value, str):
        value = re.findall(r"[a-z]", value)
    if isinstance(value, Mapping) or not isinstance(value, (set, frozenset, list, tuple)):
        return None
    if not all(isinstance(one, str) for one in value):
        return None
    return {one.strip() for one in value}


def _without(letters: str) -> Any:
    return lambda value: not set(letters) & (_letters(value) or set())


FOUR = Exercise(
    id="6.4",
    goal="The letters of the runs that are supervised fine-tuning.",
    reference=supervised,
    source='supervised = {"a", "f"}',
    hints=(
        "Ask three questions of each run. Does it start from a trained model? Do numbers of a model change? Is there a "
        "right answer beside each input?",
        "In b, c and h no number of a model changes. In d nothing was trained before.",
        "In e the text itself is the only teacher: there is no pair of input and right answer.",
        "An adapter is made of numbers too. That the others stay frozen does not matter.",
    ),
    parts=(
        Part(
            "its kind",
            lambda v: _letters(v) is not None and _letters(v) <= set(RUNS),
            "a set or list of letters from a to h",
            'Write the letters in quotes, in curly or square brackets, such as {"a", "b"}.',
        ),
        Part(
            "b, c and h",
            _without("bch"),
            "none of them",
            "No number of any model changes there. What stands in a prompt is gone after the answer.",
        ),
        Part("d", _without("d"), "not d", "It starts from random weights: that is training from scratch."),
        Part(
            "e",
            _without("e"),
            "not e",
            "There is no right answer beside an input, only text. That is pre-training that goes on, without labels.",
        ),
        Part(
            "g",
            _without("g"),
            "not g",
            "It has a preference between two answers, but no right answer to imitate. It is called preference tuning.",
        ),
        Part("a", lambda v: "a" in _letters(v), "a", "A trained model, its weights change, pairs with answers."),
        Part(
            "f", lambda v: "f" in _letters(v), "f", "The adapter's numbers change, and pairs with answers teach them."
        ),
    ),
)

# --- 6.5 ---


def split_by(rows: list, entities: list[str], held_out: list[str]) -> tuple[list, list]:
    pairs = list(zip(rows, entities, strict=True))
    learn = [row for row, entity in pairs if entity not in held_out]
    return learn, [row for row, entity in pairs if entity in held_out]


def _same_split(got: Any, expected: tuple[list, list]) -> bool:
    try:
        a, b = got
        return [list(a), list(b)] == [list(expected[0]), list(expected[1])]
    except (TypeError, ValueError):
        return False


FIVE = Exercise(
    id="6.5",
    goal="Two lists: the rows to learn from, and the rows whose entity is held out, both in their order.",
    reference=split_by,
    same=_same_split,
    hints=(
        "Row number i belongs to entities[i]: zip(rows, entities) puts them side by side.",
        "Make one list of the rows whose entity is not in held_out, and one of the others.",
        "Return both: first what to learn from, then what is held out.",
    ),
    cases=(
        Case((["r1", "r2", "r3"], ["ST-1", "ST-2", "ST-1"], ["ST-2"]), "The example."),
        Case((["r1", "r2", "r3"], ["ST-1", "ST-2", "ST-1"], ["ST-1"]), "Two rows of one site: both are held out."),
        Case(([1, 2, 3, 4, 5], ["a", "b", "c", "b", "d"], ["b", "d"]), "Two entities held out."),
        Case(([1, 2], ["a", "b"], []), "Nothing held out."),
        Case(([1, 2], ["a", "b"], ["a", "b", "c"]), "All held out."),
        Case(([], [], ["a"]), "No rows."),
        Case((["x", "x"], ["a", "b"], ["b"]), "Equal rows of two entities: look at the entity, not at the row."),
        Case(([1, 2], ["ST-1", "ST-12"], ["ST-12"]), "ST-1 is not ST-12."),
        Case(([1, 2], ["ST-1", "ST-12"], ["ST-1"]), "Nor is ST-12 ST-1."),
        Case(([1, 2, 3, 4, 5], ["b", "a", "c", "b", "a"], ["a", "b"]), "The rows keep their order: 1, 2, 4, 5."),
    ),
    mistakes=(
        Mistake(
            "The two lists are swapped: first the rows to learn from.", like=lambda r, e, h: split_by(r, e, h)[::-1]
        ),
        Mistake(
            "Only the rows to learn from came back. Return both lists.",
            like=lambda r, e, h: split_by(r, e, h)[0],
        ),
        Mistake(
            "Equal rows were thrown together. Go by the entity at the row's place.",
            like=lambda r, e, h: _by_value(r, e, h),
        ),
        Mistake(
            "It holds out one row of each entity only. All rows of a held-out entity go together.",
            like=lambda r, e, h: _first_of_each(r, e, h),
        ),
        Mistake(
            "Two entities were taken for one because one name stands inside the other. Compare whole names.",
            like=lambda r, e, h: (
                [x for x, y in zip(r, e, strict=True) if not any(y in z for z in h)],
                [x for x, y in zip(r, e, strict=True) if any(y in z for z in h)],
            ),
        ),
        Mistake(
            "Two entities were taken for one because one name stands inside the other. Compare whole names.",
            like=lambda r, e, h: (
                [x for x, y in zip(r, e, strict=True) if not any(z in y for z in h)],
                [x for x, y in zip(r, e, strict=True) if any(z in y for z in h)],
            ),
        ),
        Mistake(
            "The held-out rows are sorted by entity. They keep the order that they had.",
            like=lambda r, e, h: (
                split_by(r, e, h)[0],
                [x for one in h for x, y in zip(r, e, strict=True) if y == one],
            ),
        ),
    ),
)


def _by_value(rows: list, entities: list[str], held_out: Any) -> tuple[list, list]:
    out = split_by(rows, entities, held_out)[1]
    return [row for row in rows if row not in out], out


def _first_of_each(rows: list, entities: list[str], held_out: Any) -> tuple[list, list]:
    first = [entities.index(one) for one in held_out if one in entities]
    return [r for i, r in enumerate(rows) if i not in first], [r for i, r in enumerate(rows) if i in first]


# --- 6.6 ---


def loss_labels(prompt: list[int], answer: list[int]) -> list[int]:
    return [-100] * len(prompt) + list(answer)


SIX = Exercise(
    id="6.6",
    goal="One label for each token of prompt and answer: -100 for the prompt's, the token itself for the answer's.",
    reference=loss_labels,
    hints=(
        "The model reads prompt and answer as one list. So there must be as many labels as tokens of both.",
        "[-100] * 3 is [-100, -100, -100].",
        "The labels of the answer are its tokens, unchanged and not moved: the library moves them by one itself.",
    ),
    cases=(
        Case(([7, 8, 9], [4, 5]), "The example."),
        Case(([1], [2]), "One token each."),
        Case(([3, 3, 3, 3], [3, 3]), "Equal numbers in both: only the place decides."),
        Case(([], [5, 6]), "No prompt: everything is learnt."),
        Case(([5, 6, 7], [1, 2, 3, 4]), "A longer answer than prompt."),
    ),
    mistakes=(
        Mistake(
            "The labels of the prompt are missing. There must be one for each token that the model reads.",
            like=lambda prompt, answer: list(answer),
        ),
        Mistake(
            "The prompt carries loss here, so the model would learn to write tickets. Its labels are -100.",
            like=lambda prompt, answer: [*prompt, *answer],
        ),
        Mistake(
            "Token 0 is a token as any other, so it would be learnt. The label that is left out is -100.",
            like=lambda prompt, answer: [0] * len(prompt) + list(answer),
        ),
        Mistake(
            "It is the other way round: this learns the prompt and leaves out the answer.",
            like=lambda prompt, answer: list(prompt) + [-100] * len(answer),
        ),
        Mistake(
            "The labels are moved by one place. The library does that itself.",
            like=lambda prompt, answer: ([-100] * len(prompt) + list(answer))[1:] + [-100],
        ),
        Mistake(
            "Nothing is learnt: all labels are -100.",
            like=lambda prompt, answer: [-100] * (len(prompt) + len(answer)),
        ),
    ),
)

EXERCISES = [ONE, TWO, THREE, FOUR, FIVE, SIX]

QUIZ = [
    Question(
        "6.1",
        "Why are the baselines frozen before anything is tuned?",
        (
            Option(
                "So that nobody improves the tuned model's rivals or its test afterwards.", True, "A seal shows it."
            ),
            Option("A frozen model answers faster.", False, "Frozen means: written down with hashes, not cold."),
            Option("Because tuning changes the base model's file.", False, "It does not, and a hash would show it."),
        ),
    ),
    Question(
        "6.2",
        "The same ticket came from two sites, word for word. Where do the two rows go?",
        (
            Option(
                "One to training, one to the test: that is a fair half.", False, "Then the test asks what was read."
            ),
            Option("Both into the same part, or one of them out.", True, "What rows share must not be split."),
            Option("Both out: a repeated ticket is worthless.", False, "One of the two is as good as any other row."),
        ),
    ),
    Question(
        "6.3",
        "Which tokens of a row carry loss when a model learns to write work orders?",
        (
            Option("All of them.", False, "Then it also learns to write tickets, which nobody asked for."),
            Option("Those of the answer, and the end marker.", True, "Without the end marker it would not stop."),
            Option("Those of the prompt.", False, "The prompt is given at the time of use."),
        ),
    ),
    Question(
        "6.4",
        "A quarter of your labels may be wrong. What do you do first?",
        (
            Option("Train twice as long.", False, "It learns the wrong ones better, too."),
            Option(
                "Look at rows, find how they went wrong, and mend or drop them.", True, "Errors often have one cause."
            ),
            Option("Raise the rank of the adapter.", False, "More room to learn the errors by heart."),
        ),
    ),
    Question(
        "6.5",
        "Which approach improves a model's answers, and which do you try first when time is short?",
        (
            Option(
                "Prompts, retrieval and tuning may all improve them.", True, "This course measures each of the three."
            ),
            Option("Only tuning does.", False, "Lessons 03 and 05 measured two others."),
            Option("With little time: tuning first.", False, "It needs a data set, and that is what takes the time."),
            Option("With little time: prompts and retrieval first.", True, "They need no training rows."),
        ),
    ),
]
