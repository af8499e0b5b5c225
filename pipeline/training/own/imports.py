"""Finds the modules that the user's model file imports from its own folder; nothing is run.

In: the file's bytes. Out: the paths of those modules, beside the file or below, and of those that
they import in turn. A change of one changes the model as a change of the file itself does. What is
imported by a text (``importlib.import_module``) is not found.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError

MOST = 200
"""Modules; more than these are a package that was put there, and no model."""


def local_modules(file: Path, content: bytes, read: Callable[[Path], bytes]) -> dict[str, bytes]:
    """Returns the path below the file's folder -> the content of each module that it imports.

    Args:
        file: The model file.
        content: What is in it.
        read: Returns the bytes of a file.

    Raises:
        InputError: One cannot be read, or there are too many.
    """
    found: dict[str, bytes] = {}
    waiting = [(content, PurePosixPath("."))]
    while waiting:
        text, package = waiting.pop()
        for name in _imported(text, package):
            path = _file_of(file.parent, name)
            if path is None or path in found or file.parent / path == file:
                continue
            found[path] = read(file.parent / path)
            waiting.append((found[path], PurePosixPath(path).parent))
            if len(found) > MOST:
                raise InputError(
                    f"--family: {file} imports more than {MOST} modules from its folder: put what "
                    "the model needs into a folder of its own"
                )
    return dict(sorted(found.items()))


def _imported(text: bytes, package: PurePosixPath) -> Iterator[str]:
    """Yields the dotted names that may be modules, each with the packages above it."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return  # whoever runs the file is told where
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [entry.name for entry in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = [node.module] if node.module else []
            if node.level:
                above = package.parts[: len(package.parts) - node.level + 1]
                start = [".".join((*above, *start))]
            names = [".".join((*start, entry.name)).lstrip(".") for entry in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _file_of(folder: Path, name: str) -> str | None:
    """Returns the path of a module below a folder; None where Python finds it elsewhere or not."""
    path = PurePosixPath(*name.split("."))
    for place in (path / "__init__.py", path.with_suffix(".py")):
        if (folder / place).is_file():
            return None if _is_elsewhere(path.parts[0], folder) else str(place)
    return None


def _is_elsewhere(name: str, folder: Path) -> bool:
    """Whether Python finds a module before it looks into the folder, which comes last."""
    if name in sys.stdlib_module_names:
        return True
    others = [place for place in sys.path if Path(place or ".").resolve() != folder.resolve()]
    spec = PathFinder.find_spec(name, others)
    return spec is not None and spec.origin is not None
