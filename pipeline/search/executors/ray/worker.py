"""Holds the supervisor's side of one actor: what it does, what is awaited of it, what it said."""

from __future__ import annotations

import time
from typing import Any

from pipeline.search.executors.interface import Limits, Opener
from pipeline.search.executors.ray.actor import Message, WorkerActor
from pipeline.search.executors.ray.cluster import Node, Share, environment
from pipeline.search.executors.ray.software import installed

SILENCE_SECONDS = 120.0
"""An actor that runs a job and says nothing at all for so long is given up: it says every few
seconds that it lives, so its machine is stuck or cut off."""
TELL = "tell"
"""Name of the actor's group of threads that takes messages while a job runs."""


class Actors:
    """Makes actors of one kind.

    Args:
        opener: Opens up the worker of each; sent once to every machine.
        share: What each takes of a machine.
        neighbours: So many workers share a machine or its GPU.
    """

    def __init__(self, opener: Opener, share: Share, neighbours: int) -> None:
        import ray

        # Ray hides GPUs only from those that it gives others.
        hidden = {} if share.gpus else {"CUDA_VISIBLE_DEVICES": ""}
        variables = environment() | hidden
        self._arguments = (ray.put(opener), variables, installed(), neighbours)
        # Most of all an actor waits; what it is given are the processors of its worker process.
        self._kind = ray.remote(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={TELL: 2},
        )(WorkerActor)

    def new(self) -> RemoteWorker:
        """Returns one more worker, which starts as soon as there is room for it."""
        return RemoteWorker(self._kind.remote(*self._arguments))


class RemoteWorker:
    """The supervisor's side of one actor.

    Args:
        handle: Ray's handle of it.

    Attributes:
        opened: Whether its worker process is there.
        about: What that says of itself; None before, and where it says nothing.
        node: Ray's own name of the machine that it is on; empty until it is known.
        key: The job that it runs, or None.
        job: The same job.
        limits: Its limits.
        heard: When it said something last.
    """

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.opened = False
        self.about: Any = None
        self.node = ""
        self.key: int | None = None
        self.job: Any = None
        self.limits: Limits | None = None
        self.heard = time.monotonic()
        self._jobs = 0
        self._placed: Any = handle.placed.remote()
        self._opening: Any = handle.open.remote()
        self._stream: Any = None

    @property
    def awaited(self) -> Any:
        """What ray.wait has to wait for; None where nothing is expected of it."""
        return self._placed or self._opening or self._stream

    def next_message(self) -> Message | str:
        """Returns what it said; a text is the machine it was placed on.

        Raises:
            RayError: It died.
        """
        import ray

        self.heard = time.monotonic()
        if self._placed is not None:
            placed, self._placed = self._placed, None
            self.node = ray.get(placed)
            return self.node
        if self._opening is not None:
            opening, self._opening = self._opening, None
            return ray.get(opening)
        try:
            return ray.get(next(self._stream))
        except StopIteration as error:
            raise ray.exceptions.RayError("it ended in the middle of a job") from error

    def begin(self, key: int, job: Any, limits: Limits | None) -> None:
        """Gives it a job."""
        self.key, self.job, self.limits = key, job, limits
        self.heard = time.monotonic()
        self._jobs += 1
        run = self.handle.run.options(num_returns="streaming")
        self._stream = run.remote(self._jobs, key, job, limits)

    def end_job(self) -> None:
        """Takes its job away, which ended."""
        self.key = self.job = self.limits = self._stream = None

    def tell(self, message: Any) -> None:
        """Sends a message to its job."""
        self.handle.tell.options(concurrency_group=TELL).remote(self._jobs, message)

    def stop(self) -> Any:
        """Asks it to end its worker process; returns what is there when it has."""
        return self.handle.stop.options(concurrency_group=TELL).remote()

    def kill(self) -> None:
        """Ends it at once; its worker process ends with it."""
        import ray

        ray.kill(self.handle, no_restart=True)

    def is_silent(self) -> bool:
        """Whether it says no more that it lives, while it has a job."""
        return self.key is not None and time.monotonic() - self.heard > SILENCE_SECONDS


def neighbours_of(there: list[Node], share: Share) -> int:
    """Returns how many workers share a machine's memory, or that of a GPU, at most."""
    return max((share.neighbours(node) for node in there), default=1)
