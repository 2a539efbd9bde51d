"""The library that the lessons build up: what you wrote in one lesson is imported from here in the next.

``from expert import check, hint, solution, quiz, predict, verdict, ledger`` gives what a lesson page needs.
The models are in ``expert.models``, the company's documents in ``expert.corpus``. Importing ``expert`` alone
is quick: it loads neither torch nor transformers.
"""

import os
from pathlib import Path

# TRL reports to its makers which trainer was started; ``report_to="none"`` does not stop it. huggingface_hub reads this
# when it is imported, so it must stand before everything else.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from expert.checks import check, hint, ledger, predict, quiz, solution, verdict

__all__ = ["check", "data_folder", "hint", "ledger", "predict", "quiz", "solution", "verdict"]


def data_folder() -> Path:
    """The course's ``data`` folder: ``$EXPERT_DATA`` where it is set, else the one beside ``lessons``."""
    given = os.environ.get("EXPERT_DATA")
    folder = Path(given).expanduser() if given else Path(__file__).resolve().parents[2] / "data"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"The course's data folder is not at {folder}. Run the lessons from a clone of the repository, "
            "or set the environment variable EXPERT_DATA to the folder 'data' of such a clone."
        )
    return folder
