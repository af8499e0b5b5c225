"""Preprocessing is fitted on train only; chance level and fingerprint are what they say."""

import numpy as np
import pytest
from scipy import sparse

from pipeline.datasets.dataset import Part
from pipeline.datasets.preprocessing import chance_level, fingerprint, standardization


def test_standardization_equals_numpy_over_several_chunks():
    inputs = np.random.RandomState(0).normal(1e4, 3.0, (5000, 4, 5, 2)).astype(np.float32)
    mean, deviation = standardization(inputs, "image")
    assert mean.shape == deviation.shape == (4, 5, 2)
    assert mean.dtype == deviation.dtype == np.float32
    np.testing.assert_allclose(mean, inputs.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(deviation, inputs.std(axis=0, dtype=np.float64), rtol=1e-5)


def test_a_pixel_lit_once_does_not_explode():
    inputs = np.random.RandomState(0).randint(0, 256, (10_000, 2, 2, 1)).astype(np.uint8)
    inputs[:, 0, 0] = 0
    inputs[17, 0, 0] = 255
    mean, deviation = standardization(inputs, "image")
    assert np.abs((inputs - mean) / deviation).max() < 20


def test_constant_features_are_divided_by_one_and_small_units_kept():
    rng = np.random.RandomState(0)
    inputs = np.stack([np.full(500, 1e5), np.zeros(500), rng.normal(0, 1e-8, 500)], axis=1)
    mean, deviation = standardization(inputs.astype(np.float32), "features")
    assert deviation[:2].tolist() == [1.0, 1.0]
    assert deviation[2] == pytest.approx(1e-8, rel=0.1)
    assert np.isfinite((inputs - mean) / deviation).all()


def test_blank_images_are_divided_by_one():
    _, deviation = standardization(np.zeros((5, 2, 2, 1), np.uint8), "image")
    assert (deviation == 1.0).all()


def test_chance_level_of_the_class_prior():
    train = np.array([0] * 7 + [1] * 3)
    validation = np.array([0] * 4 + [1] * 1)
    chance = chance_level(train, validation, 2)
    assert chance.accuracy == pytest.approx(0.8)  # validation's share is the larger one
    assert chance.ce == pytest.approx(-(4 * np.log(0.7) + np.log(0.3)) / 5)


def test_chance_level_is_finite_where_train_lacks_a_class():
    chance = chance_level(np.array([0, 0]), np.array([0, 1]), 2)
    assert chance.ce == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_fingerprint_changes_with_any_value_or_label(make):
    values = np.eye(4, dtype=np.float32)
    labels = np.arange(4, dtype=np.int32)
    changed = values.copy()
    changed[0, 0] = 2.0
    same = fingerprint(Part(make(values), labels))
    assert same == fingerprint(Part(make(values.copy()), labels.copy()))
    assert same != fingerprint(Part(make(changed), labels))
    assert same != fingerprint(Part(make(values), labels[::-1].copy()))


def test_fingerprint_of_a_reversed_view_is_that_of_its_values():
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    labels = np.arange(3, dtype=np.int32)
    view = Part(values[::-1], labels)
    assert fingerprint(view) == fingerprint(Part(values[::-1].copy(), labels))
    assert fingerprint(view) != fingerprint(Part(values, labels))


def test_corrupting_validation_or_test_changes_nothing_fitted(two_blobs):
    """Acceptance test 9 of the measurement document."""
    clean = two_blobs()
    inputs = np.empty((100, 3), np.float32)
    inputs[clean.split.train] = clean.train.inputs
    inputs[clean.split.validation] = 1e6
    inputs[clean.split.test] = -1e6
    corrupted = two_blobs(inputs=inputs)
    np.testing.assert_array_equal(clean.split.train, corrupted.split.train)
    np.testing.assert_array_equal(clean.mean, corrupted.mean)
    np.testing.assert_array_equal(clean.deviation, corrupted.deviation)
    assert clean.fingerprint != corrupted.fingerprint
    assert clean.split_id != corrupted.split_id

    inputs[clean.split.train] += 1.0
    assert not np.allclose(clean.mean, two_blobs(inputs=inputs).mean)
