"""The evaluation harness: scores, intervals, resumed runs, and the table of results."""

import json
import time
from types import SimpleNamespace

import pytest
from expert import evaluate


def question(number: int, answer: str = "45 Nm", variants: tuple[str, ...] = ()) -> SimpleNamespace:
    return SimpleNamespace(id=f"q-{number}", answer=answer, variants=variants)


@pytest.mark.parametrize(
    ("answer", "accepted", "expected"),
    [
        ("The torque of the Plover is 45 Nm. [2]", "45 Nm", True),
        ("145 Nm", "45 Nm", False),
        ("45.5 Nm", "45 Nm", False),
        ("It is 1,450 rpm.", "1450 rpm", True),
        ("1.5 bar", "5 bar", False),
        ("minus 20 °C", "20 °C", True),  # the whole value stands there: F1 shows the difference
        ("-20 °C", "20 °C", False),
        ("BW-2217-A", "BW-2217", False),
        ("Every 6 months.", ["every six months", "every 6 months"], True),
        ("", "45 Nm", False),
    ],
)
def test_exact_match(answer, accepted, expected):
    assert evaluate.exact_match(answer, accepted) is expected


def test_token_f1_by_hand():
    assert evaluate.token_f1("the 45 Nm", "45 Nm") == 1.0
    assert evaluate.token_f1("45 bar", "45 Nm") == pytest.approx(0.5)
    assert evaluate.token_f1("no idea", "45 Nm") == 0.0
    assert evaluate.token_f1("cast iron", ["bronze", "grey cast iron"]) == pytest.approx(0.8)
    assert evaluate.token_f1("", "45 Nm") == 0.0


def test_no_accepted_answer_is_an_error():
    with pytest.raises(evaluate.EvaluationError, match="at least one accepted answer"):
        evaluate.exact_match("45 Nm", [])


def test_bootstrap_holds_the_mean_and_narrows():
    few, many = evaluate.bootstrap([1, 0] * 10), evaluate.bootstrap([1, 0] * 500)
    assert few[0] < 0.5 < few[1]
    assert many[1] - many[0] < few[1] - few[0]
    assert evaluate.bootstrap([1.0] * 9) == (1.0, 1.0)
    assert evaluate.bootstrap([1, 0, 0]) == evaluate.bootstrap([1, 0, 0])
    with pytest.raises(evaluate.EvaluationError, match="at least one score"):
        evaluate.bootstrap([])


def test_run_scores_and_counts():
    questions = [question(1), question(2, "bronze", ("brass",))]
    result, answers = evaluate.run(
        "model", "task", questions, ["a b", "c"], lambda prompts: ["It is 45 Nm.", "Brass"], lambda t: len(t.split())
    )
    assert (result.questions, result.exact, result.prompt_tokens) == (2, 1.0, 1.5)
    assert [a.exact for a in answers] == [True, True]
    assert answers[0].f1 == pytest.approx(2 * 2 / (4 + 2))
    assert "100% exact" in str(result)


def test_an_interrupted_run_goes_on(tmp_path):
    questions, asked = [question(i) for i in range(6)], []

    def answer(prompts):
        asked.extend(prompts)
        if len(asked) > 4:
            raise KeyboardInterrupt
        return ["45 Nm"] * len(prompts)

    def start(prompts, function):
        return evaluate.run("m", "t", questions, prompts, function, len, batch_size=2, folder=tmp_path)

    prompts = [f"prompt {i}" for i in range(6)]
    with pytest.raises(KeyboardInterrupt):
        start(prompts, answer)
    path = next(tmp_path.glob("*.jsonl"))
    path.write_text(path.read_text(encoding="utf-8") + '{"key": "cut o', encoding="utf-8")  # a kill in the middle
    again = []
    result, _ = start(prompts, lambda batch: again.extend(batch) or ["45 Nm"] * len(batch))
    assert again == prompts[4:]
    assert result.questions == 6
    assert len([line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]) == 6
    changed = []
    start(["new", *prompts[1:]], lambda batch: changed.extend(batch) or ["45 Nm"] * len(batch))
    assert changed == ["new"]


def test_lists_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(evaluate.EvaluationError, match="got 1 and 2"):
        evaluate.run("m", "t", [question(1)], ["a", "b"], lambda p: p, len)
    with pytest.raises(evaluate.EvaluationError, match="expected 1 answers from m, but got 2"):
        evaluate.run("m", "t", [question(1)], ["a"], lambda p: ["x", "y"], len)


def test_results_are_kept_and_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPERT_LEDGER", str(tmp_path / "ledger.json"))
    result, _ = evaluate.run("m", "t", [question(1)], ["a"], lambda p: ["45 Nm"], len)
    other, _ = evaluate.run("n", "u", [question(1)], ["a"], lambda p: ["no"], len)
    assert evaluate.results() == []
    for one in (result, other, result):
        evaluate.keep(one)
    assert [r.name for r in evaluate.results()] == ["m", "n"]
    assert evaluate.results("u")[0].exact == 0.0
    assert json.loads((tmp_path / "ledger.json").read_text(encoding="utf-8"))["results"]


def test_peak_memory_sees_what_was_held_and_freed():
    with evaluate.peak_memory(every=0.005) as memory:
        block = bytearray(60 * 2**20)
        block[:: 2**12] = b"x" * len(block[:: 2**12])
        time.sleep(0.2)  # on a busy machine the watcher waits for its turn
        del block
    assert memory.peak > 20
