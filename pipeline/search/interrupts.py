"""Ends a command on Ctrl-C and SIGTERM: in good order, the second time at once.

The first signal asks whatever trains to come to its end (:func:`stopping_softly`); where nothing
trains, and the second time, it raises KeyboardInterrupt; where even that is not over, the next one
ends the process. While a record of Optuna's journal is written it waits until that is whole
(:func:`hold_back`). A terminal's Ctrl-C reaches every process of the foreground, ``mlflow run``
among them, which then sends SIGTERM to its command: that is the same wish, and is not counted.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from pipeline.environment import handlers_restored

EXIT_CODE = 130
"""What a shell says of a command that Ctrl-C ended."""
RELAY_SECONDS = 5.0
"""A SIGTERM that comes so soon after Ctrl-C was sent on by ``mlflow run``."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPING = (
    "stopping: what is training is finished first, nothing new is started; once more to "
    "stop at once (the same command continues later, either way)"
)
ASIDE_SECONDS = 1.0


@dataclass
class _State:
    """What the signals so far mean for the next one.

    Attributes:
        stop_softly: Asks what trains to come to its end; None where nothing does.
        before_ending: Called before the command is broken off.
        raised: How often it was broken off.
        ctrl_c_at: When Ctrl-C came last.
        holding: How many writes hold a signal back.
        held: Whether one was held back.
    """

    stop_softly: Callable[[], None] | None = None
    before_ending: list[Callable[[], None]] = field(default_factory=list)
    raised: int = 0
    ctrl_c_at: float = float("-inf")
    holding: int = 0
    held: bool = False


_state = _State()


def _handle(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if number == signal.SIGTERM and now - _state.ctrl_c_at < RELAY_SECONDS:
        return
    if number == signal.SIGINT:
        _state.ctrl_c_at = now
    if _state.stop_softly is not None and not _state.raised:
        stop_softly, _state.stop_softly = _state.stop_softly, None
        stop_softly()
        return
    if _state.holding and not _state.held:
        _state.held = True
        return
    _break_off()


def _break_off() -> None:
    _state.held = False
    _state.raised += 1
    for prepare in reversed(_state.before_ending):
        _aside(prepare)
    if _state.raised > 2:
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(EXIT_CODE)
    raise KeyboardInterrupt


def _aside(draw: Callable[[], None]) -> None:
    """Draws from another thread: the interrupted one may hold a lock of the terminal's."""
    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    thread.join(ASIDE_SECONDS)


def hold_back() -> None:
    """Has a signal that would break the command off wait for :func:`let_go`; one, not the next.

    Broken off in a write, Optuna may report an error of its journal's lock in place of the
    KeyboardInterrupt, or leave the lock behind.
    """
    if threading.current_thread() is threading.main_thread():
        _state.holding += 1


def let_go() -> None:
    """Ends :func:`hold_back`.

    Raises:
        KeyboardInterrupt: A signal came meanwhile.
    """
    if threading.current_thread() is threading.main_thread():
        _state.holding -= 1
        if _state.held and not _state.holding:
            _break_off()


def was_broken_off() -> bool:
    """Whether a signal broke the command off, whatever was made of its KeyboardInterrupt."""
    return _state.raised > 0


@contextmanager
def signals_end_it() -> Iterator[None]:
    """Ends what runs in the context on Ctrl-C and SIGTERM, as the file says; may be nested."""
    beside = threading.current_thread() is not threading.main_thread()
    if beside or _handle in map(signal.getsignal, SIGNALS):
        yield
        return
    _state.raised, _state.held, _state.ctrl_c_at = 0, False, float("-inf")
    with handlers_restored(SIGNALS):
        for number in SIGNALS:
            signal.signal(number, _handle)
        yield


@contextmanager
def stopping_softly(stop: Callable[[], None], note: Callable[[str], None]) -> Iterator[None]:
    """Has the first signal call ``stop`` instead of breaking the command off.

    Args:
        stop: Has nothing new started; what trains goes on.
        note: Tells the user.
    """

    def stop_softly() -> None:
        stop()
        _aside(lambda: note(STOPPING))

    with signals_end_it():
        _state.stop_softly = stop_softly
        try:
            yield
        finally:
            _state.stop_softly = None


@contextmanager
def called_before_ending(prepare: Callable[[], None]) -> Iterator[None]:
    """Has ``prepare`` called before a signal breaks off what runs in the context."""
    _state.before_ending.append(prepare)
    try:
        yield
    finally:
        _state.before_ending.remove(prepare)


def owns_terminal() -> bool:
    """Whether stderr is no terminal, or one that this process may still write to.

    After the second Ctrl-C ``mlflow run`` is gone, and the shell's prompt is there again.
    """
    try:
        return not sys.stderr.isatty() or os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return True
