"""Runs the user's model file, and says file and line of what goes wrong in it.

The file is run only in a process that was told its path by ``--family``, and only while it is the
one that was hashed: a file that is edited while a study is trained stops the study.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.errors import InputError
from pipeline.training.own import registry
from pipeline.training.own.registry import OwnFamily

Build = Callable[..., Any]

_OPENED: dict[tuple[Any, ...], Build] = {}


def function_of(name: str) -> Build:
    """Returns the user's function, by the family's name.

    Raises:
        InputError: Nobody gave ``--family``, or the file cannot be run.
    """
    family = registry.known(name)
    if family is None or not family.path:
        file, _, function = name.rpartition(":")
        raise registry.code_missing("this", file, function)
    return open_family(family)


def open_family(family: OwnFamily) -> Build:
    """Returns the function of a family; its file is run unless this process did already.

    Raises:
        InputError: The file was changed, cannot be run, or has no such function.
    """
    key = (family.path, family.function, family.sha256, family.modules)
    if key not in _OPENED:
        _OPENED[key] = _open(family)
    return _OPENED[key]


def _open(family: OwnFamily) -> Build:
    path = Path(family.path)
    contents = family.contents()
    for name, known in {family.file: family.sha256, **dict(family.modules)}.items():
        if registry.sha256_of(contents[name]) != known:
            raise InputError(f"--family {family.option}: {registry.changed(name)}")
    content = contents[family.file]
    forget_modules(family)
    module = ModuleType(f"own_model_{family.sha256[:12]}")
    module.__file__ = family.path
    # Classes and dataclasses of the file look their module up here.
    sys.modules[module.__name__] = module
    if str(path.parent) not in sys.path:
        # Behind all others: a helper beside the file is found, and hides no package.
        sys.path.append(str(path.parent))
    try:
        with redirect_stdout(sys.stderr):
            exec(compile(content, family.path, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise InputError(f"--family {family.option}: {where(error, family)}") from error
    function = getattr(module, family.function, None)
    if not callable(function):
        found = [n for n, value in vars(module).items() if _is_function_of(value, module)]
        there = f"; it has {', '.join(found)}" if found else ""
        raise InputError(
            f"--family {family.option}: {family.file} has no function {family.function}{there}"
        )
    build: Build = function
    return build


def forget_modules(family: OwnFamily) -> None:
    """Has Python import the family's modules anew: they may be of an earlier version."""
    files = {str(Path(family.path).parent / name) for name, _ in family.modules}
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) in files:
            del sys.modules[name]
    importlib.invalidate_caches()


def _is_function_of(value: Any, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", "") == module.__name__


def where(error: BaseException, family: OwnFamily) -> str:
    """Returns file and line of an exception, its type and its message.

    The line is the innermost one of the user's file; what was raised below it is not theirs.
    """
    line = None
    if isinstance(error, SyntaxError) and error.filename == family.path:
        line = error.lineno
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == family.path:
            line = frame.lineno
    place = family.file if line is None else f"{family.file}, line {line}"
    # Keras's own messages go on for a page.
    said: Any = error
    if isinstance(error, SyntaxError):
        said = error.msg  # without the place, which is said already
    elif isinstance(error, KeyError) and error.args:
        said = error.args[0]  # without quotes
    text = " ".join(str(said).split())[:400]
    return (
        f"{place}: {type(error).__name__}: {text}" if text else f"{place}: {type(error).__name__}"
    )


def place_of(function: Build, family: OwnFamily) -> str:
    """Returns file and line of the function's definition."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_filename != family.path:
        return f"{family.file}, {family.function}"
    return f"{family.file}, line {code.co_firstlineno}, {family.function}"
