"""A seeded sample of hostile data; the full counts: see ``fuzz``."""

from random import Random

import fuzz
import pytest

from pipeline.datasets.formats.table_files import ending
from pipeline.datasets.user.paths import FILE_READERS


@pytest.mark.slow
def test_hostile_data_are_valid_or_refused_in_a_line(tmp_path):
    tally = fuzz.run("files", 100, 0, tmp_path / "kept")
    assert tally.failures == []
    assert tally.cases == 100
    assert 0 < tally.accepted < 90
    assert tally.peak_bytes < fuzz.MEMORY_BYTES


def test_every_kind_of_data_is_fuzzed(tmp_path):
    import hostile_files

    kinds = set()
    for number in range(150):
        place = tmp_path / str(number)
        place.mkdir()
        path = hostile_files.damaged_data(Random(number), place)
        kinds.add("folder" if path.is_dir() else ending(path))
    assert kinds == {*FILE_READERS, "folder"}


def test_the_judge_sees_a_message_of_two_lines(tmp_path, monkeypatch):
    from pipeline import datasets
    from pipeline.errors import DatasetError

    def refuse(message):
        def load(spec):
            raise DatasetError(message)

        monkeypatch.setattr(datasets, "load", load)
        return fuzz.judge_data(tmp_path)[1]

    assert refuse("my.csv is bad") == ""
    assert "not one line" in refuse("my.csv\nis bad")
    assert "too long" in refuse("x" * 2001)
