"""The interface of executors and the events they report."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

Run = Callable[[Any, Callable[[Any], None], Callable[[], Iterable[Any]]], Any]
"""``run(job, emit, inbox) -> result``, in the worker."""


class Opener(Protocol):
    """Opens up a worker; picklable."""

    def open(self) -> Run:
        """Returns what runs a job; called once per worker, where the worker is."""


@dataclass(frozen=True)
class Progressed:
    """A running job told something."""

    key: int
    data: Any


@dataclass(frozen=True)
class Finished:
    """A job ended with a result."""

    key: int
    result: Any


@dataclass(frozen=True)
class Failed:
    """A job ended without a result: it raised, or its worker died.

    Attributes:
        key: The job's.
        cause: One line.
    """

    key: int
    cause: str


Event = Progressed | Finished | Failed


class Executor(ABC):
    """Runs jobs, a fixed number at once, and hands their events to the supervisor."""

    workers: int

    def ready(self) -> None:  # noqa: B027 - an executor may have nothing to wait for
        """Returns when a worker has opened, so that what it cannot do is known before any job.

        Raises:
            PipelineError: A worker could not open up.
        """

    @abstractmethod
    def submit(self, key: int, job: Any) -> None:
        """Queues a job under a key of its own."""

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
        self.close()


def one_line(error: BaseException) -> str:
    """Returns the exception's type and message on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__
