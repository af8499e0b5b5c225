"""Reads one run of a study, with everything that is needed to train it again.

In: a run's id: of a trial, of a finalist, or of a study, which stands for the runs whose weights
it delivered. Out: a :class:`ReproducibleRun`. Nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow.entities import Run

from pipeline.errors import InputError, TrackingError
from pipeline.records import TrialRecord
from pipeline.tracking.client import Client, error_code
from pipeline.tracking.codec import DELIVERED_TAG
from pipeline.tracking.database import existing_store
from pipeline.tracking.parent_run import DEFINITION_FILE, environment_text
from pipeline.tracking.queries import FINALIST_ROLE, PARENT_TAG, TRIAL_ROLE, UNKNOWN, children_of
from pipeline.tracking.read import read_trial
from pipeline.training.own import registry


@dataclass(frozen=True)
class ReproducibleRun:
    """A trial's or finalist's run, and what its study was asked for.

    Attributes:
        run_id: Its id.
        study: The study's name.
        seed: Its own seed, of initial weights and dropout masks.
        trial: What was measured.
        definition: The study's definition: source, seed, epochs, precision, ...
        device: What it was trained on.
        versions: Packages it was trained with; empty where they are the installed ones.
    """

    run_id: str
    study: str
    seed: int
    trial: TrialRecord
    definition: Mapping[str, Any]
    device: str
    versions: str


def read_reproducible_runs(
    run_id: str, tracking_uri: str | None = None
) -> tuple[ReproducibleRun, ...]:
    """Returns a run with what is needed to train it again; of a study all that it delivered.

    Raises:
        InputError: There is no such run, or it is none of a study's.
        TrackingError: The store does not answer.
    """
    client = Client.open(existing_store(tracking_uri)).doing(f"read run {run_id}")
    runs = _trained_runs(client, _get(client, run_id))
    return tuple(_reproducible(client, run) for run in runs)


def _reproducible(client: Client, run: Run) -> ReproducibleRun:
    parent = client.get_run(run.data.tags[PARENT_TAG])
    text = client.read_artifact(parent.info.artifact_uri, DEFINITION_FILE)
    definition = json.loads(text) if text else {}
    registry.register_from(definition)
    tags = run.data.tags
    return ReproducibleRun(
        run_id=run.info.run_id,
        study=tags["study"],
        seed=_seed(run),
        trial=read_trial(client, int(tags["trial"]), run),
        definition=definition,
        device=tags.get("device", "unknown"),
        versions=_other_versions(parent),
    )


def _get(client: Client, run_id: str) -> Run:
    try:
        return client.get_run(run_id)
    except TrackingError as error:
        if error_code(error) not in UNKNOWN:
            raise
        raise InputError(
            f"there is no run '{run_id}' in {client.address}: the id is the 32 digits that "
            "MLflow's page of a run and `pipeline report --format json` (mlflow_run_id) show"
        ) from error


def _trained_runs(client: Client, run: Run) -> list[Run]:
    """Returns the runs that were trained: itself, or what its study delivered."""
    tags = run.data.tags
    role = tags.get("role")
    if role in (TRIAL_ROLE, FINALIST_ROLE) and PARENT_TAG in tags:
        return [run]
    if role != "study":
        raise InputError(
            f"run {run.info.run_id} ('{run.info.run_name}') is no trial, finalist or study of "
            f"`pipeline search`: its tag 'role' is {role!r}"
        )
    if delivered := tags.get(DELIVERED_TAG):
        return [client.get_run(one) for one in delivered.split(",")]
    if winner := tags.get("winner"):
        return [children_of(client, [run])[int(winner)]]
    raise InputError(
        f"run {run.info.run_id} is study '{tags['study']}', which has no winner yet: run `pipeline "
        "report` first, or give the run of a trial"
    )


def _seed(run: Run) -> int:
    seed = run.data.tags.get("seed")
    if seed is None:
        raise InputError(
            f"run {run.info.run_id} has no tag 'seed': without it a trial cannot be trained again"
        )
    return int(seed)


def _other_versions(parent: Run) -> str:
    """Returns the versions a study was searched with, where the installed ones are others."""
    recorded: str = parent.data.tags.get("versions", "")
    return "" if recorded == ", ".join(environment_text().split("\n")[:4]) else recorded
