"""Lesson 09, RAG, fine-tuning, or both? Intervals, forgetting, a record, cost, break-even, advice."""

import math
from typing import Any

import numpy as np

from expert.exercises import Case, Exercise, Mistake, Option, Question

# --- 9.1 ---


def paired_interval(first: Any, second: Any, picks: Any) -> tuple[float, float]:
    difference = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    means = [difference[np.asarray(pick)].mean() for pick in picks]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _same_pair(got: Any, expected: tuple[float, float]) -> bool:
    got = [float(value) for value in got]
    return len(got) == 2 and bool(np.allclose(got, expected, rtol=1e-5, atol=1e-9))


def _unpaired(first: Any, second: Any, picks: Any) -> tuple[float, float]:
    """Each list gets an interval of its own."""
    one, two = paired_interval(first, [0] * len(first), picks), paired_interval(second, [0] * len(second), picks)
    return one[0] - two[1], one[1] - two[0]


_FIRST, _SECOND = [1, 1, 0, 1, 0, 1], [0, 1, 0, 0, 1, 0]
_PICKS = [[0, 1, 2, 3, 4, 5], [0, 0, 3, 3, 5, 5], [4, 4, 4, 1, 2, 0], [2, 1, 2, 1, 4, 5], [3, 3, 3, 3, 3, 1]]
_PARTS = [0.5, 0.25, 1.0, 0.75], [0.5, 0.5, 0.625, 0.0]
_MORE = [[0, 1, 2, 3], [3, 3, 3, 2], [1, 1, 1, 1], [0, 0, 1, 2], [2, 2, 3, 3], [0, 1, 1, 0]]

ONE = Exercise(
    id="9.1",
    goal="The interval of the mean of first minus second: its 2.5 % and 97.5 % quantiles over the draws.",
    reference=paired_interval,
    same=_same_pair,
    source="import numpy as np\n\n\n"
    "def paired_interval(first, second, picks):\n"
    "    difference = np.array(first, dtype=float) - np.array(second, dtype=float)\n"
    "    means = [difference[pick].mean() for pick in picks]\n"
    "    low, high = np.quantile(means, [0.025, 0.975])\n"
    "    return low, high",
    hints=(
        "First the differences, question by question: np.array(first) - np.array(second).",
        "A draw is a list of places. difference[pick] takes the differences at these places; .mean() is their mean.",
        "np.quantile(means, [0.025, 0.975]) gives both ends.",
    ),
    cases=(
        Case(([1, 1, 0], [0, 1, 0], [[0, 1, 2], [0, 0, 1], [2, 2, 2]]), "The example."),
        Case((_FIRST, _SECOND, _PICKS), "Six questions, five draws."),
        Case((_SECOND, _FIRST, _PICKS), "Changed places: the signs change, and the ends change places."),
        Case((*_PARTS, _MORE), "Shares in place of right and wrong."),
        Case((_FIRST, _FIRST, _PICKS), "The same twice: 0 and 0."),
    ),
    mistakes=(
        Mistake(
            "It is second minus first. First minus second was asked for.",
            like=lambda a, b, picks: paired_interval(b, a, picks),
        ),
        Mistake(
            "These are the smallest and the largest mean. The outer 2.5 % on each side are to be left out.",
            like=lambda a, b, picks: (
                min((np.array(a) - np.array(b))[p].mean() for p in picks),
                max((np.array(a) - np.array(b))[p].mean() for p in picks),
            ),
        ),
        Mistake(
            "This is an interval of 90 %. Cut 2.5 % off on each side, not 5 %.",
            like=lambda a, b, picks: np.quantile([(np.array(a) - np.array(b))[p].mean() for p in picks], [0.05, 0.95]),
        ),
        Mistake(
            "Each list has an interval of its own here. Take the difference first, question by question: that is what "
            "makes the comparison paired.",
            like=_unpaired,
        ),
        Mistake(
            "These are sums over the draws. Take means.",
            like=lambda a, b, picks: np.quantile([(np.array(a) - np.array(b))[p].sum() for p in picks], [0.025, 0.975]),
        ),
        Mistake(
            "This is the interval of the first list alone. Subtract the second.",
            like=lambda a, b, picks: paired_interval(a, [0] * len(a), picks),
        ),
    ),
)

# --- 9.4 ---


def cost_of_right(setup: float, per_call: float, calls: int, share_right: float) -> float:
    right = calls * share_right
    return (setup + calls * per_call) / right if right else math.inf


def _without_setup(setup: float, per_call: float, calls: int, share_right: float) -> float:
    return per_call / share_right if share_right else math.inf


FOUR = Exercise(
    id="9.4",
    goal="All that was paid, for the set-up and the calls, divided by the number of right answers.",
    reference=cost_of_right,
    source="def cost_of_right(setup, per_call, calls, share_right):\n"
    "    right = calls * share_right\n"
    '    return (setup + calls * per_call) / right if right else float("inf")',
    hints=(
        "How many answers are right? calls * share_right.",
        "All calls are paid for, also those with a wrong answer: setup + calls * per_call.",
        'Where nothing is right, no sum buys a right answer: return float("inf") before you divide by 0.',
    ),
    cases=(
        Case((10.0, 0.5, 100, 0.6), "The example: 60 EUR for 60 right answers."),
        Case((0.0, 0.002, 1000, 0.5), "No set-up: each right answer costs two calls."),
        Case((5.0, 0.001, 200, 1.0), "All are right."),
        Case((0.0, 0.001, 500, 0.0), "Nothing is right: infinite."),
        Case((3.0, 0.0, 10, 0.25), "The calls cost nothing, the set-up does."),
        Case((1.0, 0.01, 7, 0.3), "7 calls, 2.1 right answers on average: do not round them."),
        Case((0.0, 0.0, 100, 0.4), "Nothing is paid: 0."),
    ),
    mistakes=(
        Mistake("The set-up is missing.", like=_without_setup),
        Mistake(
            "This is the cost of an answer, right or wrong. Divide by the right ones.",
            like=lambda setup, per_call, calls, share: (setup + calls * per_call) / calls,
        ),
        Mistake(
            "Only the right answers are paid for here. The wrong ones cost as much.",
            like=lambda setup, per_call, calls, share: (
                (setup + calls * share * per_call) / (calls * share) if share else math.inf
            ),
        ),
        Mistake(
            "The set-up is counted with each call. It is paid once.",
            like=lambda setup, per_call, calls, share: (setup + per_call) / share if share else math.inf,
        ),
        Mistake(
            "Where nothing is right, this is not infinite. A method that is never right would look cheap.",
            when=lambda got, expected, args: expected == math.inf,
        ),
        Mistake(
            "This is the whole bill. Divide it by the number of right answers.",
            like=lambda setup, per_call, calls, share: setup + calls * per_call,
        ),
        Mistake(
            "It is multiplied by the share of right answers. Divide.",
            like=lambda setup, per_call, calls, share: (setup + calls * per_call) / calls * share,
        ),
    ),
)

# --- 9.5 ---


def first_cheaper(setup: float, per_call: float, other_per_call: float) -> int | None:
    saved = other_per_call - per_call
    return math.floor(setup / saved) + 1 if saved > 0 else None


FIVE = Exercise(
    id="9.5",
    goal="The smallest whole number of calls at which set-up and calls together cost less than the other way; or None.",
    reference=first_cheaper,
    source="import math\n\n\n"
    "def first_cheaper(setup, per_call, other_per_call):\n"
    "    saved = other_per_call - per_call\n"
    "    return math.floor(setup / saved) + 1 if saved > 0 else None",
    hints=(
        "Each call saves other_per_call - per_call. If that is 0 or less, the set-up never comes back: None.",
        "setup / saved calls make both equal. You look for the first whole number above that.",
        "math.floor(setup / saved) + 1 is that number, also where the division comes out even.",
    ),
    cases=(
        Case((60.0, 1.0, 3.0), "The example: at 30 calls both cost 90, at 31 the first way is cheaper."),
        Case((100.0, 0.25, 0.5), "Each call saves a quarter."),
        Case((7.0, 1.0, 3.0), "3.5 calls make both equal: the fourth is the first."),
        Case((50.0, 2.0, 1.0), "A call costs more than the other way's: never."),
        Case((50.0, 2.0, 2.0), "Nothing is saved: never."),
        Case((0.0, 1.0, 2.0), "No set-up: from the first call on."),
        Case((0.5, 1.0, 3.0), "The set-up is back with the first call."),
        Case((1024.0, 0.125, 0.25), "Many calls: 8,192 make both equal."),
    ),
    mistakes=(
        Mistake(
            "At this number both cost the same, where the division comes out even. One more call is needed.",
            like=lambda setup, a, b: math.ceil(setup / (b - a)) if b > a else None,
        ),
        Mistake(
            "At this number the first way is still dearer, or they are equal. It must be the first whole number above.",
            like=lambda setup, a, b: math.floor(setup / (b - a)) if b > a else None,
        ),
        Mistake(
            "A call that costs more than the other way's can never bring the set-up back: None.",
            when=lambda got, expected, args: expected is None and args[1] > args[2],
        ),
        Mistake(
            "Where a call costs the same both ways, nothing is saved: None.",
            when=lambda got, expected, args: expected is None and args[1] == args[2],
        ),
        Mistake(
            "The calls are whole: 4, not 3.5. Take the first whole number above.",
            like=lambda setup, a, b: setup / (b - a) if b > a else None,
        ),
        Mistake(
            "Divide by what a call saves, not by what it costs.",
            like=lambda setup, a, b: math.floor(setup / b) + 1 if b > a else None,
        ),
    ),
)

# --- 9.3 ---

PARTS = ("order", "site", "pump", "serial", "label", "saw", "do", "sign-off")


def to_record(line: str) -> dict[str, str] | None:
    cells = [cell.strip() for cell in line.split(" / ")]
    if len(cells) != len(PARTS) or not all(cells):
        return None
    return dict(zip(PARTS, cells, strict=True))


_ORDER = "WO-5 / ST-002 / KE40 / BWS1 / MOSS / saw water on the floor / fit BW-1-S / NK dry hands"


def _lenient(line: str) -> dict[str, str]:
    return dict(zip(PARTS, [cell.strip() for cell in line.split(" / ")], strict=False))


def _any_slash(line: str) -> dict[str, str] | None:
    cells = [cell.strip() for cell in line.split("/")]
    return dict(zip(PARTS, cells, strict=True)) if len(cells) == len(PARTS) and all(cells) else None


def _with_empty(line: str) -> dict[str, str] | None:
    cells = [cell.strip() for cell in line.split(" / ")]
    return dict(zip(PARTS, cells, strict=True)) if len(cells) == len(PARTS) else None


THREE = Exercise(
    id="9.3",
    goal="A work order as a dictionary with the eight names of its parts; None where it has not eight filled parts.",
    reference=to_record,
    source='PARTS = ("order", "site", "pump", "serial", "label", "saw", "do", "sign-off")\n\n\n'
    "def to_record(line):\n"
    '    cells = [cell.strip() for cell in line.split(" / ")]\n'
    "    if len(cells) != len(PARTS) or not all(cells):\n"
    "        return None\n"
    "    return dict(zip(PARTS, cells))",
    hints=(
        'line.split(" / ") cuts at a slash with a space on each side. strip() takes spaces off the ends of a part.',
        "Count the parts before you use them: exactly eight, and none may be empty. Else return None.",
        "dict(zip(PARTS, cells)) puts names and parts together, in order.",
    ),
    cases=(
        Case((_ORDER,), "The example."),
        Case(("I do not know.",), "No work order at all: None."),
        Case((_ORDER.rsplit(" / ", 1)[0],), "Seven parts: None."),
        Case((_ORDER + " / thank you",), "Nine parts: None. Which one is too much, no program can know."),
        Case((_ORDER.replace("MOSS", " "),), "An empty part: None."),
        Case((_ORDER.replace("water on the floor", "1/2 bar"),), "A slash without spaces belongs to its part."),
        Case((f"  {_ORDER}\n",), "Spaces and line ends around the line do not count."),
        Case(("",), "An empty line: None."),
    ),
    mistakes=(
        Mistake(
            "It takes what it gets. A line of seven or nine parts must give None, so that a person looks at it.",
            like=_lenient,
        ),
        Mistake('Cut at " / ", with the spaces: a part may hold a slash of its own, as in 1/2 bar.', like=_any_slash),
        Mistake("An empty part is let through. None may be empty.", like=_with_empty),
        Mistake(
            "These are the parts without their names. A dictionary was asked for.",
            when=lambda got, expected, args: isinstance(got, (list, tuple)),
        ),
        Mistake(
            "It is an empty dictionary. Return None where the line is no work order.",
            when=lambda got, expected, args: expected is None and got == {},
        ),
        Mistake(
            "A text was returned. The dictionary was asked for; json.dumps comes afterwards.",
            when=lambda got, expected, args: isinstance(got, str),
        ),
    ),
)

# --- 9.2 ---


def lost_and_gained(before: Any, after: Any) -> tuple[int, int]:
    pairs = list(zip(before, after, strict=True))
    return sum(bool(b) and not a for b, a in pairs), sum(bool(a) and not b for b, a in pairs)


TWO = Exercise(
    id="9.2",
    goal="Two counts: facts that were right before and are wrong after; facts that were wrong and are right now.",
    reference=lost_and_gained,
    source="def lost_and_gained(before, after):\n"
    "    pairs = list(zip(before, after))\n"
    "    lost = sum(bool(b) and not a for b, a in pairs)\n"
    "    gained = sum(bool(a) and not b for b, a in pairs)\n"
    "    return lost, gained",
    hints=(
        "zip(before, after) goes through both lists side by side: one pair for each question.",
        "Lost: 1 before and 0 after. Gained: 0 before and 1 after.",
        "sum(...) over such comparisons counts how many are true.",
    ),
    cases=(
        Case(([1, 1, 0, 0], [1, 0, 1, 0]), "The example: one lost, one gained."),
        Case(([1, 1, 1], [0, 0, 1]), "Two lost."),
        Case(([0, 0, 1], [1, 1, 1]), "Two gained."),
        Case(([1, 0, 1], [1, 0, 1]), "Nothing changes."),
        Case(([1, 0, 1, 0, 1], [0, 1, 0, 1, 0]), "Everything changes: three lost, two gained; the share fell by one."),
        Case(([], []), "No questions."),
    ),
    mistakes=(
        Mistake("The two are swapped: lost first.", like=lambda b, a: lost_and_gained(a, b)),
        Mistake(
            "This compares the totals. Where one fact is lost and another gained, the total stays, and both count.",
            like=lambda b, a: (max(sum(b) - sum(a), 0), max(sum(a) - sum(b), 0)),
        ),
        Mistake(
            "These are all that are wrong after, and all that are right after. Look at what they were before.",
            like=lambda b, a: (sum(not x for x in a), sum(bool(x) for x in a)),
        ),
        Mistake(
            "These are shares. Counts were asked for.",
            like=lambda b, a: tuple(n / len(b) if len(b) else 0 for n in lost_and_gained(b, a)),
        ),
        Mistake(
            "Only one number came back. Lost and gained were asked for, in this order.",
            when=lambda got, expected, args: isinstance(got, (int, float)),
        ),
    ),
)

# --- 9.6 ---

FACTS = ("none", "stable", "changing")


def advise(facts: str, own_form: bool) -> str:
    if facts == "changing":
        return "RAG with LoRA" if own_form else "RAG"
    return "LoRA" if facts == "stable" or own_form else "prompt"


SIX = Exercise(
    id="9.6",
    goal='The way that the claims advise: "prompt", "RAG", "LoRA" or "RAG with LoRA".',
    reference=advise,
    source="def advise(facts, own_form):\n"
    '    if facts == "changing":\n'
    '        return "RAG with LoRA" if own_form else "RAG"\n'
    '    return "LoRA" if facts == "stable" or own_form else "prompt"',
    hints=(
        "Facts that change: RAG, whatever the form. Does the form need LoRA as well?",
        "Facts that are stable, or a form of the house: LoRA. Neither: a prompt.",
        "Three cases of facts times two of form are six. Go through all six.",
    ),
    cases=(
        Case(("changing", False), "The example."),
        Case(("none", False), "Nothing of its own: a prompt."),
        Case(("none", True), "A form of the house, no facts from outside."),
        Case(("stable", False), "Stable facts."),
        Case(("stable", True), "Stable facts and a form: both can be learnt."),
        Case(("changing", True), "Changing facts and a form."),
    ),
    mistakes=(
        Mistake(
            "Facts that change are advised to be learnt. Until the next change that works.",
            when=lambda got, expected, args: args[0] == "changing" and got == "LoRA",
        ),
        Mistake(
            "Changing facts in a form of the house need both halves.",
            when=lambda got, expected, args: args == ("changing", True) and got == "RAG",
        ),
        Mistake(
            "Stable facts are advised to be learnt by heart, as claim C35 says. (Whether that is right is measured.)",
            when=lambda got, expected, args: args[0] == "stable" and got in ("RAG", "RAG with LoRA", "prompt"),
        ),
        Mistake(
            'Only these words count: "prompt", "RAG", "LoRA", "RAG with LoRA".',
            when=lambda got, expected, args: got not in ("prompt", "RAG", "LoRA", "RAG with LoRA"),
        ),
        Mistake(
            "Where there are no facts and no form, a prompt is enough to begin.",
            when=lambda got, expected, args: args == ("none", False) and got != "prompt",
        ),
        Mistake(
            "A form of the house, and no facts from outside: LoRA.",
            when=lambda got, expected, args: args == ("none", True) and got != "LoRA",
        ),
    ),
)

EXERCISES = [ONE, TWO, THREE, FOUR, FIVE, SIX]

QUIZ = [
    Question(
        "9.1",
        "Which of these improve the completions of a model? Several may be right.",
        (
            Option("A clearer prompt, with examples.", True, "Measured in lesson 03; paid for on every call."),
            Option("Passages put into the prompt.", True, "They bring knowledge that the model does not have."),
            Option("Fine-tuning.", True, "It can bring form and words of its own, if the data are good."),
            Option("A longer answer limit.", False, "It changes where an answer stops, not what it says."),
        ),
    ),
    Question(
        "9.2",
        "Time is short, and the answers must be about the company's documents. What first?",
        (
            Option("Train from scratch.", False, "It takes longest by far, and needs the most data."),
            Option(
                "Retrieval, with a plain prompt.",
                True,
                "It needs no labelled data and is set up in minutes. What it reaches is the baseline for all else.",
            ),
            Option("Fine-tune on the documents.", False, "Look at the table: how much of them did the adapter keep?"),
        ),
    ),
    Question(
        "9.3",
        "Two methods differ by 4 points, and the paired 95 % interval runs from -3 to +11. What can you say?",
        (
            Option("The first is better.", False, "Zero lies in the interval: other questions might turn it round."),
            Option(
                "These questions do not decide it.",
                True,
                "Ask more questions, or take the cheaper method.",
            ),
            Option("Both are equally good.", False, "That is not shown either: +11 lies in it too."),
        ),
    ),
    Question(
        "9.4",
        "Your break-even lies at 40,000 calls, and you have 300 a month. What follows?",
        (
            Option(
                "Saved tokens alone do not pay for tuning here.",
                True,
                "It would take over eleven years. Better answers may still be worth it: that is another sum.",
            ),
            Option("Tuning is wrong for you.", False, "The sum is about tokens. It says nothing about better answers."),
            Option("Tune now, it pays in the end.", False, "Style, model and prices will have changed long before."),
        ),
    ),
    Question(
        "9.5",
        "A tuned model gives a wrong price. What can you do at once?",
        (
            Option("Look up which weight holds the price.", False, "The lesson tried: see what it found."),
            Option("Correct the training row.", False, "That alone changes nothing: the model must be trained again."),
            Option(
                "Take the question away from it: retrieve prices.",
                True,
                "A fact that can change does not belong in weights alone.",
            ),
        ),
    ),
]
