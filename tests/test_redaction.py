"""Which store is used, and that what is shown of its address holds no secret."""

import pytest

from pipeline.redaction import masked
from pipeline.tracking.address import tracking_address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ada:pw@tracking:5000/a", "https://***@tracking:5000/a"),
        ("https://token@tracking:5000", "https://***@tracking:5000"),
        ("postgresql://ada:p@ss/w0rd@db:5432/runs", "postgresql://***@db:5432/runs"),
        ("postgresql+psycopg://me:s:e:c@host:5432/x", "postgresql+psycopg://***@host:5432/x"),
        ("mysql://me:p/w@host/x", "mysql://***@host/x"),
        ("postgresql://db/runs?user=ada&password=pw&x=1", "postgresql://db/runs?user=ada&password=***&x=1"),
        ("https://tracking/?access_token=abc", "https://tracking/?access_token=***"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("studies.journal", "studies.journal"),
    ],
)  # fmt: skip
def test_credentials_are_masked(address, shown):
    assert masked(address) == shown


def test_the_address_is_the_argument_then_the_variable_then_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tracking_address(None) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert tracking_address(None) == "http://tracking:5000"
    assert tracking_address("sqlite:///x.db") == "sqlite:///x.db"
