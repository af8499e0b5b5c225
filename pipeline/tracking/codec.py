"""Translates records into MLflow's params, metrics, tags and files, and back.

In: records. Out: plain dicts and bytes, and back, exactly. Knows no MLflow.

Params are text, metrics are doubles, arrays are one npz file. A param is written as YAML would:
``null``, ``true``, ``false``, numbers by ``repr`` (which reads back to the same double), text as it
is; the type of the ``TrialConfig`` field decides how it is read. A metric that is absent was not
measured (``ece``, ``history_gap``); NaN is logged as NaN. MLflow replaces an infinite metric by the
largest double, which is read back as infinite.
"""

from __future__ import annotations

import json
import math
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from io import BytesIO
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from pipeline.errors import TrackingError
from pipeline.records import (
    ChanceLevel,
    Measurement,
    PerExample,
    Probabilities,
    TestExamples,
    TrialConfig,
    TrialOutcome,
)
from pipeline.tracking.npz import unpacked
from pipeline.training.models import taken_by
from pipeline.training.techniques import further_hyperparameters

MODEL_TAG = "model_uri"
"""Tag of a parent run: where its winner is registered."""

TOTAL_TAG = "trials_total"
"""Tag of a parent run: how many trials were asked for."""

LOCK_TAG = "selection_locked"
"""Tag of a parent run: the hash of its locked selection record."""

TESTED_TAG, REGISTERED_TAG, REPORTED_TAG = "tested_for", "registered_for", "reported_for"
"""For which locked selection (its hash) the parent has a test result, a model, and its pages."""

TEST_PART_TAG = "test_part"
"""Tag of a parent run and of a version: the SHA-256 of the test examples it was measured on."""

DELIVERED_TAG = "delivered_run"
"""Tag of a parent run: the runs whose weights are the delivered model's, separated by commas."""

TEST_FILE = "test.json"
"""File of a parent run: the winner and what it is compared with, on the test part."""

SIZE_FILE = "delivered.json"
"""File of a parent run: size and speed of what is delivered, and of one training alone."""

TEST_EXAMPLES_FILE = "test_examples.npz"
"""File of a parent run: the same models' results per test example, with the labels."""

CURVE_PREFIX = "epoch/"
GAP_CURVE = "gap_ce"
"""Follows from two other curves: MLflow shows it, no file holds it."""
_CHANCE_PREFIX = "chance_"
RESULTS_FILE = "validation.npz"
RESULTS_TAG = "results"
WEIGHTS_FILE = "weights.npz"
PROBABILITIES_FILE = "probabilities.npz"
"""File of a finalist's run: what it says about every class (``records.Probabilities``)."""
PROBABILITIES_TAG = "probabilities"
"""Tag of a run that keeps them: ``kept``."""
MAX_CAUSE_LENGTH = 1_000
_OPTIONAL_METRICS = {"history_gap": math.nan, "ece": None, "log10_p_guessing": None}
_CURVE_KEY = "curve:"
_RUN_KEY = "run/"
_PER_EXAMPLE = {
    "nll": np.float32, "correct": np.bool_, "predicted": np.int32, "confidence": np.float32,
}  # fmt: skip


def param_text(value: Any) -> str:
    """Returns a value as the text of a param, as YAML writes it; not shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return repr(float(value))
    if isinstance(value, int | np.integer):
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value, default=str)


def config_params(config: TrialConfig) -> dict[str, str]:
    """Returns the params of a trial's child run, one per hyperparameter.

    Of a model of the user's own only those that it has: it may know no depth and no width.
    """
    values = config.as_dict()
    if config.is_own:
        counting = {"family", *taken_by(config.family)}
        values = {name: value for name, value in values.items() if name in counting}
    return {name: param_text(value) for name, value in values.items()}


def config_from_params(params: Mapping[str, str]) -> TrialConfig:
    """Returns the configuration whose :func:`config_params` these are; other params are ignored.

    A hyperparameter younger than the run takes its default.

    Raises:
        TrackingError: A param does not read as its hyperparameter's type.
    """
    hints = {name: hint for name, hint in _hints_of(TrialConfig).items() if name != "more"}
    hints |= {name: entry.kind for name, entry in further_hyperparameters().items()}
    values = {}
    for name, hint in hints.items():
        if name in params:
            try:
                values[name] = _value_of(params[name], hint)
            except ValueError:
                raise TrackingError(
                    f"param {name}={params[name]!r} does not read as {hint}; it was not written by "
                    "this program, or was changed since"
                ) from None
    return TrialConfig(**values)


@cache
def _hints_of(record: type) -> dict[str, Any]:
    """Returns the types of a record's fields, which Python reads from their text each time."""
    return get_type_hints(record)


def _value_of(text: str, hint: Any) -> Any:
    """Returns the value that :func:`param_text` wrote as this text, given the type it had."""
    if get_origin(hint) is types.UnionType:
        if text == "null":
            return None
        hint = next(kind for kind in get_args(hint) if kind is not type(None))
    if hint is bool:
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    return hint(text)


def chance_tags(chance: ChanceLevel) -> dict[str, str]:
    """Returns the level of a model without skill as tags: nobody compares it between runs."""
    return {
        f"{_CHANCE_PREFIX}{entry.name}": param_text(value)
        for entry in fields(ChanceLevel)
        if (value := getattr(chance, entry.name)) is not None
    }


def chance_from(tags: Mapping[str, str], metrics: Mapping[str, float]) -> ChanceLevel:
    """Returns the chance level that was written so, or as metrics of the same names, as before.

    NaN (which no trial beats) where the study never got to it.
    """

    def value(name: str) -> float | None:
        key = f"{_CHANCE_PREFIX}{name}"
        return float(tags[key]) if key in tags else metrics.get(key)

    found = {entry.name: value(entry.name) for entry in fields(ChanceLevel)}
    accuracy, ce = found.pop("accuracy"), found.pop("ce")
    return ChanceLevel(
        math.nan if accuracy is None else accuracy, math.nan if ce is None else ce, **found
    )


def epoch_metrics(curves: Mapping[str, float]) -> dict[str, float]:
    """Returns one epoch of a trial's curves as metrics, the gap between the two parts among them.

    Both sides of ``epoch/gap_ce`` are measured in inference mode after the epoch.
    """
    values = dict(curves)
    if "val_ce" in values and "train_ce" in values:
        values[GAP_CURVE] = values["val_ce"] - values["train_ce"]
    return {f"{CURVE_PREFIX}{name}": value for name, value in values.items()}


def summary_metrics(outcome: TrialOutcome) -> dict[str, float]:
    """Returns the summary metrics of a trial: its measurement, objective and seconds."""
    metrics = {"seconds": float(outcome.seconds)}
    measured = outcome.measurement
    if measured is None:
        return metrics
    for entry in fields(Measurement):
        value = getattr(measured, entry.name)
        absent = entry.name in _OPTIONAL_METRICS and (value is None or math.isnan(value))
        if entry.name != "diverged" and not absent:
            metrics[entry.name] = float(value)
    return metrics | {"objective": float(measured.objective)}


def outcome_tags(outcome: TrialOutcome, verdict: str | None = None) -> dict[str, str]:
    """Returns the tags that a finished trial adds to its run."""
    tags = {"state": outcome.state, "device": outcome.device}
    if outcome.measurement is not None:
        tags["diverged"] = param_text(outcome.measurement.diverged)
    if outcome.cause:
        tags["cause"] = " ".join(outcome.cause.split())[:MAX_CAUSE_LENGTH]
    if verdict is not None:
        tags["verdict"] = verdict
    return tags


def outcome_files(outcome: TrialOutcome, keep_weights: bool) -> dict[str, bytes]:
    """Returns the files that a finished trial leaves on its run, by name."""
    files = {}
    if (packed := pack_results(outcome)) is not None:
        files[RESULTS_FILE] = packed
    if keep_weights and outcome.weights is not None:
        files[WEIGHTS_FILE] = pack_weights(outcome.weights)
    if outcome.probabilities is not None:
        files[PROBABILITIES_FILE] = pack_probabilities(outcome.probabilities)
    return files


def measurement_from(metrics: Mapping[str, float], tags: Mapping[str, str]) -> Measurement | None:
    """Returns the measurement that was written as these metrics; None where there was none."""
    if "best_epoch" not in metrics:
        return None
    values: dict[str, Any] = {"diverged": tags.get("diverged") == "true"}
    hints = _hints_of(Measurement)
    for entry in fields(Measurement):
        if entry.name in metrics:
            value = finite_or_infinite(metrics[entry.name])
            values[entry.name] = int(value) if hints[entry.name] is int else value
        elif entry.name in _OPTIONAL_METRICS:
            values[entry.name] = _OPTIONAL_METRICS[entry.name]
        elif entry.name not in values:
            values[entry.name] = math.nan
    return Measurement(**values)


def finite_or_infinite(value: float) -> float:
    """Returns a metric's value with MLflow's stand-in for infinity turned back into infinity."""
    return math.copysign(math.inf, value) if abs(value) >= sys.float_info.max else value


def pack_results(outcome: TrialOutcome) -> bytes | None:
    """Returns ``validation.npz``: per-example results and curves; None where there are neither.

    Arrays: ``nll`` float32, ``correct`` bool, ``predicted`` int32, ``confidence`` float32, each
    [num_validation]; ``curve:NAME`` float64 [num_epochs]. The curves are metrics, too; MLflow reads
    those back one run and one name at a time, which takes minutes for a large study.
    """
    arrays = {f"{_CURVE_KEY}{k}": np.asarray(v, np.float64) for k, v in outcome.curves.items()}
    if outcome.validation is not None:
        arrays |= _columns(outcome.validation)
    return _packed(arrays) if arrays else None


def unpack_results(data: bytes) -> tuple[PerExample | None, dict[str, tuple[float, ...]]]:
    """Returns the per-example results (or None) and the curves of a ``validation.npz``."""
    arrays = unpacked(data)
    curves = {
        name.removeprefix(_CURVE_KEY): tuple(values.tolist())
        for name, values in arrays.items()
        if name.startswith(_CURVE_KEY)
    }
    if "nll" not in arrays:
        return None, curves
    return PerExample(**{name: arrays[name] for name in _PER_EXAMPLE}), curves


def pack_test_examples(examples: TestExamples) -> bytes:
    """Returns ``test_examples.npz``.

    Arrays: ``labels``, ``class_names``, and per model ``NUMBER:nll``, ..., per training that was
    measured alone ``run/ID:nll``, ...
    """
    arrays = {
        "labels": np.asarray(examples.labels, np.int32),
        "class_names": np.asarray(examples.class_names, np.str_),
    }
    results = {str(number): result for number, result in examples.results.items()}
    results |= {f"{_RUN_KEY}{run_id}": result for run_id, result in examples.trainings.items()}
    for key, result in results.items():
        arrays |= {f"{key}:{name}": column for name, column in _columns(result).items()}
    return _packed(arrays)


def unpack_test_examples(data: bytes) -> TestExamples:
    """Returns what such a file holds."""
    arrays = unpacked(data)
    keys = dict.fromkeys(name.rpartition(":")[0] for name in arrays if ":" in name)
    found = {
        key: PerExample(**{name: arrays[f"{key}:{name}"] for name in _PER_EXAMPLE}) for key in keys
    }
    return TestExamples(
        labels=arrays["labels"],
        results={int(key): one for key, one in found.items() if not key.startswith(_RUN_KEY)},
        class_names=tuple(arrays["class_names"].tolist()),
        trainings={
            key.removeprefix(_RUN_KEY): one
            for key, one in found.items()
            if key.startswith(_RUN_KEY)
        },
    )


def _columns(results: PerExample) -> dict[str, np.ndarray]:
    return {name: np.asarray(getattr(results, name), kind) for name, kind in _PER_EXAMPLE.items()}


def _packed(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def pack_weights(weights: Sequence[np.ndarray]) -> bytes:
    """Returns weights as an npz file, in their order; floats as float32, not compressed."""
    arrays = {f"{index:04d}": _single(array) for index, array in enumerate(weights)}
    packed = BytesIO()
    np.savez(packed, allow_pickle=False, **arrays)
    return packed.getvalue()


def unpack_weights(data: bytes) -> tuple[np.ndarray, ...]:
    """Returns the weights of such a file, in their order."""
    arrays = unpacked(data)
    return tuple(arrays[name] for name in sorted(arrays))


def pack_probabilities(probabilities: Probabilities) -> bytes:
    """Returns them as an npz file, by the names of their fields, not compressed."""
    arrays = {
        entry.name: np.asarray(getattr(probabilities, entry.name))
        for entry in fields(Probabilities)
    }
    packed = BytesIO()
    np.savez(packed, allow_pickle=False, **arrays)
    return packed.getvalue()


def unpack_probabilities(data: bytes) -> Probabilities:
    """Returns what such a file holds."""
    arrays = unpacked(data)
    num_train = int(arrays.pop("num_train"))
    return Probabilities(**arrays, num_train=num_train)


def _single(array: np.ndarray) -> np.ndarray:
    """Returns floats as float32 (bfloat16, too, which numpy's format does not know)."""
    array = np.asarray(array)
    return array if array.dtype.kind in "biu" else array.astype(np.float32)
