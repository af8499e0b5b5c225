"""Opens Optuna's storage: its default, whether an address is one, how it is repaired.

Optuna is imported only to open it; the doctor just looks at it. A power loss or a full disk may cut
a journal's last line off; Optuna would append to it, and the file could not be read any more.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import InputError, StorageError, missing_package
from pipeline.redaction import masked
from pipeline.search.interrupts import hold_back, let_go

Note = Callable[[str], None]

BLOCK = 2**16
CONNECT_SECONDS = 10
KEEPALIVES = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""libpq's: a server that vanished is given up after a minute, not after the system's two hours."""
DEFAULT_STORAGE = "studies.journal"
LONGEST_FIRST_LINE = 2**20
"""Bytes; a journal's first line names the study and has less than a hundredth of it."""


def open_storage(storage: str, note: Note) -> Any:
    """Returns Optuna's storage at an address: a database's URL or the path of a journal file.

    Args:
        storage: The address.
        note: Shows the user what had to be mended.

    Raises:
        InputError: It cannot be opened.
    """
    # Here and not above: the doctor looks at addresses without Optuna.
    import optuna
    from optuna.storages.journal import JournalFileSymlinkLock

    from pipeline.search.journal import Journal

    if "://" in storage:
        with opening_errors(storage):
            if several_may_search(storage):
                # A connection that the server or a firewall cut is replaced before it is used.
                settings = {"pool_pre_ping": True, "connect_args": connect_arguments(storage)}
                return optuna.storages.RDBStorage(with_driver(storage), settings)
            return optuna.storages.get_storage(storage)
    path = Path(storage)
    if not path.parent.is_dir():
        raise InputError(
            f"--storage {storage}: there is no folder {path.parent}; create it, or give another "
            "path"
        )
    if not is_journal(path):
        raise InputError(
            f"--storage {path}: this is no journal file of Optuna's; expected one that a search "
            f"made, or a new path (a database is given as sqlite:///{path})"
        )
    try:
        lock: Any = Unbroken(JournalFileSymlinkLock(str(path)))
        if cut := mend(path, lock):
            note(f"--storage {path}: cut off its last record, {cut} bytes that were not whole")
        return optuna.storages.JournalStorage(Journal(path, lock))
    except OSError as error:
        raise InputError(
            f"--storage {path} cannot be read and written ({error.strerror or error}): make it "
            "writable, or give another path"
        ) from error
    except ValueError as error:
        raise InputError(
            f"--storage {path}: this journal is damaged before its end ({error}): restore it, or "
            "give another path to start anew"
        ) from error


@contextmanager
def opening_errors(storage: str) -> Iterator[None]:
    """Turns what a database raises that does not open into one line; without its address.

    Raises:
        InputError: It did not open.
    """
    try:
        yield
    except Exception as error:
        # SQLAlchemy's message repeats the URL, with its password.
        scheme = storage.split("://", 1)[0]
        raise InputError(
            f"--storage: the {scheme} database cannot be opened: {_cause_of(error)}; expected "
            "an address that Optuna knows, such as sqlite:///studies.db or "
            "postgresql://user@host/name, or the path of a journal file"
        ) from None


def several_may_search(storage: str) -> bool:
    """Whether several searches may work on one study in this storage: it is PostgreSQL."""
    return storage.startswith(("postgresql:", "postgresql+"))


def with_driver(storage: str) -> str:
    """Returns an address of PostgreSQL that names the driver; any other as it is.

    Without one SQLAlchemy takes psycopg2, which the extra ``postgresql`` does not bring.
    """
    plain = "postgresql://"
    if not storage.startswith(plain):
        return storage
    older = find_spec("psycopg") is None and find_spec("psycopg2") is not None
    return f"postgresql+psycopg{'2' * older}://{storage.removeprefix(plain)}"


def connect_arguments(storage: str) -> dict[str, int]:
    """Returns what has a server that does not answer given up: seconds at first, a minute later."""
    known = with_driver(storage).startswith("postgresql+psycopg")
    return {"connect_timeout": CONNECT_SECONDS, **KEEPALIVES} if known else {}


def _cause_of(error: Exception) -> str:
    """Returns why a database does not open, in one line without its address."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return f"it {missing_package(cause.name)}"
        cause = cause.__cause__ or cause.__context__
    if own := _driver_says(error):
        return own
    if type(error).__name__ in ("NoSuchModuleError", "ValueError"):
        return "no such kind of database is known"
    return type(error).__name__


def _driver_says(error: BaseException) -> str:
    """Returns what a database's driver said, in one line; empty where none is behind an error.

    What SQLAlchemy and Optuna say of it repeats the address, or guesses.
    """
    cause: BaseException | None = error
    while cause is not None:
        own = getattr(cause, "orig", None)
        if own is not None:
            lines = str(own).strip().splitlines()
            return masked(lines[0])[:200] if lines else type(own).__name__
        cause = cause.__cause__ or cause.__context__
    return ""


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turns what a storage raises, whichever it is, into one line; without its address."""
    try:
        yield
    except Exception as error:
        import optuna

        databases = type(error).__module__.startswith("sqlalchemy")
        if not databases and not isinstance(
            error, OSError | optuna.exceptions.StorageInternalError
        ):
            raise
        lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
        reason = _driver_says(error) or (masked(lines[0])[:300] if lines else type(error).__name__)
        raise StorageError(
            f"Optuna's storage cannot be read or written ({reason}): what ended is kept; mend it, "
            "and the same command continues"
        ) from error


def is_shared(storage: str) -> bool:
    """Whether other machines may have this storage: a database that is a server."""
    return "://" in storage and not storage.startswith("sqlite")


def outbox_folder(storage: str, study: str, tracking_uri: str) -> Path:
    """Returns the folder for what waits for MLflow: beside the journal, or in the user's state.

    A search that continues the study with the same storage finds it.
    """
    key = hashlib.sha256(f"{_place(tracking_uri)}\n{study}".encode()).hexdigest()[:16]
    if "://" not in storage:
        return Path(f"{storage}.outbox") / key
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    place = hashlib.sha256(_place(storage).encode()).hexdigest()[:16]
    return Path(state) / "least-overfit" / place / key


def outboxes(folder: Path, living: Collection[str]) -> list[Path]:
    """Returns the folders of a study in which something may wait of searches that are gone.

    Args:
        folder: The study's own, :func:`outbox_folder`.
        living: Names of the searches of it that have a folder each (:func:`own_outbox`).
    """
    others = sorted(folder.parent.glob(f"{folder.name}-*"))
    taken = {own_outbox(folder, name) for name in living}
    return [folder, *(path for path in others if path not in taken)]


def own_outbox(folder: Path, search: str) -> Path:
    """Returns the folder of one of several searches of a study, beside the study's own."""
    return folder.with_name(f"{folder.name}-{re.sub(r'[^A-Za-z0-9.-]', '_', search)}")


def _place(address: str) -> str:
    """Returns an address without what may change while the place stays: who asks, a slash."""
    return re.sub(r"://[^/]*@", "://", address).rstrip("/")


def is_journal(path: Path) -> bool:
    """Whether Optuna may append to this file: it is new, empty, or begins as a journal does."""
    if not path.exists():
        return True
    if not path.is_file():  # a device or a pipe may have no end
        return False
    try:
        with path.open("rb") as file:
            first = file.readline(LONGEST_FIRST_LINE)
        # One that a power loss cut off in its first line is mended when it is opened.
        cut_off = first.startswith(b'{"op_code"') and not first.endswith(b"\n")
        return not first or cut_off or "op_code" in json.loads(first)
    except (OSError, ValueError, TypeError, RecursionError):
        return False


class Lock(Protocol):
    """Optuna's lock of a journal."""

    def acquire(self) -> bool:
        """Waits until nobody else has it."""

    def release(self) -> None:
        """Gives it back."""


class Unbroken:
    """A lock of a journal under which Ctrl-C breaks nothing off: what is written gets whole."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    def acquire(self) -> bool:
        """Waits until nobody else has it."""
        hold_back()
        try:
            return self._lock.acquire()
        except BaseException:
            let_go()
            raise

    def release(self) -> None:
        """Gives it back.

        Raises:
            KeyboardInterrupt: It was to be raised while the lock was held.
        """
        try:
            self._lock.release()
        finally:
            let_go()


def mend(path: Path, lock: Lock) -> int:
    """Cuts off what follows the last whole record; returns how many bytes that were.

    Args:
        path: The journal.
        lock: The one that Optuna appends under, so that a record that another process is writing
            is not taken for one that was cut off.
    """
    if not path.exists() or _whole(path) == path.stat().st_size:
        return 0
    lock.acquire()
    try:
        whole, size = _whole(path), path.stat().st_size
        if whole < size:
            os.truncate(path, whole)
        return size - whole
    finally:
        lock.release()


def _whole(path: Path) -> int:
    """Returns where the last whole record of a journal ends: each ends its line."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            begin = max(end - BLOCK, 0)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0


@contextmanager
def notices_off() -> Iterator[None]:
    """Keeps Optuna's notices off: what is experimental here is pinned by the lock file."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
