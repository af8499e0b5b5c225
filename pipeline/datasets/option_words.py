"""Writes how data are read and split as the words of a command, as ``pipeline search`` got them."""

from __future__ import annotations

import csv
from io import StringIO

from pipeline.records import DataOptions


def option_words(options: DataOptions) -> list[str]:
    """Returns the options that differ from the defaults, as the command takes them."""
    words: list[str] = []
    for name, value in options.given().items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif name == "image_size":
            words += [option, "x".join(map(str, value))]
        elif isinstance(value, tuple):
            row = StringIO()
            csv.writer(row, lineterminator="").writerow(value)
            words += [option, row.getvalue()]
        else:
            words += [option, str(value)]
    return words
