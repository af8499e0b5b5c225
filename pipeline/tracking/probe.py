"""Says whether a tracking store or a database answers, and leaves nothing behind.

In: an address. Out: what is there, in words, or a :class:`~pipeline.errors.TrackingError` that says
why not. MLflow itself would create a missing SQLite file, its tables and its folders.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import sqlalchemy

from pipeline.errors import TrackingError
from pipeline.redaction import masked
from pipeline.tracking.address import tracking_address
from pipeline.tracking.client import FIRST_CONTACT, Client, translated_errors
from pipeline.tracking.database import engine, sqlite_path

MISSING = "not there yet: the first search makes it"


@dataclass(frozen=True)
class _Owner:
    """Whose database is looked for.

    Attributes:
        subject: Begins the message about one that does not answer.
        name: What the database is called.
        table: A table that it has, with a row per thing that is counted.
    """

    subject: str
    name: str
    table: str


_MLFLOW = _Owner("MLflow at", "an MLflow store", "experiments")
_OPTUNA = _Owner("Optuna's storage", "an Optuna storage", "studies")


def probe_store(tracking_uri: str | None = None) -> str:
    """Returns what a tracking store holds, in a few words.

    Raises:
        TrackingError: It does not answer, or is no store of MLflow's.
    """
    uri = tracking_address(tracking_uri)
    if uri.startswith(("http://", "https://")):
        with _valid_address(uri):
            Client.open(uri)
        return "answers"
    found = _count_rows(uri, _MLFLOW)
    if found is None:
        return MISSING
    return f"answers, {found} experiment{'' if found == 1 else 's'}"


def probe_storage(uri: str) -> str:
    """Returns what a database of Optuna's holds, in a few words.

    Raises:
        TrackingError: It does not answer, or is no storage of Optuna's.
    """
    found = _count_rows(uri, _OPTUNA)
    return MISSING if found is None else f"{found} {'study' if found == 1 else 'studies'}"


@contextmanager
def _valid_address(uri: str) -> Iterator[None]:
    """Turns what the parsers of addresses raise into a :class:`TrackingError`."""
    try:
        yield
    except ValueError as error:
        raise TrackingError(
            f"'{masked(uri)}' is no address of a database or server ({error}); expected such as "
            "sqlite:///FILE, postgresql://user@host/name or https://host:5000"
        ) from error


def _count_rows(uri: str, owner: _Owner) -> int | None:
    """Returns the number of rows of the owner's table; None where there is no table yet.

    Raises:
        TrackingError: The database does not answer, or holds something else.
    """
    with _valid_address(uri), translated_errors(uri, FIRST_CONTACT, owner.subject):
        path = sqlite_path(uri)
        if path is None:
            return _count_on_server(uri, owner)
        if not path.is_file() or path.stat().st_size == 0:
            return None
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            _check_tables(names, owner, f"{path}")
            return int(database.execute(f"SELECT COUNT(*) FROM {owner.table}").fetchone()[0])


def _count_on_server(uri: str, owner: _Owner) -> int | None:
    """The same over SQLAlchemy, for databases that are servers."""
    try:
        server = engine(uri)
    except sqlalchemy.exc.ArgumentError:
        raise TrackingError(
            f"'{masked(uri)}' is no address of a database, such as sqlite:///FILE or "
            "postgresql://user@host/name"
        ) from None
    try:
        with server.connect() as database:
            names = set(sqlalchemy.inspect(database).get_table_names())
            if not names:
                return None
            _check_tables(names, owner, masked(uri))
            counted = database.execute(sqlalchemy.text(f"SELECT COUNT(*) FROM {owner.table}"))
            return int(counted.scalar() or 0)
    finally:
        server.dispose()


def _check_tables(names: set[str], owner: _Owner, where: str) -> None:
    if owner.table not in names:
        raise TrackingError(
            f"{where} is a database, but not {owner.name}: it has no table '{owner.table}' (MLflow "
            "and Optuna need a database each)"
        )
