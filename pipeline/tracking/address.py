"""Decides which MLflow store is used; imports no MLflow, so a command can lock a study early."""

from __future__ import annotations

import os
from pathlib import Path

DATABASE_NAME = "mlflow.db"


def tracking_address(given: str | None = None) -> str:
    """Returns MLflow's address: the given one, MLFLOW_TRACKING_URI, or SQLite in this folder.

    MLflow's own default is not asked: an old ``mlruns`` folder would switch it to a kind of store
    that it no longer writes.
    """
    chosen = given or os.environ.get("MLFLOW_TRACKING_URI")
    return chosen or f"sqlite:///{Path.cwd() / DATABASE_NAME}"
