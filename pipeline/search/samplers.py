"""Makes Optuna's sampler and pruner of a study by their names in the search space.

To add one: a key in ``search.space.strategies``, and how it is made here; a sequence of points that
learns nothing is an entry of ``search.space.sequences.SEQUENCES``.
"""

from __future__ import annotations

import optuna


def sampler_of(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Returns the sampler; ``grid`` and ``qmc`` have one for what is asked beside their points.

    TPE is Optuna's over groups of hyperparameters that are active together, with a constant liar's
    value for trials still running.

    Args:
        name: A name of ``strategies.SAMPLERS``.
        seed: Of its random numbers.
    """
    if name == "tpe":
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, constant_liar=True
        )
    return optuna.samplers.RandomSampler(seed=seed)


def pruner_of(name: str) -> optuna.pruners.BasePruner:
    """Returns the pruner; ``percentile`` is lenient: a median one throws low-gap models away.

    Source: docs/measurement.md and docs/experiments.md, "What does pruning cost".

    Args:
        name: A name of ``strategies.PRUNERS``.
    """
    if name == "none":
        return optuna.pruners.NopPruner()
    return LenientPruner()


WARMUP_STEPS, INTERVAL_STEPS = 10, 10
"""The first epoch at which a trial may be pruned, counted from 0, and how often after it."""


class LenientPruner(optuna.pruners.PercentilePruner):
    """Optuna's, with the project's constants; it reads the study only where it may prune.

    Optuna's reads all trials of a study at every epoch of each, and then looks whether it is one at
    which it decides.
    """

    def __init__(self) -> None:
        super().__init__(
            90, n_startup_trials=5, n_warmup_steps=WARMUP_STEPS, interval_steps=INTERVAL_STEPS
        )

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Returns whether to prune, as Optuna's does."""
        step = trial.last_step
        if step is None or step < WARMUP_STEPS:
            return False
        begun = step - (step - WARMUP_STEPS) % INTERVAL_STEPS
        if any(begun <= earlier < step for earlier in trial.intermediate_values):
            return False
        return bool(super().prune(study, trial))
