"""A journal whose last record was cut off is mended; one that is whole, or damaged, is left."""

import threading

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from pipeline.search.storage import BLOCK, mend


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
