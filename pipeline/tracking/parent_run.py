"""Opens the parent run of a study, and writes what it says about the study.

In: a study's name, dataset, definition and tags. Out: the parent run, RUNNING, with its children.

The parent is the run that the study has, or a new one. ``mlflow run`` makes a run before the
command starts (MLFLOW_RUN_ID): params as they were typed, ``auto`` included, which MLflow lets
nobody remove. That run becomes a child of the study with ``role=command``, so a study has one
parent however often it is continued, in one experiment however it is started.

A study that an older version continued with ``mlflow run`` may have two parents, because its
change of parents was interrupted: the one opened last gets the children and what must not be
forgotten (the locked selection and how often the test part was read); the other is tagged
``continued_in`` and ``role=continued``, and keeps its files.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Run

from pipeline.errors import InputError, TrackingError
from pipeline.redaction import masked
from pipeline.tracking.client import Client, error_code
from pipeline.tracking.codec import (
    DELIVERED_TAG,
    LOCK_TAG,
    MODEL_TAG,
    REGISTERED_TAG,
    REPORTED_TAG,
    TEST_EXAMPLES_FILE,
    TEST_FILE,
    TESTED_TAG,
)
from pipeline.tracking.command_run import is_run_of_command
from pipeline.tracking.delivery.message import points
from pipeline.tracking.experiment_page import describe_experiment
from pipeline.tracking.queries import (
    CONTINUED_TAG,
    OPENED_TAG,
    PARENT_TAG,
    UNKNOWN,
    children_of,
    experiment_id,
    finalists_of,
    parents_of,
    time_text,
)
from pipeline.tracking.views import offer_views

DEFINITION_FILE = "definition.json"
COMMAND_ROLE = "command"
"""Role of the run that ``mlflow run`` made for a command which works on a study."""
_PROBE_FILE = "writable"
_OLD_PARAMS = "space."
"""Begins params of a study that an older version opened: a param for every leaf of its space."""
ENVIRONMENT_FILE = "environment.txt"
SELECTION_FILE = "selection.json"
CARRIED_TAGS = (
    # What was done for a lock goes with it, or a repeated `mlflow run` would do it again.
    LOCK_TAG, TESTED_TAG, REGISTERED_TAG, REPORTED_TAG, "test_reads", "test_part", "split_id",
    "winner", DELIVERED_TAG, MODEL_TAG, "mlflow.note.content",
)  # fmt: skip
_MAX_DIGEST = 36
"""What MLflow takes of a dataset's digest."""
CARRIED_FILES = (TEST_FILE, TEST_EXAMPLES_FILE)
"""Besides every record of a selection and every page of a report."""
_PACKAGES = (
    "keras", "tensorflow", "jax", "numpy", "optuna", "mlflow", "scikit-learn", "scipy",
    "least-overfit",
)  # fmt: skip


@dataclass(frozen=True)
class StudyDescription:
    """What a parent run says about its study.

    Attributes:
        study: Its name.
        dataset: Name of its dataset.
        definition: What was asked for, JSON values only; reads back as it is from a file.
        tags: More tags of the parent (device, storage, ...).
        params: What matters of the definition, in words; for the reader.
    """

    study: str
    dataset: str
    definition: Mapping[str, Any]
    tags: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)


def open_parent(client: Client, description: StudyDescription) -> tuple[Run, dict[int, Run]]:
    """Returns the parent run of the study, set to RUNNING and described, and its children."""
    command = _command_run(client, description.study)
    earlier = parents_of(client, study=description.study)
    if earlier:
        parent = earlier[0]
    else:
        # With its tags from the first: a search killed right after is continued in this run.
        tags = {"role": "study", "study": description.study, "dataset": description.dataset}
        experiment = experiment_id(client, command.info.experiment_id if command else None)
        parent = client.create_run(experiment, run_name=description.study, tags=tags)
    others = [run for run in earlier if run.info.run_id != parent.info.run_id]
    children = children_of(client, [parent, *others])
    _describe(client, parent, description)
    for other in others:
        _replace_parent(client, parent, other, [*children.values(), *finalists_of(client, [other])])
    if command is not None and command.info.run_id not in {run.info.run_id for run in earlier}:
        _make_child(client, command, parent, description)
    _check_model_files(client, parent.info.experiment_id)
    offer_views(client, parent.info.experiment_id)
    describe_experiment(client, parent.info.experiment_id)
    return client.get_run(parent.info.run_id), children


def _command_run(client: Client, study: str) -> Run | None:
    """Returns ``mlflow run``'s run; its id leaves the environment, so that no worker sees it."""
    run_id = os.environ.pop("MLFLOW_RUN_ID", None)
    if not run_id:
        return None
    try:
        run = client.get_run(run_id)
    except TrackingError as error:
        if error_code(error) not in UNKNOWN:
            raise
        raise InputError(
            f"MLFLOW_RUN_ID names run {run_id!a}, which is not at {client.address}: "
            "unset it, or set MLFLOW_TRACKING_URI to the store that has it"
        ) from error
    if run.info.lifecycle_stage != "active":
        raise InputError(
            f"MLFLOW_RUN_ID names run {run_id}, which was deleted: bring it back with "
            f"`mlflow runs restore --run-id {run_id}`, or unset it"
        )
    owner = run.data.tags.get("study", study)
    if owner != study:
        raise InputError(
            f"MLFLOW_RUN_ID names run {run_id}, which belongs to study '{owner}', not to "
            f"'{study}': unset MLFLOW_RUN_ID"
        )
    is_run_of_command(client, run_id)
    return run


def _make_child(client: Client, command: Run, parent: Run, description: StudyDescription) -> None:
    """Makes the run of a command a child of the study, with a link to it."""
    info = parent.info
    link = f"#/experiments/{info.experiment_id}/runs/{info.run_id}"
    tags = {
        "role": COMMAND_ROLE, "study": description.study, "dataset": description.dataset,
        PARENT_TAG: info.run_id,
        "mlflow.note.content": f"A command that worked on study [{description.study}]({link}).",
    }  # fmt: skip
    client.log_in_batches(command.info.run_id, tags=tags)
    client.update_run(command.info.run_id, name=f"command on {description.study}")


def _describe(client: Client, parent: Run, description: StudyDescription) -> None:
    """Writes the parent's tags, files and params; a param that exists keeps its value."""
    run_id = parent.info.run_id
    tags = {
        **description.tags, **_origin(),
        "role": "study", "study": description.study, "dataset": description.dataset,
        OPENED_TAG: time_text(),
    }  # fmt: skip
    known = parent.data.params
    described = any(key.startswith(_OLD_PARAMS) for key in known)
    new = {} if described else {k: v for k, v in description.params.items() if k not in known}
    # The tags first: they make a run that is killed here the study's.
    client.log_in_batches(run_id, tags=tags)
    client.log_in_batches(run_id, params=new)
    files = {
        DEFINITION_FILE: json.dumps(dict(description.definition), indent=2, default=str),
        ENVIRONMENT_FILE: environment_text(),
    }
    client.write_artifacts(parent.info.artifact_uri, files)
    # The name of a study that was reported says who won: it stays.
    named = (parent.info.run_name or "").startswith(description.study)
    client.update_run(run_id, status="RUNNING", name=None if named else description.study)


def _check_model_files(client: Client, experiment: str) -> None:
    """Writes where MLflow will keep the registered model: a report should not find out at its end.

    Raises:
        TrackingError: It cannot be written.
    """
    folder = f"{client.get_experiment(experiment).artifact_location.rstrip('/')}/models"
    _check_place(client, folder, "the report will keep its model")


def check_report_files(client: Client, run_id: str) -> None:
    """Writes for a moment where a report keeps its files, before it trains and locks anything.

    Raises:
        TrackingError: One of these places cannot be written; the message says which.
    """
    info = client.get_run(run_id).info
    _check_place(client, info.artifact_uri, "the report keeps its files")
    _check_model_files(client, info.experiment_id)


def _check_place(client: Client, folder: str, what: str) -> None:
    writing = client.doing(f"write in {masked(folder)}, where {what}")
    writing.write_artifacts(folder, {_PROBE_FILE: ""})
    with suppress(TrackingError):  # a store may let nobody delete
        writing.delete_artifact(folder, _PROBE_FILE)


def _replace_parent(client: Client, parent: Run, other: Run, children: Sequence[Run]) -> None:
    """Makes ``parent`` the parent in place of ``other``; may be repeated after an interruption."""
    new, old = parent.info.run_id, other.info.run_id
    if LOCK_TAG not in parent.data.tags:
        found = {
            name: client.read_artifact(other.info.artifact_uri, name)
            for name in _carried_files(client, other)
        }
        files = {name: content for name, content in found.items() if content is not None}
        if files:
            client.write_artifacts(parent.info.artifact_uri, files)
    have = parent.data.tags
    tags = {k: v for k, v in other.data.tags.items() if k in CARRIED_TAGS and k not in have}
    values = {k: v for k, v in other.data.metrics.items() if k not in parent.data.metrics}
    reads = int(other.data.tags.get("test_reads", 0))
    client.log_in_batches(new, points(values, step=reads), tags)
    for child in children:
        if child.data.tags.get(PARENT_TAG) == old:
            client.set_tag(child.info.run_id, PARENT_TAG, new)
    client.log_in_batches(old, tags={CONTINUED_TAG: new, "role": "continued"})
    if other.info.status == "RUNNING":
        client.set_terminated(old, status="KILLED")


def _carried_files(client: Client, run: Run) -> list[str]:
    """Returns which of a run's files its successor needs to know what was chosen and reported."""
    address = run.info.artifact_uri
    chosen = [
        name
        for name in client.artifact_names(address)
        if name in CARRIED_FILES or re.fullmatch(r"selection.*\.json", name)
    ]
    return [*chosen, *client.artifact_names(address, folder="report")]


def dataset_input(
    dataset: str, split_id: str, source: str, sizes: Mapping[str, int]
) -> DatasetInput:
    """Returns a dataset as MLflow's input of a run; the split's hash begins with its digest.

    Args:
        dataset: Its name.
        split_id: Hash of the split.
        source: File or address the data came from; empty where there is none.
        sizes: Part -> number of examples.
    """
    data = Dataset(
        name=dataset,
        digest=split_id[:_MAX_DIGEST],
        source_type="http" if source.startswith("http") else "local",
        source=json.dumps({"uri": source or dataset}),
        profile=json.dumps(dict(sizes)),
    )
    return DatasetInput(data, [InputTag("mlflow.data.context", "search")])


def _origin() -> dict[str, str]:
    """Returns tags that say who ran what: user, command, versions, git commit if there is one."""
    tags = {"mlflow.source.name": "pipeline search", "mlflow.source.type": "LOCAL"}
    tags["versions"] = ", ".join(environment_text().split("\n")[:4])
    try:
        tags["mlflow.user"] = getpass.getuser()
    except (KeyError, OSError):  # a container may run under an id without a name
        tags["mlflow.user"] = "unknown"
    if commit := git_commit(Path(__file__).parent):
        tags["mlflow.source.git.commit"] = commit
    return tags


def environment_text() -> str:
    """Returns Python's and the key packages' versions and the platform, a line each."""
    lines = [f"python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return "\n".join([*lines, f"platform {platform.platform()}"]) + "\n"


def git_commit(folder: Path) -> str | None:
    """Returns the commit of the repository that tracks this folder; ``-dirty`` where it differs.

    None outside a repository, for files that are not tracked (an installed package inside
    somebody's repository) and without git.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None
