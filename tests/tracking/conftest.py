"""A store per test that costs no migration: one SQLite database is made per session and copied."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_mlflow import FakeMlflow
from tracking_samples import CHANCE

from pipeline.tracking import StudyRun, Tracking, connect

MLFLOW_VARIABLES = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_REGISTRY_URI",
)


@pytest.fixture(autouse=True)
def _no_mlflow_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MLFLOW_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store_uri(tmp_path: Path, migrated: Path) -> str:
    shutil.copy(migrated, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def fake_mlflow() -> FakeMlflow:
    """What makes the calls of the store ``tracking``: MLflow, unless a test sets a handler."""
    return FakeMlflow()


@pytest.fixture
def tracking(store_uri: str, fake_mlflow: FakeMlflow) -> Tracking:
    return connect(store_uri, transport=fake_mlflow)


@pytest.fixture
def open_study(tracking: Tracking) -> Callable[..., StudyRun]:
    def opened(study: str = "first", dataset: str = "digits", **definition: Any) -> StudyRun:
        run = tracking.open_study(study, dataset, definition or {"epochs": 5}, {"device": "cpu"})
        run.log_dataset("a1" * 32, CHANCE)
        return run

    return opened
