"""Optuna's storage as an address, without Optuna: its default, how it is shown, what it holds.

``study`` opens it; the doctor only looks at it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

DEFAULT_STORAGE = "studies.journal"


def masked(storage: str) -> str:
    """Returns a storage's address without its password."""
    return re.sub(r"(://[^/@:]*):.*@", r"\1:***@", storage)


def is_journal(path: Path) -> bool:
    """Whether Optuna may append to this file: it is new, empty, or begins as a journal does."""
    if not path.exists():
        return True
    try:
        with path.open("rb") as file:
            first = file.readline()
        return not first or "op_code" in json.loads(first)
    except (OSError, ValueError, TypeError):
        return False
