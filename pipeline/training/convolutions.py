"""Computes per-trial convolutions in two forms, and times which of them this device does faster.

Shapes: inputs ``[K, B, h, w, c]``, kernels ``[K, 3, 3, c, units]``, no padding. To add a form: a
function here and its name in ``FORMS``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from keras import ops

from pipeline.training import backend

Form = Callable[[Any, Any], Any]
"""(inputs, kernels) -> [K, B, h - 2, w - 2, units]."""


def split(inputs: Any, kernels: Any) -> Any:
    """Returns each trial's convolution, one after the other inside one graph."""
    return ops.stack([ops.conv(inputs[k], kernels[k]) for k in range(kernels.shape[0])])


def grouped(inputs: Any, kernels: Any) -> Any:
    """Returns all trials' convolutions as one, with the trials as groups of channels."""
    trials, height, width, channels, units = kernels.shape
    _, _, rows, columns, _ = inputs.shape
    wide = ops.transpose(inputs, (1, 2, 3, 0, 4))
    wide = ops.reshape(wide, (-1, rows, columns, trials * channels))
    kernel = ops.transpose(kernels, (1, 2, 3, 0, 4))
    # As many input channels as one trial has: by that the convolution knows its groups.
    outputs = ops.conv(wide, ops.reshape(kernel, (height, width, channels, trials * units)))
    outputs = ops.reshape(outputs, (-1, *outputs.shape[1:3], trials, units))
    return ops.transpose(outputs, (3, 0, 1, 2, 4))


FORMS: tuple[Form, ...] = (split, grouped)


@cache
def fastest(inputs: tuple[int, ...], kernels: tuple[int, ...], dtype: str) -> Form:
    """Returns the form for inputs and kernels of these shapes.

    On a CPU it is :func:`split`: :func:`grouped` was measured 27 times slower there. On a GPU it
    depends on the shapes, the card and its library, so both are timed, once per process for each
    shape. They differ by rounding, as two runs on a GPU do anyway.

    Args:
        inputs: (K, B, h, w, c), B the training batch.
        kernels: (K, 3, 3, c, units).
        dtype: In which it is computed.
    """
    if not backend.on_gpu():
        return split
    return min(FORMS, key=lambda form: backend.seconds_per_call(form, (inputs, kernels), dtype))
