"""The catalogue of models: every figure has its evidence, and the table is what the script writes."""

import csv
import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "data" / "catalogue"
sys.path.insert(0, str(FOLDER))
import make  # noqa: E402

NAMED = (
    "Whisper;DALL-E;Midjourney;Stable Diffusion;GPT-3.5;GPT-4;GPT-4o;BERT;BART;T5;LLaMA;Alpaca;Bloom;Claude 2;Bard;"
    "text-embedding-3;jina-embeddings;CodeParrot;Phi-3-mini;Phi-3-small;Phi-3-medium;Phi-3-vision"
).split(";")
SCALES = {"parameters": (1, 1e3, 1e6, 1e9, 1e12), "context_length": (1, 1e3, 1024, 1e6, 2**20)}


@pytest.fixture(scope="module")
def table() -> list[dict[str, str]]:
    with open(FOLDER / "models.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_is_what_the_script_writes():
    assert (FOLDER / "models.csv").read_text(encoding="utf-8") == make.table()


def test_every_family_of_the_course_is_there_with_successors(table):
    names = " ; ".join(row["name"] + " " + row["family"] for row in table).lower()
    assert not [name for name in NAMED if name.lower() not in names]
    assert sum(row["era"] == "present" for row in table) >= 20
    assert len({row["name"] for row in table}) == len(table)


def test_values_have_their_form(table):
    for row in table:
        assert row["era"] in ("seed", "present"), row["name"]
        assert row["architecture"] in ("", "encoder", "decoder", "encoder-decoder", "diffusion"), row["name"]
        assert set(row["deployment"].split(";")) <= {"", "own", "managed", "serverless"}, row["name"]
        assert {row["open_weights"], row["tunable"]} <= {"", "yes", "no"}, row["name"]
        assert re.fullmatch(r"(\d{4}(-\d\d)?)?", row["released"]), row["name"]
        assert re.fullmatch(r"(\d{4}-\d\d-\d\d)?", row["price_date"]), row["name"]
        assert bool(row["score"]) == bool(row["score_name"]), row["name"]
        for name in ("parameters", "context_length", "price_in", "price_out", "score"):
            assert not row[name] or float(row[name]) > 0, (row["name"], name)


def test_every_figure_stands_in_the_words_that_were_read():
    for row in make.rows():
        for name in ("parameters", "context_length", "price_in", "price_out", "score"):
            if row[name] is None:
                continue
            words = " ".join(item["quote"] for item in row["evidence"] if item["field"] == name).replace(",", "")
            numbers = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", words)]
            # a year that runs into the number, as in "2024128000", and a share for a percentage, are the page's own
            numbers += [float(n) for n in re.findall(r"20[12]\d(\d{4,6})\b", words)] + [100 * n for n in numbers]
            wanted = [row[name] / scale for scale in SCALES.get(name, (1,))]
            close = [n for n in numbers for w in wanted if abs(n - w) <= 0.006 * max(1, w)]
            assert close, (row["name"], name, row[name], words)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": 7e9}, "no evidence for parameters"),
        ({"colour": "red"}, "unknown fields"),
        ({"evidence": [{"field": "licence", "url": "memory", "retrieved": "2026-11-20", "quote": "MIT"}]}, "https"),
    ],
)
def test_a_row_without_evidence_is_turned_away(change, message):
    row = {"name": "x", "evidence": []}
    assert message in make.fault_of(row | change)
    assert not make.fault_of(row)
