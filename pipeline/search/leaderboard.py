"""How a study stands: all that ended so far, and what the default rule makes of it.

In: records, as trials end. Out: the selection, for verdicts, for the view and for which weights may
still be needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline.formatting import decimal
from pipeline.records import StudyRecord, TrialRecord
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select


class Standing:
    """The records of a study and the selection from them.

    Args:
        earlier: The study with the trials of earlier commands.
        stale: Those of them that killed searches left; they count for nothing.

    Attributes:
        selection: By the default rule, of all that ended.
        best: The least overfitting of those as good as the best, in words; empty while none is.
    """

    def __init__(self, earlier: StudyRecord, stale: Iterable[int] = ()) -> None:
        self._base = earlier
        self._records = {trial.number: trial for trial in earlier.trials}
        set_aside = frozenset(stale)
        self._counts = Counter(t.state for t in earlier.trials if t.number not in set_aside)
        self._judge()

    def add(self, ended: Sequence[TrialRecord]) -> None:
        """Takes what ended, and applies the rule anew."""
        self._records |= {record.number: record for record in ended}
        self._counts.update(record.state for record in ended)
        self._judge()

    def _judge(self) -> None:
        """Applies the rule; once per end, as the view asks for the outcome at every epoch."""
        self.selection = select(self.record, RuleSettings())
        self.best = self._in_words()

    @property
    def record(self) -> StudyRecord:
        """The study with all its trials, in the order of their numbers."""
        trials = tuple(self._records[number] for number in sorted(self._records))
        return replace(self._base, trials=trials)

    @property
    def split_id(self) -> str:
        """The split that all of them are measured on."""
        return self._base.split_id

    @property
    def names(self) -> set[str | None]:
        """Names of the references that ended."""
        return {record.name for record in self._records.values()}

    def count(self, state: str) -> int:
        """Returns how many trials ended in this state."""
        return self._counts[state]

    def worth_keeping(self, number: int) -> bool:
        """Whether a trial's weights may be needed: it may win, or the report compares with it."""
        chosen = {*self.selection.eligible, self.selection.reference}
        return number in chosen or self._records[number].name == "baseline"

    def _in_words(self) -> str:
        chosen = self.selection.winner
        if chosen is None or (measured := self._records[chosen].measurement) is None:
            return ""
        name = f" ({self._records[chosen].name})" if self._records[chosen].name else ""
        return (
            f"trial {chosen}{name}, val CE {decimal(measured.val_ce)}, "
            f"gap {decimal(measured.gap_ce)} +- {decimal(1.96 * measured.gap_ce_se)}, "
            f"{len(self.selection.eligible)} as good as the best"
        )
