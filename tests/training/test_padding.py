"""Networks of different size train in one program: where their layers are, and none shows."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from training_samples import (
    SETTINGS,
    SMALL,
    SMALL_CNN,
    cohort_of,
    cross_entropies,
    digits,
    newswires,
    run,
    same_numbers,
)

from pipeline.training import export, models
from pipeline.training.architecture import (
    BatchNorm,
    Dense,
    Flatten,
    OutputTechnique,
    num_parameters,
)
from pipeline.training.hyperparameters import ACTIVATIONS
from pipeline.training.padding import Placement, differ, padded, program, skippable, stackable

SIZES = (
    replace(SMALL, depth=1, width=8, dropout_rate=0.3),
    replace(SMALL, depth=3, batch_norm=True, dropout_rate=0.4, **SETTINGS["l1_l2"]),
    replace(SMALL, width=12, input_noise=0.2, **SETTINGS["all"]),
    replace(SMALL, depth=3, max_norm=0.8),
    replace(SMALL, width=5, batch_norm=True, weight_decay=0.1, learning_rate=3e-3),
)
WORDS = tuple(
    replace(config, optimizer="rmsprop", standardize=False, input_noise=0.0) for config in SIZES
)


def test_what_is_padded_no_longer_tells_trials_apart():
    for name, value in {"depth": 3, "width": 99, "batch_norm": True, "dropout_rate": 0.5}.items():
        assert stackable(replace(SMALL, **{name: value})) == stackable(SMALL), name
    apart = {"batch_size": 7, "first_activation": "linear", "hidden_activation": "gelu"}
    for name, value in apart.items():
        assert stackable(replace(SMALL, **{name: value})) != stackable(SMALL), name
    # A convolution more costs more than it saves.
    assert stackable(replace(SMALL_CNN, depth=1)) != stackable(SMALL_CNN)
    assert padded([SMALL_CNN]) == SMALL_CNN


def test_the_program_is_that_of_the_largest_network():
    largest = padded(SIZES)
    assert (largest.depth, largest.width, largest.batch_norm) == (3, 16, True)
    assert program(SIZES) == program([largest])
    assert differ(SIZES)
    assert not differ([SMALL, replace(SMALL, dropout_rate=0.5)])


def test_a_layer_is_where_the_first_one_like_it_is():
    small, large = (
        models.layers_of(config, (8, 8, 1))
        for config in (replace(SMALL, width=8), replace(SMALL, depth=3, batch_norm=True))
    )
    placement = Placement.of(small, large, (8, 8, 1))
    #        Flatten, Dense, BatchNorm, dropout, Dense, BatchNorm, dropout, Dense, ...
    assert placement.places == (0, 1, None, 2, 3, None, 4, None, None, None)
    assert placement.length(1) == 8
    assert placement.length(7) == 0
    kernel = np.arange(64 * 16.0).reshape(64, 16)
    assert np.array_equal(placement.cut(kernel, 1), kernel[:, :8])
    assert placement.cut(np.zeros((16, 16)), 4).shape == (8, 8)
    assert placement.cut(np.zeros(16), 4).shape == (8,)
    assert placement.penalized() == [0, 2]
    assert skippable(replace(SMALL, depth=2, batch_norm=True), (8, 8, 1)) == {2, 4, 5, 6}


def test_a_network_that_is_not_contained_is_refused():
    with pytest.raises(ValueError, match="does not contain"):
        Placement.of([Dense(3)], [Dense(2)], (4,))
    with pytest.raises(ValueError, match="does not contain"):
        Placement.of([Flatten(), BatchNorm()], [Flatten(), OutputTechnique("dropout")], (4,))


@pytest.mark.parametrize(("load", "configs"), [(digits, SIZES), (newswires, WORDS)])
def test_a_trial_gives_the_same_numbers_alone_and_among_larger_networks(trainer_for, load, configs):
    trainer, cohort = trainer_for(load()), cohort_of(*configs)
    together = run(trainer, cohort).outcomes
    for trial, outcome in zip(cohort.trials, together, strict=True):
        alone = run(trainer, replace(cohort, trials=(trial,))).outcomes[0]
        assert outcome.curves["val_ce"] == pytest.approx(alone.curves["val_ce"], rel=1e-5)
        assert outcome.measurement.penalty == pytest.approx(alone.measurement.penalty, rel=1e-5)
        for ours, theirs in zip(outcome.weights, alone.weights, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_company_of_other_sizes_changes_no_bit_within_a_program(trainer_for):
    trainer, cohort = trainer_for(digits()), cohort_of(*SIZES)
    one = run(trainer, cohort).outcomes[0]
    others = (SIZES[0], *(replace(config, dropout_rate=0.6) for config in SIZES[1:]))
    again = run(trainer, cohort_of(*others)).outcomes[0]
    assert same_numbers(one, again)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_leaves_zero_at_zero(activation):
    assert float(keras.activations.get(activation)(keras.ops.zeros(()))) == 0.0


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_units_and_layers_that_a_trial_lacks_stay_zero(trainer_for, activation):
    sizes = [replace(config, hidden_activation=activation) for config in SIZES]
    trainer, cohort = trainer_for(digits()), cohort_of(*sizes)
    run(trainer, cohort)
    network = trainer.network(cohort)
    kernels = [np.moveaxis(np.asarray(w.kernel), w.trial_axis, 0) for w in network.weighted]
    first, second, third, output = (kernel[0] for kernel in kernels)  # one layer of 8 units
    assert first[:, :8].any()
    assert output[:8].any()
    for zeros in (first[:, 8:], second, third, output[8:]):
        assert not zeros.any()


def test_a_padded_trial_is_exported_in_its_own_size(trainer_for):
    dataset = digits()
    outcomes = run(trainer_for(dataset), cohort_of(*SIZES)).outcomes
    for config, outcome in zip(SIZES, outcomes, strict=True):
        layers = (*models.layers_of(config, dataset.input_shape), Dense(dataset.num_classes))
        assert outcome.measurement.num_parameters == num_parameters(layers, dataset.input_shape)
        model = export.restore(config, dataset, outcome.weights)
        losses = cross_entropies(model, dataset.validation)
        assert losses.mean() == pytest.approx(outcome.measurement.val_ce, rel=1e-4)
