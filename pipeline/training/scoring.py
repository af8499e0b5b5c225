"""Says how many examples are scored after each epoch; no Keras here.

In: sizes of the parts. Out: numbers of examples. The worker scores by them, the search foresees its
time by them. What a trial is measured on at its end is always the whole validation part.
"""

from __future__ import annotations

MOST_TRAIN_SCORED = 2_000
"""Training examples that the train curves stand on: two hundredths of a nat are seen. What is
measured at the end stands on all measured ones."""
FEWEST_VALIDATION = 2_000
"""Validation examples that are scored after each epoch, where there are so many, whatever it costs:
fewer would choose the best epoch by chance."""


def validation_per_epoch(num_train: int, num_validation: int) -> int | None:
    """Returns how many validation examples are scored after each epoch; None for all.

    A scored example takes a forward pass, a trained one about three. So scoring is at most a
    quarter of an epoch's work where no more examples are scored than trained on, the train curve's
    included.
    """
    part = max(num_train - MOST_TRAIN_SCORED, FEWEST_VALIDATION)
    return part if part < num_validation else None


def num_train_scored(num_train: int, num_validation: int) -> int:
    """Returns how many training examples are scored after each epoch.

    As many as the validation curve stands on, but at most :data:`MOST_TRAIN_SCORED`: a prefix of
    the measured ones.

    Args:
        num_train: Training examples.
        num_validation: Validation examples that are scored after each epoch.
    """
    return min(num_validation, MOST_TRAIN_SCORED, num_train)
