"""Fine-tune a model on chat rows: check the data, train on the answers only, keep what was learnt.

    python -m expert.tuning DATA.jsonl                         # any file of the format below

    from expert import models, tuning
    rows = tuning.read_rows("rows.jsonl")                      # {"messages": [{"role": ..., "content": ...}, ...]}
    tuned = tuning.tune(models.load("tiny"), rows, r=8, epochs=4, folder="run")
    models.chat(tuned.loaded, "Work order for the job below. ...")
    again = tuning.load_adapter(models.load("tiny"), "run/adapter")

The loop is written out because it is short, and because with a small model padding, and logits that carry no loss, can
take much of the time. Three things save it: rows of like length share a batch; logits are computed for the
places of the answers only; the frozen base may be bfloat16 where the processor is faster in it (the adapter and its
optimizer stay float32). There is no gradient checkpointing, which trades time for memory that is not needed here.

``tune`` leaves the base as it was: the tuned model shares the base's weights and has layers of its own around them.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import inspect
import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from expert import models
from expert.models import Loaded

# Phi-3 joins query, key and value in one layer, and gate and up in another. A list made for Llama (q_proj, ...) would
# match o_proj and down_proj only, without a word.
PHI3_LINEAR = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
METHODS = ("lora", "full")
IGNORED = -100  # the label that torch's cross entropy leaves out
LEARNING_RATE = {"lora": 2e-3, "full": 5e-4}  # for models as small as tiny-phi3
LARGE = 1e9  # weights; from there on a tenth: QLoRA (arXiv 2305.14314) took 2e-4 for models of 7 and 13 billion
ADAM_BYTES = 16  # a trainable float32 number: its value, its gradient, two means of Adam
MEMORY_SHARE = 0.9  # of the free memory that a run may be predicted to take
GIB, MIB = 2**30, 2**20

Row = dict[str, Any]

# The seven checks of the notebook that OpenAI publishes for chat data, under its names:
# https://github.com/openai/openai-cookbook/blob/main/examples/Chat_finetuning_data_prep.ipynb
CHECKS = {
    "data_type": "the line is a JSON object",
    "missing_messages_list": "it has a list of messages, not empty",
    "message_missing_key": "each message has a role and a content",
    "message_unrecognized_key": "no message has a key that the service does not know",
    "unrecognized_role": "each role is system, user or assistant",
    "missing_content": "each content is a text, not empty",
    "example_missing_assistant_message": "there is an assistant's message to learn from",
}
MESSAGE_KEYS = ("role", "content", "name", "function_call", "weight")


class TuningError(RuntimeError):
    """Rows, settings or a folder that cannot be used; the message says which, and what to do."""


# --- rows ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """What is wrong with one row: its line in the file (from 1), the check it fails, and why."""

    line: int
    check: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.check}: {self.reason}"


def read_lines(path: str | Path) -> tuple[list[tuple[int, Any]], list[Problem]]:
    """The values of a JSONL file with their line numbers, and a problem for each line that is no JSON.

    Empty lines are skipped. Raises TuningError where there is no such file, or it is not UTF-8.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise TuningError(f"There is no file {path}. Give a .jsonl file with one JSON object a line.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TuningError(f"{path} cannot be read as UTF-8 text ({error}).") from error
    values, problems = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values.append((number, json.loads(line)))
        except ValueError as error:
            problems.append(Problem(number, "data_type", f"this is no JSON ({error})"))
    return values, problems


def validate(rows: Iterable[Any], lines: Sequence[int] | None = None) -> list[Problem]:
    """Every problem of these rows by the seven checks, in order. lines: where each row stands; else 1, 2, 3 ..."""
    rows = list(rows)
    lines = range(1, len(rows) + 1) if lines is None else lines
    return [Problem(line, *found) for line, row in zip(lines, rows, strict=True) for found in _faults(row)]


def _faults(row: Any) -> Iterator[tuple[str, str]]:
    """The checks that a row fails, each with the reason."""
    if not isinstance(row, dict):
        yield "data_type", f"expected a JSON object, got a {type(row).__name__}"
        return
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        there = ", ".join(map(repr, row)) or "nothing"
        yield "missing_messages_list", f"expected a list under 'messages'; the row has {there}"
        return
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict):
            yield "message_missing_key", f"message {number} is a {type(message).__name__}, not an object"
            continue
        missing = [key for key in ("role", "content") if key not in message]
        if missing:
            yield "message_missing_key", f"message {number} has no {' and no '.join(missing)}"
        unknown = [key for key in message if key not in MESSAGE_KEYS]
        if unknown:
            yield "message_unrecognized_key", f"message {number} has the key {unknown[0]!r}"
        if "role" in message and message["role"] not in models.ROLES:
            yield "unrecognized_role", f"message {number} has the role {message['role']!r}"
        content = message.get("content")
        if "content" in message and (not isinstance(content, str) or not content.strip()):
            what = "is empty" if isinstance(content, str) else f"is a {type(content).__name__}"
            yield "missing_content", f"the content of message {number} {what}"
    if not any(isinstance(m, dict) and m.get("role") == "assistant" for m in messages):
        yield "example_missing_assistant_message", "no message is the assistant's, so there is nothing to learn"


def sort_out(path: str | Path) -> tuple[list[Row], list[Problem]]:
    """The good rows of a file and the problems of the others."""
    values, problems = read_lines(path)
    problems += validate([row for _, row in values], [line for line, _ in values])
    bad = {problem.line for problem in problems}
    return [row for line, row in values if line not in bad], sorted(problems, key=lambda p: p.line)


def read_rows(path: str | Path) -> list[Row]:
    """All rows of a file; raises TuningError, with line and reason, where one of them fails a check."""
    rows, problems = sort_out(path)
    if problems:
        raise TuningError(_listed(path, problems))
    if not rows:
        raise TuningError(f"{path} has no rows.")
    return rows


def _listed(path: str | Path, problems: Sequence[Problem], most: int = 5) -> str:
    more = f"\n  and {len(problems) - most} more" if len(problems) > most else ""
    return f"{path} has {len(problems)} problems:\n  " + "\n  ".join(map(str, problems[:most])) + more


def write_rows(path: str | Path, rows: Iterable[Row]) -> Path:
    """Write rows as JSONL (UTF-8, one object a line), only the messages: services refuse other keys."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"messages": row["messages"]}, ensure_ascii=False) for row in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def row(user: str, assistant: str, system: str | None = None) -> Row:
    """One row from a prompt and its answer."""
    lead = [{"role": "system", "content": system}] if system else []
    return {"messages": [*lead, {"role": "user", "content": user}, {"role": "assistant", "content": assistant}]}


def prompt_of(one: Row) -> str:
    """The user's messages of a row as one text: what near duplicates are looked for in."""
    return "\n".join(m["content"] for m in one["messages"] if m["role"] == "user")


# --- a clean set ---------------------------------------------------------------------------------------------------


def normal_form(text: str) -> str:
    """The text in small letters, without punctuation, one space between words."""
    return " ".join(re.findall(r"\w+", text.lower()))


def find_duplicates(rows: Sequence[Row]) -> list[list[int]]:
    """Groups of rows (their indices, from 0) whose prompts are the same but for case, spaces and punctuation."""
    groups: dict[str, list[int]] = {}
    for i, one in enumerate(rows):
        groups.setdefault(normal_form(prompt_of(one)), []).append(i)
    return [group for group in groups.values() if len(group) > 1]


def near_duplicates(texts: Sequence[str], embedder: Any, threshold: float = 0.9) -> list[tuple[int, int, float]]:
    """Pairs of texts (i < j) with a cosine of at least ``threshold``, the nearest pair first.

    embedder: a sentence-transformers model. All pairs are compared: n texts cost n x n numbers.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold lies above 0 and up to 1; it was {threshold!r}.")
    if len(texts) < 2:
        return []
    vectors = embedder.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False)
    cosines = np.asarray(vectors) @ np.asarray(vectors).T
    pairs = [(int(i), int(j), float(cosines[i, j])) for i, j in np.argwhere(np.triu(cosines >= threshold, k=1))]
    return sorted(pairs, key=lambda pair: -pair[2])


def split_by_entity(
    rows: Sequence[Row], entities: Sequence[str], share: float = 0.2, seed: int = 0
) -> tuple[list, list]:
    """Rows to learn from and rows held out, so that no entity (site, customer, ...) is in both.

    entities: one name a row. share: how many of the rows to hold out, about. Raises TuningError where the rows belong
    to one entity only.
    """
    if len(rows) != len(entities):
        raise ValueError(f"expected one entity a row; got {len(rows)} rows and {len(entities)} entities.")
    if not 0 < share < 1:
        raise ValueError(f"share lies between 0 and 1; it was {share!r}.")
    names = sorted(set(entities))
    if len(names) < 2:
        raise TuningError(f"All rows belong to {names or 'no entity'}: they cannot be split by entity.")
    np.random.default_rng(seed).shuffle(names)
    counts = {name: list(entities).count(name) for name in names}
    held: set[str] = set()
    for name in names[:-1]:
        if sum(counts[n] for n in held) + counts[name] / 2 >= share * len(rows) and held:
            break
        held.add(name)
    learn = [one for one, name in zip(rows, entities, strict=True) if name not in held]
    return learn, [one for one, name in zip(rows, entities, strict=True) if name in held]


PERSONAL = {
    "[e-mail]": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "[phone]": r"(?<![\w-])(?:\+\d|0)(?:[ ()/-]{0,2}\d){7,14}(?![\w-])",  # a date begins with neither + nor 0
}


def redact(text: str, names: Iterable[str] = ()) -> str:
    """The text with e-mail addresses, phone numbers and the given names of people taken out.

    A pattern finds what looks like an address or a number. It cannot know names: give them.
    """
    for mark, pattern in PERSONAL.items():
        text = re.sub(pattern, mark, text)
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(name)}\b", "[name]", text)
    return text


# --- tokens and loss -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Encoded:
    """A row as tokens, and for each token its label: itself where it carries loss, -100 elsewhere."""

    tokens: list[int]
    labels: list[int]

    @property
    def learnt(self) -> int:
        """How many tokens carry loss."""
        return sum(label != IGNORED for label in self.labels)


def labels_of(tokenizer: Any, messages: Sequence[dict[str, Any]]) -> Encoded:
    """The tokens of a conversation and their labels: only what the assistant says carries loss, with the end marker.

    Each part is cut into tokens alone, as the prompt is when the model is asked. A message with ``"weight": 0`` carries
    no loss. Raises TuningError where the chat template does not put messages one behind the other, or where the last
    message is not the assistant's.
    """
    if not messages or messages[-1]["role"] != "assistant":
        raise TuningError("The last message must be the assistant's: it is what is learnt.")
    tokens: list[int] = []
    labels: list[int] = []
    done = ""
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = _template(tokenizer, messages[:i], True)
        after = _template(tokenizer, messages[: i + 1], False)
        if not before.startswith(done) or not after.startswith(before):
            raise TuningError("This chat template changes earlier messages when one is added; it cannot be masked.")
        prompt, answer = _cut(tokenizer, before[len(done) :]), _cut(tokenizer, after[len(before) :])
        ends = [k for k, token in enumerate(answer) if token in tokenizer.all_special_ids]
        said = ends[-1] + 1 if ends else len(answer)  # a line break behind the end marker is never generated
        learns = message.get("weight", 1) != 0
        tokens += prompt + answer
        labels += [IGNORED] * len(prompt) + (answer[:said] if learns else [IGNORED] * said)
        labels += [IGNORED] * (len(answer) - said)
        done = after
    last = max((k for k, label in enumerate(labels) if label != IGNORED), default=-1)
    return Encoded(tokens[: last + 1], labels[: last + 1])


def _template(tokenizer: Any, messages: Sequence[dict[str, Any]], prompt: bool) -> str:
    if not tokenizer.chat_template:
        raise TuningError("This tokenizer has no chat template: it belongs to a base model. Tune a chat model.")
    return tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=prompt)


def _cut(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def token_lengths(tokenizer: Any, rows: Iterable[Row]) -> list[tuple[int, int]]:
    """For each row: all its tokens, and those that carry loss."""
    encoded = [labels_of(tokenizer, one["messages"]) for one in rows]
    return [(len(e.tokens), e.learnt) for e in encoded]


def encode_rows(base: Loaded, rows: Sequence[Row]) -> list[Encoded]:
    """All rows as tokens and labels; raises TuningError for a row that is malformed or too long for the model."""
    problems = validate(rows)
    if problems:
        raise TuningError(_listed("The data", problems))
    encoded = []
    for number, one in enumerate(rows, start=1):
        try:
            encoded.append(labels_of(base.tokenizer, one["messages"]))
        except TuningError as error:
            raise TuningError(f"line {number}: {error}") from None
        if len(encoded[-1].tokens) > base.context:
            raise TuningError(
                f"line {number}: {len(encoded[-1].tokens)} tokens, and the model reads {base.context} at most. Shorten "
                "or leave out this row: a row that is cut off would teach answers that stop in the middle."
            )
        if not encoded[-1].learnt:
            raise TuningError(f"line {number}: no token carries loss, so there is nothing to learn.")
    return encoded


# --- the settings and the plan of a run ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """All that decides what a run learns, besides the rows and the base."""

    method: str = "lora"
    r: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    target_modules: tuple[str, ...] = PHI3_LINEAR
    learning_rate: float = LEARNING_RATE["lora"]
    epochs: int = 4
    steps: int | None = None
    batch_tokens: int = 1024
    warmup: float = 0.1
    weight_decay: float = 0.0
    clip: float = 1.0
    seed: int = 0
    dtype: str = "float32"


def plan_batches(
    lengths: Sequence[int], batch_tokens: int, epochs: int, steps: int | None, seed: int
) -> list[list[int]]:
    """The rows of every step of a run. Each epoch holds each row once; rows of like length share a batch.

    lengths: tokens of each row. batch_tokens: about how many tokens a step reads. steps: stop there, going through the
    rows as often as that takes; None: ``epochs`` times. The same seed gives the same plan, so a run can be resumed.
    """
    sizes, plan, epoch = np.asarray(lengths), [], 0
    count = max(1, round(sizes.sum() / batch_tokens))
    while len(plan) < steps if steps else epoch < epochs:
        rng = np.random.default_rng([seed, epoch])
        order = np.argsort(sizes * rng.uniform(0.9, 1.1, len(sizes)), kind="stable")  # alike, but mixed anew each time
        batches = [part.tolist() for part in np.array_split(order, min(count, len(order)))]
        plan += [batches[i] for i in rng.permutation(len(batches))]
        epoch += 1
    return plan[:steps] if steps else plan


def rate_at(step: int, steps: int, settings: Settings) -> float:
    """The learning rate of a step (from 0): rises over the first part (``warmup``), then falls in a line towards 0."""
    rising = max(1, round(settings.warmup * steps))
    share = (step + 1) / rising if step < rising else (steps - step) / max(1, steps - rising + 1)
    return settings.learning_rate * min(1.0, share)


# --- the model to train ------------------------------------------------------------------------------------------


def linear_names(model: torch.nn.Module) -> dict[str, int]:
    """The names of the layers that can be adapted (linear ones, without the output layer), and how many of each."""
    found: dict[str, int] = {}
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            last = name.rpartition(".")[2]
            found[last] = found.get(last, 0) + 1
    return found


def lora_weights(model: torch.nn.Module, r: int, target_modules: Sequence[str]) -> int:
    """How many numbers a LoRA of rank r trains: r x (inputs + outputs) for each adapted layer."""
    total = 0
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name.rpartition(".")[2] in target_modules:
            total += r * (module.in_features + module.out_features)
    return total


def _check_targets(model: torch.nn.Module, wanted: Sequence[str]) -> None:
    there = linear_names(model)
    missing = [name for name in wanted if name not in there]
    if missing or not wanted:
        has = ", ".join(f"{name} ({count} times)" for name, count in sorted(there.items())) or "no linear layer"
        matched = [name for name in wanted if name in there]
        partly = f" Only {', '.join(matched)} would be adapted." if matched else ""
        named = ", ".join(missing) or "an empty list"
        raise TuningError(f"No tunable module of this model matches {named}.{partly} It has: {has}.")


def shared_copy(model: torch.nn.Module) -> torch.nn.Module:
    """A copy of a model's layers around the same weights: what is added to it does not change the original."""
    same = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return copy.deepcopy(model, same)


def add_lora(model: torch.nn.Module, settings: Settings) -> Any:
    """A PEFT model with fresh adapters (B = 0: the output is unchanged) around a shared copy of ``model``.

    Raises TuningError where a target is not in the model, or where another number of weights than r x (inputs +
    outputs) would be trained.
    """
    from peft import LoraConfig, get_peft_model

    _check_targets(model, settings.target_modules)
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=_cuda(model)), _quietly():
        torch.manual_seed(settings.seed)
        adapted = get_peft_model(shared_copy(model), config)
    expected = lora_weights(model, settings.r, settings.target_modules)
    found = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    if found != expected:
        raise TuningError(f"{found:,} weights would be trained, expected {expected:,} from the shapes of the layers.")
    return adapted


def _cuda(model: torch.nn.Module) -> list[torch.device]:
    device = next(model.parameters()).device
    return [device] if device.type == "cuda" else []


def _as_dtype(model: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """The model in another number format: a copy where the format differs, else a copy around the same weights.

    Only the weights change: buffers such as the frequencies of the rotary positions stay in float32, as in a load.
    """
    here = next(p.dtype for p in model.parameters() if p.is_floating_point())
    if here == dtype:
        return shared_copy(model)
    made = copy.deepcopy(model)
    for weight in made.parameters():
        weight.data = weight.data.to(dtype)
    made.config.dtype = dtype
    return made


def fingerprint(model: torch.nn.Module) -> str:
    """Sixteen letters that name a base: the shapes of its layers, and the values of its norms and first embeddings.

    The same for a base in 16, 32 or 4 bits (norms and embeddings are not quantised; values are compared as bfloat16).
    """
    digest = hashlib.sha256()
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = base.config
    for key in ("model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size"):
        digest.update(f"{key}={getattr(config, key, None)};".encode())
    for name, weight in base.named_parameters():
        if "lora_" in name or not (weight.ndim == 1 or "embed" in name):
            continue
        values = (weight[:16] if weight.ndim > 1 else weight).detach().to("cpu", torch.bfloat16)
        digest.update(values.contiguous().view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]


# --- memory --------------------------------------------------------------------------------------------------------


def static_bytes(base: Loaded, settings: Settings) -> dict[str, int]:
    """Bytes that a run needs besides the base, from the counts of weights: copies, and what is trained."""
    if settings.method == "full":
        return {"float32 copy, gradients, optimizer": base.weights * ADAM_BYTES}
    trained = lora_weights(base.model, settings.r, settings.target_modules)
    converted = not base.quantized and models.DTYPES[settings.dtype] != base.dtype
    copied = base.weights * models.DTYPES[settings.dtype].itemsize if converted else 0
    return {f"base in {settings.dtype}": copied, "adapter, gradients, optimizer": trained * ADAM_BYTES}


def saved_bytes(model: torch.nn.Module, encoded: Sequence[Encoded], pad: int) -> int:
    """Bytes that one forward pass over these rows keeps for its backward pass, weights not counted."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    model.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss, _ = batch_loss(model, encoded, pad)
    del loss
    return sum(kept.values())


def _check_memory(needs: dict[str, int], device: torch.device, when: str) -> None:
    need = sum(needs.values())
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else models._memory()[1]
    if need > MEMORY_SHARE * free:
        parts = ", ".join(f"{name} {size / GIB:.2f}" for name, size in needs.items() if size)
        raise TuningError(
            f"This run would need about {need / GIB:.2f} GiB besides the model ({parts}), and {free / GIB:.2f} GiB are "
            f"free ({when}). Use method='lora', a smaller batch_tokens or shorter rows, or a smaller model."
        )


# --- one step ------------------------------------------------------------------------------------------------------


def batch_loss(model: torch.nn.Module, encoded: Sequence[Encoded], pad: int) -> tuple[torch.Tensor, int]:
    """The mean loss (in nats) over the tokens of a batch that carry loss, and how many those are.

    Padding stands on the left, so that the answers end together; logits are computed from the first token that carries
    loss in any row. pad: the token to pad with.
    """
    device = next(model.parameters()).device
    width = max(len(e.tokens) for e in encoded)
    tokens = torch.full((len(encoded), width), pad)
    labels = torch.full((len(encoded), width), IGNORED)
    mask = torch.zeros((len(encoded), width), dtype=torch.long)
    for i, e in enumerate(encoded):
        tokens[i, width - len(e.tokens) :] = torch.tensor(e.tokens)
        labels[i, width - len(e.tokens) :] = torch.tensor(e.labels)
        mask[i, width - len(e.tokens) :] = 1
    first = int((labels != IGNORED).any(dim=0).nonzero()[0])
    keep = width - first + 1  # the logits at a place speak about the token behind it
    places = (mask.cumsum(1) - 1).clamp(min=0)
    inputs = {"input_ids": tokens, "attention_mask": mask, "position_ids": places}
    options = {"logits_to_keep": keep} if _keeps(model) else {}
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    logits = model(**inputs, use_cache=False, **options).logits[:, -keep:-1].float()
    wanted = labels[:, first:].to(device)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)
    return loss, int((wanted != IGNORED).sum())


def _keeps(model: torch.nn.Module) -> bool:
    """Whether the model can leave out logits that nobody asks for."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(base.forward).parameters


@torch.no_grad()
def mean_loss(loaded: Loaded | Any, rows: Sequence[Row], batch_tokens: int = 4096) -> float:
    """The mean loss (nats a token) of a model on the answers of these rows; lower is better."""
    encoded = encode_rows(loaded, rows)
    return _mean_loss(loaded.model, encoded, loaded.tokenizer.pad_token_id, batch_tokens)


@torch.no_grad()
def _mean_loss(model: torch.nn.Module, encoded: Sequence[Encoded], pad: int, batch_tokens: int = 4096) -> float:
    training = model.training
    model.eval()
    total = count = 0
    for batch in plan_batches([len(e.tokens) for e in encoded], batch_tokens, 1, None, 0):
        loss, tokens = batch_loss(model, [encoded[i] for i in batch], pad)
        total, count = total + float(loss) * tokens, count + tokens
    model.train(training)
    return total / count


# --- the run -------------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """What a run read, trained and took. Losses are nats a token; times are this machine's."""

    method: str
    base: str
    rows: int
    steps: int
    tokens: int
    loss_tokens: int
    weights: int
    trained: int
    adapted: dict[str, int]
    seconds: float
    losses: list[float] = field(default_factory=list)
    held_out_rows: int = 0
    held_out_before: float | None = None
    held_out_after: float | None = None
    saved_mib: float | None = None
    resumed_at: int = 0

    @property
    def tokens_per_second(self) -> float:
        """Tokens read a second in the steps of this run, prompts included."""
        return self.tokens / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        lines = [
            f"{self.rows} rows, {self.steps} steps, {self.tokens:,} tokens read, {self.loss_tokens:,} of them learnt",
            f"{self.trained:,} of {self.weights:,} weights trained ({self.method})",
            f"loss {self.losses[0]:.2f} in the first step, {np.mean(self.losses[-5:]):.2f} at the end",
            f"{self.seconds:.0f} s, {self.tokens_per_second:,.0f} tokens/s",
        ]
        if self.held_out_after is not None:
            lines.insert(
                3, f"held-out rows ({self.held_out_rows}): {self.held_out_before:.2f} to {self.held_out_after:.2f}"
            )
        if self.saved_mib is not None:
            lines.append(f"saved: {self.saved_mib:.2f} MiB")
        if self.resumed_at:
            lines.append(f"went on from step {self.resumed_at}")
        return "\n".join(lines)


@dataclass
class Tuned:
    """A tuned model, ready for ``models.generate``, the settings it was trained with, and the report."""

    loaded: Loaded
    report: Report
    settings: Settings
    fingerprint: str


def tune(
    base: Loaded,
    rows: Sequence[Row],
    *,
    method: str = "lora",
    r: int = 8,
    alpha: float | None = None,
    dropout: float = 0.0,
    target_modules: Sequence[str] = PHI3_LINEAR,
    learning_rate: float | None = None,
    epochs: int = 4,
    steps: int | None = None,
    batch_tokens: int = 1024,
    warmup: float = 0.1,
    weight_decay: float = 0.0,
    clip: float = 1.0,
    seed: int = 0,
    dtype: str | torch.dtype | None = "auto",
    held_out: Sequence[Row] = (),
    folder: str | Path | None = None,
    save_every: int = 50,
    progress: bool | None = None,
) -> Tuned:
    """Train on the answers of ``rows`` and give the tuned model; ``base`` stays as it was.

    method         "lora": small matrices beside the frozen layers. "full": every weight, in a float32 copy
    r, alpha       LoRA's rank, and its scale alpha / r (alpha: 2 r where None is given)
    target_modules names of layers to adapt; each must be in the model
    learning_rate  the highest one; None: 2e-3 (LoRA) or 5e-4 (full), from a billion weights on a tenth of that
    epochs, steps  how often each row is read; or how many steps, whatever that takes
    batch_tokens   about how many tokens a step reads
    dtype          of the frozen base while it trains: "auto" (the faster one here), "float32", "bfloat16", None (as is)
    held_out       rows whose loss is measured before and after, never trained on
    folder         keep checkpoints here, every ``save_every`` steps, and the result in ``folder/adapter`` (or
                   ``model``). A run that was stopped goes on from its last checkpoint when it is called again the same
    progress       None: a bar where it takes more than three seconds. True: at once. False: never

    Raises TuningError for malformed rows, targets that the model lacks, too little memory (before the first step), and
    a folder with the checkpoint of another run.
    """
    settings = _settings(
        base,
        method=method,
        r=r,
        alpha=2.0 * r if alpha is None else float(alpha),
        dropout=dropout,
        target_modules=tuple(target_modules),
        learning_rate=default_rate(base, method) if learning_rate is None else learning_rate,
        epochs=epochs,
        steps=steps,
        batch_tokens=batch_tokens,
        warmup=warmup,
        weight_decay=weight_decay,
        clip=clip,
        seed=seed,
        dtype=dtype,
    )
    if not rows:
        raise TuningError("There are no rows to learn from.")
    encoded, tests = encode_rows(base, rows), encode_rows(base, held_out)
    _check_memory(static_bytes(base, settings), base.device, "predicted from the counts of weights")
    run = _Run(base, encoded, tests, settings, Path(folder) if folder else None, save_every)
    run.train(progress)
    return run.finish()


def default_rate(base: Loaded, method: str = "lora") -> float:
    """The highest learning rate where none is given; a large model wants about a tenth of a small one's."""
    if method not in METHODS:
        raise ValueError(f"method is one of {', '.join(METHODS)}; it was {method!r}.")
    return LEARNING_RATE[method] * (0.1 if base.weights >= LARGE else 1.0)


def _settings(base: Loaded, **given: Any) -> Settings:
    """The settings, checked."""
    for name in ("r", "epochs", "batch_tokens") + (("steps",) if given["steps"] is not None else ()):
        if not isinstance(given[name], int) or isinstance(given[name], bool) or given[name] < 1:
            raise ValueError(f"{name} is a whole number from 1; it was {given[name]!r}.")
    if not 0 < given["learning_rate"] < 1:
        raise ValueError(f"learning_rate lies between 0 and 1; it was {given['learning_rate']!r}.")
    if given["method"] == "full":
        if base.quantized:
            raise TuningError("A base in 4 bits cannot be tuned in full: its weights are frozen. Use method='lora'.")
        return Settings(**given | {"dtype": "float32", "target_modules": ()})
    _check_targets(base.model, given["target_modules"])
    dtype = given["dtype"]
    if dtype == "auto" and base.device.type == "cpu" and not base.quantized:
        dtype = models.probe_dtype()
    if dtype in (None, "auto") or base.quantized:
        dtype = base.dtype
    return Settings(**given | {"dtype": str(dtype).removeprefix("torch.")})


class _Run:
    """One run: the model in training, its optimizer, and where it stands."""

    def __init__(
        self,
        base: Loaded,
        encoded: list[Encoded],
        tests: list[Encoded],
        settings: Settings,
        folder: Path | None,
        save_every: int,
    ) -> None:
        self.base, self.encoded, self.tests, self.settings = base, encoded, tests, settings
        self.folder, self.save_every = folder, max(1, save_every)
        self.pad = base.tokenizer.pad_token_id
        self.fingerprint = fingerprint(base.model)
        lengths = [len(e.tokens) for e in encoded]
        self.plan = plan_batches(lengths, settings.batch_tokens, settings.epochs, settings.steps, settings.seed)
        self.key = self._key()
        self.model = self._build()
        self.trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.step, self.resumed_at, self.losses, self.seconds = 0, 0, [], 0.0
        self.before: float | None = None
        self._resume()
        self._check_activations()

    def _key(self) -> str:
        """What makes two runs the same one: settings, rows, base."""
        parts = [asdict(self.settings), [(e.tokens, e.labels) for e in self.encoded], self.fingerprint]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _build(self) -> Any:
        s, model = self.settings, self.base.model
        if s.method == "full":
            made = copy.deepcopy(model)
            for weight in made.parameters():
                weight.data = weight.data.to(torch.float32)
            return made.requires_grad_(True)
        if not self.base.quantized:
            model = _as_dtype(model, models.DTYPES[s.dtype])
        return add_lora(model, s)

    def _check_activations(self) -> None:
        """Predict what the widest step keeps for its backward pass, from one short row."""
        probe = min(self.encoded, key=lambda e: len(e.tokens))
        each = saved_bytes(self.model, [probe], self.pad) / len(probe.tokens)
        widest = max(len(b) * max(len(self.encoded[i].tokens) for i in b) for b in self.plan)
        self.predicted = {"saved for the backward pass": int(each * widest)}
        _check_memory(self.predicted, self.base.device, f"predicted for steps of up to {widest:,} tokens")

    def train(self, progress: bool | None = None) -> None:
        """Go through the plan from where the run stands; a checkpoint now and then, and where it is interrupted."""
        if self.tests and self.before is None:
            self.before = _mean_loss(self.model, self.tests, self.pad)
        self.model.train()
        bar = {"delay": 3.0} if progress is None else {"disable": not progress}
        with tqdm(total=len(self.plan), initial=self.step, desc="Tuning", unit="step", leave=False, **bar) as ticks:
            try:
                while self.step < len(self.plan):
                    self._one_step()
                    ticks.set_postfix_str(f"loss {self.losses[-1]:.2f}", refresh=False)
                    ticks.update(1)
                    if self.folder and self.step % self.save_every == 0 and self.step < len(self.plan):
                        self._save_checkpoint()
            except KeyboardInterrupt:
                if self.folder and self.step:
                    self._save_checkpoint()
                raise
        self.model.eval()

    def _one_step(self) -> None:
        s, start = self.settings, time.perf_counter()
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.step, len(self.plan), s)
        with torch.random.fork_rng(devices=_cuda(self.model), enabled=s.dropout > 0):
            if s.dropout:
                torch.manual_seed(s.seed * 1_000_003 + self.step)  # the same masks after a resume
            loss, _ = batch_loss(self.model, [self.encoded[i] for i in self.plan[self.step]], self.pad)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained.values(), s.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        value = loss.item()
        if not np.isfinite(value):
            raise TuningError(f"The loss is {value} in step {self.step + 1}: lower learning_rate ({s.learning_rate}).")
        self.losses.append(value)
        self.seconds += time.perf_counter() - start
        self.step += 1

    # Checkpoints: a folder of safetensors and one JSON file, put in place by a rename, so that none is half written

    def _save_checkpoint(self) -> None:
        made = self.folder / "checkpoint.new"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        save_file(
            {name: p.detach().cpu().contiguous() for name, p in self.trained.items()}, made / "weights.safetensors"
        )
        moments = {}
        for name, p in self.trained.items():
            for key, value in self.optimizer.state[p].items():
                moments[f"{name}|{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
        save_file(moments, made / "optimizer.safetensors")
        state = {"key": self.key, "step": self.step, "losses": self.losses, "seconds": self.seconds}
        (made / "state.json").write_text(json.dumps(state | {"before": self.before}), encoding="utf-8")
        place, old = self.folder / "checkpoint", self.folder / "checkpoint.old"
        shutil.rmtree(old, ignore_errors=True)
        if place.exists():
            place.rename(old)
        made.rename(place)
        shutil.rmtree(old, ignore_errors=True)

    def _resume(self) -> None:
        if not self.folder:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        found = next((self.folder / n for n in ("checkpoint", "checkpoint.old") if (self.folder / n).is_dir()), None)
        if found is None:
            return
        try:
            state = json.loads((found / "state.json").read_text(encoding="utf-8"))
            weights, moments = (load_file(found / f"{n}.safetensors") for n in ("weights", "optimizer"))
        except (OSError, ValueError, SafetensorError) as error:
            raise TuningError(f"The checkpoint in {found} cannot be read ({error}). Delete that folder.") from error
        if state["key"] != self.key:
            raise TuningError(
                f"{self.folder} holds the checkpoint of another run: other rows, settings or base. Choose another "
                "folder, or delete this one."
            )
        with torch.no_grad():
            for name, p in self.trained.items():
                p.copy_(weights[name])
                kept = {key: moments[f"{name}|{key}"] for key in ("step", "exp_avg", "exp_avg_sq")}
                self.optimizer.state[p] = {k: v if k == "step" else v.to(p.device) for k, v in kept.items()}
        self.step = self.resumed_at = int(state["step"])
        self.losses, self.seconds, self.before = state["losses"], state["seconds"], state["before"]

    def finish(self) -> Tuned:
        """The tuned model around the base as it was loaded, with its report; saved where there is a folder."""
        after = _mean_loss(self.model, self.tests, self.pad) if self.tests else None
        model = self.model
        if self.settings.method == "lora":
            model = self._on_base()
        read = [e for batch in self.plan for e in (self.encoded[i] for i in batch)]
        report = Report(
            method=self.settings.method,
            base=base_name(self.base),
            rows=len(self.encoded),
            steps=len(self.plan),
            tokens=sum(len(e.tokens) for e in read),
            loss_tokens=sum(e.learnt for e in read),
            weights=self.base.weights,
            trained=sum(p.numel() for p in self.trained.values()),
            adapted=_adapted(model),
            seconds=self.seconds,
            losses=self.losses,
            held_out_rows=len(self.tests),
            held_out_before=self.before,
            held_out_after=after,
            resumed_at=self.resumed_at,
        )
        dtype = torch.float32 if self.settings.method == "full" else self.base.dtype
        loaded = replace(self.base, model=model.eval(), dtype=dtype)
        tuned = Tuned(loaded, report, self.settings, self.fingerprint)
        if self.folder:
            save(tuned, self.folder / ("adapter" if self.settings.method == "lora" else "model"))
            shutil.rmtree(self.folder / "checkpoint", ignore_errors=True)
        return tuned

    def _on_base(self) -> Any:
        """The trained adapter around the base in its own number format."""
        from peft import get_peft_model_state_dict, set_peft_model_state_dict

        if self.base.quantized or models.DTYPES[self.settings.dtype] == self.base.dtype:
            return self.model
        model = add_lora(self.base.model, self.settings)
        set_peft_model_state_dict(model, get_peft_model_state_dict(self.model))
        return model


def _adapted(model: Any) -> dict[str, int]:
    """How many layers of each name carry an adapter."""
    found: dict[str, int] = {}
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            last = name.rpartition(".")[2]
            found[last] = found.get(last, 0) + 1
    return found


def base_name(base: Loaded) -> str:
    """The base without a path of this machine: the profile, the hub id, or the folder's name."""
    if base.profile in models.PROFILES:
        part = Path(base.source).name
        return f"{base.profile}, part {part}" if base.profile == "tiny" and part != "chat" else base.profile
    return Path(base.source).name if Path(base.source).exists() else base.source


# --- keep and load -------------------------------------------------------------------------------------------------


def save(tuned: Tuned, folder: str | Path) -> Path:
    """Write the adapter (or the whole model, after full tuning) as safetensors, with ``tuning.json`` beside it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = tuned.loaded.model
    if tuned.settings.method == "lora":
        model.peft_config["default"].base_model_name_or_path = tuned.report.base
        with _quietly():
            model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    else:
        model.save_pretrained(folder)
        tuned.loaded.tokenizer.save_pretrained(folder)
    tuned.report.saved_mib = sum(p.stat().st_size for p in folder.glob("*.safetensors")) / MIB
    note = {"base": tuned.fingerprint, "settings": asdict(tuned.settings), "report": asdict(tuned.report)}
    (folder / "tuning.json").write_text(json.dumps(note, indent=1), encoding="utf-8")
    return folder


@contextmanager
def _quietly() -> Iterator[None]:
    """Without warnings: PEFT calls what transformers has renamed, and cannot look up a base that is no hub id."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def load_adapter(base: Loaded, folder: str | Path) -> Loaded:
    """A saved adapter around a base, ready to answer; ``base`` itself stays as it was.

    Raises TuningError where the folder holds no adapter, or one that belongs to another base.
    """
    from peft import PeftConfig, PeftModel

    folder = Path(folder)
    if not (folder / "adapter_config.json").is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise TuningError(f"{folder} holds no adapter (adapter_config.json and adapter_model.safetensors).")
    _check_base(base, folder)
    config = PeftConfig.from_pretrained(str(folder))
    with _quietly():
        model = PeftModel.from_pretrained(shared_copy(base.model), str(folder), config=config)
    return replace(base, model=model.eval())


def _check_base(base: Loaded, folder: Path) -> None:
    """Stop where an adapter was trained for another base: first by its shapes, then by the base's fingerprint."""
    layers = {name: m for name, m in base.model.named_modules() if isinstance(m, torch.nn.Linear)}
    try:
        tensors = load_file(folder / "adapter_model.safetensors")
    except (OSError, SafetensorError) as error:
        raise TuningError(f"The adapter in {folder} cannot be read ({error}). Copy it again.") from error
    for key, tensor in tensors.items():
        side = "in" if key.endswith("lora_A.weight") else "out" if key.endswith("lora_B.weight") else None
        if side is None:
            continue
        name = key.removeprefix("base_model.model.").rpartition(".lora_")[0]
        layer = layers.get(name)
        has = None if layer is None else layer.in_features if side == "in" else layer.out_features
        wants = tensor.shape[1] if side == "in" else tensor.shape[0]
        if has != wants:
            found = f"no layer {name}" if layer is None else f"{name} with {has} {side}puts"
            raise TuningError(
                f"The adapter in {folder} is for another base: it adapts {name} with {wants} {side}puts, and "
                f"{base_name(base)} has {found}."
            )
    note = folder / "tuning.json"
    if note.is_file():
        kept = json.loads(note.read_text(encoding="utf-8"))
        if kept["base"] != fingerprint(base.model):
            raise TuningError(
                f"The adapter in {folder} was trained on another base ({kept['report']['base']}, {kept['base']}) than "
                f"this one ({base_name(base)}, {fingerprint(base.model)}): the shapes fit, the weights differ. An "
                "adapter is a correction of one base's weights, so train it again on this one."
            )


def merge(loaded: Loaded) -> Loaded:
    """A plain model with the adapter added into its weights (a full copy; the adapted model stays as it was)."""
    if not hasattr(loaded.model, "merge_and_unload"):
        raise TuningError("This model has no adapter to merge.")
    if loaded.quantized:
        raise TuningError("Merging into a base in 4 bits rounds the adapter away: load the base in 16 or 32 bits.")
    return replace(loaded, model=copy.deepcopy(loaded.model).merge_and_unload().eval())


# --- from the command line ----------------------------------------------------------------------------------------


def _held_out(rows: list[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Split by ``entity`` where every row names one, else by the text of the prompt, so that no prompt is in both."""
    if share <= 0 or len(rows) < 5:
        return rows, []
    named = all(isinstance(one.get("entity"), str) for one in rows)
    entities = [one["entity"] if named else normal_form(prompt_of(one)) for one in rows]
    return split_by_entity(rows, entities, share, seed) if len(set(entities)) > 1 else (rows, [])


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m expert.tuning DATA.jsonl``: check, tune, report. Gives 0, or 2 where it could not."""
    parser = argparse.ArgumentParser(prog="python -m expert.tuning", description="Tune a model on chat rows.")
    parser.add_argument("data", help='a JSONL file: {"messages": [{"role": ..., "content": ...}, ...]} on a line')
    parser.add_argument("--model", default="tiny", help="a profile, a folder or a hub id (tiny)")
    parser.add_argument("--out", help="where to keep checkpoints and the result (beside the data: NAME-tuned)")
    parser.add_argument("--method", choices=METHODS, default="lora")
    parser.add_argument("--rank", type=int, default=8, help="LoRA's rank (8)")
    parser.add_argument("--alpha", type=float, help="LoRA's alpha (twice the rank)")
    parser.add_argument("--targets", default="", help="layers to adapt, with commas (Phi-3's four)")
    parser.add_argument("--rate", type=float, help="highest learning rate (2e-3; full: 5e-4; large models: a tenth)")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, help="how many steps, in place of epochs")
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--held-out", type=float, default=0.1, help="share of the rows to measure on only (0.1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-every", type=int, default=50, help="steps between checkpoints (50)")
    parser.add_argument("--strict", action="store_true", help="stop where a row is malformed (else it is left out)")
    given = parser.parse_args(arguments)
    try:
        return _main(given)
    except (TuningError, models.ModelError, ValueError) as error:
        print(f"expert.tuning: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from the last checkpoint.", file=sys.stderr)
        return 130


def _main(given: argparse.Namespace) -> int:
    rows, problems = sort_out(given.data)
    if problems and (given.strict or not rows):
        raise TuningError(_listed(given.data, problems))
    rejected = len({problem.line for problem in problems})
    twice = {i for group in find_duplicates(rows) for i in group[1:]}
    print(f"{len(rows) + rejected} rows read, {rejected} rejected, {len(twice)} left out as duplicates", flush=True)
    for problem in problems[:5]:
        print(f"  {problem}")
    rows, held_out = _held_out([one for i, one in enumerate(rows) if i not in twice], given.held_out, given.seed)
    out = Path(given.out or Path(given.data).with_name(Path(given.data).stem + "-tuned"))
    base = models.load(given.model)
    tuned = tune(
        base,
        rows,
        method=given.method,
        r=given.rank,
        alpha=given.alpha,
        target_modules=tuple(given.targets.split(",")) if given.targets else PHI3_LINEAR,
        learning_rate=given.rate,
        epochs=given.epochs,
        steps=given.steps,
        batch_tokens=given.batch_tokens,
        seed=given.seed,
        held_out=held_out,
        folder=out,
        save_every=given.save_every,
        progress=None if os.environ.get("TQDM_DISABLE") else True,
    )
    print(tuned.report)
    print(f"kept in {out / ('adapter' if given.method == 'lora' else 'model')}")
    return 0


if __name__ == "__main__":
    logging.getLogger("transformers").setLevel(logging.ERROR)
    sys.exit(main())
