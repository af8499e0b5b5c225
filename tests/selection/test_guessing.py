"""The bound of the probability of guessing: true, and small where there is skill."""

import numpy as np
import pytest
from scipy.stats import binom

from pipeline.selection.guessing import log10_p_all_right, log10_p_guessing


def bound_of(labels, probabilities):
    """The bound for a model that gives these probabilities, [num_examples, num_classes]."""
    predicted = probabilities.argmax(axis=1)
    shares = np.bincount(labels, minlength=probabilities.shape[1]) / len(labels)
    return log10_p_guessing(predicted == labels, predicted, probabilities.max(axis=1), shares)


def softmax(logits):
    each = np.exp(logits - logits.max(axis=1, keepdims=True))
    return each / each.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("shares", "num"),
    [((0.25,) * 4, 200), ((0.95, 0.05), 200), ((0.99, 0.01), 500), ((0.5, 0.5), 8)],
)
@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_guessing_passes_a_level_no_more_often_than_the_level_says(shares, num, spread):
    rng = np.random.default_rng(0)
    bounds = []
    for _ in range(2000):
        # Heavy tails: one example stands out, which a normal tail takes for a proof.
        logits = np.log(shares) + spread * rng.standard_t(2, (num, len(shares)))
        bounds.append(bound_of(rng.choice(len(shares), num, p=shares), softmax(logits)))
    for level in (0.2, 0.05, 0.005):
        passed = np.mean(np.array(bounds) <= np.log10(level))
        assert passed <= level + 3 * np.sqrt(level / 2000)


def test_permuted_labels_pass_no_more_often_either():
    rng = np.random.default_rng(1)
    labels = np.arange(200) % 20 == 0
    logits = np.stack([np.zeros(200), -3 + rng.standard_t(2, 200)], axis=1)
    bounds = [bound_of(rng.permutation(labels).astype(int), softmax(logits)) for _ in range(2000)]
    assert np.mean(np.array(bounds) <= np.log10(0.05)) <= 0.05


@pytest.mark.parametrize(("num", "rare"), [(500, 5), (100, 5), (30, 10)])
def test_a_perfect_model_of_unbalanced_classes_is_no_guess(num, rare):
    labels = (np.arange(num) < rare).astype(int)
    probabilities = np.where(np.eye(2)[labels] > 0, 0.999, 0.001)
    # 100 trials of 60 epochs: hits alone, against .99, prove nothing at this level.
    level = np.log10(0.05 / 6000)
    assert bound_of(labels, probabilities) <= level
    if rare == 5:
        assert np.log10(binom.sf(num - 1, num, 1 - rare / num)) > level


def test_a_model_that_ranks_well_but_never_names_the_rare_class_has_skill():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(600, 2))
    rare = 1 / (1 + np.exp(2.9 - inputs[:, 0] - 0.8 * inputs[:, 1]))
    rare, labels = np.minimum(rare, 0.49), (rng.random(600) < rare).astype(int)
    probabilities = np.stack([1 - rare, rare], axis=1)
    assert (probabilities.argmax(axis=1) == 0).all()
    assert bound_of(labels, probabilities) < -5


@pytest.mark.parametrize("confidence", [0.12, 0.2, 0.9])
def test_a_third_right_of_ten_classes_is_skill_however_unsure_the_model_is(confidence):
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=359)
    named = np.where(rng.random(359) < 0.25, labels, rng.integers(10, size=359))
    probabilities = np.full((359, 10), (1 - confidence) / 9)
    probabilities[np.arange(359), named] = confidence
    assert 0.25 < np.mean(named == labels) < 0.4
    assert bound_of(labels, probabilities) < -10


@pytest.mark.parametrize("share", [0.7, 0.99])
def test_always_the_largest_class_is_a_guess_however_sure(share):
    labels = (np.arange(1000) >= share * 1000).astype(int)
    for sure in (share, 0.999999999):
        constant = np.tile([sure, 1 - sure], (1000, 1))
        assert bound_of(labels, constant) == pytest.approx(0.0, abs=1e-9)


def test_being_wrong_more_often_than_by_chance_is_no_skill():
    labels = np.arange(100) % 2
    assert bound_of(1 - labels, np.eye(2)[labels]) == 0.0


def test_all_right_by_guessing_is_the_product_of_the_shares():
    assert log10_p_all_right(np.array([3, 3])) == pytest.approx(np.log10(0.5**6))
    assert log10_p_all_right(np.array([4, 0, 1])) == pytest.approx(np.log10(0.8**4 * 0.2))
    assert log10_p_all_right(np.array([5])) == 0.0
