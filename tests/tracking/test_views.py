"""What a reader asks MLflow's page: by filter, and by the views that an experiment offers."""

import base64
import json
import re
import zlib
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from tracking_samples import complete

from pipeline.records import TrialConfig
from pipeline.tracking.views import (
    KIND,
    KIND_TAG,
    MADE_AT,
    VIEW_TAG,
    View,
    as_tag,
    charts,
    offer_views,
    tried,
    views,
)

VERDICTS = {0: "overfit", 1: "healthy", 2: "overfit"}


@pytest.fixture
def study(tracking, open_study):
    run = open_study()
    for number in VERDICTS:
        run.trial_started(number, None, TrialConfig(depth=number + 1))
        run.trial_finished(complete(number))
    run.study_finished()
    record = tracking.read_study("first")
    tracking.set_verdicts(record, VERDICTS)
    tracking.mark_winner(record, 1)
    return MlflowClient(tracking.tracking_uri), run


def found(client, run, condition):
    experiment = client.get_run(run.run_id).info.experiment_id
    runs = client.search_runs([experiment], condition, order_by=["tags.trial"])
    return [int(entry.data.tags["trial"]) for entry in runs if "trial" in entry.data.tags]


def test_verdict_and_winner_can_be_filtered(study):
    assert found(*study, "tags.verdict = 'overfit'") == [0, 2]
    assert found(*study, "tags.verdict = 'healthy' and tags.winner = 'true'") == [1]
    assert found(*study, "tags.role = 'trial' and params.depth = '3'") == [2]


def opened(tag):
    named = json.loads(tag)
    packed = named["state"].removeprefix("deflate;")
    return named["name"], json.loads(zlib.decompress(base64.b64decode(packed)))


def test_an_experiment_offers_views_whose_filters_and_columns_are_there(study):
    client, run = study
    experiment = client.get_run(run.run_id).info.experiment_id
    offer_views(client, experiment)
    tags = client.get_experiment(experiment).tags
    assert tags[KIND_TAG] == "custom_model_development"
    offered = dict(opened(tags[f"{VIEW_TAG}{key}"]) for key in views([]))
    trials = offered["Trials, best first"]
    assert found(client, run, trials["searchFilter"]) == [0, 1, 2]
    assert found(client, run, offered["Winners"]["searchFilter"]) == [1]
    winner = client.search_runs([experiment], offered["Winners"]["searchFilter"])[0].data
    known = {f"metrics.`{key}`" for key in winner.metrics} | {
        f"params.`{k}`" for k in winner.params
    }
    measured = [name for name in trials["selectedColumns"] if not name.startswith("tags.")]
    assert set(measured) <= known
    assert trials["orderByKey"] in known


def test_what_a_user_made_of_a_view_stays(study):
    client, run = study
    experiment = client.get_run(run.run_id).info.experiment_id
    key = f"{VIEW_TAG}{next(iter(views([])))}"
    client.set_experiment_tag(experiment, key, "mine")
    client.set_experiment_tag(experiment, KIND_TAG, "finetuning")
    offer_views(client, experiment)
    tags = client.get_experiment(experiment).tags
    assert (tags[key], tags[KIND_TAG]) == ("mine", "finetuning")


def test_a_view_of_an_older_version_is_replaced(study):
    client, run = study
    experiment = client.get_run(run.run_id).info.experiment_id
    key = f"{VIEW_TAG}{next(iter(views([])))}"
    before = client.get_experiment(experiment).tags[key]
    older = json.loads(before) | {"state": "deflate;older"}
    client.set_experiment_tag(experiment, key, json.dumps(older))
    offer_views(client, experiment)
    assert client.get_experiment(experiment).tags[key] == before
    touched = json.dumps(older | {"updatedAt": MADE_AT + 1})
    client.set_experiment_tag(experiment, key, touched)
    offer_views(client, experiment)
    assert client.get_experiment(experiment).tags[key] == touched


def test_views_of_trials_tell_studies_and_datasets_apart():
    for view in views([]).values():
        assert "tags.`dataset`" in view.columns
        assert "tags.`study`" in view.columns or view.name == "Studies"


def test_the_charts_of_a_view_answer_which_model_overfits_least(tracking, open_study):
    run = open_study()
    run.trial_started(0, None, TrialConfig())
    run.trial_epochs(0, 1, {"val_ce": 0.5, "train_ce": 0.25})
    run.trial_finished(complete(0))
    trial = tracking.get_run(run.run_ids([0])[0])
    shown = {chart["displayName"]: chart for chart in charts()}
    scatter = shown["gap against quality"]
    assert (scatter["xaxis"]["key"], scatter["yaxis"]["key"]) == ("val_ce", "gap_ce")
    curves = shown["validation and training cross-entropy"]["selectedMetricKeys"]
    assert curves == ["epoch/val_ce", "epoch/train_ce"]
    keys = {key for chart in shown.values() for key in chart.get("selectedMetricKeys", [])}
    keys |= {chart["metricKey"] for chart in shown.values() if "metricKey" in chart}
    assert keys <= set(trial.data.metrics)
    assert trial.data.metrics["epoch/gap_ce"] == 0.25


def test_the_installed_page_reads_these_tags_and_this_format():
    # The format is the page's own, not MLflow's interface: another version may drop it silently.
    folder = Path(mlflow.__file__).parent / "server" / "js" / "build" / "static" / "js"
    scripts = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.js"))
    state = json.loads(as_tag(View("a view", "", "", ())))["state"]
    assert state.startswith("deflate;")
    words = [f'"{VIEW_TAG}"', "viewStateShareKey", f'"{KIND_TAG}"', f'"{KIND}"', "deflate;"]
    assert [word for word in words if word not in scripts] == []
    _, fields = opened(as_tag(View("a view", "", "", ())))
    (section,) = fields["compareRunSections"]
    for known in (fields, section, *fields["compareRunCharts"]):
        assert [field for field in known if not re.search(rf"\b{field}\b", scripts)] == []
    kinds = {chart["type"] for chart in fields["compareRunCharts"]}
    assert [kind for kind in kinds if f'.{kind}="{kind}"' not in scripts] == []
    assert [
        word for word in ("workflowType", "machine_learning", "CHART") if word not in scripts
    ] == []
    assert 'get("workflowType")' in scripts


def test_a_technique_has_a_column_once_a_trial_used_it(tracking, open_study):
    run = open_study()
    run.trial_started(0, None, TrialConfig())
    run.trial_finished(complete(0))
    client = MlflowClient(tracking.tracking_uri)
    experiment = client.get_run(run.run_id).info.experiment_id
    assert tried(client, experiment)[:2] == ["regularizer", "lambda_l1"]
    assert "weight_decay" not in tried(client, experiment)
    run.trial_started(1, None, TrialConfig(weight_decay=0.1))
    run.trial_finished(complete(1))
    run.study_finished()
    assert "weight_decay" in tried(client, experiment)
