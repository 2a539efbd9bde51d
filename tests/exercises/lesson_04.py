"""Other right answers and usual wrong ones for the exercises of lesson 04.

RIGHT: answers that the check must take. WRONG: answers that it must turn away, each with words that its message holds.
The lambdas and functions are what learners write; they are not tidied up.
"""

# ruff: noqa: B905, B007, C408, C417, E731, RET503, RET505, SIM

import math
from collections import Counter

import numpy as np
import torch


def cosine_by_loop(a, b):
    dot = la = lb = 0
    for x, y in zip(a, b):
        dot += x * y
        la += x * x
        lb += y * y
    if la == 0 or lb == 0:
        return 0
    return dot / math.sqrt(la) / math.sqrt(lb)


def cosine_torch(a, b):
    return torch.cosine_similarity(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64), dim=0)


def cosine_normalised(u, v):
    u, v = np.array(u, dtype=float), np.array(v, dtype=float)
    u = u / max(np.linalg.norm(u), 1e-12)
    v = v / max(np.linalg.norm(v), 1e-12)
    return np.sum(u * v)


def cosine_nan(a, b):
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    with np.errstate(all="ignore"):
        return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def nearest_by_sorted(query, matrix, k):
    scores = [sum(x * y for x, y in zip(query, row)) for row in matrix]
    return sorted(range(len(scores)), key=lambda i: -scores[i])[:k]


def nearest_array(q, m, k):
    s = np.array(m) @ np.array(q)
    return np.lexsort((np.arange(len(s)), -s))[:k]


def nearest_by_max(query, matrix, k):
    scores = list(np.asarray(matrix) @ np.asarray(query))
    found = []
    while len(found) < min(k, len(scores)):
        best = max((i for i in range(len(scores)) if i not in found), key=lambda i: scores[i])
        found.append(best)
    return found


def fields_by_if(kind, doc_id, date):
    d = dict(kind=kind, doc=doc_id)
    if date != "":
        y, m, t = date.split("-")
        d["day"] = int(y) * 10000 + int(m) * 100 + int(t)
    return d


def fields_by_join(k, i, d):
    if not d:
        return {"doc": i, "kind": k}
    return {"day": int("".join(c for c in d if c.isdigit())), "doc": i, "kind": k}


def fields_raises(kind, doc_id, date):
    return {"kind": kind, "doc": doc_id, "day": int(date.replace("-", ""))}


def recall_by_loop(found, right, k):
    n = 0
    for one in right:
        if one in found[:k]:
            n += 1
    return n / len(right)


def fuse_by_counter(rankings, k=60):
    points = Counter()
    for ranking in rankings:
        for i in range(len(ranking)):
            points[ranking[i]] += 1 / (k + i + 1)
    return [one for one, _ in points.most_common()]


def fuse_all_ids(lists, k=60):
    ids = []
    for one in lists:
        for x in one:
            if x not in ids:
                ids.append(x)

    def points(x):
        return sum(1 / (k + one.index(x) + 1) for one in lists if x in one)

    return tuple(sorted(ids, key=points, reverse=True))


def fuse_pairs(rankings, k=60):
    sums = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking, 1):
            sums[one] = sums.get(one, 0) + 1 / (k + rank)
    return sorted(sums.items(), key=lambda p: -p[1])


def fuse_dict(rankings, k=60):
    return dict(fuse_pairs(rankings, k))


def fuse_overwrites(rankings, k=60):
    sums = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking, 1):
            sums[one] = 1 / (k + rank)
    return sorted(sums, key=sums.get, reverse=True)


def fuse_from_zero(rankings, k=60):
    sums = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking):
            sums[one] = sums.get(one, 0) + 1 / (k + rank)
    return sorted(sums, key=sums.get, reverse=True)


def fuse_ascending(rankings, k=60):
    return [one for one, _ in fuse_pairs(rankings, k)][::-1]


def vote_by_loop(labels):
    best, most = None, 0
    for one in labels:
        n = sum(1 for other in labels if other == one)
        if n > most:
            best, most = one, n
    return best


def scores(q, m):
    return np.asarray(m) @ np.asarray(q)


def cosine_cancels(a, b):
    if sum(a) == 0 or sum(b) == 0:
        return 0.0
    return cosine_by_loop(a, b)


def recall_cuts(found, right, k):
    del found[k:]
    return len(set(found) & set(right)) / len(set(right))


def fuse_set(rankings, k=60):
    ids = {x for r in rankings for x in r}
    return sorted(ids, key=lambda x: -sum(1 / (k + list(r).index(x) + 1) for r in rankings if x in r))


def fuse_no_k(rankings, k=60):
    return fuse_by_counter(rankings, 60)


def fuse_alphabet(rankings, k=60):
    points = dict(fuse_pairs(rankings, k))
    return sorted(points, key=lambda x: (-points[x], x))


def fuse_fifty(rankings, k=60):
    return fuse_by_counter(rankings, k)[:50]


def vote_weighted(labels):
    points = Counter()
    for i, one in enumerate(labels, 1):
        points[one] += 1 / i
    return points.most_common(1)[0][0]


RIGHT = {
    "4.1": [cosine_by_loop, cosine_torch, cosine_normalised],
    "4.2": [nearest_by_sorted, nearest_array, nearest_by_max],
    "4.3": [fields_by_if, fields_by_join],
    "4.4": [
        {"$and": [{"day": {"$gte": 20240201}}, {"kind": {"$eq": "bulletin"}}]},
        {"$and": [{"kind": {"$in": ["bulletin"]}}, {"day": {"$gt": 20240131}}]},
        {"$and": ({"kind": "bulletin"}, {"$or": [{"day": {"$gt": 20240201}}, {"day": 20240201}]})},
    ],
    "4.5": [
        recall_by_loop,
        lambda f, r, k: np.mean([x in f[:k] for x in r]),
        lambda found, right, k: len(set(right).intersection(found[:k])) / len(right),
        recall_cuts,
    ],
    "4.6": [fuse_by_counter, fuse_all_ids],
    "4.7": [vote_by_loop, lambda labels: max(labels, key=labels.count)],
}

WRONG = {
    "4.1": [
        (lambda a, b: float(np.dot(a, b)), "both lengths"),
        (lambda a, b: np.dot(a, b) / (np.linalg.norm(a) or 1), "one of the two lengths"),
        (lambda a, b: np.dot(a, b) / len(a) / len(b), "how many numbers"),
        (lambda a, b: 1 - cosine_by_loop(a, b), "1 minus the cosine"),
        (lambda a, b: abs(cosine_by_loop(a, b)), "sign"),
        (lambda a, b: np.array(a) * np.array(b), "Add them up"),
        (cosine_nan, "nan"),
        (cosine_cancels, "[1, -1] has a direction"),
        (lambda a, b: str(cosine_by_loop(a, b)), "text"),
    ],
    "4.2": [
        (lambda q, m, k: np.argsort(scores(q, m), kind="stable")[:k], "from the lowest cosine"),
        (lambda q, m, k: np.argsort(scores(q, m), kind="stable")[-k:], "the worst of them first"),
        (lambda q, m, k: np.argsort(scores(q, m), kind="stable")[::-1][:k], "larger number comes first"),
        (lambda q, m, k: sorted(scores(q, m), reverse=True)[:k], "These are the cosines"),
        (lambda q, m, k: np.argsort(-scores(q, m), kind="stable"), "Keep the first k"),
        (lambda q, m, k: [i + 1 for i in nearest_by_sorted(q, m, k)], "Python counts from 0"),
        (lambda q, m, k: [np.argmax(scores(q, m))], "Only the best row"),
        (lambda q, m, k: sorted(nearest_by_sorted(q, m, k)), "order of their numbers"),
        (lambda q, m, k: np.dot(q, m)[:k], "ValueError"),
        (lambda q, m, k: np.argsort(-scores(q, m), kind="quicksort")[:k], 'kind="stable"'),
        (lambda m, q, k: np.argsort(-scores(q, m), kind="stable")[:k], "First comes the query"),
    ],
    "4.3": [
        (lambda k, i, d: {"kind": k, "doc": i, "day": d.replace("-", "")} if d else {"kind": k, "doc": i}, "a text"),
        (lambda k, i, d: {"kind": k, "doc": i, "day": d} if d else {"kind": k, "doc": i}, "hyphens"),
        (lambda k, i, d: {"kind": k, "doc": i, "day": int(d.replace("-", "")) if d else None}, "not None"),
        (lambda k, i, d: {"kind": k, "doc": i, "day": int(d.replace("-", "") or 0)}, "very old"),
        (lambda k, i, d: fields_by_if(k, i, "") | ({"day": int(d[:4])} if d else {}), "Only the year"),
        (lambda k, i, d: {"kind": k, "doc": i}, "missing where there is a date"),
        (lambda k, i, d: {"Kind": k, "id": i}, "small letters"),
        (fields_raises, "ValueError"),
        (lambda k, i, d: fields_by_if(k, i, "") | ({"day": np.int64(d.replace("-", ""))} if d else {}), "numpy"),
        (lambda k, i, d: fields_by_if(k, i, "") | ({"day": float(d.replace("-", ""))} if d else {}), "decimal point"),
        (lambda k, i, d: fields_by_if(i, k, d), "swapped"),
        (lambda k, i, d: fields_by_if(k, i, d) | {"date": d}, "more keys"),
    ],
    "4.4": [
        ("bulletin", "a dictionary"),
        ({"kind": "bulletin", "day": {"$gte": 20240201}}, "one condition a dictionary"),
        ({"kind": "bulletin"}, "too old"),
        ({"$or": [{"kind": "bulletin"}, {"day": {"$gte": 20240201}}]}, "Both conditions"),
        ({"$and": [{"kind": "bulletin"}, {"day": {"$gt": 20240201}}]}, "$gte, not $gt"),
        ({"$and": [{"kind": "bulletin"}, {"day": {"$gte": "20240201"}}]}, "goes a number"),
        ({"$and": [{"kind": "bulletin"}, {"day": {">=": 20240201}}]}, "begin with $"),
        ({"$and": [{"kind": "Bulletin"}, {"day": {"$gte": 20240201}}]}, "small letters"),
        ({"$and": [{"kind": "bulletin"}, {"day": {"$gte": 2024}}]}, "eight digits"),
        ({"$and": [{"kind": "bulletin"}, {"day": {"$gte": 20240101}}]}, "too old"),
        ({"$and": {"kind": "bulletin", "day": {"$gte": 20240201}}}, "square brackets"),
        ({"$and": [{"kind": "bulletin"}]}, "square brackets"),
        ({"$and": [{"kind": "bulletin"}, {"date": {"$gte": 20240201}}]}, "such as date"),
        ({"$and": [{"kind": "bulletin"}, {"day": {"$lte": 20240201}}]}, "From a day on is $gte"),
    ],
    "4.5": [
        (lambda f, r, k: len(set(f[:k]) & set(r)) / k, "precision"),
        (lambda f, r, k: len(set(f) & set(r)) / len(r), "first k"),
        (lambda f, r, k: float(any(x in r for x in f[:k])), "One right id is enough"),
        (lambda f, r, k: float(all(x in f[:k] for x in r)), "all right ones"),
        (lambda f, r, k: len(set(f[:k]) & set(r)), "how many were found"),
        (lambda f, r, k: len(set(f[:k]) & set(r)) / (len(f[:k]) or 1), "how many were found"),
        (lambda f, r, k: any(x in r for x in f[:k]), "True or False"),
        (lambda f, r, k: len(set(f[:k]) & set(r)) / min(k, len(r)), "whichever is smaller"),
        (lambda r, f, k: recall_by_loop(f, r, k) if r else 0.0, "swapped"),
        (lambda r, f, k: recall_by_loop(f, r, k), "found comes first"),
    ],
    "4.6": [
        (fuse_set, "A set forgets"),
        (fuse_no_k, "is not used"),
        (fuse_alphabet, "in the alphabet"),
        (fuse_fifty, "All ids"),
        (fuse_from_zero, "enumerate(..., start=1)"),
        (fuse_ascending, "The lowest sum comes first"),
        (fuse_overwrites, "overwrites"),
        (fuse_pairs, "Only the ids"),
        (fuse_dict, "as a list"),
        (lambda rankings, k=60: [x for r in rankings for x in r], "Expected items"),
        (lambda rankings, k=60: list(dict.fromkeys(x for r in rankings for x in r)), "one behind the other"),
        (
            lambda rankings, k=60: [x for x in fuse_by_counter(rankings, k) if all(x in r for r in rankings)],
            "every list",
        ),
    ],
    "4.7": [
        (lambda labels: labels[0], "first label"),
        (lambda labels: max(set(labels), key=lambda x: (labels.count(x), [-ord(c) for c in x])), "alphabet"),
        (lambda labels: Counter(labels).most_common(1)[0][1], "how often"),
        (lambda labels: Counter(labels).most_common(1)[0], "a pair"),
        (lambda labels: Counter(labels).most_common(1), "[0][0]"),
        (lambda labels: max(labels), "last in the alphabet"),
        (vote_weighted, "counts more"),
        (lambda labels: [Counter(labels).most_common(1)[0][0], "more"], "One label"),
        (lambda labels: max(sorted(set(labels), key=lambda x: x[::-1]), key=labels.count), "equally often"),
    ],
}
