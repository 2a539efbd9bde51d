"""Search a collection of texts by meaning, by words, or by both: what lessons 04 and 05 build, for those after them.

    from expert import corpus, models, retrieval
    with retrieval.open_index("index", models.load_embedder()) as index:
        index.upsert([retrieval.Record(p.id, p.text, {"doc": p.doc_id}) for p in corpus.passages()])
        for hit in index.search("the pump is too loud", k=3):
            print(hit.id, hit.text)

Vectors, texts and fields lie in Chroma, in a folder; the words are indexed by bm25s in memory. Nothing is downloaded
and nothing is sent anywhere. ``serve`` runs Chroma as a server on this machine, for as long as a ``with`` block lasts.
"""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from expert.serving import HOST, POLL, TRIES, ServingError, _last_words, _no_proxy, _stop, free_port

Value = str | int | float | bool
WAYS = ("meaning", "words", "both", "sum")
WORD = re.compile(r"\w+(?:[-.,/]\w+)*")
CODE = re.compile(r"[a-z]{2,}-?\d[a-z0-9-]*")  # bw-3310-s, bf-206, bws115722; not 3,000 and not m3/h
NUMBERED = re.compile(r"\b[A-Z][a-z]+ \d{1,4}\b")  # Kestrel 40, Plot 12
OFTEN = 4  # a numbered name counts as a name where so many texts hold it
BM25 = {
    "k1": 0.8,
    "b": 0.6,
}  # chosen on the tuning split of Brightwater's questions, as were the weights of "sum"
STOP_WORDS = frozenset(
    "a about all am an and any are as at be been but by can could do does did for from get gets give has have how i if "
    "in into is it its like many may me much must my need of off on one or our out per please should some tell than "
    "that the their them there these they this to up us was we what when where which who whose why will with would you "
    "your".split()
)
ENDINGS = ("ings", "ing", "ers", "er", "ies", "ed", "es", "s", "y", "e")
RANK_CONSTANT = 60  # Cormack, Clarke and Büttcher 2009
DEPTH = 50  # how far down each list is read before two lists are fused
# Chroma's own ef_search of 100 misses a text now and then at that depth: another one at each build
HNSW = {"space": "cosine", "ef_search": 500}

# What the server's process runs: Chroma's own command line, and a watch on the pipe to the notebook
LAUNCHER = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
import chromadb_rust_bindings
chromadb_rust_bindings.cli(["chroma", *sys.argv[1:]])
"""


class RetrievalError(ValueError):
    """The collection, a record or a question is not what this module expects; the message says what to do."""


@dataclass(frozen=True)
class Record:
    """One text with its id and its fields: text, whole numbers, numbers, True or False."""

    id: str
    text: str
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Hit:
    """One text that was found. ``score`` is a cosine, BM25's sum, the sum of reciprocal ranks, or for the way "sum" a
    number from about 0 to 3: the cosine and BM25's sum, each as a share of the best, and 1 for the names asked for."""

    id: str
    text: str
    score: float
    fields: Mapping[str, Value] = field(default_factory=dict)


# --- rankings ----------------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """The words of a text in small letters; a code such as BW-3310-S or 0.5 stays whole."""
    return WORD.findall(text.lower())


def terms(text: str) -> list[str]:
    """What BM25 counts: the words without those that say nothing, cut to a stem; a word with a digit stays whole.

    >>> terms("How are the bearings of the BW-3310-S greased?")
    ['bear', 'bw-3310-s', 'greas']
    """
    return [_stem(word) for word in words(text) if word not in STOP_WORDS]


def _stem(word: str) -> str:
    if any(c.isdigit() for c in word):
        return word
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word[: -len(ending)]
    return word


def codes(text: str) -> set[str]:
    """The part codes, fault codes and serial numbers in a text, in small letters."""
    return {word for word in words(text) if CODE.fullmatch(word)}


def fuse(rankings: Iterable[Sequence[str]], k: int = RANK_CONSTANT) -> list[str]:
    """Reciprocal rank fusion: each list gives an id 1 / (k + its rank), from 1; the highest sum comes first.

    Ids with the same sum keep the order in which they were first met.
    """
    return list(_fused(rankings, k))


def _fused(rankings: Iterable[Sequence[str]], k: int = RANK_CONSTANT) -> dict[str, float]:
    sums: dict[str, float] = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking, start=1):
            sums[one] = sums.get(one, 0.0) + 1 / (k + rank)
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def recall_at(found: Sequence[str], right: Iterable[str], k: int) -> float:
    """Which share of the right ids stands among the first k that were found, 0 to 1."""
    right = set(right)
    if not right:
        raise RetrievalError("expected at least one right id: without one, recall is not defined")
    return len(right & set(found[:k])) / len(right)


def reciprocal_rank(found: Sequence[str], right: Iterable[str]) -> float:
    """1 / the rank of the first right id, 0.0 where none was found. Its mean over questions is called MRR."""
    right = set(right)
    return next((1 / rank for rank, one in enumerate(found, start=1) if one in right), 0.0)


def made_up(real: np.ndarray, count: int, seed: int = 0, stretch: float = 0.8) -> np.ndarray:
    """``count`` vectors of length 1 that are spread as the real ones are: the real ones first, then made-up ones.

    Each new vector blends one that is there with a mixture of four random real ones. How much of the first it keeps
    follows from a neighbour distance of the real vector it descends from, so that crowded places stay crowded.
    """
    real = np.asarray(real, dtype=np.float32)
    if real.ndim != 2 or len(real) < 20:
        raise RetrievalError(f"expected a table of at least 20 vectors, got the shape {real.shape}")
    rng, centre, start = np.random.default_rng(seed), real.mean(axis=0), min(count, len(real))
    base = real - centre
    near = neighbour_distances(real, real, 10, itself=True)
    table = np.empty((count, real.shape[1]), dtype=np.float32)
    table[:start], done, root = base[:start], start, np.arange(count)
    while done < count:
        new = min(done, count - done, 50_000)
        parent = rng.integers(done, size=new)
        root[done : done + new] = root[parent]
        other = sum(
            base[rng.integers(len(base), size=new)] * rng.choice([-0.5, 0.5], (new, 1)).astype(np.float32)
            for _ in range(4)
        )
        away = stretch * near[root[parent], rng.integers(near.shape[1], size=new)] / (base**2).sum(axis=1).mean()
        keep = np.clip(1 - away, 0, 1)[:, None].astype(np.float32)
        table[done : done + new] = keep * table[parent] + np.sqrt(1 - keep**2) * other
        done += new
    table += centre
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    return table


def neighbour_distances(queries: np.ndarray, table: np.ndarray, k: int, itself: bool = False) -> np.ndarray:
    """Cosine distances of each query to its k nearest rows, nearest first; ``itself``: without its own row."""
    most = min(k + itself, len(table))
    rows = []
    for some in np.array_split(queries, max(1, len(queries) // 100)):  # in parts, to keep the memory small
        distances = 1 - some @ table.T
        rows.append(np.sort(np.partition(distances, most - 1, axis=1)[:, :most], axis=1))
    return np.maximum(np.concatenate(rows)[:, int(itself) :], 0)


# --- the index ---------------------------------------------------------------------------------------------------


def client_settings() -> Any:
    """Chroma's settings for this course: nothing is reported to anybody."""
    from chromadb.config import Settings

    return Settings(anonymized_telemetry=False)


@contextmanager
def open_index(folder: str | Path, embedder: Any, name: str = "passages") -> Iterator[Index]:
    """The index in this folder, made where there is none yet; its files are closed at the end of the block.

    embedder: a SentenceTransformer. name: 3 letters or more. Raises RetrievalError where the name does not suit, or
    the collection was made with another distance or another length of vectors.
    """
    import chromadb

    Path(folder).mkdir(parents=True, exist_ok=True)
    client = chromadb.PersistentClient(path=str(folder), settings=client_settings())
    try:
        yield Index(client, embedder, name)
    finally:
        client.close()


class Index:
    """A collection of texts that can be searched by meaning, by words, or by both."""

    def __init__(self, client: Any, embedder: Any, name: str = "passages") -> None:
        """Open or make a collection of a Chroma client: a PersistentClient's folder or an HttpClient's server."""
        from chromadb.errors import ChromaError

        self.client, self.embedder = client, embedder
        self._words: tuple[list[str], Any, dict[str, set[str]]] | None = None
        try:
            self.collection = client.get_or_create_collection(
                name, embedding_function=None, configuration={"hnsw": HNSW}
            )
        except (ChromaError, ValueError) as error:
            raise RetrievalError(f"The collection {name!r} cannot be opened: {error}") from None
        self._check()

    def _check(self) -> None:
        space = (self.collection.configuration.get("hnsw") or {}).get("space")
        if space != "cosine":
            raise RetrievalError(
                f"The collection {self.collection.name!r} measures distance as {space!r}, not as 'cosine', and that "
                "cannot be changed. Use another name, or delete the collection and index the texts again."
            )
        some = self.collection.get(limit=1, include=["embeddings"])["embeddings"]
        size = self.embedder.get_embedding_dimension()
        if len(some) and len(some[0]) != size:
            raise RetrievalError(
                f"The collection {self.collection.name!r} holds vectors of {len(some[0])} numbers, and this embedder "
                f"makes {size}. Open it with the embedder it was made with, or index the texts again."
            )

    def __len__(self) -> int:
        return self.collection.count()

    def ids(self) -> set[str]:
        """The ids of all records."""
        return set(self.collection.get(include=[])["ids"])

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """The texts as vectors of length 1, one a row."""
        vectors = self.embedder.encode(
            list(texts),
            batch_size=32,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32)

    def upsert(self, records: Iterable[Record], progress: bool | None = None) -> int:
        """Put records in; one whose id is there already takes its place. Returns how many were put in.

        progress: a bar always (True), never (False), or after three seconds (None).
        """
        records = list(records)
        _check_records(records)
        size = min(256, self.client.get_max_batch_size())
        shown = {"delay": 3.0} if progress is None else {"disable": not progress}
        with tqdm(total=len(records), desc="texts", file=sys.stdout, leave=False, **shown) as bar:
            for start in range(0, len(records), size):
                some = records[start : start + size]
                self.collection.upsert(
                    ids=[r.id for r in some],
                    documents=[r.text for r in some],
                    embeddings=self.encode([r.text for r in some]),
                    metadatas=[dict(r.fields) or None for r in some],
                )
                bar.update(len(some))
        self._words = None
        return len(records)

    def delete(self, ids: Iterable[str]) -> None:
        """Take records out; an id that is not there is no error."""
        ids = list(ids)
        if ids:
            self.collection.delete(ids=ids)
        self._words = None

    def search(self, question: str, k: int = 5, how: str = "both", where: dict | None = None) -> list[Hit]:
        """The k best texts for a question, best first.

        how: "meaning" (embeddings), "words" (BM25), "both" (fused by rank) or "sum" (fused by score, and texts that
        hold the names and codes of the question come first). where: Chroma's filter on the fields, such as
        {"kind": "bulletin"}. Raises RetrievalError where one of them does not suit.
        """
        return self.search_all([question], k, how, where)[0]

    def search_all(
        self, questions: Sequence[str], k: int = 5, how: str = "both", where: dict | None = None
    ) -> list[list[Hit]]:
        """The same for many questions, which are embedded together: quicker than one after the other."""
        if how not in WAYS:
            raise RetrievalError(f"unknown way to search {how!r}: expected one of {', '.join(WAYS)}")
        for question in questions:
            if not isinstance(question, str) or not question.strip():
                raise RetrievalError(f"expected a question in words, got {question!r}")
        if k < 1:
            raise RetrievalError(f"expected to look for at least one text, got k={k}")
        if not len(self) or not questions:
            return [[] for _ in questions]
        vectors = self.encode(questions) if how != "words" else [None] * len(questions)
        return [self._hits(self._found(q, v, k, how, where)) for q, v in zip(questions, vectors, strict=True)]

    def _found(self, question: str, vector: Any, k: int, how: str, where: dict | None) -> dict[str, float]:
        if how == "meaning":
            return self._by_meaning(vector, k, where)
        if how == "words":
            return self._by_words(question, k, where)
        depth = max(k, DEPTH)
        meaning, by_words = self._by_meaning(vector, depth, where), self._by_words(question, depth, where)
        if how == "both":
            return dict(list(_fused(map(list, (meaning, by_words))).items())[:k])
        return dict(list(self._summed(question, vector, meaning, by_words, where).items())[:k])

    def _summed(
        self,
        question: str,
        vector: Any,
        meaning: dict[str, float],
        by_words: dict[str, float],
        where: dict | None,
    ) -> dict[str, float]:
        """Cosine and BM25, each as a share of the best, plus the share of the question's names that a text holds."""
        sets = self.names(question).values()
        allowed = self._allowed(where) if where and sets else None
        named = {one for found in sets for one in found if allowed is None or one in allowed}
        lacking = [one for one in {*by_words, *named} if one not in meaning]
        if lacking:
            stored = self.collection.get(ids=lacking, include=["embeddings"])
            cosines = np.asarray(stored["embeddings"]) @ vector
            meaning = meaning | dict(zip(stored["ids"], map(float, cosines), strict=True))
        points = self._by_words(question, len(self), where) if named else by_words
        best = [max(max(scores.values(), default=0.0), 1e-9) for scores in (meaning, points)]
        sums = {
            one: meaning[one] / best[0]
            + points.get(one, 0.0) / best[1]
            + (sum(one in found for found in sets) / len(sets) if sets else 0.0)
            for one in meaning
        }
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    def names(self, text: str) -> dict[str, set[str]]:
        """The names and codes in a text that the collection knows, each with the ids of the texts that hold it."""
        known = self._word_index()[2]
        low = text.lower()
        numbered = {name for name in re.findall(r"(?=\b([a-z]+ \d{1,4})\b)", low) if name in known}
        return {name: known[name] for name in sorted(numbered | {code for code in codes(low) if code in known})}

    def _by_meaning(self, vector: Any, k: int, where: dict | None) -> dict[str, float]:
        from chromadb.errors import ChromaError

        try:
            found = self.collection.query(query_embeddings=[vector], n_results=k, where=where, include=["distances"])
        except (ChromaError, ValueError) as error:
            raise RetrievalError(f"The filter {where} does not suit: {error}") from None
        return {one: 1 - d for one, d in zip(found["ids"][0], found["distances"][0], strict=True)}

    def _word_index(self) -> tuple[list[str], Any, dict[str, set[str]]]:
        """The ids, BM25 over the texts, and which texts hold which name; made at the first search by words."""
        import bm25s

        if self._words is None:
            stored = self.collection.get(include=["documents"])
            index = bm25s.BM25(**BM25)
            index.index([terms(text) or [""] for text in stored["documents"]], show_progress=False)
            self._words = (
                stored["ids"],
                index,
                _names(dict(zip(stored["ids"], stored["documents"], strict=True))),
            )
        return self._words

    def _by_words(self, question: str, k: int, where: dict | None) -> dict[str, float]:
        ids, index, _ = self._word_index()
        scores = index.get_scores(terms(question) or [""])
        if where:
            allowed = self._allowed(where)
            scores = np.where([one in allowed for one in ids], scores, 0.0)
        best = np.argsort(-scores, kind="stable")[:k]
        return {ids[i]: float(scores[i]) for i in best if scores[i] > 0}

    def _allowed(self, where: dict) -> set[str]:
        from chromadb.errors import ChromaError

        try:
            return set(self.collection.get(where=where, include=[])["ids"])
        except (ChromaError, ValueError) as error:
            raise RetrievalError(f"The filter {where} does not suit: {error}") from None

    def _hits(self, scores: Mapping[str, float]) -> list[Hit]:
        if not scores:
            return []
        stored = self.collection.get(ids=list(scores), include=["documents", "metadatas"])
        rows = zip(stored["ids"], stored["documents"], stored["metadatas"], strict=True)
        texts = {one: (text, fields or {}) for one, text, fields in rows}
        return [Hit(one, texts[one][0], score, texts[one][1]) for one, score in scores.items()]


def _names(texts: Mapping[str, str]) -> dict[str, set[str]]:
    """Codes, and numbered names such as Kestrel 40 that several texts hold, in small letters, with the texts' ids."""
    holders: dict[str, set[str]] = {}
    numbered: dict[str, set[str]] = {}
    for one, text in texts.items():
        for code in codes(text):
            holders.setdefault(code, set()).add(one)
        for name in set(NUMBERED.findall(text)):
            numbered.setdefault(name.lower(), set()).add(one)
    return holders | {name: found for name, found in numbered.items() if len(found) >= OFTEN}


def _check_records(records: Sequence[Record]) -> None:
    seen: set[str] = set()
    for record in records:
        if not record.id or record.id in seen:
            raise RetrievalError(f"expected an id of its own for each record, but {record.id!r} is empty or used twice")
        seen.add(record.id)
        if not isinstance(record.text, str) or not record.text.strip():
            raise RetrievalError(f"the record {record.id!r} has no text")
        for name, value in record.fields.items():
            if not isinstance(value, (str, int, float, bool)):
                raise RetrievalError(
                    f"the field {name!r} of {record.id!r} is a {type(value).__name__}; a field is a text, a number, "
                    "True or False (leave out what is not known)"
                )


# --- the server --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChromaServer:
    """A Chroma server that answers; ``chromadb.HttpClient(host=server.host, port=server.port)`` speaks to it."""

    host: str
    port: int
    pid: int
    seconds: float  # from the start to the first sign of life


@contextmanager
def serve(folder: str | Path, *, timeout: float = 120.0) -> Iterator[ChromaServer]:
    """Run ``chroma run --path FOLDER`` on this machine's own address and a free port, for as long as the block lasts.

    It listens on 127.0.0.1 only, asks for no key, and cannot outlive the notebook. While it runs, no PersistentClient
    may have the same folder open. Raises ServingError with the server's own last words where it fails.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    process: subprocess.Popen[bytes] | None = None
    with tempfile.TemporaryDirectory(prefix="expert-chroma-", ignore_cleanup_errors=True) as place:
        try:
            for attempt in range(1, TRIES + 1):
                port, began, log = free_port(), time.monotonic(), Path(place, f"server-{attempt}.log")
                process = _start_chroma(Path(folder).resolve(), port, log)
                if _answers(process, port, log, timeout, last=attempt == TRIES):
                    break
                _stop(process)
            with _no_proxy():
                yield ChromaServer(HOST, port, process.pid, time.monotonic() - began)
        finally:
            if process is not None:
                _stop(process)


def _start_chroma(folder: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start the server away from the notebook's own signals: an interrupt is the notebook's to handle."""
    apart: dict[str, Any] = {"creationflags": 0x200} if os.name == "nt" else {"start_new_session": True}
    arguments = ["run", "--path", str(folder), "--host", HOST, "--port", str(port)]
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", LAUNCHER, *arguments],
            env={**os.environ, "ANONYMIZED_TELEMETRY": "False", "NO_COLOR": "1"},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            **apart,
        )


def _answers(process: subprocess.Popen[bytes], port: int, log: Path, timeout: float, last: bool) -> bool:
    """Wait for the first answer; False where the port was taken meanwhile and another may be tried."""
    end = time.monotonic() + timeout
    while not _is_well(port):
        if process.poll() is not None:
            said = _last_words(log)
            if "in use" in said.lower() and not last:
                return False
            raise ServingError(
                f"Chroma's server ended before it answered (exit {process.returncode}). It said:\n{said}"
            )
        if time.monotonic() > end:
            raise ServingError(
                f"Chroma's server did not answer within {timeout:.0f} s. On a busy machine give it longer "
                f"(timeout=...). It said:\n{_last_words(log)}"
            )
        time.sleep(POLL)
    return process.poll() is None


def _is_well(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2.0)  # goes past any proxy
    try:
        connection.request("GET", "/api/v2/heartbeat")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
