"""Reads a text file: UTF-8, or UTF-16 where the file begins with its mark."""

from __future__ import annotations

import codecs
from pathlib import Path

from pipeline.errors import DatasetError

SUFFIXES = (".txt",)
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """Returns a file's text without a byte order mark.

    Raises:
        DatasetError: It is in another encoding.
    """
    held = path.read_bytes()
    try:
        return held.decode("utf-16" if held.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} is no text in UTF-8 (byte {error.start:,} is"
            f" {held[error.start : error.start + 1].hex()}); expected UTF-8. Save it in this"
            " encoding, or remove it."
        ) from error


def read_lines(path: Path) -> list[str]:
    """Returns the lines of a text file, a text each; what ends the last line begins no other.

    Raises:
        DatasetError: It is in another encoding.
    """
    lines = read_text(path).replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines
