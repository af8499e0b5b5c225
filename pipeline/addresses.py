"""Addresses of stores: which one is used, and how it is shown, without what must stay secret."""

from __future__ import annotations

import os
import re
from pathlib import Path

DATABASE_NAME = "mlflow.db"


def tracking_address(given: str | None = None) -> str:
    """Returns MLflow's address: the given one, MLFLOW_TRACKING_URI, or SQLite in this folder.

    MLflow's own default is not asked: an old ``mlruns`` folder would switch it to a kind of store
    that it no longer writes.
    """
    chosen = given or os.environ.get("MLFLOW_TRACKING_URI")
    return chosen or f"sqlite:///{Path.cwd() / DATABASE_NAME}"


def masked(text: str) -> str:
    """Returns the text with credentials of addresses in it replaced by ``***``."""
    text = re.sub(r"://[^\s]*@", "://***@", text)
    return re.sub(r"(?i)\b(\w*(?:password|token|secret|api_?key))=[^&\s'\"]+", r"\1=***", text)
