"""Which models a report restores and measures on the test part beside the winner."""

from dataclasses import replace

from pipeline import tracking


def baseline_run(scripted_study):
    (baseline,) = (t for t in scripted_study.record.trials if t.name == "baseline")
    return baseline.mlflow_run_id


def test_the_baseline_is_measured_on_the_test_part(scripted_study):
    report, _ = scripted_study.report(seeds=1)
    assert baseline_run(scripted_study) in scripted_study.restored
    assert report.baseline.number in report.tested


def test_a_baseline_that_diverged_is_not_restored(scripted_study, monkeypatch):
    """Its weights could not reproduce a cross-entropy that is no number."""
    run_id, read = baseline_run(scripted_study), tracking.Tracking.read_study

    def read_diverged(store, **wanted):
        study = read(store, **wanted)
        trials = [
            replace(t, measurement=replace(t.measurement, val_ce=float("nan")))
            if t.name == "baseline"
            else t
            for t in study.trials
        ]
        return replace(study, trials=tuple(trials))

    monkeypatch.setattr(tracking.Tracking, "read_study", read_diverged)
    report, _ = scripted_study.report(seeds=1)
    assert run_id not in scripted_study.restored
    assert report.selection.winner in report.tested
