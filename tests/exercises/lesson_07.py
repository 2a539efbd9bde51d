"""Other right answers and usual wrong ones for the exercises of lesson 07.

RIGHT: answers that the check must take. WRONG: answers that it must turn away, each with words that its message holds.
The lambdas and functions are what learners write; they are not tidied up.
"""

# ruff: noqa: B905, B007, C408, C417, E731, RET503, RET505, SIM

import numpy as np


def adapted_by_merge(x, w, a, b, alpha):
    return x @ (w + (alpha / a.shape[0]) * b @ a).T


def adapted_by_loop(x, weight, a, b, alpha):
    rows = []
    for row in x:
        base = weight @ row
        down = a @ row
        rows.append(base + alpha / len(a) * (b @ down))
    return np.array(rows)


def adapted_einsum(x, weight, a, b, alpha):
    return np.einsum("ni,oi->no", x, weight) + alpha / len(a) * np.einsum("ni,ri,or->no", x, a, b)


def adapted_no_transpose(x, weight, a, b, alpha):
    return x @ weight + alpha / len(a) * x @ a @ b


def merged_by_outer(weight, a, b, alpha):
    update = sum(np.outer(b[:, i], a[i]) for i in range(len(a)))
    return weight + update * alpha / len(a)


def merged_copy(weight, a, b, alpha):
    new = weight.astype(float).copy()
    new += alpha / a.shape[0] * np.matmul(b, a)
    return new


def merged_in_place(weight, a, b, alpha):
    weight += alpha / len(a) * (b @ a)
    return weight


def merged_wrong_order(weight, a, b, alpha):
    return weight + alpha / len(a) * (a @ b)


def trainable_by_loop(shapes, rank):
    total = 0
    for shape in shapes:
        total += rank * shape[0]
        total += shape[1] * rank
    return total


def matched_by_loop(names, targets):
    out = []
    for name in names:
        for t in targets:
            if name == t or name.endswith(f".{t}"):
                out.append(name)
                break
    return out


def matched_dotted(names, targets):
    ends = tuple("." + t for t in targets)
    return [n for n in names if ("." + n).endswith(ends)]


def pair_by_steps(question, order):
    d = {}
    d["completion"] = [dict(role="assistant", content=order)]
    d["prompt"] = [dict(content=question, role="user")]
    return d


def pair_messages(question, order):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": order}]}


def pair_tuples(q, o):
    return {"prompt": ({"role": "user", "content": q},), "completion": ({"role": "assistant", "content": o},)}


def pair_stripped(q, o):
    return {
        "prompt": [{"role": "user", "content": q.strip()}],
        "completion": [{"role": "assistant", "content": o.strip()}],
    }


def change_by_norm(weight, a, b, alpha):
    return np.linalg.norm(alpha / len(a) * b @ a) / np.linalg.norm(weight)


def change_by_sums(w, a, b, alpha):
    d = b @ a * alpha / a.shape[0]
    return np.sqrt(sum(v * v for v in d.ravel())) / np.sqrt(sum(v * v for v in w.ravel()))


RIGHT = {
    "7.1": [adapted_by_merge, adapted_by_loop, adapted_einsum],
    "7.2": [merged_by_outer, merged_copy, lambda w, a, b, alpha: (b @ a) * (alpha / len(a)) + w],
    "7.3": [
        trainable_by_loop,
        lambda shapes, r: r * sum(map(sum, shapes)),
        lambda shapes, r: float(sum(r * i + o * r for i, o in shapes)),
    ],
    "7.4": [matched_by_loop, matched_dotted, lambda n, t: tuple(matched_by_loop(n, t))],
    "7.5": [
        pair_by_steps,
        lambda q, o: dict(
            prompt=[{"role": "user", "content": str(q)}], completion=[{"role": "assistant", "content": f"{o}"}]
        ),
    ],
    "7.6": [change_by_norm, change_by_sums],
}

WRONG = {
    "7.1": [
        (lambda x, w, a, b, alpha: x @ w.T + alpha * (x @ a.T) @ b.T, "alpha / r, and r is"),
        (lambda x, w, a, b, alpha: x @ w.T + x @ a.T @ b.T, "is missing"),
        (lambda x, w, a, b, alpha: alpha / len(a) * x @ a.T @ b.T, "detour alone"),
        (lambda x, w, a, b, alpha: x @ w.T, "frozen layer alone"),
        (lambda x, w, a, b, alpha: x @ w.T + len(a) / alpha * (x @ a.T) @ b.T, "upside down"),
        (adapted_no_transpose, "Look at"),
    ],
    "7.2": [
        (lambda w, a, b, alpha: w + alpha * b @ a, "alpha / r, and r is"),
        (lambda w, a, b, alpha: w + b @ a, "is missing"),
        (lambda w, a, b, alpha: alpha / len(a) * b @ a, "change alone"),
        (merged_in_place, "write into the frozen weight"),
        (merged_wrong_order, "Look at"),
        (lambda w, a, b, alpha: w - alpha / len(a) * b @ a, "subtracted"),
    ],
    "7.3": [
        (lambda shapes, r: sum(i * o for i, o in shapes), "frozen"),
        (lambda shapes, r: sum(r * i * o for i, o in shapes), "are multiplied"),
        (lambda shapes, r: sum(r * i for i, o in shapes), "Only the matrices a"),
        (lambda shapes, r: sum(i + o for i, o in shapes), "rank is missing"),
        (lambda shapes, r: 2 * sum(r * (i + o) for i, o in shapes), "doubled"),
        (lambda shapes, r: r * sum(shapes[0]) if shapes else 0, "first layer"),
    ],
    "7.4": [
        (lambda n, t: [x for x in n if x.endswith(tuple(t))], "ends with v_proj"),
        (lambda n, t: [x for x in n if any(y in x for y in t)], "anywhere"),
        (lambda n, t: [x for x in n if x.split(".")[-1] in t], "hold points itself"),
        (lambda n, t: [x for x in n if any(x.endswith("." + y) for y in t)], "equals a target"),
        (lambda n, t: [x for y in t for x in n if x == y or x.endswith("." + y)], "listed twice"),
        (lambda n, t: set(matched_by_loop(n, t)), "a set"),
    ],
    "7.5": [
        (lambda q, o: {"prompt": q, "completion": o}, "list of messages"),
        (pair_messages, "other form"),
        (pair_tuples, "tuples"),
        (pair_stripped, "spaces too"),
        (
            lambda q, o: {
                "prompt": [{"role": "user", "content": o}],
                "completion": [{"role": "assistant", "content": q}],
            },
            "texts are swapped",
        ),
        (
            lambda q, o: {"prompt": [{"role": "user", "content": q}], "completion": [{"role": "user", "content": o}]},
            'Both roles are "user"',
        ),
    ],
    "7.6": [
        (lambda w, a, b, alpha: np.linalg.norm(b @ a) / np.linalg.norm(w), "scale alpha / r is missing"),
        (lambda w, a, b, alpha: np.linalg.norm(alpha / len(a) * b @ a), "change alone"),
        (lambda w, a, b, alpha: change_by_norm(w, a, b, alpha) ** 2, "square root"),
        (
            lambda w, a, b, alpha: alpha / len(a) * np.linalg.norm(a) * np.linalg.norm(b) / np.linalg.norm(w),
            "norms of a and b",
        ),
    ],
}
