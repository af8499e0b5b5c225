"""Turns pictures, features and token ids as programs hold them into the array that a model takes.

It is written beside every model that takes one array (``tracking.models.flavor``), so that MLflow
serves what ``pipeline predict`` predicts: it needs numpy alone. Values are cast only where that
changes none, and are refused where they have another scale than training's; examples count from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NOT_SHARES = 10
"""Images whose values reach this are no shares of 1: standardized ones stay below it."""


class TensorError(ValueError):
    """Values that a model does not take; the message says which, and what to do."""


def model_input(taken: Mapping[str, Any], values: Any) -> np.ndarray:
    """Returns values as a model takes them: float32, or int32 token ids padded with 0.

    Args:
        taken: What the model takes, as ``Dataset.raw_tensor`` describes it.
        values: An array, lists or a data frame; a row per example.

    Raises:
        TensorError: They do not fit.
    """
    tokens = taken["kind"] == "tokens"
    found = _token_ids(taken, values) if tokens else _numbers(taken, _array(values))
    if not len(found):
        raise TensorError(f"there are no examples; expected {expected(taken)}")
    return found


def expected(taken: Mapping[str, Any]) -> str:
    """Returns what a model takes as a message says it."""
    if taken["kind"] == "tokens":
        return f"token ids from 0 (padding) to {taken['num_words'] - 1}, [n, length]"
    sizes = ", ".join(map(str, taken["shape"]))
    kind = "images" if taken["kind"] == "image" else "features"
    values = "whole numbers from 0 to 255" if taken["dtype"] == "uint8" else "numbers"
    return f"{kind} [n, {sizes}] of {values}"


def check_scale(taken: Mapping[str, Any], values: np.ndarray) -> None:
    """Checks that numbers have the scale of those that a model was trained on.

    Args:
        taken: What the model takes.
        values: Finite numbers, a row per example.

    Raises:
        TensorError: They are no whole numbers from 0 to 255 where training had bytes, or images
            that were scaled where training's were not, or the other way round.
    """
    if values.dtype == np.uint8 and taken["dtype"] == "uint8":
        return
    if taken["kind"] == "image":
        _check_images(taken, values)
    if taken["dtype"] == "uint8" and values.dtype != bool:
        whole = (values >= 0) & (values <= 255)
        if values.dtype.kind == "f":
            whole &= values == np.floor(values)
        if not whole.all():
            raise TensorError(
                f"{_first(values, ~whole)}; the model was trained on whole numbers from 0 to 255"
                " (uint8) and takes no others"
            )


def _check_images(taken: Mapping[str, Any], values: np.ndarray) -> None:
    largest = float(values.max(initial=0))
    trained = f"the model was trained on images from {taken['lowest']:g} to {taken['highest']:g}"
    shares = values.dtype.kind in "fb" and 0 < largest <= 1
    if shares and taken["highest"] >= NOT_SHARES and taken["lowest"] >= 0:
        raise TensorError(
            f"no value is above {largest:g}, as if the images were scaled to 0 to 1 already, but"
            f" {trained}; give them as they were before, or as whole numbers of an integer type"
        )
    whole = values.dtype.kind in "iu" or bool((values == np.floor(values)).all())
    if taken["highest"] <= 1 < largest and whole:
        raise TensorError(
            f"the values are whole numbers up to {largest:g}, but {trained}; scale these likewise"
        )


def _numbers(taken: Mapping[str, Any], values: np.ndarray) -> np.ndarray:
    shape = tuple(taken["shape"])
    if values.dtype.kind not in "biuf":
        raise TensorError(f"the values have dtype {values.dtype}; expected {expected(taken)}")
    if taken["kind"] == "image" and shape[-1] == 1 and values.shape[1:] == shape[:-1]:
        values = values[..., None]
    if not values.ndim or values.shape[1:] != shape:
        single = "; give a single example as x[None]" if values.shape == shape else ""
        raise TensorError(
            f"the values have shape {list(values.shape)}; expected {expected(taken)}{single}"
        )
    if not (finite := np.isfinite(values)).all():
        raise TensorError(f"{_first(values, ~finite)}, which is not finite")
    check_scale(taken, values)
    with np.errstate(over="ignore"):
        found = values.astype(np.float32)
    if not (finite := np.isfinite(found)).all():
        raise TensorError(f"{_first(values, ~finite)}, which float32 cannot hold")
    return found


def _array(values: Any) -> np.ndarray:
    """Returns an array; one of objects (MLflow's, of JSON) gets the type of what it holds."""
    held = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else _ragged(values))
    if held.dtype != object:
        return held
    try:
        return np.array(held.tolist())
    except (ValueError, OverflowError) as error:
        raise TensorError("the examples have different shapes, or hold no numbers") from error


def _ragged(values: Any) -> Any:
    """Returns lists as an array of objects, because numpy refuses those of different lengths."""
    return values if hasattr(values, "dtype") else np.array(values, dtype=object)


def _token_ids(taken: Mapping[str, Any], values: Any) -> np.ndarray:
    held = values.to_numpy() if hasattr(values, "to_numpy") else _ragged(values)
    if held.dtype == object and held.ndim == 1 and len(held):
        held = _padded(taken, [*held])
    elif held.dtype == object:
        held = _array(held)
    if held.dtype.kind not in "iu" or held.ndim != 2:
        raise TensorError(
            f"the values have shape {list(held.shape)} and dtype {held.dtype}; expected"
            f" {expected(taken)}, whole numbers of an integer type"
        )
    wrong = (held < 0) | (held >= taken["num_words"])
    if wrong.any():
        raise TensorError(
            f"{_first(held, wrong)}, which is beyond the vocabulary; expected {expected(taken)},"
            " 2 for words that are not among them"
        )
    if (empty := ~held.any(axis=1)).any():
        raise TensorError(
            f"example {int(empty.argmax())} holds padding (0) alone, of which nothing can be said;"
            f" expected {expected(taken)}"
        )
    return held.astype(np.int32)


def _padded(taken: Mapping[str, Any], rows: Sequence[Any]) -> np.ndarray:
    """Returns lists of different lengths as one array, int64, padded with 0."""
    for number, row in enumerate(rows):
        ids = row.tolist() if hasattr(row, "tolist") else row
        if not isinstance(ids, list | tuple) or any(type(one) is not int for one in ids):
            raise TensorError(
                f"example {number} is no list of token ids; expected {expected(taken)}"
            )
        if any(abs(one) >= 2**63 for one in ids):
            raise TensorError(
                f"example {number} holds an id beyond 64 bits; expected {expected(taken)}"
            )
    padded = np.zeros((len(rows), max(1, *map(len, rows))), dtype=np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded


def _first(values: np.ndarray, wrong: np.ndarray) -> str:
    place = tuple(np.argwhere(wrong)[0])
    return f"example {int(place[0])} holds {values[place]:g}"
