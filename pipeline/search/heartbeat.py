"""Keeps a study to one search, whichever machine it runs on: a sign of life in the study itself.

On PostgreSQL several searches share a study: ``membership`` has a sign of life of each.

In: Optuna's study. Its attribute ``search`` names the process that searches, and when it was last
alive; it is written anew now and then and taken away at the end. On one machine ``study_lock`` is
at once; between machines that share a storage, what a killed search leaves behind counts until it
is :data:`STALE_SECONDS` old. Clocks have to agree within minutes.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from pipeline.errors import InputError, PipelineError, StorageError
from pipeline.formatting import duration
from pipeline.search.storage import storage_errors

ATTRIBUTE = "search"
BEAT_SECONDS, STALE_SECONDS = 30.0, 300.0
SETTLE_SECONDS = 0.5
"""Between writing and reading again: of two that start together, the one who wrote last goes on."""


class Heartbeat:
    """This process's sign of life in a study.

    Args:
        study: Optuna's.
        shared: Whether other machines may have the storage.

    Raises:
        InputError: Another search is alive there.
    """

    def __init__(self, study: Any, *, shared: bool) -> None:
        self._study, self._token = study, uuid.uuid4().hex
        other = study.user_attrs.get(ATTRIBUTE)
        if alive(other):
            raise InputError(refusal(study.study_name, other))
        self._write()
        if shared:
            time.sleep(SETTLE_SECONDS)
            other = study.user_attrs.get(ATTRIBUTE)
            if not self._is_own(other) and alive(other):
                raise InputError(refusal(study.study_name, other))

    def beat(self) -> None:
        """Gives a sign of life, if the last one is some time ago.

        Raises:
            PipelineError: Another search has the study by now: this process was asleep too long.
        """
        if time.monotonic() - self._written < BEAT_SECONDS:
            return
        with storage_errors():
            other = self._study.user_attrs.get(ATTRIBUTE)
        if not self._is_own(other) and alive(other):
            raise PipelineError(
                f"{place_of(other)} has taken study '{self._study.study_name}' over while this "
                "search gave no sign of life: what ended is kept; this one stops"
            )
        with storage_errors():
            self._write()

    def end(self) -> None:
        """Gives the study free."""
        if self._is_own(self._study.user_attrs.get(ATTRIBUTE)):
            self._study.set_user_attr(ATTRIBUTE, None)

    def _is_own(self, entry: Any) -> bool:
        return isinstance(entry, dict) and entry.get("token") == self._token

    def _write(self) -> None:
        self._written = time.monotonic()
        self._study.set_user_attr(ATTRIBUTE, sign_of_life(self._token))


def sign_of_life(token: str) -> dict[str, Any]:
    """Returns what says of this process where it runs and that it is alive now."""
    own = psutil.Process()
    return {
        "token": token,
        "host": socket.gethostname(),
        "machine": machine(),
        "process": own.pid,
        "started": own.create_time(),
        "alive_at": time.time(),
    }


@contextmanager
def held(study: Any, *, shared: bool) -> Iterator[Heartbeat]:
    """Yields this process's sign of life in a study, which is taken away at the end.

    Raises:
        InputError: Another search is alive there.
        StorageError: The storage cannot be read or written.
    """
    with storage_errors():
        mine = Heartbeat(study, shared=shared)
    try:
        yield mine
    except StorageError:
        # Nothing may be written behind a write that failed.
        raise
    except BaseException:
        with suppress(StorageError), storage_errors():
            mine.end()
        raise
    with storage_errors():
        mine.end()


def alive(entry: Any) -> bool:
    """Whether the process of an entry may still run; one of this machine is looked for."""
    try:
        if is_here(entry):
            pid = int(entry["process"])
            # Within one process it is the lock of the study that keeps two searches apart.
            return pid != os.getpid() and _started(pid) == float(entry["started"])
        return is_fresh(entry)
    except (TypeError, KeyError, ValueError):
        return False


def is_here(entry: Any) -> bool:
    """Whether the process of an entry is one of this machine."""
    return bool(entry["machine"] == machine())


def is_fresh(entry: Any) -> bool:
    """Whether the sign of life of an entry is not too old."""
    return time.time() - float(entry["alive_at"]) < STALE_SECONDS


def process_exists(pid: int) -> bool:
    """Whether a process of this machine runs; one that ended and was not asked does not."""
    return _started(pid) is not None


def refusal(study: str, entry: Any) -> str:
    """Returns the message to a second search."""
    ago = max(time.time() - float(entry["alive_at"]), 0.0)
    return (
        f"{place_of(entry)} is running study '{study}' in this storage, last sign of life "
        f"{duration(ago)} ago: wait until it ends, or give --study NAME to start another study. If "
        f"it was killed, the study is free {duration(STALE_SECONDS)} after its last sign of life"
    )


def place_of(entry: Any) -> str:
    """Returns which search an entry belongs to, in words."""
    return f"another `pipeline search` (host {entry['host']}, process {entry['process']})"


def machine() -> str:
    """Returns what tells machines apart, and containers that do not see each other's processes."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()} {uuid.getnode():x} {namespace}"


def _started(pid: int) -> float | None:
    """Returns when a process started; None where there is none, or it ended and was not asked."""
    try:
        process = psutil.Process(pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        return None if ended else float(process.create_time())
    except psutil.Error:
        return None
