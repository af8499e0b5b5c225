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
from dataclasses import dataclass

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
    evidence = evidence_of(candidates, chance)
    unskilled = evidence.no_better_than_chance(chance, alpha)
    return {
        int(candidates.numbers[index]): (
            f"no better than chance: {_reason(candidates, evidence, index, chance, alpha)}"
        )
        for index in np.flatnonzero(unskilled).tolist()
    }


@dataclass(frozen=True)
class Evidence:
    """What each of some candidates has against having guessed.

    Attributes:
        bounds: float64 [num_trials], log10 of the bound of the probability that guessing looks as
            good; NaN where an older version measured.
        tails: float64 [num_trials], probability that guessing has as many hits, for those; else 0.
        val_ce: float64 [num_trials], mean validation cross-entropy, nats.
        epochs: int [num_trials], epochs trained.
    """

    bounds: np.ndarray
    tails: np.ndarray
    val_ce: np.ndarray
    epochs: np.ndarray

    def __len__(self) -> int:
        return len(self.bounds)

    def with_more(self, more: Evidence) -> Evidence:
        """Returns this and what further candidates have, in this order."""
        pairs = zip(vars(self).values(), vars(more).values(), strict=True)
        return Evidence(*(np.concatenate(pair) for pair in pairs))

    def no_better_than_chance(self, chance: ChanceLevel, alpha: float) -> np.ndarray:
        """Returns which of them may have guessed: bool [num_trials]."""
        allowed = log10_allowed(int(self.epochs.sum()), alpha)
        old = np.isnan(self.bounds)
        guessed = np.where(old, self.tails > alpha / max(len(self), 1), self.bounds > allowed)
        return np.asarray(guessed | (self.val_ce >= chance.ce))


def evidence_of(candidates: Candidates, chance: ChanceLevel) -> Evidence:
    """Returns what these candidates have against having guessed; each one's is its own."""
    tails = np.zeros(len(candidates))
    for index in np.flatnonzero(np.isnan(candidates.log10_p_guessing)).tolist():
        hits, num_examples = _hits(candidates, index), candidates.nll.shape[2]
        tails[index] = binomial_tail(hits, num_examples, chance.accuracy)
    return Evidence(candidates.log10_p_guessing, tails, candidates.val_ce, candidates.epochs)


def _reason(
    candidates: Candidates, evidence: Evidence, index: int, chance: ChanceLevel, alpha: float
) -> str:
    """Returns why a candidate without skill has none."""
    num_examples = candidates.nll.shape[2]
    allowed, bound = log10_level(candidates, alpha), float(evidence.bounds[index])
    tail, level = float(evidence.tails[index]), alpha / len(candidates)
    if np.isnan(bound) and tail > level:
        return (
            f"{_hits(candidates, index)} or more of {num_examples} right happen by guessing "
            f"(accuracy {decimal(chance.accuracy)}) with probability {probability(tail)}, allowed "
            f"is {probability(level)}"
        )
    if bound > allowed:
        return (
            f"{_power(bound)} bounds the probability that guessing by class shares looks as "
            f"good on {num_examples} examples, allowed is {_power(allowed)}"
        )
    return (
        f"cross-entropy {decimal(candidates.val_ce[index])} is not "
        f"below {decimal(chance.ce)}, that of predicting the class shares"
    )


def _hits(candidates: Candidates, index: int) -> int:
    """Returns how many examples a candidate has right."""
    # Averaged over seeds, hits are rounded down: to doubt skill, not to invent it.
    return int(np.floor(candidates.val_accuracy[index] * candidates.nll.shape[2] + 1e-6))


def log10_level(candidates: Candidates, alpha: float) -> float:
    """Returns the logarithm of the probability of guessing that one candidate is allowed."""
    return log10_allowed(int(candidates.epochs.sum()), alpha)


def log10_allowed(num_epochs: int, alpha: float) -> float:
    """Returns the same after so many epochs of all candidates."""
    return float(np.log10(alpha / max(num_epochs, 1)))


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


def _power(log10: float) -> str:
    return probability(10.0 ** max(log10, -300.0))
