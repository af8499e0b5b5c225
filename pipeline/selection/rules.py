"""Ranks the skilled candidates of a study by a selection rule, which has its own constants.

A new rule is one function and one entry in ``RULES``; the first line of its docstring says in
reports what it chooses. Rules see validation results only, never the test part.

``pipeline --help`` reads the table, so numpy is imported where a rule ranks, not here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from pipeline.errors import RuleError, closest
from pipeline.formatting import decimal
from pipeline.selection.records import (
    ALPHA,
    DELIVERIES,
    ENSEMBLE,
    EPSILON,
    MEDIAN,
    TAU,
    TAU_ACCURACY,
    WEIGHT,
    Constant,
    K,
    RuleSettings,
)

if TYPE_CHECKING:
    import numpy as np

    from pipeline.selection.candidates import Candidates

GAP_STEP = 1e-3
"""Gaps are compared in steps of this many nats; a smaller difference is a tie."""


@dataclass(frozen=True)
class Ranking:
    """A rule's answer about the skilled candidates.

    Attributes:
        order: Numbers of the eligible trials, the one it would choose first first.
        settings: The constants it really used.
        excluded: Number -> why it is not eligible.
        notes: Sentences for the reader.
        picks: Whether the first one wins; False for a rule that only lists trials.
    """

    order: tuple[int, ...]
    settings: RuleSettings
    excluded: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    picks: bool = True

    @property
    def winner(self) -> int | None:
        """The chosen trial's number; None where the rule chooses none."""
        return self.order[0] if self.order and self.picks else None


@dataclass(frozen=True)
class Rule:
    """An entry of ``RULES``.

    Attributes:
        rank: Ranks skilled candidates; the first line of its docstring describes the rule.
        constants: What changes its answer, with the defaults and ranges that this rule has.
    """

    rank: Callable[[Candidates, RuleSettings], Ranking]
    constants: tuple[Constant, ...]

    @property
    def summary(self) -> str:
        """What it chooses, in a sentence."""
        return (self.rank.__doc__ or "").strip().split("\n")[0]


def least_overfit(candidates: Candidates, settings: RuleSettings) -> Ranking:
    """The smallest gap among the trials that are as good as the best one."""
    return _among_the_best(candidates, settings, by_gap)


def best_val(candidates: Candidates, settings: RuleSettings) -> Ranking:
    """The smallest validation cross-entropy, whatever the gap."""
    return _among_the_best(candidates, settings, _by_val_ce)


def one_se(candidates: Candidates, settings: RuleSettings) -> Ranking:
    """The smallest gap within one standard error of the best trial, with no fixed margin."""
    strict = replace(settings, k=1.0, tau=0.0, tau_accuracy=0.0)
    return least_overfit(candidates, strict)


def fewest_params(candidates: Candidates, settings: RuleSettings) -> Ranking:
    """The fewest parameters among the trials that are as good as the best one."""
    return _among_the_best(
        candidates,
        settings,
        # Sorting keeps the order of equals: the one with the smaller gap comes first.
        lambda good: sorted(by_gap(good), key=lambda index: int(good.num_parameters[index])),
    )


def penalised(candidates: Candidates, settings: RuleSettings) -> Ranking:
    """The smallest sum of validation cross-entropy and weighted gap, over all skilled trials."""
    score = candidates.val_ce + settings.weight * candidates.gap_ce.clip(0.0)
    order = _sorted_by(candidates.numbers, candidates.num_parameters, score)
    return Ranking(_numbers(candidates, order), settings)


def constraint(candidates: Candidates, settings: RuleSettings) -> Ranking:
    """The smallest validation cross-entropy among the trials whose gap is at most epsilon."""
    gaps = zip(candidates.numbers.tolist(), candidates.gap_ce.tolist(), strict=True)
    limit = decimal(settings.epsilon)
    excluded = {
        number: f"gap {decimal(gap)} above the limit {limit}"
        for number, gap in gaps
        if gap > settings.epsilon
    }
    kept = candidates.drop(excluded)
    if len(kept):
        return Ranking(_numbers(kept, _by_val_ce(kept)), settings, excluded)
    nearest = int(candidates.gap_ce.argmin())
    note = (
        f"No trial has a gap of at most {limit} nats: the smallest is "
        f"{decimal(candidates.gap_ce[nearest])} (trial {candidates.numbers[nearest]}). "
        "Allow a larger epsilon (--epsilon), search longer or regularize harder, or use the rule "
        "'least_overfit', which needs no limit."
    )
    return Ranking((), settings, excluded, (note,))


def pareto(candidates: Candidates, settings: RuleSettings) -> Ranking:
    """No winner: lists the trials that no other beats in both cross-entropy and gap."""
    val_ce, gap_ce = candidates.val_ce, candidates.gap_ce.clip(0.0)
    excluded = {}
    for index, number in enumerate(candidates.numbers.tolist()):
        no_worse = (val_ce <= val_ce[index]) & (gap_ce <= gap_ce[index])
        better = no_worse & ((val_ce < val_ce[index]) | (gap_ce < gap_ce[index]))
        if better.any():
            other = int(candidates.numbers[better.argmax()])
            excluded[number] = f"trial {other} is no worse in cross-entropy and gap, better in one"
    front = candidates.drop(excluded)
    note = (
        "The rule 'pareto' lists the trials between which cross-entropy and gap must be traded "
        "and picks none of them: choose one yourself, or use the rule 'least_overfit'."
    )
    return Ranking(_numbers(front, by_gap(front)), settings, excluded, (note,), picks=False)


_MARGINS = (K, TAU, TAU_ACCURACY)

RULES: dict[str, Rule] = {
    "least_overfit": Rule(least_overfit, (*_MARGINS, ALPHA)),
    "best_val": Rule(best_val, (*_MARGINS, ALPHA)),
    "one_se": Rule(one_se, (ALPHA,)),
    "penalised": Rule(penalised, (WEIGHT, ALPHA)),
    "constraint": Rule(constraint, (EPSILON, ALPHA)),
    "pareto": Rule(pareto, (ALPHA,)),
    "fewest_params": Rule(fewest_params, (*_MARGINS, ALPHA)),
}
"""Every rule has ``ALPHA``: the guard against chance comes before any of them."""

_ALONE = "No other trial is as good as the best: nothing was there to trade for a smaller gap."

_REFUSED = {"smallest_gap", "gap", "min_gap", "lowest_gap"}

_COUNTS = (
    Constant("seeds", 3, 1, 1_000, "a number of seeds, 1 or more", ""),
    Constant(
        "finalists", 5, 2, 1_000,
        "a number of finalists, 2 or more: the best one and a challenger", "",
    ),
)  # fmt: skip


def rule_settings(
    name: str,
    given: Mapping[str, float],
    seeds: int,
    finalists: int,
    deliver: str = ENSEMBLE,
) -> RuleSettings:
    """Returns the settings of a rule: its constants as given, the others as it has them.

    Args:
        name: A key of ``RULES``.
        given: Constant -> value, those that were asked for.
        seeds: Seeds per finalist.
        finalists: Number of finalists.
        deliver: What is delivered of the winner's seeds.

    Raises:
        RuleError: The rule is unknown or refused, has no such constant, or not with this value.
    """
    own = {constant.name: constant.default for constant in find_rule(name).constants}
    for unknown in (constant for constant in given if constant not in own):
        raise RuleError(_no_such_constant(name, unknown))
    values = own | dict(given)
    known = {entry.name for entry in fields(RuleSettings)}
    settings = RuleSettings(
        name,
        seeds=seeds,
        finalists=finalists,
        deliver=deliver,
        more=tuple((constant, values.pop(constant)) for constant in own if constant not in known),
        **values,
    )
    check_settings(settings)
    return settings


WIDE = {K.name: 2.0, TAU.name: 0.10, TAU_ACCURACY.name: 0.02}
"""How much worse than the best a trial may be by one training to be trained again (k, tau,
tau_accuracy; more where more was asked for): one lucky seed of the best must not exclude all
others. Source: the pilots in docs/experiments.md."""


def widened(settings: RuleSettings) -> RuleSettings:
    """Returns the rule by which trials become finalists: the same one with the margins of WIDE.

    The rule ``one_se`` has fixed margins, so ``least_overfit`` stands for it; a rule without
    margins stays as it is.
    """
    name = "least_overfit" if settings.name == "one_se" else settings.name
    if not {*_MARGINS} <= {*RULES[name].constants}:
        return settings
    wide = {margin: max(value, getattr(settings, margin)) for margin, value in WIDE.items()}
    return replace(settings, name=name, **wide)


def _no_such_constant(name: str, unknown: str) -> str:
    option = f"--{unknown.replace('_', '-')}"
    its = ", ".join(f"{one.option} ({one.default:g})" for one in RULES[name].constants)
    others = [
        other
        for other, rule in RULES.items()
        if unknown in {constant.name for constant in rule.constants}
    ]
    having = f"; {option} belongs to {', '.join(others)}" if others else ""
    return f"The rule '{name}' has no constant {option}. It has {its or 'none'}{having}."


def constants() -> tuple[Constant, ...]:
    """Returns every constant of a rule once, as ``pipeline report`` lists their options."""
    found: dict[str, Constant] = {}
    for rule in RULES.values():
        for constant in rule.constants:
            found.setdefault(constant.name, constant)
    return tuple(found.values())


def find_rule(name: str) -> Rule:
    """Returns the rule of this name.

    Raises:
        RuleError: It is unknown or refused.
    """
    if name in _REFUSED:
        raise RuleError(
            f"The rule '{name}' is not offered: the smallest gap belongs to a model that "
            "learned nothing (it is as wrong on training as on validation examples). Use "
            "'least_overfit': the smallest gap among the trials that are as good as the best."
        )
    if name not in RULES:
        raise RuleError(
            f"Unknown selection rule '{name}'{closest(name, RULES)}. "
            f"Valid rules: {', '.join(RULES)}."
        )
    return RULES[name]


def check_settings(settings: RuleSettings) -> None:
    """Checks a rule's name and the range of its constants; a rule may have ranges of its own.

    Raises:
        RuleError: The rule is unknown or refused, or a constant is out of its range.
    """
    own = find_rule(settings.name).constants
    known = {constant.name: constant for constant in (*constants(), *_COUNTS, *own)}
    values = settings.as_dict()
    deliver = values.pop("deliver", MEDIAN)
    if deliver not in (*DELIVERIES, MEDIAN):
        raise RuleError(f"Cannot deliver '{deliver}'; expected {' or '.join(DELIVERIES)}.")
    del values["name"]
    for name, value in values.items():
        constant = known[name]
        if not (constant.low <= value <= constant.high and math.isfinite(value)):
            raise RuleError(
                f"The rule '{settings.name}' cannot use {name} = {value}; expected "
                f"{constant.expected}."
            )


def _among_the_best(
    candidates: Candidates, settings: RuleSettings, order: Callable[[Candidates], Sequence[int]]
) -> Ranking:
    """Returns the candidates that are as good as the best, in this order of their indices."""
    from pipeline.selection.candidates import worse_than_best

    excluded = worse_than_best(candidates, settings)
    good = candidates.drop(excluded)
    notes = (_ALONE,) if len(good) == 1 else ()
    return Ranking(_numbers(good, order(good)), settings, excluded, notes)


def by_gap(candidates: Candidates) -> list[int]:
    """Returns indices, smallest gap first; ties: smaller val_ce, fewer parameters, number."""
    return gap_order(
        candidates.numbers, candidates.num_parameters, candidates.val_ce, candidates.gap_ce
    )


def gap_order(
    numbers: np.ndarray, num_parameters: np.ndarray, val_ce: np.ndarray, gap_ce: np.ndarray
) -> list[int]:
    """Returns the same of trials of which no more is at hand, an entry of each array per trial."""
    steps = (gap_ce.clip(0.0) / GAP_STEP).round()
    return _sorted_by(numbers, num_parameters, val_ce, steps)


def _by_val_ce(candidates: Candidates) -> list[int]:
    """Returns indices, smallest val_ce first; ties as for the best one."""
    return _sorted_by(candidates.numbers, candidates.num_parameters, candidates.val_ce)


def _sorted_by(*keys: np.ndarray) -> list[int]:
    """Returns indices, sorted by the last key; ties by the one before it, and so on."""
    import numpy as np

    return [int(index) for index in np.lexsort(keys)]


def _numbers(candidates: Candidates, indices: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(candidates.numbers[index]) for index in indices)
