"""Fewer bits for each weight, and the bytes that a training run needs.

    codes, scales = quantize(weights, nf4_levels(), block=64)      # by hand, as in the QLoRA paper
    near = dequantize(codes, scales, nf4_levels(), block=64)
    bits_per_weight(4, block=64, second_block=256)                 # 4.127
    count_bytes(model, optimizer)                                  # exact bytes of what is there
    plan_memory(PHI3_MINI, "qlora", batch=4, length=512)           # bytes of what is not there yet, part by part
    python -m expert.quantization qlora                            # two layers of Phi-3's width, in this process

The QLoRA paper is Dettmers et al. 2023, https://arxiv.org/abs/2305.14314.
"""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

BLOCK, SECOND_BLOCK = (64, 256)  # bitsandbytes' blocks of weights, and of the scales of those blocks
METHODS = ("full", "lora", "lora8", "qlora")
GB = 1e9

# Lines that say nothing about a learner's work and would be stored in the notebook: bitsandbytes tells at each 8-bit
# layer that it computes in 16 bits, and peft 0.21 asks transformers 5 for something by its old name.
warnings.filterwarnings("ignore", message="MatMul8bitLt: inputs will be cast")
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
logging.getLogger("bitsandbytes.autograd._functions").addFilter(lambda r: "inputs will be cast" not in str(r.msg))


# --- quantisation by hand ----------------------------------------------------------------------------------------


def uniform_levels(bits: int) -> np.ndarray:
    """Evenly spaced levels from -1 to 1 with 0 among them: 2**bits - 1 of them, as absmax integers use them."""
    if not 2 <= bits <= 8:
        raise ValueError(f"bits must be from 2 to 8; it was {bits!r}.")
    most = 2 ** (bits - 1) - 1
    return np.arange(-most, most + 1) / most


def nf4_levels() -> np.ndarray:
    """The 16 levels of NF4, from -1 to 1, rising; shape (16,).

    Eight quantiles of the normal distribution above zero, seven below, and zero itself, divided by the largest
    (QLoRA paper, section 3). The outermost probability is bitsandbytes': halfway between those for 15 and 16 cells.
    """
    edge = 1 - (1 / 30 + 1 / 32) / 2
    normal = NormalDist().inv_cdf
    above = [normal(p) for p in np.linspace(edge, 0.5, 9)[:-1]]
    below = [-normal(p) for p in np.linspace(edge, 0.5, 8)[:-1]]
    levels = np.sort([*above, 0.0, *below])
    return levels / levels.max()


def quantize(values: Any, levels: Any, block: int | None = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Replace each value by the number of the nearest level, after division by the largest magnitude of its block.

    values: any shape, read row by row. levels: rising, from -1 to 1, at most 256. block: values that share a scale;
    None is one scale for all. Returns the codes (uint8, one a value) and the scales (float32, one a block). A block of
    zeros has scale 0. Raises ValueError on values that are not finite.
    """
    flat, levels = np.asarray(values, dtype=np.float32).ravel(), _checked(levels)
    if not np.isfinite(flat).all():
        raise ValueError("the values hold nan or infinity; nothing can be scaled by that.")
    block = _block(block, flat.size)
    rows = _rows(flat, block)
    scales = np.abs(rows).max(axis=1).astype(np.float32)
    scaled = rows / np.where(scales == 0, 1, scales)[:, None]
    middles = (levels[1:] + levels[:-1]) / 2
    return np.searchsorted(middles, scaled.ravel()[: flat.size]).astype(np.uint8), scales


def dequantize(codes: Any, scales: Any, levels: Any, block: int | None = BLOCK) -> np.ndarray:
    """The values that codes and scales stand for, as float32, flat. The inverse of ``quantize``, up to rounding."""
    codes, scales = np.asarray(codes), np.asarray(scales, dtype=np.float32)
    block = _block(block, codes.size)
    if len(scales) != math.ceil(codes.size / block):
        raise ValueError(
            f"{codes.size} codes in blocks of {block} need {math.ceil(codes.size / block)} scales, "
            f"there are {len(scales)}."
        )
    near = _checked(levels).astype(np.float32)[codes]
    return near * np.repeat(scales, block)[: codes.size]


def relative_error(values: Any, near: Any) -> float:
    """The root of the mean squared error, divided by the root of the mean square of the values; 0 is perfect."""
    values, near = (np.asarray(values, dtype=float).ravel(), np.asarray(near, dtype=float).ravel())
    return float(np.sqrt(((values - near) ** 2).mean() / (values**2).mean()))


def bits_per_weight(
    bits: float, block: int = BLOCK, *, scale_bits: int = 32, second_block: int | None = None, second_bits: int = 8
) -> float:
    """Bits that one weight costs with its share of the scales.

    Each block has one scale of ``scale_bits``. With ``second_block`` (double quantisation) a scale takes
    ``second_bits`` instead, and each second_block scales share one of ``scale_bits`` (QLoRA paper, section 3).
    """
    if block < 1 or (second_block is not None and second_block < 1):
        raise ValueError("a block holds at least one value.")
    if second_block is None:
        return bits + scale_bits / block
    return bits + second_bits / block + scale_bits / (block * second_block)


def _checked(levels: Any) -> np.ndarray:
    levels = np.asarray(levels, dtype=float)
    if levels.ndim != 1 or not 2 <= len(levels) <= 256 or (np.diff(levels) <= 0).any():
        raise ValueError("levels are 2 to 256 numbers, each greater than the one before.")
    return levels


def _block(block: int | None, size: int) -> int:
    if block is not None and block < 1:
        raise ValueError(f"a block holds at least one value; it was {block!r}.")
    return max(size, 1) if block is None else block


def _rows(flat: np.ndarray, block: int) -> np.ndarray:
    """The values in rows of one block each, the last one filled up with zeros."""
    padded = np.zeros(math.ceil(flat.size / block) * block, dtype=np.float32)
    padded[: flat.size] = flat
    return padded.reshape(-1, block)


# --- exact bytes of what is there --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bytes:
    """What a training run keeps, in bytes."""

    base: int = 0  # the frozen weights themselves; with full tuning all weights
    state: int = 0  # what is needed to read quantised weights: scales and tables
    adapter: int = 0  # trainable weights beside the base
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0  # kept from the forward pass for the backward pass
    workspace: int = 0  # planned only: logits, and one layer written out in full

    @property
    def total(self) -> int:
        """The sum of all parts, in bytes."""
        return sum(asdict(self).values())

    @property
    def gb(self) -> float:
        """The sum in GB of 10**9 bytes."""
        return self.total / GB

    def __str__(self) -> str:
        rows = [(f.name, getattr(self, f.name)) for f in fields(self)] + [("total", self.total)]
        return "\n".join(f"{name:<12}{value / GB:>9.3f} GB" for name, value in rows if value or name == "total")


def count_bytes(model: Any, optimizer: Any = None, activations: int = 0) -> Bytes:
    """The exact bytes of a model's weights, quantisation state, adapter, gradients and optimizer.

    Each storage counts once, however many names it has (an output layer tied to the embedding). Reads
    bitsandbytes' 4-bit and 8-bit layers. ``activations``: what ``saved_activations`` counted, put in as it is.
    """
    frozen, state, trained, gradients, kept = {}, {}, {}, {}, {}
    adapted = any("lora_" in name for name, _ in model.named_parameters())  # peft's names, and those below
    for name, weight in model.named_parameters():
        _add(trained if adapted and weight.requires_grad and "lora_" in name else frozen, weight)
        if weight.grad is not None:
            _add(gradients, weight.grad)
    for tensor in _state_tensors(model):
        _add(state, tensor)
    for entry in optimizer.state.values() if optimizer is not None else ():
        for value in entry.values():
            if hasattr(value, "untyped_storage"):
                _add(kept, value)
    parts = (sum(found.values()) for found in (frozen, state, trained, gradients, kept))
    return Bytes(*parts, activations=activations)


def _add(found: dict[int, int], tensor: Any) -> None:
    storage = tensor.untyped_storage()
    if storage.nbytes():
        found[storage.data_ptr()] = storage.nbytes()


def _state_tensors(model: Any) -> Iterator[Any]:
    """The scales and tables of bitsandbytes' layers."""
    for module in model.modules():
        weight = getattr(module, "weight", None)
        state = getattr(weight, "quant_state", None)
        while state is not None:  # with double quantisation a second state holds the scales of the scales
            yield from (t for t in (state.absmax, state.code, state.offset) if t is not None)
            state = state.state2
        scales = getattr(getattr(module, "state", None), "SCB", None)
        scales = scales if scales is not None else getattr(weight, "SCB", None)
        if scales is not None:
            yield scales


class Counter:
    """How many bytes were kept for the backward pass."""

    def __init__(self, leave_out: set[int]) -> None:
        self.leave_out, self.found = leave_out, {}

    def note(self, tensor: Any) -> Any:
        """Count a tensor's storage, once."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.leave_out:
            self.found[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def bytes(self) -> int:
        """The bytes of all different storages, without those of the model's weights."""
        return sum(self.found.values())


@contextmanager
def saved_activations(model: Any) -> Iterator[Counter]:
    """Count what autograd keeps for the backward pass. Put the forward pass into the block, and read ``.bytes``.

    A function that keeps tensors outside autograd's own list is not seen; bitsandbytes keeps its weights so, which
    are no activations.
    """
    import torch

    own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    counter = Counter(own | {t.untyped_storage().data_ptr() for t in _state_tensors(model)})
    with torch.autograd.graph.saved_tensors_hooks(counter.note, lambda kept: kept):
        yield counter


# --- the plan: bytes of what is not there yet --------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder with gated MLPs, such as Phi-3 or Llama. ``fused``: Phi-3's joined linear layers."""

    layers: int
    hidden: int
    mlp: int
    heads: int
    kv_heads: int
    vocab: int
    tied: bool = False  # whether the output layer is the embedding
    fused: bool = False

    def __post_init__(self) -> None:
        wrong = [f.name for f in fields(self) if f.name not in ("tied", "fused") and not getattr(self, f.name) >= 1]
        if wrong or self.hidden % self.heads:
            raise ValueError(f"sizes are whole numbers from 1, and heads divide hidden; look at {wrong or ['heads']}.")

    @property
    def kv(self) -> int:
        """The width of the keys, and of the values."""
        return self.hidden // self.heads * self.kv_heads

    @property
    def linear(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of each linear layer in one block."""
        d, f = self.hidden, self.mlp
        if self.fused:
            return [(d, d + 2 * self.kv), (d, d), (d, 2 * f), (f, d)]
        return [(d, d), (d, self.kv), (d, self.kv), (d, d), (d, f), (d, f), (f, d)]

    @property
    def linear_weights(self) -> int:
        """The weights that quantisation shrinks and adapters go beside: the linear layers of all blocks."""
        return self.layers * sum(a * b for a, b in self.linear)

    @property
    def other_weights(self) -> int:
        """Embedding, output layer and norms, which stay in 16 bits."""
        tables = self.vocab * self.hidden * (1 if self.tied else 2)
        return tables + (2 * self.layers + 1) * self.hidden

    @property
    def weights(self) -> int:
        """All weights."""
        return self.linear_weights + self.other_weights

    def adapter_weights(self, rank: int) -> int:
        """LoRA's weights beside every linear layer: rank * (inputs + outputs) each."""
        return self.layers * rank * sum(a + b for a, b in self.linear)


# Sizes from the models' config.json (Phi-3-mini-4k-instruct, Llama 2 70B) and from the LLaMA paper, table 2 (65B).
PHI3_MINI = Shape(layers=32, hidden=3072, mlp=8192, heads=32, kv_heads=32, vocab=32064, fused=True)
LLAMA_65B = Shape(layers=80, hidden=8192, mlp=22016, heads=64, kv_heads=64, vocab=32000)
LLAMA_70B = Shape(layers=80, hidden=8192, mlp=28672, heads=64, kv_heads=8, vocab=32000)


def shape_of(model: Any) -> Shape:
    """The shape of a transformers model, of its config, or of what ``expert.models.load`` gives back.

    Raises ValueError where the config lacks a size; a Shape goes through as it is.
    """
    if isinstance(model, Shape):
        return model
    config = getattr(getattr(model, "model", model), "config", None) or getattr(model, "config", model)
    names = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")
    missing = [name for name in names if not isinstance(getattr(config, name, None), int)]
    if missing:
        raise ValueError(f"{type(config).__name__} has no {', '.join(missing)}; give a Shape(...) instead.")
    layers, hidden, mlp, heads, vocab = (getattr(config, name) for name in names)
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    tied = bool(getattr(config, "tie_word_embeddings", False))
    return Shape(layers, hidden, mlp, heads, kv_heads, vocab, tied, getattr(config, "model_type", "") == "phi3")


def plan_memory(
    model: Any,
    method: str,
    batch: int = 1,
    length: int = 512,
    *,
    rank: int = 16,
    number: int = 2,
    adapter_number: int = 4,
    optimizer_bytes: int = 8,
    double: bool = True,
    checkpointing: bool = False,
) -> Bytes:
    """The bytes that training takes at its peak, part by part, before anything is loaded.

    model            a Shape, or anything that ``shape_of`` takes
    method           "full", "lora" (16-bit base), "lora8" (8-bit base) or "qlora" (NF4 base)
    batch, length    sequences in a step, and tokens in each, padding counted
    rank             of the adapters, beside every linear layer
    number           bytes of a weight that is not quantised, and of an activation: 2 in 16 bits, 4 in 32
    adapter_number   bytes of an adapter's weight; peft keeps 32 bits unless told otherwise
    optimizer_bytes  bytes for each trained weight; Adam with two numbers of 32 bits: 8
    double           double quantisation of NF4's scales
    checkpointing    keep only each block's input, and compute the rest again in the backward pass

    Attention is taken to be fused (SDPA or flash), which keeps no table of length x length. Not in it: the
    framework itself (0.5 to 1 GB on a GPU), fragmentation, and buffers of the data loader.
    """
    shape = shape_of(model)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; it was {method!r}.")
    for name, value in (("batch", batch), ("length", length), ("rank", rank)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is a whole number from 1; it was {value!r}.")
    base, state = _base_bytes(shape, method, number, double)
    trained = shape.weights if method == "full" else shape.adapter_weights(rank)
    trained_number = number if method == "full" else adapter_number
    per_layer, outside = _kept_per_token(shape, method, rank, number, adapter_number)
    if checkpointing:
        kept = shape.layers * shape.hidden * number + per_layer + outside
    else:
        kept = shape.layers * per_layer + outside
    written_out = 0 if method in ("full", "lora") else max(a * b for a, b in shape.linear) * number
    return Bytes(
        base=base,
        state=state,
        adapter=0 if method == "full" else trained * trained_number,
        gradients=trained * trained_number,
        optimizer=trained * optimizer_bytes,
        activations=batch * length * kept,
        workspace=batch * length * shape.vocab * (number + 4) + written_out,
    )


def _base_bytes(shape: Shape, method: str, number: int, double: bool) -> tuple[int, int]:
    """The bytes of the base's weights, and of their quantisation state."""
    other, linear = shape.other_weights * number, shape.linear_weights
    if method == "lora8":  # a scale of 32 bits for each output of a layer
        return other + linear, 4 * shape.layers * sum(outputs for _, outputs in shape.linear)
    if method == "qlora":
        cost = bits_per_weight(4, second_block=SECOND_BLOCK if double else None)
        return other + linear // 2, math.ceil(linear * (cost - 4) / 8)
    return other + linear * number, 0


def _kept_per_token(shape: Shape, method: str, rank: int, number: int, adapter: int) -> tuple[int, int]:
    """Bytes that one token leaves behind for the backward pass: in one block, and outside of the blocks.

    Counted from transformers' Phi3DecoderLayer. A frozen linear layer keeps nothing; an adapter keeps its input.
    """
    d, kv, f = shape.hidden, shape.kv, shape.mlp
    numbers = (d + 2 * kv) + (d + kv) + d + 3 * f  # qkv; q and k turned by RoPE; attention's output; gate, up, silu
    inputs = 2 * d + f if adapter == number or method == "full" else 3 * d + f  # what the linear layers read
    width = number if method == "full" else adapter
    norms = 2 * d * 4 + (2 * d * number if method == "full" else 0)  # computed in 32 bits
    low = 0 if method == "full" else len(shape.linear) * rank * adapter
    per_layer = numbers * number + inputs * width + norms + low + shape.heads * 4
    return per_layer, d * 4 + (d * number if method == "full" else 0) + shape.vocab * 4  # last norm, log-softmax


def cards_needed(total_bytes: float, card_gb: float = 24.0) -> int:
    """How many cards of this size hold so many bytes, if they could be split evenly."""
    if card_gb <= 0 or total_bytes < 0:
        raise ValueError("a card has more than 0 GB, and bytes are not negative.")
    return math.ceil(total_bytes / (card_gb * GB))


# --- two layers of Phi-3's true width, in a process of their own --------------------------------------------------


def layers_in_fresh_process(method: str, *, layers: int = 2, length: int = 64, steps: int = 3) -> dict[str, Any]:
    """Train adapters on a few blocks of Phi-3-mini's width in a new process, and say what that process took.

    method: "lora" (16 bits), "lora8" or "qlora". Random weights: neither bytes nor seconds depend on their values.
    Returns base, state and adapter in bytes, ``before`` and ``peak`` (the process's memory in bytes before
    the blocks were built, and at most during the steps), and ``seconds`` of each step.
    """
    command = [sys.executable, "-m", "expert.quantization", method, str(layers), str(length), str(steps)]
    folder = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    if done.returncode:
        last = (done.stderr.strip() or "it wrote nothing").splitlines()[-1]
        raise RuntimeError(f"the process for {method!r} ended with {done.returncode}: {last}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_layers(
    method: str, layers: int = 2, length: int = 64, steps: int = 3, shape: Shape = PHI3_MINI
) -> dict[str, Any]:
    """What ``layers_in_fresh_process`` runs; the result is only worth something in a process that did nothing else."""
    import psutil
    import torch

    if method not in METHODS[1:]:
        raise ValueError(f"method must be one of {', '.join(METHODS[1:])}; it was {method!r}.")
    torch.manual_seed(0)
    process = psutil.Process()
    _build_block(Shape(1, 64, 64, 1, 1, 64, fused=True), method)  # loads every library before the first reading
    before = process.memory_info().rss
    blocks = torch.nn.ModuleList([_build_block(shape, method) for _ in range(layers)])
    trained = [p for p in blocks.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    angles = torch.rand(1, length, shape.hidden // shape.heads)
    turn = (angles.cos().bfloat16(), angles.sin().bfloat16())
    tokens = torch.randn(1, length, shape.hidden, dtype=torch.bfloat16)
    seconds = []
    with _sampled(process) as peak:
        for _ in range(steps):
            began, kept = time.perf_counter(), tokens
            for block in blocks:
                kept = block(kept, position_embeddings=turn)
            kept.float().square().mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
            seconds.append(time.perf_counter() - began)
    found = count_bytes(blocks, optimizer)
    return asdict(found) | {"before": before, "peak": max(peak), "seconds": seconds}


def phi3_config(shape: Shape, **more: Any) -> Any:
    """The ``transformers.Phi3Config`` of a shape, with PyTorch's own attention; ``more`` goes into the config."""
    from transformers import Phi3Config

    config = Phi3Config(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=shape.tied,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
        **more,
    )
    config._attn_implementation = "sdpa"
    return config


def _build_block(shape: Shape, method: str) -> Any:
    """One decoder block of Phi-3 with random weights, its linear layers in the method's format, an adapter at each."""
    import torch
    from transformers.models.phi3.modeling_phi3 import Phi3DecoderLayer

    with torch.device("meta"):
        block = Phi3DecoderLayer(phi3_config(shape), 0)
    for norm in (block.input_layernorm, block.post_attention_layernorm):
        norm.weight = torch.nn.Parameter(torch.ones(shape.hidden, dtype=torch.bfloat16), requires_grad=False)
    for part, name in ((block.self_attn, "qkv_proj"), (block.self_attn, "o_proj")):
        setattr(part, name, _adapted(getattr(part, name), method))
    for name in ("gate_up_proj", "down_proj"):
        setattr(block.mlp, name, _adapted(getattr(block.mlp, name), method))
    return block.train()


def _adapted(linear: Any, method: str, rank: int = 16) -> Any:
    """A frozen layer of the method's format with random weights, and LoRA's two matrices beside it."""
    import torch

    class Adapted(torch.nn.Module):
        def __init__(self, base: Any) -> None:
            super().__init__()
            self.base = base
            self.lora_a = torch.nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
            self.lora_b = torch.nn.Parameter(torch.zeros(base.out_features, rank))

        def forward(self, x: Any) -> Any:
            update = x.float() @ self.lora_a.T @ self.lora_b.T
            return self.base(x) + update.to(x.dtype)

    return Adapted(frozen_layer(linear.in_features, linear.out_features, method))


def frozen_layer(inputs: int, outputs: int, method: str, device: Any = "cpu") -> Any:
    """A frozen linear layer without bias, random weights, for "lora" (16 bits), "lora8" (8 bits) or "qlora" (NF4)."""
    import torch

    some = torch.randn(2**16 + 1, device=device).bfloat16()  # drawn once and repeated: fast, and no two rows are alike
    weight = some.repeat(inputs * outputs // len(some) + 1)[: inputs * outputs].view(outputs, inputs) * inputs**-0.5
    if method == "lora":
        layer = torch.nn.Linear(inputs, outputs, bias=False, device="meta")
        layer.weight = torch.nn.Parameter(weight, requires_grad=False)
        return layer
    import bitsandbytes as bnb

    if method == "lora8":
        layer = bnb.nn.Linear8bitLt(inputs, outputs, bias=False, has_fp16_weights=False, device="meta")
        layer.weight = bnb.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
        return layer.to(device)
    options = {"bias": False, "compute_dtype": torch.bfloat16, "quant_type": "nf4", "device": "meta"}
    layer = bnb.nn.Linear4bit(inputs, outputs, **options)
    layer.weight = bnb.nn.Params4bit(weight, requires_grad=False, quant_type="nf4", module=layer)
    layer.support_avx512bf16_for_cpu = False  # see expert.models.keep_4bit_trainable
    return layer.to(device)


@contextmanager
def _sampled(process: Any, every: float = 0.005) -> Iterator[list[int]]:
    """The process's memory in bytes, read every few milliseconds while the block runs."""
    seen, stop = [process.memory_info().rss], threading.Event()

    def read() -> None:
        while not stop.wait(every):
            seen.append(process.memory_info().rss)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield seen
    finally:
        stop.set()
        reader.join()
        seen.append(process.memory_info().rss)


if __name__ == "__main__":
    print(json.dumps(run_layers(sys.argv[1], *map(int, sys.argv[2:]))))
