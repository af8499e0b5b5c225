"""The real command, twice on one study in PostgreSQL: Keras trains, a report reads."""

import os
import shutil
import subprocess
import sys

import pytest

from pipeline import tracking

pytestmark = pytest.mark.slow
SPACE = """\
family: mlp
trials: 6
epochs: 3
patience: 3
fixed: {width: 16}
search:
  depth: {low: 1, high: 2}
  dropout_rate: {low: 0.0, high: 0.5}
references:
  baseline: {depth: 1}
  dropout: {depth: 1, dropout_rate: 0.3}
"""


def started(folder, *words):
    """Starts ``pipeline`` with these words in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "XDG_STATE_HOME": str(folder / "state")},
    )


def output_of(process):
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "s3cret" not in out + said
    return out, said


def figures(folder):
    """Returns the measurements of the references, by name."""
    record = tracking.connect(f"sqlite:///{folder}/mlflow.db").read_study(study="digits")
    assert [trial.state for trial in record.trials].count("COMPLETE") == 6
    return {trial.name: trial.measurement for trial in record.trials if trial.name}


def test_two_searches_share_a_study_and_a_report_is_made_of_it(migrated, tmp_path, database):
    storage = database.replace("postgres:@", "postgres:s3cret@")
    assert storage != database
    alone, together = tmp_path / "alone", tmp_path / "together"
    for folder in (alone, together):
        folder.mkdir()
        shutil.copy(migrated, folder / "mlflow.db")
        (folder / "small.yaml").write_text(SPACE)
    asked = ("search", "--dataset", "digits", "--search-space", "small.yaml", "--seed", "3")
    both = [started(together, *asked, "--storage", storage) for _ in range(2)]
    for process in both:
        _, said = output_of(process)
        assert "several searches may work on this study" in said
    out, _ = output_of(started(together, "report", "--study", "digits", "--seeds", "1"))
    assert "digits" in out
    store = tracking.connect(f"sqlite:///{together}/mlflow.db")
    run = store.get_run(store.read_study(study="digits").run_id)
    assert (run.info.status, run.data.tags["test_reads"]) == ("FINISHED", "1")
    assert "s3cret" not in str(run.data.tags)
    output_of(started(alone, *asked))
    expected = figures(alone)
    assert set(expected) == {"baseline", "dropout"}
    for name, measured in figures(together).items():
        for figure in ("val_ce", "train_ce", "gap_ce", "val_accuracy"):
            assert getattr(measured, figure) == pytest.approx(
                getattr(expected[name], figure), abs=1e-4
            ), (name, figure)
