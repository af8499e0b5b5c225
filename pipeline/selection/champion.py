"""Says whether a new model may take a registered champion's place, by their test figures.

It may where it is not worse by the rule ``least_overfit`` with its own margins, applied to the two:
as good as the champion and no larger gap, or better by more than the margins. Both were measured on
the same test examples; which model was chosen is not changed by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.formatting import decimal
from pipeline.selection.records import TAU, TAU_ACCURACY
from pipeline.selection.rules import GAP_STEP


@dataclass(frozen=True)
class Figures:
    """A model's figures on a test part.

    Attributes:
        ce: Cross-entropy, nats.
        accuracy: Share of examples that are right.
        gap_ce: Test minus train cross-entropy.
    """

    ce: float
    accuracy: float
    gap_ce: float

    def as_good_as(self, other: Figures) -> bool:
        """Whether it is as good as another one, by the margins of the rule; NaN is not."""
        return (
            self.ce <= other.ce * (1.0 + TAU.default)
            and self.accuracy >= other.accuracy - TAU_ACCURACY.default
        )


def compare(new: Figures, champion: Figures) -> tuple[bool, str]:
    """Returns whether the new model is not worse, and why, as the end of a sentence."""
    figures = (
        f"accuracy {decimal(new.accuracy)} against {decimal(champion.accuracy)}, cross-entropy "
        f"{decimal(new.ce)} against {decimal(champion.ce)}, gap {decimal(new.gap_ce)} against "
        f"{decimal(champion.gap_ce)} on the same test part"
    )
    if not new.as_good_as(champion):
        return False, f"it is worse: {figures}"
    if not champion.as_good_as(new):
        return True, f"it is better: {figures}"
    if _gap_steps(new) <= _gap_steps(champion):
        return True, f"it is as good and overfits no more: {figures}"
    return False, f"it is as good, but overfits more: {figures}"


def _gap_steps(tested: Figures) -> float:
    return float(np.rint(max(tested.gap_ce, 0.0) / GAP_STEP))
