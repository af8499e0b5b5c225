"""Updates of stacked kernels: the fused pass gives what Keras's own operations give."""

from dataclasses import replace

import numpy as np
import pytest
from training_samples import SETTINGS, SMALL, as_array, cohort_of, digits, newswires, run

from pipeline.records import TrialConfig
from pipeline.training import optimizers
from pipeline.training.cohort import CohortTrainer

WORDS = replace(SMALL, optimizer="rmsprop", standardize=False)


def trained_weights():
    configs = [replace(WORDS, **SETTINGS[name]) for name in ("none", "all")]
    outcomes = run(CohortTrainer(newswires()), cohort_of(*configs, epochs=2)).outcomes
    return [weight for outcome in outcomes for weight in outcome.weights]


def test_a_fused_update_is_the_plain_one(monkeypatch):
    fused = []
    compiled = optimizers.backend.fused
    monkeypatch.setattr(
        optimizers.backend, "fused", lambda step: fused.append(step) or compiled(step)
    )
    plain = trained_weights()
    assert not fused, "small kernels are not worth a compilation"
    monkeypatch.setattr(optimizers, "FUSED_SIZE", 1)
    for ours, theirs in zip(trained_weights(), plain, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert fused


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_a_config_s_optimizer_has_its_rate_and_its_decay(name):
    config = TrialConfig(optimizer=name, learning_rate=0.02)
    made = optimizers.keras_optimizer(config)
    assert float(made.learning_rate) == pytest.approx(0.02)
    assert name in type(made).__name__.lower()
    decaying = optimizers.keras_optimizer(replace(config, learning_rate_decay=0.5))
    decaying.iterations.assign(2)
    assert float(decaying.learning_rate) == pytest.approx(0.02 / (1 + 0.5 * 2))


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_a_stacked_optimizer_has_the_rate_and_the_decay_of_every_trial(trainer_for, name):
    configs = [
        replace(SMALL, optimizer=name, learning_rate=rate, learning_rate_decay=decay)
        for rate, decay in ((0.02, 0.0), (0.1, 0.5), (0.3, 2.0))
    ]
    cohort = cohort_of(*configs)
    network = trainer_for(digits()).network(cohort)
    optimizer = network.model.optimizer
    assert name in type(optimizer).__name__.lower()
    for steps, rates in ((0, [0.02, 0.1, 0.3]), (2, [0.02, 0.05, 0.06])):
        network.start(cohort.trials)
        optimizer.iterations.assign(steps)
        np.testing.assert_allclose(as_array(optimizer.learning_rate)[:3], rates, rtol=1e-6)


def test_a_learning_rate_that_all_trials_share_is_one_number(trainer_for):
    trainer = trainer_for(digits())
    shared, own = (
        trainer.network(cohort_of(*[replace(SMALL, learning_rate=rate) for rate in rates]))
        for rates in ((0.02, 0.02), (0.02, 0.1))
    )
    shared.start(cohort_of(replace(SMALL, learning_rate=0.02)).trials)
    np.testing.assert_allclose(as_array(shared.model.optimizer.learning_rate), [0.02], rtol=1e-6)
    assert shared is not own and len(own.model.optimizer.learning_rate) == own.spec.trials
