"""Keeps all trials that ended so far, and what the default rule selects from them.

In: suggestions and outcomes, as trials end. Out: the selection, for verdicts, for the view and for
which weights may still be needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.formatting import decimal
from pipeline.records import StudyRecord, TrialOutcome, TrialRecord
from pipeline.selection.baseline import baseline_of
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select
from pipeline.training.techniques import used

if TYPE_CHECKING:
    from pipeline.search.study import Suggestion


class Leaderboard:
    """The records of a study and the selection from them.

    Args:
        earlier: The study with the trials of earlier commands.
        stale: Those of them that killed searches left; they count for nothing.

    Attributes:
        selection: By the default rule, of all that ended.
        baseline: The unregularized baseline so far; None while there is none.
        best: The least overfitting of those as good as the best, in words; empty while none is.
    """

    def __init__(self, earlier: StudyRecord, stale: Iterable[int] = ()) -> None:
        self._base = earlier
        self._records = {trial.number: trial for trial in earlier.trials}
        set_aside = frozenset(stale)
        self._counts = Counter(t.state for t in earlier.trials if t.number not in set_aside)
        self._select()

    def add(self, ended: Iterable[tuple[Suggestion, TrialOutcome]]) -> None:
        """Adds trials that ended, and applies the rule anew."""
        records = [as_record(suggestion, o, self._base.split_id) for suggestion, o in ended]
        self._records |= {record.number: record for record in records}
        self._counts.update(record.state for record in records)
        self._select()

    def _select(self) -> None:
        """Applies the rule; once per end, as the view asks for the outcome at every epoch."""
        record = self.record
        self.selection = select(record, RuleSettings())
        self.baseline = baseline_of(record, used)
        self.best = self._winner_line()

    @property
    def record(self) -> StudyRecord:
        """The study with all its trials, in the order of their numbers."""
        trials = tuple(self._records[number] for number in sorted(self._records))
        return replace(self._base, trials=trials)

    @property
    def names(self) -> set[str | None]:
        """Names of the references that ended."""
        return {record.name for record in self._records.values()}

    def count(self, state: str) -> int:
        """Returns how many trials ended in this state."""
        return self._counts[state]

    def needs_weights(self, number: int) -> bool:
        """Whether a trial's weights may be needed: it may win, or the report compares with it."""
        compared = {self.selection.reference, self.baseline.number if self.baseline else None}
        return number in self.selection.eligible or number in compared

    def _winner_line(self) -> str:
        chosen = self.selection.winner
        if chosen is None or (measured := self._records[chosen].measurement) is None:
            return ""
        name = f" ({self._records[chosen].name})" if self._records[chosen].name else ""
        return (
            f"trial {chosen}{name}, val CE {decimal(measured.val_ce)}, "
            f"gap {decimal(measured.gap_ce)} +- {decimal(1.96 * measured.gap_ce_se)}, "
            f"{len(self.selection.eligible)} as good as the best"
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
