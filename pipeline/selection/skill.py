"""Guards against chance: a trial that may have guessed cannot be chosen.

:class:`Candidates` and the chance level of the classes in, a reason per candidate without skill
out. Without the guard, a study in which no model learned anything would deliver one of them.

Source: an exact binomial test with Bonferroni's correction (alpha / N), so that even one of N
guessing trials passes with a probability of at most alpha.
"""

from __future__ import annotations

import numpy as np

from pipeline.formatting import decimal, probability
from pipeline.records import ChanceLevel
from pipeline.selection.candidates import Candidates
from pipeline.selection.statistics import binomial_tail


def no_better_than_chance(
    candidates: Candidates, chance: ChanceLevel, alpha: float
) -> dict[int, str]:
    """Returns number -> reason of the candidates that are no better than chance.

    Skill takes an exact binomial tail P(X >= hits | n, chance accuracy) of at most alpha / N, N
    the number of candidates, and a cross-entropy below that of the class prior. An approximate
    tail (Wilson, normal) lets too many of a hundred guessing trials through.
    """
    num_examples = candidates.nll.shape[2]
    level = alpha / len(candidates)
    reasons = {}
    for index, number in enumerate(candidates.numbers.tolist()):
        # Averaged over seeds, hits are rounded down: to doubt skill, not to invent it.
        hits = int(np.floor(candidates.val_accuracy[index] * num_examples + 1e-6))
        tail = binomial_tail(hits, num_examples, chance.accuracy)
        if tail > level:
            reasons[number] = (
                f"no better than chance: {hits} or more of {num_examples} right happen by "
                f"guessing (accuracy {decimal(chance.accuracy)}) with probability "
                f"{probability(tail)}, allowed is {probability(level)}"
            )
        elif candidates.val_ce[index] >= chance.ce:
            reasons[number] = (
                f"no better than chance: cross-entropy {decimal(candidates.val_ce[index])} is not "
                f"below {decimal(chance.ce)}, that of predicting the class shares"
            )
    return reasons
