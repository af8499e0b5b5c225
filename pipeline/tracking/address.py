"""Decides which MLflow store is used; imports no MLflow, so a command can lock a study early."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from pipeline.redaction import masked

DATABASE_NAME = "mlflow.db"


def tracking_address(given: str | None = None) -> str:
    """Returns MLflow's address: the given one, MLFLOW_TRACKING_URI, or SQLite in this folder.

    MLflow's own default is not asked: an old ``mlruns`` folder would switch it to a kind of store
    that it no longer writes.
    """
    chosen = given or os.environ.get("MLFLOW_TRACKING_URI")
    return chosen or f"sqlite:///{Path.cwd() / DATABASE_NAME}"


def where_to_look(address: str, run_id: str | None) -> str:
    """Returns the line that says how a study's page is opened; empty where nobody knows it.

    Args:
        address: MLflow's store; a password in it is not shown.
        run_id: The study's parent run.
    """
    shown = masked(address)
    if address.startswith(("http://", "https://")):
        return f"MLflow: {shown.rstrip('/')}/#/runs/{run_id}" if run_id else ""
    if address.startswith("databricks"):
        return ""
    return f"MLflow: {shlex.join(['mlflow', 'ui', '--backend-store-uri', shown])}"
