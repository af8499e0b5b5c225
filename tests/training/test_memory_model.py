"""What a cohort takes is counted as Keras allocates it, and bounds what trains together."""

from dataclasses import replace

import numpy as np
import pytest
from training_samples import SMALL, SMALL_CNN, cohort_of, digits, newswires, pictures

from pipeline.training.memory_model import (
    COPIES,
    SLOTS,
    DataShape,
    MemoryNeed,
    memory_need,
    scored_at_once,
)
from pipeline.training.optimizers import OPTIMIZERS


def shape_of(dataset):
    num_scored = len(dataset.validation) + len(dataset.measured)
    return DataShape(dataset.input_shape, dataset.num_classes, num_scored)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("load", "config"),
    [(digits, SMALL), (pictures, SMALL_CNN), (newswires, replace(SMALL, standardize=False))],
    ids=["mlp", "cnn", "words"],
)
def test_weights_and_slots_are_those_that_keras_makes(trainer_for, load, config, optimizer):
    config = replace(config, optimizer=optimizer)
    network = trainer_for(load()).network(cohort_of(*[config] * 8))
    trainable = network.model.trainable_variables
    shapes = {tuple(variable.shape) for variable in trainable}
    slots = [v for v in network.model.optimizer.variables if tuple(v.shape) in shapes]
    made = sum(int(np.prod(variable.shape)) * 4 for variable in (*trainable, *slots))
    foreseen = memory_need(config, shape_of(load())).weights
    kept = 1 + SLOTS[optimizer]
    assert made == 8 * foreseen // (COPIES + 2 * kept) * kept


def test_every_optimizer_has_its_slots():
    assert SLOTS.keys() == OPTIMIZERS.keys()


def test_an_mlps_activations_are_counted_layer_by_layer():
    config = replace(SMALL, width=100, depth=2, batch_size=10)
    found = memory_need(config, DataShape((64,), 7, 500))
    # Two dense layers, two dropouts (result and mask) and the output; three in passing.
    assert found.batch == 10 * (2 * 100 + 2 * 200 + 7 + 3 * 100) * 4
    assert found.weights == (65 * 100 + 101 * 100 + 101 * 7) * 9 * 4
    assert found.widest == 100
    assert found.scored == 3 * 100 * 4
    assert found.scores == 2 * 4 * 500 * 4


def test_noise_gives_every_trial_inputs_of_its_own(trainer_for):
    config = replace(SMALL, width=20, depth=1, batch_size=10, input_noise=0.1)
    found = memory_need(config, DataShape((64,), 7, 500))
    # The noise and the noisy inputs, which are the widest now.
    assert found.batch == 10 * (2 * 64 + 20 + 2 * 20 + 7 + 3 * 64) * 4
    assert (found.widest, found.scored) == (64, 3 * 64 * 4)
    network = trainer_for(digits()).network(cohort_of(*[config] * 300))
    assert network.scored == scored_at_once(64, network.spec.trials) < scored_at_once(20, 300)


def test_wide_images_take_more_than_their_weights():
    config = replace(SMALL_CNN, width=32, batch_size=128)
    found = memory_need(config, DataShape((32, 32, 3), 10, 1000))
    assert found.widest == 30 * 30 * 32
    assert found.batch > 3 * 128 * 30 * 30 * 32 * 4


def test_a_network_scores_as_many_examples_at_once_as_foreseen(trainer_for):
    network = trainer_for(digits()).network(cohort_of(*[SMALL] * 4))
    assert network.scored == scored_at_once(64, network.spec.trials) == 4096
    assert scored_at_once(2**20, 4) == 32
    assert scored_at_once(1000, 100) == 2**24 // 100_000
    # Ten thousand words are an input of all trials, not of each.
    assert scored_at_once(64, 16, 10_000) == 2**24 // 10_000
    assert scored_at_once(64, 256, 10_000) == 1024


TEN_EACH = MemoryNeed(weights=6, batch=4, widest=2**30, scored=0, scores=0)


@pytest.mark.parametrize(
    ("memory", "most"), [(float("inf"), 64), (640, 64), (639, 63), (25, 2), (19, 1), (0, 1)]
)
def test_a_cohort_is_as_large_as_its_memory_allows_and_never_empty(memory, most):
    assert TEN_EACH.bytes(3) == 30
    assert TEN_EACH.most(memory, 64) == most


def test_scoring_counts_what_is_scored_at_once():
    found = MemoryNeed(weights=0, batch=0, widest=64, scored=3, scores=5)
    assert found.bytes(2) == 2 * (4096 * 3 + 5)
    assert found.bytes(256) == 256 * (1024 * 3 + 5)
    assert replace(found, shared=2).bytes(2) == 2 * (4096 * 3 + 5) + 4096 * 2 * 4
