"""A project folder that was moved or copied: reports and searches go on in the new place."""

import os
import shutil
from pathlib import Path

import pytest
from told_lines import Notes

from pipeline import tracking
from pipeline.errors import TrackingError
from pipeline.report.options import ReportOptions
from pipeline.report.render.json import as_json
from pipeline.report.run import make_report
from pipeline.search import executors
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.run import run_search


@pytest.fixture
def moved(scripted_study, monkeypatch):
    """Moves the working folder; returns the new one and what was said by what followed."""

    def move(name="new place", how=os.rename):
        old = Path.cwd()
        new = old.parent / f"{old.name} {name}"
        how(old, new)
        monkeypatch.chdir(new)
        made = [*executors.__path__, str(new / "executors")]
        monkeypatch.setattr(executors, "__path__", made)
        return old, new

    return move


def report(**options):
    said = []
    asked = {"study": "digits", "seeds": 1} | options
    return make_report(ReportOptions(**asked), said.append), said


def test_moved_after_the_search_it_is_reported_in_the_new_place(scripted_study, moved):
    old, new = moved()
    made, said = report()
    assert said[0] == (
        f"the folder of MLflow's store was moved here from {old}: its paths now lead here"
    )
    assert made.selection.status == "ok"
    assert made.test is not None
    assert not old.exists()
    assert (new / "mlartifacts" / "least-overfit" / made.study.run_id).is_dir()


def test_moved_after_the_report_it_is_shown_again_and_the_search_continues(scripted_study, moved):
    first, _ = report()
    old, _ = moved()
    again, said = report()
    assert as_json(again) == as_json(first)
    assert len(said) == 1
    chosen = SearchOptions(search_space="small.yaml", executor="scripted", trials=7)
    record = run_search(chosen, prepare(chosen), Notes())
    assert [trial.state for trial in record.trials] == ["COMPLETE"] * 7
    assert not old.exists()
    assert report()[1] == [], "it is told once"


def test_a_copy_writes_nothing_into_the_original(scripted_study, moved):
    old, new = moved(how=shutil.copytree)
    before = {path: path.stat().st_mtime_ns for path in old.rglob("*")}
    report()
    assert {path: path.stat().st_mtime_ns for path in old.rglob("*")} == before
    assert list((new / "mlartifacts").rglob("report.json"))


def test_files_that_were_left_behind_are_named_with_their_old_path(scripted_study, moved):
    old, new = moved()
    shutil.rmtree(new / "mlartifacts")
    chosen = SearchOptions(search_space="small.yaml", executor="scripted", trials=7)
    for begin in (report, lambda: run_search(chosen, prepare(chosen), Notes())):
        with pytest.raises(TrackingError) as caught:
            begin()
        assert str(caught.value) == (
            f"the files of study 'digits' are no longer in {old}/mlartifacts/least-overfit, where "
            f"MLflow at sqlite:///{new}/mlflow.db has them: move them back, or move the whole "
            "folder, mlflow.db and the files beside it"
        )
    assert not old.exists()


def test_a_store_whose_files_lie_elsewhere_on_purpose_is_left_alone(scripted_study, moved):
    """The database alone was copied; the files of its runs are where they were."""
    before = tracking.connect().get_run(scripted_study.record.run_id).info.artifact_uri

    def copy_database(old, new):
        new.mkdir()
        shutil.copy(old / "mlflow.db", new)
        (new / "mlartifacts" / "least-overfit").mkdir(parents=True)

    moved(how=copy_database)
    store = tracking.connect()
    assert store.moved_from is None
    assert store.get_run(scripted_study.record.run_id).info.artifact_uri == before


def test_a_link_to_the_folder_is_no_move(scripted_study, moved):
    _, _ = moved(how=lambda old, new: new.symlink_to(old))
    assert tracking.connect().moved_from is None
