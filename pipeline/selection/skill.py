"""Guards against chance: a trial that may have guessed cannot be chosen.

:class:`Candidates` and the chance level of the classes in, a reason per candidate without skill
out. Without the guard, a study in which no model learned anything would deliver one of them.

Each trial carries a bound of the probability that guessing looks as good (``guessing``). The level
is Bonferroni's over all that was tried on the same validation part, epochs included: early stopping
chose one of them there. So even one of many guessing trials passes with a probability of at most
alpha. Trials that an older version measured are held against an exact binomial tail of their hits,
alpha over the trials; that one has no power where one class holds most examples.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.formatting import decimal, probability
from pipeline.records import ChanceLevel
from pipeline.selection.candidates import Candidates
from pipeline.selection.statistics import binomial_tail


def no_better_than_chance(
    candidates: Candidates, chance: ChanceLevel, alpha: float
) -> dict[int, str]:
    """Returns number -> reason of the candidates that are no better than chance.

    Skill takes a probability of guessing within the level, and a cross-entropy below that of the
    class prior.
    """
    num_examples = candidates.nll.shape[2]
    allowed = log10_level(candidates, alpha)
    reasons = {}
    for index, number in enumerate(candidates.numbers.tolist()):
        bound = float(candidates.log10_p_guessing[index])
        if np.isnan(bound):
            reason = _few_hits(candidates, index, chance, alpha)
        elif bound > allowed:
            reason = (
                f"{_power(bound)} bounds the probability that guessing by class shares looks as "
                f"good on {num_examples} examples, allowed is {_power(allowed)}"
            )
        else:
            reason = ""
        if not reason and candidates.val_ce[index] >= chance.ce:
            reason = (
                f"cross-entropy {decimal(candidates.val_ce[index])} is not "
                f"below {decimal(chance.ce)}, that of predicting the class shares"
            )
        if reason:
            reasons[number] = f"no better than chance: {reason}"
    return reasons


def log10_level(candidates: Candidates, alpha: float) -> float:
    """Returns the logarithm of the probability of guessing that one candidate is allowed."""
    return float(np.log10(alpha / max(int(candidates.epochs.sum()), 1)))


def too_small(candidates: Candidates, chance: ChanceLevel, alpha: float) -> tuple[str, ...]:
    """Returns a sentence where not even all answers right would prove skill, else nothing."""
    allowed, best = log10_level(candidates, alpha), chance.log10_p_all_right
    if best is None or best <= allowed:
        return ()
    num_examples = candidates.nll.shape[2]
    needed = f"{math.ceil(num_examples * allowed / best):,}" if best < 0.0 else "more"
    return (
        f"The validation part, {num_examples} examples, is too small to tell skill from chance: "
        f"guessing by class shares gets all of them right with probability {_power(best)}, and "
        f"after so many trials and epochs {_power(allowed)} is allowed. With about {needed} "
        "validation examples of the same classes, or fewer trials, a good model could show its "
        "skill.",
    )


def _few_hits(candidates: Candidates, index: int, chance: ChanceLevel, alpha: float) -> str:
    num_examples = candidates.nll.shape[2]
    level = alpha / len(candidates)
    # Averaged over seeds, hits are rounded down: to doubt skill, not to invent it.
    hits = int(np.floor(candidates.val_accuracy[index] * num_examples + 1e-6))
    tail = binomial_tail(hits, num_examples, chance.accuracy)
    if tail <= level:
        return ""
    return (
        f"{hits} or more of {num_examples} right happen by guessing (accuracy "
        f"{decimal(chance.accuracy)}) with probability {probability(tail)}, allowed is "
        f"{probability(level)}"
    )


def _power(log10: float) -> str:
    return probability(10.0 ** max(log10, -300.0))
