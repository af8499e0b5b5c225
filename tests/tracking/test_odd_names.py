"""Odd names of studies are found again; no name of a file leads out of its run."""

from pathlib import Path

import pytest
from odd_names import ODD

from pipeline.errors import TrackingError
from pipeline.tracking import artifacts, connect
from pipeline.tracking.models.registry import model_name


@pytest.mark.slow
def test_odd_names_are_found_again(store_uri):
    store = connect(store_uri)
    for name in ODD:
        run = store.open_study(name, "digits", {"epochs": 1}, {})
        found = store.read_study(study=name)
        assert (found.study, found.run_id) == (name, run.run_id)
        assert Path(model_name(name)).name == model_name(name)
        assert ":" not in model_name(name)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a\x00b", ""])
def test_no_file_of_a_run_is_outside_of_it(name, tmp_path, store_uri):
    run = (tmp_path / "run").as_uri(), store_uri
    (tmp_path / "run").mkdir()
    (tmp_path / "x").write_text("not the run's")
    for use in (artifacts.read, artifacts.delete):
        with pytest.raises(TrackingError, match="is no file of a run"):
            use(*run, name)
    with pytest.raises(TrackingError, match="is no file of a run"):
        artifacts.write(*run, {name: "mine"})
    assert (tmp_path / "x").read_text() == "not the run's"
