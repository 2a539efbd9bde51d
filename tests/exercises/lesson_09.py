"""Other right answers and usual wrong ones for the exercises of lesson 09.

RIGHT: answers that the check must take. WRONG: answers that it must turn away, each with words that its message holds.
The lambdas and functions are what learners write; they are not tidied up.
"""

# ruff: noqa: B905, B007, C408, C417, E731, RET503, RET505, SIM

import math

import numpy as np


def interval_by_loop(first, second, picks):
    means = []
    for pick in picks:
        total = 0
        for place in pick:
            total += first[place] - second[place]
        means.append(total / len(pick))
    return [np.quantile(means, 0.025), np.quantile(means, 0.975)]


def interval_by_percentile(a, b, picks):
    d = np.subtract(a, b)
    return np.percentile(d[np.array(picks)].mean(axis=1), [2.5, 97.5])


def interval_unpaired(a, b, picks):
    one = np.quantile([np.array(a)[p].mean() for p in picks], [0.025, 0.975])
    two = np.quantile([np.array(b)[p].mean() for p in picks], [0.025, 0.975])
    return one[0] - two[1], one[1] - two[0]


def interval_ends(a, b, picks):
    means = [np.mean([a[i] - b[i] for i in p]) for p in picks]
    return min(means), max(means)


def cost_by_if(setup, per_call, calls, share):
    if share == 0:
        return math.inf
    bill = setup + per_call * calls
    return bill / (share * calls)


def cost_numpy(setup, per_call, calls, share):
    with np.errstate(divide="ignore", invalid="ignore"):
        good = np.float64(calls * share)
        return float("inf") if good == 0 else (setup + calls * per_call) / good


def cheaper_by_steps(setup, a, b):
    if a >= b:
        return None
    calls = int(setup // (b - a))
    while setup + calls * a >= calls * b:
        calls += 1
    return calls


def cheaper_by_int(setup, per_call, other):
    if other - per_call <= 0:
        return None
    return int(setup / (other - per_call)) + 1


NAMES = ["order", "site", "pump", "serial", "label", "saw", "do", "sign-off"]


def record_by_loop(line):
    parts = line.strip().split(" / ")
    if len(parts) != 8:
        return None
    out = {}
    for i in range(8):
        if parts[i].strip() == "":
            return None
        out[NAMES[i]] = parts[i].strip()
    return out


def record_by_index(text):
    cells = list(map(str.strip, text.split(" / ")))
    return {name: cells[i] for i, name in enumerate(NAMES)} if len(cells) == 8 and "" not in cells else None


def record_anything(line):
    return dict(zip(NAMES, [c.strip() for c in line.split(" / ")]))


def record_any_slash(line):
    cells = [c.strip() for c in line.split("/")]
    return dict(zip(NAMES, cells)) if len(cells) == 8 and all(cells) else None


def record_list(line):
    cells = [c.strip() for c in line.split(" / ")]
    return cells if len(cells) == 8 and all(cells) else None


def record_empty(line):
    return record_by_loop(line) or {}


def lost_by_loop(before, after):
    lost = gained = 0
    for i in range(len(before)):
        if before[i] > after[i]:
            lost += 1
        if before[i] < after[i]:
            gained += 1
    return lost, gained


def lost_numpy(b, a):
    b, a = np.array(b), np.array(a)
    return [int((b > a).sum()), int((a > b).sum())]


def advise_by_table(facts, own_form):
    return {
        ("none", False): "prompt",
        ("none", True): "LoRA",
        ("stable", False): "LoRA",
        ("stable", True): "LoRA",
        ("changing", False): "RAG",
        ("changing", True): "RAG with LoRA",
    }[facts, own_form]


def advise_by_ifs(facts, own_form):
    if facts == "none" and not own_form:
        return "prompt"
    if facts == "changing" and own_form:
        return "RAG with LoRA"
    if facts == "changing":
        return "RAG"
    return "LoRA"


RIGHT = {
    "9.1": [interval_by_loop, interval_by_percentile],
    "9.4": [cost_by_if, cost_numpy],
    "9.5": [cheaper_by_steps, cheaper_by_int],
    "9.3": [record_by_loop, record_by_index],
    "9.2": [lost_by_loop, lost_numpy],
    "9.6": [advise_by_table, advise_by_ifs],
}

WRONG = {
    "9.1": [
        (lambda a, b, p: interval_by_loop(b, a, p), "second minus first"),
        (interval_ends, "smallest and the largest"),
        (interval_unpaired, "question by question"),
        (lambda a, b, p: np.quantile([np.subtract(a, b)[i].mean() for i in p], [0.05, 0.95]), "90 %"),
    ],
    "9.4": [
        (lambda s, c, n, r: c / r if r else math.inf, "set-up is missing"),
        (lambda s, c, n, r: (s + n * c) / n, "right or wrong"),
        (lambda s, c, n, r: (s + c) / r if r else math.inf, "paid once"),
        (lambda s, c, n, r: (s + n * c) / (n * r) if r else 0, "look cheap"),
    ],
    "9.5": [
        (lambda s, a, b: math.ceil(s / (b - a)) if b > a else None, "both cost the same"),
        (lambda s, a, b: int(s // (b - a)) if b > a else None, "still dearer"),
        (lambda s, a, b: s / (b - a) if b > a else None, "whole"),
        (lambda s, a, b: math.floor(s / (b - a)) + 1 if a != b else None, "never bring"),
    ],
    "9.3": [
        (record_anything, "takes what it gets"),
        (record_any_slash, "slash of its own"),
        (record_list, "without their names"),
        (record_empty, "empty dictionary"),
    ],
    "9.2": [
        (lambda b, a: lost_by_loop(a, b), "swapped"),
        (lambda b, a: (max(sum(b) - sum(a), 0), max(sum(a) - sum(b), 0)), "totals"),
        (lambda b, a: (a.count(0), a.count(1)), "what they were before"),
        (lambda b, a: sum(x > y for x, y in zip(b, a)), "one number"),
    ],
    "9.6": [
        (lambda f, form: "LoRA" if f != "none" or form else "prompt", "next change"),
        (lambda f, form: "RAG" if f == "changing" else "LoRA" if f == "stable" or form else "prompt", "both halves"),
        (
            lambda f, form: ("RAG with LoRA" if form else "RAG") if f != "none" else "LoRA" if form else "prompt",
            "C35",
        ),
        (lambda f, form: advise_by_ifs(f, form).lower(), "Only these words"),
    ],
}
