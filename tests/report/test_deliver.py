"""From a study to its report: the lock, the one read of the test part, and what comes after."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import tracking
from pipeline.datasets import SealedTest
from pipeline.report import deliver as module
from pipeline.report.deliver import ReportOptions, deliver
from pipeline.report.pages import as_json, as_text
from pipeline.search.launch import SearchOptions, launch, prepare

pytestmark = [
    pytest.mark.slow,
    # MLflow 3.17 still uses what SQLAlchemy 2.1 deprecates; Keras's variables predate numpy 2.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]

SPACE = """
family: mlp
trials: 4
epochs: 4
patience: 4
fixed: {depth: 1, width: 32}
search:
  dropout_rate: {low: 0.0, high: 0.5}
references:
  baseline: {depth: 1, width: 32}
"""


class Silent:
    def note(self, message):
        pass

    def show(self, snapshot):
        pass


def search(trials):
    options = SearchOptions(search_space="small.yaml", executor="inline", trials=trials)
    launch(options, prepare(options), Silent())


def report(**options):
    said = []
    return deliver(ReportOptions(**{"study": "digits"} | options), said.append), said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a searched study; the tests below run in order and share it."""
    path = tmp_path_factory.mktemp("study")
    with contextlib.chdir(path):
        (path / "small.yaml").write_text(SPACE)
        search(trials=4)
        yield path


@pytest.fixture
def reads(monkeypatch):
    """The locks with which the test part was read."""
    locks = []
    original = SealedTest.read

    def counted(self, lock):
        locks.append(lock)
        return original(self, lock)

    monkeypatch.setattr(SealedTest, "read", counted)
    return locks


def stored():
    store = tracking.connect()
    run_id = store.read_study(study="digits").run_id
    return store, run_id


def test_the_first_report_locks_and_then_reads_the_test_part_once(folder, reads):
    first, said = report()
    store, run_id = stored()
    assert [lock.record_hash for lock in reads] == [store.tag(run_id, "selection_locked")]
    assert store.test_reads(run_id) == 1
    assert store.read_selection(run_id)["winner"] == first.selection.winner
    assert said[-1] == "registering the model"
    assert first.test.reads == 1
    assert first.model_uri == store.tag(run_id, "model_uri") == "models:/digits-least-overfit/1"


def test_the_second_report_shows_the_same_and_loads_nothing(folder, reads, monkeypatch):
    def refused(*arguments):
        raise AssertionError("no data are needed to show a report again")

    monkeypatch.setattr(module, "load_dataset", refused)
    again, said = report()
    store, run_id = stored()
    assert (reads, said, store.test_reads(run_id)) == ([], [], 1)
    kept = json.loads(store.read_file(run_id, "report/report.json"))
    assert as_json(again) == kept


def test_another_version_of_the_package_shows_the_same(folder, reads, monkeypatch):
    monkeypatch.setattr(module, "_version", lambda: "9.9")
    again, _ = report()
    assert again.test is not None
    assert not reads


def test_another_rule_is_a_what_if_beside_the_locked_result(folder, reads):
    other, _ = report(rule="best_val")
    assert (other.test, other.model_uri, reads) == (None, None, [])
    locked = report()[0]
    page = as_text(other)
    assert f"what-if: the choice is locked on trial {locked.selection.winner}, made by" in page
    assert other.extras[f"Test, locked trial {locked.selection.winner}"].startswith("accuracy ")
    assert other.extras["Model of the locked trial"] == "models:/digits-least-overfit/1"


def test_a_model_loads_without_a_warning(folder, recwarn):
    store, _ = stored()
    model = store.load_model("models:/digits-least-overfit@champion")
    assert model.optimizer.built
    assert not [w for w in recwarn if "optimizer" in str(w.message)]


def test_a_study_that_grew_is_a_what_if_until_it_is_read_again(folder, reads):
    search(trials=6)
    grown, _ = report()
    assert (grown.test, reads) == (None, [])
    assert "when the study had 4 trials" in grown.selection.notes[-1]
    forced, _ = report(read_test_again=True)
    assert (forced.test.reads, len(reads)) == (2, 1)
    store, run_id = stored()
    assert len(store.read_selection(run_id)["candidates"]) == 6


def test_a_report_on_part_of_a_study_says_so(folder):
    store, run_id = stored()
    store._client.set_tag(run_id, "trials_total", "10")
    assert report()[0].selection.notes[-1].startswith("the study has 6 of 10 trials: ")
