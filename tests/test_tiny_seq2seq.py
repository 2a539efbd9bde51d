"""tiny-seq2seq: its logs keep their promises, a killed run goes on, and the model sums up logs it never saw."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

MODEL = Path(__file__).resolve().parents[1] / "data" / "models" / "tiny-seq2seq"
spec = importlib.util.spec_from_file_location("seq2seq_train", MODEL / "train.py")  # tiny-phi3 has a train.py too
train = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = train
spec.loader.exec_module(train)
logs = train.logs

SMALL = {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1}


@pytest.fixture(scope="module")
def records() -> list[dict]:
    """The committed held-out logs."""
    return [json.loads(line) for line in (MODEL / "held_out.jsonl").read_text(encoding="utf-8").splitlines()]


# ------------------------------------------------------------------------------------------------- the logs


def test_a_seed_gives_the_same_log_each_time():
    made = [logs.write(f"seed-{i}") for i in range(20)]
    assert made == [logs.write(f"seed-{i}") for i in range(20)]
    assert len({log.text for log in made}) == 20


@pytest.mark.parametrize(("split", "new"), [("train", False), ("eval", False), ("eval", True)])
def test_a_summary_says_what_the_log_says(split, new):
    """The pump, the code and the date of the stop stand in the log, and every part stands in the summary."""
    quiet = 0
    for i in range(300):
        log = logs.write(f"parts-{i}", split, new, strange=0.0 if split == "eval" else 0.3)
        for part in train.PARTS:
            assert getattr(log, part) in log.summary
        assert log.pump in log.text.splitlines()[0]
        if not log.code:
            quiet += 1
            assert "ran without a stop" in log.summary
            continue
        stops = [line for line in log.text.splitlines()[1:] if log.code in line]
        assert any(line.startswith(log.date) for line in stops), log.text
        assert re.fullmatch(r"On .+ the .+ stopped on alarm .+ because .+; .+ and .+\.", log.summary)
    assert 5 < quiet < 60


def test_the_facts_of_a_log_can_be_told_from_its_lines():
    """No wording stands for two different causes, actions or outcomes."""
    found: dict[str, set[str]] = {}
    data = logs.wordings()
    for fault in data["fault"]:
        for line in fault["found"]:
            found.setdefault(line, set()).add(fault["cause"])
        for says, *lines in [*fault["remedies"], fault["order"]]:
            for line in lines:
                found.setdefault(line, set()).add(says)
    for state in data["state"]:
        for line in state["lines"]:
            found.setdefault(line, set()).add(state["says"])
    assert len(found) > 200
    assert [line for line, meanings in found.items() if len(meanings) > 1] == []


def test_names_and_wordings_of_the_evaluation_are_held_out():
    from language import is_eval

    for i in range(200):
        ours, theirs = logs.write(f"split-{i}"), logs.write(f"split-{i}", "eval")
        assert not is_eval(ours.pump)
        assert is_eval(theirs.pump)
        assert not theirs.code or is_eval(theirs.code)
    lists = [fault["found"] for fault in logs.wordings()["fault"]] + [s["lines"] for s in logs.wordings()["state"]]
    held = [re.escape(items[-1]).replace(r"\{n\}", r"\d+").replace(r"\{d\}", r"[\d.]+") for items in lists]
    text = "\n".join(logs.write(f"held-{i}").text for i in range(500))
    new = "\n".join(logs.write(f"held-{i}", "eval", True).text for i in range(500))
    assert not [pattern for pattern in held if re.search(pattern, text)]
    assert all(re.search(pattern, new) for pattern in held)


def test_nothing_of_brightwater(capsys):
    assert train.check_data(400) == 0
    assert "400 logs, 0 finds" in capsys.readouterr().out


# -------------------------------------------------------------------------------------------------- training


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder for checkpoints that holds the committed tokenizer."""
    monkeypatch.setattr(train, "RUNS", tmp_path)
    AutoTokenizer.from_pretrained(MODEL).save_pretrained(tmp_path / "tokenizer")
    return tmp_path


def test_the_tokenizer_is_the_one_the_script_makes():
    made = train.build_tokenizer()
    assert made.get_vocab() == AutoTokenizer.from_pretrained(MODEL).get_vocab()
    assert len(made) == train.VOCAB


@pytest.mark.parametrize("text", ["On 12 March the Tarvo 40 stopped.", "Ärger: 3.5 bar – 117 °C", "x1y22z333 4,000"])
def test_the_tokenizer_keeps_every_text(text):
    tok = AutoTokenizer.from_pretrained(MODEL)
    ids = tok(text)["input_ids"]
    assert ids[-1] == tok.eos_token_id
    assert tok.decode(ids, skip_special_tokens=True) == text


@pytest.fixture
def exact(monkeypatch):
    """Arithmetic that gives the same bits each time: one format, one thread."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(train, "fast_dtype", lambda: torch.float32)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_killed_run_goes_on_where_it_was(runs, exact, monkeypatch):
    whole = train.train(4, 2, say=lambda text: None, **SMALL)
    (runs / "state.pt").unlink()
    good, calls = train.batch, []

    def killed(tok, step, rows, seed):
        calls.append(step)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return good(tok, step, rows, seed)

    monkeypatch.setattr(train, "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        train.train(4, 2, save_every=2, say=lambda text: None, **SMALL)
    said = []
    again = train.train(4, 2, save_every=2, say=said.append, **SMALL)
    assert calls == [0, 1, 2, 2, 3]
    assert said[0] == "going on from step 2"
    for ours, theirs in zip(whole.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_rate_rises_and_falls_to_nothing():
    rates = [train.rate(step, 400) for step in range(400)]
    top = rates.index(max(rates))
    assert 0 < rates[0] < rates[50] < rates[top] and top in range(90, 110)
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert train.rate(400, 400) == 0


# ------------------------------------------------------------------------------------------ the committed model


def test_scores_of_a_perfect_and_of_a_copying_writer(records):
    perfect = train.scores(records, [r["summary"] for r in records])
    assert set(perfect.values()) == {1.0}
    copied = train.scores(records, [train.last_line(r["text"]) for r in records])
    assert copied["whole sentence right"] == 0
    line = train.scores(records, [train.first_alarm(r["text"]) for r in records])
    assert line["code right"] > 0.5 > line["state right"]


def test_the_held_out_logs_are_what_the_script_makes(records):
    assert records == list(train.held_out())
    assert len(records) == train.HELD_OUT * len(train.KINDS)


def test_the_files_are_small_and_load():
    assert sum(path.stat().st_size for path in MODEL.glob("*.safetensors")) < 8_000_000
    model = T5ForConditionalGeneration.from_pretrained(MODEL)
    assert model.num_parameters() < 2_000_000
    assert model.config.vocab_size == len(AutoTokenizer.from_pretrained(MODEL))


def test_it_sums_up_logs_it_never_saw(records):
    some = [r for r in records if r["wordings"] == "trained"][:24]
    found = train.scores(some, train.summaries(MODEL, [r["text"] for r in some]))
    assert found["whole sentence right"] >= 0.6
    assert min(found[f"{part} right"] for part in train.PARTS) >= 0.7


def test_the_card_has_the_measured_table_and_its_example_is_true():
    card = (MODEL / "README.md").read_text(encoding="utf-8")
    table = card.split(train.MARK)[1]
    for row in ("whole sentence right", "code right", "copy the last line", *train.KINDS.values()):
        assert row in table
    example = re.findall(r"^    (.*)$", card.split("what comes out:")[1].split("## What it is")[0], re.MULTILINE)
    text, summary = "\n".join(line for line in example[:-1] if line), example[-1]
    assert train.summaries(MODEL, [text]) == [summary]
