"""Stops a search on Ctrl-C and SIGTERM: in good order, or, the second time, at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.search.progress import View
    from pipeline.search.supervisor import Supervisor


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Ends the command on SIGTERM as on Ctrl-C, while nothing trains yet."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stopping_on_signals(supervisor: Supervisor, view: View) -> Iterator[None]:
    """Stops the search on Ctrl-C or SIGTERM once what runs has ended; the second time at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if supervisor.interrupted:
            raise KeyboardInterrupt
        supervisor.interrupted = True
        supervisor.stop()
        view.note(
            "stopping: what is training is finished first, nothing new is started; once more to "
            "stop at once (the same command continues later, either way)"
        )

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
