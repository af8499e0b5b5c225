"""Gives jobs of a queue to actors, wherever the cluster has room for them.

A worker process that dies, or a job past its limits, is its actor's matter (``actor``) and comes
back as the job's failure. An actor that is lost, with its machine or killed by Ray, is not the
job's fault: the job is given to another, a few times. Actors for which there is no room yet wait
for machines that join, and jobs never wait for them.
"""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from pipeline.errors import InputError, PipelineError
from pipeline.search.executors.interface import (
    ERROR,
    MEMORY,
    Event,
    Executor,
    Failed,
    Finished,
    Limits,
    Opener,
    Placement,
    Progressed,
    Voice,
    says_out_of_memory,
)
from pipeline.search.executors.ray import cluster
from pipeline.search.executors.ray.actor import Opened, Refused
from pipeline.search.executors.ray.worker import Actors, RemoteWorker, neighbours_of

LOOK_SECONDS = 1.0
CLOSING_SECONDS = 8.0
GRACE_SECONDS = 300.0
"""A cluster that could not hold a single worker by then never will: an autoscaler would have
brought a machine."""
TOLD_SECONDS = 20.0
"""The user reads what is waited for when nothing has opened by then."""
MAX_LOST = 3
"""So often a job is given to another actor; what kills every machine may be the job after all."""
MAX_OPENING_FAILURES = 3
"""Actors that may die while opening up, in a row, before the search stops."""

_COLORS = re.compile(r"\x1b\[[0-9;]*m")


class RayExecutor(Executor):
    """Actors of a Ray cluster and a queue of jobs.

    Raises:
        InputError: The address or what a worker takes cannot be used.
        PipelineError: Ray does not start.
    """

    places = True

    def __init__(
        self,
        opener: Opener,
        workers: int = 1,
        placement: Placement | None = None,
        voice: Voice | None = None,
    ) -> None:
        placement, self._voice = placement or Placement(), voice or Voice()
        check_gpus(placement)
        self._jobs: deque[tuple[int, Any, Limits | None]] = deque()
        self._lost: Counter[int] = Counter()
        self._opening_failures = 0
        self._pool: list[RemoteWorker] = []
        self._connection = cluster.Connection(placement.ray_address)
        try:
            there = cluster.nodes()
            self._share = cluster.share_of(placement, workers, there)
            room = cluster.num_workers(there, self._share)
            self._voice.note(self._start_line(there, workers, room))
            bring = getattr(opener, "portable", None)
            packed = bring(self._share.cpus) if bring else opener
            neighbours = min(neighbours_of(there, self._share), workers)
            self._actors = Actors(packed, self._share, neighbours)
            self._pool += [self._actors.new() for _ in range(workers)]
        except BaseException:
            self.close()
            raise

    @classmethod
    def capacity(cls, placement: Placement, worker_bytes: float) -> int:
        """Returns how many workers the cluster holds now: one per GPU, or per processor."""
        return cluster.room_of(placement, worker_bytes)

    @classmethod
    def missing(cls) -> str:
        """Returns how Ray is installed, where it is not."""
        return "" if cluster.is_installed() else cluster.REMEDY

    @property
    def workers(self) -> int:  # type: ignore[override]
        """Jobs that run at once now: those that have no room yet would only keep jobs waiting."""
        return max(sum(worker.opened for worker in self._pool), 1)

    @property
    def abouts(self) -> tuple[Any, ...]:
        """What each worker that is open says of itself."""
        return tuple(w.about for w in self._pool if w.opened and w.about is not None)

    def ready(self) -> None:
        """Waits until one worker has opened, for as long as there may be room for one.

        Raises:
            InputError: The cluster cannot hold a worker.
        """
        begun, told = time.monotonic(), False
        while not any(worker.opened for worker in self._pool):
            self._receive_all(lambda event: None, LOOK_SECONDS)
            if any(worker.node for worker in self._pool):
                continue
            waited = time.monotonic() - begun
            there = cluster.nodes()
            is_impossible = not cluster.num_workers(there, self._share)
            if is_impossible and (self._connection.is_local or waited > GRACE_SECONDS):
                raise InputError(self._no_room(there))
            if not told and (is_impossible or waited > TOLD_SECONDS):
                told = True
                self._voice.warn(self._waiting_line(there, is_impossible))

    def submit(self, key: int, job: Any, limits: Limits | None = None) -> None:
        """Queues a job; it starts with the next free worker."""
        self._jobs.append((key, job, limits))
        self._assign()

    def wait(self, handle: Callable[[Event], None], timeout_seconds: float) -> None:
        """Hands over events until a job ended or the time is over."""
        deadline = time.monotonic() + timeout_seconds
        ended = False
        while not ended and (left := deadline - time.monotonic()) > 0:
            ended = self._receive_all(handle, min(left, LOOK_SECONDS))
            self._assign()

    def tell(self, key: int, message: Any) -> None:
        """Sends a message to the worker that runs the job."""
        for worker in self._pool:
            if worker.key == key:
                worker.tell(message)

    def close(self) -> None:
        """Ends the workers, and Ray where it was started for them."""
        import ray

        self._jobs.clear()
        pool, self._pool = self._pool, []
        try:
            if stopping := [worker.stop() for worker in pool if worker.opened]:
                ray.wait(stopping, num_returns=len(stopping), timeout=CLOSING_SECONDS)
            for worker in pool:
                worker.kill()
        finally:
            self._connection.close()

    def _receive_all(self, handle: Callable[[Event], None], seconds: float) -> bool:
        """Handles what workers said until now, or the first to come; returns if a job ended."""
        import ray

        awaited = {worker.awaited: worker for worker in self._pool if worker.awaited is not None}
        if not awaited:
            time.sleep(seconds)
            return False
        # All that wait to be read come before one that talks all the time.
        ready, _ = ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
        if not ready:
            ready, _ = ray.wait(list(awaited), num_returns=1, timeout=seconds)
        ended = False
        for one in ready:
            ended = self._receive(awaited[one], handle) or ended
        # What this process had no time to read was read above: these said nothing.
        for worker in [awaited[one] for one in awaited if one not in ready]:
            if worker in self._pool and worker.is_silent():
                worker.kill()
                ended = self._replace_lost(worker, "gave no sign of life", ERROR, handle) or ended
        return ended

    def _receive(self, worker: RemoteWorker, handle: Callable[[Event], None]) -> bool:
        """Handles one message or an actor's death; returns whether a job ended."""
        import ray

        try:
            message = worker.next_message()
        except ray.exceptions.RayError as error:
            worker.kill()  # what is left of it would keep its place
            cause, fault = cause_and_fault(error)
            if isinstance(error, ray.exceptions.RayTaskError) and worker.key is not None:
                # It lives: the job or its result could not be handed over.
                self._lost[worker.key] = MAX_LOST
            return self._replace_lost(worker, cause, fault, handle)
        if isinstance(message, Refused):
            if worker.key is not None or not any(one.opened for one in self._pool):
                raise message.error
            # One that joined a search that trains elsewhere ends nothing.
            self._voice.warn(f"a machine is left out: {message.error}")
            worker.kill()
            self._pool.remove(worker)
            return False
        if isinstance(message, Opened):
            self._opening_failures = 0
            self.about = worker.about = message.about
            if self.host is None or message.host.free_bytes < self.host.free_bytes:
                # A cohort may go to any machine: the one with least memory has to hold it.
                self.host = message.host
            worker.opened = True
        elif isinstance(message, Progressed):
            handle(message)
        elif isinstance(message, Finished | Failed):
            worker.end_job()
            self._lost.pop(message.key, None)
            handle(message)
            return True
        return False

    def _replace_lost(
        self, worker: RemoteWorker, cause: str, fault: str, handle: Callable[[Event], None]
    ) -> bool:
        """Replaces an actor that is gone; its job is given to another, or fails at last."""
        key, job, limits, node = worker.key, worker.job, worker.limits, worker.node
        there = {one.identity: one for one in cluster.nodes()}
        if not worker.opened and (not node or node in there):
            self._opening_failures += 1
            if self._opening_failures >= MAX_OPENING_FAILURES:
                raise PipelineError(
                    f"{self._opening_failures} Ray actors in a row died while starting: {cause}. "
                    "Try --executor processes on that machine to see the error."
                )
        self._pool[self._pool.index(worker)] = self._actors.new()
        if key is None:
            return False
        if fault == MEMORY or self._lost[key] >= MAX_LOST:
            self._lost.pop(key, None)
            handle(Failed(key, cause, fault))
            return True
        self._lost[key] += 1
        self._voice.warn(
            f"a worker was lost ({cause}): what it trained is trained again elsewhere, try "
            f"{self._lost[key]} of {MAX_LOST}"
        )
        self._jobs.appendleft((key, job, limits))
        return False

    def _assign(self) -> None:
        for worker in self._pool:
            if self._jobs and worker.opened and worker.key is None:
                worker.begin(*self._jobs.popleft())

    def _start_line(self, there: list[cluster.Node], workers: int, room: int) -> str:
        connection = self._connection
        where = "started here" if connection.is_local else f"joined at {connection.address}"
        fewer = f"; room for {room} of {workers} workers now" if room < workers else ""
        return (
            f"Ray {where} in {connection.seconds:.1f} s: {cluster.sum_in_words(there)}, "
            f"{self._share.in_words()} for a worker{fewer}"
        )

    def _waiting_line(self, there: list[cluster.Node], is_impossible: bool) -> str:
        needs = f"waiting for {self._share.in_words()} for a worker: the cluster has "
        has = cluster.sum_in_words(there)
        if is_impossible:
            return f"{needs}{has}; a machine has {GRACE_SECONDS / 60:.0f} minutes to join"
        return f"{needs}{has}, which other programs use"

    def _no_room(self, there: list[cluster.Node]) -> str:
        share = self._share
        what = "--gpus-per-worker" if share.gpus and not any(n.gpus for n in there) else ""
        options = what or "--cpus-per-worker or --gpus-per-worker"
        return (
            f"--executor ray: no machine has room for a worker with {share.in_words()}; the "
            f"cluster has {cluster.sum_in_words(there)}: give a smaller {options}, or add a machine"
        )


def check_gpus(placement: Placement) -> None:
    """Checks that Ray can give a worker so many GPUs.

    Raises:
        InputError: It cannot.
    """
    gpus = placement.gpus_per_worker
    if gpus is not None and gpus > 1 and gpus != int(gpus):
        raise InputError(
            f"--gpus-per-worker {gpus:g}: expected a part of one GPU, such as 0.25, or a whole "
            "number"
        )
    if gpus and placement.device == "cpu":
        raise InputError(
            f"--gpus-per-worker {gpus:g}: --device cpu uses none; give --device auto or gpu, or "
            "--gpus-per-worker 0"
        )


def cause_and_fault(error: Exception) -> tuple[str, str]:
    """Returns why an actor is gone, in a line, and whether memory ran out on its machine."""
    import ray

    text = _COLORS.sub("", str(error))
    # The reason stands last, behind a traceback or a list of what the actor was called.
    lines = [line for line in text.split("\n") if line.strip() and not line[0].isspace()]
    is_memory = isinstance(error, ray.exceptions.OutOfMemoryError) or says_out_of_memory(text)
    cause = lines[-1][:300] if lines else type(error).__name__
    return cause.rstrip("."), MEMORY if is_memory else ERROR
