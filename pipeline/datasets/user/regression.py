"""Tells whether whole numbers are class numbers, or a quantity that a regression should predict.

In: the distinct values and how many examples each has. Out: why they look like a quantity, or None.
Nothing but their pattern can tell, so the rule asks only where there are many values, and whoever
knows better says ``--classes``.

- Up to :data:`ALWAYS_CLASSES` values are classes: digits, ratings, grades.
- Numbers without a gap from 0 or 1 on (CIFAR-100's, a LabelEncoder's) are classes, unless their
  frequencies rise to one peak and fall again to few examples at both ends, as those of a measured
  quantity do; class numbers follow no such order.
- Other numbers are a quantity where they fill at least half of their range, in steps of their
  greatest common divisor (years, scores, counts, prices in hundreds), or where a typical one has
  few examples. What is left are codes: far apart, and with many examples each (post codes).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import numpy as np

ALWAYS_CLASSES = 20
FEW_EXAMPLES = 10
"""Fewer examples than this in a typical class make numbers without a pattern a quantity."""
FILLED = 0.5
"""Share of the numbers in a range that a quantity takes."""
PEAK = 5
"""At a peak there are so many times as many examples as at both ends of a quantity's range."""
ONE_PEAK = 1.5
"""From number to number, frequencies of one peak vary so many times as much at most as its two
flanks are high; chance does the rest."""


def quantity(values: Sequence[int], counts: Sequence[int]) -> str | None:
    """Returns why labels look like targets of a regression; None where they may be classes.

    Args:
        values: The distinct labels, ascending.
        counts: Number of examples of each.
    """
    if len(values) <= ALWAYS_CLASSES:
        return None
    numbers = np.asarray(counts, dtype=np.float64)
    span = values[-1] - values[0]
    if values[0] in (0, 1) and span == len(values) - 1:
        return "with one peak of frequencies" if _has_one_peak(numbers) else None
    step = gcd(*(value - values[0] for value in values))
    if len(values) >= FILLED * (span // step + 1):
        return f"that fill their range in steps of {step}"
    if np.median(numbers) < FEW_EXAMPLES:
        return f"of which a typical one has {np.median(numbers):.0f} examples"
    return None


def _has_one_peak(counts: np.ndarray) -> bool:
    """Whether frequencies rise to a peak and fall again, to few at both ends."""
    ends = max(len(counts) // 10, 1)
    low, high = counts[:ends].mean(), counts[-ends:].mean()
    peak = counts.max()
    if peak < PEAK * max(low, high, 1):
        return False
    flanks = 2 * peak - counts[0] - counts[-1]
    return bool(np.abs(np.diff(counts)).sum() <= ONE_PEAK * flanks)
