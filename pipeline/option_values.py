"""Says which values options have, for the command and for Python, and reads those people write."""

from __future__ import annotations

import re

DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("float32", "mixed_bfloat16")
"""Of both the first is the default."""
DECIMAL_MARKS = (".", ",")
COLORS = ("grey", "rgb")
STORAGE_VARIABLE = "PIPELINE_STORAGE"
"""The environment variable that means ``--storage`` where the option is left out: an address with a
password belongs on no command line."""
AUTO = "auto"
"""An option given as this (or as nothing) means what its default means, as MLproject needs a word;
as a number of workers: as many as suit what there is."""
LARGEST_SEED = 2**31 - 1

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


def parse_duration(text: str) -> float:
    """Returns the seconds of ``90s``, ``30m`` or ``1h30m``; a plain number means seconds.

    Raises:
        ValueError: It is no duration, or none at all.
    """
    found = _DURATION.fullmatch(text.strip())
    parts = [float(part or 0) for part in found.groups()] if found else []
    seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if not seconds:
        raise ValueError(f"'{text}' is no duration; expected 90s, 30m, 1h30m or seconds")
    return seconds


def parse_size(text: str) -> tuple[int, int]:
    """Returns the height and width of ``32x32``, pixels.

    Raises:
        ValueError: It is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"'{text}' is no size; expected HEIGHTxWIDTH, such as 32x32")
    return int(found[1]), int(found[2])
