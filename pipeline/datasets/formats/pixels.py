"""Reads the size or the pixels of a picture file; it is the one door to Pillow.

PNG, JPEG, BMP, WebP, TIFF and GIF, of whatever pixels. :func:`read_pixels` turns each into the same
form, in this order: the first frame; 16 bits scaled to 8; transparency put on white; grey or RGB
(grey is ITU-R 601's luma, Pillow's ``L``); turned upright where a camera noted how it was held;
scaled to the form's size by Pillow's bilinear filter, which averages over all pixels that it
shrinks, and stretched where the proportions differ. What was done comes back as codes of
:data:`CONVERSIONS`. Colour profiles are not applied.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import DatasetError, printable

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif")
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")
_GREY = ("1", "L", "LA", "La", "I;16", "I;16B")
_COLOUR = ("RGB", "RGBA", "RGBa", "P", "PA", "CMYK", "YCbCr")
_ORIENTATION, _PHOTOMETRIC = 0x0112, 262
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""Value of EXIF's orientation -> Pillow's name of what turns the picture upright."""
_TURNED = (5, 6, 7, 8)  # those that swap height and width
_WHITE_IS_ZERO = 0

CONVERSIONS: dict[str, tuple[str, str]] = {
    "frames": ("of several frames", "read as {its} first"),
    "16bit": ("of 16 bits", "scaled to 8 bits"),
    "palette": ("with a palette", "read in {its} colours"),
    "cmyk": ("in CMYK", "converted to RGB"),
    "rgba": ("with transparency (RGBA)", "put on white"),
    "grey": ("in colour", "turned grey"),
    "rgb": ("in grey", "turned into RGB"),
    "rotated": ("", "turned upright, as the camera noted (EXIF)"),
    "scaled": ("of {another}", "scaled to {size}, stretched where proportions differ"),
}
"""Code of a conversion -> which pictures it is for, and what was done with them."""


@dataclass(frozen=True)
class Size:
    """Height and width in pixels, and channels: 1 for grey, 3 for colour."""

    height: int
    width: int
    channels: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class PictureForm:
    """What every picture is turned into, in training as in predicting.

    Attributes:
        size: Height, width and channels of all.
        scaled: Whether pictures of other sizes are scaled; else they are refused.
        to_grey: Whether colour pictures become grey where the channels are 1; else refused.
    """

    size: Size
    scaled: bool = False
    to_grey: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Returns it in plain values, as a model's metadata keep it."""
        return {**asdict(self.size), "scaled": self.scaled, "to_grey": self.to_grey}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> PictureForm:
        """Returns the form of :meth:`as_dict`; raises KeyError or ValueError for others."""
        size = Size(*(int(values[name]) for name in ("height", "width", "channels")))
        return cls(size, bool(values["scaled"]), bool(values["to_grey"]))


def read_size(path: Path) -> Size:
    """Returns a picture's own size, upright, from its header.

    Raises:
        DatasetError: It is no picture of a kind that is read.
    """
    with _opened(path) as image:
        return _size(path, image)


def check_header(path: Path, form: PictureForm) -> None:
    """Checks by its header that a picture can be turned into a form; its pixels stay unread.

    Raises:
        DatasetError: It is no picture of a kind that is read, or the form does not convert it.
    """
    size = read_size(path)
    _check_colours(path, size, form)
    if not form.scaled:
        _check_sides(path, size, form)


def _check_colours(path: Path, found: Size, form: PictureForm) -> None:
    if found.channels > form.size.channels and not form.to_grey:
        raise DatasetError(f"{path} is a colour picture; expected grey ones like the others.")


def _check_sides(path: Path, found: Size, form: PictureForm) -> None:
    if (found.height, found.width) != (form.size.height, form.size.width):
        raise DatasetError(f"{path} is {found} pixels; expected {form.size} like the others.")


def read_pixels(path: Path, form: PictureForm) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns a picture in a form, and what had to be done for it.

    Returns:
        uint8 ``[height, width, channels]``, and codes of :data:`CONVERSIONS` in its order.

    Raises:
        DatasetError: It is damaged, or has a size or colours that the form does not convert.
    """
    from PIL import Image

    with _opened(path) as image:
        size, own = form.size, _size(path, image)
        channels = own.channels
        _check_colours(path, own, form)
        done, turned = _kinds(image), _orientation(image)
        image.load()
        if image.format == "PNG":  # may say it behind its pixels
            turned = _noted_orientation(image)
        upright = _in_mode(image, "L" if size.channels == 1 else "RGB")
        if turned:
            done.add("rotated")
            if image.format != "TIFF":  # that one Pillow turns as it loads it
                upright = upright.transpose(Image.Transpose[_UPRIGHT[turned]])
        if channels != size.channels:
            done.add("grey" if size.channels == 1 else "rgb")
        if upright.size != (size.width, size.height):
            if not form.scaled:
                _check_sides(path, Size(upright.height, upright.width, channels), form)
            done.add("scaled")
            upright = upright.resize((size.width, size.height), Image.Resampling.BILINEAR)
        pixels = np.array(upright, dtype=np.uint8)
        shape = (size.height, size.width, size.channels)
        return pixels.reshape(shape), tuple(code for code in CONVERSIONS if code in done)


def sentence_of(code: str, count: int, form: PictureForm) -> str:
    """Returns what was done with so many pictures, as a sentence."""
    which, done = CONVERSIONS[code]
    many = count != 1
    size = f"{form.size.height}x{form.size.width}"
    which = which.format(another="other sizes" if many else "another size")
    done = done.format(its="their" if many else "its", size=size)
    noun = f"picture{'s' * many} {which}".strip()
    return f"{count:,} {noun} {'were' if many else 'was'} {done}"


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Returns a loaded image's first frame as ``L`` or ``RGB``, on white where it is clear."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        image = _in_eight_bits(image)
    elif _is_transparent(image):
        straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)
        layered = image.convert(straight).convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layered)
    return image if image.mode == mode else image.convert("RGB").convert(mode)


def _is_transparent(image: Image.Image) -> bool:
    return "transparency" in image.info or image.mode in ("LA", "La", "RGBA", "RGBa", "PA")


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """Returns a grey picture of 16 or 12 bits with its whole range scaled to 8 bits, as ``L``."""
    from PIL import Image

    largest = 4095 if _raw_mode(image) == "I;12" else 65535
    values = np.asarray(image).astype(np.float64)
    scaled = np.rint(values * (255 / largest)).astype(np.uint8)
    if isinstance(hidden := image.info.get("transparency"), int):
        scaled[values == hidden] = 255
    return Image.fromarray(scaled)


def _kinds(image: Image.Image) -> set[str]:
    """Returns what of an image calls for a conversion, whatever the form, as codes."""
    found = set()
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a camera's preview
        found.add("frames")
    if image.format in ("PNG", "TIFF") and {"16", "16B", "16L", "12"} & {
        *_raw_mode(image).split(";")
    }:
        found.add("16bit")
    if image.mode in ("P", "PA"):
        found.add("palette")
    if image.mode == "CMYK":
        found.add("cmyk")
    if _is_transparent(image):
        found.add("rgba")
    return found


def _size(path: Path, image: Image.Image) -> Size:
    inverted = image.mode.startswith("I;16") and _white_is_zero(image)
    if image.mode not in _GREY + _COLOUR or inverted:
        raise DatasetError(
            f"{path} has pixels of the kind {image.mode}{' with zero for white' * inverted}, whose"
            " range is not known; expected 8 or 16 bits of grey or RGB, RGBA, CMYK or a palette."
            " Convert it first."
        )
    width, height = image.size
    if image.format != "TIFF" and _orientation(image) in _TURNED:
        width, height = height, width
    grey = image.mode in _GREY or _raw_mode(image).startswith("LA")
    return Size(height, width, 1 if grey else 3)


def _white_is_zero(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", {})
    return bool(tags.get(_PHOTOMETRIC, 1) == _WHITE_IS_ZERO)


def _raw_mode(image: Image.Image) -> str:
    """Returns how the file holds the pixels, such as ``RGB;16B``; its mode where that is all."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else None
    if isinstance(arguments, tuple):
        arguments = arguments[0] if arguments else None
    return arguments if isinstance(arguments, str) else image.mode


def _orientation(image: Image.Image) -> int:
    """Returns what turns an image upright, a key of ``_UPRIGHT``, or 0; decodes nothing."""
    # A PNG would be decoded to say so, unless it says so before its pixels.
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return 0
    return _noted_orientation(image)


def _noted_orientation(image: Image.Image) -> int:
    turned = image.getexif().get(_ORIENTATION, 1)
    return turned if turned in _UPRIGHT else 0


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning)  # of odd metadata
            # A file that Pillow opens itself it maps into memory, and a turned TIFF gets scrambled.
            with path.open("rb") as file, Image.open(file, formats=_FORMATS) as image:
                yield image
    except (DatasetError, MemoryError):
        raise
    # On a damaged picture Pillow fails in many ways of its own.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = "" if isinstance(error, Image.UnidentifiedImageError) else f" ({error})"
        raise DatasetError(
            f"{path} cannot be read as a picture{printable(reason)[:200]}; expected PNG, JPEG,"
            " BMP, WebP, TIFF or GIF. Replace or remove it."
        ) from error
