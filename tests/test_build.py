"""build.py: from one source to two executed notebooks, and to an error that says where."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import course_build as build
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent

LESSON = '''\
# %% [markdown]
# # A small lesson
# {{badge}}
#
# Some text.

# %%
# {{setup}}

# %%
import os

print(os.path.basename(os.getcwd()), os.environ["HF_HUB_OFFLINE"], os.path.isfile(os.environ["EXPERT_LEDGER"]))

# %%
### BEGIN SOLUTION
half = 3
six = half * 2
### END SOLUTION
print(six)


# %%
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    y = x + x
    return y
    ### END SOLUTION


print(double(2))

# %% tags=["varies"]
import time

from tqdm import tqdm

for _ in tqdm(range(3)):
    time.sleep(0.01)
print(f"{time.time():.6f}")
'''


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course of one small lesson."""
    (tmp_path / "solutions").mkdir()
    (tmp_path / "lessons").mkdir()
    (tmp_path / "solutions" / "course.toml").write_text(
        'repository = "https://github.com/someone/a-course"\nref = "v1"\n', encoding="utf-8"
    )
    write(tmp_path, LESSON)
    return tmp_path


def write(root: Path, source: str, name: str = "07_small") -> Path:
    path = root / "solutions" / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    return path


def code(*cells: str) -> str:
    """A source of a title and these code cells."""
    return "# %% [markdown]\n# # Title\n\n" + "\n".join(f"# %%\n{cell}\n" for cell in cells)


def read(root: Path, kind: str, name: str = "07_small") -> nbformat.NotebookNode:
    return nbformat.read(root / kind / f"{name}.ipynb", as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def run(root: Path, capsys: pytest.CaptureFixture, *arguments: str) -> tuple[int, str]:
    status = build.main(list(arguments), root)
    captured = capsys.readouterr()
    return status, captured.out + captured.err


# ---------------------------------------------------------------------------------------------------------------------
# What is made


def test_both_notebooks_are_made_and_run(course: Path, capsys: pytest.CaptureFixture) -> None:
    status, said = run(course, capsys)
    assert status == 0, said
    solution, lesson = code_cells(read(course, "solutions")), code_cells(read(course, "lessons"))
    assert [cell.execution_count for cell in solution] == [1, 2, 3, 4, 5]
    assert printed(solution[1]) == "solutions 1 False\n"
    assert printed(lesson[1]) == "lessons 1 False\n"
    assert (printed(solution[2]), printed(lesson[2])) == ("6\n", "Ellipsis\n")
    assert (printed(solution[3]), printed(lesson[3])) == ("4\n", "None\n")
    assert "### BEGIN SOLUTION" in solution[2].source
    assert lesson[2].source == "six = ...\nprint(six)"
    assert lesson[3].source == 'def double(x):\n    """Twice x."""\n    ...\n\n\nprint(double(2))'
    assert re.fullmatch(r"\d+\.\d{6}\n", printed(solution[4])), "a progress bar, or nothing, was stored"
    assert lesson[4].metadata.tags == ["varies"]
    assert {tuple(cell.metadata.tags) for cell in lesson[:4]} == {("nbval-check-output",)}
    assert run(course, capsys, "--check") == (0, "2 notebooks are up to date\n")


def test_badge_and_setup_come_from_the_one_setting(course: Path) -> None:
    settings = build.read_settings(course / "solutions" / "course.toml")
    for kind in build.KINDS:
        notebook, _ = build.prepare(course / "solutions" / "07_small.py", kind, settings)
        text = notebook.cells[0].source
        assert f"(https://colab.research.google.com/github/someone/a-course/blob/v1/{kind}/07_small.ipynb)" in text
        assert "-b v1 https://github.com/someone/a-course course" in notebook.cells[1].source
        assert notebook.cells[1].source.startswith('PROFILE = "tiny"  # @param ["tiny", "phi3"]')
        assert "{{" not in text + notebook.cells[1].source


def test_a_second_build_gives_the_same_bytes(course: Path, capsys: pytest.CaptureFixture) -> None:
    write(course, code("print(sorted({'b', 'a'}), list({'x', 'y', 'z'}))", "1 + 1", "import numpy\nnumpy.zeros(2)"))
    made = []
    for _ in range(2):
        assert run(course, capsys)[0] == 0
        made.append([(course / kind / "07_small.ipynb").read_bytes() for kind in build.KINDS])
    assert made[0] == made[1]
    metadata = json.loads(made[0][0])["metadata"]
    assert set(metadata) == {"course", "kernelspec", "language_info"}
    assert "version" not in metadata["language_info"]


def test_cell_ids_stay_when_a_cell_comes_between(course: Path) -> None:
    settings = build.read_settings(course / "solutions" / "course.toml")
    path = write(course, code("first = 1", "last = 1", "last = 1"))
    before = [cell.id for cell in build.prepare(path, "lessons", settings)[0].cells]
    assert before == ["07-title", "07-first-1", "07-last-1", "07-last-1-2"]
    path = write(course, code("first = 1", "between = 1", "last = 1", "last = 1"))
    after = [cell.id for cell in build.prepare(path, "lessons", settings)[0].cells]
    assert after == ["07-title", "07-first-1", "07-between-1", "07-last-1", "07-last-1-2"]


def test_one_lesson_can_be_made_alone(course: Path, capsys: pytest.CaptureFixture) -> None:
    write(course, code("1"), "08_other")
    status, said = run(course, capsys, "08")
    assert status == 0, said
    assert (course / "lessons" / "08_other.ipynb").exists()
    assert not (course / "lessons" / "07_small.ipynb").exists()


# ---------------------------------------------------------------------------------------------------------------------
# Leaving the answers out


def cell_of(source: str) -> build.Cell:
    return build.Cell("code", source, lines=tuple(range(1, len(source.splitlines()) + 1)))


@pytest.mark.parametrize(
    ("source", "later", "expected"),
    [
        ("B\nx = 1\nE\nprint(x)", "", "x = ...\nprint(x)"),
        ("B\nx = 1\nE", "check(x)", "x = ..."),
        ("B\nx: int = 1\nE\nx", "", "x = ...\nx"),
        ("B\nx, y = 1, 2\nE\nprint(y, x)", "", "x = ...\ny = ...\nprint(y, x)"),
        ("B\nhelp = 1\nx = help\nE\nx", "", "x = ...\nx"),
        ("B\nx = {\n    'a': 1,\n}\nE\nx", "", "x = ...\nx"),
        ("B\nprint(1)\nE", "", "..."),
        ("B\nfor i in range(3):\n    total = i\nE", "", "..."),
        ("x = (\n    B\n    1 + 1\n    E\n)\nx", "", "x = (\n    ...\n)\nx"),
        ("x = f(\n    1,\n    B\n    2,\n    E\n)", "", "x = f(\n    1,\n    ...\n)"),
        ("def f(a):\n    B\n    return a\n    E\n\n\nf(1)", "", "def f(a):\n    ...\n\n\nf(1)"),
        ("for a in b:\n    B\n    c(a)\n    E\nd", "", "for a in b:\n    ...\nd"),
        ("class A:\n  def f(self):\n    B\n    pass\n    E", "", "class A:\n  def f(self):\n    ..."),
        ("B\nx = 1\nE\nB\ny = x\nE\nprint(x, y)", "", "x = ...\ny = ...\nprint(x, y)"),
        ("x = 1", "", "x = 1"),
    ],
)
def test_answers_are_left_out(source: str, later: str, expected: str) -> None:
    marked = re.sub(r"^(\s*)B$", rf"\1{build.BEGIN}", source, flags=re.MULTILINE)
    marked = re.sub(r"^(\s*)E$", rf"\1{build.END}", marked, flags=re.MULTILINE)
    blanked = build.blank(cell_of(marked), later)
    assert blanked.source == expected
    compile(blanked.source, "lesson", "exec")
    assert len(blanked.lines) == len(expected.splitlines())


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["### BEGIN SOLUTION\nx = 1"], "line 6: `### BEGIN SOLUTION` has no `### END SOLUTION`"),
        (["x = 1\n### END SOLUTION"], "line 6: `### END SOLUTION` without its partner"),
        (["### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION"], "line 6: `### BEGIN SOLUTION` without"),
        (["## BEGIN SOLUTION\nx = 1\n### END SOLUTION"], "line 5: expected `### BEGIN SOLUTION` or"),
        (["### Begin solution\nx = 1\n### END SOLUTION"], "line 5: expected `### BEGIN SOLUTION` or"),
        (["x = 1  ### BEGIN SOLUTION\n### END SOLUTION"], "line 5: expected `### BEGIN SOLUTION` or"),
        (["### BEGIN SOLUTION\ndef f():\n    pass\n### END SOLUTION"], "line 5: put the marks inside `f`"),
        (["dict(\n### BEGIN SOLUTION\nk=1, b=2\n### END SOLUTION\n)"], "line 6: the answer at the left margin is not"),
        (["# {{set_up}}"], "line 5: a code cell takes `# {{setup}}` alone on a line"),
        (["x = 1  # {{setup}}"], "line 5: a code cell takes `# {{setup}}` alone on a line"),
        (["# NBVAL_IGNORE_OUTPUT"], "line 5: use a tag"),
    ],
)
def test_wrong_marks_are_refused(course: Path, capsys: pytest.CaptureFixture, cells: list[str], message: str) -> None:
    write(course, code(*cells))
    status, said = run(course, capsys)
    assert status == 1
    assert f"07_small.py {message}" in said


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("# %% [markdown]\n# badge: {{badge}}\n", "line 2: a markdown cell takes `{{badge}}` alone on a line"),
        ('# %% tags=["varied"]\n1\n', "line 1: a cell takes tags, from"),
        ("# %% a title\n1\n", "line 1: a cell takes tags, from"),
        ('# %% tags=["varies", "nbval-check-output"]\n1\n', "line 1: an output that varies cannot be compared"),
        ("# %% [raw]\n# x\n", "line 1: a cell is code or [markdown]"),
        ("x = 1\n\n# %%\n1\n", "2 cells but 1 lines that open one"),
    ],
)
def test_wrong_cells_are_refused(course: Path, capsys: pytest.CaptureFixture, source: str, message: str) -> None:
    write(course, source)
    status, said = run(course, capsys)
    assert status == 1
    assert f"07_small.py{' ' if message.startswith('line') else ': '}{message}" in said


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("", "repository must be an https:// address"),
        ('repository = "https://x.org/y/"\nref = "main"', "no final slash"),
        ('repository = "git@x.org:y"\nref = "main"', "repository must be"),
        ('repository = "https://x.org/y"\nref = "a b"', "ref must be"),
        ("repository = ", "expected a TOML file"),
    ],
)
def test_wrong_settings_are_refused(course: Path, capsys: pytest.CaptureFixture, toml: str, message: str) -> None:
    (course / "solutions" / "course.toml").write_text(toml, encoding="utf-8")
    status, said = run(course, capsys, "--check")
    assert status == 1
    assert f"course.toml: {message}" in said or message in said


def test_wrong_lesson_numbers_are_refused(course: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(course, capsys, "11") == (1, "build.py: there is no lesson '11'; there are: 07\n")
    write(course, code("1"), "07_again")
    assert run(course, capsys) == (1, "build.py: two sources have the same number: 07\n")


# ---------------------------------------------------------------------------------------------------------------------
# Errors while a lesson runs


@pytest.mark.parametrize(
    ("cells", "place", "reason"),
    [
        (
            ["x = 1", "y = 2\nz = x / 0"],
            "code cell 2 (`y = 2`), at `z = x / 0`, solutions/07_small.py line 9: ",
            "ZeroDiv",
        ),
        (
            ["def f():\n  1 / 0", "f()"],
            "code cell 1 (`def f():`), at `1 / 0`, solutions/07_small.py line 6: ",
            "ZeroDiv",
        ),
        (["x = 1", "x = = 1"], "code cell 2 (`x = = 1`), solutions/07_small.py line 8: ", "SyntaxError"),
        (["\n\nraise ValueError('no\\npumps')"], "solutions/07_small.py line 7", "ValueError: no\npumps"),
        (["import sys\nprint('x', file=sys.stderr)"], "code cell 1 (`import sys`), solutions", "writes to stderr"),
        (["import warnings\nwarnings.warn('old')"], "code cell 1 (`import warnings`), solutions", "writes to stderr"),
        (["from pathlib import Path\nprint(Path.home())"], "code cell 1", "a path of this machine"),
        (["import os\nos.getcwd()"], "code cell 1", "a path of this machine"),
        (["object()"], "code cell 1", "a memory address (at 0x"),
        (["from ipywidgets import Button\nButton()"], "code cell 1", "shows a widget"),
        (
            ["x = 1", "import os\nos._exit(1)"],
            "code cell 2 (`import os`), solutions/07_small.py line 8: ",
            "kernel died",
        ),
        (["while True:\n    pass"], "code cell 1 (`while True:`)", "ran longer than 2 s"),
    ],
)
def test_error_names_the_place(
    course: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    cells: list[str],
    place: str,
    reason: str,
) -> None:
    if "ran longer" in reason:
        monkeypatch.setattr(build, "CELL_SECONDS", 2)
    write(course, code(*cells))
    status, said = run(course, capsys)
    assert status == 1
    assert said.startswith("build.py: solutions/07_small.ipynb, code cell ")
    assert place in said
    assert reason in said


def test_error_below_an_answer_names_the_line_of_the_source(course: Path, capsys: pytest.CaptureFixture) -> None:
    """The lesson is shorter than its source there, and fails where the solution does not."""
    write(course, code("### BEGIN SOLUTION\na = 1\nb = 2\nx = a + b\n### END SOLUTION\ny = x + 1"))
    status, said = run(course, capsys)
    assert status == 1
    assert "lessons/07_small.ipynb, code cell 1 (`x = ...`), at `y = x + 1`, solutions/07_small.py line 10" in said


def test_notebooks_are_written_whole_or_not_at_all(course: Path, capsys: pytest.CaptureFixture) -> None:
    write(course, code("x = 1"))
    assert run(course, capsys)[0] == 0
    before = [(course / kind / "07_small.ipynb").read_bytes() for kind in build.KINDS]
    write(course, code("### BEGIN SOLUTION\nx = 1\n### END SOLUTION\nx + 1"))  # only the lesson fails
    assert run(course, capsys)[0] == 1
    assert [(course / kind / "07_small.ipynb").read_bytes() for kind in build.KINDS] == before
    left = {path.name for kind in build.KINDS for path in (course / kind).iterdir()}
    assert left == {"07_small.ipynb", "07_small.py", "course.toml"}


def test_an_expected_error_is_stored_without_a_path(course: Path, capsys: pytest.CaptureFixture) -> None:
    write(course, '# %% [markdown]\n# # T\n\n# %% tags=["raises-exception"]\nopen("nowhere")\n')
    assert run(course, capsys)[0] == 0
    (output,) = code_cells(read(course, "lessons"))[0].outputs
    assert output.traceback == ["FileNotFoundError: [Errno 2] No such file or directory: 'nowhere'"]


# ---------------------------------------------------------------------------------------------------------------------
# --check


@pytest.fixture
def built(course: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course whose notebooks are up to date, and that can no longer execute one."""
    write(course, code("x = 1\nprint(x)"))
    assert run(course, capsys)[0] == 0
    monkeypatch.setattr(build, "execute", lambda *_: pytest.fail("--check executed a notebook"))
    return course


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_check_is_quick(built: Path, capsys: pytest.CaptureFixture) -> None:
    started = time.process_time()
    assert run(built, capsys, "--check") == (0, "2 notebooks are up to date\n")
    assert time.process_time() - started < 2


def test_check_names_both_notebooks_of_a_changed_source(built: Path, capsys: pytest.CaptureFixture) -> None:
    edit(built / "solutions" / "07_small.py", "x = 1", "x = 2")
    status, said = run(built, capsys, "--check")
    assert status == 1
    assert [line for line in said.splitlines() if line] == [
        "not up to date: solutions/07_small.ipynb is older than its source",
        "not up to date: lessons/07_small.ipynb is older than its source",
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("print(x)", "print(x, 1)"),
        ('"1\\n"', '"2\\n"'),
        ('"execution_count": 1', '"execution_count": 9'),
        ('"nbval-check-output"', '"varies"'),
        ("07-x-1", "07-y-1"),
    ],
)
def test_check_sees_a_notebook_edited_by_hand(built: Path, capsys: pytest.CaptureFixture, old: str, new: str) -> None:
    edit(built / "lessons" / "07_small.ipynb", old, new)
    status, said = run(built, capsys, "--check")
    assert status == 1
    assert said.startswith("not up to date: lessons/07_small.ipynb was changed after it was made")
    assert "solutions/07_small.ipynb" not in said


def test_check_sees_other_changes(built: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    lesson = built / "lessons" / "07_small.ipynb"
    kept = lesson.read_text(encoding="utf-8")
    lesson.unlink()
    assert "lessons/07_small.ipynb is missing" in run(built, capsys, "--check")[1]
    lesson.write_text("{", encoding="utf-8")
    assert "lessons/07_small.ipynb cannot be read" in run(built, capsys, "--check")[1]
    lesson.write_text(kept, encoding="utf-8")
    (built / "lessons" / "05_gone.ipynb").write_text(kept, encoding="utf-8")
    assert "lessons/05_gone.ipynb has no source solutions/05_gone.py" in run(built, capsys, "--check")[1]
    (built / "lessons" / "05_gone.ipynb").unlink()
    assert run(built, capsys, "--check")[0] == 0
    monkeypatch.setitem(build.ENVIRONMENT, "PYTHONHASHSEED", "1")
    assert "lessons/07_small.ipynb was made under other settings" in run(built, capsys, "--check")[1]


def test_check_sees_a_new_address(course: Path, capsys: pytest.CaptureFixture) -> None:
    write(course, "# %% [markdown]\n# # T\n# {{badge}}\n")
    assert run(course, capsys)[0] == 0
    edit(course / "solutions" / "course.toml", "v1", "v2")
    assert "lessons/07_small.ipynb is older than its source" in run(course, capsys, "--check")[1]


def test_the_notebooks_of_this_repository_are_up_to_date(capsys: pytest.CaptureFixture) -> None:
    status, said = run(ROOT, capsys, "--check")
    assert status == 0, said


# ---------------------------------------------------------------------------------------------------------------------
# The tests of the notebooks


def test_pytest_compares_the_outputs_and_names_the_cell(course: Path, capsys: pytest.CaptureFixture) -> None:
    """A copy of this repository's settings, with one small lesson, once right and once with another stored output."""
    write(course, code('PROFILE = "tiny"', "print('six', 3 * 2)", "print('seven')"))
    assert run(course, capsys)[0] == 0
    (course / "tests").mkdir()
    for name in ("conftest.py", "pyproject.toml", "solutions/build.py", "tests/lint.py", "tests/nbval.cfg"):
        shutil.copy(ROOT / name, course / name)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no"]
    result = subprocess.run(command, cwd=course, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "6 passed" in result.stdout
    assert "Cells with text output whose text is compared: 4 of 4 (100 %)" in result.stdout
    edit(course / "lessons" / "07_small.ipynb", '"six 6\\n"', '"six 7\\n"')
    result = subprocess.run(command, cwd=course, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "1 failed, 5 passed" in result.stdout
    assert "FAILED lessons/07_small.ipynb::Cell 1" in result.stdout
    assert "six 6" in result.stdout
