"""Lesson 05, Retrieval-augmented generation: a row as a sentence, parts with overlap, a prompt within a budget, what
an answer has no ground for, why an answer is wrong, what changed in a folder."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from expert.exercises import Case, Exercise, Mistake, Option, Question

# --- 5.1 ---


def row_text(title: str, row: dict) -> str:
    return f"{title}: " + "; ".join(f"{name} {value}" for name, value in row.items() if value)


_ROW = {"part": "BW-1", "price": "4 EUR", "note": ""}

ONE = Exercise(
    id="5.1",
    goal='One line for a table row: "title: column value; column value", without the empty cells.',
    reference=row_text,
    hints=(
        "row.items() gives each column's name with its value.",
        'Make a list of f"{name} {value}" for those whose value is not empty. An empty text counts as False.',
        '"; ".join(a_list) puts the parts together. Before them stand the title, a colon and a space.',
    ),
    cases=(
        Case(("Price list", _ROW), "The example: the empty note is left out."),
        Case(("People", {"name": "Ada Byron", "van": "3", "phone": "12"}), "Three filled cells."),
        Case(("Sites", {"code": "0"}), 'One cell, and its value is the text "0": that is not empty.'),
        Case(("Tools", {"": "x", "b": ""}), "A column without a name keeps its value."),
        Case(
            ("Stock", {"first": "", "second": "9"}),
            "The first cell is empty: no separator before the second.",
        ),
    ),
    mistakes=(
        Mistake(
            "Empty cells are kept. They cost tokens and say nothing: leave them out.",
            like=lambda t, r: f"{t}: " + "; ".join(f"{n} {v}" for n, v in r.items()),
        ),
        Mistake(
            "The names of the columns are missing. Without them nobody knows what a number is.",
            like=lambda t, r: f"{t}: " + "; ".join(v for v in r.values() if v),
        ),
        Mistake(
            "The title is missing. In a search, the row must say itself which table it is from.",
            like=lambda t, r: "; ".join(f"{n} {v}" for n, v in r.items() if v),
        ),
        Mistake(
            "Between the cells stands a semicolon and a space, not a comma.",
            like=lambda t, r: f"{t}: " + ", ".join(f"{n} {v}" for n, v in r.items() if v),
        ),
        Mistake(
            "Between a column's name and its value stands a space only.",
            like=lambda t, r: f"{t}: " + "; ".join(f"{n}: {v}" for n, v in r.items() if v),
        ),
        Mistake(
            "There is a semicolon at the end. It stands between two cells only.",
            when=lambda got, expected, args: isinstance(got, str) and got.rstrip().endswith(";"),
        ),
    ),
)

# --- 5.2 ---


def parts(words: list, most: int, overlap: int) -> list:
    step = most - overlap
    last = max(len(words) - overlap, 1)
    return [list(words[at : at + most]) for at in range(0, last, step)]


def _same_parts(got: Any, expected: list[list[str]]) -> bool:
    try:
        return [list(part) for part in got] == expected
    except TypeError:
        return False


def _until_last_word(words: list[str], most: int, overlap: int) -> list[list[str]]:
    """The mistake: stop at the first part that ends with the last word, which may stand in the middle, too."""
    made: list[list[str]] = []
    for part in parts(words, most, overlap):
        made.append(part)
        if part[-1] == words[-1]:
            break
    return made


def _with_new_words(words: list[str], most: int, overlap: int) -> list[list[str]]:
    """The mistake: leave out a part whose words all occur in the one before."""
    made: list[list[str]] = []
    for part in parts(words, most, overlap):
        if not made or not set(part) <= set(made[-1]):
            made.append(part)
    return made


_TEN = list("abcdefghij")

TWO = Exercise(
    id="5.2",
    goal="Parts of at most `most` words; each begins with the last `overlap` words of the one before.",
    reference=parts,
    same=_same_parts,
    hints=(
        "A part begins most - overlap words after the one before. range(0, end, step) gives such beginnings.",
        "words[at : at + most] is one part; at the end of the list it is shorter by itself.",
        "Stop when a part would hold nothing but the overlap: the last beginning is below len(words) - overlap.",
        "A list shorter than the overlap is one part: range(0, max(len(words) - overlap, 1), most - overlap).",
    ),
    cases=(
        Case((["a", "b", "c", "d", "e"], 3, 1), "The example: c stands in both parts."),
        Case((_TEN, 4, 0), "No overlap; the last part is shorter."),
        Case((_TEN, 4, 2), "The last part ends with the last word, and no part comes after it."),
        Case((_TEN, 10, 3), "All words fit into one part: one part only."),
        Case((["a", "b"], 5, 3), "Fewer words than the overlap: one part."),
        Case((_TEN, 1, 0), "One word a part."),
        Case((list("abababa"), 3, 1), "Words that come again: three parts, all of them a, b, a."),
        Case((["no"] * 7, 3, 1), "The same word seven times: three parts."),
    ),
    mistakes=(
        Mistake(
            "The parts do not overlap. The next one begins most - overlap words later, not most.",
            like=lambda w, m, o: [w[a : a + m] for a in range(0, len(w), m)],
        ),
        Mistake(
            "The last part holds nothing but words that the part before holds already. End the range at "
            "len(words) - overlap.",
            like=lambda w, m, o: [w[a : a + m] for a in range(0, len(w), m - o)],
        ),
        Mistake(
            "The last words are lost. A part at the end may be shorter.",
            like=lambda w, m, o: [w[a : a + m] for a in range(0, len(w) - m + 1, m - o)],
        ),
        Mistake(
            "Words are compared, and a word may come again. Compare places: at + most against len(words).",
            like=_until_last_word,
        ),
        Mistake(
            "Words are compared, and a word may come again. Compare places: at + most against len(words).",
            like=_with_new_words,
        ),
        Mistake(
            "Each part is longer by the overlap. A part has at most `most` words, the overlap included.",
            like=lambda w, m, o: [w[a : a + m + o] for a in range(0, max(len(w) - o, 1), m)],
        ),
        Mistake(
            "These are texts. Lists of words were asked for.",
            when=lambda got, expected, args: (
                isinstance(got, list) and bool(got) and isinstance(got[0], str) and len(args[0]) > 1
            ),
        ),
    ),
)

# --- 5.3 ---


def fit(passages: list, question: str, count: object, budget: int) -> str:
    prompt = question
    for most in range(1, len(passages) + 1):
        numbered = [f"[{n}] {text}" for n, text in enumerate(passages[:most], start=1)]
        longer = "\n".join(numbered) + "\n\n" + question
        if count(longer) > budget:
            break
        prompt = longer
    return prompt


def count_words(text: str) -> int:
    """A stand-in for a tokenizer: one token a word."""
    return len(text.split())


def count_with_markers(text: str) -> int:
    """As a chat template does it: a fixed number of tokens around the whole prompt."""
    return len(text.split()) + 5


def count_letters(text: str) -> int:
    """Another stand-in: one token a character."""
    return len(text)


_PASSAGES = ["red lids", "blue caps", "a very long text about nuts", "end"]


def _all(passages: Sequence[str], question: str, count: Any, budget: int) -> str:
    return fit(passages, question, count, 10**9)


def _skips(passages: Sequence[str], question: str, count: Any, budget: int) -> str:
    kept: list[str] = []
    for text in passages:
        if count(fit([*kept, text], question, count, 10**9)) <= budget:
            kept.append(text)
    return fit(kept, question, count, 10**9)


def _strict(passages: Sequence[str], question: str, count: Any, budget: int) -> str:
    return fit(passages, question, count, budget - 1)


def _without_question(passages: Sequence[str], question: str, count: Any, budget: int) -> str:
    kept = 0
    while kept < len(passages) and sum(count(f"[1] {text}") for text in passages[: kept + 1]) <= budget:
        kept += 1
    return fit(passages[:kept], question, count, 10**9)


THREE = Exercise(
    id="5.3",
    goal="The prompt with as many passages, from the first on, as the budget of tokens allows.",
    reference=fit,
    hints=(
        "Build the whole prompt for 0, 1, 2 ... passages, with numbers, an empty line and the question; count each.",
        "Keep the last one that count(prompt) <= budget allows, and stop at the first that is too long.",
        "Count the whole prompt, with numbers, line ends and question: all of it is read by the model.",
    ),
    cases=(
        Case(
            (_PASSAGES, "Why?", count_words, 7),
            "Two passages make 7 words with their numbers and the question.",
        ),
        Case((_PASSAGES, "Why?", count_words, 100), "All of them fit."),
        Case((_PASSAGES, "Why?", count_words, 6), "One passage: a second would make 7."),
        Case((_PASSAGES, "Why?", count_words, 1), "Only the question fits: the prompt is the question."),
        Case((_PASSAGES, "Why?", count_letters, 32), "Another way to count: one token a character."),
        Case(([], "Why?", count_words, 5), "No passages: the question."),
        Case((_PASSAGES, "Why?", count_with_markers, 12), "A count with 5 tokens of markers around each prompt."),
        Case(
            (_PASSAGES, "Why so long?", count_words, 11),
            "The third does not fit, so the fourth is not taken either.",
        ),
    ),
    mistakes=(
        Mistake("The budget is not looked at: this prompt holds all passages.", like=_all),
        Mistake(
            "A passage that is too long was skipped and a later one taken. Stop there: what follows was ranked lower.",
            like=_skips,
        ),
        Mistake("A prompt of exactly the budget fits: <=, not <.", like=_strict),
        Mistake(
            "Only the passages are counted. The question and the line ends cost tokens, too.",
            like=_without_question,
        ),
        Mistake(
            "The question is missing. A prompt without it is what a published example sent by mistake, the other way "
            "round: it sent only the question.",
            when=lambda got, expected, args: isinstance(got, str) and not got.endswith(args[1]),
        ),
        Mistake(
            "This is the question alone, although a passage would fit.",
            like=lambda p, q, c, b: q,
        ),
    ),
)

# --- 5.4 ---


def unsupported(answer: str, passage: str) -> list[str]:
    pattern = r"\w+(?:[-.,/]\w+)*"
    said = re.findall(pattern, re.sub(r"\[\d+\]", " ", answer).lower())
    there = set(re.findall(pattern, passage.lower()))
    return [word for word in said if re.search(r"\d", word) and word not in there]


def _same_words(got: Any, expected: list[str]) -> bool:
    if not isinstance(got, (list, tuple, set)):  # a generator would be used up by the first look
        return False
    return {str(word).lower() for word in got} == set(expected)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:[-.,/]\w+)*", text.lower())


def _loose(said: str, passage: str) -> list[str]:
    return [word for word in _words(said) if re.search(r"\d", word) and word not in set(_words(passage))]


_OIL = "Otter 12, Oil: the Otter 12 takes 3.5 litres of oil, part OT-100-S, every 1,200 hours."

FOUR = Exercise(
    id="5.4",
    goal="The words of an answer that hold a digit and do not stand in the passage, as a list; citations do not count.",
    reference=unsupported,
    same=_same_words,
    source="import re\n\n\n"
    'def words_of(text):\n    return re.findall(r"\\w+(?:[-.,/]\\w+)*", text.lower())\n\n\n'
    'def unsupported(answer, passage):\n    said = words_of(re.sub(r"\\[\\d+\\]", " ", answer))\n'
    "    there = set(words_of(passage))\n"
    '    return [word for word in said if re.search(r"\\d", word) and word not in there]',
    hints=(
        'First take the citations out: re.sub(r"\\[\\d+\\]", " ", answer).',
        "words_of(text) gives the words in small letters, codes whole. Do that with the answer and with the passage.",
        'Keep the words of the answer with a digit, re.search(r"\\d", word), that are not among the passage\'s.',
    ),
    cases=(
        Case(("It is 3.5 litres. [1]", _OIL), "The example: 3.5 stands there, and the citation does not count."),
        Case(("It is 35 litres. [1]", _OIL), "35 does not stand there."),
        Case(("It is 5 litres. [2]", _OIL), "5 is no word of the passage: 3.5 is another number."),
        Case(("Part OT-100-I fits. [1]", _OIL), "One letter of the code is wrong."),
        Case(("Part ot-100-s fits the OTTER 12. [1]", _OIL), "Capital letters do not matter."),
        Case(("After 1,200 hours, not 1,500. [1]", _OIL), "A number with a comma is one word."),
        Case(("I do not know.", _OIL), "Nothing with a digit: an empty list."),
        Case(("It is 12. [12]", "There are 4 pumps."), "12 as a value and 12 as a citation are two things."),
        Case(("It takes 3.5 litres. [14]", _OIL), "A citation may have two digits: 14 is no value."),
        Case(("The lamp shows [code 7]. [1]", _OIL), "Only a number alone in brackets is a citation: 7 is said."),
        Case(("As [1] has it, 35 litres.", _OIL), "A citation in the middle: what follows is still answer."),
    ),
    mistakes=(
        Mistake(
            "The number of the citation was taken for a value. Take the citations out first.",
            like=lambda a, p: [w for w in _words(a) if re.search(r"\d", w) and w not in set(_words(p))],
        ),
        Mistake(
            "Citations of one digit only are taken out. [14] is a citation, too: one digit or more.",
            like=lambda a, p: _loose(re.sub(r"\[\d\]", " ", a), p),
        ),
        Mistake(
            "All that stands in brackets is taken out. Only brackets around a number alone are a citation.",
            like=lambda a, p: _loose(re.sub(r"\[[^\]]*\]", " ", a), p),
        ),
        Mistake(
            "The answer is read only up to its first bracket. A citation may stand in the middle.",
            like=lambda a, p: _loose(a.split("[")[0], p),
        ),
        Mistake(
            "A number was found inside another one, such as 5 in 3.5. Compare whole words.",
            like=lambda a, p: [
                w for w in _words(re.sub(r"\[\d+\]", " ", a)) if re.search(r"\d", w) and w not in p.lower()
            ],
        ),
        Mistake(
            "Capital letters make a difference here. Compare in small letters.",
            like=lambda a, p: [
                w
                for w in re.findall(r"\w+(?:[-.,/]\w+)*", re.sub(r"\[\d+\]", " ", a))
                if re.search(r"\d", w) and w not in re.findall(r"\w+(?:[-.,/]\w+)*", p)
            ],
        ),
        Mistake(
            "These are the words that do stand in the passage. The others were asked for.",
            like=lambda a, p: [
                w for w in _words(re.sub(r"\[\d+\]", " ", a)) if re.search(r"\d", w) and w in set(_words(p))
            ],
        ),
        Mistake(
            "Words without a digit are in the list. They may be said in other ways: only those with a digit count.",
            like=lambda a, p: [w for w in _words(re.sub(r"\[\d+\]", " ", a)) if w not in set(_words(p))],
        ),
        Mistake(
            "This is True or False. The list of the words was asked for.",
            when=lambda got, expected, args: isinstance(got, bool),
        ),
    ),
)

# --- 5.5 ---


def why_wrong(right: list, found: list) -> str:
    if not right:
        return "should have declined"
    return "found, misread" if set(right) <= set(found) else "not found"


FIVE = Exercise(
    id="5.5",
    goal='Why a stated answer is wrong: "should have declined", "not found" or "found, misread".',
    reference=why_wrong,
    hints=(
        "Nothing is right where the folder does not say it: if right is empty, the model should have declined.",
        "If each of the right ids stands among those found, the model had all it needed: found, misread.",
        "set(right) <= set(found) is True where all of right are in found. Else: not found.",
    ),
    cases=(
        Case((["a"], ["c", "a", "b"]), "The example: the passage was there."),
        Case((["a"], ["c", "b"]), "The passage was not there."),
        Case(([], ["c", "b"]), "No passage of the folder holds an answer."),
        Case((["a", "d"], ["d", "b"]), "One of two is missing: the question needs both."),
        Case((["a", "d"], ["d", "b", "a"]), "Both of two are there."),
        Case((["a"], []), "Nothing was found at all."),
        Case((["a", "d", "e"], ["e", "b", "a"]), "Three are needed, and the one in the middle is missing."),
        Case((["a", "d", "e"], ["e", "b", "a", "d"]), "Three are needed, and all are there, in another order."),
        Case((("a",), ("a",)), "Tuples in place of lists."),
    ),
    mistakes=(
        Mistake(
            "One right passage is not enough: a question that needs two or three was not found while one is missing.",
            like=lambda r, f: "should have declined" if not r else "found, misread" if set(r) & set(f) else "not found",
        ),
        Mistake(
            "Where right is empty there was nothing to find: should have declined.",
            like=lambda r, f: "found, misread" if set(r) <= set(f) else "not found",
        ),
        Mistake(
            "Where right is empty there was nothing to find: should have declined.",
            like=lambda r, f: "found, misread" if set(r) & set(f) else "not found",
        ),
        Mistake(
            'Where all of right stand in found, it is "found, misread"; where one is missing, it is "not found".',
            like=lambda r, f: (
                "should have declined" if not r else "not found" if set(r) <= set(f) else "found, misread"
            ),
        ),
        Mistake(
            'The words are "should have declined", "not found" and "found, misread", letter by letter.',
            when=lambda got, expected, args: got not in ("should have declined", "not found", "found, misread"),
        ),
    ),
)

# --- 5.6 ---


def changes(before: dict, now: dict) -> dict:
    return {
        "new": sorted(set(now) - set(before)),
        "changed": sorted(file for file in now if file in before and now[file] != before[file]),
        "removed": sorted(set(before) - set(now)),
    }


def _same_changes(got: Any, expected: Mapping[str, list[str]]) -> bool:
    if not isinstance(got, Mapping) or set(got) != set(expected):
        return False
    return all(not isinstance(v, str) and sorted(v) == expected[k] for k, v in got.items())


SIX = Exercise(
    id="5.6",
    goal='What changed in a folder: a dictionary with the lists "new", "changed" and "removed".',
    reference=changes,
    same=_same_changes,
    hints=(
        "New are the files of now that are not in before; removed the other way round. Sets can be subtracted.",
        "Changed are the files that stand in both and have another hash: now[file] != before[file].",
        'Return {"new": [...], "changed": [...], "removed": [...]}; the order in the lists does not matter.',
    ),
    cases=(
        Case(({"a": "1", "b": "2"}, {"b": "3", "c": "1"}), "The example: c is new, b changed, a is gone."),
        Case(({}, {"a": "1", "b": "2"}), "The first time: everything is new."),
        Case(({"a": "1"}, {"a": "1"}), "Nothing changed: three empty lists."),
        Case(({"a": "1", "b": "2"}, {}), "All gone."),
        Case(({"old": "7"}, {"new": "7"}), "A file with another name is a new one, and the old one is gone."),
        Case(({"a": "1", "b": "1"}, {"a": "2", "b": "1"}), "Two files may have the same content."),
    ),
    mistakes=(
        Mistake(
            "Files that are new are listed as changed, too. Changed files stand in both.",
            like=lambda b, n: {**changes(b, n), "changed": sorted(f for f in n if b.get(f) != n[f])},
        ),
        Mistake(
            "Files that stay the same are listed as changed. Compare the hashes.",
            like=lambda b, n: {**changes(b, n), "changed": sorted(set(b) & set(n))},
        ),
        Mistake(
            "New and removed are exchanged.",
            like=lambda b, n: {
                **changes(b, n),
                "new": sorted(set(b) - set(n)),
                "removed": sorted(set(n) - set(b)),
            },
        ),
        Mistake(
            "Contents are compared and not names: a file whose content is known from elsewhere is not seen.",
            like=lambda b, n: {**changes(b, n), "new": sorted(f for f in n if n[f] not in b.values())},
        ),
        Mistake(
            'A dictionary with the keys "new", "changed" and "removed" was asked for.',
            when=lambda got, expected, args: not isinstance(got, Mapping) or set(got) != set(expected),
        ),
    ),
)

EXERCISES = [ONE, TWO, THREE, FOUR, FIVE, SIX]

QUIZ = [
    Question(
        "5.1",
        "An answer is wrong. What do you look at first?",
        (
            Option(
                "Whether the right passage was in the prompt.",
                True,
                "Search and reading fail in different ways.",
            ),
            Option("The size of the model.", False, "If the passage was not there, no model could have read it."),
            Option("The temperature.", False, "Greedy answers do not depend on it, and a search does not either."),
        ),
    ),
    Question(
        "5.2",
        "What does a citation prove?",
        (
            Option("That the answer is right.", False, "A model can misread a passage and cite it."),
            Option("Where to look.", True, "The passage can be opened and compared. That is its worth."),
            Option("That no other document says otherwise.", False, "An older page may say something else."),
        ),
    ),
    Question(
        "5.3",
        "A document changed. What must be embedded again?",
        (
            Option("The whole folder.", False, "The other vectors still belong to their texts."),
            Option(
                "The passages of that document whose text is new.",
                True,
                "Ids made of the text show which ones.",
            ),
            Option("The questions asked so far.", False, "A question is embedded when it is asked."),
        ),
    ),
    Question(
        "5.4",
        "A mail in the folder says: assistant, ignore the passages. Which of these help?",
        (
            Option("Leave mail from outside out of the index.", True, "What is not retrieved cannot speak."),
            Option("Ask only documents that may state facts.", True, "A mail may say what it wants: nobody asks it."),
            Option(
                "Ask the model in the prompt to be careful.",
                False,
                "Nothing here shows that it helps. The mail stands in the same prompt; the model may follow either.",
            ),
        ),
    ),
    Question(
        "5.5",
        "Why do questions over two passages fail more often?",
        (
            Option(
                "The second passage often shares no word with the question.",
                True,
                "It follows from the first one.",
            ),
            Option("The prompt has no room for two.", False, "Two passages take a small part of it."),
            Option("The model must join two facts.", True, "Even with both in the prompt that is another skill."),
        ),
    ),
]
