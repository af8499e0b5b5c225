"""Lets one search at a time work on a study: two supervisors on one host would mix it up.

Searches that share a study (``shared_study``) hold the lock together, and keep any other one out.

In: a study and the addresses it is kept at (MLflow's store, Optuna's storage). Each pair is a file
in the system's temp folder that this process holds an advisory lock on. The kernel releases it
with the process, however that ends: what a killed search leaves behind blocks nobody.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from pipeline.errors import InputError

RELEASE_SECONDS, LOOK_SECONDS = 3.0, 0.05
"""So long a lock that is shared is tried to be had, and so often: one that releases it may have to
wait for a busy processor."""


@contextmanager
def study_locked(
    study: str,
    addresses: Iterable[str],
    command: str = "pipeline search",
    *,
    shared: bool = False,
) -> Iterator[None]:
    """Keeps a study to this process while the context lasts.

    Args:
        study: Its name.
        addresses: Where it is kept; a search that shares one of them is another one on this study.
        command: What runs; two different commands do not exclude each other.
        shared: Whether it may run beside others that share the study, too.

    Raises:
        InputError: Another search on this host has it; the message says which process.
    """
    with ExitStack() as held:
        for address in addresses:
            path = lock_path(f"{command} {study}", address)
            file = _locked_together(path) if shared else _locked(path, fcntl.LOCK_EX)
            if file is None:
                raise InputError(
                    f"another `{command}`{_holder(path)} is running study '{study}' on this "
                    "machine: wait until it ends, stop it with Ctrl-C, or give --study NAME to "
                    "start another study"
                )
            held.callback(_release, file, path)
        yield


def lock_path(study: str, address: str) -> Path:
    """Returns the lock file of a study at an address; its name tells neither."""
    key = hashlib.sha256(f"{_place(address)}\n{study}".encode()).hexdigest()[:24]
    return Path(tempfile.gettempdir()) / f"least-overfit-{os.getuid()}" / f"{key}.lock"


def _place(address: str) -> str:
    """Returns an address that does not depend on the working folder."""
    if "://" not in address:
        return str(Path(address).resolve())
    scheme, path = address.split("://", 1)
    if scheme.startswith("sqlite") and path.startswith("/"):
        return f"{scheme}://{Path(path[1:]).resolve()}"
    return address.rstrip("/")


def _locked_together(path: Path) -> IO[str] | None:
    """Returns the file, locked beside others that share it; None where one has it for itself.

    One that releases it has it for itself for an instant, in which it looks whether it is the last.
    """
    end = time.monotonic() + RELEASE_SECONDS
    while (file := _locked(path, fcntl.LOCK_SH)) is None and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
    return file


def _locked(path: Path, kind: int) -> IO[str] | None:
    """Returns the file, locked and with this process's id in it; None where another has it."""
    while True:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = path.open("a")
        except OSError as error:
            raise InputError(
                f"cannot lock the study in {path.parent} ({error.strerror}): make that folder "
                "yours and writable, or set TMPDIR to another one"
            ) from error
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        # The holder before may have removed the file between our opening and our locking it.
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                return file
        file.close()


def _release(file: IO[str], path: Path) -> None:
    with file, suppress(BlockingIOError):
        # Others that share it need the file.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)


def _holder(path: Path) -> str:
    """Returns which process holds a lock, in brackets; nothing where it is not known."""
    try:
        text = path.read_text()
    except OSError:
        return ""
    return f" (process {text})" if text.isdigit() else ""
