"""Measures how far a model's confidence can be believed: a reliability diagram and the ECE.

The bins hold equally many examples. Calibration is reported and never selected on: binned estimates
are biased upwards, the more so the fewer examples there are.

Source: Guo et al., ICML 2017 (reliability diagram); Roelofs et al., AISTATS 2022 (equal mass).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.records import PerExample
from pipeline.selection.statistics import (
    NUM_BINS,
    Interval,
    expected_calibration_error,
    wilson_interval,
)

_PER_BIN = 60
"""Fewest examples of a bin of the diagram: below, its interval says nothing."""


@dataclass(frozen=True)
class Bin:
    """Examples of similar confidence: how many, how sure, how often right (95% interval)."""

    num_examples: int
    confidence: float
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class Calibration:
    """How confidence and accuracy agree.

    Attributes:
        part: ``test`` or ``validation``.
        num_examples: Examples of that part.
        bins: By rising confidence, about as many examples in each; 15 where there are enough.
        ece: Expected calibration error; None below 1,000 examples.
        confidence: Mean confidence.
        accuracy: Accuracy.
    """

    part: str
    num_examples: int
    bins: tuple[Bin, ...]
    ece: float | None
    confidence: float
    accuracy: float


def calibration(results: PerExample, part: str) -> Calibration | None:
    """Returns the calibration of a model on a part; None where its confidences are not known."""
    sure = np.asarray(results.confidence, dtype=float)
    right = np.asarray(results.correct, dtype=float)
    if not sure.size or sure.size != right.size or not np.isfinite(sure).all():
        return None
    return Calibration(
        part=part,
        num_examples=sure.size,
        bins=_bins(sure, right),
        ece=expected_calibration_error(sure, right),
        confidence=float(sure.mean()),
        accuracy=float(right.mean()),
    )


def _bins(sure: np.ndarray, right: np.ndarray) -> tuple[Bin, ...]:
    num_bins = int(np.clip(sure.size // _PER_BIN, 1, NUM_BINS))
    edges = np.unique(np.quantile(sure, np.arange(1, num_bins) / num_bins))
    place = np.searchsorted(edges, sure, side="right")
    found = []
    for number in np.unique(place):
        inside = place == number
        count, hits = int(inside.sum()), float(right[inside].sum())
        interval = wilson_interval(hits, count)
        found.append(Bin(count, float(sure[inside].mean()), hits / count, interval))
    return tuple(found)
