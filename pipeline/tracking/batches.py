"""Few, large calls to the store instead of many small ones (MLflow's ``log_batch``).

In: a run's id, metrics and tags. Out: batches within MLflow's limits. Epochs are gathered per run
and sent with the run's last batch, or before, every :data:`FLUSH_SECONDS`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

FLUSH_SECONDS = 30.0
MAX_METRICS = 1_000
MAX_PARAMS = 100
MAX_ENTITIES = 1_000


@dataclass
class _Pending:
    """Metrics of one run that were not sent yet, and when the last ones were."""

    metrics: list[Metric] = field(default_factory=list)
    sent_at: float = field(default_factory=time.monotonic)


class Batches:
    """Gathers metrics per run and sends them."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._pending: dict[str, _Pending] = {}

    def gather(self, run_id: str, values: Mapping[str, float], step: int) -> None:
        """Takes metrics of a run, to be sent later; sends them when they are many or old."""
        pending = self._pending.setdefault(run_id, _Pending())
        pending.metrics += metrics(values, step)
        full = len(pending.metrics) >= MAX_METRICS // 2
        if full or time.monotonic() - pending.sent_at >= FLUSH_SECONDS:
            self.flush(run_id)

    def flush(self, run_id: str | None = None) -> None:
        """Sends what was gathered for a run, or for all."""
        for key in [run_id] if run_id else list(self._pending):
            pending = self._pending.pop(key, _Pending())
            if pending.metrics:
                self._send(key, pending.metrics, {})
            self._pending[key] = _Pending()

    def finish(self, run_id: str, values: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Sends a run's gathered metrics, its summary metrics (at step 0) and its tags."""
        pending = self._pending.pop(run_id, _Pending())
        self._send(run_id, [*pending.metrics, *metrics(values, step=0)], tags)

    def _send(self, run_id: str, values: list[Metric], tags: Mapping[str, str]) -> None:
        """Sends metrics in as few batches as the limits allow; the tags go with the last."""
        size = MAX_METRICS - len(tags)
        chunks = [values[start : start + size] for start in range(0, len(values), size)] or [[]]
        for chunk in chunks[:-1]:
            self._client.log_batch(run_id, metrics=chunk)
        self._client.log_batch(run_id, metrics=chunks[-1], tags=run_tags(tags))


def metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    """Returns MLflow's metrics of these values, now."""
    now = time.time_ns() // 1_000_000
    return [Metric(key, float(value), now, step) for key, value in values.items()]


def run_tags(tags: Mapping[str, str]) -> list[RunTag]:
    """Returns MLflow's tags of these values."""
    return [RunTag(key, str(value)) for key, value in tags.items()]


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, str]) -> None:
    """Logs params in as few calls as the limit allows."""
    entries = [Param(key, value) for key, value in params.items()]
    for start in range(0, len(entries), MAX_PARAMS):
        client.log_batch(run_id, params=entries[start : start + MAX_PARAMS])
