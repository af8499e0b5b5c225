"""Pads networks of different size, so that trials of one family train together in one program.

A family names in ``PADDED`` the hyperparameters of which a larger value gives a network that
contains the smaller one: with further layers that keep their input's shape, or with more units. The
program has the largest network. In a smaller trial its further layers pass their input on, and its
further units stay exactly 0: so are their weights, and nothing has a gradient there. That holds for
activations that are 0 at 0, which all of ``hyperparameters.ACTIVATIONS`` are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.records import TrialConfig
from pipeline.training import models
from pipeline.training.architecture import BatchNorm, Conv, Dense, Layer, Shape, walk
from pipeline.training.techniques import hyperparameters, structure

COMPILATION_WORK = 3e10
"""Multiply-adds that take as long as compiling a small network: some 2 s on two cores."""


def stackable(config: TrialConfig) -> tuple[Any, ...]:
    """Returns what trials have to share to train together: their structure but for its padding."""
    return structure(_smallest(config))


def padded(configs: Sequence[TrialConfig]) -> TrialConfig:
    """Returns the config of the network that contains those of all these configs.

    Args:
        configs: At least one; :func:`stackable` with each other.
    """
    names = models.padded_in(configs[0].family)
    largest: dict[str, Any] = {
        name: max(getattr(config, name) for config in configs) for name in names
    }
    return replace(configs[0], **largest) if largest else configs[0]


def program(configs: Sequence[TrialConfig]) -> tuple[Any, ...]:
    """Returns the structure of the network in which these configs train together."""
    return structure(padded(configs))


def differ(configs: Iterable[TrialConfig]) -> bool:
    """Whether some of these configs have to be padded to train with the others."""
    return len({structure(config) for config in configs}) > 1


def skippable(config: TrialConfig, input_shape: Shape) -> frozenset[int]:
    """Returns the places of the layers that a network contained in a config's may lack."""
    large = models.layers_of(config, input_shape)
    small = models.layers_of(_smallest(config), input_shape)
    places = Placement.of(small, large, input_shape).places
    return frozenset(place for place, own in enumerate(places) if own is None)


def _smallest(config: TrialConfig) -> TrialConfig:
    """Returns the config of the smallest network that can be padded to a config's."""
    every = hyperparameters()
    entries = [every[name] for name in models.padded_in(config.family)]
    smallest: dict[str, Any] = {
        e.name: False if e.kind is bool else int(e.least or 0) for e in entries
    }
    return replace(config, **smallest) if smallest else config


@dataclass(frozen=True)
class Placement:
    """Where a trial's layers are in the network of its program.

    Attributes:
        layers: The trial's own.
        shapes: The shapes of their inputs.
        places: For each layer of the program its place among the trial's own; None where the trial
            has no such layer.
    """

    layers: tuple[Layer, ...]
    shapes: tuple[Shape, ...]
    places: tuple[int | None, ...]

    @classmethod
    def of(cls, small: Sequence[Layer], large: Sequence[Layer], input_shape: Shape) -> Placement:
        """Finds each of the small network's layers in the large one, the first that fits.

        Raises:
            ValueError: The large network does not contain the small one.
        """
        places: list[int | None] = []
        found = 0
        for layer in large:
            fits = found < len(small) and _contains(layer, small[found])
            places.append(found if fits else None)
            found += fits
        if found < len(small):
            raise ValueError(f"{large} does not contain {small}")
        shapes = tuple(shape for _, shape in walk(tuple(small), input_shape))
        return cls(tuple(small), shapes, tuple(places))

    def length(self, place: int) -> int:
        """Returns how long the last axis of a layer's output is in the trial."""
        own = self.places[place]
        return 0 if own is None else int(self.layers[own].output_shape(self.shapes[own])[-1])

    def cut(self, array: np.ndarray, place: int) -> np.ndarray:
        """Returns the trial's part of a weight of the layer at a place: [..., inputs, units]."""
        own = self.places[place]
        assert own is not None
        ends = (self.shapes[own][-1], self.length(place))
        return array[..., : ends[1]] if array.ndim == 1 else array[..., : ends[0], : ends[1]]

    def penalized(self) -> list[int]:
        """Returns which of the trial's weights, in their order, are kernels with penalties."""
        kernels, count = [], 0
        for layer in self.layers:
            if isinstance(layer, Dense | Conv) and layer.regularized:
                kernels.append(count)
            count += NUM_WEIGHTS.get(type(layer), 0)
        return kernels


NUM_WEIGHTS: dict[type[Layer], int] = {Dense: 2, Conv: 2, BatchNorm: 4}
"""Kind of layer -> how many arrays an ordinary one has."""


def _contains(large: Layer, small: Layer) -> bool:
    """Whether a layer is the other one, or the same with more units."""
    if isinstance(large, Dense) and isinstance(small, Dense):
        return replace(large, units=small.units) == small and large.units >= small.units
    return large == small
