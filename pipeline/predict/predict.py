"""Predicts a class and its probability for every example of a file, with a saved model.

The model takes what the dataset gave: the preprocessing is inside it. Its address is MLflow's or a
path (``tracking.saved_models``); the formats are in ``raw_inputs``. Keras is imported, and only
here, after everything that can be checked without it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.datasets.dataset import RawColumn
from pipeline.datasets.raw_rows import input_names
from pipeline.datasets.user.paths import errors_in_one_line
from pipeline.errors import InputError, printable
from pipeline.predict.inputs import Entrance, check_file, ignored, read_inputs
from pipeline.predict.pictures import form_of, is_pictures, read_pictures
from pipeline.predict.table_inputs import Note, read_raw_inputs, tell_unseen
from pipeline.predict.text_inputs import is_texts, read_text_inputs

if TYPE_CHECKING:
    from pipeline.tracking.models.load import SavedFiles

BATCH_SIZE = 256
SUM_TOLERANCE = 1e-3
"""How far the probabilities of an example may be from 1 in sum (bfloat16 rounds to 1/256)."""


@dataclass(frozen=True)
class Predictions:
    """What a model says of every example.

    Attributes:
        probabilities: float32 [num_examples, num_classes].
        class_names: A name per class; the class's number where the model knows none.
        files: The file of every example, within the folder that was given; empty without one.
    """

    probabilities: np.ndarray
    class_names: tuple[str, ...]
    files: tuple[str, ...] = ()

    @property
    def predicted(self) -> np.ndarray:
        """int64 [num_examples], the most probable class; ties go to the smaller number."""
        return self.probabilities.argmax(axis=1)


def predict(
    model_address: str,
    path: Path,
    batch_size: int = BATCH_SIZE,
    note: Note = ignored,
    delimiter: str | None = None,
    decimal: str | None = None,
) -> Predictions:
    """Returns a saved model's predictions for the examples in a file.

    Args:
        model_address: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``runs:/ID/PATH``, a path.
        path: Raw inputs: a file, or a folder of pictures or texts.
        batch_size: Examples at once; changes memory and speed, not what is predicted.
        note: Takes a sentence on what of the file was not used, or filled in.
        delimiter: What separates the columns of a text; None to detect it.
        decimal: The decimal mark of a text; None to detect it.

    Raises:
        InputError: There is no such model or file, or they do not fit.
        TrackingError: MLflow does not answer.
    """
    from pipeline.tracking.models.load import fetched
    from pipeline.training import backend

    check_file(path)
    with fetched(model_address) as files:
        backend.prepare("auto", "float32", None)
        model = files.load()
    from pipeline.training import raw_inputs

    of_files: tuple[str, ...] = ()
    # A Sequential model that was loaded has no `input` before it is called.
    if isinstance(getattr(model, "input", None), dict):
        columns = columns_of(model, files.columns, model_address)
        if is_texts(path):
            with errors_in_one_line(path):
                raw, of_files = read_text_inputs(path, columns, note)
        else:
            raw = read_raw_inputs(path, columns, note, delimiter, decimal, files.decimal)
        tell_unseen(path, columns, raw, raw_inputs.vocabularies(model), note)
        outputs = raw_inputs.outputs(model, raw, batch_size)
    else:
        entrance = replace(entrance_of(model, model_address), trained=files.tensor)
        if entrance.kind == "features" and len(files.feature_names) == entrance.shape[0]:
            entrance = replace(entrance, names=files.feature_names)
        if is_pictures(path):
            inputs, of_files = _read_pictures(path, entrance, files, note)
        else:
            inputs = read_inputs(path, entrance, note, delimiter, decimal, files.decimal)
        outputs = model.predict(inputs, batch_size=batch_size, verbose=0)
    probabilities = _probabilities(np.asarray(outputs), model_address)
    names = files.class_names or tuple(map(str, range(probabilities.shape[1])))
    if len(names) != probabilities.shape[1]:
        raise InputError(
            f"{model_address} names {len(names)} classes but gives {probabilities.shape[1]} "
            "probabilities: its metadata are not its own; register it again"
        )
    return Predictions(probabilities, names, of_files)


def _read_pictures(
    path: Path, entrance: Entrance, files: SavedFiles, note: Note
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns pictures as the model takes them, and the file of each one of a folder."""
    if entrance.kind != "image":
        what = "a folder of pictures" if path.is_dir() else "a picture"
        raise InputError(f"{path} is {what}; the model expects {entrance}")
    with errors_in_one_line(path):
        return read_pictures(path, form_of(files.pictures, entrance.shape, files.address), note)


def columns_of(model: Any, columns: Sequence[RawColumn], address: str) -> Sequence[RawColumn]:
    """Returns what a model of raw values takes, which is what its description says.

    Raises:
        InputError: It has no description, or another model's.
    """
    taken = {name: str(tensor.dtype) for name, tensor in model.input.items()}
    names = input_names([column.name for column in columns])
    if taken != dict(zip(names, (column.dtype for column in columns), strict=True)):
        raise InputError(
            f"{address} takes {len(taken)} columns by name, but what they hold is not described"
            " with it; give the folder that MLflow saved, or its models:/ address"
        )
    return columns


def entrance_of(model: Any, address: str) -> Entrance:
    """Returns what a Keras model takes.

    Raises:
        InputError: It is none of the kinds that a search makes.
    """
    inputs = model.inputs
    if len(inputs) != 1:
        raise InputError(f"{address} takes {len(inputs)} inputs; expected a model that takes one")
    shape, dtype = tuple(inputs[0].shape[1:]), str(inputs[0].dtype)
    encodings = [layer for layer in model.layers if hasattr(layer, "num_tokens")]
    if "int" in dtype and len(shape) == 1 and encodings:
        return Entrance("tokens", shape, int(encodings[0].num_tokens))
    if len(shape) not in (1, 3) or None in shape:
        raise InputError(
            f"{address} takes inputs of shape {list(shape)} ({dtype}); expected features [n], "
            "images [height, width, channels] or token ids"
        )
    return Entrance("image" if len(shape) == 3 else "features", shape)


def _probabilities(outputs: np.ndarray, address: str) -> np.ndarray:
    """Returns the outputs, which are a distribution over classes per example."""
    sums = outputs.sum(axis=-1) if outputs.ndim == 2 else np.array([np.nan])
    if not (np.abs(sums - 1.0) <= SUM_TOLERANCE).all() or (outputs < 0).any():
        raise InputError(
            f"{address} gives outputs of shape {list(outputs.shape)} that are no probabilities "
            "(each example's have to add up to 1); expected a classifier that ends in a softmax"
        )
    return outputs.astype(np.float32)


def as_csv(predictions: Predictions, every_class: bool = False) -> Iterator[str]:
    """Yields the lines of a CSV: ``row``, ``class`` (its name), ``probability``.

    Args:
        predictions: What the model says; of a folder, ``file`` is the last column.
        every_class: Whether a column per class follows, ``p(NAME)``.
    """
    names, files = predictions.class_names, predictions.files
    head = ["row", "class", "probability"]
    head += [f"p({name})" for name in names] if every_class else []
    yield _line([*head, "file"] if files else head)
    rows = zip(predictions.predicted, predictions.probabilities, strict=True)
    for number, (predicted, probabilities) in enumerate(rows):
        cells = [str(number), names[predicted], f"{probabilities[predicted]:.7g}"]
        cells += [f"{value:.7g}" for value in probabilities] if every_class else []
        cells += [printable(files[number])] if files else []
        yield _line(cells)


def _line(cells: list[str]) -> str:
    buffer = StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def write(lines: Iterator[str], path: Path) -> None:
    """Writes lines to a file.

    Raises:
        InputError: It cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
    except OSError as error:
        raise InputError(f"--output {path} cannot be written: {error.strerror}") from error
