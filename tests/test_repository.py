"""The files around the lessons agree with each other: README, requirements, settings, .ci/run."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import course_build as build
import course_lint as lint
import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = [path for folder in ("lessons", "solutions", "data", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    """The lines of requirements.txt that are neither blank, nor a comment, nor the course itself."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("#") and line != "-e ."]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in kept), "a line is not name==version"
    return {normal(line.split("==")[0]): line.split("==")[1] for line in kept}


def test_each_imported_package_is_pinned() -> None:
    own = (
        {path.stem for path in CODE} | {path.name for path in (ROOT / "lessons").iterdir()} | {"google", "course_lint"}
    )
    packages = importlib.metadata.packages_distributions()
    missing = {}
    for path in CODE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        names += [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module and not n.level]
        for name in {name.split(".")[0] for name in names} - own - sys.stdlib_module_names - {"course_build"}:
            provided_by = {normal(found) for found in packages.get(name, [name])}
            if not provided_by & (set(pins()) | BROUGHT_ALONG):
                missing[name] = path.name
    assert not missing, f"imported, but not in requirements.txt: {missing}"


# Imported packages that a pinned one brings, and whose version it decides
BROUGHT_ALONG = {"ipython", "jupyter-client", "huggingface-hub", "threadpoolctl"}


def test_the_installed_versions_are_the_pinned_ones() -> None:
    """The stored outputs and the tested versions belong together."""
    other = {}
    for name, version in pins().items():
        found = importlib.metadata.version(name).split("+")[0]  # 2.13.0+cpu is a build of 2.13.0
        if found != version:
            other[name] = f"{found}, not {version}"
    assert not other, "install requirements.txt again"


@pytest.mark.parametrize("kind", build.KINDS)
def test_expert_can_be_imported(kind: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import expert; print(expert.__file__)"],
        cwd=ROOT / kind,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == ROOT / "lessons" / "expert" / "__init__.py"


def test_the_readme_points_to_what_is_there() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", README)
    local = {target.split("#")[0] for target in targets if not re.match(r"https?:", target)}
    assert len(local) > 5
    assert [target for target in sorted(local) if not (ROOT / target).exists()] == []


def test_the_readme_describes_its_pictures() -> None:
    words = re.findall(r"!\[([^\]]*)\]", README)
    assert words
    assert [text for text in words if len(text.split()) < 3] == []


def test_the_launch_table_has_each_lesson_at_the_published_address() -> None:
    settings = build.read_settings(ROOT / "solutions" / "course.toml")
    place = settings.repository.replace("https://github.com/", "https://colab.research.google.com/github/")
    lessons = [path.name for path in lint.all_notebooks() if path.parent.name == "lessons"]
    rows = [line for line in README.splitlines() if re.match(r"\| \[\d\d ", line)]
    for name, row in zip(lessons, rows, strict=True):
        assert f"(lessons/{name})" in row
        assert f"({place}/blob/{settings.ref}/lessons/{name})" in row
    assert f"git clone {settings.repository}" in README


def test_drawings_are_described() -> None:
    drawings = sorted((ROOT / "images").glob("*.svg"))
    assert drawings
    for path in drawings:
        text = path.read_text(encoding="utf-8")
        assert re.search(r"<title\b[^>]*>\S[^<]{10,}</title>", text), path.name
        assert re.search(r"<desc\b[^>]*>\S[^<]{40,}</desc>", text), path.name
        assert min(float(size) for size in re.findall(r'font-size="([\d.]+)"', text)) >= 14, path.name


def run_ci(folder: Path, command: str, marker: str = "<!-- test command -->") -> subprocess.CompletedProcess:
    """Run a copy of .ci/run beside a README with this command."""
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    (folder / "README.md").write_text(
        f"# T\n\n```bash\nfalse\n```\n\n{marker}\n```bash\n{command}\n```\n\n```bash\nfalse\n```\n"
    )
    return subprocess.run([folder / ".ci" / "run"], capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.name == "nt", reason="a bash script")
def test_ci_runs_the_command_of_the_readme(tmp_path: Path) -> None:
    tools = 'mkdir -p "$VENV/bin" && for tool in ruff python; do ln -s "$(type -P true)" "$VENV/bin/$tool"; done'
    result = run_ci(tmp_path / "good", f'{tools} && echo "in $VENV"')
    assert result.returncode == 0, result.stderr
    place = Path(re.findall(r"^in (/.*)$", result.stdout, re.MULTILINE)[0])
    assert tmp_path not in place.parents
    assert not place.exists()  # thrown away
    assert run_ci(tmp_path / "bad", f"{tools} && false").returncode != 0
    nothing = run_ci(tmp_path / "none", "true", marker="")
    assert nothing.returncode == 1
    assert "no code block" in nothing.stderr


def test_the_readme_has_the_test_command() -> None:
    (command,) = re.findall(r"<!-- test command -->\n```bash\n(.+)\n```", README)
    for part in ("python3 -m venv", "install -r requirements.txt", "/pytest"):
        assert part in command
    assert "${VENV:=.venv}" in command
