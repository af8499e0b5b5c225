"""The one door to MLflow: a study is a parent run, a trial is a child run of it.

In: records (``TrialConfig``, ``TrialOutcome``, ``ChanceLevel``, ``TestResult``) and plain files.
Out: the same records, read back number for number. Nothing else in the project imports MLflow, and
importing this module does not, either: :func:`connect` does. Keras is imported only where a model
is logged or loaded.

::

    connect -> Tracking.open_study -> StudyRun     what the search writes          study_run.py
               Tracking.read_study -> StudyRecord  what the report reads           reading.py
               Tracking.open_finalists, ...        trials trained again            finalist_runs.py
               Tracking.lock_selection, ...        what the report writes          conclusions.py
               Tracking.register_model             the winner, as a Keras model    registry.py

    opening.py     which run is the parent of a study: an earlier one, ``mlflow run``'s, a new one
    spelling.py    records <-> params, metrics and arrays (no MLflow)
    artifacts.py   files of a run, in and out
    connection.py  addresses, the first contact, errors without credentials

To track one more number per trial: a field of ``records.Measurement`` is one metric by itself;
anything else is one line in ``spelling.summary_metrics`` or ``spelling.outcome_tags``.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.tracking.store import Tracking
    from pipeline.tracking.study_run import StudyRun

__all__ = ["StudyRun", "Tracking", "connect"]


def connect(tracking_uri: str | None = None) -> Tracking:
    """Returns the tracking store at an address, reached once, so that later calls can be trusted.

    Args:
        tracking_uri: MLflow's address of the store; None means MLFLOW_TRACKING_URI, and without
            that ``mlflow.db`` (SQLite) and ``mlartifacts/`` in the working folder.

    Raises:
        TrackingError: Nothing answers there within seconds; credentials are not shown.
    """
    _hush()
    from pipeline.tracking.store import Tracking

    return Tracking.open(tracking_uri)


def __getattr__(name: str) -> Any:
    """Gives the two classes when they are asked for: their modules import MLflow."""
    if name == "Tracking":
        from pipeline.tracking.store import Tracking

        return Tracking
    if name == "StudyRun":
        from pipeline.tracking.study_run import StudyRun

        return StudyRun
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _hush() -> None:
    """Keeps MLflow's chatter off the terminal; has to come before MLflow's import.

    MLflow prints run addresses to stdout (where our JSON goes) and alembic one line per migration.
    """
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # A logged model's requirements are ours to say, not those of a uv.lock in the working folder.
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.tracking._model_registry"):
        logging.getLogger(name).setLevel(logging.WARNING)
