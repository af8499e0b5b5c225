"""Keeps native libraries' greetings off the terminal, where a message should stand alone."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.library_messages import are_shown


@contextmanager
def native_chatter_off() -> Iterator[None]:
    """Sends to nowhere what TensorFlow's C++ writes to stderr before its log level counts.

    In another thread than the main one, what Python writes meanwhile still arrives. With
    ``--verbose`` all of it is shown.
    """
    if are_shown():
        yield
        return
    python_stderr = sys.stderr
    python_stderr.flush()
    kept = os.dup(2)
    beside = threading.current_thread() is not threading.main_thread()
    if beside and python_stderr is sys.__stderr__:
        sys.stderr = os.fdopen(os.dup(kept), "w", buffering=1, errors="backslashreplace")
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr = python_stderr
        os.dup2(kept, 2)
        os.close(kept)
