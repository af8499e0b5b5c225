"""Reads the test part: restores models, checks them on validation, and measures them once.

No other file reads it. This one imports Keras; only a report that reads the test part for the first
time comes here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.special import log_softmax

from pipeline.datasets import Dataset, Part, SelectionLock
from pipeline.datasets.formats.tokens import token_rows
from pipeline.datasets.preprocessing import fingerprint
from pipeline.errors import PipelineError
from pipeline.records import PerExample, TestExamples, TestResult, TestResults, TrialRecord
from pipeline.report.compared import Compared
from pipeline.selection.averages import mean_log, per_example
from pipeline.selection.statistics import gap_interval, mean_interval, wilson_interval

if TYPE_CHECKING:
    from pipeline.tracking import Tracking

TOLERANCE = 2e-3
"""Relative difference between a restored model's val_ce and the recorded one that rounding (or
bfloat16 training) may leave; float32 on one machine stays below 1e-5."""

BATCH = 256
"""Examples at once; changes memory and speed, not what is measured."""

MOST_CHECKED = 2_000
"""So many validation rows are enough to compare the delivered model with its networks."""

SAME = 1e-5
"""Largest difference of probabilities that float32 may leave between the two."""

TIMINGS = 3
"""Calls of which the shortest says how long a model takes."""


@dataclass(frozen=True)
class Network:
    """A training restored as an ordinary Keras network, and what it says about training examples.

    Attributes:
        record: The training.
        logits: The network without its softmax; what is measured.
        weights: Its weights.
        train_logs: float64 [m, num_classes], log p on the measured training examples, nats.
    """

    record: TrialRecord
    logits: Any
    weights: tuple[np.ndarray, ...]
    train_logs: np.ndarray


@dataclass(frozen=True)
class Restored:
    """A compared model, restored.

    Attributes:
        compared: What it is made of.
        networks: Its trainings by the id of their MLflow run.
    """

    compared: Compared
    networks: Mapping[str, Network]

    @property
    def averaged(self) -> list[Network]:
        """The networks whose probabilities are averaged."""
        return [self.networks[str(run.mlflow_run_id)] for run in self.compared.trainings]


def restore(store: Tracking, dataset: Dataset, models: Sequence[Compared]) -> dict[int, Restored]:
    """Returns the models, every training of theirs checked to reproduce its ``val_ce``.

    Raises:
        PipelineError: A training does not reproduce what was recorded.
        TrackingError: A training's weights are gone.
    """
    from pipeline.training import backend

    backend.prepare("auto", "float32", None)
    # Not before: Keras must find the backend prepared.
    from pipeline.training import export

    networks: dict[str, Network] = {}
    for run in (run for model in models for run in model.all_trainings):
        run_id = str(run.mlflow_run_id)
        if run_id in networks:
            continue
        weights = store.load_weights(run_id)
        logits = export.restore(run.config, dataset, weights, output="linear")
        _check(run, logits, dataset)
        logs = log_probabilities(logits, dataset.train.take(dataset.measured))
        networks[run_id] = Network(run, logits, weights, logs)
    return {
        model.number: Restored(
            model,
            {str(r.mlflow_run_id): networks[str(r.mlflow_run_id)] for r in model.all_trainings},
        )
        for model in models
    }


def delivered_model(restored: Restored, dataset: Dataset) -> Any:
    """Returns what is registered: raw inputs -> probabilities, checked on the validation part.

    Raises:
        PipelineError: It gives other probabilities than its networks do.
    """
    from pipeline.training import export

    networks = restored.averaged
    model = export.delivered(networks[0].record.config, dataset, [n.weights for n in networks])
    few = np.arange(min(len(dataset.validation), MOST_CHECKED))
    found = _probabilities(model, dataset, few)
    part = dataset.validation.take(few)
    expected = np.exp(mean_log([log_probabilities(one.logits, part) for one in networks]))
    difference = float(np.abs(found - expected).max())
    if not difference <= SAME:
        raise PipelineError(
            f"the model of trial {restored.compared.number} gives other probabilities than its "
            f"{'network' if len(networks) == 1 else f'{len(networks)} networks'} on the validation "
            f"part (by up to {difference:.2g}): it is not registered, because what it does to its "
            "inputs is not what training did"
        )
    return model


def _probabilities(model: Any, dataset: Dataset, few: np.ndarray) -> np.ndarray:
    """Returns what a delivered model says about these validation examples."""
    if dataset.encoding is None:
        return _scores(model, dataset.validation.take(few))
    from pipeline.training.raw_inputs import outputs

    inputs = dataset.encoding.as_model_inputs(dataset.raw_validation[few])  # type: ignore[index]
    return outputs(model, inputs, BATCH)


def sizes(model: Any, restored: Restored, dataset: Dataset) -> dict[str, dict[str, float]]:
    """Returns size and speed of what is delivered, and of one of its trainings alone.

    Returns:
        As :attr:`pipeline.report.report.Report.sizes`, in plain values.
    """
    from pipeline.training import export

    first = restored.averaged[0]
    alone = model
    if len(restored.averaged) > 1:
        alone = export.delivered(first.record.config, dataset, [first.weights])
    return {
        name: {
            "num_parameters": sum(int(np.prod(w.shape)) for w in one.trainable_weights),
            "milliseconds_per_example": milliseconds_per_example(one, dataset),
        }
        for name, one in (("delivered", model), ("one training", alone))
    }


def milliseconds_per_example(model: Any, dataset: Dataset) -> float:
    """Returns how long a model takes for an example, in batches of :data:`BATCH`.

    The shortest of :data:`TIMINGS` calls on validation examples, behind one that prepares.
    """
    few = np.arange(min(len(dataset.validation), BATCH))
    seconds = []
    for _ in range(1 + TIMINGS):
        start = time.perf_counter()
        _probabilities(model, dataset, few)
        seconds.append(time.perf_counter() - start)
    return 1000.0 * min(seconds[1:]) / len(few)


def _check(trial: TrialRecord, logits: Any, dataset: Dataset) -> None:
    recorded = trial.measurement.val_ce if trial.measurement else float("nan")
    part = dataset.validation
    val_ce = float(per_example(log_probabilities(logits, part), part.labels).nll.mean())
    if not abs(val_ce - recorded) <= TOLERANCE * max(recorded, 0.1):
        raise PipelineError(
            f"trial {trial.number}, restored from its weights, has a validation cross-entropy of "
            f"{val_ce:.6f}, but {recorded:.6f} was recorded: its weights or the data changed"
        )


def log_probabilities(logits: Any, part: Part) -> np.ndarray:
    """Returns log p of every class, float64 [n, num_classes], nats.

    Args:
        logits: A model that gives unnormalized log-probabilities [n, num_classes].
        part: Raw inputs and labels.
    """
    return np.asarray(log_softmax(_scores(logits, part), axis=1))


def _scores(logits: Any, part: Part) -> np.ndarray:
    inputs = token_rows(part.inputs) if sparse.issparse(part.inputs) else part.inputs
    # Called, not `predict`: that compiles anew for each model and each size of a last batch.
    batches = (inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH))
    scores = np.concatenate([np.asarray(logits(batch, training=False)) for batch in batches])
    return scores.astype(np.float64)


def read_once(
    dataset: Dataset, restored: Mapping[int, Restored], lock: SelectionLock, reads: int
) -> tuple[TestResults, TestExamples]:
    """Reads the test part; returns every model's result, and those per example.

    Args:
        dataset: The dataset, its test part sealed.
        restored: Models by trial number.
        lock: Proof that the selection record is written.
        reads: How often the test part has been read, this time included.
    """
    part = dataset.test.read(lock)
    networks = {key: one for model in restored.values() for key, one in model.networks.items()}
    logs = {key: log_probabilities(network.logits, part) for key, network in networks.items()}
    labels = dataset.train.labels[dataset.measured]
    examples: dict[int, PerExample] = {}
    models: dict[int, TestResult | None] = {}
    trainings: dict[str, TestResult | None] = {}
    for number, model in restored.items():
        keys = [str(run.mlflow_run_id) for run in model.compared.trainings]
        examples[number] = per_example(mean_log([logs[key] for key in keys]), part.labels)
        train = per_example(mean_log([one.train_logs for one in model.averaged]), labels)
        models[number] = _result(examples[number], train.nll, len(dataset.train), reads)
    for key, network in networks.items():
        train = per_example(network.train_logs, labels)
        found = per_example(logs[key], part.labels)
        trainings[key] = _result(found, train.nll, len(dataset.train), reads)
    of_search = (model.compared.search for model in restored.values())
    alone = {
        key: per_example(logs[key], part.labels)
        for run in of_search
        if run is not None and (key := str(run.mlflow_run_id)) in logs
    }
    kept = TestExamples(part.labels, examples, dataset.class_names, fingerprint(part), alone)
    return TestResults(models, trainings), kept


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
