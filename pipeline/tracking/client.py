"""Where the tracking store is, whether it answers, and how its refusals read.

In: an address or None. Out: an ``MlflowClient`` that has answered once. Every later failure goes
through :func:`refusals`, which makes it one line without credentials.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import AddressError, TrackingError
from pipeline.redaction import masked

FIRST_CONTACT_SECONDS = 10
ARTIFACTS_NAME = "mlartifacts"
_REMOTE = ("http", "https", "databricks", "databricks-uc")
_LASTING = (
    "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS",
    "PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "INVALID_STATE",
    "NOT_IMPLEMENTED", "MALFORMED_REQUEST",
)  # fmt: skip
"""Error codes of MLflow that mean no. Not among them: BAD_REQUEST, into which it makes a database's
lost connection, and ENDPOINT_NOT_FOUND, a proxy's 404 while the server behind it restarts."""
_REFUSED_STATUS = re.compile(r"failed with error code (401|403|413|414|431)\b")
"""How MLflow's client words what a proxy says in its own page: the request will never pass it."""
_PASSING_STATUS = (408, 425, 429)
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


@contextmanager
def refusals(tracking_uri: str, action: str) -> Iterator[None]:
    """Turns whatever MLflow raises inside into a one-line :class:`TrackingError`."""
    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, OSError, sqlite3.Error) as error:
        message = f"MLflow at {masked(tracking_uri)} could not {action}: {_reason(error)}"
        raise TrackingError(message) from error


def _reason(error: Exception) -> str:
    """Returns an error's first line, or the innermost cause that it quotes."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    cause = lines[0].rpartition("(Caused by ")[2]
    return masked(cause)[:500]


def is_lasting(error: TrackingError) -> bool:
    """Whether asking again will not help: the store answered, and its answer is no.

    Anything else, such as a lost connection, a server's 5xx or a locked database, may pass.
    """
    cause = error.__cause__
    if cause is None or isinstance(cause, TrackingError):
        return True
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if status is not None and 400 <= status < 500 and status not in _PASSING_STATUS:
        return True
    refused = _REFUSED_STATUS.search(str(cause))
    return refused is not None or getattr(cause, "error_code", None) in _LASTING


def reach(tracking_uri: str) -> MlflowClient:
    """Returns a client of the store, after one question that it answered.

    Raises:
        AddressError: It is of no known kind, or no address at all.
        TrackingError: It does not answer within seconds.
    """
    scheme = tracking_uri.split(":", 1)[0].split("+", 1)[0]
    if scheme not in (*_REMOTE, *_DATABASES):
        raise AddressError(
            f"'{masked(tracking_uri)}' is no tracking store that this MLflow can write: expected "
            "sqlite:///FILE, postgresql://..., mysql://... or http(s)://HOST:PORT. Set "
            "MLFLOW_TRACKING_URI, or unset it to use SQLite in the working folder"
        )
    try:
        with refusals(tracking_uri, "be reached (is it running, is the address right?)"):
            if scheme in _DATABASES:
                _probe_database(tracking_uri)
            with requests_tried(0, FIRST_CONTACT_SECONDS):
                registry = _registry(tracking_uri)
                client = MlflowClient(tracking_uri=tracking_uri, registry_uri=registry)
                client.search_experiments(max_results=1)
    except ValueError as error:
        raise AddressError(
            f"'{masked(tracking_uri)}' is no address ({masked(str(error))[:200]}): expected "
            "sqlite:///FILE, postgresql://..., mysql://... or http(s)://HOST:PORT in "
            "MLFLOW_TRACKING_URI"
        ) from error
    return client


def _registry(tracking_uri: str) -> str:
    """Returns the address of the model registry: MLFLOW_REGISTRY_URI, else the tracking store."""
    return os.environ.get("MLFLOW_REGISTRY_URI") or tracking_uri


def _probe_database(tracking_uri: str) -> None:
    """Connects once and at once: MLflow would retry a refused database for minutes."""
    if tracking_uri.startswith("sqlite"):
        path = sqlite_path(tracking_uri)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path)
            try:
                connection.execute("PRAGMA schema_version").fetchone()
            finally:
                connection.close()
        return
    known = tracking_uri.startswith(("postgresql", "mysql"))
    timeout = {"connect_timeout": FIRST_CONTACT_SECONDS} if known else {}
    try:
        engine = sqlalchemy.create_engine(tracking_uri, connect_args=timeout)
    except ModuleNotFoundError as error:
        raise TrackingError(
            f"the database of {masked(tracking_uri)} needs the Python package '{error.name}': "
            f"install it, for example with `pip install {error.name}`"
        ) from error
    try:
        engine.connect().close()
    finally:
        engine.dispose()


@contextmanager
def requests_tried(again: int, timeout_seconds: int) -> Iterator[None]:
    """Keeps MLflow from retrying for minutes a server that is not there.

    Args:
        again: How often a request is repeated.
        timeout_seconds: How long an answer may take.
    """
    settings = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(again),
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_seconds),
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def sqlite_path(tracking_uri: str) -> Path | None:
    """Returns the file of a SQLite store; None for other stores and for one in memory."""
    if not tracking_uri.startswith("sqlite"):
        return None
    database = sqlalchemy.make_url(tracking_uri).database
    return Path(database) if database and database != ":memory:" else None


def artifact_location(tracking_uri: str, experiment: str) -> str | None:
    """Returns a new experiment's folder for files: beside a SQLite file, else the store's own."""
    path = sqlite_path(tracking_uri)
    if path is None:
        return None
    folder = re.sub(r"[^\w.-]", "_", experiment)
    return (path.absolute().parent / ARTIFACTS_NAME / folder).as_uri()
