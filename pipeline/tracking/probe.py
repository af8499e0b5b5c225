"""Whether a tracking store or a database answers, found out without leaving anything behind.

In: an address. Out: what is there, in words, or a :class:`~pipeline.errors.TrackingError` that says
why not. MLflow itself would create a missing SQLite file, its tables and its folders.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import quote

import sqlalchemy

from pipeline.errors import TrackingError
from pipeline.redaction import masked
from pipeline.tracking.address import tracking_address
from pipeline.tracking.client import FIRST_CONTACT_SECONDS, reach, refusals, sqlite_path


def probe_store(tracking_uri: str | None = None) -> str:
    """Returns what a tracking store holds, in a few words.

    Raises:
        TrackingError: It does not answer, or is no store of MLflow's.
    """
    uri = tracking_address(tracking_uri)
    if uri.startswith(("http://", "https://")):
        with _readable(uri):
            reach(uri)
        return "answers"
    found = count_rows(uri, "experiments", "an MLflow store")
    return "not there yet: the first search makes it" if found is None else _number(found)


@contextmanager
def _readable(uri: str) -> Iterator[None]:
    """Turns what the parsers of addresses raise into a :class:`TrackingError`."""
    try:
        yield
    except ValueError as error:
        raise TrackingError(
            f"'{masked(uri)}' is no address of a database or server ({error}); expected such as "
            "sqlite:///FILE, postgresql://user@host/name or https://host:5000"
        ) from error


def _number(experiments: int) -> str:
    return f"answers, {experiments} experiment{'' if experiments == 1 else 's'}"


def count_rows(uri: str, table: str, what: str) -> int | None:
    """Returns the number of rows of a database's table; None where there is no table yet.

    Args:
        uri: Address of the database.
        table: A table that what we look for has; not from a user.
        what: What we look for, for the message.

    Raises:
        TrackingError: The database does not answer, or holds something else.
    """
    with _readable(uri), refusals(uri, "be reached (is it running, is the address right?)"):
        path = sqlite_path(uri)
        if path is None:
            return _count(uri, table, what)
        if not path.is_file() or path.stat().st_size == 0:
            return None
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            _check_tables(names, table, f"{path}", what)
            return int(database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])


def _count(uri: str, table: str, what: str) -> int | None:
    """The same over SQLAlchemy, for databases that are servers."""
    try:
        known = uri.startswith(("postgresql", "mysql"))
        timeout = {"connect_timeout": FIRST_CONTACT_SECONDS} if known else {}
        engine = sqlalchemy.create_engine(uri, connect_args=timeout)
    except (ModuleNotFoundError, sqlalchemy.exc.ArgumentError) as error:
        missing = getattr(error, "name", None)
        raise TrackingError(
            f"{masked(uri)} needs the Python package '{missing}': install it, for example with "
            f"`pip install {missing}`"
            if missing
            else f"'{masked(uri)}' is no address of a database, such as sqlite:///FILE or "
            "postgresql://user@host/name"
        ) from None
    try:
        with engine.connect() as database:
            names = set(sqlalchemy.inspect(database).get_table_names())
            if not names:
                return None
            _check_tables(names, table, masked(uri), what)
            return int(
                database.execute(sqlalchemy.text(f"SELECT COUNT(*) FROM {table}")).scalar() or 0
            )
    finally:
        engine.dispose()


def _check_tables(names: set[str], table: str, where: str, what: str) -> None:
    if table not in names:
        raise TrackingError(
            f"{where} is a database, but not {what}: it has no table '{table}' (MLflow and Optuna "
            "need a database each)"
        )
