"""Faults of the supervisor's own: killed at any instant, a second one, a store that is gone."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from told_lines import Notes

from pipeline import tracking
from pipeline.errors import InputError
from pipeline.search import study_lock

SCRIPT = Path(__file__).with_name("kill_supervisor.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signals", "more"), [("KILL", []), ("KILL", ["--locked"]), ("TERM INT TERM2 INT2", [])]
)
def test_a_search_that_is_stopped_at_random_instants_loses_nothing(signals, more):
    arguments = ["--kills", "5", "--seed", "1", *more, "--signals", *signals.split()]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith(f"5 x {'/'.join(signals.split())}"), done.stdout
    assert done.stdout.endswith("nothing lost, nothing twice, same winner\n")


def test_a_second_search_on_the_study_is_told_and_the_first_goes_on(faulty):
    class Second(Notes):
        refused = None

        def note(self, message):
            super().note(message)
            if self.refused is None and message.startswith("trial "):
                with pytest.raises(InputError) as self.refused:
                    faulty()
                faulty(study="another", trials=1)

    notes = Second()
    record, _ = faulty(notes=notes)
    assert notes.refused.value.exit_code == 2
    assert str(notes.refused.value).startswith("another `pipeline search` (process ")
    assert " is running study 'digits' on this machine: wait until it ends" in str(
        notes.refused.value
    )
    assert [trial.state for trial in record.trials] == ["COMPLETE"] * 8


def test_a_search_on_another_machine_is_refused_by_the_storage_and_the_first_goes_on(
    faulty, monkeypatch
):
    """A SQLite storage that both see; the other machine has another name and another /tmp."""

    def elsewhere(study, address):
        return tmp / f"{hash((study, address))}.lock"

    class Second(Notes):
        refused = None

        def note(self, message):
            super().note(message)
            if self.refused is None and message.startswith("trial "):
                with monkeypatch.context() as other:
                    other.setattr(socket, "gethostname", lambda: "node-b")
                    other.setattr(study_lock, "lock_path", elsewhere)
                    with pytest.raises(InputError) as self.refused:
                        faulty(storage="sqlite:///shared.db")

    notes, tmp = Second(), Path.cwd()
    record, _ = faulty(notes=notes, storage="sqlite:///shared.db")
    told = str(notes.refused.value)
    assert f"`pipeline search` (host {socket.gethostname()}, process " in told
    assert ") is running study 'digits' in this storage, last sign of life " in told
    assert [trial.state for trial in record.trials] == ["COMPLETE"] * 8
    again, _ = faulty(storage="sqlite:///shared.db")
    assert len(again.trials) == 8


def test_a_study_whose_store_is_gone_is_refused_and_the_new_store_left_empty(
    faulty, migrated, monkeypatch
):
    faulty(trials=2)
    shutil.copy(migrated, "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/other.db")
    with pytest.raises(InputError) as caught:
        faulty()
    assert str(caught.value) == (
        "Optuna's storage studies.journal holds 2 ended trials of study 'digits' and MLflow at "
        f"sqlite:///{Path.cwd()}/other.db none of them: set MLFLOW_TRACKING_URI to the earlier "
        "store (or restore its deleted runs) to continue, or give --study NAME to start another "
        "study"
    )
    with pytest.raises(InputError, match="there is no study"):
        tracking.connect().read_study()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    record, _ = faulty()
    assert [trial.state for trial in record.trials] == ["COMPLETE"] * 8
