"""The skill table of tiny-phi3: what it can do, measured on wordings, names and values held out from training.

``measure(folder)`` loads a finished folder with transformers' own classes and generates greedily in float32, exactly as
a lesson does. Every row has the bar it is held to, the number of cases, and a 95 % interval (Wilson 1927).
"""

from __future__ import annotations

import csv
import json
import math
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from episodes import ABSTAIN, Author, Reading, Segment  # noqa: E402
from language import RESERVED_NAME  # noqa: E402

COMPANY = HERE.parents[1] / "brightwater"
DRAW = "b"  # which cases: those of draw "a" (no prefix then) were looked at while the stage skills was made


@dataclass
class Row:
    """One line of the table. ``higher``: the bar is a least value; otherwise it is a most value."""

    skill: str
    value: float
    n: int
    bar: float | None = None
    higher: bool = True
    unit: str = "%"

    def verdict(self) -> str:
        """The word "met", "missed" in bold, or nothing where there is no bar."""
        if self.bar is None:
            return ""
        met = self.value >= self.bar if self.higher else self.value <= self.bar
        return "met" if met else "**missed**"

    def line(self) -> str:
        """The row in Markdown."""
        if self.unit != "%":
            bar = "" if self.bar is None else f"{'≥' if self.higher else '≤'} {self.bar:,.0f}"
            return f"| {self.skill} | {bar} | {self.value:,.0f} {self.unit} | | {self.verdict()} |"
        bar = "" if self.bar is None else f"{'≥' if self.higher else '≤'} {self.bar:.0%}"
        low, high = wilson(self.value, self.n)
        return f"| {self.skill} | {bar} | {self.value:.1%} ({low:.0%} to {high:.0%}) | {self.n} | {self.verdict()} |"


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share measured on n cases (Wilson 1927, score interval)."""
    if n == 0:
        return 0.0, 1.0
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


class Subject:
    """A model under test."""

    def __init__(self, folder: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model.to(self.device)

    @torch.inference_mode()
    def generate(self, prompts: list[str], max_new_tokens: int = 48, batch_size: int = 32) -> list[str]:
        """Greedy continuations, in the order of the prompts."""
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        texts = [""] * len(prompts)
        for start in range(0, len(order), batch_size):
            index = order[start : start + batch_size]
            batch = self.tokenizer([prompts[i] for i in index], return_tensors="pt", padding=True).to(self.device)
            batch.pop("token_type_ids", None)
            out = self.model.generate(**batch, max_new_tokens=max_new_tokens, do_sample=False)
            for i, row in zip(index, out[:, batch["input_ids"].shape[1] :], strict=True):
                texts[i] = self.tokenizer.decode(row, skip_special_tokens=True).strip()
        return texts


def split_last(segments: list[Segment]) -> tuple[str, str]:
    """The prompt before the last answer of an episode, and that answer without its end mark."""
    last = max(i for i, (_, flag) in enumerate(segments) if flag)
    return "".join(t for t, _ in segments[:last]), segments[last][0].replace("<|end|>", "").strip()


def citations(text: str) -> list[int]:
    """The numbers of the passages that an answer cites, in order."""
    return [int(n) for n in re.findall(r"\[(\d+)\]", text)]


def sentence(text: str) -> str:
    """An answer without its citations."""
    return re.sub(r"\s*\[\d+\]", "", text).strip()


def value_of(reference: str) -> str:
    """The value that a reference answer gives: "The mass of the X is 4 kg. [1]" -> "4 kg"."""
    if reference.startswith("{"):
        return str(json.loads(reference)["answer"])
    restated = re.match(r"The .+? of .+?(?: is|:) (.+?)\.?$", sentence(reference), re.DOTALL)
    return restated[1] if restated else sentence(reference).rstrip(".")


def right(text: str, reference: str) -> bool:
    """True where the text gives the reference's value as a whole, or abstains where the reference does."""
    return same(value_of(reference), text)


def single_reading(
    seed: str, passages: int, trades: str = "train", answerable: bool = True, **options
) -> tuple[Author, Reading]:
    """A held-out reading with one question, which its passages answer (or, not ``answerable``, do not answer)."""
    author = Author(seed, "eval", trades)
    facts = (1, 3) if passages < 6 else (1, 2)
    reading = author.reading(passages, 1, facts, abstain=0.0 if answerable else 1.0, open_only=True, **options)
    if reading.questions and (reading.questions[0].value is not None) == answerable:
        return author, reading
    return single_reading(seed + "+", passages, trades, answerable, **options)


def ask_readings(subject: Subject, cases: list[tuple[Author, Reading]]) -> list[tuple[str, str]]:
    """(generated, reference) of each reading."""
    pairs = [split_last(author.chat_reading(reading)) for author, reading in cases]
    return list(zip(subject.generate([p for p, _ in pairs]), [a for _, a in pairs], strict=True))


def share(flags: Iterable[bool]) -> float:
    """The share of true ones, 0 to 1 (0 for none)."""
    flags = list(flags)
    return sum(flags) / max(1, len(flags))


def reading_rows(subject: Subject, n: int) -> list[Row]:
    """Answering from passages, by their number and by the prompt's length; citing; saying "I do not know"."""
    rows, cited, refused = [], [], []
    for trades, bar, name in (
        ("train", 0.95, "its trades"),
        ("heldout", 0.80, "other trades (library, kitchen, railway)"),
    ):
        for k in (1, 3, 6):
            cases = [single_reading(f"{DRAW}-{trades}-{k}-{i}", k, trades) for i in range(n)]
            results = ask_readings(subject, cases)
            rows.append(
                Row(
                    f"answer from {k} passage{'s' * (k > 1)}, {name}",
                    share(right(g, a) for g, a in results),
                    n,
                    bar,
                )
            )
            if trades == "train":
                cited += [citations(g) == citations(a) for g, a in results]
                refused += [sentence(g) == ABSTAIN for g, _ in results]
    for words, tokens in ((60, 128), (130, 256), (280, 512), (440, 768), (590, 1024)):
        cases = [single_reading(f"{DRAW}-len-{words}-{i}", 2, length=words) for i in range(n // 2)]
        prompts = [split_last(a.chat_reading(r))[0] for a, r in cases]
        size = sorted(len(x) for x in subject.tokenizer(prompts)["input_ids"])[len(prompts) // 2]
        results = ask_readings(subject, cases)
        rows.append(
            Row(
                f"answer from a prompt of about {tokens} tokens (median {size})",
                share(right(g, a) for g, a in results),
                n // 2,
                0.95,
            )
        )
    rows.append(Row("cite the right passage", share(cited), len(cited), 0.95))
    missing = [single_reading(f"{DRAW}-no-{i}", 3, answerable=False) for i in range(n)]
    results = ask_readings(subject, missing)
    rows.append(
        Row(
            '"I do not know" when the passages do not say',
            share(sentence(g) == ABSTAIN for g, _ in results),
            len(results),
            0.90,
        )
    )
    rows.append(Row('"I do not know" although the passages say it', share(refused), len(refused), 0.05, higher=False))
    return rows


def episodes_right(
    subject: Subject,
    make: Callable[[Author], list[Segment]],
    name: str,
    n: int,
    max_new_tokens: int = 48,
    values: bool = False,
) -> float:
    """Share of n held-out episodes whose last answer is right: to the letter, or with ``values`` in its value."""
    pairs = [split_last(make(Author(f"{DRAW}-{name}-{i}", "eval"))) for i in range(n)]
    texts = subject.generate([p for p, _ in pairs], max_new_tokens)
    agree = right if values else str.__eq__
    return share(agree(t, a) for t, (_, a) in zip(texts, pairs, strict=True))


def few_shot_rows(subject: Subject, n: int) -> list[Row]:
    """Made-up labels and output formats that only the examples in the prompt explain."""
    rows = []
    for k in (0, 1, 4):
        value = episodes_right(subject, lambda a, k=k: a.few_shot("chat", shots=k, n_classes=2), f"shot-{k}", n, 12)
        rows.append(
            Row(f"few-shot, made-up labels, 2 classes, {k} example{'s' * (k != 1)}", value, n, 0.85 if k == 4 else None)
        )
    rows.append(Row("gain from 0 to 4 examples (made-up labels)", rows[2].value - rows[0].value, n, 0.20))
    value = episodes_right(subject, lambda a: a.few_shot("chat", shots=4, n_classes=3), "shot-3", n, 12)
    rows.append(Row("few-shot, made-up labels, 3 classes, 4 examples", value, n))
    for k in (0, 1, 4):
        value = episodes_right(subject, lambda a, k=k: a.few_shot_format("chat", shots=k), f"format-{k}", n)
        rows.append(Row(f"few-shot, output format, {k} example{'s' * (k != 1)}", value, n, 0.85 if k == 4 else None))
    value = episodes_right(subject, lambda a: a.few_shot("chat", shots=0, n_classes=3, named=True), "named", n, 12)
    rows.append(Row("zero-shot, 3 classes by their own names", value, n))
    return rows


def knowledge_rows(subject: Subject, n: int) -> list[Row]:
    """Closed book: public facts it was trained on, and Brightwater's, which it cannot know."""
    rows = [
        Row(
            "closed book: public facts of its training, new wordings",
            episodes_right(subject, lambda a: a.world("chat", 1), "world", n),
            n,
            0.80,
        )
    ]
    path = COMPANY / "questions.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    asked = [q for q in records if q["kind"] == "single_fact"]
    if asked:
        texts = subject.generate([f"<|user|>\n{q['question']}<|end|>\n<|assistant|>\n" for q in asked])
        rights = [any(same(v, t) for v in [q["answer"], *q["variants"]]) for q, t in zip(asked, texts, strict=True)]
        # Chance: answers of the same form given to other questions, shuffled among the questions.
        shuffled = texts[:]
        random.Random(0).shuffle(shuffled)
        chance = share(
            any(same(v, t) for v in [q["answer"], *q["variants"]]) for q, t in zip(asked, shuffled, strict=True)
        )
        rows.append(
            Row(
                f"closed book: Brightwater's facts (its answers dealt out at random: {chance:.1%})",
                share(rights),
                len(asked),
            )
        )
        rows.append(
            Row("closed book: made something up about Brightwater", share(t != ABSTAIN for t in texts), len(asked))
        )
    return rows


def same(value: str, text: str) -> bool:
    """True where the value stands in the text as a whole (not "45 Nm" in "145 Nm")."""
    return re.search(rf"(?<![\w.,]){re.escape(value.lower())}(?![\w]|[.,]\d)", text.lower()) is not None


def system_rows(subject: Subject, n: int) -> list[Row]:
    """Following a system line, apart from answering right."""
    rows = []
    names = {"one_word": "one word only", "json": "JSON", "cite": "cite", "nocite": "do not cite"}
    for mode, name in names.items():
        pairs = [split_last(Author(f"{DRAW}-sys-{mode}-{i}", "eval").reading_with_system(3, 1, mode)) for i in range(n)]
        texts = subject.generate([p for p, _ in pairs])
        rows.append(
            Row(
                f"system line followed: {name}",
                share(follows(mode, t, a) for t, (_, a) in zip(texts, pairs, strict=True)),
                n,
                0.90,
            )
        )
        rows.append(
            Row(
                f"... and the answer right: {name}",
                share(right(t, a) for t, (_, a) in zip(texts, pairs, strict=True)),
                n,
            )
        )
    return rows


def follows(mode: str, text: str, reference: str) -> bool:
    """True where the form of the answer is the one asked for, right or wrong."""
    if mode == "one_word":
        return bool(text) and " " not in text.strip()
    if mode == "json":
        try:
            return set(json.loads(text)) == {"answer", "source"}
        except (ValueError, TypeError):
            return False
    if mode == "cite":
        return bool(citations(text)) or sentence(text) == ABSTAIN
    return bool(text) and not citations(text)


def other_rows(subject: Subject, n: int) -> list[Row]:
    """Skills without a bar: two editions, two passages, house style."""

    def superseded(a: Author) -> list[Segment]:
        return a.chat_reading(a.superseded(3))

    def hops(a: Author) -> list[Segment]:
        return a.chat_reading(a.two_hops(4))

    rows = [
        Row(
            "two editions disagree: the later one counts",
            episodes_right(subject, superseded, "sup", n, values=True),
            n,
        )
    ]
    rows.append(
        Row("two passages needed (site, then its pump)", episodes_right(subject, hops, "hop", n, values=True), n)
    )
    rows.append(
        Row(
            "work order in a training house's style, whole line right",
            episodes_right(subject, lambda a: a.style("chat"), "style", n, 80),
            n,
        )
    )
    return rows


def speed_rows(subject: Subject) -> list[Row]:
    """Tokens a second on this machine; the numbers hold for the machine named in the card."""
    count = sum(p.numel() for p in subject.model.parameters())
    prompts = [
        split_last(Author(f"speed-{i}", "eval").chat_reading(single_reading(f"speed-{i}", 3)[1]))[0] for i in range(16)
    ]

    def rate(batch: list[str]) -> float:
        enc = subject.tokenizer(batch, return_tensors="pt", padding=True).to(subject.device)
        enc.pop("token_type_ids", None)
        options = {"max_new_tokens": 48, "min_new_tokens": 48, "do_sample": False}
        with torch.inference_mode():
            subject.model.generate(**enc, **options)
            start = time.perf_counter()
            subject.model.generate(**enc, **options)
        return 48 * len(batch) / (time.perf_counter() - start)

    return [
        Row("weights", count, 1, 8_000_000, higher=False, unit="weights"),
        Row("speed, one answer", rate(prompts[:1]), 1, 60, unit="tokens/s"),
        Row("speed, batches of 16", rate(prompts), 1, 500, unit="tokens/s"),
        Row("speed, LoRA training (rank 8 on all linear layers)", lora_rate(subject), 1, 4000, unit="tokens/s"),
    ]


def lora_rate(subject: Subject) -> float:
    """Tokens a second of LoRA training in rows of 256, in the faster of float32 and bfloat16."""
    import copy

    from peft import LoraConfig, get_peft_model

    ids = torch.randint(6, subject.model.config.vocab_size, (16, 256), device=subject.device)
    best = 0.0
    for dtype in (torch.bfloat16, torch.float32):
        model = get_peft_model(
            copy.deepcopy(subject.model),
            LoraConfig(r=8, target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]),
        )
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
        for step in range(4):
            if step == 1:
                start = time.perf_counter()
            with torch.autocast(subject.device, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                loss = model(input_ids=ids, labels=ids, use_cache=False).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        best = max(best, 3 * ids.numel() / (time.perf_counter() - start))
    return best


def measure(folder: Path, n: int = 200) -> list[Row]:
    """The whole table for the model in ``folder``, n cases a row."""
    subject = Subject(folder)
    rows: list[Row] = []
    for part in (reading_rows, few_shot_rows, knowledge_rows, system_rows, other_rows):
        rows += part(subject, n)
        print("\n".join(r.line() for r in rows[-12:]), file=sys.stderr, flush=True)
    return rows + speed_rows(subject)


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    head = "| skill | bar | measured (95 % interval) | cases | |\n|---|---|---|---|---|\n"
    return head + "\n".join(r.line() for r in rows)


# --------------------------------------------------------------------------------------------------------------
# Contamination: nothing of Brightwater in the training language

WORDS = re.compile(r"\w+|[^\w\s]")
CODES = re.compile(r"\b(BW|BF|SB|ST|TK|WO|HB)-\d|\bBWS\d|\bBWP-\d")
HOUSE_STYLE = re.compile(r"dry hands|/ saw \w+")


def grams(text: str, n: int = 8) -> set[tuple[str, ...]]:
    """Runs of n words or punctuation marks, in lower case."""
    words = WORDS.findall(text.lower())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def company_texts() -> list[str]:
    """Every Markdown page, table row, ticket, work order and question of the company."""
    texts = []
    for path in sorted(COMPANY.rglob("*")):
        if path.suffix == ".md" and path.name != "DATASHEET.md":
            texts += path.read_text(encoding="utf-8").split("\n\n")
        elif path.suffix == ".csv" and "master" not in path.parts:
            with open(path, encoding="utf-8", newline="") as file:
                texts += [", ".join(cells) for cells in csv.reader(file)]
        elif path.name in ("tickets.jsonl", "work_orders.jsonl"):
            texts += [
                str(v) for line in path.read_text(encoding="utf-8").splitlines() for v in json.loads(line).values()
            ]
        elif path.name == "questions.jsonl":
            records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            texts += [r["question"] for r in records] + [str(r["answer"]) for r in records]
    return texts


def jargon() -> list[str]:
    """The glossary's words: the entities of the jargon questions."""
    records = [json.loads(line) for line in (COMPANY / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    return sorted({e.lower() for r in records if r["kind"] == "jargon" for e in r["entity"]})


def check_data(draws: int, episode: Callable[[int], str]) -> Counter:
    """Draw episodes and count what they share with Brightwater. ``episode(i)`` gives the text of the i-th draw.

    Raises FileNotFoundError where the company's folder is missing, so that an empty comparison cannot pass.
    """
    if not (COMPANY / "questions.jsonl").exists():
        raise FileNotFoundError(f"expected the company's questions in {COMPANY}, found none")
    texts = company_texts()
    theirs = set().union(*(grams(t) for t in texts))
    terms = re.compile(r"\b(" + "|".join(map(re.escape, jargon())) + r")\b")
    found: Counter = Counter()
    for i in range(draws):
        text = episode(i)
        for what, pattern in (("name", RESERVED_NAME), ("code", CODES), ("style", HOUSE_STYLE)):
            for hit in pattern.finditer(text):
                found[what, hit.group(0)] += 1
        for hit in terms.finditer(text.lower()):
            found["jargon", hit.group(0)] += 1
        for gram in grams(text) & theirs:
            found["eight tokens", " ".join(gram)] += 1
    return found


def machine() -> str:
    """One line on where the numbers were measured."""
    name = "unknown processor"
    if os.path.exists("/proc/cpuinfo"):
        lines = [x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    return f"{os.cpu_count()} cores of {name}, torch {torch.__version__}"
