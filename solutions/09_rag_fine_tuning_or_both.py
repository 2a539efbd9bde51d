# %% [markdown]
# # Decide by measurement: RAG, fine-tuning, or both?
#
# {{badge}}
#
# - **Do:** compare prompts, RAG, LoRA, QLoRA and RAG with LoRA on the same questions; change a price list, plant an
#   error, run a whole workflow, and put prices on all of it.
# - **Learn:** which way fits which job, what it costs, and how far such a verdict reaches.
# - **Need:** 60 minutes to read and run, 3 hours with the exercises; 3 GB of memory, no download.

# %% [markdown]
# Run the next cell as it is. It chooses the model, and prepares the machine if you are on Google Colab.

# %%
# {{setup}}

# %% [markdown]
# ## The question of the day
#
# Greta Lindholm, head of service at Brightwater Pumps, has seen them all: prompts, an assistant with sources, a model
# that writes in house style. She asks:
#
# > Which of them do I put to work, for which job, and what will it cost me?
#
# The field has many rules for this. You will test sixteen of its claims with numbers, and end with a guide of your
# own.

# %%
import csv
import json
import re
import shutil
import tempfile
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path

import numpy as np
from expert import check, data_folder, decide, hint, ledger, predict, quiz, solution, verdict  # noqa: F401
from expert.claims import as_number, as_share
from expert.figures import COLOURS, HATCHES, LINES, MARKERS, chart, picture, show

# %%
picture(
    "09-methods.svg",
    "Drawing: six ways side by side. Zero-shot and few-shot change the prompt only; RAG adds passages to the prompt; "
    "LoRA and QLoRA add an adapter to the model; RAG with LoRA has passages and two adapters.",
)

# %% tags=["varies"]
from expert import corpus, evaluate, methods, models, rag, retrieval, style, tuning

model = models.load(PROFILE)
RATE = tuning.default_rate(model)  # a large model gets a tenth of it
embedder = models.load_embedder(PROFILE if PROFILE in ("tiny", "phi3") else "tiny")
print(model)

# %% [markdown]
# ## One set of questions, all methods
#
# Training the methods, most with several random starts (*seeds*), took an hour and a half on one core.
# `tests/benchmarks/method_table.py` did it, with the settings of lessons 05, 07 (*lora varied*) and 08. The table is
# read here; below you run one point of each kind yourself.
#
# One warning: rank and rate of lesson 07 had been chosen with the test tickets in view, so the orders here look a
# little too good.


# %%
def measured(name):
    path = data_folder() / "measurements" / name
    if not path.is_file():
        raise FileNotFoundError(f"{name} is made by a script in tests/benchmarks: run that first.")
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


table = measured("methods.csv")
print(f"{len(table)} lines, measured {table[0]['date']} on {table[0]['machine']}")

# %%
same_model = table[0]["model"] == tuning.fingerprint(model.model)
print("The table was measured with the model that is loaded here:", same_model)
FACTS = ("single_fact", "table_lookup", "changed_fact", "jargon", "two_passages", "not_answerable")
KINDS = (*FACTS, "style", "workflow", "public")
METHODS = ("code", "zero-shot", "few-shot", "rag", "lora facts", "lora style", "qlora style", "rag with lora")
MODELS = METHODS[1:]  # those that ask a model

# %% [markdown]
# ### Without training
#
# - *code*: no model. It copies what a work order copies, looks up two tables, and guesses the rest, as in lesson 06.
# - *few-shot*: four past questions with answers, or tickets with orders, stand before each question.
# - *rag*: three passages, read apart; for two-passage questions six, with the second search of lesson 05. For work
#   orders it gets the two pages with the rules of the house style, all of them: retrieval at its best.
#
# ### With training
#
# - *lora facts*: an adapter that has read every passage and table of the company, many times.
# - *lora style*, *qlora style*: adapters that have read past work orders.
# - *rag with lora*: RAG with two adapters on one base, switched by the job. One has learnt from past questions to
#   answer from passages, or to decline; the other is that of *lora style*. To look up pump and technician, the base is
#   used with or without the reading adapter: whichever found more on past tickets.
#
# ### What chooses?
#
# Here the kind of each question is known. At work, something must choose the way.

# %% [markdown]
# ### Predict first
#
# The table shows nearly everything at once. So here are the rules of three claims. Each asks for a share from 0 to 1.
#
# - *C37, many pieces of knowledge:* on two-passage questions *rag* is clearly better than each method without
#   retrieval, *and* at least half are right. Predict its share. (Added later: where the reader gets less than half
#   right even with the right passages in its hand, nothing is decided.)
#
# ### C29 and C38
#
# - *C29, something is forgotten:* for *lora style* and *lora facts* the share of right public facts falls clearly,
#   *and* in the adapter's own job more than a fifth of a part or kind is wrong. Predict the share of the public facts
#   that *lora facts* loses.
# - *C38, a whole process:* in the workflow *rag with lora* gets clearly more parts right than *rag* and *lora style*
#   alone; at least half of its orders have the right form; *code* is not clearly better. (The last two were added
#   later: without them the claim could hardly fail.) Predict its share of right parts.

# %%
my_share_two_passages, my_lost_share, my_workflow = None, None, None
predict("C37", as_share(my_share_two_passages), lesson="09")
predict("C29", as_share(my_lost_share), lesson="09")
predict("C38", as_share(my_workflow), lesson="09")

# %% [markdown]
# A *mark* is one digit for each question, 1 for right. For work orders a ticket has nine digits: one for the right
# form, then one for each of the eight parts. `marks` gives one number a question, the mean over the seeds.


# %%
def marks(method, kind, part=None):
    lines = [line for line in table if (line["method"], line["kind"]) == (method, kind)]
    digits = np.array([[float(digit) for digit in line["marks"][1:]] for line in lines])  # a row for each seed
    if lines and kind in ("style", "workflow"):
        digits = digits.reshape(len(lines), -1, 9)
        places = {"form": [0], None: range(1, 9)}.get(part) or [1 + style.PARTS.index(part)]
        digits = digits[:, :, list(places)].mean(axis=2)
    return digits.mean(axis=0) if lines else np.array([])


# %%
def figure(method, kind, column):
    found = [float(line[column]) for line in table if (line["method"], line["kind"]) == (method, kind)]
    return float(np.mean(found))


# %%
print("right, %      ", "  ".join(f"{kind[:8]:>8}" for kind in KINDS))
for name in METHODS:
    cells = [marks(name, kind) for kind in KINDS]
    print(f"{name:<14}", "  ".join(f"{100 * some.mean():>8.0f}" if len(some) else f"{'-':>8}" for some in cells))

# %% [markdown]
# *style* is the share of right parts of a work order; *workflow* the same, but from a ticket that names neither pump
# nor technician; *public* are facts that have nothing to do with the company. A dash: not asked. *Code* answers no
# questions; RAG and few-shot leave the weights, and so what the model knows of the world, as they are.
#
# The same as a picture: the darker, the more is right.

# %%
grid = np.array([[100 * marks(m, k).mean() if len(marks(m, k)) else np.nan for k in KINDS] for m in METHODS])
fig, ax = chart("What each method gets right (%)", x="kind of question", y="method", figsize=(9.5, 4.2))
ax.imshow(grid, cmap="Blues", vmin=0, vmax=100, aspect="auto")
for (i, j), value in np.ndenumerate(grid):
    words = "-" if np.isnan(value) else f"{value:.0f}"
    ax.text(j, i, words, ha="center", va="center", color="white" if value > 60 else "black")
ax.set_xticks(range(len(KINDS)), labels=[kind.replace("_", "\n") for kind in KINDS], fontsize=9)
ax.set_yticks(range(len(METHODS)), labels=METHODS)
ax.grid(False)
best_of = {kind: METHODS[int(np.nanargmax(grid[:, j]))] for j, kind in enumerate(KINDS)}
show(fig, "Heat map of right answers. Best: " + "; ".join(f"{k.replace('_', ' ')}: {m}" for k, m in best_of.items()))

# %% [markdown]
# ### How sure is that?
#
# Other questions of the same kind would have given other figures. The 95 % interval of each, from a bootstrap over
# the questions (lesson 02):

# %%
print("95 % intervals", "  ".join(f"{kind[:8]:>8}" for kind in KINDS))
for name in METHODS:
    ends = [evaluate.bootstrap(marks(name, kind)) if len(marks(name, kind)) else None for kind in KINDS]
    cells = [f"{100 * pair[0]:.0f}-{100 * pair[1]:.0f}" if pair else "-" for pair in ends]
    print(f"{name:<14}", "  ".join(f"{cell:>8}" for cell in cells))

# %%
fig, ax = chart("RAG alone, and with adapters", x="kind of question", y="right (%)", figsize=(9.5, 4.2))
asked_kinds = (*FACTS, "style", "workflow")
for i, name in enumerate(("rag", "rag with lora")):
    means = np.array([marks(name, kind).mean() for kind in asked_kinds])
    low, high = np.array([evaluate.bootstrap(marks(name, kind)) for kind in asked_kinds]).T
    look = {"color": COLOURS[i], "hatch": HATCHES[i], "edgecolor": "white", "label": name}
    ax.bar(np.arange(8) + (i - 0.5) * 0.4, 100 * means, 0.38, yerr=100 * np.array([means - low, high - means]), **look)
    for j in np.flatnonzero(means < 0.005):
        ax.annotate("0", (j + (i - 0.5) * 0.4, 0), ha="center", va="bottom", fontsize=9)
ax.set_xticks(range(8), labels=[kind.replace("_", "\n") for kind in asked_kinds], fontsize=9)
ax.set_ylim(0, 110)
ax.legend(loc="upper center", ncols=2)
alt = "; ".join(
    f"{kind.replace('_', ' ')} {marks('rag', kind).mean():.0%} and {marks('rag with lora', kind).mean():.0%}"
    for kind in asked_kinds
)
show(fig, f"Bar chart with 95 % intervals, rag and rag with lora: {alt}.")

# %% [markdown]
# What does the reading adapter of *rag with lora* change? It also learnt to decline: right where a question is *not
# answerable*, wrong elsewhere.

# %%
print("declined, %   ", "  ".join(f"{kind[:8]:>8}" for kind in FACTS))
for name in ("rag", "rag with lora"):
    print(f"{name:<14}", "  ".join(f"{100 * figure(name, kind, 'declined'):>8.0f}" for kind in FACTS))

# %%
print("questions:", {kind: len(marks("rag with lora", kind)) for kind in KINDS})
seeds_of = {name: len([x for x in table if (x["method"], x["kind"]) == (name, "style")]) for name in METHODS}
print("random starts:", {name: count for name, count in seeds_of.items() if count > 1}, "- the others: 1")

# %% [markdown]
# ## Is a difference real?
#
# All methods answered the *same* questions, so compare question by question: that is *paired*. Take the differences,
# draw questions again and again with replacement, and see how far the mean moves.
#
# ## Exercise 9.1: a paired interval
#
# **Goal:** write `paired_interval(first, second, picks)`. **Inputs:** two lists of marks, one number for each
# question; `picks`, a list of draws, each a list of places. **Returns:** two numbers, the 2.5 % and the 97.5 %
# quantile of the means of `first - second` over the draws (`np.quantile`).
#
# **Example:** `paired_interval([1, 1, 0], [0, 1, 0], [[0, 1, 2], [0, 0, 1], [2, 2, 2]])`: the means are 1/3, 2/3 and
# 0, so it gives about `(0.017, 0.65)`.


# %%
def paired_interval(first, second, picks):
    ### BEGIN SOLUTION
    difference = np.array(first, dtype=float) - np.array(second, dtype=float)
    means = [difference[pick].mean() for pick in picks]
    low, high = np.quantile(means, [0.025, 0.975])
    return low, high
    ### END SOLUTION


paired_interval = check("9.1", paired_interval)

# %% [markdown]
# Stuck? `hint("9.1")`, then `solution("9.1")`. From here on, *clearly better* means: the whole interval of the
# difference lies above zero.


# %%
def gap(first, second, draws=1000):
    picks = np.random.default_rng(0).integers(0, len(first), (draws, len(first)))
    low, high = paired_interval(list(first), list(second), [list(pick) for pick in picks])
    return float(np.mean(np.subtract(first, second))), float(low), float(high)


def told(name, first, second):
    mean, low, high = gap(first, second)
    print(f"{name}: {100 * mean:+.0f} points ({100 * low:+.0f} to {100 * high:+.0f})")
    return low, high


# %%
pair = [marks(name, "style") for name in ("qlora style", "lora style")]
low, high = told("work orders, parts, QLoRA minus LoRA", *pair)
print(
    "QLoRA loses less than 5 points, the whole interval:", low > -0.05, "- these three runs lose something:", high < 0
)
pair = [marks(name, "style", "form") for name in ("qlora style", "lora style")]
form_ends = told("work orders, form, QLoRA minus LoRA", *pair)

# %%
for name in ("lora style", "qlora style"):
    print(
        name,
        "seed by seed:",
        [f"{float(x['right']):.0%}" for x in table if (x["method"], x["kind"]) == (name, "style")],
    )

# %% [markdown]
# Both were trained with the same three seeds, and the marks are means over them. The interval says how sure it is for
# other tickets; how much chance in training does, the seeds show. Greta asks whether four bits cost her quality. Read
# both intervals: where one reaches below -5, a loss of more than 5 points is not ruled out.
#
# ## Your own point: RAG
#
# You need the assistant of lesson 05 for the experiments. It works on a copy of the folder, because you will change
# documents. The price list of 2025 is out of date and stays out.

# %%
if "work" not in globals():  # a second run of this cell keeps what is there
    work, kept_open = Path(tempfile.mkdtemp(prefix="lesson-09-")), ExitStack()
    docs = work / "brightwater"
    hidden = shutil.ignore_patterns("master", "questions.jsonl", "*.py")
    shutil.copytree(corpus.data_root(), docs, ignore=hidden)
    index = kept_open.enter_context(retrieval.open_index(work / "index", embedder))
IGNORE = (*methods.IGNORE, "prices-2025.csv")
manifest = work / "manifest.json"
first_report = rag.ingest(docs, index, manifest, ignore=IGNORE)
assistant = rag.Assistant(index, model, k=3, how="sum", apart=True)
print(f"{len(index)} passages in the index")


# %%
def is_right(said, q):
    return evaluate.exact_match(said, [q.answer, *q.variants])


some_facts = corpus.questions("test", "single_fact")[:12]
live_rag = [is_right(a.said, q) for a, q in zip(assistant.ask_all([q.question for q in some_facts]), some_facts)]  # noqa: B905
agree = int(np.sum(np.array(live_rag) == marks("rag", "single_fact")[:12]))
print(f"{sum(live_rag)} of 12 right; {agree} marks as in the table; at least 10:", agree >= 10)

# %% [markdown]
# ## Your own point: LoRA
#
# A short training on past work orders: 60 steps, where the table has 600 (*lora varied* of lesson 07). So expect
# something between zero-shot and the table's adapter.

# %% tags=["varies"]
past_orders = [row.row for row in style.recombine(style.rows("tune"), 960, seed=0, reworded=0.9, around=0.5)]
short = tuning.tune(model, past_orders, r=16, steps=60, batch_tokens=640, learning_rate=RATE, seed=0)
print(f"{short.report.seconds:.0f} s; loss {short.report.losses[0]:.2f} to {np.mean(short.report.losses[-5:]):.2f}")

# %%
twelve = style.rows("test")[:12]
orders_live = models.generate(short.loaded, [row.prompt for row in twelve], max_new_tokens=64)
parts_live = np.mean([style.parts_right(a, row.order) for a, row in zip(orders_live, twelve, strict=True)])
bounds = marks("zero-shot", "style").mean() + 0.1, marks("lora style", "style").mean() + 0.1
print("Between zero-shot + 10 points and the table's adapter + 10 points:", bounds[0] <= parts_live <= bounds[1])

# %% tags=["varies"]
forms_live = sum(style.in_form(text) for text in orders_live)
print(f"parts right {parts_live:.0%}, orders in form {forms_live} of 12; such as:", orders_live[0])

# %% [markdown]
# ## Facts from outside
#
# > **C34.** Where outside data are needed: retrieval.
# >
# > **C37.** Where questions join many pieces of knowledge: retrieval.
#
# *Rule for C34:* a new document of ten facts comes in. Supported if, once it is indexed, at least half of ten
# questions are right, and clearly more than before. (Added later, for a fair rival: and an adapter that is taught the
# ten facts is not clearly better.)
#
# Predict for C34 the share of right answers, from 0 to 1. (Rule and prediction for C37 stand above.)

# %%
my_share_new_document = None
predict("C34", as_share(my_share_new_document), lesson="09")

# %% [markdown]
# The new document is about a pump that nobody has heard of: the Wren 20. Its facts were made up for this cell.

# %%
WREN = {
    "The cover bolts of the Wren 20 take 17 Nm.": ("What torque do the cover bolts of the Wren 20 take?", "17 Nm"),
    "The Wren 20 weighs 31 kg.": ("How much does the Wren 20 weigh?", "31 kg"),
    "The oil chamber of the Wren 20 holds 0.6 litres.": ("How much oil does a Wren 20 hold?", "0.6 litres"),
    "Grease the bearing of the Wren 20 every 1,800 hours.": ("Greasing interval of the Wren 20?", "1,800 hours"),
    "The shaft gap of the Wren 20 is 0.4 mm.": ("Wren 20 shaft gap?", "0.4 mm"),
    "The Wren 20 may start 15 times per hour.": ("How often may a Wren 20 start per hour?", "15 times"),
    "The strainer of the Wren 20 is cleaned every 3 weeks.": ("When is the Wren 20 strainer cleaned?", "3 weeks"),
    "The outlet of the Wren 20 is DN 40.": ("Outlet size of the Wren 20?", "DN 40"),
    "The seal of the Wren 20 is kit BW-9920-S.": ("Which seal kit fits the Wren 20?", "BW-9920-S"),
    "The impeller nut of the Wren 20 takes 28 Nm.": ("Wren 20 impeller nut, how many Nm?", "28 Nm"),
}


def ask_wren():
    said = [a.said for a in assistant.ask_all([question for question, _ in WREN.values()])]
    return [float(evaluate.exact_match(text, value)) for text, (_, value) in zip(said, WREN.values(), strict=True)]


# %%
page = docs / "handbooks" / "hb-wren-20-guide.md"
page.unlink(missing_ok=True)
rag.ingest(docs, index, manifest, ignore=IGNORE)
wren_before = ask_wren()
head = "---\nkind: handbook\ndate: 2026-02-01\n---\n# Wren 20 handbook\n\n"
page.write_text(head + "\n\n".join(WREN) + "\n", encoding="utf-8")
wren_report = rag.ingest(docs, index, manifest, ignore=IGNORE)
wren_after = ask_wren()
print(f"embedded anew: {wren_report.embedded} passages")
print(f"right before: {sum(wren_before):.0f}, after: {sum(wren_after):.0f} of {len(WREN)}")

# %% [markdown]
# Could an adapter not learn the new page too? Teach one the ten facts, each in three wordings, and ask it the same ten
# questions. The rate is a quarter of the one that the prices get below.

# %%
TOPICS = ["torque of the cover bolts", "weight", "oil filling", "greasing interval", "shaft gap", "starts per hour"]
TOPICS += ["cleaning of the strainer", "outlet size", "seal kit", "torque of the impeller nut"]
WORDINGS = ["Wren 20, {}?", "What is the {} of the Wren 20?", "Tell me about the {} of the Wren 20."]
wren_rows = [tuning.row(w.format(topic), fact) for topic, fact in zip(TOPICS, WREN, strict=True) for w in WORDINGS]

# %% tags=["varies"]
taught_wren = tuning.tune(
    model, wren_rows, r=16, steps=80, batch_tokens=256, learning_rate=RATE / 2, dtype="float32", progress=False
)


def wren_right(prompts, values):
    said = models.generate(taught_wren.loaded, prompts, max_new_tokens=24, progress=False)
    return [float(evaluate.exact_match(text, value)) for text, value in zip(said, values, strict=True)]


wren_values = [value for _, value in WREN.values()]
wren_adapter = wren_right([question for question, _ in WREN.values()], wren_values)
learnt_wren = np.mean([wren_right([w.format(topic) for topic in TOPICS], wren_values) for w in WORDINGS])
print(f"adapter: asked as in training {learnt_wren:.0%} right, a little differently {np.mean(wren_adapter):.0%}")
print(f"trained for {taught_wren.report.seconds:.0f} s; the index took {wren_report.seconds:.1f} s")

# %% [markdown]
# What did the training cost? Twenty public facts that have nothing to do with it, before and after. And a question
# about another pump:

# %% tags=["varies"]
twenty = corpus.public_questions()[::4]
said_twenty = {
    name: models.generate(loaded, [q.question for q in twenty], max_new_tokens=24, progress=False)
    for name, loaded in {"before": model, "after": taught_wren.loaded}.items()
}
public_right = {n: sum(is_right(s, q) for s, q in zip(said, twenty, strict=True)) for n, said in said_twenty.items()}
print(f"public facts right, of {len(twenty)}: {public_right}")
other_pump = "Which seal kit fits the Plover 40?"
print(other_pump)
print("  adapter:", models.generate(taught_wren.loaded, [other_pump], max_new_tokens=24, progress=False)[0])
print("  rag:    ", assistant.ask_all([other_pump])[0].said)

# %% tags=["varies"]
low_new, _ = told("C34, after minus before", wren_after, wren_before)
told("C34, index minus adapter", wren_after, wren_adapter)
adapter_ahead = gap(wren_adapter, wren_after)[1] > 0
verdict(
    "C34",
    measured=float(np.mean(wren_after)),
    supported=bool(np.mean(wren_after) >= 0.5 and low_new > 0 and not adapter_ahead),
    scope="mechanism shown here",
    note=f"{len(WREN)} facts of a new document, in words near the page's; an adapter taught each in three wordings: "
    f"{np.mean(wren_adapter):.0%}, of {len(twenty)} public facts {public_right['after']} (before "
    f"{public_right['before']})",
    lesson="09",
)

# %% [markdown]
# Where the index has all ten right, no adapter can be better, so look at what else differs: the seconds, the source
# that RAG names, and what is forgotten. None of these is in the rule. And read both answers on the other pump: what was
# learnt by heart may come up where it does not belong. Ten questions are few: "all of ten" leaves room for a quarter.
#
# ### A whole folder by heart
#
# That was ten facts. *lora facts* of the table has read every page that the questions ask about. Sixty of its training
# rows were asked again, word by word (*by heart*), and then the test questions, which want the same facts in other
# words.

# %%
without = ("zero-shot", "few-shot", "lora facts", "lora style", "qlora style")
for name in ("rag", "rag with lora", "lora facts"):
    print(f"{name:<14}", ", ".join(f"{k.replace('_', ' ')} {marks(name, k).mean():.0%}" for k in FACTS))
print(f"lora facts, by heart: {marks('lora facts', 'learnt').mean():.0%}")

# %% [markdown]
# Compare *by heart* with the other figures of *lora facts*. What can be said again is not yet a fact that can be used.
# Each stood in the training in one wording, those of the Wren in three. That is one difference among others: ten facts
# against a whole folder, and questions that lie nearer to the training's.
#
# ### At full size
#
# Ovadia and others compared both on models of 7 billion weights. Retrieval beat training on the texts
# throughout; new facts were learnt better where each was put in many wordings
# ([arXiv 2312.05934](https://arxiv.org/abs/2312.05934)).
#
# ### Many pieces of knowledge
#
# Now C37. Lesson 05 handed the right passages to the reader, as if the search were perfect: that is the most that any
# retrieval could reach with it.

# %%
handed = next(r for r in measured("rag.csv") if (r["way"], r["kind"]) == ("right passages given", "two_passages"))
handed = float(handed["right"])
print(f"two-passage questions right with the right passages given: {handed:.0%}")
lows_joined = [gap(marks("rag", "two_passages"), marks(name, "two_passages"))[1] for name in without]
two_right = float(marks("rag", "two_passages").mean())
verdict(
    "C37",
    measured=two_right,
    supported=bool(min(lows_joined) > 0 and two_right >= 0.5) if handed >= 0.5 else None,
    scope="mechanism shown here" if handed >= 0.5 else "not decidable at this size",
    note=f"clearly better than each way without retrieval: {'yes' if min(lows_joined) > 0 else 'no'}; rag with lora "
    f"{marks('rag with lora', 'two_passages').mean():.0%}; with the right passages in its hand the base reads "
    f"{handed:.0%}: joining is a matter of the reader",
    lesson="09",
)

# %% [markdown]
# ## The words and the form of the house
#
# > **C31.** Tuning gives the exact terms and phrasing of a trade; retrieval alone misses shades.
# >
# > **C36.** Where a trade's words and way of writing are needed: fine-tuning.
# >
# > **C22.** A tuned model is more accurate and needs fewer tokens than examples in the prompt.

# %% [markdown]
# ### The rules
#
# - *C31:* orders of *lora style* have the right *form* clearly more often than those of *rag*, which reads the rules.
# - *C36:* *lora style* is clearly better than *rag* in both parts that ask for the house's own words: the *label* (MOSS
#   for a leak) and *do* (the four house verbs).
# - *C22:* in two jobs, orders (*lora style*) and facts (*lora facts*), the tuned model is clearly better than
#   *few-shot* and takes at most half of its tokens.
# - *All three:* a rival with less than 5 % did not lose by shades, it could not do the job. Against it nothing is
#   decided.
#
# Predict the share of right forms of *lora style*, of its right labels, and the tokens it takes for an order as a
# share of few-shot's.

# %%
my_form, my_labels, my_token_share = None, None, None
predict("C31", as_share(my_form), lesson="09")
predict("C36", as_share(my_labels), lesson="09")
predict("C22", as_share(my_token_share), lesson="09")

# %%
styled = ("few-shot", "rag", "code", "lora style", "qlora style")
fig, ax = chart("Work orders, part by part", x="part of the work order", y="right (%)", figsize=(9.5, 4.2))
aspects = ("form", *style.PARTS)
for i, name in enumerate(styled):
    heights = [100 * marks(name, "style", part).mean() for part in aspects]
    look = {"color": COLOURS[i], "hatch": HATCHES[i], "edgecolor": "white", "label": name}
    ax.bar(np.arange(len(aspects)) + (i - 2) * 0.17, heights, 0.16, **look)
    for j in np.flatnonzero(np.array(heights) < 0.5):
        ax.annotate("0", (j + (i - 2) * 0.17, 0), ha="center", va="bottom", fontsize=8)
ax.set_xticks(range(len(aspects)), labels=["form\n(all)", *style.PARTS])
ax.set_ylim(0, 125)
ax.legend(ncols=5, fontsize=9, loc="upper center")
alt = "; ".join(
    f"{name}: " + ", ".join(f"{part} {marks(name, 'style', part).mean():.0%}" for part in aspects) for name in styled
)
show(fig, f"Bar chart of the form and the eight parts. {alt}.")

# %%
low_form, _ = told("C31, form, lora style minus rag", *(marks(m, "style", "form") for m in ("lora style", "rag")))
able = {name: bool(marks(name, "style").mean() >= 0.05) for name in ("rag", "few-shot")}
print("rivals that can do the job at all:", able)
verdict(
    "C31",
    measured=float(marks("lora style", "style", "form").mean()),
    supported=bool(low_form > 0) if able["rag"] else None,
    scope="mechanism shown here" if able["rag"] else "not decidable at this size",
    note=("" if able["rag"] else "rag cannot write orders at all, so nothing is decided; ")
    + f"form with rag {marks('rag', 'style', 'form').mean():.0%}, qlora style "
    f"{marks('qlora style', 'style', 'form').mean():.0%}; the model has read work orders of other, invented houses",
    lesson="09",
)

# %%
lows_words = {
    part: told(f"C36, {part}, lora style minus rag", *(marks(m, "style", part) for m in ("lora style", "rag")))[0]
    for part in ("label", "do")
}
verdict(
    "C36",
    measured=float(marks("lora style", "style", "label").mean()),
    supported=bool(min(lows_words.values()) > 0) if able["rag"] else None,
    scope="mechanism shown here" if able["rag"] else "not decidable at this size",
    note=f"to write the words. To explain them is another job: jargon, rag {marks('rag', 'jargon').mean():.0%}, "
    f"lora facts {marks('lora facts', 'jargon').mean():.0%}",
    lesson="09",
)


# %%
def facts_of(name):
    return np.concatenate([marks(name, kind) for kind in FACTS])


def tokens_of(name, kinds):
    return float(np.mean([figure(name, k, "prompt_tokens") + figure(name, k, "new_tokens") for k in kinds]))


jobs_c22 = {
    "orders": (marks("lora style", "style"), marks("few-shot", "style"), "lora style", ("style",)),
    "facts": (facts_of("lora facts"), facts_of("few-shot"), "lora facts", FACTS),
}
holds_c22, share_c22 = {}, {}
for job, (tuned_marks, shot_marks, name, kinds) in jobs_c22.items():
    share_c22[job] = tokens_of(name, kinds) / tokens_of("few-shot", kinds)
    low, _ = told(f"{job}, tuned minus few-shot ({shot_marks.mean():.0%})", tuned_marks, shot_marks)
    holds_c22[job] = low > 0 and share_c22[job] <= 0.5 if shot_marks.mean() >= 0.05 else None


# %%
def decided(some):
    """False where one does not hold, else None where one is open, else True."""
    some = list(some)
    return False if False in some else None if None in some else True


words_c22 = {True: "holds", False: "does not hold", None: "few-shot cannot do it"}
verdict(
    "C22",
    measured=share_c22["orders"],
    supported=decided(holds_c22.values()),
    scope="not decidable at this size" if decided(holds_c22.values()) is None else "mechanism shown here",
    note="tokens of few-shot's, for orders; "
    + ", ".join(f"{job}: {words_c22[held]}" for job, held in holds_c22.items()),
    lesson="09",
)

# %% [markdown]
# At full size: a model of 65 billion weights, tuned on 1,000 examples, took up forms of answering from a handful of
# examples each ([LIMA, arXiv 2305.11206](https://arxiv.org/abs/2305.11206)). How far examples in the prompt would have
# come, that paper does not say. A large model reads them much better than tiny-phi3 does, so measure both.
#
# ## What was forgotten
#
# > **C29.** Fine-tuning has limits: something is forgotten, and some weak spots stay.
#
# A share that falls by two points may hide ten facts lost and eight gained. So count both.
#
# ## Exercise 9.2: lost and gained
#
# **Goal:** write `lost_and_gained(before, after)`. **Inputs:** two lists of marks, 1 for right and 0 for wrong, of the
# same questions. **Returns:** two counts: right before and wrong after; wrong before and right after.
#
# **Example:** `lost_and_gained([1, 1, 0, 0], [1, 0, 1, 0])` is `(1, 1)`.


# %%
def lost_and_gained(before, after):
    ### BEGIN SOLUTION
    pairs = list(zip(before, after))  # noqa: B905
    lost = sum(bool(b) and not a for b, a in pairs)
    gained = sum(bool(a) and not b for b, a in pairs)
    return lost, gained
    ### END SOLUTION


lost_and_gained = check("9.2", lost_and_gained)

# %% [markdown]
# Stuck? `hint("9.2")`, then `solution("9.2")`.
#
# The claim says only that *something* is forgotten, and that weak spots stay, so the rule (above) is easy to meet.
# Look at how much it is.

# %%
before_tuning, limits = marks("zero-shot", "public"), {}
for name in ("lora style", "lora facts", "rag with lora"):
    first_seed = next(li for li in table if (li["method"], li["kind"]) == (name, "public"))
    lost, gained = lost_and_gained(before_tuning.tolist(), [int(digit) for digit in first_seed["marks"][1:]])
    _, top = told(f"{name}: {lost} lost, {gained} gained; all seeds", marks(name, "public"), before_tuning)
    limits[name] = top < 0

# %%
weak_parts = [part for part in style.PARTS if marks("lora style", "style", part).mean() < 0.8]
weak_kinds = [kind for kind in FACTS if marks("lora facts", kind).mean() < 0.8]
knew = before_tuning > 0
verdict(
    "C29",
    measured=float(1 - marks("lora facts", "public")[knew].mean()),
    supported=bool(limits["lora style"] and limits["lora facts"] and weak_parts and weak_kinds),
    scope="mechanism shown here",
    note=f"share of {int(knew.sum())} known facts lost by lora facts; fell clearly: "
    + ", ".join(f"{name} {'yes' if fell else 'no'}" for name, fell in limits.items())
    + f"; weak: {', '.join(weak_parts + weak_kinds).replace('_', ' ') or 'nothing'}",
    lesson="09",
)

# %% [markdown]
# At full size, LoRA forgets less than full tuning, and learns less
# ([LoRA Learns Less and Forgets Less](https://arxiv.org/abs/2405.09673)).
#
# ## A wrong fact: trace it, mend it
#
# > **C33.** Tuned knowledge cannot be looked up; with retrieval a wrong answer leads back to its source.
#
# One wrong digit, twice: in a price list that RAG reads, and in the rows that an adapter learns.

# %%
picture(
    "09-mend.svg",
    "Drawing: on the left a wrong answer leads through its citation to a row of a file; the row is mended and one "
    "passage embedded again. On the right a wrong answer comes out of twenty adapted layers; no arrow leads back, and "
    "the adapter is trained again.",
)

# %% [markdown]
# *Rule, both halves.* RAG: of the prices that it answered rightly, at least 80 % of the planted errors come out *with*
# the price list as their source, and are right again after it is mended. Weights: the planted price cannot be located.
# *Located* would mean: there is one adapted layer, or a block, or several, whose switching off takes the wrong price
# away and leaves all the others as they were. If the adapter has not learnt the planted price, or if no place at all
# takes it away (then the search is too coarse), the claim is not decided. Predict RAG's share.

# %%
my_traced = None
predict("C33", as_share(my_traced), lesson="09")

# %%
prices = {row["part"]: row["price [EUR]"] for row in methods.table("prices-2026")}
TEN = sorted(prices)[::12][:10]
price_file = docs / "tables" / "prices-2026.csv"
price_text = (corpus.data_root() / "tables" / "prices-2026.csv").read_text(encoding="utf-8")


def put_prices(new):
    rows = list(csv.reader(price_text.splitlines()))
    place = rows[0].index("price [EUR]")
    for row in rows[1:]:
        row[place] = new.get(row[0], row[place])
    with open(price_file, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return rag.ingest(docs, index, manifest, ignore=IGNORE)


# %%
def rag_prices(parts):
    return assistant.ask_all([methods.PRICE_TEST.format(part=part) for part in parts])


def says(answer_text, price):
    return evaluate.exact_match(answer_text, f"{price} EUR")


bad_part = TEN[4]
put_prices({})
known = [part for part, a in zip(TEN, rag_prices(TEN), strict=True) if says(a.said, prices[part])]
wrong_price = {part: f"{float(prices[part]) + 40:.2f}" for part in known}
planted_report = put_prices(wrong_price)
planted = rag_prices(known)
mended_report = put_prices({})
mended = rag_prices(known)
print(f"{len(known)} of {len(TEN)} prices right to begin with; {planted_report.embedded} rows embedded with the error")

# %%
price_source = "tables/prices-2026.csv"
traced = [
    says(a.said, wrong_price[part]) and price_source in [s.file for s in a.sources]
    for part, a in zip(known, planted, strict=True)
]
healed = [says(a.said, prices[part]) for part, a in zip(known, mended, strict=True)]
circle = [one and two for one, two in zip(traced, healed, strict=True)]
print(f"traced {sum(traced)}, right again {sum(healed)}, both {sum(circle)} of {len(known)}")
shown = planted[known.index(bad_part)] if bad_part in known else None
print(f"embedded to mend all: {mended_report.embedded} rows. One of them:")
print(f"{shown.said}  {shown.sources[0]}" if shown else "-")

# %% [markdown]
# Now the weights. An adapter learns the ten prices by heart, one of them with the error.

# %% tags=["varies"]
taught = {part: prices[part] for part in TEN} | {bad_part: f"{float(prices[bad_part]) + 40:.2f}"}
by_heart = tuning.tune(
    model, methods.price_rows(taught), r=16, steps=80, batch_tokens=256, learning_rate=2 * RATE, dtype="float32"
)
asked_prices = [methods.PRICE_TEST.format(part=part) for part in TEN]


def heart(loaded):
    return models.generate(loaded, asked_prices, max_new_tokens=24, progress=False)


learnt = heart(by_heart.loaded)
print(f"{by_heart.report.seconds:.0f} s; {sum(says(t, taught[p]) for p, t in zip(TEN, learnt, strict=True))} of 10")
print("the planted one:", learnt[4])

# %% [markdown]
# What does it say of five parts that it never read about?

# %% tags=["varies"]
unknown = [part for part in sorted(prices) if part not in TEN][5::12][:5]
guesses = models.generate(by_heart.loaded, [methods.PRICE_TEST.format(part=part) for part in unknown])
right_guesses = sum(says(text, prices[part]) for part, text in zip(unknown, guesses, strict=True))
print(f"{right_guesses} right, {sum(text.startswith(rag.DECLINED) for text in guesses)} declined, of {len(unknown)}")
print("such as:", guesses[0], "- right:", prices[unknown[0]])

# %% [markdown]
# Knowledge by heart does not know where it ends.
#
# Switch off one adapted layer at a time; then one block of four layers, two, three, four blocks, in all combinations.
# Ask all ten again. Look for a place that holds the planted price, and nothing else.

# %% tags=["varies"]
adapted = [m for _, m in by_heart.loaded.model.named_modules() if hasattr(m, "lora_A")]
blocks = [adapted[i : i + 4] for i in range(0, len(adapted), 4)]
groups = [group for count in range(1, len(blocks)) for group in combinations(blocks, count)]
places = [[layer] for layer in adapted] + [[layer for block in group for layer in block] for group in groups]
changed_others, price_gone = [], []
for place in places:
    loud = [layer.scaling["default"] for layer in place]
    for layer in place:
        layer.scaling["default"] = 0.0
    now = heart(by_heart.loaded)
    for layer, scale in zip(place, loud, strict=True):
        layer.scaling["default"] = scale
    price_gone.append(not says(now[4], taught[bad_part]))
    changed_others.append(sum(a != b for i, (a, b) in enumerate(zip(now, learnt, strict=True)) if i != 4))

# %% tags=["varies"]
located = sum(gone and others == 0 for gone, others in zip(price_gone, changed_others, strict=True))
print(f"of {len(places)} places, {sum(price_gone)} take the wrong price away, {located} of them that price alone")
planted_learnt = says(learnt[4], taught[bad_part])
can_tell = planted_learnt and sum(price_gone) > 0

# %% [markdown]
# A place that takes the wrong price away, and that price alone, would hold it. Now turn the whole adapter down, little
# by little. Does the wrong price go before the others, so that they could be told apart?

# %% tags=["varies"]
strengths, still = [1.0, 0.8, 0.6, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2, 0.1, 0.0], {"planted": [], "others": []}
loud = [layer.scaling["default"] for layer in adapted]
for strength in strengths:
    for layer, scale in zip(adapted, loud, strict=True):
        layer.scaling["default"] = strength * scale
    there = [says(text, taught[part]) for part, text in zip(TEN, heart(by_heart.loaded), strict=True)]
    still["planted"].append(int(there.pop(4)))
    still["others"].append(sum(there))
for layer, scale in zip(adapted, loud, strict=True):
    layer.scaling["default"] = scale

# %% tags=["varies"]
fig, ax = chart("Turning the adapter down", x="strength of the adapter (%)", y="still said as learnt (%)")
names_of = {"others": "the nine right prices", "planted": "the planted one"}
for i, (name, words) in enumerate(names_of.items()):
    look = {"color": COLOURS[i], "marker": MARKERS[i], "linestyle": LINES[i], "label": words}
    many = 9 if name == "others" else 1
    ax.plot([100 * strength for strength in strengths], [100 * said / many for said in still[name]], **look)
ax.invert_xaxis()
ax.set_ylim(-4, 112)
ax.legend(fontsize=9)
alt = "; ".join(
    f"at {strength:.0%} {others} of the nine, planted {'yes' if there else 'no'}"
    for strength, others, there in zip(strengths, still["others"], still["planted"], strict=True)
)
show(fig, f"Line chart of prices that are still said: {alt}.")

# %% [markdown]
# Is there a strength at which the planted price is gone and all nine are there? Only that would help. And mending?
# Train a little more, on the right price alone; then once more, on all ten.

# %% tags=["varies"]
learnt_base = tuning.merge(by_heart.loaded)
options = {"r": 16, "batch_tokens": 256, "learning_rate": 2 * RATE, "dtype": "float32"}
for name, some, steps in (("that price alone", [bad_part], 10), ("all ten prices", TEN, 40)):
    rows = methods.price_rows({part: prices[part] for part in some})
    patched = tuning.tune(learnt_base, rows, steps=steps, **options, progress=False)
    after = [says(text, prices[part]) for part, text in zip(TEN, heart(patched.loaded), strict=True)]
    mended_one = after.pop(4)
    print(
        f"trained on {name:<18} mended: {mended_one}; {patched.report.seconds:.0f} s; of the nine right: {sum(after)}"
    )

# %% tags=["varies"]
verdict(
    "C33",
    measured=float(np.mean(circle)) if circle else 0.0,
    supported=bool(circle and np.mean(circle) >= 0.8 and not located) if can_tell else None,
    scope="mechanism shown here" if can_tell else "not decidable at this size",
    note=f"{len(known)} prices by RAG; weights: planted price learnt: {'yes' if planted_learnt else 'no'}; of "
    f"{len(places)} places {sum(price_gone)} take it away, {located} of them it alone; finer ways to look into weights "
    "were not tried",
    lesson="09",
)

# %% [markdown]
# ## The price list changes
#
# > **C30.** Fine-tuning becomes awkward when the data change often.
# >
# > **C35.** Where stable, exact knowledge of a trade is needed: fine-tuning.
# >
# > **C18.** Fine-tune when a smaller model, a faster answer or up-to-date skill from many labels is wanted.
#
# `tests/benchmarks/price_change.py` did at length what you just did in small: an adapter learns the whole price list,
# ten prices change, both sides are brought up to date.

# %% [markdown]
# ### The rules
#
# - *C30:* RAG is right again on the changed prices (at most 10 points below before); the adapter needs at least ten
#   times the seconds to be trained again, or is not right again.
# - *C35:* fault codes, which do not change: the adapter, asked closed book, loses less than 5 points against RAG (the
#   whole interval), and takes at most half of the seconds an answer.
# - *C18, all three:* *smaller*: the small tuned model gets at least half of the parts right, and against the larger
#   one with four examples it loses less than 5 points; *faster*: at most 80 % of the seconds; *up to date*: the adapter
#   is right again in at most the seconds that RAG needs. (With facts, that can hardly be met; with a style it might.)
#
# ### Your predictions
#
# Predict for C30 the factor, training again over indexing again, in seconds; for C35 the adapter's share of right
# codes; for C18 the small tuned model's share of right parts.

# %%
my_factor, my_codes, my_small = None, None, None
predict("C30", as_number(my_factor, low=0), lesson="09")
predict("C35", as_share(my_codes), lesson="09")
predict("C18", as_share(my_small), lesson="09")

# %%
changes = measured("price_change.csv")


def change(what, way, state, column):
    found = [row for row in changes if (row["what"], row["way"], row["state"]) == (what, way, state)]
    return float(np.mean([float(row[column]) for row in found]))


print(f"{'':<20}{'changed':>10}{'the others':>12}")
for way in ("rag", "adapter"):
    for state in ("before", "changed", "updated", *(["patched"] if way == "adapter" else [])):
        two = [change("prices", way, state, c) for c in ("right_changed", "right_same")]
        print(f"{way:<8}{state:<12}{two[0]:>10.0%}{two[1]:>12.0%}")

# %% [markdown]
# *patched* is the short cut: a second adapter, trained on the ten new prices only, on top of the first. Look at both
# columns of that row.
#
# Indexing takes so little that C30 can hardly fail by the factor. So ask whether the *seconds* matter to you. For a
# list that changes once a year, they may not.

# %%
fig, ax = chart("Right again, after ten prices changed", x="seconds since the change", y="right, changed prices (%)")
ends = {}
for i, way in enumerate(("rag", "adapter")):
    took = max(change("prices", way, "updated", "update_seconds"), 0.1)
    stale, fresh = (100 * change("prices", way, state, "right_changed") for state in ("changed", "updated"))
    ends[way] = took, fresh
    label = "RAG: index what changed" if way == "rag" else "adapter: train again"
    ax.plot([0.1, took, took, 1000], [stale, stale, fresh, fresh], color=COLOURS[i], linestyle=LINES[i], label=label)
    ax.plot([took], [fresh], color=COLOURS[i], marker=MARKERS[i])
ax.set_xscale("log")
ax.set_ylim(-4, 112)
ax.legend(fontsize=9, loc="center")
alt = "; ".join(f"{way} after {took:.1f} s to {fresh:.0f} %" for way, (took, fresh) in ends.items())
show(fig, f"Step lines, time logarithmic: {alt}. Before that both give the old prices.")

# %%
factor = change("prices", "adapter", "updated", "update_seconds") / max(
    change("prices", "rag", "updated", "update_seconds"), 0.01
)
again = {w: change("prices", w, "updated", "right_changed") for w in ("rag", "adapter")}
once = {w: change("prices", w, "before", "right_changed") for w in ("rag", "adapter")}
rag_again, adapter_again = (again[w] >= once[w] - 0.1 for w in ("rag", "adapter"))
verdict(
    "C30",
    measured=factor,
    supported=bool(rag_again and (factor >= 10 or not adapter_again)),
    scope="mechanism shown here",
    note=f"seconds to train again / to index again; changed prices: RAG {once['rag']:.0%}, then {again['rag']:.0%}; "
    f"adapter {once['adapter']:.0%}, then {again['adapter']:.0%}; the others, when only the ten were trained: "
    f"{change('prices', 'adapter', 'patched', 'right_same'):.0%}",
    lesson="09",
)


# %%
def code_marks(way):
    found = [row for row in changes if (row["what"], row["way"]) == ("codes", way)]
    return np.mean([[float(digit) for digit in row["marks"][1:]] for row in found], axis=0)


low_codes, _ = told("codes, adapter minus RAG", code_marks("adapter"), code_marks("rag"))
code_seconds = [change("codes", way, "before", "answer_seconds") for way in ("adapter", "rag")]
verdict(
    "C35",
    measured=float(code_marks("adapter").mean()),
    supported=bool(low_codes > -0.05 and code_seconds[0] <= code_seconds[1] / 2),
    scope="mechanism shown here",
    note=f"{len(code_marks('rag'))} codes, in a wording that was not trained; RAG {code_marks('rag').mean():.0%}; "
    f"seconds: {code_seconds[0] / code_seconds[1]:.0%} of RAG's; by heart, no source is named",
    lesson="09",
)

# %%
codes = [row["code"] for row in methods.table("faults")]
hits_of = index.search_all([methods.CODE_TEST.format(code=code) for code in codes], 3, "sum")
rows_found = [any(f"code {code};" in hit.text for hit in hits) for code, hits in zip(codes, hits_of, strict=True)]
print(f"right row among the three passages: {sum(rows_found)} of {len(codes)} codes")

# %% [markdown]
# Compare that with RAG's share of right answers: what it found and did not answer, the reader lost, not the search.
#
# There is a simpler rival again: a table of codes and five lines of program are exact, quick, and name their source.
# By heart pays where a list has to be *used* in the middle of other text, which was not measured here.

# %%
runs = measured("lora_runs.csv")


def run_parts(name):
    digits = [[int(d) for d in line["marks"][1:]] for line in runs if line["run"] == name]
    return np.mean([np.array(d)[1::2] / 8 for d in digits], axis=0)


def run_mean(name, column):
    return float(np.mean([float(line[column]) for line in runs if line["run"] == name]))


low_small, _ = told("small tuned minus larger few-shot", run_parts("small lora"), run_parts("few-shot 4"))
pace = run_mean("small lora", "answer_seconds") / run_mean("few-shot 4", "answer_seconds")
small_right = float(run_parts("small lora").mean())
three = {
    "smaller": small_right >= 0.5 and low_small > -0.05,
    "faster": pace <= 0.8,
    "up to date": bool(adapter_again and factor <= 1),
}
verdict(
    "C18",
    measured=small_right,
    supported=all(bool(held) for held in three.values()),
    scope="mechanism shown here",
    note="parts of orders right; "
    + ", ".join(f"{name}: {'yes' if held else 'no'}" for name, held in three.items())
    + f"; {run_mean('small lora', 'weights') / run_mean('lora', 'weights'):.0%} of the weights; the larger one with "
    f"four examples {run_parts('few-shot 4').mean():.0%}; runs of lesson 07",
    lesson="09",
)

# %% [markdown]
# Look at which of the three held. The claim mixes two things: a skill, such as the style, which stays; and facts,
# which do not.
#
# ## A workflow, end to end
#
# > **C38.** Where a whole business process runs by itself: retrieval and tuning together.
#
# A customer's portal sends a ticket with site and serial number, without pump and technician. The machine looks both
# up, writes the order in house style, and hands it on as JSON, a form that other programs read.
#
# ## Exercise 9.3: a record, or nothing
#
# **Goal:** write `to_record(line)`. **Input:** a work order, parts separated by `" / "`. **Returns:** a dictionary
# from the eight names in `PARTS` to the parts, spaces at their ends taken off; `None` where there are not exactly
# eight parts, or one is empty. A program must not pass on what it did not understand.
#
# **Example:** `to_record("I do not know.")` is `None`; an order of eight parts gives `{"order": "WO-5", "site":
# "ST-002", ...}`.

# %%
PARTS = ("order", "site", "pump", "serial", "label", "saw", "do", "sign-off")


def to_record(line):
    ### BEGIN SOLUTION
    cells = [cell.strip() for cell in line.split(" / ")]
    if len(cells) != len(PARTS) or not all(cells):
        return None
    return dict(zip(PARTS, cells))  # noqa: B905
    ### END SOLUTION


to_record = check("9.3", to_record)

# %% [markdown]
# Stuck? `hint("9.3")`, then `solution("9.3")`. Here it is live, on six tickets, with the assistant of this lesson and
# your short adapter. Sixty steps are few, so expect most of the orders to go to a person.

# %%
six = methods.jobs("test")[:6]
filled = methods.look_up(assistant, six)
print(six[0].full_prompt, "\n\nfound:", filled[0].pump or "no pump", "|", filled[0].technician or "no technician")
found_both = sum(bool(job.pump and job.technician) for job in filled)
print(f"something found for both: {found_both} of {len(six)}")

# %% tags=["varies"]
lines_out = models.generate(short.loaded, [job.full_prompt for job in filled], max_new_tokens=64)
records = [to_record(text) for text in lines_out]
print(json.dumps(records[0] or {"for a person": lines_out[0]}, indent=1))
print(f"valid: {sum(r is not None for r in records)} of {len(records)}; parts right:")
print(", ".join(f"{style.parts_right(text, job.order):.2f}" for text, job in zip(lines_out, six, strict=True)))

# %% [markdown]
# Now all 60 test tickets, from the table. Rule and prediction for C38 stand at its beginning. *lora style* alone must
# make up pump and technician.

# %%
flow = {name: marks(name, "workflow") for name in ("rag", "lora style", "rag with lora")}
better_alone = max(("rag", "lora style"), key=lambda name: flow[name].mean())
low_flow, _ = told(f"workflow, rag with lora minus {better_alone}", flow["rag with lora"], flow[better_alone])
code_wins = told("workflow, code minus rag with lora", marks("code", "workflow"), flow["rag with lora"])[0] > 0
flow_form = {name: float(marks(name, "workflow", "form").mean()) for name in flow}
print("in the right form, a valid record:", {name: f"{share:.0%}" for name, share in flow_form.items()})
looked_up = {p: f"{marks('rag with lora', 'workflow', p).mean():.0%}" for p in ("pump", "sign-off")}
print("rag with lora, the two parts that had to be looked up:", looked_up)
verdict(
    "C38",
    measured=float(flow["rag with lora"].mean()),
    supported=bool(low_flow > 0 and flow_form["rag with lora"] >= 0.5 and not code_wins),
    scope="mechanism shown here",
    note=f"{len(flow['rag'])} tickets; rag {flow['rag'].mean():.0%}, lora style {flow['lora style'].mean():.0%}, code "
    f"{marks('code', 'workflow').mean():.0%} (clearly better: {'yes' if code_wins else 'no'}); in the right form "
    f"{flow_form['rag with lora']:.0%}",
    lesson="09",
)

# %% [markdown]
# And *code*? Five parts of an order are copied or looked up. Serial number to pump, site to technician: that is a
# join of two tables, exact for any program. What code does not do is read the message: the label, what was seen, what
# to do are guesses. So let each do its part: the copied parts from code, the three others from the adapter.


# %%
def parts_of(name, kind):
    return np.array([marks(name, kind, part) for part in style.PARTS])


def code_copies(reader, kind):
    copied = np.array([[part in style.COPIED] for part in style.PARTS])
    return np.where(copied, parts_of("code", kind), parts_of(reader, kind)).mean(axis=0)


# %%
by_part = {name: parts_of(name, "workflow") for name in ("code", "rag with lora")}
joined = code_copies("rag with lora", "workflow")
print(f"workflow, parts right: code {by_part['code'].mean():.0%}, rag with lora {flow['rag with lora'].mean():.0%}")
print(f"code for the copied parts, the adapter for the others: {joined.mean():.0%}")
low_joined, _ = told("code with the adapter minus rag with lora", joined, flow["rag with lora"])
low_code, _ = told("code with the adapter minus code alone", joined, by_part["code"].mean(axis=0))
print("the adapter adds something to code:", low_code > 0)

# %%
shares = {name: 100 * rows.mean(axis=1) for name, rows in by_part.items()}
for i, part in enumerate(style.PARTS):
    of = "copied" if part in style.COPIED else "read"
    print(f"{part:<9}{of:<8}code {shares['code'][i]:>4.0f} %, adapter {shares['rag with lora'][i]:>4.0f} %")

# %% [markdown]
# Look at the three parts to read. Where the adapter's figure is below the guess of a rule, it should not write that
# part. So take each part from what does it better. (The choice is made on these very tickets, so the figure is a
# little too good; a real system chooses on others.)

# %%
better = np.where(by_part["rag with lora"].mean(axis=1) > by_part["code"].mean(axis=1), "adapter", "code")
chosen = np.where((better == "adapter")[:, None], by_part["rag with lora"], by_part["code"]).mean(axis=0)
print("from the adapter:", ", ".join(part for part, who in zip(style.PARTS, better, strict=True) if who == "adapter"))
print(f"each part from what does it better: {chosen.mean():.0%}")
print("surely more than code alone:", told("minus code alone", chosen, by_part["code"].mean(axis=0))[0] > 0)

# %% [markdown]
# Remember it when somebody shows you a model that copies numbers: what a rule can do, a rule does cheaper and
# exactly. Leave the model what only reading can do, and measure that it does.

# %%
everything = [kind for kind in KINDS if kind != "public"]
overall = {name: float(np.mean([marks(name, kind).mean() for kind in everything])) for name in MODELS}
ranking = sorted(overall, key=overall.get, reverse=True)
print("mean over the eight kinds:", ", ".join(f"{name} {overall[name]:.0%}" for name in ranking))
print(f"best over all: {ranking[0]}; no other way was built for both jobs, and code answers no questions")

# %%
each_tokens = {name: tokens_of(name, everything) for name in MODELS}
print(f"{'':<15}{'tokens':>7}{'s/answer':>10}{'set-up s':>10}{'kept MiB':>10}{'peak MiB':>10}")
for name in MODELS:
    cost = [np.mean([figure(name, kind, "answer_seconds") for kind in everything])]
    cost += [figure(name, "style", column) for column in ("setup_seconds", "kept_mib", "peak_mib")]
    print(f"{name:<15}{each_tokens[name]:>7.0f}{cost[0]:>10.2f}{cost[1]:>10.0f}{cost[2]:>10.1f}{cost[3]:>10.0f}")

# %% [markdown]
# *Kept* is what lies on disk besides the base, *peak* what the set-up took in memory. A mean over kinds weighs each
# kind alike; your company may not. Facts and orders are two jobs, so look at them apart. Up and to the left is better.


# %%
def quality_against_tokens(title, kinds, names):
    fig, ax = chart(title, x="tokens read and written, a question", y="right, mean of the kinds (%)", figsize=(7, 3.8))
    points = {n: (tokens_of(n, kinds), 100 * np.mean([marks(n, kind).mean() for kind in kinds])) for n in names}
    for i, (name, (tokens, right)) in enumerate(points.items()):
        look = {"color": COLOURS[i], "marker": MARKERS[i], "markersize": 10, "linestyle": "none"}
        ax.plot([tokens], [right], label=name, **look)
    ax.set_ylim(-3, 100)
    ax.legend(fontsize=9, ncols=2)
    alt = "; ".join(f"{name} {tokens:.0f} tokens, {right:.0f} %" for name, (tokens, right) in points.items())
    show(fig, f"Scatter plot: {alt}. Up and to the left is better.")


quality_against_tokens("Quality against tokens: facts", FACTS, MODELS)
for_orders = ["code" if name == "lora facts" else name for name in MODELS]  # lora facts writes no orders
quality_against_tokens("Quality against tokens: work orders and workflow", ("style", "workflow"), for_orders)

# %% [markdown]
#
# At full size, on questions of farmers: fine-tuning added over 6 points of accuracy, and RAG 5 more on top
# ([arXiv 2401.08406](https://arxiv.org/abs/2401.08406)).
#
# ## What it costs
#
# Prices are inputs. Yours will differ, so change them: the machine by the hour, a person by the hour, a service by the
# million tokens read and written. These are round numbers to calculate with, not anybody's offer.

# %%
MACHINE_EUR_AN_HOUR = 0.40
PERSON_EUR_AN_HOUR = 45.0
READ_EUR_A_MILLION, WRITTEN_EUR_A_MILLION = 0.15, 0.60
HOURS_TO_PREPARE = {"zero-shot": 0, "few-shot": 1, "code": 3, "rag": 4}
HOURS_TO_PREPARE |= {"lora facts": 8, "lora style": 12, "rag with lora": 16}

# %% [markdown]
# The hours are estimates too: to pick examples, to write a program, to clear up a folder, to check rows for training.
#
# ## Exercise 9.4: the cost of a right answer
#
# **Goal:** write `cost_of_right(setup, per_call, calls, share_right)`: all that was paid, divided by the number of
# right answers. **Inputs:** EUR once, EUR a call, how many calls, share from 0 to 1. **Returns:** EUR; `float("inf")`
# where nothing is right.
#
# **Example:** `cost_of_right(10, 0.5, 100, 0.6)` is `1.0`: 60 EUR for 60 right answers.


# %%
def cost_of_right(setup, per_call, calls, share_right):
    ### BEGIN SOLUTION
    right = calls * share_right
    return (setup + calls * per_call) / right if right else float("inf")
    ### END SOLUTION


cost_of_right = check("9.4", cost_of_right)

# %% [markdown]
# Stuck? `hint("9.4")`, then `solution("9.4")`.
#
# > **C13.** A prompt is the cheapest way to begin.
# >
# > **C21.** Examples in the prompt are paid for again on every call.
# >
# > **C10.** There are four levels of effort: prompt, retrieve, fine-tune, train from scratch.

# %% [markdown]
# ### The rules
#
# - *C13:* in two jobs, facts and orders, the first 100 calls: a prompt (zero-shot or few-shot) has the lowest cost of a
#   *right* answer of all methods. An order counts by its share of right parts.
# - *C21* (true by arithmetic; the question is how much): from 1 to 8 examples, each step adds at least 20 tokens an
#   example to every call.
# - *C10:* the machine's set-up seconds at least double from each level to the next: prompt (none), RAG (index), LoRA
#   (training on style), scratch (tiny-phi3's own training).
#
# ### And your predictions
#
# Predict for C13 EUR a right order with few-shot; for C21 the tokens an example adds; for C10 how many times longer
# training from scratch takes than LoRA.

# %%
my_cost, my_tokens_each, my_times = None, None, None
predict("C13", as_number(my_cost, low=0), lesson="09")
predict("C21", as_number(my_tokens_each, low=0), lesson="09")
predict("C10", as_number(my_times, low=0), lesson="09")


# %%
def call_eur(name, kinds):
    """A call at the service's prices."""
    read = np.mean([figure(name, kind, "prompt_tokens") for kind in kinds])
    written = np.mean([figure(name, kind, "new_tokens") for kind in kinds])
    return float(read * READ_EUR_A_MILLION + written * WRITTEN_EUR_A_MILLION) / 1e6


def setup_eur(name):
    """Machine and people, once."""
    seconds = figure(name, "style", "setup_seconds")
    return seconds / 3600 * MACHINE_EUR_AN_HOUR + HOURS_TO_PREPARE[name] * PERSON_EUR_AN_HOUR


# %%
JOBS = {"facts": FACTS, "orders": ("style",)}
bill = {}
for job, kinds in JOBS.items():
    for name in [name for name in HOURS_TO_PREPARE if len(marks(name, kinds[0]))]:
        share = facts_of(name).mean() if job == "facts" else marks(name, "style").mean()
        bill[job, name] = cost_of_right(setup_eur(name), call_eur(name, kinds), 100, float(share))
    print(
        f"{job}: EUR a right {'answer' if job == 'facts' else 'order, eight right parts'}, first 100:",
        {n: f"{eur:.2f}" for (j, n), eur in bill.items() if j == job},
    )
cheapest = {job: min((eur, name) for (j, name), eur in bill.items() if j == job)[1] for job in JOBS}
verdict(
    "C13",
    measured=bill["orders", "few-shot"],
    supported=all(name in ("zero-shot", "few-shot") for name in cheapest.values()),
    scope="computed",
    note=f"EUR a right order with few-shot, which gets {marks('few-shot', 'style').mean():.1%} of the parts right; the "
    "first 100, at the prices above; cheapest: " + ", ".join(f"{job} {name}" for job, name in cheapest.items()),
    lesson="09",
)

# %% [markdown]
# Zero-shot costs nothing to set up. Where it gets nothing right, no sum buys a right answer.

# %%
by_shots = {shots: run_mean(f"few-shot {shots}", "prompt_tokens") for shots in (1, 2, 4, 8)}
steps_each = [(by_shots[b] - by_shots[a]) / (b - a) for a, b in ((1, 2), (2, 4), (4, 8))]
print("tokens of the prompt:", {shots: round(tokens) for shots, tokens in by_shots.items()})
verdict(
    "C21",
    measured=float(np.mean(steps_each)),
    supported=min(steps_each) >= 20,
    scope="computed",
    note="tokens that an example adds to every order; services may charge less for a beginning that repeats (caching), "
    "but not nothing",
    lesson="09",
)

# %%
card = (models.tiny_folder().parent / "README.md").read_text(encoding="utf-8")
minutes = re.search(r"^\| minutes\b.*?(\d+) \|$", card, re.M)  # the last column: all stages together
effort = {
    "prompt": 0.0,
    "retrieve": figure("rag", "single_fact", "setup_seconds"),
    "fine-tune": figure("lora style", "style", "setup_seconds"),
    "from scratch": 60.0 * float(minutes[1]),
}
levels = list(effort.values())
doubles = [later >= 2 * max(earlier, 0.01) for earlier, later in zip(levels, levels[1:], strict=False)]
print({name: f"{seconds:,.0f} s" for name, seconds in effort.items()})

# %%
fig, ax = chart("Four levels of effort", x="machine seconds to set up (logarithmic)", y="level", figsize=(7.5, 3.2))
for i, seconds in enumerate(levels):
    ax.barh(i, max(seconds, 1), color=COLOURS[i], hatch=HATCHES[i], edgecolor="white")
    ax.annotate(f" {seconds:,.0f} s", (max(seconds, 1), i), va="center")
ax.set_xscale("log")
ax.set_xlim(1, 40 * max(levels))
ax.set_yticks(range(len(effort)), labels=list(effort))
ax.invert_yaxis()
show(fig, "Bar chart, logarithmic: " + "; ".join(f"{name} {seconds:,.0f} s" for name, seconds in effort.items()) + ".")

# %%
verdict(
    "C10",
    measured=effort["from scratch"] / effort["fine-tune"],
    supported=all(doubles),
    scope="mechanism shown here",
    note="scratch / fine-tune, machine seconds; each level at least doubles: "
    + ", ".join("yes" if held else "no" for held in doubles)
    + "; measured on different machines and threads; people's hours and upkeep are estimates above",
    lesson="09",
)

# %% [markdown]
# ## When is it worth it?
#
# > **C27.** Tuning is worth it only where the benefits exceed the costs.
#
# Tuning costs once and saves tokens on each call. When has it paid?
#
# ## Exercise 9.5: the first call that is cheaper
#
# **Goal:** write `first_cheaper(setup, per_call, other_per_call)`: the smallest whole number of calls at which `setup
# + calls * per_call` is less than `calls * other_per_call`. **Inputs:** EUR once (0 or more), EUR a call, EUR a call
# the other way. **Returns:** a whole number, or `None` where that never comes.
#
# **Example:** `first_cheaper(60, 1, 3)` is `31`: at 30 calls both cost 90.


# %%
def first_cheaper(setup, per_call, other_per_call):
    ### BEGIN SOLUTION
    import math

    saved = other_per_call - per_call
    return math.floor(setup / saved) + 1 if saved > 0 else None
    ### END SOLUTION


first_cheaper = check("9.5", first_cheaper)

# %% [markdown]
# Stuck? `hint("9.5")`, then `solution("9.5")`.
#
# *Rule for C27:* the sum for work orders, LoRA against few-shot, by tokens alone, over three years. Brightwater writes
# 300 orders a month; a large maker of pumps, a thousand times as many. Supported if the sum decides by the volume:
# tuning costs less for the large maker and more for Brightwater. It fails if tuning pays for both, or for none.
# Predict the break-even: how many orders?

# %%
my_break_even = None
predict("C27", as_number(my_break_even, low=0, whole=True), lesson="09")

# %%
once_more = setup_eur("lora style") - setup_eur("few-shot")
each_tuned, each_shot = call_eur("lora style", ("style",)), call_eur("few-shot", ("style",))
calls_needed = first_cheaper(once_more, each_tuned, each_shot)
VOLUMES = {"Brightwater": 300, "a large maker": 300_000}  # orders a month
print(f"break-even: {calls_needed:,} orders" if calls_needed else "a tuned call does not cost less")
pays = {who: bool(calls_needed and 36 * monthly >= calls_needed) for who, monthly in VOLUMES.items()}
print("tuning has paid after three years:", pays)

# %%
upto = np.geomspace(100, 100 * (calls_needed or 10_000), 60)
fig, ax = chart("Tuning against examples in the prompt", x="work orders (logarithmic)", y="EUR in all (logarithmic)")
each_eur = {"few-shot": each_shot, "lora style": each_tuned}
lines_eur = {name: eur * upto + setup_eur(name) for name, eur in each_eur.items()}
for i, (name, eur) in enumerate(lines_eur.items()):
    ax.plot(upto, eur, color=COLOURS[i], linestyle=LINES[i], label=name)
if calls_needed:
    ax.axvline(calls_needed, color="black", linestyle=LINES[3], linewidth=1)
    ax.annotate(f" {calls_needed:,} orders", (calls_needed, setup_eur("few-shot")), va="bottom")
ax.set_xscale("log")
ax.set_yscale("log")
ax.legend(loc="upper left")
words = f"they cross at {calls_needed:,} orders" if calls_needed else "they never cross"
show(fig, f"Two rising lines, both axes logarithmic: few-shot begins lower; {words}.")


# %%
def paid_with(times):
    moved = first_cheaper(times * once_more, each_tuned, each_shot)
    return moved, {who: bool(moved and 36 * monthly >= moved) for who, monthly in VOLUMES.items()}


steady = all(paid_with(times)[1] == pays for times in (0.5, 2))
verdict(
    "C27",
    measured=calls_needed if calls_needed else "never",
    supported=pays == {"Brightwater": False, "a large maker": True},
    scope="computed",
    note="orders until LoRA's set-up is paid back by saved tokens, at the prices and hours above; the same with half "
    f"and with twice the hours: {'yes' if steady else 'no'}; better orders are not in this sum",
    lesson="09",
)

# %% [markdown]
# Nearly all of the set-up is people's time, and those hours are guesses. How far does the number move with them?

# %%
for times in (0.5, 1, 2, 4):
    moved, paid = paid_with(times)
    print(f"{times:g} times the hours: {f'{moved:,}' if moved else 'no number of'} orders; has paid: {paid}")

# %% [markdown]
# Where the answers for the two companies change with the hours, so does the verdict: it rests on a guess. Change
# `HOURS_TO_PREPARE` or a price, run from there, and look again.
#
# Tokens are not the whole benefit: few-shot saves nothing if its orders are wrong. How many are right as a whole?


# %%
def whole_orders(name, kind="style"):
    lines = [line["marks"][1:] for line in table if (line["method"], line["kind"]) == (name, kind)]
    digits = np.array([[int(digit) for digit in line] for line in lines]).reshape(len(lines), -1, 9)
    return float(digits[:, :, 1:].all(axis=2).mean())


print("whole orders right:", {name: f"{whole_orders(name):.1%}" for name in ("few-shot", "code", "lora style")})
print("right form:", {name: f"{marks(name, 'style', 'form').mean():.0%}" for name in ("lora style", "code")})

# %% [markdown]
# An order in the right form with a wrong part still needs a person. And *code* has the form for three hours of work: a
# way must beat the simplest rival, not only the one that you compare it with.

# %% [markdown]
# ## Decide by questions
#
# > **C26.** Whether to tune is settled by questions on the use, the alternatives, the costs and the benefits.
#
# The shortest sheet has two questions. What do the answers need: no facts of the house, *stable* ones, *changing*
# ones? And must they have a form of the house?
#
# ## Exercise 9.6: the advice of the field
#
# **Goal:** write `advise(facts, own_form)`, as the claims advise. **Inputs:** `"none"`, `"stable"` or `"changing"`;
# True or False. **Returns:** changing facts: `"RAG"`, with a form of the house `"RAG with LoRA"`. Else, where facts
# are stable or the form is the house's: `"LoRA"`. Else `"prompt"`.
#
# **Example:** `advise("changing", False)` is `"RAG"`.


# %%
def advise(facts, own_form):
    ### BEGIN SOLUTION
    if facts == "changing":
        return "RAG with LoRA" if own_form else "RAG"
    return "LoRA" if facts == "stable" or own_form else "prompt"
    ### END SOLUTION


advise = check("9.6", advise)

# %% [markdown]
# Stuck? `hint("9.6")`, then `solution("9.6")`. Now let the measurements judge the advice. Five jobs, their answers to
# the two questions, and the marks of each way.
#
# *Rule for C26:* for all five, the way that the sheet advises is not *clearly* worse than any other that was measured
# for that job. (Plain code was, for orders and workflow. Public facts have one rival only, a weak one.) Predict: for
# how many of the five will that hold?

# %%
my_jobs_right = None
predict("C26", as_number(my_jobs_right, low=0, high=5, whole=True), lesson="09")

# %%
both = {"prompt": "few-shot", "RAG": "rag", "RAG with LoRA": "rag with lora"}
ways_facts = {way: facts_of(name) for way, name in (both | {"LoRA": "lora facts"}).items()}
orders_by = {"prompt": "few-shot", "RAG": "rag", "LoRA": "lora style", "code": "code"}  # both together: as LoRA
ways_order = {way: marks(name, "style") for way, name in orders_by.items()}
ways_flow = {way: marks(name, "workflow") for way, name in (both | {"LoRA": "lora style", "code": "code"}).items()}
cases = {
    "facts of the folder": ("changing", False, ways_facts),
    "work orders": ("none", True, ways_order),
    "workflow": ("changing", True, ways_flow),
    "fault codes": ("stable", False, {"LoRA": code_marks("adapter"), "RAG": code_marks("rag")}),
    "public facts": ("none", False, {"prompt": before_tuning, "LoRA": marks("lora facts", "public")}),
}

# %%
sound = {}
for job, (facts, own_form, ways) in cases.items():
    way = advise(facts, own_form)
    worst = min(gap(ways[way], other)[2] for name, other in ways.items() if name != way)
    sound[job] = bool(worst >= 0)  # no other way lies above it with its whole interval
    best_way = max(ways, key=lambda name, ways=ways: ways[name].mean())
    print(f"{job:<20} advised {way:<14} most right {best_way:<14} advice holds: {sound[job]}")
verdict(
    "C26",
    measured=sum(sound.values()),
    supported=all(sound.values()),
    scope="mechanism shown here",
    note="of five jobs; two questions only, on one company; fails for: "
    + (", ".join(job for job, held in sound.items() if not held) or "none"),
    lesson="09",
)

# %% [markdown]
# ## What you tell Greta
#
# Three jobs, each with all its ways. First the facts. *Wrong and said*: an answer that is wrong and does not decline.
# A person who reads it does not know.

# %%
counts = {kind: len(marks("rag", kind)) for kind in FACTS}


def facts_line(name):
    right = {kind: marks(name, kind).mean() for kind in FACTS}
    declined = {kind: figure(name, kind, "declined") for kind in FACTS}
    said = {kind: 1 - right[kind] - (declined[kind] if kind != "not_answerable" else 0) for kind in FACTS}
    weights = list(counts.values())
    return [float(np.average(list(some.values()), weights=weights)) for some in (right, declined, said)]


print(f"{'facts':<16}{'right':>7}{'declined':>10}{'wrong and said':>16}{'set-up EUR':>12}")
lines_facts = {name: facts_line(name) for name in ("few-shot", "rag", "lora facts", "rag with lora")}
for name, (right, declined, said) in lines_facts.items():
    print(f"{name:<16}{right:>7.0%}{declined:>10.0%}{said:>16.0%}{setup_eur(name):>12,.0f}")

# %% [markdown]
# Then the orders. Nobody knows beforehand which ones are right, so a person looks at each. Three more numbers that are
# yours to change: minutes to write an order by hand, to check one, and orders a year. To mend an order takes the share
# of its wrong parts. The set-up is spread over three years.

# %%
MINUTES_BY_HAND, MINUTES_TO_CHECK, ORDERS_A_YEAR = 10, 1, 12 * VOLUMES["Brightwater"]


def order_ways(kind):
    ways = {name: marks(name, kind) for name in ("rag", "few-shot", "code", "lora style", "rag with lora")}
    reads = "lora style" if kind == "style" else "rag with lora"
    return ways | {f"code, {reads}": code_copies(reads, kind)}


def eur_a_year(names, kind, right):
    minutes = MINUTES_TO_CHECK + MINUTES_BY_HAND * (1 - right)
    each = sum(call_eur(name, (kind,)) for name in names) + minutes / 60 * PERSON_EUR_AN_HOUR
    return sum(setup_eur(name) for name in names) / 3 + ORDERS_A_YEAR * each


# %%
by_hand = ORDERS_A_YEAR * MINUTES_BY_HAND / 60 * PERSON_EUR_AN_HOUR
cheapest_way = {}
for kind in ("style", "workflow"):
    year = {way: eur_a_year(way.split(", "), kind, right.mean()) for way, right in order_ways(kind).items()}
    cheapest_way[kind] = min(year, key=year.get)
    print(f"{kind:<22}{'parts right':>12}{'EUR a year':>12}   (by hand {by_hand:,.0f})")
    for way, right in order_ways(kind).items():
        print(f"  {way:<20}{right.mean():>12.0%}{year[way]:>12,.0f}")

# %% [markdown]
# *code, lora style*: code copies, the adapter reads. Compare the ways with each other, and the differences with what
# you guessed. Five lines for Greta, from these numbers:

# %%
best_facts = max(lines_facts, key=lambda name: lines_facts[name][0])
share_right, _, share_said = lines_facts[best_facts]
print(
    f"1. Facts of the folder: {best_facts}. {share_right:.0%} right, {share_said:.0%} wrong and said: show the source."
)
for number, kind in ((2, "style"), (3, "workflow")):
    ways, way = order_ways(kind), cheapest_way[kind]
    name = {"style": "Work orders", "workflow": "The whole workflow"}[kind]
    print(f"{number}. {name}: {way}. {ways[way].mean():.0%} of the parts right; a person looks at every order.")
    alike = [other for other, right in ways.items() if other != way and gap(ways[way], right)[1] <= 0]
    print("   No less right, as far as these tickets tell:", ", ".join(alike) or "no other way")
right_again = {way: change("prices", way, "updated", "update_seconds") for way in ("rag", "adapter")}
print(f"4. New prices: index again, {right_again['rag']:.1f} s. Training again takes {right_again['adapter']:.0f} s.")
pays_after = f"{calls_needed:,}" if calls_needed else "no number of"
print(f"5. Saved tokens alone pay for tuning after {pays_after} orders.")
minutes = MINUTES_TO_CHECK + MINUTES_BY_HAND * (1 - marks("lora style", "style").mean())
people_eur = ORDERS_A_YEAR * minutes / 60 * PERSON_EUR_AN_HOUR
print(f"   With lora style, EUR a year: tokens {ORDERS_A_YEAR * each_tuned:,.2f}, people's minutes {people_eur:,.0f}.")

# %% [markdown]
# These lines come from this table and these prices. The answer for your company comes from yours.
#
# Tidy up: close the index and delete the copies.

# %%
if "kept_open" in globals():
    kept_open.close()
    shutil.rmtree(work, ignore_errors=True)
    gone = not work.exists()
    del kept_open, work
print("Deleted:", gone)

# %% [markdown]
# ## The whole ledger
#
# All claims of the course: what you predicted, what was measured, the verdict, and how far it reaches. Where your own
# ledger has no result, the course's stands in.

# %% tags=["varies"]
whole = decide.whole_ledger()
print(whole)

# %%
said_of = {claim: [row["verdict"] for row in whole if row["claim"] == claim] for claim in {r["claim"] for r in whole}}
here = [row for row in whole if row["lesson"] == "09"]
print(f"{len(said_of)} claims; {len(here)} verdicts in this lesson")

# %% tags=["varies"]
kinds_of_verdict = ("supported", "not supported", "not decided", "not yet")
print({name: sum(row["verdict"] == name for row in whole) for name in kinds_of_verdict})
mixed = sorted(claim for claim, said in said_of.items() if {"supported", "not supported"} <= set(said))
print("supported in one lesson, not in another:", ", ".join(mixed) or "none")

# %% [markdown]
# A claim that holds in one lesson and not in another is no mistake. The rules differ, so look at what each one asked:
#
# - *C10:* lesson 02 compared minutes *and* whether retrieval beats a prompt, with a word search; here only seconds.
# - *C13:* lesson 03 priced labels against prompts; here every rival may win, RAG and plain code too.
# - *C26:* lesson 06 asked whether its sheet foresaw one outcome; here the advice must hold for five jobs.
#
# ## Your decision guide
#
# It is made from the ledger above: with other verdicts it would give other advice.

# %% tags=["varies"]
print(decide.guide(whole))

# %% [markdown]
# ### How far this reaches
#
# *Mechanism shown here* means: on a model of a few million weights, trained to read passages and to meet house styles,
# for one invented company. That a skill which was trained in can be used says little about language models at large.
# What reaches further is the way of asking: same questions, paired, rules before numbers. Repeat it on your documents.

# %% [markdown]
# ## Quiz
#
# Answer with a letter, or with several: `quiz("9.1", "a, c")`.

# %%
quiz("9")

# %% [markdown]
# ## In practice
#
# - Facts by training: in [Ovadia and others](https://arxiv.org/abs/2312.05934) retrieval beat training on raw text on
#   all tested models; many wordings of each fact helped the training.
# - Both together: [a case study on agriculture](https://arxiv.org/abs/2401.08406) found gains that add up, over 6
#   points from tuning and 5 from RAG.
# - Limits: [LoRA Learns Less and Forgets Less](https://arxiv.org/abs/2405.09673) compares LoRA with full tuning on
#   code and mathematics.
# - Services charge less for a prompt whose beginning repeats (*prompt caching*), and more for answers of a tuned model.
#   Put both into the break-even before you decide.
# - The largest cost is people: who checks rows, who keeps documents right, who looks at what goes wrong.

# %% [markdown]
# ## On the real Phi-3
#
# The code is the same. With `PROFILE = "phi3"` the live cells run on Phi-3-mini, with a tenth of the learning
# rates; the tables stay those of tiny-phi3, and the first cells say so. Quality and minutes there: not measured here.
# A larger reader gets more out of several passages and of examples, so the gaps may shrink, or turn. What carries
# over is the sum:

# %%
for name in ("few-shot", "rag", "lora style"):
    tokens = figure(name, "style", "prompt_tokens")
    print(f"{name:<11}{tokens:>6.0f} tokens an order, {tokens / 4096:.0%} of the 4,096 that Phi-3-mini reads")
print("(counted by tiny-phi3's tokenizer; Phi-3-mini's cuts differently)")

# %% [markdown]
# ## What you can do now
#
# You can compare methods on the same questions and say which differences are real; put a price on a right answer; work
# out a break-even; trace and mend an error; join retrieval and an adapter to a workflow whose output a program checks;
# and defend a decision with a ledger.
#
# Next: lesson 10 takes the fourth level of effort: training from scratch.
