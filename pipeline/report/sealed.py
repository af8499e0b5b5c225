"""The one place that reads the test part: restores models, checks them, and measures them once.

Imports Keras; only a report that reads the test part for the first time comes here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.special import log_softmax

from pipeline.datasets import Dataset, Part, SelectionLock
from pipeline.datasets.formats.tokens import token_rows
from pipeline.errors import PipelineError
from pipeline.records import TestResult, TrialRecord
from pipeline.report.statistics import gap_interval, mean_interval, wilson_interval

if TYPE_CHECKING:
    from pipeline.tracking import Tracking

TOLERANCE = 2e-3
"""Relative difference between a restored model's val_ce and the recorded one that rounding (or
bfloat16 training) may leave; float32 on one machine stays below 1e-5."""


@dataclass(frozen=True)
class Restored:
    """A trial as an ordinary Keras model, and its results on the measured training examples.

    Attributes:
        model: Raw inputs -> probabilities; what is registered.
        logits: The same network without its softmax; what is measured.
        train_nll: float64 [m], nats.
    """

    model: Any
    logits: Any
    train_nll: np.ndarray


def restore(
    store: Tracking, dataset: Dataset, trials: Sequence[TrialRecord]
) -> dict[int, Restored]:
    """Returns the trials' models, each checked to reproduce its recorded ``val_ce``.

    Raises:
        PipelineError: A model does not reproduce what was recorded.
        TrackingError: A trial's weights are gone.
    """
    from pipeline.training import backend

    backend.prepare("auto", "float32", None)
    # Not before: Keras must find the backend prepared.
    from pipeline.training import ordinary

    restored = {}
    for trial in trials:
        weights = store.load_weights(str(trial.mlflow_run_id))
        logits = ordinary.restore(trial.config, dataset, weights, output="linear")
        _check(trial, logits, dataset)
        restored[trial.number] = Restored(
            model=ordinary.restore(trial.config, dataset, weights),
            logits=logits,
            train_nll=per_example_nll(logits, dataset.train.take(dataset.measured))[0],
        )
    return restored


def _check(trial: TrialRecord, logits: Any, dataset: Dataset) -> None:
    recorded = trial.measurement.val_ce if trial.measurement else float("nan")
    val_ce = float(per_example_nll(logits, dataset.validation)[0].mean())
    if not abs(val_ce - recorded) <= TOLERANCE * max(recorded, 0.1):
        raise PipelineError(
            f"trial {trial.number}, restored from its weights, has a validation cross-entropy of "
            f"{val_ce:.6f}, but {recorded:.6f} was recorded: its weights or the data changed"
        )


def per_example_nll(logits: Any, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Returns -log p(label), float64 [n], and whether the most probable class is right, bool [n].

    Args:
        logits: A model that gives unnormalized log-probabilities [n, num_classes].
        part: Raw inputs and labels.
    """
    inputs = token_rows(part.inputs) if sparse.issparse(part.inputs) else part.inputs
    scores = np.asarray(logits.predict(inputs, batch_size=256, verbose=0), dtype=np.float64)
    rows = np.arange(len(part.labels))
    return -log_softmax(scores, axis=1)[rows, part.labels], scores.argmax(axis=1) == part.labels


def read_once(
    dataset: Dataset, restored: Mapping[int, Restored], lock: SelectionLock, reads: int
) -> dict[int, TestResult]:
    """Reads the test part and returns every model's result on it, by trial number.

    Args:
        dataset: The dataset, its test part sealed.
        restored: Models by trial number.
        lock: Proof that the selection record is written.
        reads: How often the test part has been read, this time included.
    """
    part = dataset.test.read(lock)
    results = {}
    for number, trial in restored.items():
        nll, correct = per_example_nll(trial.logits, part)
        ce, gap = mean_interval(nll), gap_interval(nll, trial.train_nll, len(dataset.train))
        accuracy = wilson_interval(int(correct.sum()), len(correct))
        results[number] = TestResult(
            ce=float(nll.mean()),
            ce_low=ce.low,
            ce_high=ce.high,
            accuracy=float(correct.mean()),
            accuracy_low=accuracy.low,
            accuracy_high=accuracy.high,
            gap_ce=float(nll.mean() - trial.train_nll.mean()),
            gap_ce_low=gap.low,
            gap_ce_high=gap.high,
            reads=reads,
        )
    return results
