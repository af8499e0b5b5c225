"""Draws training examples of every class of an image dataset as a PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.dataset import Dataset
from pipeline.errors import DatasetError

SAMPLES_PER_CLASS = 8
ROWS_PER_BLOCK = 20
"""Classes below each other; more of them stand in further blocks at the right."""
MAX_CLASSES = 400
"""Classes shown at most; a larger picture could not be drawn."""
TILE_INCHES = 0.5
TITLE_INCHES = 0.35
_MAX_NAME = 24
_GAP = 1 / 16
"""Space between two pictures, as a share of their side."""


def sample_grid(dataset: Dataset, path: Path) -> None:
    """Writes a PNG with a row of training examples per class, its name at the left.

    Args:
        dataset: Of kind ``image``; the first channel is shown unless there are 3 or 4.
        path: The PNG; its folder is created.

    Raises:
        DatasetError: The dataset has no pictures to show.
    """
    if dataset.kind != "image":
        raise DatasetError(
            f"Dataset '{dataset.name}' is of kind '{dataset.kind}': there are no pictures to show;"
            " a sample grid needs images."
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = np.arange(min(dataset.num_classes, MAX_CLASSES))
    blocks = np.array_split(shown, -(-len(shown) // ROWS_PER_BLOCK))
    names = [_label(name) for name in dataset.class_names]
    names_inches = 0.09 * max(len(name) for name in names) + 0.2
    block_inches = names_inches + SAMPLES_PER_CLASS * TILE_INCHES + 0.1
    height, width = dataset.input_shape[:2]
    row_inches = TILE_INCHES * min(max(height / width, 0.25), 4.0)
    size = (block_inches * len(blocks), row_inches * len(blocks[0]) + TITLE_INCHES + 0.1)
    figure = Figure(figsize=size, dpi=100)
    FigureCanvasAgg(figure)
    figure.suptitle(_title(dataset), fontsize=10, y=1 - 0.12 / size[1])
    for number, classes in enumerate(blocks):
        rows_inches = row_inches * len(classes)
        left, bottom = number * block_inches + names_inches, size[1] - TITLE_INCHES - rows_inches
        box = (left, bottom, SAMPLES_PER_CLASS * TILE_INCHES, rows_inches)
        axes = figure.add_axes(tuple(np.divide(box, (*size, *size))))
        _draw(axes, _mosaic(dataset, classes), [names[label] for label in classes])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw(axes: Any, mosaic: np.ndarray, names: list[str]) -> None:
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    centers = (np.arange(len(names)) + 0.5) * mosaic.shape[0] / len(names) - 0.5
    axes.set_yticks(centers, names, fontsize=9)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.set_frame_on(False)


def _title(dataset: Dataset) -> str:
    shown = f"first {MAX_CLASSES} of {dataset.num_classes} classes"
    more = f", {shown}" if dataset.num_classes > MAX_CLASSES else ""
    return f"{_label(dataset.name)}: training examples{more}"


def _label(name: str) -> str:
    short = name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
    # A pair of dollar signs would be read as mathematics.
    return short.replace("$", r"\$")


def _mosaic(dataset: Dataset, classes: np.ndarray) -> np.ndarray:
    """Returns ``[rows, columns, 3 or none]`` in [0, 1]: pictures by class, white in between."""
    height, width = (size + max(1, round(size * _GAP)) for size in dataset.input_shape[:2])
    shape = (len(classes) * height, SAMPLES_PER_CLASS * width)
    color = dataset.input_shape[2] in (3, 4)
    mosaic = np.ones((*shape, 3) if color else shape, dtype=np.float32)
    low, high = _value_range(dataset.train.inputs[:1000])
    for row, number in enumerate(classes):
        examples = np.flatnonzero(dataset.train.labels == number)[:SAMPLES_PER_CLASS]
        for column, index in enumerate(examples):
            pixels = dataset.train.inputs[index].astype(np.float32)
            picture = pixels[..., :3] if color else pixels[..., 0]
            scaled = ((picture - low) / (high - low)).clip(0, 1)
            top, left = row * height, column * width
            mosaic[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return mosaic


def _value_range(sample: np.ndarray) -> tuple[float, float]:
    low, high = float(sample.min()), float(sample.max())
    if sample.dtype == np.uint8:
        # Digits' pixels end at 16; ordinary bytes at 255 even where no sample does.
        low, high = 0.0, 255.0 if high > 100 else high
    return low, high if high > low else low + 1.0
