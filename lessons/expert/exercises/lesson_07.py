"""Lesson 07, LoRA: the layer by hand, merging, counting, which layers a list matches, a training pair, the change."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from expert.exercises import Case, Exercise, Mistake, Option, Question


def _array(values: Any) -> np.ndarray:
    """Numbers as an array; also from torch, where a tensor may ask for its gradient."""
    return np.asarray(values.detach() if hasattr(values, "detach") else values, dtype=float)


def _same_array(got: Any, expected: np.ndarray) -> bool:
    got = _array(got)
    return got.shape == expected.shape and bool(np.allclose(got, expected, rtol=1e-5, atol=1e-6))


def _draw(seed: int, rows: int, inputs: int, outputs: int, r: int) -> tuple[np.ndarray, ...]:
    """Made-up x (rows, inputs), weight (outputs, inputs), a (r, inputs) and b (outputs, r)."""
    rng = np.random.default_rng(seed)
    shapes = ((rows, inputs), (outputs, inputs), (r, inputs), (outputs, r))
    return tuple(rng.normal(size=shape).round(2) for shape in shapes)


# --- 7.1 ---


def adapted(x: Any, weight: Any, a: Any, b: Any, alpha: float) -> Any:
    scale = alpha / len(a)
    return x @ weight.T + scale * (x @ a.T) @ b.T


_X, _W, _A, _B = _draw(71, 3, 4, 2, 2)
_TALL = _draw(72, 2, 3, 5, 1)
_SQUARE = _draw(73, 2, 3, 3, 3)
_ZERO_B = (_X, _W, _A, np.zeros_like(_B))

ONE = Exercise(
    id="7.1",
    goal="What a layer with an adapter returns: x times the weight, plus alpha / r times what a and b make of x.",
    reference=adapted,
    same=_same_array,
    source="def adapted(x, weight, a, b, alpha):\n"
    "    scale = alpha / len(a)\n"
    "    return x @ weight.T + scale * (x @ a.T) @ b.T",
    hints=(
        "Two parts are added: what the frozen layer gives, x @ weight.T, and the detour through a and b.",
        "The detour: x @ a.T has r columns; what comes out of it, @ b.T, has as many columns as the layer has outputs.",
        "r is the number of rows of a: len(a), or a.shape[0]. The detour is multiplied by alpha / r.",
    ),
    cases=(
        Case(
            (np.array([[1.0, 2.0]]), np.eye(2), np.array([[1.0, 1.0]]), np.array([[1.0], [0.0]]), 2.0),
            "The example: the frozen layer gives [[1, 2]], the detour 2 * 3 in the first place and 0 in the second.",
        ),
        Case((_X, _W, _A, _B, 4.0), "r is 2 here and alpha 4: the detour counts twice."),
        Case((_X, _W, _A, _B, 1.0), "The same with alpha 1: the detour counts half."),
        Case((*_ZERO_B, 8.0), "b is all zeros: the frozen layer alone."),
        Case(
            (_X, np.array([[1, 0, 2, 0], [0, 1, 0, 3]]), _A, _B, 2.0),
            "A weight of whole numbers. It is frozen: += would write into it. Make a result of its own.",
        ),
        Case((*_TALL, 3.0), "Rank 1, five outputs."),
        Case(
            (*_SQUARE, 6.0), "As many inputs as outputs, and r is 3: nothing but the order of the factors helps here."
        ),
    ),
    mistakes=(
        Mistake(
            "The detour is multiplied by alpha. It should be alpha / r, and r is the number of rows of a.",
            like=lambda x, weight, a, b, alpha: x @ weight.T + alpha * (x @ a.T) @ b.T,
        ),
        Mistake(
            "The scale alpha / r is missing.",
            like=lambda x, weight, a, b, alpha: x @ weight.T + (x @ a.T) @ b.T,
        ),
        Mistake(
            "The scale is upside down: alpha / r, not r / alpha.",
            like=lambda x, weight, a, b, alpha: x @ weight.T + len(a) / alpha * (x @ a.T) @ b.T,
        ),
        Mistake(
            "alpha is divided by the number of inputs. r is the number of rows of a.",
            like=lambda x, weight, a, b, alpha: x @ weight.T + alpha / a.shape[1] * (x @ a.T) @ b.T,
        ),
        Mistake(
            "This is the detour alone. Add what the frozen layer gives: x @ weight.T.",
            like=lambda x, weight, a, b, alpha: alpha / len(a) * (x @ a.T) @ b.T,
        ),
        Mistake(
            "alpha / r is rounded down. Divide with one slash: /.",
            like=lambda x, weight, a, b, alpha: x @ weight.T + alpha // len(a) * (x @ a.T) @ b.T,
        ),
        Mistake(
            "This is the frozen layer alone. Add the detour through a and b.",
            like=lambda x, weight, a, b, alpha: x @ weight.T,
        ),
        Mistake(
            "Both parts are multiplied by alpha / r. Only the detour should be.",
            like=lambda x, weight, a, b, alpha: alpha / len(a) * (x @ weight.T + (x @ a.T) @ b.T),
        ),
    ),
)

# --- 7.2 ---


def merged(weight: Any, a: Any, b: Any, alpha: float) -> Any:
    return weight + alpha / len(a) * (b @ a)


_WHOLE = np.array([[3, 0, 1], [0, 2, 5]])

TWO = Exercise(
    id="7.2",
    goal="One matrix that does the work of weight, a and b together, as a new array.",
    reference=merged,
    same=_same_array,
    source="def merged(weight, a, b, alpha):\n    return weight + alpha / len(a) * (b @ a)",
    hints=(
        "weight has the shape (outputs, inputs). Which product of a (r, inputs) and b (outputs, r) has that shape?",
        "b @ a. Multiply it by alpha / r, with r the number of rows of a, and add it to the weight.",
        "Write weight + ... and not weight += ...: the second would change the frozen weight itself.",
    ),
    cases=(
        Case(
            (np.eye(2), np.array([[1.0, 1.0]]), np.array([[1.0], [0.0]]), 2.0),
            "The example: 2 is added to both places of the first row.",
        ),
        Case((_W, _A, _B, 4.0), "r is 2 and alpha 4."),
        Case(
            (_WHOLE, np.array([[0.5, 1.0, -1.0]]), np.array([[1.0], [2.0]]), 0.5),
            "A weight of whole numbers. The result needs an array of its own: += would write into the frozen weight.",
        ),
        Case((_TALL[1], _TALL[2], _TALL[3], 3.0), "Rank 1, five outputs."),
        Case((_SQUARE[1], _SQUARE[2], _SQUARE[3], 6.0), "As many inputs as outputs: b @ a is not a @ b."),
        Case((_W, _A, np.zeros_like(_B), 8.0), "b is all zeros: the weight as it was."),
    ),
    mistakes=(
        Mistake(
            "b @ a is multiplied by alpha. It should be alpha / r, and r is the number of rows of a.",
            like=lambda weight, a, b, alpha: weight + alpha * (b @ a),
        ),
        Mistake("The scale alpha / r is missing.", like=lambda weight, a, b, alpha: weight + b @ a),
        Mistake(
            "This is the change alone. Add it to the weight.",
            like=lambda weight, a, b, alpha: alpha / len(a) * (b @ a),
        ),
        Mistake(
            "The change is subtracted. It should be added.",
            like=lambda weight, a, b, alpha: weight - alpha / len(a) * (b @ a),
        ),
        Mistake("This is the weight alone.", like=lambda weight, a, b, alpha: weight),
        Mistake(
            "The scale is upside down: alpha / r, not r / alpha.",
            like=lambda weight, a, b, alpha: weight + len(a) / alpha * (b @ a),
        ),
    ),
)

# --- 7.3 ---


def trainable(shapes: Sequence[tuple[int, int]], r: int) -> int:
    return sum(r * (inputs + outputs) for inputs, outputs in shapes)


def _whole(got: Any, expected: int) -> bool:
    got = got.item() if hasattr(got, "item") else got
    return not isinstance(got, (bool, str)) and got == expected


THREE = Exercise(
    id="7.3",
    goal="How many numbers the matrices a and b of all these layers hold together.",
    reference=trainable,
    same=_whole,
    source="def trainable(shapes, r):\n    return sum(r * (inputs + outputs) for inputs, outputs in shapes)",
    hints=(
        "For one layer: a has r rows and as many columns as inputs; b has as many rows as outputs and r columns.",
        "So a holds r * inputs numbers and b holds outputs * r: together r * (inputs + outputs).",
        "Add that up over all layers of the list.",
    ),
    cases=(
        Case(([(256, 768)], 8), "The example: 8 * 256 + 768 * 8 = 8192."),
        Case(([(256, 256), (768, 256)], 4), "Two layers are added up."),
        Case(([(3072, 9216)] * 32, 16), "32 layers of the same shape."),
        Case(([(5, 7)], 1), "Rank 1: inputs plus outputs."),
        Case(([], 8), "No layer: 0."),
        Case(([(10, 10), (10, 20), (30, 10)], 2), "Three layers of different shapes."),
    ),
    mistakes=(
        Mistake(
            "This is the size of the layers themselves, inputs times outputs. LoRA leaves those frozen.",
            like=lambda shapes, r: sum(i * o for i, o in shapes),
        ),
        Mistake(
            "Inputs and outputs are multiplied. a holds r * inputs numbers, b holds outputs * r: add them.",
            like=lambda shapes, r: sum(r * i * o for i, o in shapes),
        ),
        Mistake("Only the matrices a are counted. Add the b.", like=lambda shapes, r: sum(r * i for i, o in shapes)),
        Mistake("Only the matrices b are counted. Add the a.", like=lambda shapes, r: sum(r * o for i, o in shapes)),
        Mistake("The rank is missing.", like=lambda shapes, r: sum(i + o for i, o in shapes)),
        Mistake(
            "Layers of the same shape are counted once. Each layer has its own a and b.",
            like=lambda shapes, r: sum(r * (i + o) for i, o in set(shapes)),
        ),
        Mistake(
            "Only the first layer is counted. Add up all of them.",
            like=lambda shapes, r: r * sum(shapes[0]) if shapes else 0,
        ),
        Mistake(
            "It is doubled: a and b are already in inputs + outputs.",
            like=lambda shapes, r: 2 * trainable(shapes, r),
        ),
    ),
)

# --- 7.4 ---


def matched(names: Sequence[str], targets: Sequence[str]) -> list[str]:
    return [name for name in names if any(name == t or name.endswith("." + t) for t in targets)]


_PHI3 = [
    f"model.layers.{i}.{part}"
    for i in range(2)
    for part in ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
]
_LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def _list_of_texts(got: Any, expected: list[str]) -> bool:
    return isinstance(got, (list, tuple)) and list(got) == expected


FOUR = Exercise(
    id="7.4",
    goal="The names that are a target, or end with a point and a target, in their order.",
    reference=matched,
    same=_list_of_texts,
    source="def matched(names, targets):\n"
    '    return [name for name in names if any(name == t or name.endswith("." + t) for t in targets)]',
    hints=(
        'The last part of a name stands behind its last point: name.split(".")[-1]. But a target may hold points too.',
        'name.endswith("." + target) asks for the point as well. Without it, qkv_proj ends with v_proj.',
        "A name without a point can equal the target: name == target.",
        "[name for name in names if any(... for target in targets)] keeps the order and names each one once.",
    ),
    cases=(
        Case((["a.qkv_proj", "a.o_proj"], ["o_proj"]), "The example."),
        Case((_PHI3, _LLAMA), "Llama's list on Phi-3's layers: qkv_proj ends with v_proj, but it is no v_proj."),
        Case((_PHI3, ["gate_up_proj", "qkv_proj"]), "The order is that of the names."),
        Case((["lm_head", "model.lm_head", "big_lm_head"], ["lm_head"]), "A name that is the target itself."),
        Case((_PHI3, ["mlp.down_proj"]), "A target with a point in it."),
        Case((_PHI3, []), "No target: nothing."),
        Case((["a.b.c", "a.c.b"], ["c", "b.c"]), "A name that two targets match is named once."),
    ),
    mistakes=(
        Mistake(
            "qkv_proj ends with v_proj, and gate_up_proj with up_proj, but PEFT does not take them: the target must "
            'be the whole part behind a point. Ask for "." + target.',
            like=lambda names, targets: [n for n in names if any(n.endswith(t) for t in targets)],
        ),
        Mistake(
            "It is enough here that the target stands anywhere in the name. It must be its end, behind a point.",
            like=lambda names, targets: [n for n in names if any(t in n for t in targets)],
        ),
        Mistake(
            "A name that equals a target counts too, although it has no point.",
            like=lambda names, targets: [n for n in names if any(n.endswith("." + t) for t in targets)],
        ),
        Mistake(
            "A target may hold points itself, such as mlp.down_proj. Compare the end of the name with the target, not "
            "only its last part.",
            like=lambda names, targets: [n for n in names if n.split(".")[-1] in targets],
        ),
        Mistake(
            "A name that two targets match is listed twice, and the order is that of the targets. Go through "
            "the names.",
            like=lambda names, targets: [n for t in targets for n in names if n == t or n.endswith("." + t)],
        ),
        Mistake(
            "These are the names that no target matches. The others were asked for.",
            like=lambda names, targets: [n for n in names if n not in matched(names, targets)],
        ),
    ),
)

# --- 7.5 ---


def training_pair(question: str, order: str) -> dict[str, list[dict[str, str]]]:
    return {
        "prompt": [{"role": "user", "content": question}],
        "completion": [{"role": "assistant", "content": order}],
    }


def _same_pair(got: Any, expected: Mapping) -> bool:
    """Lists of dictionaries, as TRL wants them: it takes a tuple for a plain text."""
    return isinstance(got, Mapping) and dict(got) == expected and all(isinstance(v, list) for v in got.values())


def _column(got: Any, name: str) -> Any:
    return got.get(name) if isinstance(got, Mapping) else None


FIVE = Exercise(
    id="7.5",
    goal='A dictionary with "prompt", a list with the user\'s message, and "completion", a list with the assistant\'s.',
    reference=training_pair,
    same=_same_pair,
    source="def training_pair(question, order):\n"
    "    return {\n"
    '        "prompt": [{"role": "user", "content": question}],\n'
    '        "completion": [{"role": "assistant", "content": order}],\n'
    "    }",
    hints=(
        'A message is a dictionary: {"role": "user", "content": question}.',
        'The dictionary to return has two keys, "prompt" and "completion". Each holds a list with one message.',
        'The completion is what the model should say: its role is "assistant".',
    ),
    cases=(
        Case(("Write it up. The seal drips.", "WO-1 / saw seal drips"), "The example."),
        Case(("two\nlines", "WO-2 / send BW-3310-S"), "Line ends stay as they are."),
        Case((" leave the spaces ", "WO-3"), "The text is copied, spaces too."),
    ),
    mistakes=(
        Mistake(
            "The values are texts. For a chat model each is a list of messages, so that the trainer sets the model's "
            "markers around them.",
            like=lambda question, order: {"prompt": question, "completion": order},
        ),
        Mistake(
            "The values are messages. Put each into a list: a prompt may have several.",
            like=lambda question, order: {
                "prompt": {"role": "user", "content": question},
                "completion": {"role": "assistant", "content": order},
            },
        ),
        Mistake(
            "The roles are swapped: the ticket comes from the user, the work order from the assistant.",
            like=lambda question, order: {
                "prompt": [{"role": "assistant", "content": question}],
                "completion": [{"role": "user", "content": order}],
            },
        ),
        Mistake(
            'Both roles are "user". The completion is the assistant\'s.',
            like=lambda question, order: {
                "prompt": [{"role": "user", "content": question}],
                "completion": [{"role": "user", "content": order}],
            },
        ),
        Mistake(
            "The texts are swapped: the ticket is the prompt.",
            like=lambda question, order: training_pair(order, question),
        ),
        Mistake(
            'This is the other form, "messages". It is a good one, but the trainer would learn the ticket too. Here '
            '"prompt" and "completion" are asked for.',
            when=lambda got, expected, args: _column(got, "messages") is not None,
        ),
        Mistake(
            "Make lists of them, with [ ]. The trainer does not take tuples for messages.",
            when=lambda got, expected, args: isinstance(_column(got, "prompt"), tuple),
        ),
    ),
)

# --- 7.6 ---


def change(weight: Any, a: Any, b: Any, alpha: float) -> float:
    update = alpha / len(a) * (b @ a)
    return float(((update**2).sum() / (weight**2).sum()) ** 0.5)


def _near(got: Any, expected: float) -> bool:
    got = _array(got)
    return got.ndim == 0 and bool(np.isclose(got, expected, rtol=1e-5, atol=1e-9))


def _upside_down(weight: Any, a: Any, b: Any, alpha: float) -> float:
    share = change(weight, a, b, alpha)
    return 1 / share if share else float("inf")


SIX = Exercise(
    id="7.6",
    goal="The norm of the adapter's change, alpha / r times b @ a, divided by the norm of the frozen weight.",
    reference=change,
    same=_near,
    source="def change(weight, a, b, alpha):\n"
    "    update = alpha / len(a) * (b @ a)\n"
    "    return float(((update**2).sum() / (weight**2).sum()) ** 0.5)",
    hints=(
        "First the change itself, a matrix as large as the weight: alpha / r * (b @ a), as in exercise 7.2.",
        "The norm of a matrix here: square all its numbers, add them up, take the square root.",
        "np.linalg.norm(matrix) does that for an array. Divide the norm of the change by the norm of the weight.",
    ),
    cases=(
        Case(
            (np.eye(2), np.array([[3.0, 4.0]]), np.array([[1.0], [0.0]]), 1.0),
            "The example: the change has the norm 5, the weight the square root of 2.",
        ),
        Case((_W, _A, _B, 4.0), "r is 2 and alpha 4."),
        Case((_W, _A, np.zeros_like(_B), 4.0), "b is all zeros: no change, 0.0."),
        Case((_TALL[1], _TALL[2], _TALL[3], 3.0), "Rank 1, five outputs."),
        Case((_SQUARE[1], _SQUARE[2], _SQUARE[3], 6.0), "As many inputs as outputs."),
        Case((10 * _W, _A, _B, 4.0), "A weight ten times as large: a tenth of the share."),
    ),
    mistakes=(
        Mistake(
            "The scale alpha / r is missing.",
            like=lambda w, a, b, alpha: float(np.linalg.norm(b @ a) / np.linalg.norm(w)),
        ),
        Mistake(
            "The change is multiplied by alpha. It should be alpha / r.",
            like=lambda w, a, b, alpha: float(alpha * np.linalg.norm(b @ a) / np.linalg.norm(w)),
        ),
        Mistake(
            "This is the norm of the change alone. Divide by the norm of the weight.",
            like=lambda w, a, b, alpha: float(alpha / len(a) * np.linalg.norm(b @ a)),
        ),
        Mistake(
            "The square root is missing.",
            like=lambda w, a, b, alpha: change(w, a, b, alpha) ** 2,
        ),
        Mistake(
            "The norms of a and b are multiplied. The norm of a product is smaller: build b @ a first.",
            like=lambda w, a, b, alpha: float(
                alpha / len(a) * np.linalg.norm(a) * np.linalg.norm(b) / np.linalg.norm(w)
            ),
        ),
        Mistake(
            "This compares the merged weight with the frozen one. The change itself was asked for.",
            like=lambda w, a, b, alpha: float(np.linalg.norm(w + alpha / len(a) * (b @ a)) / np.linalg.norm(w)),
        ),
        Mistake(
            "The fraction is upside down: the change above, the weight below.",
            like=_upside_down,
        ),
    ),
)

EXERCISES = [ONE, TWO, THREE, FOUR, FIVE, SIX]

QUIZ = [
    Question(
        "7.1",
        "A fresh adapter has b = 0. What does the model with it answer?",
        (
            Option("The same as without it.", True, "The detour through b gives zero, whatever a is."),
            Option("Noise, until it is trained.", False, "a is random, but b is zero, and so is their product."),
            Option("Nothing.", False, "The frozen layer still gives its part."),
        ),
    ),
    Question(
        "7.2",
        "You name q_proj, k_proj, v_proj, o_proj as targets on a Phi-3. What happens?",
        (
            Option("PEFT stops with an error.", False, "It stops only where no name matches. o_proj does."),
            Option(
                "Only o_proj gets an adapter, and nothing warns you.",
                True,
                "Phi-3 has one fused qkv_proj, which none of the other names matches. Assert what was adapted.",
            ),
            Option("qkv_proj gets three adapters.", False, "PEFT compares names; it does not know what was fused."),
        ),
    ),
    Question(
        "7.3",
        "Which of these does LoRA save, compared with full fine-tuning? Several may be right.",
        (
            Option("Memory for gradients and the optimizer.", True, "They exist for the trained numbers only."),
            Option("Disk space for each variant.", True, "Only the adapter is kept; the base is shared."),
            Option("The forward pass through the frozen weights.", False, "They still take part in every step."),
            Option("The memory of the weights themselves.", False, "They are all there. Lesson 08 makes them smaller."),
        ),
    ),
    Question(
        "7.4",
        "Why merge an adapter into the weights before you serve the model?",
        (
            Option("The answers get better.", False, "They are the same, but for rounding."),
            Option(
                "The detour costs time in every layer; a merged model has none and needs no PEFT.",
                True,
                "It is a plain model again. In exchange, you can no longer switch the adapter off.",
            ),
            Option("The file gets smaller.", False, "It has the size of the whole model."),
        ),
    ),
    Question(
        "7.5",
        "A tuned model writes perfect work orders, and answers general questions worse than before. What is that?",
        (
            Option("Overfitting to the test tickets.", False, "The test tickets were not trained on."),
            Option(
                "Forgetting: training for one thing changed weights that served another.",
                True,
                "Measure it on questions from outside the task, before and after. Switching the adapter off undoes it.",
            ),
            Option("A rounding error.", False, "Rounding does not change whole answers in this way."),
        ),
    ),
]
