"""How a search ends: what was asked for and not trained is put back, where that harms nothing."""

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from small_space import small_space

from pipeline.errors import PipelineError, SpoolError, StorageError
from pipeline.search.run import search_and_return_unfinished
from pipeline.search.study import open_study

SPACE = small_space()


class Ending:
    """A supervisor that asks for two trials, tells nothing and ends in a given way."""

    def __init__(self, study, error):
        self.study, self.error = study, error

    def run(self):
        self.study.ask(), self.study.ask()
        if self.error is not None:
            raise self.error
        return "the record"


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = open_study("studies.journal", "first", SPACE, {"seed": 1}, 1)
    study.resume(references=True)
    return study


def states():
    storage = JournalStorage(JournalFileBackend("studies.journal"))
    trials = optuna.load_study(study_name="first", storage=storage).get_trials()
    return [trial.state.name for trial in trials[:2]]


def test_a_search_that_is_over_leaves_nothing_running(study):
    assert search_and_return_unfinished(Ending(study, None), study) == "the record"
    assert states() == ["FAIL", "FAIL"]


@pytest.mark.parametrize("error", [PipelineError("five in a row"), SpoolError("no room")])
def test_nor_does_one_that_gives_up(study, error):
    with pytest.raises(type(error), match=str(error)):
        search_and_return_unfinished(Ending(study, error), study)
    assert states() == ["FAIL", "FAIL"]


@pytest.mark.parametrize("error", [StorageError("torn"), KeyboardInterrupt(), LookupError("a bug")])
def test_nothing_is_written_behind_a_write_that_may_be_torn(study, error):
    with pytest.raises(type(error)):
        search_and_return_unfinished(Ending(study, error), study)
    assert states() == ["RUNNING", "RUNNING"]


def test_why_it_gave_up_is_told_even_where_nothing_can_be_put_back(study, monkeypatch):
    def torn():
        raise StorageError("torn")

    monkeypatch.setattr(study, "return_unfinished", torn)
    with pytest.raises(PipelineError, match="five in a row"):
        search_and_return_unfinished(Ending(study, PipelineError("five in a row")), study)
