"""Tracks studies in MLflow, its one door here: a study is a parent run, a trial a child of it.

In: records (``TrialConfig``, ``TrialOutcome``, ``ChanceLevel``, ``TestResult``) and plain files.
Out: the same records, read back number for number. Nothing else in the project imports MLflow, and
importing this module does not, either: :func:`connect` does. Keras is imported only where a model
is logged or loaded.

::

    connect -> Tracking    the store; its methods are functions of these files       store.py

    search   open_study         which run is the parent of a study            parent_run.py
             -> StudyRun        what is written while it trains               study_run.py
             deliver_waiting    what an earlier search had to keep on disk    delivery/
    report   read_study         every trial, number for number                read.py
             open_finalists     trials trained again with other seeds         finalist_runs.py
             lock_selection     the choice, test results, pages, verdicts     selection_record.py
             register_model     the winner, as a Keras model                  models/registry.py
             settle_champion    which version is the champion                 models/champion.py
             adopt_report_run   the run of `mlflow run -e report`             report_run.py
    others   fetched            a saved model, checked before it is opened    models/load.py
             probe_store        whether a store answers                       probe.py
             read_reproducible_run    one run, to train it again              reproducible_run.py

    client.py      MLflow's client, wrapped: its errors become TrackingError here, once
    codec.py       records <-> params, metrics, tags and files (no MLflow)
    queries.py     finds parents, children, finalists, the experiment
    artifacts.py   files of a run, in and out
    database.py    whether the database of an address answers; address.py: which address (no MLflow)
    views.py       saved views of MLflow's run table
    delivery/      message.py -> outbox.py (disk) -> sender.py (thread) -> child_runs.py (MLflow)

To track one more number per trial: a field of ``records.Measurement`` is one metric by itself;
anything else is one line in ``codec.summary_metrics`` or ``codec.outcome_tags``.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from pipeline.library_messages import are_shown

if TYPE_CHECKING:
    from pipeline.tracking.client import Transport
    from pipeline.tracking.store import Tracking
    from pipeline.tracking.study_run import StudyRun

__all__ = ["StudyRun", "Tracking", "connect"]


def connect(tracking_uri: str | None = None, transport: Transport | None = None) -> Tracking:
    """Returns the tracking store at an address, reached once, so that later calls can be trusted.

    Args:
        tracking_uri: MLflow's address of the store; None means MLFLOW_TRACKING_URI, and without
            that ``mlflow.db`` (SQLite) and ``mlartifacts/`` in the working folder.
        transport: Makes the calls of MLflow; None makes them directly. For tests.

    Raises:
        TrackingError: Nothing answers there within seconds; credentials are not shown.
    """
    from pipeline.tracking.address import tracking_address
    from pipeline.tracking.client import call_directly
    from pipeline.tracking.store import Tracking

    return Tracking.open(tracking_address(tracking_uri), transport or call_directly)


def __getattr__(name: str) -> Any:
    """Gives the two classes when they are asked for: their modules import MLflow."""
    if name == "Tracking":
        from pipeline.tracking.store import Tracking

        return Tracking
    if name == "StudyRun":
        from pipeline.tracking.study_run import StudyRun

        return StudyRun
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _silence_mlflow() -> None:
    """Keeps MLflow off the terminal and off the network.

    MLflow prints run addresses to stdout (where our JSON goes), alembic one line per migration.
    """
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # A logged model's requirements are ours to say, not those of a uv.lock in the working folder.
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")
    if are_shown():
        return
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.tracking._model_registry"):
        logging.getLogger(name).setLevel(logging.WARNING)


# Here, not in `connect`: MLflow starts its telemetry while it is imported, which every other module
# of this folder does at its top.
_silence_mlflow()
