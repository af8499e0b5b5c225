"""Reads the user's own folder of pictures, a subfolder per class, as :class:`RawData`.

PNG, JPEG, BMP, WebP, TIFF or GIF; of one size, or of any where ``--image-size`` scales them; grey,
or all colour where one is, or as ``--color`` says. Inputs are uint8, in the order of class and file
name. What is converted is counted in a finding. Of a test folder only names, headers and which
files are copies of others are looked at before the test part is read.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.datasets.dataset import Part, RawData
from pipeline.datasets.findings import Finding
from pipeline.datasets.formats.pixels import (
    CONVERSIONS,
    PictureForm,
    Size,
    check_header,
    read_pixels,
    read_size,
    sentence_of,
)
from pipeline.datasets.limits import check_memory
from pipeline.datasets.user.class_folders import ClassFolders, Files, count_copies, labels_of
from pipeline.datasets.user.labels import Classes
from pipeline.errors import DatasetError
from pipeline.records import DataOptions

PROPOSED_SIDE = 64
"""Longest side, in pixels, of the size that is proposed: a network of a default space takes
seconds an epoch for some hundred pictures."""
STEP = 8
"""A proposed side is a multiple of it."""
SHOWN_SIZES = 5
CHANNELS = {"grey": 1, "rgb": 3}
DEFAULT = DataOptions()


def read_image_folder(folders: ClassFolders, options: DataOptions = DEFAULT) -> RawData:
    """Returns the pictures of a folder of class folders.

    Raises:
        DatasetError: They cannot be used; the message names the picture and the remedy.
    """
    classes = folders.classes()
    files = folders.open_files
    form = _form([file for file, _ in files], folders.root, options)
    size = form.size
    check_memory(
        f"{folders.root}, {len(files):,} pictures of {size},",
        len(files) * size.height * size.width * size.channels,
    )
    inputs, findings = read_all([file for file, _ in files], form)
    raw = partial(
        RawData,
        *("image", classes.names, inputs),
        labels_of(files, classes, str(folders.root)),
        pictures=form,
        given_parts=folders.given_parts,
        findings=findings,
    )
    if "test" not in folders.parts:
        return raw()
    test, where = folders.parts["test"], str(folders.homes["test"])
    for file, _ in test:  # a search later, it is too late
        check_header(file, form)
    return raw(
        num_test=len(test),
        read_test=partial(_read_test, test, form, classes, where),
        count_known=partial(count_copies, test, files),
    )


def read_all(files: Sequence[Path], form: PictureForm) -> tuple[np.ndarray, tuple[Finding, ...]]:
    """Returns pictures in a form, and what had to be done for it.

    Returns:
        uint8 ``[num_pictures, height, width, channels]``, and a finding per kind of conversion.

    Raises:
        DatasetError: One cannot be used.
    """
    size, counts = form.size, Counter[str]()
    inputs = np.empty((len(files), size.height, size.width, size.channels), dtype=np.uint8)
    for place, file in enumerate(files):
        inputs[place], done = read_pixels(file, form)
        counts.update(done)
    codes = [code for code in CONVERSIONS if counts[code]]
    return inputs, tuple(Finding(code, sentence_of(code, counts[code], form)) for code in codes)


def proposed_size(height: float, width: float) -> str:
    """Returns the option that scales pictures of this size to a size that trains quickly."""
    shrink = PROPOSED_SIDE / max(height, width)
    if shrink >= 1.0:
        return f"--image-size {round(height)}x{round(width)}"
    sides = (max(round(side * shrink / STEP), 1) * STEP for side in (height, width))
    return f"--image-size {'x'.join(map(str, sides))}"


def _form(files: Sequence[Path], root: Path, options: DataOptions) -> PictureForm:
    """Returns the form of all pictures: as the options say, else what they have in common.

    Raises:
        DatasetError: They are of several sizes, and no option says which one all shall have.
    """
    sizes = [read_size(file) for file in files]
    channels = CHANNELS[options.color] if options.color else max(size.channels for size in sizes)
    to_grey = options.color == "grey"
    if options.image_size is not None:
        return PictureForm(Size(*options.image_size, channels), scaled=True, to_grey=to_grey)
    found = Counter((size.height, size.width) for size in sizes)
    if len(found) > 1:
        raise DatasetError(
            f"{root} holds pictures of {len(found)} sizes (width x height): {_listed(found)};"
            " expected one size. Scale them by --image-size HEIGHTxWIDTH, such as"
            f" {_proposed(sizes)}."
        )
    ((height, width),) = found
    return PictureForm(Size(height, width, channels), to_grey=to_grey)


def _proposed(sizes: Iterable[Size]) -> str:
    heights, widths = zip(*((size.height, size.width) for size in sizes), strict=True)
    return proposed_size(statistics.median(heights), statistics.median(widths))


def _listed(found: Counter[tuple[int, int]]) -> str:
    shown = [f"{width}x{height} ({count:,})" for (height, width), count in found.most_common()]
    more = ["..."] if len(shown) > SHOWN_SIZES else []
    return ", ".join(shown[:SHOWN_SIZES] + more)


def _read_test(files: Files, form: PictureForm, classes: Classes, where: str) -> Part:
    labels = labels_of(files, classes, where)
    return Part(read_all([file for file, _ in files], form)[0], labels)
