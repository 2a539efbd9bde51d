"""What every test runs under: no network, no progress bars, and a ledger and an IPython folder that are thrown away."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent


def load_script(name: str, path: Path):
    """Import a script of the repository that is not part of a package."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


build = load_script("course_build", ROOT / "solutions" / "build.py")
lint = load_script("course_lint", ROOT / "tests" / "lint.py")

FOLDER = tempfile.mkdtemp(prefix="expert-tests-")
os.environ.update(build.ENVIRONMENT)
os.environ["IPYTHONDIR"] = os.path.join(FOLDER, "ipython")
os.environ["EXPERT_LEDGER"] = os.path.join(FOLDER, "ledger.json")
if importlib.util.find_spec("expert") is None:  # not installed (requirements.txt does that): use this checkout's
    sys.path.insert(0, str(ROOT / "lessons"))
    paths = [str(ROOT / "lessons"), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def pytest_configure(config: pytest.Config) -> None:
    """Point nbval to its list of replacements, from whatever folder pytest was started in."""
    config.option.nbval_sanitize_with = config.option.nbval_sanitize_with or str(ROOT / "tests" / "nbval.cfg")


def pytest_sessionstart() -> None:
    """Write matplotlib's font cache now: on a fresh machine its first import says so on stderr, inside a notebook."""
    importlib.import_module("matplotlib.font_manager")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give each notebook a ledger of its own, before its kernel starts, and a slow computer more patience."""
    if item.path.suffix == ".ipynb":
        item.output_timeout = 60  # nbval's own 5 s, which no option sets, are short on a busy machine
        folder = Path(FOLDER, f"{item.path.parent.name}-{item.path.stem}")
        folder.mkdir(exist_ok=True)
        os.environ["EXPERT_LEDGER"] = str(folder / "ledger.json")


def pytest_unconfigure() -> None:
    """Throw the temporary folder away."""
    shutil.rmtree(FOLDER, ignore_errors=True)


def pytest_terminal_summary(terminalreporter) -> None:
    """Say how much of what the notebooks print is compared."""
    notebooks = [path for kind in build.KINDS for path in sorted((ROOT / kind).glob("*.ipynb"))]
    if notebooks:
        compared, total = lint.compared_share(notebooks)
        share = f"{100 * compared / total:.0f} %" if total else "none"
        terminalreporter.write_line(f"Cells with text output whose text is compared: {compared} of {total} ({share})")
