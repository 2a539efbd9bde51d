"""Other right answers and usual wrong ones for the exercises of lesson 01.

RIGHT: answers that the check must take. WRONG: answers that it must turn away, each with words that its message holds.
The lambdas and functions are what learners write; they are not tidied up.
"""

# ruff: noqa: B905, B007, C408, C417, E731, RET503, RET505, SIM110

import numpy as np
import torch


def fits_step_by_step(row, brief):
    for column in brief["needs"]:
        ok = False
        for word in row[column].split(";"):
            if word in brief["needs"][column]:
                ok = True
        if not ok:
            return False
    for column, limit in brief["at_most"].items():
        if row[column] == "" or float(row[column]) > limit:
            return False
    for column, limit in brief["at_least"].items():
        if not row[column]:
            return False
        if float(row[column]) < limit:
            return False
    return True


def fits_with_sets(r, b):
    def number(column):
        try:
            return float(r[column])
        except ValueError:
            return float("nan")  # neither at most nor at least anything

    needs = [not set(r[c].split(";")).isdisjoint(b["needs"][c]) for c in b["needs"]]
    return np.all(
        needs + [number(c) <= x for c, x in b["at_most"].items()] + [number(c) >= x for c, x in b["at_least"].items()]
    )


def fits_whole_cell(row, brief):
    for c, w in brief["needs"].items():
        if row[c] not in w:
            return False
    for c, x in brief["at_most"].items():
        if not row[c] or float(row[c]) > x:
            return False
    for c, x in brief["at_least"].items():
        if not row[c] or float(row[c]) < x:
            return False
    return True


def fits_empty_is_zero(row, brief):
    for c, w in brief["needs"].items():
        if not set(row[c].split(";")) & set(w):
            return False
    for c, x in brief["at_most"].items():
        if float(row[c] or 0) > x:
            return False
    for c, x in brief["at_least"].items():
        if float(row[c] or 0) < x:
            return False
    return True


def fits_empty_is_fine(row, brief):
    for c, w in brief["needs"].items():
        if not set(row[c].split(";")) & set(w):
            return False
    for c, x in brief["at_most"].items():
        if row[c] and float(row[c]) > x:
            return False
    for c, x in brief["at_least"].items():
        if row[c] and float(row[c]) < x:
            return False
    return True


def fits_strict(row, brief):
    for c, w in brief["needs"].items():
        if not set(row[c].split(";")) & set(w):
            return False
    for c, x in brief["at_most"].items():
        if not row[c] or float(row[c]) >= x:
            return False
    for c, x in brief["at_least"].items():
        if not row[c] or float(row[c]) <= x:
            return False
    return True


def fits_needs_only(row, brief):
    return all(set(row[c].split(";")) & set(w) for c, w in brief["needs"].items())


def fits_raises(row, brief):
    return fits_needs_only(row, brief) and all(float(row[c]) <= x for c, x in brief["at_most"].items())


def fits_substring(row, brief):
    for c, words in brief["needs"].items():
        if not any(w in row[c] for w in words):
            return False
    return fits_step_by_step(row, dict(brief, needs={}))


def fits_text_with_number(row, brief):
    if not fits_needs_only(row, brief):
        return False
    small = all(row[c] and row[c] <= x for c, x in brief["at_most"].items())
    return small and all(row[c] and row[c] >= x for c, x in brief["at_least"].items())


def fits_int(row, brief):
    if not fits_needs_only(row, brief):
        return False
    small = all(row[c] and int(row[c]) <= x for c, x in brief["at_most"].items())
    return small and all(row[c] and int(row[c]) >= x for c, x in brief["at_least"].items())


def fits_as_text(row, brief):
    if not fits_needs_only(row, brief):
        return False
    small = [row[c] != "" and row[c] <= str(x) for c, x in brief["at_most"].items()]
    return all(small + [row[c] != "" and row[c] >= str(x) for c, x in brief["at_least"].items()])


def memory_by_hand(shape, tokens):
    p, b = shape["parameters"], shape["bytes_each"]
    key = shape["kv_heads"] * shape["head_size"] * b
    result = {}
    result["weights"] = p * b
    result["gradients"] = p * b
    result["optimizer"] = p * 8
    result["cache"] = tokens * shape["layers"] * (key + key)
    return result


def memory_floats(s, n):
    cache = np.prod([2.0, s["layers"], s["kv_heads"], s["head_size"], n, s["bytes_each"]])
    w = float(s["parameters"]) * s["bytes_each"]
    return dict(weights=w, cache=cache, gradients=w, optimizer=s["parameters"] * 2 * 4.0)


def memory_other_names(s, t):
    return memory_by_hand(s, t)


def memory_with(change):
    def memory(shape, tokens):
        good = memory_by_hand(shape, tokens)
        return change(good, shape, tokens)

    return memory


def swap_by_index(matrix, i, j):
    order = list(range(len(matrix)))
    order[i], order[j] = order[j], order[i]
    return matrix[order]


def swap_with_clone(m, a, b):
    new = m.clone()
    keep = new[a].clone()
    new[a] = new[b]
    new[b] = keep
    return new


def swap_lists(matrix, i, j):
    new = matrix.clone()
    new[[i, j]] = new[[j, i]]
    return new


def swap_lost(matrix, i, j):
    new = matrix.clone()
    new[i], new[j] = new[j], new[i]
    return new


def swap_columns(matrix, i, j):
    new = matrix.clone()
    new[:, i], new[:, j] = matrix[:, j], matrix[:, i]
    return new


def swap_half(matrix, i, j):
    new = matrix.clone()
    new[i] = matrix[j]
    return new


def swap_as_list(matrix, i, j):
    rows = matrix.tolist()
    rows[i], rows[j] = rows[j], rows[i]
    return rows


def swap_no_return(matrix, i, j):
    new = matrix.clone()
    new[[i, j]] = matrix[[j, i]]


def mask_lists(kind, rows, columns):
    return [[1 if kind != "decoder" or c <= r else 0 for c in range(columns)] for r in range(rows)]


def mask_tensor(kind, rows, columns):
    full = torch.ones(rows, columns, dtype=torch.int)
    return full.tril() if kind == "decoder" else full


def mask_true(kind, rows, columns):
    if kind in ("encoder", "cross"):
        return np.full((rows, columns), True)
    return np.arange(columns)[None, :] <= np.arange(rows)[:, None]


def mask_same_rows(kind, rows, columns):
    table = [[0] * columns] * rows
    for r in range(rows):
        for c in range(columns):
            if kind != "decoder" or c <= r:
                table[r][c] = 1
    return table


def mask_upside_down(kind, rows, columns):
    return [[1 if kind != "decoder" or c >= r else 0 for c in range(columns)] for r in range(rows)]


SORTED = {
    "BERT-base": "embedding",
    "Stable Diffusion 2.0": "image",
    "CodeParrot-1.5B": "text",
    "all-MiniLM-L6-v2": "embedding",
    "DALL-E 2": "image",
    "whisper-large": "text",
    "StarCoder2-7B": "text",
}
BUILT = {
    "Alpaca 7B": "LLaMA 7B",
    "Flan-T5-XXL": "T5",
    "Phi-4-reasoning": "Phi-4",
    "Phi-4-reasoning-plus": "Phi-4",
    "LLaMA 65B": None,
}
FREE = ["Phi-3-mini-4k-instruct", "BERT-base", "whisper-small"]

RIGHT = {
    "1.1": [fits_step_by_step, fits_with_sets],
    "1.2": [
        dict(reversed(SORTED.items())),
        {name: kind.capitalize() + "s" for name, kind in SORTED.items()},
    ],
    "1.3": [memory_by_hand, memory_floats, memory_other_names],
    "1.4": [
        lambda calls, tokens_in, tokens_out, price_in, price_out: (
            calls * tokens_in * price_in / 1e6 + calls * tokens_out * price_out / 1e6
        ),
        lambda c, i, o, pi, po: np.float64(c) * np.dot([i, o], [pi, po]) / 1_000_000,
        lambda c, i, o, pi, po: sum(c * t * (p / 1e6) for t, p in ((i, pi), (o, po))),
    ],
    "1.5": [FREE[::-1], tuple(FREE), set(FREE)],
    "1.6": [swap_by_index, swap_with_clone, swap_lists],
    "1.7": [
        dict(reversed(BUILT.items())),
        {name: parent and parent.lower() for name, parent in BUILT.items()},
    ],
    "1.8": [mask_lists, mask_tensor, mask_true],
}

WRONG = {
    "1.1": [
        (fits_whole_cell, "The whole cell is compared"),
        (fits_empty_is_zero, "counts as a small number"),
        (fits_empty_is_fine, "An empty cell meets the condition"),
        (fits_strict, "include the limit itself"),
        (fits_needs_only, "The conditions on numbers are not looked at"),
        (fits_raises, "ValueError"),
        (fits_substring, "own stands in unknown"),
        (fits_text_with_number, "Cells are texts"),
        (fits_int, "float(), not int()"),
        (fits_as_text, "compared as texts"),
        (lambda row, brief: not fits_step_by_step(row, brief), "It fits."),
        (lambda row, brief: True, "are more than 1 billion"),
        (lambda row, brief: int(fits_step_by_step(row, brief)), "not True or False"),
        (lambda row, brief: print(fits_step_by_step(row, brief)), "use return"),
        (lambda row: True, "how many things"),
    ],
    "1.2": [
        (list(SORTED.items()), "a dictionary"),
        ({"BERT-base": "embedding"}, "the seven names"),
        (SORTED | {"CodeParrot-1.5B": "code"}, "Program code counts as text"),
        (SORTED | {"DALL-E 2": "text"}, "images together with their captions"),
        (SORTED | {"BERT-base": "text"}, "fills gaps"),
        (SORTED | {"whisper-large": "embedding"}, "speech goes in"),
        (SORTED | {"whisper-large": "audio"}, "what it writes"),
        (SORTED | {"StarCoder2-7B": "image"}, "Program code is text"),
    ],
    "1.3": [
        (memory_with(lambda g, s, t: g | {"cache": g["cache"] / 2}), "a key and a value"),
        (memory_with(lambda g, s, t: g | {"cache": g["cache"] // s["layers"]}), "lacks the layers"),
        (memory_with(lambda g, s, t: g | {"optimizer": 4 * s["parameters"]}), "two numbers a weight, not one"),
        (memory_with(lambda g, s, t: g | {"optimizer": 2 * g["weights"]}), "whatever bytes_each is"),
        (
            memory_with(lambda g, s, t: g | {"weights": s["parameters"], "gradients": s["parameters"]}),
            "counted in numbers, not in bytes",
        ),
        (memory_with(lambda g, s, t: sum(g.values())), "One number came back"),
        (memory_with(lambda g, s, t: {k.upper(): v for k, v in g.items()}), "The keys of the dictionary"),
        (memory_with(lambda g, s, t: list(g.values())), "A dict was asked for"),
        (lambda shape, tokens: {"weights": shape["weights"]}, "KeyError"),
    ],
    "1.4": [
        (lambda c, i, o, pi, po: c * (i * pi + o * po), "Divide by 1e6"),
        (lambda c, i, o, pi, po: c * (i * pi + o * po) / 1000, "not for a thousand"),
        (lambda c, i, o, pi, po: (i * pi + o * po) / 1e6, "price of one call"),
        (lambda c, i, o, pi, po: c * (i * po + o * pi) / 1e6, "changed places"),
        (lambda c, i, o, pi, po: c * i * pi / 1e6, "Tokens written cost too"),
        (lambda c, i, o, pi, po: c * i * pi + o * po / 1e6, "brackets around the sum"),
        (lambda c, i, o, pi, po: f"{c * (i * pi + o * po) / 1e6} dollars", "a text"),
        (lambda c, i, o, pi, po: round(c * (i * pi + o * po) / 1e6), "rounded"),
        (lambda c, i, o, pi, po: c * (i * pi + o * po) / 0, "ZeroDivisionError"),
    ],
    "1.5": [
        ("BERT-base", "a list of names"),
        ([*FREE, "GPT-4"], "names from the seven"),
        ([*FREE, "Alpaca 7B"], "research only"),
        ([*FREE, "jina-embeddings-v3"], "NC"),
        ([*FREE, "FLUX.1 [dev]"], "Non-commercial"),
        (FREE[:2], "Every model under MIT"),
        ([], "Every model under MIT"),
    ],
    "1.6": [
        (swap_lost, "is a view"),
        (swap_columns, "columns"),
        (swap_half, "row j was never written"),
        (swap_as_list, "A list came back"),
        (swap_no_return, "return"),
        (lambda m, i, j: m.clone(), "Nothing has changed places"),
        (lambda m, i, j: m[[j, i]], "Only the two rows"),
        (lambda m, i, j: m[i] + m[j, 99], "IndexError"),
    ],
    "1.7": [
        (["LLaMA 7B", "T5"], "a dictionary"),
        ({"Alpaca 7B": "LLaMA 7B"}, "the five names"),
        (BUILT | {"LLaMA 65B": "None"}, "None for LLaMA 65B"),
        (BUILT | {"LLaMA 65B": "CommonCrawl"}, "None for LLaMA 65B"),
        (BUILT | {"Flan-T5-XXL": None}, "begin with the model that was tuned"),
        (BUILT | {"Alpaca 7B": "LLaMA"}, "with its size"),
        (BUILT | {"Phi-4-reasoning-plus": "Phi-4-reasoning"}, "not one of the two"),
    ],
    "1.8": [
        (mask_upside_down, "upside down"),
        (mask_same_rows, "one and the same row"),
        (lambda k, r, c: np.ones((r, c), dtype=int), "must not see what comes later"),
        (lambda k, r, c: np.tril(np.ones((r, c), dtype=int)), "Only the decoder has one"),
        (lambda k, r, c: np.tril(np.ones((r, c)), -1) if k == "decoder" else np.ones((r, c)), "the diagonal"),
        (lambda k, r, c: 1 - np.array(mask_lists(k, r, c)), "1 where the token may look"),
        (lambda k, r, c: mask_lists(k, r, r), "Use both numbers"),
        (lambda k, r, c: mask_lists(k, c, r), "Rows and columns"),
        (lambda k, r, c: np.eye(r) if k == "decoder" else np.ones((r, c)), "only at itself"),
        (lambda k, r, c: sum(mask_lists(k, r, c), []), "Expected items: 3; these are 9"),
        (lambda k, r, c: mask_lists(k, r, c)[0][c], "IndexError"),
    ],
}
