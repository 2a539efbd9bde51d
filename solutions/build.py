"""Make the notebooks of the course from their sources.

One source, `solutions/NN_topic.py` (jupytext percent format), gives two executed notebooks: `solutions/NN_topic.ipynb`
with the answers, and `lessons/NN_topic.ipynb` with `...` in their place.

    python solutions/build.py            make every notebook
    python solutions/build.py 00 03      make these lessons only
    python solutions/build.py --check    execute nothing; fail and name each notebook that is not up to date

What a source may hold besides text and code:

    {{badge}}                 in a text cell: the "Open in Colab" badge
    # {{setup}}               alone in a code cell: the setup cell
    ### BEGIN SOLUTION        the lines between the two marks are the answer
    ### END SOLUTION
    # %% tags=["varies"]      the output of this cell may differ from run to run: the tests do not compare it,
                              but they do compare the output of every other cell
    # %% tags=["raises-exception"]   this cell is meant to fail
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

try:
    import jupytext
    import nbformat
except ImportError as error:
    sys.exit(f"build.py needs {error.name}: run it with the Python that has the packages of requirements.txt.")

ROOT = Path(__file__).resolve().parent.parent

# Notebooks run under these variables here and in the tests, so that both see the same output. Progress bars are off:
# they are written to stderr, differ from run to run, and a stored notebook must hold neither.
ENVIRONMENT = {
    "ANONYMIZED_TELEMETRY": "False",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONHASHSEED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
}
CELL_SECONDS = 600
KINDS = ("solutions", "lessons")
TAGS = {"nbval-check-output", "varies", "raises-exception"}
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"

SETUP = """\
PROFILE = "tiny"  # @param ["tiny", "phi3"]

try:
    import google.colab  # noqa: F401  (exists on Colab only: anywhere else this cell ends here)
except ImportError:
    pass
else:
    import os
    import subprocess
    import sys

    if not os.path.isdir("expert"):
        if not os.path.isdir("course"):
            course = "-b {ref} {repository} course"
            subprocess.run(f"git clone -q --depth 1 {{course}}".split(), check=True)
        os.chdir("course/lessons")
        sys.path.insert(0, os.getcwd())
    from expert.colab import install_missing

    install_missing()
"""
BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({address})"


class BuildError(Exception):
    """A notebook could not be made; the message says which, where and why."""


@dataclass(frozen=True)
class Settings:
    """Where the course is published."""

    repository: str
    ref: str


@dataclass(frozen=True)
class Cell:
    """A cell of a source, with the line of the source file that each of its own lines comes from."""

    kind: str
    source: str
    tags: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
    name: str = field(default="", compare=False)


# ---------------------------------------------------------------------------------------------------------------------
# Reading a source


def read_settings(path: Path) -> Settings:
    """Read course.toml."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BuildError(f"{path.name}: expected a TOML file with `repository` and `ref`: {error}") from None
    repository, ref = values.get("repository"), values.get("ref")
    if not isinstance(repository, str) or not re.fullmatch(r"(https|file)://\S+[^/\s]", repository):
        raise BuildError(f"{path.name}: repository must be an https:// address with no final slash, not {repository!r}")
    if not isinstance(ref, str) or not re.fullmatch(r"[\w./-]+", ref):
        raise BuildError(f"{path.name}: ref must be the name of a branch or a tag, not {ref!r}")
    return Settings(repository, ref)


def read_source(path: Path) -> list[Cell]:
    """Read a percent-format source into cells that know their lines."""
    text = path.read_text(encoding="utf-8")
    try:
        notebook = jupytext.reads(text, fmt="py:percent")
    except Exception as error:  # jupytext has no error class of its own
        raise BuildError(f"{path.name}: not in jupytext percent format: {error}") from None
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines, 1) if re.match(r"# %%( |$)", line)]
    if len(starts) != len(notebook.cells):
        raise BuildError(f"{path.name}: {len(notebook.cells)} cells but {len(starts)} lines that open one with `# %%`")
    cells = []
    for start, cell in zip(starts, notebook.cells, strict=True):
        first = start + 1
        while first <= len(lines) and not lines[first - 1].strip():
            first += 1
        source = cell.source.strip("\n")
        numbers = tuple(range(first, first + len(source.splitlines())))
        tags = cell.metadata.get("tags", [])
        where = f"{path.name} line {start}"
        if set(cell.metadata) - {"tags", "lines_to_next_cell"} or not isinstance(tags, list) or set(tags) - TAGS:
            raise BuildError(f"{where}: a cell takes tags, from {sorted(TAGS)}, not {dict(cell.metadata)}")
        if {"varies", "nbval-check-output"} <= set(tags):
            raise BuildError(f"{where}: an output that varies cannot be compared: leave out one of the two tags")
        if cell.cell_type not in ("code", "markdown"):
            raise BuildError(f"{where}: a cell is code or [markdown], not [{cell.cell_type}]")
        cells.append(Cell(cell.cell_type, source, tuple(tags), numbers))
    check_marks(cells, path.name)
    return name_cells(cells, path.stem[:2])


def check_marks(cells: list[Cell], file_name: str) -> None:
    """Refuse marks that are misspelt, unbalanced or in the wrong kind of cell."""
    for cell in cells:
        is_open = False
        for number, line in zip(cell.lines, cell.source.splitlines(), strict=True):
            where = f"{file_name} line {number}"
            marker = re.fullmatch(r"(#\s*)?\{\{\s*\w+\s*\}\}", line.strip())
            right = "{{badge}}" if cell.kind == "markdown" else "# {{setup}}"
            if (marker or re.search(r"\{\{(badge|setup)\}\}", line)) and line.strip() != right:
                raise BuildError(f"{where}: a {cell.kind} cell takes `{right}` alone on a line, not `{line.strip()}`")
            if re.search(r"#\s*NBVAL_", line):
                raise BuildError(f"{where}: use a tag on the cell, not an NBVAL comment")
            if not re.search(r"#\s*(BEGIN|END)\s*_?SOLUTION", line, re.IGNORECASE):
                continue
            if line.strip() not in (BEGIN, END) or cell.kind != "code":
                raise BuildError(
                    f"{where}: expected `{BEGIN}` or `{END}` alone on a line of code, not `{line.strip()}`"
                )
            if (line.strip() == END) != is_open:
                raise BuildError(f"{where}: `{line.strip()}` without its partner")
            is_open = not is_open
        if is_open:
            raise BuildError(f"{file_name} line {cell.lines[-1]}: `{BEGIN}` has no `{END}` in its cell")


def name_cells(cells: list[Cell], lesson: str) -> list[Cell]:
    """Give each cell an id made from its first words, so that an id stays when cells around it come and go."""
    seen: dict[str, int] = {}
    named = []
    for cell in cells:
        lines = [line for line in cell.source.splitlines() if re.search(r"[A-Za-z0-9]", line) and line.strip() != BEGIN]
        own = [line for line in lines if not re.match(r"(import|from) ", line)]
        first = (own or lines or [cell.kind])[0]
        slug = re.sub(r"[^a-z0-9]+", "-", first.lower()).strip("-")[:40].strip("-")
        name = f"{lesson}-{slug}"
        seen[name] = seen.get(name, 0) + 1
        named.append(replace(cell, name=name if seen[name] == 1 else f"{name}-{seen[name]}"))
    return named


# ---------------------------------------------------------------------------------------------------------------------
# From cells to a notebook


def expand(cell: Cell, settings: Settings, kind: str, stem: str) -> Cell:
    """Put the badge or the setup code where the marker stands."""
    if cell.source.strip() == "# {{setup}}":
        source = SETUP.format(repository=settings.repository, ref=settings.ref).strip()
        return replace(cell, source=source, lines=(cell.lines[0],) * len(source.splitlines()))
    if "{{badge}}" in cell.source:
        place = settings.repository.replace("https://github.com/", "https://colab.research.google.com/github/")
        address = f"{place}/blob/{settings.ref}/{kind}/{stem}.ipynb"
        return replace(cell, source=cell.source.replace("{{badge}}", BADGE.format(address=address)))
    return cell


def blank(cell: Cell, later: str = "", file_name: str = "source") -> Cell:
    """Replace each answer by `...`; `later` is the code of the cells that follow.

    Inside a function or a bracket the answer becomes `...`, indented like its marks. At the left margin each name that
    is used further on becomes `name = ...`, so that the cell still runs.
    """
    lines = cell.source.splitlines()
    kept: list[str] = []
    numbers: list[int] = []
    at = 0
    while at < len(lines):
        if lines[at].strip() != BEGIN:
            kept.append(lines[at])
            numbers.append(cell.lines[at])
            at += 1
            continue
        end = next(i for i in range(at, len(lines)) if lines[i].strip() == END)
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        stub = [f"{indent}..."]
        if not indent:
            rest = "\n".join(lines[end + 1 :]) + "\n" + later
            stub = stubs("\n".join(lines[at + 1 : end]), rest, f"{file_name} line {cell.lines[at]}")
        kept.extend(stub)
        numbers.extend([cell.lines[at]] * len(stub))
        at = end + 1
    return replace(cell, source="\n".join(kept), lines=tuple(numbers))


def stubs(answer: str, rest: str, where: str) -> list[str]:
    """The lines that stand for an answer at the left margin: `name = ...` for each name that `rest` uses."""
    try:
        body = ast.parse(textwrap.dedent(answer)).body
    except SyntaxError as error:
        raise BuildError(f"{where}: the answer at the left margin is not complete Python: {error.msg}") from None
    names: list[str] = []
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            raise BuildError(f"{where}: put the marks inside `{statement.name}`, so that its first line stays visible")
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for target in targets:
            names += [node.id for node in ast.walk(target) if isinstance(node, ast.Name)] if target else []
    used = [name for name in dict.fromkeys(names) if re.search(rf"\b{re.escape(name)}\b", rest)]
    return [f"{name} = ..." for name in used] or ["..."]


def prepare(path: Path, kind: str, settings: Settings) -> tuple[nbformat.NotebookNode, list[Cell]]:
    """The notebook of one kind, not yet executed, and the cells it was made from."""
    cells = read_source(path)
    if kind == "lessons":
        code = [cell.source if cell.kind == "code" else "" for cell in cells]
        cells = [
            blank(cell, "\n".join(code[at + 1 :]), path.name) if cell.kind == "code" else cell
            for at, cell in enumerate(cells)
        ]
    cells = [expand(cell, settings, kind, path.stem) for cell in cells]
    nodes = []
    for cell in cells:
        if cell.kind == "markdown":
            nodes.append(nbformat.v4.new_markdown_cell(cell.source, id=cell.name))
            continue
        tags = sorted(set(cell.tags) | (set() if "varies" in cell.tags else {"nbval-check-output"}))
        nodes.append(nbformat.v4.new_code_cell(cell.source, id=cell.name, metadata={"tags": tags}))
    notebook = nbformat.v4.new_notebook(cells=nodes, metadata=notebook_metadata(path))
    notebook.nbformat_minor = 5
    return notebook, cells


def notebook_metadata(path: Path) -> dict:
    """Metadata that is the same on every machine, with a mark of the settings the notebook was made under."""
    settings = hashlib.sha256(json.dumps(ENVIRONMENT, sort_keys=True).encode()).hexdigest()[:16]
    return {
        "course": {"source": f"solutions/{path.name}", "settings": settings},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
    }


def digest(notebook: nbformat.NotebookNode) -> str:
    """A checksum of everything in the notebook but the checksum itself."""
    content = json.loads(nbformat.writes(notebook))
    content["metadata"].get("course", {}).pop("digest", None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


# ---------------------------------------------------------------------------------------------------------------------
# Executing


@contextmanager
def private_environment(lessons: Path) -> Iterator[dict[str, str]]:
    """The variables of a kernel that has a ledger and an IPython folder of its own, both thrown away afterwards."""
    with tempfile.TemporaryDirectory(prefix="expert-", ignore_cleanup_errors=True) as folder:
        path = os.pathsep.join([str(lessons), *filter(None, [os.environ.get("PYTHONPATH")])])
        ledger, profile = os.path.join(folder, "ledger.json"), os.path.join(folder, "ipython")
        yield {**os.environ, **ENVIRONMENT, "PYTHONPATH": path, "EXPERT_LEDGER": ledger, "IPYTHONDIR": profile}


def execute(notebook: nbformat.NotebookNode, cells: list[Cell], path: Path, kind: str) -> None:
    """Run a notebook in a fresh kernel, in the folder it will lie in, and keep its outputs."""
    import matplotlib.font_manager  # noqa: F401  (a first import writes a font cache and says so; not in a notebook)
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager

    root = path.parent.parent
    (root / kind).mkdir(exist_ok=True)
    current = 0

    def note(cell: nbformat.NotebookNode, cell_index: int) -> None:
        nonlocal current
        current = cell_index

    # This Python's own kernel, whatever kernels a user has registered under the name python3
    manager = AsyncKernelManager(kernel_name=CURRENT_ENV_KERNEL_NAME, kernel_spec_manager=NbvalKernelspecManager())
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=CELL_SECONDS,
        startup_timeout=180,
        record_timing=False,
        store_widget_state=False,
        on_cell_start=note,
        resources={"metadata": {"path": str(root / kind)}},
    )
    with private_environment(root / "lessons") as environment:
        try:
            client.execute(env=environment, stderr=subprocess.DEVNULL, cleanup_kc=True)
        except CellExecutionError as error:
            index, line = failing_line(notebook, current, error)
            place = describe(notebook, cells, index, line, path, kind)
            raise BuildError(f"{place}: {error.ename}: {error.evalue}") from None
        except (CellTimeoutError, DeadKernelError) as error:
            died = isinstance(error, DeadKernelError)
            reason = "the kernel died (out of memory?)" if died else f"ran longer than {CELL_SECONDS:g} s"
            raise BuildError(f"{describe(notebook, cells, current, 1, path, kind)}: {reason}") from None
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.metadata.pop("execution", None)
            problem = tidy(cell, root)
            if problem:
                raise BuildError(f"{describe(notebook, cells, index, 1, path, kind)}: {problem}")
    notebook.metadata.clear()
    notebook.metadata.update(notebook_metadata(path))


def failing_line(notebook: nbformat.NotebookNode, current: int, error: Exception) -> tuple[int, int]:
    """The cell and line an error comes from: the innermost frame that lies in the notebook."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(getattr(error, "traceback", "")))
    frames = re.findall(r"Cell In\s?\[(\d+)\], line (\d+)", text)
    if not frames:
        return current, 1
    count, line = map(int, frames[-1])
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]
    return (code[count - 1] if count <= len(code) else current), line


def describe(notebook: nbformat.NotebookNode, cells: list[Cell], index: int, line: int, path: Path, kind: str) -> str:
    """Name a place: notebook, code cell, the line it fails at, and that line in the source."""
    number = sum(cell.cell_type == "code" for cell in notebook.cells[: index + 1])
    lines = cells[index].source.splitlines() or [""]
    line = min(line, len(lines))
    first = next((text.strip() for text in lines if text.strip()), "")
    source_line = cells[index].lines[line - 1] if cells[index].lines else 1
    at = f", at `{lines[line - 1].strip()}`" if line > 1 else ""
    return f"{kind}/{path.stem}.ipynb, code cell {number} (`{first}`){at}, solutions/{path.name} line {source_line}"


def tidy(cell: nbformat.NotebookNode, root: Path) -> str | None:
    """Make a cell's outputs alike on every machine; say what is wrong where that cannot be done."""
    merged: list[nbformat.NotebookNode] = []
    for output in cell.outputs:
        output.pop("transient", None)
        if output.output_type == "error":
            output.traceback = [f"{output.ename}: {output.evalue}"]
        if output.output_type == "stream" and output.name == "stderr":
            return f"writes to stderr, which a notebook must not store: {output.text.strip()[:200]!r}"
        if any("widget" in mime for mime in output.get("data", {})):
            return "shows a widget, whose state a notebook must not store (a bar: use `from tqdm import tqdm`)"
        if output.output_type == "stream" and merged and merged[-1].output_type == "stream":
            merged[-1].text += output.text
        else:
            merged.append(output)
    cell.outputs = merged
    text = json.dumps([strip_pictures(output) for output in merged], ensure_ascii=False)
    for place in {str(root), str(Path.home()), tempfile.gettempdir(), sys.prefix} - {"/"}:
        if re.search(re.escape(json.dumps(place)[1:-1]) + r"(?![\w-])", text):
            return f"its output holds a path of this machine, {place}"
    address = re.search(r"\bat 0x[0-9a-f]{6,}", text)
    if address and "varies" not in cell.metadata.tags:
        return f"its output holds a memory address ({address.group()}), which differs from run to run"
    return None


def strip_pictures(output: nbformat.NotebookNode) -> dict:
    """An output without its pictures' bytes, which may spell anything."""
    return json.loads(re.sub(r"[A-Za-z0-9+/=]{200,}", "", json.dumps(output)))


# ---------------------------------------------------------------------------------------------------------------------
# Writing and checking


def write_whole(path: Path, notebook: nbformat.NotebookNode) -> None:
    """Write a notebook whole or not at all."""
    notebook.metadata["course"]["digest"] = digest(notebook)
    nbformat.validate(notebook)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(nbformat.writes(notebook) + "\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def build(path: Path, settings: Settings) -> None:
    """Make both notebooks of one source; neither is written unless both ran."""
    made = []
    for kind in KINDS:
        started = time.perf_counter()
        notebook, cells = prepare(path, kind, settings)
        execute(notebook, cells, path, kind)
        made.append((path.parent.parent / kind / f"{path.stem}.ipynb", notebook))
        print(f"{kind}/{path.stem}.ipynb: ran in {time.perf_counter() - started:.1f} s", flush=True)
    for target, notebook in made:
        write_whole(target, notebook)


def stale(path: Path, kind: str, settings: Settings) -> str | None:
    """Why the notebook of one kind does not match its source, or None where it does."""
    target = path.parent.parent / kind / f"{path.stem}.ipynb"
    if not target.exists():
        return "is missing"
    try:
        found = nbformat.reads(target.read_text(encoding="utf-8"), as_version=4)
    except Exception as error:  # whatever is wrong with the file, it has to be made again
        return f"cannot be read ({type(error).__name__})"
    course = found.metadata.get("course", {})
    if course.get("digest") != digest(found):
        return "was changed after it was made (a notebook is not edited by hand: change its source)"
    expected, _ = prepare(path, kind, settings)
    if course.get("settings") != expected.metadata["course"]["settings"]:
        return "was made under other settings of build.py"
    if [outline(cell) for cell in found.cells] != [outline(cell) for cell in expected.cells]:
        return "is older than its source"
    return None


def outline(cell: nbformat.NotebookNode) -> tuple:
    """What a cell has before it is executed."""
    return cell.id, cell.cell_type, cell.source, tuple(cell.metadata.get("tags", []))


def check(paths: list[Path], settings: Settings) -> list[str]:
    """Name each notebook that has to be made again, and each that has no source."""
    problems = []
    for path in paths:
        for kind in KINDS:
            reason = stale(path, kind, settings)
            if reason:
                problems.append(f"{kind}/{path.stem}.ipynb {reason}")
    return problems


def orphans(root: Path) -> list[str]:
    """Notebooks whose source is gone."""
    found = [path for kind in KINDS for path in sorted((root / kind).glob("*.ipynb"))]
    alone = [path for path in found if not (root / "solutions" / f"{path.stem}.py").exists()]
    return [f"{path.parent.name}/{path.name} has no source solutions/{path.stem}.py" for path in alone]


def find_sources(root: Path, wanted: list[str]) -> list[Path]:
    """The sources of the wanted lessons (by number), or of all."""
    sources = sorted((root / "solutions").glob("[0-9][0-9]_*.py"))
    numbers = [path.name[:2] for path in sources]
    twice = {number for number in numbers if numbers.count(number) > 1}
    if twice:
        raise BuildError(f"two sources have the same number: {', '.join(sorted(twice))}")
    for number in wanted:
        if number not in numbers:
            raise BuildError(f"there is no lesson {number!r}; there are: {', '.join(numbers) or 'none'}")
    return [path for path in sources if not wanted or path.name[:2] in wanted]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lesson", nargs="*", help="the number of a lesson, such as 00; without one, all lessons")
    parser.add_argument("--check", action="store_true", help="execute nothing; fail where a notebook is not up to date")
    options = parser.parse_args(arguments)
    try:
        settings = read_settings(root / "solutions" / "course.toml")
        sources = find_sources(root, options.lesson)
        if options.check:
            problems = check(sources, settings) + (orphans(root) if not options.lesson else [])
            for problem in problems:
                print(f"not up to date: {problem}", file=sys.stderr)
            if not problems:
                print(f"{len(sources) * len(KINDS)} notebooks are up to date")
            return 1 if problems else 0
        for path in sources:
            build(path, settings)
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
