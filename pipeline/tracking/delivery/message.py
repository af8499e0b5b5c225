"""Holds one message to a child run: values that can wait on disk and be delivered twice.

A :class:`Message` holds no connection. Whatever happens between two of its steps, delivering it
once more leaves the run as one delivery would: metrics carry their own time and step; tags, params
and files are replaced by themselves; a run that is there is not made again.
"""

from __future__ import annotations

import json
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Protocol

from pipeline.errors import TrackingError

Point = tuple[str, float, int, int]
"""A metric: its key, its value, when (milliseconds since 1970) and its step."""
PATIENCE_SECONDS = 60.0
"""How long the end of a search waits for a store that does not answer."""
_HEADER = "entry.json"
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, KeyError, TypeError,
    RuntimeError,
)  # fmt: skip
"""What a changed archive makes its reader raise."""


@dataclass(frozen=True)
class NewRun:
    """What a child run is made of.

    Attributes:
        run_name: Its name.
        tags: Its first tags.
        params: Its hyperparameters, as text.
        started: When the trial began, milliseconds since 1970.
    """

    run_name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    started: int


@dataclass(frozen=True)
class Message:
    """What a child run is to log.

    Attributes:
        number: The trial's.
        action: What it does, for messages: ``finish trial 3``.
        new_run: Makes the run where it is not there; None where there must be one.
        points: Metrics.
        tags: Tags.
        files: Files of the run, by name.
        dropped: Names of files that are deleted.
        status: MLflow's status of the run from now on; None leaves it.
        ended: When it ended, milliseconds since 1970; None for one that goes on.
    """

    number: int
    action: str
    new_run: NewRun | None = None
    points: tuple[Point, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    status: str | None = None
    ended: int | None = None


@dataclass(eq=False)
class Parcel:
    """A message on its way.

    Attributes:
        message: What is delivered; None for one that is read from ``path``, to hold no memory.
        path: Its file in the outbox.
        number: The trial's.
        delivered: Whether the store has it, or nobody needs it any more.
    """

    message: Message | None
    path: Path | None
    number: int
    delivered: bool = False


class Channel(Protocol):
    """Where messages are put."""

    def put(self, message: Message, *, durable: bool = False) -> Parcel:
        """Takes a message; one that is durable survives this process."""

    def drain(self, patience: float = PATIENCE_SECONDS) -> None:
        """Returns when everything was delivered."""

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Gives what was put a moment to be delivered."""

    @property
    def unreachable(self) -> bool:
        """Whether the store does not answer now."""


def now() -> int:
    """Returns the time as MLflow counts it: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def points(values: Mapping[str, float], step: int) -> list[Point]:
    """Returns metrics of these values, now."""
    when = now()
    return [(key, float(value), when, step) for key, value in values.items()]


def pack(message: Message, parent: str) -> bytes:
    """Returns a message and the parent run it belongs to as a zip archive."""
    new = message.new_run
    # These keys are those of every outbox that an older version left behind.
    header = {
        "parent": parent,
        "number": message.number,
        "action": message.action,
        "head": new and [new.run_name, dict(new.tags), dict(new.params), new.started],
        "points": message.points,
        "tags": dict(message.tags),
        "files": list(message.files),
        "dropped": message.dropped,
        "status": message.status,
        "ended": message.ended,
    }  # fmt: skip
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(_HEADER, json.dumps(header))
        for place, content in enumerate(message.files.values()):
            archive.writestr(str(place), content)
    return packed.getvalue()


def unpack(packed: bytes) -> tuple[Message, str]:
    """Returns what :func:`pack` was given.

    Raises:
        TrackingError: It was cut off or changed.
    """
    try:
        with zipfile.ZipFile(BytesIO(packed)) as archive:
            header = json.loads(archive.read(_HEADER))
            names, parent = header.pop("files"), header.pop("parent")
            files = {name: archive.read(str(place)) for place, name in enumerate(names)}
        new = header.pop("head")
        message = Message(
            **header | {
                "new_run": None if new is None else NewRun(*new),
                "points": tuple((key, *others) for key, *others in header["points"]),
                "dropped": tuple(header["dropped"]),
                "files": files,
            }
        )  # fmt: skip
    except _DAMAGE as error:
        raise TrackingError(f"it is damaged ({error})") from error
    return message, str(parent)
