"""The selection rules: skilled :class:`Candidates` in, a :class:`Choice` out.

A new rule is one function and one entry in ``RULES``; the first line of its docstring says in
reports what it chooses. Rules see validation results only, never the test part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.errors import RuleError, closest
from pipeline.formatting import decimal
from pipeline.selection.candidates import Candidates, worse_than_best
from pipeline.selection.records import RuleSettings

GAP_STEP = 1e-3
"""Gaps are compared in steps of this many nats; a smaller difference is a tie."""


@dataclass(frozen=True)
class Choice:
    """A rule's answer about the skilled candidates.

    Attributes:
        eligible: Numbers of the trials it chose from, smallest gap first.
        winner: The chosen one's number, or None.
        settings: The constants it really used.
        excluded: Number -> why it is not eligible.
        front: Numbers on the Pareto front; other rules leave it empty.
        notes: Sentences for the reader.
        status: ``ok``, or ``empty`` where no trial meets the rule's demand.
        ranked: The eligible, the one it would rather choose first; empty means as ``eligible``.
    """

    eligible: tuple[int, ...]
    winner: int | None
    settings: RuleSettings
    excluded: Mapping[int, str] = field(default_factory=dict)
    front: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    status: str = "ok"
    ranked: tuple[int, ...] = ()


def least_overfit(candidates: Candidates, settings: RuleSettings) -> Choice:
    """The smallest gap among the trials that are as good as the best one."""
    return _among_the_good(candidates, settings, by_gap)


def best_val(candidates: Candidates, settings: RuleSettings) -> Choice:
    """The smallest validation cross-entropy, whatever the gap."""
    return _among_the_good(candidates, settings, _by_val_ce)


def one_se(candidates: Candidates, settings: RuleSettings) -> Choice:
    """The smallest gap within one standard error of the best trial, with no fixed margin."""
    strict = replace(settings, k=1.0, tau=0.0, tau_accuracy=0.0)
    return least_overfit(candidates, strict)


def fewest_params(candidates: Candidates, settings: RuleSettings) -> Choice:
    """The fewest parameters among the trials that are as good as the best one."""
    return _among_the_good(
        candidates,
        settings,
        # Sorting keeps the order of equals: the one with the smaller gap comes first.
        lambda good: sorted(by_gap(good), key=lambda index: int(good.num_parameters[index])),
    )


def penalised(candidates: Candidates, settings: RuleSettings) -> Choice:
    """The smallest sum of validation cross-entropy and weighted gap, over all skilled trials."""
    score = candidates.val_ce + settings.weight * np.maximum(candidates.gap_ce, 0.0)
    order = np.lexsort((candidates.numbers, candidates.num_parameters, score))
    ranked = _listed_in(candidates, order.tolist())
    return Choice(_numbers(candidates), ranked[0], settings, ranked=ranked)


def constraint(candidates: Candidates, settings: RuleSettings) -> Choice:
    """The smallest validation cross-entropy among the trials whose gap is at most epsilon."""
    gaps = zip(candidates.numbers.tolist(), candidates.gap_ce.tolist(), strict=True)
    limit = decimal(settings.epsilon)
    excluded = {
        number: f"gap {decimal(gap)} above the limit {limit}"
        for number, gap in gaps
        if gap > settings.epsilon
    }
    kept = without(candidates, excluded)
    if len(kept):
        ranked = _listed_in(kept, _by_val_ce(kept))
        return Choice(_numbers(kept), ranked[0], settings, excluded, ranked=ranked)
    nearest = int(np.argmin(candidates.gap_ce))
    note = (
        f"No trial has a gap of at most {limit} nats: the smallest is "
        f"{decimal(candidates.gap_ce[nearest])} (trial {candidates.numbers[nearest]}). "
        "Allow a larger epsilon, search longer or regularize harder, or use the rule "
        "'least_overfit', which needs no limit."
    )
    return Choice((), None, settings, excluded, notes=(note,), status="empty")


def pareto(candidates: Candidates, settings: RuleSettings) -> Choice:
    """No winner: lists the trials that no other beats in both cross-entropy and gap."""
    points = np.stack([candidates.val_ce, np.maximum(candidates.gap_ce, 0.0)], axis=1)
    excluded = {}
    for index, number in enumerate(candidates.numbers.tolist()):
        better = (points <= points[index]).all(axis=1) & (points < points[index]).any(axis=1)
        if better.any():
            other = int(candidates.numbers[np.argmax(better)])
            excluded[number] = f"trial {other} is no worse in cross-entropy and gap, better in one"
    front = _numbers(without(candidates, excluded))
    note = (
        "The rule 'pareto' lists the trials between which cross-entropy and gap must be traded "
        "and picks none of them: choose one yourself, or use the rule 'least_overfit'."
    )
    return Choice(front, None, settings, excluded, front=front, notes=(note,))


Rule = Callable[[Candidates, RuleSettings], Choice]

RULES: dict[str, Rule] = {
    "least_overfit": least_overfit,
    "best_val": best_val,
    "one_se": one_se,
    "penalised": penalised,
    "constraint": constraint,
    "pareto": pareto,
    "fewest_params": fewest_params,
}

_ALONE = "No other trial is as good as the best: overfitting could not be traded."

_REFUSED = {"smallest_gap", "gap", "min_gap", "lowest_gap"}

_BOUNDS = {
    "k": (0.0, math.inf, "a number of standard errors, 0 or more"),
    "tau": (0.0, math.inf, "a share of the best cross-entropy, 0 or more"),
    "tau_accuracy": (0.0, 1.0, "a difference of accuracies, 0 to 1"),
    "alpha": (0.0, 1.0, "a probability, 0 to 1"),
    "weight": (0.0, 1.0, "0 to 1: above 1 the gap outweighs quality and useless models win"),
    "epsilon": (0.0, math.inf, "a gap in nats, 0 or more"),
    "seeds": (1, 1_000, "a number of seeds, 1 or more"),
    "finalists": (2, 1_000, "a number of finalists, 2 or more: the best one and a challenger"),
}


def check_settings(settings: RuleSettings) -> Rule:
    """Returns the rule that the settings name.

    Raises:
        RuleError: The rule is unknown or refused, or a constant is out of its range.
    """
    if settings.name in _REFUSED:
        raise RuleError(
            f"The rule '{settings.name}' is not offered: the smallest gap belongs to a model that "
            "learned nothing (it is as wrong on training as on validation examples). Use "
            "'least_overfit': the smallest gap among the trials that are as good as the best."
        )
    if settings.name not in RULES:
        raise RuleError(
            f"Unknown selection rule '{settings.name}'{closest(settings.name, RULES)}. "
            f"Valid rules: {', '.join(RULES)}."
        )
    for name, (low, high, expected) in _BOUNDS.items():
        value = getattr(settings, name)
        if not (low <= value <= high and math.isfinite(value)):
            raise RuleError(
                f"The rule '{settings.name}' cannot use {name} = {value}; expected {expected}."
            )
    return RULES[settings.name]


def _among_the_good(
    candidates: Candidates, settings: RuleSettings, order: Callable[[Candidates], Sequence[int]]
) -> Choice:
    excluded = worse_than_best(candidates, settings)
    good = without(candidates, excluded)
    notes = (_ALONE,) if len(good) == 1 else ()
    ranked = _listed_in(good, order(good))
    return Choice(_numbers(good), ranked[0], settings, excluded, notes=notes, ranked=ranked)


def by_gap(candidates: Candidates) -> list[int]:
    """Indices, smallest gap first; ties: smaller val_ce, fewer parameters, smaller number."""
    steps = np.rint(np.maximum(candidates.gap_ce, 0.0) / GAP_STEP)
    keys = (candidates.numbers, candidates.num_parameters, candidates.val_ce, steps)
    return [int(index) for index in np.lexsort(keys)]


def _by_val_ce(candidates: Candidates) -> list[int]:
    """Indices, smallest val_ce first; ties as for the best one."""
    keys = (candidates.numbers, candidates.num_parameters, candidates.val_ce)
    return [int(index) for index in np.lexsort(keys)]


def _listed_in(candidates: Candidates, order: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(candidates.numbers[index]) for index in order)


def _numbers(candidates: Candidates) -> tuple[int, ...]:
    return _listed_in(candidates, by_gap(candidates))


def without(candidates: Candidates, excluded: Mapping[int, str]) -> Candidates:
    """Returns the candidates that are not excluded."""
    kept = [i for i, number in enumerate(candidates.numbers.tolist()) if number not in excluded]
    return candidates.take(kept)
