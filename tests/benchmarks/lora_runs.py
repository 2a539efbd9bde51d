"""LoRA against full tuning, prompts, a smaller model, fewer tickets, a rate too high; and MiniLM with LoRA.

    python tests/benchmarks/lora_runs.py                what is missing in data/measurements/lora_runs.csv
    python tests/benchmarks/lora_runs.py --seeds 1      one seed a run
    python tests/benchmarks/lora_runs.py --only lora full --seeds 1

Lesson 07 draws the table and repeats the run "lora" with TRL. Every run but "lora varied" takes the same number of
steps over work orders of the tuning split (``expert.style``). All are measured on the 60 tickets of the test split and
on the public facts.

    zero-shot     the ticket alone                     small few-shot  the same with the small model
    few-shot N    N tickets with their orders before   small lora      LoRA on the small model
    told          the house's own pages before         told and lora   those pages, and LoRA
    lora, full    60 tickets, LoRA or every weight     lora N          LoRA, N tickets in place of 60
    high rate     LoRA, 25 times the learning rate     embedder        MiniLM on words of the glossary
    lora varied   LoRA, more rows, words beside what was seen exchanged too, more steps

Each run has a process of its own, so that its peak of memory is its own. Each line is written as soon as it is
measured; a line that is there is not measured again. On a busy machine all times are too long: compare times of one
day only.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from expert import corpus, evaluate, models, style, tuning
from expert.exercises.lesson_00 import build_prompt
from measured_lines import about, kept, write

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "measurements" / "lora_runs.csv"
ROWS, STEPS, BATCH_TOKENS, REWORDED = 960, 240, 640, 0.9
# Chosen on the tuning split: trained on two thirds of its sites, scored on the other third, three times
VARIED = {"rows": 6000, "steps": 600, "around": 0.5, "longest": 3}
PLAIN = {"rows": ROWS, "steps": STEPS, "around": 0.0, "longest": 4}
RATE = {"lora": 2e-3, "full": 5e-4}
HIGH = 25
RANK = 16
NEW_TOKENS = 64
GUIDES = ("gu-house-style", "gu-triage-labels")
PROMPTS = ("zero-shot", "few-shot 1", "few-shot 2", "few-shot 4", "few-shot 8", "told", "small few-shot 4")
TRAINED = ("lora", "full", "high rate", "small lora", "told and lora", "lora 4", "lora 15", "embedder", "lora varied")
FIELDS = (
    "run",
    "seed",
    "form",
    "parts",
    "copied",
    "read",
    "line",
    "public",
    "known",
    "unknown",
    "marks",
    "public_marks",
    "known_marks",
    "unknown_marks",
    "prompt_tokens",
    "new_tokens",
    "answer_seconds",
    "weights",
    "trained",
    "optimizer_bytes",
    "peak_mib",
    "train_tokens",
    "train_seconds",
    "model",
    "machine",
    "versions",
    "date",
    "script",
)


# --- prompts ------------------------------------------------------------------------------------------------------


def few_shot(some: Sequence[style.OrderRow], one: style.OrderRow, shots: int) -> str:
    """The ticket behind ``shots`` others with their orders, drawn from ``some`` by the ticket's number."""
    chosen = random.Random(one.ticket).sample([row for row in some if row.ticket != one.ticket], shots)
    shown = "".join(f"{row.prompt}\nWork order: {row.order}\n\n" for row in chosen)
    return f"{shown}{one.prompt}\nWork order:" if shots else one.prompt


def told(one: style.OrderRow) -> str:
    """The ticket behind all passages of the two pages that say how a work order is written."""
    pages = [p.text for p in corpus.passages() if p.doc_id in GUIDES]
    return build_prompt(pages, one.prompt)


# --- measuring ----------------------------------------------------------------------------------------------------


def measure_orders(loaded: models.Loaded, prompts: Sequence[str], tests: Sequence[style.OrderRow]) -> dict[str, object]:
    """Form, parts and cost of the work orders that a model writes to these prompts, one for each test ticket."""
    began = time.perf_counter()
    answers = models.generate(loaded, list(prompts), max_new_tokens=NEW_TOKENS, progress=False)
    seconds = (time.perf_counter() - began) / len(prompts)
    right = np.array([_parts(answer, one.order) for answer, one in zip(answers, tests, strict=True)])
    copied = [style.PARTS.index(name) for name in style.COPIED]
    read = [i for i in range(len(style.PARTS)) if i not in copied]
    form = [style.in_form(answer) for answer in answers]
    tokens = lambda text: len(loaded.tokenizer(text, add_special_tokens=False)["input_ids"])  # noqa: E731
    return {
        "form": round(float(np.mean(form)), 4),
        "parts": round(float(right.mean()), 4),
        "copied": round(float(right[:, copied].mean()), 4),
        "read": round(float(right[:, read].mean()), 4),
        "line": round(float(right.all(axis=1).mean()), 4),
        # a case is two digits: 1 for the form, then how many of the eight parts are right
        "marks": "m" + "".join(f"{int(f)}{int(r.sum())}" for f, r in zip(form, right, strict=True)),
        "prompt_tokens": round(float(np.mean([tokens(models.render(loaded, p)) for p in prompts])), 1),
        "new_tokens": round(float(np.mean([tokens(answer) + 1 for answer in answers])), 1),
        "answer_seconds": round(seconds, 4),
    }


def _parts(answer: str, order: str) -> list[bool]:
    got, wanted = style.split_order(answer), style.split_order(order)
    return [got[name] == wanted[name] for name in style.PARTS]


def measure_public(loaded: models.Loaded) -> dict[str, object]:
    """The share of public facts that a model still answers rightly."""
    questions = corpus.public_questions()
    answers = models.generate(loaded, [q.question for q in questions], max_new_tokens=24, progress=False)
    right = [evaluate.exact_match(a, [q.answer, *q.variants]) for a, q in zip(answers, questions, strict=True)]
    return {"public": round(float(np.mean(right)), 4), "public_marks": "p" + "".join(str(int(r)) for r in right)}


# --- runs ---------------------------------------------------------------------------------------------------------


def rows(tickets: int, seed: int, plan: dict) -> list[dict]:
    """The training rows of a plan, recombined from so many tickets of the tuning split."""
    some = style.rows("tune")
    some = some if tickets >= len(some) else random.Random(seed).sample(some, tickets)
    return [one.row for one in style.recombine(some, plan["rows"], seed, REWORDED, plan["around"], plan["longest"])]


def prompt_run(name: str) -> dict[str, object]:
    """A model as it is, with one kind of prompt."""
    loaded = models.load("tiny", part="small" if name.startswith("small") else "chat")
    tests, some = style.rows("test"), style.rows("tune")
    if name == "told":
        prompts = [told(one) for one in tests]
    else:
        shots = 0 if name == "zero-shot" else int(name.split()[-1])
        prompts = [few_shot(some, one, shots) for one in tests]
    public = measure_public(loaded) if name == "zero-shot" else {}
    return measure_orders(loaded, prompts, tests) | public | {"weights": loaded.weights, "trained": 0}


def trained_run(name: str, seed: int) -> dict[str, object]:
    """A tuned model: how it was trained, what it cost, what it writes and what it still knows."""
    base = models.load("tiny", part="small" if name.startswith("small") else "chat")
    method = "full" if name == "full" else "lora"
    tickets = int(name.split()[-1]) if name.split()[-1].isdigit() else 60
    plan = VARIED if name == "lora varied" else PLAIN
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tuned = tuning.tune(
        base,
        rows(tickets, seed, plan),
        method=method,
        r=RANK,
        steps=plan["steps"],
        batch_tokens=BATCH_TOKENS,
        learning_rate=RATE[method] * (HIGH if name == "high rate" else 1),
        seed=seed,
        dtype="float32",  # the same for both methods, so that time and memory can be compared
        progress=False,
    )
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024  # kilobytes on Linux
    tests = style.rows("test")
    prompts = [told(one) if name.startswith("told") else one.prompt for one in tests]
    report = tuned.report
    return (
        measure_orders(tuned.loaded, prompts, tests)
        | measure_public(tuned.loaded)
        | {
            "weights": base.weights,
            "trained": report.trained,
            "optimizer_bytes": report.trained * 8,  # two float32 means of Adam for each trained number
            "peak_mib": round(peak, 1),
            "train_tokens": report.tokens,
            "train_seconds": round(report.seconds, 1),
        }
    )


# --- the embedder -------------------------------------------------------------------------------------------------


def glossary() -> list[tuple[str, str, str, str]]:
    """Each word of the company with its plain meaning, a question that holds the word or not, and the question's split.

    The meaning is the glossary's entry behind the word, so that the word itself does not stand in it.
    """
    texts = {p.id: p.text for p in corpus.passages()}
    found = []
    for question in corpus.questions(kind="jargon"):
        word, text = question.entity[0], texts[question.passages[0]]
        place = text.lower().find(word.lower())
        found.append((word, text[place + len(word) :].lstrip(" :,"), question.question, question.split))
    return found


def known_and_unknown() -> tuple[list[tuple[str, str]], dict[str, list[tuple[str, int]]], list[str]]:
    """Training pairs (word, meaning) of half the words; questions with the number of their meaning, for both halves.

    known: words of the training pairs, in questions that were not trained on. unknown: the other half of the words.
    """
    entries = glossary()
    pairs = [(word, meaning) for word, meaning, _, split in entries if split == "tune"]
    asked: dict[str, list[tuple[str, int]]] = {"known": [], "unknown": []}
    for number, (word, _, question, split) in enumerate(entries):
        if word.lower() in question.lower():  # the others describe the word and do not hold it
            asked["known" if split == "tune" else "unknown"].append((question, number))
    return pairs, asked, [meaning for _, meaning, _, _ in entries]


def hits(embedder, asked: Sequence[tuple[str, int]], meanings: Sequence[str], k: int = 3) -> list[bool]:
    """Whether the right meaning is among the ``k`` nearest, for each question."""
    options = {"normalize_embeddings": True, "show_progress_bar": False}
    table = embedder.encode(list(meanings), **options)
    queries = embedder.encode([question for question, _ in asked], **options)
    order = np.argsort(-(queries @ table.T), axis=1, kind="stable")[:, :k]
    return [number in row for (_, number), row in zip(asked, order.tolist(), strict=True)]


def embedder_run(seed: int) -> dict[str, object]:
    """MiniLM with LoRA on words and meanings, as in the lesson; without a seed (-1) as it is."""
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    disable_progress_bars()
    pairs, asked, meanings = known_and_unknown()
    folder = str(Path(tempfile.gettempdir()) / "lora-runs-embedder")  # named only: nothing is saved
    embedder, seconds, trained = models.load_embedder(), 0.0, 0
    if seed >= 0:
        torch.manual_seed(seed)
        targets = ["query", "key", "value", "output.dense", "intermediate.dense"]
        config = LoraConfig(r=8, lora_alpha=16, target_modules=targets, task_type="FEATURE_EXTRACTION")
        embedder.add_adapter(config)
        trained = sum(p.numel() for p in embedder.parameters() if p.requires_grad)
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            max_steps=15,
            per_device_train_batch_size=len(pairs),
            learning_rate=2e-3,
            warmup_steps=2,
            seed=seed,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        table = Dataset.from_list([{"anchor": word, "positive": meaning} for word, meaning in pairs])
        loss = MultipleNegativesRankingLoss(embedder)
        began = time.perf_counter()
        SentenceTransformerTrainer(model=embedder, args=arguments, train_dataset=table, loss=loss).train()
        seconds = time.perf_counter() - began
        embedder.eval()
    found = {half: hits(embedder, some, meanings) for half, some in asked.items()}
    return (
        {half: round(float(np.mean(marks)), 4) for half, marks in found.items()}
        | {f"{half}_marks": half[0] + "".join(str(int(m)) for m in marks) for half, marks in found.items()}
        | {"weights": sum(p.numel() for p in embedder.parameters()) - trained, "trained": trained}
        | {"train_seconds": round(seconds, 1)}
    )


# --- the table ----------------------------------------------------------------------------------------------------


def points(seeds: int) -> Iterator[tuple[str, int]]:
    """Run and seed of each line, the first seed of all of them first. Seed -1: nothing is drawn."""
    for name in PROMPTS:
        yield name, -1
    yield "embedder", -1
    for seed in range(seeds):
        for name in TRAINED:
            yield name, seed


def one_line(name: str, seed: int) -> dict[str, object]:
    """Measure one line."""
    if name == "embedder":
        measured = embedder_run(seed)
    else:
        measured = prompt_run(name) if name in PROMPTS else trained_run(name, seed)
    return {"run": name, "seed": seed} | measured


def alone(script: Path, *arguments: object) -> dict[str, object]:
    """What a script prints as its last line (JSON), run in a fresh process."""
    command = [sys.executable, str(script), "--line", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def fill(
    path: Path,
    fields: Sequence[str],
    todo: Sequence[tuple],
    key: Callable[[dict], tuple],
    script: Path,
) -> None:
    """Measure every point that the table lacks, each in a process of its own, and write the table after each."""
    common = about(script.name)
    lines = [line for line in kept(path) if line["model"] == common["model"]]
    done = {key(line) for line in lines}
    for point in todo:
        if tuple(map(str, point)) in done:
            continue
        began = time.perf_counter()
        lines.append(alone(script, *point) | common)
        write(path, fields, lines)
        shown = {name: lines[-1].get(name) for name in ("form", "parts", "public", "known", "unknown")}
        told_ = ", ".join(f"{name} {value:.0%}" for name, value in shown.items() if isinstance(value, float))
        print(*point, told_, f"{time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    """Measure what is missing, a line at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of runs")
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--line", nargs=2, metavar=("RUN", "SEED"), help="measure this one and print it as JSON")
    given = parser.parse_args()
    if given.line:
        print(json.dumps(one_line(given.line[0], int(given.line[1]))))
        return
    todo = [point for point in points(given.seeds) if not given.only or point[0] in given.only]
    fill(given.table, FIELDS, todo, lambda line: (line["run"], line["seed"]), Path(__file__))


if __name__ == "__main__":
    main()
