"""A run of a study, read back with all that is needed to train it again."""

import pytest
from mlflow import MlflowClient
from tracking_samples import EVERY_FIELD, complete, measured

from pipeline.errors import InputError
from pipeline.records import TrialConfig
from pipeline.tracking.reproducible_run import read_reproducible_runs


def read_reproducible_run(run_id, tracking_uri):
    (found,) = read_reproducible_runs(run_id, tracking_uri)
    return found


SEED = {"seed": "1234567890"}


@pytest.fixture
def study(open_study):
    run = open_study("first", "digits", seed=3, source="digits", precision="float32")
    run.trial_started(0, None, EVERY_FIELD, SEED)
    run.trial_finished(complete(0))
    run.trial_started(1, "baseline", TrialConfig(), {"seed": "2"})
    run.trial_finished(complete(1))
    run.ids = list(run.run_ids([0, 1]).values())
    run.study_finished()
    return run


def test_a_trial_reads_back(study, store_uri):
    found = read_reproducible_run(study.ids[0], store_uri)
    assert (found.run_id, found.study, found.seed) == (study.ids[0], "first", 1234567890)
    assert (found.trial.config, found.trial.measurement) == (EVERY_FIELD, measured())
    assert found.trial.curves["val_ce"] == (1.1, 0.7, 1 / 3)
    assert found.definition == {"seed": 3, "source": "digits", "precision": "float32"}
    assert (found.device, found.versions) == ("cpu", "")


def test_other_versions_are_told(study, store_uri):
    MlflowClient(store_uri).set_tag(study.run_id, "versions", "python 3.9, keras 2")
    assert read_reproducible_run(study.ids[0], store_uri).versions == "python 3.9, keras 2"


def test_a_study_stands_for_what_it_delivered(study, store_uri):
    client = MlflowClient(store_uri)
    with pytest.raises(InputError, match="is study 'first', which has no winner yet"):
        read_reproducible_run(study.run_id, store_uri)
    client.set_tag(study.run_id, "winner", "1")
    assert read_reproducible_run(study.run_id, store_uri).run_id == study.ids[1]
    client.set_tag(study.ids[0], "role", "finalist")
    client.set_tag(study.run_id, "delivered_run", study.ids[0])
    assert read_reproducible_run(study.run_id, store_uri).run_id == study.ids[0]
    # Of an ensemble each of its seeds.
    client.set_tag(study.run_id, "delivered_run", ",".join(study.ids))
    found = read_reproducible_runs(study.run_id, store_uri)
    assert [one.run_id for one in found] == study.ids


def test_what_cannot_be_trained_again_is_told(study, store_uri, tmp_path):
    client = MlflowClient(store_uri)
    with pytest.raises(InputError, match="there is no run 'abc' in sqlite:///"):
        read_reproducible_run("abc", store_uri)
    other = client.create_run("0", run_name="mine")
    with pytest.raises(InputError, match=r"\('mine'\) is no trial, finalist or study"):
        read_reproducible_run(other.info.run_id, store_uri)
    client.delete_tag(study.ids[0], "seed")
    with pytest.raises(InputError, match="has no tag 'seed'"):
        read_reproducible_run(study.ids[0], store_uri)
    with pytest.raises(InputError, match="there is no MLflow store"):
        read_reproducible_run("abc", f"sqlite:///{tmp_path / 'nowhere.db'}")
    assert not (tmp_path / "nowhere.db").exists()
