"""Finds runs: the parent of a study, its children, and the experiment for a new one.

A parent carries the tags ``role=study`` and ``study``; a child ``role=trial``, ``trial`` (its
number) and MLflow's own ``mlflow.parentRunId``; a finalist is a child with ``role=finalist`` and
the ``trial`` whose configuration it trained again. Runs are looked for in every experiment: a study
is continued wherever it was begun.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from mlflow.entities import Run

from pipeline.errors import InputError, TrackingError
from pipeline.tracking.client import Client, error_code
from pipeline.tracking.database import artifact_location

DEFAULT_EXPERIMENT = "least-overfit"
MLFLOWS_DEFAULT = "Default"
"""Where ``mlflow run`` files a run when it was told no experiment."""
KIND_TAG = "mlflow.experimentKind"
KIND = "custom_model_development"
"""Makes an experiment's page open on its runs instead of on traces."""
PARENT_TAG = "mlflow.parentRunId"
TRIAL_ROLE = "trial"
FINALIST_ROLE = "finalist"
OPENED_TAG = "opened_at"
STORAGE_TAG = "storage"
"""Tag of a parent run: Optuna's storage, its password masked."""
CONTINUED_TAG = "continued_in"
"""Tag of a parent run: the run that took its place."""
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""Error codes with which stores say that there is no such run or experiment."""
MOST_DIGITS = 19
"""Of an experiment's id: more are no number of a database."""
_PAGE = 1_000


def parents_of(
    client: Client,
    study: str | None = None,
    dataset: str | None = None,
    test_part: str | None = None,
) -> list[Run]:
    """Returns the parent runs of a study, a dataset, a test part, or all; last opened first."""
    wanted = {"role": "study", "study": study, "dataset": dataset, "test_part": test_part}
    clauses = [f"tags.{key} = {quoted(value)}" for key, value in wanted.items() if value]
    found = _search(client, _experiments(client), " and ".join(clauses))
    return sorted(found, key=_opened, reverse=True)


def study_run_id(client: Client, study: str) -> str | None:
    """Returns the parent run of a study, None where it has none."""
    found = parents_of(client, study)
    return found[0].info.run_id if found else None


def is_searched_by_several(client: Client, run_id: str) -> bool:
    """Whether searches that share this study are at work on it, or all of them were killed."""
    run = client.doing("look whether the study is searched").get_run(run_id)
    shared = str(run.data.tags.get(STORAGE_TAG, "")).startswith("postgresql")
    return shared and run.info.status == "RUNNING"


def children_of(client: Client, parents: list[Run], trial: int | None = None) -> dict[int, Run]:
    """Returns the child runs of these parents by trial number: of all trials, or of one.

    There are several parents only where a change of parents was interrupted, and several runs of a
    trial only where a server made one and its answer was lost: the one that was written counts.
    """
    children: dict[int, Run] = {}
    for run in _children_with(client, parents, TRIAL_ROLE, trial):
        number = int(run.data.tags["trial"])
        if number not in children or "state" not in children[number].data.tags:
            children[number] = run
    return dict(sorted(children.items()))


def finalists_of(client: Client, parents: list[Run]) -> list[Run]:
    """Returns the runs of finalists below these parents, the last started first."""
    found = _children_with(client, parents, FINALIST_ROLE)
    return sorted(found, key=lambda run: int(run.info.start_time), reverse=True)


def _children_with(
    client: Client, parents: list[Run], role: str, trial: int | None = None
) -> list[Run]:
    one = "" if trial is None else f" and tags.trial = '{trial}'"
    return [
        run
        for parent in parents
        for run in _search(
            client,
            _experiments(client),
            f"tags.{PARENT_TAG} = {quoted(parent.info.run_id)} and tags.role = {quoted(role)}{one}",
        )
    ]


def experiment_id(client: Client, launched_in: str | None = None) -> str:
    """Returns the experiment for a new study: MLflow's variables decide, else ``least-overfit``.

    Args:
        client: Of the store.
        launched_in: Experiment of the run that ``mlflow run`` made. MLflow's ``Default`` means that
            it was told none.
    """
    if launched_in is not None:
        if client.get_experiment(launched_in).name != MLFLOWS_DEFAULT:
            return launched_in
    elif chosen := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return _chosen_experiment(client, chosen)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = artifact_location(client.tracking_uri, name)
        return client.create_experiment(name, location, {KIND_TAG: KIND})
    if experiment.lifecycle_stage != "active":
        raise TrackingError(
            f"MLflow's experiment '{name}' was deleted: bring it back with "
            f"`mlflow experiments restore --experiment-id {experiment.experiment_id}`, or name "
            "another one in MLFLOW_EXPERIMENT_NAME"
        )
    return experiment.experiment_id


def _chosen_experiment(client: Client, chosen: str) -> str:
    """Returns the id of MLFLOW_EXPERIMENT_ID, if there is such an experiment.

    Raises:
        InputError: There is none.
    """
    missing = InputError(
        f"MLFLOW_EXPERIMENT_ID names experiment {chosen[:80]!a}, which is not at "
        f"{client.address}: give the id of one that is, or unset it"
    )
    if len(chosen) > MOST_DIGITS:
        raise missing
    try:
        found = client.get_experiment(chosen)
    except (TrackingError, ValueError) as error:
        # A SQL store makes a number of it before it looks.
        if isinstance(error, TrackingError) and error_code(error) not in UNKNOWN:
            raise
        raise missing from error
    if found.lifecycle_stage != "active":
        raise InputError(
            f"MLFLOW_EXPERIMENT_ID names experiment {chosen}, which was deleted: bring it back "
            f"with `mlflow experiments restore --experiment-id {chosen}`, or unset it"
        )
    return str(found.experiment_id)


def _search(client: Client, experiments: list[str], condition: str) -> Iterator[Run]:
    """Yields the active runs that meet a condition, over all pages."""
    token: str | None = None
    while experiments:
        page = client.search_runs(experiments, condition, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _experiments(client: Client) -> list[str]:
    """Returns the ids of all active experiments."""
    found: list[str] = []
    token: str | None = None
    while True:
        page = client.search_experiments(max_results=_PAGE, page_token=token)
        found += [experiment.experiment_id for experiment in page]
        token = page.token
        if not token:
            return found


def quoted(value: str) -> str:
    """Returns a value as a string of MLflow's filter language, which has no escapes."""
    if "'" not in value:
        return f"'{value}'"
    if '"' not in value:
        return f'"{value}"'
    raise InputError(f"the name {value} holds both kinds of quotes, which MLflow cannot look up")


def time_text() -> str:
    """Returns the time now as a date in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _opened(run: Run) -> float:
    """Returns when a run was opened as a study's parent, in milliseconds since 1970.

    Older versions wrote them down as such.
    """
    text = run.data.tags.get(OPENED_TAG)
    if text is None:
        return float(run.info.start_time)
    if text.isdigit():
        return float(text)
    return datetime.fromisoformat(text).timestamp() * 1_000
