"""Lists the studies of a SQLite store without MLflow, fast, for completion in a shell."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_QUERY = """
SELECT DISTINCT study.value FROM runs
JOIN tags AS study ON study.run_uuid = runs.run_uuid AND study.key = 'study'
JOIN tags AS role ON role.run_uuid = runs.run_uuid AND role.key = 'role'
WHERE role.value = 'study' AND runs.lifecycle_stage = 'active' ORDER BY study.value
"""


def studies_in_store(address: str) -> list[str]:
    """Returns the names of the studies in a SQLite store; none of a server or no file.

    Args:
        address: MLflow's address of the store.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    path = Path(address.removeprefix("sqlite:///"))
    if not address.startswith("sqlite:///") or not path.is_file():
        return []
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        return [str(name) for (name,) in database.execute(_QUERY)]
