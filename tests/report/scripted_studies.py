"""A folder with a store and a study whose trials follow a script, searched in a second, no Keras.

Reports on it train finalists by a script, too; what restores, registers and draws is stood in for.
"""

import json
import shutil
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from scripted_trainer import write_executor
from told_lines import Notes

from pipeline import tracking
from pipeline.datasets import SealedTest
from pipeline.report import completion, finalists, test_part
from pipeline.report import run as module
from pipeline.report.finalists import cohort_settings
from pipeline.report.options import ReportOptions, settings_for
from pipeline.report.render import render
from pipeline.report.run import make_report
from pipeline.search import executors
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.run import run_search
from pipeline.tracking.codec import MODEL_TAG
from pipeline.tracking.models.champion import CHAMPION

SPACE = """
family: mlp
trials: 6
epochs: 3
patience: 3
fixed: {depth: 1, width: 16}
search:
  dropout_rate: {low: 0.0, high: 0.1}
references:
  baseline: {depth: 1, width: 16}
"""
SCRIPTS = {
    "scripted": {},
    "poisoned": {"poison": tuple(range(99))},
    "one_poisoned": {"poison": (0,), "poison_after": 1},
    "cramped": {"room": 2},
    "hopeless": {"hopeless": tuple(range(99))},
}


class Logits:
    """A network that knows nothing: all classes are equally likely."""

    def __call__(self, inputs, training):
        assert training is False
        return np.zeros((len(inputs), 10))


class ScriptedStudy:
    """A study in a folder of its own.

    Attributes:
        locks: The locks with which the test part was read.
        registered: The runs whose models were registered.
    """

    def __init__(self):
        self.locks, self.registered = [], []

    def search(self, **options):
        asked = {"search_space": "small.yaml", "executor": "scripted"} | options
        chosen = SearchOptions(**asked)
        run_search(chosen, prepare(chosen), Notes())

    def report(self, **options):
        """Returns a report and what was said."""
        said = []
        return make_report(ReportOptions(**{"study": "digits"} | options), said.append), said

    @property
    def store(self):
        return tracking.connect()

    @property
    def record(self):
        return self.store.read_study(study="digits")

    def finalist_runs(self):
        """Returns the finalists' runs of any state, by what they are tagged with."""
        record, client = self.record, self.store
        experiment = client.get_run(record.run_id).info.experiment_id
        return list(client.search_runs([experiment], "tags.role = 'finalist'"))


@pytest.fixture
def scripted_study(migrated, tmp_path, monkeypatch):
    """A searched study in the working folder, not reported on yet."""
    shutil.copy(migrated, tmp_path / "mlflow.db")
    (tmp_path / "small.yaml").write_text(SPACE)
    (tmp_path / "executors").mkdir()
    for name, arguments in SCRIPTS.items():
        write_executor(tmp_path / "executors", name, **arguments)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_DATA_DIR", raising=False)
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(tmp_path / "executors")])
    made = ScriptedStudy()
    made.search()

    def restore(store, dataset, models):
        runs = {run.mlflow_run_id: run for model in models for run in model.all_trainings}
        made.restored = list(runs)
        logs = np.full((len(dataset.measured), 10), -1.0)
        networks = {
            run_id: test_part.Network(run, Logits(), store.load_weights(run_id), logs)
            for run_id, run in runs.items()
        }
        return {model.number: test_part.Restored(model, networks) for model in models}

    def delivered(restored, dataset):
        return [network.record.mlflow_run_id for network in restored.averaged]

    def sizes(model, restored, dataset):
        alone = {"num_parameters": 100, "milliseconds_per_example": 0.5}
        whole = {name: value * len(model) for name, value in alone.items()}
        return {"delivered": whole, "one training": alone}

    def register(store, run_id, model, example_input, **about_its_input):
        made.registered.append(model)
        if not store.search_registered_models("name = 'digits'"):
            store.create_registered_model("digits")
        source = store.get_run(run_id).info.artifact_uri + "/model"
        version = store.create_model_version("digits", source, run_id).version
        if len(made.registered) == 1:
            store.set_registered_model_alias("digits", CHAMPION, version)
        uri = f"models:/digits/{version}"
        store.set_tag(run_id, MODEL_TAG, uri)
        return uri

    def counted(part, lock):
        made.locks.append(lock)
        return read(part, lock)

    def pages(report):
        return {"report.json": render(report, "json")}

    read = SealedTest.read
    monkeypatch.setattr(test_part, "restore", restore)
    monkeypatch.setattr(test_part, "delivered_model", delivered)
    monkeypatch.setattr(test_part, "sizes", sizes)
    monkeypatch.setattr(tracking.Tracking, "register_model", register)
    monkeypatch.setattr(SealedTest, "read", counted)
    for writing in (module, completion):
        monkeypatch.setattr(writing, "pages_of", pages)
    yield made
    for name in SCRIPTS:
        sys.modules.pop(f"pipeline.search.executors.{name}", None)


@contextmanager
def as_older_versions():
    """Trains, chooses, delivers and keeps as versions did that had no ``--deliver``."""

    def settings(study, limit):
        return replace(cohort_settings(study, limit), keep_probabilities=False)

    def log(store, run_id, files):
        if "test.json" in files:
            files = {**files, "test.json": json.dumps(json.loads(files["test.json"])["models"])}
        log_files(store, run_id, files)

    log_files = tracking.Tracking.log_files
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finalists, "cohort_settings", settings)
        patch.setattr(
            module,
            "settings_for",
            lambda options, locked: settings_for(replace(options, deliver="median"), locked),
        )
        patch.setattr(tracking.Tracking, "log_files", log)
        yield
