"""The setup cell: on Colab it fetches the course and installs what is missing; anywhere else it does nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import course_build as build
import pytest
from expert import colab

ROOT = Path(__file__).resolve().parent.parent

# Stands in for pip: notes what it was asked and, as pip would, fails where it cannot install
PIP = """\
import pathlib, sys
arguments = sys.argv[1:]
constraints = pathlib.Path(arguments[arguments.index("--constraint") + 1]).read_text()
pathlib.Path("{record}").write_text("\\n".join(arguments) + "\\n--\\n" + constraints)
sys.stderr.write("ERROR: no such package")
sys.exit({status})
"""


@pytest.fixture
def published(tmp_path: Path) -> build.Settings:
    """The course as it would be published, small, at a local address."""
    source = tmp_path / "published"
    expert = source / "lessons" / "expert"
    expert.mkdir(parents=True)
    (expert / "__init__.py").write_text("", encoding="utf-8")
    (expert / "colab.py").write_bytes((ROOT / "lessons" / "expert" / "colab.py").read_bytes())
    (source / "requirements.txt").write_bytes((ROOT / "requirements.txt").read_bytes())
    who = ["-c", "user.name=Course", "-c", "user.email=course@example.org"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-q", "-m", "The course"]):
        subprocess.run(["git", *command], cwd=source, check=True)
    return build.Settings(source.as_uri(), "main")


def run_setup(folder: Path, settings: build.Settings, on_colab: bool, pip_status: int = 0, then: str = "") -> str:
    """Run the setup cell in a fresh Python, in an empty folder; return what it prints."""
    stubs, content = folder / "stubs", folder / "content"
    (stubs / "pip").mkdir(parents=True, exist_ok=True)
    (stubs / "pip" / "__init__.py").write_text("", encoding="utf-8")  # else the real one is found first
    (stubs / "pip" / "__main__.py").write_text(
        PIP.format(record=(folder / "pip.txt").as_posix(), status=pip_status), encoding="utf-8"
    )
    if on_colab:
        (stubs / "google" / "colab").mkdir(parents=True, exist_ok=True)
        (stubs / "google" / "colab" / "__init__.py").write_text("", encoding="utf-8")
    content.mkdir(exist_ok=True)
    cell = build.SETUP.format(repository=settings.repository, ref=settings.ref)
    result = subprocess.run(
        # -S: without the packages of this environment, so that all of them are missing
        [sys.executable, "-S", "-c", cell + "\nimport os\n" + then],
        cwd=content,
        env={**os.environ, "PYTHONPATH": str(stubs)},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout + result.stderr


def test_elsewhere_the_setup_cell_does_nothing(tmp_path: Path, published: build.Settings) -> None:
    assert run_setup(tmp_path, published, on_colab=False, then="print(PROFILE, os.listdir())") == "tiny []\n"
    assert not (tmp_path / "pip.txt").exists()


def test_on_colab_the_course_is_fetched_and_the_missing_is_installed(tmp_path: Path, published: build.Settings) -> None:
    said = run_setup(tmp_path, published, on_colab=True, then="print(PROFILE, os.getcwd())")
    lessons = tmp_path / "content" / "course" / "lessons"
    assert said.startswith("Installing torch==")
    assert "no restart is needed" in said
    assert said.endswith(f"tiny {lessons}\n")
    arguments, constraints = (tmp_path / "pip.txt").read_text(encoding="utf-8").split("\n--\n")
    assert arguments.splitlines()[:3] == ["install", "--quiet", "--constraint"]
    assert set(arguments.splitlines()[4:]) == set(colab.missing({}))
    assert constraints == ""


def test_running_the_setup_cell_again_fetches_nothing(tmp_path: Path, published: build.Settings) -> None:
    run_setup(tmp_path, published, on_colab=True)
    gone = build.Settings((tmp_path / "nowhere").as_uri(), "main")
    cell = build.SETUP.format(repository=gone.repository, ref=gone.ref)
    again = "import sys\nsys.path[:] = sys.path[1:]\nexec(" + repr(cell) + ")\nprint(os.getcwd())"
    said = run_setup(tmp_path, gone, on_colab=True, then=again)  # a restarted kernel, then the same cell once more
    assert said.endswith(f"{tmp_path / 'content' / 'course' / 'lessons'}\n")


def test_a_failed_fetch_is_an_error(tmp_path: Path) -> None:
    said = run_setup(tmp_path, build.Settings((tmp_path / "nowhere").as_uri(), "main"), on_colab=True)
    assert "CalledProcessError" in said
    assert not (tmp_path / "pip.txt").exists()


def test_a_failed_install_says_what_pip_said(tmp_path: Path, published: build.Settings) -> None:
    said = run_setup(tmp_path, published, on_colab=True, pip_status=1)
    assert "RuntimeError: pip could not install torch==" in said
    assert "ERROR: no such package" in said


def test_only_the_missing_is_asked_for() -> None:
    have = {name: "1.0" for name in colab.LESSON_PACKAGES if name not in ("chromadb", "bitsandbytes")}
    assert [line.split("==")[0] for line in colab.missing(have)] == ["bitsandbytes", "chromadb"]
    assert colab.missing({**have, "chromadb": "0.1", "bitsandbytes": "0.1"}) == []
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert all(line in pins for line in colab.missing({}))


def test_the_constraints_are_what_is_installed() -> None:
    found = colab.installed()
    assert found["jupytext"]
    assert all(name == colab.normal(name) for name in found)


def test_a_package_that_is_not_pinned_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("torch==2.0\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"requirements.txt does not pin transformers, .*psutil"):
        colab.missing({}, path)
