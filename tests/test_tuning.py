"""expert.tuning: the checks of the data, what carries loss, the run, its memory, its checkpoints, its command."""

import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from expert import models, style, tuning
from expert.tuning import TuningError, row
from safetensors.torch import load_file

FEW = [row(f"Say {word}.", f"{word} {word}") for word in ("red", "blue", "green", "white", "black", "brown")]


@pytest.fixture(scope="module")
def tiny():
    return models.load("tiny")


@pytest.fixture(scope="module")
def tuned(tiny):
    return tuning.tune(tiny, FEW, steps=6, batch_tokens=64, held_out=FEW[:2], dtype="float32", progress=False)


# --- rows ---

PLANTED = {
    "data_type": ["not", "an", "object"],
    "missing_messages_list": {"message": []},
    "message_missing_key": {"messages": [{"role": "user"}, {"role": "assistant", "content": "A."}]},
    "message_unrecognized_key": {"messages": [{"role": "assistant", "content": "A.", "mood": "good"}]},
    "unrecognized_role": {"messages": [{"role": "bot", "content": "Q"}, {"role": "assistant", "content": "A."}]},
    "missing_content": {"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "A."}]},
    "example_missing_assistant_message": {"messages": [{"role": "user", "content": "Q"}]},
}


def test_the_seven_checks_are_all_planted():
    assert list(PLANTED) == list(tuning.CHECKS)


@pytest.mark.parametrize("check", PLANTED)
def test_a_planted_row_fails_exactly_its_check(check):
    problems = tuning.validate([FEW[0], PLANTED[check], FEW[1]])
    assert [(p.line, p.check) for p in problems] == [(2, check)]
    assert problems[0].reason


def test_good_rows_have_no_problem():
    assert tuning.validate(FEW) == []
    with_system = row("Q", "A", "Be short.")
    assert tuning.validate([with_system]) == [] and with_system["messages"][0]["role"] == "system"


def test_a_file_keeps_its_line_numbers(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps(FEW[0]), "", "{broken", json.dumps(PLANTED["unrecognized_role"]), json.dumps(FEW[1])]
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    good, problems = tuning.sort_out(path)
    assert good == FEW[:2]
    assert [(p.line, p.check) for p in problems] == [(3, "data_type"), (4, "unrecognized_role")]
    with pytest.raises(TuningError, match="line 3: data_type.*no JSON"):
        tuning.read_rows(path)


def test_reading_what_was_written(tmp_path):
    path = tuning.write_rows(tmp_path / "a" / "rows.jsonl", [FEW[0] | {"entity": "x"}, row("é", "ü")])
    assert tuning.read_rows(path) == [FEW[0], row("é", "ü")]
    with pytest.raises(TuningError, match="There is no file"):
        tuning.read_rows(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(TuningError, match="no rows"):
        tuning.read_rows(tmp_path / "empty.jsonl")


def test_duplicates_but_for_case_and_punctuation():
    rows = [row("It leaks!", "a"), row("It drips.", "b"), row("it  LEAKS", "c")]
    assert tuning.find_duplicates(rows) == [[0, 2]]
    assert tuning.find_duplicates(rows[:2]) == []


class Letters:
    """An embedder that counts letters."""

    def encode(self, texts, **_):
        table = torch.tensor([[float(text.count(c)) for c in "abc"] for text in texts])
        return (table / table.norm(dim=1, keepdim=True)).numpy()


def test_near_duplicates_best_first():
    pairs = tuning.near_duplicates(["aab", "c", "ab", "aab"], Letters(), threshold=0.9)
    assert [(i, j) for i, j, _ in pairs] == [(0, 3), (0, 2), (2, 3)]
    assert pairs[0][2] == pytest.approx(1.0)
    assert tuning.near_duplicates(["a"], Letters()) == []


def test_split_by_entity_keeps_entities_apart():
    entities = ["a", "b", "a", "c", "d", "b", "e", "e", "f", "a"]
    rows = [{"n": i} for i in range(10)]
    for seed in range(5):
        learn, held = tuning.split_by_entity(rows, entities, share=0.3, seed=seed)
        of = lambda part: {entities[one["n"]] for one in part}  # noqa: E731
        assert len(learn) + len(held) == 10 and learn and held and not of(learn) & of(held)
    assert tuning.split_by_entity(rows, entities, seed=1) == tuning.split_by_entity(rows, entities, seed=1)
    with pytest.raises(TuningError, match="cannot be split"):
        tuning.split_by_entity(rows, ["a"] * 10)


def test_redact():
    text = tuning.redact("Call Ann Lee on +44 20 7946 0958 or ann.lee@brook.example, pump BWS104233.", ["Ann Lee"])
    assert text == "Call [name] on [phone] or [e-mail], pump BWS104233."
    assert tuning.redact("On 2025-02-03 we sent BW-3310-S.") == "On 2025-02-03 we sent BW-3310-S."


# --- what carries loss ---


def test_only_the_answer_and_its_end_carry_loss(tiny):
    encoded = tuning.labels_of(tiny.tokenizer, FEW[0]["messages"])
    learnt = [label for label in encoded.labels if label != tuning.IGNORED]
    assert tiny.tokenizer.decode(learnt) == "red red<|end|>"
    prompt = tiny.tokenizer(models.render(tiny, "Say red."), add_special_tokens=False)["input_ids"]
    assert encoded.tokens[: len(prompt)] == prompt and set(encoded.labels[: len(prompt)]) == {tuning.IGNORED}
    assert encoded.learnt == len(learnt) == len(encoded.tokens) - len(prompt)


def test_every_answer_of_a_talk_carries_loss_unless_its_weight_is_0(tiny):
    talk = [*FEW[0]["messages"], *FEW[1]["messages"]]
    decode = lambda e: tiny.tokenizer.decode([x for x in e.labels if x != tuning.IGNORED])  # noqa: E731
    assert decode(tuning.labels_of(tiny.tokenizer, talk)) == "red red<|end|>blue blue<|end|>"
    talk[1] = talk[1] | {"weight": 0}
    assert decode(tuning.labels_of(tiny.tokenizer, talk)) == "blue blue<|end|>"


def test_rows_that_cannot_be_learnt_are_named(tiny):
    with pytest.raises(TuningError, match="line 2: unrecognized_role"):
        tuning.encode_rows(tiny, [FEW[0], PLANTED["unrecognized_role"]])
    with pytest.raises(TuningError, match="line 1: .* reads 2048 at most"):
        tuning.encode_rows(tiny, [row("word " * 3000, "x")])
    with pytest.raises(TuningError, match="line 1: The last message must be the assistant's"):
        tuning.encode_rows(tiny, [{"messages": [*FEW[0]["messages"], {"role": "user", "content": "More?"}]}])


def test_the_loss_is_that_of_the_plain_model(tiny):
    encoded = tuning.encode_rows(tiny, FEW[:3])
    with torch.no_grad():
        loss, count = tuning.batch_loss(tiny.model, encoded, tiny.tokenizer.pad_token_id)
        total = 0.0
        for e in encoded:  # one row at a time, no padding, transformers' own loss
            out = tiny.model(input_ids=torch.tensor([e.tokens]), labels=torch.tensor([e.labels]))
            total += float(out.loss) * e.learnt
    assert count == sum(e.learnt for e in encoded)
    assert float(loss) == pytest.approx(total / count, rel=1e-3)


# --- plan and rate ---


def test_a_plan_reads_each_row_once_an_epoch():
    lengths = [10, 50, 11, 52, 12, 49, 9]
    plan = tuning.plan_batches(lengths, 60, epochs=3, steps=None, seed=0)
    assert sorted(sum(plan, [])) == sorted([*range(7)] * 3)
    assert plan == tuning.plan_batches(lengths, 60, 3, None, 0) != tuning.plan_batches(lengths, 60, 3, None, 1)
    assert len(tuning.plan_batches(lengths, 60, 1, steps=11, seed=0)) == 11


def test_the_rate_rises_and_falls():
    settings = tuning.Settings(learning_rate=1.0, warmup=0.2)
    rates = [tuning.rate_at(step, 20, settings) for step in range(20)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[3:] == sorted(rates[3:], reverse=True) and 0 < rates[-1] < 0.1


# --- the run ---


def test_lora_adapts_phi3s_fused_layers_and_nothing_else(tiny, tuned):
    assert tuned.report.adapted == dict.fromkeys(tuning.PHI3_LINEAR, 5)
    by_hand = 5 * 8 * ((256 + 768) + (256 + 256) + (256 + 1536) + (768 + 256))
    assert tuned.report.trained == by_hand == tuning.lora_weights(tiny.model, 8, tuning.PHI3_LINEAR)
    trained = {n for n, p in tuned.loaded.model.named_parameters() if p.requires_grad}
    assert trained and all("lora_" in name for name in trained)


def test_tuning_lowers_the_loss_and_leaves_the_base_alone(tiny, tuned):
    report = tuned.report
    assert report.held_out_after < report.held_out_before
    assert tuning.mean_loss(tiny, FEW[:2]) == pytest.approx(report.held_out_before, abs=1e-3)
    assert tuning.mean_loss(tuned.loaded, FEW[:2]) == pytest.approx(report.held_out_after, abs=1e-3)
    assert not any("lora_" in name for name, _ in tiny.model.named_parameters())
    assert report.steps == 6 and report.tokens > report.loss_tokens > 0 and "weights trained" in str(report)


def test_a_fresh_adapter_changes_nothing(tiny):
    adapted = tuning.add_lora(tiny.model, tuning.Settings()).eval()
    tokens = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        assert torch.equal(adapted(input_ids=tokens).logits, tiny.model(input_ids=tokens).logits)


def test_full_tuning_changes_a_copy(tiny):
    before = tiny.model.model.layers[0].mlp.down_proj.weight.detach().clone()
    tuned = tuning.tune(tiny, FEW, method="full", steps=2, batch_tokens=64, progress=False)
    assert torch.equal(before, tiny.model.model.layers[0].mlp.down_proj.weight)
    assert not torch.equal(before, tuned.loaded.model.model.layers[0].mlp.down_proj.weight)
    assert tuned.report.trained == tiny.weights


def test_a_bfloat16_base_gives_an_adapter_for_the_float32_one(tiny):
    tuned = tuning.tune(tiny, FEW, steps=2, batch_tokens=64, dtype="bfloat16", progress=False)
    kinds = {(("lora_" in n), p.dtype) for n, p in tuned.loaded.model.named_parameters()}
    assert kinds == {(True, torch.float32), (False, torch.float32)}
    assert tuned.loaded.dtype == torch.float32 and tuned.settings.dtype == "bfloat16"


def test_targets_of_another_architecture_are_refused(tiny):
    llama = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    with pytest.raises(TuningError, match=r"Only o_proj, down_proj would be adapted\. It has: .*qkv_proj \(5 times\)"):
        tuning.tune(tiny, FEW, target_modules=llama)
    with pytest.raises(TuningError, match="No tunable module of this model matches c_attn"):
        tuning.tune(tiny, FEW, target_modules=["c_attn"])


def test_a_large_model_starts_with_a_tenth_of_the_rate(tiny):
    large = SimpleNamespace(weights=3_800_000_000)
    for method in tuning.METHODS:
        assert tuning.default_rate(tiny, method) == tuning.LEARNING_RATE[method]
        assert tuning.default_rate(large, method) == pytest.approx(tuning.LEARNING_RATE[method] / 10)


@pytest.mark.parametrize(
    "bad", [{"method": "magic"}, {"r": 0}, {"epochs": 0}, {"steps": 1.5}, {"learning_rate": 2}, {"batch_tokens": -1}]
)
def test_settings_out_of_range(tiny, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        tuning.tune(tiny, FEW, **bad)


def test_no_rows(tiny):
    with pytest.raises(TuningError, match="no rows"):
        tuning.tune(tiny, [])


def test_too_little_memory_is_said_before_it_starts(tiny, monkeypatch):
    monkeypatch.setattr(models, "_memory", lambda: (2**30, 2**20))
    with pytest.raises(TuningError, match=r"would need about 0\.\d+ GiB.*predicted from the counts of weights"):
        tuning.tune(tiny, FEW, method="full")
    with pytest.raises(TuningError, match="predicted for steps of up to"):
        tuning.tune(tiny, FEW * 20, batch_tokens=4000, r=1, dtype="float32", target_modules=("o_proj",))


def test_what_is_predicted_to_be_saved_is_what_a_wide_step_saves(tiny):
    adapted = tuning.add_lora(tiny.model, tuning.Settings())
    rows = tuning.encode_rows(tiny, [one.row for one in style.rows("tune")[:8]])
    pad = tiny.tokenizer.pad_token_id
    short = min(rows, key=lambda e: len(e.tokens))
    width = max(len(e.tokens) for e in rows)
    predicted = tuning.saved_bytes(adapted, [short], pad) / len(short.tokens) * width * len(rows)
    assert predicted == pytest.approx(tuning.saved_bytes(adapted, rows, pad), rel=0.25)


# --- keep and load ---


def test_an_adapter_is_saved_and_loaded(tiny, tuned, tmp_path):
    folder = tuning.save(tuned, tmp_path / "adapter")
    again = tuning.load_adapter(tiny, folder)
    assert tuning.mean_loss(again, FEW) == pytest.approx(tuning.mean_loss(tuned.loaded, FEW), abs=1e-5)
    texts = [p.read_text(encoding="utf-8") for p in folder.glob("*.json")]
    assert len(texts) == 2 and not any(str(models.tiny_folder().parent) in text for text in texts)
    assert (folder / "adapter_model.safetensors").stat().st_size < 4.2 * tuned.report.trained + 20_000


def test_an_adapter_for_another_base_is_refused(tiny, tuned, tmp_path):
    folder = tuning.save(tuned, tmp_path / "adapter")
    with pytest.raises(TuningError, match=r"it adapts .* with \d+ inputs, and tiny, part small has .* with \d+ inputs"):
        tuning.load_adapter(models.load("tiny", part="small"), folder)
    with pytest.raises(TuningError, match="the shapes fit, the weights differ"):
        tuning.load_adapter(models.load("tiny", part="base"), folder)
    with pytest.raises(TuningError, match="holds no adapter"):
        tuning.load_adapter(tiny, tmp_path)


def test_merged_weights_answer_the_same(tiny, tuned):
    merged = tuning.merge(tuned.loaded)
    assert tuning.mean_loss(merged, FEW) == pytest.approx(tuning.mean_loss(tuned.loaded, FEW), abs=1e-4)
    assert type(merged.model) is type(tiny.model)
    assert any("lora_" in name for name, _ in tuned.loaded.model.named_parameters())
    with pytest.raises(TuningError, match="no adapter"):
        tuning.merge(tiny)


# --- interrupted ---


def test_a_stopped_run_goes_on_and_ends_the_same(tiny, tmp_path, monkeypatch):
    options = {"steps": 6, "batch_tokens": 64, "dropout": 0.1, "dtype": "float32", "progress": False}
    whole = tuning.tune(tiny, FEW, **options)
    calls, step = [], tuning._Run._one_step

    def stops(run):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(1)
        step(run)

    monkeypatch.setattr(tuning._Run, "_one_step", stops)
    with pytest.raises(KeyboardInterrupt):
        tuning.tune(tiny, FEW, folder=tmp_path, save_every=2, **options)
    monkeypatch.setattr(tuning._Run, "_one_step", step)
    with pytest.raises(TuningError, match="checkpoint of another run"):
        tuning.tune(tiny, FEW, folder=tmp_path, **options | {"seed": 1})
    again = tuning.tune(tiny, FEW, folder=tmp_path, **options)
    assert again.report.resumed_at == 4 and again.report.losses == pytest.approx(whole.report.losses, abs=1e-4)
    assert not (tmp_path / "checkpoint").exists()
    for (name, a), (_, b) in zip(
        whole.loaded.model.named_parameters(), again.loaded.model.named_parameters(), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-5), name


def test_a_damaged_checkpoint_is_named(tiny, tmp_path):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "state.json").write_text("{")
    with pytest.raises(TuningError, match="cannot be read"):
        tuning.tune(tiny, FEW, steps=1, folder=tmp_path, progress=False)


def command(data, out, *more):
    options = ["--out", out, "--steps", "24", "--batch-tokens", "64", "--save-every", "1", "--held-out", "0.2", *more]
    return [sys.executable, "-m", "expert.tuning", str(data), *map(str, options)]


def test_the_command_survives_a_kill(tmp_path):
    """Killed without warning after a checkpoint, then started again: the adapter is that of a run left alone."""
    data = tuning.write_rows(tmp_path / "rows.jsonl", FEW)
    data.write_text(data.read_text() + '{"messages": []}\n' + json.dumps(FEW[0]) + "\n")
    environment = os.environ | {"EXPERT_DTYPE": "float32"}
    killed = subprocess.Popen(command(data, tmp_path / "killed"), env=environment, stdout=subprocess.DEVNULL)
    end = time.time() + 600
    while not (tmp_path / "killed" / "checkpoint" / "state.json").exists() and killed.poll() is None:
        assert time.time() < end, "no checkpoint came"
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "killed" / "adapter").exists(), "it ended before it could be killed: nothing was tested"
    runs = [
        subprocess.run(command(data, tmp_path / name), env=environment, capture_output=True, text=True, timeout=900)
        for name in ("killed", "alone")
    ]
    for run in runs:
        assert run.returncode == 0, run.stderr
        assert "8 rows read, 1 rejected, 1 left out as duplicates" in run.stdout
        assert "line 7: missing_messages_list" in run.stdout and "held-out rows" in run.stdout
    assert "went on from step" in runs[0].stdout and "went on from step" not in runs[1].stdout
    adapters = [load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("killed", "alone")]
    assert adapters[0].keys() == adapters[1].keys()
    assert all(torch.allclose(adapters[0][key], adapters[1][key], atol=1e-5) for key in adapters[0])


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert tuning.main([str(tmp_path / "none.jsonl")]) == 2
    assert "There is no file" in capsys.readouterr().err
    path = tmp_path / "rows.jsonl"
    path.write_text('{"messages": []}\n')
    assert tuning.main([str(path)]) == 2
    assert "line 1: missing_messages_list" in capsys.readouterr().err


# --- the house style ---


def test_orders_are_taken_apart_and_scored():
    rows = style.rows("tune")
    assert len(rows) == 60 and all(style.in_form(one.order) for one in rows)
    order = rows[0].order
    assert style.parts_right(order, order) == 1 and style.parts_right("I do not know.", order) == 0
    assert style.parts_right(order.replace("/ look", "/ send"), order) == 7 / 8
    assert not style.in_form(order + " / x") and not style.in_form("TK-1")


def test_no_name_is_left_in_a_row():
    names = style.people()
    for one in style.rows("tune") + style.rows("test"):
        assert not any(name in one.prompt for name in names)
        parts = style.split_order(one.order)
        assert style.HEAD.search(one.prompt)["technician"] == parts["sign-off"].split()[0]


def test_recombined_rows_are_right_orders_of_their_tickets():
    some = style.rows("tune")
    made = style.recombine(some, 200, seed=1)
    assert len(made) == 200 and {one.message for one in made} == {one.message for one in some}
    assert len({one.prompt for one in made}) == 200
    test_sites = {one.site for one in style.rows("test")}
    for one in made:
        head, parts = style.HEAD.search(one.prompt), style.split_order(one.order)
        assert style.in_form(one.order) and one.site not in test_sites and head["site"] == parts["site"]
        assert parts["pump"] == f"{head['model'][:2].upper()}{head['model'].split()[-1]}"
        assert (f"WO-{head['ticket']}", head["serial"]) == (parts["order"], parts["serial"])
        assert parts["sign-off"] == f"{head['technician']} dry hands"
    assert [one.row for one in style.recombine(some, 8, 2)] == [one.row for one in style.recombine(some, 8, 2)]


@pytest.mark.parametrize(("around", "longest"), [(0.0, 4), (0.5, 3), (1.0, 2)])
def test_reworded_rows_hold_in_their_message_what_their_order_says(around: float, longest: int):
    some = style.rows("tune")
    options = {"seed": 3, "reworded": 1.0, "around": around, "longest": longest}
    made = style.recombine(some, 400, **options)
    known = {one.message for one in some}
    assert len(made) == 400 and all(style.in_form(one.order) and one.message in one.prompt for one in made)
    assert sum(one.message not in known for one in made[len(some) :]) > 300
    for one in made[len(some) :]:
        parts = style.split_order(one.order)
        assert parts["saw"].removeprefix("saw ").lower() in one.message.lower()
        assert len(parts["saw"].split()) <= longest + 1
        target = parts["do"].split()[1]
        assert target in ("invoices", "customer", "safety") or target.lower() in one.message.lower()
    assert [one.row for one in made] == [one.row for one in style.recombine(some, 400, **options)]


def test_words_beside_what_was_seen_are_exchanged_by_share():
    some = style.rows("tune")
    known = {pair for one in some for pair in pairwise(one.message.lower().split())}

    def strange(around: float) -> float:
        """The share of pairs of words that stand beside each other in no message as it came."""
        made = style.recombine(some, 600, seed=1, reworded=1.0, around=around)[len(some) :]
        pairs = [pair for one in made for pair in pairwise(one.message.lower().split())]
        return sum(pair not in known for pair in pairs) / len(pairs)

    shares = [strange(around) for around in (0.0, 0.3, 0.6)]
    assert shares[0] + 0.1 < shares[1] and shares[1] + 0.1 < shares[2]


def test_spoilt_rows_have_the_orders_of_others():
    some = style.rows("tune")
    made = style.spoil(some, 0.25, seed=0)
    wrong = [a.order != b.order for a, b in zip(some, made, strict=True)]
    assert sum(wrong) == 15 and [one.prompt for one in made] == [one.prompt for one in some]
    assert sorted(one.order for one in made) == sorted(one.order for one in some)
