# %% [markdown]
# # Find what is meant: embeddings and a vector database
#
# {{badge}}
#
# - **Do:** search the company's folder by meaning, first by hand, then in a vector database; measure it against a
#   search by words; join the two; recommend past tickets for a new one.
# - **Learn:** what an embedding finds and what it cannot see, what a vector database adds, and when its short cut pays.
# - **Need:** 40 minutes to read and run, 2 hours with the exercises; 2 GB of memory, no download.

# %% [markdown]
# Run the next cell as it is. It chooses the model, and prepares the machine if you are on Google Colab.

# %%
# {{setup}}

# %% [markdown]
# ## The question of the day
#
# Sofie Claes works in dispatch at Brightwater Pumps. She complains:
#
# > I type "two cleaning agents that make deadly fumes" into our search, and it finds nothing. The safety note exists. I
# > know it does. It only uses other words.
#
# Her search shows only texts that hold every word that was typed. By the end you have one that finds the note, and that
# still finds part BW-3310-S when somebody types that.

# %%
import re
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from expert import check, corpus, data_folder, hint, ledger, models, predict, quiz, solution, verdict  # noqa: F401
from expert.claims import as_share
from expert.figures import COLOURS, HATCHES, LINES, MARKERS, chart, picture, show

# %% [markdown]
# ## From words to vectors
#
# An *embedding* is a list of numbers that a model makes from a text, in such a way that texts with a similar meaning
# get similar lists. Seen as an arrow in space, such a list is called a *vector*. MiniLM, which you met in lesson 01,
# makes 384 numbers from any text, long or short. The cell loads it, which may take half a minute.

# %%
embedder = models.load_embedder(PROFILE if PROFILE in ("tiny", "phi3") else "tiny")


def embed(texts):
    return embedder.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False)


two = embed(["The pump is too loud.", "There is a lot of noise from the machine."])
print(f"{two.shape[0]} texts, {two.shape[1]} numbers each; length as arrows: {np.linalg.norm(two, axis=1).round(3)}")

# %% [markdown]
# `normalize_embeddings=True` gives each arrow the length 1. (The length of an arrow is not how many numbers it has.)
# How alike are two vectors? Look at the angle between them. Its *cosine* is 1 where they point the same way, 0 at a
# right angle, and -1 where they point opposite ways.
#
# ## Exercise 4.1: the cosine
#
# **Goal:** write `cosine(a, b)`: the sum of the products of their numbers, divided by the length of `a` and by the
# length of `b`. The length is the square root of the sum of the squares. **Inputs:** two lists or arrays of equally
# many numbers, of any length. **Returns:** one number from -1 to 1. If one of them is all zeros: `0.0`.
#
# **Examples:** `cosine([1, 0], [0, 2])` is `0.0`; `cosine([1, 1], [3, 3])` is `1.0`.


# %%
def cosine(a, b):
    ### BEGIN SOLUTION
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / lengths) if lengths else 0.0
    ### END SOLUTION


cosine = check("4.1", cosine)

# %% [markdown]
# Stuck? `hint("4.1")`, then `solution("4.1")`. Where vectors have length 1, the division falls away: the cosine is the
# sum of the products alone. Now look what is near. Each line is a pair of texts.

# %%
pairs = [
    ("The pump is too loud.", "There is a lot of noise from the machine."),
    ("The pump leaks.", "Water drips from the shaft seal."),
    ("The pump leaks.", "The invoice is wrong."),
]
for a, b in pairs:
    print(f"{cosine(*embed([a, b])):.2f}  {a} | {b}")

# %% [markdown]
# In each pair, the two texts share no word but *the* or *is*. Still, the first two pairs are far nearer than the last
# one. Now the surprises: a *not*, another number, another code (S is for a seal kit, I for an impeller).

# %%
surprises = [
    ("The pump must be stopped before cleaning.", "The pump must not be stopped before cleaning."),
    ("Tighten the bolts to 45 Nm.", "Tighten the bolts to 450 Nm."),
    ("Order part BW-3310-S.", "Order part BW-3310-I."),
]
near = [cosine(*embed(pair)) for pair in surprises]
for (a, b), value in zip(surprises, near, strict=True):
    print(f"{value:.2f}  {a} | {b}")

# %% [markdown]
# Compare with the loud pump and its noise above, which mean the same. *Similar* means similar in topic and in
# wording. A rule and its opposite, a right torque and one that breaks the bolt, a seal and an impeller: to this model
# they are nearly the same. Keep that in mind whenever a wrong answer costs something.
#
# ## The company in two dimensions
#
# Now the whole folder: every passage becomes a vector. This takes about ten seconds on two quiet cores, more on a busy
# machine.

# %%
documents = {d.id: d for d in corpus.documents()}
passages = corpus.passages()
texts = {p.id: p.text for p in passages}
ids = list(texts)
vectors = embed(texts.values())
print(f"{len(ids):,} passages, a table of {vectors.shape[0]:,} x {vectors.shape[1]} numbers, {vectors.nbytes:,} bytes")

# %% [markdown]
# Nobody can look at 384 dimensions. A *principal component* is the direction in which the vectors differ most; the
# next one is the direction in which they differ most at a right angle to it. The picture shows the first two. (A
# component may point either way; the line with `sign` settles that.)


# %%
def group_of(passage):
    kind = documents[passage.doc_id].kind
    names = {"handbook": "handbooks", "glossary": "glossaries", "mail": "mails, letters", "letter": "mails, letters"}
    return "tables: " + passage.doc_id.split("-")[0] if kind == "table" else names.get(kind, "other papers")


groups = np.array([group_of(p) for p in passages])
shown = ["tables: prices", "tables: faults", "tables: sites", "handbooks", "glossaries", "mails, letters"]
centred = vectors - vectors.mean(axis=0)
_, sizes, directions = np.linalg.svd(centred, full_matrices=False)
directions *= np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])[:, None]
flat = centred @ directions[:2].T
share_kept = (sizes[:2] ** 2).sum() / (sizes**2).sum()
print(f"The first two components keep {share_kept:.0%} of the differences.")

# %%
fig, ax = chart("Brightwater's passages in two dimensions", x="first component", y="second component", figsize=(7, 4.6))
others = ~np.isin(groups, shown)
ax.scatter(*flat[others].T, s=8, color="0.75", marker=".", label=f"all others ({others.sum()})")
centres = []
for i, name in enumerate(shown):
    some = flat[groups == name]
    label = f"{name} ({len(some)})"
    ax.scatter(*some.T, s=18, color=COLOURS[i], marker=MARKERS[i], alpha=0.6, linewidths=0, label=label)
    centres.append(f"{label} around {some[:, 0].mean():.1f}, {some[:, 1].mean():.1f}")
ax.legend(fontsize=9, markerscale=1.5)
show(fig, f"Scatter plot of {len(flat):,} passages: {'; '.join(centres)}; all others ({others.sum()}) behind them.")

# %% [markdown]
# Some kinds lie apart, others run into each other, and nobody told the model what kinds there are. But the picture
# keeps only a small part of what the vectors hold: two points that lie together here may be far apart in 384
# dimensions. Do not read distances from it.
#
# ## Exact search by hand
#
# To search means: embed the question, take its cosine with each passage, keep the highest. With vectors of length 1,
# that is one product of a matrix with a vector.
#
# ## Exercise 4.2: the k nearest
#
# **Goal:** write `nearest(query, matrix, k)`. **Inputs:** a vector of length 1, an array with one vector of length 1 in
# each row, and how many to find. **Returns:** the numbers of the `k` rows with the highest cosine, best first: a list
# or an array. Of two equal ones, the one with the smaller number comes first. If there are fewer than `k` rows: all.
#
# **Example:** `nearest([1, 0], [[0, 1], [1, 0], [0.6, 0.8]], 2)` is `[1, 2]`.


# %%
def nearest(query, matrix, k):
    ### BEGIN SOLUTION
    similarities = np.asarray(matrix) @ np.asarray(query)
    return np.argsort(-similarities, kind="stable")[:k].tolist()
    ### END SOLUTION


nearest = check("4.2", nearest)

# %% [markdown]
# Stuck? `hint("4.2")`, then `solution("4.2")`. First the search that Sofie has: every word must be there.

# %%
question = "two cleaning agents that make deadly fumes"
for typed in (question, "BW-3310-S"):
    every_word = [i for i, text in texts.items() if all(word in text.lower() for word in typed.lower().split())]
    print(f"{typed!r}: {every_word or 'nothing'}")

# %% [markdown]
# Now yours, with the same words of hers:

# %%
query_vector = embed([question])[0]
for row in nearest(query_vector, vectors, 3):
    print(f"{vectors[row] @ query_vector:.2f}  {ids[row]}: {texts[ids[row]][:130]}")

# %% [markdown]
# This is a complete search. What is missing? It must embed everything anew when the notebook is closed. It knows
# nothing but the text: you cannot ask for this year's bulletins only. And it compares with every row, each time. A
# *vector database* adds these three: it keeps, it filters, and it has a short cut.

# %%
picture(
    "04-record.svg",
    "Drawing: a record of a vector database has an id, a text, a vector and fields such as kind and day. The vector "
    "goes into an index for similarity, text and fields into a table for exact conditions; a query may use both.",
)

# %% [markdown]
# ## A vector database
#
# *Chroma* is one, free and small enough for a laptop. It wants a function that turns texts into vectors. Its own would
# download a model at the first use, so give it yours. `__call__` does the work. The rest is a fixed form, by which
# Chroma writes down beside the data what made the vectors; `@staticmethod` marks a method that needs no `self`.

# %%
import chromadb
from chromadb.api.types import EmbeddingFunction
from chromadb.config import Settings


# %%
class MiniLM(EmbeddingFunction):
    def __init__(self):
        pass

    def __call__(self, input):
        return embed(input)

    @staticmethod
    def name():
        return "course-minilm"

    def get_config(self):
        return {}

    @staticmethod
    def build_from_config(config):
        return MiniLM()


# %% [markdown]
# A *client* is your end of the database. This one keeps everything in a folder; here a temporary one, which is deleted
# at the end. `anonymized_telemetry=False` says that nothing is to be reported to the makers. One call takes only so
# many records; a large folder must be put in by parts.

# %%
temporary = tempfile.TemporaryDirectory(prefix="lesson-04-", ignore_cleanup_errors=True)
folder = Path(temporary.name)
quiet = Settings(anonymized_telemetry=False)
client = chromadb.PersistentClient(path=str(folder / "db"), settings=quiet)
largest_batch = client.get_max_batch_size()
print("At most so many records in one call:", f"{largest_batch:,}")

# %% [markdown]
# A *collection* is a set of records that are searched together. Its name has three letters or more. `space` says how
# distance is measured. Chroma's own choice is `l2`, the square of the straight distance; this course takes `cosine`,
# which is 1 minus the cosine. The choice of `space` cannot be changed later. `ef_search` says how thoroughly it
# searches; you will come back to that.

# %%
collection = client.get_or_create_collection(
    "passages", embedding_function=MiniLM(), configuration={"hnsw": {"space": "cosine", "ef_search": 500}}
)
print(collection.name, collection.count(), collection.configuration["hnsw"]["space"])

# %% [markdown]
# ## Exercise 4.3: structured fields
#
# Each record may carry *fields* (Chroma says *metadata*): texts and numbers to filter by. A filter such as *since 2024*
# compares numbers only, so a date must become one.
#
# **Goal:** write `fields(kind, doc_id, date)`. **Inputs:** three texts; the date as `"2024-03-05"`, or empty where none
# is known. **Returns:** a dictionary with `"kind"`, `"doc"` and `"day"`, the date as a whole number such as `20240305`.
# Without a date there is no `"day"`: a 0 in its place would pass a filter such as *before 2024*.
#
# **Example:** `fields("mail", "ma-1", "2025-11-02")` is `{"kind": "mail", "doc": "ma-1", "day": 20251102}`.


# %%
def fields(kind, doc_id, date):
    ### BEGIN SOLUTION
    found = {"kind": kind, "doc": doc_id}
    if date:
        found["day"] = int(date.replace("-", ""))
    return found
    ### END SOLUTION


fields = check("4.3", fields)

# %% [markdown]
# Stuck? `hint("4.3")`, then `solution("4.3")`. Now put everything in. *Upsert* means: insert, or update where the id is
# already there. The vectors are ready, so hand them over; without them, Chroma would call `MiniLM()` on the texts.


# %%
def put_in(some):
    for start in range(0, len(some), largest_batch):
        part = some[start : start + largest_batch]
        collection.upsert(
            ids=[p.id for p in part],
            documents=[p.text for p in part],
            embeddings=vectors[[ids.index(p.id) for p in part]],
            metadatas=[fields(documents[p.doc_id].kind, p.doc_id, p.date) for p in part],
        )


put_in(passages)
print(f"{collection.count():,} records")

# %% [markdown]
# Do a part of it again, as after a program that stopped half way. With ids that stay the same, nothing is doubled. Such
# a step is called *idempotent*.

# %%
put_in(passages[:200])
print(f"{collection.count():,} records")

# %% [markdown]
# Ask. `query` embeds the question and returns lists in a list, because several questions may be asked at once.

# %%
answer = collection.query(query_texts=[question], n_results=3)
for one, distance, text in zip(answer["ids"][0], answer["distances"][0], answer["documents"][0], strict=True):
    print(f"{1 - distance:.2f}  {one}: {text[:100]}")

# %%
tune = corpus.questions(split="tune")
tune_vectors = embed([q.question for q in tune])
by_hand = [[ids[row] for row in nearest(query, vectors, 5)] for query in tune_vectors]
in_chroma = collection.query(query_embeddings=tune_vectors, n_results=5, include=[])["ids"]
same = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(by_hand, in_chroma, strict=True)])
print(f"{len(tune)} questions, first five hits: {same:.0%} the same as by hand")

# %% [markdown]
# ## Structured and unstructured together
#
# A filter is a dictionary: `{"kind": "mail"}` means that the field equals the text. A comparison takes a dictionary in
# its place: `{"day": {"$lt": 20240101}}` is *before 2024*. There are `$eq`, `$ne`, `$gt` (greater than), `$gte` (at
# least), `$lt`, `$lte`, `$in` with a list, and `$and`, `$or` with a list of filters.
#
# ## Exercise 4.4: a filter
#
# **Goal:** a filter `recent` that lets through only *bulletins* (`kind` is `"bulletin"`) from the 1st of February 2024
# or later (`day`).
#
# **Example of the form:** `{"$and": [{"kind": "mail"}, {"day": {"$lt": 20250101}}]}`

# %%
### BEGIN SOLUTION
recent = {"$and": [{"kind": "bulletin"}, {"day": {"$gte": 20240201}}]}
### END SOLUTION
recent = check("4.4", recent)

# %% [markdown]
# Stuck? `hint("4.4")`, then `solution("4.4")`. The same question, without and with the filter:

# %%
torque = "What torque do the coupling bolts of a Kestrel 65 take?"
for where in (None, recent):
    found = collection.query(query_texts=[torque], n_results=2, where=where)
    print("filter:", where)
    for text, field in zip(found["documents"][0], found["metadatas"][0], strict=True):
        print(f"   {field['kind']:<9}{field['day']}  {text[:150]}")

# %% [markdown]
# Read the torques: the newer bulletin replaces the handbook, and the text alone does not say so. The similarity decides
# the order, the fields decide who may take part. Do they decide *exactly*? Compare with Python's own choice. Each date
# cuts its kind in two; a date that all of them pass would test nothing.

# %%
older = {"$and": [{"kind": "handbook"}, {"day": {"$lt": 20200929}}]}
later = {"$and": [{"kind": "letter"}, {"day": {"$gt": 20250311}}]}
cases = [
    (recent, "bulletin", lambda date: date >= "2024-02-01"),
    (older, "handbook", lambda date: date < "2020-09-29"),
    (later, "letter", lambda date: date > "2025-03-11"),
]

# %%
filters_exact = True
for where, kind, suits in cases:
    of_kind = [p for p in passages if documents[p.doc_id].kind == kind]
    right = {p.id for p in of_kind if suits(p.date)}
    same_ones = set(collection.get(where=where, include=[])["ids"]) == right
    filters_exact = filters_exact and same_ones and 0 < len(right) < len(of_kind)
    print(f"{kind:<9}{len(right):>4} of {len(of_kind)} should pass; exactly these pass: {same_ones}")

# %% [markdown]
# `where_document` looks into the text, letter by letter: equality after all, inside a database for similarity. Capitals
# count.

# %%
for code in ("BF-304", "bf-304"):
    print(code, collection.get(where_document={"$contains": code}, include=[])["ids"])

# %% [markdown]
# ## Delete, close, come back
#
# The mail about the new price list says: throw the 2025 edition away. With fields that is one line. The table in numpy
# and every other index beside the database must follow, or they go on finding the dead list.

# %%
before = collection.count()
collection.delete(where={"doc": "prices-2025"})
current = {p.id: p.text for p in passages if p.doc_id != "prices-2025"}
current_ids = list(current)
in_step = set(collection.get(include=[])["ids"]) == set(current)
print(f"{before:,} records before, {collection.count():,} after; the same as in the list `current`: {in_step}")

# %% [markdown]
# Now close the database, as at the end of the day, and open it again from its folder. Nothing is embedded again.

# %%
client.close()
client = chromadb.PersistentClient(path=str(folder / "db"), settings=quiet)
collection = client.get_collection("passages", embedding_function=MiniLM())
again = collection.query(query_texts=[question], n_results=1)["ids"][0]
print(f"{collection.count():,} records; the first hit for Sofie's question: {again[0]}")

# %% [markdown]
# ## Similarity against equality
#
# > **C39.** A vector database finds what is similar, not what is equal, and serves search and recommendation.
#
# The rival is *BM25*, the usual search by words. A passage gets points for each word of the question that stands in it:
# more for a rare word than for a common one, and less in a long passage. The library is `bm25s`. What counts as a word
# matters: a part code must stay whole.

# %%
import bm25s


def words_of(text):
    return re.findall(r"\w+(?:[-.,/]\w+)*", text.lower())


print(words_of("Price of BW-3310-S at 0.5 bar?"))
by_words = bm25s.BM25()
by_words.index([words_of(text) for text in current.values()], show_progress=False)

# %% [markdown]
# Both searches as functions that return the ids of the 50 best passages, best first. The search by meaning asks Chroma.
# At which place does each find Sofie's note?


# %%
def find_by_words(query):
    scores = by_words.get_scores(words_of(query))
    return [current_ids[row] for row in np.argsort(-scores, kind="stable")[:50] if scores[row] > 0]


def find_by_meaning(query):
    return collection.query(query_embeddings=embed([query]), n_results=50, include=[])["ids"][0]


note = "sn-dosing-chemicals#2"
for search in (find_by_words, find_by_meaning):
    print(f"{search.__name__:<16} place {search(question).index(note) + 1}")
print("in common:", set(words_of(question)) & set(words_of(current[note])))

# %% [markdown]
# BM25 asks for some words, not for all: one small word in common may be enough to be in the list. One question proves
# nothing, so take many, of two kinds.
#
# **Reworded questions.** Here are 28 descriptions, written for this course, of passages of the folder. The rule was to
# use none of the passage's content words: 5 letters or more, not counting a few such as *there*.

# %%
reworded = {
    "gl-office#8": "a proposal sent before anybody had seen the place",
    "gl-panel#13": "the digits on this cable can hardly be read any more",
    "gl-office#2": "the customer has to accept today, tomorrow it costs more",
    "gl-field#12": "the alarm light blinks and everyone ignores it",
    "gl-field#8": "emptying the pit once every twelve months",
    "gl-panel#22": "replace a circuit board without switching off the machine",
    "gl-workshop#21": "it lost some water at the beginning and then became tight on its own",
}
reworded |= {
    "gl-workshop#3": "the screw seems firm but it is loose",
    "gl-field#22": "two people go there, although one could do the work alone",
    "gl-panel#16": "one measuring instrument was adjusted with the help of a different instrument",
    "gl-panel#8": "the tank gauge shows the same height since yesterday",
    "gl-workshop#12": "the seal was made of unsuitable material",
    "gl-workshop#15": "checking with the hand how hot the engine is",
    "gl-workshop#6": "a machine that is listed in the computer although it was never built",
}
reworded |= {
    "gl-workshop#13": "the axle is full of tiny holes",
    "gl-office#7": "somebody was billed for things that a different company bought",
    "gl-field#9": "we had to drive to that place in the morning and once more in the evening",
    "gl-office#18": "this firm regularly buys the identical goods",
    "gl-workshop#2": "it was switched on while still empty",
    "gl-field#20": "the technician has to come back because the problem was not solved",
    "gl-panel#12": "mains power failed and the controller lives on its accumulator",
}

# %%
reworded |= {
    "gl-field#17": "sending one picture settles the whole thing",
    "sn-dosing-chemicals#2": "which two cleaning agents produce deadly fumes when mixed",
    "sn-lone-driver#2": "may I drive when streets are slippery in winter",
    "gu-pump-book#2": "which kind of pen for the logbook",
    "tr-customer-manners#4": "the client asks me to bypass a protective device",
    "gu-fault-codes#2": "the display lists many errors, which one should be repaired at the start",
    "gl-field#19": "voltage on the three wires differs a lot",
}
content = {i: {w for w in words_of(texts[i]) if len(w) >= 5} - {"there", "their", "which"} for i in reworded}
shared = {i: content[i] & set(words_of(text)) for i, text in reworded.items()}
print(f"{len(reworded)} descriptions; content words in common: {sum(map(len, shared.values()))}")
print("passages of a glossary:", sum(i.startswith("gl-") for i in reworded))

# %% [markdown]
# Most of them describe the jokes of the company's glossaries, whose headwords no model can know. They are harder than
# Sofie's question.
#
# **Codes.** The other way round: questions from the company's list that hold a part code or a fault code. The right
# passage must hold it too, so that equality can find it.


# %%
def codes_in(text):
    return set(re.findall(r"\bb[wf]-\w+(?:-\w+)*", text.lower()))


asking = [q for q in tune if q.passages and q.kind != "style" and codes_in(q.question)]
coded = [q for q in asking if all(codes_in(q.question) <= codes_in(current[i]) for i in q.passages)]
print(f"{len(coded)} questions with a code, {dict(Counter(q.kind for q in coded))}, such as:")
for q in coded[:3]:
    print("  ", q.question)

# %% [markdown]
# *Recall at 3* is the share of right passages among the first three hits. Predict for the **codes**: which recall at 3
# will the search by *meaning* have? From 0 to 1.

# %%
my_prediction = None
predict("C39", as_share(my_prediction), lesson="04")

# %% [markdown]
# ## Exercise 4.5: score a search
#
# **Goal:** write `recall_at(found, right, k)`. **Inputs:** the ids that were found, best first; the ids that are right,
# at least one, in any order; and `k`. **Returns:** which share of the right ones stands among the first `k` found, from
# 0 to 1.
#
# **Example:** `recall_at(["a", "b", "c"], ["c", "a"], 2)` is `0.5`: of two right ones, `a` is among the first two.


# %%
def recall_at(found, right, k):
    ### BEGIN SOLUTION
    return len(set(found[:k]) & set(right)) / len(set(right))
    ### END SOLUTION


recall_at = check("4.5", recall_at)

# %% [markdown]
# Stuck? `hint("4.5")`, then `solution("4.5")`. Now both searches on both sets:

# %%
sets = {
    "reworded": [(text, [i]) for i, text in reworded.items()],
    "codes": [(q.question, q.passages) for q in coded],
}
both_ways = {
    (name, search.__name__): [recall_at(search(text), right, 3) for text, right in asked_for]
    for name, asked_for in sets.items()
    for search in (find_by_words, find_by_meaning)
}


# %% [markdown]
# The interval is Wilson's, as in lesson 03: it does not shrink to nothing where no answer is right. *By chance* is what
# three passages drawn at random would reach.


# %%
def interval(marks, z=1.96):
    p, n = np.mean(marks), len(marks)
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max(0.0, (middle - half) / (1 + z**2 / n)), min(1.0, (middle + half) / (1 + z**2 / n))


for (name, search), marks in both_ways.items():
    print(f"{name:<9} {search:<16} recall at 3: {np.mean(marks):.0%} ({'{:.0%} to {:.0%}'.format(*interval(marks))})")
print(f"by chance: {3 / len(current):.1%}")

# %%
fig, ax = chart("Similarity against equality", x="questions", y="recall at 3 (%)")
for i, ((_, search), marks) in enumerate(both_ways.items()):
    place, low_high, j = i // 2 + (i % 2 - 0.5) * 0.36, interval(marks), i % 2
    mean, label = 100 * np.mean(marks), search.replace("_", " ") if i < 2 else ""
    error = [[mean - 100 * low_high[0]], [100 * low_high[1] - mean]]
    ax.bar(place, mean, 0.34, yerr=error, capsize=4, color=COLOURS[j], hatch=HATCHES[j], edgecolor="white", label=label)
    ax.annotate(f"{mean:.0f} %", (place + 0.09, mean), ha="center", va="bottom")
ax.set_xticks(range(2), labels=[f"{name} ({len(asked_for)})" for name, asked_for in sets.items()])
ax.set_ylim(0, 105)
ax.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))
alt = "; ".join(f"{name}, {s.replace('_', ' ')} {np.mean(m):.0%}" for (name, s), m in both_ways.items())
show(fig, f"Bar chart of recall at 3 with 95 % intervals: {alt}.")

# %% [markdown]
# The descriptions were made so that equal words cannot help: that BM25 fails there is no surprise. What the embedding
# finds beyond chance it finds by topic and meaning, perhaps also by short words. A code such as BW-3310-S has no
# meaning that it could have learnt. Some of its misses among the descriptions:

# %%
missed = [(i, text) for i, text in reworded.items() if i not in find_by_meaning(text)[:3]]
print(f"{len(missed)} of {len(reworded)} missed")
for i, text in missed[:4]:
    print(f"{text}\n    looked for: {texts[i][:100]}\n    found:      {texts[find_by_meaning(text)[0]][:100]}")

# %% [markdown]
# ## Both together
#
# The scores of the two searches cannot be added: a cosine ends at 1, BM25's points do not. *Reciprocal rank fusion*
# takes the ranks instead. A passage gets 1 / (60 + rank) from each list that it stands in; the sum decides. The 60
# comes from [the paper that proposed it](https://dl.acm.org/doi/10.1145/1571941.1572114); with it, the first place
# counts only a little more than the second.
#
# ## Exercise 4.6: fuse two lists
#
# **Goal:** write `fuse(rankings, k=60)`. **Inputs:** a list of lists of ids, each best first; the constant. Ranks begin
# at 1. **Returns:** all ids, the highest sum of 1 / (k + rank) first. Of two with the same sum, the one met first (in
# the first list, from its top, then in the second) comes first.
#
# **Example:** `fuse([["a", "b"], ["b", "c"]])` is `["b", "a", "c"]`: only `b` gets points from both.


# %%
def fuse(rankings, k=60):
    ### BEGIN SOLUTION
    sums = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking, start=1):
            sums[one] = sums.get(one, 0) + 1 / (k + rank)
    return sorted(sums, key=lambda one: -sums[one])
    ### END SOLUTION


fuse = check("4.6", fuse)

# %% [markdown]
# Stuck? `hint("4.6")`, then `solution("4.6")`. Now the real test, on the questions of the *test* split, which nothing
# so far has looked at. Five kinds have passages to find: a single fact, a row of a table, a fact that changed, a word
# of the company's own (*jargon*), and a question that needs two passages. The second measure, *MRR* (mean reciprocal
# rank), is the mean of 1 / rank of the first right passage.

# %%
kinds = ("single_fact", "table_lookup", "changed_fact", "jargon", "two_passages")
test = [q for kind in kinds for q in corpus.questions(split="test", kind=kind)]
test_vectors = embed([q.question for q in test])
rankings = {
    "words": [find_by_words(q.question) for q in test],
    "meaning": collection.query(query_embeddings=test_vectors, n_results=50, include=[])["ids"],
}
rankings["both"] = [fuse([list(w), list(m)]) for w, m in zip(rankings["words"], rankings["meaning"], strict=True)]
print(f"{len(test)} questions:", dict(Counter(q.kind for q in test)))


# %%
from expert.evaluate import bootstrap


def first_rank(found, right):
    return next((1 / rank for rank, one in enumerate(found, 1) if one in right), 0.0)


recalls_at_3 = {}
print(f"{'':<9}{'recall at 1':>12}{'at 3':>7}{'at 10':>7}{'MRR':>7}   95 % intervals of recall at 3 and MRR")
for name, found in rankings.items():
    at = {k: [recall_at(list(f), q.passages, k) for f, q in zip(found, test, strict=True)] for k in (1, 3, 10)}
    recalls_at_3[name] = np.array(at[3])
    mrr = [first_rank(f, q.passages) for f, q in zip(found, test, strict=True)]
    row = "".join(f"{np.mean(at[k]):>{w}.0%}" for k, w in ((1, 12), (3, 7), (10, 7)))
    low_high = "{:.0%} to {:.0%}, ".format(*bootstrap(at[3])) + "{:.2f} to {:.2f}".format(*bootstrap(mrr))
    print(f"{name:<9}{row}{np.mean(mrr):>7.2f}   {low_high}")

# %% [markdown]
# Do not compare the intervals of two rows. The same questions went through all three searches, so look at the
# difference on each question. Where its interval holds 0, call it a draw.

# %%
for other in ("words", "meaning"):
    differences = recalls_at_3["both"] - recalls_at_3[other]
    low, high = (100 * end for end in bootstrap(differences))
    print(f"recall at 3, both minus {other:<8}{100 * differences.mean():+.0f} points ({low:+.0f} to {high:+.0f})")

# %%
fig, ax = chart("Three searches on the test questions", x="kind of question", y="recall at 3 (%)", figsize=(9, 4))
at_3 = {
    (kind, name): [mark for mark, q in zip(marks, test, strict=True) if q.kind == kind]
    for kind in kinds
    for name, marks in recalls_at_3.items()
}
for n, ((kind, name), marks) in enumerate(at_3.items()):
    x, i = kinds.index(kind) + (n % 3 - 1) * 0.28, n % 3
    mean, low, high = 100 * np.mean(marks), *(100 * v for v in interval(marks))
    error, label = [[mean - low], [high - mean]], name if n < 3 else ""
    ax.bar(x, mean, 0.26, yerr=error, capsize=3, color=COLOURS[i], hatch=HATCHES[i], edgecolor="white", label=label)
counts = Counter(q.kind for q in test)
ax.set_xticks(range(5), labels=[f"{kind.replace('_', ' ')}\n({counts[kind]})" for kind in kinds])
ax.set_ylim(0, 103)
ax.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.3))
by_kind = {kind: ", ".join(f"{name} {np.mean(at_3[kind, name]):.0%}" for name in rankings) for kind in kinds}
alt = "; ".join(f"{kind.replace('_', ' ')}: {values}" for kind, values in by_kind.items())
show(fig, f"Bar chart of recall at 3 with 95 % intervals. {alt}.")

# %% [markdown]
# Questions that need two passages are hard for every search. The first passage names the pump that the question only
# describes; the second is about that pump. Which of the two is lost?

# %%
pairs_asked = [(n, q.passages) for n, q in enumerate(test) if q.kind == "two_passages"]
for name, found in rankings.items():
    first, second = (np.mean([right[i] in found[n][:3] for n, right in pairs_asked]) for i in (0, 1))
    print(f"{name:<9} first passage among three: {first:.0%}, second: {second:.0%}")

# %% [markdown]
# A search that looks once can hardly know the pump's name. You would search again, with the name from the first
# passage.
#
# ### Back to Sofie
#
# Her question and her part code, in the three searches: at which places do the right passages stand?

# %%
right_for = {question: [note], "BW-3310-S": [i for i, text in current.items() if "BW-3310-S" in text]}
for typed, right in right_for.items():
    lists = {"words": find_by_words(typed), "meaning": find_by_meaning(typed)}
    lists["both"] = fuse([list(lists["words"]), list(lists["meaning"])])
    for name, found in lists.items():
        print(f"{typed[:12]:<13} {name:<8}", sorted(found.index(i) + 1 for i in right if i in found))

# %%
asked_codes = [asked_text for asked_text, _ in sets["codes"]]
by_meaning = collection.query(query_embeddings=embed(asked_codes), n_results=50, include=[])["ids"]
fused = [fuse([find_by_words(q), list(found)]) for q, found in zip(asked_codes, by_meaning, strict=True)]
codes_both = [recall_at(found, right, 3) for found, (_, right) in zip(fused, sets["codes"], strict=True)]
of_codes = {how: np.mean(both_ways["codes", f"find_by_{how}"]) for how in ("words", "meaning")}
shares = of_codes | {"both": np.mean(codes_both)}
print("questions with a code, recall at 3:", ", ".join(f"{how} {share:.0%}" for how, share in shares.items()))

# %% [markdown]
# For a code alone, the list by meaning only puts other parts between the right ones. So look first whether somebody
# typed nothing but a code, and if so, search by words alone.
#
# ## A short cut
#
# Exact search compares with every row. An *approximate* search does not, and may miss some. Chroma's is called *HNSW*:
# a graph in which each vector is linked to some near ones. A search starts in a sparse top layer and always walks to
# the neighbour that is nearest to the question.

# %%
picture(
    "04-hnsw.svg",
    "Drawing: three layers of points: three on top, seven in the middle, all of them at the bottom. A walk starts "
    "above, goes to the point nearest to the question, steps down a layer, and goes on until no neighbour is nearer.",
)

# %% [markdown]
# Three settings matter: `max_neighbors` (links of each vector), `ef_construction` (how many candidates are looked at
# while building) and `ef_search` (the same while searching). More of each should find more and take longer.
#
# Brightwater's folder is too small to show that. So make more vectors. They must be spread like real ones, or the
# result says nothing. `made_up` blends vectors and tries to keep each place as crowded as it was.

# %%
from expert.retrieval import made_up, neighbour_distances

crowd = made_up(vectors, 10_000)
some = np.random.default_rng(0).permutation(10_000)[:500]
distances = {
    "real": neighbour_distances(vectors, vectors, 10, itself=True),
    "made up": neighbour_distances(crowd[some], crowd, 10, itself=True),
}
for name, table in distances.items():
    quarters = ", ".join(f"{v:.2f}" for v in np.quantile(table[:, 9], (0.25, 0.5, 0.75)))
    print(f"{name:<8} distance to the 10th neighbour, quartiles: {quarters}")

# %%
fig, ax = chart("Are the made-up vectors like the real ones?", x="cosine distance", y="share of vectors below it (%)")
for i, (name, table) in enumerate(distances.items()):
    for j, rank in enumerate((1, 10)):
        line = np.sort(table[:, rank - 1])
        label = f"{name}, neighbour {rank}"
        ax.plot(line, np.linspace(0, 100, len(line)), color=COLOURS[i], linestyle=LINES[2 * j + i], label=label)
ax.legend(fontsize=9)
medians = {name: np.median(table[:, [0, 9]], axis=0) for name, table in distances.items()}
alt = "; ".join(f"{name} {a:.2f} and {b:.2f}" for name, (a, b) in medians.items())
show(fig, f"Line chart of distances to the 1st and 10th neighbour. Medians: {alt}.")

# %% [markdown]
# Alike in the middle, not at the ends: the real ones have more twins, such as rows of the two price lists, and more
# loners. Take what follows as a rough guide. Now build, and measure two things of each search: how long it takes, and
# which share of the true ten nearest it finds. That share is your `recall_at`. numpy gets one processor core: with
# more, its times jump when another program runs.

# %%
from threadpoolctl import threadpool_limits

lab = chromadb.PersistentClient(path=str(folder / "lab"), settings=quiet)


def build(name, rows, **settings):
    hnsw = {"space": "cosine", **settings}
    if name in [old.name for old in lab.list_collections()]:  # from an earlier run of the cell
        lab.delete_collection(name)
    made = lab.create_collection(name, embedding_function=None, configuration={"hnsw": hnsw})
    for start in range(0, len(rows), largest_batch):
        part = rows[start : start + largest_batch]
        made.add(ids=[str(start + i) for i in range(len(part))], embeddings=part)
    return made


# %%
def timed(search, queries):
    search(queries[0])  # the first one loads the index
    found, seconds = [], []
    with threadpool_limits(1):
        for query in queries:
            began = time.perf_counter()
            found.append(search(query))
            seconds.append(time.perf_counter() - began)
    return found, 1000 * float(np.median(seconds))


# %%
queries = tune_vectors[:100]  # real questions


def in_collection(made):
    return lambda query: made.query(query_embeddings=[query], n_results=10, include=[])["ids"][0]


def by_product(rows):
    def search(query):
        similarities = rows @ query
        best = np.argpartition(-similarities, 10)[:10]
        return [str(i) for i in best[np.argsort(-similarities[best])]]

    return search


# %%
true_ten, exact_ms = timed(by_product(crowd), queries)
thin = {"max_neighbors": 4, "ef_construction": 20}
built = {"max_neighbors 16": build("links-16", crowd), "max_neighbors 4": build("links-4", crowd, **thin)}


def scored(made):
    found, milliseconds = timed(in_collection(made), queries)
    return float(np.mean([recall_at(list(f), t, 10) for f, t in zip(found, true_ten, strict=True)])), milliseconds


# %% [markdown]
# `ef_search` may be changed later with `modify`. But an index that is loaded goes on with its old setting, so open the
# database again.


# %%
def with_ef(name, ef):
    global lab
    lab.get_collection(name, embedding_function=None).modify(configuration={"hnsw": {"ef_search": ef}})
    lab.close()
    lab = chromadb.PersistentClient(path=str(folder / "lab"), settings=quiet)
    return lab.get_collection(name, embedding_function=None)


efforts = (10, 20, 50, 100, 200)
curves = {name: [scored(with_ef(made.name, ef)) for ef in efforts] for name, made in built.items()}
best = {name: max(recall for recall, _ in curve) for name, curve in curves.items()}
thin_curve = curves["max_neighbors 4"]
print("max_neighbors 4, a higher ef_search finds more:", thin_curve[-1][0] > thin_curve[0][0] + 0.05)
print("max_neighbors 16, best recall at least 95 %:", best["max_neighbors 16"] >= 0.95)

# %% tags=["varies"]
fig, ax = chart("Recall against time, 10,000 vectors", x="time for one search (ms, median)", y="recall at 10 (%)")
for i, (name, curve) in enumerate(curves.items()):
    found_share, times = [100 * r for r, _ in curve], [t for _, t in curve]
    ax.plot(times, found_share, color=COLOURS[i], marker=MARKERS[i], linestyle=LINES[i], label=f"HNSW, {name}")
    ax.annotate(f"{efforts[0]}", (times[0], found_share[0]), xytext=(7, -4), textcoords="offset points", fontsize=9)
    ax.annotate(f"{efforts[-1]}", (times[-1], found_share[-1]), xytext=(7, -4), textcoords="offset points", fontsize=9)
ax.plot(exact_ms, 100, color=COLOURS[2], marker="*", markersize=14, linestyle="none", label="exact, numpy")
ax.set(xlim=(0, None), ylim=(None, 103))
ax.legend(fontsize=9, title=f"ef_search {', '.join(map(str, efforts))} along each line", title_fontsize=9)
alt = "; ".join(f"{n}: " + ", ".join(f"{r:.0%} in {t:.1f} ms" for r, t in c) for n, c in curves.items())
show(fig, f"Line chart of recall against time, ef_search 10 to 200. {alt}. Exact search: all in {exact_ms:.1f} ms.")

# %% [markdown]
# A higher `ef_search` finds more. Does it also take longer? Read the times; at this size the difference may be too
# small to see. And part of building is left to chance: another build links other neighbours. So a recall is a range.
# Three builds with few neighbours, and with Chroma's own `ef_search` of 100:

# %% tags=["varies"]
three = [build(f"again-{n}", crowd, **thin) for n in range(3)]
three_recalls = [scored(made)[0] for made in three]
print(f"recall at 10 in three builds: {min(three_recalls):.1%} to {max(three_recalls):.1%}")

# %% [markdown]
# ## From which size on does it pay?
#
# Exact search compares with every vector, so it must take longer the more there are. How does the index grow? Live,
# with Chroma's own settings (`max_neighbors` 16, `ef_search` 100):

# %% tags=["varies"]
live = {}
for size in (1_000, 3_000, 10_000):
    made = with_ef("links-16", 100) if size == 10_000 else build(f"size-{size}", crowd[:size])
    live[size] = (timed(by_product(crowd[:size]), queries)[1], timed(in_collection(made), queries)[1])
    print(f"{size:>7,} vectors: exact {live[size][0]:.2f} ms, Chroma {live[size][1]:.2f} ms")

# %% [markdown]
# Larger collections take minutes to build. A script of the course's repository, `tests/benchmarks/vector_search.py`,
# did that and stored its table. A time belongs to the machine it was measured on. Where two sizes come from two
# machines, compare the searches at each size, not the sizes.

# %%
import csv

with open(data_folder() / "measurements" / "vector_search.csv", encoding="utf-8", newline="") as file:
    stored = list(csv.DictReader(file))
standard = [r for r in stored if r["max_neighbors"] in ("", "16") and r["ef_search"] in ("", "100")]
by_size = {}
for row in standard:
    by_size.setdefault(int(row["vectors"]), {}).setdefault(row["search"], []).append(row)
machine_of = {size: found["hnsw"][0]["machine"] for size, found in by_size.items()}
machines = list(dict.fromkeys(machine_of.values()))
for size, found in by_size.items():
    index_recalls = [float(r["recall_at_10"]) for r in found["hnsw"]]
    reach = f"recall {min(index_recalls):.1%} to {max(index_recalls):.1%} (builds: {len(index_recalls)})"
    print(f"{size:>9,} vectors: HNSW {reach}; machine {'ABCDEF'[machines.index(machine_of[size])]}")
for letter, machine in zip("ABCDEF", machines, strict=False):
    print(f"machine {letter}: {machine}")

# %%
times = {
    how: {n: [float(r["median_ms"]) for r in rows[how]] for n, rows in by_size.items()} for how in ("exact", "hnsw")
}
fig, ax = chart("One search in a growing collection", x="vectors", y="time for one search (ms)", figsize=(7, 4.2))
for i, (how, of_size) in enumerate(times.items()):
    for j, machine in enumerate(machines):
        some = [size for size in of_size if machine_of[size] == machine]
        label = f"{'exact, numpy' if how == 'exact' else 'HNSW in Chroma'}, machine {'ABCDEF'[j]}"
        look = {"marker": MARKERS[i], "linestyle": LINES[j], "color": COLOURS[i], "capsize": 4}
        middle = np.array([np.median(of_size[size]) for size in some])
        ends = [middle - [min(of_size[size]) for size in some], [max(of_size[size]) for size in some] - middle]
        ax.errorbar(some, middle, ends, label=label, **look)
ax.set(xscale="log", yscale="log")
ax.set_xticks(list(by_size), labels=[f"{size:,}" for size in by_size])
ax.set_yticks([0.01, 0.1, 1, 10, 100], labels=["0.01", "0.1", "1", "10", "100"])
ax.minorticks_off()
ax.legend(fontsize=9)
alt = "; ".join(
    f"{how} " + ", ".join(f"{n:,}: {np.median(t):.2f} ms" for n, t in of_size.items()) for how, of_size in times.items()
)
show(fig, f"Line chart, both axes logarithmic, one line for each machine: {alt}.")

# %%
faster = [size for size in by_size if max(times["hnsw"][size]) < min(times["exact"][size])]
longest = max(by_size)
build_seconds = np.median([float(r["build_seconds"]) for r in by_size[longest]["hnsw"]])
print("HNSW faster in all its builds, at these sizes:", ", ".join(f"{size:,}" for size in faster) or "none measured")
print("runs of exact search at each size:", {size: len(found) for size, found in times["exact"].items()})
print(f"Building the index of {longest:,} vectors took {build_seconds:,.0f} s; exact search needs no index.")

# %% [markdown]
# Between the largest size where exact search was faster and the smallest where it was not, the true crossing lies
# somewhere; if the machines differ there, it stays open. A folder like Brightwater's is far below. Do not choose a
# database for its speed then. Choose it because it keeps, filters and updates.
#
# ## The same search recommends
#
# A new ticket comes in. What did similar ones turn out to be? That is the same search with another collection. Each
# ticket carries the label of its fault (`triage`) and its day.

# %%
tickets = sorted(corpus.tickets(), key=lambda t: (t.date, t.id))
by_cosine = {"hnsw": {"space": "cosine"}}
ticket_collection = client.get_or_create_collection("tickets", embedding_function=MiniLM(), configuration=by_cosine)
ticket_collection.upsert(
    ids=[t.id for t in tickets],
    documents=[t.text for t in tickets],
    metadatas=[{"triage": t.triage, "model": t.model, "day": int(t.date.replace("-", ""))} for t in tickets],
)
print(f"{ticket_collection.count()} tickets, {tickets[0].date} to {tickets[-1].date}")

# %% [markdown]
# The newest 40 play the new tickets. For each, only *earlier* ones may be recommended: a filter on the day. Two of
# them:


# %%
def similar(ticket, k=5):
    earlier = {"day": {"$lt": int(ticket.date.replace("-", ""))}}
    return ticket_collection.query(query_texts=[ticket.text], n_results=k, where=earlier)


newest = tickets[-40:]
for new in newest[:2]:
    print("NEW:", new.text, "->", new.triage)
    recommended = similar(new, k=3)
    for text, field in zip(recommended["documents"][0], recommended["metadatas"][0], strict=True):
        print("    ", text, "->", field["triage"])

# %% [markdown]
# Compare the labels: a recommendation may be wrong altogether. How often is it right?
#
# > **C06.** Models that embed, that draw and that write are different kinds; embeddings also classify and group.
#
# Lesson 01 looked at the kinds, and trained a classifier. Here only the second half: can embeddings *classify* without
# any training, by a vote of similar past tickets, and *group* tickets without labels? Predict: for which share of the
# 40 will the vote name the right one of twelve labels? From 0 to 1.

# %%
my_prediction = None
predict("C06", as_share(my_prediction), lesson="04")

# %% [markdown]
# ## Exercise 4.7: let them vote
#
# **Goal:** write `vote(labels)`. **Input:** a list of texts, the labels of the similar tickets, nearest first, at least
# one. **Returns:** the label that occurs most often; of several that occur equally often, the one that comes first in
# the list, because it is nearer.
#
# **Examples:** `vote(["leak", "noise", "noise"])` is `"noise"`; `vote(["leak", "noise"])` is `"leak"`.


# %%
def vote(labels):
    ### BEGIN SOLUTION
    return Counter(labels).most_common(1)[0][0]
    ### END SOLUTION


vote = check("4.7", vote)

# %% [markdown]
# Stuck? `hint("4.7")`, then `solution("4.7")`. The rival does the same by words, with BM25. And chance: the twelve
# labels are about equally frequent, so a blind guess is right in one of twelve.

# %%
ticket_words = bm25s.BM25()
ticket_words.index([words_of(t.text) for t in tickets], show_progress=False)


def similar_by_words(ticket, k=5):
    order = np.argsort(-ticket_words.get_scores(words_of(ticket.text)), kind="stable")
    return [tickets[i].triage for i in order if tickets[i].date < ticket.date][:k]


# %%
agrees, voted, drawn = {"meaning": [], "words": []}, {"meaning": [], "words": []}, []
for ticket in newest:
    found = {"meaning": [field["triage"] for field in similar(ticket)["metadatas"][0]]}
    found["words"] = similar_by_words(ticket)
    for how, labels in found.items():
        agrees[how].append(np.mean([label == ticket.triage for label in labels[:3]]))
        voted[how].append(float(vote(list(labels)) == ticket.triage))
    past = [t.triage for t in tickets if t.date < ticket.date]
    drawn.append(past.count(ticket.triage) / len(past))  # what a blind draw would hit on average

# %%
uses = {"3 most similar:\nsame label": agrees, "vote of 5:\nlabel right": voted}
fig, ax = chart("Past tickets for 40 new ones", x="what is counted", y="share of labels (%)")
for i, found in enumerate(uses.values()):
    for j, (how, marks) in enumerate(found.items()):
        place, mean, low, high = i + (j - 0.5) * 0.36, 100 * np.mean(marks), *(100 * v for v in interval(marks))
        look = {"color": COLOURS[j], "hatch": HATCHES[j], "edgecolor": "white", "label": f"by {how}" if i == 0 else ""}
        ax.bar(place, mean, 0.34, yerr=[[mean - low], [high - mean]], capsize=4, **look)
        ax.annotate(f"{mean:.0f} %", (place + 0.09, mean), ha="center", va="bottom")
ax.axhline(100 / 12, color="black", linestyle=":", linewidth=1, label="chance, one of twelve")
ax.set_xticks(range(2), labels=list(uses))
ax.legend(fontsize=9, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.28))
alt = "; ".join(f"{u}, {how} {np.mean(m):.0%}".replace("\n", " ") for u, f in uses.items() for how, m in f.items())
show(fig, f"Bar chart with 95 % intervals: {alt}; chance {1 / 12:.0%}.")

# %% [markdown]
# A classifier must be trained anew when a class is added. Here one `upsert` is enough. For each of the twelve labels:
# take its past tickets away, vote for its new ones, put the past ones back, vote again. (Without them the label cannot
# be named, so the first figure shows nothing but that the test works.)


# %%
def right_votes(some):
    return sum(vote([f["triage"] for f in similar(t)["metadatas"][0]]) == t.triage for t in some)


told = Counter()
for label in sorted({t.triage for t in newest}):
    mine = [t for t in newest if t.triage == label]
    taken_out = ticket_collection.get(where={"triage": label}, include=["documents", "metadatas", "embeddings"])
    ticket_collection.delete(ids=taken_out["ids"])
    told["without"] += right_votes(mine)
    ticket_collection.upsert(**{key: taken_out[key] for key in ("ids", "documents", "metadatas", "embeddings")})
    told["put back"] += right_votes(mine)
print({name: f"{right} of {len(newest)} right" for name, right in told.items()})

# %% [markdown]
# **Group.** Nobody gives labels now: put similar tickets together until 12 groups are left. How pure are they? That is
# the share of tickets whose label is the most common one of its group. The rival groups word counts (tf-idf, as in
# lesson 01) by the same method.

# %%
from sklearn.cluster import AgglomerativeClustering
from sklearn.feature_extraction.text import TfidfVectorizer


def purity(table):
    members = {}
    for group, ticket in zip(AgglomerativeClustering(12).fit_predict(table), tickets, strict=True):
        members.setdefault(group, []).append(ticket.triage)
    return sum(labels.count(vote(list(labels))) for labels in members.values()) / len(tickets)


raw = [t.text for t in tickets]
pure = {"meaning": purity(embed(raw)), "words": purity(TfidfVectorizer().fit_transform(raw).toarray())}
print(", ".join(f"{how}: {share:.0%} pure" for how, share in pure.items()))

# %% [markdown]
# ### The verdicts
#
# The rule for C06, classify and group only: the vote by meaning is right more often than by words, with the whole
# interval of the difference above zero, and the groups are at least 10 points purer (the margin of lesson 01). It
# changed after a first result: the first rival, the most frequent label, could hardly win, and a test of one label that
# was put back hung on a tie.

# %%
gain = np.array(voted["meaning"]) - np.array(voted["words"])
low, high = (100 * end for end in bootstrap(gain))
print(f"vote by meaning minus by words: {100 * gain.mean():+.0f} points ({low:+.0f} to {high:+.0f})")
verdict(
    "C06",
    measured={"classify": float(np.mean(voted["meaning"])), "group": float(pure["meaning"])},
    supported=bool(low > 0 and pure["meaning"] >= pure["words"] + 0.1),
    scope="mechanism shown here",
    note=f"classify and group only, 40 and {len(tickets)} tickets; kinds of models: lesson 01; by words: classify "
    f"{np.mean(voted['words']):.0%}, group {pure['words']:.0%}; one of twelve by chance",
    lesson="04",
)

# %% [markdown]
# And C39, which asks for four things:
#
# - *Similar:* on reworded questions, recall at 3 by meaning is at least 50 % (less is of little use to Sofie), and 20
#   points above that by words.
# - *Not equal:* on codes, it is at least 10 points below that by words.
# - *Both kinds of data:* each filter let through the right records only.
# - *Recommendation:* similar tickets agree at least 20 points more often than drawn ones.

# %%
recall = {key: float(np.mean(marks)) for key, marks in both_ways.items()}
similar_wins = recall["reworded", "find_by_meaning"] >= max(0.5, recall["reworded", "find_by_words"] + 0.2)
equal_wins = recall["codes", "find_by_words"] >= recall["codes", "find_by_meaning"] + 0.1
recommends = bool(np.mean(agrees["meaning"]) >= np.mean(drawn) + 0.2)
parts = {"similar": similar_wins, "not equal": equal_wins, "both kinds": filters_exact, "recommendation": recommends}
print(", ".join(f"{name}: {'yes' if held else 'no'}" for name, held in parts.items()))
for name in sets:
    gain = np.array(both_ways[name, "find_by_meaning"]) - np.array(both_ways[name, "find_by_words"])
    low, high = (100 * end for end in bootstrap(gain))
    print(f"{name}: by meaning minus by words {100 * gain.mean():+.0f} points ({low:+.0f} to {high:+.0f})")

# %% [markdown]
# The thresholds were fixed beforehand and stay. Three tests behind them changed after a first result: each date now
# cuts its kind in two, codes are asked for only where the passage holds them, and the old price list is gone from both
# searches.

# %%
failed = [name for name, held in parts.items() if not held]
verdict(
    "C39",
    measured={name: recall[name, "find_by_meaning"] for name in sets},
    supported=all(parts.values()),
    scope="mechanism shown here",
    note=f"recall at 3 by meaning (you predicted codes); decided by: {', '.join(failed) or 'all four parts hold'}; by "
    f"words: reworded {recall['reworded', 'find_by_words']:.0%}, codes {recall['codes', 'find_by_words']:.0%}; "
    f"similar tickets agree {np.mean(agrees['meaning']):.0%}, drawn {np.mean(drawn):.0%}",
    lesson="04",
)

# %% [markdown]
# Where a part says no, compare its two numbers: a threshold may be missed although the difference is clear. The
# descriptions share no word of five or more letters with their passages, and most are jokes from glossaries. A larger
# model may pass (not measured).
#
# - *Scope:* one embedding model, one company, 28 descriptions by one author. Generation from what was found
# belongs to the claim too; lesson 05 does that.
#
# ## A server for a team
#
# So far the database was part of this notebook, and only one program at a time may have its folder open. A team runs it
# as a *server*: one program holds the folder, all others ask it. The command is
#
# - `chroma run --path FOLDER --host 127.0.0.1 --port 8000`
#
# `127.0.0.1` is the address by which a machine speaks to itself: nobody else can reach it. `serve` starts that command
# on a free port and ends it with the block.

# %%
from expert import retrieval

client.close()
with retrieval.serve(folder / "db") as server:
    own_settings = Settings(anonymized_telemetry=False)  # HttpClient writes the server's address into its settings
    remote = chromadb.HttpClient(host=server.host, port=server.port, settings=own_settings)
    names = sorted(made.name for made in remote.list_collections())
    shared_passages = remote.get_collection("passages", embedding_function=MiniLM())
    over_http = shared_passages.query(query_texts=[question], n_results=1)["ids"][0]
    import psutil

    listening = {c.laddr.ip for c in psutil.Process(server.pid).net_connections() if c.status == "LISTEN"}
print(names, over_http, "listens on", listening)
client = chromadb.PersistentClient(path=str(folder / "db"), settings=quiet)  # the folder is ours again
collection, ticket_collection = (client.get_collection(n, embedding_function=MiniLM()) for n in ("passages", "tickets"))

# %%
try:
    remote.heartbeat()
    print("The server still answers.")
except Exception as error:
    print("After the block nobody answers:", type(error).__name__)

# %% [markdown]
# The same `query`, another client. The vectors were made here, in the notebook: the server only keeps and compares
# them. Whoever reaches such a server can read and delete everything, because it asks for no password.
#
# ## From now on
#
# `expert.retrieval` holds what you built: an index that is upserted by id and searched by meaning, by words or by both.
# Lesson 05 uses it.

# %%
few = [p for p in passages if p.doc_id.startswith(("sn-", "gl-"))]
with retrieval.open_index(folder / "course", embedder) as index:
    index.upsert([retrieval.Record(p.id, p.text, {"doc": p.doc_id}) for p in few], progress=False)
    for how in ("meaning", "words", "both"):
        print(f"{how:<8}", [hit.id for hit in index.search(question, k=2, how=how)])

# %% [markdown]
# Tidy up: close what is open and delete the temporary folder.

# %%
for opened in (lab, client):
    opened.close()
temporary.cleanup()
print("Deleted:", not folder.exists())

# %% [markdown]
# ## Your ledger

# %% tags=["varies"]
print(ledger())

# %% [markdown]
# ## Quiz
#
# Answer with a letter, or with several: `quiz("4.2", "a, c")`.

# %%
quiz("4")

# %% [markdown]
# ## In practice
#
# - Part codes, order numbers and names often go wrong with embeddings alone, which is why many searches run both and
#   fuse by rank ([an explanation with
#   examples](https://random.qmx.me/posts/2026/02/26/the-art-of-combining-opinions)). Measure whether that helps on
#   your questions, and look at codes apart.
# - The settings of the index stand in [Chroma's documentation](https://docs.trychroma.com/docs/collections/configure).
#   `ef_search` can be changed later; `space`, `max_neighbors` and `ef_construction` cannot.
# - An HNSW index must lie in memory. Chroma's makers measured how many vectors a rented machine holds and what it costs
#   a month ([performance](https://docs.trychroma.com/deployment/performance)).
# - A collection belongs to the model that made its vectors. Another embedding model means: embed everything again. And
#   only one program at a time may have a folder open ([system
#   constraints](https://cookbook.chromadb.dev/core/system_constraints)); more than one need a server.
# - MiniLM reads only so many tokens and cuts off the rest without a word. Lesson 05 cuts long documents first. Do
#   Brightwater's passages fit?

# %%
longest_text = max(len(tokens) for tokens in embedder.tokenizer([*texts.values()])["input_ids"])
print(f"The longest passage has {longest_text} tokens; the model reads {embedder.max_seq_length}.")

# %% [markdown]
# ## On the real Phi-3
#
# No language model was asked anything in this lesson. With `PROFILE = "phi3"` only the source of MiniLM changes: it
# comes from the hub instead of the installed package. They are the same weights, so expect the same hits.

# %% [markdown]
# ## What you can do now
#
# You can turn texts into vectors and search them exactly; keep them in a database with fields, filters and updates;
# tell when words beat meaning, and join the two; measure recall against time; and recommend from the past.
#
# Next: lesson 05 puts what was found into a prompt, and lets the model answer with its sources.
