"""Measures how stable a choice is: how often the rule picks each trial under a bootstrap.

Validation examples are drawn anew with replacement, for all trials alike; the validation side of
each gap goes with them, the training side stays. The rule itself is ``rules.RULES``, applied to
resampled :class:`Candidates`: nothing of it is repeated here. Trials that cannot be eligible in a
resample are left out of it first, which changes no answer and saves most of the time (200 trials
with 10,000 examples: about a second).

Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline.records import StudyRecord
from pipeline.selection.candidates import Candidates, finalist_candidates, study_candidates
from pipeline.selection.records import Confirmation, RuleSettings
from pipeline.selection.rules import RULES
from pipeline.selection.skill import no_better_than_chance
from pipeline.selection.statistics import paired_standard_errors

REPEATS = 200
"""Resamples: a share of one half is known to +- 0.035."""

_WITH_MARGIN = {"least_overfit", "best_val", "one_se", "fewest_params"}
"""Rules that choose among the trials within the margins of the best one."""

_SLACK = 1.01
"""How much wider than the rule's margin the screen is: more than rounding can move."""


_HAIR = 1e-9
_FAR = 6.0
"""Standard errors that no resample bridges (about one in 10^9)."""


def frequencies(
    study: StudyRecord,
    rule: RuleSettings,
    confirmation: Confirmation | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> dict[int, float]:
    """Returns trial number -> share of resamples in which the rule picks it, largest first.

    Trials that are never picked are left out; a rule that picks nobody gives an empty result.

    Args:
        study: The study; its skilled candidates take part.
        rule: The rule and its constants.
        confirmation: The finalists; where there are any, the choice is among them.
        repeats: Number of resamples.
        seed: Seed of the resampling: the same one gives the same result.
    """
    candidates = _finalists(confirmation) if confirmation else _skilled(study, rule)
    return picks(candidates, rule, repeats, seed) if candidates else {}


def best_of_search(study: StudyRecord, rule: RuleSettings) -> int | None:
    """Returns the skilled trial with the smallest val_ce of one training; None without skill."""
    candidates = _skilled(study, rule)
    return int(candidates.numbers[candidates.best]) if candidates else None


def picks(candidates: Candidates, rule: RuleSettings, repeats: int, seed: int) -> dict[int, float]:
    """Returns trial number -> share for these candidates; the arguments are as above."""
    if rule.name in _WITH_MARGIN:
        candidates = _near(candidates, rule)
    num_examples = candidates.nll.shape[2]
    rng = np.random.default_rng(seed)
    drawn = rng.integers(num_examples, size=(repeats, num_examples))
    counts = np.stack([np.bincount(row, minlength=num_examples) for row in drawn]).astype(float)
    best = (counts @ candidates.nll.mean(axis=1).T).argmin(axis=1)
    won: Counter[int] = Counter()
    for index in np.unique(best).tolist():
        for resample in _resamples(candidates, counts[best == index], index, rule):
            winner = RULES[rule.name].rank(resample, rule).winner
            won.update([] if winner is None else [winner])
    ranking = sorted(won.items(), key=lambda item: (-item[1], item[0]))
    return {number: count / repeats for number, count in ranking}


def _near(candidates: Candidates, rule: RuleSettings) -> Candidates:
    """Returns the candidates that some resample could make eligible: far ones cost memory."""
    nll, best = candidates.nll, candidates.best
    error = paired_standard_errors(nll - nll[best])
    margin = 2 * np.maximum(max(rule.k, 1.0) * error, rule.tau * candidates.val_ce[best])
    far = candidates.val_ce - candidates.val_ce[best] > margin + _FAR * error
    return candidates.take(np.flatnonzero(~far).tolist())


def _resamples(
    candidates: Candidates, counts: np.ndarray, best: int, rule: RuleSettings
) -> Iterator[Candidates]:
    """Yields each resample as candidates with two stand-ins for all its examples.

    A rule asks for means and for paired standard errors to the best one; two stand-ins, mean plus
    and minus that error, have both exactly, and thousands of examples need not be copied. Trials
    outside the margins are left out, but for those too close to tell by rounding.

    Args:
        candidates: The candidates.
        counts: [num_resamples, num_examples], how often each example was drawn.
        best: Index of the best candidate in all of these resamples.
        rule: The rule and its constants.
    """
    ce, ce_error = _moments(candidates.nll, counts, best)
    right, right_error = _moments(candidates.correct, counts, best)
    # Accuracies are whole numbers of examples: exactly at a margin, rounding must not decide.
    right = right[:, [best]] + (right - right[:, [best]]) * (1 - _HAIR)
    means, rates = ce.mean(axis=2), right.mean(axis=2)
    kept = np.ones(means.shape, dtype=bool)
    if rule.name in _WITH_MARGIN and ce.shape[2] == 1:
        k, floor = max(rule.k, 1.0), rule.tau * means[:, [best]]
        kept = means - means[:, [best]] <= _SLACK * np.maximum(k * ce_error, floor) + 1e-9
        margin = np.maximum(k * right_error, rule.tau_accuracy)
        kept &= rates[:, [best]] - rates <= _SLACK * margin + 1e-9
    gaps = candidates.gap_ce + means - candidates.val_ce
    for row, chosen in enumerate(map(np.flatnonzero, kept)):
        yield replace(
            candidates.take(chosen.tolist()),
            nll=_stand_ins(ce[row, chosen], ce_error[row, chosen]),
            correct=_stand_ins(right[row, chosen], right_error[row, chosen] * (1 + _HAIR)),
            gap_ce=gaps[row, chosen],
        )


def _moments(values: np.ndarray, counts: np.ndarray, best: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns means [num_resamples, num_trials, num_seeds] and the errors of the differences.

    The errors, [num_resamples, num_trials], are those of the examples alone, averaged over seeds:
    the seeds' part follows from the means. Sums over a resample are products with its counts.
    """
    num = counts.shape[1]
    means = (counts @ values.reshape(-1, num).T / num).reshape(len(counts), *values.shape[:2])
    difference = values.mean(axis=1) - values[best].mean(axis=0)
    mean = counts @ difference.T / num
    variance = counts @ (difference**2).T / num - mean**2
    return means, np.sqrt(np.maximum(variance, 0.0) / max(num - 1, 1))


def _stand_ins(means: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Returns two values per mean, [num_trials, num_seeds, 2], with that mean and that error."""
    return means[..., None] + errors[:, None, None] * np.array([1.0, -1.0])


def _skilled(study: StudyRecord, rule: RuleSettings) -> Candidates | None:
    candidates, _ = study_candidates(study)
    if candidates is None:
        return None
    unskilled = no_better_than_chance(candidates, study.chance, rule.alpha)
    skilled = candidates.drop(unskilled)
    return skilled if len(skilled) else None


def _finalists(confirmation: Confirmation) -> Candidates | None:
    """Returns the finalists as candidates; None where per-example results of a seed are lost."""
    runs = [run for finalist in confirmation.finalists for run in finalist.runs]
    if not runs or any(run.validation is None for run in runs):
        return None
    return finalist_candidates(confirmation.finalists)
