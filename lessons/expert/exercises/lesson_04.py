"""Lesson 04, Embeddings and the vector database: cosine, nearest, fields, a filter, recall, fusion, a vote."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from expert.exercises import Case, Exercise, Mistake, Option, Part, Question

# --- 4.1 ---


def cosine(a: Any, b: Any) -> float:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / lengths) if lengths else 0.0


def _number(value: Any) -> float | None:
    """A single number, also from numpy or torch; None for anything else."""
    if isinstance(value, (str, bool)) or value is None:
        return None
    array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    return float(array) if array.ndim == 0 and array.dtype.kind in "iuf" else None


def _near(got: Any, expected: float) -> bool:
    number = _number(got)
    return number is not None and bool(np.isclose(number, expected, atol=1e-5))


def _array(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=float)


def _length(values: Any) -> float:
    return float(np.sqrt((_array(values) ** 2).sum()))


ONE = Exercise(
    id="4.1",
    goal="The cosine of the angle between two vectors: the sum of products, divided by both lengths; 0.0 where one is "
    "all zeros.",
    reference=cosine,
    same=_near,
    source="import numpy as np\n\n\n"
    "def cosine(a, b):\n"
    "    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)\n"
    "    lengths = np.linalg.norm(a) * np.linalg.norm(b)\n"
    "    return float(a @ b / lengths) if lengths else 0.0",
    hints=(
        "Three numbers are needed: the sum of the products a[0]*b[0] + a[1]*b[1] + ..., and the two lengths.",
        "With a = np.asarray(a, dtype=float) and the same for b, a @ b is the sum of the products.",
        "np.linalg.norm(a) is the length of a: the square root of the sum of the squares.",
        "A length of 0 must not be divided by: if the product of the lengths is 0, return 0.0.",
    ),
    cases=(
        Case(([1, 0], [0, 2]), "The example: a right angle gives 0.0."),
        Case(([1, 1], [3, 3]), "The same direction gives 1.0, whatever the lengths."),
        Case(([1.0, 2.0, 2.0], [2.0, 0.0, 0.0]), "1 * 2 is the sum of products; the lengths are 3 and 2."),
        Case(([1, -2], [-1, 2]), "Opposite directions give -1.0: the result may be negative."),
        Case(([0, 0, 0], [1, 2, 3]), "A vector of zeros has no direction: 0.0, and no division by zero."),
        Case(([0.6, 0.8], [0.8, 0.6]), "Both have length 1 here."),
        Case(([5, 1, 0, 2], [1, 0, 7, 3]), "Four numbers each."),
        Case(([1, -1], [1, -1]), "The numbers add up to 0, but no vector here is all zeros: the cosine is 1.0."),
        Case((np.array([3.0, 4.0]), np.array([4.0, -3.0])), "Arrays, at a right angle."),
        Case((np.array([3.0, 4.0]), np.array([0.0, 5.0])), "Arrays, neither of length 1."),
    ),
    mistakes=(
        Mistake(
            "A sum of 0 does not mean that all numbers are 0: [1, -1] has a direction. Ask whether a length is 0.",
            like=lambda a, b: 0.0 if sum(a) == 0 or sum(b) == 0 else cosine(a, b),
        ),
        Mistake(
            "This is the sum of the products alone. Divide it by both lengths: they are not always 1.",
            like=lambda a, b: float(_array(a) @ _array(b)),
        ),
        Mistake(
            "It is divided by one of the two lengths only.",
            like=lambda a, b: float(_array(a) @ _array(b) / _length(a)) if _length(a) else 0.0,
        ),
        Mistake(
            "It is divided by one of the two lengths only.",
            like=lambda a, b: float(_array(a) @ _array(b) / _length(b)) if _length(b) else 0.0,
        ),
        Mistake(
            "The square root is missing: a length is the square root of the sum of the squares.",
            like=lambda a, b: (
                float(_array(a) @ _array(b) / (_length(a) * _length(b)) ** 2) if _length(a) * _length(b) else 0.0
            ),
        ),
        Mistake(
            "It is divided by how many numbers there are. The length of a vector is the square root of the sum of its "
            "squares; len() counts its numbers.",
            like=lambda a, b: float(_array(a) @ _array(b) / (len(a) * len(b))),
        ),
        Mistake(
            "This is the distance, 1 minus the cosine. The cosine itself was asked for.",
            like=lambda a, b: 1 - cosine(a, b),
        ),
        Mistake(
            "The sign is lost. Opposite directions give -1.",
            like=lambda a, b: abs(cosine(a, b)),
        ),
        Mistake(
            "This is a list of products. Add them up to one number.",
            when=lambda got, expected, args: np.asarray(got).ndim == 1,
        ),
        Mistake(
            "With a vector of zeros the result is nan (0 divided by 0). Return 0.0 there.",
            when=lambda got, expected, args: _number(got) is not None and bool(np.isnan(_number(got))),
        ),
    ),
)

# --- 4.2 ---


def nearest(query: Any, matrix: Any, k: int) -> list[int]:
    similarities = np.asarray(matrix) @ np.asarray(query)
    return np.argsort(-similarities, kind="stable")[:k].tolist()


def _same_rows(got: Any, expected: list[int]) -> bool:
    try:
        got = list(got.tolist() if hasattr(got, "tolist") else got)
    except TypeError:
        return False
    whole = all(isinstance(x, (int, np.integer)) and not isinstance(x, bool) for x in got)
    return whole and [int(x) for x in got] == expected


def _similar(query: Any, matrix: Any) -> np.ndarray:
    return _array(matrix) @ _array(query)


def _rows_tied(query: Any, matrix: Any, k: int, got: Any) -> bool:
    """Whether these are k different rows with the right cosines, so that only equal ones changed places."""
    rows = [int(row) for row in np.asarray(got).ravel()]
    best = np.sort(_similar(query, matrix))[::-1][:k]
    return len(set(rows)) == len(best) and bool(np.allclose(_similar(query, matrix)[rows], best))


_ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
_EQUAL = np.tile([1.0, 0.0], (40, 1))
_EQUAL[[5, 31]] = [0.0, 1.0]
_TABLE = np.random.default_rng(4).normal(size=(40, 6))
_TABLE /= np.linalg.norm(_TABLE, axis=1, keepdims=True)

TWO = Exercise(
    id="4.2",
    goal="The numbers of the k rows whose cosine with the query is highest, best first; of equal ones the smaller.",
    reference=nearest,
    same=_same_rows,
    source="import numpy as np\n\n\n"
    "def nearest(query, matrix, k):\n"
    "    similarities = np.asarray(matrix) @ np.asarray(query)\n"
    '    return np.argsort(-similarities, kind="stable")[:k].tolist()',
    hints=(
        "All vectors have length 1, so all cosines are one product: np.asarray(matrix) @ np.asarray(query).",
        "np.argsort gives the row numbers in the order of rising values. You want falling ones: sort the negative.",
        'np.argsort(-similarities, kind="stable") keeps equal ones in the order of their numbers. Then [:k].',
    ),
    cases=(
        Case(
            ([1.0, 0.0], [[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]], 2),
            "The example: row 1, then row 2. First comes the query, then the table.",
        ),
        Case((np.array([0.0, 1.0]), _ROWS, 3), "Three rows."),
        Case((np.array([1.0, 0.0]), _ROWS, 4), "All rows; one of them points the opposite way and comes last."),
        Case((np.array([1.0, 0.0]), _ROWS, 9), "Fewer rows than k: all of them."),
        Case((np.array([0.0, 1.0]), np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), 4), "Two equal pairs."),
        Case((_TABLE[7], _TABLE, 5), "Row 7 is the query itself and comes first."),
        Case((_TABLE[0], _TABLE, 1), "One row: still a list."),
        Case((np.array([-0.6, 0.8]), _ROWS, 2), "A query that is none of the rows."),
        Case((np.array([1.0, 0.0]), _EQUAL, 12), "40 rows, most of them equal: the smaller number comes first."),
    ),
    mistakes=(
        Mistake(
            "The order is from the lowest cosine to the highest. The nearest has the highest.",
            like=lambda q, m, k: np.argsort(_similar(q, m), kind="stable")[:k].tolist(),
        ),
        Mistake(
            "These are the right rows, the worst of them first. Turn the order round.",
            like=lambda q, m, k: np.argsort(_similar(q, m), kind="stable")[-k:].tolist(),
        ),
        Mistake(
            "Of two rows with the same cosine, the one with the larger number comes first. Sort the negative cosines "
            'with kind="stable" instead of turning the sorted list round.',
            like=lambda q, m, k: np.argsort(_similar(q, m), kind="stable")[::-1][:k].tolist(),
        ),
        Mistake(
            "Rows with the same cosine come back in any order. Among many rows, np.argsort keeps the order of their "
            'numbers only with kind="stable".',
            when=lambda got, expected, args: _rows_tied(*args, got),
        ),
        Mistake(
            "These are the cosines. The numbers of the rows were asked for.",
            like=lambda q, m, k: np.sort(_similar(q, m))[::-1][:k].tolist(),
        ),
        Mistake(
            "All rows are returned. Keep the first k.",
            like=lambda q, m, k: np.argsort(-_similar(q, m), kind="stable").tolist(),
        ),
        Mistake(
            "The rows are counted from 1. Python counts from 0.",
            like=lambda q, m, k: [row + 1 for row in nearest(q, m, k)],
        ),
        Mistake(
            "Only the best row is returned. The k best were asked for.",
            like=lambda q, m, k: [int(_similar(q, m).argmax())],
        ),
        Mistake(
            "The right rows, but in the order of their numbers. Best first was asked for.",
            like=lambda q, m, k: sorted(nearest(q, m, k)),
        ),
    ),
)

# --- 4.3 ---


def fields(kind: str, doc_id: str, date: str) -> dict[str, str | int]:
    found: dict[str, str | int] = {"kind": kind, "doc": doc_id}
    if date:
        found["day"] = int(date.replace("-", ""))
    return found


def _same_fields(got: Any, expected: Mapping) -> bool:
    if not isinstance(got, Mapping) or set(got) != set(expected):
        return False
    day_is_whole = "day" not in got or type(got["day"]) is int  # Chroma refuses numpy's numbers
    return day_is_whole and all(got[key] == value for key, value in expected.items())


def _day(got: Any) -> Any:
    return got.get("day") if isinstance(got, Mapping) else None


THREE = Exercise(
    id="4.3",
    goal='A dictionary with "kind", "doc" and, where the date is known, "day" as a whole number such as 20240305.',
    reference=fields,
    same=_same_fields,
    source="def fields(kind, doc_id, date):\n"
    '    found = {"kind": kind, "doc": doc_id}\n'
    "    if date:\n"
    '        found["day"] = int(date.replace("-", ""))\n'
    "    return found",
    hints=(
        'Begin with the two fields that are always there: {"kind": kind, "doc": doc_id}.',
        'date.replace("-", "") makes "20240305" of "2024-03-05". int(...) makes a number of it.',
        "An empty text counts as False: if date: add the day. Otherwise leave the key out.",
    ),
    cases=(
        Case(("mail", "ma-1", "2025-11-02"), "The example: day is 20251102."),
        Case(("bulletin", "sb-2402", "2024-03-05"), "A month and a day below 10 keep their zero: 20240305."),
        Case(("glossary", "gl-office", ""), "No date: no day."),
        Case(("table", "prices-2026", "2026-01-01"), "A hyphen in the id stays."),
        Case(("handbook", "hb-1", "1999-12-31"), "The last day of 1999."),
    ),
    mistakes=(
        Mistake(
            'There are more keys than "kind", "doc" and "day". Leave the others out.',
            when=lambda got, expected, args: (
                isinstance(got, Mapping) and bool(set(got) - {"kind", "doc", "day"}) and {"kind", "doc"} <= set(got)
            ),
        ),
        Mistake(
            '"kind" and "doc" are swapped: "kind" holds the first input, "doc" the second.',
            when=lambda got, expected, args: got["kind"] == args[1] and got["doc"] == args[0],
        ),
        Mistake(
            "The day is a number of numpy. Chroma refuses it; make a plain one of it with int(...).",
            when=lambda got, expected, args: isinstance(_day(got), np.generic),
        ),
        Mistake(
            "The day is a number with a decimal point. A whole number was asked for: int(...).",
            when=lambda got, expected, args: isinstance(_day(got), float),
        ),
        Mistake(
            "The day is a text. Chroma compares numbers with $gte and the like, not texts: int(...).",
            like=lambda kind, doc_id, date: (
                {"kind": kind, "doc": doc_id} | ({"day": date.replace("-", "")} if date else {})
            ),
        ),
        Mistake(
            "The day is the date as a text. Take the hyphens out and make a number of it: int(...).",
            like=lambda kind, doc_id, date: {"kind": kind, "doc": doc_id} | ({"day": date} if date else {}),
        ),
        Mistake(
            "Without a date the key day must be missing, not None.",
            like=lambda kind, doc_id, date: (
                {"kind": kind, "doc": doc_id, "day": int(date.replace("-", "")) if date else None}
            ),
        ),
        Mistake(
            "Without a date the key day must be missing. With 0 the record would count as very old.",
            like=lambda kind, doc_id, date: (
                {"kind": kind, "doc": doc_id, "day": int(date.replace("-", "")) if date else 0}
            ),
        ),
        Mistake(
            "Only the year is kept. The whole date was asked for: 20240305.",
            like=lambda kind, doc_id, date: {"kind": kind, "doc": doc_id} | ({"day": int(date[:4])} if date else {}),
        ),
        Mistake(
            "The day is missing where there is a date.",
            like=lambda kind, doc_id, date: {"kind": kind, "doc": doc_id},
        ),
        Mistake(
            'The keys are "kind", "doc" and "day", in quotes and small letters.',
            when=lambda got, expected, args: isinstance(got, Mapping) and not {"kind", "doc"} <= set(got),
        ),
    ),
)

# --- 4.4 ---


def recent() -> dict[str, list]:
    return {"$and": [{"kind": "bulletin"}, {"day": {"$gte": 20240201}}]}


_COMPARE = {
    "$eq": lambda a, b: a == b,
    "$ne": lambda a, b: a != b,
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
    "$in": lambda a, b: a in b,
    "$nin": lambda a, b: a not in b,
}


def _valid(where: Any) -> bool:
    """Whether Chroma takes it: one key a level, known operators, numbers for greater and less."""
    if not isinstance(where, Mapping) or len(where) != 1:
        return False
    ((key, value),) = where.items()
    if key in ("$and", "$or"):
        return isinstance(value, (list, tuple)) and len(value) >= 2 and all(map(_valid, value))
    if not isinstance(key, str) or key.startswith("$"):
        return False
    if isinstance(value, Mapping):
        if len(value) != 1 or set(value) - set(_COMPARE):
            return False
        ((operator, limit),) = value.items()
        if operator in ("$in", "$nin"):
            return isinstance(limit, (list, tuple)) and len(limit) > 0
        number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
        return number if operator in ("$gt", "$gte", "$lt", "$lte") else isinstance(limit, (str, int, float))
    return isinstance(value, (str, int, float))


def passes(where: Mapping, record: Mapping) -> bool:
    """Whether a record with these fields passes a filter, by Chroma's rules."""
    ((key, value),) = where.items()
    if key == "$and":
        return all(passes(one, record) for one in value)
    if key == "$or":
        return any(passes(one, record) for one in value)
    operator, limit = next(iter(value.items())) if isinstance(value, Mapping) else ("$eq", value)
    if key not in record:
        return operator in ("$ne", "$nin")
    mine, limits = record[key], limit if isinstance(limit, (list, tuple)) else [limit]
    if any(isinstance(mine, str) != isinstance(one, str) for one in limits):
        return operator in ("$ne", "$nin")  # a text never equals a number
    return bool(_COMPARE[operator](mine, limit))


def _lets(kind: str, day: int | None, wanted: bool) -> Any:
    record: dict[str, Any] = {"kind": kind, "doc": "x-1"} | ({"day": day} if day else {})
    return lambda where: passes(where, record) is wanted


def _lists_of_filters(where: Any) -> bool:
    """Whether each $and and $or holds a list of at least two filters."""
    for key, value in where.items() if isinstance(where, Mapping) else ():
        if key in ("$and", "$or"):
            many = isinstance(value, (list, tuple)) and len(value) >= 2
            if not (many and all(isinstance(one, Mapping) and _lists_of_filters(one) for one in value)):
                return False
    return True


def _known_fields(where: Any) -> bool:
    """Whether only fields that the records have are asked for."""
    for key, value in where.items():
        if key in ("$and", "$or"):
            if not all(map(_known_fields, value)):
                return False
        elif not str(key).startswith("$") and key not in ("kind", "doc", "day"):
            return False
    return True


def _eight_digits(where: Any) -> bool:
    """Whether each day that is compared with is a number of eight digits, or no number at all."""
    for key, value in where.items():
        if key in ("$and", "$or"):
            if not all(map(_eight_digits, value)):
                return False
        elif key == "day":
            limits = list(value.values()) if isinstance(value, Mapping) else [value]
            if any(isinstance(one, (int, float)) and not 10**7 <= one < 10**8 for one in limits):
                return False
    return True


def _two_keys(where: Any) -> bool:
    return not (isinstance(where, Mapping) and len(where) > 1)


FOUR = Exercise(
    id="4.4",
    goal="A filter that lets through bulletins from the 1st of February 2024 or later, and nothing else.",
    reference=recent,
    source='recent = {"$and": [{"kind": "bulletin"}, {"day": {"$gte": 20240201}}]}',
    hints=(
        'Two conditions must both hold, so begin with {"$and": [..., ...]}.',
        'The first condition is {"kind": "bulletin"}.',
        'The second is on day. From a day on, with that day, is $gte: {"day": {"$gte": ...}}. Days are numbers such as '
        "20251102.",
    ),
    parts=(
        Part(
            "whether it is a dictionary",
            lambda a: isinstance(a, Mapping),
            'a dictionary: {"$and": [..., ...]}',
            "Curly brackets, a key in quotes, a colon.",
        ),
        Part(
            "how many keys it has",
            _two_keys,
            "one key at the outermost level, such as $and",
            'Chroma takes one condition a dictionary. Put two into a list: {"$and": [{...}, {...}]}.',
        ),
        Part(
            "whether $and and $or hold a list",
            _lists_of_filters,
            'a list of at least two filters: {"$and": [{...}, {...}]}',
            "$and and $or take square brackets with two filters or more in them. A single filter needs no $and.",
        ),
        Part(
            "the names of the fields",
            _known_fields,
            '"kind" and "day"',
            "The records have the fields kind, doc and day. Is one spelled in another way, such as date or Kind?",
        ),
        Part(
            "whether Chroma takes it",
            _valid,
            "a field with a value, or with one comparison",
            "Comparisons begin with $ and are in quotes; with $gte and the like goes a number: "
            '{"day": {"$lt": 20250101}}.',
        ),
        Part(
            "the number that the day is compared with",
            _eight_digits,
            "a number of eight digits",
            "Year, month and day: the 5th of March 2024 is 20240305.",
        ),
        Part(
            "a mail of the 5th of March 2025",
            _lets("mail", 20250305, False),
            "it does not pass",
            "It is no bulletin. Both conditions must hold: $and, not $or.",
        ),
        Part(
            "a bulletin of the 5th of March 2025",
            _lets("bulletin", 20250305, True),
            "it passes",
            'Is the kind written "bulletin", in small letters? From a day on is $gte; $lt and $lte are before it.',
        ),
        Part(
            "a bulletin of the 31st of January 2024",
            _lets("bulletin", 20240131, False),
            "it does not pass",
            "It is too old. Is there a condition on the day, with $gte and the right date?",
        ),
        Part(
            "a bulletin of the 1st of February 2024",
            _lets("bulletin", 20240201, True),
            "it passes",
            "The day itself is included: $gte, not $gt.",
        ),
        Part(
            "a bulletin of the 2nd of February 2024 and one of 2031",
            lambda a: _lets("bulletin", 20240202, True)(a) and _lets("bulletin", 20310101, True)(a),
            "both pass",
            "There is no upper end.",
        ),
        Part(
            "a bulletin without a date",
            _lets("bulletin", None, False),
            "it does not pass",
            "Nobody knows whether it is recent.",
        ),
    ),
)

# --- 4.5 ---


def recall_at(found: Any, right: Any, k: int) -> float:
    return len(set(list(found)[:k]) & set(right)) / len(set(right))


FIVE = Exercise(
    id="4.5",
    goal="The share of the right ids that stand among the first k found, from 0 to 1.",
    reference=recall_at,
    same=_near,
    source="def recall_at(found, right, k):\n    return len(set(found[:k]) & set(right)) / len(set(right))",
    hints=(
        "found[:k] are the first k. How many of the right ids are among them?",
        "set(a) & set(b) holds what is in both.",
        "Divide by how many right ones there are, not by k.",
    ),
    cases=(
        Case((["a", "b", "c"], ["c", "a"], 2), "The example: one of two right ones; found comes first, then right."),
        Case((["a", "b", "c"], ["c", "a"], 3), "Both right ones are among the first three."),
        Case((["a", "b", "c"], ["x"], 3), "The right one was not found: 0.0."),
        Case((["a", "b", "c"], ["b"], 1), "The right one is second, and only the first counts."),
        Case((["a"], ["a", "b", "c"], 10), "One of three right ones; fewer were found than k."),
        Case((["d", "a", "b"], ["a"], 3), "One right one, found: 1.0, though two others stand there too."),
        Case(([], ["a"], 5), "Nothing was found: 0.0. (Found is the first input, right the second.)"),
        Case((["b", "c", "a"], ("a", "b"), 3), "The right ones may come as a tuple."),
        Case((["a", "b", "c"], ["c", "a"], 1), "Two right ones, and only the first found counts: 0.5."),
    ),
    mistakes=(
        Mistake(
            "This is True or False. With several right ones the share of them was asked for, a number.",
            when=lambda got, expected, args: isinstance(got, (bool, np.bool_)),
        ),
        Mistake(
            "It is divided by k or by how many right ones there are, whichever is smaller. Recall always divides by "
            "how many right ones there are.",
            like=lambda found, right, k: len(set(found[:k]) & set(right)) / min(k, len(set(right))),
        ),
        Mistake(
            "Found and right are swapped: first comes what was found, then what is right.",
            like=lambda found, right, k: len(set(list(right)[:k]) & set(found)) / (len(set(found)) or 1),
        ),
        Mistake(
            "It is divided by k. That is precision: which share of the found ones is right. Recall divides by how many "
            "right ones there are.",
            like=lambda found, right, k: len(set(found[:k]) & set(right)) / k,
        ),
        Mistake(
            "It is divided by how many were found. Recall divides by how many right ones there are.",
            like=lambda found, right, k: len(set(found[:k]) & set(right)) / max(1, len(found[:k])),
        ),
        Mistake(
            "All that were found count. Only the first k may: found[:k].",
            like=lambda found, right, k: len(set(found) & set(right)) / len(set(right)),
        ),
        Mistake(
            "One right id is enough for 1.0 here. With several right ones the share of them was asked for.",
            like=lambda found, right, k: float(bool(set(found[:k]) & set(right))),
        ),
        Mistake(
            "This is 1.0 only where all right ones were found. The share of them was asked for.",
            like=lambda found, right, k: float(set(right) <= set(found[:k])),
        ),
        Mistake(
            "This is how many were found. Divide by how many right ones there are.",
            like=lambda found, right, k: len(set(found[:k]) & set(right)),
        ),
        Mistake(
            "Counting goes wrong by one: the first k are found[:k].",
            like=lambda found, right, k: len(set(found[: k - 1]) & set(right)) / len(set(right)),
        ),
        Mistake(
            "This is the reciprocal rank. The share of the right ones among the first k was asked for.",
            like=lambda found, right, k: next((1 / n for n, one in enumerate(found[:k], 1) if one in right), 0.0),
        ),
    ),
)

# --- 4.6 ---


def fuse(rankings: Any, k: int = 60) -> list[str]:
    sums: dict[str, float] = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking, start=1):
            sums[one] = sums.get(one, 0) + 1 / (k + rank)
    return sorted(sums, key=lambda one: -sums[one])


def _fuse_with(add: Any = None, start: int = 1, sign: int = -1) -> Any:
    """``fuse`` with one of the usual mistakes."""
    add = add or (lambda k, rank, size: 1 / (k + rank))

    def wrong(rankings: Any, k: int = 60) -> list[str]:
        sums: dict[str, float] = {}
        for ranking in rankings:
            for rank, one in enumerate(ranking, start=start):
                sums[one] = sums.get(one, 0) + add(k, rank, len(ranking))
        return sorted(sums, key=lambda one: sign * sums[one])

    return wrong


def _fuse_overwritten(rankings: Any, k: int = 60) -> list[str]:
    scores = {one: 1 / (k + rank) for ranking in rankings for rank, one in enumerate(ranking, start=1)}
    return sorted(scores, key=lambda one: -scores[one])


def _by_alphabet(rankings: Any, k: int = 60) -> list[str]:
    sums = _sums(rankings, k)
    return sorted(sums, key=lambda one: (-round(sums[one], 12), one))


def _sums(rankings: Any, k: int = 60) -> dict[str, float]:
    sums: dict[str, float] = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking, start=1):
            sums[one] = sums.get(one, 0) + 1 / (k + rank)
    return sums


def _ties_moved(got: Any, rankings: Any, k: int = 60) -> bool:
    """Whether only ids with the same sum changed places."""
    sums = _sums(rankings, k)
    points = [sums[one] for one in got]
    return set(got) == set(sums) and len(points) == len(sums) and bool(np.all(np.diff(points) <= 1e-9))


def _chained(rankings: Any, k: int = 60) -> list[str]:
    return list(dict.fromkeys(one for ranking in rankings for one in ranking))


def _common_only(rankings: Any, k: int = 60) -> list[str]:
    return [one for one in fuse(rankings, k) if all(one in ranking for ranking in rankings)]


SIX = Exercise(
    id="4.6",
    goal="All ids of the lists, ordered by the sum of 1 / (k + rank), the highest first; ranks begin at 1.",
    reference=fuse,
    source="def fuse(rankings, k=60):\n"
    "    sums = {}\n"
    "    for ranking in rankings:\n"
    "        for rank, one in enumerate(ranking, start=1):\n"
    "            sums[one] = sums.get(one, 0) + 1 / (k + rank)\n"
    "    return sorted(sums, key=lambda one: -sums[one])",
    hints=(
        "Keep the sums in a dictionary: sums = {}. For each list, and each id in it with its rank, add 1 / (k + rank).",
        "enumerate(ranking, start=1) gives rank and id. sums.get(one, 0) is the sum so far, 0 for a new id.",
        "sorted(sums, key=lambda one: -sums[one]) orders the ids by falling sum; equal ones stay as met.",
    ),
    cases=(
        Case(([["a", "b"], ["b", "c"]],), "The example: only b stands in both lists."),
        Case(([["a", "b", "c"], ["c", "b", "a"]],), "a and c: 1st and 3rd place; b: 2nd in both."),
        Case(([["x", "y"], ["y", "x"]],), "The same sum twice: x was met first."),
        Case(([["a", "b", "c"]],), "One list: it stays as it is."),
        Case(([["a"], []],), "An empty list takes part, and changes nothing."),
        Case(([["a", "b"], ["c", "d"]], 60), "Nothing in common: a and c share the first rank, b and d the second."),
        Case(([["p", "q", "r", "s"], ["s", "t", "q"], ["t", "q"]], 60), "Three lists."),
        Case(([["a", "b", "c", "d"], ["d", "e", "f", "b"]], 2), "k = 2: the first place weighs more."),
        Case(([["a", "u", "v", "b"], ["w", "b"]], 1), "k = 1."),
        Case(([["a", "u", "v", "b"], ["w", "x", "y", "b"]], 1), "k = 1: one first place beats two fourth places."),
        Case(([["z", "c"], ["a", "z"], ["c", "a"]], 60), "The same sum three times: z was met first, then c, then a."),
        Case(([[f"m{i}" for i in range(45)], [f"p{i}" for i in range(45)]], 60), "90 ids in all."),
        Case(([[f"n{i}" for i in range(9)] + ["z"], ["z", "n0"]], 60), "z is 10th in one list and first in the other."),
    ),
    mistakes=(
        Mistake(
            "The ranks begin at 0 here. They begin at 1: enumerate(..., start=1).",
            like=_fuse_with(start=0),
        ),
        Mistake(
            "The second input, k, is not used: there stands 60 in its place.",
            like=lambda rankings, k=60: fuse(rankings, 60),
        ),
        Mistake(
            "Of ids with the same sum, the first in the alphabet comes first. The one met first should.",
            like=lambda rankings, k=60: _by_alphabet(rankings, k),
        ),
        Mistake(
            "The list ends too early. All ids were asked for, also where there are many.",
            when=lambda got, expected, args: 10 <= len(got) < len(expected) and list(got) == expected[: len(got)],
        ),
        Mistake(
            "The lowest sum comes first. The highest should.",
            like=_fuse_with(sign=1),
        ),
        Mistake(
            "The lowest sum comes first. The highest should.",
            like=lambda rankings, k=60: fuse(rankings, k)[::-1],
        ),
        Mistake(
            "The ranks are added up. A good rank is a small number; add 1 / (k + rank) instead.",
            like=_fuse_with(add=lambda k, rank, size: k + rank),
        ),
        Mistake(
            "The later list overwrites the earlier one. Add the points up: sums[one] = sums.get(one, 0) + ...",
            like=_fuse_overwritten,
        ),
        Mistake(
            "The lists are only put one behind the other. Give points by rank, add them, and sort.",
            like=_chained,
        ),
        Mistake(
            "Only ids that stand in every list come back. All ids were asked for.",
            like=_common_only,
        ),
        Mistake(
            "The constant k is not used: 1 / (k + rank), not 1 / rank.",
            like=_fuse_with(add=lambda k, rank, size: 1 / rank),
        ),
        Mistake(
            "Only ids with the same sum stand in another order: the one met first comes first. A set forgets which one "
            "that was; a dictionary does not.",
            when=lambda got, expected, args: isinstance(got, (list, tuple)) and _ties_moved(got, *args),
        ),
        Mistake(
            "Each list in which an id stands counts the same. Its rank must count: 1 / (k + rank).",
            like=_fuse_with(add=lambda k, rank, size: 1),
        ),
        Mistake(
            "These are pairs of id and points. Only the ids were asked for.",
            when=lambda got, expected, args: (
                isinstance(got, (list, tuple)) and bool(got) and all(isinstance(one, tuple) for one in got)
            ),
        ),
        Mistake(
            "This is the dictionary with the sums. Return its ids as a list, sorted by the sum.",
            when=lambda got, expected, args: isinstance(got, Mapping),
        ),
    ),
)

# --- 4.7 ---


def vote(labels: Any) -> str:
    return Counter(labels).most_common(1)[0][0]


SEVEN = Exercise(
    id="4.7",
    goal="The label that occurs most often; of several, the one that comes first in the list.",
    reference=vote,
    source="from collections import Counter\n\n\ndef vote(labels):\n    return Counter(labels).most_common(1)[0][0]",
    hints=(
        "labels.count(label) counts one label. You want the label with the highest count.",
        "max(labels, key=labels.count) gives the first label in the list that reaches the highest count.",
        "Counter(labels).most_common(1) gives a list with one pair of label and count; the label is [0][0].",
    ),
    cases=(
        Case((["leak", "noise", "noise"],), "The example: noise occurs twice."),
        Case((["leak", "noise"],), "Each once: the first one is nearer."),
        Case((["a", "b", "b", "a", "c"],), "a and b twice each: a comes first."),
        Case((["z", "b", "b", "z"],), "z and b twice each: z comes first, though b is earlier in the alphabet."),
        Case((["one"],), "A single label."),
        Case((["c", "a", "a", "b", "b", "b"],), "b three times."),
        Case((["leak", "noise", "overheating", "no start", "noise"],), "Only noise occurs twice."),
        Case((["a", "b", "b", "b", "c", "c", "c", "c"],), "c four times, though all of them come last."),
    ),
    mistakes=(
        Mistake(
            "A label that stands nearer counts more here. Each one should count the same: only how often it occurs.",
            like=lambda labels: max(
                labels, key=lambda one: sum(1 / rank for rank, other in enumerate(labels, 1) if other == one)
            ),
        ),
        Mistake("This is the first label. The most frequent one was asked for.", like=lambda labels: labels[0]),
        Mistake(
            "Of labels that occur equally often, the first in the list wins, not the first in the alphabet.",
            like=lambda labels: max(sorted(set(labels)), key=labels.count),
        ),
        Mistake(
            "Of labels that occur equally often, the last one wins here. The first one is nearer.",
            like=lambda labels: max(labels[::-1], key=labels.count),
        ),
        Mistake(
            "Of labels that occur equally often, the one that is first in the list wins, not the last in the alphabet.",
            like=lambda labels: max(sorted(set(labels), reverse=True), key=labels.count),
        ),
        Mistake(
            "This is the label that is last in the alphabet. Count: max(labels, key=labels.count).",
            like=lambda labels: max(labels),
        ),
        Mistake(
            "Of labels that occur equally often, the one that comes first in the list wins. A set has no order.",
            when=lambda got, expected, args: args[0].count(got) == args[0].count(expected),
        ),
        Mistake(
            "This is how often the label occurs. The label itself was asked for.",
            like=lambda labels: Counter(labels).most_common(1)[0][1],
        ),
        Mistake(
            "This is a pair of label and count. Take the label: [0].",
            when=lambda got, expected, args: isinstance(got, tuple),
        ),
        Mistake(
            "This is a list of pairs. The label is at [0][0].",
            when=lambda got, expected, args: isinstance(got, list) and bool(got) and isinstance(got[0], tuple),
        ),
        Mistake(
            "This is a list. One label was asked for, a text.",
            when=lambda got, expected, args: isinstance(got, list),
        ),
    ),
)

EXERCISES = [ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN]

QUIZ = [
    Question(
        "4.1",
        "Which pairs will an embedding model such as MiniLM most likely see as nearly the same?",
        (
            Option("Open the valve. / Do not open the valve.", True, "Same topic, same words: a not moves it little."),
            Option("The pump leaks. / The invoice is wrong.", False, "Two topics."),
            Option("Order BW-3310-S. / Order BW-3310-I.", True, "One letter of a code has hardly any meaning for it."),
        ),
    ),
    Question(
        "4.2",
        "A technician types BF-304 and wants the row of that fault. Which of these help?",
        (
            Option("A search by words, alone or fused with the other.", True, "The code must be equal, not similar."),
            Option("A larger ef_search.", False, "It finds more of the nearest; the nearest are not the right ones."),
            Option(
                'A condition on the text: {"$contains": "BF-304"}.',
                True,
                "That is equality inside the vector database; capitals count.",
            ),
        ),
    ),
    Question(
        "4.3",
        "The same upsert runs twice by mistake. What is in the collection?",
        (
            Option("Every record twice.", False, "Records with the same id take each other's place."),
            Option("The same as after once.", True, "The ids did not change, so nothing is doubled."),
            Option("It depends on the vectors.", False, "Upsert looks at the id."),
        ),
    ),
    Question(
        "4.4",
        "Why would you choose a vector database for a folder of a thousand passages?",
        (
            Option("Exact search would be too slow.", False, "At this size one product of a matrix is quick."),
            Option("It keeps vectors, texts and fields, and filters.", True, "That is what the matrix does not do."),
            Option("A changed page can be replaced by its id.", True, "Only what changed is embedded again."),
            Option("It finds more than exact search.", False, "Its index may miss some; it cannot find more."),
        ),
    ),
    Question(
        "4.5",
        "You change the embedding model. What about the collection?",
        (
            Option(
                "Nothing, vectors are vectors.", False, "Each model has a space of its own, often of another length."
            ),
            Option("Embed all texts again, into a new collection.", True, "Old and new vectors cannot be compared."),
            Option("Only the questions are embedded with the new model.", False, "Then they miss the old vectors."),
        ),
    ),
]
