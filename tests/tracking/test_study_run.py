import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from tracking_samples import CHANCE, EVERY_FIELD, complete, measured

from pipeline.errors import InputError, TrackingError
from pipeline.records import TrialConfig, TrialOutcome
from pipeline.tracking import connect, study_run


def client_of(tracking):
    return MlflowClient(tracking.tracking_uri)


def run_of(tracking, run_id):
    return client_of(tracking).get_run(run_id)


def files_of(tracking, run_id):
    return {entry.path for entry in client_of(tracking).list_artifacts(run_id)}


def test_a_study_reads_back_exactly(tracking, open_study):
    run = open_study(epochs=5, space={"depth": [1, 2]})
    run.trial_started(0, "baseline", EVERY_FIELD, {"cohort": 0})
    run.trial_started(1, None, TrialConfig())
    run.trial_finished(complete(0, measurement=measured(ece=0.1 + 0.2, diverged=True)))
    run.trial_finished(complete(1, curves={}))
    run.study_finished()
    record = tracking.read_study("first")
    assert (record.study, record.dataset, record.split_id) == ("first", "digits", "a1" * 32)
    assert record.run_id == run.run_id
    assert record.chance == CHANCE
    assert record.definition == {"epochs": 5, "space": {"depth": [1, 2]}}
    first, second = record.trials
    assert (first.number, first.name, second.number, second.name) == (0, "baseline", 1, None)
    assert (first.config, second.config) == (EVERY_FIELD, TrialConfig())
    assert first.measurement == measured(ece=0.1 + 0.2, diverged=True)
    assert first.curves == complete(0).curves
    np.testing.assert_array_equal(first.validation.nll, complete(0).validation.nll)
    assert (first.seconds, first.state, first.split_id) == (12.75, "COMPLETE", "a1" * 32)


def test_doubles_survive_the_database_bit_for_bit(tracking, open_study):
    run = open_study()
    values = np.random.default_rng(0).random((60, 8)).tolist()
    values += [[math.nan, math.inf, -math.inf, 5e-324, 1.7e308, -0.0, 1e-17, 0.1]]
    for number, eight in enumerate(values):
        run.trial_started(number, None, TrialConfig())
        names = ("val_ce", "val_accuracy", "train_ce", "train_accuracy", "gap_ce", "gap_ce_se")
        changes = dict(zip((*names, "gap_accuracy", "penalty"), eight, strict=True))
        run.trial_finished(complete(number, measurement=measured(**changes), validation=None))
    read = [trial.measurement for trial in tracking.read_study("first").trials]
    got = np.array([[m.val_ce, m.val_accuracy, m.train_ce, m.train_accuracy] for m in read])
    np.testing.assert_array_equal(got, np.array(values)[:, :4])
    rest = np.array([[m.gap_ce, m.gap_ce_se, m.gap_accuracy, m.penalty] for m in read])
    np.testing.assert_array_equal(rest, np.array(values)[:, 4:])
    assert not read[-1].finite


def test_runs_are_tagged_and_named_for_mlflows_table(tracking, open_study):
    run = open_study()
    run.trial_started(0, "dropout", TrialConfig(), {"cohort": 3})
    run.trial_started(1, None, TrialConfig())
    reference, searched = (run_of(tracking, run_id) for run_id in run.run_ids([0, 1]).values())
    assert (reference.info.run_name, searched.info.run_name) == ("dropout", "trial 1")
    expected = {
        "role": "trial", "study": "first", "dataset": "digits", "trial": "0", "name": "dropout",
        "cohort": "3", "mlflow.parentRunId": run.run_id,
    }  # fmt: skip
    assert expected.items() <= reference.data.tags.items()
    assert "name" not in searched.data.tags
    assert searched.data.params["max_norm"] == "null"
    run.trial_finished(complete(0), verdict="healthy")
    done = run_of(tracking, reference.info.run_id)
    expected = {"state": "COMPLETE", "device": "cpu", "diverged": "false", "verdict": "healthy"}
    assert expected.items() <= done.data.tags.items()
    assert done.info.status == "FINISHED"


def test_the_parent_says_what_was_asked_and_with_what(tracking, open_study):
    run = open_study(epochs=7)
    tracking.open_study("first", "digits", {"epochs": 7}, {}, {"epochs": "7"})
    run.log_files({"search_space.yaml": "depth: [1, 2]\n"})
    parent = run_of(tracking, run.run_id)
    assert parent.info.run_name == "first"
    assert parent.data.params == {"epochs": "7"}
    assert {"role": "study", "study": "first", "dataset": "digits", "device": "cpu"}.items() <= (
        parent.data.tags.items()
    )
    assert parent.data.tags["versions"].startswith("python 3.")
    assert parent.data.metrics == {}
    assert float(parent.data.tags["chance_ce"]) == CHANCE.ce
    opened = datetime.fromisoformat(parent.data.tags["opened_at"])
    assert abs((datetime.now(UTC) - opened).total_seconds()) < 60
    (entry,) = parent.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("digits", ("a1" * 32)[:36])
    assert files_of(tracking, run.run_id) == {
        "definition.json", "environment.txt", "search_space.yaml",
    }  # fmt: skip


def test_states_and_statuses(tracking, open_study):
    run = open_study()
    for number in range(4):
        run.trial_started(number, None, TrialConfig())
    run.trial_finished(replace(complete(0), state="PRUNED", validation=None))
    run.trial_finished(TrialOutcome(1, "FAIL", cause="out of memory"))
    run.trial_finished(TrialOutcome(2, "PRUNED", curves={"val_ce": (1.0,)}))
    trials = tracking.read_study("first").trials
    assert [trial.state for trial in trials] == ["PRUNED", "FAIL", "PRUNED", "RUNNING"]
    statuses = [run_of(tracking, trial.mlflow_run_id).info.status for trial in trials]
    assert statuses == ["FINISHED", "FAILED", "FINISHED", "RUNNING"]
    assert trials[0].measurement == measured()
    assert trials[1].cause == "out of memory"
    assert [trial.measurement for trial in trials[1:]] == [None, None, None]
    assert trials[2].curves == {"val_ce": (1.0,)}


def test_epochs_are_gathered_and_logged_under_epoch(tracking, open_study):
    run = open_study()
    run.trial_started(0, None, TrialConfig())
    run_id = run.run_ids([0])[0]
    for epoch, value in enumerate((1.5, math.nan, 1 / 3), start=1):
        run.trial_epochs(0, epoch, {"val_ce": value, "loss": 2.0})
    assert run_of(tracking, run_id).data.metrics == {}
    run.study_finished()
    history = client_of(tracking).get_metric_history(run_id, "epoch/val_ce")
    assert [point.step for point in history] == [1, 2, 3]
    np.testing.assert_array_equal([point.value for point in history], [1.5, math.nan, 1 / 3])
    run.trial_epochs(0, 4, {"val_ce": 0.25})
    run.trial_finished(complete(0))
    metrics = run_of(tracking, run_id).data.metrics
    assert (metrics["epoch/val_ce"], metrics["epoch/loss"]) == (0.25, 2.0)
    assert metrics["val_ce"] == measured().val_ce


def test_epochs_are_sent_when_they_are_old(tracking, open_study, monkeypatch):
    run = open_study()
    run.trial_started(0, None, TrialConfig())
    run_id = run.run_ids([0])[0]
    monkeypatch.setattr(study_run, "FLUSH_SECONDS", 0.0)
    run.trial_epochs(0, 1, {"val_ce": 0.5})
    assert run_of(tracking, run_id).data.metrics == {"epoch/val_ce": 0.5}


def test_more_points_than_one_batch_takes(tracking, open_study):
    run = open_study()
    run.trial_started(0, None, TrialConfig())
    run_id = run.run_ids([0])[0]
    for epoch in range(1, 301):
        run.trial_epochs(0, epoch, dict.fromkeys(("a", "b", "c", "d", "e"), 0.5))
    run.trial_finished(complete(0))
    assert len(client_of(tracking).get_metric_history(run_id, "epoch/e")) == 300


def test_curves_of_a_trial_that_left_no_file_come_from_mlflows_history(tracking, open_study):
    run = open_study()
    run.trial_started(0, None, TrialConfig())
    run.trial_epochs(0, 1, {"val_ce": 1 / 3})
    run.trial_epochs(0, 2, {"val_ce": 0.25})
    run.close_stale()
    (trial,) = tracking.read_study("first").trials
    assert trial.curves == {"val_ce": (1 / 3, 0.25)}


def damage(tracking, run_id, file):
    """Cuts the end of a run's file off, as a full disk does."""
    folder = Path(url2pathname(urlsplit(run_of(tracking, run_id).info.artifact_uri).path))
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])


def test_a_damaged_file_names_its_run_and_what_helps(tracking, open_study):
    run = open_study()
    for number in (0, 1):
        run.trial_started(number, None, TrialConfig())
        run.trial_finished(complete(number, weights=(np.ones(9),)), keep_weights=True)
    run.study_finished()
    damaged, other = (trial.mlflow_run_id for trial in tracking.read_study("first").trials)
    damage(tracking, damaged, "validation.npz")
    with pytest.raises(TrackingError) as caught:
        tracking.read_study("first")
    assert str(caught.value) == (
        f"validation.npz of run {damaged} cannot be read, it is damaged (File is not a zip file): "
        f"restore the file, or delete the run with `mlflow runs delete --run-id {damaged}`, and "
        "the study is read without it"
    )
    client_of(tracking).delete_run(damaged)
    assert [trial.mlflow_run_id for trial in tracking.read_study("first").trials] == [other]
    damage(tracking, other, "weights.npz")
    told = f"^weights.npz of run {other} cannot be read, it is damaged .*train its configuration"
    with pytest.raises(TrackingError, match=told):
        tracking.load_weights(other)


def test_more_children_than_a_page_of_mlflows_table(tracking, open_study):
    run = open_study()
    for number in range(120):
        run.trial_started(number, None, TrialConfig(depth=1 + number))
    record = tracking.read_study("first")
    assert [trial.number for trial in record.trials] == list(range(120))
    assert [trial.config.depth for trial in record.trials] == list(range(1, 121))


def test_pages_are_followed(tracking, open_study, fake_mlflow):
    def small_pages(call):
        return call.forward(**({"max_results": 2} if "max_results" in call.named else {}))

    fake_mlflow.handler = small_pages
    for name in ("one", "two", "three"):
        run = open_study(name)
        for number in range(5):
            run.trial_started(number, None, TrialConfig())
    assert len(tracking.read_study("two").trials) == 5


def test_weights_are_kept_read_and_dropped(tracking, open_study):
    run = open_study()
    run.trial_started(0, None, TrialConfig())
    run_id = run.run_ids([0])[0]
    weights = (np.arange(6, dtype=np.float64).reshape(2, 3) / 3, np.zeros(3, np.float32))
    run.trial_finished(replace(complete(0), weights=weights), keep_weights=True)
    assert run.kept_weights() == (0,)
    read = tracking.load_weights(run_id)
    assert [array.dtype for array in read] == [np.float32, np.float32]
    np.testing.assert_array_equal(read[0], weights[0].astype(np.float32))
    run.drop_weights(0)
    run.drop_weights(0)
    assert run.kept_weights() == ()
    assert "weights.npz" not in files_of(tracking, run_id)
    with pytest.raises(TrackingError, match=f"run {run_id} .* keeps no weights"):
        tracking.load_weights(run_id)


def test_a_new_process_knows_whose_weights_are_kept(tracking, open_study):
    run = open_study()
    for number in range(2):
        run.trial_started(number, None, TrialConfig())
        outcome = replace(complete(number), weights=(np.ones(3),))
        run.trial_finished(outcome, keep_weights=number == 1)
    again = open_study()
    assert again.kept_weights() == (1,)
    again.drop_weights(1)
    assert open_study().kept_weights() == ()


def test_stale_trials_become_failed(tracking, open_study):
    run = open_study()
    for number in range(3):
        run.trial_started(number, None, TrialConfig())
    run.trial_finished(complete(0))
    again = open_study()
    assert again.close_stale() == (1, 2)
    assert again.close_stale() == ()
    trials = tracking.read_study("first").trials
    assert [trial.state for trial in trials] == ["COMPLETE", "FAIL", "FAIL"]
    assert trials[1].cause == "the search was killed while it ran"
    assert run_of(tracking, trials[1].mlflow_run_id).info.status == "FAILED"


def test_a_trial_the_sampler_never_heard_of_is_stale_although_its_run_ended(tracking, open_study):
    run = open_study()
    run.trial_started(0, None, TrialConfig())
    run.trial_finished(complete(0))
    assert run.close_stale([0, 99], cause="killed") == (0,)
    (trial,) = tracking.read_study("first").trials
    assert (trial.state, trial.cause, trial.measurement, trial.validation) == (
        "FAIL",
        "killed",
        None,
        None,
    )


def test_runs_of_other_processes_are_left_alone_until_none_is_left(tracking, open_study):
    first = open_study()
    for number in range(3):
        first.trial_started(number, None, TrialConfig())
    first.trial_finished(replace(complete(0), weights=(np.ones(3),)), keep_weights=True)
    second = tracking.open_study("first", "digits", {"epochs": 5}, {}, shared=True)
    assert second.run_id == first.run_id
    # Made after the second one had looked, and never to be ended by the first.
    first.trial_started(3, None, TrialConfig())
    second.trial_started(4, None, TrialConfig())
    assert (second.close_stale(), second.kept_weights()) == ((4,), ())
    second.close_of_others([1, 3, 99])
    trials = {trial.number: trial for trial in tracking.read_study("first").trials}
    states = [trials[number].state for number in range(5)]
    assert states == ["COMPLETE", "FAIL", "RUNNING", "FAIL", "FAIL"]
    assert trials[3].cause == "the search was killed while it ran"
    second.take_whole()
    assert (second.close_stale(second.running), second.kept_weights()) == ((2,), (0,))
    second.drop_weights(0)
    assert open_study().kept_weights() == ()


def test_what_ended_elsewhere_and_has_no_run_that_did_is_lacking_unless_it_was_deleted(
    tracking, open_study
):
    run = open_study()
    for number in range(4):
        run.trial_started(number, None, TrialConfig())
    for number in range(3):
        run.trial_finished(complete(number))
    gone = run.run_ids([2])[2]
    tracking.delete_run(gone)
    read = open_study()
    assert read.lacks([0, 1]) == ()
    assert read.lacks([0, 1, 3]) == (3,), "its run has begun"
    assert read.lacks([0, 1, 2, 3, 4]) == (3, 4), "one was deleted, one was never begun"


def test_an_unknown_trial_is_named(open_study):
    with pytest.raises(
        TrackingError, match="study 'first' has no run for trial 7: call trial_started"
    ):
        open_study().trial_epochs(7, 1, {})


def test_starting_a_trial_again_takes_its_run(tracking, open_study):
    run = open_study()
    run.trial_started(0, None, TrialConfig())
    run_id = run.run_ids([0])[0]
    run.trial_finished(TrialOutcome(0, "FAIL", cause="its neighbour ran out of memory"))
    run.trial_started(0, None, TrialConfig(), {"cohort": 7})
    assert run.run_ids([0]) == {0: run_id}
    again = run_of(tracking, run_id)
    assert (again.info.status, again.data.tags["cohort"]) == ("RUNNING", "7")
    run.trial_finished(complete(0))
    (trial,) = tracking.read_study("first").trials
    assert (trial.state, trial.measurement) == ("COMPLETE", measured())


def test_no_run_is_active_and_the_environment_is_untouched(tracking, open_study):
    run = open_study()
    run.trial_started(0, None, TrialConfig())
    assert mlflow.active_run() is None
    assert not mlflow.is_tracking_uri_set()


def test_a_missing_study_lists_the_others(tracking, open_study):
    with pytest.raises(InputError, match=r"there is no study in .*: run `pipeline search` first"):
        tracking.read_study()
    open_study("reuters-20", "reuters")
    with pytest.raises(InputError) as raised:
        tracking.read_study("reuters-02")
    assert "there is no study 'reuters-02' in" in str(raised.value)
    assert "(did you mean 'reuters-20'?); there are: reuters-20 (dataset reuters)" in str(
        raised.value
    )
    with pytest.raises(InputError, match="no study of dataset 'digits'"):
        tracking.read_study(dataset="digits")


def test_the_study_opened_last_is_read(tracking, open_study):
    open_study("a", "digits")
    open_study("b", "digits")
    open_study("c", "reuters")
    assert tracking.read_study(dataset="digits").study == "b"
    open_study("a", "digits")
    assert tracking.read_study(dataset="digits").study == "a"
    assert tracking.read_study().study == "a"


def test_a_study_without_a_split_has_a_chance_level_that_nothing_beats(tracking):
    tracking.open_study("empty", "digits", {}, {})
    record = tracking.read_study("empty")
    assert record.trials == ()
    assert math.isnan(record.chance.ce)


def test_nothing_of_a_new_store_is_written_outside_its_folder(tmp_path, monkeypatch, migrated):
    import shutil

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("an old file store")
    shutil.copy(migrated, tmp_path / "mlflow.db")
    tracking = connect()
    assert tracking.tracking_uri == f"sqlite:///{tmp_path / 'mlflow.db'}"
    run = tracking.open_study("here", "digits", {}, {})
    uri = run_of(tracking, run.run_id).info.artifact_uri
    assert uri.startswith((tmp_path / "mlartifacts" / "least-overfit").as_uri())
    assert Path(tmp_path / "mlartifacts").is_dir()


def test_the_epochs_of_an_attempt_that_was_cut_off_are_kept(tracking, open_study):
    run = open_study()
    for epochs in ((1, 2), (3,)):
        run.trial_started(0, None, TrialConfig())
        for epoch in epochs:
            run.trial_epochs(0, epoch, {"val_ce": 1 / epoch})
    run.trial_finished(complete(0))
    history = client_of(tracking).get_metric_history(run.run_ids([0])[0], "epoch/val_ce")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]


def test_a_study_is_not_ended_while_results_are_missing_and_goes_on_again(tracking, open_study):
    run = open_study()
    run.missing = (1,)
    run.study_finished()
    assert run_of(tracking, run.run_id).info.status == "RUNNING"
    run.missing = ()
    run.study_finished()
    assert run_of(tracking, run.run_id).info.status == "FINISHED"
    run.set_running()
    assert run_of(tracking, run.run_id).info.status == "RUNNING"
