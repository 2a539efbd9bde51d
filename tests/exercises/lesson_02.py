"""Other right answers and usual wrong ones for the exercises of lesson 02.

RIGHT: answers that the check must take. WRONG: answers that it must turn away, each with words that its message holds.
The lambdas and functions are what learners write; they are not tidied up.
"""

# ruff: noqa: B905, B007, C408, C417, E731, RET503, RET505, SIM

import random
import re
import statistics

import numpy as np
from expert import evaluate


def match_by_words(answer, accepted):
    def words(t):
        t = re.sub(r"\[\d+\]", "", t.lower())
        out = []
        for w in t.split():
            w = w.strip(".,;:!?()'\"")
            if re.fullmatch(r"\d{1,3}(,\d{3})+", w):
                w = w.replace(",", "")
            if w not in ("a", "an", "the", ""):
                out.append(w)
        return out

    a = words(answer)
    for value in accepted:
        v = words(value)
        for i in range(len(a) - len(v) + 1):
            if a[i : i + len(v)] == v:
                return True
    return False


def match_only_lower(answer, accepted):
    return any(v.lower() in answer.lower() for v in accepted)


def f1_by_hand(a, b):
    a, b = a.split(), b.split()
    rest = list(b)
    n = 0
    for w in a:
        if w in rest:
            rest.remove(w)
            n += 1
    if not n:
        return 0
    return 2 * n / (len(a) + len(b))


def f1_no_guard(answer, value):
    got, wanted = answer.split(), value.split()
    shared = len([w for w in got if w in wanted])
    p, r = shared / len(got), shared / len(wanted)
    return 2 * p * r / (p + r)


def interval_plain(marks):
    r = random.Random(7)
    means = sorted(statistics.fmean(r.choices(marks, k=len(marks))) for _ in range(2000))
    return [means[50], means[1949]]


def interval_matrix(marks):
    m = np.asarray(marks)
    draws = np.random.default_rng(3).choice(m, size=(5000, len(m))).mean(axis=1)
    return np.percentile(draws, [2.5, 97.5])


def interval_shuffled(marks):
    means = [np.mean(np.random.default_rng(i).permutation(marks)) for i in range(50)]
    return np.quantile(means, 0.025), np.quantile(means, 0.975)


def frontier_loop(c):
    keep = []
    for n in c:
        beaten = False
        for m in c:
            q = c[m][0] - c[n][0]
            s = c[n][1] - c[m][1]
            g = c[n][2] - c[m][2]
            if q >= 0 and s >= 0 and g >= 0 and q + s + g > 0:
                beaten = True
        if not beaten:
            keep.append(n)
    return keep


def card_lines(name, results, use, not_for):
    text = "# Model card: " + name + "\n\nUse it for: " + use + "\nDo not use it for: " + not_for + "\n"
    for r in results:
        text += (
            f"- {r.task}: {round(100 * r.exact)} % of {r.questions} questions "
            f"(95 % interval {round(100 * r.low)} % to {round(100 * r.high)} %)\n"
        )
    return text


def card_decimals(name, results, use, not_for):
    body = [f"{r.task} | n={r.questions} | {r.exact:.1%} [{r.low:.1%}, {r.high:.1%}]" for r in results]
    return "\n".join(["# " + name, use, not_for, *body])


def card_without(*parts):
    """A card that leaves something out."""

    def model_card(name, results, use, not_for):
        lines = ["# " + name] * ("title" not in parts) + [use] * ("use" not in parts) + [not_for] * ("not" not in parts)
        for r in results:
            n = "" if "n" in parts else f" {r.questions}"
            share = f" {r.exact:.2f}" if "percent" in parts else f" {r.exact:.0%}"
            ends = "" if "ends" in parts else f" {r.low:.0%} {r.high:.0%}"
            lines.append(f"{r.task}:{n}{share}{ends}")
        return "\n".join(lines)

    return model_card


def card_first_only(name, results, use, not_for):
    r = results[0]
    return f"# {name}\n{use}\n{not_for}\n{r.task} {r.questions} {r.exact:.0%} {r.low:.0%} {r.high:.0%}"


def group_match(row):
    match row["open_weights"]:
        case "yes":
            return "open"
        case "no":
            return "closed"
    return "unknown"


def break_even_floor(fixed, price_in, price_out, tokens_in, tokens_out):
    cost = tokens_in / 1e6 * price_in + tokens_out / 1e6 * price_out
    if cost == 0:
        return float("inf")
    return int(fixed // cost)


def interval_formula(marks):
    m, s = np.mean(marks), np.std(marks) / len(marks) ** 0.5
    return m - 1.96 * s, m + 1.96 * s


def interval_percent(marks):
    chance = np.random.default_rng(5)
    means = [chance.choice(marks, size=len(marks)).mean() for _ in range(2000)]
    return np.percentile(means, 0.025), np.percentile(means, 0.975)


def interval_of_32(marks):
    chance = np.random.default_rng(5)
    means = [chance.choice(marks, size=32).mean() for _ in range(2000)]
    return np.quantile(means, 0.025), np.quantile(means, 0.975)


def interval_few_means(marks):
    chance = np.random.default_rng(5)
    means = [chance.choice(marks, size=4 * len(marks)).mean() for _ in range(2000)]
    return np.quantile(means, 0.025), np.quantile(means, 0.975)


def match_regex(answer, accepted):
    for value in accepted:
        if evaluate.exact_match(answer, value):
            return re.match(".*", answer)


def card_named(use_name, not_name, swap=False, share=None, blank=" "):
    def model_card(name, results, use, not_for):
        a, b = (not_for, use) if swap else (use, not_for)
        lines = [f"#{blank}{name}", "", f"{use_name}{a}", f"{not_name}{b}", ""]
        for r in results:
            part = share(r.exact) if share else f"{r.exact:.0%}"
            lines.append(f"{r.task}: {part} of {r.questions} ({r.low:.0%} to {r.high:.0%})")
        return "\n".join(lines)

    return model_card


def card_not_first(name, results, use, not_for):
    body = [f"* {r.task} ({r.questions}): {r.exact:.0%}, {r.low:.0%}-{r.high:.0%}" for r in results]
    return "\n".join([f"# {name}", "## Do not use it for", not_for, "", "## Use it for", use, *body])


RIGHT = {
    "2.1": [match_by_words, evaluate.exact_match, lambda a, v: bool(sum(match_by_words(a, [x]) for x in v))],
    "2.2": [
        f1_by_hand,
        lambda a, v: round(f1_by_hand(a, v), 3),
        lambda a, v: np.float64(f1_by_hand(a, v)),
        lambda a, v: evaluate.token_f1(a, v),
    ],
    "2.3": [interval_plain, interval_matrix, evaluate.bootstrap],
    "2.4": [frontier_loop, lambda c: set(frontier_loop(c)), lambda c: sorted(frontier_loop(c))],
    "2.5": [
        card_lines,
        card_decimals,
        card_without(),
        card_named("Use: ", "Not for: "),
        card_named("**Intended use:** ", "**Don't use for:** "),
        card_not_first,
    ],
    "2.6": [group_match, lambda row: {"yes": "open", "no": "closed"}.get(row["open_weights"], "unknown")],
    "2.7": [
        break_even_floor,
        lambda f, a, b, m, n: np.inf if a * m + b * n == 0 else np.float64(f * 1e6 / (a * m + b * n)),
    ],
    "2.8": [(2, 1, 3, 4, 1, 3, 4, 2), np.array([2, 1, 3, 4, 1, 3, 4, 2])],
}

WRONG = {
    "2.1": [
        (match_only_lower, "another value"),
        (lambda a, v: a == v, "never equals a list"),
        (lambda a, v: 1 if match_by_words(a, v) else 0, "not True or False"),
        (lambda a, v: int(match_by_words(a, v)), "not True or False"),
        (lambda a, v: match_regex(a, v) or [], "not True or False"),
        (lambda accepted, answer: any(x.lower() in answer.lower() for x in accepted), "second a list of values"),
        (lambda a, v: any(evaluate.normalise(x) == evaluate.normalise(a) for x in v), "enough that the value stands"),
        (lambda a, v: evaluate.exact_match(a, v[0]), "Only the first"),
        (lambda a, v: all(evaluate.exact_match(a, x) for x in v), "One is enough"),
        (lambda a, v: print(evaluate.exact_match(a, v)), "use return"),
        (lambda a, v: any(x in a for x in v), "another value"),
        (lambda a: True, "how many things"),
        (lambda a, v: a.lower().index(v[0].lower()) >= 0, "another value than"),
    ],
    "2.2": [
        (f1_no_guard, "ZeroDivisionError"),
        (lambda a, v: len(set(a.split()) & set(v.split())) / max(1, len(a.split())), "Work this input through"),
        (lambda a, v: sum(w in v.split() for w in a.split()) / len(v.split()), "Work this input through"),
        (lambda a, v: 100 * f1_by_hand(a, v), "percentage"),
        (lambda a, v: evaluate.exact_match(a, v), "Work this input through"),
        (lambda a, v: str(f1_by_hand(a, v)), "is a text"),
    ],
    "2.3": [
        (interval_shuffled, "Both ends are the mean"),
        (lambda m: np.quantile(m, [0.025, 0.975]), "the mean of each draw"),
        (lambda m: np.mean(m), "Two numbers"),
        (lambda m: evaluate.bootstrap(m, level=0.9), "90 % interval"),
        (lambda m: evaluate.bootstrap(m)[::-1], "low, then high"),
        (lambda m: [100 * x for x in evaluate.bootstrap(m)], "percentage"),
        (lambda m: (min(m), max(m)), "ends of the marks"),
        (interval_percent, "np.percentile(means, 2.5)"),
        (interval_formula, "beyond 0 or 1"),
        (interval_of_32, "too wide"),
        (interval_few_means, "too narrow"),
        (lambda m: print(evaluate.bootstrap(m)), "use return"),
    ],
    "2.4": [
        (lambda c: [max(c, key=lambda n: c[n][0])], "better in something"),
        (lambda c: list(c), "Expected items"),
        (lambda c: [], "as good as itself"),
        (lambda c: [c[n] for n in frontier_loop(c)], "names were asked for"),
        (lambda c: [n for n in c if c[n][0] == max(v[0] for v in c.values())], "highest quality"),
    ],
    "2.5": [
        (card_without("ends"), "interval is missing"),
        (card_without("n"), "number of questions is missing"),
        (card_without("percent"), "not in percent"),
        (card_without("not"), "not for is missing"),
        (card_without("use"), "for is missing"),
        (card_without("title"), "title in the first line"),
        (card_first_only, "Not every result"),
        (card_named("Use: ", "Not for: ", swap=True), "each other's place"),
        (card_named("## Intended use\n\n", "## Not for\n\n", swap=True), "each other's place"),
        (card_named("Use: ", "Not for: ", share=lambda x: f"{int(100 * x)}%"), "cut off, not rounded"),
        (card_named("Use: ", "Not for: ", blank=""), "A blank belongs"),
        (lambda n, r, u, f: [n, u, f], "A str was asked for"),
        (lambda n, r, u, f: f"# {n}\n{u}\n{f}\n" + "".join(r.task + str(r.accuracy) for r in r), "AttributeError"),
    ],
    "2.6": [
        (lambda row: "open" if row["open_weights"] else "closed", "Its weights are not open"),
        (lambda row: "open" if row["open_weights"] == "yes" else "closed", "taken for no"),
        (lambda row: row["open_weights"], "what the field says"),
        (lambda row: row["open_weights"] == "yes", "what the field says"),
        (lambda row: "Open" if row["open_weights"] == "yes" else "Closed", "small letters"),
        (lambda row: row["open"], "KeyError"),
    ],
    "2.7": [
        (lambda f, a, b, m, n: f / (a * m + b * n), "A call costs 0.0012"),
        (lambda f, a, b, m, n: f * 1e6 / (a * m + b * n), "ZeroDivisionError"),
        (lambda f, a, b, m, n: f / ((a * m + b * n) / 1000) if a * m + b * n else np.inf, "not for a thousand"),
        (lambda f, a, b, m, n: f * 1e6 / (a * m) if a * m else np.inf, "What is written is not charged"),
        (lambda f, a, b, m, n: f * 1e6 / (a * m + b * n) if a * m + b * n else 0, "costs nothing"),
        (lambda f, a, b, m, n: (a * m + b * n) / 1e6, "cost of one call"),
        (lambda f, a, b, m, n: f"{f * 1e6 / max(1e-9, a * m + b * n):.0f}", "A float was asked for"),
    ],
    "2.8": [
        ([2, 1, 3, 4, 2, 3, 4, 2], "examples in the prompt are a prompt"),
        ([2, 1, 3, 4, 1, 3, 4, 3], "the weights stay"),
        ([2, 1, 4, 4, 1, 3, 4, 2], "trained them further"),
        ([2, 1, 3, 3, 1, 3, 4, 2], "had learnt nothing"),
        (21341342, "no single number"),
        (lambda: [2, 1, 3, 4, 1, 3, 4, 2], "no function"),
        ([1, 1, 1, 1, 1, 1, 1, 1], "searched for"),
        ([2, 1, 3, 4], "eight"),
        ("21341342", "a list of numbers"),
        (list("21341342"), "no quotes"),
        ({"a": 2}, "a list of numbers"),
        ([2, 1, 3, 4, 1, 3, 3, 2], "no old weight fits"),
    ],
}
