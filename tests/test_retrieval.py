"""The index by meaning, by words and by both; the rankings; the server, which never outlives what started it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import psutil
import pytest
from expert import retrieval
from expert.retrieval import Record, RetrievalError
from expert.serving import ServingError

chromadb = pytest.importorskip("chromadb")

TEXTS = {
    "a": "Tighten the cover nuts of the Plover 40 to 45 Nm.",
    "b": "The seal kit BW-3310-S fits the Kestrel 40.",
    "c": "The impeller BW-3310-I fits the Kestrel 40.",
    "d": "Dispatch answers the phone until 17:00.",
}


class Bag:
    """An embedder that needs no weights: each word adds a fixed random vector, so texts that share words are near."""

    def __init__(self, size: int = 64) -> None:
        self.size, self.asked = size, 0

    def get_embedding_dimension(self) -> int:
        return self.size

    def encode(self, texts: list[str], **_: object) -> np.ndarray:
        self.asked += len(texts)
        rows = np.stack([sum((self.word(w) for w in retrieval.words(text)), np.zeros(self.size)) for text in texts])
        return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)

    def word(self, word: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        return np.random.default_rng(seed).normal(size=self.size)


def records(**fields: str) -> list[Record]:
    return [Record(one, text, {"kind": "paper", "number": n, **fields}) for n, (one, text) in enumerate(TEXTS.items())]


@pytest.fixture
def index(tmp_path: Path):
    with retrieval.open_index(tmp_path / "db", Bag()) as opened:
        opened.upsert(records())
        yield opened


# --- rankings ---


def test_words_keep_codes_whole() -> None:
    assert retrieval.words("Price of BW-3310-S, at 0.5 bar?") == ["price", "of", "bw-3310-s", "at", "0.5", "bar"]
    assert retrieval.words("") == []


def test_fuse() -> None:
    assert retrieval.fuse([["a", "b"], ["b", "c"]]) == ["b", "a", "c"]
    assert retrieval.fuse([["x", "y"], ["y", "x"]]) == ["x", "y"]
    assert retrieval.fuse([]) == []


def test_scores() -> None:
    assert retrieval.recall_at(["a", "b", "c"], ["c", "a"], 2) == 0.5
    assert retrieval.reciprocal_rank(["a", "b"], ["b"]) == 0.5
    assert retrieval.reciprocal_rank(["a"], ["z"]) == 0.0
    with pytest.raises(RetrievalError, match="at least one right id"):
        retrieval.recall_at(["a"], [], 1)


def clustered(count: int = 300, seed: int = 0) -> np.ndarray:
    """Vectors around 30 centres, always the same centres."""
    rng = np.random.default_rng(seed)
    rows = np.random.default_rng(9).normal(size=(30, 32))[rng.integers(30, size=count)]
    rows = rows + 0.4 * rng.normal(size=(count, 32))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_made_up_vectors_are_spread_like_the_real_ones() -> None:
    real = clustered()
    many = retrieval.made_up(real, 2_000)
    assert many.shape == (2_000, 32)
    assert np.allclose(np.linalg.norm(many, axis=1), 1, atol=1e-4)
    assert np.allclose(many[:300], real, atol=1e-5)
    assert np.array_equal(many, retrieval.made_up(real, 2_000))
    assert not np.array_equal(many, retrieval.made_up(real, 2_000, seed=1))
    # Neighbours come nearer as a collection grows, so the measure is as large a sample of the same source
    larger = np.concatenate([real, clustered(1_700, seed=1)])
    for k in (1, 10):
        true, made = (
            np.median(retrieval.neighbour_distances(real, t, k, itself=True)[:, k - 1]) for t in (larger, many)
        )
        assert 2 / 3 < made / true < 1.5, k
    assert retrieval.made_up(real, 100).shape == (100, 32)
    with pytest.raises(RetrievalError, match="at least 20"):
        retrieval.made_up(real[:5], 100)


def test_neighbour_distances() -> None:
    table = np.eye(3, dtype=np.float32)
    assert retrieval.neighbour_distances(table, table, 1).tolist() == [[0], [0], [0]]
    assert retrieval.neighbour_distances(table, table, 1, itself=True).tolist() == [[1], [1], [1]]


# --- the index ---


def test_it_finds_by_each_way(index: retrieval.Index) -> None:
    for how in retrieval.WAYS:
        assert index.search("which torque for the cover nuts", k=2, how=how)[0].id == "a"
    best = index.search("BW-3310-I", k=1, how="words")[0]
    assert (best.id, best.text, best.fields["number"]) == ("c", TEXTS["c"], 2)
    assert index.search("zebra", how="words") == []
    assert len(index.search("Kestrel", k=9)) == 4


def test_upsert_is_idempotent_and_takes_changes(index: retrieval.Index) -> None:
    assert index.upsert(records()) == 4
    assert len(index) == 4
    index.upsert([Record("d", "Dispatch answers the phone until 18:30.")])
    assert len(index) == 4
    assert index.search("18:30", k=1, how="words")[0].id == "d"
    index.delete(["d", "not there"])
    assert len(index) == 3
    assert index.search("18:30", how="words") == []


def test_filters_hold_for_each_way(index: retrieval.Index) -> None:
    for how in retrieval.WAYS:
        found = index.search("Kestrel 40", k=4, how=how, where={"number": {"$gte": 2}})
        assert {hit.id for hit in found} <= {"c", "d"}
        with pytest.raises(RetrievalError, match="filter"):
            index.search("Kestrel", how=how, where={"number": {"$about": 2}})


def test_it_is_there_after_a_restart_and_embeds_nothing_again(tmp_path: Path) -> None:
    with retrieval.open_index(tmp_path / "db", Bag()) as opened:
        opened.upsert(records())
    later = Bag()
    with retrieval.open_index(tmp_path / "db", later) as opened:
        assert len(opened) == 4
        assert opened.search("seal kit", k=1)[0].id == "b"
    assert later.asked == 1  # the question


def test_empty_index(tmp_path: Path) -> None:
    with retrieval.open_index(tmp_path / "db", Bag()) as opened:
        assert opened.search("anything") == []
        assert opened.upsert([]) == 0


def test_more_records_than_one_batch(tmp_path: Path) -> None:
    with retrieval.open_index(tmp_path / "db", Bag()) as opened:
        assert opened.upsert(Record(f"r{n}", f"pump number {n}") for n in range(600)) == 600
        assert len(opened) == 600
        assert opened.search("number 431", k=1, how="words")[0].id == "r431"


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (Record("", "text"), "id of its own"),
        (Record("a", " "), "no text"),
        (Record("a", "text", {"date": None}), "leave out"),  # type: ignore[dict-item]
    ],
)
def test_bad_records_are_refused(index: retrieval.Index, record: Record, says: str) -> None:
    with pytest.raises(RetrievalError, match=says):
        index.upsert([record])
    with pytest.raises(RetrievalError, match="used twice"):
        index.upsert([Record("z", "one"), Record("z", "two")])
    assert len(index) == 4


@pytest.mark.parametrize(
    ("options", "says"),
    [({"how": "magic"}, "unknown way"), ({"k": 0}, "at least one"), ({"question": "  "}, "in words")],
)
def test_bad_questions_are_refused(index: retrieval.Index, options: dict, says: str) -> None:
    with pytest.raises(RetrievalError, match=says):
        index.search(**{"question": "pump", **options})


def test_a_collection_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="3-512"), retrieval.open_index(tmp_path / "db", Bag(), name="ab"):
        pass
    with retrieval.open_index(tmp_path / "db", Bag()) as opened:
        opened.upsert(records())
    with pytest.raises(RetrievalError, match="64 numbers.*makes 32"), retrieval.open_index(tmp_path / "db", Bag(32)):
        pass
    client = chromadb.PersistentClient(path=str(tmp_path / "db"), settings=retrieval.client_settings())
    client.create_collection("straight", embedding_function=None, configuration={"hnsw": {"space": "l2"}})
    client.close()
    with pytest.raises(RetrievalError, match="'l2'"), retrieval.open_index(tmp_path / "db", Bag(), name="straight"):
        pass


# --- the server ---


def test_server_serves_the_folder_on_this_machine_only(tmp_path: Path) -> None:
    with retrieval.open_index(tmp_path / "db", Bag()) as opened:
        opened.upsert(records())
    with retrieval.serve(tmp_path / "db") as server:
        client = chromadb.HttpClient(host=server.host, port=server.port, settings=retrieval.client_settings())
        found = retrieval.Index(client, Bag()).search("seal kit", k=1)
        listening = [c.laddr.ip for c in psutil.Process(server.pid).net_connections() if c.status == "LISTEN"]
    assert found[0].id == "b"
    assert set(listening) == {"127.0.0.1"}
    assert not psutil.pid_exists(server.pid)


def test_server_ends_with_an_error_in_the_block(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), retrieval.serve(tmp_path) as server:
        raise ZeroDivisionError
    assert not psutil.pid_exists(server.pid)


def test_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "LAUNCHER", "import sys; sys.exit('no room on the disk')")
    with pytest.raises(ServingError, match="no room on the disk"), retrieval.serve(tmp_path):
        pass
    monkeypatch.setattr(retrieval, "LAUNCHER", "import time; time.sleep(60)")
    with pytest.raises(ServingError, match="did not answer within"), retrieval.serve(tmp_path, timeout=0.5):
        pass
