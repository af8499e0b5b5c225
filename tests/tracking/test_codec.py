import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest
from tracking_samples import CHANCE, EVERY_FIELD, complete, measured, per_example

from pipeline.errors import TrackingError
from pipeline.records import TrialConfig, TrialOutcome
from pipeline.tracking import codec


def test_the_sample_sets_every_hyperparameter_off_its_default():
    default = TrialConfig()
    same = [
        f.name
        for f in fields(TrialConfig)
        if getattr(EVERY_FIELD, f.name) == getattr(default, f.name)
    ]
    assert same == []


@pytest.mark.parametrize("field", [entry.name for entry in fields(TrialConfig)])
@pytest.mark.parametrize("base", [TrialConfig(), EVERY_FIELD], ids=["default", "every"])
def test_params_round_trip(field, base):
    other = EVERY_FIELD if base == TrialConfig() else TrialConfig()
    config = replace(base, **{field: getattr(other, field)})
    params = codec.config_params(config)
    assert all(isinstance(text, str) for text in params.values())
    read = codec.config_from_params(params)
    assert read == config
    assert type(getattr(read, field)) is type(getattr(config, field))


def test_off_is_spelled_null_and_told_apart_from_the_regularizer_none():
    params = codec.config_params(TrialConfig(regularizer="none", max_norm=None))
    assert (params["regularizer"], params["max_norm"]) == ("none", "null")


def test_numpy_numbers_are_spelled_as_pythons():
    config = replace(
        EVERY_FIELD, lambda_l1=np.float64(0.1), depth=np.int64(2), pooling=np.bool_(True)
    )
    params = codec.config_params(config)
    assert (params["lambda_l1"], params["depth"], params["pooling"]) == ("0.1", "2", "true")


def test_foreign_params_are_ignored_and_missing_ones_take_their_default():
    assert codec.config_from_params({"depth": "5", "color": "red"}) == TrialConfig(depth=5)


def test_a_param_of_the_wrong_type_is_named():
    with pytest.raises(TrackingError, match="param depth='deep' does not read as"):
        codec.config_from_params({"depth": "deep"})
    with pytest.raises(TrackingError, match="param batch_norm='yes'"):
        codec.config_from_params({"batch_norm": "yes"})


def test_metric_names_are_the_contracts():
    metrics = codec.summary_metrics(complete(0, measurement=measured(ece=0.02)))
    assert set(metrics) == {
        "val_ce", "val_accuracy", "train_ce", "train_accuracy", "gap_ce", "gap_ce_se",
        "gap_accuracy", "penalty", "best_epoch", "epochs", "num_parameters", "seconds",
        "objective", "history_gap", "ece",
    }  # fmt: skip


def test_what_was_not_measured_is_no_metric():
    metrics = codec.summary_metrics(
        complete(0, measurement=measured(history_gap=math.nan, ece=None))
    )
    assert "ece" not in metrics
    assert "history_gap" not in metrics
    assert set(codec.summary_metrics(TrialOutcome(0, "FAIL"))) == {"seconds"}


@pytest.mark.parametrize("ece", [None, 0.1 + 0.2])
@pytest.mark.parametrize("diverged", [False, True])
def test_measurements_round_trip(ece, diverged):
    outcome = complete(0, measurement=measured(ece=ece, diverged=diverged))
    metrics = codec.summary_metrics(outcome)
    assert codec.measurement_from(metrics, codec.outcome_tags(outcome)) == outcome.measurement
    assert codec.measurement_from({"seconds": 1.0}, {}) is None


def test_results_round_trip_with_their_types():
    outcome = complete(0, curves={"val_ce": (1 / 3, math.nan, math.inf), "loss": (0.1,)})
    validation, curves = codec.unpack_results(codec.pack_results(outcome))
    for name, dtype in {"nll": "f4", "correct": "?", "predicted": "i4", "confidence": "f4"}.items():
        assert getattr(validation, name).dtype == np.dtype(dtype)
        np.testing.assert_array_equal(getattr(validation, name), getattr(per_example(), name))
    assert curves["loss"] == (0.1,)
    np.testing.assert_array_equal(curves["val_ce"], [1 / 3, math.nan, math.inf])


def test_results_of_a_trial_without_any_are_no_file():
    assert codec.pack_results(TrialOutcome(0, "FAIL")) is None
    only_curves = TrialOutcome(0, "PRUNED", curves={"val_ce": (1.0,)})
    assert codec.unpack_results(codec.pack_results(only_curves)) == (None, {"val_ce": (1.0,)})


def test_weights_round_trip_in_order_as_float32():
    weights = (*(np.full((2, n + 1), n, np.float64) for n in range(12)), np.array([3], np.int64))
    read = codec.unpack_weights(codec.pack_weights(weights))
    assert [w.dtype.str[1:] for w in read] == ["f4"] * 12 + ["i8"]
    for kept, given in zip(read, weights, strict=True):
        np.testing.assert_array_equal(kept, given)


@pytest.mark.parametrize("chance", [CHANCE, replace(CHANCE, log10_p_all_right=-1 / 3)])
def test_the_chance_level_reads_back_from_tags_and_from_an_older_versions_metrics(chance):
    tags = codec.chance_tags(chance)
    assert codec.chance_from(tags, {}) == chance
    metrics = {name: float(text) for name, text in tags.items()}
    assert codec.chance_from({}, metrics) == chance
    assert math.isnan(codec.chance_from({}, {}).ce)


def test_the_gap_per_epoch_is_that_of_the_two_measured_curves():
    logged = codec.epoch_metrics({"val_ce": 0.75, "train_ce": 0.5, "running_ce": 9.0})
    assert logged["epoch/gap_ce"] == 0.25
    assert codec.epoch_metrics({"val_ce": 0.75}) == {"epoch/val_ce": 0.75}


def test_a_cause_is_one_line_of_bounded_length():
    tags = codec.outcome_tags(TrialOutcome(0, "FAIL", cause="out of\n  memory" + "!" * 5_000))
    assert tags["cause"].startswith("out of memory!!!")
    assert len(tags["cause"]) == codec.MAX_CAUSE_LENGTH


def test_results_are_unpacked_in_many_threads_at_once():
    packed = codec.pack_results(complete(0))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(codec.unpack_results, [packed] * 400))
    assert all(curves == dict(complete(0).curves) for _, curves in found)
