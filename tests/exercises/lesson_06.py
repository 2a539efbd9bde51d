"""Other right answers and usual wrong ones for the exercises of lesson 06.

RIGHT: answers that the check must take. WRONG: answers that it must turn away, each with words that its message holds.
The lambdas and functions are what learners write; they are not tidied up.
"""

# ruff: noqa: B905, C408, C417, E731, RET503, RET505, SIM

import re


def parts_by_index(answer, order):
    a, o = answer.split(" / "), order.split(" / ")
    n = 0
    for i in range(len(o)):
        if i < len(a) and a[i] == o[i]:
            n += 1
    return n / len(o)


def parts_by_regex(answer, order):
    a, o = re.split(r" / ", answer), re.split(r" / ", order)
    a += [None] * len(o)
    return sum(map(lambda x, y: x == y, a, o)) / len(o)


def changed_loop(frozen, now):
    found = []
    for name in frozen:
        if name not in now or now[name] != frozen[name]:
            found.append(name)
    for name in now:
        if name not in frozen:
            found.append(name)
    found.sort()
    return found


def names_by_words(text, names):
    for name in sorted(names, key=lambda n: -len(n)):
        short = ""
        for w in name.split(" "):
            short += w[0]
        text = re.sub(r"(?<!\w)" + re.escape(name) + r"(?!\w)", short, text)
    return text


def names_at_once(text, names):
    if not names:
        return text
    pattern = "|".join(re.escape(n) for n in sorted(names, key=len, reverse=True))
    return re.sub(rf"\b({pattern})\b", lambda m: "".join(w[0] for w in m[1].split()), text)


def names_first(text, names):
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(name)}\b", "".join(w[0] for w in name.split()), text, count=1)
    return text


def names_gone(text, names):
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(name)}\b", "", text)
    return text


def names_replace(text, names):
    for name in names:
        text = text.replace(name, "".join(w[0] for w in name.split()))
    return text


def names_unsorted(text, names):
    for name in names:
        text = re.sub(rf"\b{re.escape(name)}\b", "".join(w[0] for w in name.split()), text)
    return text


def split_loop(rows, entities, held_out):
    learn, test = [], []
    for i in range(len(rows)):
        if entities[i] in held_out:
            test.append(rows[i])
        else:
            learn.append(rows[i])
    return learn, test


def split_by_value(rows, entities, held_out):
    test = [r for r, e in zip(rows, entities) if e in held_out]
    return [r for r in rows if r not in test], test


def labels_loop(prompt, answer):
    out = []
    for _ in prompt:
        out.append(-100)
    for t in answer:
        out.append(t)
    return out


RIGHT = {
    "6.1": [parts_by_index, parts_by_regex],
    "6.4": [["f", "a"], "a, f", ("a", "f")],
    "6.3": [changed_loop, lambda f, n: sorted({x for x, _ in set(f.items()) ^ set(n.items())})],
    "6.2": [names_by_words, names_at_once],
    "6.5": [split_loop, lambda r, e, h: [[x for x, y in zip(r, e) if (y in h) is k] for k in (False, True)]],
    "6.6": [labels_loop, lambda p, a: [-100 for _ in p] + list(a)],
}

WRONG = {
    "6.1": [
        (
            lambda a, o: sum(x.strip() == y.strip() for x, y in zip(a.split("/"), o.split("/"))) / len(o.split("/")),
            "1/2 bar",
        ),
        (lambda a, o: float(a == o), "all or nothing"),
        (lambda a, o: sum(x == y for x, y in zip(a.split(" / "), o.split(" / "))), "Divide by how many"),
        (lambda a, o: len(set(a.split(" / ")) & set(o.split(" / "))) / len(o.split(" / ")), "Each part has its place"),
        (lambda a, o: parts_by_index(a, o) * len(o.split(" / ")) / len(a.split(" / ")), "a short answer wins"),
        (lambda a, o: parts_by_index(a.lower(), o.lower()), "Capitals count"),
    ],
    "6.4": [
        ({"a"}, "adapter's numbers change"),
        ({"a", "f", "b"}, "No number of any model changes"),
        ({"a", "d", "f"}, "random weights"),
        ({"a", "e", "f"}, "goes on, without labels"),
        ("a, f, g", "preference tuning"),
        ({"a": True, "f": True}, "curly or square brackets"),
        ([1, 6], "in quotes"),
    ],
    "6.3": [
        (lambda f, n: sorted(x for x in f if x in n and f[x] != n[x]), "gone or new"),
        (lambda f, n: sorted(x for x in f if f[x] != n.get(x)), "new is a change"),
        (lambda f, n: f != n, "Which names?"),
        (lambda f, n: sorted(x for x in f if f[x] == n.get(x)), "stayed"),
        (lambda f, n: sorted(changed_loop(f, n), reverse=True), "sort them"),
    ],
    "6.2": [
        (names_replace, "Ann Leeson"),
        (names_first, "more than once"),
        (names_gone, "initials were to stay"),
        (names_unsorted, "longer one must go first"),
    ],
    "6.5": [
        (lambda r, e, h: split_loop(r, e, h)[::-1], "swapped"),
        (lambda r, e, h: split_loop(r, e, h)[0], "Return both"),
        (split_by_value, "Equal rows"),
        (lambda r, e, h: (r[: len(r) // 2], r[len(r) // 2 :]), "Expected"),
    ],
    "6.6": [
        (lambda p, a: list(a), "labels of the prompt are missing"),
        (lambda p, a: p + a, "learn to write tickets"),
        (lambda p, a: [0] * len(p) + a, "Token 0"),
        (lambda p, a: p + [-100] * len(a), "other way round"),
        (lambda p, a: ([-100] * len(p) + a)[1:] + [-100], "moved by one"),
    ],
}
