"""Bounds the probability that guessing looks as good as a model, whatever the class shares are.

What one model predicted and whether it was right come in, a probability goes out. The guard against
chance (``skill``) compares it with its level.

The hypothesis is that labels have nothing to do with inputs: each is drawn by the class shares of
the validation part. A count of hits cannot contradict it where one class holds most examples: 99%
right is what always naming that class gives. So what is tested is a cross-entropy, that of the
model's own confidence in its most probable class with the rest shared by the K - 1 others evenly,
less what the shares alone explain:

    a_i(c)  = -log(confidence_i) if c is predicted, else -log((1 - confidence_i) / (K - 1))
    d_i(c)  = a_i(c) - E_c a_i(c) - mean_i a_i(c) + E_c mean_i a_i(c)
    P(sum_i d_i(label_i) <= observed) <= min over s >= 0 of
        exp(s * observed) * prod_i E_c exp(-s * d_i(c))

with E_c over the class shares. The bound holds for any number of examples and any shares (Chernoff,
1952), where a normal tail, for skewed sums, does not; of two classes a is the cross-entropy itself.
Centring both ways takes out how many examples a class happens to have (Hoeffding's combinatorial
statistic, 1951). docs/experiments.md (2026-11-26) has its errors and its power.
"""

from __future__ import annotations

import numpy as np

SURE = 1e-6
"""Confidences are kept so far from 0 and 1: float32 rounds what is beyond to them."""
RANGE, TOLERANCE = 20.0, 0.01
"""Where the exponent s is sought, and how closely, in units of its value for normal sums."""


def log10_p_guessing(
    correct: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, shares: np.ndarray
) -> float:
    """Returns the bound's logarithm to base 10; 0 where the model looks no better than guessing.

    Args:
        correct: bool ``[num_examples]``, whether the most probable class is the label.
        predicted: Integer ``[num_examples]``, the most probable class.
        confidence: ``[num_examples]``, its probability.
        shares: ``[num_classes]``, the classes' shares among these examples' labels.
    """
    # Here: it takes half a second to import, and who only reads a study minimizes nothing.
    from scipy.optimize import minimize_scalar

    sure = np.clip(np.asarray(confidence, dtype=np.float64), SURE, 1.0 - SURE)
    hit, miss = -np.log(sure), np.log(max(len(shares) - 1, 1)) - np.log1p(-sure)
    share = shares[predicted]
    expected = share * hit + (1.0 - share) * miss
    observed = float(np.where(correct, hit, miss).sum() - expected.sum())
    by_class = np.bincount(predicted, weights=hit - miss, minlength=len(shares))
    centre = (by_class + miss.sum() - expected.sum()) / len(sure)
    # What d is for the predicted class, and for each other one but for its centre.
    hit, miss = hit - expected, miss - expected
    mean, square = float(shares @ centre), float(shares @ centre**2)
    squares = miss**2 - 2.0 * miss * mean + square
    squares = squares + share * ((hit - centre[predicted]) ** 2 - (miss - centre[predicted]) ** 2)
    variance = float(squares.sum())
    if observed >= 0.0 or variance <= 0.0:
        return 0.0

    def log_bound(exponent: float) -> float:
        tilted = shares * np.exp(exponent * (centre - centre.max()))
        named = tilted[predicted]
        others = np.maximum(tilted.sum() - named, 0.0)
        with np.errstate(divide="ignore"):
            each = np.logaddexp(np.log(others) - exponent * miss, np.log(named) - exponent * hit)
        return float((each + exponent * centre.max()).sum() + exponent * observed)

    normal = -observed / variance
    options = {"xatol": TOLERANCE * normal}
    found = minimize_scalar(
        log_bound, bounds=(0.0, RANGE * normal), method="bounded", options=options
    )
    return min(float(found.fun), log_bound(normal), 0.0) / float(np.log(10.0))


def log10_p_all_right(counts: np.ndarray) -> float:
    """Returns the logarithm to base 10 of the probability to name every label by the shares alone.

    No model can do better than that, so where it exceeds the guard's level, the part is too small
    to tell skill from chance.

    Args:
        counts: Integer ``[num_classes]``, examples per class.
    """
    # Here and not above: a report on a study with enough examples does without SciPy.
    from scipy.special import xlogy

    shares = counts / max(counts.sum(), 1)
    return float(xlogy(counts, shares).sum() / np.log(10.0))
