"""Keeps native libraries' greetings off the terminal, where a message should stand alone."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def native_chatter_off() -> Iterator[None]:
    """Sends to nowhere what TensorFlow's C++ writes to stderr before its log level counts."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
