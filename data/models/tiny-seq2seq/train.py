"""Train tiny-seq2seq from nothing: a T5 that turns the fault log of a pump into one sentence.

    python train.py                  # tokenizer, weights, held_out.jsonl; goes on where it was killed
    python train.py --evaluate       # measure held-out logs, print the table and write it into README.md
    python train.py --check-data     # look for any Brightwater text in 20,000 logs

A checkpoint goes to ``runs/`` (not committed, or to the folder named in TINY_SEQ2SEQ_RUNS); the finished model lies
beside this file. The logs are made from a seed, see ``logs.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import logs  # noqa: E402

RUNS = Path(os.environ.get("TINY_SEQ2SEQ_RUNS", HERE / "runs"))
VOCAB = 1280
STEPS, ROWS, RATE, WARM_UP = 1600, 32, 2e-3, 100
STRANGE = 0.3  # share of the names in training that are any letters
HELD_OUT = 100  # logs of each kind in held_out.jsonl
PARTS = ("pump", "date", "code", "cause", "action", "state")
KINDS = {"trained": "wordings of the training", "new": "wordings held out"}
MARK = "<!-- measured -->"


# --- the tokenizer -----------------------------------------------------------------------------------------------


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of VOCAB tokens, learnt from logs; a number is split into groups of one or two digits."""
    digits, space = "0123456789", "\u0120"  # how a byte-level BPE writes a space
    joins = [(a, b) for a in digits for b in digits]
    joins += [(space, a + b) for a, b in joins] + [(space, a) for a in digits]
    pattern = Regex(r"\n| ?\p{L}+| ?\p{N}{1,2}| ?[^\s\p{L}\p{N}]|\s")
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pattern, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - len(joins),
        special_tokens=["<pad>", "</s>"],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    samples = [logs.write(f"tokenizer-{i}", strange=STRANGE) for i in range(3000)]
    tok.train_from_iterator((re.sub(r"\d", "", f"{s.text}\n{s.summary}") for s in samples), trainer)
    state = json.loads(tok.to_str())
    for a, b in joins:
        state["model"]["vocab"][a + b] = len(state["model"]["vocab"])
    state["model"]["merges"] = [list(pair) for pair in joins] + state["model"]["merges"]
    tok = Tokenizer.from_str(json.dumps(state))
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tok,
        pad_token="<pad>",
        eos_token="</s>",
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in the folder, made there first where it is missing."""
    if not (folder / "tokenizer.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        build_tokenizer().save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


# --- the model ---------------------------------------------------------------------------------------------------


def build_model(**changes: int) -> T5ForConditionalGeneration:
    """A small T5 with random weights, and with two habits written down instead of learnt."""
    settings = {
        "vocab_size": VOCAB, "d_model": 128, "d_kv": 32, "d_ff": 384, "num_heads": 4, "num_layers": 3,
        "dropout_rate": 0.0, "feed_forward_proj": "gated-gelu", "decoder_start_token_id": 0,
    }  # fmt: skip
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(T5Config(**settings | changes))
    start_copying(model)
    return model


@torch.no_grad()
def start_copying(model: T5ForConditionalGeneration) -> None:
    """Make copying easy to find: a head looks to the token before, and what a cross-attention reads it writes.

    To copy, the decoder must find the place where its last tokens stand in the log, and write the next one. So one head
    of the encoder prefers the token before, one the token two before, and one of the decoder the token before. In
    each cross-attention the output undoes the values, so that the word looked at is the word written (an
    initialisation that imitates trained weights: Trockman and Kolter, 2023).
    """
    reads, writes = (s.block[0].layer[0].SelfAttention.relative_attention_bias for s in (model.encoder, model.decoder))
    reads.weight[1, 0] = reads.weight[2, 1] = writes.weight[1, 0] = 6.0  # the row is the distance back
    for block in model.decoder.block:
        cross = block.layer[1].EncDecAttention
        values = torch.nn.init.orthogonal_(torch.empty_like(cross.v.weight))
        cross.v.weight.copy_(values)
        cross.o.weight.copy_(values.T)


def batch(tok: PreTrainedTokenizerFast, step: int, rows: int, seed: str) -> dict[str, torch.Tensor]:
    """The logs of one step and their summaries, as tokens; the padding of a summary takes no part in the loss."""
    made = [logs.write(f"{seed}-{step}-{i}", strange=STRANGE) for i in range(rows)]
    texts = tok([m.text for m in made], padding=True, return_tensors="pt")
    labels = tok([m.summary for m in made], padding=True, return_tensors="pt").input_ids
    return {
        "input_ids": texts.input_ids,
        "attention_mask": texts.attention_mask,
        "labels": labels.masked_fill(labels == tok.pad_token_id, -100),
    }


def rate(step: int, steps: int) -> float:
    """The learning rate of a step: up, then down to 0 in a straight line."""
    return RATE * min(1.0, (step + 1) / WARM_UP) * (1 - step / steps)


def save_state(path: Path, **state: object) -> None:
    """Write a checkpoint whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def fast_dtype() -> torch.dtype:
    """bfloat16 where a layer's product is clearly faster in it, else float32."""
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = torch.randn(2048, 128).to(dtype), torch.randn(128, 384).to(dtype)
        best = 9.0
        for _ in range(20):
            began = time.perf_counter()
            a @ b
            best = min(best, time.perf_counter() - began)
        times[dtype] = best
    return torch.bfloat16 if times[torch.float32] > 1.3 * times[torch.bfloat16] else torch.float32


def train(
    steps: int = STEPS, rows: int = ROWS, save_every: int = 250, say: Callable[[str], None] = print, **changes: int
) -> T5ForConditionalGeneration:
    """Train for so many steps, or go on from the checkpoint."""
    tok, path = tokenizer(RUNS / "tokenizer"), RUNS / "state.pt"
    model = build_model(**changes)
    opt = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    step, seconds = 0, 0.0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        opt.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
        say(f"going on from step {step}")
    dtype, began, losses = fast_dtype(), time.time() - seconds, []
    while step < steps:
        for group in opt.param_groups:
            group["lr"] = rate(step, steps)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = model(**batch(tok, step, rows, "train")).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad()
        losses.append(loss.item())
        step += 1
        if step % 50 == 0 or step == steps:
            say(f"step {step} of {steps}, loss {sum(losses) / len(losses):.3f}, {time.time() - began:.0f} s")
            losses = []
        if step % save_every == 0 or step == steps:
            spent = time.time() - began
            save_state(path, model=model.state_dict(), optimizer=opt.state_dict(), step=step, seconds=spent)
    return model


def export(model: T5ForConditionalGeneration, folder: Path) -> None:
    """Write weights (16-bit), config, tokenizer and the held-out logs into a folder."""
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer(RUNS / "tokenizer").save_pretrained(folder)
    write_text(folder / "held_out.jsonl", "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in held_out()))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.with_suffix(path.suffix + ".tmp").write_text(text, encoding="utf-8", newline="\n")
    os.replace(path.with_suffix(path.suffix + ".tmp"), path)


# --- measuring ---------------------------------------------------------------------------------------------------


def held_out() -> Iterator[dict[str, str]]:
    """Logs with names and codes that training never has: half in its wordings, half in wordings held out."""
    for kind in KINDS:
        for i in range(HELD_OUT):
            log = logs.write(f"held-out-{kind}-{i}", "eval", new_wordings=kind == "new")
            yield {"id": f"log-{kind}-{i + 1:03d}", "wordings": kind, **vars(log)}


def last_line(text: str) -> str:
    """The last line of a log, without its date and time."""
    return re.sub(r"^\d+ \w+ \d\d:\d\d ", "", text.splitlines()[-1])


def first_alarm(text: str) -> str:
    """The first line of a log that says the pump stopped or names an alarm, with its date; else the last line."""
    for pattern in (r"stop|trip|off\.|shut", r"alarm"):
        found = [line for line in text.splitlines()[1:] if re.search(pattern, line, re.IGNORECASE)]
        if found:
            return found[0]
    return last_line(text)


@torch.inference_mode()
def summaries(folder: Path, texts: list[str], size: int = 25) -> list[str]:
    """What the finished model in a folder writes, the likeliest token each time, in float32."""
    tok = AutoTokenizer.from_pretrained(folder)
    model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    written = []
    for start in range(0, len(texts), size):
        inputs = tok(texts[start : start + size], padding=True, return_tensors="pt")
        written += tok.batch_decode(
            model.generate(**inputs, max_new_tokens=80, do_sample=False), skip_special_tokens=True
        )
    return written


def f1(answer: str, expected: str) -> float:
    """How far two texts share their words, 0 to 1."""
    a, b = Counter(re.findall(r"[\w-]+", answer.lower())), Counter(re.findall(r"[\w-]+", expected.lower()))
    both = sum((a & b).values())
    return 2 * both / (sum(a.values()) + sum(b.values())) if both else 0.0


def scores(records: list[dict[str, str]], written: list[str]) -> dict[str, float]:
    """Shares from 0 to 1: whole sentence right, each part right where there is one, words shared."""
    pairs = list(zip(records, written, strict=True))
    found = {"whole sentence right": [w.strip() == r["summary"] for r, w in pairs]}
    for part in PARTS:
        found[f"{part} right"] = [r[part] in w for r, w in pairs if r[part]]
    found["words shared (F1)"] = [f1(w, r["summary"]) for r, w in pairs]
    return {name: sum(marks) / len(marks) for name, marks in found.items()}


def table() -> str:
    """The measured table in Markdown."""
    records = list(held_out())
    systems = {"copy the last line": last_line, "copy the line that stopped it": first_alarm}
    columns = {}
    for kind, words in KINDS.items():
        ours = [r for r in records if r["wordings"] == kind]
        columns[f"tiny-seq2seq, {words}"] = scores(ours, summaries(HERE, [r["text"] for r in ours]))
    for name, copy in systems.items():
        columns[name] = scores(records, [copy(r["text"]) for r in records])
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in next(iter(columns.values())):
        lines.append(f"| {row} | " + " | ".join(f"{column[row]:.0%}" for column in columns.values()) + " |")
    return "\n".join(lines)


def evaluate() -> None:
    """Print the table and write it into the card."""
    text = f"{HELD_OUT} held-out logs of each kind, greedy, float32, torch {torch.__version__}.\n\n{table()}\n"
    print(text)
    head, _, tail = (HERE / "README.md").read_text(encoding="utf-8").split(MARK)
    write_text(HERE / "README.md", f"{head}{MARK}\n{text}{MARK}{tail}")


def check_data(draws: int) -> int:
    """Print what logs share with Brightwater; returns the number of different finds."""
    from evaluate import check_data as compare  # tiny-phi3's, found through logs.py

    def text(i: int) -> str:
        log = logs.write(f"check-{i}", strange=STRANGE)
        return f"{log.text}\n{log.summary}"

    found = compare(draws, text)
    for (what, words), count in found.most_common(50):
        print(f"{what}: {words!r}, {count} times")
    print(f"{draws} logs, {len(found)} finds")
    return len(found)


def main() -> None:
    """The command line; see the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--evaluate", action="store_true", help="print the table and write it into the card")
    parser.add_argument("--check-data", type=int, nargs="?", const=20_000, help="look for Brightwater in so many logs")
    options = parser.parse_args()
    if options.check_data:
        sys.exit(1 if check_data(options.check_data) else 0)
    if options.evaluate:
        evaluate()
        return
    export(train(options.steps, say=lambda text: print(text, flush=True)), HERE)


if __name__ == "__main__":
    main()
