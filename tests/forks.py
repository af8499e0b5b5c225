"""Processes that are forks of the tests' own: they start at once, with all that was imported."""

import gc
import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from typing import Any

FORK = multiprocessing.get_context("fork")


def forked(target: Callable[..., object], *arguments: Any, **options: Any) -> ForkProcess:
    """Starts a function in a forked process.

    That process collects nothing that this one made: a function of TensorFlow's, which an earlier
    test left, crashes where it is destroyed without the threads that a fork does not have.
    """
    process = FORK.Process(target=target, args=arguments, kwargs=options)
    gc.freeze()
    try:
        process.start()
    finally:
        gc.unfreeze()
    return process
