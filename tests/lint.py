"""Rules that every notebook of the course keeps. Each rule takes a page and yields what is wrong with it.

python tests/lint.py [notebook ...]     print the problems of these notebooks, or of all
"""

from __future__ import annotations

import importlib
import re
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
CODE_LINES = 8
PROSE_WORDS = 75
HINTS = 2
SECTIONS = ("Quiz", "In practice", "On the real Phi-3")
HOME = re.compile(r"(?<![\w.:/-])(?:/(?:home|root|Users|tmp|private|mnt|work)/[\w.-]+|[A-Z]:\\+Users\b)")


@dataclass(frozen=True)
class Page:
    """A notebook, and the exercises that the library knows for its lesson."""

    path: Path
    notebook: nbformat.NotebookNode
    exercises: Mapping[str, object]

    @property
    def code(self) -> list[nbformat.NotebookNode]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @property
    def text(self) -> list[nbformat.NotebookNode]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "markdown"]

    @property
    def number(self) -> str:
        return self.path.name[:2]


def open_page(path: Path) -> Page:
    """Read a notebook and its lesson's exercises."""
    try:
        module = importlib.import_module(f"expert.exercises.lesson_{path.name[:2]}")
        registered = {exercise.id: exercise for exercise in module.EXERCISES}
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("expert.exercises.lesson_"):
            raise
        registered = {}
    return Page(path, nbformat.read(path, as_version=4), registered)


def place(page: Page, cell: nbformat.NotebookNode) -> str:
    """Name a cell by its number among the code or text cells, counted from 1, and its first words."""
    same = [other for other in page.notebook.cells if other.cell_type == cell.cell_type]
    number = next(i for i, other in enumerate(same, 1) if other is cell)
    first = next((line.strip() for line in cell.source.splitlines() if line.strip()), "")
    return f"{'code' if cell.cell_type == 'code' else 'text'} cell {number} (`{first[:60]}`)"


def plain(text: str) -> str:
    """Markdown without its code blocks."""
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)


def headings(page: Page) -> list[tuple[int, str]]:
    """Each heading's level and words, in order."""
    found = [re.findall(r"^(#{1,6})\s+(.+?)\s*#*\s*$", plain(cell.source), re.MULTILINE) for cell in page.text]
    return [(len(marks), words) for cell in found for marks, words in cell]


# ---------------------------------------------------------------------------------------------------------------------
# Text


def one_title(page: Page) -> Iterator[str]:
    titles = [words for level, words in headings(page) if level == 1]
    if len(titles) != 1:
        yield f"has {len(titles)} first-level headings, expected one: {titles}"
    if not page.notebook.cells or not page.notebook.cells[0].source.startswith("# "):
        yield "does not open with its title"


def heading_order(page: Page) -> Iterator[str]:
    before = 0
    for level, words in headings(page):
        if level > before + 1:
            yield f"skips a heading level before `{words}` (from {before} to {level})"
        before = level


def opening(page: Page) -> Iterator[str]:
    first_code = next((i for i, cell in enumerate(page.notebook.cells) if cell.cell_type == "code"), 0)
    text = "\n".join(cell.source for cell in page.notebook.cells[:first_code])
    for word in ("Do", "Learn", "Need"):
        if not re.search(rf"^[-*] \*\*{word}(:\*\*|\*\*:) \S", text, re.MULTILINE):
            yield f"does not say before its first code what you {word.lower()}: expected a line `- **{word}:** ...`"
    if not re.search(r"^[-*] \*\*Need.*\bminutes?\b", text, re.MULTILINE):
        yield "does not say in its line **Need** how many minutes it takes"


def sections(page: Page) -> Iterator[str]:
    words = [words for level, words in headings(page) if level > 1]
    for name in SECTIONS:
        if not any(heading.startswith(name) for heading in words):
            yield f"has no section `{name}`"
    if not any(re.search(r"\bquiz\(", cell.source) for cell in page.code):
        yield "asks no quiz question: expected a code cell that calls quiz(...)"


def short_prose(page: Page) -> Iterator[str]:
    count, start = 0, None
    for cell in page.notebook.cells:
        if cell.cell_type == "code":
            count = 0
            continue
        for line in plain(cell.source).splitlines():
            if line.startswith("#"):
                count = 0
            elif not re.match(r"\s*([-*|>]|\d+\.|!\[|\[!\[|<)\s*", line):
                start = cell if count == 0 else start
                before = count
                count += len(re.sub(r"\]\([^)]*\)", "]", line).split())
                if before <= PROSE_WORDS < count:
                    yield f"{place(page, start)}: more than {PROSE_WORDS} words in a row without code or a heading"


def links(page: Page) -> Iterator[str]:
    for cell in page.text:
        for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", plain(cell.source)):
            local = target.split("#")[0]
            if local and not re.match(r"[a-z]+:", local) and not (page.path.parent / local).exists():
                yield f"{place(page, cell)}: points to `{target}`, which is not there"


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


def alternatives(page: Page) -> Iterator[str]:
    for cell in page.text:
        for words in re.findall(r"!\[([^\]]*)\]", plain(cell.source)):
            if len(words.split()) < 3:
                yield f"{place(page, cell)}: a picture's text alternative has less than three words: {words!r}"
        yield from (f"{place(page, cell)}: {problem}" for problem in tags_without_alternative(cell.source))
    for cell in page.code:
        for output in cell.outputs:
            data = output.get("data", {})
            page_text = data.get("text/html", "")
            yield from (f"{place(page, cell)}: {problem}" for problem in tags_without_alternative(page_text))
            if any(kind.startswith("image/") for kind in data) and "<img" not in page_text:
                yield f"{place(page, cell)}: a picture without a text alternative; end the cell with show(fig, alt)"


def tags_without_alternative(text: str) -> Iterator[str]:
    for tag in re.findall(r"<img\b[^>]*>", text):
        words = re.search(r'\balt="([^"]*)"', tag)
        if not words or len(words[1].split()) < 3:
            yield "an <img> whose alt has less than three words"


def pictures(page: Page) -> Iterator[str]:
    drawn = [output.get("data", {}).get("text/html", "") for cell in page.code for output in cell.outputs]
    written = [plain(cell.source) for cell in page.text]
    count = sum(text.count("<img") for text in drawn + written)
    count += sum(len(re.findall(r"(?<!\[)!\[", text)) for text in written)
    if count < 3:
        yield f"has {count} pictures, expected at least three"


# ---------------------------------------------------------------------------------------------------------------------
# Exercises


def exercises(page: Page) -> Iterator[str]:
    source = "\n".join(cell.source for cell in page.notebook.cells)
    checked = list(dict.fromkeys(re.findall(r"""\bcheck\(\s*["']([\d.]+)["']""", source)))
    least = 1 if page.number == "00" else 4
    if len(checked) < least:
        yield f"has {len(checked)} exercises, expected at least {least}"
    for name in checked:
        if name.split(".")[0] != str(int(page.number)):
            yield f"exercise {name} is not numbered after its lesson"
        for call in ("hint", "solution"):
            if not re.search(rf"""\b{call}\(\s*["']{re.escape(name)}["']""", source):
                yield f'exercise {name} does not mention {call}("{name}")'
        if name not in page.exercises:
            yield f"exercise {name} is not registered in expert.exercises.lesson_{page.number}.EXERCISES"
        elif len(page.exercises[name].hints) < HINTS:
            yield f"exercise {name} has less than {HINTS} hints"
    for name in page.exercises:
        if name not in checked:
            yield f"exercise {name} is registered, but the lesson does not check it"


def short_code(page: Page) -> Iterator[str]:
    sizes = []
    for cell in page.code:
        lines = [line.strip() for line in cell.source.splitlines()]
        size = sum(bool(line) and not line.startswith("#") for line in lines)
        if size and "google.colab" not in cell.source:
            sizes.append(size)
    if sizes and statistics.median(sizes) > CODE_LINES:
        yield f"its code cells have a median of {statistics.median(sizes):g} lines, expected at most {CODE_LINES}"


# ---------------------------------------------------------------------------------------------------------------------
# The file


def tidy_file(page: Page) -> Iterator[str]:
    notebook = page.notebook
    if (notebook.nbformat, notebook.nbformat_minor) < (4, 5):
        yield f"is in format {notebook.nbformat}.{notebook.nbformat_minor}, expected 4.5 or newer"
    if "widgets" in notebook.metadata:
        yield "holds widget state, which breaks its display on GitHub"
    if not any('PROFILE = "tiny"' in cell.source for cell in page.code[:1]):
        yield "does not begin its code with the setup cell"
    names = [cell.get("id", "") for cell in notebook.cells]
    for name, count in Counter(names).items():
        if count > 1 or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
            yield f"has a cell id that is missing, malformed or used twice: {name!r}"
    counts = [cell.execution_count for cell in page.code]
    if counts != list(range(1, len(counts) + 1)):
        yield f"its execution counts are not 1, 2, 3 ...: {counts}"
    for cell in page.code:
        tags = cell.metadata.get("tags", [])
        if ("varies" in tags) == ("nbval-check-output" in tags):
            yield f"{place(page, cell)}: expected one of the tags nbval-check-output and varies, got {tags}"
        if "raises-exception" not in tags and any(output.output_type == "error" for output in cell.outputs):
            yield f"{place(page, cell)}: holds an error"


def portable(page: Page) -> Iterator[str]:
    for cell in page.notebook.cells:
        texts = [cell.source]
        for output in cell.get("outputs", []):
            texts += [output.get("text", ""), *map(str, output.get("data", {}).values())]
        found = HOME.search(re.sub(r"base64,[A-Za-z0-9+/=]+", "", "\n".join(texts)))
        if found:
            yield f"{place(page, cell)}: holds a path of one machine: {found.group()}"
        if cell.cell_type == "code" and re.search(r"trust_remote_code\s*=\s*True", cell.source):
            yield f"{place(page, cell)}: uses trust_remote_code"


def no_answers(page: Page) -> Iterator[str]:
    for cell in page.code:
        if page.path.parent.name == "lessons" and "SOLUTION" in cell.source:
            yield f"{place(page, cell)}: shows an answer or a mark of one"


RULES: tuple[Callable[[Page], Iterator[str]], ...] = (
    one_title,
    heading_order,
    opening,
    sections,
    short_prose,
    links,
    alternatives,
    pictures,
    exercises,
    short_code,
    tidy_file,
    portable,
    no_answers,
)


def problems(page: Page) -> list[str]:
    """Everything that is wrong with a page, each with the notebook's name."""
    name = f"{page.path.parent.name}/{page.path.name}"
    return [f"{name} {problem}" for rule in RULES for problem in rule(page)]


def compared_share(paths: list[Path]) -> tuple[int, int]:
    """How many cells with text output have it compared by nbval, and how many there are."""
    compared = total = 0
    for path in paths:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and any(has_text(output) for output in cell.outputs):
                total += 1
                compared += "nbval-check-output" in cell.metadata.get("tags", [])
    return compared, total


def has_text(output: nbformat.NotebookNode) -> bool:
    return output.output_type == "stream" or "text/plain" in output.get("data", {})


def all_notebooks(root: Path = ROOT) -> list[Path]:
    """The notebooks of the lessons and of the solutions."""
    return [path for folder in ("lessons", "solutions") for path in sorted((root / folder).glob("*.ipynb"))]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "lessons"))
    found = [
        line for path in map(Path, sys.argv[1:] or all_notebooks()) for line in problems(open_page(path.resolve()))
    ]
    print("\n".join(found) or "nothing to mend")
    sys.exit(bool(found))
