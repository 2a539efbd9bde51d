"""tiny-phi3: its training language keeps its promises, a killed run goes on, and the committed models load."""

import hashlib
import random
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MODEL = Path(__file__).resolve().parents[1] / "data" / "models" / "tiny-phi3"
sys.path.insert(0, str(MODEL))
import evaluate  # noqa: E402
import hints  # noqa: E402
import language  # noqa: E402
import train  # noqa: E402
from episodes import Author  # noqa: E402
from language import Names, is_eval, load_bank, read_blocks  # noqa: E402

RECIPES = {
    "lookup": train.LOOKUP,
    "start": train.START,
    "base": train.BASE,
    "chat": train.CHAT,
    "long chat": train.LONG_CHAT,
    "skills": train.SKILLS,
    "long skills": train.LONG_SKILLS,
    "trades": train.TRADES,
    "long trades": train.LONG_TRADES,
    "forms": train.FORMS,
    "workshop": train.WORKSHOP,
    "long workshop": train.LONG_WORKSHOP,
    "search": train.SEARCH,
    "close": train.CLOSE,
    "long close": train.LONG_CLOSE,
}
TINY = {"hidden_size": 128, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
LIMITS = {"chat": 8_000_000, "base": 8_000_000, "small": 3_000_000}


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A folder for checkpoints that holds the tokenizer: the committed one, or a new one where none is there."""
    folder = tmp_path_factory.mktemp("runs")
    if (MODEL / "chat" / "tokenizer.json").exists():
        AutoTokenizer.from_pretrained(MODEL / "chat").save_pretrained(folder / "tokenizer")
    else:
        train.build_tokenizer().save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture
def tokenizer(runs, monkeypatch):
    monkeypatch.setattr(train, "RUNS", runs)
    return train.tokenizer()


# ------------------------------------------------------------------------------------------------- the bank


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("# comment\n- an item first\n", 2, "block"),
        ("[relation flow]\nentity: product\nsomething else\n", 3, "something else"),
    ],
)
def test_reader_names_file_and_line(tmp_path, text, line, message):
    path = tmp_path / "bank.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"bank\.txt:{line}: .*{message}"):
        read_blocks(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[relation flow]\nvalue: flow\nsays:\n- The {e} gives {v}.\nasks:\n- {e} flow?\n", "entity"),
        ("[relation flow]\nentity: product\nvalue: flow\nsays:\n- It gives much.\nasks:\n- {e} flow?\n", "{v}"),
        ("[relation flow]\nentity: product\nvalue: flow\nsays:\n- {e}: {v}.\nasks:\n- How much?\n", "{e}"),
    ],
)
def test_relation_says_what_is_missing(tmp_path, text, message):
    path = tmp_path / "bank.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        language.relation_from(read_blocks(path)[0], "pumps")


PUMP = "[relation {0}]\nentity: {1}\nvalue: flow\nsays:\n- {{e}}: {{v}}.\nasks:\n- {{e}} {0}?\n"


@pytest.mark.parametrize(
    ("entity", "pair", "message"),
    [
        ("product", "[pair flow speed]\nsays:\n- The {e} gives {a}.\n", "{b}"),
        ("town", "[pair flow speed]\nsays:\n- The {e} gives {a} at {b}.\n", "one entity"),
        ("product", "[pair flow weight]\nsays:\n- The {e} gives {a} at {b}.\n", "flow weight"),
    ],
)
def test_pair_says_what_does_not_fit(tmp_path, entity, pair, message):
    path = tmp_path / "bank.txt"
    path.write_text(PUMP.format("flow", "product") + PUMP.format("speed", entity) + pair, encoding="utf-8")
    *relations, block = read_blocks(path)
    with pytest.raises(ValueError, match=re.escape(message)):
        language.pair_from(block, [language.relation_from(r, "pumps") for r in relations])


def test_forms_fill_their_slots():
    names = Names(random.Random(0))
    found = {
        names.value("form: {2-60} grams | between {clock} and {clock} | {0.02-0.40} mm, {weekday}") for _ in range(300)
    }
    patterns = (r"(\d+) grams", r"between \d\d:\d\d and \d\d:\d\d", r"0\.(\d\d) mm, [A-Z][a-z]+day")
    assert all(any(re.fullmatch(p, text) for p in patterns) for text in found), found
    assert all(2 <= int(text.split()[0]) <= 60 for text in found if text.endswith("grams"))
    assert {next(i for i, p in enumerate(patterns) if re.fullmatch(p, text)) for text in found} == {0, 1, 2}


def test_alternations_expand_to_each_option():
    rng = random.Random(0)
    found = {language.expand("The (big|small (red|blue)) pump (runs|) .", rng) for _ in range(200)}
    kinds = ("big", "small red", "small blue")
    assert found == {f"The {kind} pump{end}." for kind in kinds for end in ("", " runs")}


def test_wordings_of_training_and_evaluation_differ():
    """The banks are built afresh, because ``held_out`` cuts the lists of a bank in place."""
    train_bank, eval_bank = load_bank("train"), load_bank("eval")
    pairs = 0
    assert set(train_bank.relations) - set(eval_bank.relations) == train_bank.brief
    for trade, relations in train_bank.relations.items():
        if trade in train_bank.brief:  # training only
            continue
        for ours, theirs in zip(relations, eval_bank.relations[trade], strict=True):
            assert not set(ours.asks) & set(theirs.asks), ours.name
            assert not set(ours.says) & set(theirs.says), ours.name
            pairs += 1
    assert pairs > 100
    for name, (_, sentences) in train_bank.classes.items():
        assert not set(sentences) & set(eval_bank.classes[name][1]), name


def test_trades_of_the_evaluation_are_not_trained():
    """Every relation has a name of its own, and no trade stands in two of the three parts."""
    parts = [load_bank("train"), load_bank("eval", "heldout"), load_bank("eval", "dev")]
    trades = [trade for bank in parts for trade in bank.relations]
    assert len(trades) == len(set(trades))
    assert len(parts[0].brief) >= 40
    names = [rel.name for bank in parts for rels in bank.relations.values() for rel in rels]
    assert len(names) == len(set(names))
    for name in parts[0].brief:
        for rel in parts[0].relations[name]:
            assert min(len(rel.says), len(rel.asks)) >= 6, rel.name
            assert len(rel.says_it) >= 3, rel.name


def bare(pattern: str) -> set[str]:
    """The words of a pattern with all its options, without slots and signs."""
    return set(re.findall("[a-z]+", re.sub(r"\{.\}", " ", pattern).lower()))


def test_held_out_wordings_are_new_sentences_of_known_words():
    """A model that never saw a word cannot know it, so the held-out wordings test new sentences, not new words."""
    train_bank, eval_bank = load_bank("train"), load_bank("eval")
    pairs = [p for t, rels in eval_bank.relations.items() for p in zip(train_bank.relations[t], rels, strict=True)]
    known = {r.name: bare(" ".join(r.says + r.says_it + r.asks + r.labels)) for r, _ in pairs}
    common = {w for w in set().union(*known.values()) if sum(w in words for words in known.values()) > 60}
    asked = new = alike = 0
    for ours, theirs in pairs:
        for kind in ("asks", "says", "says_it"):
            seen = [bare(text) for text in getattr(ours, kind)]
            alike += sum(bare(text) in seen for text in getattr(theirs, kind))
        asked += len(theirs.asks)
        new += sum(bool(bare(text) - known[ours.name] - common) for text in theirs.asks)
    assert asked > 500
    assert new / asked < 0.05
    assert alike / asked < 0.02  # the same words in another order: "how heavy is the {e}", "the {e} is how heavy"


def test_unknown_types_are_named():
    names = Names(random.Random(0))
    with pytest.raises(ValueError, match="unknown entity type 'pumpe'"):
        names.entity("pumpe")
    with pytest.raises(ValueError, match="unknown value type 'torq'"):
        names.value("torq")


@pytest.mark.parametrize("split", ["train", "eval"])
def test_names_and_values_belong_to_their_split(split):
    bank = load_bank(split)
    relations = [r for rels in bank.relations.values() for r in rels]
    names = Names(random.Random(split), split)
    kinds = sorted({r.entity for r in relations if not r.entity.startswith("choice:")})
    for kind in kinds:
        for text in (names.entity(kind) for _ in range(20)):
            assert is_eval(text) == (split == "eval"), text
            assert not language.RESERVED & set(re.findall("[A-Za-z]+", text)), text
            assert not evaluate.CODES.search(text), text
    values = sorted({r.value for r in relations if language.is_open(r.value)})
    for kind in values:
        for text in (names.value(kind) for _ in range(20)):
            assert is_eval(text) == (split == "eval"), f"{kind}: {text}"
            assert not language.RESERVED & set(re.findall("[A-Za-z]+", text)), text
            assert not evaluate.CODES.search(text), text


# --------------------------------------------------------------------------------------------- the episodes


@pytest.mark.parametrize("stage", RECIPES)
def test_recipes_ask_something_and_encode_alike_in_parts(stage, tokenizer):
    """Training encodes segment by segment, a lesson the whole prompt: both must give the same tokens."""
    tok = tokenizer.backend_tokenizer
    for j, (weight, make) in enumerate(RECIPES[stage]):
        assert weight > 0
        asked = 0
        for i in range(8):
            segments = make(Author(f"test-{stage}-{j}-{i}"))
            answers = [text for text, is_answer in segments if is_answer]
            assert all(text.replace("<|end|>", "").strip() for text in answers), segments
            asked += len(answers)
            parts = [n for e in tok.encode_batch([t for t, _ in segments]) for n in e.ids]
            assert parts == tok.encode("".join(t for t, _ in segments)).ids, segments
        assert asked, f"recipe {j} of {stage} never asks"


@pytest.mark.parametrize(
    ("split", "trades"), [("train", "train"), ("eval", "train"), ("eval", "heldout"), ("eval", "dev")]
)
def test_readings_state_what_they_ask(split, trades):
    """The value of an answerable question stands in the passage that it cites."""
    asked = 0
    for i in range(300):
        author = Author(f"reading-{i}", split, trades)
        reading = author.reading(3, 4, abstain=0.3, anything=0.2 if split == "train" else 0.0)
        passages = dict(zip(reading.numbers, reading.passages, strict=True))
        for question in reading.questions:
            if question.value is None:
                assert not question.cites
                assert "not know" in question.answer()
                continue
            asked += 1
            assert len(question.cites) == 1
            text = passages[question.cites[0]]
            assert evaluate.same(question.value, text), (question.value, text)
    assert asked > 300


def test_unanswerable_questions_are_not_stated(monkeypatch):
    """No (entity, attribute) that a question without an answer asks for is among the facts of its passages."""
    seen = []
    original, written = Author.unanswerable, Author.ask

    def record(self, relation, entity):
        self.last = (entity, relation.name)
        return written(self, relation, entity)

    def watch(self, pool, by_kind, facts):
        question = original(self, pool, by_kind, facts)
        if question is not None:
            assert question.value is None
            seen.append((self.last, set(facts)))
        return question

    monkeypatch.setattr(Author, "ask", record)
    monkeypatch.setattr(Author, "unanswerable", watch)
    for i in range(200):
        Author(f"abstain-{i}").reading(3, 3, abstain=1.0)
    assert len(seen) > 200
    for asked, stated in seen:
        assert asked not in stated


@pytest.mark.parametrize("make", ["few_shot", "few_shot_format"])
@pytest.mark.parametrize("split", ["train", "eval"])
def test_the_query_is_never_among_the_examples(make, split):
    for i in range(100):
        segments = getattr(Author(f"shots-{i}", split), make)("chat", shots=4)
        inputs = [text for text, _ in segments if re.fullmatch(r"[^\n]+: [^\n]*\n[^\n]+:", text)]
        assert len(inputs) == 5, segments
        assert inputs[-1] not in inputs[:-1], inputs


# -------------------------------------------------------------------------------------------- rows and marks


@pytest.mark.parametrize("stage", RECIPES)
def test_marks_point_to_the_same_token_earlier(stage, tokenizer):
    """Where attention is told to look: at the very token that comes next, in the text before it."""
    pointed = 0
    for i in range(60):
        author = Author(f"marks-{stage}-{i}")
        if i % 3 == 0:
            ids, flags, (want, have) = train.random_episode(author.rng)
        else:
            weights = [w for w, _ in RECIPES[stage]]
            segments = author.rng.choices(RECIPES[stage], weights)[0][1](author)
            encoded = [e.ids for e in tokenizer.backend_tokenizer.encode_batch([t for t, _ in segments])]
            ids = [n for e in encoded for n in e]
            flags = [flag for e, (_, flag) in zip(encoded, segments, strict=True) for _ in e]
            want, have = train.text_sources(segments, encoded)
        assert len(want) == len(have) == len(ids) == len(flags)
        for at, mark in enumerate(want):
            sources = [k for k in range(at) if have[k] == mark]
            if mark and sources:
                assert flags[at]
                assert {ids[k] for k in sources} == {ids[at]}
                pointed += 1
    assert pointed > 50


@pytest.mark.parametrize("system", [None, "Cite your source."])
def test_values_are_marked(system, tokenizer):
    """Nearly every answer of a reading points into its passage, also where a system line stands before it."""
    marked = answers = 0
    for i in range(50):
        author = Author(f"marked-{i}")
        segments = author.chat_reading(author.reading(3, 3, abstain=0.0), system=system)
        encoded = [e.ids for e in tokenizer.backend_tokenizer.encode_batch([t for t, _ in segments])]
        want, at = train.text_sources(segments, encoded)[0], 0
        for ids, (text, is_answer) in zip(encoded, segments, strict=True):
            if is_answer and "not know" not in text:
                answers += 1
                marked += any(mark > 0 for mark in want[at : at + len(ids)])
            at += len(ids)
    assert answers > 80
    assert marked / answers > 0.95


def test_hints_of_a_value_before_its_name(tokenizer):
    """In "has a 5 kW motor power" the fact is known at the end of the name, not at the value."""
    found = 0
    for i in range(300):
        author = Author(f"before-{i}")
        reading = author.reading(1, 1, abstain=0.0)
        fact = reading.facts[0]
        label = next((x for x in fact.relation.labels if f"{fact.value} {x}" in reading.passages[0]), None)
        if label is None or not reading.questions:
            continue
        segments = author.chat_reading(reading)
        encoded = tokenizer.backend_tokenizer.encode_batch([t for t, _ in segments])
        tokens = [token for e in encoded for token in e.tokens]
        key = hints.fact_hints(fact, reading, segments[0][0], encoded[0], 0, hints.no_hints(len(tokens)))
        assert key is not None
        end = encoded[0].token_to_chars(key)[1]
        longest = max((x for x in fact.relation.labels if f"{fact.value} {x}" in reading.passages[0]), key=len)
        if segments[0][0][:end].endswith(longest):
            found += 1
    assert found > 10


def test_a_reading_can_keep_to_one_entity_or_one_type():
    for i in range(40):
        author = Author(f"alone-{i}")
        assert len({fact.entity for fact in author.reading(3, 3, (1, 2), alone=True).facts}) == 1
        assert {fact.relation.entity for fact in author.reading(1, 1, (1, 1), only="term").facts} == {"term"}


def test_the_cases_of_the_skill_table_stay_the_same():
    """The cards' figures hold for these cases: a change of the episodes for training must not draw others."""
    digest = hashlib.sha256()
    for i in range(300):
        for trades in ("train", "heldout"):
            author = Author(f"b-{i}", "eval", trades)
            digest.update(repr(author.chat_reading(author.reading(3, 1, (1, 3), abstain=0.2))).encode())
        digest.update(repr(Author(f"b-sys-{i}", "eval").reading_with_system(3, 1)).encode())
    assert digest.hexdigest()[:16] == "d52369a7bc372d1c", (
        "as the cards were measured; measure them again if this is meant"
    )


def test_woven_questions_share_a_word_with_their_sentence_alone():
    """Nearly every question shares a word of its sentence, but for its ending, that no other sentence has."""
    asked = shared = 0
    for i in range(60):
        author = Author(f"woven-{i}")
        (relations,) = author.woven_relations().values()
        words = [set(author.content_words(rel.says[0])) for rel in relations]
        for n, rel in enumerate(relations):
            others = set().union(*(w for m, w in enumerate(words) if m != n))
            for ask in rel.asks:
                stems = {w[:4] for w in author.content_words(ask)}
                asked += 1
                shared += any(w[:4] in stems for w in words[n] - others)
    assert asked > 1000 and shared / asked > 0.9
    for i in range(40):
        reading = Author(f"woven-{i}").reading(3, 4, (1, 2), 0.0, alone=True, woven=1.0)
        assert reading.questions, "a woven reading asks something"
        for question in reading.questions:
            if question.value is not None:
                assert question.value in reading.passages[reading.numbers.index(question.cites[0])]


def test_two_facts_of_one_sentence_are_told_apart(tokenizer):
    """A sentence with two values states both, and the hints point to a place of its own for each."""
    apart = found = 0
    for i in range(300):
        author = Author(f"pair-{i}")
        reading = author.reading(1, 2, (2, 2), abstain=0.0, work=1.0)
        facts = [(fact.relation, fact.value) for fact in reading.facts]
        if not author.together(facts) or len(reading.questions) < 2 or facts[0][1] == facts[1][1]:
            continue
        found += 1
        assert all(hints.find(value, reading.passages[0]) for _, value in facts), reading.passages
        segments = author.chat_reading(reading)
        encoded = tokenizer.backend_tokenizer.encode_batch([t for t, _ in segments])
        none = hints.no_hints(sum(len(e) for e in encoded))
        keys = [hints.fact_hints(f, reading, segments[0][0], encoded[0], 0, none) for f in reading.facts]
        apart += keys[0] != keys[1]
    assert found > 40
    assert apart / found > 0.9


@pytest.mark.parametrize("system", [None, "Cite your source."])
def test_hints_name_the_fact_its_entity_and_its_passage(system, tokenizer):
    """An answer is decided and looked up at a fact of its own passage; unanswerable ones look at the first token."""
    aimed = answers = 0
    for i in range(80):
        author = Author(f"hints-{i}")
        reading = author.reading(3, 3, abstain=0.3, anything=0.3)
        segments = author.chat_reading(reading, system=system)
        encoded = tokenizer.backend_tokenizer.encode_batch([t for t, _ in segments])
        found = hints.reading_hints(reading, segments, encoded)
        tokens = [tokenizer.decode([n]).strip() for e in encoded for n in e.ids]
        for name in hints.PLACES:
            assert all(place <= at for at, place in enumerate(found[name])), name  # places count from 1
        starts, at = [], 0
        for e, (_, is_answer) in zip(encoded, segments, strict=True):
            starts += [at] if is_answer else []
            at += len(e)
        for question, start in zip(reading.questions, starts, strict=True):
            aim = found["aim"][start - 1]
            if question.value is None:
                assert aim == 1
                continue
            answers += 1
            if aim:
                aimed += 1
                assert tokens[found["home"][aim - 1] - 1] == str(question.cites[0])
                assert found["kind"][aim - 1] == found["kind"][start - 1]
                owner = found["owner"][aim - 1]
                assert not owner or question.entity.lower().endswith(tokens[owner - 1].lower())
    assert answers > 150
    assert aimed / answers > 0.95


def test_hints_of_lists_name_the_class_and_the_repeated_value(tokenizer):
    """A label has the class of its sentence; what an output repeats stands in the line before it."""
    classes, repeated = set(), 0
    for i in range(40):
        author = Author(f"lists-{i}")
        segments = author.few_shot("chat") if i % 2 else author.few_shot_format("chat")
        encoded = tokenizer.backend_tokenizer.encode_batch([t for t, _ in segments])
        found = hints.list_hints(author, encoded)
        ids = [n for e in encoded for n in e.ids]
        classes |= set(found["kind"])
        assert all(place <= at for at, place in enumerate(found["aim"]))
        if i % 2:
            assert author.told_labels
            assert not any(found["aim"])
            continue
        assert author.told_cells
        for (line, begin, end), (n, first, last) in author.told_cells:
            assert segments[line][0][begin:end] == segments[n][0][first:last]
        repeated += sum(ids[at + 1] == ids[place - 1] for at, place in enumerate(found["aim"]) if place)
    assert repeated > 500
    assert len(classes) > 20


def test_episodes_of_one_row_do_not_see_each_other(tokenizer):
    model = train.build_model("small").eval()
    first, second = tokenizer("Nothing but words.")["input_ids"], tokenizer("The Tarvo 40 needs 5 kW.")["input_ids"]
    places = [*range(len(first)), *range(len(second))]
    with torch.no_grad():
        row = model(torch.tensor([first + second]), position_ids=torch.tensor([places]), use_cache=False).logits
        alone = model(torch.tensor([second]), use_cache=False).logits
    assert torch.allclose(row[:, len(first) :], alone, atol=1e-5)


@pytest.mark.parametrize("stage", ["base", "chat", "skills", "trades"])
def test_rows_are_whole_and_repeatable(stage, runs, monkeypatch):
    monkeypatch.setattr(train, "RUNS", runs)
    last = train.PLAN[stage].get("long_every", 8) - 1  # such a batch of a stage with a recipe for long rows is long
    for start in (0, last):
        one, two = (next(iter(train.Rows(f"full-{stage}", train.PLAN[stage], start))) for _ in range(2))
        long = start == last and "long" in train.PLAN[stage]
        rows, length = train.LONG if long else (train.PLAN[stage]["rows"], train.PLAN[stage]["length"])
        assert tuple(one) == train.COLUMNS
        assert all(part.shape == (rows, length + 1) for part in one.values())
        assert all(torch.equal(one[name], two[name]) for name in one)
        assert (one["place"][:, 0] == 0).all()


# ---------------------------------------------------------------------------------------- tokens and weights


def test_short_numbers_are_one_token(tokenizer):
    numbers = [f"{n:0{width}d}" for width in (1, 2, 3) for n in range(10**width)]
    encoded = [e.ids for e in tokenizer.backend_tokenizer.encode_batch(numbers)]
    assert all(len(ids) == 1 for ids in encoded)
    assert len({ids[0] for ids in encoded}) == len(numbers)
    text = "The 45 Nm bolt, BK-2217, costs 1,250.75 EUR: äöü\n"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@pytest.mark.parametrize(("size", "least"), [("full", 0.3), ("small", 0.15)])
def test_seeded_circuits_copy_before_any_training(size, least):
    """Chance is 1 in 4,096; the small size has room for fewer matching heads."""
    generator = torch.Generator().manual_seed(0)
    half = torch.randint(len(train.SPECIAL), train.VOCAB, (8, 16), generator=generator)
    ids = torch.cat([half, half], 1)
    shares = []
    for seeded in (False, True):
        model = train.build_model(size).eval()
        if seeded:
            train.seed_circuits(model)
        with torch.no_grad():
            guess = model(input_ids=ids[:, :-1], use_cache=False).logits[:, 16:].argmax(-1)
        shares.append((guess == ids[:, 17:]).float().mean().item())
    assert shares[0] < 0.05
    assert shares[1] > least, shares


@pytest.fixture
def tiny(runs, monkeypatch):
    """A size that trains in seconds, batches made in this process, few gates."""
    sets = train.gate_sets("plain", n=1)
    monkeypatch.setitem(train.SIZES, "tiny", TINY)
    monkeypatch.setitem(train.PLAN, "lookup", train.PLAN["lookup"] | {"rows": 2, "length": 64})
    monkeypatch.setattr(train, "loader", lambda *options: iter(train.Rows(*options)))
    monkeypatch.setattr(train, "gate_sets", lambda form: {"lookup": sets["lookup"], "random": sets["random"]})

    def start(folder):
        shutil.copytree(runs / "tokenizer", folder / "tokenizer")
        monkeypatch.setattr(train, "RUNS", folder)
        train.copy_stage("tiny", max_tokens=1)

    return start


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "tiny-lookup.pt", weights_only=True)["model"]


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tiny, tmp_path, monkeypatch):
    def run():
        train.train_stage("tiny", "lookup", 5 * 128, compiled=False, gate_every=2)

    tiny(tmp_path / "whole")
    run()
    tiny(tmp_path / "killed")
    calls, loss_on = [], train.loss_on

    def killed(*options):
        calls.append(1)
        if len(calls) == 4:  # after the checkpoint of step 2, in the middle of step 4
            raise KeyboardInterrupt
        return loss_on(*options)

    monkeypatch.setattr(train, "loss_on", killed)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert torch.load(tmp_path / "killed" / "tiny-lookup.pt", weights_only=True)["step"] == 2
    monkeypatch.setattr(train, "loss_on", loss_on)
    run()
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_export_is_a_folder_that_transformers_loads(tiny, tmp_path, monkeypatch):
    tiny(tmp_path / "runs")
    train.train_stage("tiny", "lookup", 128, compiled=False, gate_every=1)
    monkeypatch.setattr(train, "HERE", tmp_path)
    train.export("tiny", "lookup", "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert type(model).__name__ == "Phi3ForCausalLM"
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<|user|>\nHello<|end|>\n<|assistant|>\n"
    assert model(**tokenizer(text, return_tensors="pt")).logits.shape[-1] == train.VOCAB
    trained = weights(tmp_path / "runs")["model.embed_tokens.weight"].bfloat16()
    assert torch.equal(model.model.embed_tokens.weight.bfloat16(), trained)


def test_export_averages_a_stage_with_its_parent(tiny, tmp_path, monkeypatch):
    tiny(tmp_path / "runs")
    train.train_stage("tiny", "lookup", 128, compiled=False, gate_every=1)
    monkeypatch.setattr(train, "HERE", tmp_path)
    monkeypatch.setitem(train.PLAN, "lookup", train.PLAN["lookup"] | {"share": 0.75})
    train.export("tiny", "lookup", "out")
    name = "model.embed_tokens.weight"
    before = torch.load(tmp_path / "runs" / "tiny-copy.pt", weights_only=True)["model"][name]
    after = weights(tmp_path / "runs")[name]
    assert not torch.equal(before, after)
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out").model.embed_tokens.weight.bfloat16()
    assert torch.equal(found, (0.75 * after + 0.25 * before).bfloat16())
    child = {"parent": "lookup", "share": 0.5}  # a stage after it begins at that mean, and is averaged with it
    monkeypatch.setitem(train.PLAN, "start", train.PLAN["lookup"] | child)
    train.save_state(tmp_path / "runs" / "tiny-start.pt", model={name: torch.zeros_like(after)})
    mean = 0.75 * after + 0.25 * before
    assert torch.equal(train.finished("tiny", "lookup")[name], mean)
    assert torch.equal(train.finished("tiny", "start")[name], 0.5 * mean)


# --------------------------------------------------------------------------------------------- contamination


def test_training_shares_nothing_with_brightwater():
    found = evaluate.check_data(3000, train.training_text)
    assert not found, found.most_common(10)


def passage() -> str:
    """A paragraph of one of the company's handbooks, of at least twelve words."""
    path = sorted((evaluate.COMPANY / "handbooks").glob("*.md"))[0]
    paragraphs = path.read_text(encoding="utf-8").split("\n\n")
    return next(p for p in paragraphs if len(p.split()) >= 12 and not p.startswith(("---", "#", "|")))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("name", "Ask Ingrid about it."),
        ("name", "Question: what does the kestrel 40 weigh?"),
        ("code", "Order part BW-1234-K."),
        ("code", "It shows BF-217."),
        ("jargon", evaluate.jargon()[0]),
        ("eight tokens", " ".join(passage().split()[:12])),
    ],
)
def test_contamination_is_found(kind, text):
    found = evaluate.check_data(1, lambda i: f"Something else. {text}")
    assert kind in {what for what, _ in found}, found


def test_contamination_needs_the_company(monkeypatch, tmp_path):
    monkeypatch.setattr(evaluate, "COMPANY", tmp_path)
    with pytest.raises(FileNotFoundError, match="expected the company's questions"):
        evaluate.check_data(1, str)


# ------------------------------------------------------------------------------------------ committed models


@pytest.mark.parametrize("name", LIMITS)
def test_committed_model(name):
    folder = MODEL / name
    assert (folder / "model.safetensors").exists(), f"{folder} has no weights: run train.py, then train.py --export"
    others = [p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".pkl", ".py")]
    assert not others, f"weights are safetensors only, found {others}"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype in (torch.bfloat16, torch.float16)
    assert sum(p.numel() for p in model.parameters()) <= LIMITS[name]
    assert (folder / "model.safetensors").stat().st_size <= 2 * LIMITS[name] + 100_000
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == model.config.vocab_size
    assert tokenizer.chat_template
    ids = tokenizer("<|user|>\nWhat is the capital of France?<|end|>\n<|assistant|>\n", return_tensors="pt")
    ids.pop("token_type_ids", None)
    assert model.generate(**ids, max_new_tokens=4, do_sample=False).shape[1] > ids["input_ids"].shape[1]


@pytest.mark.parametrize("name", LIMITS)
def test_committed_card(name):
    card = MODEL / name / "README.md"
    assert card.exists(), f"{card} is missing"
    text = card.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert text.count(train.MARK) == 2, "the skill table stands between two markers"
    assert "| skill | bar |" in text.split(train.MARK)[1], "no skill table: run train.py --evaluate"
