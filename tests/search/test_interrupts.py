"""A command that a signal broke off ends with 130, wherever the signal met it."""

import contextlib
import os
import signal
from types import SimpleNamespace

import click
import optuna
import pytest
from click.testing import CliRunner
from optuna.storages.journal import _file

from pipeline.cli_group import Commands
from pipeline.errors import StorageError
from pipeline.search.cohort_runner import CohortRunner, CohortSettings
from pipeline.search.interrupts import (
    hold_back,
    let_go,
    signals_end_it,
    stopping_softly,
    was_broken_off,
)
from pipeline.search.storage import open_storage, storage_errors


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def study_in(folder):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage(str(folder / "studies.journal"), print)
    return optuna.create_study(storage=storage, study_name="first", load_if_exists=True)


@pytest.mark.parametrize("call", ["symlink", "rename", "unlink", "fsync"])
def test_ctrl_c_in_the_write_of_a_record_lets_it_get_whole(tmp_path, monkeypatch, call):
    """Optuna's lock makes an error of its own of a KeyboardInterrupt in its release."""
    study = study_in(tmp_path)
    real = getattr(os, call)

    def with_signal(*arguments):
        done = real(*arguments)
        monkeypatch.setattr(_file.os, call, real)
        interrupt()
        return done

    with pytest.raises(KeyboardInterrupt), signals_end_it():
        monkeypatch.setattr(_file.os, call, with_signal)
        with storage_errors():
            study.ask()
    assert not list(tmp_path.glob("*.lock*"))
    assert len(study_in(tmp_path).trials) == 1


def test_the_next_signal_does_not_wait():
    with pytest.raises(KeyboardInterrupt), signals_end_it():
        hold_back()
        try:
            interrupt()
            assert not was_broken_off()
            interrupt()
            pytest.fail("the second signal waited")
        finally:
            assert was_broken_off()
            let_go()


def test_a_soft_stop_does_not_wait_for_a_write():
    asked = []
    with stopping_softly(lambda: asked.append(1), lambda line: None):
        hold_back()
        interrupt()
        assert asked == [1]
        let_go()
    assert not was_broken_off()


@click.group(cls=Commands)
def program():
    pass


@program.command()
@click.option("--signals", type=int)
@click.option("--error", default="storage")
def work(signals, error):
    with contextlib.suppress(KeyboardInterrupt):
        for _ in range(signals):
            interrupt()
    if error == "storage":
        raise StorageError("the journal cannot be written")
    raise RuntimeError("Error: did not possess lock")


@pytest.mark.parametrize("error", ["storage", "lock"])
def test_an_error_in_place_of_ctrl_c_ends_with_130(error):
    result = CliRunner().invoke(program, ["work", "--signals", "1", "--error", error])
    assert result.exit_code == 130
    assert result.stderr == "Stopped. What had ended is kept; the same command continues.\n"
    result = CliRunner().invoke(program, ["work", "--signals", "0", "--error", error])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")


def test_a_search_whose_ctrl_c_was_swallowed_ends_all_the_same():
    executor = SimpleNamespace(wait=lambda handle, seconds: pytest.fail("it went on"))
    runner = CohortRunner(executor, CohortSettings(1, 1), None)
    with pytest.raises(KeyboardInterrupt), signals_end_it():
        with contextlib.suppress(KeyboardInterrupt):
            interrupt()
        runner.wait()
