"""Finds where jobs run: one small interface, one file per executor, none knows what a job is.

An executor is made with an *opener*: an object whose ``open()`` returns, where the job is to run,
a function ``run(job, emit, inbox) -> result``. ``emit(data)`` streams :class:`Progressed` events
while it runs; ``inbox()`` returns what :meth:`Executor.tell` sent since it was last asked.

To add an executor: a file in this folder with a class ``EXECUTOR``; its name is the file's.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import InputError, closest
from pipeline.search.executors.interface import Executor, Opener


def names() -> tuple[str, ...]:
    """Returns the names of all executors: of the modules in this folder that have an EXECUTOR."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(name for name in modules if _executor_in(name) is not None)


def _executor_in(name: str) -> type[Executor] | None:
    return getattr(importlib.import_module(f"{__name__}.{name}"), "EXECUTOR", None)


def find(name: str) -> type[Executor]:
    """Returns the executor of this name.

    Raises:
        InputError: There is no such executor.
    """
    if name not in names():
        valid = ", ".join(names())
        raise InputError(f"unknown executor '{name}'{closest(name, names())}; known: {valid}")
    executor = _executor_in(name)
    assert executor is not None, "names() lists it"
    return executor


def start(
    name: str, opener: Opener, workers: int, variables: Sequence[Mapping[str, str]] = ()
) -> Executor:
    """Returns a started executor.

    Args:
        name: One of :func:`names`.
        opener: Opens up a worker.
        workers: Number of jobs that run at once.
        variables: Of each worker, the environment variables that are its own, where the executor
            ``shares_cores``; empty for none.

    Raises:
        InputError: There is no such executor, or it cannot run that many workers.
    """
    executor: Any = find(name)
    started: Executor
    started = executor(opener, workers, variables) if variables else executor(opener, workers)
    return started
