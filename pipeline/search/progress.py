"""Shows the user how a study runs: a live view on a terminal, plain lines elsewhere.

The supervisor makes a :class:`Snapshot` after every event and a note for what stays on record.
Everything goes to stderr; stdout is for results. Lines are plain also where the terminal cannot
move its cursor (``TERM=dumb``), where ``NO_COLOR`` is set, and with ``--verbose``, beside which
libraries write as they like.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.formatting import decimal, duration
from pipeline.library_messages import NORMAL, VERBOSE
from pipeline.records import TrialConfig, TrialOutcome
from pipeline.search.interrupts import called_before_ending
from pipeline.search.space.space import SearchSpace
from pipeline.training.descriptions import describe

PLAIN_SECONDS = 15.0
"""Seconds between two plain lines about trials still running."""


@dataclass(frozen=True)
class Running:
    """One cohort on its way."""

    label: str
    epoch: int
    epochs: int
    val_ce: float | None


@dataclass(frozen=True)
class Snapshot:
    """The study at one moment.

    Attributes:
        total: Trials asked for.
        ended: Trials that ended.
        pruned: Of them, stopped early by the pruner.
        failed: Of them, failed.
        running: What trains now.
        best: The least overfitting among the as-good-as-best so far, in words.
        seconds: Since the start.
        seconds_left: At most; None before anything was timed.
    """

    total: int
    ended: int
    pruned: int
    failed: int
    running: tuple[Running, ...]
    best: str
    seconds: float
    seconds_left: float | None

    @property
    def counts(self) -> str:
        """Trials done, pruned and failed, in words."""
        parts = [f"{self.ended}/{self.total} trials"]
        parts += [f"{self.pruned} pruned"] if self.pruned else []
        parts += [f"{self.failed} failed"] if self.failed else []
        return ", ".join(parts)

    @property
    def time(self) -> str:
        """Time spent and left, in words."""
        left = "" if self.seconds_left is None else f", at most {duration(self.seconds_left)} left"
        return f"{duration(self.seconds)}{left}"


class View(Protocol):
    """Shows a study on its way."""

    def note(self, message: str) -> None:
        """Puts a line on record."""

    def warn(self, message: str) -> None:
        """Puts a line on record that the user has to see."""

    def detail(self, message: str) -> None:
        """Puts a line on record that only who asked for details wants to see."""

    def show(self, snapshot: Snapshot) -> None:
        """Shows the study as it stands now."""


class PlainView:
    """Lines for a pipe or a log file: every note, and now and then what is running.

    Args:
        console: Where to.
        level: How much is told; with :data:`VERBOSE` each line begins with the seconds since the
            start.
    """

    def __init__(self, console: Console, level: int = NORMAL) -> None:
        self._console, self._level = console, level
        self._start = self._last = time.monotonic()

    def note(self, message: str) -> None:
        """Prints the line, unless only warnings are wanted."""
        if self._level >= NORMAL:
            self.warn(message)

    def warn(self, message: str) -> None:
        """Prints the line."""
        self._last = time.monotonic()
        at = f"[{self._last - self._start:6.1f} s] " if self._level >= VERBOSE else ""
        # A terminal would break words; a file's lines are for programs.
        whole = not self._console.is_terminal or self._console.is_dumb_terminal
        self._console.print(f"{at}{message}", soft_wrap=whole, highlight=False, markup=False)

    def detail(self, message: str) -> None:
        """Prints the line where details are wanted."""
        if self._level >= VERBOSE:
            self.warn(message)

    def show(self, snapshot: Snapshot) -> None:
        """Prints a line if there was none for a while."""
        if self._level >= NORMAL and time.monotonic() - self._last > PLAIN_SECONDS:
            running = "; ".join(_row(entry) for entry in snapshot.running)
            self.note(f"{snapshot.counts}, {snapshot.time}; running: {running or 'nothing'}")


class LiveView:
    """A view that stays at the bottom of the terminal; notes scroll above it."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console, self._live = console, live

    def note(self, message: str) -> None:
        """Prints the line above the view."""
        self._console.print(message, highlight=False, markup=False)

    def warn(self, message: str) -> None:
        """Prints the line above the view."""
        self.note(message)

    def detail(self, message: str) -> None:
        """Leaves it out: details are for plain lines."""

    def show(self, snapshot: Snapshot) -> None:
        """Redraws the view."""
        self._live.update(drawing(snapshot))


def drawing(snapshot: Snapshot) -> RenderableType:
    """Returns the live view of a snapshot."""
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=max(snapshot.total, 1), completed=snapshot.ended, width=30),
        Text(snapshot.counts, style="bold"),
        Text(snapshot.time, style="dim"),
    )
    rows = [Text(f"  {_row(entry)}") for entry in snapshot.running[:8]]
    return Group(bar, *rows, Text(f"  best so far: {snapshot.best or 'none yet'}", style="green"))


def _row(entry: Running) -> str:
    state = "starting" if entry.epoch == 0 else f"epoch {entry.epoch}/{entry.epochs}"
    value = "" if entry.val_ce is None else f", val CE {entry.val_ce:.3f}"
    return f"{entry.label}: {state}{value}"


@contextmanager
def open_view(console: Console, level: int = NORMAL) -> Iterator[View]:
    """Yields the view that suits the console, and how much is to be told."""
    still = not console.is_terminal or console.is_dumb_terminal or console.no_color
    if still or level != NORMAL:
        yield PlainView(console, level)
        return
    with (
        Live(console=console, refresh_per_second=4, transient=True) as live,
        # Before `mlflow run` gives the terminal back: later it would draw over the prompt.
        called_before_ending(live.stop),
    ):
        yield LiveView(console, live)


def trial_line(
    number: int, name: str | None, configuration: str, outcome: TrialOutcome, verdict: str
) -> str:
    """Returns the line about a trial's end.

    Args:
        number: The trial's.
        name: Of a reference configuration, else None.
        configuration: What it was, in words.
        outcome: What came of it.
        verdict: One word on that, by all trials that ended so far.
    """
    start = f"trial {number}" + (f" ({name})" if name else "")
    start = f"{start}: {configuration} -> " if configuration else f"{start}: "
    measured = outcome.measurement
    if outcome.state == "FAIL":
        return f"{start}failed: {outcome.cause}"
    if measured is None:
        return f"{start}pruned after {len(outcome.curves.get('val_ce', ()))} epochs"
    return (
        f"{start}{verdict}, gap {decimal(measured.gap_ce)}, val CE {decimal(measured.val_ce)}, "
        f"val accuracy {decimal(measured.val_accuracy)}, best epoch {measured.best_epoch} of "
        f"{measured.epochs}, {duration(outcome.seconds)}"
    )


def in_short(config: TrialConfig, space: SearchSpace) -> str:
    """Returns what sets a trial apart in its space, in words; empty where nothing does."""
    other = {name for name, value in space.constants.items() if getattr(config, name) != value}
    return describe(config, {*space.parameters, *other})


def ways_to_shorten(space: SearchSpace) -> str:
    """Returns the options that make a long study shorter, with this space's numbers."""
    references = (
        f", --no-references (leaves out {len(space.references)})" if space.references else ""
    )
    return (
        f". To cut it: --train-examples N, --epochs N (now {space.epochs}), --trials N"
        f"{references}, --timeout 30m, --precision mixed_bfloat16, --workers N, or a GPU"
    )
