"""Exact search against Chroma's index while the collection grows: time, memory, and recall over several builds.

    python tests/benchmarks/vector_search.py                      1,000 to 100,000 vectors
    python tests/benchmarks/vector_search.py 1000000 --builds 1   other sizes; a million takes about an hour on 2 cores

The vectors are Brightwater's passages and made-up ones that are spread alike (``expert.retrieval.made_up``); the
queries are the first 100 questions of the tuning split. Exact search is timed as often as an index is built, on one
processor core, so that other programs disturb it less. The table goes to data/measurements/vector_search.csv; rows
of the sizes that are measured again are replaced, others stay. Compare times of one machine only. A size that the free
memory does not allow is left out, and said so. Each row holds the machine, the versions, the date and this script's
name.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shutil
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import chromadb
import numpy as np
import psutil
from expert import corpus, models, retrieval
from threadpoolctl import threadpool_limits
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "measurements" / "vector_search.csv"
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
EFFORTS = (20, 100, 400)
STANDARD = {"max_neighbors": 16, "ef_construction": 100}
SPARSE = {"max_neighbors": 4, "ef_construction": 20}
BUILDS = 3
BYTES_A_VECTOR = 384 * 4 * 4  # the table, Chroma's copy, its graph, and room for what is written


def main() -> None:
    """Measure all sizes, the smallest first, and store the table after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, help="how many vectors")
    parser.add_argument("--builds", type=int, default=BUILDS, help="how often each index is built")
    parser.add_argument("--table", type=Path, default=TABLE)
    options = parser.parse_args()
    embedder = models.load_embedder()
    real = encode(embedder, [passage.text for passage in corpus.passages()])
    queries = encode(embedder, [question.question for question in corpus.questions(split="tune")[:100]])
    for size in sorted(options.sizes):
        free = psutil.virtual_memory().available
        if size * BYTES_A_VECTOR > free:
            print(
                f"{size:,} vectors left out: they need {size * BYTES_A_VECTOR / 1e9:.1f} GB, free are {free / 1e9:.1f}"
            )
            continue
        rows = measure(size, retrieval.made_up(real, size), real, queries, options.builds)
        store(rows, options.table)
        for row in rows:
            print(" ".join(f"{key}={row[key]}" for key in list(row)[:10]), flush=True)


def encode(embedder, texts: list[str]) -> np.ndarray:
    return embedder.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=False)


def measure(size: int, table: np.ndarray, real: np.ndarray, queries: np.ndarray, builds: int) -> list[dict]:
    """The rows of one size: exact search ``builds`` times, each index built ``builds`` times."""
    about = {"machine": machine(), "versions": versions(), "date": datetime.now(UTC).date().isoformat()}
    about["script"] = Path(__file__).relative_to(ROOT).as_posix()
    some = np.random.default_rng(0).permutation(size)[:500]
    spread = quartiles(retrieval.neighbour_distances(table[some], table, 10, itself=True))
    about |= {"real_10th_neighbour": quartiles(retrieval.neighbour_distances(real, real, 10, itself=True))}
    about |= {"made_up_10th_neighbour": spread}
    rows = []
    for run in range(1, builds + 1):
        with threadpool_limits(1):
            truth, times = timed(lambda query: exact(table, query), queries)
        rows.append(row(size, "exact", {}, "", run, 0.0, [1.0], times, table.nbytes, about))
    for settings in (STANDARD, SPARSE):
        for build in range(1, builds + 1):
            rows += one_build(size, table, queries, truth, settings, build, about)
    return rows


def one_build(size, table, queries, truth, settings: dict, build: int, about: dict) -> list[dict]:
    """Build one index in a folder of its own, and search it with each effort."""
    folder = tempfile.mkdtemp(prefix="vector-search-")
    client = None
    try:
        client = chromadb.PersistentClient(path=folder, settings=retrieval.client_settings())
        hnsw = {"space": "cosine", "sync_threshold": max(1_000, size // 10), **settings}
        made = client.create_collection("vectors", embedding_function=None, configuration={"hnsw": hnsw})
        began, step = time.perf_counter(), min(5_000, client.get_max_batch_size())
        for start in tqdm(range(0, size, step), desc=f"{size:,} vectors, build {build}", leave=False):
            part = table[start : start + step]
            made.add(ids=[str(start + i) for i in range(len(part))], embeddings=part)
        seconds, found = time.perf_counter() - began, []
        for effort in EFFORTS:
            made.modify(configuration={"hnsw": {"ef_search": effort}})
            client.close()  # an index that is loaded keeps its old setting
            client = chromadb.PersistentClient(path=folder, settings=retrieval.client_settings())
            made = client.get_collection("vectors", embedding_function=None)
            hits, times = timed(lambda query: in_index(made, query), queries)  # noqa: B023
            recalls = [retrieval.recall_at(h, t, 10) for h, t in zip(hits, truth, strict=True)]
            disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
            found.append(row(size, "hnsw", settings, effort, build, seconds, recalls, times, disk, about))
        return found
    finally:
        if client is not None:
            client.close()
        shutil.rmtree(folder, ignore_errors=True)


def exact(table: np.ndarray, query: np.ndarray) -> list[str]:
    similarities = table @ query
    best = np.argpartition(-similarities, 10)[:10]
    return [str(i) for i in best[np.argsort(-similarities[best])]]


def in_index(collection, query: np.ndarray) -> list[str]:
    return collection.query(query_embeddings=[query], n_results=10, include=[])["ids"][0]


def timed(search, queries: np.ndarray) -> tuple[list[list[str]], list[float]]:
    """What was found, and the milliseconds of each search; the first one, which loads the index, is not counted."""
    search(queries[0])
    found, times = [], []
    for query in queries:
        began = time.perf_counter()
        found.append(search(query))
        times.append(1000 * (time.perf_counter() - began))
    return found, times


def row(size, search, settings, effort, build, seconds, recalls, times, size_bytes, about) -> dict:
    return {
        "vectors": size,
        "search": search,
        "max_neighbors": settings.get("max_neighbors", ""),
        "ef_construction": settings.get("ef_construction", ""),
        "ef_search": effort,
        "build": build,
        "build_seconds": round(seconds, 2),
        "recall_at_10": round(float(np.mean(recalls)), 4),
        "median_ms": round(float(np.median(times)), 3),
        "p95_ms": round(float(np.quantile(times, 0.95)), 3),
        "bytes": size_bytes,
        **about,
    }


def quartiles(distances: np.ndarray) -> str:
    return " ".join(f"{value:.3f}" for value in np.quantile(distances[:, 9], (0.25, 0.5, 0.75)))


def machine() -> str:
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{os.cpu_count()} cores of {name}; {psutil.virtual_memory().total / 2**30:.0f} GiB; {platform.system()}"


def versions() -> str:
    return "; ".join([f"python {platform.python_version()}", *(f"{p} {version(p)}" for p in ("chromadb", "numpy"))])


def store(rows: list[dict], path: Path) -> None:
    """Put the rows in place of those of the same size, ordered by size, and write the table in one step."""
    kept = []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            kept = [old for old in csv.DictReader(file) if int(old["vectors"]) != rows[0]["vectors"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    everything = sorted([*kept, *rows], key=lambda one: int(one["vectors"]))
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(everything)
    temporary.replace(path)


if __name__ == "__main__":
    main()
