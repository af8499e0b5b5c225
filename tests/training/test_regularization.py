"""Techniques as numbers per trial, and the layers that follow a layer."""

from math import inf

import numpy as np

from pipeline.records import TrialConfig
from pipeline.training.architecture import BatchNorm, Conv, Dense, Dropout
from pipeline.training.regularization import TECHNIQUES, in_use, regularized_layers, vector

PLAIN = TrialConfig()
EVERYTHING = TrialConfig(
    regularizer="l1_l2", lambda_l1=1e-5, lambda_l2=1e-3, dropout_rate=0.4, max_norm=3.0
)


def test_each_technique_is_a_number_per_trial_and_off_where_it_is_not_used():
    expected = {
        "l1": [0.0, 1e-5],
        "l2": [0.0, 1e-3],
        "max_norm": [inf, 3.0],
        "dropout": [0.0, 0.4],
    }
    assert set(TECHNIQUES) == set(expected)
    for name, numbers in expected.items():
        values = vector(name, [PLAIN, EVERYTHING])
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, np.array(numbers, dtype=np.float32))
        assert vector(name, [PLAIN])[0] == TECHNIQUES[name].off


def test_a_technique_is_in_use_when_one_trial_uses_it():
    assert in_use([PLAIN, PLAIN]) == frozenset()
    assert in_use([PLAIN, TrialConfig(dropout_rate=0.1)]) == {"dropout"}
    assert in_use([PLAIN, EVERYTHING]) == set(TECHNIQUES)


def test_batch_norm_comes_before_dropout_which_follows_regularized_layers_whatever_its_rate():
    dense = Dense(8)
    assert regularized_layers(dense, PLAIN, normalized=False) == [dense, Dropout()]
    assert regularized_layers(dense, EVERYTHING, normalized=True) == [dense, BatchNorm(), Dropout()]
    bare = Conv(8)
    assert regularized_layers(bare, EVERYTHING, normalized=True) == [bare, BatchNorm()]


def test_the_numbers_do_not_decide_the_structure_and_everything_else_does():
    assert PLAIN.structure == EVERYTHING.structure
    others = {
        "family": "cnn",
        "depth": 3,
        "width": 65,
        "dense_width": 129,
        "batch_norm": True,
        "pooling": True,
        "placement": "all",
        "standardize": False,
        "first_activation": "linear",
        "optimizer": "sgd",
        "batch_size": 33,
    }
    numbers = {"regularizer", "lambda_l1", "lambda_l2", "dropout_rate", "max_norm"}
    numbers |= {"learning_rate", "learning_rate_decay"}
    assert set(others) | numbers == set(PLAIN.as_dict())
    for name, value in others.items():
        assert TrialConfig(**{name: value}).structure != PLAIN.structure, name
