"""Says in MLflow that a study was reported: on ``mlflow run``'s own run, and by the study's state.

``mlflow run -e report`` makes a run before the command starts. It becomes a child of the study with
``role=report``: no run is left that nobody can tell the origin of.
"""

from __future__ import annotations

import os

from pipeline.errors import TrackingError
from pipeline.records import StudyRecord
from pipeline.tracking.client import Client, error_code
from pipeline.tracking.command_run import is_run_of_command
from pipeline.tracking.queries import PARENT_TAG, UNKNOWN

REPORT_ROLE = "report"


def adopt_report_run(client: Client, study: StudyRecord | None = None) -> None:
    """Tags the run that ``mlflow run -e report`` made, where there is one, as a report's.

    Args:
        client: Of the store.
        study: The study, once it is known; the run becomes its child, and its id leaves the
            environment.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        return
    client = client.doing("tag the run of this report")
    try:
        client.get_run(run_id)
    except TrackingError as error:
        if error_code(error) not in UNKNOWN:
            raise
        # Not this store's: nothing here was made by `mlflow run`.
        os.environ.pop("MLFLOW_RUN_ID")
        return
    if study is None:
        is_run_of_command(client, run_id)
        client.log_in_batches(run_id, tags={"role": REPORT_ROLE})
        return
    os.environ.pop("MLFLOW_RUN_ID")
    if run_id == study.run_id:
        return
    tags = {"study": study.study, "dataset": study.dataset, PARENT_TAG: str(study.run_id)}
    client.log_in_batches(run_id, tags=tags)
    client.update_run(run_id, name=f"report on {study.study}")


def mark_reported_well(client: Client, run_id: str) -> None:
    """Ends a study's run as FINISHED where a search of it had failed or was stopped before.

    What a report recommended is a finished study, whatever happened on the way.
    """
    client = client.doing("end the study")
    if client.get_run(run_id).info.status in ("FAILED", "KILLED"):
        client.set_terminated(run_id, status="FINISHED")
