"""Lesson 02, Choose a model on your own work: the score, the interval, the frontier, the card, the bill, the levels."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from expert.evaluate import Result
from expert.exercises import Case, Exercise, Mistake, Option, Part, Question

# --- 2.1 ---


def exact_match(answer: str, accepted: list[str]) -> bool:
    def tidy(text: str) -> str:
        text = re.sub(r"\[\d+\]", " ", text.lower())  # no citations
        text = re.sub(r"(?<=\d),(?=\d\d\d)", "", text)  # 1,450 is 1450
        words = [word.strip(".,;:!?\"'()") for word in text.split()]
        return " ".join(word for word in words if word and word not in ("a", "an", "the"))

    return any(f" {tidy(value)} " in f" {tidy(answer)} " for value in accepted)


def _tidy(text: str, *skip: str) -> str:
    """The text made plain, with some of the steps left out."""
    text = text if "case" in skip else text.lower()
    text = text if "citation" in skip else re.sub(r"\[\d+\]", " ", text)
    text = text if "thousands" in skip else re.sub(r"(?<=\d),(?=\d{3})", "", text)
    if "squad" in skip:
        text = re.sub(r"[^\w\s]", "", text)
    edges = ".,;:!?\"'()" + "-" * ("sign" in skip) + "[]" * ("citation" in skip)
    words = text.split() if "marks" in skip else [word.strip(edges) for word in text.split()]
    articles = () if "articles" in skip else ("a", "an", "the")
    return " ".join(w for w in words if w and w not in articles)


def _without(*skip: str) -> Callable[[str, list[str]], bool]:
    """A way to match that leaves out some of the steps."""
    return lambda answer, accepted: any(f" {_tidy(v, *skip)} " in f" {_tidy(answer, *skip)} " for v in accepted)


def _truth(value: Any) -> bool:
    """What a match object, a count or another value says where a condition is wanted."""
    return bool(value)


ONE = Exercise(
    id="2.1",
    goal="True where one of the accepted values stands in the answer as a whole, else False. Both are made plain "
    "first: small letters, no articles (a, an, the), no citations such as [2], one space between words, none of the "
    "marks .,;:!?\"'() at the ends of a word. A number keeps its point and its sign; 1,450 is 1450.",
    reference=exact_match,
    source="import re\n\n\n"
    "def exact_match(answer: str, accepted: list[str]) -> bool:\n"
    "    def tidy(text: str) -> str:\n"
    '        text = re.sub(r"\\[\\d+\\]", " ", text.lower())  # no citations\n'
    '        text = re.sub(r"(?<=\\d),(?=\\d\\d\\d)", "", text)  # 1,450 is 1450\n'
    '        words = [word.strip(".,;:!?\\"\'()") for word in text.split()]\n'
    '        return " ".join(word for word in words if word and word not in ("a", "an", "the"))\n\n'
    '    return any(f" {tidy(value)} " in f" {tidy(answer)} " for value in accepted)\n',
    hints=(
        "Write a small function inside, tidy(text), that makes one text plain. Use it on the answer and on each value.",
        'text.lower() first. re.sub(r"\\[\\d+\\]", " ", text) takes the citations out, and '
        're.sub(r"(?<=\\d),(?=\\d\\d\\d)", "", text) the comma inside 1,450.',
        'Then go word by word: text.split(), word.strip(".,;:!?"\'()") for each, and leave out a, an and the. Join the '
        'rest with " ".join(...).',
        'As a whole: put a space before and after both texts, then f" {value} " in f" {answer} " is enough. any(...) '
        "over all accepted values.",
    ),
    cases=(
        Case(
            ("The mass of the Kestrel 65 is 148 kg. [1]", ["148 kg", "148 kilograms"]),
            "148 kg stands there. The first parameter is the answer, a text; the second a list of values.",
        ),
        Case(("It is 1148 kg.", ["148 kg"]), "1148 kg is another value than 148 kg."),
        Case(("It is every six months.", ["every 6 months", "every six months"]), "The second value fits."),
        Case(("GREY   CAST IRON", ["grey cast iron"]), "Capitals and extra spaces."),
        Case(("It is a light blue.", ["the light blue"]), "Articles do not count, in the value either."),
        Case(("It is 1,450 rpm.", ["1450 rpm"]), "A comma between thousands."),
        Case(("The flow is 14.85 l/min.", ["1485 l/min"]), "14.85 is not 1485: the point inside a number stays."),
        Case(("It is -20 °C.", ["20 °C"]), "-20 is not 20: the sign stays."),
        Case(("It is on page 7. [2]", ["2"]), "A citation is no answer."),
        Case(("Yes, 45 Nm, as always!", ["45 Nm"]), "Commas stand behind a word."),
        Case(("It is 45 Nm[1].", ["45 Nm"]), "A citation may touch the value."),
        Case(("I do not know.", ["148 kg"]), "Nothing fits."),
        Case(("", ["148 kg"]), "An empty answer."),
        Case(("Order kit BW-2217-A.", ["BW-2217"]), "BW-2217-A is another part."),
        Case(("Order kit BW-2217.", ["BW-2217"]), "A stop behind a code."),
    ),
    mistakes=(
        Mistake(
            "The answer is the right one, but not True or False. Put bool(...) around what you return.",
            when=lambda got, expected, args: not isinstance(got, bool) and got is not None and _truth(got) == expected,
        ),
        Mistake(
            "It is False for all of them. A text never equals a list: compare the answer with each value in turn.",
            like=lambda answer, accepted: answer == accepted,
        ),
        Mistake(
            "A longer number counts as right: 1148 kg contains 148 kg as text, but it is another value.",
            like=lambda answer, accepted: any(_tidy(v) in _tidy(answer) for v in accepted),
        ),
        Mistake(
            "The whole answer must equal the value. It is enough that the value stands in it.",
            like=lambda answer, accepted: any(_tidy(v) == _tidy(answer) for v in accepted),
        ),
        Mistake(
            "Only the first accepted value is looked at. Any of them will do.",
            like=lambda answer, accepted: _without()(answer, accepted[:1]),
        ),
        Mistake(
            "All accepted values must be there. One is enough: any, not all.",
            like=lambda answer, accepted: all(f" {_tidy(v)} " in f" {_tidy(answer)} " for v in accepted),
        ),
        Mistake("Capital letters still count. Make both texts small with .lower().", like=_without("case")),
        Mistake(
            "Articles still count: leave out a, an and the, in the answer and in the value.", like=_without("articles")
        ),
        Mistake("A citation is taken for an answer. Take [1], [2] and so on out first.", like=_without("citation")),
        Mistake("A comma between thousands still counts: 1,450 is 1450.", like=_without("thousands")),
        Mistake(
            'Stops and commas behind a word still count. word.strip(".,;:!?") takes them off.', like=_without("marks")
        ),
        Mistake(
            "All marks are taken out, also inside a number: 14.85 becomes 1485. Take them off the ends of words only.",
            like=_without("squad"),
        ),
        Mistake("The minus sign is taken off: -20 becomes 20.", like=_without("sign")),
    ),
)

# --- 2.2 ---


def token_f1(answer: str, value: str) -> float:
    got, wanted = answer.split(), value.split()
    shared = sum((Counter(got) & Counter(wanted)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(got), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def _shares(answer: str, value: str) -> tuple[float, float]:
    got, wanted = answer.split(), value.split()
    shared = sum((Counter(got) & Counter(wanted)).values())
    return (shared / len(got) if got else 0.0), (shared / len(wanted) if wanted else 0.0)


def _f1_of_sets(answer: str, value: str) -> float:
    got, wanted = set(answer.split()), set(value.split())
    return 2 * len(got & wanted) / (len(got) + len(wanted))


def _f1_counting_each(answer: str, value: str) -> float:
    got, wanted = answer.split(), value.split()
    shared = sum(word in wanted for word in got)
    return 2 * shared / (len(got) + len(wanted)) if shared else 0.0


def _same_f1(got: Any, expected: float) -> bool:
    """Equal, or rounded to three digits as the example is."""
    got = got.item() if hasattr(got, "item") else got
    if isinstance(got, bool) or not isinstance(got, (int, float)):
        return False
    return abs(got - expected) <= 0.00051


TWO = Exercise(
    id="2.2",
    goal="The F1 of two plain texts, from 0.0 to 1.0. precision: shared words divided by the words of the answer. "
    "recall: shared words divided by the words of the value. F1 = 2 * precision * recall / (precision + recall). A "
    "word is shared as often as it stands in both. Nothing shared: 0.0.",
    reference=token_f1,
    source="from collections import Counter\n\n\n"
    "def token_f1(answer: str, value: str) -> float:\n"
    "    got, wanted = answer.split(), value.split()\n"
    "    shared = sum((Counter(got) & Counter(wanted)).values())\n"
    "    if shared == 0:\n"
    "        return 0.0\n"
    "    precision, recall = shared / len(got), shared / len(wanted)\n"
    "    return 2 * precision * recall / (precision + recall)\n",
    same=_same_f1,
    hints=(
        "Split both texts into words. Count the shared words first; if there are none, return 0.0.",
        "collections.Counter counts the words of a list. Counter(a) & Counter(b) keeps each word as often as both have "
        "it, and sum((...).values()) adds that up.",
        "precision = shared / len(words of the answer), recall = shared / len(words of the value).",
    ),
    cases=(
        Case(("torque is 45 nm", "45 nm"), "Two of four words are right, both wanted words are there: 2/3."),
        Case(("45 nm", "45 nm"), "The same: 1.0."),
        Case(("no idea", "45 nm"), "Nothing shared: 0.0, and no division by zero."),
        Case(("", "45 nm"), "An empty answer: 0.0."),
        Case(("45", "45 nm"), "One word is missing."),
        Case(("nm 45", "45 nm"), "The order of the words does not count."),
        Case(("pump pump pump", "pump"), "The value has pump once, so it is shared once."),
        Case(("red red lid", "red red bolt"), "red stands twice in both, so it is shared twice."),
    ),
    mistakes=(
        Mistake(
            "This is the precision alone. Words that are missing cost nothing in it.",
            like=lambda a, v: _shares(a, v)[0],
        ),
        Mistake("This is the recall alone. A very long answer would always win.", like=lambda a, v: _shares(a, v)[1]),
        Mistake(
            "This is the plain mean of precision and recall. F1 is 2 * precision * recall / (precision + recall).",
            like=lambda a, v: sum(_shares(a, v)) / 2,
        ),
        Mistake(
            "A set holds each word once. red red and red are not the same: count the words.",
            like=_f1_of_sets,
        ),
        Mistake(
            "A repeated word counts each time, although the value has it once. Counter(a) & Counter(b) takes the "
            "smaller number.",
            like=_f1_counting_each,
        ),
        Mistake(
            "This divides the shared words by all different words. F1 divides twice the shared words by the sum of "
            "both lengths.",
            like=lambda a, v: len(set(a.split()) & set(v.split())) / len(set(a.split()) | set(v.split())),
        ),
    ),
)

# --- 2.3 ---


def interval(marks: list[float]) -> tuple[float, float]:
    chance = np.random.default_rng(0)
    means = [chance.choice(marks, size=len(marks)).mean() for _ in range(2000)]
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def _pair(value: Any) -> list[float] | None:
    """Two numbers from what a learner returned, else None."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    try:
        return [float(x) for x in value]
    except (TypeError, ValueError):
        return None


def _same_interval(got: Any, expected: tuple[float, float]) -> bool:
    """Chance moves both ends a little; more than a seventh of the width, and it is another interval."""
    pair = _pair(got)
    if pair is None:
        return False
    width = expected[1] - expected[0]
    near = all(abs(a - b) <= width / 14 + 1e-9 for a, b in zip(pair, expected, strict=True))
    return near and not any(x < -1e-9 or x > 1 + 1e-9 for x in pair)


def _width(value: Any) -> float:
    """How far apart the two ends are."""
    low, high = _pair(value) or (0.0, 0.0)
    return high - low


def _below(pair: list[float] | None, expected: tuple[float, float]) -> bool:
    """Whether even the higher end lies at the low end of the interval, or under it."""
    reach = expected[0] + 0.2 * (expected[1] - expected[0])
    return pair is not None and 0 <= pair[0] <= pair[1] <= reach


def _near(pair: list[float] | None, expected: tuple[float, float]) -> bool:
    """Whether both ends are where an interval of about this width would have them."""
    width = expected[1] - expected[0]
    return pair is not None and all(abs(a - b) <= width / 2 for a, b in zip(pair, expected, strict=True))


_HALF = [1, 0] * 250
_MOST = [1] * 380 + [0] * 20
_PARTS = [0.0, 0.25, 0.5, 1.0] * 100


def _bootstrap(marks: list[float], low: float, high: float, size: int | None = None) -> tuple[float, float]:
    chance = np.random.default_rng(1)
    values = np.asarray(marks, dtype=float)
    means = values[chance.integers(0, len(values), (2000, size or len(values)))].mean(axis=1)
    return float(np.quantile(means, low)), float(np.quantile(means, high))


THREE = Exercise(
    id="2.3",
    goal="The 95 % interval of the mean of the marks, by drawing again: draw as many marks as there are, with "
    "replacement, 2000 times; take the mean of each draw; leave out the lowest and the highest 2.5 % of the means. "
    "Return two numbers: low, high.",
    reference=interval,
    source="import numpy as np\n\n\n"
    "def interval(marks: list[float]) -> tuple[float, float]:\n"
    "    chance = np.random.default_rng(0)\n"
    "    means = [chance.choice(marks, size=len(marks)).mean() for _ in range(2000)]\n"
    "    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))\n",
    same=_same_interval,
    hints=(
        "With replacement: the same mark may be drawn twice. np.random.default_rng(0) makes a source of chance, and "
        "chance.choice(marks, size=len(marks)) is one draw.",
        "Collect 2000 means in a list: means = [chance.choice(...).mean() for _ in range(2000)].",
        "np.quantile(means, 0.025) is the value that 2.5 % of the means lie below. The other end is 0.975.",
    ),
    cases=(
        Case((_HALF,), "Half of 500 answers are right: about 0.46 to 0.54."),
        Case((_MOST,), "380 of 400 are right: the interval ends below 1."),
        Case((_PARTS,), "Marks may lie between 0 and 1."),
        Case(([1] * 31 + [0],), "31 of 32 are right: no mean of marks can be more than 1."),
        Case(([1.0] * 30,), "All right: from 1.0 to 1.0."),
        Case(([0.0] * 30,), "All wrong: from 0.0 to 0.0."),
    ),
    mistakes=(
        Mistake(
            "Both ends are the mean. Drawn without replacement, every draw is the same marks in another order.",
            like=lambda marks: (float(np.mean(marks)), float(np.mean(marks))),
        ),
        Mistake(
            "These are the ends of the marks, not of their mean. First the mean of each draw, then the quantiles of "
            "the means.",
            like=lambda marks: (float(np.quantile(marks, 0.025)), float(np.quantile(marks, 0.975))),
        ),
        Mistake(
            "These are the ends of the marks, not of their mean. First the mean of each draw, then the quantiles of "
            "the means.",
            like=lambda marks: (float(min(marks)), float(max(marks))),
        ),
        Mistake(
            "This is the 90 % interval: it leaves out 5 % at each end. For 95 % leave out 2.5 %.",
            like=lambda marks: _bootstrap(marks, 0.05, 0.95),
        ),
        Mistake(
            "This interval is about half as wide as it should be: the standard error goes to both sides twice.",
            like=lambda marks: (
                float(np.mean(marks) - np.std(marks) / len(marks) ** 0.5),
                float(np.mean(marks) + np.std(marks) / len(marks) ** 0.5),
            ),
        ),
        Mistake(
            "np.percentile takes percent: np.percentile(means, 2.5) is np.quantile(means, 0.025).",
            when=lambda got, expected, args: _below(_pair(got), expected),
        ),
        Mistake(
            "One end lies beyond 0 or 1, where no mean of marks can lie. Draw again and take quantiles; no formula for "
            "the standard error is needed.",
            when=lambda got, expected, args: (
                any(not -1e-9 <= x <= 1 + 1e-9 for x in _pair(got) or []) and _near(_pair(got), expected)
            ),
        ),
        Mistake(
            "These are the very lowest and the very highest mean. They grow with the number of draws: take quantiles.",
            like=lambda marks: _bootstrap(marks, 0.0, 1.0),
        ),
        Mistake(
            "The interval is far too wide. Each draw has as many marks as there are: size=len(marks).",
            like=lambda marks: _bootstrap(marks, 0.025, 0.975, size=10),
        ),
        Mistake(
            "Two numbers were asked for: low and high.",
            when=lambda got, expected, args: got is not None and _pair(got) is None,
        ),
        Mistake(
            "The higher number comes first. Return low, then high.",
            when=lambda got, expected, args: bool(_pair(got)) and _pair(got)[0] > _pair(got)[1],
        ),
        Mistake(
            "A share lies between 0 and 1. This is a percentage.",
            when=lambda got, expected, args: _same_interval([x / 100 for x in _pair(got) or []], expected),
        ),
        Mistake(
            "The interval is too wide. Is each draw as long as the list of marks, size=len(marks)? And are the ends "
            "the quantiles 0.025 and 0.975 of the means?",
            when=lambda got, expected, args: bool(_pair(got)) and _width(got) > expected[1] - expected[0],
        ),
        Mistake(
            "The interval is too narrow. Is each draw as long as the list of marks, and with replacement? Are there "
            "2000 draws, and are the ends the quantiles 0.025 and 0.975 of their means?",
            when=lambda got, expected, args: bool(_pair(got)) and 0 <= _width(got) < expected[1] - expected[0],
        ),
    ),
)

# --- 2.4 ---


def frontier(candidates: dict[str, tuple[float, float, float]]) -> list[str]:
    def beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        no_worse = a[0] >= b[0] and a[1] <= b[1] and a[2] <= b[2]
        return no_worse and a != b

    return [name for name, own in candidates.items() if not any(beats(other, own) for other in candidates.values())]


def _same_names(got: Any, expected: list[str]) -> bool:
    return isinstance(got, (list, tuple, set, frozenset)) and len(got) == len(expected) and set(got) == set(expected)


def _unbeaten(candidates: dict[str, Any], beats: Callable[[Any, Any], bool]) -> list[str]:
    return [
        name
        for name, own in candidates.items()
        if not any(beats(other, own) for rival, other in candidates.items() if rival != name)
    ]


FOUR = Exercise(
    id="2.4",
    goal="The names of the candidates on the frontier: those that no other candidate beats. A candidate beats another "
    "where its quality is at least as high, its seconds and its megabytes are at most as high, and one of the three is "
    "really better.",
    reference=frontier,
    same=_same_names,
    hints=(
        "A candidate is (quality, seconds, megabytes). More quality is better; fewer seconds and megabytes are better.",
        "Write beats(a, b) first: a[0] >= b[0] and a[1] <= b[1] and a[2] <= b[2], and a is not the same as b in all "
        "three.",
        "Keep a name if no other candidate beats it: not any(beats(other, own) for other in candidates.values()).",
    ),
    cases=(
        Case(({"big": (0.9, 2.0, 20.0), "small": (0.5, 1.0, 5.0)},), "Each is better in something: both stay."),
        Case(({"old": (0.5, 2.0, 20.0), "new": (0.7, 1.0, 10.0)},), "new is better in everything: old goes."),
        Case(({"a": (0.7, 2.0, 20.0), "b": (0.7, 1.0, 20.0)},), "Same quality, same memory, b is quicker: a goes."),
        Case(({"a": (0.7, 1.0, 20.0), "b": (0.7, 1.0, 20.0)},), "Twins: neither beats the other, both stay."),
        Case(({"a": (0.9, 3.0, 9.0), "b": (0.8, 1.0, 9.0), "c": (0.8, 2.0, 3.0), "d": (0.7, 2.0, 9.0)},), "b beats d."),
        Case(({"only": (0.1, 9.0, 99.0)},), "One candidate alone is always on the frontier."),
        Case(({},), "No candidates: an empty list."),
        Case(({"a": (0.2, 1.0, 1.0), "b": (0.9, 1.0, 1.0), "c": (0.9, 1.0, 2.0)},), "b beats both."),
    ),
    mistakes=(
        Mistake(
            "Only the candidate with the highest quality is kept. A quick or small one may be on the frontier too.",
            like=lambda c: [n for n, v in c.items() if v[0] == max(x[0] for x in c.values())],
        ),
        Mistake(
            "A candidate is dropped although it is better in something. To be beaten it must be no better in any of "
            "the three.",
            like=lambda c: _unbeaten(c, lambda a, b: a[0] > b[0] or a[1] < b[1] or a[2] < b[2]),
        ),
        Mistake(
            "A candidate is kept although another is as good in two things and better in the third. Use >= and <=.",
            like=lambda c: _unbeaten(c, lambda a, b: a[0] > b[0] and a[1] < b[1] and a[2] < b[2]),
        ),
        Mistake(
            "Twins drop each other. To beat another, a candidate must be really better in one of the three.",
            like=lambda c: _unbeaten(c, lambda a, b: a[0] >= b[0] and a[1] <= b[1] and a[2] <= b[2]),
        ),
        Mistake(
            "Each candidate is compared with itself too, and as good as itself is not beaten.",
            like=lambda c: [
                n for n, b in c.items() if not any(a[0] >= b[0] and a[1] <= b[1] and a[2] <= b[2] for a in c.values())
            ],
        ),
        Mistake(
            "The seconds and megabytes are taken the wrong way round: fewer are better.",
            like=lambda c: _unbeaten(c, lambda a, b: a != b and a[0] >= b[0] and a[1] >= b[1] and a[2] >= b[2]),
        ),
        Mistake(
            "The names were asked for. These are the numbers.",
            when=lambda got, expected, args: any(not isinstance(x, str) for x in got),
        ),
    ),
)

# --- 2.5 ---


def model_card(name: str, results: list[Result], use: str, not_for: str) -> str:
    rows = [f"| {r.task} | {r.questions} | {r.exact:.0%} ({r.low:.0%} to {r.high:.0%}) |" for r in results]
    lines = [f"# {name}", "", "## Intended use", "", use, "", "## Not for", "", not_for, ""]
    lines += ["## Measured", "", "| task | questions | right (95 % interval) |", "|---|---|---|", *rows]
    return "\n".join(lines)


def _result(task: str, questions: int, exact: float, low: float, high: float) -> Result:
    return Result("m", task, questions, exact, low, high, exact, 0.1, 50.0, 12.0, 30.0)


_RESULTS = [_result("public facts", 48, 0.875, 0.77, 0.96), _result("reading", 60, 0.5, 0.37, 0.63)]


def _line_of(card: str, task: str) -> str:
    """The line of a card that speaks of a task, its percentages without a space."""
    found = next((line for line in card.splitlines() if task.lower() in line.lower() and re.search(r"\d", line)), "")
    return re.sub(r"(?<=\d)\s+%", "%", found)


def _tells(line: str, result: Result, *what: str) -> bool:
    """Whether a line gives a figure of a result: "count", "exact", "low" or "high"."""
    numbers = re.findall(r"\d+(?:\.\d+)?%?", line)
    shares = {name: getattr(result, name) for name in ("exact", "low", "high")}
    return all(
        (str(result.questions) in numbers)
        if name == "count"
        else any(n.endswith("%") and abs(float(n[:-1]) - 100 * shares[name]) < 0.51 for n in numbers)
        for name in what
    )


def _same_card(got: Any, expected: str) -> bool:
    """A card in any form that says what was asked for; the expected card knows what that is."""
    return isinstance(got, str) and not _lacks(got, expected)


_NOT = re.compile(r"\bnot\b|n't\b|\bnever\b|\bavoid|\bno\b|out of scope|misuse|limits", re.IGNORECASE)
_USE = re.compile(r"\buses?\b|\bintended\b|\bpurpose\b|\bfor\b", re.IGNORECASE)


def _label(card: str, text: str) -> str:
    """What a card says just before a text: the words before it in its line, else the last line that is not empty."""
    before, _, _ = card.partition(text)
    line = before.rpartition("\n")[2].strip(" *_-|:")
    above = [other.strip() for other in before.splitlines()[1:] if other.strip()]  # the title is no label
    return line or (above[-1] if above and (above[-1].startswith("#") or above[-1].rstrip("*_ ").endswith(":")) else "")


def _lacks(card: str, expected: str) -> str:
    """The first thing that a card does not say, or an empty text."""
    patterns = (r"# (.+?)\n", r"use\n\n(.+?)\n\n##", r"for\n\n(.+?)\n\n##")
    name, use, not_for = (re.search(pattern, expected, re.DOTALL)[1] for pattern in patterns)
    rows = re.findall(r"\| (.+?) \| (\d+) \| (\d+)% \((\d+)% to (\d+)%\) \|", expected)
    results = [_result(t, int(q), *(int(x) / 100 for x in figures)) for t, q, *figures in rows]
    lines = [line.strip() for line in card.splitlines() if line.strip()]
    if lines and re.match(r"#+" + re.escape(name), lines[0]):
        return "blank"
    if not lines or not re.match(r"#\s", lines[0]) or name not in lines[0]:
        return "title"
    if use not in card:
        return "use"
    if not_for not in card:
        return "not_for"
    if _NOT.search(_label(card, use)) or (
        _USE.search(_label(card, not_for)) and not _NOT.search(_label(card, not_for))
    ):
        return "swapped"
    for what in ("task", "count", "exact", "low", "high"):
        for result in results:
            line = _line_of(card, result.task)
            if (what == "task" and not line) or (what != "task" and not _tells(line, result, what)):
                return "cut" if what == "exact" and f"{round(100 * result.exact) - 1}%" in line else what
    return ""


def _lacking(what: str) -> Callable[[Any, Any, tuple[Any, ...]], bool]:
    return lambda got, expected, args: isinstance(got, str) and _lacks(got, expected) == what


FIVE = Exercise(
    id="2.5",
    goal="A model card as a text, in any form. Its first line is #, a blank and the name. It holds the intended use, "
    "what the model is not for, not mixed up, and one line a result: the task, the number of questions, the share of "
    "right answers and both ends of the interval, in percent.",
    reference=model_card,
    source="def model_card(name, results, use, not_for):\n"
    '    rows = [f"| {r.task} | {r.questions} | {r.exact:.0%} ({r.low:.0%} to {r.high:.0%}) |" for r in results]\n'
    '    lines = [f"# {name}", "", "## Intended use", "", use, "", "## Not for", "", not_for, ""]\n'
    '    lines += ["## Measured", "", "| task | questions | right (95 % interval) |", "|---|---|---|", *rows]\n'
    '    return "\\n".join(lines)\n',
    same=_same_card,
    hints=(
        "A result r has r.task, r.questions, r.exact, r.low and r.high. The last three are shares from 0 to 1.",
        'A share in whole percent: f"{r.exact:.0%}" makes 88% of 0.875.',
        'Collect the lines in a list, [f"# {name}", "## Intended use", use, "## Not for", not_for], then one line a '
        'result, and put them together with "\\n".join(lines).',
    ),
    cases=(
        Case(
            ("tiny-phi3, chat", _RESULTS, "Reading short passages.", "Anything that matters."),
            "Two results, two lines.",
        ),
        Case(("small", _RESULTS[1:], "Trials.", "Customers."), "One result."),
        Case(
            ("x", [_result("codes", 32, 0.0, 0.0, 0.0), _result("sums", 32, 1.0, 1.0, 1.0)], "Nothing.", "All of it."),
            "A share of 0 is 0%, and of 1 is 100%.",
        ),
    ),
    mistakes=(
        Mistake("The card needs its title in the first line: # and the name.", when=_lacking("title")),
        Mistake("A blank belongs between # and the name, or the line is no title.", when=_lacking("blank")),
        Mistake(
            "What the model is for, and what it is not for, stand in each other's place. This is the line that people "
            "get hurt by.",
            when=_lacking("swapped"),
        ),
        Mistake(
            'The share is cut off, not rounded: 0.875 is 88%, and int(87.5) is 87. f"{r.exact:.0%}" rounds.',
            when=_lacking("cut"),
        ),
        Mistake("What the model is for is missing.", when=_lacking("use")),
        Mistake(
            "What the model is not for is missing. It is the line that a hurried reader needs most.",
            when=_lacking("not_for"),
        ),
        Mistake("Not every result has its line. One line a result, with the task's name in it.", when=_lacking("task")),
        Mistake(
            "The number of questions is missing. 90% of 10 and 90% of 1,000 are not the same news.",
            when=_lacking("count"),
        ),
        Mistake(
            'The share of right answers is missing, or not in percent. f"{r.exact:.0%}" makes 88% of 0.875.',
            when=_lacking("exact"),
        ),
        Mistake(
            "The interval is missing. A share without it looks surer than it is: add r.low and r.high, in percent.",
            when=lambda got, expected, args: isinstance(got, str) and _lacks(got, expected) in ("low", "high"),
        ),
    ),
)

# --- 2.6 ---


def group(row: dict[str, str]) -> str:
    if row["open_weights"] == "yes":
        return "open"
    return "closed" if row["open_weights"] == "no" else "unknown"


def _row(name: str, open_weights: str, licence: str, deployment: str) -> dict[str, str]:
    return {"name": name, "open_weights": open_weights, "licence": licence, "deployment": deployment}


SIX = Exercise(
    id="2.6",
    goal='The group of a row of the catalogue: "open" where open_weights is "yes", "closed" where it is "no", and '
    '"unknown" where it is empty.',
    reference=group,
    hints=(
        'A row is a dictionary of texts: row["open_weights"] is "yes", "no" or "".',
        'An empty field means that no document was found that says so. It is neither "yes" nor "no".',
        'Two ifs and three returns: if row["open_weights"] == "yes": return "open", and so on.',
    ),
    cases=(
        Case((_row("Phi-3-mini-4k-instruct", "yes", "MIT", "own;managed;serverless"),), "Its weights are open."),
        Case((_row("GPT-4o", "no", "proprietary", "serverless"),), "Its weights are not open."),
        Case((_row("GPT-6.2 Sol", "", "", "serverless"),), "The field is empty: nobody has said."),
        Case((_row("LLaMA 65B", "yes", "non-commercial bespoke licence", "own"),), "Open weights, a narrow licence."),
        Case((_row("Google Bard", "no", "proprietary", ""),), "Not open, and its way of deployment is unknown."),
        Case((_row("gpt-oss-120b", "yes", "Apache 2.0", "own"),), "Its weights are open."),
        Case((_row("Phi-4", "yes", "MIT", "own;managed;serverless"),), "Open weights may be served as well."),
        Case((_row("DALL-E 2", "no", "", ""),), "Not open, though the licence is not known."),
    ),
    mistakes=(
        Mistake(
            "An empty field is taken for no. Empty means unknown: nobody has said.",
            like=lambda row: "open" if row["open_weights"] == "yes" else "closed",
        ),
        Mistake(
            "An empty field is taken for yes. Empty means unknown: nobody has said.",
            like=lambda row: "closed" if row["open_weights"] == "no" else "open",
        ),
        Mistake(
            "The groups go by the way of deployment. Open weights may be served too; look at open_weights.",
            like=lambda row: "closed" if "serverless" in row["deployment"] else "open",
        ),
        Mistake(
            "The groups go by the licence. Weights may be open under a narrow licence; look at open_weights.",
            like=lambda row: (
                "unknown" if not row["licence"] else "closed" if "proprietary" in row["licence"] else "open"
            ),
        ),
        Mistake(
            "This is what the field says. The groups are called open, closed and unknown.",
            when=lambda got, expected, args: got == args[0]["open_weights"] or isinstance(got, bool),
        ),
    ),
)

# --- 2.7 ---


def break_even(fixed: float, price_in: float, price_out: float, tokens_in: float, tokens_out: float) -> float:
    per_call = (tokens_in * price_in + tokens_out * price_out) / 1_000_000
    return fixed / per_call if per_call else float("inf")


def _same_calls(got: Any, expected: float) -> bool:
    """Equal, or rounded to whole calls."""
    got = got.item() if hasattr(got, "item") else got
    if isinstance(got, bool) or not isinstance(got, (int, float)):
        return False
    if expected == float("inf"):
        return got == expected
    return abs(got - expected) <= max(1.0, 1e-6 * expected)


SEVEN = Exercise(
    id="2.7",
    goal="The number of calls a month at which a metered service costs as much as a machine of your own. fixed: "
    "dollars a month for the machine. price_in, price_out: dollars for a million tokens read and written. tokens_in, "
    'tokens_out: tokens of one call. Where a call costs nothing: float("inf").',
    reference=break_even,
    same=_same_calls,
    hints=(
        "First the cost of one call: tokens read times their price plus tokens written times theirs.",
        "The prices are for a million tokens, so divide by 1_000_000.",
        'Then fixed / per_call. If per_call is 0, the service is free and the line is never met: float("inf").',
    ),
    cases=(
        Case((400.0, 2.0, 10.0, 500, 20), "A call costs 0.0012 dollars: 333,333 calls."),
        Case((365.0, 0.1, 0.5, 500, 20), "A cheap service: millions of calls."),
        Case((100.0, 1.0, 0.0, 1000, 50), "Only what is read costs something: 100,000 calls."),
        Case((100.0, 0.0, 1.0, 1000, 50), "Only what is written costs something: 2,000,000 calls."),
        Case((0.0, 2.0, 10.0, 500, 20), "The machine costs nothing: 0 calls."),
        Case((400.0, 0.0, 0.0, 500, 20), "The service costs nothing: it is never dearer."),
    ),
    mistakes=(
        Mistake(
            "The prices are dollars for a million tokens. Divide by 1_000_000.",
            like=lambda f, pi, po, ti, to: f / (ti * pi + to * po) if ti * pi + to * po else float("inf"),
        ),
        Mistake(
            "The prices are dollars for a million tokens, not for a thousand.",
            like=lambda f, pi, po, ti, to: f / (ti * pi + to * po) * 1000 if ti * pi + to * po else float("inf"),
        ),
        Mistake(
            "The prices are swapped: what is read costs price_in, what is written price_out.",
            like=lambda f, pi, po, ti, to: f / (ti * po + to * pi) * 1e6 if ti * po + to * pi else float("inf"),
        ),
        Mistake(
            "All tokens are charged at both prices together. Each kind has its own price.",
            like=lambda f, pi, po, ti, to: f / ((ti + to) * (pi + po)) * 1e6 if pi + po else float("inf"),
        ),
        Mistake(
            "What is written is not charged. A call costs both: what it reads and what it writes.",
            like=lambda f, pi, po, ti, to: f / (ti * pi) * 1e6 if ti * pi else float("inf"),
        ),
        Mistake(
            "This is the cost of one call. How many such calls cost as much as the machine?",
            like=lambda f, pi, po, ti, to: (ti * pi + to * po) / 1e6,
        ),
        Mistake(
            "What if a call costs nothing? Look at that before you divide.",
            when=lambda got, expected, args: expected == float("inf"),
        ),
    ),
)

# --- 2.8 ---


def levels() -> list[int]:
    return [2, 1, 3, 4, 1, 3, 4, 2]


_WHY = (
    "a: a passage is searched for and put beside the question; the weights stay.",
    "b: one more line in the prompt, and the model stays as it is.",
    "c: the weights of base were there already; chats trained them further.",
    "d: its training began with weights that had learnt nothing.",
    "e: examples in the prompt are a prompt. No weight changes.",
    "f: LoRA learns a small change to weights that are there already.",
    "g: no old weight fits the new shape, so all of them are learnt anew.",
    "h: new text goes into the index that is searched; the weights stay.",
)


def _list(answer: Any) -> list[Any]:
    answer = answer.tolist() if hasattr(answer, "tolist") else answer
    return list(answer) if isinstance(answer, (list, tuple)) else []


def _level_part(place: int) -> Part:
    return Part(
        f"case {'abcdefgh'[place]}",
        lambda answer: _list(answer)[place] == levels()[place],
        "what changes: the words you write 1, what a search puts beside them 2, weights that were trained already 3, "
        "weights that had learnt nothing 4",
        _WHY[place],
    )


EIGHT = Exercise(
    id="2.8",
    goal="A list of eight numbers, the level of each case from a to h: 1 prompt, 2 retrieve, 3 tune, 4 from scratch.",
    reference=levels,
    source="levels = [2, 1, 3, 4, 1, 3, 4, 2]",
    hints=(
        "Ask for each case: is anything trained? A weight may be changed, or added. If not, it is level 1 or 2.",
        "Nothing is trained, and a search brings text: 2. Nothing is trained, and you write the text yourself: 1.",
        "Something is trained: 3 where it begins with a trained model's weights, or adds to them; 4 where it begins "
        "with weights that have learnt nothing.",
    ),
    parts=(
        Part(
            "whether it is a list",
            lambda a: bool(_list(a)),
            "a list of numbers: [1, ...]",
            "Eight numbers in square brackets, with commas: no function, no text, no dictionary, no single number.",
        ),
        Part(
            "how many there are",
            lambda a: len(_list(a)) == 8,
            "eight, one a case from a to h",
            "One missing, or one too many?",
        ),
        Part(
            "whether each is a level",
            lambda a: all(isinstance(x, int) and not isinstance(x, bool) and 1 <= x <= 4 for x in _list(a)),
            "whole numbers from 1 to 4",
            "1 prompt, 2 retrieve, 3 tune, 4 from scratch; no quotes.",
        ),
        *(_level_part(place) for place in range(8)),
    ),
)

EXERCISES = [ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT]

QUIZ = [
    Question(
        "2.1",
        "On 48 questions one model has 70 % right (56 % to 82 %), another 75 % (62 % to 87 %). What may you say?",
        (
            Option("The second model is better.", False, "Chance alone moves a share of 48 questions by more."),
            Option(
                "These 48 questions do not tell the two apart.",
                True,
                "The intervals overlap widely. Ask more questions.",
            ),
            Option("The two models are equally good.", False, "They may be, but not seeing a gap is no proof of none."),
        ),
    ),
    Question(
        "2.2",
        "A public ranking puts model A before model B. Why do you still test both on your own questions?",
        (
            Option(
                "The ranking asked other questions than your users do.", True, "It measures its own task, not yours."
            ),
            Option(
                "The public questions may have been in a model's training data.",
                True,
                "Then the score measures memory. Your own questions were never public.",
            ),
            Option("Public rankings are always wrong.", False, "They may be right, for the questions they asked."),
        ),
    ),
    Question(
        "2.3",
        "A base model's answer begins with the right value and then goes on writing. What does that say about a score?",
        (
            Option(
                "A score sees only what its rule looks at.",
                True,
                "Exact match sees the value, not the rest. Read some answers before you trust a figure.",
            ),
            Option(
                "Exact match should be given up.", False, "It is a good rule for values. It needs a second beside it."
            ),
            Option("The base model knows less.", False, "The right value was there. It has not learnt when to stop."),
        ),
    ),
    Question(
        "2.4",
        "The server of this lesson answered any key. What must you add before your colleagues may use one?",
        (
            Option("Access control: who may ask.", True, "As it is, everyone who reaches the address may ask."),
            Option("A log of who asked what, and when.", True, "Without it nobody can look into a fault or a misuse."),
            Option("A larger model.", False, "That has nothing to do with who may use it."),
        ),
    ),
    Question(
        "2.5",
        "A metered call costs 0.0005 dollars, a machine of your own 400 dollars a month. You make 10,000 calls.",
        (
            Option("The machine is cheaper.", False, "The calls cost 5 dollars a month, the machine 400."),
            Option("The service is cheaper, up to 800,000 calls a month.", True, "400 / 0.0005 is 800,000."),
            Option("Both cost the same.", False, "They do at 800,000 calls a month: 400 / 0.0005."),
        ),
    ),
]
