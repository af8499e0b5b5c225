"""Runs in a worker process: opens the trainer, then takes jobs from the pipe until the end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.search.executors.interface import Opener, fault_of, one_line

KEPT_FROM_WORKERS = ("MLFLOW_", "PIPELINE_STORAGE", "PG")
"""Environment variables that begin so hold addresses, passwords and the run of the supervisor."""


def serve(connection: Connection, opener: Opener, log: Path) -> None:
    """Runs jobs until the supervisor ends or says so; the worker's main function."""
    keep_from_workers()
    # Ctrl-C reaches the whole process group; what happens then is the supervisor's to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 2)
    # What libraries leave behind goes with the worker's folder, however this process ends.
    os.environ["TMPDIR"] = tempfile.tempdir = str(log.parent)
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    try:
        try:
            run = opener.open()
        except PipelineError as error:
            connection.send(("refused", error))
            return
        connection.send(("opened", getattr(run, "about", None)))
        while True:
            kind, job = connection.recv()
            if kind == "end":
                # TensorFlow takes a second or two to tidy up what is gone with the process anyway.
                os._exit(0)
            if kind == "job":
                connection.send(_result(run, job, connection))
    except (EOFError, OSError, SupervisorGoneError):
        return


def _end_with_supervisor() -> None:
    """Ends this process with the supervisor's, also while a job has nothing to send for long."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os._exit(1)


def keep_from_workers() -> None:
    """Takes out of this process's environment what is the supervisor's own.

    Workers may run a user's model file. One that inherits the run of `mlflow run`, moreover, would
    take it over.
    """
    for name in [name for name in os.environ if name.startswith(KEPT_FROM_WORKERS)]:
        del os.environ[name]


class SupervisorGoneError(BaseException):
    """The pipe to the supervisor broke: there is nobody left to work for."""


def _result(run: Any, job: Any, connection: Connection) -> tuple[str, Any]:
    def emit(data: Any) -> None:
        try:
            connection.send(("progressed", data))
        except OSError as error:
            raise SupervisorGoneError from error

    def inbox() -> list[Any]:
        messages = []
        try:
            while connection.poll():
                messages.append(connection.recv()[1])
        except (EOFError, OSError) as error:
            raise SupervisorGoneError from error
        return messages

    try:
        return "finished", run(job, emit, inbox)
    except Exception as error:
        return "failed", (one_line(error), fault_of(error))
