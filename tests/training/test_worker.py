"""How a worker opens up, and what the small specification of it needs."""

import pickle
import subprocess
import sys

import keras
import pytest
from training_samples import SMALL, cohort_of, run

from pipeline.errors import DatasetError
from pipeline.records import DatasetSpec
from pipeline.training.worker import WorkerSpec

SPEC = WorkerSpec(DatasetSpec("digits", train_examples=100), device="cpu")


@pytest.fixture(autouse=True)
def same_policy():
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


def test_a_specification_travels_and_opens_a_trainer():
    trainer = pickle.loads(pickle.dumps(SPEC)).open()
    assert trainer.device == "cpu"
    assert trainer.dataset.split_sizes["train"] == 100
    outcome = run(trainer, cohort_of(SMALL, epochs=1)).outcomes[0]
    assert outcome.state == "COMPLETE" and outcome.device == "cpu"
    pickle.dumps(outcome)


def test_an_unknown_dataset_is_the_datasets_error():
    with pytest.raises(DatasetError, match="There is no dataset 'digit' \\(did you mean 'digits'"):
        WorkerSpec(DatasetSpec("digit"), device="cpu").open()


@pytest.mark.slow
def test_mixed_precision_trains_and_measures_in_float32_near_the_full_one():
    losses = {}
    for precision in ("float32", "mixed_bfloat16"):
        spec = WorkerSpec(SPEC.dataset, device="cpu", precision=precision)
        cohort = cohort_of(SMALL, type(SMALL)(width=16, dropout_rate=0.2, batch_norm=False))
        outcomes = run(spec.open(), cohort).outcomes
        losses[precision] = [outcome.measurement.val_ce for outcome in outcomes]
        assert {weight.dtype.name for o in outcomes for weight in o.weights} == {"float32"}
    assert losses["mixed_bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["mixed_bfloat16"] != pytest.approx(losses["float32"], rel=1e-6)


def test_the_specification_needs_no_keras_until_it_is_opened():
    script = (
        "import sys; from pipeline.training import worker; from pipeline.training import models;"
        "assert not {'keras', 'tensorflow', 'jax'} & set(sys.modules), 'imported too early'"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
