"""Defines forms of techniques: where one acts, what it computes when stacked, Keras's own class.

Shapes as in ``training.layers``; a form holds functions, so that no Keras is imported here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class KernelPenalty:
    """A penalty on the kernels of regularized layers; the optimizer adds its gradient.

    Attributes:
        gradient: (kernels, factors that broadcast along them) -> the penalty's gradient.
        total: (one trial's kernel, its factor) -> the penalty, in NumPy.
        keras: factor -> Keras's regularizer.
    """

    gradient: Callable[[Any, Any], Any]
    total: Callable[[np.ndarray, float], float]
    keras: Callable[[float], Any]


@dataclass(frozen=True)
class KernelConstraint:
    """A limit on the kernels of regularized layers, applied after each update.

    Weights that are 0 with a gradient of 0 must stay 0: a padded network's further units are.

    Attributes:
        project: (kernels, limits that broadcast along them, axes of a unit's weights) -> kernels.
        keras: (limit, axes of a unit's weights) -> Keras's constraint.
    """

    project: Callable[[Any, Any, tuple[int, ...]], Any]
    keras: Callable[[float, Any], Any]


@dataclass(frozen=True)
class LayerOutput:
    """A layer behind every regularized layer.

    Attributes:
        stacked: (number of trials, what tells such layers apart) -> a layer of
            ``training.random_layers``, or one with the same ``start``.
        keras: number -> Keras's layer.
    """

    stacked: Callable[[int, int], Any]
    keras: Callable[[float], Any]


@dataclass(frozen=True)
class NetworkInput:
    """A layer before the first one, behind the standardization.

    Attributes:
        stacked: As of :class:`LayerOutput`; takes inputs that the trials share, too.
        keras: number -> Keras's layer.
        kinds: Kinds of data that it can act on.
        work: About how many multiply-adds it takes per value, in training.
    """

    stacked: Callable[[int, int], Any]
    keras: Callable[[float], Any]
    kinds: tuple[str, ...] = ("features", "image")
    work: int = 1


@dataclass(frozen=True)
class LossTerm:
    """A term of the training loss; what is measured stays plain cross-entropy.

    Attributes:
        added: (logits [B, K, C], labels [B], numbers [K]) -> what is added to each example's
            cross-entropy, [B, K].
        keras: number -> Keras's loss, of logits and one-hot labels.
    """

    added: Callable[[Any, Any, Any], Any]
    keras: Callable[[float], Any]


@dataclass(frozen=True)
class ExampleWeights:
    """Weights of the examples in the training loss, other terms included; none in what is measured.

    Attributes:
        weights: (labels [B], numbers [K], weights that make all classes count alike [C]) -> each
            example's weight, [B, K].
        keras: (number, the same weights of classes) -> ``class_weight`` of Keras's ``fit``.
    """

    weights: Callable[[Any, Any, Any], Any]
    keras: Callable[[float, Any], dict[int, float]]


@dataclass(frozen=True)
class WeightUpdate:
    """A change of every trainable variable before the optimizer's own update.

    Attributes:
        before: (variable, numbers that broadcast along it, learning rates alike) -> new values.
        keras: number -> options of Keras's optimizer.
    """

    before: Callable[[Any, Any, Any], Any]
    keras: Callable[[float], dict[str, Any]]


@dataclass(frozen=True)
class WeightAverage:
    """A moving average of every trainable variable: it is what is measured, kept and exported.

    Attributes:
        keras: momentum -> options of Keras's optimizer.
    """

    keras: Callable[[float], dict[str, Any]]


@dataclass(frozen=True)
class Structure:
    """Layers of their own, which families add.

    Trials that differ in it train apart, but where their family pads it (``training.padding``).
    """


@dataclass(frozen=True)
class Combination:
    """Several techniques that count as one where all of them are used.

    Attributes:
        parts: Their names.
        keras: The parts' numbers -> Keras's own class.
    """

    parts: tuple[str, ...]
    keras: Callable[..., Any]
