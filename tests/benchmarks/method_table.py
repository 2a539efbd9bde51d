"""One set of questions, all methods: prompts, RAG, LoRA on facts, LoRA on style, QLoRA, RAG with LoRA.

    python tests/benchmarks/method_table.py                 what is missing in data/measurements/methods.csv
    python tests/benchmarks/method_table.py --few 4         every fourth question, short training; stored elsewhere
    python tests/benchmarks/method_table.py --only rag      these methods; --seeds 1 one seed each

Lesson 09 draws the table. Kinds: six kinds of questions on facts, work orders (style), the workflow (a ticket without
pump and technician in, the order out), public facts (what was forgotten), and for *lora facts* what it was trained on,
in the words of the training ("learnt"). All but the last are of the test split.

    code            no model: copied, guessed, tables joined    lora facts      LoRA on the company's passages
    zero-shot       the question alone                          lora style      LoRA on past work orders
    few-shot        4 past questions, or tickets with orders    qlora style     the same on a base in NF4
    rag             3 passages, read apart; for two passages 6  rag with lora   RAG with two adapters on one base: one
                    of a second search; for orders the two                      has learnt to answer from passages, the
                    pages with the house style                                  other is that of lora style

The adapters on facts have read every passage, also those that the test asks about: what is tested is what they keep.
The others have read the tuning split only. Every method and seed has a process of its own. Each line is written as soon
as it is measured, and a line that is there is not measured again. An hour and a half on one core (OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from expert import corpus, evaluate, methods, models, rag, retrieval, style, tuning
from lora_runs import RATE, VARIED
from measured_lines import fill_streamed

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "measurements" / "methods.csv"
TRIAL = "methods-trial.csv"  # --few writes into the folder for temporary files
RANK, BATCH_TOKENS, REWORDED = 16, 640, 0.9
STYLE = VARIED | {"rate": RATE["lora"]}
FACTS = {"steps": 1600, "rate": 1e-3, "r": 64, "batch_tokens": 1280}
READER = {"steps": 300, "rate": 1e-3}
FACT_TOKENS, ORDER_TOKENS, PUBLIC_TOKENS = 48, 64, 24
MOST = 60  # questions of a kind
FACT_KINDS = ("single_fact", "table_lookup", "changed_fact", "jargon", "two_passages", "not_answerable")
KINDS = (*FACT_KINDS, "style", "workflow", "public", "learnt")
SEEDED = ("lora style", "qlora style", "rag with lora", "lora facts")
METHODS = ("code", "zero-shot", "few-shot", "rag", *SEEDED)
FIELDS = (
    "method",
    "kind",
    "seed",
    "questions",
    "right",
    "form",
    "declined",
    "marks",
    "prompt_tokens",
    "new_tokens",
    "answer_seconds",
    "setup_seconds",
    "kept_mib",
    "peak_mib",
    "model",
    "machine",
    "versions",
    "date",
    "script",
)
# what an answer is, how many tokens it read and wrote
Said = tuple[str, int, int]


class Learnt(NamedTuple):
    """A row of the training as a question."""

    question: str
    answer: str
    variants: tuple[str, ...] = ()


@dataclass
class Ready:
    """A method that is ready to answer, and what it took to get there."""

    name: str
    loaded: models.Loaded
    writer: models.Loaded | None = None  # who writes work orders, where that is another adapter
    looker: rag.Assistant | None = None  # who looks up what a ticket lacks
    setup_seconds: float = 0.0
    kept_mib: float = 0.0  # on disk, besides the base
    peak_mib: float = 0.0  # rise of this process's memory while it was set up
    index: retrieval.Index | None = None
    kept_open: ExitStack = field(default_factory=ExitStack)


# --- set-up -------------------------------------------------------------------------------------------------------


def set_up(name: str, seed: int, few: int) -> Ready:
    """Load, index, train: what must be done once before the first answer."""
    if name == "code":
        return Ready(name, models.load("tiny"))
    base = models.load("tiny", quantize="nf4" if name == "qlora style" else None)
    ready = Ready(name, base)
    embedder = models.load_embedder() if name.startswith("rag") else None
    before = _rss()
    if embedder is not None:
        _index(ready, embedder)
    if name in SEEDED:
        _train(ready, base, seed, few)
    ready.peak_mib = max(0.0, _rss() - before)
    if ready.index is not None:
        ready.looker = _looker(ready, base)
    return ready


def _rss() -> float:
    """The peak of this process's memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux


def _looker(ready: Ready, base: models.Loaded) -> rag.Assistant:
    """The reading adapter, or the base without it if that looks up more on past tickets.

    Past tickets only, those of the tuning split: the choice must not see the tickets that it is tested on.
    """
    some = [ready.loaded] if ready.loaded is base else [ready.loaded, base]
    readers = [rag.Assistant(ready.index, one, k=3, how="sum", apart=True) for one in some]
    past = methods.jobs("tune")
    true = methods.look_up_by_code(past)
    right = [
        np.mean([(a.pump == b.pump) + (a.technician == b.technician) for a, b in zip(found, true, strict=True)]) / 2
        for found in (methods.look_up(reader, past) for reader in readers)
    ]
    print("looked up rightly on past tickets:", [f"{share:.0%}" for share in right], file=sys.stderr)
    return readers[int(np.argmax(right))]


def _index(ready: Ready, embedder: Any) -> None:
    folder = Path(
        ready.kept_open.enter_context(tempfile.TemporaryDirectory(prefix="methods-", ignore_cleanup_errors=True))
    )
    ready.index = ready.kept_open.enter_context(retrieval.open_index(folder / "index", embedder))
    report = rag.ingest(corpus.data_root(), ready.index, folder / "manifest.json", ignore=methods.IGNORE)
    ready.setup_seconds += report.seconds
    ready.kept_mib += sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 2**20


def _train(ready: Ready, base: models.Loaded, seed: int, few: int) -> None:
    """The method's adapter or adapters; with two, both sit on the weights of one base."""
    began = time.perf_counter()
    if ready.name == "lora facts":
        ready.loaded = _adapter(ready, base, methods.fact_rows(seed), FACTS, seed, few)
    else:
        varied = {"reworded": REWORDED, "around": STYLE["around"], "longest": STYLE["longest"]}
        made = style.recombine(style.rows("tune"), STYLE["rows"], seed, **varied)
        orders = [one.row for one in made]
        ready.writer = _adapter(ready, base, orders, STYLE, seed, few)
        if ready.index is None:
            ready.loaded = ready.writer
        else:
            ready.loaded = _adapter(ready, base, methods.grounded_rows(base, ready.index, seed), READER, seed, few)
    ready.setup_seconds += time.perf_counter() - began


def _adapter(
    ready: Ready, base: models.Loaded, rows: list[tuning.Row], plan: dict, seed: int, few: int
) -> models.Loaded:
    tuned = tuning.tune(
        base,
        rows,
        r=plan.get("r", RANK),
        steps=max(2, plan["steps"] // (12 * few) if few > 1 else plan["steps"]),
        batch_tokens=plan.get("batch_tokens", BATCH_TOKENS),
        learning_rate=plan["rate"],
        seed=seed,
        dtype="float32",
        progress=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        tuning.save(tuned, folder)
        ready.kept_mib += tuned.report.saved_mib or 0.0
    return tuned.loaded


# --- answering ----------------------------------------------------------------------------------------------------


def asked(kind: str, seed: int, few: int) -> list[Any]:
    """The cases of a kind: questions, tickets, or jobs."""
    if kind == "style":
        found = style.rows("test")
    elif kind == "workflow":
        found = methods.jobs("test")
    elif kind == "public":
        found = corpus.public_questions()
    elif kind == "learnt":
        rows = [row["messages"] for row in methods.fact_rows(seed)]
        found = [Learnt(asks["content"], says["content"]) for asks, says in random.Random(seed).sample(rows, MOST)]
    else:
        found = corpus.questions("test", kind)
    return list(found)[: MOST if kind != "public" else None][::few]


def answer(ready: Ready, kind: str, cases: Sequence[Any]) -> list[Said]:
    """What a method says to these cases, the same way for all of a kind."""
    if kind == "public":
        return _say(ready, [q.question for q in cases], PUBLIC_TOKENS)
    if ready.name == "code":
        return _by_code(kind, cases)
    if kind == "style":
        return _say(ready, order_prompts(ready.name, cases), ORDER_TOKENS, ready.writer)
    if kind == "workflow":
        return _workflow(ready, cases)
    if ready.index is not None:
        assistant = _assistant(ready, kind)
        told = assistant.ask_all([q.question for q in cases])
        return [(a.said, a.prompt_tokens, _written(ready, a)) for a in told]
    if ready.name == "few-shot":
        past = corpus.questions("tune")
        return _say(ready, [methods.few_shot_fact(q, past) for q in cases], FACT_TOKENS)
    return _say(ready, [q.question for q in cases], FACT_TOKENS)


def _by_code(kind: str, cases: Sequence[Any]) -> list[Said]:
    """Work orders without a model; the label is the one that past orders have most often."""
    labels = Counter(style.split_order(one.order)["label"] for one in style.rows("tune"))
    prompts = [case.prompt for case in cases]
    if kind == "workflow":
        prompts = [job.full_prompt for job in methods.look_up_by_code(cases)]
    return [(methods.order_by_code(prompt, labels.most_common(1)[0][0]), 0, 0) for prompt in prompts]


def _assistant(ready: Ready, kind: str) -> rag.Assistant:
    """As lesson 05 uses it: three passages apart; where two are needed, six together from a second search."""
    options = {"k": 6, "linked": True} if kind == "two_passages" else {"k": 3, "apart": True}
    return rag.Assistant(ready.index, ready.loaded, how="sum", **options)


def _written(ready: Ready, told: rag.Answer) -> int:
    """Tokens written: read apart, each passage gives an answer of about the length of the one that was taken."""
    return len(told.prompts) * (_tokens(ready, told.said) + 1)


def order_prompts(name: str, tickets: Sequence[style.OrderRow]) -> list[str]:
    """How each method is asked for a work order."""
    if name == "few-shot":
        past = style.rows("tune")
        return [methods.few_shot_order(ticket, past) for ticket in tickets]
    return [methods.told(ticket.prompt) if name == "rag" else ticket.prompt for ticket in tickets]


def _workflow(ready: Ready, jobs: Sequence[methods.Job]) -> list[Said]:
    """Look up what the ticket lacks, where the method can, then write the order."""
    if ready.index is not None:
        jobs = methods.look_up(ready.looker, jobs)
    prompts = [job.full_prompt for job in jobs]
    if ready.name == "rag":
        prompts = [methods.told(prompt) for prompt in prompts]
    if ready.name == "few-shot":
        past = style.rows("tune")
        tickets = [style.OrderRow(tuning.row(job.full_prompt, job.order), job.ticket, "", job.message) for job in jobs]
        prompts = [methods.few_shot_order(ticket, past) for ticket in tickets]
    said = _say(ready, prompts, ORDER_TOKENS, ready.writer)
    return [(text, read + job.read, new) for (text, read, new), job in zip(said, jobs, strict=True)]


def _say(ready: Ready, prompts: Sequence[str], most: int, writer: models.Loaded | None = None) -> list[Said]:
    said = models.generate(writer or ready.loaded, list(prompts), max_new_tokens=most, progress=False)
    rendered = [models.render(ready.loaded, prompt) for prompt in prompts]
    return [(text, _tokens(ready, r), _tokens(ready, text) + 1) for text, r in zip(said, rendered, strict=True)]


def _tokens(ready: Ready, text: str) -> int:
    return len(ready.loaded.tokenizer(text, add_special_tokens=False)["input_ids"])


# --- scoring ------------------------------------------------------------------------------------------------------


def order_marks(said: str, order: str) -> str:
    """Nine digits: 1 where the order has the right form, then 1 for each of its eight parts that is right."""
    got, wanted = style.split_order(said), style.split_order(order)
    return str(int(style.in_form(said))) + "".join(str(int(got[name] == wanted[name])) for name in style.PARTS)


def line(ready: Ready, kind: str, seed: int, few: int) -> dict[str, object]:
    """One line of the table."""
    cases = asked(kind, seed, few)
    began = time.perf_counter()
    told = answer(ready, kind, cases)
    seconds = (time.perf_counter() - began) / len(cases)
    texts = [said for said, _, _ in told]
    if kind in ("style", "workflow"):
        each = [order_marks(text, case.order) for text, case in zip(texts, cases, strict=True)]
        right = [sum(map(int, one[1:])) / len(style.PARTS) for one in each]
        form = round(float(np.mean([int(one[0]) for one in each])), 4)
    else:
        accepted = [[case.answer, *case.variants] for case in cases]
        right = [float(evaluate.exact_match(text, some)) for text, some in zip(texts, accepted, strict=True)]
        each, form = [str(int(one)) for one in right], ""
    return {
        "method": ready.name,
        "kind": kind,
        "seed": seed,
        "questions": len(cases),
        "right": round(float(np.mean(right)), 4),
        "form": form,
        "declined": round(float(np.mean([text.startswith(rag.DECLINED) for text in texts])), 4),
        # a letter, so that no program takes it for a number; then one digit a case, for orders nine
        "marks": "m" + "".join(each),
        "prompt_tokens": round(float(np.mean([read for _, read, _ in told])), 1),
        "new_tokens": round(float(np.mean([new for _, _, new in told])), 1),
        "answer_seconds": round(seconds, 4),
        "setup_seconds": round(ready.setup_seconds, 1),
        "kept_mib": round(ready.kept_mib, 2),
        "peak_mib": round(ready.peak_mib, 1),
    }


# --- the table ----------------------------------------------------------------------------------------------------


def points(seeds: int) -> Iterator[tuple[str, int]]:
    """Method and seed, the first seed of all of them first. Seed -1: nothing is drawn."""
    for name in METHODS:
        if name not in SEEDED:
            yield name, -1
    for seed in range(seeds):
        for name in SEEDED:
            if seed == 0 or name != "lora facts":  # the longest training, for a result far from the others
                yield name, seed


def kinds_of(name: str, seed: int) -> tuple[str, ...]:
    """What a method is asked. Later seeds of the style adapters: orders and what was forgotten."""
    if name == "code":
        return ("style", "workflow")
    if name in ("few-shot", "rag"):  # the weights are those of zero-shot, and so is what they know
        return KINDS[:-2]
    if name == "lora facts":
        return KINDS
    return KINDS[:-1] if seed <= 0 or name == "rag with lora" else ("style", "workflow", "public")


def main() -> None:
    """Measure what is missing, a line at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=METHODS, help="names of methods")
    parser.add_argument("--few", type=int, default=1, help="every n-th question, short training; not stored in data")
    parser.add_argument("--table", type=Path)
    parser.add_argument(
        "--line", nargs=3, metavar=("METHOD", "SEED", "KINDS"), help="measure these, print them as JSON"
    )
    given = parser.parse_args()
    if given.line:
        name, seed, kinds = given.line[0], int(given.line[1]), given.line[2].split(",")
        ready = set_up(name, seed, given.few)
        with ready.kept_open:
            for kind in kinds:
                print(json.dumps(line(ready, kind, seed, given.few)), flush=True)
        return
    table = given.table or (TABLE if given.few == 1 else Path(tempfile.gettempdir()) / TRIAL)
    todo = [point for point in points(given.seeds) if not given.only or point[0] in given.only]
    wanted = lambda point: [(point[0], kind, point[1]) for kind in kinds_of(*point)]  # noqa: E731
    key = lambda had: (had["method"], had["kind"], had["seed"])  # noqa: E731
    fill_streamed(table, FIELDS, Path(__file__), todo, wanted, key, "--few", given.few)


if __name__ == "__main__":
    main()
