"""Keeps on disk what waits for MLflow: messages in their order, each whole or not there.

In: :class:`Message`s. Out: the same, after whatever killed this process. A message is a file of its
own, written under another name, flushed to the disk and renamed; the folder goes when it is empty.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import SpoolError, TrackingError
from pipeline.tracking.delivery.message import Message, pack, unpack

_SUFFIX, _UNFINISHED = ".entry", ".unfinished"


class Outbox:
    """A folder of messages; one process uses it at a time.

    Args:
        folder: Made at once, so that one that cannot be written is found before anything trains.

    Raises:
        SpoolError: It cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self._written("what waits for MLflow"):
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(f"*{_UNFINISHED}"):
                left.unlink()
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "the folder is read-only")
        self._next = max((int(path.stem) for path in self.waiting()), default=-1) + 1

    def put(self, message: Message, parent: str) -> Path:
        """Keeps a message; when this returns, it survives a power loss.

        Raises:
            SpoolError: The disk is full, or the folder gone or read-only.
        """
        path = self.folder / f"{self._next:010d}{_SUFFIX}"
        unfinished = path.with_suffix(_UNFINISHED)
        with self._written(message.action.removeprefix("finish ")):
            # Another search may have emptied it, and removed it, for one that it thought dead.
            self.folder.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                file.write(pack(message, parent))
                file.flush()
                os.fsync(file.fileno())
            self._next += 1
            unfinished.rename(path)
            flush(self.folder)
        return path

    def waiting(self) -> list[Path]:
        """Returns the files of the messages, in the order they were put."""
        return sorted(self.folder.glob(f"*{_SUFFIX}"))

    def read(self, path: Path) -> tuple[Message, str]:
        """Returns a message and the parent run that it belongs to.

        Raises:
            TrackingError: The file cannot be read back.
        """
        try:
            return unpack(path.read_bytes())
        except (OSError, TrackingError) as error:
            raise TrackingError(
                f"{path}, which waits for MLflow, cannot be read: {error}. Restore it, or remove "
                "it to give up what it holds"
            ) from error

    def remove(self, path: Path) -> None:
        """Forgets a message that was delivered."""
        with self._written("what waits for MLflow"):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Removes the folder, and the one above it that holds all of them, if nothing waits."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()
            self.folder.parent.rmdir()

    @contextlib.contextmanager
    def _written(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SpoolError(
                f"cannot keep {what} in {self.folder} ({error.strerror or error}): free space "
                "there, or make it writable; then the same command continues"
            ) from error


def flush(path: Path) -> None:
    """Writes a file, or a folder's own entries, through to the disk: a power loss leaves them."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
