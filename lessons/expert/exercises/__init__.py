"""What an exercise is made of. The exercises themselves stand in one file per lesson beside this one.

A lesson's file, such as ``lesson_00.py``, holds ``EXERCISES`` (a list of Exercise) and ``QUIZ`` (a list of Question).
"""

import importlib
import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """One input to try a learner's function on. The expected result comes from the course's own function."""

    args: tuple[Any, ...]
    look_at: str = ""  # what this input is about; shown when nothing better is known


@dataclass(frozen=True)
class Mistake:
    """A usual mistake: what to say about it, and how to know it.

    ``like`` is a function with that mistake: it is recognised where the learner's function gives the same wrong
    results. ``when`` looks at one wrong result instead: ``when(got, expected, args)``.
    """

    says: str
    like: Callable[..., Any] | None = None
    when: Callable[[Any, Any, tuple[Any, ...]], bool] | None = None


@dataclass(frozen=True)
class Part:
    """One thing that must hold for an answer that is a value. Looked at in order; the first to fail is told."""

    tried: str
    holds: Callable[[Any], bool]
    expected: str
    look_at: str


@dataclass(frozen=True)
class Exercise:
    """One exercise. With ``cases`` the answer is a function; with ``parts``, or neither, it is a value.

    ``reference`` is the course's own function; for a value, a function without parameters that makes it.
    ``source`` is the text that ``solution`` prints; by default the source of ``reference``.
    ``same(got, expected)`` compares two results where plain equality would turn away right answers.
    """

    id: str
    goal: str
    reference: Callable[..., Any]
    hints: tuple[str, ...]
    cases: tuple[Case, ...] = ()
    parts: tuple[Part, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    same: Callable[[Any, Any], bool] | None = None
    source: str = ""

    @property
    def is_function(self) -> bool:
        """Whether the answer is a function."""
        return bool(self.cases)

    def course_answer(self) -> Any:
        """The course's own answer: the function, or a fresh copy of the value."""
        return self.reference if self.is_function else self.reference()

    def solution_text(self) -> str:
        """The course's answer as source text."""
        return textwrap.dedent(self.source or inspect.getsource(self.reference)).strip()


@dataclass(frozen=True)
class Option:
    """One option of a quiz question: its text, whether it is right, and why."""

    text: str
    right: bool
    because: str


@dataclass(frozen=True)
class Question:
    """A quiz question with one or several right options."""

    id: str
    text: str
    options: tuple[Option, ...]

    @property
    def right(self) -> frozenset[str]:
        """The letters of the right options."""
        return frozenset(letter for letter, option in self.lettered() if option.right)

    def lettered(self) -> list[tuple[str, Option]]:
        """The options with their letters, from a."""
        return list(zip("abcdefghij", self.options, strict=False))


class UnknownExercise(LookupError):
    """No exercise or quiz has this id; the message names those there are."""


def exercise(id: str) -> Exercise:
    """The exercise with this id, such as "0.2"."""
    return _find(id, "EXERCISES", "exercise")


def question(id: str) -> Question:
    """The quiz question with this id, such as "0.1" (or "Q0.1")."""
    return _find(str(id).removeprefix("Q").removeprefix("q"), "QUIZ", "quiz question")


def questions(lesson: str) -> list[Question]:
    """All quiz questions of a lesson, such as "0"."""
    return list(_module(str(lesson), "quiz").QUIZ)


def all_lessons() -> list[int]:
    """The numbers of the lessons that have exercises."""
    names = (re.fullmatch(r"lesson_(\d\d)", path.stem) for path in Path(__file__).parent.glob("lesson_*.py"))
    return sorted(int(name[1]) for name in names if name)


def _module(lesson: str, what: str) -> Any:
    known = all_lessons()
    if not re.fullmatch(r"\d{1,2}", lesson) or int(lesson) not in known:
        there = ", ".join(map(str, known))
        raise UnknownExercise(f"There is no {what} for lesson {lesson!r}. Lessons with exercises: {there}.")
    return importlib.import_module(f"expert.exercises.lesson_{int(lesson):02d}")


def _find(id: str, table: str, what: str) -> Any:
    lesson, dot, _ = str(id).partition(".")
    if not dot:
        raise UnknownExercise(f'{id!r} is no {what}\'s id. An id is the lesson and a number, such as "0.2".')
    entries = {entry.id: entry for entry in getattr(_module(lesson, what), table)}
    if str(id) not in entries:
        raise UnknownExercise(f"There is no {what} {id!r}. Lesson {lesson} has: {', '.join(entries)}.")
    return entries[str(id)]
