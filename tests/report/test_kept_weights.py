"""A report on a study that does not keep the weights of every model that it would measure."""

from pathlib import Path

import pytest
from mlflow.artifacts import download_artifacts

from pipeline.errors import InputError
from pipeline.report.render.json import as_json


@pytest.fixture
def drop_weights(scripted_study):
    """Deletes the weights of a trial, as the search does where it may not win."""

    def drop(trial):
        store = scripted_study.store
        uri = store.get_run(trial.mlflow_run_id).info.artifact_uri
        (Path(download_artifacts(uri, tracking_uri=store.tracking_uri)) / "weights.npz").unlink()

    return drop


def test_a_compared_model_without_weights_is_a_note(scripted_study, drop_weights):
    (baseline,) = (t for t in scripted_study.record.trials if t.name == "baseline")
    drop_weights(baseline)
    report, said = scripted_study.report(seeds=1)
    assert baseline.mlflow_run_id not in scripted_study.restored
    assert report.selection.winner in report.tested
    assert baseline.number not in report.tested
    assert f"restoring {len(report.tested)} models and checking them on validation" in said
    note = f"trial {baseline.number} is not measured on the test part: its weights were not kept"
    assert report.selection.notes[-1] == note
    again, _ = scripted_study.report()
    assert as_json(again) == as_json(report)
    run_id = scripted_study.record.run_id
    assert note in scripted_study.store.read_file(run_id, "report/report.json").decode()
    # It is locked without it, and another reading says the same.
    forced, _ = scripted_study.report(seeds=1, read_test_again=True)
    assert forced.selection.notes[-1] == note and forced.test.reads == 2


def test_a_winner_without_weights_locks_nothing_and_is_told_what_helps(
    scripted_study, drop_weights
):
    asked = {"rule": "best_val", "constants": {"tau": 0.5}}
    winner = scripted_study.report(**asked, seeds=1, read_test_again=True)[0].winner
    store, run_id = scripted_study.store, scripted_study.record.run_id
    store.delete_tag(run_id, "selection_locked")
    drop_weights(winner)
    with pytest.raises(InputError) as caught:
        scripted_study.report(**asked, seeds=1)
    assert str(caught.value) == (
        f"the rule 'best_val' chooses trial {winner.number}, whose weights were not kept: a search "
        "keeps those that the rule 'least_overfit' may choose with its default constants. Report "
        "with --seeds 2 or more, which trains the choice again; nothing was locked"
    )
    assert store.tag(run_id, "selection_locked") is None
    assert len(scripted_study.locks) == 1
    report, _ = scripted_study.report(**asked, seeds=2, finalists=2)
    assert report.test is not None and report.selection.status == "ok"
