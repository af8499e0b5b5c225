"""A journal whose last record was cut off is mended; one that is whole, or damaged, is left."""

import json
import threading

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.storages.journal._storage import JournalOperation

from pipeline.search.journal import NOT_WAITED_FOR, Journal
from pipeline.search.storage import BLOCK, mend, open_storage


@pytest.fixture
def journal(tmp_path):
    """A journal with three trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = tmp_path / "studies.journal"
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name="first")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    return path


def mended(path):
    return mend(path, JournalFileSymlinkLock(str(path)))


def trials(path):
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name="first", load_if_exists=True)
    study.tell(study.ask(), 1.0)
    return len(study.trials)


def test_a_whole_journal_is_left_as_it_is(journal, tmp_path):
    before = journal.read_bytes()
    assert mended(journal) == 0
    assert mended(tmp_path / "new.journal") == 0
    assert journal.read_bytes() == before


@pytest.mark.parametrize(
    "torn", [b'{"op_code":5,"worker_id":"ab', b"\0" * 4096, b"x" * (3 * BLOCK), b"{"]
)
def test_a_record_that_was_cut_off_is_removed_and_the_study_goes_on(journal, torn):
    before = journal.read_bytes()
    journal.write_bytes(before + torn)
    assert mended(journal) == len(torn)
    assert journal.read_bytes() == before
    assert not list(journal.parent.glob("*.lock*"))
    assert trials(journal) == 4


def test_without_mending_the_journal_could_not_be_read_any_more(journal):
    journal.write_bytes(journal.read_bytes() + b'{"op_code":5,"wor')
    with pytest.raises(ValueError, match="Expecting ':' delimiter"):
        trials(journal)


def test_a_journal_of_one_record_that_was_cut_off_becomes_empty(tmp_path):
    path = tmp_path / "studies.journal"
    path.write_bytes(b'{"op_code":0,"worker')
    assert mended(path) == 20
    assert trials(path) == 1


def test_a_record_that_another_process_is_writing_is_not_cut_off(journal):
    """Its writer holds Optuna's lock until the record is whole."""
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    before = journal.read_bytes()
    journal.write_bytes(before + b'{"op_code":')
    mending = threading.Thread(target=mended, args=(journal,))
    mending.start()
    mending.join(0.2)
    assert mending.is_alive()
    whole = before + before[: before.index(b"\n") + 1]
    journal.write_bytes(whole)
    lock.release()
    mending.join(10)
    assert journal.read_bytes() == whole


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_only_records_that_others_rely_on_wait_for_the_disk(tmp_path, monkeypatch):
    """Optuna's own backend waits at each; a search of 1,000 trials waited 30,000 times."""
    path, synced = tmp_path / "studies.journal", []
    storage = open_storage(str(path), print)
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(records(path)[-1]["op_code"]))
    study = optuna.create_study(storage=storage, study_name="first")
    study.set_user_attr("definition", {})
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr("seed", 1)
    for epoch in range(30):
        trial.report(0.5, epoch)
    study.tell(trial, 0.5)
    wait_for = [
        JournalOperation.CREATE_STUDY,
        JournalOperation.SET_STUDY_USER_ATTR,
        JournalOperation.CREATE_TRIAL,
        JournalOperation.SET_TRIAL_STATE_VALUES,
    ]
    assert synced == wait_for
    assert {entry["op_code"] for entry in records(path)} - set(wait_for) == {5, 7, 8}
    # Whoever opens it reads what did not wait, too; Optuna's own backend among them.
    again = JournalStorage(JournalFileBackend(str(path)))
    read = optuna.load_study(storage=again, study_name="first").trials[0]
    assert (read.value, len(read.intermediate_values), read.user_attrs) == (0.5, 30, {"seed": 1})


def test_the_kinds_that_do_not_wait_are_optunas():
    kinds = ("PARAM", "INTERMEDIATE_VALUE", "USER_ATTR", "SYSTEM_ATTR")
    assert {JournalOperation[f"SET_TRIAL_{kind}"] for kind in kinds} == NOT_WAITED_FOR


def test_the_journal_holds_what_optunas_own_backend_would_write(tmp_path):
    ours, theirs = tmp_path / "ours.journal", tmp_path / "theirs.journal"
    logs = [{"op_code": 5, "worker_id": "a", "name": "\u00fc", "value": 0.1}, {"op_code": 4}]
    for path, backend in ((ours, journal_at(ours)), (theirs, JournalFileBackend(str(theirs)))):
        backend.append_logs(logs)
        backend.append_logs(logs[:1])
        assert list(backend.read_logs(0)) == [*logs, logs[0]]
        assert not list(path.parent.glob("*.lock*"))
    assert ours.read_bytes() == theirs.read_bytes()


def journal_at(path):
    return Journal(path, JournalFileSymlinkLock(str(path)))
