"""Checks the model that the user's function made, before it is trained.

What is checked here would otherwise be a wrong number or a model that nobody can load: a shape that
does not fit the classes, outputs that are neither logits nor probabilities, layers that only the
user's file knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from pipeline.errors import OwnModelError

PROBED = 32
"""Training examples that a new model is tried on."""
SUM_TOLERANCE = 1e-2
"""How far from 1 the sum of a row's probabilities may be: bfloat16 has three digits."""
CODE = ("Lambda", "function", "__lambda__")
"""What stands for code in a serialized model; Keras refuses to load it."""
LOGITS, PROBABILITIES = "logits", "probabilities"


def check_made(model: Any) -> None:
    """Checks that the function returned a new, uncompiled model of Keras's own layers.

    Raises:
        OwnModelError: It did not; the message says what to do.
    """
    if not isinstance(model, keras.Model):
        raise OwnModelError(f"it returned {_kind(model)}; expected a keras.Model")
    if getattr(model, "compiled", False):
        raise OwnModelError(
            "it returned a compiled model; leave compile() out: the search gives optimizer, "
            "learning rate and loss"
        )
    if getattr(model, "_own_model_taken", False):
        raise OwnModelError(
            "it returned the model of an earlier trial again; make a new one in every call"
        )
    model._own_model_taken = True
    try:
        config = model.get_config()
    except Exception as error:
        raise OwnModelError(
            f"the model cannot be saved ({type(error).__name__}); make it with keras.Sequential or "
            "keras.Model(inputs, outputs) of Keras's own layers"
        ) from error
    foreign = sorted({*_foreign({"module": type(model).__module__, "class_name": _class(model)}),
                      *_foreign(config)})  # fmt: skip
    if foreign:
        raise OwnModelError(
            f"the model has {', '.join(foreign)}, which is not Keras's own: what is delivered "
            "loads without your file, so use Keras's layers and keras.ops in a functional model"
        )


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__module__}.{type(value).__name__}"


def _class(value: Any) -> str:
    return type(value).__name__


def _foreign(config: Any) -> Iterator[str]:
    """Yields the classes in a serialized model that only the user's file knows."""
    if isinstance(config, dict):
        name = config.get("class_name")
        if isinstance(name, str) and "module" in config and _is_foreign(name, config["module"]):
            yield f"a {name.strip('_')}" if name in CODE else name
        for value in config.values():
            yield from _foreign(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _foreign(value)


def _is_foreign(name: str, module: Any) -> bool:
    """Whether a class of a serialized model is not Keras's: a user's module, registered or not."""
    if name in CODE:
        return True
    return not str(module or "").startswith(("keras", "builtins"))


def check_outputs(model: Any, inputs: Any, num_classes: int) -> str:
    """Checks what a model says about some training examples.

    Args:
        model: The user's model.
        inputs: Prepared inputs of some training examples.
        num_classes: Classes.

    Returns:
        Whether its outputs are ``logits`` or ``probabilities``.

    Raises:
        OwnModelError: They have another shape, are not finite, or are neither.
    """
    found = model(inputs, training=False)
    if isinstance(found, list | tuple | dict):
        raise OwnModelError(f"the model has {len(found)} outputs; expected one")
    shape = tuple(found.shape)
    if len(shape) != 2 or shape[1] != num_classes:
        raise OwnModelError(
            f"the model's outputs have the shape {_batch(shape)}; expected "
            f"(batch, {num_classes}), a number for each class"
        )
    values = np.asarray(keras.ops.convert_to_numpy(found)).astype(np.float64)
    if not np.isfinite(values).all():
        raise OwnModelError("the model's outputs on training examples are not finite (NaN or inf)")
    if not model.trainable_variables:
        raise OwnModelError("the model has no weights to train")
    return _meaning(model, values)


def _batch(shape: tuple[Any, ...]) -> str:
    return f"({', '.join(['batch', *map(str, shape[1:])])})" if shape else "()"


def _meaning(model: Any, values: np.ndarray) -> str:
    """Returns what the outputs are: by the last layer's activation, else by their values."""
    sums = values.sum(axis=1)
    look_like = (values >= 0).all() and (np.abs(sums - 1.0) <= SUM_TOLERANCE).all()
    activation = last_activation(model)
    if activation == "softmax" and not look_like:
        raise OwnModelError(
            "the softmax at the end is not over the classes: its rows do not sum to 1"
        )
    if activation in ("linear", "softmax"):
        return PROBABILITIES if activation == "softmax" else LOGITS
    if activation is not None:
        raise OwnModelError(
            f"the last layer's activation is {activation}, which gives neither logits nor "
            "probabilities of the classes: use none, or softmax"
        )
    return PROBABILITIES if look_like else LOGITS


def last_activation(model: Any) -> str | None:
    """Returns the activation of the layer that makes the outputs; None where that is not known."""
    layer = model
    while isinstance(layer, keras.Model):
        outputs = getattr(layer, "outputs", None)
        if isinstance(layer, keras.Sequential):
            layer = layer.layers[-1]
        elif outputs and hasattr(outputs[0], "_keras_history"):
            layer = outputs[0]._keras_history.operation
        else:
            return None
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    if not isinstance(layer, keras.layers.Dense | keras.layers.Activation):
        return None
    name = getattr(layer.activation, "__name__", None)
    return str(name) if name else None
