"""Steps that XLA compiles give what TensorFlow's own kernels give, trial by trial."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from training_samples import (
    SETTINGS,
    SMALL,
    SMALL_CNN,
    cohort_of,
    digits,
    newswires,
    pictures,
    run,
    same_numbers,
)

from pipeline.training import cohort as cohort_module
from pipeline.training.cohort import CohortTrainer

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="JAX compiles every step by XLA"
)
MIXED = (
    replace(SMALL, depth=1, width=8, dropout_rate=0.3),
    replace(SMALL, depth=3, batch_norm=True, dropout_rate=0.4, **SETTINGS["l1_l2"]),
    replace(SMALL, width=12, input_noise=0.2, **SETTINGS["all"]),
    replace(SMALL, width=5, batch_norm=True, weight_decay=0.1, learning_rate=3e-3),
)


class FusingTrainer(CohortTrainer):
    """Has XLA compile every program."""

    def fuses(self, config, slots, epochs):
        return True


@pytest.fixture(scope="module")
def fusing():
    return FusingTrainer(digits())


def test_fused_steps_train_as_the_others_do(fusing, trainer_for):
    cohort = cohort_of(*MIXED)
    plain = run(trainer_for(digits()), cohort).outcomes
    fused = run(fusing, cohort).outcomes
    assert fusing.network(cohort).spec.fused
    assert fusing.network(cohort).model.jit_compile
    for ours, theirs in zip(fused, plain, strict=True):
        for name, curve in theirs.curves.items():
            assert ours.curves[name] == pytest.approx(curve, rel=1e-4, abs=1e-6), name
        for one, other in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_they_give_the_same_numbers_again(fusing):
    first, second = (run(fusing, cohort_of(*MIXED)).outcomes for _ in range(2))
    assert all(same_numbers(one, other) for one, other in zip(first, second, strict=True))


def test_a_trial_that_explodes_leaves_its_neighbours_bit_identical(fusing):
    base = replace(SMALL, optimizer="sgd", learning_rate=1e-2, depth=3)
    wild = replace(base, regularizer="l2", lambda_l2=1e6)
    tame = replace(wild, lambda_l2=1e-3)
    others = (replace(base, dropout_rate=0.3), replace(base, **SETTINGS["max_norm"]))
    well, ill = (
        run(fusing, cohort_of(others[0], middle, others[1], epochs=4)).outcomes
        for middle in (tame, wild)
    )
    assert [outcome.state for outcome in ill] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert same_numbers(well[0], ill[0]) and same_numbers(well[2], ill[2])


def test_xla_compiles_what_is_dense_and_long_enough(trainer_for):
    trainer = trainer_for(digits())
    assert trainer.fuses(SMALL, 32, 1_000)
    assert not trainer.fuses(SMALL, 32, 2), "TensorFlow compiles sooner"
    assert not trainer_for(newswires()).fuses(SMALL, 32, 10**9), "its shapes depend on values"
    assert not trainer_for(pictures()).fuses(SMALL_CNN, 32, 10**9), (
        "its convolutions are not faster"
    )


def test_nor_where_it_was_not_measured(trainer_for, monkeypatch):
    trainer = trainer_for(digits())
    monkeypatch.setattr("pipeline.training.backend.on_gpu", lambda: True)
    assert not trainer.fuses(SMALL, 32, 10**9)
    monkeypatch.undo()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert not trainer.fuses(SMALL, 32, 10**9)
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_smaller_network_is_fused_only_where_its_rest_is_long(trainer_for, monkeypatch):
    trainer = trainer_for(digits())
    monkeypatch.setattr(cohort_module, "COMPILATION_WORK", 0)
    monkeypatch.setattr(cohort_module, "FUSED_WORK", 8 * 20 * trainer.work(SMALL))
    network = trainer.network(cohort_of(*[SMALL] * 32, epochs=2))
    assert not network.spec.fused
    assert trainer.smaller_network(network, 8, 20).spec.fused
    assert not trainer.smaller_network(network, 8, 10).spec.fused
