"""Wraps MLflow's client: whatever MLflow raises becomes a ``TrackingError`` here, and only here.

In: an address. Out: a :class:`Client` that has answered once. It has MLflow's own methods
(``get_run``, ``log_batch``, ...) and a few for files. A failed call says what was being done
(:meth:`Client.doing`) in one line without credentials.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException
from sqlalchemy.exc import SQLAlchemyError

from pipeline.environment import variables_set
from pipeline.errors import AddressError, TrackingError
from pipeline.redaction import masked
from pipeline.tracking import artifacts
from pipeline.tracking.database import FIRST_CONTACT_SECONDS, SCHEMES, check_answers
from pipeline.tracking.delivery.message import Point
from pipeline.tracking.moved_store import follow

FIRST_CONTACT = "be reached (is it running, is the address right?)"
MAX_METRICS = 1_000
MAX_PARAMS = 100
MAX_ENTITIES = 1_000
"""What MLflow takes in one batch: of metrics, of params, of all together."""
_REMOTE = ("http", "https", "databricks", "databricks-uc")
_EXPECTED = "expected sqlite:///FILE, postgresql://..., mysql://... or http(s)://HOST:PORT"
_PERMANENT = (
    "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS",
    "PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "INVALID_STATE",
    "NOT_IMPLEMENTED", "MALFORMED_REQUEST",
)  # fmt: skip
"""Error codes of MLflow that mean no. Not among them: BAD_REQUEST, into which it makes a database's
lost connection, and ENDPOINT_NOT_FOUND, a proxy's 404 while the server behind it restarts."""
_PERMANENT_STATUS = re.compile(r"failed with error code (401|403|413|414|431)\b")
"""How MLflow's client words what a proxy says in its own page: the request will never pass it."""
_NO_ENTRY = {
    "UNAUTHENTICATED": "401, wrong name or password",
    "CUSTOMER_UNAUTHORIZED": "401, wrong name or password",
    "PERMISSION_DENIED": "403, not allowed",
}
_PASSING_STATUS = (408, 425, 429)

Transport = Callable[..., Any]
"""Makes the calls: takes a function of MLflow's and its arguments, returns what it returns."""


def call_directly(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Calls MLflow: the transport of every client but a test's."""
    return function(*arguments, **named)


class Client:
    """MLflow's client of one store, with every error of MLflow's translated.

    All methods of ``mlflow.MlflowClient`` are methods of this one; :meth:`call` makes other calls
    of MLflow's in the same way.

    Args:
        mlflow_client: MLflow's own.
        transport: Makes the calls. A test's may look at each, raise, or answer in MLflow's place.
        action: What the calls are for, for messages: ``could not ACTION``.

    Attributes:
        moved_from: Where the store's folder was when it was written last, if it was moved since.
    """

    def __init__(
        self,
        mlflow_client: MlflowClient,
        transport: Transport = call_directly,
        action: str = "answer",
    ) -> None:
        self._client, self._transport, self._action = mlflow_client, transport, action
        self.tracking_uri: str = mlflow_client.tracking_uri
        self.moved_from: Path | None = None

    @classmethod
    def open(cls, tracking_uri: str, transport: Transport = call_directly) -> Self:
        """Returns a client of a store that has answered one question.

        Raises:
            AddressError: It is of no known kind, or no address at all.
            TrackingError: It does not answer within seconds.
        """
        scheme = tracking_uri.split(":", 1)[0].split("+", 1)[0]
        if scheme not in (*_REMOTE, *SCHEMES):
            raise AddressError(
                f"'{masked(tracking_uri)}' is no tracking store that this MLflow can write: "
                f"{_EXPECTED}. Set MLFLOW_TRACKING_URI, or unset it to use SQLite in the working "
                "folder"
            )
        try:
            with translated_errors(tracking_uri, FIRST_CONTACT):
                if scheme in SCHEMES:
                    check_answers(tracking_uri)
                moved_from = follow(tracking_uri)
                with request_limits(0, FIRST_CONTACT_SECONDS):
                    registry = os.environ.get("MLFLOW_REGISTRY_URI") or tracking_uri
                    made = MlflowClient(tracking_uri=tracking_uri, registry_uri=registry)
                    transport(made.search_experiments, max_results=1)
        except TrackingError as error:
            if error_code(error) in _NO_ENTRY:
                raise TrackingError(
                    f"MLflow at {masked(tracking_uri)} does not let this user in "
                    f"({_NO_ENTRY[error_code(error)]}): set MLFLOW_TRACKING_USERNAME and "
                    "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to what the server knows"
                ) from error.__cause__
            raise
        except ValueError as error:
            raise AddressError(
                f"'{masked(tracking_uri)}' is no address ({masked(str(error))[:200]}): {_EXPECTED} "
                "in MLFLOW_TRACKING_URI"
            ) from error
        opened = cls(made, transport)
        opened.moved_from = moved_from
        return opened

    @property
    def address(self) -> str:
        """The store's address without credentials."""
        return masked(self.tracking_uri)

    def doing(self, action: str) -> Client:
        """Returns the same client, whose errors say that it ``could not ACTION``."""
        return Client(self._client, self._transport, action)

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Returns what a function of MLflow's returns.

        Raises:
            TrackingError: It failed; the cause is MLflow's error.
        """
        with translated_errors(self.tracking_uri, self._action):
            return self._transport(function, *arguments, **named)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Gives a method of MLflow's client."""
        if name.startswith("_"):  # not set yet, or a protocol such as copy's
            raise AttributeError(name)
        return partial(self.call, getattr(self._client, name))

    def log_in_batches(
        self,
        run_id: str,
        points: Sequence[Point] = (),
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        """Logs all of it in as few calls as MLflow's limits allow; tags go with the last."""
        named = [RunTag(key, str(value)) for key, value in (tags or {}).items()]
        entries = [Param(key, value) for key, value in (params or {}).items()]
        while len(entries) > MAX_PARAMS:
            self.log_batch(run_id, params=entries[:MAX_PARAMS])
            entries = entries[MAX_PARAMS:]
        size = MAX_ENTITIES - len(named) - len(entries)
        values = [Metric(*point) for point in points]
        while len(values) > size:
            self.log_batch(run_id, metrics=values[:MAX_METRICS])
            values = values[MAX_METRICS:]
        if values or named or entries:
            self.log_batch(run_id, metrics=values, tags=named, params=entries)

    def write_artifacts(self, artifact_uri: str, files: Mapping[str, str | bytes]) -> None:
        """Writes files of a run, given its artifact address; existing ones are replaced."""
        self.call(artifacts.write, artifact_uri, self.tracking_uri, files)

    def read_artifact(self, artifact_uri: str, name: str) -> bytes | None:
        """Returns a file of a run; None where there is none."""
        content: bytes | None = self.call(artifacts.read, artifact_uri, self.tracking_uri, name)
        return content

    def delete_artifact(self, artifact_uri: str, name: str) -> None:
        """Deletes a file of a run; one that is not there is no error."""
        self.call(artifacts.delete, artifact_uri, self.tracking_uri, name)

    def artifact_names(self, artifact_uri: str, folder: str | None = None) -> list[str]:
        """Returns the paths of the files in a folder of a run, not those in its subfolders."""
        return list(self.call(artifacts.names, artifact_uri, self.tracking_uri, folder))


@contextmanager
def translated_errors(uri: str, action: str, subject: str = "MLflow at") -> Iterator[None]:
    """Turns whatever MLflow or a database raises inside into a one-line ``TrackingError``."""
    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, OSError, sqlite3.Error) as error:
        message = f"{subject} {masked(uri)} could not {action}: {_reason(error)}"
        raise TrackingError(message) from error


def _reason(error: Exception) -> str:
    """Returns an error's first line, or the innermost cause that it quotes."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    cause = lines[0].rpartition("(Caused by ")[2]
    return masked(cause)[:500]


def as_tracking_error(error: Exception, address: str) -> TrackingError:
    """Returns the error; what an artifact store's own library raised, as one that may pass."""
    if isinstance(error, TrackingError):
        return error
    reason = masked(f"{type(error).__name__}: {error}")[:500]
    translated = TrackingError(f"MLflow at {address} could not take a result: {reason}")
    translated.__cause__ = error
    return translated


def error_code(error: TrackingError) -> str:
    """Returns MLflow's code of the error behind this one; empty where it has none."""
    return str(getattr(error.__cause__, "error_code", ""))


def is_permanent(error: TrackingError) -> bool:
    """Whether asking again will not help: the store answered, and its answer is no.

    Anything else, such as a lost connection, a server's 5xx or a locked database, may pass.
    """
    cause = error.__cause__
    if cause is None or isinstance(cause, TrackingError):
        return True
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if status is not None and 400 <= status < 500 and status not in _PASSING_STATUS:
        return True
    return _PERMANENT_STATUS.search(str(cause)) is not None or error_code(error) in _PERMANENT


def request_limits(retries: int, timeout_seconds: int) -> AbstractContextManager[None]:
    """Returns a context that keeps MLflow from retrying for minutes a server that is not there.

    Args:
        retries: How often a request is repeated.
        timeout_seconds: How long an answer may take.
    """
    settings = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_seconds),
    }
    return variables_set(settings)
