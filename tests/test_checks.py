"""expert.checks: each exercise with right, wrong and untouched answers; the quiz; the ledger."""

import importlib.util
import json
import multiprocessing
import os
import re
import textwrap
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from expert import check, checks, exercises, hint, ledger, predict, quiz, solution, store, verdict
from expert.claims import CLAIMS, as_number, as_share, as_truth
from expert.exercises import Case, Exercise, Mistake
from expert.store import LedgerDamaged, LedgerError

ANSWERS = Path(__file__).parent / "exercises"


@pytest.fixture(autouse=True)
def own_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of its own for each test, in a folder that is not there yet."""
    path = tmp_path / "state" / "ledger.json"
    monkeypatch.setenv("EXPERT_LEDGER", str(path))
    monkeypatch.setattr(checks, "_hints_given", {})
    return path


# --- every exercise of every lesson ------------------------------------------------------------------------------


def answers_of(lesson: int) -> ModuleType:
    """The table of right and wrong answers of a lesson: tests/exercises/lesson_NN.py."""
    path = ANSWERS / f"lesson_{lesson:02d}.py"
    spec = importlib.util.spec_from_file_location(f"answers_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LESSONS = {
    number: importlib.import_module(f"expert.exercises.lesson_{number:02d}") for number in exercises.all_lessons()
}
TABLES = {number: answers_of(number) for number in LESSONS}
EXERCISES = [e for module in LESSONS.values() for e in module.EXERCISES]
QUESTIONS = [q for module in LESSONS.values() for q in module.QUIZ]
RIGHT = [
    pytest.param(id, answer, id=f"{id}-{i}")
    for t in TABLES.values()
    for id in t.RIGHT
    for i, answer in enumerate(t.RIGHT[id])
]
WRONG = [
    pytest.param(id, answer, says, id=f"{id}-{i}")
    for table in TABLES.values()
    for id in table.WRONG
    for i, (answer, says) in enumerate(table.WRONG[id])
]
each = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, its folded lines joined again."""
    return " ".join(capsys.readouterr().out.split())


def blank(exercise: Exercise) -> object:
    """The exercise as the lesson leaves it."""
    if not exercise.is_function:
        return ...
    space: dict[str, object] = {}
    names = ", ".join(f"p{i}" for i in range(len(exercise.cases[0].args)))
    exec(f"def {exercise.reference.__name__}({names}):\n    ...\n", space)
    return space[exercise.reference.__name__]


@each
def test_exercise_is_complete(exercise: Exercise) -> None:
    table = TABLES[int(exercise.id.split(".")[0])]
    assert len(table.RIGHT[exercise.id]) >= 2, "at least two other right answers"
    assert len(table.WRONG[exercise.id]) >= 3, "at least three wrong answers"
    assert len(exercise.hints) >= 2 and all(exercise.hints)
    assert exercise.goal.endswith(".")
    assert exercise.parts or len(exercise.cases) >= 3 or not exercise.is_function


def test_ids_are_those_of_the_lesson_and_of_the_tables() -> None:
    for number, module in LESSONS.items():
        ids = [e.id for e in module.EXERCISES]
        assert ids == [f"{number}.{i}" for i in range(1, len(ids) + 1)] and len(ids) >= 4
        assert set(ids) == set(TABLES[number].RIGHT) == set(TABLES[number].WRONG)
        assert [q.id for q in module.QUIZ] == [f"{number}.{i}" for i in range(1, len(module.QUIZ) + 1)]
        assert 3 <= len(module.QUIZ) <= 5


@each
@pytest.mark.parametrize("state", ["lesson", "none"])
def test_untouched(exercise: Exercise, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    back = check(exercise.id, blank(exercise) if state == "lesson" else None)
    text = told(capsys)
    assert text.startswith(f"{exercise.id} not attempted yet") and "the course's answer" in text
    assert check(exercise.id, back) is back
    assert ledger("exercises")[0]["attempts"] == 1  # an untouched cell is no attempt


@each
def test_reference_is_correct(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    answer = exercise.course_answer()
    assert check(exercise.id, answer) is answer
    text = told(capsys)
    assert text.startswith(f"{exercise.id} correct") and "Going on with your answer." in text


@each
def test_solution_is_the_reference(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    """What solution() prints is an answer that passes, on its own in an empty notebook."""
    solution(exercise.id)
    source = capsys.readouterr().out.split("\n", 2)[2]
    space: dict[str, object] = {}
    exec(textwrap.dedent(source), space)
    check(exercise.id, space[exercise.reference.__name__])
    assert told(capsys).startswith(f"{exercise.id} correct")


@pytest.mark.parametrize(("id", "answer"), RIGHT)
def test_other_right_answers(id: str, answer: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(id, answer) is answer
    assert told(capsys).startswith(f"{id} correct")


@pytest.mark.parametrize(("id", "answer", "says"), WRONG)
def test_wrong_answers(id: str, answer: object, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    back = check(id, answer)
    text = told(capsys)
    assert re.match(rf"{re.escape(id)} (not yet|your code raised) ", text), text
    assert says in text, text
    for word in ("Tried:", "Expected:", "Look at:", "hint("):
        assert word in text
    assert back is not answer and "Going on with the course's answer." in text
    check(id, back)
    assert f"{id} correct" in told(capsys)


@each
def test_every_known_mistake_is_turned_away_and_named(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    for mistake in exercise.mistakes:
        if mistake.like:
            check(exercise.id, mistake.like)
            text = told(capsys)
            assert "not yet" in text and " ".join(mistake.says.split()) in text, mistake.says


# --- the four states, on a made-up exercise ----------------------------------------------------------------------


def double(numbers: list[float]) -> list[float]:
    return [2 * n for n in numbers]


MADE_UP = Exercise(
    id="99.1",
    goal="Each number twice.",
    reference=double,
    hints=("First.", "Second."),
    cases=(Case(([1, 2],)), Case(([],), "An empty list."), Case(([0.5],))),
    mistakes=(Mistake("Squared, not doubled.", like=lambda numbers: [n * n for n in numbers]),),
)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercises, "exercise", lambda id: MADE_UP)


def say(answer: object, capsys: pytest.CaptureFixture[str]) -> str:
    check("99.1", answer)
    return told(capsys)


@pytest.mark.parametrize(
    "answer",
    [
        double,
        lambda xs: np.array(xs) * 2,
        lambda xs: tuple(x + x for x in xs),
        lambda xs: [float(2 * x) for x in xs],
        lambda xs: [x * 2 * (1 + 1e-9) for x in xs],
        lambda *all: [2 * x for x in all[0]],
    ],
)
def test_right_in_any_form(made_up: None, answer: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert "99.1 correct" in say(answer, capsys)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda xs: xs.reverse(), "Does every way"),
        (lambda xs: print([2 * x for x in xs]), "use return"),
        (lambda xs: (2 * x for x in xs), "list(...)"),
        (lambda xs: map(abs, xs), "list(...)"),
        (lambda xs: double, "brackets"),
        (lambda xs: str(double(xs)), "it is a text"),
        (lambda xs: [str(2 * x) for x in xs], "another type"),
        (lambda xs: set(double(xs)), "a set"),
        (lambda xs: double(xs)[::-1], "another order"),
        (lambda xs: double(xs) + [0], "Expected items: 2; these are 3"),
        (lambda xs: [x * x for x in xs], "Squared"),
        (lambda xs: {x: 2 * x for x in xs}, "A list was asked for; this is a dict"),
        (lambda xs, ys: xs, "a function of 2 parameters: (xs, ys)"),
        (lambda: [], "a function of 0 parameters"),
        ([2, 4], "the function itself"),
        (7, "the function itself"),
        (float, "TypeError"),
    ],
)
def test_general_mistakes(made_up: None, answer: object, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = say(answer, capsys)
    assert says in text and "99.1 correct" not in text


def test_not_yet_says_what_was_tried_expected_and_came_back(made_up: None, capsys: pytest.CaptureFixture[str]) -> None:
    def triple(numbers):
        return [3 * n for n in numbers]

    text = say(triple, capsys)
    for part in ("99.1 not yet", "Tried: triple([1, 2])", "Expected: [2, 4]", "Came back: [3, 6]", "Right on 1 of 3"):
        assert part in text


def test_an_error_is_told_with_the_learners_line(made_up: None, capsys: pytest.CaptureFixture[str]) -> None:
    def inner(x):
        return 1 / (x - 2)  # the line that raises

    def answer(numbers):
        return [inner(n) for n in numbers]

    text = say(answer, capsys)
    line = inner.__code__.co_firstlineno + 1
    assert "99.1 your code raised" in text
    assert f"Line {line}: return 1 / (x - 2)" in text and "ZeroDivisionError: division by zero" in text


def test_an_error_inside_a_library_names_the_learners_line(made_up: None, capsys: pytest.CaptureFixture[str]) -> None:
    text = say(lambda numbers: json.loads(str(numbers) + "]"), capsys)
    assert "json.loads(str(numbers)" in text and "JSONDecodeError" in text


def rude(error: BaseException) -> object:
    def answer(numbers):
        raise error

    return answer


@pytest.mark.parametrize("error", [SystemExit(3), RecursionError("deep"), AssertionError(), GeneratorExit()])
def test_no_error_gets_out(made_up: None, error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"Error: {type(error).__name__}" in say(rude(error), capsys)


def test_an_interrupt_gets_out(made_up: None) -> None:
    with pytest.raises(KeyboardInterrupt):
        check("99.1", rude(KeyboardInterrupt()))


class Awkward:
    """An object that fails whenever it is looked at."""

    def __eq__(self, other):
        raise ValueError("no")

    __hash__ = None

    def __repr__(self):
        raise ValueError("no")

    def __str__(self):
        raise ValueError("no")


def test_awkward_objects(made_up: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert "99.1 not yet" in say(lambda xs: Awkward(), capsys)
    assert "99.1 not yet" in say(lambda xs: [Awkward() for _ in xs], capsys)
    assert "99.1 not yet" in say(Awkward(), capsys)

    class Bad(Exception):
        __str__ = Awkward.__str__

    assert "Bad: no message" in say(rude(Bad()), capsys)


def test_prints_inside_an_answer_stay_off_the_page(made_up: None, capsys: pytest.CaptureFixture[str]) -> None:
    def chatty(numbers):
        print("here I am")
        return double(numbers)

    assert "here I am" not in say(chatty, capsys)


def test_changing_the_input_is_told_and_does_no_harm(made_up: None, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(numbers):
        for i in range(len(numbers)):
            numbers[i] *= 2
        return numbers

    text = say(answer, capsys)
    assert "99.1 correct" in text and "It changes the value it is given" in text
    assert MADE_UP.cases[0].args == ([1, 2],)
    assert "It changes" not in say(double, capsys)


def test_half_done_with_the_dots_left(made_up: None, capsys: pytest.CaptureFixture[str]) -> None:
    def half(numbers):
        result = []
        ...
        return result

    def later(numbers):
        factor = ...
        return [factor * n for n in numbers]

    def documented(numbers):
        """What it does."""
        ...

    def returned(numbers):
        return ...

    def done(numbers):
        ...
        return double(numbers)

    for answer in (half, later):
        text = say(answer, capsys)
        assert "not attempted yet" in text and "A ... still stands in your code" in text
    for answer in (documented, returned):
        assert "not attempted yet" in say(answer, capsys)
    assert "99.1 correct" in say(done, capsys)


def test_a_fault_of_the_checker_is_the_courses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "_judge", rude_judge)
    back = check("0.3", lambda a: [])
    assert "could not be checked: KeyError" in told(capsys) and back("[1]") == [1]


def rude_judge(*_: object) -> None:
    raise KeyError("x")


def test_in_a_notebook_the_cells_own_line_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shell_type = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    settings = pytest.importorskip("traitlets.config").Config({"HistoryManager": {"enabled": False}})
    shell = shell_type(config=settings)
    shell.run_cell(
        "from expert import check\ndef cited(answer):\n    inside = answer.split('[')\n    return [int(inside[1][0])]"
    )
    shell.run_cell("cited = check('0.3', cited)")
    text = told(capsys)
    assert "0.3 your code raised" in text and "Line 4: return [int(inside[1][0])]" in text and "IndexError" in text
    shell.run_cell("def cited(answer):\n    found = []\n    ...\n    return found\ncited = check('0.3', cited)")
    assert "A ... still stands" in told(capsys)
    shell.run_cell("print(cited('so [3]'))")
    assert told(capsys) == "[3]"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: check("0.99", 5), "Lesson 0 has: 0.1, 0.2, 0.3, 0.4"),
        (lambda: check("77.1", 5), "There is no exercise for lesson '77'"),
        (lambda: check("zero", 5), "An id is the lesson and a number"),
        (lambda: check(0.2, 5), ""),
        (lambda: check(None, 5), "An id is"),
        (lambda: hint("0.99"), "hint: There is no exercise"),
        (lambda: solution("../0.1"), "solution: There is no exercise"),
        (lambda: quiz("0.99"), "quiz: There is no quiz question"),
        (lambda: quiz("77"), "quiz: There is no quiz for lesson"),
    ],
)
def test_unknown_ids_are_told_not_raised(call: object, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    call()
    assert says in told(capsys)


def test_hints_come_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    count = len(exercises.exercise("0.2").hints)
    for number in [*range(1, count + 1), 1]:
        hint("0.2")
        assert told(capsys).startswith(f"0.2 hint {number} of {count}")
    assert ledger("exercises")[0]["hints"] == count


# --- alike -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1, 2], (1, 2)),
        ([1, 2], np.array([1.0, 2.0])),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        ({"a": np.int64(1)}, {"a": 1}),
        (np.str_("a"), "a"),
        (range(3), [0, 1, 2]),
        (float("nan"), float("nan")),
        ([[1, 2], [3, 4]], np.array([[1, 2], [3, 4]])),
        ({1, 2}, {2, 1}),
    ],
)
def test_alike(a: object, b: object) -> None:
    assert checks.alike(a, b) and checks.alike(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, "1"),
        ("a", ["a"]),
        (True, 1),
        (None, 0),
        ([1], [1, 2]),
        ({"a": 1}, {"b": 1}),
        (0.5, 0.51),
        ("A", "a"),
        ([], None),
    ],
)
def test_not_alike(a: object, b: object) -> None:
    assert not checks.alike(a, b) and not checks.alike(b, a)


def test_alike_takes_tensors() -> None:
    torch = pytest.importorskip("torch")
    assert checks.alike(torch.tensor([1.0, 2.0], requires_grad=True), [1, 2])


# --- quiz --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: f"Q{q.id}")
def test_quiz_question(question: exercises.Question, capsys: pytest.CaptureFixture[str]) -> None:
    assert question.right and len(question.options) >= 3 and len(question.right) < len(question.options)
    quiz(question.id)
    text = told(capsys)
    assert f"Q{question.id} not attempted yet" in text and all(o.text in text for o in question.options)
    quiz(f"Q{question.id}", ", ".join(sorted(question.right)))
    text = told(capsys)
    assert f"Q{question.id} correct" in text and all(" ".join(o.because.split()) in text for o in question.options)
    for letter, option in question.lettered():
        if not option.right:
            quiz(question.id, letter)
            text = told(capsys)
            assert f"Q{question.id} not yet" in text and f"{letter}) wrong: {option.because}" in text
            assert not any(o.because in text for o in question.options if o is not option)


def test_quiz_shows_all_and_takes_several_spellings(capsys: pytest.CaptureFixture[str]) -> None:
    quiz("0")
    text = told(capsys)
    assert all(f"Q0.{n}" in text for n in (1, 2, 3)) and "(several are right)" in text
    for answer in ("bc", "b, c", "B and C", ["c", "b"], {"b", "c"}, "b) c)", "b;c"):
        quiz("0.3", answer)
        assert "Q0.3 correct" in told(capsys), answer
    quiz("0.3", "b")
    assert "more than that is right" in told(capsys)
    for answer in ("z", "", 3, [], ["b", 4], "because", "b?"):
        quiz("0.3", answer)
        assert "An answer is one or more of a, b, c, d" in told(capsys), answer
    assert ledger("quiz")[0] | {"first correct": ""} == {
        "id": "0.3", "state": "not yet", "attempts": 8, "hints": 0, "solution seen": False, "first correct": ""
    }  # fmt: skip


# --- predictions and verdicts ------------------------------------------------------------------------------------


def test_prediction_then_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    predict("C14", 0.5, lesson=0)
    assert "C14 A model knows nothing" in told(capsys)
    share = np.float64(0.02)
    verdict("C14", measured=share, supported=share < 0.05, scope="mechanism shown here", lesson="00")
    text = told(capsys)
    for part in ("Predicted: 0.5", "Measured: 0.02", "Verdict: supported", "Scope: mechanism shown here"):
        assert part in text
    row = ledger()[0]
    assert (row["claim"], row["lesson"], row["prediction"], row["verdict"]) == ("C14", "00", "0.5", "supported")


@pytest.mark.parametrize("value", [None, ...])
def test_no_prediction(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    predict("C14", value)
    assert "Predicted: no prediction" in told(capsys)
    verdict("C14", measured=1, supported=False, scope="computed", lesson=5)
    text = told(capsys)
    assert "Predicted: no prediction" in text and "Verdict: not supported" in text


def test_a_prediction_after_the_measurement_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    measured = {"measured": 0.0, "supported": True, "scope": "computed", "lesson": 0}
    predict("C14", 0.3, lesson=0)
    verdict("C14", **measured)
    predict("C14", 0.3, lesson=0)  # the lesson run a second time
    verdict("C14", **measured)
    predict("C14", None, lesson=0)  # no prediction is never late
    assert "after the measurement" not in told(capsys)
    predict("C14", 0.05, lesson=0)  # never in place of the one made before
    assert "Predicted: 0.3 Beware: This claim was measured before, so the earlier prediction stays" in told(capsys)
    verdict("C14", **measured)
    assert ledger()[0]["prediction"] == "0.3"


def test_a_first_prediction_after_the_measurement_is_kept_and_marked(capsys: pytest.CaptureFixture[str]) -> None:
    measured = {"measured": 0.0, "supported": True, "scope": "computed", "lesson": 0}
    predict("C14", None, lesson=0)
    verdict("C14", **measured)
    predict("C14", 0.05, lesson=0)
    verdict("C14", **measured)
    assert told(capsys).count("0.05 (after the measurement)") == 2
    predict("C14", 0.0, lesson=0)
    predict("C14", None, lesson=0)
    assert "Predicted: 0.05 (after the measurement) (kept from before)" in told(capsys)
    assert ledger()[0]["prediction"] == "0.05 (after the measurement)"


@pytest.mark.parametrize("nothing", [None, ...])
@pytest.mark.parametrize("measure", [True, False], ids=["after the measurement", "before it"])
def test_a_second_run_without_a_prediction_keeps_the_first(
    nothing: object, measure: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    predict("C14", 0.2, lesson=0)
    if measure:
        verdict("C14", measured=0.0, supported=True, scope="computed", lesson=0)
    capsys.readouterr()
    predict("C14", nothing, lesson=0)  # a new copy of the lesson, its cells still None
    text = told(capsys)
    assert "Predicted: 0.2 (kept from before)" in text and "Beware" not in text
    verdict("C14", measured=0.0, supported=True, scope="computed", lesson=0)
    assert "Predicted: 0.2 Measured" in told(capsys) and ledger()[0]["prediction"] == "0.2"


def test_a_prediction_may_change_before_the_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    predict("C14", 0.2, lesson=0)
    predict("C14", 0.7, lesson=0)
    assert "Beware" not in told(capsys) and ledger()[0]["prediction"] == "0.7"


def test_a_prediction_with_numbers_of_numpy_is_the_same_in_a_second_run(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        predict("C14", [np.float32(0.5), 1], lesson=0)
        verdict("C14", measured=0.0, supported=True, scope="computed", lesson=0)
    assert "Beware" not in told(capsys)


def test_a_prediction_without_a_lesson_is_found_by_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    predict("C14", 7)
    verdict("C14", measured=8, supported=True, scope="computed", lesson=3)
    assert told(capsys).count("Predicted: 7") == 2


def test_lessons_keep_their_verdicts_apart() -> None:
    for lesson in (0, 5):
        verdict("C14", measured=lesson, supported=True, scope="computed", lesson=lesson)
    assert [(r["lesson"], r["measured"]) for r in ledger()] == [("00", "0"), ("05", "5")]


def test_not_decided(capsys: pytest.CaptureFixture[str]) -> None:
    verdict("C44", measured="2 GPUs", supported=None, scope="not decidable at this size", note="See the paper.")
    text = told(capsys)
    assert "Verdict: not decided" in text and "Note: See the paper." in text


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: predict("C99", 1), ValueError, "C01 to C45"),
        (lambda: predict("C14", 1, lesson="five"), ValueError, "lesson's number"),
        (lambda: verdict("C99", measured=1, supported=True, scope="computed"), ValueError, "no claim"),
        (lambda: verdict("C14", measured=1, supported=True, scope="always"), ValueError, "mechanism shown here"),
        (lambda: verdict("C14", measured=1, supported="yes", scope="computed"), TypeError, "True, False or None"),
        (lambda: verdict("C14", measured=1, supported=1, scope="computed"), TypeError, "True, False or None"),
        (lambda: verdict("C14", measured=1, supported=None, scope="computed"), ValueError, "not decidable"),
        (lambda: ledger("marks"), ValueError, "claims, exercises, quiz"),
        (lambda: ledger(path="/nowhere/ledger.json"), FileNotFoundError, "no ledger at"),
    ],
)
def test_bad_input_to_the_ledger(call: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
    assert ledger() == []


def test_claims_are_complete() -> None:
    assert list(CLAIMS) == [f"C{n:02d}" for n in range(1, 46)]
    assert all(text.endswith(".") and len(text) < 120 for text in CLAIMS.values())


@pytest.mark.parametrize(
    ("value", "share"),
    [(None, None), (..., None), (0, 0.0), (1, 1.0), (0.3, 0.3), (np.float32(0.25), 0.25), ("0.3", 0.3)]
    + [(" 0,3 ", 0.3), ("30 %", 0.3), ("0.5%", 0.005)],
)
def test_a_share_is_taken(value: object, share: float | None, capsys: pytest.CaptureFixture[str]) -> None:
    got = as_share(value)
    assert got == share and (got is None or type(got) is float)
    assert told(capsys) == ""


@pytest.mark.parametrize(
    ("value", "says"),
    [(30, "for 30 % write 0.3"), (92.5, "for 92.5 % write 0.925"), ("30", "for 30 % write 0.3")]
    + [(value, "such as 0.3") for value in (-0.1, 101, float("nan"), float("inf"), 10**400, True, "few", "", [0.3])],
)
def test_what_is_no_share_is_not_taken(value: object, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert as_share(value) is None
    text = told(capsys)
    assert text.startswith("Not taken as a prediction: ") and says in text
    predict("C14", as_share(value), lesson=0)
    assert ledger()[0]["prediction"] == "no prediction"


@pytest.mark.parametrize(
    ("value", "number"), [(None, None), (..., None), (0, 0), (8, 8), ("7", 7), (np.int64(3), 3), (" 2,5 ", 2.5)]
)
def test_a_number_is_taken(value: object, number: float | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert as_number(value, 0, 8) == number and told(capsys) == ""


@pytest.mark.parametrize("value", [-1, 9, "eight", "7 of 8", True, float("nan"), [3], "50 %", 10**400])
def test_what_is_no_such_number_is_not_taken(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert as_number(value, 0, 8) is None
    assert told(capsys).endswith("Give one number from 0 to 8.")


def test_a_count_is_whole_and_a_number_may_have_no_upper_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert as_number(0.9, 0, 8, whole=True) is None
    assert "one whole number from 0 to 8" in told(capsys)
    assert as_number(12.5, 0) == 12.5 and as_number(-1, 0) is None
    assert "one number, 0 or more" in told(capsys)


def test_true_and_false_are_taken_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert as_truth(True) is True and as_truth(False) is False
    assert as_truth(None) is None and as_truth(...) is None
    assert told(capsys) == ""
    for value in ("maybe", 1, "True", 0.5):
        assert as_truth(value) is None
        assert told(capsys) == f"Not taken as a prediction: {value!r}. Write True or False."


# --- the ledger's file -------------------------------------------------------------------------------------------


def test_ledger_is_one_plain_file_that_survives(own_ledger: Path) -> None:
    assert repr(ledger()) == "The ledger of claims: nothing yet" and not own_ledger.exists()
    predict("C12", {"0": np.float32(0.25), "4": [1, 2], "odd": float("inf")})
    record = json.loads(own_ledger.read_text(encoding="utf-8"))
    assert record["claims"]["C12"][""]["prediction"] == {"0": 0.25, "4": [1, 2], "odd": "inf"}
    assert sorted(p.name for p in own_ledger.parent.iterdir()) in (
        [own_ledger.name],
        [own_ledger.name, "ledger.json.lock"],
    )
    assert "C12" in repr(ledger()) and repr(ledger()).splitlines()[0].startswith("claim")


def test_attempts_and_states_are_kept(own_ledger: Path, tmp_path: Path) -> None:
    for answer in (..., lambda a: [], rude(ValueError("x")), exercises.exercise("0.3").reference, ...):
        check("0.3", answer)
    hint("0.3")
    solution("0.1")
    rows = {row["id"]: row for row in ledger("exercises", own_ledger)}
    assert rows["0.3"]["attempts"] == 3 and rows["0.3"]["state"] == "correct" and rows["0.3"]["first correct"]
    assert rows["0.1"] | {"state": "", "solution seen": True} == rows["0.1"] | {"state": ""}
    assert "not attempted yet" in repr(ledger("exercises")) and "yes" in repr(ledger("exercises"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"format": 1}',
        b'{"format": 1, "claims": [], "exercises": {}, "quiz": {}}',
        b"null",
    ],
)
def test_damaged_ledger_is_kept_aside(own_ledger: Path, content: bytes) -> None:
    own_ledger.parent.mkdir()
    for _ in range(2):  # twice within a second: the second is not put over the first
        own_ledger.write_bytes(content)
        with pytest.raises(LedgerDamaged, match="kept, unchanged, as ledger.damaged-"):
            predict("C14", 1)
    kept = list(own_ledger.parent.glob("ledger.damaged-*.json"))
    assert len(kept) == 2 and all(path.read_bytes() == content for path in kept)
    predict("C14", 2)
    assert ledger()[0]["prediction"] == "2"


def test_check_goes_on_with_a_damaged_ledger(own_ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_ledger.parent.mkdir()
    own_ledger.write_text("not a ledger")
    check("0.3", exercises.exercise("0.3").reference)
    text = told(capsys)
    assert "0.3 correct" in text and "is damaged" in text
    assert ledger("exercises")[0]["attempts"] == 1  # the attempt went into the new one


def test_ledger_of_a_newer_course_is_left_alone(own_ledger: Path) -> None:
    predict("C14", 1)
    text = own_ledger.read_text().replace('"format": 1', '"format": 2')
    own_ledger.write_text(text)
    with pytest.raises(LedgerError, match="newer edition"):
        predict("C14", 2)
    assert own_ledger.read_text() == text


def test_ledger_in_a_place_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EXPERT_LEDGER", str(tmp_path / "file" / "ledger.json"))
    with pytest.raises(LedgerError, match="EXPERT_LEDGER"):
        predict("C14", 1)
    check("0.3", exercises.exercise("0.3").reference)
    text = told(capsys)
    assert "0.3 correct" in text and "This attempt was not kept" in text


def test_a_write_that_fails_leaves_the_old_file(own_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predict("C14", 1)
    before = own_ledger.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(LedgerError, match="No space left"):
            predict("C14", 2)
    assert own_ledger.read_bytes() == before and not list(own_ledger.parent.glob("*.tmp"))
    predict("C14", 3)
    assert ledger()[0]["prediction"] == "3"


def count_up(times: int, system_lock: bool) -> None:
    """Add to one number, read and written each time, as several notebooks would."""
    if not system_lock:
        store.fcntl = None

    def edit(record: dict) -> None:
        entry = record["quiz"].setdefault("n", {"count": 0})
        entry["count"] += 1

    for _ in range(times):
        store.change(edit)


@pytest.mark.parametrize("system_lock", [True, False], ids=["flock", "file"])
def test_notebooks_at_once_lose_nothing(system_lock: bool) -> None:
    if system_lock and store.fcntl is None:
        pytest.skip("this system has no fcntl; its lock is the file")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=count_up, args=(25, system_lock)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [w.exitcode for w in workers] == [0] * 4
    assert store.read()["quiz"]["n"]["count"] == 100


def test_lock_file_of_a_killed_notebook_is_removed(own_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "fcntl", None)
    predict("C14", 1)
    lock = own_ledger.with_name("ledger.json.lock")
    assert not lock.exists()
    lock.touch()
    os.utime(lock, (time.time() - 60,) * 2)
    predict("C14", 2)
    assert ledger()[0]["prediction"] == "2" and not lock.exists()


def test_lock_that_is_held_too_long_is_told(own_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PATIENCE", 0.1)
    predict("C14", 1)
    with store._locked(own_ledger), pytest.raises(LedgerError, match="in use by another notebook"):
        predict("C14", 2)
    predict("C14", 3)


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_DATA_HOME", "place/phi3-industry-expert/ledger.json"),
        ("win32", "LOCALAPPDATA", "place/phi3-industry-expert/ledger.json"),
        ("darwin", "HOME", "place/Library/Application Support/phi3-industry-expert/ledger.json"),
    ],
)
def test_where_the_ledger_lies(
    platform: str, variable: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXPERT_LEDGER")
    monkeypatch.setattr(store.sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path / "place"))
    assert store.ledger_path() == tmp_path / expected
