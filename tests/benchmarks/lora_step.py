"""Our settings for LoRA on a processor against the defaults of TRL's SFTTrainer: tokens a second, as a ratio.

    python tests/benchmarks/lora_step.py            24 steps of each, to data/measurements/lora_step.csv
    python tests/benchmarks/lora_step.py --smoke    2 steps with the smaller model; nothing is stored

Same model, same rows, same adapter, same batch size, one run: after each step of the trainer comes one step of ours,
so whatever else the machine does slows both down alike. The trainer's defaults are what SFTConfig has without being
told anything, except what keeps it on the processor, off the network and from writing (use_cpu, report_to,
save_strategy). Among them are gradient checkpointing and bfloat16 autocast. Ours: batches of rows of like length, no
checkpointing, explicit SDPA, and the number format that ``expert.models.probe_dtype`` finds faster on this machine.
Both count the loss on the completion only. Tokens are real ones: padding does not count. The trainer's time leaves
out making the batch; ours includes it.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil
import torch
from expert import corpus, models
from measured_lines import processor, write
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "measurements" / "lora_step.csv"
WARM_UP = 2
BATCH = 8  # the trainer's default, taken for both
LORA = {
    "r": 16,
    "lora_alpha": 32,
    "target_modules": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
    "task_type": "CAUSAL_LM",
}


def main(arguments: list[str] | None = None) -> list[dict]:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="2 steps with the smaller model; nothing is stored")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--table", type=Path, default=TABLE)
    given = parser.parse_args(arguments)
    steps = 2 if given.smoke else given.steps
    folder = models.tiny_folder("small" if given.smoke else "chat")
    rows = side_by_side(folder, examples(), WARM_UP + steps)
    for row in rows:
        print(" ".join(f"{key} {value}" for key, value in row.items()))
    if not given.smoke:
        store(rows, given.table)
    return rows


def examples() -> list[dict]:
    """Tickets to work orders, and questions with their passage: prompt and completion as messages, of many lengths."""
    texts = {p.id: p.text for p in corpus.passages()}
    asked = [(q.question, q.answer) for q in corpus.questions("tune", "style")]
    for q in corpus.questions("tune", "single_fact") + corpus.questions("tune", "two_passages"):
        passages = "\n".join(f"[{n}] {texts[i]}" for n, i in enumerate(q.passages, 1))
        asked.append((f"{passages}\n\n{q.question}", q.answer))
    return [
        {"prompt": [{"role": "user", "content": a}], "completion": [{"role": "assistant", "content": b}]}
        for a, b in asked
    ]


def side_by_side(folder: Path, rows: list[dict], steps: int) -> list[dict]:
    """Train with both, step by step in turn, and return a row for each."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    with tempfile.TemporaryDirectory() as place:
        settings = SFTConfig(
            output_dir=place, max_steps=steps, use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True
        )
        trainer = SFTTrainer(
            model=str(folder), args=settings, train_dataset=Dataset.from_list(rows), peft_config=LoraConfig(**LORA)
        )
        if settings.per_device_train_batch_size != BATCH:
            raise SystemExit(f"TRL's default batch is now {settings.per_device_train_batch_size}; set BATCH to it.")
        counted = count_batches(trainer)
        ours = Ours(folder, tokenized(trainer.train_dataset))
        timer = Turns(ours)
        trainer.add_callback(timer)
        trainer.train()
        defaults = {
            "gradient_checkpointing": settings.gradient_checkpointing,
            "bf16": settings.bf16,
            "weights": str(next(p.dtype for p in trainer.model.parameters() if not p.requires_grad)),
            "attention": trainer.model.config._attn_implementation,
        }
    mine = {
        "gradient_checkpointing": False,
        "bf16": ours.dtype == torch.bfloat16,
        "weights": str(ours.dtype),
        "attention": ours.model.config._attn_implementation,
    }
    theirs = summary("TRL's defaults", defaults, timer.theirs, counted[:steps])
    own = summary("ours", mine, timer.ours, ours.counted)
    ratios = speed_of(timer.ours, ours.counted) / speed_of(timer.theirs, counted[:steps])
    return [row | {"ours_to_trl": round(float(ratios), 3)} for row in (theirs, own)]


class Ours:
    """A training loop with the course's settings, one step at a time."""

    def __init__(self, folder: Path, rows: list[tuple[list[int], list[int]]], seed: int = 0) -> None:
        self.dtype = models.probe_dtype()
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=self.dtype, attn_implementation="sdpa")
        torch.manual_seed(seed)
        self.model = get_peft_model(base, LoraConfig(**LORA)).train()
        self.optimizer = torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], lr=2e-5)
        self.pad = AutoTokenizer.from_pretrained(folder).pad_token_id
        self.batches = by_length(rows, BATCH, seed)
        self.counted: list[tuple[int, int]] = []

    def step(self) -> float:
        """The seconds of one step, making the batch included."""
        began = time.perf_counter()
        rows = self.batches[len(self.counted) % len(self.batches)]
        longest = max(len(ids) for ids, _ in rows)
        pads = [longest - len(ids) for ids, _ in rows]
        ids = torch.tensor([ids + [self.pad] * n for (ids, _), n in zip(rows, pads, strict=True)])
        labels = torch.tensor([labels + [-100] * n for (_, labels), n in zip(rows, pads, strict=True)])
        mask = torch.tensor([[1] * (longest - n) + [0] * n for n in pads])
        self.model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.counted.append((int(mask.sum()), mask.numel()))
        return time.perf_counter() - began


class Turns(TrainerCallback):
    """Times each step of the trainer, and lets one step of ours follow."""

    def __init__(self, ours: Ours) -> None:
        self.own, self.began, self.theirs, self.ours = ours, 0.0, [], []

    def on_step_begin(self, args, state, control, **_) -> None:
        """The trainer has its batch and begins."""
        self.began = time.perf_counter()

    def on_step_end(self, args, state, control, **_) -> None:
        """The trainer has changed its weights; now we."""
        self.theirs.append(time.perf_counter() - self.began)
        self.ours.append(self.own.step())


def by_length(rows: list, size: int, seed: int) -> list[list]:
    """Batches of rows of like length, in a drawn order."""
    rows = sorted(rows, key=lambda row: len(row[0]))
    batches = [rows[i : i + size] for i in range(0, len(rows), size)]
    return [batches[i] for i in np.random.default_rng(seed).permutation(len(batches))]


def tokenized(dataset) -> list[tuple[list[int], list[int]]]:
    """The rows as the trainer cut them: tokens, and labels with -100 where the prompt is."""
    if "labels" not in dataset.column_names:
        raise SystemExit(f"TRL no longer makes labels before training; its columns are {dataset.column_names}.")
    rows = [(list(row["input_ids"]), list(row["labels"])) for row in dataset]
    if not all(-100 in labels and any(label != -100 for label in labels) for _, labels in rows):
        raise SystemExit("TRL's labels no longer leave the prompt out.")
    return rows


def count_batches(trainer) -> list[tuple[int, int]]:
    """Note the real and the padded tokens of each batch that the trainer makes, in order."""
    counted, collate = [], trainer.data_collator

    def wrapped(features):
        batch = collate(features)
        real = sum(len(f["input_ids"]) for f in features)
        counted.append((real, batch["input_ids"].numel()))
        return batch

    trainer.data_collator = wrapped
    return counted


def speed_of(seconds: list[float], counted: list[tuple[int, int]]) -> float:
    """Real tokens a second, without the steps that warm up."""
    return sum(real for real, _ in counted[WARM_UP:]) / sum(seconds[WARM_UP:])


def summary(name: str, settings: dict, seconds: list[float], counted: list[tuple[int, int]]) -> dict:
    """One row of the table."""
    real, padded = (sum(pair[i] for pair in counted[WARM_UP:]) for i in (0, 1))
    return {
        "settings": name,
        **settings,
        "batch": BATCH,
        "steps": len(seconds) - WARM_UP,
        "tokens_per_second": round(speed_of(seconds, counted), 1),
        "step_seconds": round(statistics.median(seconds[WARM_UP:]), 4),
        "padding": round(1 - real / padded, 4),
    }


def store(rows: list[dict], table: Path) -> None:
    """Write the table with the machine, the versions and the date in each row."""
    packages = ("torch", "transformers", "peft", "trl")
    about = {
        "machine": f"{torch.get_num_threads()} threads of {processor()}; "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB; {platform.system()}",
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else "",
        "versions": "; ".join([f"python {platform.python_version()}", *(f"{p} {version(p)}" for p in packages)]),
        "date": datetime.now(UTC).date().isoformat(),
        "script": "tests/benchmarks/lora_step.py",
    }
    write(table, [*rows[0], *about], [row | about for row in rows])


if __name__ == "__main__":
    main()
