"""What MLflow's pages say after a report: of the study, its trials, its model, its experiment."""

import pytest


@pytest.fixture
def reported(scripted_study):
    """The store, the study's run and the report, after a first report."""
    report, _ = scripted_study.report(seeds=1)
    store = scripted_study.store
    return store, store.get_run(scripted_study.record.run_id), report


def test_a_studys_run_says_who_won_and_how_far_it_overfits(reported):
    _, run, report = reported
    judged = report.judged(report.selection.winner)
    winner = report.winner
    assert run.info.run_name.startswith(f"digits ★ {winner.name or f'trial {winner.number}'}, gap ")
    for name in ("val_ce", "val_accuracy", "train_ce", "gap_ce"):
        assert run.data.metrics[name] == getattr(judged, name)
    assert run.data.metrics["test_gap_ce"] == report.test.gap_ce
    assert run.data.tags["best_validation"] == str(report.best.number)


def test_winner_and_best_validation_trial_are_marked_by_name_and_tag(reported):
    store, run, report = reported
    trials = store.search_runs([run.info.experiment_id], "tags.role = 'trial'")
    marked = {
        mark: {int(t.data.tags["trial"]) for t in trials if mark in t.info.run_name}
        for mark in ("★", "▲")
    }
    assert marked == {"★": {report.winner.number}, "▲": {report.best.number}}
    (best,) = [t for t in trials if t.data.tags.get("best_validation") == "true"]
    assert int(best.data.tags["trial"]) == report.best.number
    (winner,) = [t for t in trials if t.data.tags.get("winner") == "true"]
    assert "Gap on new data" in winner.data.tags["mlflow.note.content"]


def test_the_version_says_how_good_it_is_and_leads_back(reported):
    store, run, report = reported
    name, version = report.model_uri.removeprefix("models:/").split("/")
    found = store.get_model_version(name, version)
    link = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert f"Trial {report.winner.number}" in found.description
    assert "Test accuracy" in found.description
    assert f"[digits]({link}), [report]({link}/artifacts/report/report.html)" in found.description
    assert (found.tags["study"], found.tags["study_run"]) == ("digits", run.info.run_id)


def test_the_experiment_names_winner_gap_and_best_validation_trial_in_its_first_line(reported):
    store, run, report = reported
    note = store.get_experiment(run.info.experiment_id).tags["mlflow.note.content"]
    first = note.split("\n")[0]
    assert first.startswith("[All trials](#/experiments/")
    assert f"**digits**: ★ trial {report.winner.number}, gap validation - training " in first
    same = report.best.number == report.winner.number
    assert "▲ best score: " + ("same" if same else f"trial {report.best.number}") in first


def test_a_study_that_goes_on_keeps_its_name(reported, scripted_study):
    store, run, _ = reported
    store.open_study("digits", "digits", scripted_study.record.definition, {})
    assert store.get_run(run.info.run_id).info.run_name == run.info.run_name
