"""The nouns of selection, frozen: the rule and its constants, what it chose, and the finalists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.records import Measurement, TrialRecord


@dataclass(frozen=True)
class RuleSettings:
    """Name and constants of a selection rule.

    Attributes:
        name: A key of ``report.selection.RULES``.
        k: Paired standard errors that still count as equally good.
        tau: Relative cross-entropy margin that still counts as equally good.
        tau_accuracy: Absolute accuracy margin that still counts as equally good.
        alpha: Family-wise level of the skill guard.
        weight: Weight of the gap in the rule ``penalised``, at most 1.
        epsilon: Largest gap that the rule ``constraint`` accepts, nats.
        seeds: Seeds per finalist; 1 means no finalists were trained.
        finalists: Number of finalists.
    """

    name: str = "least_overfit"
    k: float = 1.0
    tau: float = 0.05
    tau_accuracy: float = 0.01
    alpha: float = 0.05
    weight: float = 0.5
    epsilon: float = 0.05
    seeds: int = 1
    finalists: int = 5


@dataclass(frozen=True)
class Selection:
    """What a rule decided, with its reasons.

    Attributes:
        status: ``ok``, ``no_skill``, ``no_finite`` or ``empty``.
        rule: The rule and its constants.
        winner: Trial number, or None.
        reference: The best-validation trial among the skilled (among the finite where none is).
        eligible: Numbers of the trials as good as the best, smallest gap first.
        front: Numbers on the Pareto front (rule ``pareto`` only).
        excluded: Trial number -> why it is not eligible.
        verdicts: Trial number -> verdict, for every trial.
        notes: Sentences a reader should know (single trial, negative gap, ...).
    """

    status: str
    rule: RuleSettings
    winner: int | None = None
    reference: int | None = None
    eligible: tuple[int, ...] = ()
    front: tuple[int, ...] = ()
    excluded: Mapping[int, str] = field(default_factory=dict)
    verdicts: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finalist:
    """A trial's configuration, trained again with several seeds on the same split.

    Attributes:
        number: The trial whose configuration it is.
        runs: One record per seed, in the order of the study's seed list (common to all
            finalists); ``number`` is the trial's, ``mlflow_run_id`` the run of that seed.
        measurement: The mean over the seeds; ``gap_ce_se`` contains the variance between seeds.
        median: Index into ``runs`` of the seed with the median ``val_ce``: what is delivered.
    """

    number: int
    runs: tuple[TrialRecord, ...]
    measurement: Measurement
    median: int


@dataclass(frozen=True)
class Confirmation:
    """The finalists of a study: what the rule is applied to a second time.

    Attributes:
        seeds: The seed list, common to all finalists.
        finalists: Smallest mean gap first.
        first_choice: The trial that the rule chose before, by one seed each.
    """

    seeds: tuple[int, ...]
    finalists: tuple[Finalist, ...]
    first_choice: int
