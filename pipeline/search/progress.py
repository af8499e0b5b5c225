"""Shows the user how a study runs: a live view on a terminal, plain lines elsewhere.

The supervisor makes a :class:`Snapshot` after every event and a note for what stays on record.
Everything goes to stderr; stdout is for results.
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
from pipeline.records import TrialOutcome
from pipeline.search.interrupts import called_before_ending
from pipeline.search.space.space import SearchSpace

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

    def show(self, snapshot: Snapshot) -> None:
        """Shows the study as it stands now."""


class PlainView:
    """Lines for a pipe or a log file: every note, and now and then what is running."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def note(self, message: str) -> None:
        """Prints the line."""
        self._console.print(message, soft_wrap=True, highlight=False, markup=False)
        self._last = time.monotonic()

    def show(self, snapshot: Snapshot) -> None:
        """Prints a line if there was none for a while."""
        if time.monotonic() - self._last > PLAIN_SECONDS:
            running = "; ".join(_row(entry) for entry in snapshot.running)
            self.note(f"{snapshot.counts}, {snapshot.time}; running: {running or 'nothing'}")


class LiveView:
    """A view that stays at the bottom of the terminal; notes scroll above it."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console, self._live = console, live

    def note(self, message: str) -> None:
        """Prints the line above the view."""
        self._console.print(message, highlight=False, markup=False)

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
def open_view(console: Console) -> Iterator[View]:
    """Yields the view that suits the console."""
    if not console.is_terminal:
        yield PlainView(console)
        return
    with (
        Live(console=console, refresh_per_second=4, transient=True) as live,
        # Before `mlflow run` gives the terminal back: later it would draw over the prompt.
        called_before_ending(live.stop),
    ):
        yield LiveView(console, live)


def trial_line(number: int, name: str | None, outcome: TrialOutcome) -> str:
    """Returns the line about a trial's end."""
    start = f"trial {number}" + (f" ({name})" if name else "")
    measured = outcome.measurement
    if outcome.state == "FAIL":
        return f"{start} failed: {outcome.cause}"
    if measured is None:
        return f"{start} pruned after {len(outcome.curves.get('val_ce', ()))} epochs"
    return (
        f"{start}: val accuracy {decimal(measured.val_accuracy)}, val CE "
        f"{decimal(measured.val_ce)}, gap {decimal(measured.gap_ce)}, best epoch "
        f"{measured.best_epoch} of {measured.epochs}, {duration(outcome.seconds)}"
    )


def ways_to_shorten(space: SearchSpace) -> str:
    """Returns the options that make a long study shorter, with this space's numbers."""
    references = (
        f", --no-references (leaves out {len(space.references)})" if space.references else ""
    )
    return (
        f". To cut it: --train-examples N, --epochs N (now {space.epochs}), --trials N"
        f"{references}, --timeout 30m, --precision mixed_bfloat16, --workers N, or a GPU"
    )
