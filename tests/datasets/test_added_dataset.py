"""A dataset is one file: with it alone, a search trains real networks and a report is written."""

import importlib
import json
import sys

import pytest
from click.testing import CliRunner
from real_studies import REAL_STUDY

from pipeline import datasets
from pipeline.cli import main

pytestmark = REAL_STUDY

BANDS = '''
"""``bands``: 1,000 made-up points, whose class is the sign of the first feature."""
import numpy as np
from pipeline.datasets import RawData, Source

def read(files):
    points = np.random.default_rng(0).normal(size=(1000, 3)).astype("float32")
    return RawData("features", ("left", "right"), points, (points[:, 0] > 0).astype("int32"))

SOURCE = Source("bands", "made up", read, ships_with="this test")
'''
SPACE = """
family: mlp
trials: 3
epochs: 20
patience: 20
fixed: {depth: 1, width: 16, batch_size: 16, learning_rate: 0.01}
search: {dropout_rate: {low: 0.0, high: 0.2}}
references: {baseline: {}}
"""


@pytest.fixture
def bands(tmp_path, monkeypatch):
    """The name of a dataset whose file stands beside those of the package."""
    (tmp_path / "bands.py").write_text(BANDS)
    (tmp_path / "small.yaml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield "bands"
    sys.modules.pop("pipeline.datasets.bands", None)


def call(*arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_added_dataset_is_listed_searched_and_reported(bands):
    assert "bands          with this test         made up" in call("datasets", "list")
    call(*("search", "--dataset", bands, "--search-space", "small.yaml", "--executor", "inline"))
    report = json.loads(
        call("report", "--dataset", bands, "--seeds", "2", "--finalists", "2", "--format", "json")
    )
    assert report["dataset"] == bands
    assert report["test"]["reads"] == 1
    assert report["test"]["accuracy"] > 0.8
