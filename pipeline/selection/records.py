"""Defines the nouns of selection: a rule and its constants, what it chose, finalists, verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # For annotations only: the command's options read the constants below, and `--help` must not
    # wait for numpy.
    from pipeline.records import Measurement, TrialRecord


@dataclass(frozen=True)
class Constant:
    """A number that changes what a rule chooses; ``pipeline report`` has an option of its name.

    Attributes:
        name: Its name; :class:`RuleSettings` has it as an attribute.
        default: What is used where nothing is asked for.
        low: Smallest value that is accepted.
        high: Largest value that is accepted.
        expected: What it has to be, for the message about a value outside this range.
        meaning: What it does, for ``--help``.
    """

    name: str
    default: float
    low: float
    high: float
    expected: str
    meaning: str

    @property
    def option(self) -> str:
        """The option of ``pipeline report`` that sets it."""
        return f"--{self.name.replace('_', '-')}"


K = Constant(
    "k", 1.0, 0.0, math.inf, "a number of standard errors, 0 or more",
    "Paired standard errors by which a trial may be worse and still be as good as the best.",
)  # fmt: skip
TAU = Constant(
    "tau", 0.05, 0.0, math.inf, "a share of the best cross-entropy, 0 or more",
    "Share of the best cross-entropy by which a trial may be worse and still be as good.",
)  # fmt: skip
TAU_ACCURACY = Constant(
    "tau_accuracy", 0.01, 0.0, 1.0, "a difference of accuracies, 0 to 1",
    "Accuracy by which a trial may be worse and still be as good as the best.",
)  # fmt: skip
ALPHA = Constant(
    "alpha", 0.05, 0.0, 1.0, "a probability, 0 to 1",
    "Probability that a study of guessing trials passes the guard against chance.",
)  # fmt: skip
WEIGHT = Constant(
    "weight", 0.5, 0.0, 1.0, "0 to 1: above 1 the gap outweighs quality and useless models win",
    "Weight of the gap in the sum that the rule penalised minimizes.",
)  # fmt: skip
EPSILON = Constant(
    "epsilon", 0.05, 0.0, math.inf, "a gap in nats, 0 or more",
    "Largest gap that the rule constraint accepts, nats.",
)  # fmt: skip


SEEDS, FINALISTS = 3, 5
"""Seeds per finalist and finalists, where nothing else is asked for and nothing is locked."""

ENSEMBLE, SINGLE, MEDIAN = "ensemble", "single", "median"
DELIVERIES = (ENSEMBLE, SINGLE)
"""What is delivered of the winner's seeds: their mean in one model, or the best of them.

Older versions delivered the seed with the median ``val_ce``; what they locked is shown so again
(:data:`MEDIAN`), and cannot be asked for.
"""


@dataclass(frozen=True)
class RuleSettings:
    """Name and constants of a selection rule; which constants it has is its entry in ``RULES``.

    Attributes:
        name: A key of ``RULES``.
        k: See :data:`K`.
        tau: See :data:`TAU`.
        tau_accuracy: See :data:`TAU_ACCURACY`.
        alpha: See :data:`ALPHA`.
        weight: See :data:`WEIGHT`.
        epsilon: See :data:`EPSILON`.
        seeds: Seeds per finalist; 1 means no finalists were trained.
        finalists: Number of finalists.
        deliver: One of :data:`DELIVERIES`; :data:`MEDIAN` in what an older version locked.
        more: Names and values of constants that only an entry of ``RULES`` defines. They are read
            as the others: ``settings.beta``.
    """

    name: str = "least_overfit"
    k: float = K.default
    tau: float = TAU.default
    tau_accuracy: float = TAU_ACCURACY.default
    alpha: float = ALPHA.default
    weight: float = WEIGHT.default
    epsilon: float = EPSILON.default
    seeds: int = 1
    finalists: int = FINALISTS
    deliver: str = ENSEMBLE
    more: tuple[tuple[str, float], ...] = ()

    if not TYPE_CHECKING:  # a checker would believe every name

        def __getattr__(self, name: str) -> float:
            further = dict(self.more)
            if name not in further:
                raise AttributeError(f"the rule '{self.name}' has no constant {name!r}")
            return further[name]

    def as_dict(self) -> dict[str, Any]:
        """Returns name, constants, seeds, finalists and delivery by name, as reports list them.

        Without the delivery where an older version locked none.
        """
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        further = dict(values.pop("more"))
        last = {name: values.pop(name) for name in ("seeds", "finalists", "deliver")}
        if self.deliver == MEDIAN:
            del last["deliver"]
        return {**values, **further, **last}


@dataclass(frozen=True)
class Verdict:
    """What became of a trial: a word, and the numbers behind it as one sentence."""

    name: str
    because: str


@dataclass(frozen=True)
class Finalist:
    """A trial's configuration, trained again with several seeds on the same split.

    Attributes:
        number: The trial whose configuration it is.
        runs: One record per seed, in the order of the study's seed list (common to all
            finalists); ``number`` is the trial's, ``mlflow_run_id`` the run of that seed.
        measurement: What it is judged by: the measures of the mean of the seeds' probabilities, or
            (``single``, ``median``) the mean of the seeds' measures; ``gap_ce_se`` contains the
            variance between seeds.
        median: Index into ``runs`` of the seed with the median ``val_ce``.
        average: The mean of the seeds' probabilities as one model, without a run of its own; None
            where an older version did not keep what it takes.
        deliver: What would be delivered of it.
    """

    number: int
    runs: tuple[TrialRecord, ...]
    measurement: Measurement
    median: int
    average: TrialRecord | None = None
    deliver: str = MEDIAN

    @property
    def place(self) -> int | None:
        """Index into ``runs`` of the seed that would be delivered; None for their mean."""
        if self.deliver == ENSEMBLE:
            return None
        values = [run.measurement.val_ce for run in self.runs if run.measurement]
        return self.median if self.deliver == MEDIAN else values.index(min(values))

    @property
    def delivered(self) -> TrialRecord:
        """What would be delivered of it: the mean of its seeds, or one of them."""
        if self.place is not None:
            return self.runs[self.place]
        assert self.average is not None, "an ensemble is judged by its average"
        return self.average

    @property
    def parts(self) -> tuple[TrialRecord, ...]:
        """The trainings whose weights are in what would be delivered."""
        return self.runs if self.place is None else (self.runs[self.place],)


@dataclass(frozen=True)
class Confirmation:
    """The finalists of a study: what the rule is applied to a second time.

    Attributes:
        seeds: The seed list, common to all finalists.
        finalists: Smallest mean gap first.
        first_choice: The trial that the rule chose before, by one seed each.
        others: Configurations that were trained with the same seeds to be compared with: they
            were not as good as the best by the wider margins, and are not chosen from.
    """

    seeds: tuple[int, ...]
    finalists: tuple[Finalist, ...]
    first_choice: int
    others: tuple[Finalist, ...] = ()


@dataclass(frozen=True)
class Selection:
    """What a rule chose, with its reasons, and the finalists that it rests on.

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
        order: The eligible as the rule prefers them, its winner first.
        confirmation: The finalists; None where one training per trial decided.
        dropped: Finalists that could not be chosen -> why.
    """

    status: str
    rule: RuleSettings
    winner: int | None = None
    reference: int | None = None
    eligible: tuple[int, ...] = ()
    front: tuple[int, ...] = ()
    excluded: Mapping[int, str] = field(default_factory=dict)
    verdicts: Mapping[int, Verdict] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    order: tuple[int, ...] = ()
    confirmation: Confirmation | None = None
    dropped: Mapping[int, str] = field(default_factory=dict)
