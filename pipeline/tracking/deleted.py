"""Finds what was deleted in MLflow, and says by which command it comes back.

A deleted run or experiment stays in the store until ``mlflow gc``; MLflow only hides it.
"""

from __future__ import annotations

from mlflow.entities import Run, ViewType

from pipeline.tracking.client import Client
from pipeline.tracking.queries import FINALIST_ROLE, PARENT_TAG, TRIAL_ROLE, quoted

_MOST = 1_000


def deleted_study(client: Client, study: str | None, dataset: str | None) -> str | None:
    """Returns that a study was deleted and how it comes back; None where none was.

    Args:
        client: Of the store.
        study: Its name; None for any.
        dataset: Its dataset; None for any.
    """
    wanted = {"role": "study", "study": study, "dataset": dataset}
    clauses = [f"tags.{key} = {quoted(value)}" for key, value in wanted.items() if value]
    condition = " and ".join(clauses)
    gone = client.search_experiments(view_type=ViewType.DELETED_ONLY, max_results=_MOST)
    experiments = {entry.experiment_id: entry.name for entry in gone}
    active = client.search_experiments(max_results=_MOST)
    everywhere = [*experiments, *(entry.experiment_id for entry in active)]
    found = client.search_runs(
        everywhere, condition, run_view_type=ViewType.ALL, order_by=["attributes.start_time DESC"]
    )
    hidden = [run for run in found if _is_hidden(run, experiments)]
    if not hidden:
        return None
    run = hidden[0]
    name = run.data.tags["study"]
    if run.info.experiment_id in experiments:
        return (
            f"study '{name}' is in experiment '{experiments[run.info.experiment_id]}', which was "
            f"deleted in MLflow at {client.address}: bring it back with `mlflow experiments "
            f"restore --experiment-id {run.info.experiment_id}`"
        )
    return (
        f"study '{name}' was deleted in MLflow at {client.address}: bring it back with `mlflow "
        f"runs restore --run-id {run.info.run_id}`"
    )


def deleted_trials(client: Client, run_id: str) -> str | None:
    """Returns which trials and finalists of a study were deleted, and how they come back."""
    hidden = _hidden_below(client, run_id, (TRIAL_ROLE, FINALIST_ROLE))
    if not hidden:
        return None
    trials = sorted({int(run.data.tags["trial"]) for run in hidden})
    runs = "1 run" if len(hidden) == 1 else f"{len(hidden)} runs"
    return (
        f"{runs} of this study (of trial {_listed(trials)}) missing here, deleted in MLflow: bring "
        f"back with `mlflow runs restore --run-id {hidden[0].info.run_id}`"
        f"{' and so on' if len(hidden) > 1 else ''}"
    )


def numbers_of_deleted_trials(client: Client, run_id: str) -> set[int]:
    """Returns the trials of a study of which a run was deleted."""
    return {int(run.data.tags["trial"]) for run in _hidden_below(client, run_id, (TRIAL_ROLE,))}


def _hidden_below(client: Client, run_id: str, roles: tuple[str, ...]) -> list[Run]:
    client = client.doing("look for deleted trials")
    experiment = client.get_run(run_id).info.experiment_id
    condition = f"tags.{PARENT_TAG} = {quoted(run_id)}"
    found = client.search_runs(
        [experiment], condition, run_view_type=ViewType.DELETED_ONLY, max_results=_MOST
    )
    return [run for run in found if run.data.tags.get("role") in roles]


def _is_hidden(run: Run, experiments: dict[str, str]) -> bool:
    return run.info.lifecycle_stage != "active" or run.info.experiment_id in experiments


def _listed(numbers: list[int], most: int = 10) -> str:
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return ", ".join(str(number) for number in numbers[:most]) + more
