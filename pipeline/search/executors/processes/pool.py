"""Gives jobs of a queue to a fixed number of workers.

A worker that dies fails its job only, with the signal and its last words as the cause, and another
takes its place; a job past its limits is ended with its worker. Workers are replaced after a number
of jobs, and after one that ran out of memory: TensorFlow's only shrinks when a process ends.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import wait
from typing import Any

from pipeline.errors import PipelineError
from pipeline.search.executors.interface import (
    ERROR,
    MEMORY,
    TIMEOUT,
    Event,
    Executor,
    Failed,
    Finished,
    Limits,
    Opener,
    Progressed,
    says_out_of_memory,
)
from pipeline.search.executors.processes.folder import WorkersFolder
from pipeline.search.executors.processes.worker import Worker, resident_bytes

JOBS_PER_WORKER = 50
GROWN_BYTES = 2**31
"""A worker that has grown by this much since it opened is replaced after its job: TensorFlow keeps
part of the memory of every large network that is no longer there."""
LOOK_SECONDS = 5.0
MAX_OPENING_FAILURES = 3
"""Workers that may die while opening up, in a row, before the search stops."""


class ProcessesExecutor(Executor):
    """A fixed number of worker processes and a queue of jobs.

    Args:
        opener: Opens up a worker.
        workers: Their number.
        variables: Of each, the environment variables that are its own; one that takes its place
            has the same. Empty for none.
    """

    shares_cores = True

    def __init__(
        self, opener: Opener, workers: int = 1, variables: Sequence[Mapping[str, str]] = ()
    ) -> None:
        self.workers = workers
        self._opener = opener
        self._folder = WorkersFolder()
        self._jobs: deque[tuple[int, Any, Limits | None]] = deque()
        self._opening_failures = 0
        own = variables or [{}] * workers
        self._pool = [self._new_worker(own[place]) for place in range(workers)]

    @property
    def abouts(self) -> tuple[Any, ...]:
        """What each worker that is open says of itself."""
        return tuple(w.about for w in self._pool if w.opened and w.about is not None)

    def ready(self) -> None:
        """Waits until one worker has opened of all that have the same variables."""
        while not all(
            any(other.opened for other in self._pool if other.variables == worker.variables)
            for worker in self._pool
        ):
            workers: dict[Any, Worker] = {worker.connection: worker for worker in self._pool}
            for connection in wait(list(workers), LOOK_SECONDS):
                self._receive(workers[connection], lambda event: None)
            self._end_stuck()

    def submit(self, key: int, job: Any, limits: Limits | None = None) -> None:
        """Queues a job; it starts with the next free worker."""
        self._jobs.append((key, job, limits))
        self._assign()

    def wait(self, handle: Callable[[Event], None], timeout_seconds: float) -> None:
        """Hands over events until a job ended or the time is over."""
        deadline = time.monotonic() + timeout_seconds
        ended = False
        while not ended and (left := deadline - time.monotonic()) > 0:
            workers: dict[Any, Worker] = {worker.connection: worker for worker in self._pool}
            for connection in wait(list(workers), left):
                ended = self._receive(workers[connection], handle) or ended
            ended = self._end_overdue(handle) or ended
            self._end_stuck()
            self._assign()

    def tell(self, key: int, message: Any) -> None:
        """Sends a message to the worker that runs the job."""
        for worker in self._pool:
            if worker.key == key:
                worker.send(("tell", message))

    def close(self) -> None:
        """Asks idle workers to end, ends the others, and waits for them."""
        self._jobs.clear()
        for worker in self._pool:
            worker.end()
        for worker in self._pool:
            worker.join()
        self._pool.clear()
        self._folder.close()

    def _receive(self, worker: Worker, handle: Callable[[Event], None]) -> bool:
        """Handles one message or a worker's death; returns whether a job ended."""
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            return self._replace_dead(worker, handle)
        key = worker.key
        worker.heard = time.monotonic()
        if kind == "opened":
            self._opening_failures = 0
            self.about = worker.about = content
            worker.opened = True
            worker.opened_bytes = resident_bytes(worker.process.pid)
            worker.begun = worker.heard
        elif kind == "refused":
            raise content
        elif kind == "progressed" and key is not None:
            handle(Progressed(key, content))
        elif kind in ("finished", "failed") and key is not None:
            event = Finished(key, content) if kind == "finished" else Failed(key, *content)
            worker.key = None
            worker.jobs += 1
            grown = resident_bytes(worker.process.pid) - worker.opened_bytes
            if (
                grown > GROWN_BYTES
                or worker.jobs >= JOBS_PER_WORKER
                or getattr(event, "fault", ERROR) == MEMORY
            ):
                self._replace(worker)
            handle(event)
            return True
        return False

    def _end_overdue(self, handle: Callable[[Event], None]) -> bool:
        """Kills workers whose jobs are past their limits; returns whether there were any."""
        overdue = [(worker, cause) for worker in self._pool if (cause := worker.overdue())]
        for worker, cause in overdue:
            key = worker.key
            worker.process.kill()
            self._replace(worker)
            if key is not None:
                handle(Failed(key, cause, TIMEOUT))
        return bool(overdue)

    def _end_stuck(self) -> None:
        """Replaces workers that do not open."""
        for worker in [worker for worker in self._pool if worker.end_if_stuck()]:
            self._replace_dead(worker, lambda event: None)

    def _replace_dead(self, worker: Worker, handle: Callable[[Event], None]) -> bool:
        """Replaces a dead worker and reports its job as failed."""
        worker.join()
        cause = worker.cause_of_death()
        if not worker.opened:
            self._opening_failures += 1
            if self._opening_failures >= MAX_OPENING_FAILURES:
                raise PipelineError(
                    f"{self._opening_failures} worker processes in a row died while starting: "
                    f"{cause}. Try --executor inline to see the error."
                )
        key = worker.key
        if key is not None and not worker.opened:
            # It never came to the job: that is not the job's fault.
            self._jobs.appendleft((key, worker.job, worker.limits))
            key = None
        self._replace(worker)
        if key is not None:
            killed = worker.process.exitcode == -signal.SIGKILL
            handle(Failed(key, cause, MEMORY if killed or says_out_of_memory(cause) else ERROR))
        return key is not None

    def _replace(self, worker: Worker) -> None:
        worker.end()
        worker.join()
        shutil.rmtree(worker.log.parent, ignore_errors=True)
        self._pool[self._pool.index(worker)] = self._new_worker(worker.variables)

    def _assign(self) -> None:
        for worker in self._pool:
            # A dead one is replaced once its end is read; the job is not to blame for it.
            if self._jobs and worker.key is None and worker.process.is_alive():
                worker.key, worker.job, worker.limits = self._jobs.popleft()
                worker.begun = worker.heard = time.monotonic()
                worker.send(("job", worker.job))

    def _new_worker(self, variables: Mapping[str, str]) -> Worker:
        return Worker(self._opener, self._folder.new() / "stderr.txt", variables)
