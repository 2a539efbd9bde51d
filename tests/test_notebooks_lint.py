"""The notebooks keep the rules of lint.py, and each rule catches what it is for."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace

import course_lint as lint
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
PICTURE = '<img src="data:image/png;base64,AAAA" alt="Bar chart: three bars" width="10">'
OPENING = "# Start here\n\n- **Do:** this\n- **Learn:** that\n- **Need:** 10 minutes, 1 GB of memory, no download"


@pytest.mark.parametrize("path", lint.all_notebooks(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_notebook_keeps_the_rules(path: Path) -> None:
    found = lint.problems(lint.open_page(path))
    assert not found, "\n" + "\n".join(found)


def test_there_is_a_lesson_to_test() -> None:
    assert {path.parent.name for path in lint.all_notebooks() if path.name.startswith("00_")} == {
        "lessons",
        "solutions",
    }


def test_no_code_of_the_course_trusts_remote_code() -> None:
    files = [path for folder in ("lessons", "solutions", "data") for path in (ROOT / folder).rglob("*.py")]
    assert [path.name for path in files if "trust_remote_code=True" in path.read_text(encoding="utf-8")] == []


HOME = "/".join(("", "home", "ann"))  # in parts, so that a search for such paths in the repository finds none


def good_notebook() -> nbformat.NotebookNode:
    """A small notebook that keeps every rule."""
    show = nbformat.v4.new_output("display_data", {"text/html": PICTURE * 3, "text/plain": "Picture: three bars"})
    cells = [
        ("markdown", OPENING, []),
        ("code", 'PROFILE = "tiny"', []),
        ("markdown", '## An exercise\n\nDouble it. Stuck? `hint("0.1")`, then `solution("0.1")`.', []),
        ("code", 'check("0.1", double)', [nbformat.v4.new_output("stream", name="stdout", text="not attempted yet\n")]),
        ("code", "show(fig)", [show]),
        ("markdown", "## Quiz", []),
        ("code", 'quiz("0.q1", "a")', []),
        ("markdown", "## In practice\n\nScale.", []),
        ("markdown", "## On the real Phi-3\n\nNot measured.", []),
    ]
    nodes = []
    for number, (kind, source, outputs) in enumerate(cells):
        if kind == "markdown":
            nodes.append(nbformat.v4.new_markdown_cell(source, id=f"c{number}"))
            continue
        count = sum(node.cell_type == "code" for node in nodes) + 1
        tags = {"tags": ["nbval-check-output"]}
        nodes.append(
            nbformat.v4.new_code_cell(source, id=f"c{number}", metadata=tags, outputs=outputs, execution_count=count)
        )
    notebook = nbformat.v4.new_notebook(cells=nodes)
    notebook.nbformat_minor = 5
    return notebook


def registered(hints: int, *names: str) -> dict[str, SimpleNamespace]:
    """Exercises with so many hints."""
    return {name: SimpleNamespace(hints=("a hint",) * hints) for name in names or ("0.1",)}


def found_in(notebook: nbformat.NotebookNode, exercises: dict | None = None, folder: str = "lessons") -> list[str]:
    known = registered(2) if exercises is None else exercises
    return lint.problems(lint.Page(ROOT / folder / "00_start_here.ipynb", notebook, known))


def test_good_notebook_has_no_problems() -> None:
    assert found_in(good_notebook()) == []


def set_source(number: int, text: str):
    def change(notebook: nbformat.NotebookNode) -> None:
        notebook.cells[number].source = text

    return change


def set_output(text: str):
    def change(notebook: nbformat.NotebookNode) -> None:
        notebook.cells[3].outputs[0].text = text

    return change


def set_value(number: int, **values: object):
    def change(notebook: nbformat.NotebookNode) -> None:
        notebook.cells[number].update(values)

    return change


def bare_picture(notebook: nbformat.NotebookNode) -> None:
    pixel = base64.b64encode(b"pixel").decode()
    notebook.cells[4].outputs.append(nbformat.v4.new_output("display_data", {"image/png": pixel}))


def empty_alternative(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[4].outputs[0].data["text/html"] = PICTURE.replace("Bar chart: three bars", "") * 3


def widget_state(notebook: nbformat.NotebookNode) -> None:
    notebook.metadata["widgets"] = {}


BREAKS = {
    "two titles": (set_source(5, "# Quiz"), "2 first-level headings"),
    "no title first": (set_source(0, "Hello\n" + OPENING), "does not open with its title"),
    "a level skipped": (set_source(2, "### Deep\n`hint('0.1')` `solution('0.1')`"), "skips a heading level"),
    "nothing to do": (set_source(0, OPENING.replace("**Do:**", "Do:")), "what you do"),
    "no minutes": (set_source(0, OPENING.replace("10 minutes", "time")), "how many minutes"),
    "no practice": (set_source(7, "## Elsewhere"), "no section `In practice`"),
    "no real model": (set_source(8, "## Elsewhere"), "no section `On the real Phi-3`"),
    "no quiz": (set_source(6, "1"), "asks no quiz question"),
    "long prose": (set_source(2, "word " * 80 + 'hint("0.1") solution("0.1")'), "more than 75 words"),
    "a dead link": (set_source(8, "## On the real Phi-3\n[x](nowhere.md)"), "which is not there"),
    "a picture in the text without words": (set_source(8, "## On the real Phi-3\n![](README.md)"), "text alternative"),
    "a picture with an empty alternative": (empty_alternative, "an <img> whose alt"),
    "a bare picture": (bare_picture, "without a text alternative"),
    "few pictures": (set_value(4, outputs=[]), "has 0 pictures"),
    "no exercise": (set_source(3, "1"), "has 0 exercises"),
    "wrong number": (set_source(3, 'check("1.1", x); check("0.1", y)'), "not numbered after its lesson"),
    "no hint": (set_source(2, '## An exercise\n`solution("0.1")`'), 'does not mention hint("0.1")'),
    "no solution": (set_source(2, '## An exercise\n`hint("0.1")`'), 'does not mention solution("0.1")'),
    "not registered": (set_source(3, 'check("0.2", x); check("0.1", y)'), "exercise 0.2 is not registered"),
    "long code": (set_source(3, 'check("0.1", y)\n' + "x = 1\n" * 30), None),
    "widget state": (widget_state, "widget state"),
    "no setup cell": (set_source(1, "PROFILE = 1"), "does not begin its code with the setup cell"),
    "an id used twice": (set_value(3, id="c1"), "cell id"),
    "counts out of order": (set_value(3, execution_count=7), "execution counts"),
    "not tagged": (set_value(3, metadata={}), "expected one of the tags"),
    "an error": (
        set_value(6, outputs=[nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]),
        "holds an",
    ),
    "a home folder": (set_output(f"saved to {HOME}/x.json"), f"path of one machine: {HOME}"),
    "a home folder in Windows": (set_output(r"saved to C:\Users\ann"), "path of one machine"),
    "remote code": (set_source(6, 'quiz("0.q1"); load(trust_remote_code=True)'), "trust_remote_code"),
    "an answer": (set_source(6, 'quiz("0.q1")\n### BEGIN SOLUTION'), "shows an answer"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_rule_catches(name: str) -> None:
    change, message = BREAKS[name]
    notebook = good_notebook()
    change(notebook)
    found = found_in(notebook)
    if message is None:  # one long cell among short ones is allowed: the rule is about the median
        assert found == []
    else:
        assert any(message in problem for problem in found), found
        assert all(problem.startswith("lessons/00_start_here.ipynb ") for problem in found)


def test_median_of_code_lines_is_caught() -> None:
    notebook = good_notebook()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source += "\nx = 1" * 9
    assert any("a median of 10 lines" in problem for problem in found_in(notebook))


@pytest.mark.parametrize(
    ("exercises", "message"),
    [
        (registered(1), "less than 2 hints"),
        ({}, "not registered"),
        (registered(2, "0.1", "0.2"), "does not check it"),
    ],
)
def test_exercise_registration_is_caught(exercises: dict, message: str) -> None:
    assert any(message in problem for problem in found_in(good_notebook(), exercises))


def test_other_lessons_need_four_exercises() -> None:
    page = lint.Page(ROOT / "lessons" / "03_prompting.ipynb", good_notebook(), registered(2))
    assert any("expected at least 4" in problem for problem in lint.problems(page))


def test_the_solution_may_show_its_answers() -> None:
    notebook = good_notebook()
    set_source(6, 'quiz("0.q1")\n### BEGIN SOLUTION')(notebook)
    assert found_in(notebook, folder="solutions") == []


def test_share_of_compared_cells(tmp_path: Path) -> None:
    notebook = good_notebook()
    notebook.cells[4].metadata.tags = ["varies"]
    path = tmp_path / "00_x.ipynb"
    nbformat.write(notebook, path)
    assert lint.compared_share([path]) == (1, 2)
