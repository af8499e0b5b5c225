"""Few, large calls to the store instead of many small ones (MLflow's ``log_batch``).

In: a run's id, metrics, tags, params. Out: batches within MLflow's limits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from pipeline.tracking.delivery.message import Point

MAX_METRICS = 1_000
MAX_PARAMS = 100
MAX_ENTITIES = 1_000


def send(
    client: MlflowClient,
    run_id: str,
    points: Sequence[Point] = (),
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> None:
    """Sends all of it in as few batches as the limits allow; tags and params go with the last."""
    named = run_tags(tags or {})
    entries = [Param(key, value) for key, value in (params or {}).items()]
    while len(entries) > MAX_PARAMS:
        client.log_batch(run_id, params=entries[:MAX_PARAMS])
        entries = entries[MAX_PARAMS:]
    size = MAX_ENTITIES - len(named) - len(entries)
    values = [Metric(*point) for point in points]
    while len(values) > size:
        client.log_batch(run_id, metrics=values[:MAX_METRICS])
        values = values[MAX_METRICS:]
    if values or named or entries:
        client.log_batch(run_id, metrics=values, tags=named, params=entries)


def points(values: Mapping[str, float], step: int) -> list[Point]:
    """Returns metrics of these values, now."""
    when = now()
    return [(key, float(value), when, step) for key, value in values.items()]


def metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    """Returns MLflow's metrics of these values, now."""
    return [Metric(*point) for point in points(values, step)]


def run_tags(tags: Mapping[str, str]) -> list[RunTag]:
    """Returns MLflow's tags of these values."""
    return [RunTag(key, str(value)) for key, value in tags.items()]


def now() -> int:
    """Returns the time as MLflow tells it: milliseconds since 1970."""
    return time.time_ns() // 1_000_000
