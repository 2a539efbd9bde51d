"""Lesson 01, The model landscape: a filter, kinds, memory, a bill, licences, a tensor, ancestry, the attention mask."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from expert.exercises import Case, Exercise, Mistake, Option, Part, Question

# --- 1.1 ---


def fits(row: dict[str, str], brief: dict[str, dict]) -> bool:
    named = all(set(row[column].split(";")) & set(wanted) for column, wanted in brief["needs"].items())
    small = all(row[column] and float(row[column]) <= limit for column, limit in brief["at_most"].items())
    large = all(row[column] and float(row[column]) >= limit for column, limit in brief["at_least"].items())
    return bool(named and small and large)


def _brief(needs: dict | None = None, at_most: dict | None = None, at_least: dict | None = None) -> dict[str, dict]:
    return {"needs": needs or {}, "at_most": at_most or {}, "at_least": at_least or {}}


def _row(**cells: str) -> dict[str, str]:
    empty = {"name": "M", "modality_in": "text", "modality_out": "text", "deployment": "own", "licence": "MIT"}
    return empty | {"parameters": "3800000000", "context_length": "4096", "price_in": "", "tunable": "yes"} | cells


def _is_bool(got: Any) -> bool:
    return isinstance(got, (bool, np.bool_))


def _same_bool(got: Any, expected: bool) -> bool:
    return _is_bool(got) and bool(got) == expected


def _fits_with(
    row: dict[str, str],
    brief: dict[str, dict],
    named=None,
    empty: bool = False,
    strict: bool = False,
    some: bool = False,
) -> bool:
    """``fits`` with one of the usual mistakes."""
    join = any if some else all
    named = named or (lambda cell, wanted: bool(set(cell.split(";")) & set(wanted)))
    less = (lambda a, b: a < b) if strict else (lambda a, b: a <= b)
    number = lambda cell: float(cell) if cell else None  # noqa: E731
    marks = [named(row[c], wanted) for c, wanted in brief["needs"].items()]
    for c, limit in brief["at_most"].items():
        value = number(row[c])
        marks.append(empty if value is None else less(value, limit))
    for c, limit in brief["at_least"].items():
        value = number(row[c])
        marks.append(empty if value is None else less(limit, value))
    return join(marks)


_OWN = {"deployment": ["own"]}

ONE = Exercise(
    id="1.1",
    goal="True where a row of the catalogue meets every condition of a brief, else False. An empty cell meets no "
    "condition.",
    reference=fits,
    same=_same_bool,
    hints=(
        "Look at one kind of condition after the other. As soon as one condition fails, the answer is False; at the "
        "end it is True.",
        'A cell is one text: "own;managed". row[column].split(";") makes a list of it. Then ask whether any of its '
        "words is in the list of the brief.",
        "Numbers in the table are texts too: float(row[column]). But float of an empty text raises an error, so ask "
        "first whether the cell is empty: if not row[column]: return False.",
        "all(... for column, limit in brief['at_most'].items()) is True where every condition holds, also where there "
        "is none.",
    ),
    cases=(
        Case(
            (_row(parameters="74000000", deployment="own;managed"), _brief(_OWN, {"parameters": 1e9})),
            "It fits. Cells are texts: for a comparison with a number use float().",
        ),
        Case((_row(), _brief(_OWN, {"parameters": 1e9})), "3.8 billion weights are more than 1 billion."),
        Case((_row(deployment="serverless;own"), _brief(_OWN)), "own is the second word of the cell."),
        Case(
            (_row(deployment="serverless"), _brief({"deployment": ["own", "managed"]})), "serverless is not asked for."
        ),
        Case(
            (_row(licence="Apache-2.0"), _brief({"licence": ["MIT", "Apache-2.0"]})), "One of two licences is enough."
        ),
        Case((_row(parameters=""), _brief(at_most={"parameters": 1e9})), "The number of weights is not known."),
        Case((_row(context_length=""), _brief(at_least={"context_length": 4000})), "The context length is not known."),
        Case((_row(licence=""), _brief({"licence": ["MIT"]})), "The licence is not known."),
        Case(
            (_row(context_length="4096"), _brief(at_least={"context_length": 4096})), "At least 4,096: 4,096 is enough."
        ),
        Case(
            (_row(parameters="1000000000"), _brief(at_most={"parameters": 1e9})), "At most 1 billion: that is allowed."
        ),
        Case((_row(), _brief()), "No condition at all: every row fits."),
        Case(
            (_row(modality_in="text;image"), _brief({"modality_in": ["image"], "tunable": ["no"]})), "Two conditions."
        ),
        Case(
            (_row(price_in="0.1"), _brief({"modality_in": ["text"]}, {"price_in": 1.0}, {"context_length": 4000})),
            "All three kinds of condition, all met. A price has a point: float(), not int().",
        ),
        Case(
            (_row(price_in="9"), _brief(at_most={"price_in": 10.0})),
            "As numbers, 9 is less than 10; as texts it is not.",
        ),
        Case((_row(deployment="unknown"), _brief(_OWN)), "unknown holds the letters own, but not the word own."),
        Case((_row(tunable="no"), _brief({"tunable": ["not known", "yes"]})), "no is a part of not known, but not it."),
        Case(
            (_row(), {"needs": _OWN, "at_most": {}, "at_least": {}, "prefer": ("parameters", "least")}), "A wish too."
        ),
    ),
    mistakes=(
        Mistake(
            'The whole cell is compared with the list. A cell may hold several words: "own;managed". Split it at ;.',
            like=lambda row, brief: _fits_with(row, brief, named=lambda cell, wanted: cell in wanted),
        ),
        Mistake(
            "Every word of the brief's list must be in the cell. One of them is enough.",
            like=lambda row, brief: _fits_with(
                row, brief, named=lambda cell, wanted: set(wanted) <= set(cell.split(";"))
            ),
        ),
        Mistake(
            "Pieces of words are found too. Split the cell at ; and compare whole words.",
            like=lambda row, brief: _fits_with(row, brief, named=lambda cell, wanted: any(cell in w for w in wanted)),
        ),
        Mistake(
            "Pieces of words are found too: own stands in unknown. Split the cell at ; and compare whole words.",
            like=lambda row, brief: _fits_with(row, brief, named=lambda cell, wanted: any(w in cell for w in wanted)),
        ),
        Mistake(
            "An empty cell counts as a small number. What is not known meets no condition.",
            like=lambda row, brief: _fits_with(
                {
                    c: cell or ("0" if c in ("parameters", "context_length", "price_in") else "")
                    for c, cell in row.items()
                },
                brief,
            ),
        ),
        Mistake(
            "An empty cell meets the condition. What is not known meets no condition.",
            like=lambda row, brief: _fits_with(row, brief, empty=True),
        ),
        Mistake(
            "At most and at least include the limit itself: <= and >=.",
            like=lambda row, brief: _fits_with(row, brief, strict=True),
        ),
        Mistake(
            "The numbers are compared as texts, where 9 comes after 10. Make a number of the cell: float(row[column]).",
            like=lambda row, brief: (
                fits(row, _brief(brief["needs"]))
                and all(row[c] and row[c] <= str(limit) for c, limit in brief["at_most"].items())
                and all(row[c] and row[c] >= str(limit) for c, limit in brief["at_least"].items())
            ),
        ),
        Mistake(
            "One condition that holds is enough here. All of them must hold.",
            like=lambda row, brief: _fits_with(row, brief, some=True),
        ),
        Mistake(
            "The conditions on numbers are not looked at: at_most and at_least.",
            like=lambda row, brief: _fits_with(row, _brief(brief["needs"])),
        ),
        Mistake(
            "The conditions of at_least are not looked at.",
            like=lambda row, brief: _fits_with(row, _brief(brief["needs"], brief["at_most"])),
        ),
        Mistake(
            "at_most and at_least have changed places.",
            like=lambda row, brief: _fits_with(row, _brief(brief["needs"], brief["at_least"], brief["at_most"])),
        ),
        Mistake(
            "The result is not True or False. Put bool(...) around it.",
            when=lambda got, expected, args: got is not None and not _is_bool(got) and not isinstance(got, str),
        ),
    ),
)

# --- 1.2 ---


def writes() -> dict[str, str]:
    return {
        "BERT-base": "embedding",
        "Stable Diffusion 2.0": "image",
        "CodeParrot-1.5B": "text",
        "all-MiniLM-L6-v2": "embedding",
        "DALL-E 2": "image",
        "whisper-large": "text",
        "StarCoder2-7B": "text",
    }


def _says(answer: Any, name: str) -> str:
    """An entry of a dictionary of texts, tidied: small letters, no spaces, no plural."""
    entry = answer.get(name)
    return str(entry).strip().lower().removesuffix("s") if entry is not None else ""


def _entries(names: list[str], kind: str, right: Mapping[str, str]) -> Any:
    return lambda answer: all(_says(answer, name) == kind for name in names if right[name] == kind)


TWO = Exercise(
    id="1.2",
    goal='A dictionary with the seven names as keys and "text", "image" or "embedding" as values.',
    reference=writes,
    source="writes = {\n"
    '    "BERT-base": "embedding",\n'
    '    "Stable Diffusion 2.0": "image",\n'
    '    "CodeParrot-1.5B": "text",\n'
    '    "all-MiniLM-L6-v2": "embedding",\n'
    '    "DALL-E 2": "image",\n'
    '    "whisper-large": "text",\n'
    '    "StarCoder2-7B": "text",\n'
    "}",
    hints=(
        "What stands in the training data? Pictures with captions teach to draw; program code teaches to write code.",
        "whisper-large heard audio together with what was said. The audio goes in; what comes out?",
        "BERT fills gaps in sentences, MiniLM compares two sentences. Neither writes a text of its own: both give "
        "numbers.",
    ),
    parts=(
        Part(
            "whether it is a dictionary",
            lambda a: isinstance(a, Mapping),
            'a dictionary: {"BERT-base": ..., ...}',
            "Curly brackets, and a colon between each name and its kind.",
        ),
        Part(
            "the names",
            lambda a: set(a) == set(writes()),
            "the seven names as keys: " + ", ".join(writes()),
            "Copy the names as they are printed above, in quotes.",
        ),
        Part(
            "the one that hears",
            lambda a: _says(a, "whisper-large") == "text",
            "what whisper-large writes",
            "Whisper hears: speech goes in. What comes out? Not what it reads is asked for, but what it writes.",
        ),
        Part(
            "the kinds",
            lambda a: {_says(a, name) for name in a} <= {"text", "image", "embedding"},
            'values from "text", "image", "embedding"',
            "Program code counts as text. Each value is one of the three words, in quotes.",
        ),
        Part(
            "the two that draw",
            _entries(list(writes()), "image", writes()),
            "image for two models",
            "Which two were trained on images together with their captions?",
        ),
        Part(
            "the two that give embeddings",
            _entries(list(writes()), "embedding", writes()),
            "embedding for two models",
            "An encoder that fills gaps (Wikipedia and books), and one that compares pairs of sentences.",
        ),
        Part(
            "the two that write code",
            _entries(list(writes()), "text", writes()),
            "text for two models that were trained on program code",
            "Program code is text. The Stack is a collection of it.",
        ),
    ),
)

# --- 1.3 ---


def memory(shape: dict[str, float], tokens: int) -> dict[str, float]:
    weights = shape["parameters"] * shape["bytes_each"]
    one_token = 2 * shape["layers"] * shape["kv_heads"] * shape["head_size"] * shape["bytes_each"]
    return {
        "weights": weights,
        "cache": one_token * tokens,
        "gradients": weights,
        "optimizer": 2 * 4 * shape["parameters"],
    }


def _shape(parameters: int, bytes_each: int, layers: int, kv_heads: int, head_size: int) -> dict[str, int]:
    shape = {"parameters": parameters, "bytes_each": bytes_each, "layers": layers}
    return shape | {"kv_heads": kv_heads, "head_size": head_size}


def _memory_but(**changed: Any) -> Any:
    """``memory`` with some of the parts computed otherwise: each is a function of the shape and the tokens."""

    def wrong(shape: dict[str, float], tokens: int) -> dict[str, float]:
        return memory(shape, tokens) | {part: how(shape, tokens) for part, how in changed.items()}

    return wrong


THREE = Exercise(
    id="1.3",
    goal="The bytes of a model's weights, cache, gradients and optimizer, in a dictionary with these four keys.",
    reference=memory,
    hints=(
        "Begin with the weights: how many there are, times bytes_each. The gradients are as many, in the same format.",
        "The optimizer keeps 2 numbers a weight, 4 bytes each, whatever bytes_each is.",
        "The cache of one token: 2 (a key and a value) times layers times kv_heads times head_size times bytes_each.",
        "Then times tokens. Put all four into {'weights': ..., 'cache': ..., 'gradients': ..., 'optimizer': ...}.",
    ),
    cases=(
        Case((_shape(1000, 2, 3, 2, 8), 10), "The example: 2000, 1920, 2000, 8000."),
        Case(
            (_shape(1000, 4, 3, 2, 8), 10), "4 bytes each: weights, cache and gradients double, the optimizer does not."
        ),
        Case((_shape(3_821_079_552, 2, 32, 32, 96), 4096), "Phi-3-mini with a full context."),
        Case((_shape(500, 2, 1, 1, 4), 0), "Nothing read yet: the cache is empty."),
        Case((_shape(700, 1, 2, 5, 3), 7), "One byte each."),
    ),
    mistakes=(
        Mistake(
            "The cache lacks the factor 2: each token leaves a key and a value.",
            like=_memory_but(cache=lambda s, t: memory(s, t)["cache"] // 2),
        ),
        Mistake(
            "The cache lacks the layers: each layer keeps keys and values of its own.",
            like=_memory_but(cache=lambda s, t: memory(s, t)["cache"] // s["layers"]),
        ),
        Mistake(
            "The cache lacks the tokens: it grows with each token that was read.",
            like=_memory_but(cache=lambda s, t: memory(s, 1)["cache"]),
        ),
        Mistake(
            "The cache lacks the heads: kv_heads times head_size numbers.",
            like=_memory_but(cache=lambda s, t: memory(s, t)["cache"] // s["kv_heads"]),
        ),
        Mistake(
            "The cache is counted in numbers, not in bytes: times bytes_each.",
            like=_memory_but(cache=lambda s, t: memory(s, t)["cache"] // s["bytes_each"]),
        ),
        Mistake(
            "The weights and gradients are counted in numbers, not in bytes: times bytes_each.",
            like=_memory_but(weights=lambda s, t: s["parameters"], gradients=lambda s, t: s["parameters"]),
        ),
        Mistake(
            "The optimizer keeps two numbers a weight, not one: 8 bytes.",
            like=_memory_but(optimizer=lambda s, t: 4 * s["parameters"]),
        ),
        Mistake(
            "The optimizer's numbers have 4 bytes each, whatever bytes_each is.",
            like=_memory_but(optimizer=lambda s, t: 2 * s["bytes_each"] * s["parameters"]),
        ),
        Mistake(
            "The bits of a byte do not come in here: bytes_each is in bytes already.",
            like=lambda s, t: {part: 8 * count for part, count in memory(s, t).items()},
        ),
        Mistake(
            "One number came back. Four were asked for, in a dictionary.",
            when=lambda got, expected, args: isinstance(got, (int, float)),
        ),
        Mistake(
            "The keys of the dictionary are weights, cache, gradients and optimizer, in small letters.",
            when=lambda got, expected, args: isinstance(got, Mapping) and set(got) != set(expected),
        ),
    ),
)

# --- 1.4 ---


def monthly_cost(calls: int, tokens_in: float, tokens_out: float, price_in: float, price_out: float) -> float:
    return calls * (tokens_in * price_in + tokens_out * price_out) / 1e6


FOUR = Exercise(
    id="1.4",
    goal="Dollars a month for so many calls, with prices for a million tokens read and written.",
    reference=monthly_cost,
    hints=(
        "What does one call cost? Tokens in times their price, plus tokens out times theirs.",
        "The prices are for a million tokens: divide by 1e6 (one million) once.",
        "calls * (tokens_in * price_in + tokens_out * price_out) / 1e6",
    ),
    cases=(
        Case((1000, 2000, 500, 3.0, 6.0), "2 million tokens at 3 and half a million at 6: 9 dollars."),
        Case((6300, 1200, 60, 2.5, 10.0), "More tokens are read than written."),
        Case((1, 1_000_000, 0, 5.0, 20.0), "A million tokens read, nothing written: the price itself."),
        Case((0, 1200, 60, 2.5, 10.0), "No calls cost nothing."),
        Case((200, 100, 3000, 1.0, 4.0), "Here more is written than read, and it is dearer."),
    ),
    mistakes=(
        Mistake(
            "The price is for a million tokens. Divide by 1e6.",
            like=lambda calls, i, o, pi, po: calls * (i * pi + o * po),
        ),
        Mistake(
            "The price is for a million tokens, not for a thousand: divide by 1e6.",
            like=lambda calls, i, o, pi, po: calls * (i * pi + o * po) / 1e3,
        ),
        Mistake(
            "The calls are missing: this is the price of one call.",
            like=lambda calls, i, o, pi, po: (i * pi + o * po) / 1e6,
        ),
        Mistake(
            "The two prices have changed places.",
            like=lambda calls, i, o, pi, po: calls * (i * po + o * pi) / 1e6,
        ),
        Mistake(
            "Tokens written cost too: add tokens_out times price_out.",
            like=lambda calls, i, o, pi, po: calls * i * pi / 1e6,
        ),
        Mistake(
            "Reading and writing have prices of their own. Multiply each by its tokens, then add.",
            like=lambda calls, i, o, pi, po: calls * (i + o) * (pi + po) / 1e6,
        ),
        Mistake(
            "Only a part is multiplied by the calls, or divided by a million. Put brackets around the sum.",
            like=lambda calls, i, o, pi, po: calls * i * pi + o * po / 1e6,
        ),
        Mistake(
            "Only the tokens in are multiplied by the calls. Put brackets around the sum.",
            like=lambda calls, i, o, pi, po: (calls * i * pi + o * po) / 1e6,
        ),
        Mistake("This is a text. Return the number alone.", when=lambda got, expected, args: isinstance(got, str)),
        Mistake(
            "It is rounded. Small bills matter too: return the number as it is.",
            like=lambda calls, i, o, pi, po: float(round(monthly_cost(calls, i, o, pi, po))),
        ),
    ),
)

# --- 1.5 ---

OPEN_SEVEN = (
    "Phi-3-mini-4k-instruct",
    "Alpaca 7B",
    "FLUX.1 [dev]",
    "BERT-base",
    "jina-embeddings-v3",
    "whisper-small",
    "LLaMA 65B",
)


def allowed() -> list[str]:
    return ["Phi-3-mini-4k-instruct", "BERT-base", "whisper-small"]


def _names(answer: Any) -> set[str]:
    return {str(name) for name in answer}


FIVE = Exercise(
    id="1.5",
    goal="A list of the names, out of the seven, that a company may use in its business without asking anybody.",
    reference=allowed,
    source='allowed = ["Phi-3-mini-4k-instruct", "BERT-base", "whisper-small"]',
    hints=(
        "MIT and Apache-2.0 allow any use, also in a business.",
        "Non-commercial, NC and research only mean: not in a business. Some names of licences say it in their middle.",
        "Three of the seven may be used.",
    ),
    parts=(
        Part(
            "whether it is a list",
            lambda a: isinstance(a, (list, tuple, set, frozenset)),
            "a list of names: [ ... ]",
            "Square brackets around the names, each in quotes.",
        ),
        Part(
            "the names",
            lambda a: _names(a) <= set(OPEN_SEVEN),
            "names from the seven printed above",
            "Copy the names as they are printed, without the licence behind them.",
        ),
        Part(
            "models for research only",
            lambda a: not _names(a) & {"Alpaca 7B", "LLaMA 65B"},
            "no model whose licence speaks of research only or of non-commercial use",
            "Read the whole line: CC BY-NC, research only, non-commercial.",
        ),
        Part(
            "licences that forbid business",
            lambda a: not _names(a) & {"FLUX.1 [dev]", "jina-embeddings-v3"},
            "no model under a non-commercial licence",
            "Non-commercial, or NC for short, stands in a licence's name: not in a business. Read the whole line.",
        ),
        Part(
            "whether all that are free are there",
            lambda a: _names(a) == set(allowed()),
            "three names",
            "Every model under MIT or Apache-2.0 belongs into the list.",
        ),
    ),
)

# --- 1.6 ---


def swap_rows(matrix: Any, i: int, j: int) -> Any:
    swapped = matrix.clone()
    swapped[i], swapped[j] = matrix[j], matrix[i]
    return swapped


def _as_rows(value: Any) -> Any:
    if hasattr(value, "detach"):
        value = value.detach()
    return value.tolist() if hasattr(value, "tolist") else value


def _same_matrix(got: Any, expected: Any) -> bool:
    """Equal tensors, shapes included."""
    return hasattr(got, "shape") and tuple(got.shape) == tuple(expected.shape) and _as_rows(got) == _as_rows(expected)


def _aliased(matrix: Any, i: int, j: int) -> Any:
    matrix = matrix.clone()
    matrix[i], matrix[j] = matrix[j], matrix[i]
    return matrix


def _columns(matrix: Any, i: int, j: int) -> Any:
    matrix = matrix.clone()
    if max(i, j) < matrix.shape[1]:
        matrix[:, [i, j]] = matrix[:, [j, i]]
    return matrix


def _other_way(matrix: Any, i: int, j: int) -> Any:
    matrix = matrix.clone()
    matrix[j] = matrix[i]
    return matrix


_ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
_SQUARE = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]

SIX = Exercise(
    id="1.6",
    goal="A tensor in which two rows have changed places; best a new one, so that the input stays as it is.",
    reference=swap_rows,
    same=_same_matrix,
    source="def swap_rows(matrix, i, j):\n"
    "    swapped = matrix.clone()\n"
    "    swapped[i], swapped[j] = matrix[j], matrix[i]\n"
    "    return swapped\n",
    hints=(
        "Begin with a copy, so that the input stays as it is: swapped = matrix.clone().",
        "matrix[i] is row i. It is a view into the matrix, not a copy: if the matrix changes, it changes too.",
        "So read both rows from the input and write them into the copy: swapped[i] = matrix[j], and the other way "
        "round.",
    ),
    cases=(
        Case((torch.tensor(_ROWS), 0, 2), "The first and the last row change places."),
        Case((torch.tensor(_ROWS), 2, 1), "The higher number may come first."),
        Case((torch.tensor(_SQUARE), 0, 1), "Rows, not columns."),
        Case((torch.tensor(_ROWS), 1, 1), "A row with itself: nothing changes."),
        Case((torch.tensor([[1.0], [2.0]]), 0, 1), "One number a row."),
        Case((torch.tensor(_SQUARE), 0, -1), "-1 is the last row."),
    ),
    mistakes=(
        Mistake(
            "What stood in row i is lost, and both rows are alike. Either row j was never written. Or it was written "
            "from row i after that had changed: matrix[i] is a view, a window onto the matrix and no copy. Read from "
            "the input and write into the copy.",
            like=_aliased,
        ),
        Mistake("These are columns. A row is matrix[i]; a column is matrix[:, i].", like=_columns),
        Mistake("Row j is overwritten, but what stood there does not come to row i.", like=_other_way),
        Mistake("Nothing has changed places.", like=lambda matrix, i, j: matrix.clone()),
        Mistake(
            "Only the two rows came back. The whole tensor was asked for.",
            when=lambda got, expected, args: hasattr(got, "shape") and len(got) == 2 < len(expected),
        ),
        Mistake(
            "A list came back. A tensor was asked for: matrix.clone() makes one to write into.",
            when=lambda got, expected, args: isinstance(got, list),
        ),
        Mistake("Nothing came back. Does the function end with return?", when=lambda got, expected, args: got is None),
    ),
)

# --- 1.7 ---


def built_on() -> dict[str, str | None]:
    return {
        "Alpaca 7B": "LLaMA 7B",
        "Flan-T5-XXL": "T5",
        "Phi-4-reasoning": "Phi-4",
        "Phi-4-reasoning-plus": "Phi-4",
        "LLaMA 65B": None,
    }


def _parent(answer: Any, name: str) -> str | None:
    parent = answer.get(name)
    return None if parent is None else " ".join(str(parent).split()).lower()


def _parents(answer: Any, *names: str) -> bool:
    return all(_parent(answer, name) == (built_on()[name] or "").lower() for name in names)


SEVEN = Exercise(
    id="1.7",
    goal="A dictionary: each of the five names, and the model that it was built on, written as its line begins, or "
    "None.",
    reference=built_on,
    source="built_on = {\n"
    '    "Alpaca 7B": "LLaMA 7B",\n'
    '    "Flan-T5-XXL": "T5",\n'
    '    "Phi-4-reasoning": "Phi-4",\n'
    '    "Phi-4-reasoning-plus": "Phi-4",\n'
    '    "LLaMA 65B": None,\n'
    "}",
    hints=(
        "Look for the words tuned and fine-tuned in the training data. The model before them is the one built on.",
        "One of the five names lists web pages, books and papers, and no model: it was trained from raw text.",
        "None is written without quotes.",
    ),
    parts=(
        Part(
            "whether it is a dictionary",
            lambda a: isinstance(a, Mapping),
            'a dictionary: {"Alpaca 7B": ..., ...}',
            "Curly brackets, and a colon between each name and what it was built on.",
        ),
        Part(
            "the names",
            lambda a: set(a) == set(built_on()),
            "the five names as keys: " + ", ".join(built_on()),
            "Copy the names as they are printed above, in quotes.",
        ),
        Part(
            "the one trained from raw text",
            lambda a: a["LLaMA 65B"] is None,
            "None for LLaMA 65B",
            'Its line names web pages, books and papers, and no other model. None is no text: None, not "None".',
        ),
        Part(
            "Alpaca and Flan-T5",
            lambda a: _parents(a, "Alpaca 7B", "Flan-T5-XXL"),
            "the models that their lines begin with",
            "Their lines begin with the model that was tuned. Write its name as it stands there, with its size if any.",
        ),
        Part(
            "the two reasoning models",
            lambda a: _parents(a, "Phi-4-reasoning", "Phi-4-reasoning-plus"),
            "the model that both lines begin with",
            "Go by the lines: as they say it, both began as the same model, and it is not one of the two.",
        ),
    ),
)

# --- 1.8 ---


def mask(kind: str, rows: int, columns: int) -> Any:
    if kind == "decoder":
        return np.tril(np.ones((rows, columns), dtype=int))
    return np.ones((rows, columns), dtype=int)


def _table(value: Any) -> Any:
    value = _as_rows(value)
    return [[int(bool(cell)) for cell in row] for row in value] if isinstance(value, (list, tuple)) else value


def _same_mask(got: Any, expected: Any) -> bool:
    """Equal tables of 0 and 1 (or of False and True), as lists or arrays."""
    cells = [cell for row in _as_rows(got) for cell in row]
    return all(cell in (0, 1) for cell in cells) and _table(got) == _table(expected)


def _decoder_as(table: Any) -> Any:
    """A wrong mask of a decoder, the other kinds right."""
    return lambda kind, rows, columns: table(rows, columns) if kind == "decoder" else mask(kind, rows, columns)


EIGHT = Exercise(
    id="1.8",
    goal="A table of 1 and 0, one row for each token that looks and one column for each token to look at. Encoder and "
    "cross: 1 everywhere. Decoder: 1 up to the token itself, 0 after it.",
    reference=mask,
    same=_same_mask,
    source="import numpy as np\n\n\n"
    "def mask(kind, rows, columns):\n"
    '    if kind == "decoder":\n'
    "        return np.tril(np.ones((rows, columns), dtype=int))\n"
    "    return np.ones((rows, columns), dtype=int)\n",
    hints=(
        "For an encoder and for cross there is nothing to decide: np.ones((rows, columns), dtype=int).",
        "In a decoder, the token of row r may look at column c where c <= r.",
        "np.tril(table) keeps the lower triangle of a table, with its diagonal, and sets the rest to 0.",
    ),
    cases=(
        Case(("decoder", 3, 3), "The example: [[1, 0, 0], [1, 1, 0], [1, 1, 1]]."),
        Case(("encoder", 3, 3), "An encoder's tokens look at all tokens, also at later ones."),
        Case(("cross", 2, 4), "Two written tokens look at four that were read: 2 rows, 4 columns."),
        Case(("cross", 3, 3), "As many written as read: still 1 everywhere."),
        Case(("decoder", 5, 5), "A larger triangle."),
        Case(("decoder", 1, 1), "One token looks at itself."),
        Case(("cross", 4, 1), "Four rows with one column each."),
    ),
    mistakes=(
        Mistake(
            "The decoder looks at later tokens, not at earlier ones: the triangle is upside down.",
            like=_decoder_as(lambda r, c: np.triu(np.ones((r, c), dtype=int))),
        ),
        Mistake(
            "A token may look at itself too: the diagonal is 1.",
            like=_decoder_as(lambda r, c: np.tril(np.ones((r, c), dtype=int), -1)),
        ),
        Mistake(
            "The decoder looks at everything. It must not see what comes later. If your loop seems right: [[0] * n] * "
            "m is one and the same row m times, so a change to one is a change to all. Make each row anew.",
            like=lambda kind, rows, columns: np.ones((rows, columns), dtype=int),
        ),
        Mistake(
            "Every kind has a triangle. Only the decoder has one.",
            like=lambda kind, rows, columns: np.tril(np.ones((rows, columns), dtype=int)),
        ),
        Mistake(
            "The encoder is right, but cross has a triangle. The text that was read is there as a whole.",
            like=lambda kind, rows, columns: mask("encoder" if kind == "encoder" else "decoder", rows, columns),
        ),
        Mistake(
            "Rows and columns have changed places: a row for each token that looks.",
            like=lambda kind, rows, columns: np.array(mask(kind, columns, rows)),
        ),
        Mistake(
            "0 and 1 have changed places: 1 where the token may look.",
            like=lambda kind, rows, columns: 1 - mask(kind, rows, columns),
        ),
        Mistake(
            "Each token looks only at itself.",
            like=_decoder_as(lambda r, c: np.eye(r, c, dtype=int)),
        ),
        Mistake(
            "There are as many columns as rows here. Use both numbers.",
            like=lambda kind, rows, columns: mask(kind, rows, rows),
        ),
    ),
)

EXERCISES = [ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT]

QUIZ = [
    Question(
        "1.1",
        "A model's cell for its licence is empty in the catalogue. May Brightwater use it?",
        (
            Option("Yes: nothing forbids it.", False, "Without a licence nothing is allowed, rather than everything."),
            Option(
                "Not before somebody has found out: empty means that no source was found.",
                True,
                "The filter leaves it out for the same reason.",
            ),
            Option(
                "Yes, if its weights are open.", False, "Open weights may come with a licence that forbids your use."
            ),
        ),
    ),
    Question(
        "1.2",
        "What needs more memory, the more people talk to a model at the same time?",
        (
            Option("Its weights.", False, "The weights are there once, whoever asks."),
            Option("Its cache of keys and values.", True, "Each chat has its own, and it grows with every token."),
            Option("Its optimizer.", False, "That exists in training only."),
        ),
    ),
    Question(
        "1.3",
        "Why can a decoder write, and an encoder not?",
        (
            Option(
                "Its tokens see only what stands before them, so it can be trained and asked for the next one.",
                True,
                "That is the triangle in the picture.",
            ),
            Option("It has more weights.", False, "Here the encoder has the most weights of the three."),
            Option("It was trained on longer texts.", False, "Length has nothing to do with it: the mask has."),
        ),
    ),
    Question(
        "1.4",
        "Which of these can one embedding of a text be used for, with no further training of the embedding model?",
        (
            Option("To find similar texts.", True, "Similar lists of numbers lie close together."),
            Option("To sort texts into classes.", True, "A simple classifier on top is trained, the embedding is not."),
            Option("To write the next sentence.", False, "There is no next token in an embedding."),
            Option("To put similar texts into groups.", True, "No labels are needed for that."),
        ),
    ),
    Question(
        "1.5",
        "You use a closed model as a service. What leaves your house with each call?",
        (
            Option(
                "The question only.", False, "The model sees the prompt and nothing else, so all of it must go there."
            ),
            Option(
                "The whole prompt: the question and the company's passages in it.",
                True,
                "And the terms say what becomes of it.",
            ),
            Option("Nothing: the model is downloaded first.", False, "A closed model's weights are not given out."),
        ),
    ),
]
