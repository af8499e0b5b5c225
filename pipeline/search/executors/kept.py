"""Keeps the workers of one task of a command for its next, where that asks for the same ones.

``pipeline run`` searches and then reports: its finalists train in the processes in which the trials
did, with the data and the compiled programs that are there. Nothing of it changes a number: every
cohort begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pipeline.search.executors.interface import Executor

Asked = tuple[Any, ...]
"""What an executor was started with."""

_KEPT: ContextVar[dict[Asked, Executor] | None] = ContextVar("kept executors", default=None)


@contextmanager
def workers_kept() -> Iterator[None]:
    """Has worker processes whose task ended well wait, while the context lasts, for another task.

    Those that nobody asks for end with the context, or as soon as others are asked for.
    """
    kept: dict[Asked, Executor] = {}
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)
        _close(kept)


def take(asked: Asked) -> Executor | None:
    """Returns the executor that was kept and started with the same; ends all others."""
    kept = _KEPT.get()
    if not kept:
        return None
    found = kept.pop(asked, None)
    _close(kept)
    return found


def keep_at_its_end(executor: Executor, asked: Asked) -> None:
    """Has an executor of processes kept, once, when its task has ended well."""
    if (kept := _KEPT.get()) is None or not executor.shares_cores:
        return

    def keep(ended: Executor) -> None:
        ended.keep = None
        kept[asked] = ended

    executor.keep = keep


def _close(kept: dict[Asked, Executor]) -> None:
    for executor in kept.values():
        executor.close()
    kept.clear()
