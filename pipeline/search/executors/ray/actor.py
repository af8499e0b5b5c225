"""Runs in an actor, on any machine of the cluster: supervises one worker process there.

The process is that of ``--executor processes``, with its limits, its causes of death and its
replacement. So what a job does can end that process, never the actor: an actor that dies was killed
by Ray or with its machine, and its job may be given to another.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.datasets.limits import available_bytes
from pipeline.errors import PipelineError
from pipeline.search.executors.interface import (
    Event,
    Failed,
    Finished,
    Host,
    Limits,
    Opener,
    one_line,
)
from pipeline.search.executors.processes.pool import ProcessesExecutor
from pipeline.search.executors.processes.serving import keep_from_workers
from pipeline.search.executors.ray.software import DISTRIBUTION, differences, installed

LOOK_SECONDS = 0.1
"""How long progress and messages to a job may lie here."""
BEAT_SECONDS = 10.0
"""So often an actor says that it lives while its job has nothing to say."""
CLOSING_SECONDS = 5.0


@dataclass(frozen=True)
class Opened:
    """A worker opened.

    Attributes:
        about: What it says of itself.
        host: The machine that it is on.
    """

    about: Any
    host: Host


@dataclass(frozen=True)
class Refused:
    """A worker cannot be opened there, and what the user has to do about it."""

    error: PipelineError


Message = Event | Opened | Refused | None
"""What an actor sends; None says that it lives."""


class WorkerActor:
    """Supervises one worker process on the machine that it was placed on.

    Args:
        opener: Opens the worker up.
        environment: Environment variables that the worker needs.
        software: What is installed where the search was started.
        neighbours: So many workers share the machine or its GPU.
    """

    def __init__(
        self,
        opener: Opener,
        environment: Mapping[str, str],
        software: Mapping[str, str],
        neighbours: int,
    ) -> None:
        keep_from_workers()
        os.environ.update(environment)
        # A process that is spawned imports the main module of this one first, which is Ray's.
        vars(sys.modules["__main__"]).pop("__file__", None)
        self._opener, self._software, self._neighbours = opener, software, neighbours
        self._executor: ProcessesExecutor | None = None
        self._messages: deque[tuple[int, Any]] = deque()
        self._busy = threading.Lock()
        self._stopping = False

    def placed(self) -> str:
        """Returns Ray's own name of the machine that it was placed on."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def open(self) -> Opened | Refused:
        """Opens the worker up; returns what became of it."""
        if found := differences(self._software, installed()):
            return Refused(
                PipelineError(
                    f"{socket.gethostname()} would train otherwise than this machine: it has "
                    f"{found}; install the same {DISTRIBUTION} and the same versions (uv.lock) on "
                    "every machine of the cluster"
                )
            )
        free = available_bytes()
        with self._busy:
            self._executor = ProcessesExecutor(self._opener)
            try:
                self._executor.ready()
            except PipelineError as error:
                self._executor.close()
                return Refused(error)
        return Opened(self._executor.about, Host(free, self._neighbours))

    def run(self, place: int, key: int, job: Any, limits: Limits | None) -> Iterator[Message]:
        """Yields the events of a job, its end last, and now and then that the actor lives.

        Args:
            place: Number of the job among those of this actor.
            key: The job's key.
            job: The job.
            limits: Its limits.
        """
        assert self._executor is not None, "open() was called"
        events: deque[Event] = deque()
        with self._busy:
            self._executor.submit(key, job, limits)
            said, ended = time.monotonic(), False
            while not ended and not self._stopping:
                self._pass_messages_on(place, key)
                try:
                    self._executor.wait(events.append, LOOK_SECONDS)
                except PipelineError as error:
                    yield Refused(error)
                    return
                except Exception as error:  # a fault of the executor's own, told as the job's
                    events.append(Failed(key, one_line(error)))
                if events or time.monotonic() - said > BEAT_SECONDS:
                    said = time.monotonic()
                    # Not `yield from`: Ray sends to what yields, and a tuple takes nothing.
                    for message in tuple(events) or (None,):  # noqa: UP028
                        yield message
                ended = any(isinstance(event, Finished | Failed) for event in events)
                events.clear()

    def tell(self, place: int, message: Any) -> None:
        """Keeps a message for the job of this number."""
        self._messages.append((place, message))

    def _pass_messages_on(self, place: int, key: int) -> None:
        assert self._executor is not None, "open() was called"
        while self._messages:
            receiver, message = self._messages.popleft()
            if receiver == place:  # else it comes too late
                self._executor.tell(key, message)

    def stop(self) -> None:
        """Ends the worker process and removes its files; an actor that opens is left to Ray."""
        self._stopping = True
        if self._busy.acquire(timeout=CLOSING_SECONDS):
            try:
                if self._executor is not None:
                    self._executor.close()
            finally:
                self._busy.release()
