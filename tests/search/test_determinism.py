"""The same command gives the same study: its trials, their numbers, its winner.

With one worker all of it is the same. With several, what does not depend on which cohort ends first
is: references and finalists. What is suggested and what is pruned does depend on it.
"""

import shutil
import sys

import pytest
from scripted_trainer import write_executor
from told_lines import Notes

from pipeline import tracking
from pipeline.datasets import load
from pipeline.records import DatasetSpec
from pipeline.report.finalists import setup_of, train
from pipeline.search import executors
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.run import run_search
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select
from pipeline.selection.shortlist import finalist_trainings

SPACE = """
family: mlp
trials: 14
epochs: 12
patience: 12
fixed: {width: 16}
search:
  depth: {low: 1, high: 2}
  dropout_rate: {low: 0.0, high: 0.7}
references:
  baseline: {depth: 1}
  light: {depth: 1, dropout_rate: 0.01}
  gentle: {depth: 1, dropout_rate: 0.02}
  strong: {depth: 2, dropout_rate: 0.6}
"""
REFERENCES = ("baseline", "light", "gentle", "strong")
TINY = SPACE.replace("epochs: 12", "epochs: 3").replace("trials: 14", "trials: 8")
WORKERS_FILE = """
from scripted_trainer import Script
from pipeline.search.executors.processes import ProcessesExecutor


class Scripted(ProcessesExecutor):
    def __init__(self, opener, workers=1):
        super().__init__(Script(epoch_seconds={seconds}), workers)


EXECUTOR = Scripted
"""


@pytest.fixture
def folder(migrated, tmp_path, monkeypatch):
    """The working folder: two spaces, and executors that train by a script."""
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "tiny.yaml").write_text(TINY)
    scripts = tmp_path / "executors"
    scripts.mkdir()
    write_executor(scripts, "scripted", hopeless=(9, 12))
    for name, seconds in (("prompt", 0.0), ("slow", 0.01)):
        (scripts / f"{name}.py").write_text(WORKERS_FILE.replace("{seconds}", str(seconds)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_DATA_DIR", raising=False)
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(scripts)])
    yield tmp_path
    for name in ("scripted", "prompt", "slow"):
        sys.modules.pop(f"pipeline.search.executors.{name}", None)


@pytest.fixture
def searched(folder, migrated, monkeypatch):
    """Runs a search in a folder of its own, as on a machine that has never seen it."""

    def search(place, **options):
        own = folder / place
        own.mkdir()
        shutil.copy(migrated, own / "mlflow.db")
        monkeypatch.chdir(own)
        asked = {"search_space": str(folder / "space.yaml"), "executor": "scripted"} | options
        chosen = SearchOptions(**asked)
        return run_search(chosen, prepare(chosen), Notes())

    return search


def numbers(record, names=None):
    """Returns all that trials gave, spelled to the last digit; of these references alone."""
    return [
        repr((t.number, t.name, t.state, t.config, t.measurement, dict(t.curves)))
        for t in record.trials
        if names is None or t.name in names
    ]


def choice(record):
    """Returns what the default rule makes of it."""
    chosen = select(record, RuleSettings())
    return chosen.winner, chosen.reference, chosen.eligible


def test_the_same_command_twice_gives_the_same_trials_and_the_same_winner(searched):
    one, two = (searched(place) for place in ("one", "two"))
    assert len(one.trials) == 14
    assert {trial.state for trial in one.trials} == {"COMPLETE", "PRUNED"}
    assert numbers(one) == numbers(two)
    assert choice(one) == choice(two)
    other = searched("other", seed=1, trials=4)
    assert numbers(one)[:4] != numbers(other)


def test_references_are_the_same_whatever_the_number_of_workers(searched):
    alone = searched("alone", executor="prompt", workers=1, trials=10)
    company = searched("company", executor="slow", workers=2, trials=10)
    assert len(alone.trials) == len(company.trials) == 10
    expected = numbers(alone, REFERENCES)
    assert len(expected) == 4
    assert numbers(company, REFERENCES) == expected


def test_finalists_and_their_order_are_the_same_whatever_the_number_of_workers(searched):
    spec, found = DatasetSpec("digits"), []
    for place, executor, workers in (("alone", "prompt", 1), ("company", "slow", 2)):
        record = searched(place, executor=executor, workers=workers, trials=4)
        store, study = tracking.connect(), tracking.connect().read_study(study="digits")
        keys = finalist_trainings(study, select(study, RuleSettings(seeds=2, finalists=3)))
        train(store, study, keys, setup_of(store, study, load(spec), spec), lambda said: None)
        trained = store.read_finalists(study).trained
        found.append((choice(record), keys, [repr(trained[key].measurement) for key in keys]))
    assert found[0] == found[1]
    assert len(found[0][1]) == 6 and len(set(found[0][2])) == 6


@pytest.mark.slow
def test_networks_train_to_the_same_numbers_in_searches_of_their_own(folder, searched):
    real = {"search_space": str(folder / "tiny.yaml"), "executor": "processes"}
    real |= {"train_examples": 300, "device": "cpu"}
    one, two = (searched(place, **real) for place in ("one", "two"))
    assert [trial.state for trial in one.trials] == ["COMPLETE"] * 8
    assert numbers(one) == numbers(two)
    assert choice(one) == choice(two)
    # Two workers share the cores: sums over threads are added up in another order.
    company = searched("company", **real, workers=2)
    named = [
        {trial.name: trial for trial in record.trials if trial.name} for record in (one, company)
    ]
    assert set(named[0]) == set(REFERENCES)
    for name, trial in named[0].items():
        assert named[1][name].config == trial.config
        for curve, values in trial.curves.items():
            assert named[1][name].curves[curve] == pytest.approx(values, rel=1e-4, abs=1e-6)
