"""What changes often, and what stays: a price list and the fault codes, by RAG and by heart.

    python tests/benchmarks/price_change.py              what is missing in data/measurements/price_change.csv
    python tests/benchmarks/price_change.py --few 10     every tenth question, short training; stored elsewhere

Lesson 09 draws the table. *Prices:* an adapter learns the price list of 2026 by heart, and RAG reads it (the list of
2025 is left out of both). Then ten prices change. States: ``before``; ``changed`` (the list is new, nothing was done);
``updated``: RAG has embedded what changed, the adapter was trained again on the whole list; ``patched``: a second
adapter was trained on the ten new prices only, on top of the first. Asked are the ten, and thirty that stay.

*Codes:* an adapter learns fault code -> meaning by heart; state ``before`` only, because these do not change.

Questions to the adapter are in a wording that it was not trained on. 20 minutes on one core (OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from expert import corpus, evaluate, methods, models, rag, retrieval, tuning
from measured_lines import fill_streamed

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "measurements" / "price_change.csv"
TRIAL = "price-change-trial.csv"
CHANGED, SAME = 10, 30
IGNORE = (*methods.IGNORE, "prices-2025.csv")
RANK, BATCH_TOKENS, RATE = 16, 1024, 4e-3
STEPS = {"prices": 300, "codes": 200, "patch": 40}
NEW_TOKENS = 32
WAYS = ("rag", "adapter")
STATES = {"prices": {"rag": ("before", "changed", "updated"), "adapter": ("before", "changed", "updated", "patched")}}
STATES["codes"] = {"rag": ("before",), "adapter": ("before",)}
FIELDS = (
    "what",
    "way",
    "state",
    "seed",
    "questions",
    "right",
    "right_changed",
    "right_same",
    "marks",
    "setup_seconds",
    "update_seconds",
    "update_rows",
    "answer_seconds",
    "prompt_tokens",
    "model",
    "machine",
    "versions",
    "date",
    "script",
)
Asked = list[tuple[str, str]]  # question, right answer


# --- questions ----------------------------------------------------------------------------------------------------


def price_list() -> dict[str, str]:
    """part -> price in EUR, of the list of 2026."""
    return {row["part"]: row["price [EUR]"] for row in methods.table("prices-2026")}


def price_questions(prices: Mapping[str, str], parts: Sequence[str]) -> Asked:
    """A question and the right price for each part."""
    return [(methods.PRICE_TEST.format(part=part), f"{prices[part]} EUR") for part in parts]


def write_prices(folder: Path, new: Mapping[str, str]) -> None:
    """Put new prices into the price list of a copy of the company's folder."""
    path = folder / "tables" / "prices-2026.csv"
    rows = list(csv.reader(io.StringIO(corpus.read_text(path))))
    place = rows[0].index("price [EUR]")
    for row in rows[1:]:
        row[place] = new.get(row[0], row[place])
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


# --- measuring ----------------------------------------------------------------------------------------------------


def marked(asked: Asked, said: Sequence[str], seconds: float, changed: int) -> dict[str, object]:
    """The marks of answers; the first ``changed`` questions are those whose answer changes."""
    right = [int(evaluate.exact_match(text, answer)) for text, (_, answer) in zip(said, asked, strict=True)]
    share = lambda some: round(sum(some) / len(some), 4) if some else ""  # noqa: E731
    return {
        "questions": len(asked),
        "right": share(right),
        "right_changed": share(right[:changed]),
        "right_same": share(right[changed:]),
        "marks": "m" + "".join(map(str, right)),
        "answer_seconds": round(seconds / len(asked), 4),
    }


def by_adapter(loaded: models.Loaded, asked: Asked, changed: int) -> dict[str, object]:
    """Closed book: the adapter's answers."""
    began = time.perf_counter()
    said = models.generate(loaded, [q for q, _ in asked], max_new_tokens=NEW_TOKENS, progress=False)
    found = marked(asked, said, time.perf_counter() - began, changed)
    read = [len(loaded.tokenizer(models.render(loaded, q))["input_ids"]) for q, _ in asked]
    return found | {"prompt_tokens": round(sum(read) / len(read), 1)}


def by_rag(assistant: rag.Assistant, asked: Asked, changed: int) -> dict[str, object]:
    """With retrieval: the assistant's answers."""
    began = time.perf_counter()
    told = assistant.ask_all([q for q, _ in asked])
    found = marked(asked, [a.said for a in told], time.perf_counter() - began, changed)
    return found | {"prompt_tokens": round(sum(a.prompt_tokens for a in told) / len(told), 1)}


def train(base: models.Loaded, rows: list[tuning.Row], steps: int, seed: int) -> tuple[models.Loaded, float]:
    """An adapter for these rows, and the seconds it took with everything around the steps."""
    began = time.perf_counter()
    tuned = tuning.tune(
        base,
        rows,
        r=RANK,
        steps=steps,
        batch_tokens=BATCH_TOKENS,
        learning_rate=RATE,
        seed=seed,
        dtype="float32",
        progress=False,
    )
    return tuned.loaded, time.perf_counter() - began


# --- the experiments ----------------------------------------------------------------------------------------------


def prices_by_rag(seed: int, few: int) -> Iterator[dict[str, object]]:
    """Index, ask; change the list, ask the old index; bring it up to date, ask."""
    prices, new, asked, later, changed = plan(seed, few)
    model, embedder = models.load("tiny"), models.load_embedder()
    with tempfile.TemporaryDirectory(prefix="prices-", ignore_cleanup_errors=True) as name:
        docs = Path(name) / "brightwater"
        shutil.copytree(corpus.data_root(), docs, ignore=shutil.ignore_patterns("master", "questions.jsonl", "*.py"))
        with retrieval.open_index(Path(name) / "index", embedder) as index:
            first = rag.ingest(docs, index, Path(name) / "manifest.json", ignore=IGNORE)
            assistant = rag.Assistant(index, model, k=3, how="sum", apart=True)
            common = {"setup_seconds": round(first.seconds, 1), "update_seconds": 0.0, "update_rows": 0}
            yield {"state": "before"} | by_rag(assistant, asked, changed) | common
            yield {"state": "changed"} | by_rag(assistant, later, changed) | common
            began = time.perf_counter()
            write_prices(docs, new)
            report = rag.ingest(docs, index, Path(name) / "manifest.json", ignore=IGNORE)
            common |= {"update_seconds": round(time.perf_counter() - began, 2), "update_rows": report.embedded}
            yield {"state": "updated"} | by_rag(assistant, later, changed) | common


def prices_by_adapter(seed: int, few: int) -> Iterator[dict[str, object]]:
    """Learn the list, ask; change the list, ask; learn it again, or the ten only, and ask."""
    prices, new, asked, later, changed = plan(seed, few)
    base, steps = models.load("tiny"), max(2, STEPS["prices"] // (10 * few if few > 1 else 1))
    first, seconds = train(base, methods.price_rows(prices), steps, seed)
    common = {"setup_seconds": round(seconds, 1), "update_seconds": 0.0, "update_rows": 0}
    yield {"state": "before"} | by_adapter(first, asked, changed) | common
    yield {"state": "changed"} | by_adapter(first, later, changed) | common
    again, took = train(base, methods.price_rows(prices | new), steps, seed)
    now = {"update_seconds": round(took, 1), "update_rows": len(prices)}
    yield {"state": "updated"} | by_adapter(again, later, changed) | common | now
    began = time.perf_counter()
    few_steps = max(2, steps * STEPS["patch"] // STEPS["prices"])
    patched, _ = train(tuning.merge(first), methods.price_rows(new), few_steps, seed)
    now = {"update_seconds": round(time.perf_counter() - began, 1), "update_rows": len(new)}
    yield {"state": "patched"} | by_adapter(patched, later, changed) | common | now


def plan(seed: int, few: int) -> tuple[dict[str, str], dict[str, str], Asked, Asked, int]:
    """The prices, the new ones, the questions before and after, and how many of them (the first) change."""
    prices = price_list()
    new = methods.new_prices(prices, CHANGED, seed)
    same = [part for part in sorted(prices) if part not in new]
    parts = [*list(new)[::few], *same[:: len(same) // SAME][:SAME:few]]
    return prices, new, price_questions(prices, parts), price_questions(prices | new, parts), len(list(new)[::few])


def codes_by(way: str, seed: int, few: int) -> Iterator[dict[str, object]]:
    """Fault code -> meaning, from the table or by heart."""
    meanings = {row["code"]: row["meaning"] for row in methods.table("faults")}
    asked = [(methods.CODE_TEST.format(code=code), meaning) for code, meaning in meanings.items()][::few]
    common = {"state": "before", "update_seconds": 0.0, "update_rows": 0}
    model = models.load("tiny")
    if way == "adapter":
        steps = max(2, STEPS["codes"] // (10 * few if few > 1 else 1))
        loaded, seconds = train(model, methods.code_rows(meanings), steps, seed)
        yield by_adapter(loaded, asked, 0) | common | {"setup_seconds": round(seconds, 1)}
        return
    with (
        tempfile.TemporaryDirectory(prefix="codes-", ignore_cleanup_errors=True) as name,
        retrieval.open_index(Path(name) / "index", models.load_embedder()) as index,
    ):
        report = rag.ingest(corpus.data_root(), index, Path(name) / "manifest.json", ignore=IGNORE)
        assistant = rag.Assistant(index, model, k=3, how="sum", apart=True)
        yield by_rag(assistant, asked, 0) | common | {"setup_seconds": round(report.seconds, 1)}


def lines(what: str, way: str, seed: int, few: int) -> Iterator[dict[str, object]]:
    """All lines of one experiment, each as soon as it is measured."""
    if what == "codes":
        found = codes_by(way, seed, few)
    else:
        found = prices_by_rag(seed, few) if way == "rag" else prices_by_adapter(seed, few)
    for one in found:
        yield {"what": what, "way": way, "seed": seed} | one


# --- the table ----------------------------------------------------------------------------------------------------


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="of the adapters; RAG draws the changed prices only")
    parser.add_argument("--few", type=int, default=1)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--line", nargs=4, metavar=("WHAT", "WAY", "SEED", "STATES"))
    given = parser.parse_args()
    if given.line:
        what, way, seed, states = given.line[0], given.line[1], int(given.line[2]), given.line[3].split(",")
        for one in lines(what, way, seed, given.few):
            if one["state"] in states:
                print(json.dumps(one), flush=True)
        return
    table = given.table or (TABLE if given.few == 1 else Path(tempfile.gettempdir()) / TRIAL)
    todo = [(what, way, seed) for seed in range(given.seeds) for what in STATES for way in WAYS]
    todo = [point for point in todo if point[0] == "prices" or point[1] == "adapter" or point[2] == 0]
    wanted = lambda point: [(point[0], state, *point[1:]) for state in STATES[point[0]][point[1]]]  # noqa: E731
    key = lambda had: (had["what"], had["state"], had["way"], had["seed"])  # noqa: E731
    fill_streamed(table, FIELDS, Path(__file__), todo, wanted, key, "--few", given.few)


if __name__ == "__main__":
    main()
