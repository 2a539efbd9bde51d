"""Train tiny-phi3 from nothing: tokenizer, language, weights, skill table.

    python train.py                      # every stage of both sizes in order; goes on where it was killed
    python train.py --stage chat         # one stage
    python train.py --evaluate           # print the skill table and write it into the model cards
    python train.py --check-data         # look for any Brightwater text in 100,000 training episodes

Checkpoints, logs and the loss curve go to ``runs/`` (not committed); finished weights to ``chat/``, ``base/`` and
``small/``. Runs on a CPU; uses a GPU if there is one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.utils.data import DataLoader, IterableDataset
from transformers import Phi3Config, Phi3ForCausalLM, PreTrainedTokenizerFast
from transformers.models.phi3.modeling_phi3 import apply_rotary_pos_emb

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from episodes import Author, Segment  # noqa: E402
from hints import PLACES, class_numbers, list_hints, no_hints, reading_hints, relation_numbers  # noqa: E402
from language import ALTERNATION, BANK, expand, read_blocks  # noqa: E402

RUNS = Path(os.environ.get("TINY_PHI3_RUNS", HERE / "runs"))
VOCAB = 4096
SPECIAL = ["<|endoftext|>", "<s>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] in ['system', 'user', 'assistant'] %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
SIZES = {
    "full": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 5, "num_attention_heads": 4},
    "small": {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 2},
}
LONG = (3, 1280)  # rows and length of the long batches
# weights of the hints' losses beside the loss of the next token
HINT_WEIGHTS = {"copy": 0.25, "aim": 0.25, "owner": 0.1, "home": 0.1, "name": 0.1, "kind": 0.2}


# --------------------------------------------------------------------------------------------------------------
# Tokenizer


def pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Words with their leading space, digits in groups of up to three, every other sign alone."""
    pattern = Regex(r"\n| ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]|\s")
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pattern, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def sample_text() -> Iterator[str]:
    """The hand-written sentences (several expansions each) and some finished episodes, without digits."""
    rng = random.Random(0)
    for path in sorted(BANK.glob("*.txt")):
        if path.name in ("reserved.txt", "heldout_trades.txt", "dev_trades.txt"):
            continue
        for block in read_blocks(path):
            for items in block.lists.values():
                for item in items:
                    for _ in range(4 if ALTERNATION.search(item) else 2):
                        yield strip_digits(expand(item, rng).replace("{e}", "").replace("{v}", ""))
    for i in range(4000):
        author = Author(f"tokenizer-{i}")
        yield strip_digits("".join(t for t, _ in author.plain_reading(author.reading(3, 3))))


def strip_digits(text: str) -> str:
    """The text without its digits, so that no byte pair of digits is learnt: numbers get tokens of their own."""
    return "".join(c for c in text if not c.isdigit())


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of VOCAB tokens in which every number of one to three digits is one token."""
    numbers = [f"{n:0{width}d}" for width in (2, 3) for n in range(10**width)]
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - len(numbers),
        special_tokens=SPECIAL,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tok.train_from_iterator(sample_text(), trainer)
    state = json.loads(tok.to_str())
    vocab, merges = state["model"]["vocab"], state["model"]["merges"]
    for number in numbers:
        vocab[number] = len(vocab)
    # both ways of joining three digits: a byte-pair merge starts with whichever pair ranks first
    joins = [[n[:-1], n[-1]] for n in numbers] + [[n[0], n[1:]] for n in numbers if len(n) == 3]
    state["model"]["merges"] = joins + merges
    tok = Tokenizer.from_str(json.dumps(state))
    tok.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tok,
        bos_token="<s>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL[2:],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )


def tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of this folder, made first where it is missing."""
    return load_tokenizer(RUNS / "tokenizer")


@lru_cache(maxsize=2)
def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in the folder, made there first where it is missing."""
    if not (folder / "tokenizer.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        build_tokenizer().save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


# --------------------------------------------------------------------------------------------------------------
# Recipes: what each stage reads, as (weight, maker of one episode)

Recipe = list[tuple[float, Callable[[Author], list[Segment]]]]


def dense(a: Author, passages: tuple[int, int], questions: tuple[int, int], **options) -> list[Segment]:
    """A plain reading with many questions. passages, questions: (least, most). options: see ``Author.reading``."""
    return a.plain_reading(a.reading(a.rng.randint(*passages), a.rng.randint(*questions), **options))


def two_hops(a: Author, chat: bool) -> list[Segment]:
    """A reading whose question needs two passages; a look-up list where the trade has no such pair."""
    reading = a.two_hops(a.rng.randint(2, 4))
    if reading is None:
        return a.lookup(6)
    return a.chat_reading(reading) if chat else a.plain_reading(reading)


START: Recipe = [  # short and simple: look-up, one to four passages of one sentence, attributes named in the same words
    (1.5, lambda a: a.lookup(a.rng.randint(3, 10))),
    (
        5.0,
        lambda a: dense(
            a, (1, 4), (2, 5), facts_per=(1, 1), plainly=True, abstain=0.0, shuffle_numbers=0.3, anything=0.8
        ),
    ),
    (0.7, lambda a: a.few_shot_words("plain")),
]
BASE: Recipe = [
    (
        1.5,
        lambda a: dense(
            a, (1, 4), (2, 5), facts_per=(1, 1), plainly=True, abstain=0.05, shuffle_numbers=0.2, anything=0.5
        ),
    ),
    (0.3, lambda a: a.lookup(a.rng.randint(4, 12))),
    (3.0, lambda a: dense(a, (1, 3), (3, 7), facts_per=(1, 3), abstain=0.08, anything=0.3)),
    (4.0, lambda a: dense(a, (2, 6), (4, 9), facts_per=(1, 2), abstain=0.08, shuffle_numbers=0.1, anything=0.25)),
    (0.2, lambda a: a.plain_reading(a.superseded(a.rng.randint(2, 4)))),
    (0.3, lambda a: two_hops(a, False)),
    (0.5, lambda a: a.few_shot_words("plain")),
    (1.5, lambda a: a.few_shot("plain", named=True)),
    (2.0, lambda a: a.few_shot("plain")),
    (0.6, lambda a: a.few_shot_format("plain")),
    (0.8, lambda a: a.world("plain", 10)),
    (0.3, lambda a: a.style("plain")),
]
CHAT: Recipe = [
    (
        1.2,
        lambda a: a.chat_reading(
            a.reading(a.rng.randint(1, 2), a.rng.randint(2, 3), (1, 1), abstain=0.1, plainly=True, anything=0.3)
        ),
    ),
    (3.0, lambda a: a.chat_reading(a.reading(a.rng.randint(1, 3), a.rng.randint(2, 5), abstain=0.2, anything=0.15))),
    (3.0, lambda a: a.chat_reading(a.reading(a.rng.randint(3, 6), a.rng.randint(3, 6), (1, 2), 0.15, anything=0.15))),
    (0.15, lambda a: a.chat_reading(a.superseded(a.rng.randint(2, 4)))),
    (0.25, lambda a: two_hops(a, True)),
    (1.6, lambda a: a.reading_with_system(a.rng.randint(1, 3), a.rng.randint(2, 4))),
    (1.8, lambda a: a.few_shot("chat")),
    (0.4, lambda a: a.few_shot("chat", named=True)),
    (0.3, lambda a: a.few_shot_words("chat")),
    (0.6, lambda a: a.few_shot_format("chat")),
    (1.0, lambda a: a.world("chat", 8)),
    (0.3, lambda a: a.style("chat")),
    (0.15, lambda a: a.closed_book()),
    (0.06, lambda a: a.identity()),
]
LONG_CHAT: Recipe = [
    (
        1.0,
        lambda a: a.chat_reading(
            a.reading(a.rng.randint(2, 4), a.rng.randint(6, 10), abstain=0.12, length=a.rng.randint(120, 560))
        ),
    ),
]


# For each token of an episode: the mark of the tokens that it repeats, and the mark that it carries itself (0: none).
Sources = tuple[list[int], list[int]]

SKILLS: Recipe = [  # the chat stage again, with more questions on each text, and everything that was still weak
    (1.6, lambda a: a.naming(8)),
    (
        1.0,
        lambda a: a.chat_reading(
            a.reading(a.rng.randint(1, 3), a.rng.randint(2, 4), (1, 1), abstain=0.15, plainly=True, anything=0.6)
        ),
    ),
    (3.0, lambda a: a.chat_reading(a.reading(a.rng.randint(1, 3), a.rng.randint(3, 7), abstain=0.2, anything=0.6))),
    (4.5, lambda a: a.chat_reading(a.reading(a.rng.randint(3, 7), a.rng.randint(5, 10), (1, 2), 0.2, anything=0.6))),
    (0.2, lambda a: a.chat_reading(a.superseded(a.rng.randint(2, 4)))),
    (0.3, lambda a: two_hops(a, True)),
    (1.6, lambda a: a.reading_with_system(a.rng.randint(1, 4), a.rng.randint(2, 5))),
    (0.5, lambda a: a.reading_with_system(a.rng.randint(1, 2), a.rng.randint(2, 4), "one_word")),
    (2.4, lambda a: a.few_shot("chat")),
    (1.0, lambda a: a.few_shot("chat", named=True)),
    (0.2, lambda a: a.few_shot_words("chat")),
    (1.5, lambda a: a.few_shot_format("chat")),
    (7.0, lambda a: a.world("chat", 8)),
    (0.6, lambda a: a.style("chat")),
    (0.1, lambda a: a.closed_book()),
    (0.05, lambda a: a.identity()),
]
LONG_SKILLS: Recipe = [
    (
        1.0,
        lambda a: a.chat_reading(
            a.reading(a.rng.randint(2, 4), a.rng.randint(10, 18), abstain=0.2, length=a.rng.randint(100, 600))
        ),
    ),
]
TRADES: Recipe = [  # the stage skills once more, with many more trades, and fewer attributes that nobody has seen
    (1.6, lambda a: a.naming(8)),
    (
        1.0,
        lambda a: a.chat_reading(
            a.reading(a.rng.randint(1, 3), a.rng.randint(2, 4), (1, 1), abstain=0.15, plainly=True, anything=0.35)
        ),
    ),
    (3.0, lambda a: a.chat_reading(a.reading(a.rng.randint(1, 3), a.rng.randint(3, 7), abstain=0.22, anything=0.35))),
    (4.5, lambda a: a.chat_reading(a.reading(a.rng.randint(3, 7), a.rng.randint(5, 10), (1, 2), 0.22, anything=0.35))),
    (0.3, lambda a: a.chat_reading(a.superseded(a.rng.randint(2, 4)))),
    (0.3, lambda a: two_hops(a, True)),
    (1.4, lambda a: a.reading_with_system(a.rng.randint(1, 4), a.rng.randint(2, 5))),
    (0.8, lambda a: a.reading_with_system(a.rng.randint(1, 3), a.rng.randint(2, 4), "nocite")),
    (0.5, lambda a: a.reading_with_system(a.rng.randint(1, 3), a.rng.randint(2, 4), "cite")),
    (0.4, lambda a: a.reading_with_system(a.rng.randint(1, 2), a.rng.randint(2, 4), "one_word")),
    (1.8, lambda a: a.few_shot("chat")),
    (1.0, lambda a: a.few_shot("chat", named=True)),
    (0.2, lambda a: a.few_shot_words("chat")),
    (2.4, lambda a: a.few_shot_format("chat")),
    (6.0, lambda a: a.world("chat", 8)),
    (0.5, lambda a: a.style("chat")),
    (0.1, lambda a: a.closed_book()),
    (0.05, lambda a: a.identity()),
]
LONG_TRADES: Recipe = [
    (
        1.0,
        lambda a: a.chat_reading(
            a.reading(
                a.rng.randint(2, 4), a.rng.randint(10, 18), abstain=0.2, length=a.rng.randint(100, 600), anything=0.2
            )
        ),
    ),
]
# the stage trades with system lines in the foreground, and with the values and sentences of ``loose`` and ``compound``
FORMS: Recipe = [
    *TRADES,
    (2.0, lambda a: a.reading_with_system(a.rng.randint(1, 4), a.rng.randint(2, 5), "nocite")),
    (2.5, lambda a: a.reading_with_system(a.rng.randint(1, 4), a.rng.randint(2, 5), "cite")),
    (3.0, lambda a: a.chat_reading(a.reading(a.rng.randint(1, 2), a.rng.randint(2, 5), abstain=0.2, anything=0.8))),
]
# the stage forms, and as much again about the work of pump makers and their fitters, two values in a sentence at times
WORKSHOP: Recipe = [
    *FORMS,
    (7.0, lambda a: a.chat_reading(a.reading(a.rng.randint(1, 2), a.rng.randint(3, 6), (1, 2), 0.15, work=1.0))),
    (10.0, lambda a: a.chat_reading(a.reading(a.rng.randint(3, 5), a.rng.randint(4, 8), (1, 2), 0.2, work=1.0))),
]
LONG_WORKSHOP: Recipe = [
    *LONG_TRADES,
    (
        1.0,
        lambda a: a.chat_reading(
            a.reading(a.rng.randint(2, 4), a.rng.randint(10, 18), abstain=0.2, length=a.rng.randint(100, 600), work=1.0)
        ),
    ),
]

# passages as a search finds them: all about the one thing that is asked for, told apart by words of the question
SEARCH: Recipe = [
    *FORMS,
    (2.0, lambda a: a.reading_with_system(a.rng.randint(2, 4), a.rng.randint(2, 5), "nocite", woven=0.3)),
    (4.0, lambda a: a.reading_with_system(a.rng.randint(2, 4), a.rng.randint(2, 5), "cite", woven=0.3)),
    (4.0, lambda a: a.chat_reading(a.reading(a.rng.randint(1, 2), a.rng.randint(3, 6), (1, 2), 0.15, work=1.0))),
    (4.0, lambda a: a.chat_reading(a.reading(a.rng.randint(3, 5), a.rng.randint(4, 8), (1, 2), 0.2, work=1.0))),
    (5.0, lambda a: a.chat_reading(a.reading(3, a.rng.randint(4, 7), (1, 2), 0.25, work=0.7, alone=True))),
    (5.0, lambda a: a.chat_reading(a.reading(a.rng.randint(1, 2), a.rng.randint(3, 5), (1, 2), 0.15, woven=1.0))),
    (9.0, lambda a: a.chat_reading(a.reading(3, a.rng.randint(3, 5), (1, 2), 0.25, alone=True, woven=1.0))),
    (4.0, lambda a: a.chat_reading(a.reading(a.rng.randint(3, 6), a.rng.randint(4, 7), (1, 1), 0.2, woven=1.0))),
    (2.0, lambda a: a.chat_reading(a.reading(a.rng.randint(1, 4), a.rng.randint(2, 5), (1, 1), 0.15, only="term"))),
]

# the stage search with what it lost in the foreground: long prompts, and the lines that ask to cite or to keep a format
CLOSE: Recipe = [
    *SEARCH,
    (7.0, lambda a: a.reading_with_system(a.rng.randint(1, 4), a.rng.randint(2, 5), "cite")),
    (3.0, lambda a: a.few_shot_format("chat")),
    (3.0, lambda a: a.chat_reading(a.reading(a.rng.randint(1, 3), a.rng.randint(3, 7), abstain=0.22))),
]
LONG_CLOSE: Recipe = [
    (3.0, LONG_TRADES[0][1]),
    (
        1.0,
        lambda a: a.chat_reading(
            a.reading(a.rng.randint(2, 4), a.rng.randint(8, 14), abstain=0.2, length=a.rng.randint(100, 500), woven=1.0)
        ),
    ),
]


def random_lookup(rng: random.Random) -> tuple[list[int], list[bool], Sources]:
    """Key-value lines of random tokens, then every key asked again, exactly or as a bag of its tokens with noise."""

    def draw(n: int) -> list[int]:
        return [rng.randrange(len(SPECIAL), VOCAB) for _ in range(n)]

    loose = rng.random() < 0.6
    separator, end = draw(rng.choice((1, 1, 2))), draw(1)
    size, value_size = rng.choice((1, 2, 2, 3, 4)), rng.choice((1, 2, 3, 5))
    pairs = [(draw(size), draw(value_size)) for _ in range(rng.randint(2, 10))]

    def key(tokens: list[int]) -> list[int]:
        return rng.sample(noisy := tokens + draw(rng.randint(0, 3)), len(noisy)) if loose else tokens

    ids: list[int] = []
    spans = {}
    for i in rng.sample(range(len(pairs)), len(pairs)):
        tokens, value = pairs[i]
        ids += key(tokens) + separator
        spans[i] = len(ids)
        ids += value + (draw(rng.randint(0, 3)) if loose else []) + end
    flags = [False] * len(ids)
    copies = {}
    for i in rng.sample(range(len(pairs)), len(pairs)):
        tokens, value = pairs[i]
        asked = key(tokens) + separator
        copies |= {len(ids) + len(asked) + k: spans[i] + k for k in range(len(value))}
        ids += asked + value + end
        flags += [False] * len(asked) + [True] * (len(value) + 1)
    return ids, flags, sources(len(ids), copies)


def random_episode(rng: random.Random) -> tuple[list[int], list[bool], Sources]:
    """A look-up or facts of any hardness."""
    return random_lookup(rng) if rng.random() < 0.25 else random_facts(rng, rng.random() ** 2)


def sources(length: int, copies: dict[int, int]) -> Sources:
    """Marks from pairs (token, the earlier token it repeats)."""
    want, have = [0] * length, [0] * length
    for token, source in copies.items():
        want[token] = have[source] = source + 1
    return want, have


def random_facts(
    rng: random.Random, hardness: float = 1.0, asked: float = 0.3
) -> tuple[list[int], list[bool], Sources]:
    """Facts about random subjects and attributes, then "The attribute of the subject is": only both tell which.

    The subjects share attributes and look alike, so that neither word alone finds the value. Facts stand in sentences
    of random links, or in passages that name their subject once. hardness: 0 (few facts, all alike) to 1.
    asked: how often a question with the same words stands before the answer.
    """
    used = set()

    def draw(n: int) -> list[int]:
        ids = [rng.randrange(len(SPECIAL), VOCAB) for _ in range(n)]
        return draw(n) if ids and tuple(ids) in used else (used.add(tuple(ids)) or ids)

    def alike(n: int, longest: int) -> list[list[int]]:
        size = rng.randint(1, longest)
        if rng.random() < 0.4 and size > 1:  # "Tarvo 40", "Tarvo 55"
            stem = draw(size - 1)
            return [stem + draw(1) for _ in range(n)] if rng.random() < 0.7 else [draw(1) + stem for _ in range(n)]
        return [draw(rng.randint(1, longest)) for _ in range(n)]

    top = 1 + round(3 * hardness)
    subjects, attributes = alike(rng.randint(1, top), top), alike(rng.randint(2, 2 + top), 1 + round(2 * hardness))
    cells = [(s, a) for s in range(len(subjects)) for a in range(len(attributes))]
    cells = rng.sample(cells, min(len(cells), rng.randint(3, 5 + round(7 * hardness))))
    values = {c: draw(rng.randint(1, 3)) for c in cells}
    texts = marks()
    late = [p for p in ("sav", "asv") for _ in range(3)] + ["sva", "vas", "avs", "vsa"]
    templates = [
        (
            rng.choice(late if rng.random() < hardness else late[:6]),
            [draw(rng.choice((0, 0, 1, 1, 2))) for _ in range(3)],
        )
        for _ in range(rng.randint(1, 4))
    ]
    end = rng.choice((texts["."], texts["; "], draw(1)))
    passages: list[tuple[list[int], dict[tuple[int, int], int]]] = []  # tokens, and where the value of each fact starts
    if rng.random() < 0.5:  # a passage for each fact
        for s, a in cells:
            order, links = rng.choice(templates)
            parts = {"s": subjects[s], "a": attributes[a], "v": values[s, a]}
            ids, start = [], 0
            for link, part in zip(links, order, strict=True):
                start = len(ids) + len(link) if part == "v" else start
                ids = ids + link + parts[part]
            extra = draw(rng.randint(0, 3)) if rng.random() < 0.3 * hardness else []
            passages.append((ids + extra + end, {(s, a): start}))
    else:  # a passage for each subject, named once
        link = draw(rng.choice((0, 1, 1, 2)))
        for s in rng.sample(range(len(subjects)), len(subjects)):
            of = [c for c in cells if c[0] == s]
            turned = rng.random() < 0.2 * hardness
            ids, starts = subjects[s] + (texts[":"] if rng.random() < 0.5 else draw(1)), {}
            for c in of:
                first, second = attributes[c[1]], values[c]
                starts[c] = len(ids) + (0 if turned else len(first + link))
                ids = ids + (second + link + first if turned else first + link + second) + end
            if of:
                passages.append((ids, starts))
    rng.shuffle(passages)
    numbers = list(range(1, len(passages) + 1)) if rng.random() < 0.8 else rng.sample(range(1, 30), len(passages))
    ids, where = [], {}
    for n, (tokens, starts) in zip(numbers, passages, strict=True):
        opening = number(f"[{n}]")
        where |= {c: (n, len(ids) + 1, len(ids) + len(opening) + start) for c, start in starts.items()}
        ids += opening + tokens + texts["\n"]
    ids += texts["\n"]
    flags = [False] * len(ids)
    copies: dict[int, int] = {}
    asked = rng.random() < asked
    for cell in rng.sample(cells, len(cells)):
        subject, attribute = subjects[cell[0]], attributes[cell[1]]
        if asked:
            words = [subject, attribute, draw(rng.randint(0, 3))]
            rng.shuffle(words)
            question = sum(words, []) + texts["?"] + texts["\n"]
            ids, flags = ids + question, flags + [False] * len(question)
        n, cited, start = where[cell]
        head = texts["The"] + attribute + texts[" of the"] + subject + texts[" is"]
        tail = values[cell] + texts["."] + number(f" [{n}]") + texts["\n"]
        at = len(ids) + len(head)
        copies |= {at + k: start + k for k in range(len(values[cell]))}
        copies[at + len(values[cell]) + 2] = cited
        ids, flags = ids + head + tail, flags + [asked] * len(head) + [True] * len(tail)
    return ids, flags, sources(len(ids), copies)


def text_sources(segments: list[Segment], encoded: list[list[int]]) -> Sources:
    """Marks of an episode of text: a value and its citation repeat the cited passage, a label the earlier labels.

    A value that does not stand in its passage token by token, or an answer of another form, gets no marks.
    """
    ids = [i for e in encoded for i in e]
    starts = [0, *accumulate(len(e) for e in encoded)]
    opened = passage_starts(ids)
    if opened:
        return sources(len(ids), passage_copies(segments, ids, starts, opened))
    return label_sources(segments, ids, starts)


def passage_starts(ids: list[int]) -> dict[int, int]:
    """Where each passage begins: the token of its number -> the place of the bracket before it, at a line's start."""
    tok = tokenizer().backend_tokenizer
    bracket, close = tok.token_to_id("["), tok.token_to_id("]")
    found: dict[int, int] = {}
    for i in range(len(ids) - 2):
        if ids[i] == bracket and ids[i + 2] == close and (i == 0 or "\n" in tok.decode([ids[i - 1]])):
            found.setdefault(ids[i + 1], i)
    return found


def passage_copies(
    segments: list[Segment], ids: list[int], starts: list[int], opened: dict[int, int]
) -> dict[int, int]:
    """Pairs (token of an answer, the token it repeats) for the value of "The ... of ... is value. [n]".

    starts: where each segment begins, and the end. opened: see ``passage_starts``.
    """
    tok = tokenizer().backend_tokenizer
    copies: dict[int, int] = {}
    for n, (text, is_answer) in enumerate(segments):
        restated = is_answer and re.match(r"(\s*The .+? of .+?(?: is|:))( .+?)\.? \[(\d+)\]", text, re.DOTALL)
        cited = tok.encode(restated[3]).ids if restated else []
        if len(cited) != 1 or cited[0] not in opened:
            continue
        begin = opened[cited[0]]
        end = min(place for place in (*starts, *opened.values()) if place > begin)
        value, place = tok.encode(restated[2]).ids, starts[n] + len(tok.encode(restated[1]).ids)
        if ids[place : place + len(value)] != value:
            continue
        source = next((i for i in range(begin + 3, end) if ids[i : i + len(value)] == value), None)
        if source is not None:
            copies |= {place + k: source + k for k in range(len(value))}
    return copies


def label_sources(segments: list[Segment], ids: list[int], starts: list[int]) -> Sources:
    """Marks of a list of examples: every token of a label carries the mark of that label and place in it."""
    tok = tokenizer().backend_tokenizer
    want, have = [0] * len(ids), [0] * len(ids)
    first: dict[str, int] = {}  # the first mark of each label
    for n, (text, is_answer) in enumerate(segments):
        label = text.replace("<|end|>", "").strip()
        asked = "".join(t for t, _ in segments[max(0, n - 2) : n]).replace("<|end|>\n<|assistant|>\n", "")
        if not asked.endswith(":") or "Question:" in asked or not 0 < len(label) < 30:
            continue
        mark = first.setdefault(label, 50 * len(first) + 1)  # a label of 30 letters has fewer than 50 tokens
        for k in range(starts[n + 1] - starts[n] - text.endswith("<|end|>")):
            if tok.decode([ids[starts[n] + k]]).strip():
                have[starts[n] + k] = mark + k
                want[starts[n] + k] = is_answer * (mark + k)
    return want, have


@lru_cache(maxsize=1)
def marks() -> dict[str, list[int]]:
    """The token ids of the fixed pieces of ``random_facts``."""
    tok = tokenizer().backend_tokenizer
    return {t: tok.encode(t).ids for t in (".", "; ", ":", "?", "\n", "The", " of the", " is")}


@lru_cache(maxsize=256)
def number(text: str) -> list[int]:
    """The token ids of a passage number such as "[3]"."""
    return tokenizer().backend_tokenizer.encode(text).ids


# ids, is answer, position in the episode, mark to copy from, mark carried (see Sources), and the hints of hints.py
COLUMNS = ("ids", "answer", "place", "want", "have", "kind", *PLACES)


class Rows(IterableDataset):
    """Packed rows. Batch number i depends on the stage and i alone, so that a resumed run reads on where it stopped.

    Every episode of a row counts its positions from 0. transformers takes that as the border between texts: no episode
    sees another, as in use. Every eighth batch has long rows where the stage has a recipe for them.
    """

    def __init__(self, name: str, plan: dict, start: int):
        self.name, self.plan, self.start = name, plan, start

    def episode(self, author: Author, recipe: Recipe) -> list[Segment]:
        """One episode of the recipe that asks at least one question."""
        weights = [w for w, _ in recipe]
        while True:
            segments = author.rng.choices(recipe, weights)[0][1](author)
            if any(flag for _, flag in segments):
                return segments

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        tok = tokenizer().backend_tokenizer
        index = self.start
        while True:
            author = Author(f"{self.name}-{index}")
            every = self.plan.get("long_every", 8)
            long = "long" in self.plan and index % every == every - 1
            rows, length = LONG if long else (self.plan["rows"], self.plan["length"])
            recipe = self.plan["long"] if long else self.plan["recipe"]
            columns: dict[str, list[list[int]]] = {name: [] for name in COLUMNS}
            for _ in range(rows):
                row: dict[str, list[int]] = {name: [] for name in COLUMNS}
                while len(row["ids"]) <= length:
                    if not long and author.rng.random() < self.plan["random_share"]:
                        extra, wanted, marks = random_episode(author.rng)
                        hints = no_hints(len(extra))
                    else:
                        author.told, author.told_labels, author.told_cells = None, [], []
                        segments = self.episode(author, recipe if not row["ids"] or not long else self.plan["recipe"])
                        encodings = tok.encode_batch([t for t, _ in segments])
                        encoded = [e.ids for e in encodings]
                        extra = [i for e in encoded for i in e]
                        wanted = [f for e, (_, f) in zip(encoded, segments, strict=True) for _ in e]
                        marks = text_sources(segments, encoded)
                        told = author.told
                        hints = reading_hints(told, segments, encodings) if told else list_hints(author, encodings)
                        for i, aim in enumerate(hints["aim"]):
                            if aim:  # looked up, not continued: the aim replaces the mark
                                marks[0][i + 1] = 0
                    at = len(row["ids"])
                    parts = {"ids": extra, "answer": wanted, "place": list(range(len(extra)))}
                    parts |= {"want": marks[0], "have": marks[1], "kind": hints["kind"]}
                    parts |= {name: [i and i + at for i in hints[name]] for name in PLACES}
                    for name in COLUMNS:
                        row[name] += parts[name]
                for name in COLUMNS:
                    columns[name].append(row[name][: length + 1])
            yield {name: torch.tensor(columns[name]) for name in COLUMNS}
            index += 1


def loader(name: str, plan: dict, start: int) -> Iterator:
    """Batches from number ``start`` on, made by another process: a tensor (rows, length + 1) for each of COLUMNS."""
    dataset = Rows(name, plan, start)
    return iter(DataLoader(dataset, batch_size=None, num_workers=1, prefetch_factor=8))


# --------------------------------------------------------------------------------------------------------------
# Model and optimiser


def build_model(size: str = "full") -> Phi3ForCausalLM:
    """Phi-3's own class with small dimensions: heads of 64, rotary positions, tied embeddings."""
    s = SIZES[size]
    config = Phi3Config(
        vocab_size=VOCAB,
        num_key_value_heads=s["num_attention_heads"],
        max_position_embeddings=2048,
        original_max_position_embeddings=2048,
        rope_theta=10000.0,
        tie_word_embeddings=True,
        initializer_range=0.02,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=0,
        **s,
    )
    torch.manual_seed(0)
    model = Phi3ForCausalLM(config)
    model.generation_config.eos_token_id = [SPECIAL.index("<|end|>"), 0]
    model.generation_config.pad_token_id = 0
    return model


@torch.no_grad()
def seed_circuits(model: Phi3ForCausalLM) -> None:
    """Start with a rough copying and look-up circuit instead of waiting millions of tokens for one to form.

    An induction circuit (Olsson et al. 2022, "In-context Learning and Induction Heads") is two heads in a row: one in
    layer 0 that gathers what stood just before a token, and one in layer 1 that looks for a place where *the same*
    stood before, and copies what stands there. Both follow from weights that can be written down (an initialisation
    that imitates trained weights: Trockman and Kolter 2023). Layer 0 gets heads for the previous token, the one before
    it, and two wider windows; layer 1 gets heads that match on them. Training goes on from there and changes them.
    """
    config = model.config
    d, heads, dim = config.hidden_size, config.num_attention_heads, 64
    half, std = dim // 2, 0.06 if d >= 256 else 0.1
    frequency = 10000.0 ** (-torch.arange(half) / half)
    basis = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(7)))[0]
    basis[0] = 0  # coordinate 0 carries a constant, not content: position heads need something that is always there
    for layer in model.model.layers:  # all other outputs start small, so that they do not drown the circuits
        layer.self_attn.o_proj.weight.mul_(0.1)
        layer.mlp.down_proj.weight.mul_(0.1)
    embedding = model.model.embed_tokens.weight
    embedding.mul_(std / config.initializer_range)  # tied with the output: decides how sure a copy is at once
    embedding[:, 0] = 4 * std
    constant = 3.9  # coordinate 0 after the norm

    def qkv(layer: int, part: int, head: int) -> torch.Tensor:
        start = (part * heads + head) * dim
        return model.model.layers[layer].self_attn.qkv_proj.weight[start : start + dim]

    def columns(start: int) -> torch.Tensor:
        return basis[:, (torch.arange(dim) + start) % d]

    def position_kernel(
        layer: int, head: int, pairs: torch.Tensor, height: float, shift: float, sign: float = 1.0
    ) -> None:
        """Add height * sum of cos(frequency * (distance - shift)) over the rotary pairs to the head's scores."""
        size = math.sqrt(height * math.sqrt(dim)) / constant
        qkv(layer, 0, head)[pairs, 0] += sign * size
        qkv(layer, 1, head)[pairs, 0] += size * torch.cos(shift * frequency[pairs])
        qkv(layer, 1, head)[pairs + half, 0] += size * torch.sin(shift * frequency[pairs])

    def gather(head: int, pairs: torch.Tensor, height: float, shift: float, written: torch.Tensor) -> None:
        """A layer-0 head that looks back by position and writes what it saw into its own subspace."""
        qkv(0, 0, head).zero_(), qkv(0, 1, head).zero_()
        position_kernel(0, head, pairs, height, shift)
        qkv(0, 2, head).copy_(columns(0).T)
        model.model.layers[0].self_attn.o_proj.weight[:, head * dim : (head + 1) * dim] = std * written

    def match(
        head: int,
        parts: list[tuple[torch.Tensor, torch.Tensor]],
        copied: torch.Tensor,
        strength: float = 64,
        gain: float = 4.0,
    ) -> None:
        """A layer-1 head that compares (query, key) subspaces on the slow rotary pairs and copies the token it finds.

        Several parts share the pairs, so their scores add up: the head looks for a place where all of them agree.
        """
        qkv(1, 0, head).zero_(), qkv(1, 1, head).zero_()
        slow = torch.arange(16, half)
        size = math.sqrt(strength * math.sqrt(dim) / (2 * len(slow)))
        for i, (query, key) in enumerate(parts):
            pairs = slow[i :: len(parts)]
            rows = torch.cat([pairs, pairs + half])
            pick = (torch.arange(len(rows)) + head * 21) % dim
            qkv(1, 0, head)[rows] = size * query.T[pick]
            qkv(1, 1, head)[rows] = size * key.T[pick]
        qkv(1, 2, head).copy_(copied.T)
        model.model.layers[1].self_attn.o_proj.weight[:, head * dim : (head + 1) * dim] = gain * std * copied

    narrow, wide = torch.arange(4, 12), torch.arange(7, 15)
    content = columns(0)
    gather(0, torch.arange(8), 8.0, 1.0, columns(d // 2))  # the previous token
    if heads == 2:
        gather(1, narrow, 1.5, 2.0, columns(d // 2 + 32))
        match(0, [(content, columns(d // 2))], columns(0))
        match(1, [(content, columns(d // 2)), (columns(d // 2 + 32), columns(d // 2 + 32))], columns(32))
        return
    gather(1, narrow, 1.5, 2.0, columns(128))  # about five tokens up to the current one
    gather(2, narrow, 1.5, 3.0, columns(192))  # the same, one token earlier
    gather(3, wide, 1.5, 4.0, columns(160))  # about a dozen tokens
    model.model.layers[0].self_attn.o_proj.weight[:, :dim] = std * columns(64)
    previous, window, window_before, clause = columns(64), columns(128), columns(192), columns(160)
    match(0, [(content, previous)], columns(0))
    match(1, [(content, previous), (window, window_before)], columns(64))
    match(2, [(window, window_before)], columns(0))
    match(3, [(clause, clause), (content, previous)], columns(64))


def optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    """AdamW for every weight (Loshchilov and Hutter 2019)."""
    return torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, fused=True)


def device() -> str:
    """The device to train on: "cuda" where there is a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def autocast() -> torch.autocast:
    """bfloat16 where it is safe: 2 to 3.5 times faster on processors that have it."""
    return torch.autocast(device(), dtype=torch.bfloat16)


def loss_on(
    model: Phi3ForCausalLM,
    body: Callable,
    probe: torch.nn.Linear,
    batch: dict[str, torch.Tensor],
    context_share: float,
    seed: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean cross-entropy (nats a token) on the answer tokens and a random small share of the others; the hints' loss.

    body: the model without its output layer (compiled or not). probe: see ``hint_loss``. batch: as ``loader`` makes it.
    seed: draws the share.
    """
    batch = {name: column.to(device()) for name, column in batch.items()}
    share = torch.rand(batch["answer"][:, 1:].shape, generator=torch.Generator().manual_seed(seed)) < context_share
    chosen = (batch["answer"][:, 1:] > 0) | share.to(device())
    ids, now = batch["ids"], {name: column[:, :-1] for name, column in batch.items()}
    with autocast():
        out = body(input_ids=now["ids"], position_ids=now["place"], use_cache=False, output_hidden_states=True)
        logits = model.lm_head(out.last_hidden_state[chosen])
        now["want"] = batch["want"][:, 1:]  # the token that comes next is what is copied
        hints = hint_loss(model, probe, out.hidden_states, now)
    return torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][chosen]), hints


def taught_heads(config: Phi3Config) -> list[tuple[str, int, int, int]]:
    """(hint, layer, first head, number of heads): the heads that are told where to look, see hints.py and Sources."""
    if config.num_attention_heads < 4:
        return [("copy", config.num_hidden_layers // 2, 0, 2)]
    reader = config.num_hidden_layers - 2
    before = [("owner", reader - 1, 0, 1), ("home", reader - 1, 1, 1), ("name", reader - 1, 2, 1)]
    return [("copy", 1, 2, 2), *before, ("copy", reader, 0, 2), ("aim", reader, 0, 2)]


def hint_loss(
    model: Phi3ForCausalLM, probe: torch.nn.Linear, hidden: tuple[torch.Tensor, ...], batch: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Sum over the taught heads of the mean of -log(attention that they give to the right tokens), in nats.

    Attention finds its target late when only the next token's loss teaches it: with two hundred tokens in view, each
    gets a two-hundredth of the signal. So these heads are told where to look (supervised attention: Liu et al. 2016).
    To it comes the cross-entropy of a linear probe that names the relation of a fact from what enters the reader layer.
    hidden: what enters each layer, (rows, length, width). batch: columns (rows, length).
    """
    loss = hidden[0].new_zeros((), dtype=torch.float32)
    for hint, layer, head, heads in taught_heads(model.config):
        row, at = (batch["want" if hint == "copy" else hint] > 0).nonzero(as_tuple=True)
        scores, seen = attention_scores(model, layer, head, heads, hidden[layer], batch["place"], row, at)
        if hint == "copy":
            target = (batch["have"][row] == batch["want"][row, at, None]) & seen
        else:
            target = torch.nn.functional.one_hot(batch[hint][row, at] - 1, seen.shape[1]).bool() & seen
        known = target.any(-1)
        scores, seen, target = scores[known], seen[known, None], target[known, None]
        total = scores.masked_fill(~seen, -1e4).logsumexp(-1)
        found = total - scores.masked_fill(~target, -1e4).logsumexp(-1)
        loss = loss + HINT_WEIGHTS[hint] * found.sum() / max(1, found.numel())
    reader = model.config.num_hidden_layers - 2
    named = batch["kind"] > 0
    if named.any():
        guess = probe(model.model.layers[reader].input_layernorm(hidden[reader][named]))
        loss = loss + HINT_WEIGHTS["kind"] * torch.nn.functional.cross_entropy(guess.float(), batch["kind"][named])
    return loss


def attention_scores(
    model: Phi3ForCausalLM,
    layer: int,
    head: int,
    heads: int,
    hidden: torch.Tensor,
    places: torch.Tensor,
    row: torch.Tensor,
    at: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores before the softmax of some tokens, (tokens, heads, length), and what each of them sees, (tokens, length).

    hidden: what enters the layer, (rows, length, width). row, at: which tokens.
    """
    block = model.model.layers[layer]
    weight = block.self_attn.qkv_proj.weight
    split, rows = weight.shape[0] // 3, slice(64 * head, 64 * (head + heads))
    x = block.input_layernorm(hidden)
    query = (x @ weight[:split][rows].T).unflatten(-1, (heads, 64)).transpose(1, 2)
    key = (x @ weight[split : 2 * split][rows].T).unflatten(-1, (heads, 64)).transpose(1, 2)
    query, key = apply_rotary_pos_emb(query, key, *model.model.rotary_emb(x, places))
    scores = (query @ key.transpose(-1, -2))[row, :, at].float() / 8
    text = (places == 0).cumsum(1)
    seen = (text[row] == text[row, at, None]) & (torch.arange(places.shape[1], device=x.device) <= at[:, None])
    return scores, seen


# --------------------------------------------------------------------------------------------------------------
# Gates: quick measures while training (teacher-forced argmax, which is exact where greedy text would be exact)


def gate_sets(form: str, n: int = 56) -> dict[str, list[list[Segment]]]:
    """Held-out episodes with one question each, per gate."""

    def one(seed: str, passages: int, **options):
        author = Author(seed, "eval", options.pop("trades", "train"))
        reading = author.reading(passages, 1, (1, 3) if passages < 6 else (1, 2), shuffle_numbers=0.0, **options)
        unwanted = options.get("abstain") == 0.0 and any(q.value is None for q in reading.questions)
        if not reading.questions or unwanted:  # no passage states an open fact: another one
            return one(seed + "'", passages, trades=author.trades, **options)
        return author.plain_reading(reading) if form == "plain" else author.chat_reading(reading)

    def each(make: Callable[[Author], list[Segment]], name: str) -> list[list[Segment]]:
        return [make(Author(f"{name}-{i}", "eval")) for i in range(n)]

    sets = {
        "lookup": each(lambda a: a.lookup(8), "lookup"),
        **{f"read{k}": [one(f"r{k}-{i}", k, abstain=0.0, open_only=True) for i in range(n)] for k in (1, 3, 6)},
        "trades3": [one(f"t3-{i}", 3, abstain=0.0, open_only=True, trades="dev") for i in range(n)],
        "any3": [one(f"any-{i}", 3, abstain=0.0, anything=1.0) for i in range(n)],
        "abstain": [one(f"a3-{i}", 3, abstain=1.0, open_only=True, single_word=False) for i in range(n)],
        "shot4": each(lambda a: a.few_shot(form, shots=4, n_classes=2), "shot4"),
        "shot4_3": each(lambda a: a.few_shot(form, shots=4, n_classes=3), "shot43"),
        "named": each(lambda a: a.few_shot(form, shots=0, n_classes=3, named=True), "named"),
        "format4": each(lambda a: a.few_shot_format(form, shots=4), "format4"),
        "world": each(lambda a: a.world(form, 1), "world"),
        "style": each(lambda a: a.style(form), "style"),
    }
    if form == "chat":
        for mode in ("one_word", "json", "cite", "nocite"):
            sets[mode] = each(lambda a, m=mode: a.reading_with_system(3, 1, m), mode)
    sets["random"] = [random_segments(i, random_lookup) for i in range(2 * n)]
    sets["facts"] = [random_segments(i, partial(random_facts, asked=0)) for i in range(2 * n)]
    sets["abstain"] = [e for e in sets["abstain"] if any("not know" in t for t, f in e if f)]
    return sets


def random_segments(seed: int, make: Callable) -> list[Segment]:
    """A random look-up as an episode (ids in place of text), cut after its last answer."""
    ids, flags, _ = make(random.Random(f"gate-{seed}"))
    start = max(i for i in range(1, len(flags)) if flags[i] and not flags[i - 1])
    return [(ids[:start], False), (ids[start:], True)]


@torch.no_grad()
def gate_scores(model: Phi3ForCausalLM, sets: dict[str, list[list[Segment]]]) -> dict[str, float]:
    """Share (0 to 1) of episodes whose last answer is right, by gate.

    For readings the value and the citation are scored apart (``read3``, ``read3c``).
    """
    tok = tokenizer().backend_tokenizer
    model.eval()
    scores = {}
    for name, episodes in sets.items():
        encoded = [(e[0][0], [e[1][0]]) for e in episodes] if name in ("random", "facts") else []
        for segments in episodes if name not in ("random", "facts") else []:
            last = max(i for i, (_, flag) in enumerate(segments) if flag)
            answer = segments[last][0]
            cut = answer.rfind(" [") if name.startswith(("read", "trades", "any")) else -1
            parts = [answer] if cut < 0 else [answer[:cut], answer[cut:]]
            prompt = [i for e in tok.encode_batch([t for t, _ in segments[:last]]) for i in e.ids]
            restated = re.match(r"(\s*The .+? of .+?(?: is|:))( .+)", parts[0], re.DOTALL) if cut >= 0 else None
            if restated:  # the value alone counts, after the reference's own "The ... of ... is"
                prompt, parts[0] = prompt + tok.encode(restated[1]).ids, restated[2]
            encoded.append((prompt, [tok.encode(p).ids for p in parts]))
        encoded.sort(key=lambda e: len(e[0]))
        right = {"": 0, "c": 0}
        for i in range(0, len(encoded), 32):
            batch = encoded[i : i + 32]
            rows = [p + sum(parts, []) for p, parts in batch]
            width = max(map(len, rows))
            ids = torch.tensor([r + [0] * (width - len(r)) for r in rows]).to(device())
            with autocast():
                best = model(input_ids=ids, use_cache=False).logits.argmax(-1).cpu()
            for row, (prompt, parts), guess in zip(rows, batch, best, strict=True):
                at = len(prompt)
                for key, part in zip(("", "c"), parts, strict=False):
                    right[key] += guess[at - 1 : at - 1 + len(part)].tolist() == row[at : at + len(part)]
                    at += len(part)
        scores[name] = right[""] / max(1, len(encoded))
        if name.startswith(("read", "trades", "any")):
            scores[name + "c"] = right["c"] / max(1, len(encoded))
    model.train()
    return scores


# --------------------------------------------------------------------------------------------------------------
# Stages


def log(stage: str, **items) -> None:
    """Print a line of figures and add it to ``RUNS/log.jsonl``."""
    line = {"stage": stage, "time": time.strftime("%H:%M:%S"), **items}
    RUNS.mkdir(parents=True, exist_ok=True)
    with open(RUNS / "log.jsonl", "a", encoding="utf-8") as f:
        f.write(json.dumps(line) + "\n")
    shown = {k: (round(v, 3) if isinstance(v, float) else v) for k, v in line.items()}
    print(" ".join(f"{k}={v}" for k, v in shown.items()), flush=True)


def save_state(path: Path, **state) -> None:
    """Save a checkpoint whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def copy_stage(size: str, max_tokens: int = 6_000_000) -> None:
    """Random token sequences repeated twice build the copying (induction) circuit; Olsson et al. 2022, section 3."""
    path = RUNS / f"{size}-copy.pt"
    if path.exists():
        return
    model = build_model(size)
    seed_circuits(model)
    model.to(device())
    opt = optimizer(model)
    rng, seen, step, start = torch.Generator().manual_seed(1), 0, 0, time.time()
    while seen < max_tokens:
        n = int(torch.randint(8, 33, (1,), generator=rng))
        half = torch.randint(len(SPECIAL), VOCAB, (32, n), generator=rng)
        ids = torch.cat([half, half], 1)
        for g in opt.param_groups:
            g["lr"] = 3e-4 * min(1, (step + 1) / 20)
        with autocast():
            logits = model(input_ids=ids[:, :-1].to(device()), use_cache=False).logits[:, n:]
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, n + 1 :].flatten().to(device()))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad()
        seen += ids.numel()
        step += 1
        if step % 50 == 0:
            right = (logits.argmax(-1).cpu() == ids[:, n + 1 :]).float().mean().item()
            log(f"{size}-copy", step=step, tokens=seen, loss=loss.item(), copy=right, seconds=time.time() - start)
            if right > 0.99:
                break
    save_state(path, model=model.state_dict(), tokens=seen, seconds=time.time() - start)


def rate(stage: str, done: float, peak: float, floor: float, hold: float) -> float:
    """Learning rate at a share ``done`` of the stage: warm up, hold, then fall in a straight line to floor * peak."""
    if done < 0.01 and stage.endswith("start"):
        return peak * max(0.05, done / 0.01)
    if done <= hold:
        return peak
    return peak * (1 - (1 - floor) * min(1.0, (done - hold) / (1 - hold)))


LOOKUP: Recipe = [
    (2.0, lambda a: a.lookup(a.rng.randint(2, 10))),
    (1.0, lambda a: dense(a, (1, 2), (2, 4), facts_per=(1, 1), plainly=True, abstain=0.0, shuffle_numbers=0.5)),
]
PLAN: dict[str, dict] = {
    # rows of so many tokens a step, peak learning rate, share of the steps at the peak, then down in a straight line
    # to floor * peak. random_share: episodes of random tokens, which build and keep the circuits. context_share: share
    # of the tokens outside answers that take part in the loss. share: of these weights in what the stage leaves, the
    # rest being what its parent (or the stage ``mean_with``) left, see ``finished``.
    "lookup": {
        "parent": "copy", "recipe": LOOKUP, "rows": 16, "length": 256,
        "peak": 3e-4, "hold": 1.0, "floor": 1.0, "random_share": 0.7, "context_share": 0.01,
    },
    "start": {
        "parent": "lookup", "recipe": START, "rows": 16, "length": 256,
        "peak": 4e-4, "hold": 1.0, "floor": 1.0, "random_share": 0.2, "context_share": 0.01,
    },
    "base": {
        "parent": "start", "recipe": BASE, "rows": 16, "length": 256,
        "peak": 6e-4, "hold": 0.5, "floor": 0.5, "random_share": 0.3, "context_share": 0.02,
    },
    "chat": {
        "parent": "base", "recipe": CHAT, "long": LONG_CHAT, "rows": 16, "length": 256,
        "peak": 5e-4, "hold": 0.2, "floor": 0.0, "random_share": 0.06, "context_share": 0.02,
    },
    "skills": {
        "parent": "chat", "recipe": SKILLS, "long": LONG_SKILLS, "long_every": 4, "rows": 8, "length": 512,
        "peak": 5e-4, "hold": 0.25, "floor": 0.0, "random_share": 0.06, "context_share": 0.02, "share": 0.8,
    },
    "trades": {
        "parent": "skills", "recipe": TRADES, "long": LONG_TRADES, "long_every": 3, "rows": 8, "length": 512,
        "peak": 5e-4, "hold": 0.2, "floor": 0.0, "random_share": 0.05, "context_share": 0.02, "share": 0.8,
    },
    "forms": {
        "parent": "trades", "recipe": FORMS, "long": LONG_TRADES, "long_every": 4, "rows": 8, "length": 512,
        "peak": 4e-4, "hold": 0.1, "floor": 0.0, "random_share": 0.03, "context_share": 0.02, "share": 0.6,
        "mean_with": "skills",
    },
    "workshop": {
        "parent": "forms", "recipe": WORKSHOP, "long": LONG_WORKSHOP, "long_every": 4, "rows": 8, "length": 512,
        "peak": 4e-4, "hold": 0.15, "floor": 0.0, "random_share": 0.03, "context_share": 0.02, "share": 0.8,
    },
    "search": {
        "parent": "workshop", "recipe": SEARCH, "long": LONG_WORKSHOP, "long_every": 5, "rows": 8, "length": 512,
        "peak": 4e-4, "hold": 0.2, "floor": 0.0, "random_share": 0.02, "context_share": 0.02,
    },
    "close": {
        "parent": "search", "recipe": CLOSE, "long": LONG_CLOSE, "long_every": 2, "rows": 8, "length": 512,
        "peak": 2.5e-4, "hold": 0.1, "floor": 0.0, "random_share": 0.02, "context_share": 0.02, "share": 0.7,
        "mean_with": "forms",
    },
}  # fmt: skip
TOKENS = {
    "full": {
        "lookup": 2_867_200,
        "start": 2_000_000,
        "base": 9_830_400,
        "chat": 18_022_400,
        "skills": 31_129_600,
        "trades": 15_974_400,
        "forms": 4_096_000,
    },
    "small": {"lookup": 800_000, "start": 800_000, "base": 600_000, "chat": 3_000_000},
}
# Stages that were tried and left no folder: what came of them stands in README.md. ``--stage`` runs them.
TRIALS = {"workshop": 8_192_000, "search": 9_011_200, "close": 3_686_400}

FOLDERS = {"chat": ("full", "forms"), "base": ("full", "base"), "small": ("small", "chat")}


def train_stage(size: str, stage: str, tokens: int, compiled: bool, gate_every: int) -> None:
    """One stage from its parent's weights, or on from its own checkpoint."""
    plan, path = PLAN[stage], RUNS / f"{size}-{stage}.pt"
    model = build_model(size).to(device())
    probe = torch.nn.Linear(model.config.hidden_size, 1 + len(relation_numbers()) + len(class_numbers())).to(device())
    opt, probe_opt = optimizer(model), optimizer(probe)
    per_step = plan["rows"] * plan["length"]
    step, seconds, warm_up = 0, 0.0, 1
    if path.exists():
        state = torch.load(path, map_location=device(), weights_only=True)
        model.load_state_dict(state["model"])
        step, seconds, warm_up = state["step"], state["seconds"], state.get("warm_up", 1)
        opt.load_state_dict(state["optimizer"])
        probe.load_state_dict(state["probe"])
        probe_opt.load_state_dict(state["probe_optimizer"])
    else:
        state = torch.load(RUNS / f"{size}-{plan['parent']}.pt", map_location=device(), weights_only=True)
        model.load_state_dict(finished(size, plan["parent"]))
        if "optimizer" in state and "share" not in PLAN[plan["parent"]]:
            opt.load_state_dict(state["optimizer"])
        else:
            warm_up = 100  # AdamW needs some steps to learn how large the gradients are
    steps = math.ceil(tokens / per_step)
    if step >= steps:
        return
    body = torch.compile(model.model, dynamic=False) if compiled else model.model
    rows = loader(f"{size}-{stage}", plan, step)
    sets = gate_sets("chat" if stage not in ("lookup", "start", "base") else "plain")
    losses, pointings, began, since = [], [], time.time() - seconds, time.time()
    while step < steps:
        lr = rate(stage, step / steps, plan["peak"], plan["floor"], plan["hold"]) * min(1, (step + 1) / warm_up)
        loss, pointing = loss_on(model, body, probe, next(rows), plan["context_share"], step)
        (loss + pointing).backward()
        losses.append(loss.item())
        pointings.append(pointing.item())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for g in opt.param_groups:
            g["lr"] = lr
        for o in (opt, probe_opt):
            o.step()
            o.zero_grad()
        step += 1
        if step % 50 == 0 or step == steps:
            speed = 50 * per_step / (time.time() - since)
            log(
                f"{size}-{stage}",
                step=step,
                tokens=step * per_step,
                loss=sum(losses) / len(losses),
                pointing=sum(pointings) / len(pointings),
                lr=lr,
                tokens_per_s=speed,
            )
            losses, pointings, since = [], [], time.time()
        if step % gate_every == 0 or step == steps:
            log(f"{size}-{stage}", step=step, gates={k: round(v, 3) for k, v in gate_scores(model, sets).items()})
            save_state(
                path,
                model=model.state_dict(),
                optimizer=opt.state_dict(),
                probe=probe.state_dict(),
                probe_optimizer=probe_opt.state_dict(),
                step=step,
                seconds=time.time() - began,
                warm_up=warm_up,
            )
            since = time.time()


def finished(size: str, stage: str) -> dict[str, torch.Tensor]:
    """The weights that a stage leaves: those of its checkpoint, or their mean with what an earlier stage left.

    In the mean, what only the earlier one could do comes back, and little of the new is lost (weight-space ensembles:
    Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
    """
    weights = torch.load(RUNS / f"{size}-{stage}.pt", map_location="cpu", weights_only=True)["model"]
    share = PLAN[stage].get("share", 1.0) if stage in PLAN else 1.0
    if share < 1:
        parent = finished(size, PLAN[stage].get("mean_with", PLAN[stage]["parent"]))
        weights = {key: share * value + (1 - share) * parent[key] for key, value in weights.items()}
    return weights


def export(size: str, stage: str, name: str) -> None:
    """Write weights (16-bit), config and tokenizer as a folder that AutoModelForCausalLM loads."""
    model = build_model(size)
    model.load_state_dict(finished(size, stage))
    model.to(torch.bfloat16).save_pretrained(HERE / name)
    tokenizer().save_pretrained(HERE / name)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.with_suffix(path.suffix + ".tmp").write_text(text, encoding="utf-8")
    os.replace(path.with_suffix(path.suffix + ".tmp"), path)


def read_log() -> list[dict]:
    """The lines of the log, oldest first; empty where nothing ran yet."""
    path = RUNS / "log.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def draw_curve(name: str, stages: list[str]) -> None:
    """The loss of the stages over the tokens read, from the log, as an SVG picture; nothing if the log lacks one."""
    if not {f"full-{stage}" for stage in stages} <= {x["stage"] for x in read_log() if "loss" in x}:
        return
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams.update({"svg.hashsalt": "tiny-phi3", "font.size": 11})
    fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    for size, style in (("full", "-"), ("small", "--")):
        before = 0
        for stage in stages:
            points: list[tuple[int, float]] = []
            for x in read_log():
                if x["stage"] == f"{size}-{stage}" and "loss" in x and "tokens" in x:
                    # a stage that was begun again: only its last run counts
                    points = [p for p in points if p[0] < x["tokens"]] + [(x["tokens"], x["loss"])]
            if points:
                ax.plot(
                    [(before + t) / 1e6 for t, _ in points], [v for _, v in points], style, label=f"{size}, {stage}"
                )
                before += points[-1][0]
    ax.set(
        title="Training loss of tiny-phi3",
        xlabel="tokens read (millions)",
        ylabel="loss (nats per token in the loss)",
        yscale="log",
    )
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, ncols=2)
    fig.savefig(HERE / name, metadata={"Date": None})


def public_questions(n: int = 80) -> str:
    """Public facts of the training world in held-out wordings, as the lessons ask them (JSONL, one question a line)."""
    author = Author("public", "eval")
    lines, seen = [], set()
    while len(lines) < n:
        asks, _, facts, _ = author.rng.choice(author.bank.world)
        subject, answer = author.rng.choice(facts)
        text = expand(author.rng.choice(asks), author.rng).replace("{s}", subject)
        if (asks[0], subject) in seen:
            continue
        seen.add((asks[0], subject))
        record = {
            "id": f"public-{len(lines) + 1:03d}",
            "kind": "public",
            "split": "test",
            "entity": [subject],
            "question": text[:1].upper() + text[1:],
            "answer": answer,
        }
        lines.append(json.dumps(record, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def training_text(i: int) -> str:
    """The text of the i-th training episode of all stages taken in turn."""
    every = [
        CHAT,
        LONG_CHAT,
        SKILLS,
        LONG_SKILLS,
        TRADES,
        LONG_TRADES,
        FORMS,
        WORKSHOP,
        LONG_WORKSHOP,
        SEARCH,
        CLOSE,
        LONG_CLOSE,
    ]
    recipe = [LOOKUP, START, BASE, *every][i % (3 + len(every))]
    author = Author(f"check-{i}")
    return "".join(t for t, _ in author.rng.choices(recipe, [w for w, _ in recipe])[0][1](author))


def check_data(draws: int) -> int:
    """Print what training episodes share with Brightwater; returns the number of different finds."""
    from evaluate import check_data as compare

    found = compare(draws, training_text)
    for (what, text), count in found.most_common(50):
        print(f"{what}: {text!r}, {count} times")
    print(f"{draws} episodes, {len(found)} finds")
    return len(found)


def evaluate(names: list[str], cases: int) -> None:
    """Measure each finished folder and write the tables into the model cards."""
    from evaluate import machine, measure, table

    for name in names:
        rows = measure(HERE / name, cases)
        text = f"Measured with `train.py --evaluate` on {machine()}.\n\n{table(rows)}\n"
        print(f"\n{name}\n{text}")
        card = HERE / name / "README.md"
        old = card.read_text(encoding="utf-8") if card.exists() else f"# tiny-phi3, {name}\n\n{MARK}\n{MARK}\n"
        head, _, tail = old.split(MARK)
        write_text(card, f"{head}{MARK}\n{text}{MARK}{tail}")


MARK = "<!-- skill table -->"


def main() -> None:
    """The command line; see the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=("copy", *PLAN), help="one stage only")
    parser.add_argument("--size", choices=tuple(SIZES), help="one size only")
    parser.add_argument("--tokens", type=int, help="token budget of the stage")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--gate-every", type=int, default=400, help="steps between two gate measurements")
    parser.add_argument("--export", action="store_true", help="write the finished folders from the checkpoints")
    parser.add_argument(
        "--evaluate", action="store_true", help="print the skill table and write it into the model cards"
    )
    parser.add_argument("--model", choices=FOLDERS, help="with --export or --evaluate: one folder only")
    parser.add_argument("--cases", type=int, default=200, help="with --evaluate: cases a row")
    parser.add_argument(
        "--check-data", type=int, nargs="?", const=100_000, help="look for Brightwater in so many episodes"
    )
    args = parser.parse_args()
    folders = [args.model] if args.model else list(FOLDERS)
    if args.check_data:
        sys.exit(1 if check_data(args.check_data) else 0)
    if args.evaluate:
        evaluate(folders, args.cases)
        return
    if args.export:
        for name in folders:
            export(*FOLDERS[name], name)
        write_text(HERE / "public_questions.jsonl", public_questions())
        draw_curve("loss.svg", list(PLAN)[:4])
        draw_curve("loss-skills.svg", ["skills", "trades", "forms"])
        return
    for size in [args.size] if args.size else SIZES:
        for stage in [args.stage] if args.stage else ("copy", *TOKENS[size]):
            if stage == "copy":
                copy_stage(size)
            else:
                train_stage(
                    size,
                    stage,
                    args.tokens or (TOKENS[size] | TRIALS)[stage],
                    not args.no_compile,
                    args.gate_every,
                )


if __name__ == "__main__":
    main()
