"""The user's own folder of pictures, a subfolder per class: paths in, :class:`RawData` out.

::

    pets/cat/1.png  pets/cat/2.jpg  pets/dog/1.png ...              split 60/20/20
    pets/train/cat/...  pets/train/dog/...  pets/test/cat/...       test stays sealed

PNG, JPEG or BMP, all of one size; grey, or all colour where one is. Inputs are uint8, in the order
of class and file name. Hidden files are passed over; links that lead out of the folder are refused.
Of a test folder only names are looked at before the test part is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.datasets.dataset import Part, RawData
from pipeline.datasets.formats.pixels import SUFFIXES, Size, read_pixels, read_size
from pipeline.datasets.user.labels import Classes, classes_of, encode
from pipeline.datasets.user.limits import check_memory
from pipeline.errors import DatasetError

_OTHERS = {"thumbs.db", "desktop.ini", "__macosx"}

Labelled = list[tuple[Path, str]]
"""Pictures, each with the name of its class's folder."""


def read_image_folder(root: Path) -> RawData:
    """Returns the pictures of a folder of class folders.

    Raises:
        DatasetError: It is no such folder; the message names the picture and the remedy.
    """
    subfolders = {entry.name: entry for entry in _entries(root) if entry.is_dir()}
    parted = {"train", "test"} <= subfolders.keys()
    if parted and len(subfolders) > 2:
        others = sorted(subfolders.keys() - {"train", "test"})
        raise DatasetError(
            f"{root} holds 'train' and 'test', and {others[:5]} beside them; expected either these"
            " two, with a folder per class in each, or a folder per class."
        )
    home = subfolders["train"] if parted else root
    pictures = _pictures(home, root)
    where = f"{home} (a folder per class)"
    classes = classes_of(sorted({name for _, name in pictures}), len(pictures), where)
    size = _common_size(pictures)
    check_memory(
        f"{root}, {len(pictures):,} pictures of {size},",
        len(pictures) * size.height * size.width * size.channels,
    )
    part = _read(pictures, size, classes, where)
    if not parted:
        return RawData("image", classes.names, part.inputs, part.labels)
    test = _pictures(subfolders["test"], root)
    test_where = str(subfolders["test"])
    _labels(test, classes, test_where)
    read_test = partial(_read, test, size, classes, test_where)
    return RawData(
        "image", classes.names, part.inputs, part.labels, num_test=len(test), read_test=read_test
    )


def _pictures(home: Path, root: Path) -> Labelled:
    """Returns the pictures below the class folders, by class and name."""
    entries = _entries(home)
    loose = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.is_file()]
    folders = [entry for entry in entries if entry.is_dir()]
    if loose or not folders:
        found = f"the picture {loose[0].name} itself" if loose else "no folders"
        raise DatasetError(
            f"{home} holds {found}; expected a folder per class with its pictures"
            f" ({', '.join(SUFFIXES)}) in it, such as {home.name}/cat/1.png."
        )
    pictures: Labelled = []
    for folder in folders:
        files = _entries(folder)
        if not files:
            raise DatasetError(f"{folder} is empty; expected pictures of the class, or no folder.")
        for file in files:
            _check_file(file, root)
            pictures.append((file, folder.name))
    return pictures


def _entries(folder: Path) -> list[Path]:
    return sorted(
        entry
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and entry.name.lower() not in _OTHERS
    )


def _check_file(file: Path, root: Path) -> None:
    if file.suffix.lower() not in SUFFIXES:
        raise DatasetError(
            f"{file} is no picture; expected only {', '.join(SUFFIXES)} in the folder of a class."
            " Move it elsewhere."
        )
    try:
        inside = file.resolve(strict=True).is_relative_to(root.resolve())
    except RuntimeError:  # links in a circle, before Python 3.13
        inside = False
    if not inside:
        raise DatasetError(
            f"{file} is a link that leads out of {root}; expected pictures inside. Copy the"
            " pictures instead of linking them."
        )
    if not file.is_file():
        raise DatasetError(f"{file} is not a file; expected a picture. Remove or replace it.")


def _common_size(pictures: Labelled) -> Size:
    first, size = pictures[0][0], read_size(pictures[0][0])
    for file, _ in pictures:
        other = read_size(file)
        if (other.height, other.width) != (size.height, size.width):
            raise DatasetError(
                f"{first} is {size} pixels, but {file} is {other}; expected all of one size. Scale"
                " or crop them to one."
            )
        size = replace(size, channels=max(size.channels, other.channels))
    return size


def _labels(pictures: Labelled, classes: Classes, where: str) -> np.ndarray:
    names = sorted({name for _, name in pictures})
    place = {name: number for number, name in enumerate(names)}
    codes = np.array([place[name] for _, name in pictures], dtype=np.int64)
    return encode(names, codes, classes, where)


def _read(pictures: Sequence[tuple[Path, str]], size: Size, classes: Classes, where: str) -> Part:
    labels = _labels(list(pictures), classes, where)
    shape = (len(pictures), size.height, size.width, size.channels)
    inputs = np.empty(shape, dtype=np.uint8)
    for place, (file, _) in enumerate(pictures):
        inputs[place] = read_pixels(file, size)
    return Part(inputs, labels)
