"""Optuna's storage as an address, without Optuna: its default, and whether it is one.

``study`` opens it; the doctor only looks at it.
"""

from __future__ import annotations

import json
from pathlib import Path

DEFAULT_STORAGE = "studies.journal"


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
