"""Exercises checked in place, quizzes, and the ledger of predictions and verdicts.

    build_prompt = check("0.2", build_prompt)   # says how it stands; gives back what to go on with
    hint("0.2")                                 # the next of several hints
    solution("0.2")                             # the course's answer
    quiz("0")                                   # a lesson's questions
    quiz("0.1", "b")                            # an answer to one of them
    predict("C14", 0.5)                         # before the experiment; None is allowed
    verdict("C14", measured=0.02, supported=True, scope="mechanism shown here")
    ledger()                                    # all predictions and verdicts; ledger("exercises"): all exercises

``check``, ``hint``, ``solution`` and ``quiz`` never raise: "Run all" ends in a lesson that is untouched, half done or
wrong. ``predict``, ``verdict`` and ``ledger`` do raise on bad input, because there the lesson itself is at fault.
"""

import ast
import contextlib
import copy
import dis
import inspect
import io
import linecache
import math
import numbers
import re
import textwrap
import traceback
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expert import exercises, store
from expert.claims import CLAIMS
from expert.exercises import Case, Exercise, Part, Question, UnknownExercise
from expert.store import LedgerDamaged, LedgerError

NOT_ATTEMPTED = "not attempted yet"
CORRECT = "correct"
NOT_YET = "not yet"
RAISED = "your code raised"
COURSE = "the course's"
SCOPES = ("mechanism shown here", "computed", "not decidable at this size")
LATE = "This claim was measured before. The ledger says that this prediction came after the measurement."
STAYS = "This claim was measured before, so the earlier prediction stays in the ledger, and the new one is not kept."
INDENT = 13
WIDTH = 78

_hints_given: dict[str, int] = {}


Seen = tuple[Any, Any, tuple[Any, ...]]  # one result, what was expected, and the input


@dataclass
class Outcome:
    """How an answer stands, and the labelled lines that say why."""

    state: str
    lines: list[tuple[str, str]] = field(default_factory=list)

    def add(self, label: str, text: str) -> None:
        """Add a line where there is something to say."""
        if text:
            self.lines.append((label, text))


@dataclass
class Try:
    """What came of one call of a function: a result or an error, what it printed, and whether it changed its input."""

    result: Any = None
    error: BaseException | None = None
    printed: str = ""
    changed_input: bool = False


# --- check, hint, solution ---------------------------------------------------------------------------------------


def check(id: str, answer: Any) -> Any:
    """Say how an answer to an exercise stands, and return what to go on with.

    That is the learner's own answer where it is correct, and the course's where it is not. It prints words and
    never raises.
    """
    try:
        exercise = exercises.exercise(id)
    except UnknownExercise as error:
        print(f"check: {error}\n  Going on with your answer, unchecked.")
        return answer
    try:
        outcome = _judge(exercise, answer)
    except Exception as error:  # the learner must not pay for a fault of the checker
        print(f"{id}  could not be checked: {type(error).__name__}: {error}\n  This is the course's fault, not yours.")
        print("  Going on with the course's answer.")
        return exercise.course_answer()
    own = outcome.state == CORRECT
    outcome.add("", f"Going on with {'your' if own else COURSE} answer.")
    print(_text(f"{id}  {outcome.state}", outcome.lines))
    _note("exercises", id, lambda entry: _note_attempt(entry, outcome.state))
    return answer if own else exercise.course_answer()


def hint(id: str) -> None:
    """Print the next hint for an exercise; after the last one, begin again with the first."""
    try:
        exercise = exercises.exercise(id)
    except UnknownExercise as error:
        print(f"hint: {error}")
        return
    number = _hints_given.get(id, 0) % len(exercise.hints)
    _hints_given[id] = number + 1
    last = number + 1 == len(exercise.hints)
    more = f'That was the last one. The course\'s answer: solution("{id}")' if last else f'One more: hint("{id}")'
    print(_text(f"{id}  hint {number + 1} of {len(exercise.hints)}", [("", exercise.hints[number]), ("", more)]))
    _note("exercises", id, lambda entry: entry.update(hints=max(entry.get("hints", 0), number + 1)))


def solution(id: str) -> None:
    """Print the course's answer to an exercise."""
    try:
        exercise = exercises.exercise(id)
    except UnknownExercise as error:
        print(f"solution: {error}")
        return
    print(f"{id}  the course's answer (one of many)\n")
    print(textwrap.indent(exercise.solution_text(), "    "))
    _note("exercises", id, lambda entry: entry.update(solution_seen=True))


def _note_attempt(entry: dict[str, Any], state: str) -> None:
    """Keep how often an exercise was tried, how it stands, and when it was first right."""
    if state != NOT_ATTEMPTED:
        entry["attempts"] = entry.get("attempts", 0) + 1
        entry["last_try"] = store.now()
    if state == CORRECT:
        entry.setdefault("first_correct", store.now())
    if state != NOT_ATTEMPTED or "state" not in entry:
        entry["state"] = state


def _note(section: str, key: str, edit: Callable[[dict[str, Any]], None]) -> None:
    """Write to the ledger; where that fails, say so and go on."""
    for _ in range(2):  # a damaged ledger is moved aside by the first try, and begun anew by the second
        try:
            store.change(lambda record: edit(record[section].setdefault(key, {})))
            return
        except LedgerDamaged as error:
            print(_text("Ledger", [("Beware", str(error))]))
        except (LedgerError, OSError) as error:
            print(_text("Ledger", [("Beware", f"This attempt was not kept. {error}")]))
            return


# --- judging an answer -------------------------------------------------------------------------------------------


def _judge(exercise: Exercise, answer: Any) -> Outcome:
    if answer is None or _holds_ellipsis(answer) or _is_untouched(answer):
        return _not_attempted(exercise, "Replace the ... with your answer, then run this cell again.")
    outcome = _judge_function(exercise, answer) if exercise.is_function else _judge_value(exercise, answer)
    if outcome.state != CORRECT and _left_ellipsis(answer):
        return _not_attempted(exercise, "A ... still stands in your code. Replace it or remove it.")
    return outcome


def _not_attempted(exercise: Exercise, advice: str) -> Outcome:
    return Outcome(NOT_ATTEMPTED, [("Goal", exercise.goal), ("", f'{advice} Stuck? hint("{exercise.id}")')])


def _judge_value(exercise: Exercise, answer: Any) -> Outcome:
    parts = exercise.parts or (_equal_to_reference(exercise),)
    for part in parts:
        if _safely(part.holds, answer):
            continue
        outcome = Outcome(NOT_YET, [("Tried", part.tried), ("Expected", part.expected), ("Came back", _show(answer))])
        outcome.add("Look at", _known_mistake(exercise, [(answer, exercise.reference(), ())], []) or part.look_at)
        outcome.add("", f'Stuck? hint("{exercise.id}")')
        return outcome
    return Outcome(CORRECT, [("", f"It has all {len(parts)} things that were asked for." if exercise.parts else "")])


def _equal_to_reference(exercise: Exercise) -> Part:
    expected = exercise.reference()
    same = exercise.same or alike
    return Part("your value", lambda got: same(got, expected), _show(expected), "Read the goal again, step by step.")


def _judge_function(exercise: Exercise, answer: Any) -> Outcome:
    unfit = _unfit(exercise, answer)
    if unfit:
        return unfit
    expected = [exercise.reference(*copy.deepcopy(case.args)) for case in exercise.cases]
    tries = [_run(answer, case.args) for case in exercise.cases]
    same = exercise.same or alike
    right = [t.error is None and _safely(same, t.result, e) for t, e in zip(tries, expected, strict=True)]
    if all(right):
        return _praise(exercise, tries)
    first = right.index(False)
    outcome = Outcome(RAISED if tries[first].error else NOT_YET)
    outcome.add("Tried", _call(exercise, answer, exercise.cases[first]))
    if tries[first].error:
        _tell_error(outcome, tries[first].error, answer)
        outcome.add("Expected", _show(expected[first]))
    else:
        outcome.add("Expected", _show(expected[first]))
        outcome.add("Came back", _show(tries[first].result))
        if tries[first].result is not None:
            outcome.add("Printed", _shorten(tries[first].printed.strip()))
    wrong = [i for i, ok in enumerate(right) if not ok]
    outcome.add("Look at", _advice(exercise, wrong, tries, expected))
    outcome.add("", f'Right on {sum(right)} of {len(right)} inputs. Stuck? hint("{exercise.id}")')
    return outcome


def _praise(exercise: Exercise, tries: list[Try]) -> Outcome:
    outcome = Outcome(
        CORRECT, [("", f"It gave the right result for all {len(tries)} inputs, also for ones not shown.")]
    )
    if any(t.changed_input for t in tries):
        outcome.add("Beware", "It changes the value it is given. Whoever calls it may not expect that; work on a copy.")
    return outcome


def _unfit(exercise: Exercise, answer: Any) -> Outcome | None:
    """What to say of an answer that cannot be called the way the exercise calls it."""
    name, wanted = exercise.reference.__name__, inspect.signature(exercise.reference)
    outcome = Outcome(NOT_YET, [("Tried", f"{name}{_names(wanted)}")])
    outcome.add("Expected", f"a function of {_count(len(wanted.parameters))}: {_names(wanted)}")
    if not callable(answer):
        outcome.add("Came back", _show(answer))
        outcome.add("Look at", f'Give check the function itself, without calling it: check("{exercise.id}", {name})')
        outcome.add("", f'Stuck? hint("{exercise.id}")')
        return outcome
    try:
        given = inspect.signature(answer)
        given.bind(*exercise.cases[0].args)
    except TypeError:
        outcome.add("Came back", f"a function of {_count(len(given.parameters))}: {_names(given)}")
        outcome.add("Look at", "The line that begins with def: how many things does the function take?")
        outcome.add("", f'Stuck? hint("{exercise.id}")')
        return outcome
    except ValueError:  # built-in functions have no signature to read
        pass
    return None


def _count(number: int) -> str:
    return f"{number} parameter{'' if number == 1 else 's'}"


def _names(signature: inspect.Signature) -> str:
    return "(" + ", ".join(signature.parameters) + ")"


def _run(function: Callable[..., Any], args: tuple[Any, ...]) -> Try:
    """Call a learner's function on copies of the arguments, its prints kept off the page."""
    own, untouched = copy.deepcopy(args), copy.deepcopy(args)
    printed = io.StringIO()
    attempt = Try()
    try:
        with contextlib.redirect_stdout(printed):
            attempt.result = function(*own)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: exit() in an answer must not end the notebook
        attempt.error = error
    attempt.printed = printed.getvalue()
    comparable = _safely(alike, list(untouched), list(args))  # not so for objects that are equal to themselves only
    attempt.changed_input = bool(comparable) and not _safely(alike, list(own), list(args))
    return attempt


def _tell_error(outcome: Outcome, error: BaseException, answer: Any) -> None:
    """The learner's line that raised, and the error in its own words."""
    home = getattr(getattr(inspect.unwrap(answer), "__code__", None), "co_filename", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename == home] or [f for f in frames if f.filename != __file__]
    if own:
        code = own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno or 0)
        outcome.add(f"Line {own[-1].lineno}", code.strip() or "(its text is not known)")
    outcome.add("Error", _shorten(f"{type(error).__name__}: {_safely(str, error) or 'no message'}"))


def _call(exercise: Exercise, answer: Any, case: Case) -> str:
    name = getattr(answer, "__name__", "<")
    name = exercise.reference.__name__ if name.startswith("<") else name
    return f"{name}({', '.join(_shorten(repr(arg)) for arg in case.args)})"


# --- advice ------------------------------------------------------------------------------------------------------


def _advice(exercise: Exercise, wrong: list[int], tries: list[Try], expected: list[Any]) -> str:
    """What to look at: a known mistake of this exercise, a general one, or what the input is about."""
    first = wrong[0]
    if all(tries[i].error is None for i in wrong):
        seen = [(t.result, e, c.args) for t, e, c in zip(tries, expected, exercise.cases, strict=True)]
        known = _known_mistake(exercise, [seen[i] for i in wrong], seen)
        if known:
            return known
    about = exercise.cases[first].look_at
    if tries[first].error is not None:
        return about or "What does that line get from this input?"
    general = _general_mistake(tries[first], expected[first])
    return general or f"{about} {_difference(tries[first].result, expected[first])}".strip()


def _known_mistake(exercise: Exercise, wrong: list[Seen], seen: list[Seen]) -> str:
    """The mistake of this exercise's list that explains every result, or at least every wrong one."""
    for results in (seen, wrong):
        for mistake in exercise.mistakes:
            if mistake.when and all(_safely(mistake.when, *entry) for entry in wrong):
                return mistake.says
            if mistake.like and results and _same_results(exercise, mistake.like, results):
                return mistake.says
    return ""


def _same_results(exercise: Exercise, function: Callable[..., Any], seen: list[Seen]) -> bool:
    """Whether a function with a known mistake gives what the learner's function gave."""
    same = exercise.same or alike
    for got, _, args in seen:
        attempt = _run(function, args)
        if attempt.error is not None or not (_safely(same, got, attempt.result) or _safely(alike, got, attempt.result)):
            return False
    return True


def _general_mistake(attempt: Try, expected: Any) -> str:
    """A mistake that any exercise can meet, or an empty text."""
    got = attempt.result
    if got is None and expected is not None:
        if attempt.printed.strip():
            return "It prints its result. Printing shows a value and then it is gone: use return."
        return "It came back with None. Does every way through the function end with return?"
    if inspect.isgenerator(got) or isinstance(got, (map, filter, zip)):
        return "It came back with something still to be worked off. Put list(...) around it."
    if callable(got):
        return "It came back with a function. Are the brackets ( ) of a call missing?"
    for rule in (_type_mistake, _text_mistake, _list_mistake, _number_mistake):
        found = _safely(rule, got, expected)
        if found:
            return found
    return ""


def _type_mistake(got: Any, expected: Any) -> str:
    if isinstance(got, str) and not isinstance(expected, str) and got == str(expected):
        return "The value is right, but it is a text. Return it without str(...) or quotes."
    if isinstance(expected, (list, tuple)) and isinstance(got, (set, frozenset)):
        return "It is a set, which has no order. Return a list."
    if isinstance(expected, (list, tuple)) and len(expected) == 1 and alike(got, expected[0]):
        return "The value is right, but a list was asked for, also for one value."
    if isinstance(got, (list, tuple)) and len(got) == 1 and alike(got[0], expected):
        return "The value is right, but it lies in a list. Return the value alone."
    if isinstance(got, dict) != isinstance(expected, dict) or isinstance(got, str) != isinstance(expected, str):
        return f"A {type(expected).__name__} was asked for; this is a {type(got).__name__}."
    return ""


def _text_mistake(got: Any, expected: Any) -> str:
    if not (isinstance(got, str) and isinstance(expected, str)):
        return ""
    if got.lower() == expected.lower():
        return "It differs in capital and small letters only."
    if "".join(got.split()) == "".join(expected.split()):
        return f"It differs in spaces or line breaks only: {_first_difference(got, expected)}."
    return ""


def _difference(got: Any, expected: Any) -> str:
    """Where two results part, for a mistake that nothing better is known about."""
    if isinstance(got, str) and isinstance(expected, str):
        return f"The first difference: {_first_difference(got, expected)}."
    got, expected = _plain_list(got), _plain_list(expected)
    if got is not None and expected is not None and len(got) != len(expected):
        return f"Expected items: {len(expected)}; these are {len(got)}."
    return "Work this input through on paper, step by step."


def _first_difference(got: str, expected: str) -> str:
    place = next(
        (i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), min(len(got), len(expected))
    )
    near = expected[max(0, place - 12) : place]
    after = f"after {near!r}" if near else "at the very start"
    return f"{after}, expected {expected[place : place + 10]!r}, came {got[place : place + 10]!r}"


def _list_mistake(got: Any, expected: Any) -> str:
    got, expected = _plain_list(got), _plain_list(expected)
    if got is None or expected is None:
        return ""
    if [str(x) for x in got] == [str(x) for x in expected]:
        return (
            "The items are right, but of another type: text is not a number. Turn each one with int(...) or float(...)."
        )
    both_ways = ((got, expected), (expected, got))
    if len(got) == len(expected) and all(any(alike(a, b) for b in there) for here, there in both_ways for a in here):
        return "The items are right, but in another order."
    return ""


def _number_mistake(got: Any, expected: Any) -> str:
    if not (isinstance(got, numbers.Number) and isinstance(expected, numbers.Number)) or isinstance(got, bool):
        return ""
    if expected and alike(got, expected * 100):
        return "It is a hundred times too large: a share from 0 to 1 was asked for, not a percentage."
    if expected and alike(got * 100, expected):
        return "It is a hundred times too small: a percentage was asked for."
    if abs(got - expected) == 1:
        return "It is one off. Where does the counting begin, and where does it end?"
    return ""


# --- comparing ---------------------------------------------------------------------------------------------------


def alike(got: Any, expected: Any) -> bool:
    """Whether two values say the same: lists, tuples, arrays and tensors alike, numbers up to rounding."""
    if isinstance(expected, str) or isinstance(got, str):
        return isinstance(got, str) and isinstance(expected, str) and str(got) == str(expected)
    got, expected = _from_array(got), _from_array(expected)
    if isinstance(expected, bool) or isinstance(got, bool) or expected is None or got is None:
        return got is expected
    if isinstance(expected, numbers.Number):
        return isinstance(got, numbers.Number) and _close(got, expected)
    if isinstance(expected, Mapping):
        return (
            isinstance(got, Mapping) and set(got) == set(expected) and all(alike(got[k], expected[k]) for k in expected)
        )
    a, b = _plain_list(got), _plain_list(expected)
    if b is not None:
        return a is not None and len(a) == len(b) and all(map(alike, a, b))
    return bool(got == expected)


def _close(got: Any, expected: Any) -> bool:
    if isinstance(got, complex) or isinstance(expected, complex):
        return got == expected
    a, b = float(got), float(expected)
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)


def _from_array(value: Any) -> Any:
    """A numpy, torch or pandas value as plain Python."""
    if hasattr(value, "detach"):
        value = value.detach()
    return value.tolist() if hasattr(value, "tolist") and not isinstance(value, type) else value


def _plain_list(value: Any) -> list[Any] | None:
    value = _from_array(value)
    return list(value) if isinstance(value, (list, tuple, range)) else None


def _safely(function: Callable[..., Any], *args: Any) -> Any:
    """A call whose failure means no: a learner's object may raise when it is compared or shown."""
    try:
        return function(*args)
    except Exception:
        return False


# --- untouched? --------------------------------------------------------------------------------------------------


def _is_untouched(answer: Any) -> bool:
    """Whether a function is still the lesson's ``...``: it does nothing, or returns the ``...``."""
    code = getattr(answer, "__code__", None)
    if not isinstance(code, types.CodeType):
        return False
    doing = [i for i in dis.get_instructions(code) if i.opname not in ("RESUME", "NOP", "CACHE", "COPY_FREE_VARS")]
    loads = [i for i in doing if i.opname in ("LOAD_CONST", "RETURN_CONST")]
    idle = all(i.opname in ("LOAD_CONST", "RETURN_CONST", "RETURN_VALUE") for i in doing)
    return idle and all(i.argval is None or i.argval is ... for i in loads)


def _left_ellipsis(answer: Any) -> bool:
    """Whether a ``...`` of the lesson still stands in a function that has other lines too."""
    if not inspect.isfunction(answer):
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(answer)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return False
    kinds = (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return)
    values = [node.value for node in ast.walk(tree) if isinstance(node, kinds)]
    return any(isinstance(value, ast.Constant) and value.value is ... for value in values)


def _holds_ellipsis(value: Any, depth: int = 4) -> bool:
    """Whether a value is ``...`` or plain containers with a ``...`` inside."""
    if value is ...:
        return True
    if depth and type(value) is dict:
        return any(_holds_ellipsis(v, depth - 1) for v in value.values())
    if depth and type(value) in (list, tuple):
        return any(_holds_ellipsis(v, depth - 1) for v in value)
    return False


# --- words on the page -------------------------------------------------------------------------------------------


def _text(head: str, lines: list[tuple[str, str]]) -> str:
    """A heading and labelled lines, the text in one column, long lines folded at words."""
    out = [head]
    for label, text in lines:
        if not text:
            continue
        start = f"  {label + ':':<{INDENT - 2}}" if label else "  "
        rest = " " * (INDENT if label else 2)
        for i, line in enumerate(text.splitlines() or [""]):
            first = start if i == 0 else rest
            out.append(
                textwrap.fill(line, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
                or first.rstrip()
            )
    return "\n".join(out)


def _show(value: Any) -> str:
    """A value as a learner would type it; a text of several lines as such, each line marked."""
    if isinstance(value, str) and "\n" in value and len(value) <= 600:
        return "\n".join("| " + line for line in value.split("\n"))
    return _shorten(_safely(repr, value) or f"a {type(value).__name__} that cannot be shown")


def _shorten(text: str, most: int = 240) -> str:
    return text if len(text) <= most else f"{text[: most - 60]} ... {text[-50:]}"


# --- quiz --------------------------------------------------------------------------------------------------------


def quiz(id: str, answer: Any = None) -> None:
    """``quiz("0")`` shows a lesson's questions; ``quiz("0.1", "b")`` answers one; several letters as "a, c"."""
    try:
        if "." not in str(id):
            _show_quiz(exercises.questions(str(id)))
            return
        question = exercises.question(str(id))
    except UnknownExercise as error:
        print(f"quiz: {error}")
        return
    if answer is None or answer is ...:
        print(_text(f"Q{question.id}  {NOT_ATTEMPTED}", []))
        print(_question_text(question))
        return
    letters = _letters(answer)
    known = [letter for letter, _ in question.lettered()]
    if not letters or not letters <= set(known):
        print(f"Q{question.id}  {NOT_YET}\n  An answer is one or more of {', '.join(known)}; this was {_show(answer)}.")
        return
    state = CORRECT if letters == question.right else NOT_YET
    print(_text(f"Q{question.id}  {state}", _quiz_lines(question, letters, state)))
    _note("quiz", question.id, lambda entry: _note_attempt(entry, state))


def _show_quiz(questions: list[Question]) -> None:
    for question in questions:
        print(_question_text(question) + "\n")
    first = questions[0].id
    print(f'Answer with the letter, or letters: quiz("{first}", "a") or quiz("{first}", "a, b")')


def _question_text(question: Question) -> str:
    several = " (several are right)" if len(question.right) > 1 else ""
    lines = [("", f"{letter})  {option.text}") for letter, option in question.lettered()]
    return _text(f"Q{question.id}  {question.text}{several}", lines)


def _quiz_lines(question: Question, chosen: set[str], state: str) -> list[tuple[str, str]]:
    """Why each chosen option is right or wrong; all options once the answer is right."""
    lines = []
    for letter, option in question.lettered():
        if letter in chosen or state == CORRECT:
            lines.append((f"{letter}) {'right' if option.right else 'wrong'}", option.because))
    if state == NOT_YET and chosen < question.right:
        lines.append(("", "Right so far, but more than that is right."))
    elif state == NOT_YET:
        lines.append(("", "Choose again."))
    return lines


def _letters(answer: Any) -> set[str]:
    """The letters of an answer given as "b", "a, c", "ac", "b)" or a list of letters; empty where it is none."""
    items = answer if isinstance(answer, (list, tuple, set, frozenset)) else [answer]
    letters: set[str] = set()
    for item in items:
        text = item.strip().lower() if isinstance(item, str) else ""
        if not re.fullmatch(r"[a-j](?:[\s,;&+)]*(?:and\s+)?[a-j])*[\s)]*", text):
            return set()
        letters.update(re.sub(r"\band\b|[^a-j]", "", text))
    return letters


# --- predictions and verdicts ------------------------------------------------------------------------------------


def predict(claim: str, value: Any, *, lesson: str | int = "") -> None:
    """Keep a prediction for a claim, before the experiment. None (or ``...``) is allowed: no prediction.

    Before the measurement another value takes its place. None never does, so that a lesson may run again untouched;
    and nothing does once the claim is measured: a prediction made then is kept, and marked, only where there is none.
    """
    _known_claim(claim)
    value = None if value is ... else store.plain(value)
    kept: dict[str, Any] = {}

    def edit(record: dict[str, Any]) -> None:
        entry = record["claims"].setdefault(claim, {}).setdefault(_lesson(lesson), {})
        measured = "measured" in entry
        if entry.get("prediction") is None or (value is not None and not measured):
            entry.update(prediction=value, predicted=store.now(), late=measured and value is not None)
        kept.update(entry)

    store.change(edit)
    early = kept["prediction"]
    lines = [("Predicted", _prediction(kept) + (" (kept from before)" if value is None and early is not None else ""))]
    if value is not None:
        lines.append(("Beware", STAYS if early != value else LATE if kept.get("late") else ""))
    print(_text(f"{claim}  {CLAIMS[claim]}", lines))


def verdict(
    claim: str,
    *,
    measured: Any,
    supported: bool | None,
    scope: str,
    note: str = "",
    lesson: str | int = "",
) -> None:
    """Keep and print the verdict on a claim: what was measured, whether that supports it, and how far it reaches.

    ``supported`` is computed from the measurement. None says that the measurement decides nothing, which only the
    scope "not decidable at this size" allows.
    """
    _known_claim(claim)
    if scope not in SCOPES:
        raise ValueError(f"scope is one of {', '.join(map(repr, SCOPES))}; it was {scope!r}.")
    supported = _truth(supported, scope)
    shown = {True: "supported", False: "not supported", None: "not decided"}[supported]
    kept: dict[str, Any] = {}

    def edit(record: dict[str, Any]) -> None:
        lessons = record["claims"].setdefault(claim, {})
        entry = lessons.setdefault(_lesson(lesson), {})
        if "prediction" not in entry and "prediction" in lessons.get("", {}):  # predicted without naming the lesson
            entry["prediction"] = lessons[""]["prediction"]
        entry.update(measured=store.plain(measured), verdict=shown, scope=scope, note=note, measured_at=store.now())
        kept.update(entry)

    store.change(edit)
    lines = [
        ("Predicted", _prediction(kept)),
        ("Measured", _say(kept["measured"])),
        ("Verdict", shown),
        ("Scope", scope),
        ("Note", note),
    ]
    print(_text(f"{claim}  {CLAIMS[claim]}", lines))


def _truth(supported: Any, scope: str) -> bool | None:
    plain = store.plain(supported)
    if plain is None and scope != SCOPES[2]:
        raise ValueError(f"supported=None (not decided) goes with the scope {SCOPES[2]!r} only; it was {scope!r}.")
    if plain is not None and not isinstance(plain, bool):
        raise TypeError(f"supported is True, False or None, computed from the measurement; it was {supported!r}.")
    return plain


def _known_claim(claim: str) -> None:
    if claim not in CLAIMS:
        raise ValueError(f"There is no claim {claim!r}. Claims run from {min(CLAIMS)} to {max(CLAIMS)}.")


def _lesson(lesson: str | int) -> str:
    """A lesson's number as two digits, so that 0 and "00" are one; empty where none is given."""
    text = str(lesson).strip()
    if text and not re.fullmatch(r"\d{1,2}", text):
        raise ValueError(f"lesson is a lesson's number, such as 5 or '05'; it was {lesson!r}.")
    return f"{int(text):02d}" if text else ""


def _prediction(entry: dict[str, Any]) -> str:
    """A kept prediction in words, marked where it came after the measurement."""
    return _say(entry.get("prediction")) + (" (after the measurement)" if entry.get("late") else "")


def _say(value: Any) -> str:
    """A kept value in words, numbers with four digits."""
    if value is None:
        return "no prediction"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_say(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(_say(v) for v in value)
    return _shorten(str(value))


# --- the ledger --------------------------------------------------------------------------------------------------


class Table(list):
    """Rows as dictionaries, shown as a table of text."""

    title = ""

    def __repr__(self) -> str:
        if not self:
            return f"{self.title}: nothing yet"
        names = list(self[0])
        cells = [names, *([_cell(row[name]) for name in names] for row in self)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join(lines)


def ledger(what: str = "claims", path: str | Path | None = None) -> Table:
    """The ledger as a table: "claims" (predictions and verdicts), "exercises" or "quiz".

    ``path`` reads another ledger, such as one that a learner handed in. Nothing is sent anywhere.
    """
    if what not in store.SECTIONS:
        raise ValueError(f"ledger shows one of {', '.join(store.SECTIONS)}; it was asked for {what!r}.")
    if path is not None and not Path(path).is_file():
        raise FileNotFoundError(f"There is no ledger at {path}.")
    entries = store.read(Path(path) if path is not None else None)[what]
    table = Table(_claim_rows(entries) if what == "claims" else _exercise_rows(entries))
    table.title = f"The ledger of {what}"
    return table


def _claim_rows(entries: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for claim in sorted(entries):
        for lesson in sorted(entries[claim]):
            entry = entries[claim][lesson]
            row = {"claim": claim, "lesson": lesson, "about": CLAIMS.get(claim, "")}
            row["prediction"] = _prediction(entry)
            row["measured"] = _say(entry["measured"]) if "measured" in entry else "not yet"
            rows.append(row | {"verdict": entry.get("verdict", "not yet"), "scope": entry.get("scope", "")})
    return rows


def _exercise_rows(entries: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for id in sorted(entries, key=lambda text: [int(n) for n in re.findall(r"\d+", text)]):
        entry = entries[id]
        rows.append(
            {
                "id": id,
                "state": entry.get("state", NOT_ATTEMPTED),
                "attempts": entry.get("attempts", 0),
                "hints": entry.get("hints", 0),
                "solution seen": bool(entry.get("solution_seen")),
                "first correct": entry.get("first_correct", ""),
            }
        )
    return rows


def _cell(value: Any, most: int = 40) -> str:
    text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value).replace("\n", " ")
    return text if len(text) <= most else text[: most - 3] + "..."
