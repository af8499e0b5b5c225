"""Says what Optuna's dashboard shows with a trial that ended."""

from __future__ import annotations

import math
from typing import Any

from pipeline.records import TrialOutcome


def user_attributes(outcome: TrialOutcome, verdict: str, run_id: str | None) -> dict[str, Any]:
    """Returns what Optuna's dashboard shows with a trial: verdict, MLflow run, figures.

    While MLflow is away the run is not known; its tag ``trial`` says which one it is.
    """
    attributes: dict[str, Any] = {"verdict": verdict}
    if run_id is not None:
        attributes["mlflow_run_id"] = run_id
    measured = outcome.measurement
    if measured is not None and math.isfinite(measured.gap_ce):
        attributes |= {"gap_ce": measured.gap_ce, "val_accuracy": measured.val_accuracy}
    if outcome.cause:
        attributes["cause"] = outcome.cause
    return attributes
