"""LoRA and QLoRA at Phi-3-mini's full size on one GPU: tokens a second, peak memory, share of the matrix rate.

    python tests/benchmarks/phi3_size.py            every case, to data/measurements/phi3_size.csv
    python tests/benchmarks/phi3_size.py --smoke    a very small model on the processor; nothing is stored

The weights are random: speed and memory do not depend on their values. The model is built layer by layer on the GPU
from its config, so neither a download nor 8 GB of the computer's memory is needed. Each case is one training step
with peft's LoRA (rank 16) beside all linear layers and AdamW, repeated; its time is the median.

*Share of the matrix rate*: the arithmetic that the step has to do (4 operations for each frozen weight and token, 2
forward and 2 backward for the gradient of the input, none for gradients of frozen weights; and 6 * length * hidden for
each token and block in causal attention), divided by its time and by what the same GPU reaches when it only multiplies
large bfloat16 matrices. What checkpointing computes twice counts once.
"""

from __future__ import annotations

import argparse
import csv
import gc
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from expert.quantization import PHI3_MINI, Shape, count_bytes, frozen_layer, phi3_config, plan_memory

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "measurements" / "phi3_size.csv"
SMALL = Shape(layers=2, hidden=128, mlp=256, heads=2, kv_heads=2, vocab=512, fused=True)
CASES = [(1, 512), (1, 2048), (4, 512), (8, 512), (16, 512), (4, 2048)]  # batch, length
MODULES = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]


def main(arguments: list[str] | None = None) -> list[dict]:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a very small model on the processor; nothing is stored")
    parser.add_argument("--table", type=Path, default=TABLE)
    given = parser.parse_args(arguments)
    if not given.smoke and not torch.cuda.is_available():
        parser.error("there is no GPU that torch can use. --smoke tries the script on a processor.")
    device = torch.device("cpu" if given.smoke else "cuda")
    shape, cases, steps = (SMALL, [(1, 16), (2, 16)], 2) if given.smoke else (PHI3_MINI, CASES, 10)
    rate = matrix_rate(device, 256 if given.smoke else 8192)
    print(f"{name_of(device)}: {rate / 1e12:.2f} TFLOP/s in large bfloat16 products", flush=True)
    rows = []
    for method in ("lora", "qlora"):
        model = build(shape, method, device)
        base = count_bytes(model)
        for checkpointing in (False, True):
            for batch, length in cases:
                row = {"method": method, "batch": batch, "length": length, "checkpointing": int(checkpointing)}
                row |= measure(model, shape, row, rate, steps)
                row |= {"base_gb": round((base.base + base.state) / 1e9, 4), "matmul_tflops": round(rate / 1e12, 3)}
                rows.append(row)
                print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        del model
        release(device)
    if not given.smoke:
        store(rows, given.table)
    return rows


def build(shape: Shape, method: str, device: torch.device):
    """Phi3ForCausalLM of this shape with random weights on the device, and LoRA beside its linear layers."""
    from peft import LoraConfig, get_peft_model
    from transformers import Phi3ForCausalLM
    from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

    config = phi3_config(shape, dtype=torch.bfloat16)
    with torch.device("meta"):
        model = Phi3ForCausalLM(config)
    torch.manual_seed(0)
    for block in model.model.layers:
        for part, names in ((block.self_attn, MODULES[:2]), (block.mlp, MODULES[2:])):
            for name in names:
                old = getattr(part, name)
                setattr(part, name, frozen_layer(old.in_features, old.out_features, method, device))
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if weight.is_meta:
                values = torch.ones if weight.ndim == 1 else torch.randn
                made = values(weight.shape, device=device, dtype=torch.bfloat16) * (1 if weight.ndim == 1 else 0.02)
                setattr(module, name, torch.nn.Parameter(made, requires_grad=False))
    model.model.rotary_emb = Phi3RotaryEmbedding(config).to(device)
    model.tie_weights()
    model.is_loaded_in_4bit = method == "qlora"  # tells peft which kind of layer it adapts
    return get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=MODULES, task_type="CAUSAL_LM"))


def measure(model, shape: Shape, case: dict, rate: float, steps: int) -> dict:
    """One case: seconds, tokens a second, peak memory, and what the plan said. Empty where the memory was too small."""
    batch, length, saving = case["batch"], case["length"], bool(case["checkpointing"])
    method = case["method"]
    device = model.device
    planned = plan_memory(shape, method, batch, length, checkpointing=saving)
    result = {"planned_gb": round(planned.gb, 3), "step_seconds": "", "tokens_per_second": "", "peak_gb": ""}
    result["share_of_matmul"] = ""
    model.train()
    model.config.use_cache = False
    if saving:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    else:
        model.gradient_checkpointing_disable()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    tokens = torch.randint(0, shape.vocab, (batch, length), device=device)

    def step() -> None:
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    release(device)
    try:
        seconds = timed(step, device, steps)
    except torch.OutOfMemoryError:
        del optimizer
        model.zero_grad()
        release(device)
        return result
    speed = batch * length / seconds
    result |= {"step_seconds": round(seconds, 4), "tokens_per_second": round(speed, 1)}
    result["share_of_matmul"] = round(speed * operations(shape, length) / rate, 4)
    if device.type == "cuda":
        result["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 3)
    return result


def operations(shape: Shape, length: int) -> float:
    """Floating-point operations that training an adapter on a frozen base needs for one token."""
    attention = shape.layers * 6 * length * shape.hidden
    return 4 * (shape.linear_weights + shape.vocab * shape.hidden) + attention


def timed(step: Callable[[], None], device: torch.device, steps: int) -> float:
    """The median seconds of a step, after two that warm up."""
    seconds = []
    for turn in range(steps + 2):
        synchronize(device)
        began = time.perf_counter()
        step()
        synchronize(device)
        if turn >= 2:
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def matrix_rate(device: torch.device, size: int) -> float:
    """Operations a second of a large bfloat16 product on this device: the best of three medians."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / min(timed(lambda: a @ b, device, 10) for _ in range(3))


def synchronize(device: torch.device) -> None:
    """Wait until the GPU has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def release(device: torch.device) -> None:
    """Give memory back, and begin the measurement of the peak anew."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def name_of(device: torch.device) -> str:
    """What the measurement ran on."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(0)}, {torch.cuda.get_device_properties(0).total_memory / 2**30:.0f} GiB"
    return "a processor (smoke test, worth nothing)"


def store(rows: list[dict], table: Path) -> None:
    """Write the table with the GPU, the versions and the date in each row."""
    packages = ("torch", "transformers", "peft", "bitsandbytes")
    versions = "; ".join([f"python {platform.python_version()}", *(f"{p} {version(p)}" for p in packages)])
    about = {
        "gpu": name_of(torch.device("cuda")),
        "versions": f"{versions}; CUDA {torch.version.cuda}",
        "date": datetime.now(UTC).date().isoformat(),
        "script": "tests/benchmarks/phi3_size.py",
    }
    table.parent.mkdir(parents=True, exist_ok=True)
    with open(table, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *about], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | about for row in rows)


if __name__ == "__main__":
    main()
