"""Optuna's storage as an address, without Optuna: its default, and whether it is one.

``study`` opens it; the doctor only looks at it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

DEFAULT_STORAGE = "studies.journal"
LONGEST_FIRST_LINE = 2**20
"""Bytes; a journal's first line names the study and has less than a hundredth of it."""


def outbox_folder(storage: str, study: str, tracking_uri: str) -> Path:
    """Returns the folder for what waits for MLflow: beside the journal, or in the user's state.

    A search that continues the study with the same storage finds it.
    """
    key = hashlib.sha256(f"{_place(tracking_uri)}\n{study}".encode()).hexdigest()[:16]
    if "://" not in storage:
        return Path(f"{storage}.outbox") / key
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    place = hashlib.sha256(_place(storage).encode()).hexdigest()[:16]
    return Path(state) / "least-overfit" / place / key


def _place(address: str) -> str:
    """Returns an address without what may change while the place stays: who asks, a slash."""
    return re.sub(r"://[^/]*@", "://", address).rstrip("/")


def is_journal(path: Path) -> bool:
    """Whether Optuna may append to this file: it is new, empty, or begins as a journal does."""
    if not path.exists():
        return True
    if not path.is_file():  # a device or a pipe may have no end
        return False
    try:
        with path.open("rb") as file:
            first = file.readline(LONGEST_FIRST_LINE)
        # One that a power loss cut off in its first line is mended when it is opened.
        cut_off = first.startswith(b'{"op_code"') and not first.endswith(b"\n")
        return not first or cut_off or "op_code" in json.loads(first)
    except (OSError, ValueError, TypeError, RecursionError):
        return False
