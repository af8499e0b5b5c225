"""Ends the run that ``mlflow run`` made for a command which two Ctrl-C break off.

The second one ends ``mlflow run`` while it waits for its command, so that it can no longer say what
became of it: the command does. MLflow is imported only where there is such a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipeline.errors import TrackingError

if TYPE_CHECKING:
    from pipeline.tracking.client import Client

ANSWER_SECONDS = 3
_runs: list[tuple[Client, str]] = []


def is_run_of_command(client: Client, run_id: str) -> None:
    """Keeps in mind which run ``mlflow run`` made for this command."""
    _runs.append((client, run_id))


@contextmanager
def command_run_ended() -> Iterator[None]:
    """Ends the command's run as KILLED where a signal breaks off what runs in the context."""
    _runs.clear()
    try:
        yield
    except KeyboardInterrupt:
        for client, run_id in _runs:
            _end(client, run_id)
        raise
    finally:
        _runs.clear()


def _end(client: Client, run_id: str) -> None:
    from pipeline.tracking.client import request_limits

    with suppress(TrackingError), request_limits(retries=0, timeout_seconds=ANSWER_SECONDS):
        if client.get_run(run_id).info.status == "RUNNING":
            client.set_terminated(run_id, status="KILLED")
