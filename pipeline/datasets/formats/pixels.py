"""The one door to Pillow: a picture file in, its size or its pixels out.

PNG, JPEG and BMP; 8 bits, grey or colour. Turned upright where a camera noted how it was held.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import DatasetError, printable

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_FORMATS = ("PNG", "JPEG", "BMP")
_CHANNELS = {"1": 1, "L": 1, "RGB": 3, "P": 3}
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)  # values of it that swap height and width


@dataclass(frozen=True)
class Size:
    """Height and width in pixels, and channels: 1 for grey, 3 for colour."""

    height: int
    width: int
    channels: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def read_size(path: Path) -> Size:
    """Returns a picture's size from its header.

    Raises:
        DatasetError: It is no picture of a kind that is read.
    """
    with _opened(path) as image:
        return _size(path, image)


def read_pixels(path: Path, size: Size) -> np.ndarray:
    """Returns a picture, uint8 ``[height, width, channels]``; grey ones in colour if asked for.

    Raises:
        DatasetError: It is damaged, or not of this size.
    """
    from PIL import ImageOps

    with _opened(path) as image:
        found = _size(path, image)
        if (found.height, found.width) != (size.height, size.width):
            raise DatasetError(f"{path} is {found} pixels; expected {size} like the others.")
        if found.channels > size.channels:
            raise DatasetError(f"{path} is a colour picture; expected grey ones like the others.")
        upright = ImageOps.exif_transpose(image) if _orientation(image) else image
        pixels = np.asarray(upright.convert("L" if size.channels == 1 else "RGB"), dtype=np.uint8)
        return pixels.reshape(size.height, size.width, size.channels)


def _size(path: Path, image: Image.Image) -> Size:
    if image.mode not in _CHANNELS or "transparency" in image.info:
        raise DatasetError(
            f"{path} has pixels of the kind {image.mode}"
            f"{' with transparency' if 'transparency' in image.info else ''}; expected 8-bit grey"
            " or RGB without transparency. Convert it first."
        )
    width, height = image.size
    if _orientation(image) in _TURNED:
        width, height = height, width
    return Size(height, width, _CHANNELS[image.mode])


def _orientation(image: Image.Image) -> int:
    # A PNG has to be decoded before it says so; cameras write JPEG.
    turned = image.getexif().get(_ORIENTATION, 1) if image.format in ("JPEG", "MPO") else 1
    return turned if turned in range(2, 9) else 0


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning)  # of odd metadata
            with Image.open(path, formats=_FORMATS) as image:
                yield image
    except (DatasetError, MemoryError):
        raise
    # On a damaged picture Pillow fails in many ways of its own.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = "" if isinstance(error, Image.UnidentifiedImageError) else f" ({error})"
        raise DatasetError(
            f"{path} cannot be read as a picture{printable(reason)[:200]}; expected PNG, JPEG or"
            " BMP. Replace or remove it."
        ) from error
