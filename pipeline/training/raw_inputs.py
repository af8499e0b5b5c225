"""Puts an encoding before a network: a Keras model that takes raw values by the columns' names.

All of it are Keras's own layers and operations, so that the model loads without this package. The
encoding of numbers is done in float64, as it was for training.

To add an encoding: an entry in :data:`ENCODERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from pipeline.datasets.dataset import Encoding
from pipeline.datasets.raw_rows import input_names
from pipeline.datasets.summary import check_backend, raw_columns
from pipeline.datasets.table_encoding import (
    CIRCLES,
    CategoryColumn,
    NumberColumn,
    TableEncoding,
)
from pipeline.datasets.text_encoding import TextEncoding

Builder = Callable[[Any, Sequence[Any]], Any]
"""An encoding, and a tensor ``[n, 1]`` for each of its columns -> float32 ``[n, *input_shape]``."""

WORDS_LAYER = "words_"
"""The layer that knows the words of a column is called this and the column's place."""


def _table(encoding: TableEncoding, inputs: Sequence[Any]) -> Any:
    """Returns what :meth:`TableEncoding.apply` does, in Keras's operations."""
    parts = []
    if encoding.numbers:
        parts += _numbers(encoding.numbers, inputs[: len(encoding.numbers)])
    for place in range(len(encoding.numbers), len(inputs)):
        entry = encoding.categories[place - len(encoding.numbers)]
        if entry.words or entry.pools_rare:
            parts.append(_category(entry, inputs[place], f"{WORDS_LAYER}{place}"))
    return ops.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]


def _numbers(entries: Sequence[NumberColumn], inputs: Sequence[Any]) -> list[Any]:
    raw = ops.concatenate(list(inputs), axis=1) if len(inputs) > 1 else inputs[0]
    gaps = ops.isnan(raw)
    filled = ops.where(gaps, np.array([entry.fill for entry in entries]), raw)
    centers = np.array([entry.center for entry in entries])
    scales = np.array([entry.scale for entry in entries])
    parts = [ops.cast((filled - centers) / scales, "float32")]
    marked = [place for place, entry in enumerate(entries) if entry.column.gaps]
    if marked:
        parts.append(ops.cast(ops.take(gaps, np.array(marked), axis=1), "float32"))
    for place, entry in enumerate(entries):
        for circle in entry.circles:
            turns = ops.take(filled, np.array([place]), axis=1) / CIRCLES[circle]
            angle = (turns - ops.floor(turns)) * (2.0 * np.pi)
            parts += [ops.cast(ops.sin(angle), "float32"), ops.cast(ops.cos(angle), "float32")]
    return parts


def _category(entry: CategoryColumn, tensor: Any, name: str) -> Any:
    """Returns the places of a column of words; the layer's first one is that of all others."""
    # A vocabulary must not be empty: this word is in no column, which holds none with a blank.
    words = list(entry.words) or [" "]
    found = kl.StringLookup(
        vocabulary=words, num_oov_indices=1, mask_token=None, output_mode="one_hot", name=name
    )(tensor)
    first = 0 if entry.pools_rare else 1
    places = np.arange(first, 1 + len(entry.words))
    return ops.cast(ops.take(found, places, axis=1), "float32")


def _text(encoding: TextEncoding, inputs: Sequence[Any]) -> Any:
    """Returns what :meth:`TextEncoding.apply` does; the first column is that of unknown words."""
    layer = kl.TextVectorization(
        standardize="lower_and_strip_punctuation",
        split="whitespace",
        output_mode="multi_hot",
        vocabulary=list(encoding.words),
        name="words",
    )
    return ops.cast(layer(inputs[0]), "float32")


ENCODERS: dict[type, Builder] = {TableEncoding: _table, TextEncoding: _text}
"""Type of an encoding -> what builds the layers that do the same."""


def with_encoding(encoding: Encoding, layers: Sequence[Any]) -> Any:
    """Returns a model that takes raw values by name.

    Args:
        encoding: What made the numbers that the layers were trained on.
        layers: Keras layers, applied one after the other to the encoded numbers.

    Returns:
        A Keras model; its inputs are a dictionary of ``[n, 1]`` tensors, float64 or string, whose
        keys are those of ``raw_rows.input_names``.

    Raises:
        InputError: Keras's backend takes neither strings nor float64.
    """
    check_backend(raw_columns(encoding.columns), keras.backend.backend())
    # The layers have a model of their own inside: no column's name meets that of a layer there.
    inside = [
        keras.Input((1,), dtype=column.dtype, name=f"column_{place}")
        for place, column in enumerate(encoding.columns)
    ]
    tensor = ENCODERS[type(encoding)](encoding, inside)
    for layer in layers:
        tensor = layer(tensor)
    names = input_names([column.name for column in encoding.columns])
    own = "network"
    while own in names:
        own += "_"
    network = keras.Model(inside, tensor, name=own)
    inputs = {
        name: keras.Input((1,), dtype=column.dtype, name=name)
        for name, column in zip(names, encoding.columns, strict=True)
    }
    return keras.Model(inputs, network(list(inputs.values())), name="model")


def outputs(model: Any, inputs: Mapping[str, np.ndarray], batch_size: int) -> np.ndarray:
    """Returns what a model of :func:`with_encoding` gives, float32 ``[n, num_classes]``.

    Not by ``predict``, which rounds float64 to float32 first and takes no strings.

    Args:
        model: The model.
        inputs: An array ``[n, 1]`` for each of its inputs.
        batch_size: Rows at once.
    """
    count = len(next(iter(inputs.values())))
    batches = (
        {name: values[start : start + batch_size] for name, values in inputs.items()}
        for start in range(0, count, batch_size)
    )
    return np.concatenate([np.asarray(model(batch, training=False)) for batch in batches])


def vocabularies(model: Any) -> dict[int, frozenset[str]]:
    """Returns the words that a model of :func:`with_encoding` has a place for.

    Returns:
        Place of a column among the encoding's columns -> its words.
    """
    found = {}
    for layer in (inner for outer in model.layers for inner in getattr(outer, "layers", ())):
        place = layer.name.removeprefix(WORDS_LAYER)
        if isinstance(layer, kl.StringLookup) and place.isdigit():
            found[int(place)] = frozenset(map(str, layer.get_vocabulary()))
    return found
