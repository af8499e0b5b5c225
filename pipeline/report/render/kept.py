"""Keeps the pages of a locked report with a key of all that they show, and gives them again.

Drawing and resampling take most of a report's time, and the report on a finished study shows the
same again. A page depends on the :class:`Report`, on this package's files and on the libraries that
draw and compute: the key is a hash of all of these, so that a page that is kept can be old, but not
out of date. One that was changed or is missing is made anew.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import pipeline
from pipeline.report.report import Report

KEPT_FILE = "pages.json"
"""File beside the pages: their key, and a hash of each."""
PAGES = {"json": "report.json", "markdown": "report.md", "html": "report.html"}
"""Format -> file name of what MLflow keeps."""
LIBRARIES = ("numpy", "scipy", "scikit-learn", "matplotlib", "jinja2", "markupsafe")

ReadFile = Callable[[str], bytes | None]
"""Returns a file beside the pages by its name; None where there is none."""


def record_of(report: Report, pages: Mapping[str, str | bytes]) -> str:
    """Returns what is written beside the pages of a report."""
    hashes = {name: _sha256(pages[name]) for name in PAGES.values() if name in pages}
    key = None
    with suppress(TypeError):  # a report that cannot be keyed is made anew each time
        key = key_of(report)
    return json.dumps({"key": key, "sha256": hashes}, indent=2) + "\n"


def kept_page(report: Report, format_: str, read: ReadFile) -> str | None:
    """Returns a page that was kept of exactly this report; None where there is none.

    Args:
        report: The report.
        format_: Of the page.
        read: Reads what was kept.
    """
    name = PAGES.get(format_)
    if name is None or (about := read(KEPT_FILE)) is None:
        return None
    with suppress(ValueError, TypeError, KeyError):  # whatever else was written there
        kept = json.loads(about)
        expected = kept["sha256"][name]
        if kept["key"] != key_of(report) or (page := read(name)) is None:
            return None
        return page.decode() if _sha256(page) == expected else None
    return None


def key_of(report: Report) -> str:
    """Returns the hash of all that a report's pages depend on."""
    digest = hashlib.sha256(_surroundings().encode())
    for entry in fields(report):
        if entry.compare:
            digest.update(entry.name.encode())
            _feed(digest, getattr(report, entry.name))
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    """Adds a value to a hash: its kind, and all that is in it.

    Raises:
        TypeError: It is of a kind that no report holds.
    """
    kind: Any = type(value)
    digest.update(f"<{kind.__name__}>".encode())
    if kind is np.ndarray and value.dtype.kind in "biufU":
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif value is None or kind in (bool, int, float, str) or isinstance(value, np.generic):
        digest.update(repr(value).encode())
    elif is_dataclass(value):
        for name, written in _names_of(kind):
            digest.update(written)
            _feed(digest, getattr(value, name))
    elif isinstance(value, Mapping):
        digest.update(str(len(value)).encode())
        for key, entry in value.items():  # in their order, in which a page may list them
            _feed(digest, key)
            _feed(digest, entry)
    elif isinstance(value, list | tuple):
        _feed_each(digest, value)
    elif isinstance(value, frozenset | set):
        _feed_each(digest, sorted(value, key=repr))
    else:
        raise TypeError(f"a report holds a {kind.__name__}, of which no key can be made")


@cache
def _names_of(kind: Any) -> tuple[tuple[str, bytes], ...]:
    """Returns the names of a dataclass's fields, as text and as they are hashed."""
    return tuple((entry.name, entry.name.encode()) for entry in fields(kind))


def _feed_each(digest: Any, values: list[Any] | tuple[Any, ...]) -> None:
    digest.update(str(len(values)).encode())
    if all(type(value) is float for value in values):
        digest.update(repr(tuple(values)).encode())  # curves: most of a study's numbers
        return
    for value in values:
        _feed(digest, value)


@cache
def _surroundings() -> str:
    """Returns the hash of this package's files, templates too, and what it computes with."""
    folder = Path(pipeline.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            digest.update(f"{name} {metadata.version(name)}\n".encode())
    return f"{digest.hexdigest()} {platform.python_version()} {platform.machine()}"


def _sha256(content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()
