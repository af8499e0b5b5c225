"""Reads the test part: restores models, checks them on validation, and measures them once.

No other file reads it. This one imports Keras; only a report that reads the test part for the first
time comes here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.special import log_softmax, softmax

from pipeline.datasets import Dataset, Part, SelectionLock
from pipeline.datasets.formats.tokens import token_rows
from pipeline.datasets.preprocessing import fingerprint
from pipeline.errors import PipelineError
from pipeline.records import PerExample, TestExamples, TestResult, TrialRecord
from pipeline.selection.statistics import gap_interval, mean_interval, wilson_interval

if TYPE_CHECKING:
    from pipeline.tracking import Tracking

TOLERANCE = 2e-3
"""Relative difference between a restored model's val_ce and the recorded one that rounding (or
bfloat16 training) may leave; float32 on one machine stays below 1e-5."""

BATCH = 256
"""Examples at once; changes memory and speed, not what is measured."""

MOST_CHECKED = 2_000
"""So many validation rows are enough to compare a model of raw values with its network."""

SAME = 1e-5
"""Largest difference of probabilities that float32 may leave between the two."""


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
    from pipeline.training import export

    restored = {}
    for trial in trials:
        weights = store.load_weights(str(trial.mlflow_run_id))
        logits = export.restore(trial.config, dataset, weights, output="linear")
        _check(trial, logits, dataset)
        restored[trial.number] = Restored(
            model=export.delivered(trial.config, dataset, weights),
            logits=logits,
            train_nll=per_example(logits, dataset.train.take(dataset.measured)).nll,
        )
        if dataset.encoding is not None:
            _check_encoding(trial, restored[trial.number], dataset)
    return restored


def _check(trial: TrialRecord, logits: Any, dataset: Dataset) -> None:
    recorded = trial.measurement.val_ce if trial.measurement else float("nan")
    val_ce = float(per_example(logits, dataset.validation).nll.mean())
    if not abs(val_ce - recorded) <= TOLERANCE * max(recorded, 0.1):
        raise PipelineError(
            f"trial {trial.number}, restored from its weights, has a validation cross-entropy of "
            f"{val_ce:.6f}, but {recorded:.6f} was recorded: its weights or the data changed"
        )


def _check_encoding(trial: TrialRecord, restored: Restored, dataset: Dataset) -> None:
    """Checks that the model of raw values predicts what the network does on encoded ones."""
    from pipeline.training.raw_inputs import outputs

    assert dataset.encoding is not None
    few = np.arange(min(len(dataset.validation), MOST_CHECKED))
    inputs = dataset.encoding.as_model_inputs(dataset.raw_validation[few])  # type: ignore[index]
    found = outputs(restored.model, inputs, BATCH)
    expected = softmax(_scores(restored.logits, dataset.validation.take(few)), axis=1)
    difference = float(np.abs(found - expected).max())
    if not difference <= SAME:
        raise PipelineError(
            f"trial {trial.number}'s model of raw values gives other probabilities than its network"
            f" on the validation part (by up to {difference:.2g}): it is not registered, because"
            " its encoding is not that of training"
        )


def per_example(logits: Any, part: Part) -> PerExample:
    """Returns a model's results on a part, in float64.

    Args:
        logits: A model that gives unnormalized log-probabilities [n, num_classes].
        part: Raw inputs and labels.
    """
    scores = _scores(logits, part)
    logs, predicted = log_softmax(scores, axis=1), scores.argmax(axis=1)
    return PerExample(
        nll=-logs[np.arange(len(part.labels)), part.labels],
        correct=predicted == part.labels,
        predicted=predicted,
        confidence=np.exp(logs.max(axis=1)),
    )


def _scores(logits: Any, part: Part) -> np.ndarray:
    inputs = token_rows(part.inputs) if sparse.issparse(part.inputs) else part.inputs
    # Called, not `predict`: that compiles anew for each model and each size of a last batch.
    batches = (inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH))
    scores = np.concatenate([np.asarray(logits(batch, training=False)) for batch in batches])
    return scores.astype(np.float64)


def read_once(
    dataset: Dataset, restored: Mapping[int, Restored], lock: SelectionLock, reads: int
) -> tuple[dict[int, TestResult], TestExamples]:
    """Reads the test part; returns every model's result by trial number, and those per example.

    Args:
        dataset: The dataset, its test part sealed.
        restored: Models by trial number.
        lock: Proof that the selection record is written.
        reads: How often the test part has been read, this time included.
    """
    part = dataset.test.read(lock)
    examples = {number: per_example(trial.logits, part) for number, trial in restored.items()}
    results = {
        number: _result(found, restored[number].train_nll, len(dataset.train), reads)
        for number, found in examples.items()
    }
    return results, TestExamples(part.labels, examples, dataset.class_names, fingerprint(part))


def _result(found: PerExample, train_nll: np.ndarray, num_train: int, reads: int) -> TestResult:
    ce, gap = mean_interval(found.nll), gap_interval(found.nll, train_nll, num_train)
    accuracy = wilson_interval(int(found.correct.sum()), len(found.correct))
    return TestResult(
        ce=float(found.nll.mean()),
        ce_low=ce.low,
        ce_high=ce.high,
        accuracy=float(found.correct.mean()),
        accuracy_low=accuracy.low,
        accuracy_high=accuracy.high,
        gap_ce=float(found.nll.mean() - train_nll.mean()),
        gap_ce_low=gap.low,
        gap_ce_high=gap.high,
        reads=reads,
    )
