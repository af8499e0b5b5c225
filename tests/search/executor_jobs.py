"""Jobs for executors that need nothing of the project: openers, and the verbs a job may be.

A job is a tuple, its verb first. Kept apart from the tests because worker processes import it.
"""

import os
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DeviceError
from pipeline.search.executors.interface import Failed, Finished, Progressed

PATIENCE_SECONDS = 60.0
GATHERING_SECONDS = 240.0


@dataclass(frozen=True)
class Desk:
    """Opens up a worker that does what a job says."""

    def open(self):
        return do


@dataclass(frozen=True)
class TalkativeDesk:
    """Opens up a worker that says something of itself."""

    def open(self):
        return Talkative()


class Talkative:
    about = ("this", 1.5)

    def __call__(self, job, emit, inbox):
        return do(job, emit, inbox)


@dataclass(frozen=True)
class RefusingDesk:
    """Cannot be opened: the user asked for what is not there."""

    def open(self):
        raise DeviceError("--device gpu: there is none; use --device cpu")


@dataclass(frozen=True)
class DyingDesk:
    """Takes its process with it while it is opened."""

    def open(self):
        os.write(2, b"the library is broken\n")
        os._exit(7)


@dataclass(frozen=True)
class OnceDyingDesk:
    """Takes its process with it the first time only."""

    mark: Path

    def open(self):
        if not self.mark.exists():
            self.mark.touch()
            os._exit(7)
        return do


@dataclass(frozen=True)
class StuckDesk:
    """Hangs while it is opened, the first time only or every time; marks each time, by a byte."""

    mark: Path
    forever: bool

    def open(self):
        if self.forever or not self.mark.exists():
            os.write(2, b"still opening\n")
            with self.mark.open("ab") as mark:
                mark.write(b".")
            time.sleep(600)
        return do


def temporary(emit, inbox):
    """Leaves a file in the temporary folder, as libraries do; returns its path."""
    descriptor, path = tempfile.mkstemp()
    os.close(descriptor)
    return path


def do(job, emit, inbox):
    verb, *arguments = job
    return VERBS[verb](emit, inbox, *arguments)


def double(emit, inbox, number):
    return 2 * number


def count(emit, inbox, upto):
    for number in range(upto):
        emit(number)
    return upto


def listen(emit, inbox):
    """Says that it is listening and returns what it is told."""
    emit("listening")
    end = time.monotonic() + PATIENCE_SECONDS
    heard = []
    while not heard and time.monotonic() < end:
        heard = list(inbox())
        time.sleep(0.01)
    return heard


def quarrel(emit, inbox):
    raise ValueError("a poison\n  value")


def refuse(emit, inbox):
    raise DeviceError("this one job cannot be done")


def whoami(emit, inbox):
    return os.getpid()


def variable(emit, inbox, name):
    return os.environ.get(name)


def kill(emit, inbox):
    os.write(2, b"first words\nlast words\n")
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(emit, inbox, seconds):
    emit(os.getpid())
    time.sleep(seconds)
    return "slept"


def hang_once(emit, inbox, mark):
    """Says where it runs, and hangs the first time."""
    first = not Path(mark).exists()
    Path(mark).touch()
    emit(os.getpid())
    if first:
        time.sleep(600)
    return "done"


def tick(emit, inbox, seconds, mark=None):
    """Shows progress all the time; leaves a mark as it ends."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        emit("tick")
        time.sleep(0.02)
    if mark is not None:
        Path(mark).touch()
    return "ticked"


def hoard(emit, inbox):
    raise MemoryError("no room")


def unsendable(emit, inbox):
    return lambda: None


def meet(emit, inbox, mine, other):
    """Returns whether the other job was there at the same time."""
    Path(mine).touch()
    end = time.monotonic() + PATIENCE_SECONDS
    while not Path(other).exists() and time.monotonic() < end:
        time.sleep(0.01)
    return Path(other).exists()


def meet_as(emit, inbox, mine, everybodys, name):
    """Returns a variable of this worker, once all others have come to the same job."""
    Path(mine).touch()
    end = time.monotonic() + PATIENCE_SECONDS
    while not all(map(os.path.exists, everybodys)) and time.monotonic() < end:
        time.sleep(0.01)
    return os.environ.get(name)


VERBS = {
    function.__name__: function
    for function in (
        double, count, listen, quarrel, refuse, whoami, variable, kill, sleep, hang_once, tick,
        hoard, meet, meet_as, temporary, unsendable,
    )
}  # fmt: skip


def gather(executor, *jobs, on_progress=None):
    """Submits jobs under the keys 0, 1, ... and returns each one's events, once all ended."""
    events = {key: [] for key in range(len(jobs))}
    ended = set()

    def handle(event):
        events[event.key].append(event)
        if isinstance(event, Finished | Failed):
            ended.add(event.key)
        elif on_progress is not None and isinstance(event, Progressed):
            on_progress(event)

    for key, job in enumerate(jobs):
        executor.submit(key, job)
    end = time.monotonic() + GATHERING_SECONDS
    while len(ended) < len(jobs) and time.monotonic() < end:
        executor.wait(handle, 0.5)
    assert len(ended) == len(jobs), f"ended: {sorted(ended)} of {len(jobs)}"
    return events


def results(executor, *jobs):
    """Returns what the jobs returned; one that failed gives its event."""
    last = [events[-1] for events in gather(executor, *jobs).values()]
    return [event.result if isinstance(event, Finished) else event for event in last]
