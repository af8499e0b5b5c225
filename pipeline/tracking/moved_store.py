"""Follows a SQLite store whose folder was moved or copied: MLflow keeps absolute paths of files.

In: the database. Out: the same, its paths leading into the folder it is in now, where the files of
its runs are there. MLflow has no command for it; its columns with paths are :data:`COLUMNS`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.tracking.database import ARTIFACTS_NAME, sqlite_path

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
FOLDERS = (ARTIFACTS_NAME, "mlruns")
"""Where files lie beside the database: ours, and those of the runs that ``mlflow run`` makes."""
LOOKED_AT = 50
"""Newest runs of a root whose folders are looked for."""


def follow(tracking_uri: str) -> Path | None:
    """Makes a moved store's paths lead to where it is now; returns where it was, None if nowhere.

    Nothing is changed where files of a run are still found only in the old place.
    """
    database = sqlite_path(tracking_uri)
    if database is None or not database.is_file() or database.stat().st_size == 0:
        return None
    here = database.absolute().parent
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        if not _has_tables(connection):
            return None
        addresses = [
            row[0] for row in connection.execute("SELECT artifact_location FROM experiments")
        ]
        moved = None
        for root in dict.fromkeys(root for address in addresses if (root := root_of(address))):
            if _is_here(root, here) or not _files_moved(connection, root, here):
                continue
            with connection:
                _replace(connection, root, here)
            moved = root
    return moved


def local_path(address: str) -> Path | None:
    """Returns the path of a local address of files; None for another one."""
    if address.startswith("file:"):
        return Path(unquote(urlsplit(address).path))
    return Path(address) if address.startswith("/") else None


def root_of(address: str) -> Path | None:
    """Returns the folder that held the store when this address of files was made; None if none."""
    path = local_path(address)
    if path is None:
        return None
    for folder in (path, *path.parents):
        if folder.name in FOLDERS:
            return folder.parent
    return None


def _has_tables(connection: sqlite3.Connection) -> bool:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    return {table for table, _ in COLUMNS} <= names


def _is_here(root: Path, here: Path) -> bool:
    try:
        return root == here or root.samefile(here)
    except OSError:
        return False


def _files_moved(connection: sqlite3.Connection, root: Path, here: Path) -> bool:
    """Whether files of runs of this root are here, and none are in the old place alone."""
    found = False
    for path in _run_folders(connection, root):
        is_here = (here / path.relative_to(root)).exists()
        if path.exists() and not is_here:
            return False
        found = found or is_here
    return found


def _run_folders(connection: sqlite3.Connection, root: Path) -> Iterator[Path]:
    rows = connection.execute("SELECT artifact_uri FROM runs ORDER BY start_time DESC")
    below = (address for (address,) in rows if address and root_of(address) == root)
    for _, address in zip(range(LOOKED_AT), below, strict=False):
        path = local_path(address)
        if path is not None:
            yield path


def _replace(connection: sqlite3.Connection, root: Path, here: Path) -> None:
    for table, column in COLUMNS:
        for old, new in ((root.as_uri(), here.as_uri()), (str(root), str(here))):
            for folder in FOLDERS:
                start = f"{old}/{folder}/"
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                    f" WHERE substr({column}, 1, ?) = ?",
                    (f"{new}/{folder}/", len(start) + 1, len(start), start),
                )
