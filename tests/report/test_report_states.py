"""What MLflow's list of runs shows after a report: no untagged run, no failed study."""

import pytest

from pipeline.errors import InputError

QUICK = {"seeds": 1}


@pytest.fixture
def run_of_mlflow(scripted_study, monkeypatch):
    """The run that ``mlflow run -e report`` makes before the command starts."""
    store = scripted_study.store
    experiment = store.get_run(scripted_study.record.run_id).info.experiment_id
    run = store.create_run(experiment)
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    return lambda: store.get_run(run.info.run_id)


def test_the_run_of_a_reports_entry_point_is_the_studys_child(scripted_study, run_of_mlflow):
    report, _ = scripted_study.report(**QUICK)
    run = run_of_mlflow()
    tags = {key: run.data.tags[key] for key in ("role", "study", "dataset", "mlflow.parentRunId")}
    assert tags == {
        "role": "report",
        "study": "digits",
        "dataset": "digits",
        "mlflow.parentRunId": report.study.run_id,
    }
    assert run.info.run_name == "report on digits"
    assert len(scripted_study.record.trials) == 6


def test_where_there_is_no_such_study_it_is_a_reports_all_the_same(scripted_study, run_of_mlflow):
    with pytest.raises(InputError, match="there is no study 'digit'"):
        scripted_study.report(study="digit")
    assert run_of_mlflow().data.tags["role"] == "report"


def test_a_run_of_another_store_is_left_alone(scripted_study, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123456789abcdef0123456789abcdef")
    report, _ = scripted_study.report(**QUICK)
    assert report.test is not None


@pytest.mark.parametrize("state", ["FAILED", "KILLED"])
def test_a_study_that_is_reported_well_does_not_stay_failed(state, scripted_study):
    run_id = scripted_study.record.run_id
    scripted_study.store.set_terminated(run_id, status=state)
    scripted_study.report(**QUICK)
    assert scripted_study.store.get_run(run_id).info.status == "FINISHED"
    # The same after a later search that failed: the locked report is shown again.
    scripted_study.store.set_terminated(run_id, status=state)
    scripted_study.report(**QUICK)
    assert scripted_study.store.get_run(run_id).info.status == "FINISHED"


def test_a_study_without_a_winner_stays_as_its_search_ended(scripted_study):
    scripted_study.search(study="hopeless", executor="hopeless", trials=2)
    run_id = scripted_study.store.read_study(study="hopeless").run_id
    scripted_study.store.set_terminated(run_id, status="FAILED")
    report, _ = scripted_study.report(study="hopeless", **QUICK)
    assert report.selection.status == "no_skill"
    assert scripted_study.store.get_run(run_id).info.status == "FAILED"


def test_one_trial_of_one_epoch_is_searched_and_reported(scripted_study):
    scripted_study.search(study="one", trials=1, epochs=1)
    report, _ = scripted_study.report(study="one", **QUICK)
    assert [trial.number for trial in report.study.trials] == [0]
    assert report.study.trials[0].measurement.epochs == 1
    assert (report.selection.status, report.selection.winner) == ("ok", 0)
    assert report.test is not None


def test_while_a_trial_trains_a_report_is_preliminary(scripted_study):
    trial = scripted_study.record.trials[3]
    scripted_study.store.update_run(trial.mlflow_run_id, status="RUNNING")
    report, _ = scripted_study.report(**QUICK)
    note = (
        "preliminary: trial 3 did not end, so nothing was locked and the test part was not read;"
        " run the same `pipeline search` again to finish the study"
    )
    assert note in report.selection.notes
    assert (report.test, scripted_study.locks, scripted_study.registered) == (None, [], [])
    assert scripted_study.store.read_selection(scripted_study.record.run_id) is None
    scripted_study.store.set_terminated(trial.mlflow_run_id, status="FINISHED")
    report, _ = scripted_study.report(**QUICK)
    assert report.test is not None
    assert note not in report.selection.notes
