"""Turns the trials of a study into arrays that a rule chooses from.

Records become :class:`Candidates` plus a reason for every trial that is none; the guard
against chance (``skill``) and the margins of "as good as the best" work on the arrays alone. Those
carry a seed axis, so that finalists trained with several seeds go through the same code as trials.

Source of the margins: Breiman et al., 1984 (one standard error of the best), here of the paired
difference, with a fixed floor because standard errors vanish on large validation parts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.errors import SplitMismatchError
from pipeline.formatting import decimal
from pipeline.records import Measurement, StudyRecord, TrialRecord
from pipeline.selection.records import Finalist, RuleSettings
from pipeline.selection.statistics import paired_standard_errors

TOGETHER = 64
"""Candidates that are held against the best one at once: their differences per example take memory.
"""


@dataclass(frozen=True)
class Candidates:
    """Trials measured on the same examples, in the order of their numbers.

    Attributes:
        numbers: int [num_trials], the trials' numbers, ascending.
        nll: float64 [num_trials, num_seeds, num_examples], validation cross-entropies, nats.
        correct: float64, the same shape, 1 where the most probable class is right.
        gap_ce: float64 [num_trials], generalization gaps, nats.
        gap_ce_se: float64 [num_trials], their standard errors.
        num_parameters: int [num_trials].
        epochs: int [num_trials], epochs trained, of which the best was kept.
        log10_p_guessing: float64 [num_trials], as measured; NaN where it was not.
    """

    numbers: np.ndarray
    nll: np.ndarray
    correct: np.ndarray
    gap_ce: np.ndarray
    gap_ce_se: np.ndarray
    num_parameters: np.ndarray
    epochs: np.ndarray
    log10_p_guessing: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def val_ce(self) -> np.ndarray:
        """float64 [num_trials], mean validation cross-entropy, nats."""
        return self.nll.mean(axis=(1, 2))

    @cached_property
    def val_accuracy(self) -> np.ndarray:
        """float64 [num_trials], mean validation accuracy."""
        return self.correct.mean(axis=(1, 2))

    @cached_property
    def best(self) -> int:
        """Index of the smallest val_ce; ties: fewer parameters, then the smaller number."""
        return best_of(self.numbers, self.num_parameters, self.val_ce)

    def drop(self, numbers: Collection[int]) -> Candidates:
        """Returns the candidates but for those of these numbers."""
        kept = [i for i, number in enumerate(self.numbers.tolist()) if number not in numbers]
        return self.take(kept)

    def take(self, indices: Sequence[int]) -> Candidates:
        """Returns the candidates at these indices."""
        rows = np.asarray(indices, dtype=int)
        return Candidates(
            numbers=self.numbers[rows],
            nll=self.nll[rows],
            correct=self.correct[rows],
            gap_ce=self.gap_ce[rows],
            gap_ce_se=self.gap_ce_se[rows],
            num_parameters=self.num_parameters[rows],
            epochs=self.epochs[rows],
            log10_p_guessing=self.log10_p_guessing[rows],
        )


def best_of(numbers: np.ndarray, num_parameters: np.ndarray, val_ce: np.ndarray) -> int:
    """Returns the index of the smallest val_ce; ties: fewer parameters, then the smaller number."""
    return int(np.lexsort((numbers, num_parameters, val_ce))[0])


def finalist_candidates(finalists: Sequence[Finalist]) -> Candidates:
    """Returns finalists as candidates; their gaps and standard errors are those over the seeds.

    Of finalists that are judged by the mean of their probabilities, every seed's row is that mean's
    results, moved by how far the seed alone is from the other seeds: means and differences by
    example are those of the mean, the spread between rows is that of the seeds.
    """
    chosen = sorted(finalists, key=lambda finalist: finalist.number)
    return Candidates(
        numbers=np.array([f.number for f in chosen]),
        nll=np.stack([_over_seeds(f, "nll") for f in chosen]),
        correct=np.stack([_over_seeds(f, "correct") for f in chosen]),
        **_of_measurements([f.measurement for f in chosen]),
    )


def _over_seeds(finalist: Finalist, name: str) -> np.ndarray:
    parts = [run.validation for run in finalist.runs if run.validation is not None]
    rows = np.stack([np.asarray(getattr(part, name), np.float64) for part in parts])
    if finalist.place is not None:
        return rows
    assert finalist.delivered.validation is not None, "an average has results per example"
    levels = rows.mean(axis=1)
    mean = np.asarray(getattr(finalist.delivered.validation, name), np.float64)
    return np.asarray(mean[None, :] + (levels - levels.mean())[:, None])


def study_candidates(study: StudyRecord) -> tuple[Candidates | None, dict[int, str]]:
    """Returns the study's candidates (None for none) and why each other trial is none.

    Raises:
        SplitMismatchError: The trials were not all measured on the study's split.
    """
    trials = sorted(study.trials, key=lambda trial: trial.number)
    reasons = {trial.number: why_unusable(trial) for trial in trials}
    chosen = [trial for trial in trials if reasons[trial.number] is None]
    excluded = {number: reason for number, reason in reasons.items() if reason is not None}
    check_splits(study, chosen)
    return (stacked(chosen) if chosen else None), excluded


def worse_than_best(candidates: Candidates, settings: RuleSettings) -> dict[int, str]:
    """Returns number -> reason of the candidates that are not as good as the best one.

    As good means mean(l_i - l_b) <= max(k * SE, tau * mean l_b) and mean(c_b - c_i) <=
    max(k * SE, tau_accuracy), SE the paired standard error of the difference. The best one itself
    always is.
    """
    best = candidates.best
    ce_floor = settings.tau * float(candidates.val_ce[best])
    ce = _excesses(candidates.nll, best, settings.k, ce_floor)
    accuracy = _excesses(-candidates.correct, best, settings.k, settings.tau_accuracy)
    worse = (ce[0] > ce[1]) | (accuracy[0] > accuracy[1])
    worse[best] = False
    reasons = {}
    for index in np.flatnonzero(worse).tolist():
        parts = []
        if ce[0][index] > ce[1][index]:
            parts.append(_worse("cross-entropy", candidates.val_ce, (index, best), ce[1][index]))
        if accuracy[0][index] > accuracy[1][index]:
            margin = accuracy[1][index]
            parts.append(_worse("accuracy", candidates.val_accuracy, (index, best), margin))
        reasons[int(candidates.numbers[index])] = "; ".join(parts)
    return reasons


def _excesses(
    values: np.ndarray, best: int, k: float, floor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns how much worse each candidate is than the best, and how much is allowed."""
    excess, margin = np.zeros(len(values)), np.zeros(len(values))
    for start in range(0, len(values), TOGETHER):
        part = slice(start, start + TOGETHER)
        difference = values[part] - values[best]
        errors = paired_standard_errors(difference)
        excess[part] = difference.mean(axis=(1, 2))
        # With one example the error is unknown: only the fixed margin counts.
        margin[part] = np.maximum(np.where(np.isfinite(errors), k * errors, 0.0), floor)
    return excess, margin


def _worse(what: str, values: np.ndarray, pair: tuple[int, int], margin: float) -> str:
    mine, best = (float(values[index]) for index in pair)
    return (
        f"{what} {decimal(mine)} worse than the best ({decimal(best)}) "
        f"by more than the margin {decimal(margin)}"
    )


def why_unusable(trial: TrialRecord) -> str | None:
    """Returns why a trial cannot be a candidate; None where it can."""
    measured = trial.measurement
    if trial.state == "RUNNING":
        return "still running"
    if trial.state == "PRUNED":
        return "pruned"
    if trial.state != "COMPLETE":
        return f"failed: {trial.cause or 'no cause was recorded'}"
    if measured is None:
        return "failed: it ended without a measurement"
    if not measured.finite:
        return f"not finite: {_not_finite(measured)}"
    if trial.validation is None or not trial.validation.nll.size:
        return "its per-example validation results are missing"
    if not np.isfinite(trial.validation.nll).all():
        return "not finite: cross-entropy of single validation examples"
    return None


def _not_finite(measured: Measurement) -> str:
    names = ("val_ce", "val_accuracy", "train_ce", "gap_ce", "gap_ce_se")
    return ", ".join(name for name in names if not np.isfinite(getattr(measured, name)))


def check_splits(study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    """Checks that usable trials were measured on the study's split.

    Raises:
        SplitMismatchError: One was not, or a file of its results is damaged.
    """
    strangers = [trial for trial in trials if trial.split_id != study.split_id]
    if strangers:
        found = ", ".join(f"trial {t.number} on '{t.split_id}'" for t in strangers[:3])
        raise SplitMismatchError(
            f"Study '{study.study}' uses the split '{study.split_id}', but {found}"
            f"{' and more' if len(strangers) > 3 else ''}: results on different validation "
            "examples cannot be compared. Search again under a new --study name."
        )
    sizes = {(t.validation.nll.size, t.validation.correct.size) for t in trials if t.validation}
    if any(nll != correct for nll, correct in sizes) or len(sizes) > 1:
        found = ", ".join(str(nll) for nll, _ in sorted(sizes))
        raise SplitMismatchError(
            f"The trials of study '{study.study}' have validation results of different lengths "
            f"({found} examples) although they name one split '{study.split_id}': a "
            "validation.npz is damaged. Search again under a new --study name."
        )


def stacked(trials: Sequence[TrialRecord]) -> Candidates:
    """Returns usable trials as candidates, in the order given."""
    measured = [t.measurement for t in trials if t.measurement is not None]
    parts = [t.validation for t in trials if t.validation is not None]
    return Candidates(
        numbers=np.array([t.number for t in trials]),
        nll=np.array([part.nll for part in parts], dtype=np.float64)[:, None, :],
        correct=np.array([part.correct for part in parts], dtype=np.float64)[:, None, :],
        **_of_measurements(measured),
    )


def _of_measurements(measured: Sequence[Measurement]) -> dict[str, np.ndarray]:
    return {
        "gap_ce": np.array([m.gap_ce for m in measured], dtype=np.float64),
        "gap_ce_se": np.array([m.gap_ce_se for m in measured], dtype=np.float64),
        "num_parameters": np.array([m.num_parameters for m in measured]),
        "epochs": np.array([m.epochs for m in measured]),
        # None becomes NaN.
        "log10_p_guessing": np.array([m.log10_p_guessing for m in measured], dtype=np.float64),
    }
