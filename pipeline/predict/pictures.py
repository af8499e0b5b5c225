"""Reads a picture, or a folder of them, for a model of images, as training read them.

How a model's pictures were converted for training is in its metadata
(:class:`~pipeline.datasets.formats.pixels.PictureForm`); the same function converts them here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.formats.pixels import SUFFIXES, PictureForm, Size
from pipeline.datasets.limits import check_memory
from pipeline.datasets.user.class_folders import files_to_predict
from pipeline.datasets.user.image_folders import read_all
from pipeline.errors import InputError


def is_pictures(path: Path) -> bool:
    """Whether a path is a picture or a folder, by its name alone."""
    return path.is_dir() or path.suffix.lower() in SUFFIXES


def form_of(
    metadata: Mapping[str, Any], shape: tuple[int | None, ...], address: str
) -> PictureForm:
    """Returns the form in which a model takes pictures.

    Args:
        metadata: What training noted of it; empty for models of other data, which take pictures
            of their own size and colours only.
        shape: Shape of one example, ``(height, width, channels)``.
        address: What the user called the model, for the message.

    Raises:
        InputError: The metadata are not those of this model.
    """
    size = Size(*(int(length or 0) for length in shape))
    if not metadata:
        return PictureForm(size)
    try:
        form = PictureForm.of(metadata)
    except (TypeError, ValueError, KeyError):
        form = None
    if form is None or form.size != size:
        raise InputError(
            f"{address} was trained on images of shape {list(shape)}, but its metadata speak of"
            f" {str(dict(metadata))[:200]}: they are not its own; register it again"
        )
    return form


def read_pictures(
    path: Path, form: PictureForm, note: Callable[[str], None]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the pictures of a file or folder.

    Args:
        path: A picture; or a folder of pictures, or of folders of them.
        form: What they are turned into.
        note: Takes a sentence on every kind of conversion.

    Returns:
        float32 ``[num_pictures, height, width, channels]``, by folder and name, and their names
        within the folder; no names for a single picture.

    Raises:
        DatasetError: One cannot be used.
    """
    files = files_to_predict(path, SUFFIXES) if path.is_dir() else [path]
    size = form.size
    num_values = len(files) * size.height * size.width * size.channels
    check_memory(f"{path}, {len(files):,} pictures of {size},", num_values * 4)
    inputs, findings = read_all(files, form)
    for finding in findings:
        note(f"{path}: {finding.message} [{finding.code}]")
    names = [file.relative_to(path).as_posix() for file in files] if path.is_dir() else []
    return inputs.astype(np.float32), tuple(names)
