"""Keeps all trials that ended so far, and what the default rule says of them.

In: suggestions and outcomes, as trials end. Out: the standings, for verdicts, for the view and for
which weights may still be needed. What a trial's end costs does not grow with the study.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.formatting import decimal
from pipeline.records import StudyRecord, TrialOutcome, TrialRecord
from pipeline.selection.baseline import baseline_of
from pipeline.selection.records import RuleSettings, Verdict
from pipeline.selection.select import select
from pipeline.selection.standings import Standings
from pipeline.training.techniques import used

if TYPE_CHECKING:
    from pipeline.search.study import Suggestion


class Leaderboard:
    """The records of a study and how they stand.

    Args:
        earlier: The study with the trials of earlier commands.
        stale: Those of them that killed searches left; they count for nothing.

    Attributes:
        baseline: The unregularized baseline so far; None while there is none.
        best: The least overfitting of those as good as the best, in words; empty while none is.
        names: Names of the references that ended.
    """

    def __init__(self, earlier: StudyRecord, stale: Iterable[int] = ()) -> None:
        self._base = replace(earlier, trials=())
        self._records: dict[int, TrialRecord] = {}
        self._standings = Standings(self._base)
        self._plain: tuple[TrialRecord, ...] = ()
        self.names: set[str | None] = set()
        set_aside = frozenset(stale)
        self._counts = Counter(t.state for t in earlier.trials if t.number not in set_aside)
        self._take(sorted(earlier.trials, key=lambda trial: trial.number))

    def add(self, ended: Iterable[tuple[Suggestion, TrialOutcome]]) -> None:
        """Adds trials that ended, each of which comes once, and says anew how all stand."""
        records = [as_record(suggestion, o, self._base.split_id) for suggestion, o in ended]
        self._counts.update(record.state for record in records)
        self._take(records)

    def _take(self, records: list[TrialRecord]) -> None:
        self._records |= {record.number: record for record in records}
        self.names |= {record.name for record in records}
        self._standings.add(records)
        # The best plain trial so far, and the best of the baseline's name: no other can become it.
        plain = replace(self._base, trials=(*self._plain, *records))
        self.baseline = baseline_of(plain, used)
        self._plain = () if self.baseline is None else (self.baseline,)
        self.best = self._winner_line()

    def verdict(self, number: int) -> Verdict:
        """Returns the verdict on a trial, by all that ended so far."""
        return self._standings.verdict(self._records[number])

    def verdicts(self) -> dict[int, Verdict]:
        """Returns the verdict of every trial: all are judged, so it is for the end of a search."""
        return dict(select(self.record, RuleSettings()).verdicts)

    @property
    def record(self) -> StudyRecord:
        """The study with all its trials, in the order of their numbers."""
        trials = tuple(self._records[number] for number in sorted(self._records))
        return replace(self._base, trials=trials)

    def count(self, state: str) -> int:
        """Returns how many trials ended in this state."""
        return self._counts[state]

    def needs_weights(self, number: int) -> bool:
        """Whether a trial's weights may be needed: it may win, or the report compares with it."""
        standings, baseline = self._standings, self.baseline
        if number == standings.reference or number in standings.eligible:
            return True
        return baseline is not None and number == baseline.number

    def _winner_line(self) -> str:
        chosen = self._standings.winner
        if chosen is None or (measured := self._records[chosen].measurement) is None:
            return ""
        name = f" ({self._records[chosen].name})" if self._records[chosen].name else ""
        return (
            f"trial {chosen}{name}, val CE {decimal(measured.val_ce)}, "
            f"gap {decimal(measured.gap_ce)} +- {decimal(1.96 * measured.gap_ce_se)}, "
            f"{len(self._standings.eligible)} as good as the best"
        )


def as_record(suggestion: Suggestion, outcome: TrialOutcome, split_id: str) -> TrialRecord:
    """Returns a trial as tracking would read it back."""
    return TrialRecord(
        number=outcome.number,
        state=outcome.state,
        config=suggestion.config,
        split_id=split_id,
        name=suggestion.name,
        measurement=outcome.measurement,
        validation=outcome.validation,
        curves=outcome.curves,
        cause=outcome.cause,
        seconds=outcome.seconds,
    )
