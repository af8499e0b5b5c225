"""Looking at stores that are there, are not, or are something else; and leaving nothing behind."""

import sqlite3
from contextlib import closing

import pytest

from pipeline.errors import TrackingError
from pipeline.tracking.probe import probe_storage, probe_store


def test_a_store_is_counted_and_left_as_it_was(store_uri, tmp_path):
    before = (tmp_path / "mlflow.db").read_bytes()
    assert probe_store(store_uri) == "answers, 1 experiment"
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_a_store_that_is_not_there_is_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert probe_store() == "not there yet: the first search makes it"
    assert probe_store(f"sqlite:///{tmp_path}/some/folder/x.db").startswith("not there yet")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mlflow.db").touch()
    assert probe_store().startswith("not there yet")
    assert (tmp_path / "mlflow.db").stat().st_size == 0


def test_another_database_is_told_apart(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE studies (id INTEGER)")
        database.execute("INSERT INTO studies VALUES (7)")
        database.commit()
    with pytest.raises(TrackingError, match=r"but not an MLflow store: it has no table 'experim"):
        probe_store(f"sqlite:///{path}")
    assert probe_storage(f"sqlite:///{path}") == "1 study"
    path.write_bytes(b"no database at all, but long enough to be read as one" * 30)
    with pytest.raises(TrackingError, match=r"could not be reached.*: file is not a database"):
        probe_store(f"sqlite:///{path}")


def test_what_does_not_answer_says_why_without_credentials():
    address = "http://user:secret@127.0.0.1:9"
    with pytest.raises(TrackingError, match=r"http://\*\*\*@127.0.0.1:9 could not be reached"):
        probe_store(address)
    with pytest.raises(TrackingError, match="is no address of a database"):
        probe_store("mlruns")
