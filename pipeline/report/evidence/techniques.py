"""Measures what each technique buys on its own, at its own best setting: the isolation view.

A study in, an :class:`Effect` per technique out: its best trial with every other technique off,
against the unregularized baseline, on the same validation examples. Best means the smallest
``val_ce`` of several settings, so a row with many trials behind it is flattered a little more; the
number stands beside it. The techniques are those of ``training.techniques``.

Source: Google's Deep Learning Tuning Playbook (isolation plots).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pipeline.records import StudyRecord, TrialConfig, TrialRecord
from pipeline.report.evidence.differences import Difference, Trained, on_validation
from pipeline.selection.baseline import is_measured, quality
from pipeline.training.techniques import TECHNIQUES, of_techniques, used

Uses = Mapping[int, frozenset[str]]
"""Trial number -> the techniques that it uses."""
COMBINATION = "combination"
"""The row of the best trial with two or more techniques."""


@dataclass(frozen=True)
class Effect:
    """What one technique changes, alone at its best setting.

    Attributes:
        technique: A name of ``training.techniques.TECHNIQUES``, or ``combination``.
        num_trials: Measured trials with exactly this technique: the settings it was best of.
        trial: The best of them; None where there is none.
        val_ce: Validation cross-entropy minus the baseline's, nats: below 0 is better.
        accuracy: Validation accuracy minus the baseline's: above 0 is better.
        gap_ce: Generalization gap minus the baseline's, nats: below 0 is less overfitting.
        differs: Other hyperparameters in which the two differ: those have a share in the effect.
        seeds: Trainings of both, with the same seeds, whose means are compared; 1 for the one
            training of each in the search.
        missing: Why there is no trial; empty where there is one.
    """

    technique: str
    num_trials: int = 0
    trial: TrialRecord | None = None
    val_ce: Difference | None = None
    accuracy: Difference | None = None
    gap_ce: Difference | None = None
    differs: tuple[str, ...] = ()
    seeds: int = 1
    missing: str = ""


@dataclass(frozen=True)
class Isolation:
    """The isolation view of a study: the baseline, None where there is none, and the effects."""

    baseline: TrialRecord | None
    effects: tuple[Effect, ...]

    @property
    def alone(self) -> tuple[Effect, ...]:
        """The effects of single techniques."""
        return tuple(effect for effect in self.effects if effect.technique != COMBINATION)


def isolation(
    study: StudyRecord,
    baseline: TrialRecord | None,
    means: Mapping[int, Trained] | None = None,
) -> Isolation:
    """Returns what each technique buys over the baseline.

    Args:
        study: The study.
        baseline: Its unregularized baseline.
        means: Trial number -> the mean of its trainings with several seeds, where there are any.
    """
    uses = {trial.number: used(trial.config) for trial in study.trials}
    names = (*_listed_techniques(study, uses), COMBINATION)
    effects = (_effect(study, uses, name, baseline, means or {}) for name in names)
    return Isolation(baseline, tuple(effects))


def _listed_techniques(study: StudyRecord, uses: Uses) -> list[str]:
    """Returns the usual techniques, and others where the study searched or used them."""
    asked = set(study.definition.get("space", {}).get("search", {}))
    tried = frozenset[str]().union(*uses.values())
    return [
        name
        for name, entry in TECHNIQUES.items()
        if entry.usual or name in tried or asked & {key.name for key in entry.hyperparameters}
    ]


def _effect(
    study: StudyRecord,
    uses: Uses,
    technique: str,
    baseline: TrialRecord | None,
    means: Mapping[int, Trained],
) -> Effect:
    having = [trial for trial in study.trials if _has_exactly(uses[trial.number], technique)]
    measured = [trial for trial in having if is_measured(trial)]
    if not measured:
        return Effect(technique, missing=_why_missing(uses, technique, having))
    best = min(measured, key=quality)
    if baseline is None:
        return Effect(technique, len(measured), best, missing="no baseline to compare with")
    both = best.number in means and baseline.number in means
    with_it, without = (
        means[trial.number] if both else Trained(trial) for trial in (best, baseline)
    )
    found = on_validation(with_it, without)
    return Effect(
        technique,
        len(measured),
        best,
        val_ce=found.ce if found else None,
        accuracy=found.accuracy if found else None,
        gap_ce=found.gap_ce if found else None,
        differs=_other_differences(best.config, baseline.config),
        seeds=len(with_it.seeds) if both else 1,
    )


def _has_exactly(techniques: Collection[str], technique: str) -> bool:
    return len(techniques) > 1 if technique == COMBINATION else techniques == {technique}


def _why_missing(uses: Uses, technique: str, having: Sequence[TrialRecord]) -> str:
    if having:
        states = ", ".join(sorted({trial.state.lower() for trial in having}))
        return f"tried alone, but not measured ({states})"
    if technique != COMBINATION and any(technique in used_by for used_by in uses.values()):
        return "tried only together with others"
    return "not searched"


def _other_differences(first: TrialConfig, second: TrialConfig) -> tuple[str, ...]:
    own = of_techniques()
    names = dict.fromkeys([*first.as_dict(), *second.as_dict()])
    return tuple(n for n in names if n not in own and getattr(first, n) != getattr(second, n))
