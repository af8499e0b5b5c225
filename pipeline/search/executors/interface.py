"""Defines the interface of executors and the events they report."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

MEMORY = "memory"
TIMEOUT = "timeout"
ERROR = "error"
"""What can fail a job: it or its worker ran out of memory, out of time, or anything else."""

_OUT_OF_MEMORY = re.compile(
    r"ResourceExhausted|RESOURCE_EXHAUSTED|OOM when|out[ _]of[ _]memory|bad_alloc"
    r"|cannot allocate memory",
    re.IGNORECASE,
)
Run = Callable[[Any, Callable[[Any], None], Callable[[], Iterable[Any]]], Any]
"""``run(job, emit, inbox) -> result``, in the worker."""


class Opener(Protocol):
    """Opens up a worker; picklable.

    Where it needs anything of this machine it has a method ``portable(cpus)``, too: called once by
    an executor whose workers are on other machines, it returns an opener that brings that along,
    for workers with so many processors each.
    """

    def open(self) -> Run:
        """Returns what runs a job; called once per worker, where the worker is.

        What it has as ``about``, picklable, becomes the executor's.
        """


@dataclass(frozen=True)
class Placement:
    """Where workers are placed on machines, and what each takes there; None for the default.

    Attributes:
        ray_address: Address of a Ray cluster.
        cpus_per_worker: Processors of a worker.
        gpus_per_worker: GPUs of a worker; a part of one is shared.
        device: ``auto``, ``cpu`` or ``gpu``: what jobs are to run on.
    """

    ray_address: str | None = None
    cpus_per_worker: int | None = None
    gpus_per_worker: float | None = None
    device: str = "auto"

    def words(self) -> list[str]:
        """Returns the options that were given, with their values, as words of a command."""
        values = {
            "--ray-address": self.ray_address,
            "--cpus-per-worker": self.cpus_per_worker,
            "--gpus-per-worker": self.gpus_per_worker,
        }
        given = {option: value for option, value in values.items() if value is not None}
        return [word for option, value in given.items() for word in (option, f"{value}")]


@dataclass(frozen=True)
class Host:
    """The machine of a worker, where it need not be this one.

    Attributes:
        free_bytes: Its free memory when the worker opened.
        workers: So many workers share it, or its GPU.
    """

    free_bytes: float
    workers: int


@dataclass(frozen=True)
class Voice:
    """Takes what an executor has to say to the user.

    Attributes:
        note: Takes a line.
        warn: Takes a line that the user has to see.
    """

    note: Callable[[str], None] = lambda line: None
    warn: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Limits:
    """When a job is ended, counted from when an opened worker has taken it up.

    Attributes:
        silence_seconds: Longest time without progress.
        total_seconds: Longest time in all.
    """

    silence_seconds: float
    total_seconds: float


@dataclass(frozen=True)
class Progressed:
    """A running job sent something."""

    key: int
    data: Any


@dataclass(frozen=True)
class Finished:
    """A job ended with a result."""

    key: int
    result: Any


@dataclass(frozen=True)
class Failed:
    """A job ended without a result: it raised, its worker died, or it was ended for its limits.

    Attributes:
        key: The job's.
        cause: One line.
        fault: :data:`MEMORY`, :data:`TIMEOUT` or :data:`ERROR`.
    """

    key: int
    cause: str
    fault: str = ERROR


Event = Progressed | Finished | Failed


class Executor(ABC):
    """Runs jobs, a fixed number at once, and hands their events to the supervisor."""

    workers: int
    ends_jobs: bool = True
    """Whether a job that goes past its limits can be ended."""
    shares_cores: bool = False
    """Whether each worker is a process of its own on this machine."""
    most_workers: int | None = None
    """Most workers that it can have; None for any number."""
    places: bool = False
    """Whether it is made with a :class:`Placement` and a :class:`Voice`, too."""
    about: Any = None
    """What the worker that opened last said of itself; None before, and where it says nothing."""
    host: Host | None = None
    """The machine of its workers that has least free memory; None where it is this one."""
    keep: Callable[["Executor"], None] | None = None
    """Takes it, still open, when its task has ended well (``kept``); None where it is closed."""

    @classmethod
    def capacity(cls, placement: Placement, worker_bytes: float) -> int | None:
        """Returns how many workers there is room for now; None where this machine decides.

        Args:
            placement: Where they would be placed.
            worker_bytes: Memory that each takes on a processor.

        Raises:
            PipelineError: What the placement names is not there.
        """
        return None

    @classmethod
    def missing(cls) -> str:
        """Returns what has to be installed before it can start, as a remedy; empty for nothing."""
        return ""

    @property
    def abouts(self) -> tuple[Any, ...]:
        """What each worker that is open says of itself; empty where none says anything."""
        return () if self.about is None else (self.about,)

    def ready(self) -> None:  # noqa: B027 - an executor may have nothing to wait for
        """Returns when a worker has opened, so that what it cannot do is known before any job.

        Where workers differ in what they see, when one of each kind has.

        Raises:
            PipelineError: A worker could not open up.
        """

    @abstractmethod
    def submit(self, key: int, job: Any, limits: Limits | None = None) -> None:
        """Queues a job under a key of its own; where :attr:`ends_jobs`, its limits end it."""

    @abstractmethod
    def wait(self, handle: Callable[[Event], None], timeout_seconds: float) -> None:
        """Hands events over until at least one job ended, or the time is over.

        Raises:
            PipelineError: A worker could not open up.
        """

    @abstractmethod
    def tell(self, key: int, message: Any) -> None:
        """Sends a message to a running job; nothing happens where it has ended."""

    @abstractmethod
    def close(self) -> None:
        """Ends the workers, running jobs included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None and self.keep is not None:
            self.keep(self)
        else:
            self.close()


def one_line(error: BaseException) -> str:
    """Returns the exception's type and message on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__


def fault_of(error: BaseException) -> str:
    """Returns :data:`MEMORY` for an exception that says so, whichever library raised it."""
    if isinstance(error, MemoryError) or says_out_of_memory(f"{type(error).__name__}: {error}"):
        return MEMORY
    return ERROR


def says_out_of_memory(text: str) -> bool:
    """Whether a message is one of those with which libraries report that memory ran out."""
    return _OUT_OF_MEMORY.search(text) is not None
