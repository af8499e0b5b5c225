"""The tag ``cohort``: what a trial trained with at last; no number is used twice in a study."""

import shutil
import sys

import pytest
from scripted_trainer import write_executor
from told_lines import Notes

from pipeline import tracking
from pipeline.search import executors
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.run import run_search

SPACE = """
family: mlp
trials: 4
epochs: 2
patience: 2
fixed: {depth: 1, width: 16}
search:
  dropout_rate: {low: 0.0, high: 0.7}
"""
SCRIPTS = {"scripted": {}, "poisoned": {"poison": (1,)}}


@pytest.fixture
def tags(migrated, tmp_path, monkeypatch):
    """Runs a search in cohorts of up to four; returns the cohorts of all trials, by number."""
    shutil.copy(migrated, tmp_path / "mlflow.db")
    (tmp_path / "space.yaml").write_text(SPACE)
    scripts = tmp_path / "executors"
    scripts.mkdir()
    for name, arguments in SCRIPTS.items():
        write_executor(scripts, name, **arguments)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_DATA_DIR", raising=False)
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(scripts)])

    def search(**options):
        asked = {"search_space": "space.yaml", "executor": "scripted", "cohort_size": 4} | options
        chosen = SearchOptions(**asked)
        run_search(chosen, prepare(chosen), Notes())
        store = tracking.connect()
        trials = store.read_study(study="digits").trials
        found = {t.number: store.get_run(t.mlflow_run_id).data.tags for t in trials}
        return {number: int(its["cohort"]) for number, its in found.items()}

    yield search
    for name in SCRIPTS:
        sys.modules.pop(f"pipeline.search.executors.{name}", None)


def test_trials_of_a_cohort_share_its_number(tags):
    assert tags(trials=6) == {0: 0, 1: 0, 2: 0, 3: 0, 4: 1, 5: 1}


def test_a_trial_that_is_tried_again_names_the_cohort_that_it_ended_in(tags):
    assert tags(executor="poisoned") == {0: 1, 1: 2, 2: 3, 3: 4}


def test_numbers_go_on_where_the_command_before_ended(tags):
    assert tags(trials=4) == {0: 0, 1: 0, 2: 0, 3: 0}
    assert tags(trials=8) == {0: 0, 1: 0, 2: 0, 3: 0, 4: 1, 5: 1, 6: 1, 7: 1}


def test_a_number_that_a_failed_cohort_had_is_not_given_again(tags):
    assert max(tags(executor="poisoned").values()) == 4
    more = tags(trials=6)
    assert {more[4], more[5]} == {5}
