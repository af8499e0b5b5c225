"""Defines the report and its roles: the winner, the best-validation trial and the baseline.

Sections, figures and evidence ask a :class:`Report` for these trials and do not look for them
themselves, so that every part of a page means the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.records import (
    Measurement,
    StudyRecord,
    TestExamples,
    TestResult,
    TrialRecord,
)
from pipeline.selection.baseline import baseline_of
from pipeline.selection.records import MEDIAN, Confirmation, Finalist, Selection
from pipeline.training.techniques import used

WINNER, BEST_SCORE, NO_REGULARIZATION = "winner", "best score", "no regularization"
"""What every page calls the winner, the best-validation trial and the unregularized baseline."""


@dataclass(frozen=True)
class Size:
    """What a model costs where it is used.

    Attributes:
        num_parameters: Trainable parameters.
        milliseconds_per_example: Of a prediction in batches, on the machine that registered it.
    """

    num_parameters: int
    milliseconds_per_example: float


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that a page shows; compared by identity, by which its evidence is kept.

    Attributes:
        study: The study.
        selection: What the rule decided about it.
        test: The winner on the test part; None while that is sealed.
        model_uri: Where the winner's model is registered, or None.
        alias: ``champion`` or ``challenger``, what that model is now; None for neither.
        alias_because: Why, in words.
        extras: Further lines for people: label -> value.
        confirmation: The finalists with their seeds; None where ``--seeds 1`` skipped them.
        tested: Trial number -> result on the test part of the model that stands for the trial, of
            the winner and those it is compared with.
        tested_trainings: MLflow run -> result there of that training alone.
        test_examples: Their results per test example; None before the test part was read.
        sizes: ``delivered`` and ``one training`` -> size and speed; empty until it is registered.
        other_reads: Other study -> how often it read the same test part.
        kept: Returns, for a report and a format, the page that was kept of exactly that report;
            None where there is none. It is no part of what a page shows.
    """

    study: StudyRecord
    selection: Selection
    test: TestResult | None = None
    model_uri: str | None = None
    alias: str | None = None
    alias_because: str = ""
    extras: Mapping[str, str] = field(default_factory=dict)
    confirmation: Confirmation | None = None
    tested: Mapping[int, TestResult] = field(default_factory=dict)
    tested_trainings: Mapping[str, TestResult] = field(default_factory=dict)
    sizes: Mapping[str, Size] = field(default_factory=dict)
    test_examples: TestExamples | None = None
    other_reads: Mapping[str, int] = field(default_factory=dict)
    kept: Callable[[Report, str], str | None] | None = field(default=None, compare=False)

    @property
    def winner(self) -> TrialRecord | None:
        """The trial that the rule chose, as the search trained it; None where it chose none."""
        return self.trial(self.selection.winner)

    @property
    def best(self) -> TrialRecord | None:
        """The best-validation trial: of the finalists, where there are any, by their means."""
        return self.trial(self.selection.reference)

    @cached_property
    def baseline(self) -> TrialRecord | None:
        """The unregularized baseline of the study (``selection.baseline``)."""
        return baseline_of(self.study, used)

    @property
    def delivered(self) -> TrialRecord | None:
        """The winner as delivered: the mean of its seeds or one of them, else the trial itself."""
        return self.measured(self.selection.winner)

    def measured(self, number: int | None) -> TrialRecord | None:
        """Returns the model that stands for a trial: with several seeds what would be delivered."""
        finalist = self.several_seeds(number)
        return finalist.delivered if finalist else self.trial(number)

    def parts(self, number: int | None) -> tuple[TrialRecord, ...]:
        """Returns the trainings whose weights make the model that stands for a trial."""
        finalist, trial = self.several_seeds(number), self.trial(number)
        return finalist.parts if finalist else (trial,) if trial else ()

    def finalist(self, number: int | None) -> Finalist | None:
        """Returns the finalist of this number; None where there is none."""
        finalists = self.confirmation.finalists if self.confirmation else ()
        return next((finalist for finalist in finalists if finalist.number == number), None)

    def several_seeds(self, number: int | None) -> Finalist | None:
        """Returns the finalist of this number, or what was only trained to be compared with."""
        others = self.confirmation.others if self.confirmation else ()
        return self.finalist(number) or next((one for one in others if one.number == number), None)

    def seeds_behind(self, number: int | None) -> tuple[TrialRecord, ...]:
        """Returns a trial's trainings with several seeds; none where they were not asked for.

        What an older version locked is shown as that version did, without them.
        """
        several = self.several_seeds(number)
        return () if several is None or several.deliver == MEDIAN else several.runs

    def seeds_of(self, finalist: Finalist) -> tuple[int | None, ...]:
        """Returns the seed of each run; None for each where the list of seeds does not match."""
        seeds = self.confirmation.seeds if self.confirmation else ()
        num_runs = len(finalist.runs)
        return tuple(map(int, seeds)) if len(seeds) == num_runs else (None,) * num_runs

    def judged(self, number: int | None) -> Measurement | None:
        """Returns what a trial was judged by: with several seeds what they say together."""
        judged = self.several_seeds(number) or self.trial(number)
        return judged.measurement if judged else None

    def trial(self, number: int | None) -> TrialRecord | None:
        """Returns the trial of this number, or None."""
        return None if number is None else self._trials.get(number)

    @cached_property
    def _trials(self) -> Mapping[int, TrialRecord]:
        return {trial.number: trial for trial in self.study.trials}
