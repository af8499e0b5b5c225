"""The table of trials: which rows, in which order, and what stands in their cells.

A :class:`Report` (records, selection, test result) in, :class:`TrialRecord` and strings out; text
and Markdown show the same. A new column is an entry in ``COLUMNS`` and a value in ``cells``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.formatting import MISSING, between, decimal
from pipeline.records import (
    Measurement,
    StudyRecord,
    TestExamples,
    TestResult,
    TrialConfig,
    TrialRecord,
)
from pipeline.selection.records import Confirmation, Finalist, Selection
from pipeline.selection.verdicts import gap_interval_of
from pipeline.training.techniques import hyperparameters

NUM_ROWS = 15
"""Trials listed in the table, besides the winner, the best one and the named references."""

COLUMNS = (
    "",
    "trial",
    "configuration",
    "verdict",
    "val acc",
    "val CE",
    "train CE",
    "gap",
    "95% of the gap",
)


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that a page shows; compared by identity, by which its evidence is kept.

    Attributes:
        study: The study.
        selection: What the rule decided about it.
        test: The winner on the test part; None while that is sealed.
        model_uri: Where the winner's model is registered, or None.
        extras: Further lines for people: label -> value.
        confirmation: The finalists with their seeds; None where ``--seeds 1`` skipped them.
        tested: Trial number -> result on the test part, the winner and those it is compared with.
        test_examples: Their results per test example; None before the test part was read.
    """

    study: StudyRecord
    selection: Selection
    test: TestResult | None = None
    model_uri: str | None = None
    extras: Mapping[str, str] = field(default_factory=dict)
    confirmation: Confirmation | None = None
    tested: Mapping[int, TestResult] = field(default_factory=dict)
    test_examples: TestExamples | None = None

    @property
    def delivered(self) -> TrialRecord | None:
        """The winner as delivered: with finalists the seed of the median, else the trial itself."""
        return self.measured(self.selection.winner)

    def measured(self, number: int | None) -> TrialRecord | None:
        """Returns the model that stands for a trial: of a finalist the median seed's."""
        finalist = self.finalist(number)
        return finalist.runs[finalist.median] if finalist else self.trial(number)

    def finalist(self, number: int | None) -> Finalist | None:
        """Returns the finalist of this number; None where there is none."""
        finalists = self.confirmation.finalists if self.confirmation else ()
        return next((finalist for finalist in finalists if finalist.number == number), None)

    def judged(self, number: int | None) -> Measurement | None:
        """Returns what a trial was judged by: of a finalist the mean over its seeds."""
        judged = self.finalist(number) or self.trial(number)
        return judged.measurement if judged else None

    def trial(self, number: int | None) -> TrialRecord | None:
        """Returns the trial of this number, or None."""
        return next((trial for trial in self.study.trials if trial.number == number), None)


def describe(config: TrialConfig, keys: set[str]) -> str:
    """Returns these hyperparameters of a configuration in words, leaving out what is off."""
    every = hyperparameters()
    wanted = {every[key].phrased_by or key for key in keys if key in every}
    phrases = [config.family] if "family" in keys else []
    phrases += [entry.describe(config) for name, entry in every.items() if name in wanted]
    return ", ".join(phrase for phrase in phrases if phrase)


def telling_keys(study: StudyRecord, config: TrialConfig) -> set[str]:
    """Returns what describes a model: the basics, what the study varies, what is not default."""
    usual = TrialConfig()
    unusual = {key for key, value in config.as_dict().items() if value != getattr(usual, key)}
    return {"family", "depth", "width"} | differing_keys(study) | unusual


def differing_keys(study: StudyRecord) -> set[str]:
    """Returns the hyperparameters in which the study's trials differ."""
    configs = [trial.config for trial in study.trials]
    names = ("family", *hyperparameters())
    return {name for name in names if len({getattr(config, name) for config in configs}) > 1}


def label(trial: TrialRecord, keys: set[str]) -> str:
    """Returns the name of a reference configuration, else what sets the trial apart."""
    return trial.name or describe(trial.config, keys) or "plain"


def ordered(report: Report) -> list[TrialRecord]:
    """Returns the trials: eligible first by gap, then the rest by val_ce, unmeasured ones last."""
    rank = {number: place for place, number in enumerate(report.selection.eligible)}

    def key(trial: TrialRecord) -> tuple[int, float, int]:
        if trial.number in rank:
            return 0, rank[trial.number], trial.number
        if trial.state == "COMPLETE" and trial.measurement and trial.measurement.finite:
            return 1, trial.measurement.val_ce, trial.number
        return 2, 0.0, trial.number

    return sorted(report.study.trials, key=key)


def listed(report: Report) -> list[TrialRecord]:
    """Returns the trials that the table shows, always with the winner, the best, the references."""
    marked = {report.selection.winner, report.selection.reference}
    return [
        trial
        for place, trial in enumerate(ordered(report))
        if place < NUM_ROWS or trial.number in marked or trial.name
    ]


def mark(report: Report, trial: TrialRecord) -> str:
    """Returns ``>`` for the winner, ``b`` for the best-validation trial, both for both."""
    winner = ">" if trial.number == report.selection.winner else ""
    return winner + ("b" if trial.number == report.selection.reference else "")


def cells(report: Report, trial: TrialRecord, keys: set[str]) -> tuple[str, ...]:
    """Returns a trial's row of the table (``COLUMNS``)."""
    measured = trial.measurement
    first = (mark(report, trial), str(trial.number), label(trial, keys))
    verdict = report.selection.verdicts.get(trial.number, MISSING)
    if measured is None:
        return (*first, verdict, MISSING, MISSING, MISSING, MISSING, MISSING)
    numbers = (measured.val_accuracy, measured.val_ce, measured.train_ce, measured.gap_ce)
    interval = between(*gap_interval_of(measured)) if measured.finite else MISSING
    return (*first, verdict, *(decimal(number) for number in numbers), interval)
