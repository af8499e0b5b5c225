"""Foresees how long a search and its report take: a range, for the user.

In: timed steps (:class:`~pipeline.search.cost.Estimate`) of this study or an earlier one on this
machine. Out: two :class:`Span`s. What an epoch costs is known after the first steps; how early
trials stop is not, so the lower end counts a share of their epochs and the upper end all of them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.formatting import duration
from pipeline.records import TrialConfig
from pipeline.search.cohort_sizing import Sizing, cohorts_per_batch
from pipeline.search.cost import DataSize, Estimate, step_work
from pipeline.training.techniques import used

LEAST_SHARE, SLOWER = 0.35, 1.8
"""Of the time of all epochs: what early stopping and pruning leave at least, and what the machine's
other work may add; from the studies in docs/experiments.md."""
TRIAL_SECONDS = (0.1, 1.0)
"""Beside training: asking, tracking, waiting; per trial."""
START_SECONDS = (8.0, 45.0)
"""Importing, loading the data, opening the stores."""
PLACING_SECONDS = (5.0, 30.0)
"""Starting Ray, or joining it, and placing the first worker."""
REPORT_SECONDS = (10.0, 90.0)
"""A report without its finalists: a worker's start, restoring, resampling, pictures."""
FINALISTS_TOGETHER = 3
DEFAULT_RATE, DEFAULT_SETUP = 2e-10, 3.0
"""Seconds per multiply-add, and before a first step, where this machine has timed nothing."""
UNTIMED = 3.0
"""So much slower or faster this machine may be than that."""
KEPT = 9


@dataclass(frozen=True)
class Span:
    """A range of seconds."""

    low: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.high + other.high)

    def widened(self, factor: float) -> Span:
        """Returns a range that reaches so much further down and up."""
        return Span(self.low / factor, self.high * factor)

    def __str__(self) -> str:
        low, high = duration(self.low), duration(self.high)
        if low == high:
            return low
        same_unit = low.split()[1:] == high.split()[1:]
        return f"{low.split()[0]} to {high}" if same_unit else f"{low} to {high}"


def search_span(
    estimate: Estimate, configs: Iterable[TrialConfig], workers: int, together: float
) -> Span:
    """Returns how long training these trials takes, what is done beside it included.

    Args:
        estimate: With a timing at least.
        configs: The trials'; a ``Counter`` says of each how often.
        workers: Cohorts at once.
        together: Trials in a cohort, on average.
    """
    times = Counter(configs)
    most = estimate.seconds(times, workers, together)
    assert most is not None
    beside = Span(*(seconds * times.total() for seconds in TRIAL_SECONDS))
    return Span(LEAST_SHARE * most, SLOWER * most) + beside


def num_finalist_trainings(seeds: int, finalists: int, configs: Sequence[TrialConfig]) -> int:
    """Returns how many trainings a report does at most; 0 for one seed, which trains none.

    Finalists, and what they are always compared with: no technique, and each technique alone.

    Args:
        seeds: Seeds of each.
        finalists: Largest number of finalists.
        configs: The study's trials, or some like them.
    """
    if seeds == 1:
        return 0
    alone = {frozenset(techniques) for c in configs if len(techniques := used(c)) <= 1}
    return seeds * (min(finalists, len(configs)) + len(alone))


def report_span(estimate: Estimate, typical: Sequence[TrialConfig], trainings: int) -> Span:
    """Returns how long a report takes that trains so many finalists.

    Args:
        estimate: With a timing at least.
        typical: Configurations that may become finalists.
        trainings: Finalists times seeds at most; 0 for none.
    """
    span = Span(*REPORT_SECONDS)
    if not trainings:
        return span
    works = [step_work(config, estimate.data) for config in typical]
    usual, largest = (typical[int(np.argsort(works)[place])] for place in (len(works) // 2, -1))
    together = min(FINALISTS_TOGETHER, trainings)
    few = estimate.seconds([usual] * min(2 * together, trainings), 1, together)
    most = estimate.seconds([largest] * trainings, 1, together)
    assert few is not None and most is not None
    return span + Span(LEAST_SHARE * few, SLOWER * most)


def cohort_size(configs: Sequence[TrialConfig], sizing: Sizing) -> float:
    """Returns how many trials of a study train together on average, by drawn configurations."""
    return len(configs) / max(sum(cohorts_per_batch(configs, sizing)), 1)


def remembered(data: DataSize, epochs: int, device: str) -> tuple[Estimate, bool]:
    """Returns an estimate before anything is timed, and whether this machine timed it earlier.

    Args:
        data: What is trained on.
        epochs: Largest number of epochs of a trial.
        device: ``auto``, ``cpu`` or ``gpu``; what was used last on it.
    """
    estimate = Estimate(data, epochs)
    backend, known = _backend(), _read()
    fitting = [
        entry
        for entry in known
        if entry["backend"] == backend and (device == "auto" or entry["device"].startswith(device))
    ]
    if not fitting:
        estimate.rates, estimate.setups = [DEFAULT_RATE], [DEFAULT_SETUP]
        return estimate, False
    last = [entry for entry in fitting if entry["device"] == fitting[-1]["device"]]
    estimate.rates = [float(entry["rate"]) for entry in last]
    estimate.setups = [float(entry["setup"]) for entry in last]
    return estimate, True


def remember(estimate: Estimate, device: str) -> None:
    """Keeps what a search timed, for the next one on this machine; silent where it cannot."""
    if not estimate.rates:
        return
    entry = {
        "backend": _backend(),
        "device": device,
        "rate": float(np.median(estimate.rates)),
        "setup": float(np.mean(estimate.setups)),
    }
    with suppress(OSError):
        path = speed_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps([*_read(), entry][-KEPT:], indent=1))
        new.replace(path)


def speed_file() -> Path:
    """Returns where timings of this machine are kept."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "least-overfit" / "speed.json"


def _backend() -> str:
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def _read() -> list[dict[str, str]]:
    """Returns the timings that are kept; none where the file is missing or is another one."""
    try:
        known = json.loads(speed_file().read_text())
        return [entry for entry in known if float(entry["rate"]) > 0 and float(entry["setup"]) >= 0]
    except (OSError, ValueError, TypeError, KeyError):
        return []
