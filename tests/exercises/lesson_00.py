"""Other right answers and usual wrong ones for the exercises of lesson 00.

RIGHT: answers that the check must take. WRONG: answers that it must turn away, each with words that its message holds.
The lambdas and functions are what learners write; they are not tidied up.
"""

# ruff: noqa: B905, B007, C408, C417, E731, RET503, RET505, SIM

import re

import numpy as np


def prompt_by_loop(texts, q):
    out = ""
    for i in range(len(texts)):
        out += "[" + str(i + 1) + "] " + texts[i] + "\n"
    return out + "\n" + q


def prompt_with_word(passages, question):
    lines = [f"[{n}] {p}" for n, p in zip(range(1, 100), passages)]
    return "\n".join(lines + ["", "Question: " + question])


def prompt_only_first(passages, question):
    for i, p in enumerate(passages, 1):
        return f"[{i}] {p}\n\n{question}"


def prompt_overwritten(passages, question):
    text = ""
    for i, p in enumerate(passages, 1):
        text = f"[{i}] {p}\n"
    return text + "\n" + question


def prompt_number_plus_text(texts, q):
    return "\n".join("[" + i + "] " + t for i, t in enumerate(texts, 1)) + "\n\n" + q


def prompt_printed(passages, question):
    print(prompt_by_loop(passages, question))


def cited_by_hand(answer):
    found, rest = [], answer
    while "[" in rest:
        rest = rest[rest.index("[") + 1 :]
        inside = rest.split("]")[0]
        if inside.isdigit():
            found.append(int(inside))
    return found


def cited_once_each(text):
    seen = []
    for match in re.finditer(r"\[\s*(\d+)\s*\]", text):
        if int(match.group(1)) not in seen:
            seen.append(int(match.group(1)))
    return seen


def cited_first(answer):
    match = re.search(r"\[(\d+)\]", answer)
    return [int(match.group(1))] if match else []


def cited_alone(answer):
    match = re.search(r"\[(\d+)\]", answer)
    return int(match.group(1)) if match else None


def cited_raises(answer):
    inside = answer.split("[")[1].split("]")[0]
    return [int(inside)]


def words(text):
    return [w.strip(".,;:![]()") for w in text.lower().split()]


def share_by_words(answers, expected):
    def holds(answer, value):
        a, v = words(answer), words(value)
        return any(a[i : i + len(v)] == v for i in range(len(a)))

    return float(np.mean([holds(a, v) for a, v in zip(answers, expected)])) if answers else 0.0


def share_by_pattern(xs, ys):
    n = 0
    for x, y in zip(xs, ys):
        pattern = r"(?<![\w.,])" + r"\s+".join(re.escape(w) for w in y.split()) + r"(?!\w|[.,]\d)"
        if re.search(pattern, x, flags=re.I):
            n = n + 1
    return n / max(1, len(xs))


def tidy(text):
    return " ".join(text.lower().split())


def holds(answer, value):
    return re.search(rf"(?<![\w.,]){re.escape(value)}(?!\w|[.,]\d)", answer) is not None


def share_with_tool(answers, expected):
    if len(answers) == 0:
        return 0
    return sum(1 for a, e in zip(answers, expected) if holds(tidy(a), tidy(e))) / len(answers)


def share_of(rule, scale=1.0):
    """A wrong answer with its own rule for one pair."""

    def share_correct(answers, expected):
        return scale * sum(rule(a, e) for a, e in zip(answers, expected)) / len(answers) if answers else 0.0

    return share_correct


def share_without_guard(answers, expected):
    return sum(share_by_words([a], [e]) for a, e in zip(answers, expected)) / len(answers)


def pattern_with_edges(answer, value):
    a, v = " ".join(answer.lower().split()), " ".join(value.lower().split())
    return re.search(rf"\b{re.escape(v)}\b", a) is not None


def pattern_unescaped(answer, value):
    a, v = " ".join(answer.lower().split()), " ".join(value.lower().split())
    return re.search(r"(?<!\w)" + v + r"(?!\w)", a) is not None


def dots_gone(answer, value):
    found = answer.lower().replace(".", "").split()
    return all(word in found for word in value.lower().replace(".", "").split())


def share_faults_twice(answers, expected):
    return sum(e.lower() in a.lower() for a, e in zip(answers, expected)) / len(answers)


RIGHT = {
    "0.1": [
        [{"role": "user", "content": "How tight are the cover bolts?"}],
        ({"content": "why", "role": "user"},),
        [dict(role="user", content="Qué es una bomba?", name="Ana")],
    ],
    "0.2": [
        prompt_by_loop,
        prompt_with_word,
        lambda p, q: "\n".join(map("[{}] {}".format, range(1, len(p) + 1), p)) + "\n\n" + q + "\n",
    ],
    "0.3": [
        cited_by_hand,
        cited_once_each,
        lambda a: np.array(re.findall(r"\[(\d+)\]", a), dtype=int),
        lambda a: tuple(int(n) for n in re.findall(r"(?<=\[)\d+(?=\])", a)),
    ],
    "0.4": [
        share_by_words,
        share_by_pattern,
        share_with_tool,
        lambda a, e: np.float64(share_by_pattern(a, e)),
    ],
}

WRONG = {
    "0.1": [
        ("How tight are the bolts?", "a list of messages"),
        ({"role": "user", "content": "How tight?"}, "a list of messages"),
        (["How tight?"], "Curly brackets"),
        ([], "exactly one"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "exactly one"),
        ([{"role": "user", "text": "How tight?"}], "keys role and content"),
        ([{"Role": "user", "content": "How tight?"}], "keys role and content"),
        ([{"role": "assistant", "content": "How tight?"}], "You ask"),
        ([{"role": "User", "content": "How tight?"}], "small letters"),
        ([{"role": "user", "content": " "}], "a text with a question"),
        ([{"role": "user", "content": "..."}], "a text with a question"),
        ([{"role": "user", "content": ["How tight?"]}], "a text with a question"),
    ],
    "0.2": [
        (lambda p, q: "\n".join(f"[{i}] {t}" for i, t in enumerate(p)) + "\n\n" + q, "numbered from 0"),
        (lambda p, q: "\n".join(f"[{i}] {t}" for i, t in enumerate(p, 1)) + "\n" + q, "no empty line before"),
        (lambda p, q: "\n\n".join([f"[{i}] {t}" for i, t in enumerate(p, 1)] + [q]), "empty lines between"),
        (lambda p, q: "\n".join(f"[{i}] {t}" for i, t in enumerate(p, 1)), "The question is missing"),
        (lambda p, q: q, "The passages are missing"),
        (lambda p, q: "\n".join(p) + "\n\n" + q, "The numbers are missing"),
        (lambda p, q: " ".join(f"[{i}] {t}" for i, t in enumerate(p, 1)) + "\n\n" + q, "stand on one line"),
        (lambda p, q: "\n".join(f"{i}. {t}" for i, t in enumerate(p, 1)) + "\n\n" + q, "square brackets"),
        (lambda p, q: "\n".join(f"[{i}]{t}" for i, t in enumerate(p, 1)) + "\n\n" + q, "A space goes between"),
        (lambda p, q: q + "\n\n" + "\n".join(f"[{i}] {t}" for i, t in enumerate(p, 1)), "comes last"),
        (lambda p, q: "\n".join(f"[{p.index(t) + 1}] {t}" for t in p) + "\n\n" + q, "the second should be [3]"),
        (lambda p, q: "\n".join(f"({i}) {t}" for i, t in enumerate(p, 1)) + "\n\n" + q, "The first difference"),
        (lambda p, q: [f"[{i}] {t}" for i, t in enumerate(p, 1)] + ["", q], "A str was asked for; this is a list"),
        (prompt_only_first, "inside the loop"),
        (prompt_overwritten, "overwritten each time"),
        (prompt_number_plus_text, "str(number)"),
        (prompt_printed, "use return"),
        (lambda p: "\n".join(p), "how many things"),
        ("[1] A passage.\n\nA question?", "the function itself"),
        (lambda p, q: "\n".join(f"[{i}] " + t for i, t in p) + "\n\n" + q, "ValueError"),
    ],
    "0.3": [
        (lambda a: re.findall(r"\[(\d+)\]", a), "int("),
        (lambda a: [int(n) for n in re.findall(r"\d+", a)], "square brackets"),
        (lambda a: [int(n) for n in re.findall(r"\[(\d)\]", a)], "two digits"),
        (lambda a: [int(n) for n in re.findall("[\\d]", a)], r"is written \["),
        (lambda a: [int(n) for n in re.findall(r"[(\d+)]", a)], r"is written \["),
        (lambda a: re.findall(r"[(\d+)]", a), r"is written \["),
        (lambda a: [f"[{n}]" for n in re.findall(r"\[(\d+)\]", a)], "int("),
        (lambda a: sorted(set(cited_by_hand(a))), "sorted"),
        (lambda a: set(cited_by_hand(a)), "a set"),
        (lambda a: (int(n) for n in re.findall(r"\[(\d+)\]", a)), "list(...)"),
        (lambda a: len(cited_by_hand(a)), "always a list"),
        (lambda a: [], "[2] is the citation"),
        (cited_first, "Only the first"),
        (cited_alone, "always a list"),
        (cited_raises, "IndexError"),
        (lambda a: [int(n) for n in re.findall(r"\[(\w+)\]", a)], "ValueError"),
    ],
    "0.4": [
        (share_of(lambda a, e: " ".join(e.lower().split()) in " ".join(a.lower().split())), "another value"),
        (share_of(lambda a, e: e.lower() in a.lower()), "A longer number counts"),
        (share_of(lambda a, e: e in a), "A longer number counts"),
        (share_of(lambda a, e: e == a), "not found inside a sentence"),
        (share_of(lambda a, e: e.lower().split() == a.lower().split()), "not found inside a sentence"),
        (
            share_of(lambda a, e: re.search(r"(?<!\w)" + re.escape(e) + r"(?!\w)", a) is not None),
            "Capitals still count",
        ),
        (share_of(pattern_unescaped), "re.escape"),
        (share_of(pattern_with_edges), "4.5 bar is not 5 bar"),
        (
            share_of(lambda a, e: re.search(rf"(?<![.,])\b{re.escape(tidy(e))}\b(?![.,]\d)", tidy(a)) is not None),
            "begin with a minus",
        ),
        (
            share_of(lambda a, e: re.search(rf"(?<!\w){re.escape(tidy(e))}(?!\w)", tidy(a)) is not None),
            "4.5 bar is not 5 bar",
        ),
        (
            share_of(lambda a, e: re.search(rf"(?<![\w.,]){re.escape(tidy(e))}(?!\w)", tidy(a)) is not None),
            "12.5 is not 12",
        ),
        (share_of(lambda a, e: re.search(rf"(?<![\w.,]){tidy(e)}(?!\w|[.,]\d)", tidy(a)) is not None), "re.escape"),
        (share_of(lambda a, e: f" {tidy(e)} " in f" {tidy(a)} "), "A full stop may stand"),
        (share_of(lambda a, e: f" {e} " in f" {a} "), "A full stop may stand"),
        (share_of(dots_gone), "3.5 bar becomes 35 bar"),
        (share_of(lambda a, e: all(w in words(a) for w in words(e))), "must stand together"),
        (share_of(lambda a, e: holds(a, e)), "Capitals still count"),
        (share_of(lambda a, e: holds(a.lower(), e.lower())), "Extra spaces still count"),
        (share_of(lambda a, e: holds(tidy(a), e.lower())), "in the expected value too"),
        (share_of(lambda a, e: holds(" ".join(a.split()), " ".join(e.split()))), "Capitals still count"),
        (share_of(lambda a, e: re.search(rf"\s{re.escape(tidy(e))}(?!\w|[.,]\d)", tidy(a)) is not None), "value alone"),
        (share_faults_twice, "145 Nm is not 45 Nm"),
        (share_of(lambda a, e: bool(share_by_words([a], [e])), scale=100.0), "percentage"),
        (share_of(lambda a, e: not share_by_words([a], [e])), "share of wrong answers"),
        (lambda a, e: sum(bool(share_by_words([x], [y])) for x, y in zip(a, e)), "Divide it"),
        (lambda a, e: [bool(share_by_words([x], [y])) for x, y in zip(a, e)], "a mark for each answer"),
        (share_without_guard, "ZeroDivisionError"),
        (lambda a, e: str(share_by_words(a, e)), "it is a text"),
        (lambda a, e: print(share_by_words(a, e)), "use return"),
    ],
}
