"""Runs jobs one after the other in this process: the debugger's door."""

from collections import deque
from collections.abc import Callable
from typing import Any

from pipeline.errors import InputError
from pipeline.search.executors.interface import (
    Event,
    Executor,
    Failed,
    Finished,
    Limits,
    Opener,
    Progressed,
    Run,
    fault_of,
    one_line,
)


class InlineExecutor(Executor):
    """Runs a job when the supervisor waits for it, to its end: nothing here could end it.

    Raises:
        InputError: More than one worker was asked for.
    """

    ends_jobs = False
    most_workers = 1

    def __init__(self, opener: Opener, workers: int = 1) -> None:
        if workers != 1:
            raise InputError(
                f"--executor inline has one worker, this process; {workers} were asked for: "
                "use --executor processes"
            )
        self.workers = 1
        self._opener = opener
        self._run: Run | None = None
        self._jobs: deque[tuple[int, Any]] = deque()
        self._messages: list[Any] = []
        self._running: int | None = None

    def ready(self) -> None:
        """Opens up."""
        self._opened()

    def submit(self, key: int, job: Any, limits: Limits | None = None) -> None:
        """Queues a job; limits are not kept."""
        self._jobs.append((key, job))

    def wait(self, handle: Callable[[Event], None], timeout_seconds: float) -> None:
        """Runs one job to its end."""
        if not self._jobs:
            return
        run = self._opened()
        key, job = self._jobs.popleft()
        self._running = key
        event: Event
        try:
            event = Finished(key, run(job, _emitter(key, handle), self._inbox))
        except HandlerError as error:
            raise error.reason from error.reason.__cause__
        except Exception as error:
            event = Failed(key, one_line(error), fault_of(error))
        finally:
            self._running = None
            self._messages.clear()
        handle(event)

    def tell(self, key: int, message: Any) -> None:
        """Keeps a message for the running job."""
        if key == self._running:
            self._messages.append(message)

    def close(self) -> None:
        """Forgets the jobs that were not started."""
        self._jobs.clear()

    def _opened(self) -> Run:
        if self._run is None:
            self._run = self._opener.open()
            self.about = getattr(self._run, "about", None)
        return self._run

    def _inbox(self) -> list[Any]:
        messages, self._messages = self._messages, []
        return messages


class HandlerError(BaseException):
    """The supervisor raised while it handled a job's progress: that is not the job's fault."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


def _emitter(key: int, handle: Callable[[Event], None]) -> Callable[[Any], None]:
    def emit(data: Any) -> None:
        try:
            handle(Progressed(key, data))
        except Exception as error:
            raise HandlerError(error) from error

    return emit


EXECUTOR = InlineExecutor
