"""Lesson 08, QLoRA: integers, scales of blocks, NF4's levels, rounding by blocks, bits per weight, a memory plan."""

from statistics import NormalDist
from typing import Any

import numpy as np

from expert.exercises import Case, Exercise, Mistake, Option, Question
from expert.quantization import LLAMA_65B, PHI3_MINI, Shape


def _array(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=float)


def _number(value: Any) -> float | None:
    """A single number, also from numpy or torch; None for anything else."""
    if isinstance(value, (str, bool)) or value is None:
        return None
    array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    return float(array) if array.ndim == 0 and array.dtype.kind in "iuf" else None


def _near(got: Any, expected: float) -> bool:
    number = _number(got)
    return number is not None and bool(np.isclose(number, expected, rtol=1e-6, atol=1e-9))


def _near_bytes(got: Any, expected: float) -> bool:
    """As ``_near``, but 4.127 bits may also be 4.126953, as ``bits_each`` gives it."""
    number = _number(got)
    return number is not None and bool(np.isclose(number, expected, rtol=1e-4, atol=1e-9))


def _whole_bytes(got: Any, expected: float) -> bool:
    """The same, and a number of bytes may be a whole one."""
    number = _number(got)
    return _near_bytes(got, expected) or (number is not None and number.is_integer() and abs(number - expected) < 1)


def _near_list(got: Any, expected: Any) -> bool:
    got = np.asarray(got.detach() if hasattr(got, "detach") else got)
    expected = np.asarray(expected)
    if got.dtype.kind not in "iuf" or got.shape != expected.shape:
        return False
    return bool(np.allclose(got.astype(float), expected, rtol=1e-5, atol=1e-7))


def _largest(values: Any) -> float:
    return float(np.abs(_array(values)).max())


# --- 8.1 ---


def to_int8(values: Any) -> tuple[list[int], float]:
    scale = max(abs(v) for v in values) / 127
    codes = [round(v / scale) if scale else 0 for v in values]
    return codes, scale


def _same_codes(got: Any, expected: tuple[list[int], float]) -> bool:
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        return False
    codes = np.asarray(got[0].detach() if hasattr(got[0], "detach") else got[0])
    whole = codes.dtype.kind in "iuf" and codes.shape == (len(expected[0]),)
    return whole and codes.astype(float).tolist() == expected[0] and _near(got[1], expected[1])


def _pair(got: Any) -> bool:
    return isinstance(got, (tuple, list)) and len(got) == 2


def _with_scale(scale_of: Any) -> Any:
    """The same with another scale."""

    def wrong(values: Any) -> tuple[list[int], float]:
        scale = scale_of(values)
        return [round(v / scale) if scale else 0 for v in values], scale

    return wrong


ONE = Exercise(
    id="8.1",
    goal="Whole numbers from -127 to 127 for the values, and the scale that turns them back: (codes, scale).",
    reference=to_int8,
    same=_same_codes,
    source="def to_int8(values):\n"
    "    scale = max(abs(v) for v in values) / 127\n"
    "    codes = [round(v / scale) if scale else 0 for v in values]\n"
    "    return codes, scale",
    hints=(
        "The value with the largest magnitude, whatever its sign, must become 127 or -127. Which scale does that?",
        "scale = max(abs(v) for v in values) / 127",
        "Each code is round(v / scale). Where all values are 0 the scale is 0: the codes are 0 then.",
        "Return both: return codes, scale",
    ),
    cases=(
        Case(([0.6, -1.0, 0.25],), "The example: the scale is 1 / 127, and -1.0 becomes -127."),
        Case(([2.0, 1.1, 0.1],), "The largest is 2.0: the scale is 2 / 127."),
        Case(([-3.0, 0.7, 2.9],), "The largest magnitude belongs to a negative value."),
        Case(([0.0, 0.0],), "Only zeros: codes 0, scale 0, and no division by zero."),
        Case(([1e-4, -3e-4],), "Small values use the whole reach too."),
        Case(([0.013, -0.4, 0.31, 12.7, -6.0],), "One large value takes most of the codes for itself."),
    ),
    mistakes=(
        Mistake(
            "First the codes, then the scale.",
            when=lambda got, expected, args: _pair(got) and _number(got[0]) is not None and _number(got[1]) is None,
        ),
        Mistake(
            "Codes and scale were asked for, in this order: return codes, scale.",
            when=lambda got, expected, args: not _pair(got) or _number(got[0]) is not None,
        ),
        Mistake(
            "The codes are not whole numbers. round(...) makes them whole.",
            when=lambda got, expected, args: (
                _near(got[1], expected[1]) and _near_list(_array(got[0]).round(), expected[0])
            ),
        ),
        Mistake(
            "The scale is taken from the largest value, not from the largest magnitude. -3 is larger than 2.9 in that "
            "sense: abs(v).",
            like=_with_scale(lambda values: max(values) / 127),
        ),
        Mistake(
            "It divides by 128. The codes end at 127, so that the same reach exists on both sides.",
            like=_with_scale(lambda values: max(abs(v) for v in values) / 128),
        ),
        Mistake(
            "It divides by 255, so only half of the codes are used. The largest magnitude must become 127.",
            like=_with_scale(lambda values: max(abs(v) for v in values) / 255),
        ),
        Mistake(
            "The digits after the point are cut off. Round to the nearest whole number: round(...).",
            like=lambda values: ([int(v / s) if (s := to_int8(values)[1]) else 0 for v in values], to_int8(values)[1]),
        ),
        Mistake(
            "The scale is upside down: it should turn a code back into a value when you multiply with it.",
            like=lambda values: (to_int8(values)[0], 1 / to_int8(values)[1] if to_int8(values)[1] else 0.0),
        ),
    ),
)

# --- 8.2 ---


def block_scales(values: Any, block: int) -> list[float]:
    return [max(abs(v) for v in values[i : i + block]) for i in range(0, len(values), block)]


TWO = Exercise(
    id="8.2",
    goal="The largest magnitude of each block of values, in order; the last block may be shorter.",
    reference=block_scales,
    same=_near_list,
    source="def block_scales(values, block):\n"
    "    return [max(abs(v) for v in values[i : i + block]) for i in range(0, len(values), block)]",
    hints=(
        "The blocks begin at 0, block, 2 * block, ...: range(0, len(values), block).",
        "values[i : i + block] is the block that begins at i. At the end it is shorter by itself.",
        "Of each block you want max(abs(v) for v in ...).",
    ),
    cases=(
        Case(([0.1, -0.4, 2.0, 1.0], 2), "The example: two blocks of two."),
        Case(([1.0, 2.0, 3.0], 3), "One block."),
        Case(([-5.0, 1.0, 0.5, -0.25, 0.125], 2), "Five values in blocks of two: the last block has one value."),
        Case(([0.0, 0.0, -7.0], 1), "Blocks of one value: all magnitudes."),
        Case(([0.3, -0.2], 64), "Fewer values than a block holds: one scale."),
        Case((np.array([0.5, -2.5, 1.5, 0.1, 0.2, -0.3, 9.0]), 3), "An array; the last block has one value."),
    ),
    mistakes=(
        Mistake(
            "The last block is missing where it is shorter than the others.",
            like=lambda values, block: block_scales(values[: len(values) // block * block], block),
        ),
        Mistake(
            "These are the largest values. The largest magnitudes were asked for: abs(v).",
            like=lambda values, block: [max(values[i : i + block]) for i in range(0, len(values), block)],
        ),
        Mistake(
            "This is one scale for all values. Take one for each block.", like=lambda values, block: [_largest(values)]
        ),
        Mistake(
            "The values are dealt out to the blocks in turn. A block is a run of neighbours: values[i : i + block].",
            like=lambda values, block: [_largest(values[i::block]) for i in range(min(block, len(values)))],
        ),
        Mistake(
            "This makes that many blocks. The second input says how many values a block holds.",
            like=lambda values, block: [_largest(part) for part in np.array_split(_array(values), block) if len(part)],
        ),
        Mistake(
            "The blocks overlap: the next one begins where the last one ended, not one value further on.",
            like=lambda values, block: [_largest(values[i : i + block]) for i in range(len(values))],
        ),
        Mistake(
            "These are means. The largest magnitude of each block was asked for.",
            like=lambda values, block: [
                float(np.abs(_array(values[i : i + block])).mean()) for i in range(0, len(values), block)
            ],
        ),
    ),
)

# --- 8.3 ---


def normal_levels(edge: float, above: int, below: int) -> np.ndarray:
    quantile = NormalDist().inv_cdf
    high = [quantile(p) for p in np.linspace(edge, 0.5, above + 1)[:-1]]
    low = [-quantile(p) for p in np.linspace(edge, 0.5, below + 1)[:-1]]
    levels = np.sort([*low, 0.0, *high])
    return levels / levels.max()


def _undivided(edge: float, above: int, below: int) -> np.ndarray:
    return normal_levels(edge, above, below) * NormalDist().inv_cdf(edge)


THREE = Exercise(
    id="8.3",
    goal="Levels from quantiles of the normal distribution: some above zero, some below, and 0 itself, divided by the "
    "largest, in rising order.",
    reference=normal_levels,
    same=_near_list,
    source="import numpy as np\nfrom statistics import NormalDist\n\n\n"
    "def normal_levels(edge, above, below):\n"
    "    quantile = NormalDist().inv_cdf\n"
    "    high = [quantile(p) for p in np.linspace(edge, 0.5, above + 1)[:-1]]\n"
    "    low = [-quantile(p) for p in np.linspace(edge, 0.5, below + 1)[:-1]]\n"
    "    levels = np.sort([*low, 0.0, *high])\n"
    "    return levels / levels.max()",
    hints=(
        "NormalDist().inv_cdf(0.97) is the value that 97 % of all draws lie below.",
        "np.linspace(edge, 0.5, above + 1) goes from edge to 0.5. Its last point is 0.5, whose quantile is 0: leave "
        "it out with [:-1], or 0 would come twice.",
        "The levels below zero are made in the same way with below, and get a minus.",
        "Put both and one 0.0 into a list, np.sort it, and divide by its largest.",
    ),
    cases=(
        Case((0.9, 2, 1), "The example: two levels above zero, one below."),
        Case((0.9677083, 8, 7), "The 16 levels of NF4."),
        Case((0.95, 4, 3), "Eight levels: 3 bits."),
        Case((0.99, 1, 1), "Three levels: -1, 0 and 1."),
        Case((0.9, 3, 3), "As many above as below."),
    ),
    mistakes=(
        Mistake(
            "The point 0.5 is still in it. Its quantile is 0, so 0 stands there three times. Leave it out: [:-1].",
            like=lambda edge, above, below: np.sort([0.0, 0.0, *normal_levels(edge, above, below)]),
        ),
        Mistake("They are not divided by the largest. NF4's levels end at 1.", like=_undivided),
        Mistake(
            "0 is missing. A weight of 0 must stay 0.",
            like=lambda edge, above, below: np.delete(normal_levels(edge, above, below), below),
        ),
        Mistake(
            "The numbers above and below are swapped.",
            like=lambda edge, above, below: normal_levels(edge, below, above),
        ),
        Mistake(
            "These levels are evenly spaced. Take the probabilities evenly, and then the quantile of each.",
            like=lambda edge, above, below: np.concatenate(
                [-np.arange(below, 0, -1) / below, [0.0], np.arange(1, above + 1) / above]
            ),
        ),
        Mistake(
            "The right levels, but not from the smallest to the largest.",
            when=lambda got, expected, args: _near_list(np.sort(_array(got)), expected),
        ),
    ),
)

# --- 8.4 ---


def rounded(values: Any, levels: Any, block: int) -> np.ndarray:
    values, levels = np.asarray(values, dtype=float), np.asarray(levels)
    near = np.zeros_like(values)
    for start in range(0, len(values), block):
        part = values[start : start + block]
        scale = np.abs(part).max()
        if scale:
            nearest = np.abs(part[:, None] / scale - levels[None, :]).argmin(axis=1)
            near[start : start + block] = levels[nearest] * scale
    return near


def _levels_below(values: Any, levels: Any, block: int) -> np.ndarray:
    """Rounding down in place of rounding to the nearest."""
    values, levels, near = _array(values), _array(levels), []
    for start in range(0, len(values), block):
        part = values[start : start + block]
        scale = np.abs(part).max() or 1.0
        near.append(levels[np.maximum(np.searchsorted(levels, part / scale, side="right") - 1, 0)] * scale)
    return np.concatenate(near)


def _numbers_of_levels(values: Any, levels: Any, block: int) -> list[int]:
    return [int(np.abs(_array(levels) - v).argmin()) for v in _unscaled(values, levels, block)]


def _unscaled(values: Any, levels: Any, block: int) -> np.ndarray:
    scales = np.repeat([s or 1.0 for s in block_scales(list(_array(values)), block)], block)[: len(values)]
    return rounded(values, levels, block) / scales


_THREE_LEVELS = [-1.0, 0.0, 1.0]
_FEW = [-1.0, -0.4, 0.0, 0.3, 1.0]
_DRAWN = np.random.default_rng(8).normal(size=50).round(4)

FOUR = Exercise(
    id="8.4",
    goal="Each value replaced by the nearest level times the largest magnitude of its block.",
    reference=rounded,
    same=_near_list,
    source="import numpy as np\n\n\n"
    "def rounded(values, levels, block):\n"
    "    values, levels = np.asarray(values, dtype=float), np.asarray(levels)\n"
    "    near = np.zeros_like(values)\n"
    "    for start in range(0, len(values), block):\n"
    "        part = values[start : start + block]\n"
    "        scale = np.abs(part).max()\n"
    "        if scale:\n"
    "            nearest = np.abs(part[:, None] / scale - levels[None, :]).argmin(axis=1)\n"
    "            near[start : start + block] = levels[nearest] * scale\n"
    "    return near",
    hints=(
        "Go block by block, as in 8.2: for start in range(0, len(values), block).",
        "Divide the block by its scale. Now all values lie from -1 to 1, as the levels do.",
        "For one value v: min(levels, key=lambda level: abs(level - v)) is the nearest level. With numpy, "
        "np.abs(part[:, None] - levels[None, :]).argmin(axis=1) finds it for the whole block.",
        "Multiply the levels by the scale again. A block of zeros has scale 0: leave it as it is.",
    ),
    cases=(
        Case(([0.9, -2.0, 0.1, 0.4], _THREE_LEVELS, 2), "The example: blocks (0.9, -2.0) and (0.1, 0.4)."),
        Case(([0.9, -2.0, 0.1, 0.4], _THREE_LEVELS, 4), "The same values in one block."),
        Case(([1.0, 0.31, -0.45, 0.1, 0.05], _FEW, 5), "Levels that are not evenly spaced, nor alike on both sides."),
        Case(([0.0, 0.0, 3.0], _FEW, 2), "A block of zeros stays as it is; the last block is shorter."),
        Case((_DRAWN, np.linspace(-1, 1, 15), 16), "50 drawn values in blocks of 16."),
        Case((_DRAWN, _FEW, 1), "Blocks of one value: the scale is its magnitude."),
    ),
    mistakes=(
        Mistake("The levels are not multiplied by the scale again.", like=_unscaled),
        Mistake(
            "One scale is used for all values. Each block has its own.",
            like=lambda values, levels, block: rounded(values, levels, len(values)),
        ),
        Mistake("It takes the level below the value. Take the nearest one, on either side.", like=_levels_below),
        Mistake(
            "Those are the numbers of the levels. The levels themselves, times the scale, were asked for.",
            like=_numbers_of_levels,
        ),
        Mistake(
            "A block of zeros gives nan (0 divided by 0). Leave such a block as it is.",
            when=lambda got, expected, args: bool(np.isnan(_array(got)).any()),
        ),
    ),
)

# --- 8.5 ---


def bits_each(bits: float, block: int, second_block: int | None) -> float:
    if second_block is None:
        return bits + 32 / block
    return bits + 8 / block + 32 / (block * second_block)


FIVE = Exercise(
    id="8.5",
    goal="The bits that one weight costs with its share of the scales, without and with double quantisation.",
    reference=bits_each,
    same=_near,
    source="def bits_each(bits, block, second_block):\n"
    "    if second_block is None:\n"
    "        return bits + 32 / block\n"
    "    return bits + 8 / block + 32 / (block * second_block)",
    hints=(
        "A scale of 32 bits is shared by all values of its block: each one carries 32 / block bits of it.",
        "With double quantisation a scale takes 8 bits, so 8 / block.",
        "The second scale of 32 bits is shared by second_block scales, and each of those by block weights.",
    ),
    cases=(
        Case((4, 64, None), "The example: 4 + 32 / 64."),
        Case((4, 64, 256), "Double quantisation, as in the QLoRA paper."),
        Case((8, 1000, None), "8 bits, one scale for 1,000 weights."),
        Case((4, 32, None), "Smaller blocks cost more."),
        Case((3, 128, 64), "Other numbers: all three inputs count."),
        Case((4, 1, None), "A scale for each weight: more than it saves."),
    ),
    mistakes=(
        Mistake(
            "The scale counts in full. All weights of a block share it: divide it by block.",
            like=lambda bits, block, second_block: bits + 32 if second_block is None else bits + 8 + 32,
        ),
        Mistake(
            "With a second block nothing changes here. The scales are rounded then: 8 bits each, and a second scale.",
            like=lambda bits, block, second_block: bits + 32 / block,
        ),
        Mistake(
            "With double quantisation the first scale still counts 32 bits. It takes 8 then.",
            like=lambda bits, block, second_block: (
                bits + 32 / block + (0 if second_block is None else 32 / (block * second_block))
            ),
        ),
        Mistake(
            "The second scale is missing: 32 bits, shared by block times second_block weights.",
            like=lambda bits, block, second_block: bits + (32 if second_block is None else 8) / block,
        ),
        Mistake(
            "The second scale is divided by second_block only. Each of the scales it serves serves block weights.",
            like=lambda bits, block, second_block: (
                bits_each(bits, block, None) if second_block is None else bits + 8 / block + 32 / second_block
            ),
        ),
        Mistake(
            "These are bytes. Bits were asked for.",
            like=lambda bits, block, second_block: bits_each(bits, block, second_block) / 8,
        ),
        Mistake(
            "This is the share of the scales alone. Add the bits of the weight itself.",
            like=lambda bits, block, second_block: bits_each(0, block, second_block),
        ),
        Mistake(
            "The scales are taken off. They cost bits: add them.",
            like=lambda bits, block, second_block: 2 * bits - bits_each(bits, block, second_block),
        ),
    ),
)

# --- 8.6 ---


def fixed_bytes(linear: int, other: int, adapter: int, method: str) -> float:
    if method == "full":
        return (linear + other) * (2 + 2 + 8)
    base = linear * (2 if method == "lora" else 4.127 / 8) + other * 2
    return base + adapter * (4 + 4 + 8)


def _fixed(base: Any = None, other_bytes: Any = None, trained: float = 16, full: float = 12) -> Any:
    """The same with other numbers of bytes."""

    def wrong(linear: int, other: int, adapter: int, method: str) -> float:
        if method == "full":
            return (linear + other) * full
        mine = (base or {"lora": 2, "qlora": 4.127 / 8})[method]
        return linear * mine + other * (mine if other_bytes == "as linear" else 2) + adapter * trained

    return wrong


SIX = Exercise(
    id="8.6",
    goal="The bytes that stay the same whatever the batch: base, adapter, gradients and optimizer.",
    reference=fixed_bytes,
    same=_whole_bytes,
    source="def fixed_bytes(linear, other, adapter, method):\n"
    '    if method == "full":\n'
    "        return (linear + other) * (2 + 2 + 8)\n"
    '    base = linear * (2 if method == "lora" else 4.127 / 8) + other * 2\n'
    "    return base + adapter * (4 + 4 + 8)",
    hints=(
        "Full tuning has no adapter. Each weight, linear or other, costs 2 + 2 + 8 bytes.",
        "With lora and qlora the base has no gradient and no optimizer: 2 bytes a weight, or 4.127 / 8 for the linear "
        "ones with qlora.",
        "The adapter's weights cost 4 + 4 + 8 bytes each, with both methods.",
    ),
    cases=(
        Case((100, 10, 5, "lora"), "The example: 110 weights of 2 bytes, and 5 of 16 bytes."),
        Case((100, 10, 5, "full"), "Full tuning: 12 bytes for each of 110 weights; there is no adapter."),
        Case((100, 10, 5, "qlora"), "Only the linear weights are in 4 bits; the other ten keep 2 bytes."),
        Case((3_623_878_656, 197_200_896, 50_331_648, "qlora"), "About the size of Phi-3-mini."),
        Case((3_623_878_656, 197_200_896, 50_331_648, "full"), "The same, all weights trained."),
        Case((1000, 0, 0, "qlora"), "No adapter yet: the base alone."),
    ),
    mistakes=(
        Mistake(
            "All weights are counted in 4 bits. Embedding, output layer and norms keep 2 bytes each.",
            like=_fixed(other_bytes="as linear"),
        ),
        Mistake("4.127 are bits. A byte has 8 of them.", like=_fixed(base={"lora": 2, "qlora": 4.127})),
        Mistake(
            "The scales are forgotten: with them a 4-bit weight costs 4.127 bits.",
            like=_fixed(base={"lora": 2, "qlora": 0.5}),
        ),
        Mistake(
            "Gradients and optimizer of the adapter are missing: 4 + 4 + 8 bytes for each of its weights.",
            like=_fixed(trained=4),
        ),
        Mistake(
            "The optimizer of the adapter is missing: two numbers of 4 bytes for each of its weights.",
            like=_fixed(trained=8),
        ),
        Mistake(
            "The base gets gradients and an optimizer too. It is frozen: only the adapter has them.",
            like=lambda linear, other, adapter, method: (
                fixed_bytes(linear, other, adapter, method) + (0 if method == "full" else 10 * (linear + other))
            ),
        ),
        Mistake(
            "Full tuning trains the weights themselves and has no adapter.",
            like=lambda linear, other, adapter, method: (
                fixed_bytes(linear, other, adapter, method) + (16 * adapter if method == "full" else 0)
            ),
        ),
        Mistake(
            "This is in GB. Bytes were asked for.",
            like=lambda linear, other, adapter, method: fixed_bytes(linear, other, adapter, method) / 1e9,
        ),
    ),
)

# --- 8.7 ---


def plan(shape: Shape, method: str, batch: int, length: int) -> float:
    fixed = fixed_bytes(shape.linear_weights, shape.other_weights, shape.adapter_weights(16), method)
    per_token = shape.layers * (32 * shape.hidden + 10 * shape.mlp) + 10 * shape.vocab
    return (fixed + batch * length * per_token) / 1e9


def _plan(per_token: Any = None, tokens: Any = None) -> Any:
    def wrong(shape: Shape, method: str, batch: int, length: int) -> float:
        fixed = fixed_bytes(shape.linear_weights, shape.other_weights, shape.adapter_weights(16), method)
        right = shape.layers * (32 * shape.hidden + 10 * shape.mlp) + 10 * shape.vocab
        count = tokens(batch, length) if tokens else batch * length
        return (fixed + count * (per_token(shape) if per_token else right)) / 1e9

    return wrong


_SMALL = Shape(layers=2, hidden=64, mlp=128, heads=2, kv_heads=2, vocab=1000, tied=True, fused=True)

SEVEN = Exercise(
    id="8.7",
    goal="The GB that training takes: what is fixed, and what each token of the batch leaves behind.",
    reference=plan,
    same=_near_bytes,
    source="def fixed_bytes(linear, other, adapter, method):\n"
    '    if method == "full":\n'
    "        return (linear + other) * (2 + 2 + 8)\n"
    '    base = linear * (2 if method == "lora" else 4.127 / 8) + other * 2\n'
    "    return base + adapter * (4 + 4 + 8)\n\n\n"
    "def plan(shape, method, batch, length):\n"
    "    fixed = fixed_bytes(shape.linear_weights, shape.other_weights, shape.adapter_weights(16), method)\n"
    "    per_token = shape.layers * (32 * shape.hidden + 10 * shape.mlp) + 10 * shape.vocab\n"
    "    return (fixed + batch * length * per_token) / 1e9",
    hints=(
        "fixed = fixed_bytes(shape.linear_weights, shape.other_weights, shape.adapter_weights(16), method)",
        "Bytes of one token: shape.layers * (32 * shape.hidden + 10 * shape.mlp), and 10 * shape.vocab once.",
        "A step has batch * length tokens. Add both parts, and divide by 1e9 for GB.",
    ),
    cases=(
        Case((_SMALL, "lora", 1, 10), "A very small model, 10 tokens."),
        Case((PHI3_MINI, "qlora", 1, 512), "The example: Phi-3-mini."),
        Case((PHI3_MINI, "lora", 4, 512), "Four sequences: four times the tokens."),
        Case((PHI3_MINI, "full", 1, 1), "One token, all weights trained."),
        Case((LLAMA_65B, "qlora", 1, 512), "Another model, whose linear layers are not fused."),
        Case((_SMALL, "qlora", 3, 7), "A batch and a length that are both odd."),
    ),
    mistakes=(
        Mistake(
            "The batch is forgotten: a step has batch * length tokens.", like=_plan(tokens=lambda batch, length: length)
        ),
        Mistake(
            "A step has batch * length tokens, not batch + length.",
            like=_plan(tokens=lambda batch, length: batch + length),
        ),
        Mistake(
            "Only one block is counted. Each of shape.layers blocks keeps its own.",
            like=_plan(lambda s: 32 * s.hidden + 10 * s.mlp + 10 * s.vocab),
        ),
        Mistake(
            "The vocabulary is multiplied by the blocks. The logits exist once, behind the last block.",
            like=_plan(lambda s: s.layers * (32 * s.hidden + 10 * s.mlp + 10 * s.vocab)),
        ),
        Mistake(
            "The logits are missing: 10 * shape.vocab bytes for each token.",
            like=_plan(lambda s: s.layers * (32 * s.hidden + 10 * s.mlp)),
        ),
        Mistake(
            "Only what tokens leave behind is counted. Add the fixed bytes.",
            like=lambda shape, method, batch, length: (
                batch * length * (shape.layers * (32 * shape.hidden + 10 * shape.mlp) + 10 * shape.vocab) / 1e9
            ),
        ),
        Mistake(
            "Only the fixed bytes are counted. Add what the tokens leave behind.",
            like=_plan(tokens=lambda batch, length: 0),
        ),
        Mistake(
            "These are bytes. Divide by 1e9 for GB.",
            like=lambda shape, method, batch, length: plan(shape, method, batch, length) * 1e9,
        ),
        Mistake(
            "This is in GiB, of 2**30 bytes. GB of 1e9 bytes were asked for.",
            like=lambda shape, method, batch, length: plan(shape, method, batch, length) * 1e9 / 2**30,
        ),
    ),
)

EXERCISES = [ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN]

QUIZ = [
    Question(
        "8.1",
        "What does QLoRA keep in 4 bits?",
        (
            Option("The adapter.", False, "It is trained, and small steps would be lost in 4 bits."),
            Option("The optimizer's numbers.", False, "They belong to the adapter and stay in 32 bits here."),
            Option("The frozen linear layers of the base.", True, "They are the bulk of the weights and never change."),
            Option("What the forward pass keeps for the backward pass.", False, "It stays in 16 and 32 bits."),
        ),
    ),
    Question(
        "8.2",
        "One weight of a layer is a hundred times larger than all others. What limits the damage when it is rounded?",
        (
            Option("One scale for the whole layer.", False, "Then most weights round to zero."),
            Option("One scale for each block of 64 weights.", True, "Only the block of the large weight loses."),
            Option("Double quantisation.", False, "It makes the scales smaller, not the rounding better."),
        ),
    ),
    Question(
        "8.3",
        "Your run in NF4 needs too much memory. The base takes 2 GB of 11. What helps most?",
        (
            Option("A base in 3 bits.", False, "Even without any base, most of the 11 GB would stay."),
            Option("A smaller batch or shorter texts.", True, "What tokens leave behind grows with their number."),
            Option(
                "Gradient checkpointing: keep less in the forward pass and compute it again.",
                True,
                "It trades time for memory.",
            ),
        ),
    ),
    Question(
        "8.4",
        "In QLoRA, how does the gradient reach the adapter of the first block?",
        (
            Option("It does not: only the last block is trained.", False, "Every adapter gets its gradient."),
            Option("The 4-bit weights are trained a little too.", False, "They are frozen."),
            Option(
                "Through the 4-bit layers, whose weights are written out in 16 bits for the moment.",
                True,
                "They pass the gradient on, but keep none of their own.",
            ),
        ),
    ),
    Question(
        "8.5",
        "Somebody says that QLoRA is 30 % slower. What do you ask first?",
        (
            Option("On which hardware, and with which layers and lengths?", True, "The extra work depends on both."),
            Option("Which learning rate?", False, "It changes what is learnt, not how long a step takes."),
            Option(
                "More time for each step, or fewer tokens a second?",
                True,
                "30 % more time is 23 % fewer tokens a second.",
            ),
        ),
    ),
]
