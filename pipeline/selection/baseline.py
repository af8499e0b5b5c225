"""Says which trial of a study is its unregularized baseline, for the search and for the report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import numpy as np

from pipeline.records import StudyRecord, TrialConfig, TrialRecord
from pipeline.selection.candidates import why_unusable

BASELINE = "baseline"
"""The name of the reference configuration that a study's trials are compared with."""


def is_measured(trial: TrialRecord) -> bool:
    """Returns whether a trial ended with finite results for every validation example."""
    return why_unusable(trial) is None


def quality(trial: TrialRecord) -> tuple[float, int]:
    """Returns the key by which the best of some measured trials comes first."""
    return (trial.measurement.val_ce if trial.measurement else np.inf), trial.number


def baseline_of(
    study: StudyRecord, used: Callable[[TrialConfig], Collection[str]]
) -> TrialRecord | None:
    """Returns the unregularized baseline of a study; None where no trial without techniques is.

    It is the reference of the name :data:`BASELINE`, else the best trial without any technique. A
    reference of that name that uses a technique, or was not measured, is no baseline. What a model
    of the user's own does to overfit less is not known: only that reference is one there.

    Args:
        study: The study.
        used: Returns the techniques that a config uses: ``training.techniques.used``.
    """

    # A regularized "baseline" would make every effect of a technique look smaller than it is.
    def best(trials: Iterable[TrialRecord]) -> TrialRecord | None:
        plain = (trial for trial in trials if is_measured(trial) and not used(trial.config))
        return min(plain, key=quality, default=None)

    # Most studies have one of the name: then the techniques of no other trial need a look.
    named = best(trial for trial in study.trials if trial.name == BASELINE)
    if named is not None:
        return named
    return best(trial for trial in study.trials if not trial.config.is_own)
