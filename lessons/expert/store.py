"""One small JSON file that outlives the notebook: written whole or not at all, by any number of notebooks at once.

The ledger lies in the user's own data folder, not beside the lessons, so that a fresh clone keeps it and a course
folder without write permission works. ``EXPERT_LEDGER`` puts it elsewhere (a file's path). Nothing is ever sent.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
SECTIONS = ("claims", "exercises", "quiz")
PATIENCE = 10.0  # seconds to wait for another notebook, which needs a few milliseconds
STALE = 5.0  # seconds after which a lock file was left over by a kill

Record = dict[str, Any]


class LedgerError(RuntimeError):
    """The ledger cannot be read or written; the message says where it is and what to do."""


class LedgerDamaged(LedgerError):
    """The ledger was no ledger; it has been moved aside, and the next call begins a new one."""


def ledger_path() -> Path:
    """Where the ledger is: ``$EXPERT_LEDGER``, else ``phi3-industry-expert/ledger.json`` in the user's data folder."""
    given = os.environ.get("EXPERT_LEDGER", "").strip()
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Application Support")
    else:
        base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "phi3-industry-expert" / "ledger.json"


def read(path: Path | None = None) -> Record:
    """The whole ledger; an empty one where there is no file yet."""
    path = path or ledger_path()
    if not path.is_file():
        return _empty()
    with _locked(path):
        return _load(path)


def change(edit: Callable[[Record], None], path: Path | None = None) -> None:
    """Read the ledger, let ``edit`` change it, and write it back, with every other notebook kept out meanwhile."""
    path = path or ledger_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    with _locked(path):
        record = _load(path) if path.is_file() else _empty()
        edit(record)
        _write(path, record)


def now() -> str:
    """The present time as text, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def plain(value: Any) -> Any:
    """A value as JSON keeps it: numpy and torch numbers become plain ones, anything unknown its text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if hasattr(value, "tolist"):  # numpy and torch
        return plain(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(v) for v in value), key=str)
    return str(value)


def _empty() -> Record:
    return {"format": FORMAT, **{name: {} for name in SECTIONS}}


def _load(path: Path) -> Record:
    """The file's record, checked; a file that is no ledger is moved aside, whole, and said so."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise LedgerError(f"The ledger {path} cannot be read ({error.strerror}). Check who may read it.") from error
    try:
        record = json.loads(text.decode("utf-8"))
        reason = _fault(record)
    except ValueError as error:
        reason = str(error)
    if reason:
        aside = _move_aside(path)
        raise LedgerDamaged(
            f"The ledger {path} is damaged ({reason}). It was kept, unchanged, as {aside.name} in the same folder. "
            "Run this cell again: a new ledger is begun. To take the old one back, mend it and rename it."
        )
    if record["format"] > FORMAT:
        raise LedgerError(
            f"The ledger {path} was written by a newer edition of the course (format {record['format']}, this one "
            f"knows {FORMAT}). Update the course, or set EXPERT_LEDGER to another file. Nothing was changed."
        )
    return record


def _fault(record: Any) -> str:
    """What is wrong with a parsed ledger, or an empty text."""
    if not isinstance(record, dict):
        return f"expected an object, found a {type(record).__name__}"
    if not isinstance(record.get("format"), int):
        return "the field 'format' is missing"
    for name in SECTIONS:
        section = record.get(name)
        if not isinstance(section, dict) or not all(isinstance(v, dict) for v in section.values()):
            return f"the section {name!r} is missing or is no table"
    return ""


def _move_aside(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    number = 1
    while aside.exists():  # never over an older one
        number += 1
        aside = path.with_name(f"{path.stem}.damaged-{stamp}-{number}{path.suffix}")
    try:
        os.replace(path, aside)
    except OSError as error:
        raise _unwritable(path, error) from error
    return aside


def _write(path: Path, record: Record) -> None:
    """Write beside the file, then put it in its place in one step: a kill leaves the old file or the new one."""
    text = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
    try:
        handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise _unwritable(path, error) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _replace(temporary: str, path: Path) -> None:
    """os.replace, tried again where Windows refuses because a virus scanner has the file open."""
    for turn in range(20):
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            if turn == 19:
                raise
            time.sleep(0.05)


def _unwritable(path: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"The ledger {path} cannot be written ({error.strerror}). Set the environment variable EXPERT_LEDGER to a "
        "file in a folder of yours."
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other notebooks out. The lock is a file beside the ledger."""
    lock = path.with_name(path.name + ".lock")
    take = _take_flock if fcntl else _take_file
    end = time.monotonic() + PATIENCE
    while (release := take(lock)) is None:
        if time.monotonic() > end:
            raise LedgerError(
                f"The ledger {path} is in use by another notebook for more than {PATIENCE:.0f} seconds. If no other "
                f"notebook runs, delete {lock.name} beside it."
            )
        time.sleep(0.01)
    try:
        yield
    finally:
        release()


def _take_flock(lock: Path) -> Callable[[], None] | None:
    """The system's own lock, which a killed process lets go. Returns what releases it; None while another has it."""
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unwritable(lock, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:  # a network folder without such locks
        os.close(handle)
        return _take_file(lock.with_suffix(".lock2"))
    return lambda: os.close(handle)


def _take_file(lock: Path) -> Callable[[], None] | None:
    """A file that only one can create, for Windows. One left over from a killed process is removed when stale."""
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        _remove_stale(lock)
        return None
    except OSError as error:
        if isinstance(error, PermissionError) and os.access(lock.parent, os.W_OK):
            return None  # Windows: the other one is just removing it
        raise _unwritable(lock, error) from error

    def release() -> None:
        os.close(handle)
        lock.unlink(missing_ok=True)

    return release


def _remove_stale(lock: Path) -> None:
    try:
        if time.time() - lock.stat().st_mtime > STALE:
            lock.unlink()
    except OSError:
        pass  # it is gone already
