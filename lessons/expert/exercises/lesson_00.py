"""Lesson 00, Start here: a message, the reading prompt, the citation, the score."""

import re
from typing import Any

from expert.exercises import Case, Exercise, Mistake, Option, Part, Question

# --- 0.1 ---


def question() -> list[dict[str, str]]:
    return [{"role": "user", "content": "What does an impeller do?"}]


def _message(answer: Any) -> dict[str, Any]:
    """The one message of an answer that has got that far, else an empty one."""
    fits = isinstance(answer, (list, tuple)) and len(answer) == 1 and isinstance(answer[0], dict)
    return answer[0] if fits else {}


ONE = Exercise(
    id="0.1",
    goal="A chat with one message: a list that holds one dictionary with the role user and your question as content.",
    reference=question,
    source='question = [{"role": "user", "content": "What does an impeller do?"}]',
    hints=(
        "A chat is a list, even with one message in it: [ ... ].",
        "A message is a dictionary with two keys, both in quotes: role and content.",
        'Write [{"role": "user", "content": "..."}] and put any question in place of the dots.',
    ),
    parts=(
        Part(
            "whether it is a list",
            lambda a: isinstance(a, (list, tuple)),
            "a list of messages: [ ... ]",
            "Square brackets around everything. Even one message goes into a list.",
        ),
        Part(
            "how many messages there are", lambda a: len(a) == 1, "exactly one", "A comma too many, or nothing inside?"
        ),
        Part(
            "whether the message is a dictionary",
            lambda a: isinstance(a[0], dict),
            'a dictionary: {"role": ..., "content": ...}',
            "Curly brackets around the message, and a colon between each key and its value.",
        ),
        Part(
            "the keys of the message",
            lambda a: {"role", "content"} <= set(_message(a)),
            "the keys role and content",
            "Both keys are small letters, in quotes.",
        ),
        Part(
            "the role",
            lambda a: _message(a)["role"] == "user",
            '"user": the one who asks',
            "You ask, so the role is user, in small letters. The model's own turns have the role assistant.",
        ),
        Part(
            "the content",
            lambda a: isinstance(_message(a)["content"], str) and re.search(r"\w", _message(a)["content"]),
            "a text with a question in it",
            "Between the quotes stands your question, as you would type it to a colleague.",
        ),
    ),
)

# --- 0.2 ---


def build_prompt(passages: list[str], question: str) -> str:
    numbered = [f"[{number}] {passage}" for number, passage in enumerate(passages, start=1)]
    return "\n".join(numbered) + "\n\n" + question


def _same_prompt(got: Any, expected: str) -> bool:
    """Equal up to spaces at the ends of lines, and with or without "Question:" before the question."""
    return isinstance(got, str) and _bare(got) == _bare(expected)


def _bare(prompt: str) -> str:
    lines = [line.rstrip() for line in prompt.strip().split("\n")]
    lines[-1] = re.sub(r"^question:\s*", "", lines[-1], flags=re.IGNORECASE)
    return "\n".join(lines)


def _numbered(passages: list[str], form: str = "[{}] {}", start: int = 1) -> list[str]:
    return [form.format(i, p) for i, p in enumerate(passages, start)]


_TEXTS = [
    "Kestrel 40: tighten the cover bolts to 45 Nm.",
    "Heron 12: tighten the cover bolts to 30 Nm.",
    "The stores close at 17:00 on Fridays.",
]

TWO = Exercise(
    id="0.2",
    goal="A prompt from passages and a question: each passage on a line of its own, numbered [1], [2] and so on, then "
    "an empty line, then the question.",
    reference=build_prompt,
    same=_same_prompt,
    hints=(
        "enumerate(passages, start=1) gives each passage together with its number.",
        'One numbered passage is f"[{number}] {passage}". Collect all of them in a list.',
        'Put the lines together with "\\n".join(...). An empty line is "\\n\\n"; then comes the question.',
    ),
    cases=(
        Case(
            (_TEXTS[:2], "How tight are the cover bolts of the Kestrel 40?"),
            "Numbers, an empty line, the question. A number joins a text as str(number), or in an f-string.",
        ),
        Case((_TEXTS[2:], "When do the stores close?"), "One passage alone is also numbered: [1]."),
        Case((_TEXTS, "When do the stores close on Fridays?"), "Three passages, three lines."),
        Case(([_TEXTS[0], _TEXTS[1], _TEXTS[0]], "How tight?"), "The same passage twice: its second number is 3."),
        Case(([f"Note {n}." for n in range(1, 13)], "What does note 12 say?"), "Twelve passages: the last is [12]."),
    ),
    mistakes=(
        Mistake(
            "The passages are numbered from 0. People count from 1: enumerate(passages, start=1).",
            like=lambda passages, question: "\n".join(_numbered(passages, start=0)) + "\n\n" + question,
        ),
        Mistake(
            "The question is missing. The model would read the passages and not know what you want.",
            when=lambda got, expected, args: isinstance(got, str) and args[1] not in got,
        ),
        Mistake(
            "The passages are missing, so the model would have to guess.",
            when=lambda got, expected, args: isinstance(got, str) and not any(p in got for p in args[0]),
        ),
        Mistake(
            "Only some of the passages are there. Does your return stand inside the loop, or is "
            "the text overwritten each time?",
            when=lambda got, expected, args: isinstance(got, str) and not all(p in got for p in args[0]),
        ),
        Mistake(
            "There is no empty line before the question. One \\n ends a line; two make an empty one.",
            like=lambda passages, question: "\n".join([*_numbered(passages), question]),
        ),
        Mistake(
            "There are empty lines between the passages. One \\n goes between passages, two before the question.",
            like=lambda passages, question: "\n\n".join([*_numbered(passages), question]),
        ),
        Mistake(
            "The numbers are missing. The model needs them to cite a passage.",
            like=lambda passages, question: "\n".join(passages) + "\n\n" + question,
        ),
        Mistake(
            "The passages stand on one line. Join them with a line break, \\n, not with a space.",
            like=lambda passages, question: " ".join(_numbered(passages)) + "\n\n" + question,
        ),
        Mistake(
            "The number goes into square brackets: [1], not 1.",
            like=lambda passages, question: "\n".join(_numbered(passages, "{}. {}")) + "\n\n" + question,
        ),
        Mistake(
            "A space goes between the number and the passage: [1] text.",
            like=lambda passages, question: "\n".join(_numbered(passages, "[{}]{}")) + "\n\n" + question,
        ),
        Mistake(
            "The question comes last, after the passages.",
            like=lambda passages, question: question + "\n\n" + "\n".join(_numbered(passages)),
        ),
        Mistake(
            "A passage that comes twice gets the same number twice; the second should be [3]. list.index finds the "
            "first place only; use enumerate.",
            like=lambda passages, question: (
                "\n".join(f"[{passages.index(p) + 1}] {p}" for p in passages) + "\n\n" + question
            ),
        ),
    ),
)

# --- 0.3 ---


def cited(answer: str) -> list[int]:
    return [int(number) for number in re.findall(r"\[(\d+)\]", answer)]


def _same_numbers(got: Any, expected: list[int]) -> bool:
    """Equal lists of numbers; a number cited twice may stand once or twice."""
    got = got.tolist() if hasattr(got, "tolist") else got
    if not isinstance(got, (list, tuple)) or not all(_is_whole(n) for n in got):
        return False
    return list(got) in (expected, list(dict.fromkeys(expected)))


def _is_whole(number: Any) -> bool:
    return hasattr(number, "__index__") and not isinstance(number, bool)


_BRACKET = (
    r"In a pattern, [ and ] list signs to choose from, so every digit is taken. A bracket that stands for itself is "
    r"written \[ or \]."
)

THREE = Exercise(
    id="0.3",
    goal="The passage numbers that an answer cites, as a list of whole numbers in their order: "
    '"It is 45 Nm. [2]" gives [2]. No citation gives an empty list.',
    reference=cited,
    source="import re\n\n\ndef cited(answer: str) -> list[int]:\n"
    '    return [int(number) for number in re.findall(r"\\[(\\d+)\\]", answer)]\n',
    same=_same_numbers,
    hints=(
        "A citation is a number between square brackets. Other numbers in the answer are no citations.",
        "In a regular expression, brackets that stand for themselves are written \\[ and \\], and \\d+ is a number: "
        're.findall(r"\\[(\\d+)\\]", answer) finds them all, as texts.',
        "Turn each text into a number: [int(number) for number in ...].",
    ),
    cases=(
        Case(("It is 45 Nm. [2]",), "45 is a value; [2] is the citation."),
        Case(("I do not know.",), "Nothing is cited, so the list is empty: []."),
        Case(("The bolts take 45 Nm [3] and the cover 30 Nm [1].",), "Two citations, in the order of the answer."),
        Case(("It is 17:00. [12]",), "A passage number may have two digits."),
        Case(("It is 8 bar. [1][4]",), "Two citations with nothing between them."),
        Case(("Close valve 3, see the handbook [page].",), "Brackets without a number are no citation."),
        Case(("It is BF-102. [2] It is BF-102. [2]",), "The same passage cited twice."),
        Case(("",), "An empty answer cites nothing."),
    ),
    mistakes=(
        Mistake(
            _BRACKET,
            like=lambda answer: [int(n) for n in re.findall(r"[\d]", answer)],
        ),
        Mistake(
            _BRACKET,
            like=lambda answer: re.findall(r"[\d]", answer),
        ),
        Mistake(
            "The numbers are still texts. Turn each one into a whole number with int(...).",
            when=lambda got, expected, args: isinstance(got, (list, tuple)) and any(isinstance(n, str) for n in got),
        ),
        Mistake(
            "Every number is taken, also values such as 45. A citation stands in square brackets.",
            like=lambda answer: [int(n) for n in re.findall(r"\d+", answer)],
        ),
        Mistake(
            "Only the first citation is found. An answer may cite several passages: re.findall finds all of them.",
            like=lambda answer: cited(answer)[:1],
        ),
        Mistake(
            "Numbers of two digits are missed. \\d is one digit, \\d+ is one or more.",
            like=lambda answer: [int(n) for n in re.findall(r"\[(\d)\]", answer)],
        ),
        Mistake(
            "A number came back, or nothing. The result is always a list: [2] for one citation, [] for none.",
            when=lambda got, expected, args: got is None or (_is_whole(got) and not hasattr(got, "__len__")),
        ),
        Mistake(
            "The citations are sorted. They should stand in the order of the answer.",
            like=lambda answer: sorted(set(cited(answer))),
        ),
        Mistake(
            "What is in the brackets need not be a number: [page]. Check it first, for instance with .isdigit().",
            when=lambda got, expected, args: got is None and "[page]" in args[0],
        ),
    ),
)

# --- 0.4 ---


def holds(answer: str, value: str) -> bool:
    return re.search(rf"(?<![\w.,]){re.escape(value)}(?!\w|[.,]\d)", answer) is not None


def share_correct(answers: list[str], expected: list[str]) -> float:
    right = 0
    for answer, value in zip(answers, expected, strict=True):
        answer, value = " ".join(answer.lower().split()), " ".join(value.lower().split())
        right += holds(answer, value)
    return right / len(answers) if answers else 0.0


def _normal(text: str) -> str:
    return " ".join(text.lower().split())


def _edges(value: str, answer: str) -> bool:
    """As a whole, but for a dot or a comma beside the value."""
    return bool(re.search(r"(?<!\w)" + re.escape(value) + r"(?!\w)", answer))


def _spaced(value: str, answer: str) -> bool:
    return f" {value} " in f" {answer} "


def _bare_words(text: str) -> list[str]:
    return [word.strip(".,;:![]()") for word in _normal(text).split()]


def _undotted(text: str) -> str:
    return _normal(text).replace(".", "")


def _share(answers: list[str], expected: list[str], rule: Any) -> float:
    marks = [rule(value, answer) for answer, value in zip(answers, expected, strict=True)]
    return sum(map(bool, marks)) / len(marks) if marks else 0.0


def _by(rule: Any, tidy: Any = _normal) -> Any:
    """A wrong answer: its own rule for one value and one answer, after its own way of tidying both."""
    return lambda answers, expected: _share(answers, expected, lambda v, a: rule(tidy(v), tidy(a)))


_LONGER = "A longer number counts as right: 145 Nm contains 45 Nm as text, but it is another value."
_INSIDE = (
    "The value is not found inside a sentence. Other words may stand before it and after it, and a full stop may stand "
    "right behind it."
)
_STOP = 'A full stop may stand right behind the value: "It is 45 Nm." holds 45 Nm.'
_ALIKE = "Capitals still count. Put both texts in small letters first: text.lower()."
_SPACES = "Extra spaces still count: split the text at spaces and join it again, both texts."
_PATTERN = "A dot in the value is read as a pattern, in which it stands for any sign. Use re.escape(value)."
_MINUS = r"A value may begin with a minus, and \b finds no edge there: it wants a letter or a digit on one side."
_VALUE = "Extra spaces may stand in the expected value too. Tidy both texts in the same way."
_ALONE = "An answer may be the value alone, with no word and no space before it."
_NUMBER = (
    "4.5 bar is not 5 bar, and 12.5 is not 12: a dot or a comma inside a number belongs to it. The tool "
    "holds, in the cell above the exercise, sees to that."
)
_DOTS = "Without its dot, 3.5 bar becomes 35 bar. Take away a dot only where it ends a word."
_APART = "The words of the value may stand far apart. They must stand together: 45 mm and 3 Nm is not 45 Nm."

FOUR = Exercise(
    id="0.4",
    goal="The share, from 0 to 1, of answers that contain the expected value. Capitals and extra spaces do not count. "
    'The value counts as a whole only: "It is 145 Nm." does not contain "45 Nm", and "It is 4.5 bar." does not contain '
    '"5 bar". No answers at all give 0.0.',
    reference=share_correct,
    source="import re\n\n\n"
    "def holds(answer: str, value: str) -> bool:\n"
    "    # No letter or digit may touch the value, and no dot or comma that belongs to a number\n"
    '    return re.search(rf"(?<![\\w.,]){re.escape(value)}(?!\\w|[.,]\\d)", answer) is not None\n\n\n'
    "def share_correct(answers: list[str], expected: list[str]) -> float:\n"
    "    right = 0\n"
    "    for answer, value in zip(answers, expected, strict=True):\n"
    '        answer, value = " ".join(answer.lower().split()), " ".join(value.lower().split())\n'
    "        right += holds(answer, value)\n"
    "    return right / len(answers) if answers else 0.0\n",
    hints=(
        "Go through both lists together: for answer, value in zip(answers, expected). Count the right ones, and divide "
        "by how many there are. Think of the empty list first.",
        'Make both texts alike before you compare them: " ".join(text.lower().split()).',
        "The value as a whole: holds(answer, value), from the cell above the exercise, with both texts made alike. It "
        "allows no letter or digit beside the value, and no dot or comma that belongs to a number.",
    ),
    cases=(
        Case(
            (["It is 45 Nm. [1]", "It is 30 Nm."], ["45 Nm", "25 Nm"]),
            "One of two is right: 0.5. The value stands inside a sentence, and a full stop may follow it.",
        ),
        Case((["It is Ostley. [3]"] * 3, ["Ostley"] * 3), "All three are right: 1.0."),
        Case((["It is 145 Nm.", "It is 45 Nm."], ["45 Nm", "45 Nm"]), "145 Nm is not 45 Nm."),
        Case(
            (["It is the Kestrel 400.", "It is the Kestrel 40."], ["Kestrel 40"] * 2), "Kestrel 400 is not Kestrel 40."
        ),
        Case((["it is INGRID solheim.", "I do not know."], ["Ingrid Solheim"] * 2), "Capitals do not matter."),
        Case((["It is  Ingrid   Solheim. [1]"], ["Ingrid Solheim"]), "Extra spaces do not matter."),
        Case((["It is ingrid solheim."], ["Ingrid  Solheim"]), "Extra spaces may stand in the expected value too."),
        Case(
            (["It is 325 bar.", "It is 315 bar.", "It is 35 bar.", "It is 3.5 bar."], ["3.5 bar"] * 4),
            "The dot in 3.5 is a dot: 325 bar and 35 bar are other values.",
        ),
        Case(
            (["It is 4.5 bar.", "It is 5 bar.", "It is 12.5.", "It is 12."], ["5 bar", "5 bar", "12", "12"]),
            "A dot inside a number belongs to it: 4.5 bar is not 5 bar, and 12.5 is not 12.",
        ),
        Case((["It is 45 mm and 3 Nm."], ["45 Nm"]), "The words of the value must stand together."),
        Case(
            (["It is -196 °C at most."], ["-196 °C"]),
            "A value may begin with a sign that is no letter and no digit.",
        ),
        Case((["bf-102", "It is BF-102. [2]"], ["BF-102"] * 2), "An answer may be the value alone, in small letters."),
        Case(([], []), "No answers at all: 0.0, and no division by zero."),
    ),
    mistakes=(
        Mistake(_MINUS, like=_by(lambda v, a: re.search(rf"(?<![.,])\b{re.escape(v)}\b(?![.,]\d)", a))),
        Mistake(_VALUE, like=lambda a, e: _share(a, e, lambda v, t: holds(_normal(t), v.lower()))),
        Mistake(_ALONE, like=_by(lambda v, a: holds(a, v) and f" {v}" in a)),
        Mistake(_NUMBER, like=_by(lambda v, a: re.search(rf"(?<![\w.,]){re.escape(v)}(?!\w)", a))),
        Mistake(_LONGER, like=_by(lambda v, a: v in a)),
        Mistake(_LONGER, like=_by(lambda v, a: v in a, str.lower)),
        Mistake(_LONGER, like=_by(lambda v, a: v in a, str)),
        Mistake(_STOP, like=_by(_spaced)),
        Mistake(_STOP, like=_by(_spaced, str.lower)),
        Mistake(_STOP, like=_by(_spaced, str)),
        Mistake(_INSIDE, like=_by(lambda v, a: v == a)),
        Mistake(_INSIDE, like=_by(lambda v, a: v == a, str)),
        Mistake(_ALIKE, like=_by(lambda v, a: holds(a, v), str)),
        Mistake(_ALIKE, like=_by(lambda v, a: holds(a, v), lambda text: " ".join(text.split()))),
        Mistake(_ALIKE, like=_by(_edges, str)),
        Mistake(_SPACES, like=_by(lambda v, a: holds(a, v), str.lower)),
        Mistake(_SPACES, like=_by(_edges, str.lower)),
        Mistake(_PATTERN, like=_by(lambda v, a: re.search(rf"(?<!\w){v}(?!\w)", a))),
        Mistake(_PATTERN, like=_by(lambda v, a: re.search(rf"(?<![\w.,]){v}(?!\w|[.,]\d)", a))),
        Mistake(_NUMBER, like=_by(_edges)),
        Mistake(_NUMBER, like=_by(lambda v, a: re.search(rf"\b{re.escape(v)}\b", a))),
        Mistake(_DOTS, like=_by(_edges, _undotted)),
        Mistake(_DOTS, like=_by(lambda v, a: set(v.split()) <= set(a.split()), _undotted)),
        Mistake(_APART, like=_by(lambda v, a: set(v) <= set(a), _bare_words)),
        Mistake(
            "A share lies between 0 and 1. This is a percentage.",
            like=lambda a, e: 100 * share_correct(a, e),
        ),
        Mistake(
            "This is the number of right answers. Divide it by how many answers there are.",
            like=lambda a, e: round(share_correct(a, e) * len(a)),
        ),
        Mistake(
            "This is the share of wrong answers.",
            like=lambda a, e: 1 - share_correct(a, e) if a else 0.0,
        ),
        Mistake(
            "This is a mark for each answer. One number was asked for: their mean.",
            when=lambda got, expected, args: isinstance(got, (list, tuple)),
        ),
    ),
)

EXERCISES = [ONE, TWO, THREE, FOUR]

QUIZ = [
    Question(
        "0.1",
        "The model was asked about Brightwater without any passage, and it gave a value. Where did that come from?",
        (
            Option(
                "It searched Brightwater's documents.", False, "It has no way to: it sees the prompt and nothing else."
            ),
            Option(
                "It made up something that looks like an answer.", True, "It continues the text with what is likely."
            ),
            Option("Brightwater's facts are in its weights.", False, "Brightwater was never in its training data."),
        ),
    ),
    Question(
        "0.2",
        "What makes the answer about Brightwater right in this lesson?",
        (
            Option(
                "The passage that holds the fact stands in the prompt.", True, "The model reads it and copies the fact."
            ),
            Option("The model was trained again in between.", False, "Its weights are the same before and after."),
            Option("The question was asked politely.", False, "The wording of the question stayed the same."),
        ),
    ),
    Question(
        "0.3",
        "You measured tiny-phi3 with and without the passage. What may you say from that alone?",
        (
            Option("Large models make things up just as often.", False, "Nothing here measured a large model."),
            Option("Asked without any passage, this model makes something up.", True, "That is what you measured."),
            Option("With the fact in the prompt, this model can answer from it.", True, "You measured that too."),
            Option(
                "A larger model would know Brightwater.",
                False,
                "Nothing here measured one. A fact that was never public is in no model's training data.",
            ),
        ),
    ),
]
