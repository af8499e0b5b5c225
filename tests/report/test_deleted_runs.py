"""What was deleted in MLflow is told with the command that brings it back."""

import pytest

from pipeline.errors import InputError
from pipeline.report.render import render

QUICK = {"seeds": 1}


def test_a_deleted_study_is_no_study_that_was_never_there(scripted_study):
    store, run_id = scripted_study.store, scripted_study.record.run_id
    store.delete_run(run_id)
    for asked in ({"study": "digits"}, {"study": None, "dataset": "digits"}, {"study": None}):
        with pytest.raises(InputError) as caught:
            scripted_study.report(**QUICK, **asked)
        assert str(caught.value) == (
            f"study 'digits' was deleted in MLflow at {store.address}: bring it back with `mlflow "
            f"runs restore --run-id {run_id}`"
        )
    with pytest.raises(InputError, match=r"^there is no study 'other' in sqlite"):
        scripted_study.report(study="other")
    store.restore_run(run_id)
    assert scripted_study.report(**QUICK)[0].test is not None


def test_a_deleted_experiment_is_named(scripted_study):
    store, run_id = scripted_study.store, scripted_study.record.run_id
    experiment = store.get_run(run_id).info.experiment_id
    store.delete_experiment(experiment)
    with pytest.raises(InputError) as caught:
        scripted_study.report(**QUICK)
    assert str(caught.value) == (
        "study 'digits' is in experiment 'least-overfit', which was deleted in MLflow at "
        f"{store.address}: bring it back with `mlflow experiments restore --experiment-id "
        f"{experiment}`"
    )
    store.restore_experiment(experiment)
    assert scripted_study.report(**QUICK)[0].test is not None


@pytest.mark.parametrize("reported", [False, True])
def test_trials_that_were_deleted_are_told_by_every_format(reported, scripted_study):
    if reported:
        scripted_study.report(**QUICK)
    trials = scripted_study.record.trials
    for trial in trials[4:]:
        scripted_study.store.delete_run(trial.mlflow_run_id)
    report, _ = scripted_study.report(**QUICK)
    (told,) = [note for note in report.selection.notes if "deleted" in note]
    assert told.startswith(
        "2 runs of this study (of trial 4, 5) missing here, deleted in MLflow: bring back with "
        "`mlflow runs restore --run-id "
    )
    assert told.endswith("` and so on")
    for page in ("text", "markdown", "html", "json"):
        assert "missing here, deleted in MLflow" in " ".join(render(report, page).split()), page


def test_a_search_on_a_study_whose_runs_were_deleted_is_refused(scripted_study):
    scripted_study.store.delete_run(scripted_study.record.run_id)
    with pytest.raises(InputError, match="or restore its deleted runs"):
        scripted_study.search(trials=7)
