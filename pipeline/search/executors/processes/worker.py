"""Holds the supervisor's side of one worker process: its pipe, its job and what became of it."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Mapping
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import psutil

from pipeline.environment import variables_set
from pipeline.search.executors.interface import Limits, Opener
from pipeline.search.executors.processes.serving import serve

OPENING_SECONDS = 600.0
"""A worker that has not opened by then (a file system or a driver that hangs) is ended."""
CLOSING_SECONDS = 5.0


class Worker:
    """The supervisor's side of one worker process.

    Args:
        opener: Opens it up.
        log: File for what it writes to stderr.
        variables: Environment variables of its own; they are there before anything is imported.
    """

    def __init__(
        self, opener: Opener, log: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.log = log
        self.variables = dict(variables or {})
        self.about: Any = None
        self.key: int | None = None
        self.job: Any = None
        self.limits: Limits | None = None
        self.started = self.begun = self.heard = time.monotonic()
        self.jobs = 0
        self.opened = False
        self.stuck = False
        self.opened_bytes = 0
        self.process = context.Process(target=serve, args=(other, opener, log), daemon=True)
        # The first start would start this one, too, and it unblocks the signals blocked below.
        resource_tracker.ensure_running()
        # Ctrl-C while it starts would show its traceback; what is blocked here arrives afterwards.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            # The main program is imported ahead of what is called there: it may use a backend.
            with variables_set(self.variables):
                self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
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
            # One that waits in the kernel, for a disk or a driver, does not die of it: given up.
            self.process.join(CLOSING_SECONDS)
        self.connection.close()

    def end_if_stuck(self) -> bool:
        """Kills it where it should have opened long ago and has nothing to say; returns whether."""
        late = time.monotonic() - self.started > OPENING_SECONDS
        if not self.opened and late and not self.connection.poll():
            self.stuck = True
            self.process.kill()
        return self.stuck

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
        if self.stuck:
            how = f"it had not started after {OPENING_SECONDS:g} s"
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"the worker process died ({how})" + (f": {last[:300]}" if last else "")


def resident_bytes(pid: int | None) -> int:
    """Returns the memory that a process holds; 0 for one that is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
