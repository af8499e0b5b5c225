"""What a reader asks MLflow's page: by filter, and by the views that an experiment offers."""

import base64
import json
import zlib

import pytest
from mlflow import MlflowClient
from tracking_samples import complete

from pipeline.records import TrialConfig
from pipeline.tracking.views import KIND_TAG, VIEW_TAG, VIEWS, offer_views

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
    views = dict(opened(tags[f"{VIEW_TAG}{key}"]) for key in VIEWS)
    trials = views["Trials, best first"]
    assert found(client, run, trials["searchFilter"]) == [0, 1, 2]
    assert found(client, run, views["Winners"]["searchFilter"]) == [1]
    winner = client.search_runs([experiment], views["Winners"]["searchFilter"])[0].data
    known = {f"metrics.`{key}`" for key in winner.metrics} | {
        f"params.`{k}`" for k in winner.params
    }
    measured = [name for name in trials["selectedColumns"] if not name.startswith("tags.")]
    assert set(measured) <= known
    assert trials["orderByKey"] in known


def test_what_a_user_made_of_a_view_stays(study):
    client, run = study
    experiment = client.get_run(run.run_id).info.experiment_id
    key = f"{VIEW_TAG}{next(iter(VIEWS))}"
    client.set_experiment_tag(experiment, key, "mine")
    client.set_experiment_tag(experiment, KIND_TAG, "finetuning")
    offer_views(client, experiment)
    tags = client.get_experiment(experiment).tags
    assert (tags[key], tags[KIND_TAG]) == ("mine", "finetuning")
