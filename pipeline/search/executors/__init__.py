"""Finds where jobs run: one small interface, one file per executor, none knows what a job is.

An executor is made with an *opener*: an object whose ``open()`` returns, where the job is to run,
a function ``run(job, emit, inbox) -> result``. ``emit(data)`` streams :class:`Progressed` events
while it runs; ``inbox()`` returns what :meth:`Executor.tell` sent since it was last asked.

To add an executor: a file or package in this folder with a class ``EXECUTOR``; its name is the
file's. One that places workers on several machines says ``places``, and is told where.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import InputError, closest
from pipeline.search.executors import kept
from pipeline.search.executors.interface import Executor, Opener, Placement, Voice


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


def check(name: str, placement: Placement) -> type[Executor]:
    """Returns the executor of this name, which can start here and knows what was given for it.

    Raises:
        InputError: There is no such executor, it is not installed, or has no use for an option.
    """
    found = find(name)
    if (given := placement.words()) and not found.places:
        raise InputError(
            f"{given[0]}: --executor {name} runs on this machine alone; search with --executor "
            "ray, or leave the option out"
        )
    if remedy := found.missing():
        raise InputError(f"--executor {name} is not installed: {remedy}")
    return found


def start(
    name: str,
    opener: Opener,
    workers: int,
    placement: Placement | None = None,
    voice: Voice | None = None,
    variables: Sequence[Mapping[str, str]] = (),
) -> Executor:
    """Returns a started executor, or one that was kept for who asks for the same (``kept``).

    Args:
        name: One of :func:`names`.
        opener: Opens up a worker.
        workers: Number of jobs that run at once.
        placement: Where workers are placed, for an executor that does.
        voice: Takes what such an executor has to say.
        variables: Of each worker, the environment variables that are its own, where the executor
            ``shares_cores``; empty for none.

    Raises:
        InputError: There is no such executor, or it cannot run that many workers.
    """
    placement = placement or Placement()
    executor: Any = check(name, placement)
    asked = (name, opener, workers, tuple(tuple(own.items()) for own in variables))
    if (found := kept.take(asked)) is not None:
        return found
    more: tuple[Any, ...] = ()
    if executor.places:
        more = (placement, voice or Voice())
    elif variables:
        more = (variables,)
    started: Executor = executor(opener, workers, *more)
    kept.keep_at_its_end(started, asked)
    return started
