"""Other right answers and usual wrong ones for the exercises of lesson 05.

RIGHT: answers that the check must take. WRONG: answers that it must turn away, each with words that its message holds.
The lambdas and functions are what learners write; they are not tidied up.
"""

# ruff: noqa: B905, B007, C408, C417, E731, RET503, RET505, SIM

import re


def row_by_loop(title, row):
    out = title + ": "
    first = True
    for k in row:
        if row[k] != "":
            if not first:
                out += "; "
            out += k + " " + row[k]
            first = False
    return out


def row_trailing(title, row):
    return title + ": " + "".join(f"{k} {v}; " for k, v in row.items() if v)


def parts_by_while(words, most, overlap):
    out, at = [], 0
    while True:
        out.append(words[at : at + most])
        if at + most >= len(words):
            return out
        at += most - overlap


def parts_tuples(words, most, overlap):
    return (tuple(p) for p in parts_by_while(words, most, overlap))


def parts_until_last_word(words, most, overlap):
    out, at = [], 0
    while True:
        out.append(words[at : at + most])
        if out[-1][-1] == words[-1]:
            return out
        at += most - overlap


def parts_new_words(words, most, overlap):
    out = []
    for at in range(0, len(words), most - overlap):
        part = words[at : at + most]
        if out and all(w in out[-1] for w in part):
            continue
        out.append(part)
    return out


def parts_drop_tail(words, most, overlap):
    out = [words[at : at + most] for at in range(0, len(words), most - overlap)]
    while len(out) > 1 and len(out[-1]) <= overlap:
        out.pop()
    return out


def build(passages, question):
    if not passages:
        return question
    return "\n".join(f"[{i + 1}] {p}" for i, p in enumerate(passages)) + "\n\n" + question


def fit_downwards(passages, question, count, budget):
    passages = list(passages)
    while passages and count(build(passages, question)) > budget:
        passages.pop()
    return build(passages, question)


def fit_upwards(passages, question, count, budget):
    n = 0
    while n < len(passages) and count(build(passages[: n + 1], question)) <= budget:
        n += 1
    return build(passages[:n], question)


def fit_skipping(passages, question, count, budget):
    kept = []
    for p in passages:
        if count(build(kept + [p], question)) <= budget:
            kept.append(p)
    return build(kept, question)


def fit_below(passages, question, count, budget):
    n = 0
    while n < len(passages) and count(build(passages[: n + 1], question)) < budget:
        n += 1
    return build(passages[:n], question)


def fit_no_question(passages, question, count, budget):
    return "\n".join(f"[{i + 1}] {p}" for i, p in enumerate(passages))


WORD = r"\w+(?:[-.,/]\w+)*"


def unsupported_loop(answer, passage):
    answer = re.sub(r"\[\d+\]", "", answer)
    have = [w.lower() for w in re.findall(WORD, passage)]
    out = []
    for w in re.findall(WORD, answer):
        if any(c.isdigit() for c in w) and w.lower() not in have:
            out.append(w)
    return out


def unsupported_set(answer, passage):
    get = lambda t: {w for w in re.findall(WORD, re.sub(r"\[\d+\]", " ", t.lower())) if re.search("[0-9]", w)}
    return get(answer) - get(passage)


def loose(said, passage):
    have = re.findall(WORD, passage.lower())
    return [w for w in re.findall(WORD, said.lower()) if re.search(r"\d", w) and w not in have]


def unsupported_split(answer, passage):
    return loose(" ".join(re.split(r"\[[0-9]+\]", answer)), passage)


def why_by_all(right, found):
    if len(right) == 0:
        return "should have declined"
    if all(r in found for r in right):
        return "found, misread"
    return "not found"


def changes_by_loop(before, now):
    out = {"new": [], "changed": [], "removed": []}
    for f in now:
        if f not in before:
            out["new"].append(f)
        elif before[f] != now[f]:
            out["changed"].append(f)
    for f in before:
        if f not in now:
            out["removed"].append(f)
    return out


RIGHT = {
    "5.1": [row_by_loop, lambda t, r: t + ": " + "; ".join(" ".join(item) for item in r.items() if item[1])],
    "5.2": [parts_by_while, parts_tuples, parts_drop_tail],
    "5.3": [fit_downwards, fit_upwards],
    "5.4": [unsupported_loop, unsupported_set, unsupported_split],
    "5.5": [
        why_by_all,
        lambda right, found: (
            "should have declined" if not right else "not found" if set(right) - set(found) else "found, misread"
        ),
    ],
    "5.6": [
        changes_by_loop,
        lambda b, n: dict(
            new=n.keys() - b.keys(),
            changed={f for f in n.keys() & b.keys() if n[f] != b[f]},
            removed=b.keys() - n.keys(),
        ),
    ],
}

WRONG = {
    "5.1": [
        (lambda t, r: t + ": " + "; ".join(f"{k} {v}" for k, v in r.items()), "Empty cells"),
        (lambda t, r: t + ": " + "; ".join(v for v in r.values() if v), "names of the columns"),
        (lambda t, r: "; ".join(f"{k} {v}" for k, v in r.items() if v), "title is missing"),
        (lambda t, r: t + ": " + ", ".join(f"{k} {v}" for k, v in r.items() if v), "not a comma"),
        (lambda t, r: t + ": " + "; ".join(f"{k}: {v}" for k, v in r.items() if v), "a space only"),
        (row_trailing, "semicolon at the end"),
    ],
    "5.2": [
        (lambda w, m, o: [w[i : i + m] for i in range(0, len(w), m)], "do not overlap"),
        (lambda w, m, o: [w[i : i + m] for i in range(0, len(w), m - o)], "nothing but words"),
        (lambda w, m, o: [w[i : i + m] for i in range(0, len(w) - m + 1, m - o)], "last words are lost"),
        (
            lambda w, m, o: [w[i : i + m + o] for i in range(0, max(len(w) - o, 1), m)],
            "longer by the overlap",
        ),
        (parts_until_last_word, "Words are compared"),
        (parts_new_words, "Words are compared"),
        (lambda w, m, o: [" ".join(p) for p in parts_by_while(w, m, o)], "These are texts"),
    ],
    "5.3": [
        (lambda p, q, c, b: build(p, q), "not looked at"),
        (fit_skipping, "skipped"),
        (fit_below, "<=, not <"),
        (fit_no_question, "question is missing"),
        (lambda p, q, c, b: q, "question alone"),
    ],
    "5.4": [
        (
            lambda a, p: [
                w for w in re.findall(WORD, a.lower()) if re.search(r"\d", w) and w not in re.findall(WORD, p.lower())
            ],
            "citation was taken",
        ),
        (
            lambda a, p: [
                w
                for w in re.findall(WORD, re.sub(r"\[\d+\]", "", a.lower()))
                if re.search(r"\d", w) and w not in p.lower()
            ],
            "inside another",
        ),
        (
            lambda a, p: [
                w
                for w in re.findall(WORD, re.sub(r"\[\d+\]", "", a))
                if re.search(r"\d", w) and w not in re.findall(WORD, p)
            ],
            "Capital letters",
        ),
        (
            lambda a, p: [
                w for w in re.findall(WORD, re.sub(r"\[\d+\]", "", a.lower())) if w not in re.findall(WORD, p.lower())
            ],
            "without a digit",
        ),
        (lambda a, p: not unsupported_loop(a, p), "True or False"),
        (lambda a, p: loose(re.sub(r"\[\d\]", " ", a), p), "one digit only"),
        (lambda a, p: loose(re.sub(r"\[.*?\]", " ", a), p), "around a number alone"),
        (lambda a, p: loose(a.split("[")[0], p), "up to its first bracket"),
    ],
    "5.5": [
        (
            lambda r, f: (
                "should have declined" if not r else "found, misread" if any(x in f for x in r) else "not found"
            ),
            "One right passage",
        ),
        (lambda r, f: "found, misread" if all(x in f for x in r) else "not found", "nothing to find"),
        (lambda r, f: "found, misread" if any(x in f for x in r) else "not found", "nothing to find"),
        (
            lambda r, f: (
                "should have declined" if not r else "not found" if all(x in f for x in r) else "found, misread"
            ),
            "Where all of right stand in found",
        ),
        (lambda r, f: "not found" if r else "should have declined", "Where all of right stand in found"),
        (
            lambda r, f: (
                "should have declined" if not r else "found, misread" if r[0] in f and r[-1] in f else "not found"
            ),
            "two or three",
        ),
        (
            lambda r, f: "declined" if not r else "misread" if all(x in f for x in r) else "missing",
            "letter by letter",
        ),
    ],
    "5.6": [
        (
            lambda b, n: {
                "new": [f for f in n if f not in b],
                "changed": [f for f in n if b.get(f) != n[f]],
                "removed": [f for f in b if f not in n],
            },
            "listed as changed, too",
        ),
        (
            lambda b, n: {
                "new": [f for f in n if f not in b],
                "changed": [f for f in n if f in b],
                "removed": [f for f in b if f not in n],
            },
            "Compare the hashes",
        ),
        (
            lambda b, n: {
                "new": [f for f in b if f not in n],
                "changed": [f for f in n if f in b and b[f] != n[f]],
                "removed": [f for f in n if f not in b],
            },
            "exchanged",
        ),
        (lambda b, n: [f for f in n if f not in b], "A dictionary"),
    ],
}
