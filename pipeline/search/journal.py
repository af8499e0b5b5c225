"""Mends a journal of Optuna's whose last line was cut off by a power loss or a full disk.

Optuna appends to whatever is there: the next record would join the unfinished one, and the file
could not be read any more.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

BLOCK = 2**16


class Lock(Protocol):
    """Optuna's lock of a journal."""

    def acquire(self) -> bool:
        """Waits until nobody else has it."""

    def release(self) -> None:
        """Gives it back."""


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
