"""Checks a ``.keras`` file before Keras opens it: nothing in it may be code or a trap.

In: a path. Out: nothing, or an :class:`~pipeline.errors.InputError` that says what is wrong.
Keras's safe mode refuses code as well; this comes before it, needs no Keras, and refuses what safe
mode lets pass: members that lead elsewhere, sizes that are only announced, layers that read files.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.datasets.limits import available_bytes
from pipeline.errors import InputError

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
"""What an archive of Keras's own layers holds."""
MOST_CONFIG_BYTES = 16 * 2**20
MOST_EXPANSION = 100
"""A member's size over what it takes in the archive; Keras does not compress."""
RUN_CODE = {
    "__lambda__", "Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer",
}  # fmt: skip
"""Of Keras's own, those that run code that the configuration names."""
READ_FILES = {"StringLookup", "IntegerLookup", "TextVectorization"}
"""Of Keras's own, those that read a file where their vocabulary is the name of one."""


def check_archive(file: Path, address: str) -> None:
    """Checks that a file is an archive of Keras's own layers and no larger than it says.

    Args:
        file: The file.
        address: What the user called it, for the message.

    Raises:
        InputError: It is not.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _check_members(archive.infolist(), address)
            config = json.loads(archive.read("config.json"))
        for described in _objects(config):
            _check_object(described, address)
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, NotImplementedError) as error:
        raise _invalid(address, f"{type(error).__name__}: {error}"[:200]) from error


def _check_members(members: list[zipfile.ZipInfo], address: str) -> None:
    names = [member.filename for member in members]
    if other := [name for name in names if name not in MEMBERS]:
        raise _invalid(address, f"it holds {ascii(other[0])[:80]}, which no model of layers does")
    if len(names) != len(set(names)) or not {"config.json", "model.weights.h5"} <= set(names):
        raise _invalid(address, "config.json and model.weights.h5 have to be in it, each once")
    limit = available_bytes()
    for member in members:
        most = MOST_CONFIG_BYTES if member.filename.endswith(".json") else limit
        packed = max(member.compress_size, 2**10)
        if member.file_size > most or member.file_size > MOST_EXPANSION * packed:
            raise _invalid(
                address, f"its {member.filename} unpacks to {member.file_size / 2**20:,.1f} MiB"
            )


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yields what a configuration has Keras make: every entry that names a class or a function."""
    waiting = [config]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, dict):
            waiting += entry.values()
            if "class_name" in entry:
                yield entry
        elif isinstance(entry, list):
            waiting += entry


def _check_object(described: dict[str, Any], address: str) -> None:
    """Refuses what is not Keras's own; those without a module are plain values of Keras's."""
    name, module = str(described["class_name"]), described.get("module")
    registered = described.get("registered_name")
    foreign = module is not None and str(module).split(".")[0] not in ("keras", "builtins")
    packaged = isinstance(registered, str) and ">" in registered
    if name in RUN_CODE or foreign or packaged or (name in READ_FILES and not _knows(described)):
        shown = ascii(registered if packaged else name)[:80]
        raise _invalid(address, f"{shown} in it is code of its own, or loads some")


def _knows(lookup: dict[str, Any]) -> bool:
    """Whether the words of a layer that looks them up are in its configuration, as a list."""
    config = lookup.get("config")
    words = config.get("vocabulary") if isinstance(config, dict) else None
    return isinstance(words, list) and all(isinstance(word, str | int) for word in words)


def _invalid(address: str, reason: str) -> InputError:
    return InputError(
        f"{address} cannot be read as a Keras model ({reason}); expected one of Keras's own "
        "layers, saved by model.save('x.keras') with Keras 3"
    )
