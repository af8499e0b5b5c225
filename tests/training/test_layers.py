"""Stacked layers on their own: dropout masks per trial, and each layer against Keras's."""

from itertools import combinations

import keras
import numpy as np
import pytest
from keras import ops
from scipy import sparse, stats
from training_samples import as_array

from pipeline.training.device_data import padded
from pipeline.training.layers import (
    SharedBag,
    SharedDense,
    StackedBatchNorm,
    StackedConv,
    StackedDense,
    StackedFlatten,
    StackedMaxPool,
)
from pipeline.training.random_layers import StackedDropout, StackedGaussianNoise, hash32

EXAMPLES, UNITS = 200, 500
SIGMAS = 5.0
"""Random bounds: five standard deviations, so that a right mask fails once in a million."""


def dropout(rates, seeds, salt=1):
    layer = StackedDropout(len(rates), salt=salt)
    layer.build((len(rates), None, UNITS))
    layer.numbers.assign(np.array(rates, dtype=np.float32))
    layer.seed.assign(np.array(seeds, dtype=np.uint32))
    return layer


def dropped(layer, inputs=None):
    """Returns the layer's training outputs [K, EXAMPLES, UNITS] for ones, or for these inputs."""
    if inputs is None:
        inputs = np.ones((layer.numbers.shape[0], EXAMPLES, UNITS), dtype=np.float32)
    return as_array(layer(inputs, training=True))


def correlation(one, other):
    return abs(np.corrcoef(one.ravel() > 0, other.ravel() > 0)[0, 1])


def test_each_trial_drops_its_own_share_and_rescales_the_rest():
    rates = [0.1, 0.25, 0.5, 0.9]
    outputs = dropped(dropout(rates, seeds=[1, 2, 3, 4]))
    for rate, mask in zip(rates, outputs, strict=True):
        bound = SIGMAS * np.sqrt(rate * (1 - rate) / mask.size)
        assert (mask == 0).mean() == pytest.approx(rate, abs=bound)
        np.testing.assert_allclose(mask[mask != 0], 1 / (1 - rate), rtol=1e-6)


def test_no_unit_and_no_example_is_dropped_more_often_than_others():
    mask = dropped(dropout([0.5], seeds=[11]))[0] == 0
    for axis, length in ((0, EXAMPLES), (1, UNITS)):
        shares = mask.mean(axis=axis)
        bound = SIGMAS * np.sqrt(0.25 / length)
        np.testing.assert_allclose(shares, 0.5, atol=bound)
        # As wide as independent draws spread, neither more nor (a regular grid) less.
        assert np.std(shares) == pytest.approx(np.sqrt(0.25 / length), rel=0.3)


def test_a_rate_of_zero_is_the_identity_to_the_last_bit():
    inputs = np.random.default_rng(0).normal(size=(3, EXAMPLES, UNITS)).astype(np.float32)
    inputs[1] *= 1e30
    outputs = dropped(dropout([0.0, 0.0, 0.5], seeds=[1, 2, 3]), inputs)
    np.testing.assert_array_equal(outputs[:2], inputs[:2])
    assert (outputs[2] == 0).any()


def test_inference_drops_nothing():
    inputs = np.random.default_rng(0).normal(size=(2, EXAMPLES, UNITS)).astype(np.float32)
    layer = dropout([0.9, 0.5], seeds=[1, 2])
    np.testing.assert_array_equal(as_array(layer(inputs, training=False)), inputs)


def test_masks_of_trials_steps_and_layers_are_independent():
    first, second = dropout([0.5] * 3, [1, 2, 3]), dropout([0.5] * 3, [1, 2, 3], salt=2)
    masks = [*dropped(first), *dropped(first), *dropped(second), *dropped(second)]
    bound = SIGMAS / np.sqrt(EXAMPLES * UNITS)
    assert max(correlation(*pair) for pair in combinations(masks, 2)) < bound
    # A mask of another one, moved by an example or a unit, would be seen here.
    shifted = [np.roll(masks[0], shift, axis) for shift in (1, -1) for axis in (0, 1)]
    assert max(correlation(mask, other) for mask in masks[1:] for other in shifted) < bound


def test_a_mask_depends_on_the_seed_and_not_on_the_slot_or_company():
    company = dropped(dropout([0.1, 0.3, 0.5, 0.3, 0.6], seeds=[9, 7, 5, 3, 1]))
    alone = dropped(dropout([0.3], seeds=[3]))
    np.testing.assert_array_equal(company[3], alone[0])
    assert correlation(company[1], alone[0]) < SIGMAS / np.sqrt(EXAMPLES * UNITS)


def noisy(deviations, seeds, inputs, steps=1):
    """Returns what a noise layer for shared inputs gives in the last of so many training steps."""
    layer = StackedGaussianNoise(len(deviations), salt=7)
    layer.build(inputs.shape)
    layer.start(np.array(deviations, np.float32), np.array(seeds, np.uint32))
    outputs = [as_array(layer(inputs, training=True)) for _ in range(steps)]
    resting = as_array(layer(inputs, training=False))
    np.testing.assert_array_equal(resting, np.broadcast_to(inputs, resting.shape))
    return outputs[-1]


def test_noise_is_normal_with_each_trial_s_deviation():
    deviations = [0.1, 0.5, 1.0]
    outputs = noisy(deviations, [1, 2, 3], np.full((EXAMPLES, UNITS), 2.0, np.float32))
    for deviation, noise in zip(
        deviations, (outputs - 2.0) / np.c_[deviations][:, None], strict=True
    ):
        bound = SIGMAS / np.sqrt(noise.size)
        assert noise.mean() == pytest.approx(0.0, abs=bound), deviation
        assert noise.var() == pytest.approx(1.0, abs=np.sqrt(2) * bound)
        assert stats.kurtosis(noise.ravel()) == pytest.approx(0.0, abs=np.sqrt(24) * bound)
        assert stats.kstest(noise.ravel()[:20_000], "norm").pvalue > 1e-6


def test_a_deviation_of_zero_leaves_the_inputs_as_they_are_to_the_last_bit():
    inputs = np.random.default_rng(0).normal(size=(EXAMPLES, 8)).astype(np.float32)
    outputs = noisy([0.0, 0.3], [1, 2], inputs)
    np.testing.assert_array_equal(outputs[0], inputs)
    assert (outputs[1] != inputs).all()


def test_noise_depends_on_seed_and_step_and_not_on_the_slot_or_company():
    inputs = np.zeros((EXAMPLES, UNITS), np.float32)
    company, alone = noisy([0.5, 0.2, 0.9], [9, 7, 5], inputs), noisy([0.2], [7], inputs)
    np.testing.assert_array_equal(company[1], alone[0])
    others = [company[0], company[2], noisy([0.2], [7], inputs, steps=2)[0]]
    bound = SIGMAS / np.sqrt(EXAMPLES * UNITS)
    assert max(correlation(alone[0], other) for other in others) < bound


def test_the_mixing_hash_is_the_published_one():
    # lowbias32 in plain Python integers.
    def lowbias32(x):
        x = ((x ^ (x >> 16)) * 0x7FEB352D) % 2**32
        x = ((x ^ (x >> 15)) * 0x846CA68B) % 2**32
        return x ^ (x >> 16)

    values = [0, 1, 2, 0x9E3779B9, 2**31, 2**32 - 1]
    ours = as_array(hash32(ops.convert_to_tensor(np.array(values, dtype=np.uint32))))
    assert ours.tolist() == [lowbias32(value) for value in values]


def set_weights(layer, rng):
    """Gives a stacked layer random weights; returns them, in the ordinary layer's order."""
    weights = [rng.uniform(0.5, 1.5, v.shape).astype(np.float32) for v in layer.stacked]
    for variable, value in zip(layer.stacked, weights, strict=True):
        variable.assign(value)
    return weights


PAIRS = {
    "dense": (lambda k: StackedDense(k, 5, activation="relu"), lambda: keras.layers.Dense(5)),
    "shared_dense": (lambda k: SharedDense(k, 5, activation="relu"), lambda: keras.layers.Dense(5)),
    "conv": (lambda k: StackedConv(k, 5, activation="relu"), lambda: keras.layers.Conv2D(5, 3)),
    "batch_norm": (StackedBatchNorm, keras.layers.BatchNormalization),
    "flatten": (lambda k: StackedFlatten(), keras.layers.Flatten),
    "max_pool": (lambda k: StackedMaxPool(), lambda: keras.layers.MaxPooling2D(2)),
}
SHAPES = {"dense": (6, 4), "shared_dense": (6, 4)}
# What follows a layer with weights has inputs of its own per trial; a first dense layer has not.
NEVER = [("batch_norm", True), ("dense", True), ("shared_dense", False)]


@pytest.mark.parametrize("trials", [1, 3])
@pytest.mark.parametrize(
    ("name", "shared"),
    [(name, shared) for name in PAIRS for shared in (False, True) if (name, shared) not in NEVER],
)
def test_a_stacked_layer_is_the_ordinary_one_per_trial(name, trials, shared):
    stacked, ordinary = (make() for make in (lambda: PAIRS[name][0](trials), PAIRS[name][1]))
    rng = np.random.default_rng(0)
    shape = SHAPES.get(name, (6, 7, 7, 2))
    inputs = rng.normal(size=shape if shared else (trials, *shape)).astype(np.float32)
    stacked.build(inputs.shape)
    weights = set_weights(stacked, rng) if hasattr(stacked, "stacked") else []
    ours = as_array(stacked(inputs))
    for k in range(trials):
        example = inputs if shared else inputs[k]
        if not ordinary.built:
            ordinary.build(example.shape)
        axes = getattr(stacked, "trial_axes", ())
        for variable, value, axis in zip(ordinary.weights, weights, axes, strict=True):
            variable.assign(np.take(value, k, axis))
        theirs = as_array(ordinary(example))
        if weights and name != "batch_norm":
            theirs = np.maximum(theirs, 0.0)
        # Layers without weights keep an input that the trials share shared.
        result = ours if shared and not weights else ours[k]
        np.testing.assert_allclose(result, theirs, rtol=1e-5, atol=1e-5)


def test_a_bag_of_tokens_is_a_dense_layer_on_multi_hot_rows():
    rng = np.random.default_rng(0)
    rows = (rng.random((6, 9)) < 0.3).astype(np.float32)
    rows[2] = 0.0
    tokens = padded(sparse.csr_array(rows))
    bag, dense = SharedBag(3, 5, num_words=9), SharedDense(3, 5)
    bag.build(tokens.shape)
    dense.build(rows.shape)
    for variable, value in zip(bag.stacked, set_weights(dense, rng), strict=True):
        variable.assign(value)
    np.testing.assert_allclose(as_array(bag(tokens)), as_array(dense(rows)), rtol=1e-5, atol=1e-6)


def test_batch_norm_keeps_moving_statistics_per_trial_as_keras_does():
    rng = np.random.default_rng(0)
    inputs = rng.normal([[[0.0]], [[5.0]]], [[[1.0]], [[3.0]]], (2, 40, 6)).astype(np.float32)
    stacked = StackedBatchNorm(2)
    stacked.build(inputs.shape)
    outputs = [as_array(stacked(inputs, training=True)) for _ in range(3)][-1]
    for k in range(2):
        ordinary = keras.layers.BatchNormalization()
        theirs = [as_array(ordinary(inputs[k], training=True)) for _ in range(3)][-1]
        np.testing.assert_allclose(outputs[k], theirs, rtol=1e-4, atol=1e-5)
        for ours, variable in zip(stacked.stacked, ordinary.weights, strict=True):
            np.testing.assert_allclose(np.asarray(ours)[k], np.asarray(variable), rtol=1e-5)
