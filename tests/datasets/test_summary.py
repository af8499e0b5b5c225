"""What a search knows of a dataset, wherever it was loaded."""

import numpy as np
import pytest

from pipeline import datasets
from pipeline.datasets import DatasetSummary, summarize, summary
from pipeline.errors import DatasetError
from pipeline.records import DatasetSpec


def test_a_small_dataset_is_summarized_in_this_process(monkeypatch):
    monkeypatch.setattr(summary, "ProcessPoolExecutor", None)
    spec = DatasetSpec("digits", seed=3)
    found, loaded = summarize(spec), datasets.load(spec)
    assert found == DatasetSummary.of(loaded)
    assert (found.split_id, found.chance) == (loaded.split_id, loaded.chance)
    assert found.split_sizes == {"train": 1079, "validation": 359, "test": 359}
    assert found.row_size == (8, 8, 1)


@pytest.mark.slow
def test_a_large_one_is_summarized_in_another_and_its_refusal_comes_back(monkeypatch, tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x=np.random.default_rng(0).normal(size=(60, 4)), y=np.arange(60) % 2)
    spec = DatasetSpec(str(path))
    here = summarize(spec)
    monkeypatch.setattr(summary, "SMALL_BYTES", 0)
    assert summarize(spec) == here
    path.write_bytes(b"PK no archive")
    with pytest.raises(DatasetError, match=r"mine\.npz"):
        summarize(spec)
