"""What a config puts on a layer: the table of techniques and the layers that follow a layer.

A technique turns the numbers of a :class:`TrialConfig` into one number per trial, 0 or infinity
meaning off. To add one: an entry in :data:`TECHNIQUES` (and a place in ``training.techniques`` that
reads its number). No Keras here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from pipeline.records import TrialConfig
from pipeline.training.architecture import BatchNorm, Conv, Dense, Dropout, Layer


@dataclass(frozen=True)
class Technique:
    """One regularization technique.

    Attributes:
        value: The config's number for it.
        off: The number that means "not used".
    """

    value: Callable[[TrialConfig], float]
    off: float


TECHNIQUES: dict[str, Technique] = {
    "l1": Technique(lambda config: config.lambda_l1 or 0.0, off=0.0),
    "l2": Technique(lambda config: config.lambda_l2 or 0.0, off=0.0),
    "max_norm": Technique(lambda config: config.max_norm or inf, off=inf),
    "dropout": Technique(lambda config: config.dropout_rate, off=0.0),
}


def vector(name: str, configs: Sequence[TrialConfig]) -> np.ndarray:
    """Returns the technique's number for each config, float32 [num_configs]."""
    return np.array([TECHNIQUES[name].value(config) for config in configs], dtype=np.float32)


def in_use(configs: Sequence[TrialConfig]) -> frozenset[str]:
    """Returns the techniques that at least one of the configs uses."""
    return frozenset(
        name
        for name, technique in TECHNIQUES.items()
        if any(technique.value(config) != technique.off for config in configs)
    )


def regularized_layers(
    layer: Dense | Conv, config: TrialConfig, *, normalized: bool
) -> list[Layer]:
    """Returns the layer followed by batch normalization and dropout, where they belong.

    Dropout follows every regularized layer whatever its rate: trials of one structure differ in it.
    """
    after: list[Layer] = [BatchNorm()] if normalized else []
    if layer.regularized:
        after.append(Dropout())
    return [layer, *after]
