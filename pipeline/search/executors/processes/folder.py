"""Keeps the temporary folder of a supervisor's workers; one that was left behind is removed."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from pathlib import Path

PREFIX = "least-overfit-workers-"
IN_USE = "in-use"
"""A file in it that the supervisor holds a lock on, for as long as it lives."""


class WorkersFolder:
    """A folder that exists until :meth:`close`, or until :func:`sweep` finds its owner dead."""

    def __init__(self) -> None:
        sweep()
        self._folder = tempfile.TemporaryDirectory(prefix=PREFIX)
        # Locked before others can find it by its name: they would take it for a dead one's.
        new = Path(self._folder.name) / "new"
        self._in_use = new.open("w")
        fcntl.flock(self._in_use, fcntl.LOCK_EX)
        new.rename(new.with_name(IN_USE))
        self._count = 0

    def new(self) -> Path:
        """Returns an empty folder for one more worker."""
        self._count += 1
        folder = Path(self._folder.name) / f"worker-{self._count}"
        folder.mkdir()
        return folder

    def close(self) -> None:
        """Removes it and all that is in it."""
        self._in_use.close()
        self._folder.cleanup()


def sweep() -> None:
    """Removes the temporary folders of supervisors that were killed."""
    for file in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{IN_USE}"):
        with contextlib.suppress(OSError), file.open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(file.parent, ignore_errors=True)
