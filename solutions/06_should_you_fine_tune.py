# %% [markdown]
# # Decide whether to fine-tune, and prepare the data
#
# {{badge}}
#
# - **Do:** freeze what prompts and retrieval reach, fill in a decision sheet, make a clean data set from a company's
#   tickets, and measure what its size and its errors do to a tuned model.
# - **Learn:** when tuning is worth a try, what a row must look like, how a test leaks, and what bad data cost.
# - **Need:** 50 minutes to read and run, 2 hours with the exercises; 3 GB of memory, no download.

# %% [markdown]
# Run the next cell as it is. It chooses the model, and prepares the machine if you are on Google Colab.

# %%
# {{setup}}

# %% [markdown]
# ## The question of the day
#
# Greta Lindholm is head of service at Brightwater Pumps. Dispatch turns each customer's ticket into a *work order*,
# one line in the house style. She asks:
#
# > You say that a model can learn our style. Is that worth the trouble, or is a good prompt enough?
#
# *Fine-tuning* means to train a model that is already trained, on examples of your own. Lesson 07 does it in depth.
# This lesson is about what comes before.

# %%
import csv
import hashlib
import html
import json
import re
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from expert import check, corpus, data_folder, hint, ledger, predict, quiz, solution, verdict  # noqa: F401
from expert.claims import as_number, as_share, as_truth
from expert.figures import COLOURS, HATCHES, LINES, MARKERS, chart, picture, show

temporary = tempfile.TemporaryDirectory(prefix="lesson-06-", ignore_cleanup_errors=True)
work = Path(temporary.name)

# %% tags=["varies"]
from expert import evaluate, models, retrieval, style, tuning

model = models.load(PROFILE)
embedder = models.load_embedder(PROFILE if PROFILE in ("tiny", "phi3") else "tiny")
print(model)

# %% [markdown]
# ## One task, one measure
#
# The company's list holds 120 such cases: a ticket with a request above it, and the order that dispatch wrote. They
# are split by site: half to learn from (*tune*), half to measure with (*test*).

# %%
tune, test = (corpus.questions(split, "style") for split in ("tune", "test"))
site_of = {ticket.id: ticket.site for ticket in corpus.tickets()}
print(f"{len(tune)} to learn from, {len(test)} to measure with. The first of them:\n")
print(tune[0].question)
print("\nOrder:", tune[0].answer)

# %% [markdown]
# An order has eight parts with ` / ` between them. The number, the site, the pump, the serial number and the initials
# can be copied from the ticket's head. The label (MOSS means a leak), what was seen and what to do ask for reading.
#
# ## Exercise 6.1: score an order
#
# **Goal:** write `parts_right(answer, order)`. **Inputs:** two texts, what a model wrote and the right order. Parts
# are separated by `" / "`. **Returns:** the share, 0 to 1, of the right order's parts that stand, letter by letter,
# at the same place in the answer.
#
# **Example:** `parts_right("A / B / C / D", "A / X / C / Y")` is `0.5`.


# %%
def parts_right(answer, order):
    ### BEGIN SOLUTION
    got, wanted = answer.split(" / "), order.split(" / ")
    return sum(a == b for a, b in zip(got, wanted)) / len(wanted)  # noqa: B905
    ### END SOLUTION


parts_right = check("6.1", parts_right)

# %% [markdown]
# Stuck? `hint("6.1")`, then `solution("6.1")`. A second measure is the form alone: eight parts, each of the right
# kind (a number that begins with WO, a site that begins with ST, and so on), right or wrong.

# %%
for text in (
    tune[0].answer,
    "WO-1 / ST-001 / KE40 / BWS1 / MOSS / saw a cat / look monday / XX dry hands",
    "I do not know.",
):
    print(f"form: {style.in_form(text)!s:<6}parts right: {parts_right(text, tune[0].answer):.2f}   {text[:60]}")

# %% [markdown]
# ## Personal data first
#
# A ticket names a technician; the order needs the initials only. What is not needed goes out before anything else
# happens. What is out, no prompt, no file and no model can give away.
#
# ## Exercise 6.2: names become initials
#
# **Goal:** write `without_names(text, names)`. **Inputs:** a text, and a list of names of people. **Returns:** the
# text with each of these names cut to its initials, wherever it stands. Whole names only: with Ann Lee on the list,
# Ann Leeson stays. Where one name holds another, the longer one goes first.
#
# **Example:** `without_names("Technician Ann Lee.", ["Ann Lee"])` is `"Technician AL."`


# %%
def without_names(text, names):
    ### BEGIN SOLUTION
    import re

    for name in sorted(names, key=len, reverse=True):
        short = "".join(word[0] for word in name.split())
        text = re.sub(rf"\b{re.escape(name)}\b", short, text)
    return text
    ### END SOLUTION


without_names = check("6.2", without_names)

# %% [markdown]
# Stuck? `hint("6.2")`, then `solution("6.2")`. The company's list of people gives the names. A list finds only who is
# on it. For addresses and numbers there are patterns: `tuning.redact` takes e-mail addresses and phone numbers out.
# On a sentence with both, and on our tickets:

# %%
people = style.people()
asked = {q.id: without_names(q.question, people) for q in tune + test}
print(tuning.redact("Call 020 7946 0958 or write to ann.lee@brook.example about BWS104233."))
left = [name for name in people if any(name in text for text in asked.values())]
changed_by_patterns = sum(tuning.redact(text) != text for text in asked.values())
print(
    f"{len(people)} names on the list, {len(left)} left in {len(asked)} tickets; tickets that a pattern changed: "
    f"{changed_by_patterns}"
)
print(asked[tune[0].id].split("\n")[1])
first_names = sorted({name.split()[0] for name in people})
for one, text in asked.items():
    for word in first_names:
        if at := re.search(rf"\b{word}\b", text):
            print(f"{one}: a first name is left: ...{text[max(0, at.start() - 40) : at.end() + 20]!r}")

# %% [markdown]
# The last lines are the limit of any list: first names stand in the texts, too. Somebody must read what goes out, and
# decide on each. In this course they stay, in the training rows as well: these people are invented.
#
# ## The baselines, before anything is tuned
#
# > **C25.** Try prompts and retrieval first: they are the baseline that tuning must beat.
#
# A *baseline* is what you reach without the new method. Four of them, each without training:
#
# - *zero-shot*: a sentence that says what the eight parts are, then the ticket;
# - *few-shot*: three past tickets with their orders, always the same, then the ticket;
# - *RAG*: the three past tickets that are most similar, found by embedding, with their orders;
# - *code*: no model at all, ten lines that copy from the ticket's head and guess the rest.

# %%
RULE = (
    "A work order has eight parts with a slash between them: the number of the order, the site, the pump, the serial "
    "number, the label, what was seen, what to do, and the sign-off."
)


def ticket_line(q):
    return " ".join(asked[q.id].split("\n")[1:])  # without the request above it


def by_examples(examples, q):
    shown = "".join(f"Ticket: {ticket_line(one)}\nOrder: {one.answer}\n" for one in examples)
    return f"{shown}Ticket: {ticket_line(q)}\nOrder:"


# %%
def message(q):
    return asked[q.id].split("\n", 2)[2]  # what the customer wrote


past = {q.id: q for q in tune}
with retrieval.open_index(work / "past", embedder) as index:
    index.upsert([retrieval.Record(q.id, message(q)) for q in tune], progress=False)
    found = index.search_all([message(q) for q in test], k=3, how="meaning")
similar = {q.id: [past[hit.id] for hit in reversed(hits)] for q, hits in zip(test, found, strict=True)}
print(message(test[0]), *[f"\n  similar: {message(one)}" for one in similar[test[0].id]])

# %% [markdown]
# The most similar one stands last, next to the question.
#
# ### The rule for C25, and your prediction
#
# Supported if the better one of few-shot and RAG lies at least 10 points above zero-shot in parts right, with the
# whole interval of the difference above zero. If none of the three gets 5 % of the parts, this model cannot do the
# task from a prompt at all, and nothing is decided.

# %%
my_prediction = None  # the share of parts that the best of zero-shot, few-shot and RAG gets right, from 0 to 1
predict("C25", as_share(my_prediction), lesson="06")

# %%
prompts = {
    "zero-shot": [f"{RULE}\n\n{asked[q.id]}" for q in test],
    "few-shot": [by_examples(tune[:3], q) for q in test],
    "RAG": [by_examples(similar[q.id], q) for q in test],
}


def count(text):
    return len(model.tokenizer(models.render(model, text), add_special_tokens=False)["input_ids"])


NEW_TOKENS = 64


def ask(loaded, some):
    return models.generate(loaded, some, max_new_tokens=NEW_TOKENS, batch_size=32, progress=False)


# %% tags=["varies"]
answers, results = {}, {}
for name, some in prompts.items():
    results[name], replies = evaluate.run(
        name, "house style", test, some, lambda p: ask(model, p), count, batch_size=len(test), progress=False
    )
    answers[name] = [reply.text for reply in replies]
    evaluate.keep(results[name])
    print(results[name])


# %%
def score(texts):
    parts = [parts_right(text, q.answer) for text, q in zip(texts, test, strict=True)]
    return {"parts": parts, "form": [float(style.in_form(text)) for text in texts]}


DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
usual = Counter(style.split_order(q.answer)["label"] for q in tune).most_common(1)[0][0]


def by_code(q):
    head, said = style.HEAD.search(asked[q.id]), message(q)
    family, size = head["model"].split()
    part = re.search(r"BW-\d{4}-[A-Z]", said)
    day = next((day for day in DAYS if day in said.lower()), "monday")
    parts = [f"WO-{head['ticket']}", head["site"], family[:2].upper() + size, head["serial"], usual]
    parts += ["saw " + " ".join(said.lower().split()[:5]), f"send {part[0]}" if part else f"look {day}"]
    return " / ".join([*parts, head["technician"] + " dry hands"])


answers["code"] = [by_code(q) for q in test]

# %%
marks = {name: score(texts) for name, texts in answers.items()}
for name, texts in answers.items():
    print(
        f"{name:<10} {np.mean(marks[name]['parts']):.0%} of parts, {np.mean(marks[name]['form']):.0%} in form; such as:"
    )
    print("   ", texts[1][:100].replace("\n", " "))
print("right:   ", test[1].answer)

# %%
fig, ax = chart("What is reached without tuning", x="baseline", y="share of 60 tickets or parts (%)")
for j, what in enumerate(("parts", "form")):
    for i, name in enumerate(marks):
        values = marks[name][what]
        mean, low, high = 100 * np.mean(values), *(100 * end for end in evaluate.bootstrap(values))
        look = {"color": COLOURS[j], "hatch": HATCHES[j], "edgecolor": "white"}
        label = {"parts": "parts right", "form": "in the right form"}[what] if i == 0 else ""
        error = [[mean - low], [high - mean]]
        ax.bar(i + (j - 0.5) * 0.36, mean, 0.34, yerr=error, capsize=4, label=label, **look)
        ax.annotate(f"{mean:.0f}", (i + (j - 0.5) * 0.36 + 0.09, mean), ha="center", va="bottom")
ax.set_xticks(range(len(marks)), labels=list(marks))
ax.set_ylim(0, 105)
ax.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))
alt = "; ".join(f"{n} {np.mean(m['parts']):.0%} of parts, {np.mean(m['form']):.0%} in form" for n, m in marks.items())
show(fig, f"Bar chart with 95 % intervals: {alt}.")

# %% [markdown]
# ## Freeze them
#
# It is tempting to improve the winner and to forget its rivals, or to change the test a little. So write the
# baselines down *now*, with a *hash* of all that they hang on. A hash is a short text that is computed from a long
# one; if one letter of the long one changes, so does the hash. Of the model, every weight goes in.

# %%
picture(
    "06-seal.svg",
    "Drawing: questions, prompts and model are turned into hashes and kept in a file with the results; before a later "
    "comparison the hashes are made again, and a difference names what was changed.",
)


# %%
def digest(value):
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def digest_of_weights(loaded):
    whole = hashlib.sha256()
    for name, tensor in sorted(loaded.model.state_dict().items()):
        whole.update(name.encode() + tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()[:16]


def seal(questions, prompts, loaded):
    hashes = {"questions": digest([[q.id, q.question, q.answer] for q in questions])}
    hashes |= {f"prompts, {name}": digest(some) for name, some in prompts.items()}
    hashes["answers of the code"] = digest([by_code(q) for q in questions])
    hashes["results"] = digest({name: score(texts) for name, texts in answers.items()})
    return hashes | {"model": digest_of_weights(loaded), "tokens allowed": digest(NEW_TOKENS)}


# %%
frozen = {"hashes": seal(test, prompts, model), "parts": {name: m["parts"] for name, m in marks.items()}}
(work / "baselines.json").write_text(json.dumps(frozen))
print("sealed:", *frozen["hashes"], sep="\n  ")

# %% [markdown]
# ## Exercise 6.3: what was changed?
#
# **Goal:** write `changed(frozen, now)`. **Inputs:** two dictionaries from a name to a hash, both texts. **Returns:**
# a sorted list of the names whose hash is another one now, or which stand in one of the two only.
#
# **Example:** `changed({"model": "1a", "prompts": "2b"}, {"model": "1a", "prompts": "9z"})` is `["prompts"]`.


# %%
def changed(frozen, now):
    ### BEGIN SOLUTION
    return sorted(name for name in frozen.keys() | now.keys() if frozen.get(name) != now.get(name))
    ### END SOLUTION


changed = check("6.3", changed)

# %% [markdown]
# Stuck? `hint("6.3")`, then `solution("6.3")`. Somebody "only" adds a full stop to one of 60 few-shot prompts:

# %%
kept = json.loads((work / "baselines.json").read_text())["hashes"]
print("nothing touched:", changed(kept, seal(test, prompts, model)))
touched = prompts | {"few-shot": [prompts["few-shot"][0] + ".", *prompts["few-shot"][1:]]}
print("one full stop added: ", changed(kept, seal(test, touched, model)))

# %% [markdown]
# ### The verdict on C25
#
# An interval from 0 to 0 is no certainty. A bootstrap draws from the answers that are there, and where all of them are
# wrong it knows no other. With 0 right of 60, a share of up to about 3 in 60, that is 5 %, may stand behind it.

# %%
asking = ("zero-shot", "few-shot", "RAG")
best_prompt = max(asking[1:], key=lambda name: np.mean(marks[name]["parts"]))
ahead = np.array(marks[best_prompt]["parts"]) - np.array(marks["zero-shot"]["parts"])
low, high = evaluate.bootstrap(ahead)
able = any(np.mean(marks[name]["parts"]) >= 0.05 for name in asking)
print(f"{best_prompt} minus zero-shot: {100 * ahead.mean():+.0f} points ({100 * low:+.0f} to {100 * high:+.0f})")
verdict(
    "C25",
    measured=float(max(np.mean(marks[name]["parts"]) for name in asking)),
    supported=bool(low > 0 and ahead.mean() >= 0.1) if able else None,
    scope="mechanism shown here" if able else "not decidable at this size",
    note=f"share of parts; best prompt: {best_prompt}; code without a model: {np.mean(marks['code']['parts']):.0%}; "
    f"{len(test)} tickets",
    lesson="06",
)

# %% [markdown]
# Scope: one small model, one task. Such a model may write nothing usable from any of the three prompts; a large one
# reads the rule and the examples far better, and then its baseline is higher. And look at *code*. Five parts of eight
# can be copied, and for copying nobody needs a model. The cheapest rival is easily forgotten. From here on, *best*
# means the best of all four.
#
# ## What counts as fine-tuning?
#
# > **C23.** Fine-tuning, in this course, means supervised training on new data.
#
# *Supervised* means that each input comes with its right answer. Three questions decide. Does it start from a trained
# model? Do numbers of a model change? Is there a right answer beside each input?

# %%
from expert.exercises.lesson_06 import RUNS

for letter, what in RUNS.items():
    print(f"{letter})  {what}")

# %% [markdown]
# ## Exercise 6.4: sort eight runs
#
# **Goal:** put the letters of the runs that are supervised fine-tuning into `supervised`.
#
# **Example of the form:** `supervised = {"b", "h"}`

# %%
### BEGIN SOLUTION
supervised = {"a", "f"}
### END SOLUTION
supervised = check("6.4", supervised)

# %% [markdown]
# Stuck? `hint("6.4")`, then `solution("6.4")`. A definition cannot be refuted by an experiment. But whether the run
# of this lesson falls under it can be measured; you will do it below, by three tests: the start is trained, numbers
# change, and every row carries its answer. Predict: will the run pass all three?

# %%
my_prediction = None  # True or False
predict("C23", as_truth(my_prediction), lesson="06")

# %% [markdown]
# ## The decision sheet
#
# > **C26.** Whether to tune is settled by questions on the use, the alternatives, the costs and the benefits.
#
# Fill the sheet in *before* tuning, with numbers. Three are Greta's, and yours to change: which share of parts she
# needs, how many rows people can write or check, and, for the sum below, how many tickets come in a month. The others
# are measured.

# %%
best = max(marks, key=lambda name: np.mean(marks[name]["parts"]))
needed_share = 0.9
tickets_a_month = 10
rows_at_hand = len(tune)

# %% [markdown]
# Two facts of the sheet need a look into the data. Is the style *stable*? A style that changes each month has to be
# learnt each month. And what would training take? `tuning.static_bytes` counts it before anything starts; the speed
# comes from a trial of two steps.

# %% tags=["varies"]
guide = next(d for d in corpus.documents() if d.id == "gu-house-style")
last_ticket = max(ticket.date for ticket in corpus.tickets())
months_unchanged = 12 * (int(last_ticket[:4]) - int(guide.date[:4])) + int(last_ticket[5:7]) - int(guide.date[5:7])
settings = tuning.Settings()
need_mib = sum(tuning.static_bytes(model, settings).values()) / 2**20
pairs = [tuning.row(asked[q.id], q.answer) for q in tune]
trial = tuning.tune(model, pairs, steps=2, batch_tokens=512, progress=False)
seconds_expected = 160 * 512 / trial.report.tokens_per_second
print(f"adapter, gradients and Adam {need_mib:.0f} MiB, about {seconds_expected:.0f} s for 160 steps")
print("What the layers keep for the way back (activations) comes on top: lesson 08 counts it.")

# %% [markdown]
# The decision rule, fixed here: *try tuning* if all four hold. **Use:** the style has not changed for six months.
# **Alternatives:** the best baseline stays below what Greta needs. **Costs:** there are at least 50 rows, with which
# a service advises to begin, and training takes less than an hour here. **Benefits:** the tuned prompt saves at least
# a quarter of the tokens of the best baseline's.

# %%
tokens = {name: float(np.mean([count(p) for p in some])) for name, some in prompts.items()}
tokens["code"] = 0.0  # it asks no model
tokens["tuned"] = float(np.mean([count(asked[q.id]) for q in test]))
sheet = {
    "use: months without a change of style": (months_unchanged, months_unchanged >= 6),
    "alternatives: best baseline, parts right": (
        round(float(np.mean(marks[best]["parts"])), 2),
        bool(np.mean(marks[best]["parts"]) < needed_share),
    ),
    "costs: rows at hand": (rows_at_hand, rows_at_hand >= 50),
    "costs: an hour is enough": (bool(seconds_expected < 3600), bool(seconds_expected < 3600)),
    "benefits: tokens saved a call": (round(tokens[best] - tokens["tuned"]), tokens["tuned"] <= 0.75 * tokens[best]),
}
decision = "try tuning" if all(says for _, says in sheet.values()) else "do not tune"

# %%
print(f"{'question':<44}{'number':>8}   speaks for tuning")
for question, (number, says) in sheet.items():
    print(f"{question:<44}{number!s:>8}   {'yes' if says else 'no'}")
print("\nDecision:", decision, "- because of:", [q for q, (_, says) in sheet.items() if not says] or "no objection")
print(f"Tokens saved a month: {tickets_a_month * (tokens[best] - tokens['tuned']):,.0f}")

# %% [markdown]
# Look at the last line. Where the best baseline asks no model, it says no in any case: a sheet may be right for a weak
# reason. With so few tickets, tokens are worth next to nothing: if tuning pays here, then by better orders. Lesson 09
# puts prices on both.
#
# ### The rule for C26, and your prediction
#
# Does the sheet, filled in before, decide as the outcome will? Tuning was worth it if the tuned model gets at least 10
# points more parts right than the best baseline, the whole interval above zero. A wrong sheet does not support the
# claim. A right one is a single case, as a coin would be half the time: not decided. Predict: will the decision turn
# out to be right (True) or wrong (False)?

# %%
my_prediction = None
predict("C26", as_truth(my_prediction), lesson="06")

# %% [markdown]
# ## Rows that a service would take
#
# Training data for chat models are usually kept as *JSONL*: a text file with one JSON object on each line. An object
# holds a list of messages, as in lesson 03, and the last one is the answer to learn. That is what the services read.
# (TRL reads it too, but learns from *all* messages unless you set `assistant_only_loss=True`; lesson 07 gives it
# prompt and completion apart.)

# %%
rows = [
    {"messages": [{"role": "user", "content": asked[q.id]}, {"role": "assistant", "content": q.answer}]} for q in tune
]
path = work / "orders.jsonl"
path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
print(path.read_text(encoding="utf-8").splitlines()[0])

# %% [markdown]
# A hosted service checks a file before it takes your money. OpenAI publishes [its
# checks](https://github.com/openai/openai-cookbook/blob/main/examples/Chat_finetuning_data_prep.ipynb), seven of
# them. `tuning.CHECKS` holds them under the same names:

# %%
for name, meaning in tuning.CHECKS.items():
    print(f"{name:<36}{meaning}")

# %% [markdown]
# A check that never fails proves nothing. So plant one bad row for each, between good ones, and see whether each is
# caught, on its line and by its name.

# %%
question, reply = rows[0]["messages"]
planted = [
    ["a list", "and no object"],
    {"prompt": "It leaks.", "completion": "WO-1"},
    {"messages": [{"role": "user"}, reply]},
    {"messages": [question | {"priority": "high"}, reply]},
    {"messages": [question | {"role": "customer"}, reply]},
    {"messages": [question, reply | {"content": ""}]},
    {"messages": [question]},
]

# %%
spoilt_path = work / "planted.jsonl"
lines = [json.dumps(one) for bad in planted for one in (rows[0], bad)]
spoilt_path.write_text("\n".join(lines), encoding="utf-8")
good, problems = tuning.sort_out(spoilt_path)
for problem in problems:
    print(problem)
print(f"\n{len(good)} good rows; each check failed once: {[p.check for p in problems] == list(tuning.CHECKS)}")

# %%
print("problems of our own file:", tuning.sort_out(path)[1])

# %% [markdown]
# The seven look at the form only. A row with the wrong order passes all of them. So does the same row twice.
#
# ## Twice, or nearly twice
#
# A mail program has delivered two tickets again, one in capitals, one with other spaces. `find_duplicates` compares
# the prompts in small letters, without punctuation.

# %%
again = [tuning.row(asked[tune[4].id].upper(), tune[4].answer)]
again.append(tuning.row(asked[tune[9].id].replace(" ", "  "), tune[9].answer))
rows_with_doubles = rows + again
doubles = tuning.find_duplicates(rows_with_doubles)
print("the same but for case, spaces and stops:", doubles)
unique = [row for i, row in enumerate(rows_with_doubles) if i not in {i for group in doubles for i in group[1:]}]
print(f"{len(rows_with_doubles)} rows, {len(unique)} without doubles")

# %% [markdown]
# What is worded a little differently needs embeddings. The heads of two tickets are always alike, so compare the
# customers' messages only. To see whether the search finds what it should, two messages are planted that say again,
# in other words, what numbers 25 and 49 of the list say (counted from 0).

# %%
everyone = tune + test
reworded = [
    "The quarry floor pump will not start and water is up to the second bench. Nobody gets at the drill. On monday.",
    "I know that it pumps hot water, but by now the motor is hotter than the water. Paint blisters. On monday, please.",
]
with_planted = [message(q) for q in everyone] + reworded
near = tuning.near_duplicates(with_planted, embedder, threshold=0.5)
alike = sorted((i, j) for i, j, cosine in near if cosine >= 0.9)
print("at 0.9 or more:", alike, "- the two planted ones and no others:", alike == [(25, 120), (49, 121)])

# %% [markdown]
# And the nearest pairs among the 120 themselves: do the two lie in different halves?

# %%
for i, j, cosine in [pair for pair in near if pair[1] < len(everyone)][:4]:
    halves = "one in each half" if everyone[i].split != everyone[j].split else "same half"
    print(f"{cosine:.2f} ({halves})\n    {with_planted[i][:100]}\n    {with_planted[j][:100]}")

# %%
fig, ax = chart("How alike are two tickets?", x="cosine of two messages", y="pairs of tickets")
vectors = embedder.encode(with_planted[:120], normalize_embeddings=True, show_progress_bar=False)
cosines = (vectors @ vectors.T)[np.triu_indices(len(everyone), k=1)]
ax.hist(cosines, bins=np.linspace(-0.2, 1, 49), color=COLOURS[0])
ax.axvline(0.9, color=COLOURS[1], linestyle=LINES[1], label="0.9: look at these")
ax.legend()
above = int((cosines >= 0.9).sum())
show(
    fig,
    f"Histogram of {len(cosines):,} pairs: most near {np.median(cosines):.2f}, the highest {cosines.max():.2f}; "
    f"{above} pairs at 0.9 or more.",
)

# %% [markdown]
# Each of these messages was written by hand, to be unlike the others. In a real folder look at the pairs above 0.9
# yourself: a customer who writes the same each month is no error, a copied row is.
#
# ## Split by what rows share
#
# A test must ask what the model has not seen. Rows of one site share its name, pumps and technician. If some of them
# are trained on and some are tested with, the test asks for what was learnt by heart. That is called a *leak*.
#
# ## Exercise 6.5: hold entities out
#
# **Goal:** write `split_by(rows, entities, held_out)`. **Inputs:** a list of rows; a list with the entity of each (a
# site, a customer), as texts; and the entities to hold out. **Returns:** two lists, the rows to learn from and the
# rows held out, each in their order.
#
# **Example:** `split_by(["r1", "r2", "r3"], ["ST-1", "ST-2", "ST-1"], ["ST-2"])` is `(["r1", "r3"], ["r2"])`.


# %%
def split_by(rows, entities, held_out):
    ### BEGIN SOLUTION
    pairs = list(zip(rows, entities, strict=True))
    learn = [row for row, entity in pairs if entity not in held_out]
    return learn, [row for row, entity in pairs if entity in held_out]
    ### END SOLUTION


split_by = check("6.5", split_by)

# %% [markdown]
# Stuck? `hint("6.5")`, then `solution("6.5")`. On all 120, with the sites of the test half held out:

# %%
all_sites = [site_of[q.ticket] for q in everyone]
odd = sorted({site for site in all_sites if int(site[-3:]) % 2})
learn, held = split_by(everyone, all_sites, odd)
shared = {site_of[q.ticket] for q in learn} & {site_of[q.ticket] for q in held}
print(f"{len(learn)} rows to learn from, {len(held)} held out, {len(shared)} sites in both")
print("the same halves as the company's:", set(held) == set(test))

# %% [markdown]
# ## What a leak is worth
#
# Sixty rows are few. A common trick is to make more: the same messages under other heads, with other numbers,
# machines and initials (`style.recombine`). Now rows share something new, the *message*. Split them at random, and
# the same message stands on both sides.

# %%
picture(
    "06-leak.svg",
    "Drawing: three messages under two heads each make six rows; split at random, a message stands on both sides; "
    "split by message, both rows of a message stay together.",
)

# %% [markdown]
# Measure it with a *parrot*: it learns nothing, it repeats the label of the most similar message among its rows. What
# it scores in a leaking test is worth nothing, because there the most similar message is the same one.

# %%
made = style.recombine(style.rows("tune"), 240, seed=0)
print(f"{len(made)} rows from {len({one.message for one in made})} messages; one message, two heads:")
twins = [one for one in made if one.message == made[0].message][:2]
for one in twins:
    print("  ", one.prompt.split("\n")[1], "->", one.order)


# %%
def embed(texts):
    return embedder.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)


messages = sorted({one.message for one in made})
vector_of = dict(zip(messages, embed(messages), strict=True))


def parrot(learn, held):
    table, queries = (np.array([vector_of[one.message] for one in part]) for part in (learn, held))
    nearest = (queries @ table.T).argmax(axis=1)
    labels = [[style.split_order(one.order)["label"] for one in part] for part in (learn, held)]
    return float(np.mean([labels[0][k] == label for k, label in zip(nearest, labels[1], strict=True)]))


# %%
held_messages = messages[::5]
by_message = split_by(made, [one.message for one in made], held_messages)
drawn = np.random.default_rng(0).permutation(len(made))
at_random = [made[i] for i in drawn[48:]], [made[i] for i in drawn[:48]]
leaks = {"at random": parrot(*at_random), "by message": parrot(*by_message)}
print(", ".join(f"split {how}: {share:.0%} of labels right" for how, share in leaks.items()))
print(f"held out: {len(at_random[1])} rows at random; {len(by_message[1])} rows of {len(held_messages)} messages")

# %% [markdown]
# The difference between the two is the leak: points that the test gives for repeating. That the first is so high is
# no surprise: the same message lies among its rows. Few messages are held out, so the second is a rough figure. Can a
# tuned model repeat, too? Below stands a run that has read messages of the test (*leaked*).
#
# ## How long, and what is learnt
#
# Tokens cost time and money, and a row that is longer than the model reads would be cut. `token_lengths` counts both
# parts of a row.

# %%
lengths = np.array(tuning.token_lengths(model.tokenizer, rows))
fig, ax = chart("Tokens of the 60 rows", x="tokens", y="rows")
bins = np.arange(0, lengths.max() + 10, 5)
for j, (name, values) in enumerate({"ticket (prompt)": lengths[:, 0] - lengths[:, 1], "order": lengths[:, 1]}.items()):
    ax.hist(values, bins=bins, color=COLOURS[j], hatch=HATCHES[j], edgecolor="white", label=name, alpha=0.8)
ax.legend()
shares = lengths[:, 1].sum() / lengths[:, 0].sum()
show(
    fig,
    f"Histogram: tickets of {np.median(lengths[:, 0] - lengths[:, 1]):.0f} tokens, orders of "
    f"{np.median(lengths[:, 1]):.0f} (medians); the longest row has {lengths[:, 0].max()}.",
)
print(f"longest row {lengths[:, 0].max()} tokens, the model reads {model.context}; {shares:.0%} are tokens of orders")

# %% [markdown]
# The *loss* says how surprised the model is by the token that comes next. Training makes it smaller. Of a row, only
# the order is to be learnt: nobody needs a model that writes tickets. So each token gets a *label*: the token itself,
# or -100, which PyTorch's loss leaves out, and so do transformers and TRL.
#
# ## Exercise 6.6: labels for the loss
#
# **Goal:** write `loss_labels(prompt, answer)`. **Inputs:** two lists of whole numbers, the tokens of the prompt and
# of the answer. **Returns:** one list, as long as both together: -100 for each token of the prompt, the token itself
# for each of the answer.
#
# **Example:** `loss_labels([7, 8, 9], [4, 5])` is `[-100, -100, -100, 4, 5]`.


# %%
def loss_labels(prompt, answer):
    ### BEGIN SOLUTION
    return [-100] * len(prompt) + list(answer)
    ### END SOLUTION


loss_labels = check("6.6", loss_labels)

# %% [markdown]
# Stuck? `hint("6.6")`, then `solution("6.6")`. `tuning.labels_of` does the same for a row, with the markers of the
# chat template. Compare, then look: what carries loss is blue, bold and underlined; the rest is grey and plain.

# %%
encoded = tuning.labels_of(model.tokenizer, rows[0]["messages"])
cut_at = encoded.labels.index(next(label for label in encoded.labels if label != -100))
mine = loss_labels(encoded.tokens[:cut_at], encoded.tokens[cut_at:])
print("yours equals the library's:", list(mine) == encoded.labels)
last = model.tokenizer.decode(encoded.tokens[-1])
print(f"{len(encoded.tokens)} tokens, {encoded.learnt} carry loss; the last one is {last}")

# %%
from IPython.display import display

LOUD = f"color: {COLOURS[0]}; font-weight: bold; text-decoration: underline"
shown, plain = [], []
for token, label in zip(encoded.tokens, encoded.labels, strict=True):
    text = model.tokenizer.decode(token)
    marked = html.escape(text).replace("\n", "<br>")
    shown.append(
        f'<span style="{LOUD}">{marked}</span>' if label != -100 else f'<span style="color: #555">{marked}</span>'
    )
    plain.append(f"[{text}]" if label != -100 else text)
page = f'<div style="font-family: monospace; background: white; padding: 6px">{"".join(shown)}</div>'
display({"text/html": page, "text/plain": "In brackets: what carries loss.\n" + "".join(plain)}, raw=True)

# %% [markdown]
# The end marker carries loss as well. Without it the model might not learn to stop after an order.
#
# ## The run
#
# Whatever the sheet said, tune once: only then can you see whether it was right. 128 rows, 160 steps. *LoRA*, the
# method, leaves the model as it is and trains small matrices beside its layers; lesson 07 builds them.
# `target_modules` names those layers of Phi-3. `recombine` takes each of your 60 messages as it is, then goes on with
# new heads: names of sites of the tune half, all numbers drawn anew.

# %%
STEPS = 160
training = style.recombine(style.rows("tune"), 128, seed=0)
own_names = {style.HEAD.search(one.prompt)["place"] for one in training}
test_names = {style.HEAD.search(asked[q.id])["place"] for q in test}
print(f"{len(training)} rows from {len({one.message for one in training})} messages")
print("names of sites that are in the test too:", own_names & test_names)

# %% tags=["varies"]
tuned = tuning.tune(
    model,
    [one.row for one in training],
    method="lora",
    r=8,
    target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
    learning_rate=2e-3 if PROFILE == "tiny" else 2e-4,  # large models want about a tenth
    steps=STEPS,
    batch_tokens=512,
    seed=0,
    held_out=[one.row for one in style.rows("test")],
    folder=work / "run",
)
print(tuned.report)

# %% tags=["varies"]
fig, ax = chart("The loss while it learns", x="step", y="loss (nats a token)")
ax.plot(range(1, STEPS + 1), tuned.report.losses, color=COLOURS[0], label="rows it learns from")
ends = [tuned.report.held_out_before, tuned.report.held_out_after]
ax.plot([0, STEPS], ends, linestyle="", marker=MARKERS[1], color=COLOURS[1], label="60 test tickets, before and after")
ax.set_ylim(bottom=0)
ax.legend()
show(
    fig,
    f"Line chart: training loss from {tuned.report.losses[0]:.1f} to {tuned.report.losses[-1]:.1f} in {STEPS} steps; "
    f"test tickets from {ends[0]:.1f} to {ends[1]:.1f}.",
)

# %% [markdown]
# A *nat* is a unit of surprise: a token that the model expected with a probability of 37 % costs 1, a sure one costs
# 0. Now the same 60 tickets as the baselines had. First: is the seal whole?

# %%
now = seal(test, prompts, model)
print("changed since the baselines:", changed(kept, now))

# %% tags=["varies"]
tuned_answers = ask(tuned.loaded, [asked[q.id] for q in test])
marks_tuned = score(tuned_answers)
print("right:", test[1].answer)
print("tuned:", tuned_answers[1])

# %% [markdown]
# ### Verdicts on C23 and C26
#
# Three tests for C23: before training, the loss is below that of a blind guess over the whole vocabulary; some
# numbers changed, so the model answers otherwise; and each row ends with an answer that carries loss.

# %%
blind = float(np.log(len(model.tokenizer)))
four_tickets, learnt_from = [asked[q.id] for q in test[:4]], [one.row for one in training]
tests_c23 = {
    "starts trained": tuned.report.held_out_before < blind,
    "numbers change": tuned.report.trained > 0 and ask(tuned.loaded, four_tickets) != ask(model, four_tickets),
    "rows carry answers": all(learnt > 0 for _, learnt in tuning.token_lengths(model.tokenizer, learnt_from)),
}
print(tests_c23)
verdict(
    "C23",
    measured=all(tests_c23.values()),
    supported=all(tests_c23.values()),
    scope="mechanism shown here",
    note="a definition: the run of this lesson falls under it; the eight cases were sorted by the same three questions",
    lesson="06",
)

# %% tags=["varies"]
sealed = json.loads((work / "baselines.json").read_text())["parts"]  # from the file, as it was frozen
gain = np.array(marks_tuned["parts"]) - np.array(sealed[best])
low, high = evaluate.bootstrap(gain)
worth_it = bool(low > 0 and gain.mean() >= 0.1)
foreseen = worth_it == (decision == "try tuning")
print(f"tuned {np.mean(marks_tuned['parts']):.0%} of parts, {np.mean(marks_tuned['form']):.0%} in form")
print(f"tuned minus {best}: {100 * gain.mean():+.0f} points ({100 * low:+.0f} to {100 * high:+.0f})")
whole = np.mean(np.array(marks_tuned["parts"]) == 1)
print(f"whole orders right: tuned {whole:.0%}; Greta needs {needed_share:.0%} of parts")
verdict(
    "C26",
    measured=foreseen,
    supported=None if foreseen else False,
    scope="not decidable at this size" if foreseen else "mechanism shown here",
    note=f"the sheet said: {decision}; tuned minus {best} {100 * gain.mean():+.0f} points; one right case is no proof",
    lesson="06",
)

# %% [markdown]
# ## How many rows, and how good?
#
# > **C32.** Fine-tuning needs good data; few or narrow examples change little.
#
# One run says little. `tests/benchmarks/data_curves.py` made many, each with the same number of steps, so fewer rows
# are read more often: 8 to 512 of them; with a quarter of the rows having another ticket's whole order (*wrong*), as
# when a column of a sheet slipped; and 128 rows from 8 messages only (*narrow*).

# %% tags=["varies"]
with open(data_folder() / "measurements" / "data_curves.csv", encoding="utf-8", newline="") as file:
    curves = list(csv.DictReader(file))
for key in ("machine", "versions", "date", "script"):
    print(f"{key}: {curves[0][key]}")
same_model = {line["model"] for line in curves} == {tuning.fingerprint(model.model)}
print("made with the model that is loaded here:", same_model)


# %%
def tickets_of(condition, size, key="marks", most=8, seed=None):
    lines = [x for x in curves if x["condition"] == condition and int(x["rows"]) == size and seed in (None, x["seed"])]
    return np.mean([[int(digit) / most for digit in line[key][1:]] for line in lines], axis=0)


def difference(a, b, key="marks", most=8, seed=None):
    gap = tickets_of(*a, key, most, seed) - tickets_of(*b, key, most, seed)
    return (float(gap.mean()), *evaluate.bootstrap(gap))


seeds = Counter((line["condition"], line["rows"]) for line in curves)
print("points:", len(seeds), "runs:", len(curves), "- seeds a point:", sorted(set(seeds.values())))

# %% [markdown]
# First, does the table hold here? One of its points is the run that you have just made, *clean*, 128 rows, seed 0.
# The processor changes the last digits of each sum, and 160 steps make more of it. The tolerance is 10 points.

# %%
stored = next(x for x in curves if (x["condition"], x["rows"], x["seed"]) == ("clean", "128", "0"))
print("within 10 points of the table:", abs(float(stored["parts"]) - float(np.mean(marks_tuned["parts"]))) <= 0.1)

# %% [markdown]
# ### The rule for C32, and your prediction
#
# All three must hold, in parts right, and with each of the seeds:
#
# - *Good:* with 512 rows, a quarter of wrong ones costs at least 5 points, with the whole interval below zero.
# - *Few:* 8 rows bring less than half of what 512 rows bring over no tuning, with the whole interval of the difference.
# - *Narrow:* 128 rows from 8 messages lie at least 5 points below 128 rows from 60, with the whole interval below zero.
#
# Not supported if one of them is *missed* with each seed: the whole interval lies above the limit. Else not decided.
#
# Predict what a quarter of wrong orders costs, as a share: 0.1 for 10 points.

# %%
my_prediction = None
predict("C32", as_share(my_prediction), lesson="06")

# %% [markdown]
# The bars of the next picture say how sure a point is for *other tickets*. What chance in the training does, they do
# not say: each point is the mean of two seeds. Further down the seeds stand apart.

# %%
fig, ax = chart("How much data, and how good", x="rows to learn from", y="parts right (%)")
for j, (condition, sizes) in enumerate({"clean": (8, 32, 128, 512), "wrong": (32, 128, 512), "narrow": (128,)}.items()):
    per = [tickets_of(condition, size) for size in sizes]
    means = [100 * p.mean() for p in per]
    ends = np.array([[100 * end for end in evaluate.bootstrap(p)] for p in per]).T
    name = {"clean": "clean", "wrong": "a quarter wrong", "narrow": "from 8 messages only"}[condition]
    error = [means - ends[0], ends[1] - means]
    at = np.array(sizes) * (1.0, 1.06, 0.94)[j]
    ax.errorbar(at, means, yerr=error, capsize=4, color=COLOURS[j], marker=MARKERS[j], linestyle=LINES[j], label=name)
untuned = 100 * tickets_of("none", 0).mean()
ax.axhline(untuned, color="black", linestyle=":", label="not tuned")
ax.axhline(100 * np.mean(marks[best]["parts"]), color="0.5", linestyle="--", label=f"baseline: {best}")
ax.set_xscale("log", base=2)
ax.set_xticks((8, 32, 128, 512), labels=("8", "32", "128", "512"))
ax.set_ylim(0, 105)
fig.legend(fontsize=9, ncols=3, loc="outside lower center")
alt = ", ".join(f"{s} clean rows {tickets_of('clean', s).mean():.0%}" for s in (8, 32, 128, 512))
show(
    fig,
    f"Line chart with 95 % intervals, parts right: {alt}; 512 rows with a quarter wrong "
    f"{tickets_of('wrong', 512).mean():.0%}; 128 rows from 8 messages {tickets_of('narrow', 128).mean():.0%}; not "
    f"tuned {untuned:.0f} %; dashed, the best baseline, {best}: {np.mean(marks[best]['parts']):.0%}.",
)

# %% [markdown]
# Which parts gain from more rows? Five are copied from the head, and each row above 60 has a new head. Three ask for
# reading, and there the messages stay the same 60.

# %%
fig, ax = chart("What more rows teach", x="rows to learn from", y="parts right (%)")
told = []
for j, (key, name) in enumerate({"copied": "copied from the head", "read": "label, seen, to do"}.items()):
    means = [
        100 * np.mean([float(x[key]) for x in curves if (x["condition"], x["rows"]) == ("clean", str(size))])
        for size in (8, 32, 128, 512)
    ]
    ax.plot((8, 32, 128, 512), means, color=COLOURS[j], marker=MARKERS[j], linestyle=LINES[j], label=name)
    for size, mean in zip((8, 32, 128, 512), means, strict=True):
        ax.annotate(f"{mean:.0f}", (size, mean + 3), ha="center")
    told.append(f"{name} " + ", ".join(f"{mean:.0f}" for mean in means) + " %")
ax.set_xscale("log", base=2)
ax.set_xticks((8, 32, 128, 512), labels=("8", "32", "128", "512"))
ax.set_ylim(0, 110)
ax.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, -0.16))
show(fig, f"Line chart, right with 8, 32, 128 and 512 rows: {'; '.join(told)}.")

# %% [markdown]
# Above 60 rows the messages repeat. More rows then teach mainly what still differs between them, the heads. For the
# other parts, new tickets would be needed.


# %%
def shown(gap, limit):
    """True: at the limit or below it, and surely below zero. False: surely above the limit. None: neither."""
    mean, low, high = gap
    return True if mean <= limit and high < 0 else False if low > limit else None


holds = {"good": [], "few": [], "narrow": []}
for seed in sorted({line["seed"] for line in curves if line["condition"] == "clean"}):
    wrong, narrow = (
        difference(*pair, seed=seed) for pair in ((("wrong", 512), ("clean", 512)), (("narrow", 128), ("clean", 128)))
    )
    few, many = (tickets_of("clean", size, seed=seed) - tickets_of("none", 0) for size in (8, 512))
    half = few - 0.5 * many
    gaps = {"good": wrong, "few": (half.mean(), *evaluate.bootstrap(half)), "narrow": narrow}
    for name, what in {"good": "a quarter wrong", "few": "8 rows minus half of 512", "narrow": "narrow"}.items():
        holds[name].append(shown(gaps[name], 0 if name == "few" else -0.05))
        mean, low, high = (100 * value for value in gaps[name])
        print(f"seed {seed}: {what:<25}{mean:+.0f} points ({low:+.0f} to {high:+.0f})")
for size in (32, 128, 512):
    mean, low, high = (100 * value for value in difference(("wrong", size), ("clean", size)))
    print(f"a quarter wrong, {size} rows, both seeds: {mean:+.0f} points ({low:+.0f} to {high:+.0f})")

# %%
wrong_costs = difference(("wrong", 512), ("clean", 512))
failed = [name for name, each in holds.items() if all(one is False for one in each)]
open_ones = [name for name, each in holds.items() if name not in failed and not all(each)]
undecided = bool(open_ones and not failed)
verdict(
    "C32",
    measured=max(0.0, -wrong_costs[0]),
    supported=None if undecided else not failed,
    scope="not decidable at this size" if undecided else "mechanism shown here",
    note=f"missed with each seed: {', '.join(failed) or 'none'}; open: {', '.join(open_ones) or 'none'}; "
    f"a quarter wrong {100 * wrong_costs[0]:+.0f} points, mean of the seeds; same steps; one task; the table is "
    "tiny-phi3's",
    lesson="06",
)

# %% [markdown]
# One part, the label, has a floor for which no ticket is read: always name the same one, as *code* does. How often is
# that right in the test half, and which runs get at least twice as far?

# %%
guessed = np.mean([style.split_order(q.answer)["label"] == usual for q in test])
different = len({style.split_order(q.answer)["label"] for q in test})
print(f"always {usual}: {guessed:.0%} of {len(test)} test labels right; there are {different} labels")
print("\nright:         label, seen, to do   label alone")
learnt = []
for condition, size in (("clean", 8), ("clean", 128), ("clean", 512), ("wrong", 512), ("narrow", 128), ("leaked", 128)):
    some = [line for line in curves if (line["condition"], line["rows"]) == (condition, str(size))]
    read, label = (np.mean([float(line[key]) for line in some]) for key in ("read", "label"))
    learnt += [f"{condition} {size}"] if label >= 2 * guessed else []
    print(f"{condition:<8}{size:>4} rows {read:>15.0%} {label:>13.0%}")
print("labels right at least twice as often as by the guess:", ", ".join(learnt) or "in none of these runs")

# %% [markdown]
# ### Why?
#
# Compare *narrow* with *clean 128* in reading, and remember that the parts together were no worse: narrow rows win by
# copying. (A guess at the reason: 120 of their 128 heads are drawn anew, of the others 68.) Where the label is no
# better than a guess, nothing shows what a wrong label costs. And compare *leaked 128* with *clean 128*: that is what
# repeating brings.
#
# ## Done badly
#
# > **C24.** Fine-tuning done badly makes a model worse.
#
# Three ways to do it badly, each with 128 rows: a quarter of the orders wrong; fifty times the learning rate (how far
# each step goes); and a leak, messages of the test among the rows. Two marks for each: orders, and *reading*, 40
# questions with the right passage in the prompt, as in lesson 00.
#
# ### The rule for C24
#
# A way of doing it badly makes the model *worse* if in one and the same mark it lies at least 5 points below clean
# tuning and also below no tuning, both with the whole interval. Supported if wrong rows and the high rate both do
# that; not supported if neither does; else not decided.
#
# (An earlier rule let the two comparisons use different marks. It was changed after a result.)
#
# ### Your prediction
#
# A leak spoils the test, so it is reported apart. Predict which share of the reading questions is
# right after the high rate.

# %%
my_prediction = None
predict("C24", as_share(my_prediction), lesson="06")

# %%
ways = {"none": 0, "clean": 128, "wrong": 128, "high rate": 128, "leaked": 128}
both = {"parts of orders": ("marks", 8), "reading": ("reading_marks", 1)}
fig, ax = chart("Tuned well and badly", x="how it was tuned (128 rows)", y="right (%)")
told = []
for j, (name, (key, most)) in enumerate(both.items()):
    for i, (way, size) in enumerate(ways.items()):
        values = tickets_of(way, size, key, most)
        mean, low, high = 100 * values.mean(), *(100 * end for end in evaluate.bootstrap(values))
        look = {"color": COLOURS[j], "hatch": HATCHES[j], "edgecolor": "white", "label": name if i == 0 else ""}
        ax.bar(i + (j - 0.5) * 0.36, mean, 0.34, yerr=[[mean - low], [high - mean]], capsize=3, **look)
        ax.annotate(f"{mean:.0f}", (i + (j - 0.5) * 0.36 + 0.09, mean), ha="center", va="bottom")
        told.append(f"{way}, {name} {mean:.0f} %")
ax.set_xticks(range(len(ways)), labels=["not tuned", "clean", "a quarter\nwrong", "rate\ntoo high", "leaked"])
ax.set_ylim(0, 112)
fig.legend(ncols=2, loc="outside lower center")
show(fig, f"Bar chart with 95 % intervals: {'; '.join(told)}.")

# %% [markdown]
# Compare *not tuned* with *clean* in reading, too: does the model lose something by learning one thing only, even
# when it is done well? Lesson 07 comes back to that. And mind the last pair: whatever it gains in orders against
# *clean*, it gains in a test whose messages it has read.

# %%
bad = {
    way: {name: difference((way, 128), ("clean", 128), *key) for name, key in both.items()}
    for way in ("wrong", "high rate")
}
untuned_gap = {way: {name: difference((way, 128), ("none", 0), *key) for name, key in both.items()} for way in bad}
worse = {
    way: [name for name in both if bad[way][name][0] <= -0.05 and max(bad[way][name][2], untuned_gap[way][name][2]) < 0]
    for way in bad
}
untuned_gap["clean"] = {name: difference(("clean", 128), ("none", 0), *key) for name, key in both.items()}
leaks = {name: difference(("leaked", 128), ("clean", 128), *key) for name, key in both.items()}
for told_as, some in (("against clean", bad), ("against no tuning", untuned_gap)):
    for way, gaps in some.items():
        points = (f"{name} {100 * a:+.0f} ({100 * b:+.0f} to {100 * c:+.0f})" for name, (a, b, c) in gaps.items())
        print(f"{told_as:<18}{way:<10}{', '.join(points)} points")
points = (f"{name} {100 * a:+.0f} ({100 * b:+.0f} to {100 * c:+.0f})" for name, (a, b, c) in leaks.items())
print(f"against clean     leaked    {', '.join(points)} points")

# %%
after_high_rate = float(tickets_of("high rate", 128, "reading_marks", 1).mean())
one_of_two = any(worse.values()) and not all(worse.values())
verdict(
    "C24",
    measured=after_high_rate,
    supported=None if one_of_two else all(worse.values()),
    scope="not decidable at this size" if one_of_two else "mechanism shown here",
    note="worse in: "
    + "; ".join(f"{way}: {', '.join(names) or 'neither mark'}" for way, names in worse.items())
    + f"; reading not tuned {tickets_of('none', 0, 'reading_marks', 1).mean():.0%}; the table is tiny-phi3's",
    lesson="06",
)

# %% [markdown]
# ## Four things that tuning needs
#
# > **C28.** Tuning needs a model that may be tuned, data, a place to train and a place to serve.
#
# The rule: supported if all four are shown to exist here. *Model:* it is open, and the right layers were trained.
# *Data:* no row fails a check, and there are at least ten, the least that OpenAI takes. *Place to train:* memory
# predicted is below memory free, and the run ended. *Place to serve:* the adapter, loaded from its file, answers as
# before. Predict: how many of the four?

# %%
my_prediction = None
predict("C28", as_number(my_prediction, low=0, high=4, whole=True), lesson="06")

# %% tags=["varies"]
served = tuning.load_adapter(models.load(PROFILE), work / "run" / "adapter")
few_prompts = [asked[q.id] for q in test[:5]]
print(tuned.report.adapted)
print(f"the adapter's file: {tuned.report.saved_mib:.2f} MiB; the model's weights: {model.weights:,}")

# %%
import psutil

four = {
    "model": set(tuned.report.adapted) == set(tuning.PHI3_LINEAR) and tuned.report.trained > 0,
    "data": not tuning.validate([one.row for one in training]) and len(training) >= 10,
    "place to train": need_mib < psutil.virtual_memory().available / 2**20 and len(tuned.report.losses) == STEPS,
    "place to serve": ask(served, few_prompts) == ask(tuned.loaded, few_prompts),
}
print(four)
verdict(
    "C28",
    measured=sum(four.values()),
    supported=all(four.values()),
    scope="mechanism shown here",
    note="that they suffice is shown; that each is needed follows from the words: take one away and nothing runs",
    lesson="06",
)

# %% [markdown]
# All of this in one command, on any file of that format: `python -m expert.tuning orders.jsonl`. It checks, leaves
# out doubles, holds rows back, predicts the memory, trains with a bar, keeps checkpoints, and goes on where it was
# stopped.
#
# ## Greta's answer
#
# Is it worth the trouble, or is a good prompt enough? In her terms, parts right:

# %% tags=["varies"]
reached = {name: float(np.mean(m["parts"])) for name, m in marks.items()}
reached["tuned, 128 rows"] = float(np.mean(marks_tuned["parts"]))
for name, share in reached.items():
    print(f"{name:<16}{share:>5.0%} of parts, {'enough' if share >= needed_share else 'not enough'}")
ready = [name for name, share in reached.items() if share >= needed_share]
print(f"Greta needs {needed_share:.0%}. Ready today: {', '.join(ready) or 'none of them'}")

# %% [markdown]
# Copying is a job for code. What a model must add is reading: the label, what was seen, what to do. Lesson 07 tries
# with more steps and better rows.
#
# ## Your ledger

# %% tags=["varies"]
print(ledger())

# %%
temporary.cleanup()
print("Deleted:", not work.exists())

# %% [markdown]
# ## Quiz
#
# Answer with a letter, or with several: `quiz("6.5", "a, d")`.

# %%
quiz("6")

# %% [markdown]
# ## In practice
#
# Four routes to a tuned model. Before you spend anything, look at the data format, the settings and who pays what.
#
# | route | data | settings to choose | you pay for |
# |---|---|---|---|
# | OpenAI | JSONL, 10 rows at least | epochs, batch size, rate | tokens trained, then dearer tokens |
# | Azure OpenAI | the same JSONL | the same | training, then hosting by the hour or tokens |
# | TRL, your own hardware | messages, or prompt and completion | everything | the machine |
# | AutoTrain | CSV or JSONL with a text column | a form or a file | the machine, or a Space by the hour |
#
# Prices change, and so does what a service charges for: read its price page, and multiply by the tokens counted
# above.

# %% [markdown]
# ### Before you pay
#
# - OpenAI takes files from 10 rows on, and advises to begin with 50 good ones and to look whether they help before
#   more are made ([guide](https://developers.openai.com/api/docs/guides/supervised-fine-tuning)). The same page says
#   that its fine-tuning platform is being wound down and is closed to new users (read in November 2026). Rows in the
#   common format can move to another service; a tuned hosted model cannot.
# - When results disappoint, [look at the
#   rows](https://developers.openai.com/api/docs/guides/fine-tuning-best-practices): gaps, wrong or contradicting
#   ones, and a mix of answers that differs from real use.
# - Personal data in training rows may come out again in an answer, and cannot be deleted from weights one by one.
#   Keep them out of the rows.
#
# ### Where to read on
#
# - [TRL's formats](https://huggingface.co/docs/trl/dataset_formats), [Azure's
#   guide](https://learn.microsoft.com/en-us/azure/ai-services/openai/how-to/fine-tuning), [AutoTrain's
#   formats](https://huggingface.co/docs/autotrain/tasks/llm_finetuning).

# %% [markdown]
# ## On the real Phi-3
#
# With `PROFILE = "phi3"` the same cells run on Phi-3-mini, its base in 4 bits, with a tenth of the
# learning rate. What changes in memory can be computed from its shape, for LoRA of rank 8 on the same four layers;
# speed and quality are not measured here. The measured table above is about tiny-phi3 only.

# %%
hidden, mlp, layers = 3072, 8192, 32
shapes = {"qkv_proj": (hidden, 3 * hidden), "o_proj": (hidden, hidden)}
shapes |= {"gate_up_proj": (hidden, 2 * mlp), "down_proj": (mlp, hidden)}
trained = layers * sum(8 * (a + b) for a, b in shapes.values())
print(f"trained: {trained:,} weights, {16 * trained / 2**20:.0f} MiB with gradients and Adam")
gib = models.PHI3_WEIGHTS / 2**30
print(f"frozen base in 16 bits: {2 * gib:.1f} GiB; full tuning in 32 bits, 16 bytes a weight: {16 * gib:.0f} GiB")

# %% [markdown]
# ## What you can do now
#
# You can freeze baselines, decide with a sheet of numbers, make rows that a service takes, find doubles, split
# without a leak, choose what carries loss, and say what size and errors of the data do.
#
# Next: lesson 07 opens the box. What is LoRA, which numbers change, and what does the model forget?
