# %% [markdown]
# # Teach the model the house style: LoRA
#
# {{badge}}
#
# - **Do:** build a LoRA layer by hand; tune the model on work orders with PEFT and TRL, stop the run and resume it;
#   compare it with prompts, full tuning and wrong settings; save, merge and switch adapters; tune the embedder.
# - **Learn:** which numbers change, what that costs, what is forgotten, and how to see that a run went wrong.
# - **Need:** 60 minutes to read and run, 3 hours with the exercises; 4 GB of memory, no download.

# %% [markdown]
# Run the next cell as it is. It chooses the model, and prepares the machine if you are on Google Colab.

# %%
# {{setup}}

# %% [markdown]
# ## The question of the day
#
# Greta Lindholm, head of service at Brightwater Pumps, wrote the page on house style. It begins:
#
# > A work order at Brightwater is one line. It is read on a phone, in rain, with one thumb. Who writes a novel gets it
# > back.
#
# Two pages of rules say how that line is made: the order of its parts, the short names, the labels, the verbs.
# Dispatch writes every one by hand. Can the model learn the style, so that no prompt has to carry two pages?

# %% [markdown]
# ### Nothing leaves this machine
#
# TRL, the library that will train, tells its makers when a trainer starts: which kind, on what hardware. This variable
# switches that off. It must be set before the first import.

# %%
import os

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

# %%
import csv
import logging
import random
import re
import shutil
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import torch
import transformers
from expert import check, data_folder, hint, ledger, predict, quiz, solution, verdict  # noqa: F401
from expert.claims import as_number, as_share
from expert.evaluate import bootstrap, exact_match
from expert.exercises.lesson_00 import build_prompt
from expert.figures import COLOURS, HATCHES, LINES, MARKERS, chart, picture, show

# %% [markdown]
# The training libraries remark on much that does not matter here. The next cell keeps that off the page, and loads the
# model. `dtype="auto"` takes 16-bit numbers where this processor is faster with them, else 32-bit ones;
# `quantize=False` leaves Phi-3 in 16 bits on a GPU too (4 bits are lesson 08).

# %%
transformers.logging.set_verbosity_error()
datasets.disable_progress_bars()
logging.getLogger("trl").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="(transformers|peft|trl|torch|accelerate|sentence_transformers)")

# %% tags=["varies"]
from expert import corpus, methods, models, style, tuning

phi = models.load(PROFILE, dtype="auto", quantize=False)
print(phi)

# %% [markdown]
# ## Before: what prompts can do
#
# Lesson 06 made training rows from past tickets and split them by site. Here they are again: `tune` to learn from,
# `test` to measure on, and no site in both. Whole names of people are cut to initials; first names are left, as there.

# %%
tune, test = style.rows("tune"), style.rows("test")
print(len(tune), "tickets to learn from,", len(test), "to test on. One of them:\n")
print(test[0].prompt, "\n")
print("->", test[0].order)

# %% [markdown]
# Two questions about an answer, kept apart:
#
# - *Form:* does it have eight parts, each of its kind? `style.in_form` looks at the pattern only.
# - *Content:* how many of the eight parts are right, letter by letter? `style.parts_right` counts them.
#
# An answer may have a perfect form and be wrong.

# %%
wrong_label = test[0].order.replace(
    test[0].order.split(" / ")[4], "CLOVER" if "CLOVER" not in test[0].order else "MOSS"
)
for text in (test[0].order, wrong_label, "The seal drips. Please send somebody."):
    print(f"form {style.in_form(text)!s:<6} parts right {style.parts_right(text, test[0].order):.3f}  {text[:75]}")

# %% [markdown]
# Three prompts are the baseline. *Zero-shot:* the ticket alone (lesson 06 put a rule before it). *Few-shot:* four past
# tickets with their orders before it, drawn for each ticket. *Told:* the two pages of the company's folder that hold
# the rules, as retrieval would bring them at best.


# %%
def few_shot(ticket, shots=4):
    chosen = random.Random(ticket.ticket).sample(tune, shots)
    shown = "".join(f"{row.prompt}\nWork order: {row.order}\n\n" for row in chosen)
    return f"{shown}{ticket.prompt}\nWork order:"


rules = [p.text for p in corpus.passages() if p.doc_id in ("gu-house-style", "gu-triage-labels")]


def told(ticket):
    return build_prompt(rules, ticket.prompt)


def tokens_of(text):
    return len(phi.tokenizer(text, add_special_tokens=False)["input_ids"])


for name, text in {"zero-shot": test[0].prompt, "few-shot": few_shot(test[0]), "told": told(test[0])}.items():
    print(f"{name:<10}{tokens_of(text):>6} tokens")

# %% [markdown]
# `score` asks a model for orders and keeps form, parts, tokens and seconds. Every later comparison goes through it.
# The prompts are long, so they are asked for every third test ticket, 20 of the 60; the table below has all 60.


# %%
def score(model, make_prompt, tickets=test):
    prompts = [make_prompt(ticket) for ticket in tickets]
    began = time.perf_counter()
    answers = models.generate(replace(phi, model=model), prompts, max_new_tokens=64, progress=False)
    seconds = (time.perf_counter() - began) / len(tickets)
    return {
        "answers": answers,
        "form": [float(style.in_form(answer)) for answer in answers],
        "parts": [style.parts_right(a, t.order) for a, t in zip(answers, tickets, strict=True)],
        "tokens": float(np.mean([tokens_of(p) + tokens_of(a) for p, a in zip(prompts, answers, strict=True)])),
        "seconds": seconds,
    }


# %% tags=["varies"]
def plain(ticket):
    return ticket.prompt


ways = {"zero-shot": plain, "few-shot": few_shot, "told": told}
scores = {name: score(phi.model, way, test[::3]) for name, way in ways.items()}
for name, s in scores.items():
    print(f"{name:<10} form {np.mean(s['form']):.0%}, parts {np.mean(s['parts']):.0%}, {s['tokens']:.0f} tokens")
    print("           ", s["answers"][0][:105])

# %% [markdown]
# Look at form and parts. Where both lie near zero, this small model can make nothing of such prompts. A model of
# Phi-3's size reads four examples far better. Then to beat a prompt is easy, and the distance says nothing about a
# large model. What you can learn from is the other side: what tuning brings, costs and spoils. Now change the model.
#
# ## A LoRA layer by hand
#
# Most of the model's numbers stand in *linear layers*: tables of weights by which a layer's inputs are multiplied.
# Full fine-tuning changes all of them. *LoRA* (low-rank adaptation) leaves the table as it is, *frozen*, and adds a
# detour of two thin tables, A and B. Only these learn.

# %%
picture(
    "07-layer.svg",
    "Drawing: an input goes through the large frozen weight W, and beside it through two thin matrices: A makes r "
    "numbers of it, B makes the outputs of these. The detour is multiplied by alpha / r and added.",
)

# %% [markdown]
# How thin is set by the *rank* r: A turns the inputs into r numbers, B turns these into the outputs. *alpha* sets how
# loud the detour is: it is multiplied by alpha / r.
#
# ## Exercise 7.1: the layer
#
# **Goal:** write `adapted(x, weight, a, b, alpha)`: x times the transposed weight, plus alpha / r times x through A,
# then B. **Inputs:** arrays `x` (rows, inputs), `weight` (outputs, inputs), `a` (r, inputs), `b` (outputs, r);
# `alpha`, a number. **Returns:** an array (rows, outputs).
#
# **Example:** `x = [[1, 2]]`, `weight = [[1, 0], [0, 1]]`, `a = [[1, 1]]`, `b = [[1], [0]]`, `alpha = 2` gives
# `[[7, 2]]`.


# %%
def adapted(x, weight, a, b, alpha):
    ### BEGIN SOLUTION
    scale = alpha / len(a)
    return x @ weight.T + scale * (x @ a.T) @ b.T
    ### END SOLUTION


adapted = check("7.1", adapted)

# %% [markdown]
# Stuck? `hint("7.1")`, then `solution("7.1")`.
#
# A starts random, B starts as zeros. So before the first step the detour gives zero, whatever comes in, and the layer
# gives what it gave. Prove it on a real layer of the model, with inputs drawn at random, up to rounding.

# %%
layer = phi.model.model.layers[0].self_attn.qkv_proj
weight = layer.weight.detach().float().cpu().numpy().copy()
outputs, inputs = weight.shape
draw = np.random.default_rng(0)
x, a, b = draw.normal(size=(5, inputs)), draw.normal(size=(8, inputs)), np.zeros((outputs, 8))
print(f"weight {weight.shape}, a {a.shape}, b {b.shape}")
print("output unchanged, within a billionth:", np.allclose(adapted(x, weight, a, b, 16), x @ weight.T, atol=1e-9))
b_drawn = draw.normal(size=b.shape)
print("with another b as well:", np.allclose(adapted(x, weight, a, b_drawn, 16), x @ weight.T, atol=1e-9))

# %% [markdown]
# ## Exercise 7.2: merge it
#
# The detour costs time in every layer. Once training is over, it can be added into the weight.
#
# **Goal:** write `merged(weight, a, b, alpha)`: one matrix that does the work of all three. **Inputs:** as above.
# **Returns:** a *new* array with the shape of `weight`; the frozen weight itself must stay as it is.
#
# **Example:** `weight = [[1, 0], [0, 1]]`, `a = [[1, 1]]`, `b = [[1], [0]]`, `alpha = 2` gives `[[3, 2], [0, 1]]`.


# %%
def merged(weight, a, b, alpha):
    ### BEGIN SOLUTION
    return weight + alpha / len(a) * (b @ a)
    ### END SOLUTION


merged = check("7.2", merged)

# %% [markdown]
# Stuck? `hint("7.2")`, then `solution("7.2")`. The merged weight and the detour must agree. Not to the last digit,
# because the sums are taken in another order; so name a tolerance first: a millionth of the largest output.

# %%
detour = adapted(x, weight, a, b_drawn, 16)
straight = x @ merged(weight, a, b_drawn, 16).T
tolerance = 1e-6 * np.abs(detour).max()
print("merged equals adapted, within the tolerance:", bool(np.abs(detour - straight).max() < tolerance))

# %% [markdown]
# Who learns? In torch, a *gradient* says for each number in which direction it should move. Frozen numbers get none.
# The same layer as a torch module:


# %%
class LoraLinear(torch.nn.Module):
    def __init__(self, frozen, r, alpha):
        super().__init__()
        self.frozen, self.scale = frozen.requires_grad_(False), alpha / r
        self.a = torch.nn.Parameter(torch.randn(r, frozen.in_features) / frozen.in_features**0.5)
        self.b = torch.nn.Parameter(torch.zeros(frozen.out_features, r))

    def forward(self, x):
        return self.frozen(x) + self.scale * (x @ self.a.T) @ self.b.T


# %% [markdown]
# One step of training on made-up inputs and outputs: where does the gradient arrive, before and after the first step?

# %%
torch.manual_seed(0)
by_hand = LoraLinear(torch.nn.Linear(6, 4), r=2, alpha=4)
step = torch.optim.SGD([by_hand.a, by_hand.b], lr=0.1)
some_x, some_y = torch.randn(8, 6), torch.randn(8, 4)
for number in (1, 2):
    step.zero_grad()
    ((by_hand(some_x) - some_y) ** 2).mean().backward()
    arrived = {name: p.grad is not None and bool(p.grad.any()) for name, p in by_hand.named_parameters()}
    print(f"step {number}: a gradient that is not zero:", arrived)
    step.step()

# %% [markdown]
# The frozen weight gets none. A's first gradient is all zeros: what A makes is multiplied by B, and B is still zero.
# From the second step on, both learn.
#
# ## Exercise 7.3: how many numbers learn?
#
# **Goal:** write `trainable(shapes, r)`. **Inputs:** a list of pairs (inputs, outputs), one for each adapted layer,
# and the rank. **Returns:** how many numbers all A and B hold together, a whole number. No layers: 0.
#
# **Example:** `trainable([(256, 768)], 8)` is `8192`: A holds 8 x 256 numbers, B holds 768 x 8.


# %%
def trainable(shapes, r):
    ### BEGIN SOLUTION
    return sum(r * (inputs + outputs) for inputs, outputs in shapes)
    ### END SOLUTION


trainable = check("7.3", trainable)

# %% [markdown]
# Stuck? `hint("7.3")`, then `solution("7.3")`. The layers of this model, one block of five, and the count for all:

# %%
linear = {name: m for name, m in phi.model.named_modules() if isinstance(m, torch.nn.Linear) and "lm_head" not in name}
shapes = [(m.in_features, m.out_features) for m in linear.values()]
for (name, _), (ins, outs) in zip(list(linear.items())[:4], shapes, strict=False):
    print(f"{name:<40}{ins:>6} inputs{outs:>6} outputs")
print(f"{len(shapes)} layers; rank 16 trains {trainable(shapes, 16):,} numbers")

# %% [markdown]
# ## PEFT, and a trap
#
# *PEFT* is the library that puts such detours into a model. You name the layers to adapt, the *target modules*, and it
# compares your names with the ends of the layers' names. Many guides give a list made for the Llama models. Phi-3 has
# *fused* layers: query, key and value are one table `qkv_proj`; gate and up are one `gate_up_proj`.

# %%
picture(
    "07-fused.svg",
    "Drawing: on the left the seven names of Llama's list, on the right Phi-3's four layers. Lines join o_proj and "
    "down_proj only; q_proj, k_proj, v_proj, gate_proj and up_proj end nowhere, qkv_proj and gate_up_proj stay bare.",
)

# %% [markdown]
# ## Exercise 7.4: which layers match?
#
# **Goal:** write `matched(names, targets)`. A name matches where it *is* a target, or ends with a point and a target.
# **Inputs:** two lists of texts. **Returns:** the names that match, each once, in their order.
#
# **Example:** `matched(["a.qkv_proj", "a.o_proj"], ["o_proj"])` is `["a.o_proj"]`.


# %%
def matched(names, targets):
    ### BEGIN SOLUTION
    return [name for name in names if any(name == t or name.endswith("." + t) for t in targets)]
    ### END SOLUTION


matched = check("7.4", matched)

# %% [markdown]
# Stuck? `hint("7.4")`, then `solution("7.4")`. Now PEFT itself. `fresh` makes a new model each time, because PEFT puts
# the detours into the model that it is given.

# %%
from peft import LoraConfig, get_peft_model

LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PHI3 = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]


def fresh(targets, r=16):
    torch.manual_seed(0)
    config = LoraConfig(r=r, lora_alpha=2 * r, lora_dropout=0.0, target_modules=targets, task_type="CAUSAL_LM")
    return get_peft_model(models.load(PROFILE, dtype=phi.dtype, quantize=False).model, config)


# %%
def adapted_layers(model):
    return [name.removeprefix("base_model.model.") for name, m in model.named_modules() if hasattr(m, "lora_A")]


for name, targets in {"Llama's list": LLAMA, "Phi-3's list": PHI3}.items():
    model = fresh(targets)
    found = adapted_layers(model)
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"{name}: {len(found)} layers, {sorted({n.split('.')[-1] for n in found})}, {learning:,} numbers learn")
    assert found == matched(linear, targets)
    assert learning == trainable([(linear[n].in_features, linear[n].out_features) for n in found], 16)

# %% [markdown]
# Llama's list raised no error. Attention's qkv_proj and the wide gate_up_proj stayed bare, and nobody would have
# noticed. So every run of this course asserts both: which layers were adapted, and how many numbers learn. Your
# formula agrees with PEFT.
#
# ## The data for TRL
#
# *TRL* is the library that trains. Its `SFTTrainer` (supervised fine-tuning) takes pairs of prompt and completion,
# each a list of chat messages. It sets the model's own markers around them, and lets only the completion count.
#
# ## Exercise 7.5: a training pair
#
# **Goal:** write `training_pair(question, order)`. **Inputs:** two texts. **Returns:** a dictionary with `"prompt"`, a
# list with one message of the role `"user"`, and `"completion"`, a list with one message of the role `"assistant"`. A
# message is a dictionary with `"role"` and `"content"`.
#
# **Example:** `training_pair("A?", "B.")["completion"]` is `[{"role": "assistant", "content": "B."}]`.


# %%
def training_pair(question, order):
    ### BEGIN SOLUTION
    return {
        "prompt": [{"role": "user", "content": question}],
        "completion": [{"role": "assistant", "content": order}],
    }
    ### END SOLUTION


training_pair = check("7.5", training_pair)

# %% [markdown]
# Stuck? `hint("7.5")`, then `solution("7.5")`. Sixty tickets are few. `style.recombine` puts each message under other
# heads too, with other numbers, machines and initials: what must be copied can then not be learnt by heart.
#
# One trap is left: which pumps stand in the two halves?


# %%
HEAD = re.compile(r"\((ST-\d+)\), (\w+) (\d+), serial")  # site number, pump, size


def pumps(half):
    return sorted({" ".join(HEAD.search(row.prompt).groups()[1:]) for row in half})


print("tune:", pumps(tune))
print("test:", pumps(test))

# %% [markdown]
# No pump is in both. From the tune half alone, a model could learn by heart that a Kestrel is always a KE65. The rule
# is: first two letters, then the size. So `recombine` draws sizes and site numbers at random, in ticket and order
# alike. Then the rule must be learnt.
#
# ### Messages known by heart
#
# Sixty messages are few, too. Read 16 times each, they can be learnt by heart, and a new one is then answered from
# memory. `reworded` exchanges words of what was seen, and the day or part number, in message and order alike. It
# reads badly, but it must be found and copied. The price: the label stays, while some words that spoke for it are
# gone.

# %%
from datasets import Dataset

rows = style.recombine(tune, 960, seed=0, reworded=0.9)
for row in rows[60:63]:
    print(row.prompt.split("\n", 1)[1], "\n  ->", row.order)
pairs = Dataset.from_list([training_pair(row.prompt, row.order) for row in rows])
print(pairs.num_rows, "pairs from", len({row.message for row in rows}), "messages")
print("messages from sites of the test:", len({row.site for row in rows} & {ticket.site for ticket in test}))

# %% [markdown]
# ## Train
#
# The settings, each of them on purpose. TRL's own choices are for large models on a GPU: a far lower learning
# rate, gradients recomputed to save memory (`gradient_checkpointing`), 16-bit arithmetic that your processor may
# not have (`bf16`). `report_to="none"`: no log goes to a tracking service.

# %%
from huggingface_hub import constants
from trl import SFTConfig, SFTTrainer

assert constants.HF_HUB_DISABLE_TELEMETRY or constants.HF_HUB_OFFLINE, "restart the kernel and run from the top"
temporary = tempfile.TemporaryDirectory(prefix="lesson-07-", ignore_cleanup_errors=True)
folder = Path(temporary.name)


RATE = 2e-3 if PROFILE == "tiny" else 2e-4  # large models want about a tenth


def settings(name, **more):
    return SFTConfig(
        output_dir=str(folder / name),
        per_device_train_batch_size=4,
        max_length=512,
        completion_only_loss=True,
        **{"learning_rate": RATE, "lr_scheduler_type": "linear", "warmup_steps": 24, "weight_decay": 0.0} | more,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=phi.device.type == "cpu",
        dataloader_pin_memory=False,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        seed=0,
    )


# %% [markdown]
# A *callback* is called by the trainer at certain moments. This one prints the *loss* now and then: how surprised the
# model is by the right next token; lower is better. It takes the place of the trainer's own, which prints every step.

# %%
from transformers import PrinterCallback, TrainerCallback


class LiveLoss(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs and state.global_step % 20 == 0:
            print(f"step {state.global_step:>3} of {state.max_steps}: loss {float(logs['loss']):.3f}", flush=True)


def trainer_for(model, data, name, callbacks=(), **more):
    trainer = SFTTrainer(model=model, args=settings(name, **more), train_dataset=data, processing_class=phi.tokenizer)
    trainer.remove_callback(PrinterCallback)
    for callback in callbacks:
        trainer.add_callback(callback)
    return trainer


# %% [markdown]
# What counts? Look at one row as the trainer sees it. Tokens labelled -100 are left out of the loss.

# %%
preview = trainer_for(fresh(PHI3), pairs.select(range(8)), "preview", max_steps=1, save_strategy="no")
row = preview.train_dataset[0]
counts = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != -100]
print(len(row["input_ids"]), "tokens, of which", len(counts), "count:")
print(repr(phi.tokenizer.decode(counts)))
batch = preview.data_collator([preview.train_dataset[i] for i in range(8)])  # eight padded rows, for later

# %% [markdown]
# The order and the marker that ends it count: so the model learns to stop.
#
# ### Three claims and their rules
#
# > **C31.** Tuning gives the exact terms and phrasing of a trade; retrieval alone misses shades.
#
# - *Rule:* on those 20 test tickets, the orders of the tuned model have the right form more often than those of the
#   model that was *told* the rules, with the whole 95 % interval of the difference above zero. Form is not wording:
#   so the trade's own words (label, saw, do) are reported beside it.
#
# > **C22.** A tuned model is more accurate and needs fewer tokens than examples in the prompt.
#
# - *Rule:* more parts right than with four examples, the whole interval above zero; and at most half of the tokens.
#
# ### Rivals at zero
#
# For both: where the rival gets less than 5 %, it did not lose by shades or tokens, it could not do the task. Then
# nothing is decided about the claim.
#
# Predict for the tuned model's orders on the 60 test tickets: which share of them has the right *form* (C31)? And
# which share of their *parts* is right (C22)? Both from 0 to 1.

# %%
my_form, my_parts = None, None
predict("C31", as_share(my_form), lesson="07")
predict("C22", as_share(my_parts), lesson="07")

# %% [markdown]
# > **C17.** Fine-tuning writes new weights, learnt from pairs of prompt and answer.
#
# - *Rule:* every adapter changes and no frozen number does; and the loss on the *test* orders, ticket by ticket,
#   falls: the whole interval of the difference lies below zero.
#
# Predict the loss on the test orders after training, divided by that before: 0.5 for half, 1 for no change, more
# where it rises.

# %%
my_loss = None
predict("C17", as_number(my_loss, low=0), lesson="07")

# %% [markdown]
# Run it. It is the longest cell of this lesson: on two cores it takes minutes.

# %% tags=["varies"]
tuned = fresh(PHI3)
frozen_before = {name: p.detach().clone() for name, p in tuned.named_parameters() if not p.requires_grad}
trainer = trainer_for(tuned, pairs, "style", [LiveLoss()], max_steps=240, save_strategy="no")
before_training = time.perf_counter()
trainer.train()
print(f"{time.perf_counter() - before_training:.0f} s")
tuned.eval()
losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]

# %% tags=["varies"]
fig, ax = chart("The loss of the style adapter", x="step (4 work orders each)", y="loss (nats a token)")
ax.plot(range(1, len(losses) + 1), losses, color=COLOURS[0])
ax.set_yscale("log")
ax.set_yticks([5, 2, 1, 0.5, 0.2, 0.1], labels=["5", "2", "1", "0.5", "0.2", "0.1"])
ax.minorticks_off()
show(
    fig, f"Line, logarithmic: the loss goes from {losses[0]:.2f} to {np.mean(losses[-5:]):.3f} in {len(losses)} steps."
)

# %% [markdown]
# A falling loss says that the model learns these orders. Whether it writes the next ones right, only other tickets can
# say.

# %% tags=["varies"]
s = scores["tuned"] = score(tuned, plain)
print(f"tuned: form {np.mean(s['form']):.0%}, parts {np.mean(s['parts']):.0%}, {s['tokens']:.0f} tokens")
print("\nwanted:", test[0].order)
print("tuned: ", scores["tuned"]["answers"][0])

# %% tags=["varies"]
fig, ax = chart("House style: prompts against a tuned model", x="tokens of prompt and answer", y="share (%)")
for i, measure in enumerate(("form", "parts")):
    for name, s in scores.items():
        low, high = (100 * end for end in bootstrap(s[measure]))
        mean = 100 * np.mean(s[measure])
        look = {"color": COLOURS[i], "marker": MARKERS[i], "capsize": 4, "linestyle": "none"}
        label = {"form": "right form", "parts": "right parts"}[measure] if name == "tuned" else None
        ax.errorbar(s["tokens"] + 12 * i, mean, yerr=[[mean - low], [high - mean]], label=label, **look)
        if measure == "form":
            name = f"{name} ({len(s['form'])} tickets)"
            ax.annotate(name, (s["tokens"], mean), xytext=(7, 6), textcoords="offset points", fontsize=9)
ax.set_xlim(0, 1.3 * max(s["tokens"] for s in scores.values()))  # room for the last name
ax.set_ylim(-5, 108)
fig.legend(fontsize=9, ncols=2, loc="outside lower center")
alt = "; ".join(
    f"{name} {s['tokens']:.0f} tokens, form {np.mean(s['form']):.0%}, parts {np.mean(s['parts']):.0%}"
    for name, s in scores.items()
)
show(fig, f"Scatter plot with 95 % intervals: {alt}.")

# %% [markdown]
# Which parts does it get right? Five of the eight can be copied from the head of the ticket. The other three, label,
# saw and do, ask for reading. Beside the adapter stands a rival that is easily forgotten, lesson 06's *code*: it
# copies the five, names the most frequent label of `tune`, takes the first words of the message, and a part number or
# a day where it finds one (`methods.order_by_code`).

# %% tags=["varies"]
got = [style.split_order(answer) for answer in scores["tuned"]["answers"]]
wanted = [style.split_order(ticket.order) for ticket in test]
usual = Counter(style.split_order(ticket.order)["label"] for ticket in tune).most_common(1)[0][0]
coded = [style.split_order(methods.order_by_code(ticket.prompt, usual)) for ticket in test]
by_part, code_part = (
    {name: np.mean([o[name] == w[name] for o, w in zip(orders, wanted, strict=True)]) for name in style.PARTS}
    for orders in (got, coded)
)
print("          adapter  code")
for name, share in by_part.items():
    print(f"{name:<10}{share:>7.0%}{code_part[name]:>6.0%}  {'copied' if name in style.COPIED else 'read'}")
print(f"whole orders right, adapter: {np.mean(np.array(scores['tuned']['parts']) == 1):.0%}")

# %% tags=["varies"]
both = {name: (code_part if name in style.COPIED else by_part)[name] for name in style.PARTS}
for name, shares in {"adapter": by_part, "code": code_part, "code copies, adapter reads": both}.items():
    print(f"{name:<27}{np.mean(list(shares.values())):>4.0%} of the eight parts right")
ahead = np.mean(list(code_part.values())) - np.mean(list(by_part.values()))
print(f"code without a model minus adapter: {100 * ahead:+.0f} points")

# %% [markdown]
# To beat prompts is not enough; compare the adapter with *code* too. Copying is a job for code. What an adapter may
# add is reading: label, saw and do. Where its column is no higher, it adds nothing. The third line joins the two. A
# real system would take each part from what does it best, chosen on tickets that are neither trained on nor tested
# with.

# %% [markdown]
# ### Runs that are too long for a page
#
# Some comparisons need several random starts (*seeds*) and half an hour. They come from scripts: this table is made by
# `tests/benchmarks/lora_runs.py`, with the settings of this lesson.


# %%
def measured(name):
    path = data_folder() / "measurements" / name
    if not path.is_file():
        raise FileNotFoundError(f"{name} is made by tests/benchmarks/{name.replace('.csv', '.py')}: run that first.")
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


runs = measured("lora_runs.csv")


def of_run(name):
    return [line for line in runs if line["run"] == name]


def column(name, what):
    return float(np.mean([float(line[what]) for line in of_run(name)]))


def by_ticket(name, what="parts"):
    """A run's marks for each test ticket, 0 to 1, the mean of its seeds; a case is two digits in the table."""
    each = []
    for line in of_run(name):
        digits = line["marks"][1:]
        each.append(
            [int(digits[i + (what == "parts")]) / (8 if what == "parts" else 1) for i in range(0, len(digits), 2)]
        )
    return np.mean(each, axis=0)


print(f"{len(runs)} runs, {runs[0]['date']}, {runs[0]['machine']}")

# %%
for name in ("zero-shot", "few-shot 1", "few-shot 4", "few-shot 8", "told", "lora", "told and lora"):
    tokens = column(name, "prompt_tokens") + column(name, "new_tokens")
    quality = f"form {column(name, 'form'):>4.0%}, parts {column(name, 'parts'):>4.0%}"
    print(f"{name:<15}{quality}, {tokens:>5.0f} tokens, {len(of_run(name))} seed{'s' * (len(of_run(name)) > 1)}")

# %% [markdown]
# *told and lora* is an adapter that was trained on short prompts and then given a long one. It shows what such a
# mismatch does, and not what both together could do: lesson 09 trains on the prompts that it uses.
#
# ### More variety, more steps
#
# Can an adapter of this size beat *code*? *lora varied* has 6,000 rows in place of 960, 600 steps in place of 240, and
# `around=0.5`: of the words *beside* what was seen, half are exchanged too, so that its surroundings are not known by
# heart either. These numbers were chosen on tuning tickets alone, in thirds by site; rank and rate were not (see
# *Which settings?*). The course asks for 95 % right form.

# %%
code_right = float(np.mean(list(code_part.values())))
for name in ("lora", "lora varied"):
    form = [f"{float(line['form']):.0%}" for line in of_run(name)]
    shares = ", ".join(f"{what} {column(name, what):.0%}" for what in ("parts", "copied", "read", "line", "public"))
    print(f"{name:<12}{shares}; form by seed: {', '.join(form)}")
coded_parts = [np.mean([o[part] == w[part] for part in style.PARTS]) for o, w in zip(coded, wanted, strict=True)]
low, high = bootstrap(by_ticket("lora varied") - coded_parts)
print(f"code without a model: parts {code_right:.0%}; lora varied minus code {100 * low:+.0f} to {100 * high:+.0f}")

# %%
enough, seeds = sum(float(line["form"]) >= 0.95 for line in of_run("lora varied")), len(of_run("lora varied"))
met = "met" if round(column("lora varied", "form"), 3) >= 0.95 else "missed"
form_varied = f"{column('lora varied', 'form'):.0%}"
print(f"right form with lora varied: {form_varied}; the course asks 95 %: {met}; seeds: {enough} of {seeds}")

# %% [markdown]
# *line* is the share of orders that are right as a whole; *public*, of public facts that are still known: the price.
# Look at each column: where does it help, where not? Three things changed at once, so which of them did it stays open.
# Lesson 09 uses this adapter.
#
# ### The verdicts on style
#
# By the rules above, first C31, then C22.


# %%
def gain(first, second, measure):
    difference = np.array(scores[first][measure])[::3] - np.array(scores[second][measure])  # the same 20 tickets
    return float(difference.mean()), *bootstrap(difference)


# %% tags=["varies"]
mean, low, high = gain("tuned", "told", "form")
able = np.mean(scores["told"]["form"]) >= 0.05
words = np.mean([by_part[name] for name in ("label", "saw", "do")])
print(f"form, tuned minus told: {100 * mean:+.0f} points ({100 * low:+.0f} to {100 * high:+.0f})")
verdict(
    "C31",
    measured=float(np.mean(scores["tuned"]["form"])),
    supported=bool(low > 0) if able else None,
    scope="mechanism shown here" if able else "not decidable at this size",
    note=f"form, {len(test)} tickets; label, saw and do right: {words:.0%}; 20 tickets told: "
    f"{np.mean(scores['told']['form']):.0%}; told and tuned (table): "
    f"{column('told and lora', 'form'):.0%}. The model has read work orders of other, invented houses",
    lesson="07",
)

# %% tags=["varies"]
mean, low, high = gain("tuned", "few-shot", "parts")
fewer = scores["tuned"]["tokens"] / scores["few-shot"]["tokens"]
able = np.mean(scores["few-shot"]["parts"]) >= 0.05
print(f"parts, tuned minus few-shot: {100 * mean:+.0f} points ({100 * low:+.0f} to {100 * high:+.0f})")
print(f"tokens: {fewer:.0%} of few-shot's")
verdict(
    "C22",
    measured=float(np.mean(scores["tuned"]["parts"])),
    supported=bool(low > 0 and fewer <= 0.5) if able else None,
    scope="mechanism shown here" if able else "not decidable at this size",
    note=f"parts right; few-shot with 4 examples: {np.mean(scores['few-shot']['parts']):.0%}, 20 tickets of "
    f"{len(test)}; tokens {fewer:.0%} of few-shot's; code without a model {np.mean(list(code_part.values())):.0%}",
    lesson="07",
)

# %% [markdown]
# ## Stopped half way
#
# A laptop is closed, a rented machine is taken back. A *checkpoint* is a folder with all that a run needs to go on:
# the adapter, the optimizer, the learning rate's place, the random numbers. A short run of six steps with a
# checkpoint after the third is stopped in the middle, then resumed. Beside it, the same run without a stop.


# %%
class Plug(TrainerCallback):
    """Pulls the plug after four steps."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 4:
            raise KeyboardInterrupt


def short_run(name, callbacks=(), resume=None):
    model = fresh(PHI3)
    run = trainer_for(model, pairs.select(range(24)), name, callbacks, max_steps=6, save_steps=3)
    run.train(resume_from_checkpoint=resume)
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


# %%
shutil.rmtree(folder / "stopped", ignore_errors=True)
whole = short_run("whole")
try:
    short_run("stopped", [Plug()])
except KeyboardInterrupt:
    print("Stopped in step 4. Kept:", [p.name for p in (folder / "stopped").glob("checkpoint-*")])
resumed = short_run("stopped", resume=str(folder / "stopped" / "checkpoint-3"))

# %% [markdown]
# The resumed run does step 4 again. It should end with the same adapter: no number farther than 0.00001 from the run
# without a stop. (Resume from your own checkpoints only: the file of the optimizer is a *pickle*, which can run code
# when it is opened. The adapter itself is kept as safetensors, which cannot.)

# %%
apart = max(float((whole[name] - resumed[name]).abs().max()) for name in whole)
largest_b = max(float(p.abs().max()) for name, p in whole.items() if "lora_B" in name)
print("all B were zero at the start; now they are not:", largest_b > 1e-4)
print("same adapter, within 0.00001:", apart < 1e-5)

# %% [markdown]
# ## What changed?
#
# ## Exercise 7.6: how large is the change?
#
# The *norm* of a matrix is the square root of the sum of the squares of its numbers.
#
# **Goal:** write `change(weight, a, b, alpha)`: the norm of what the adapter adds to the weight (alpha / r times B
# A), divided by the norm of the weight. **Inputs:** arrays as in exercise 7.1. **Returns:** one number, 0 where B is
# zeros.
#
# **Example:** `weight = [[1, 0], [0, 1]]`, `a = [[3, 4]]`, `b = [[1], [0]]`, `alpha = 1` gives 5 / 1.414 = `3.536`.


# %%
def change(weight, a, b, alpha):
    ### BEGIN SOLUTION
    update = alpha / len(a) * (b @ a)
    return float(((update**2).sum() / (weight**2).sum()) ** 0.5)
    ### END SOLUTION


change = check("7.6", change)

# %% [markdown]
# Stuck? `hint("7.6")`, then `solution("7.6")`. For each adapted layer of the tuned model, by block and kind:


# %%
def as_array(tensor):
    return tensor.detach().float().cpu().numpy()


changes = {}
for name, m in tuned.named_modules():
    if hasattr(m, "lora_A"):
        a_and_b = as_array(m.lora_A["default"].weight), as_array(m.lora_B["default"].weight)
        changes[name] = change(as_array(m.base_layer.weight), *a_and_b, m.lora_alpha["default"])
print(len(changes), "layers; every one has changed:", all(value > 0 for value in changes.values()))

# %% tags=["varies"]
fig, ax = chart("What the style adapter changed", x="block", y="norm of the change / norm of the weight")
for i, kind in enumerate(PHI3):
    values = [value for name, value in changes.items() if name.endswith(kind)]
    ax.plot(range(1, len(values) + 1), values, color=COLOURS[i], marker=MARKERS[i], linestyle=LINES[i], label=kind)
ax.set_xticks(range(1, len(values) + 1))
ax.set_ylim(0)
ax.legend(fontsize=9)
most = max(changes, key=changes.get)
ends = f"from {min(changes.values()):.2f} to {max(changes.values()):.2f}"
show(
    fig,
    f"Lines by kind of layer over the blocks: the change is {ends} of the weight, most in {most.split('model.')[-1]}.",
)

# %% [markdown]
# Did nothing else move? And did the pairs teach something that holds for other pairs? C17, by the rule above:

# %%
now = dict(tuned.named_parameters())
moved = [name for name, old in frozen_before.items() if not torch.equal(now[name].to(old.dtype), old)]
print(f"{len(frozen_before)} frozen tensors, of which {len(moved)} have changed")

# %% tags=["varies"]
loss_before = np.array([tuning.mean_loss(phi, [t.row]) for t in test])
loss_after = np.array([tuning.mean_loss(replace(phi, model=tuned), [t.row]) for t in test])
low, high = bootstrap(loss_after - loss_before)
print(f"loss on the test orders: {loss_before.mean():.2f} before, {loss_after.mean():.2f} after")
verdict(
    "C17",
    measured=float(loss_after.mean() / loss_before.mean()),
    supported=bool(not moved and all(value > 0 for value in changes.values()) and high < 0),
    scope="mechanism shown here",
    note=f"test loss after / before; frozen tensors changed: {len(moved)}; with LoRA the new weights are A and B; "
    "merged, they are new values of the adapted layers",
    lesson="07",
)

# %% [markdown]
# ## What was forgotten?
#
# > **C29.** Fine-tuning has limits: something is forgotten, and some weak spots stay.
#
# - *Rule, both parts:* the share of right public facts falls, with the whole interval of the difference below zero;
#   and at least one of the eight parts is still wrong on more than a fifth of the test tickets.
#
# The model was once trained on some public facts: capitals, authors, opposites. Nothing in the work orders speaks of
# them. Predict: which share of what it answered rightly will be lost? From 0 (nothing) to 1.

# %%
my_prediction = None
predict("C29", as_share(my_prediction), lesson="07")


# %%
facts = corpus.public_questions()


def knows(model):
    asked = [q.question for q in facts]
    answers = models.generate(replace(phi, model=model), asked, max_new_tokens=24, progress=False)
    return np.array(
        [float(exact_match(a, [q.answer, *q.variants])) for a, q in zip(answers, facts, strict=True)]
    ), answers


# %% [markdown]
# A LoRA model can be asked both ways: `disable_adapter()` takes the detours out for a while.

# %% tags=["varies"]
knew_after, said_after = knows(tuned)
with tuned.disable_adapter():
    knew_before, said_before = knows(tuned)
print(f"public facts: {knew_before.mean():.0%} with the adapter off, {knew_after.mean():.0%} with it on")
for i in np.flatnonzero(knew_before > knew_after)[:3]:
    print(f"  {facts[i].question}\n     off: {said_before[i]}\n     on:  {said_after[i]}")

# %% tags=["varies"]
low, high = bootstrap(knew_after - knew_before)
weak = [name for name, share in by_part.items() if share < 0.8]
kept_by_seed = ", ".join(f"{float(line['public']):.0%}" for line in of_run("lora"))
lost = float(1 - knew_after[knew_before > 0].mean())
print(f"facts, on minus off: {100 * low:+.0f} to {100 * high:+.0f} points; weak parts: {', '.join(weak) or 'none'}")
verdict(
    "C29",
    measured=lost,
    supported=bool(high < 0 and weak),
    scope="mechanism shown here",
    note=f"share of {int(knew_before.sum())} known facts lost; forgotten: {'yes' if high < 0 else 'no'}, weak parts: "
    f"{', '.join(weak) or 'none'}; facts right here {knew_after.mean():.0%}, in the table's seeds {kept_by_seed}; with "
    "the adapter off nothing is lost",
    lesson="07",
)

# %% [markdown]
# How much is forgotten hangs on chance too, as the seeds of the table show, and on rate, steps and data; a mixture of
# old and new data holds it down. At full size, LoRA was found to forget less than full tuning, and to learn less
# ([LoRA Learns Less and Forgets Less](https://arxiv.org/abs/2405.09673)).
#
# ## Full tuning against LoRA
#
# > **C40.** LoRA learns a small low-rank change: less memory, less time, nearly the quality of full tuning.
#
# ### The rule for C40
#
# - *Rule, all four:* of the right parts, LoRA minus full, the interval's lower end is above -5 points; the optimizer
#   holds at most a tenth of the bytes; the peak of memory is lower; the time is at least 5 % shorter. (Added later:
#   with each seed. Where the seeds disagree, the time stays open.) If only the time is open: not decided.
#
# ### Your prediction for C40
#
# Predict: which share of full tuning's *time* does LoRA take? From 0 to 1. (The frozen tables need no gradients of
# their own, but the error must still travel back through all of them.)

# %%
my_prediction = None
predict("C40", as_share(my_prediction), lesson="07")

# %% [markdown]
# What does one step of each keep in memory? The optimizer Adam holds two more numbers for each one that learns. Count
# the bytes, after one step, both on a model of 32-bit numbers.


# %%
def one_step(model, batch, rate):
    learning = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(learning, lr=rate)
    model(**batch).loss.backward()
    adam.step()
    held = sum(v.nbytes for state in adam.state.values() for v in state.values() if v.ndim)
    return {
        "learning": sum(p.numel() for p in learning),
        "gradients": sum(p.grad.nbytes for p in learning),
        "optimizer": held,
    }


# %%
eight = {name: tensor.to(phi.device) for name, tensor in batch.items()}
wide = models.load(PROFILE, dtype="float32", quantize=False).model.train()
steps = {"full": one_step(wide, eight, RATE / 4)}
narrow = get_peft_model(
    models.load(PROFILE, dtype="float32", quantize=False).model,
    LoraConfig(r=16, lora_alpha=32, target_modules=PHI3, task_type="CAUSAL_LM"),
)
steps["LoRA"] = one_step(narrow, eight, RATE)
for name, held in steps.items():
    numbers = f"{held['learning']:>12,} numbers learn"
    print(f"{name:<6}{numbers}, gradients {held['gradients']:>12,} B, optimizer {held['optimizer']:>12,} B")

# %% [markdown]
# Time, quality and the peak of memory need whole runs and a process for each: the table again.

# %%
print("           parts  form  facts  numbers that learn  peak memory  seconds")
for name in ("zero-shot", "lora", "full"):
    cost = f"{column(name, 'trained'):>20,.0f}"
    if name != "zero-shot":
        cost += f"{column(name, 'peak_mib'):>9.0f} MiB{column(name, 'train_seconds'):>9.0f}"
    print(f"{name:<10}{column(name, 'parts'):>6.0%}{column(name, 'form'):>6.0%}{column(name, 'public'):>7.0%}{cost}")


# %%
fig, ax = chart("LoRA against full tuning", x="measure", y="LoRA as a share of full tuning (%)")
ratios = {
    what: column("lora", what) / column("full", what)
    for what in ("parts", "train_seconds", "peak_mib", "optimizer_bytes")
}
names = ["right parts\n(more is better)", "seconds", "peak\nmemory", "optimizer\nbytes"]
for i, ratio in enumerate(ratios.values()):
    ax.bar(i, 100 * ratio, color=COLOURS[i < 1], hatch=HATCHES[i < 1], edgecolor="white")
    ax.annotate(f"{100 * ratio:.0f} %", (i, 50 * ratio), ha="center", bbox={"fc": "white", "ec": "none", "pad": 1.5})
ax.axhline(100, color="black", linestyle=":", linewidth=1)
ax.annotate("full tuning", (2.45, 101), fontsize=9)
ax.set_ylim(0, 1.15 * 100 * max(ratios.values()))
ax.set_xticks(range(4), labels=names)
alt = "; ".join(f"{name} {ratio:.0%}".replace("\n", " ") for name, ratio in zip(names, ratios.values(), strict=True))
show(fig, f"Bar chart, LoRA as a share of full tuning: {alt}. Of the first, more is better; of the others, less.")

# %%
low, high = bootstrap(by_ticket("lora") - by_ticket("full"))
print(f"parts, LoRA minus full: {100 * low:+.0f} to {100 * high:+.0f} points")
by_seed = [
    float(one["train_seconds"]) / float(other["train_seconds"])
    for one, other in zip(of_run("lora"), of_run("full"), strict=True)
]
quicker = [ratio <= 0.95 for ratio in by_seed]
parts = {
    "quality": bool(low > -0.05),
    "optimizer": ratios["optimizer_bytes"] <= 0.1,
    "memory": ratios["peak_mib"] < 1,
    "time": all(quicker) if all(quicker) or not any(quicker) else None,
}
missed = [name for name, held in parts.items() if held is False]
in_words = {True: "yes", False: "no", None: "open"}
verdict(
    "C40",
    measured=ratios["train_seconds"],
    supported=False if missed else None if parts["time"] is None else True,
    scope="mechanism shown here" if missed or parts["time"] is not None else "not decidable at this size",
    note="share of full tuning's time; by seed "
    + ", ".join(f"{ratio:.2f}" for ratio in by_seed)
    + "; "
    + ", ".join(f"{name}: {in_words[held]}" for name, held in parts.items()),
    lesson="07",
)

# %% [markdown]
# Count and peak may disagree: what the optimizer holds shrinks, and yet the peak of the process need not. On a model
# of a few million numbers, what each token leaves behind outweighs everything else, and the detours leave some more.
# At full size most memory goes to what full tuning keeps for each number; the paper reports up to three times less GPU
# memory for a model of 175 billion weights ([LoRA](https://arxiv.org/abs/2106.09685)).
#
# ## How to make it worse
#
# > **C24.** Fine-tuning done badly makes a model worse.
#
# ### The rule for C24
#
# Lesson 06 asked that of wrong orders and of a high rate together, and the wrong orders left it open. Here it is asked
# of one way alone: a learning rate 25 times too high. Lesson 06's test: in one and the same mark, right parts or
# public facts, three seeds of the high rate lie at least 5 points below the good rate *and* below no tuning, both with
# the whole interval.
#
# ### Your prediction for C24
#
# Predict the share of right parts with the high rate.

# %%
my_prediction = None
predict("C24", as_share(my_prediction), lesson="07")


# %%
def by_fact(name):
    return np.mean([[int(digit) for digit in line["public_marks"][1:]] for line in of_run(name)], axis=0)


worse_in = []
for mark, of in {"parts": by_ticket, "public facts": by_fact}.items():
    gaps = {rival: of("high rate") - of(rival) for rival in ("lora", "zero-shot")}
    ends = {rival: bootstrap(gap) for rival, gap in gaps.items()}
    shown = (f"{r} {100 * gaps[r].mean():+.0f} ({100 * ends[r][0]:+.0f} to {100 * ends[r][1]:+.0f})" for r in gaps)
    print(f"{mark}, high rate minus:", ", ".join(shown))
    if gaps["lora"].mean() <= -0.05 and max(high for _, high in ends.values()) < 0:
        worse_in.append(mark)
verdict(
    "C24",
    measured=column("high rate", "parts"),
    supported=bool(worse_in),
    scope="mechanism shown here",
    note=f"one way only, the rate; right parts; good rate {column('lora', 'parts'):.0%}, untuned "
    f"{column('zero-shot', 'parts'):.0%}; worse "
    f"than both in: {', '.join(worse_in) or 'neither mark'}; public facts {column('high rate', 'public'):.0%}; "
    f"{len(of_run('high rate'))} seeds",
    lesson="07",
)

# %% [markdown]
# ## Which settings?
#
# Rank, alpha, learning rate, target modules, steps, rewording: all had been chosen before you came. How? By trying,
# with these 60 test tickets, so the figures of this lesson are a little too good. `lora_sweep.py`
# trained one adapter for each pair of rank and learning rate. Before you look: is the rank or the rate more important?

# %%
sweep = measured("lora_sweep.csv")
grid = [line for line in sweep if line["sweep"] == "rank and rate"]
ranks, rates = (sorted({float(line[what]) for line in grid}) for what in ("r", "rate"))
heat = np.full((len(ranks), len(rates)), np.nan)
for line in grid:
    heat[ranks.index(float(line["r"])), rates.index(float(line["rate"]))] = 100 * float(line["parts"])
fig, ax = chart("Right parts (%) by rank and learning rate", x="learning rate", y="rank", figsize=(7, 4.2))
ax.grid(False)
ax.imshow(heat, cmap="cividis", vmin=0, vmax=100, aspect="auto")
for (i, j), value in np.ndenumerate(heat):
    if not np.isnan(value):
        ax.text(j, i, f"{value:.0f}", ha="center", va="center", color="white" if value < 55 else "black")
ax.set_xticks(range(len(rates)), labels=[f"{rate:g}" for rate in rates])
ax.set_yticks(range(len(ranks)), labels=[f"{rank:g}" for rank in ranks])
rows_said = "; ".join(
    f"rank {rank:g}: " + ", ".join(f"{v:.0f}" for v in row) for rank, row in zip(ranks, heat, strict=True)
)
show(fig, f"Heat map of right parts in percent; rates {', '.join(f'{rate:g}' for rate in rates)}. {rows_said}.")

# %%
along_rate = float(np.nanmean(np.nanmax(heat, axis=1) - np.nanmin(heat, axis=1)))
along_rank = float(np.nanmean(np.nanmax(heat, axis=0) - np.nanmin(heat, axis=0)))
print(f"best minus worst, mean of the rows (the rate varies): {along_rate:.0f} points")
print(f"best minus worst, mean of the columns (the rank varies): {along_rank:.0f} points")
lower = heat[:, :-1]  # without the highest rate
ends = [float(np.nanmean(np.nanmax(lower, axis=i) - np.nanmin(lower, axis=i))) for i in (1, 0)]
print(f"the same without the highest rate: {ends[0]:.0f} and {ends[1]:.0f} points")
for kind in ("alpha", "targets"):
    for line in (line for line in sweep if line["sweep"] == kind):
        many = int(float(line["trained"] or 0))
        print(f"{kind:<8}{line[kind]:<26} parts {float(line['parts']):.0%}, {many:>7,} numbers learn")

# %% [markdown]
# The larger number is the answer, for this range of rates and ranks, with one seed a field. One point of the table is
# the adapter that you trained: rank 16, rate 0.002. Your run used TRL, the script the
# course's own loop. Their right parts should be alike, within 10 points. What is forgotten may hang more on chance:
# compare the seeds of the table.

# %% tags=["varies"]
kept_here = [f"{float(line['public']):.0%}" for line in of_run("lora")]
print(f"public facts kept: your run {knew_after.mean():.0%}, the seeds of the table {', '.join(kept_here)}")
print("by rate, rank 16:", {f"{float(x['rate']):g}": f"{float(x['public']):.0%}" for x in grid if float(x["r"]) == 16})

# %%
mine = 100 * float(np.mean(scores["tuned"]["parts"]))
theirs = float(heat[ranks.index(16), rates.index(0.002)])
print("your run within 10 points of the table's:", abs(mine - theirs) <= 10)

# %% [markdown]
# ## How many tickets?
#
# > **C32.** Fine-tuning needs good data; few or narrow examples change little.
#
# The same number of rows and steps, but from 4, 15 or 60 different tickets. Rule: 4 tickets bring less than half of
# the gain that 60 bring over the untuned model. Predict: which share of the right parts with 4 tickets?

# %%
my_prediction = None
predict("C32", as_share(my_prediction), lesson="07")

# %%
counts_of = {0: "zero-shot", 4: "lora 4", 15: "lora 15", 60: "lora"}
fig, ax = chart("Work orders by number of different tickets", x="tickets to learn from", y="right parts (%)")
for i, (what, words) in enumerate(
    {"parts": "all eight", "copied": "the five to copy", "read": "the three to read"}.items()
):
    values = [100 * column(name, what) for name in counts_of.values()]
    ax.plot(range(4), values, color=COLOURS[i], marker=MARKERS[i], linestyle=LINES[i], label=words)
ax.set_xticks(range(4), labels=["none", "4", "15", "60"])
ax.set_ylim(0, 105)
ax.legend(fontsize=9)
alt = "; ".join(
    f"{n} tickets: {column(r, 'parts'):.0%}, copied {column(r, 'copied'):.0%}, read {column(r, 'read'):.0%}"
    for n, r in counts_of.items()
)
show(fig, f"Lines, right parts by number of tickets: {alt}.")

# %%
gains = {n: column(name, "parts") - column("zero-shot", "parts") for n, name in counts_of.items() if n}
print(", ".join(f"{n} tickets: {100 * value:+.0f} points" for n, value in gains.items()))
for what, words in {"copied": "the five to copy", "read": "the three to read"}.items():
    print(f"{words}: " + ", ".join(f"{n} tickets {column(name, what):.0%}" for n, name in counts_of.items()))
verdict(
    "C32",
    measured=column("lora 4", "parts"),
    supported=bool(gains[4] < gains[60] / 2),
    scope="mechanism shown here",
    note=f"right parts with 4 tickets; with 60 {column('lora', 'parts'):.0%}; to read: "
    f"{column('lora 4', 'read'):.0%} and {column('lora', 'read'):.0%} (by reading alone: "
    f"{'supported' if column('lora 4', 'read') < column('lora', 'read') / 2 else 'not supported'}); quantity and wrong "
    "labels: lesson 06",
    lesson="07",
)

# %% [markdown]
# Look at the line for copying and the line for reading apart: how far do 4 tickets get, how far 60, and how high is
# that? One figure for both would hide it. (4 and 15 tickets: one seed each.)
#
# ## Save, free, reload, merge
#
# Training often fits and the *reload* runs out of memory, because the old model is still there. So: save the adapter,
# free the model, load the base anew, put the adapter on.

# %%
import gc

from peft import PeftModel

tuned.save_pretrained(folder / "style-adapter", save_embedding_layers=False)
size = (folder / "style-adapter" / "adapter_model.safetensors").stat().st_size
whole_size = sum(p.numel() for p in phi.model.parameters()) * 2
print("kept:", sorted(p.name for p in (folder / "style-adapter").iterdir() if p.suffix != ".md"))
print(f"adapter {size / 2**20:.2f} MiB (32 bits a number), the whole model in 16 bits {whole_size / 2**20:.2f} MiB")

# %% [markdown]
# A name that is set to `None` lets go of its model; `gc.collect()` clears away what is left. (The trainer held the
# model as well.)

# %%
trainer = preview = wide = narrow = tuned = None
gc.collect()
base = models.load(PROFILE, dtype="float32", quantize=False)
tuned = PeftModel.from_pretrained(base.model, str(folder / "style-adapter")).eval()
text = models.render(base, test[0].prompt)
sample = base.tokenizer(text, return_tensors="pt", add_special_tokens=False).to(base.device)
with torch.no_grad():
    with_adapter = tuned(**sample).logits
    with tuned.disable_adapter():
        without = tuned(**sample).logits
print("the reloaded adapter changes the outputs:", bool((with_adapter - without).abs().max() > 0.1))

# %% [markdown]
# > **C45.** Adapting a model needs no change to its algorithm.
#
# Merge, save as a plain model, and load that without PEFT. Supported if all four hold: it is of the same class as the
# base; its tensors have the same names and shapes; the adapted layers and no others have new values; and the outputs
# are those with the adapter, within 0.001. Predict: how many of the four, from 0 to 4?

# %%
my_count = None
predict("C45", as_number(my_count, low=0, high=4, whole=True), lesson="07")

# %%
to_merge = models.load(PROFILE, dtype="float32", quantize=False).model
to_merge = PeftModel.from_pretrained(to_merge, str(folder / "style-adapter"))
to_merge.merge_and_unload().save_pretrained(folder / "style-merged")
plain_model = transformers.AutoModelForCausalLM.from_pretrained(folder / "style-merged", dtype=torch.float32).eval()
original = models.load(PROFILE, dtype="float32", quantize=False).model
old, new = original.state_dict(), plain_model.state_dict()
altered = [name.removesuffix(".weight") for name in old if not torch.equal(old[name], new[name].to(old[name].device))]
print(f"{len(old)} tensors, {len(altered)} altered; these are the adapted layers: {sorted(altered) == sorted(linear)}")

# %%
with torch.no_grad():
    merged_logits = plain_model.to(base.device)(**sample).logits
same = {
    "class": type(plain_model) is type(original),
    "tensors": {n: v.shape for n, v in old.items()} == {n: v.shape for n, v in new.items()},
    "only adapted layers": sorted(altered) == sorted(linear),
    "outputs": bool((merged_logits - with_adapter).abs().max() < 1e-3),
}
print(same)
verdict(
    "C45",
    measured=sum(same.values()),
    supported=all(same.values()),
    scope="mechanism shown here",
    note=f"of four; the class is {type(plain_model).__name__}; LoRA, merged; other ways of adapting, such as a new "
    "output layer, were not tried",
    lesson="07",
)

# %% [markdown]
# ## Two adapters, one base
#
# An adapter is small, so several can wait beside one base and take turns. Train a second one: it answers a ticket with
# dispatch's label alone. 30 steps are few, so do not expect the right label; what counts here is the switch.

# %%
picture(
    "07-switch.svg",
    "Drawing: one base model, and beside it two small adapters, style and label. A switch chooses which of them, or "
    "none, takes part; the same ticket gives a work order, a label, or what the base says.",
)

# %% tags=["varies"]
label_pairs = Dataset.from_list(
    [training_pair(row.message, style.split_order(row.order)["label"]) for row in rows[:120]]
)
labeller = fresh(PHI3)
trainer_for(labeller, label_pairs, "label", [LiveLoss()], max_steps=30, save_strategy="no").train()
labeller.save_pretrained(folder / "label-adapter", save_embedding_layers=False)
tuned.load_adapter(str(folder / "label-adapter"), adapter_name="label")
print("adapters on one base:", list(tuned.peft_config))

# %% tags=["varies"]
ticket = test[1]
switched = replace(base, model=tuned)
for adapter, prompt in {"default": ticket.prompt, "label": ticket.message}.items():
    tuned.set_adapter(adapter)
    print(f"{adapter:<8}-> {models.chat(switched, prompt)!r}")
tuned.set_adapter("default")
with tuned.disable_adapter():
    print(f"none    -> {models.chat(switched, ticket.message)!r}")

# %% [markdown]
# ## The embedder learns the company's words
#
# Search has the same trouble: *church pump* means a pump that may only be repaired on weekdays, and MiniLM cannot
# know. Tune it with LoRA on pairs of a word and its meaning from the glossary, for half of the words. Then ask about
# words that were in the pairs (*known*), in questions that were not, and about the other half (*unknown*).

# %%
texts = {p.id: p.text for p in corpus.passages()}
words, meanings, asked_about = [], [], {"known": [], "unknown": []}
for number, q in enumerate(corpus.questions(kind="jargon")):
    word, entry = q.entity[0], texts[q.passages[0]]
    words.append((word, q.split))
    meanings.append(entry[entry.lower().find(word.lower()) + len(word) :].lstrip(" :,"))
    if word.lower() in q.question.lower():
        asked_about["known" if q.split == "tune" else "unknown"].append((q.question, number))
word_pairs = [(word, meaning) for (word, split), meaning in zip(words, meanings, strict=True) if split == "tune"]
print(f"{len(word_pairs)} pairs, such as {word_pairs[0]}")
print({half: f"{len(some)} questions" for half, some in asked_about.items()})

# %% [markdown]
# To find: the right one of all the meanings, from which the word itself was cut. *Recall at 3:* it is among the first
# three.


# %%
def recalled(model):
    table = model.encode(meanings, normalize_embeddings=True, show_progress_bar=False)
    found = {}
    for half, some in asked_about.items():
        queries = model.encode([text for text, _ in some], normalize_embeddings=True, show_progress_bar=False)
        first = np.argsort(-(queries @ table.T), axis=1, kind="stable")[:, :3]
        found[half] = np.array([float(number in row) for (_, number), row in zip(some, first.tolist(), strict=True)])
    return found


embedder = models.load_embedder(PROFILE if PROFILE in ("tiny", "phi3") else "tiny")
recall_before = recalled(embedder)
print({half: f"{marks.mean():.0%}" for half, marks in recall_before.items()}, f"by chance {3 / len(meanings):.0%}")

# %% [markdown]
# > **C18.** Fine-tune when a smaller model, a faster answer or up-to-date skill from many labels is wanted.
#
# - *Rule, all three:* a smaller tuned model gets at least half of the parts right, and of the right parts against
#   the larger one with examples the interval's lower end is above -5 points; its answers take at most 80 % of the
#   seconds; and the tuned embedder's recall at 3 on known words rises, the whole interval above zero. (The half was
#   added later: where the larger model gets nothing from examples, to be no worse than that decides nothing.)
#
# ### Your prediction
#
# Which recall at 3 on *known* words will the tuned embedder have? From 0 to 1.

# %%
my_prediction = None
predict("C18", as_share(my_prediction), lesson="07")

# %% [markdown]
# sentence-transformers has a trainer of its own. The loss pulls each word towards its meaning, and away from all other
# meanings of the batch (*multiple negatives*).

# %% tags=["varies"]
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

embedder = models.load_embedder(PROFILE if PROFILE in ("tiny", "phi3") else "tiny")
torch.manual_seed(0)
minilm_layers = ["query", "key", "value", "output.dense", "intermediate.dense"]
embedder.add_adapter(LoraConfig(r=8, lora_alpha=16, target_modules=minilm_layers, task_type="FEATURE_EXTRACTION"))
embedder.model_card_data.set_widget_examples = lambda data: None  # they are for a model card; none is written here
learning = sum(p.numel() for p in embedder.parameters() if p.requires_grad)
print(f"{learning:,} numbers learn in {sum(hasattr(m, 'lora_A') for m in embedder.modules())} layers")

# %% tags=["varies"]
arguments = SentenceTransformerTrainingArguments(
    output_dir=str(folder / "embedder"),
    max_steps=15,
    per_device_train_batch_size=len(word_pairs),
    **{"learning_rate": 2e-3, "warmup_steps": 2, "save_strategy": "no", "seed": 0},
    use_cpu=phi.device.type == "cpu",
    dataloader_pin_memory=False,
    report_to="none",
    disable_tqdm=True,
)
word_data = Dataset.from_list([{"anchor": word, "positive": meaning} for word, meaning in word_pairs])
word_loss = MultipleNegativesRankingLoss(embedder)
word_trainer = SentenceTransformerTrainer(model=embedder, args=arguments, train_dataset=word_data, loss=word_loss)
word_trainer.remove_callback(PrinterCallback)
word_trainer.train()
embedder.eval()
recall_after = recalled(embedder)
print({half: f"{marks.mean():.0%}" for half, marks in recall_after.items()})

# %% tags=["varies"]
fig, ax = chart("The embedder before and after tuning", x="words of the questions", y="recall at 3 (%)")
for j, (name, found) in enumerate({"before": recall_before, "after": recall_after}.items()):
    for i, marks in enumerate(found.values()):
        mean, (low, high) = 100 * marks.mean(), (100 * end for end in bootstrap(marks))
        look = {"color": COLOURS[j], "hatch": HATCHES[j], "edgecolor": "white", "label": name if i == 0 else ""}
        ax.bar(i + (j - 0.5) * 0.36, mean, 0.34, yerr=[[mean - low], [high - mean]], capsize=4, **look)
ax.set_xticks(range(2), labels=[f"{half} ({len(some)})" for half, some in asked_about.items()])
ax.set_ylim(0, 105)
ax.legend(fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))
alt = "; ".join(
    f"{half} {recall_before[half].mean():.0%} before, {recall_after[half].mean():.0%} after" for half in asked_about
)
show(fig, f"Bar chart of recall at 3 with 95 % intervals: {alt}.")

# %% [markdown]
# *Known* is memory: the right meanings themselves were trained on. *Unknown* is what a tuned embedder would have to
# guess: the interval of its gain is printed below. What tuning does to searches for other things was not measured
# here; do that before you put such an embedder to work.
#
# **Smaller.** And a small *chat* model? `small` has far fewer weights, see the last column. The runs compare it,
# tuned, with the larger model and four examples in the prompt.

# %%
print("                     parts   form  tokens  seconds an answer      weights")
for name in ("few-shot 4", "small few-shot 4", "small lora", "lora"):
    tokens = column(name, "prompt_tokens") + column(name, "new_tokens")
    print(
        f"{name:<20}{column(name, 'parts'):>6.0%}{column(name, 'form'):>7.0%}{tokens:>8.0f}"
        f"{column(name, 'answer_seconds'):>19.2f}{column(name, 'weights'):>13,.0f}"
    )

# %% tags=["varies"]
low_small, _ = bootstrap(by_ticket("small lora") - by_ticket("few-shot 4"))
faster = column("small lora", "answer_seconds") / column("few-shot 4", "answer_seconds")
low_words, _ = bootstrap(recall_after["known"] - recall_before["known"])
small_right = column("small lora", "parts")
small_parts = {
    "smaller": low_small > -0.05 and small_right >= 0.5,
    "faster": faster <= 0.8,
    "embedder": low_words > 0,
}
print(f"small and tuned: {small_right:.0%} of parts; {faster:.0%} of the seconds of a prompt that is much longer")
for half in asked_about:
    low, high = bootstrap(recall_after[half] - recall_before[half])
    print(f"recall at 3, {half} words, after minus before: {100 * low:+.0f} to {100 * high:+.0f} points")
verdict(
    "C18",
    measured=float(recall_after["known"].mean()),
    supported=all(bool(held) for held in small_parts.values()),
    scope="mechanism shown here",
    note="recall at 3 on known words; "
    + ", ".join(f"{n}: {'yes' if h else 'no'}" for n, h in small_parts.items())
    + f"; unknown words {recall_before['unknown'].mean():.0%} to {recall_after['unknown'].mean():.0%}",
    lesson="07",
)

# %% [markdown]
# ## The answer to the question of the day
#
# Can the model learn the style, so that no prompt has to carry it?

# %% tags=["varies"]
answers = {"this lesson's adapter": {"form": np.mean(scores["tuned"]["form"])}, "lora varied (table)": {}}
answers["this lesson's adapter"]["parts"] = np.mean(scores["tuned"]["parts"])
answers["this lesson's adapter"]["whole orders"] = np.mean(np.array(scores["tuned"]["parts"]) == 1)
for what, key in {"form": "form", "parts": "parts", "whole orders": "line"}.items():
    answers["lora varied (table)"][what] = column("lora varied", key)
answers["code, no model"] = {"form": np.mean([style.in_form(" / ".join(o.values())) for o in coded])}
answers["code, no model"]["parts"] = code_right
answers["code, no model"]["whole orders"] = np.mean([o == w for o, w in zip(coded, wanted, strict=True)])
for name, shares in answers.items():
    print(f"{name:<23}", ", ".join(f"{what} {share:.0%}" for what, share in shares.items()))

# %% [markdown]
# The first column is the style: no prompt of two pages is needed for it. The last one says whether an order could go
# out unread. And mind the rival without a model.
#
# Tidy up: delete the temporary folder.

# %%
temporary.cleanup()
print("Deleted:", not folder.exists())

# %% [markdown]
# ## Your ledger

# %% tags=["varies"]
print(ledger())

# %% [markdown]
# ## Quiz
#
# Answer with a letter, or with several: `quiz("7.3", "a, c")`.

# %%
quiz("7")

# %% [markdown]
# ## In practice
#
# - Assert what was adapted. PEFT's `target_modules="all-linear"` takes every linear layer but the last
#   ([its documentation](https://huggingface.co/docs/peft/developer_guides/lora)); the names of your model's layers
#   stand in `model.named_modules()`.
# - `SFTTrainer`'s arguments changed often. The settings of this lesson are those of the version in `requirements.txt`
#   ([TRL](https://huggingface.co/docs/trl/sft_trainer)).
# - Keep the data, the settings, the base's exact version and the adapter together. An adapter on another base is
#   noise.
# - Measure the task, and something outside the task, before and after. The loss shows neither.
# - Merge for speed, keep the adapter for switching: many servers hold one base and load adapters as they are asked
#   for.
# - Embedders take adapters too
#   ([sentence-transformers](https://sbert.net/examples/sentence_transformer/training/peft/)). Every stored vector
#   must then be made anew.

# %% [markdown]
# ## On the real Phi-3
#
# The code is the same: same class, same names of layers. With `PROFILE = "phi3"` on a GPU the base stays in 16 bits,
# and `RATE` is 2e-4, as the [QLoRA paper](https://arxiv.org/abs/2305.14314) has it for its smaller models. How many
# numbers would learn at rank 8? Your formula knows, from the shapes in
# [its configuration](https://huggingface.co/microsoft/Phi-3-mini-4k-instruct/blob/main/config.json).

# %%
phi3_block = [(3072, 9216), (3072, 3072), (3072, 16384), (8192, 3072)]  # qkv, o, gate_up, down
numbers = trainable(phi3_block * 32, 8)
print(f"{numbers:,} of {models.PHI3_WEIGHTS:,}: {numbers / models.PHI3_WEIGHTS:.2%}")
print(f"adapter in 16 bits: {numbers * 2 / 2**20:.0f} MiB; gradients and Adam for it: {numbers * 12 / 2**20:.0f} MiB")

# %% [markdown]
# Each copy of the model takes 7.6 GB in 16 bits and 15 GB in 32. So LoRA wants a card of 24 GB; the cells in 32 bits
# (one step of full tuning, merging) want about 100 GB: leave them out on a smaller card.
#
# Minutes, memory and quality on the real Phi-3: not measured here. Lesson 08 says whether its steps were timed, with
# random weights.
#
# ## What you can do now
#
# You can build a LoRA layer and merge it; count and assert what learns; train with PEFT and TRL, stop and resume; tell
# form from content; measure forgetting; read a sweep; keep, reload, merge and switch adapters; and tune an embedder.
#
# Next: lesson 08 makes the frozen base itself smaller: QLoRA.
