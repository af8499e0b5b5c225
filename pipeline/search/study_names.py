"""Lists the studies of Optuna's storage without Optuna, fast, for completion in a shell."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from pipeline.search.storage import DEFAULT_STORAGE

_CREATED, _DELETED = b'{"op_code":0,', b'{"op_code":1,'
"""How a journal's lines begin that create a study or delete one."""


def studies_in_storage(storage: str | None) -> list[str]:
    """Returns the names of the studies in a journal or a SQLite file; none of a server or no file.

    Args:
        storage: Its address; None for ``studies.journal``.

    Raises:
        OSError, ValueError, sqlite3.Error: It cannot be read.
    """
    address = storage or DEFAULT_STORAGE
    if address.startswith("sqlite:///"):
        return _in_database(Path(address.removeprefix("sqlite:///")))
    path = Path(address)
    return _in_journal(path) if "://" not in address and path.is_file() else []


def _in_database(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT study_name FROM studies ORDER BY study_id")
        return [str(name) for (name,) in rows]


def _in_journal(path: Path) -> list[str]:
    """Returns the names in a journal; an id is the place in the order of creation."""
    names: dict[int, str] = {}
    created = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):  # it was cut off
                break
            if line.startswith(_CREATED):
                names[created] = str(json.loads(line)["study_name"])
                created += 1
            elif line.startswith(_DELETED):
                names.pop(int(json.loads(line)["study_id"]), None)
    return list(names.values())
