"""Pauses Python's search for garbage in cycles while a great many objects are made that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pauses the collector while the context lasts: for work of seconds.

    Whenever enough objects were made, it goes through all that there are: a thousand runs read from
    a database cost three times their time, and what an import makes nearly twice. Objects that no
    cycle holds are freed as ever.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
