"""Writes what a report found where people look in MLflow: runs, model version, experiment.

In: a parent run and a :class:`Finding`, texts and numbers. Out: metrics, names and descriptions;
that of a model's version leads to the study and to its report. It may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow.entities import Metric, Run
from mlflow.entities.model_registry import ModelVersion

from pipeline.errors import TrackingError
from pipeline.tracking.client import Client, error_code
from pipeline.tracking.codec import MODEL_TAG
from pipeline.tracking.delivery.message import now
from pipeline.tracking.experiment_page import NOTE_TAG, describe_experiment
from pipeline.tracking.queries import UNKNOWN, children_of, finalists_of

STAR, BEST = "\N{BLACK STAR} ", "\N{BLACK UP-POINTING TRIANGLE} "
"""Before the names of the winner and of the best-validation trial: seen at once among a hundred."""
BEST_TAG = "best_validation"
"""Tag of a parent run: the best-validation trial's number; of that trial's run: ``true``."""


@dataclass(frozen=True)
class Finding:
    """What a report found, in the words of its pages; texts are Markdown.

    Attributes:
        winner: Number of the trial that overfits least.
        best: Number of the best-validation trial; None where there is none.
        title: What is said of the winner behind the study's name, not Markdown.
        line: The same in a sentence that begins with the study's name, bold, and a colon.
        description: How good it is and how it overfits, several paragraphs.
        measures: Metric -> what the winner was judged by on validation.
    """

    winner: int
    best: int | None
    title: str
    line: str
    description: str
    measures: Mapping[str, float]


def publish(client: Client, run_id: str, finding: Finding) -> None:
    """Writes what a report found to the study's runs, the registered version and the experiment."""
    client = client.doing("say what the report found")
    parent = client.get_run(run_id)
    client.update_run(run_id, name=f"{parent.data.tags['study']} {finding.title}")
    if finding.best is not None:
        client.set_tag(run_id, BEST_TAG, str(finding.best))
    uri = parent.data.tags.get(MODEL_TAG)
    version = _version(client, uri) if uri else None
    # A database returns no version's ``model_id``; its source names the same model.
    source = version.source if version is not None else ""
    model_id = source.removeprefix("models:/") if source.startswith("models:/m-") else None
    # Of the run and of the registered model at once.
    stamp = now()
    metrics = [Metric(k, v, stamp, 0, model_id=model_id) for k, v in finding.measures.items()]
    client.log_batch(run_id, metrics=metrics)
    links = _links(parent, uri)
    trials = children_of(client, [parent])
    _name_trials(client, trials, finding)
    finalists = finalists_of(client, [parent])
    delivered = [run for run in finalists if run.data.tags.get("delivered") == "true"]
    for run in [*delivered, *(trials[n] for n in [finding.winner] if n in trials)]:
        client.set_tag(run.info.run_id, NOTE_TAG, f"{finding.description}\n\n{links}")
    if version is not None:
        _describe_version(client, version, parent, f"{finding.description}\n\n{links}")
    describe_experiment(client, parent.info.experiment_id, finding.line)


def _links(parent: Run, uri: str | None) -> str:
    info = parent.info
    run = f"#/experiments/{info.experiment_id}/runs/{info.run_id}"
    study = parent.data.tags["study"].replace("[", "(").replace("]", ")")
    model = f", model `{uri}`" if uri else ""
    return f"Study [{study}]({run}), [report]({run}/artifacts/report/report.html){model}."


def _name_trials(client: Client, trials: Mapping[int, Run], finding: Finding) -> None:
    """Marks the names of the winner and the best-validation trial, no other's."""
    for number, run in trials.items():
        tags, run_id = run.data.tags, run.info.run_id
        is_best = number == finding.best
        if is_best and BEST_TAG not in tags:
            client.set_tag(run_id, BEST_TAG, "true")
        elif not is_best and BEST_TAG in tags:
            client.delete_tag(run_id, BEST_TAG)
        name = run.info.run_name or ""
        marks = STAR * (number == finding.winner) + BEST * is_best
        wanted = marks + plain_name(name)
        if wanted != name:
            client.update_run(run_id, name=wanted)


def plain_name(name: str) -> str:
    """Returns a run's name without the marks of an earlier report."""
    for mark in (STAR, BEST):
        name = name.removeprefix(mark)
    return name


def _version(client: Client, uri: str) -> ModelVersion | None:
    """Returns a registered version; None where it is no longer there."""
    name, _, version = uri.removeprefix("models:/").rpartition("/")
    try:
        found: ModelVersion = client.get_model_version(name, version)
    except TrackingError as error:
        if error_code(error) not in UNKNOWN:
            raise
        return None
    return found


def _describe_version(client: Client, version: ModelVersion, parent: Run, text: str) -> None:
    """Gives a registered version its description, and tags that lead back to the study."""
    name, number = version.name, version.version
    client.update_model_version(name, number, description=text)
    tags = {"study": parent.data.tags["study"], "study_run": parent.info.run_id}
    tags |= {key: parent.data.tags[key] for key in ("dataset", "winner") if key in parent.data.tags}
    for key, value in tags.items():
        client.set_model_version_tag(name, number, key, value)
