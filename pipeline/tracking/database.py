"""Says which file the address of a database means, and whether it answers within seconds.

In: an address of SQLAlchemy's, as MLflow and Optuna take them. Out: a path, an engine, or a
:class:`~pipeline.errors.TrackingError`. Asked before MLflow is, which would try a refused database
again for minutes, and make a missing one.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy

from pipeline.errors import InputError, TrackingError, missing_package
from pipeline.redaction import masked
from pipeline.tracking.address import tracking_address

FIRST_CONTACT_SECONDS = 10
ARTIFACTS_NAME = "mlartifacts"
SCHEMES = ("sqlite", "postgresql", "mysql", "mssql")
"""Databases that MLflow can keep a store in."""


def sqlite_path(uri: str) -> Path | None:
    """Returns the file of a SQLite database; None for other ones and for one in memory."""
    if not uri.startswith("sqlite"):
        return None
    database = sqlalchemy.make_url(uri).database
    return Path(database) if database and database != ":memory:" else None


def existing_store(tracking_uri: str | None = None) -> str:
    """Returns the address of the tracking store, which is there: reading must not create one.

    Raises:
        InputError: The SQLite file does not exist.
    """
    uri = tracking_address(tracking_uri)
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise InputError(
            f"there is no MLflow store {path}: call this in the folder of the search, or set "
            "MLFLOW_TRACKING_URI to the store that holds it"
        )
    return uri


def artifact_location(tracking_uri: str, experiment: str) -> str | None:
    """Returns a new experiment's folder for files: beside a SQLite file, else the store's own."""
    path = sqlite_path(tracking_uri)
    if path is None:
        return None
    folder = re.sub(r"[^\w.-]", "_", experiment)
    return (path.absolute().parent / ARTIFACTS_NAME / folder).as_uri()


def check_answers(uri: str) -> None:
    """Connects to a database once; makes the folder of a SQLite file where it is missing.

    Raises:
        TrackingError: A package is missing. Other errors are those of SQLAlchemy and sqlite3.
    """
    if uri.startswith("sqlite"):
        path = sqlite_path(uri)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA schema_version").fetchone()
        return
    server = engine(uri)
    try:
        server.connect().close()
    finally:
        server.dispose()


def engine(uri: str) -> sqlalchemy.Engine:
    """Returns SQLAlchemy's engine of a database server, which gives up within seconds.

    Raises:
        TrackingError: The Python package that speaks to this kind of database is not installed.
    """
    known = uri.startswith(("postgresql", "mysql"))
    timeout = {"connect_timeout": FIRST_CONTACT_SECONDS} if known else {}
    try:
        return sqlalchemy.create_engine(uri, connect_args=timeout)
    except ModuleNotFoundError as error:
        raise TrackingError(
            f"the database of {masked(uri)} {missing_package(str(error.name))}"
        ) from error
