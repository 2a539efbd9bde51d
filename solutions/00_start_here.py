# %% [markdown]
# # Start here: ask a language model about a company
#
# {{badge}}
#
# - **Do:** load a small language model on your own processor, ask it about a company, and make its answer right.
# - **Learn:** what a model knows, what it makes up, and what changes when the right text stands in the prompt.
# - **Need:** 10 minutes to read and run, 30 with the exercises; 1 GB of memory, no download.

# %% [markdown]
# Run the next cell as it is. It chooses the model, and prepares the machine if you are on Google Colab.

# %%
# {{setup}}

# %% [markdown]
# ## The question of the day
#
# Brightwater Pumps is an invented company that sells and services pumps. One of its technicians stands in front of
# a pump with a wrench and types:
#
# > What torque for the cover nuts, Plover 40?
#
# The answer stands in one of the company's documents. Can a language model give it? At the end of this lesson you
# know, from numbers you measured yourself.

# %%
import re

from expert import check, corpus, hint, ledger, models, predict, quiz, solution, verdict  # noqa: F401
from expert.claims import as_share
from expert.figures import COLOURS, HATCHES, chart, picture, show

# %% [markdown]
# ## Your machine
#
# This cell looks at the computer that runs the notebook and suggests a *profile*: which model the lessons load.
# `tiny` runs anywhere. `phi3` is Microsoft's Phi-3, for a machine with a GPU. It is only advice: to follow it, change
# `PROFILE` in the first cell and run again.

# %% tags=["varies"]
print(models.describe_machine())

# %% [markdown]
# ## Load a model
#
# A language model is a file of numbers, called *weights*, and a program that uses them to continue a text. The
# first line loads both. It takes a second.

# %% tags=["varies"]
model = models.load(PROFILE)
print(model)

# %% [markdown]
# With the profile `tiny` you have just loaded **tiny-phi3**. It has the same building plan as Phi-3, but it is
# about 700 times smaller. This course trained it, on short texts about made-up companies. It reads simple English
# and nothing else. Its [model card](../data/models/tiny-phi3/chat/README.md) says how well, skill by skill. A skill
# marked *missed* falls short of what its makers wanted.

# %% [markdown]
# ## Exercise 0.1: your first question
#
# You talk to a chat model in *messages*. A message is a dictionary with two entries: `role` says who speaks,
# `content` says what. A chat is a list of messages.
#
# **Goal:** make a list `question` with one message from the role `user`. Ask what you like. The capital of a country,
# or what a part of a pump does, has the best chance.
#
# **Example of a message:** `{"role": "user", "content": "What does a gasket do?"}`

# %%
### BEGIN SOLUTION
question = [{"role": "user", "content": "What does an impeller do?"}]
### END SOLUTION
question = check("0.1", question)

# %% [markdown]
# The cell runs as it stands: an exercise that you have not tried yet is no error. Every exercise works like this
# one. Replace the `...`, run the cell again, and read what it says. If you are stuck, ask for a hint. Each call
# gives the next one. `solution("0.1")` shows the course's answer.

# %%
hint("0.1")

# %% [markdown]
# Now ask the model. It writes one *token* (a word, or a piece of one) after another, always the likeliest next one. Not
# every answer will be right: this is a very small model.

# %% tags=["varies"]
print(question[0]["content"], "->", models.chat(model, question))

# %% [markdown]
# ## What it knows
#
# tiny-phi3 read some public facts in its training, such as capitals and units. Here are three questions about them.

# %%
for text in ("What is the capital of Norway?", "What does a strainer do?", "What is the opposite of hot?"):
    print(text, "->", models.chat(model, text))

# %% [markdown]
# And here is a fact that was not in its training. The form of the answer is the same, and nothing in it tells you that
# the model has no idea. Larger models know far more, but rare facts are [hard for them
# too](https://aclanthology.org/2023.acl-long.546/) (not measured here).

# %%
print(models.chat(model, "What is the capital of Chad?"))

# %% [markdown]
# ## Ask about Brightwater
#
# `corpus` holds the company's folder: its documents, cut into *passages*, and questions with known answers. Let us
# look at what is there, and pick out the question of the day.

# %%
passages = {p.id: p for p in corpus.passages()}
company = corpus.questions(split="tune", kind="single_fact")
print(f"{len(corpus.documents())} documents, {len(passages)} passages, {len(company)} questions like the one below")
today = next(q for q in company if q.question.startswith("What torque for the cover nuts"))
print("Question:", today.question, "| Right answer:", today.answer)

# %% [markdown]
# Now the model, with the question alone. This is called *closed book*.

# %%
print(models.chat(model, today.question))

# %% [markdown]
# Compare the answer with the right one above. The model has never seen a Brightwater document, so whatever it states
# is put together from the question and from habit. This is called *fabrication* or, more often, *hallucination*.

# %% [markdown]
# ## Put the right passage into the prompt
#
# The fact stands in the Plover 40's handbook. This is the passage:

# %%
passage = passages[today.passages[0]].text
print(passage)

# %% [markdown]
# ## Exercise 0.2: build a prompt
#
# The *prompt* is the whole text that the model reads. In this course a prompt with passages looks like this: each
# passage on a line of its own, opened by its number in square brackets, then an empty line, then the question.
#
# **Goal:** write `build_prompt(passages, question)`.
# **Inputs:** a list of texts, and a text. **Returns:** one text.
#
# **Example:** `build_prompt(["Lids are red.", "Caps are blue."], "What colour is a lid?")` is
# `"[1] Lids are red.\n[2] Caps are blue.\n\nWhat colour is a lid?"`.


# %%
def build_prompt(passages, question):
    ### BEGIN SOLUTION
    numbered = [f"[{number}] {passage}" for number, passage in enumerate(passages, start=1)]
    return "\n".join(numbered) + "\n\n" + question
    ### END SOLUTION


build_prompt = check("0.2", build_prompt)

# %% [markdown]
# Stuck? `hint("0.2")`, then `solution("0.2")`. Now ask again: same model, same weights, same question, with the
# passage in front of it. This is called *open book*.

# %%
prompt = build_prompt([passage], today.question)
print(prompt)

# %%
answer = models.chat(model, prompt)
print("Model:   ", answer)
print("Expected:", today.answer)

# %% [markdown]
# The number in square brackets is a *citation*: it names the passage that the answer was read from. You can look
# there and see for yourself. Before the value, the model repeats the question in its own words, and these may be
# imprecise. A picture of the idea, with another pump and two passages:

# %%
picture(
    "passages.svg",
    "Drawing: two numbered passages and a question go into one prompt; the model reads it, copies a value "
    "from passage 2 into its answer and marks it [2].",
)

# %% [markdown]
# ## Exercise 0.3: read the citation
#
# A program that shows the source needs the cited number. `re`, Python's module for text patterns, is imported already.
# `re.findall(r"\d+", "a 12 b 3")` gives `["12", "3"]`; a bracket in a pattern is written `\[` or `\]`.
#
# **Goal:** write `cited(answer)`. **Input:** a text. **Returns:** the list of passage numbers, as integers, in the
# order in which they are cited. No citation: an empty list. A number cited twice may be listed once or twice.
#
# **Examples:** `cited("It is 45 Nm. [2]")` is `[2]`, and `cited("I do not know.")` is `[]`.


# %%
def cited(answer):
    ### BEGIN SOLUTION
    return [int(number) for number in re.findall(r"\[(\d+)\]", answer)]
    ### END SOLUTION


cited = check("0.3", cited)
print("Cited in the answer above:", cited(answer))

# %% [markdown]
# Stuck? `hint("0.3")`, then `solution("0.3")`.
#
# ## What if the passage does not say?
#
# Put a passage about another pump in front of the same question. A careful reader would answer "I do not know."
# tiny-phi3 was shown that answer in training.

# %%
other = next(p for p in passages.values() if p.doc_id.startswith("hb-osprey-32") and "Nm" in p.text)
print(build_prompt([other.text], today.question))
print("->", models.chat(model, build_prompt([other.text], today.question)))

# %% [markdown]
# One answer proves little. Here are 20 questions, each with one passage that looks right and does not say what is
# asked.

# %%
near = corpus.questions(split="tune", kind="not_answerable")[:20]
texts = [passages[q.near[0]].text for q in near]
prompts = [build_prompt([text], q.question) for text, q in zip(texts, near, strict=True)]
replies = models.generate(model, prompts)
declined = sum(reply.startswith("I do not know") for reply in replies)
citing = sum(len(cited(reply)) > 0 for reply in replies)
print(f'Of {len(near)} answers: {declined} "I do not know.", {citing} with a citation. The first two:')
for prompt_text, reply in list(zip(prompts, replies, strict=True))[:2]:
    print(f"\n{prompt_text}\n-> {reply}")

# %% [markdown]
# Where it does not decline, it answers from a passage that does not hold the answer. A citation says where to look, not
# that the answer is right. Follow it. The [model card](../data/models/tiny-phi3/chat/README.md) measures on more cases
# how often the model declines.

# %% [markdown]
# ## Exercise 0.4: score the answers
#
# One question proves nothing. You will ask many, so you need a rule that counts right answers. Here is one: an answer
# counts as right if the expected value stands in it *as a whole*. "It is 145 Nm." does not hold "45 Nm", and "It is
# 4.5 bar." does not hold "5 bar". This tool looks for it. You need not understand its pattern.


# %%
def holds(answer, value):
    return re.search(rf"(?<![\w.,]){re.escape(value)}(?!\w|[.,]\d)", answer) is not None


print(holds("It is 45 Nm.", "45 Nm"), holds("It is 145 Nm.", "45 Nm"), holds("It is 45 nm.", "45 Nm"))

# %% [markdown]
# **Goal:** write `share_correct(answers, expected)` with the tool `holds`, or with a rule of your own.
# **Inputs:** two lists of texts, equally long. **Returns:** the share of right answers, from 0 to 1. Capital letters
# and extra spaces do not matter. A value may begin with a minus. For empty lists the share is 0.0.
#
# **Example:** `share_correct(["It is 45 nm.", "It is 145 Nm."], ["45 Nm", "45 Nm"])` is `0.5`.


# %%
def share_correct(answers, expected):
    ### BEGIN SOLUTION
    def tidy(text):
        return " ".join(text.lower().split())

    right = [holds(tidy(a), tidy(e)) for a, e in zip(answers, expected, strict=True)]
    return sum(right) / len(right) if right else 0.0
    ### END SOLUTION


share_correct = check("0.4", share_correct)

# %% [markdown]
# Stuck? `hint("0.4")`, then `solution("0.4")`.
#
# ## The first claim
#
# > **C14.** A model knows nothing from after its training, and nothing private.
#
# The course tests 45 claims, C01 to C45, where they fit and not in order. This lesson tests the second half of one,
# *nothing private*. You are going to ask 40 public questions and 40 about Brightwater, all closed book. Predict first:
# which share of the *Brightwater* questions will be answered right? Write a number from 0 to 1, such as 0.3, or leave
# `None`.

# %%
my_prediction = None
predict("C14", as_share(my_prediction), lesson="00")

# %% [markdown]
# ## The experiment
#
# The public questions ask for facts that tiny-phi3 was trained on, in wordings that it was not trained on. The
# Brightwater questions come from the company's folder: every third of the list, so that many documents have a part.
# Look at the names, too. A model as small as this one may misspell a name that it has never met.

# %%
public = corpus.public_questions()[:40]
private = company[::3][:40]
public_answers = models.generate(model, [q.question for q in public])
private_answers = models.generate(model, [q.question for q in private])
for q, a in list(zip(private, private_answers, strict=True))[:4]:
    print(f"{q.question}\n    right: {q.answer} | model: {a}")

# %%
knows_public = share_correct(public_answers, [q.answer for q in public])
knows_private = share_correct(private_answers, [q.answer for q in private])
print(f"right value: {40 * knows_public:.0f} of 40 public facts, {40 * knows_private:.0f} of 40 about Brightwater")

# %% [markdown]
# Now the same 40 questions about Brightwater with the right passage in each prompt. Finding the right passage is
# another matter: here the list of known answers names it. Lesson 05 builds the search.

# %%
prompts = [build_prompt([passages[i].text for i in q.passages], q.question) for q in private]
read_answers = models.generate(model, prompts)
reads_private = share_correct(read_answers, [q.answer for q in private])
print(f"right value with the passage in the prompt: {40 * reads_private:.0f} of 40")

# %%
bars = {
    "public facts,\nclosed book": knows_public,
    "Brightwater,\nclosed book": knows_private,
    "Brightwater,\npassage in prompt": reads_private,
}
fig, ax = chart("What tiny-phi3 knows, and what it can read", x="questions (40 each)", y="right value (%)")
for i, (name, share) in enumerate(bars.items()):
    ax.bar(name, 100 * share, color=COLOURS[i], hatch=HATCHES[i], edgecolor="white")
    ax.annotate(f"{share:.1%}", (i, 100 * share), ha="center", va="bottom")
ax.set_ylim(0, 105)
words = ", ".join(f"{name.replace(chr(10), ' ')} {share:.1%}" for name, share in bars.items())
show(fig, f"Bar chart of answers with the right value: {words}.")

# %% [markdown]
# ## The verdict
#
# The verdict is computed, not written: the claim is supported if at most one private question in ten is right
# closed book, and the other two shares are both at least 30 points higher.

# %%
others = min(knows_public, reads_private)
verdict(
    "C14",
    measured=knows_private,
    supported=knows_private <= 0.1 and others >= knows_private + 0.3,
    scope="mechanism shown here",
    note="tested: nothing private; 40 questions each; "
    f"public facts {knows_public:.1%}, with the passage {reads_private:.1%}",
    lesson="00",
)

# %% [markdown]
# *Scope* says how far a verdict reaches. Here a small model, trained for the purpose, shows the mechanism. It was
# trained to answer public questions and to read passages, so the first and the third bar are no evidence about other
# models. That it cannot know Brightwater holds for any model that was trained before this folder was published.

# %% [markdown]
# ## What it gets wrong
#
# Always look at the mistakes. These are Brightwater questions that were wrong although the passage was there:

# %%
wrong = [(q, a) for q, a in zip(private, read_answers, strict=True) if share_correct([a], [q.answer]) == 0]
for q, a in wrong[:5]:
    print(f"{q.question}\n    right: {q.answer} | model: {a}")
print(f"{len(wrong)} of {len(private)} wrong")

# %% [markdown]
# And look at what was counted as right. The rule sees the value only: an answer that gives the right value under a
# wrong name, or as a wrong property, counts too. Read each one: is the sentence true? Lesson 02 builds a stricter
# measure.

# %%
for q, a in [(q, a) for q, a in zip(private, read_answers, strict=True) if (q, a) not in wrong][:4]:
    print(f"{q.question}\n    model: {a}")

# %% [markdown]
# ## Your ledger
#
# Predictions and verdicts are kept in a small file on your own disk, your *ledger*. Nothing is sent anywhere. It
# grows from lesson to lesson, and lesson 09 reads it as a whole.

# %%
print(ledger())

# %% [markdown]
# ## Quiz
#
# Answer with a letter, or with several: `quiz("0.3", "a, c")`.

# %%
quiz("0")

# %% [markdown]
# ## In practice
#
# - At work nobody hands you the right passage. A search finds some passages, and some of them are wrong (lesson 05).
# - A fluent answer is no evidence. Ask for citations, and follow them.
# - What you type into a hosted service leaves your building. A model on your own machine keeps it there.
#
# The rest of the course goes up these steps, and measures what each one costs. What you did here is step 2, with the
# search left out:

# %%
picture(
    "ladder.svg",
    "Drawing: four steps of a stair, from a prompt through retrieval and tuning to training from scratch, "
    "each with more effort.",
)

# %% [markdown]
# ## On the real Phi-3
#
# Set `PROFILE = "phi3"` in the first cell and run the lesson again on a machine with a GPU of 6 GB or more. The
# code stays the same. It downloads 7.6 GB once, and fits because most weights are then packed into 4 bits each. It has
# 3.8 billion weights ([technical report](https://arxiv.org/abs/2404.14219)) and knows many more public facts.
#
# Its right answers on these questions, and the time it takes: not measured here.

# %%
if PROFILE == "phi3":
    print(f"Phi-3: public {knows_public:.1%}, Brightwater {knows_private:.1%}, with passage {reads_private:.1%}")
else:
    print("This run used the small model. Choose phi3 in the first cell to repeat the lesson with Phi-3.")

# %% [markdown]
# ## What you can do now
#
# You can load a model, talk to it in messages, put a passage into a prompt, read its citation, and score its
# answers. You know that this model, asked without a passage, makes something up where it knows nothing, and what helps.
#
# Next: lesson 01 looks at the whole landscape of models, and where this one stands in it.
