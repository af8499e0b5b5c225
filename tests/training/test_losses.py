"""Plain cross-entropy of stacked logits, its sum over trials, its running mean, the scores."""

import keras
import numpy as np
import pytest
from keras import ops
from training_samples import as_array

from pipeline.training.losses import (
    SCORES,
    RunningCrossEntropy,
    Scores,
    StackedCrossEntropy,
    cross_entropy,
)

BATCH, TRIALS, CLASSES = 6, 3, 4


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(BATCH, TRIALS, CLASSES)).astype(np.float32) * 3
    return rng.integers(0, CLASSES, BATCH).astype(np.int32), logits


def by_hand(labels, logits):
    wide = logits.astype(np.float64)
    normalized = wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return -normalized[np.arange(len(labels)), :, labels]


def test_cross_entropy_is_minus_log_of_the_true_class(batch):
    labels, logits = batch
    expected = by_hand(labels, logits)
    np.testing.assert_allclose(as_array(cross_entropy(labels, logits)), expected, rtol=1e-5)
    column = as_array(cross_entropy(labels[:, None], logits))  # as fit hands labels over
    np.testing.assert_allclose(column, expected, rtol=1e-5)


def test_confident_mistakes_are_not_clipped():
    logits = np.array([[[0.0, 200.0]]], dtype=np.float32)
    assert as_array(cross_entropy(np.array([0]), logits)).item() == pytest.approx(200.0)


def test_the_loss_is_the_sum_of_each_trials_keras_mean(batch):
    labels, logits = batch
    keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = sum(float(keras_loss(labels, logits[:, k])) for k in range(TRIALS))
    assert float(StackedCrossEntropy()(labels, logits)) == pytest.approx(expected, rel=1e-6)


def test_the_running_mean_is_per_trial_over_all_batches(batch):
    labels, logits = batch
    metric = RunningCrossEntropy(TRIALS)
    for part in (slice(0, 4), slice(4, 6)):
        metric.update_state(
            ops.convert_to_tensor(labels[part]), ops.convert_to_tensor(logits[part])
        )
    expected = by_hand(labels, logits).mean(axis=0)
    np.testing.assert_allclose(metric.per_trial(), expected, rtol=1e-5)
    assert float(metric.result()) == pytest.approx(expected.mean(), rel=1e-5)
    metric.reset_state()
    assert metric.per_trial().tolist() == [0.0] * TRIALS


def test_scores_are_per_example_and_trial(batch):
    labels, logits = batch
    scores = as_array(Scores()(ops.convert_to_tensor(logits), ops.convert_to_tensor(labels)))
    assert scores.shape == (BATCH, TRIALS, len(SCORES))
    columns = dict(zip(SCORES, np.moveaxis(scores, -1, 0), strict=True))
    np.testing.assert_allclose(columns["nll"], by_hand(labels, logits), rtol=1e-5)
    predicted = logits.argmax(axis=-1)
    np.testing.assert_array_equal(columns["predicted"], predicted)
    np.testing.assert_array_equal(columns["correct"], predicted == labels[:, None])
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(columns["confidence"], shares.max(axis=-1), rtol=1e-5)
