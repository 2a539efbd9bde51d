"""Other right answers and usual wrong ones for the exercises of lesson 08.

RIGHT: answers that the check must take. WRONG: answers that it must turn away, each with words that its message holds.
The lambdas and functions are what learners write; they are not tidied up.
"""

# ruff: noqa: B905, B007, C408, C417, E731, RET503, RET505, SIM

import math
from statistics import NormalDist

import numpy as np
import torch


def int8_numpy(values):
    v = np.array(values, dtype=float)
    s = np.abs(v).max() / 127
    if s == 0:
        return np.zeros(len(v), dtype=int), 0
    return np.round(v / s).astype(np.int8), s


def int8_torch(values):
    v = torch.tensor(values, dtype=torch.float64)
    s = v.abs().max() / 127
    return torch.round(torch.nan_to_num(v / s)).to(torch.int8), s


def int8_loop(values):
    biggest = 0
    for v in values:
        if abs(v) > biggest:
            biggest = abs(v)
    scale = biggest / 127
    out = []
    for v in values:
        out.append(int(math.floor(v / scale + 0.5)) if scale > 0 else 0)
    return [out, scale]


def int8_no_zero_care(values):
    scale = max(abs(v) for v in values) / 127
    return [round(v / scale) for v in values], scale


def int8_largest(values):
    scale = max(values) / 127
    return [round(v / scale) if scale else 0 for v in values], scale


def int8_128(values):
    scale = max(abs(v) for v in values) / 128
    return [round(v / scale) if scale else 0 for v in values], scale


def int8_cut(values):
    scale = max(abs(v) for v in values) / 127
    return [int(v / scale) if scale else 0 for v in values], scale


def int8_swapped(values):
    scale = max(abs(v) for v in values) / 127
    return scale, [round(v / scale) if scale else 0 for v in values]


def int8_not_whole(values):
    scale = max(abs(v) for v in values) / 127
    return [v / scale if scale else 0 for v in values], scale


def scales_loop(values, block):
    out = []
    i = 0
    while i < len(values):
        part = np.abs(np.array(values[i : i + block]))
        out.append(part.max())
        i += block
    return out


def scales_numpy(values, block):
    v = np.abs(np.asarray(values, dtype=float))
    n = -(-len(v) // block)
    return np.pad(v, (0, n * block - len(v))).reshape(n, block).max(axis=1)


def scales_short_lost(values, block):
    return [max(abs(v) for v in values[i * block : (i + 1) * block]) for i in range(len(values) // block)]


def levels_torch(edge, above, below):
    normal = torch.distributions.Normal(0.0, 1.0)
    up = normal.icdf(torch.linspace(edge, 0.5, above + 1, dtype=torch.float64))[:-1]
    down = -normal.icdf(torch.linspace(edge, 0.5, below + 1, dtype=torch.float64))[:-1]
    out = torch.cat([down, torch.zeros(1, dtype=torch.float64), up]).sort().values
    return out / out.max()


def levels_by_hand(edge, above, below):
    q = NormalDist().inv_cdf
    out = [0]
    for i in range(above):
        out.append(q(edge + (0.5 - edge) * i / above))
    for i in range(below):
        out.append(-q(edge + (0.5 - edge) * i / below))
    top = max(out)
    return sorted(x / top for x in out)


def levels_not_divided(edge, above, below):
    q = NormalDist().inv_cdf
    high = [q(p) for p in np.linspace(edge, 0.5, above + 1)[:-1]]
    low = [-q(p) for p in np.linspace(edge, 0.5, below + 1)[:-1]]
    return np.sort([*low, 0.0, *high])


def levels_unsorted(edge, above, below):
    levels = levels_not_divided(edge, above, below)
    return (levels / levels.max())[::-1]


def levels_no_zero(edge, above, below):
    levels = levels_by_hand(edge, above, below)
    return [x for x in levels if x != 0]


def rounded_by_min(values, levels, block):
    out = []
    for start in range(0, len(values), block):
        part = list(values[start : start + block])
        scale = max(abs(v) for v in part)
        for v in part:
            out.append(min(levels, key=lambda level: abs(level * scale - v)) * scale)
    return out


def rounded_by_search(values, levels, block):
    levels = np.asarray(levels)
    middles = (levels[1:] + levels[:-1]) / 2
    out = []
    for start in range(0, len(values), block):
        part = np.asarray(values[start : start + block], dtype=float)
        scale = np.abs(part).max()
        out.append(levels[np.searchsorted(middles, part / (scale or 1))] * scale)
    return np.concatenate(out)


def rounded_one_scale(values, levels, block):
    scale = max(abs(v) for v in values)
    return [min(levels, key=lambda level: abs(level - v / scale)) * scale for v in values]


def rounded_not_back(values, levels, block):
    out = []
    for start in range(0, len(values), block):
        part = list(values[start : start + block])
        scale = max(abs(v) for v in part) or 1
        out += [min(levels, key=lambda level: abs(level - v / scale)) for v in part]
    return out


def rounded_nan(values, levels, block):
    out = []
    for start in range(0, len(values), block):
        part = np.asarray(values[start : start + block], dtype=float)
        with np.errstate(all="ignore"):
            part = part / np.abs(part).max()
        scale = np.abs(np.asarray(values[start : start + block], dtype=float)).max()
        levels = np.asarray(levels)
        near = levels[np.abs(part[:, None] - levels[None]).argmin(axis=1)] * scale
        out.append(np.where(np.isnan(part), np.nan, near))
    return np.concatenate(out)


def bits_steps(bits, block, second_block):
    total = bits
    if second_block:
        total += 8 / block
        total += 32 / block / second_block
    else:
        total += 32 / block
    return total


def bits_by_weights(b, n, m):
    weights = n * (m or 1)
    scales = 32 if m is None else 8 * m + 32
    return (b * weights + scales) / weights


def fixed_table(linear, other, adapter, method):
    a = {"full": 0, "lora": adapter * 16, "qlora": adapter * 16}[method]
    each = {"full": 12, "lora": 2, "qlora": 4.127 / 8}[method]
    return linear * each + other * (12 if method == "full" else 2) + a


def fixed_steps(linear, other, adapter, method):
    if method == "full":
        weights = 2 * (linear + other)
        return weights + weights + 4 * weights
    elif method == "lora":
        return 2 * linear + 2 * other + 16 * adapter
    else:
        return linear * 4.127 / 8 + 2 * other + 16 * adapter


def fixed_all_four_bits(linear, other, adapter, method):
    if method == "full":
        return (linear + other) * 12
    return (linear + other) * (2 if method == "lora" else 4.127 / 8) + adapter * 16


def plan_long(shape, method, batch, length):
    a = shape.adapter_weights(16)
    fixed = fixed_table(shape.linear_weights, shape.other_weights, a, method)
    block = 32 * shape.hidden + 10 * shape.mlp
    return fixed / 1e9 + batch * length * shape.layers * block / 1e9 + batch * length * 10 * shape.vocab / 1e9


def plan_bytes(shape, method, batch, length):
    return plan_long(shape, method, batch, length) * 1e9


RIGHT = {
    "8.1": [int8_numpy, int8_torch, int8_loop],
    "8.2": [scales_loop, scales_numpy, lambda v, b: [float(np.max(np.abs(v[i : i + b]))) for i in range(0, len(v), b)]],
    "8.3": [levels_torch, levels_by_hand],
    "8.4": [rounded_by_min, rounded_by_search],
    "8.5": [bits_steps, bits_by_weights],
    "8.6": [fixed_table, fixed_steps],
    "8.7": [
        plan_long,
        lambda s, m, b, n: (
            (
                fixed_steps(s.linear_weights, s.other_weights, s.adapter_weights(16), m)
                + b * n * (s.layers * (32 * s.hidden + 10 * s.mlp) + 10 * s.vocab)
            )
            / 10**9
        ),
    ],
}

WRONG = {
    "8.1": [
        (int8_no_zero_care, "ZeroDivisionError"),
        (int8_largest, "not from the largest magnitude"),
        (int8_128, "The codes end at 127"),
        (int8_cut, "cut off"),
        (int8_swapped, "First the codes"),
        (int8_not_whole, "not whole numbers"),
        (lambda values: int8_loop(values)[0], "Codes and scale"),
    ],
    "8.2": [
        (scales_short_lost, "last block is missing"),
        (lambda v, b: [max(v[i : i + b]) for i in range(0, len(v), b)], "magnitudes"),
        (lambda v, b: [max(abs(x) for x in v)], "one scale for all"),
        (lambda v, b: [max(abs(x) for x in v[i::b]) for i in range(min(b, len(v)))], "dealt out"),
    ],
    "8.3": [
        (levels_not_divided, "not divided by the largest"),
        (levels_unsorted, "smallest to the largest"),
        (levels_no_zero, "0 is missing"),
        (lambda edge, above, below: levels_by_hand(edge, below, above), "swapped"),
        (lambda e, a, b: [-i / b for i in range(b, 0, -1)] + [0.0] + [i / a for i in range(1, a + 1)], "evenly"),
    ],
    "8.4": [
        (rounded_one_scale, "One scale is used"),
        (rounded_not_back, "not multiplied by the scale"),
        (rounded_nan, "nan"),
        (lambda values, levels, block: list(values), "Look at:"),
    ],
    "8.5": [
        (lambda bits, block, second: bits + 32 if second is None else bits + 40, "counts in full"),
        (lambda bits, block, second: bits + (32 if second is None else 8) / block, "second scale is missing"),
        (lambda bits, block, second: bits_steps(bits, block, second) / 8, "These are bytes"),
        (lambda bits, block, second: bits_steps(0, block, second), "scales alone"),
    ],
    "8.6": [
        (fixed_all_four_bits, "keep 2 bytes each"),
        (lambda n, o, a, m: fixed_table(n, o, a, m) / 1e9, "in GB"),
        (lambda n, o, a, m: fixed_table(n, o, 0, m) + (0 if m == "full" else 4 * a), "Gradients and optimizer"),
        (lambda n, o, a, m: fixed_table(n, o, a, m) + (16 * a if m == "full" else 0), "has no adapter"),
    ],
    "8.7": [
        (plan_bytes, "These are bytes"),
        (lambda s, m, b, n: plan_long(s, m, 1, n), "batch is forgotten"),
        (lambda s, m, b, n: plan_bytes(s, m, b, n) / 2**30, "GiB"),
        (lambda s, m, b, n: plan_long(s, m, 0, n), "Only the fixed bytes"),
    ],
}
