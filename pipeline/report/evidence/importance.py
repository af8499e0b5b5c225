"""Measures what each hyperparameter decides: permutation importance for ``val_ce`` and ``gap_ce``.

A study in, an :class:`Importance` per hyperparameter and target out. A random forest learns the
target's *rank* from the configurations (ranks, because one diverging trial would outweigh all
others) and is asked about trials it has not seen; the importance of a hyperparameter is how much of
the explained variance is lost when its values are shuffled. What needs another hyperparameter, such
as a lambda, is shuffled only among the trials in which it counts; ``regularizer`` is shuffled
together with its lambdas.

Source: Breiman, Machine Learning 45, 2001 (permutation importance), here on held-out folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.records import StudyRecord, TrialRecord
from pipeline.training.techniques import hyperparameters

FEWEST_TRIALS = 20
"""Below this many measured trials a forest finds patterns in noise."""

TARGET_WORDS = {"val_ce": "validation cross-entropy", "gap_ce": "gap"}
TARGETS = tuple(TARGET_WORDS)
_FOLDS = 5
_TREES = 100
_REPEATS = 10
_LEAST_R2 = 0.2
"""Below this share of explained variance there is nothing to divide among hyperparameters."""


@dataclass(frozen=True)
class Importance:
    """What shuffling one hyperparameter costs.

    Attributes:
        name: The hyperparameter.
        mean: Mean loss of explained variance (R squared of ranks) over the repeats.
        deviation: Standard deviation between the repeats.
    """

    name: str
    mean: float
    deviation: float


@dataclass(frozen=True)
class Importances:
    """The importances for each target.

    Attributes:
        num_trials: Measured trials that the forest learned from.
        r2: Target -> share of the ranks' variance that it explains on trials it has not seen.
        ranking: Target -> importances, largest first; empty where there are none.
        missing: Target -> why there are none, a sentence; for those without a ranking.
    """

    num_trials: int
    r2: Mapping[str, float]
    ranking: Mapping[str, tuple[Importance, ...]]
    missing: Mapping[str, str]


def preload() -> None:
    """Imports the forest, which takes two seconds; another thread may do it ahead."""
    from sklearn.ensemble import RandomForestRegressor  # noqa: F401


def importances(study: StudyRecord, seed: int = 0) -> Importances:
    """Returns the importances of the hyperparameters in which the measured trials differ."""
    trials = [t for t in study.trials if t.state == "COMPLETE" and t.measurement]
    trials = sorted((t for t in trials if t.measurement.finite), key=lambda t: t.number)  # type: ignore[union-attr]
    columns = _columns(trials)
    if len(trials) < FEWEST_TRIALS or not columns:
        why = (
            f"{len(trials)} measured trials are too few to tell which hyperparameter matters: "
            f"expected at least {FEWEST_TRIALS}"
            if columns or len(trials) < FEWEST_TRIALS
            else "the trials do not differ in any hyperparameter"
        )
        return Importances(len(trials), {}, {}, dict.fromkeys(TARGETS, why))
    r2, ranking, missing = {}, {}, {}
    for target in TARGETS:
        values = np.array([getattr(t.measurement, target) for t in trials])
        r2[target], found = _importances(columns, values, trials, seed)
        if r2[target] >= _LEAST_R2:
            ranking[target] = found
        else:
            missing[target] = (
                f"the hyperparameters do not predict {target} well on trials that the forest has "
                f"not seen (R squared {r2[target]:.2f}, expected at least {_LEAST_R2:.2f}; "
                f"{len(trials)} trials)"
            )
    return Importances(len(trials), r2, ranking, missing)


def _columns(trials: Sequence[TrialRecord]) -> dict[str, np.ndarray]:
    """Returns hyperparameter -> its values as numbers, for those in which the trials differ."""
    columns = {}
    for name in ("family", *hyperparameters()):
        values = [getattr(trial.config, name) for trial in trials]
        if len(set(values)) > 1:
            columns[name] = encoded(values, is_logarithmic(name))
    return columns


def is_logarithmic(name: str) -> bool:
    """Whether the orders of magnitude of a hyperparameter matter."""
    entry = hyperparameters().get(name)
    return entry is not None and entry.logarithmic


def encoded(values: Sequence[Any], logarithmic: bool) -> np.ndarray:
    """Returns values as the forest sees them: float [num_trials].

    Names become their place in the alphabet. Off (None, and 0 where it has no logarithm) lies
    beyond the end that it resembles: below the smallest of logarithmic numbers (lambdas), above the
    largest of others (limits).
    """
    if any(isinstance(value, str) for value in values):
        order = sorted({str(value) for value in values})
        return np.array([order.index(str(value)) for value in values], dtype=float)
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    if logarithmic:
        numbers[numbers <= 0] = np.nan
    finite = numbers[np.isfinite(numbers)]
    if logarithmic:
        numbers, finite = np.log10(numbers), np.log10(finite)
    span = float(np.ptp(finite)) or 1.0
    off = finite.min() - span if logarithmic else finite.max() + span
    return np.where(np.isfinite(numbers), numbers, off)


def _importances(
    columns: Mapping[str, np.ndarray], values: np.ndarray, trials: Sequence[TrialRecord], seed: int
) -> tuple[float, tuple[Importance, ...]]:
    """Returns the forest's R squared on unseen trials, and what shuffling takes from it."""
    from scipy import stats

    names, table = list(columns), np.stack(list(columns.values()), axis=1)
    ranks = stats.rankdata(values) / len(values)
    rng = np.random.default_rng(seed)
    # The unshuffled table first; then each hyperparameter's, shuffled some times.
    variants = [table]
    for name in names:
        variants += [_shuffled(table, names, name, trials, rng) for _ in range(_REPEATS)]
    errors = _held_out_errors(table, ranks, np.stack(variants), rng)
    r2 = 1 - errors / ranks.var()
    losses = (r2[0] - r2[1:]).reshape(len(names), _REPEATS)
    found = [
        Importance(name, float(loss.mean()), float(loss.std(ddof=1)))
        for name, loss in zip(names, losses, strict=True)
    ]
    return float(r2[0]), tuple(sorted(found, key=lambda entry: -entry.mean))


def _shuffled(
    table: np.ndarray,
    names: Sequence[str],
    name: str,
    trials: Sequence[TrialRecord],
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns the table with one hyperparameter's values shuffled among the trials that use it."""
    shuffled = table.copy()
    rows = np.arange(len(table))
    needs = {key: entry.needs for key, entry in hyperparameters().items() if entry.needs}
    if name in needs:
        other, wanted = needs[name]
        rows = np.flatnonzero([getattr(trial.config, other) in wanted for trial in trials])
    group = [name, *(key for key, (other, _) in needs.items() if other == name)]
    order = rng.permutation(rows)
    for place in [names.index(member) for member in group if member in names]:
        shuffled[rows, place] = table[order, place]
    return shuffled


def _held_out_errors(
    table: np.ndarray, ranks: np.ndarray, variants: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Mean squared errors [num_variants] of forests asked about trials they have not seen."""
    folds = rng.permutation(len(ranks)) % _FOLDS
    squared = np.zeros(variants.shape[:2])
    for fold in range(_FOLDS):
        inside, outside = folds == fold, folds != fold
        predict = _forest(table[outside], ranks[outside])
        asked = variants[:, inside]
        answers = predict(asked.reshape(-1, table.shape[1])).reshape(asked.shape[:2])
        squared[:, inside] = (answers - ranks[inside]) ** 2
    return squared.mean(axis=1)


def _forest(table: np.ndarray, ranks: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the prediction of a random forest fitted to the ranks."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(_TREES, min_samples_leaf=2, random_state=0)
    predict: Callable[[np.ndarray], np.ndarray] = forest.fit(table, ranks).predict
    return predict
