"""Other right answers and usual wrong ones for the exercises of lesson 03.

RIGHT: answers that the check must take. WRONG: answers that it must turn away, each with words that its message holds.
The lambdas and functions are what learners write; they are not tidied up.
"""

# ruff: noqa: B905, B007, C408, C416, C417, E731, RET503, RET505, SIM

import json
import math
import re

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError


def chat_by_loop(chat):
    text = ""
    for message in chat:
        text += "<|" + message["role"] + "|>\n" + message["content"] + "<|end|>\n"
    return text + "<|assistant|>\n"


def chat_by_format(messages):
    lines = []
    for m in messages:
        lines += ["<|{role}|>".format(**m), m["content"] + "<|end|>"]
    return "\n".join(lines + ["<|assistant|>", ""])


def chat_inside_loop(messages):
    for m in messages:
        return f"<|{m['role']}|>\n{m['content']}<|end|>\n<|assistant|>\n"


def prompt_by_loop(examples, ticket, instruction=""):
    out = ""
    if instruction != "":
        out = instruction + "\n" + "\n"
    for text, label in examples:
        out = out + "Ticket: " + text + "\nLabel: " + label + "\n"
    return out + "Ticket: " + ticket + "\nLabel:"


def prompt_by_lines(examples, ticket, instruction=None):
    lines = [instruction, ""] if instruction else []
    for pair in examples:
        lines.append(f"Ticket: {pair[0]}")
        lines.append(f"Label: {pair[1]}")
    return "\n".join([*lines, f"Ticket: {ticket}", "Label:"])


def prompt_with(form, examples, ticket, instruction):
    return (instruction + "\n\n" if instruction else "") + form(examples) + f"Ticket: {ticket}\nLabel:"


def fit_by_loop(example_tokens, fixed, answer, context):
    used, n = fixed + answer, 0
    for tokens in example_tokens:
        used += tokens
        if used > context:
            break
        n += 1
    return n


def fit_by_sums(tokens, fixed, answer, context):
    best = 0
    for n in range(len(tokens) + 1):
        if sum(tokens[:n]) + fixed + answer <= context:
            best = n
    return best


def fit_never_stops(tokens, fixed, answer, context):
    n = 0
    while fixed + answer + sum(tokens[: n + 1]) <= context:
        n += 1
    return n


def fit_two_mistakes(tokens, fixed, answer, context):
    n = 0
    for size in tokens:
        if fixed + size <= context:
            fixed += size
            n += 1
    return n


def fit_below_zero(tokens, fixed, answer, context):
    room = context - fixed - answer
    return min(len(tokens), math.floor(room / 40))


def chances_torch(logits, temperature, top_p):
    chances = torch.softmax(torch.tensor(logits, dtype=torch.float64) / temperature, dim=0)
    values, places = torch.sort(chances, descending=True)
    values[torch.cumsum(values, 0) - values >= top_p] = 0
    out = torch.zeros_like(chances)
    out[places] = values
    return out / out.sum()


def chances_plain(logits, temperature, top_p):
    top = max(logits)
    powers = [math.exp((x - top) / temperature) for x in logits]
    chances = [p / sum(powers) for p in powers]
    kept, total = set(), 0.0
    for i in sorted(range(len(chances)), key=lambda i: chances[i], reverse=True):
        if total < top_p:
            kept.add(i)
            total += chances[i]
    return [c / total if i in kept else 0.0 for i, c in enumerate(chances)]


def chances_loop(logits, temperature, top_p):
    p = np.exp((np.array(logits) - np.max(logits)) / temperature)
    p = p / p.sum()
    new, total = np.zeros_like(p), 0
    for i in np.argsort(p)[::-1]:
        if total >= top_p:
            break
        new[i] = p[i]
        total += p[i]
    return new / total


def chances_overflow(logits, temperature, top_p):
    with np.errstate(all="ignore"):
        powers = np.exp(np.array(logits) / temperature)
        chances = powers / powers.sum()
    order = np.argsort(-chances)
    before = np.cumsum(chances[order]) - chances[order]
    chances[order[before >= top_p]] = 0
    return chances / chances.sum()


def chances_top(logits, temperature, top_p):
    return int(np.argmax(logits))


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    answer: str
    source: int | None


class StrictAnswer(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    answer: str
    source: int | None


def reply_by_hand(text):
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return None
    if not isinstance(value, dict) or set(value) != {"answer", "source"}:
        return None
    answer, source = value["answer"], value["source"]
    good = type(answer) is str and answer and (source is None or type(source) is int)
    return {"answer": answer, "source": source} if good else None


def reply_checked_after(text):
    try:
        reply = StrictAnswer.model_validate_json(text)
    except Exception:
        return None
    if len(reply.answer) == 0:
        return None
    return dict(reply)


def reply_lax(text):
    try:
        reply = Answer.model_validate_json(text)
    except ValidationError:
        return None
    return reply.model_dump() if reply.answer else None


def reply_object(text):
    try:
        return StrictAnswer.model_validate_json(text)
    except ValidationError:
        return None


def reply_json(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def reply_keys(text):
    value = reply_json(text)
    if isinstance(value, dict) and "answer" in value and "source" in value:
        return value


def allowed_mask(written, scores, options):
    n = len(written)
    ids = [o[n] for o in options if len(o) > n and o[:n] == list(written)]
    if len(ids) == 0:
        return scores
    mask = torch.ones_like(scores, dtype=torch.bool)
    mask[ids] = False
    return scores.masked_fill(mask, float("-inf"))


def allowed_list(written, scores, options):
    ids = set()
    for option in options:
        if len(option) > len(written) and all(a == b for a, b in zip(option, written)):
            ids.add(option[len(written)])
    return [s if not ids or i in ids else -math.inf for i, s in enumerate(scores.tolist())]


def allowed_numpy(written, scores, options):
    n = len(written)
    ids = {o[n] for o in options if o[:n] == written and len(o) > n}
    out = np.full(len(scores), -np.inf)
    for i in ids or range(len(scores)):
        out[i] = float(scores[i])
    return out


def allowed_zero(written, scores, options):
    n = len(written)
    ids = {o[n] for o in options if o[:n] == written and len(o) > n}
    return torch.tensor([s if i in ids or not ids else 0.0 for i, s in enumerate(scores.tolist())])


def allowed_tokens(written, scores, options):
    n = len(written)
    return sorted({o[n] for o in options if o[:n] == written and len(o) > n})


def allowed_raises(written, scores, options):
    ids = [o[len(written)] for o in options if o[: len(written)] == written]
    out = torch.full_like(scores, -math.inf)
    out[ids] = scores[ids]
    return out


def clean_by_find(text):
    low = text.lower()
    ends = [low.find(mark) for mark in ("\n", "label:", "ticket:")]
    ends = [end for end in ends if end >= 0]
    return text[: min(ends)].strip() if ends else text.strip()


def clean_in_steps(ticket):
    first = ticket.splitlines()[0]
    for mark in ("label:", "ticket:"):
        place = first.lower().find(mark)
        if place != -1:
            first = first[:place]
    return first.strip()


RIGHT = {
    "3.1": [
        chat_by_loop,
        chat_by_format,
        lambda ms: "".join(map("<|{role}|>\n{content}<|end|>\n".format_map, ms)) + "<|assistant|>\n",
    ],
    "3.2": [
        prompt_by_loop,
        prompt_by_lines,
        lambda e, t, i="": (
            (i and i + "\n\n") + "".join("Ticket: {}\nLabel: {}\n".format(*x) for x in e) + f"Ticket: {t}\nLabel:"
        ),
    ],
    "3.3": [
        lambda p, a, i, o: p / 1e6 * i + a / 1e6 * o,
        lambda a, b, c, d: np.dot([a, b], [c, d]) * 1e-6,
        lambda prompt, answer, price_in, price_out: float(prompt) * price_in / 10**6 + answer * price_out / 10**6,
    ],
    "3.4": [
        fit_by_loop,
        fit_by_sums,
        lambda t, f, a, c: int(np.sum(np.cumsum(t) <= c - f - a)),
    ],
    "3.5": [
        chances_torch,
        chances_plain,
        chances_loop,
        lambda logits, t, p: np.array(chances_plain(logits, t, p), dtype=float),
    ],
    "3.6": [
        reply_by_hand,
        reply_checked_after,
        lambda text: reply_by_hand(text.strip()) or None,
    ],
    "3.7": [
        allowed_mask,
        allowed_list,
        allowed_numpy,
    ],
    "3.8": [
        clean_by_find,
        clean_in_steps,
        lambda text: re.match(r"(?is)(.*?)(\n|label:|ticket:|$)", text.strip()).group(1).strip(),
    ],
}

WRONG = {
    "3.1": [
        (lambda ms: chat_by_loop(ms)[: -len("<|assistant|>\n")], "The last marker is missing"),
        (lambda ms: chat_by_loop(ms)[:-1], "line break after the last"),
        (lambda ms: chat_by_loop(ms) + "<|end|>\n", "is closed by an <|end|>"),
        (lambda ms: chat_by_loop(ms).replace("<|end|>", ""), "no <|end|> after a message"),
        (lambda ms: chat_by_loop(ms).replace("<|end|>\n", "<|end|>"), "line break after <|end|>"),
        (lambda ms: chat_by_loop(ms).replace("|>\n", "|>"), "spaces or line breaks only"),
        (lambda ms: chat_by_loop([{**m, "role": "user"} for m in ms]), "Take the role from the message"),
        (lambda ms: chat_by_loop([{**m, "content": m["content"].strip()} for m in ms]), "edges of a content"),
        (lambda ms: chat_by_loop(ms[-1:]), "Only the last message"),
        (chat_inside_loop, "inside the loop"),
        (lambda ms: chat_by_loop(ms).split("\n"), "A str was asked for"),
        (lambda ms: print(chat_by_loop(ms)), "use return"),
        (lambda ms: chat_by_loop([m["content"] for m in ms]), "TypeError"),
    ],
    "3.2": [
        (lambda e, t, i="": prompt_by_loop(e, t, i) + " ", "space after the last Label:"),
        (lambda e, t, i="": prompt_by_loop(e, t, i) + "\n", "line break stands after the last"),
        (lambda e, t, i="": prompt_by_loop(e, t, i)[: -len("\nLabel:")], "what the model is asked to continue"),
        (lambda e, t, i="": i + "\n\n" + prompt_by_loop(e, t, ""), "begins with empty lines"),
        (lambda e, t, i="": (i + "\n" if i else "") + prompt_by_loop(e, t, ""), "two line breaks, not one"),
        (lambda e, t, i="": prompt_by_loop(e, t, ""), "The instruction is missing"),
        (lambda e, t, i="": prompt_by_loop([], t, i), "The examples are missing"),
        (lambda e, t, i="": prompt_by_loop([(b, a) for a, b in e], t, i), "changed places"),
        (
            lambda e, t, i="": prompt_with(lambda x: "".join(f"Ticket: {a}\nLabel: {b}\n\n" for a, b in x), e, t, i),
            "empty lines between the examples",
        ),
        (lambda e, t, i="": prompt_by_loop(e[:1], t, i), "Two examples and no instruction"),
        (lambda e, t: prompt_by_loop(e, t), "how many things"),
        (lambda e, t, i: prompt_by_loop(e, t, i), "TypeError"),
        (lambda e, t, i="": prompt_by_loop(e + t, t, i), "TypeError"),
    ],
    "3.3": [
        (lambda p, a, i, o: p * i + a * o, "a million times too much"),
        (lambda p, a, i, o: (p * i + a * o) / 1000, "a thousand times too much"),
        (lambda p, a, i, o: (p * o + a * i) / 1e6, "changed places"),
        (lambda p, a, i, o: p * i / 1e6, "The answer is missing"),
        (lambda p, a, i, o: a * o / 1e6, "The prompt is missing"),
        (lambda p, a, i, o: (p + a) * i / 1e6, "a price of their own"),
        (lambda p, a, i, o: (p + a) * (i + o) / 1e6, "the sum of both prices"),
        (lambda p, a, i, o: round((p * i + a * o) / 1e6, 2), "rounded"),
        (lambda p, a, i, o: round((p * i + a * o) / 1e6, 5), "multiplied by 1,000"),
        (lambda p, a, i, o: f"{(p * i + a * o) / 1e6} dollars", "A float was asked for"),
    ],
    "3.4": [
        (lambda t, f, a, c: sum(np.cumsum(t) < c - f - a), "compare with <="),
        (lambda t, f, a, c: fit_by_loop(t, f, 0, c), "The answer has no room"),
        (lambda t, f, a, c: fit_by_loop(t, 0, a, c), "The fixed part is forgotten"),
        (lambda t, f, a, c: fit_by_loop(t, 0, 0, c), "Neither the fixed part"),
        (lambda t, f, a, c: len([n for n in t if n <= c - f - a]), "add them up"),
        (lambda t, f, a, c: sum(t[: fit_by_loop(t, f, a, c)]), "number of examples"),
        (fit_below_zero, "not less"),
        (fit_two_mistakes, "Two things"),
        (lambda t, f, a, c: t[: fit_by_loop(t, f, a, c)], "Look at"),
        (lambda t, f, a, c: (c - f - a) // t[0], "The context is large"),
    ],
    "3.5": [
        (lambda x, t, p: chances_plain(x, 1 / t, p), "Divide by it"),
        (lambda x, t, p: chances_plain(x, 1.0, p), "temperature is not used"),
        (lambda x, t, p: chances_plain(x, t, 1.1), "top_p is not used"),
        (
            lambda x, t, p: [a if b else 0.0 for a, b in zip(chances_plain(x, t, 1.1), chances_plain(x, t, p))],
            "Divide by their sum",
        ),
        (lambda x, t, p: sorted(chances_plain(x, t, p), reverse=True), "order of the logits"),
        (chances_overflow, "overflow"),
        (chances_top, "Look at"),
        (lambda x, t, p: chances_plain(x / t, 1.0, p), "TypeError"),
    ],
    "3.6": [
        (reply_json, "JSON of any kind passes"),
        (reply_keys, "further keys pass"),
        (reply_lax, "strict=True"),
        (reply_object, "model_dump"),
        (lambda text: reply_by_hand(text) is not None, "True or False"),
        (lambda text: text if reply_by_hand(text) else None, "as a text"),
        (
            lambda text: reply_by_hand(re.search(r"\{.*\}", text)[0]) if re.search(r"\{.*\}", text) else None,
            "the whole reply",
        ),
        (lambda text: reply_by_hand(text) or {"answer": None, "source": None}, "return None"),
        (lambda text: json.loads(text), "JSONDecodeError"),
        (lambda text: StrictAnswer.model_validate_json(text).model_dump(), "ValidationError"),
    ],
    "3.7": [
        (allowed_zero, "minus infinity"),
        (lambda w, s, o: allowed_mask([], s, o), "not looked at"),
        (lambda w, s, o: allowed_mask([], s, [[t] for x in o for t in x]), "at any place"),
        (allowed_tokens, "The scores were asked for"),
        (lambda w, s, o: allowed_list(w, s, [w + x[len(w) :] for x in o]), "begin with what is written"),
        (lambda w, s, o: int(torch.argmax(allowed_mask(w, s, o))), "Look at"),
        (allowed_raises, "IndexError"),
    ],
    "3.8": [
        (lambda text: re.split(r"\n|Label:|Ticket:", text)[0].strip(), "IGNORECASE"),
        (lambda text: re.sub(r"(?i)\n|label:|ticket:", "", text).strip(), "what follows them stays"),
        (lambda text: text.split("\n")[0].strip(), "on one line"),
        (lambda text: re.split(r"(?i)\n|label|ticket", text)[0].strip(), "without a colon"),
        (lambda text: re.split(r"(?i)\n|label:|ticket:", text)[0], ".strip()"),
        (lambda text: re.split(r"(?i)label:|ticket:", text)[0].strip(), "Line breaks"),
        (lambda text: clean_by_find(text.lower()), "small letters"),
        (lambda text: re.split(r"(?i)\n|label:|ticket:", text), "Look at"),
        (lambda text: text.strip(), "Cut at the line break"),
    ],
}
