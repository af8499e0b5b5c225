"""Reads a study back from MLflow number for number, as the report needs it.

In: a study's name, a dataset's name, or neither. Out: a ``StudyRecord``. Two queries (parent,
children) and one small file per trial; those of a server are fetched by a few threads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlflow.entities import Run

from pipeline.collection import collection_paused
from pipeline.errors import InputError, TrackingError, closest
from pipeline.records import StudyRecord, TrialRecord
from pipeline.tracking import data_notes
from pipeline.tracking.client import Client
from pipeline.tracking.codec import (
    CURVE_PREFIX,
    GAP_CURVE,
    RESULTS_TAG,
    chance_from,
    config_from_params,
    finite_or_infinite,
    measurement_from,
    unpack_results,
)
from pipeline.tracking.data_notes import DATA_FILE
from pipeline.tracking.deleted import deleted_study
from pipeline.tracking.moved_store import local_path
from pipeline.tracking.npz import readable
from pipeline.tracking.parent_run import DEFINITION_FILE
from pipeline.tracking.queries import children_of, parents_of
from pipeline.training.own import registry

READERS = 8


def read_study(client: Client, study: str | None = None, dataset: str | None = None) -> StudyRecord:
    """Returns the study of this name, or the one opened last (of this dataset, where given).

    A trial that was killed before its params were written is left out.

    Raises:
        InputError: There is no such study; the message lists those that exist.
    """
    client = client.doing("read the study")
    found = parents_of(client, study, dataset)
    if not found:
        raise InputError(_missing(client, study, dataset))
    parent = found[0]
    name = parent.data.tags["study"]
    parents = [run for run in found if run.data.tags["study"] == name]
    with collection_paused():
        children = {n: run for n, run in children_of(client, parents).items() if run.data.params}
        _check_files(client, parent, children)
        definition = _definition(client, parent)
        # Before the trials: it tells of hyperparameters that only the user's own model has.
        registry.register_from(definition)
        trials = read_trials(client, list(children.items()))
    return StudyRecord(
        study=name,
        dataset=parent.data.tags["dataset"],
        split_id=parent.data.tags.get("split_id", ""),
        run_id=parent.info.run_id,
        chance=chance_from(parent.data.tags, parent.data.metrics),
        definition=definition,
        trials=trials,
        data=data_notes.from_text(client.read_artifact(parent.info.artifact_uri, DATA_FILE)),
    )


def read_trials(client: Client, runs: Sequence[tuple[int, Run]]) -> tuple[TrialRecord, ...]:
    """Returns the records of runs, each with its trial's number, in their order.

    Several at a time where each file is a request. Files of this machine are read faster than
    threads take turns.
    """
    if all(local_path(run.info.artifact_uri) is not None for _, run in runs):
        return tuple(read_trial(client, *item) for item in runs)
    with ThreadPoolExecutor(READERS) as readers:
        return tuple(readers.map(lambda item: read_trial(client, *item), runs))


def read_trial(client: Client, number: int, run: Run) -> TrialRecord:
    """Returns the record of a trial's or finalist's run.

    A FAIL has no measurement, whatever it had logged before.
    """
    tags, values = run.data.tags, run.data.metrics
    state = _state(run)
    validation, curves = None, _no_curves()
    if file := tags.get(RESULTS_TAG):
        packed = client.read_artifact(run.info.artifact_uri, file)
        if packed is not None:
            with readable(file, run.info.run_id, _without(run)):
                validation, curves = unpack_results(packed)
    else:
        curves = _logged_curves(client, run)
    failed = state == "FAIL"
    return TrialRecord(
        number=number,
        state=state,
        config=config_from_params(run.data.params),
        split_id=tags.get("split_id", ""),
        name=tags.get("name"),
        measurement=None if failed else measurement_from(values, tags),
        validation=None if failed else validation,
        curves=curves,
        cause=tags.get("cause"),
        seconds=values.get("seconds", 0.0),
        mlflow_run_id=run.info.run_id,
    )


def _without(run: Run) -> str:
    """Returns how to go on without a run whose file is damaged."""
    return (
        f"delete the run with `mlflow runs delete --run-id {run.info.run_id}`, and the study is "
        "read without it"
    )


def _state(run: Run) -> str:
    """Returns the trial's state; a run that says none is running, or was ended by somebody else."""
    if run.info.status == "RUNNING":
        return "RUNNING"
    return run.data.tags.get("state", "FAIL")


def _no_curves() -> dict[str, tuple[float, ...]]:
    return {}


def _logged_curves(client: Client, run: Run) -> dict[str, tuple[float, ...]]:
    """Returns a trial's curves from MLflow's histories: slow, so only where it left no file."""
    curves = {}
    for key in run.data.metrics:
        if key.startswith(CURVE_PREFIX) and key != f"{CURVE_PREFIX}{GAP_CURVE}":
            history = client.get_metric_history(run.info.run_id, key)
            by_epoch = {point.step: finite_or_infinite(point.value) for point in history}
            curves[key.removeprefix(CURVE_PREFIX)] = tuple(by_epoch[e] for e in sorted(by_epoch))
    return curves


def _definition(client: Client, parent: Run) -> Mapping[str, Any]:
    """Returns what the study was asked for, from its file."""
    text = client.read_artifact(parent.info.artifact_uri, DEFINITION_FILE)
    return json.loads(text) if text else {}


def _check_files(client: Client, parent: Run, children: Mapping[int, Run]) -> None:
    """Checks that the folders of a study's files are where MLflow has them.

    Raises:
        TrackingError: Not one is, and their trials had files.
    """
    runs = [parent, *(run for run in children.values() if RESULTS_TAG in run.data.tags)]
    folders = [local_path(run.info.artifact_uri) for run in runs]
    known = [folder for folder in folders if folder is not None]
    if len(runs) == 1 or len(known) < len(runs) or any(folder.exists() for folder in known):
        return
    where = known[0].parent.parent
    raise TrackingError(
        f"the files of study '{parent.data.tags['study']}' are no longer in {where}, where MLflow "
        f"at {client.address} has them: move them back, or move the whole folder, mlflow.db and "
        "the files beside it"
    )


def _missing(client: Client, study: str | None, dataset: str | None) -> str:
    """Returns the message about a study that is not there."""
    existing = [(run.data.tags["study"], run.data.tags["dataset"]) for run in parents_of(client)]
    if deleted := deleted_study(client, study, dataset):
        return deleted
    asked = f"study '{study}'" if study else "study"
    asked += f" of dataset '{dataset}'" if dataset else ""
    if not existing:
        return f"there is no {asked} in {client.address}: run `pipeline search` first"
    near = closest(study or dataset or "", [entry[0 if study else 1] for entry in existing])
    listed = ", ".join(f"{name} (dataset {data})" for name, data in existing[:20])
    return f"there is no {asked} in {client.address}{near}; there are: {listed}"
