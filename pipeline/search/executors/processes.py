"""Runs jobs in warm worker processes of this machine: spawned, opened once, many jobs each.

A worker that dies fails its job only, with the signal and its last words as the cause, and another
takes its place; a job past its limits is ended with its worker. Workers are replaced after a number
of jobs, and after one that ran out of memory: TensorFlow's only shrinks when a process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil

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
    fault_of,
    one_line,
    says_out_of_memory,
)

JOBS_PER_WORKER = 50
GROWN_BYTES = 2**31
"""A worker that has grown by this much since it opened is replaced after its job: TensorFlow keeps
part of the memory of every large network that is no longer there."""
CLOSING_SECONDS = 5.0
PREFIX = "least-overfit-workers-"
"""Of the temporary folder with all that workers write."""
IN_USE = "in-use"
"""A file in it that the supervisor holds a lock on, for as long as it lives."""
MAX_OPENING_FAILURES = 3
"""Workers that may die while opening up, in a row, before the search stops."""


class ProcessesExecutor(Executor):
    """A fixed number of worker processes and a queue of jobs."""

    def __init__(self, opener: Opener, workers: int = 1) -> None:
        self.workers = workers
        self._opener = opener
        sweep()
        self._folder = tempfile.TemporaryDirectory(prefix=PREFIX)
        self._in_use = (Path(self._folder.name) / IN_USE).open("w")
        fcntl.flock(self._in_use, fcntl.LOCK_EX)
        self._jobs: deque[tuple[int, Any, Limits | None]] = deque()
        self._opening_failures = 0
        self._count = 0
        self._pool = [self._new_worker() for _ in range(workers)]

    def ready(self) -> None:
        """Waits until one worker has opened."""
        while not any(worker.opened for worker in self._pool):
            workers: dict[Any, Worker] = {worker.connection: worker for worker in self._pool}
            for connection in wait(list(workers)):
                self._receive(workers[connection], lambda event: None)

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
        self._in_use.close()
        self._folder.cleanup()

    def _receive(self, worker: Worker, handle: Callable[[Event], None]) -> bool:
        """Handles one message or a worker's death; returns whether a job ended."""
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            return self._bury(worker, handle)
        key = worker.key
        worker.heard = time.monotonic()
        if kind == "opened":
            self._opening_failures = 0
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

    def _bury(self, worker: Worker, handle: Callable[[Event], None]) -> bool:
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
        self._pool[self._pool.index(worker)] = self._new_worker()

    def _assign(self) -> None:
        for worker in self._pool:
            # A dead one is replaced once its end is read; the job is not to blame for it.
            if self._jobs and worker.key is None and worker.process.is_alive():
                worker.key, worker.job, worker.limits = self._jobs.popleft()
                worker.begun = worker.heard = time.monotonic()
                worker.send(("job", worker.job))

    def _new_worker(self) -> Worker:
        self._count += 1
        folder = Path(self._folder.name) / f"worker-{self._count}"
        folder.mkdir()
        return Worker(self._opener, folder / "stderr.txt")


class Worker:
    """The supervisor's side of one worker process.

    Args:
        opener: Opens it up.
        log: File for what it writes to stderr.
    """

    def __init__(self, opener: Opener, log: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.log = log
        self.key: int | None = None
        self.job: Any = None
        self.limits: Limits | None = None
        self.begun = self.heard = time.monotonic()
        self.jobs = 0
        self.opened = False
        self.opened_bytes = 0
        self.process = context.Process(target=serve, args=(other, opener, log), daemon=True)
        self.process.start()
        other.close()

    def send(self, message: Any) -> None:
        """Sends a message; a dead worker's is noticed where its answer is awaited."""
        try:
            self.connection.send(message)
        except OSError:
            return

    def end(self) -> None:
        """Asks an idle worker to end, and ends a busy one."""
        if self.key is None and self.opened:
            self.send(("end", None))
        else:
            self.process.terminate()

    def join(self) -> None:
        """Waits for the process to end, then insists."""
        self.process.join(CLOSING_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()

    def overdue(self) -> str | None:
        """Returns which limit its job is past; None while it is not, or has yet to be listened to.

        While this process was busy, what the worker said waits in the pipe: that is no silence.
        """
        if self.key is None or self.limits is None or not self.opened or self.connection.poll():
            return None
        now = time.monotonic()
        if now - self.begun > self.limits.total_seconds:
            return f"ran longer than {self.limits.total_seconds:g} s"
        if now - self.heard > self.limits.silence_seconds:
            return f"gave no sign of life for {self.limits.silence_seconds:g} s"
        return None

    def cause_of_death(self) -> str:
        """Returns how the process ended and the last line it wrote."""
        code = self.process.exitcode or 0
        how = f"exit code {code}"
        if code < 0:
            how = f"signal {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                how += ", as the kernel sends it when memory runs out"
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"the worker process died ({how})" + (f": {last[:300]}" if last else "")


def sweep() -> None:
    """Removes the temporary folders of supervisors that were killed."""
    for file in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{IN_USE}"):
        with contextlib.suppress(OSError), file.open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(file.parent, ignore_errors=True)


def resident_bytes(pid: int | None) -> int:
    """Returns the memory that a process holds; 0 for one that is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def serve(connection: Connection, opener: Opener, log: Path) -> None:
    """Runs jobs until the supervisor ends or says so; the worker's main function."""
    # A worker that inherits the run of `mlflow run` would take it over.
    os.environ.pop("MLFLOW_RUN_ID", None)
    # Ctrl-C reaches the whole process group; what happens then is the supervisor's to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 2)
    # What libraries leave behind goes with the worker's folder, however this process ends.
    os.environ["TMPDIR"] = tempfile.tempdir = str(log.parent)
    try:
        try:
            run = opener.open()
        except PipelineError as error:
            connection.send(("refused", error))
            return
        connection.send(("opened", None))
        while True:
            kind, job = connection.recv()
            if kind == "end":
                # TensorFlow takes a second or two to tidy up what is gone with the process anyway.
                os._exit(0)
            if kind == "job":
                connection.send(_result(run, job, connection))
    except (EOFError, OSError, SupervisorGoneError):
        return


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


EXECUTOR = ProcessesExecutor
