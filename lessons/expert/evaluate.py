"""Score answers, measure what they cost, and keep every result in one table.

``exact_match`` and ``token_f1`` follow SQuAD (Rajpurkar et al. 2016, section 6.1), with one change: numbers keep their
decimal points, and a value counts where it stands in the answer as a whole. ``bootstrap`` gives the interval
(Efron 1979, percentile method). ``run`` asks a model all questions of a set, shows a bar, and goes on where it was
interrupted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from tqdm import tqdm

from expert import store

ARTICLES = {"a", "an", "the"}


class EvaluationError(ValueError):
    """The questions, answers or the file of a run are not what this module expects."""


def normalise(text: str) -> str:
    """The text in lower case, without articles, citations and stops: "The 1.5 bar. [2]" is "1.5 bar"."""
    text = re.sub(r"\[\d+\]", " ", str(text).lower())
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)  # 1,450 rpm is 1450 rpm
    text = re.sub(r"(?<!\d)[.,](?!\d)|[.,](?!\d)|[!?;:\"'()“”’]", " ", text)
    return " ".join(word for word in text.split() if word not in ARTICLES)


def exact_match(answer: str, accepted: str | Sequence[str]) -> bool:
    """True where one of the accepted values stands in the answer as a whole ("45 Nm" does not stand in "145 Nm")."""
    words = f" {normalise(answer)} "
    values = [normalise(value) for value in _accepted(accepted)]
    return any(value and f" {value} " in words for value in values)


def token_f1(answer: str, accepted: str | Sequence[str]) -> float:
    """Words shared with the best accepted value, 0 to 1: the harmonic mean of precision and recall."""
    return max(_f1(normalise(answer).split(), normalise(value).split()) for value in _accepted(accepted))


def _f1(got: list[str], wanted: list[str]) -> float:
    common = sum((Counter(got) & Counter(wanted)).values())
    return 2 * common / (len(got) + len(wanted)) if common else 0.0


def _accepted(values: str | Sequence[str]) -> list[str]:
    """One or several accepted values as a list."""
    values = [values] if isinstance(values, str) else list(values)
    if not values:
        raise EvaluationError("expected at least one accepted answer, but the list is empty")
    return values


def bootstrap(scores: Iterable[float], level: float = 0.95, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """The interval of the mean: draw as many scores with replacement, ``draws`` times, and cut both tails off.

    scores: one number a question. level: 0.95 leaves 2.5 % of the means below and 2.5 % above.
    """
    values = np.asarray(list(scores), dtype=float)
    if not len(values):
        raise EvaluationError("expected at least one score for an interval, but got none")
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass
class Answer:
    """One answered question: what was said, how right it was, and what it took."""

    question: str
    text: str
    exact: bool
    f1: float
    prompt_tokens: int
    new_tokens: int
    seconds: float


@dataclass
class Result:
    """A run over a set of questions, as one line of the table."""

    name: str
    task: str
    questions: int
    exact: float
    low: float
    high: float
    f1: float
    seconds_per_answer: float
    prompt_tokens: float
    new_tokens: float
    peak_mib: float

    def __str__(self) -> str:
        return (
            f"{self.name} on {self.task}: {self.exact:.0%} exact ({self.low:.0%} to {self.high:.0%}), "
            f"F1 {self.f1:.2f}, {self.seconds_per_answer:.2f} s and "
            f"{self.prompt_tokens + self.new_tokens:.0f} tokens an answer"
        )


def run(
    name: str,
    task: str,
    questions: Sequence,
    prompts: Sequence[str],
    answer: Callable[[list[str]], list[str]],
    count_tokens: Callable[[str], int],
    *,
    batch_size: int = 16,
    folder: str | Path | None = None,
    progress: bool | None = None,
) -> tuple[Result, list[Answer]]:
    """Ask all questions, a batch at a time, and score the answers.

    questions: ``corpus.Question`` or anything with ``id``, ``answer`` and ``variants``; prompts: one text each.
    answer: takes a list of prompts and gives a list of texts. count_tokens: tokens of a text.
    folder: every answer is kept there at once, so that a run that was interrupted goes on where it stopped; a question
    whose prompt has changed is asked anew. None: nothing is kept. Raises EvaluationError where the lists do not fit.
    """
    if len(questions) != len(prompts) or not questions:
        raise EvaluationError(f"expected one prompt a question, at least one; got {len(questions)} and {len(prompts)}")
    path = Path(folder) / f"{_file_name(name)}-{_file_name(task)}.jsonl" if folder else None
    done = _kept(path) if path else {}
    keys = [hashlib.sha256(f"{q.id}\n{p}".encode()).hexdigest()[:16] for q, p in zip(questions, prompts, strict=True)]
    todo = [i for i, key in enumerate(keys) if key not in done]
    with peak_memory() as memory, tqdm(total=len(keys), initial=len(keys) - len(todo), **_bar(progress)) as bar:
        for start in range(0, len(todo), batch_size):
            batch = todo[start : start + batch_size]
            began = time.perf_counter()
            texts = answer([prompts[i] for i in batch])
            seconds = (time.perf_counter() - began) / len(batch)
            if len(texts) != len(batch):
                raise EvaluationError(f"expected {len(batch)} answers from {name}, but got {len(texts)}")
            for i, text in zip(batch, texts, strict=True):
                done[keys[i]] = _scored(questions[i], prompts[i], text, seconds, count_tokens)
            if path:
                _keep(path, {keys[i]: done[keys[i]] for i in batch})
            bar.update(len(batch))
    answers = [done[key] for key in keys]
    return _summary(name, task, answers, memory.peak), answers


def _scored(question, prompt: str, text: str, seconds: float, count_tokens: Callable[[str], int]) -> Answer:
    accepted = [question.answer, *question.variants]
    return Answer(
        question.id,
        text,
        exact_match(text, accepted),
        token_f1(text, accepted),
        count_tokens(prompt),
        count_tokens(text),
        seconds,
    )


def _summary(name: str, task: str, answers: list[Answer], peak: float) -> Result:
    exact = [float(a.exact) for a in answers]
    low, high = bootstrap(exact)
    mean = lambda values: float(np.mean(list(values)))  # noqa: E731
    return Result(
        name,
        task,
        len(answers),
        mean(exact),
        low,
        high,
        mean(a.f1 for a in answers),
        mean(a.seconds for a in answers),
        mean(a.prompt_tokens for a in answers),
        mean(a.new_tokens for a in answers),
        peak,
    )


def _bar(progress: bool | None) -> dict:
    """Options of the bar: always or never, or after three seconds (None) unless TQDM_DISABLE forbids it."""
    shown = {"desc": "questions", "file": sys.stdout, "leave": False}
    return shown | ({"delay": 3.0} if progress is None else {"disable": not progress})


def _file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "run"


def _kept(path: Path) -> dict[str, Answer]:
    """The answers that an earlier run kept; a line that a kill cut off is left out, and asked again."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
            key = record.pop("key")
            found[key] = Answer(**record)
        except (ValueError, TypeError, KeyError):
            continue
    return found


def _keep(path: Path, answers: dict[str, Answer]) -> None:
    """Add answers to the file of a run, each on a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.is_file() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n" if torn else "")
        file.writelines(json.dumps({"key": key, **asdict(a)}, ensure_ascii=False) + "\n" for key, a in answers.items())
        file.flush()
        os.fsync(file.fileno())


class Memory:
    """The most memory this process held while it was watched, above what it held before, in MiB."""

    def __init__(self) -> None:
        self.peak = 0.0


@contextmanager
def peak_memory(every: float = 0.02):
    """Watch the memory of this process: ``with peak_memory() as memory: ...``, then ``memory.peak`` (MiB)."""
    process, memory, over = psutil.Process(), Memory(), threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not over.is_set():
            memory.peak = max(memory.peak, (process.memory_info().rss - before) / 2**20)
            over.wait(every)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield memory
    finally:
        over.set()
        watcher.join()
        memory.peak = max(memory.peak, (process.memory_info().rss - before) / 2**20)


def keep(result: Result) -> None:
    """Put a result into the table that grows from lesson to lesson; one of the same name and task is replaced."""
    entry = store.plain(asdict(result)) | {"when": store.now()}
    store.change(lambda record: record.setdefault("results", {}).update({f"{result.task} / {result.name}": entry}))


def results(task: str | None = None) -> list[Result]:
    """All results kept so far, or those of one task, in the order in which they were first kept."""
    entries = store.read().get("results", {}).values()
    found = [Result(**{k: v for k, v in entry.items() if k != "when"}) for entry in entries]
    return [r for r in found if task is None or r.task == task]
