"""A working folder in which a search runs in real worker processes that go wrong as told."""

import shutil
import sys

import pytest
from faulty_trainer import EXECUTOR_FILE, Faulty
from told_lines import Notes

from pipeline.search import executors
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.run import run_search

SPACE = """\
family: mlp
trials: 8
epochs: 3
patience: 3
search:
  dropout_rate: {low: 0.0, high: 0.7}
references:
  baseline: {}
"""


@pytest.fixture
def faulty(tmp_path, monkeypatch, migrated):
    """Returns a function that runs a search with faults; its record and the user's lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_DATA_DIR", raising=False)
    shutil.copy(migrated, tmp_path / "mlflow.db")
    (tmp_path / "small.yaml").write_text(SPACE)
    (tmp_path / "executors").mkdir()
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(tmp_path / "executors")])
    made = []

    def run(faults=(), room=None, notes=None, epoch_seconds=0.0, **options):
        name = f"faulty_{len(made)}"
        made.append(name)
        faulty = Faulty(tuple(dict(faults).items()), room, epoch_seconds)
        text = EXECUTOR_FILE.format(faulty=faulty)
        (tmp_path / "executors" / f"{name}.py").write_text(text)
        asked = {"search_space": "small.yaml", "executor": name, "cohort_size": 8} | options
        chosen, notes = SearchOptions(**asked), notes or Notes()
        return run_search(chosen, prepare(chosen), notes), notes.lines

    yield run
    for name in made:
        sys.modules.pop(f"pipeline.search.executors.{name}", None)
