"""What a child run is told, as one entry: it can wait on disk and be delivered twice.

An :class:`Entry` holds values, no connection. Whatever happens between two of its steps, delivering
it once more leaves the run as one delivery would: metrics carry their own time and step, tags,
params and files are replaced by themselves, and a run that is there is not made again.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO

from pipeline.errors import TrackingError

Point = tuple[str, float, int, int]
"""A metric: its key, its value, when (milliseconds since 1970) and its step."""
_HEADER = "entry.json"
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, KeyError, TypeError,
    RuntimeError,
)  # fmt: skip
"""What a changed archive makes its reader raise."""


@dataclass(frozen=True)
class Head:
    """What a child run is made of.

    Attributes:
        run_name: Its name.
        tags: Its first tags.
        params: Its hyperparameters, spelled.
        started: When the trial began, milliseconds since 1970.
    """

    run_name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    started: int


@dataclass(frozen=True)
class Entry:
    """One message to a child run.

    Attributes:
        number: The trial's.
        action: What it does, for messages: ``finish trial 3``.
        head: Makes the run where it is not there; None where there must be one.
        points: Metrics.
        tags: Tags.
        files: Files of the run, by name.
        dropped: Names of files that are deleted.
        status: MLflow's status of the run from now on; None leaves it.
        ended: When it ended, milliseconds since 1970; None for one that goes on.
    """

    number: int
    action: str
    head: Head | None = None
    points: tuple[Point, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    status: str | None = None
    ended: int | None = None


def pack(entry: Entry, parent: str) -> bytes:
    """Returns an entry and the parent run it belongs to as a zip archive."""
    head = entry.head
    header = {
        "parent": parent,
        "number": entry.number,
        "action": entry.action,
        "head": head and [head.run_name, dict(head.tags), dict(head.params), head.started],
        "points": entry.points,
        "tags": dict(entry.tags),
        "files": list(entry.files),
        "dropped": entry.dropped,
        "status": entry.status,
        "ended": entry.ended,
    }  # fmt: skip
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(_HEADER, json.dumps(header))
        for place, content in enumerate(entry.files.values()):
            archive.writestr(str(place), content)
    return packed.getvalue()


def unpack(packed: bytes) -> tuple[Entry, str]:
    """Returns what :func:`pack` was given.

    Raises:
        TrackingError: It was cut off or changed.
    """
    try:
        with zipfile.ZipFile(BytesIO(packed)) as archive:
            header = json.loads(archive.read(_HEADER))
            names, parent = header.pop("files"), header.pop("parent")
            files = {name: archive.read(str(place)) for place, name in enumerate(names)}
        head = header.pop("head")
        entry = Entry(
            **header | {
                "head": None if head is None else Head(*head),
                "points": tuple((key, *others) for key, *others in header["points"]),
                "dropped": tuple(header["dropped"]),
                "files": files,
            }
        )  # fmt: skip
    except _DAMAGE as error:
        raise TrackingError(f"it is damaged ({error})") from error
    return entry, str(parent)
