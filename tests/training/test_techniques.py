"""The table of techniques: numbers per trial, forms as Keras's own, and what follows a layer."""

import subprocess
import sys
from dataclasses import replace
from math import inf

import keras
import numpy as np
import pytest
from keras import ops
from training_samples import SMALL, as_array, cohort_of, newswires, run

from pipeline.errors import InputError
from pipeline.records import TrialConfig
from pipeline.training.architecture import BatchNorm, Conv, Dense, OutputTechnique
from pipeline.training.cohort import CohortTrainer
from pipeline.training.losses import cross_entropy
from pipeline.training.random_layers import along_trials
from pipeline.training.technique_forms import Combination, Structure
from pipeline.training.techniques import (
    TECHNIQUES,
    check_inputs,
    hyperparameters,
    in_use,
    regularized_layers,
    structure,
    used,
    vector,
)

PLAIN = TrialConfig()
EVERYTHING = TrialConfig(
    regularizer="l1_l2",
    lambda_l1=1e-5,
    lambda_l2=1e-3,
    dropout_rate=0.4,
    max_norm=3.0,
    weight_decay=1e-2,
    label_smoothing=0.1,
    input_noise=0.2,
    class_weight="balanced",
    ema=0.9,
    flip=True,
    shift=0.1,
)
NUMBERED = [
    name for name, e in TECHNIQUES.items() if not isinstance(e.form, Structure | Combination)
]


def test_each_technique_is_a_number_per_trial_and_off_where_it_is_not_used():
    expected = {
        "l1": [0.0, 1e-5],
        "l2": [0.0, 1e-3],
        "max_norm": [inf, 3.0],
        "dropout": [0.0, 0.4],
        "weight_decay": [0.0, 1e-2],
        "label_smoothing": [0.0, 0.1],
        "input_noise": [0.0, 0.2],
        "class_weight": [0.0, 1.0],
        "ema": [0.0, 0.9],
        "flip": [0.0, 1.0],
        "shift": [0.0, 0.1],
    }
    assert set(NUMBERED) == set(expected)
    for name, numbers in expected.items():
        values = vector(name, [PLAIN, EVERYTHING])
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, np.array(numbers, dtype=np.float32))
        assert vector(name, [PLAIN])[0] == TECHNIQUES[name].off


def test_a_technique_is_in_use_when_one_trial_uses_it():
    assert in_use([PLAIN, PLAIN]) == frozenset()
    assert in_use([PLAIN, TrialConfig(dropout_rate=0.1)]) == {"dropout"}
    assert in_use([PLAIN, EVERYTHING]) == set(NUMBERED)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_the_example_of_an_entry_uses_it_and_it_alone(name):
    technique = TECHNIQUES[name]
    assert used(TrialConfig(**technique.example)) == {name}
    assert not technique.is_on(PLAIN)
    for entry in technique.hyperparameters:
        default = getattr(PLAIN, entry.name)
        assert entry.default == default and type(entry.default) is type(default)


def test_the_defaults_of_networks_and_training_are_those_of_a_config():
    values = PLAIN.as_dict()
    assert values.pop("family") == "mlp"
    assert {name: hyperparameters()[name].default for name in values} == values


def test_batch_norm_comes_before_dropout_which_follows_regularized_layers_whatever_its_rate():
    dense, dropout = Dense(8), OutputTechnique("dropout")
    assert regularized_layers(dense, PLAIN, normalized=False) == [dense, dropout]
    assert regularized_layers(dense, EVERYTHING, normalized=True) == [dense, BatchNorm(), dropout]
    bare = Conv(8)
    assert regularized_layers(bare, EVERYTHING, normalized=True) == [bare, BatchNorm()]


def test_the_numbers_do_not_decide_the_structure_and_everything_else_does():
    assert structure(PLAIN) == structure(EVERYTHING)
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
        assert structure(TrialConfig(**{name: value})) != structure(PLAIN), name


def penalty_gradient(kernels, l1, l2, axis=0):
    """Returns the gradient of both penalties, as the optimizer adds them."""
    factors = {"l1": l1, "l2": l2}
    return sum(
        TECHNIQUES[name].form.gradient(kernels, along_trials(factor, len(kernels.shape), axis))
        for name, factor in factors.items()
    )


def projected(kernels, limits, axis=0):
    """Returns kernels within their limits, as the optimizer limits them."""
    rank = len(kernels.shape)
    unit = tuple(other for other in range(rank - 1) if other != axis)
    limits = along_trials(limits, rank, axis)
    return TECHNIQUES["max_norm"].form.project(kernels, limits, unit)


def test_the_penalty_s_gradient_is_that_of_keras_own_per_trial():
    rng = np.random.default_rng(0)
    kernels, direction = rng.normal(size=(2, 3, 7, 5)).astype(np.float32)
    l1, l2 = np.array([0, 0.3, 0.1], np.float32), np.array([0.2, 0, 0.4], np.float32)
    ours = as_array(penalty_gradient(ops.convert_to_tensor(kernels), l1, l2))
    step = 1e-3 * direction
    for k, regularizer in enumerate(map(keras.regularizers.L1L2, l1.tolist(), l2.tolist())):
        ends = [
            float(regularizer(ops.convert_to_tensor(kernels[k] + s * step[k]))) for s in (1, -1)
        ]
        slope = (ends[0] - ends[1]) / 2e-3
        assert float((ours[k] * direction[k]).sum()) == pytest.approx(slope, rel=1e-2)


def test_the_penalty_leaves_weights_that_are_zero_alone():
    ours = penalty_gradient(ops.zeros((2, 3, 4)), np.ones(2, np.float32), np.ones(2, np.float32))
    assert not as_array(ours).any()


@pytest.mark.parametrize(("shape", "axes"), [((7, 5), 0), ((3, 3, 2, 5), (0, 1, 2))])
def test_max_norm_is_keras_own_per_trial_and_infinity_is_exactly_off(shape, axes):
    kernels = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    limits = np.array([0.5, np.inf, 2.0], np.float32)
    ours = as_array(projected(ops.convert_to_tensor(kernels), limits))
    np.testing.assert_array_equal(ours[1], kernels[1])
    for k, limit in ((0, 0.5), (2, 2.0)):
        theirs = as_array(keras.constraints.MaxNorm(limit, axis=axes)(kernels[k]))
        np.testing.assert_allclose(ours[k], theirs, rtol=1e-6)
        assert np.sqrt(np.square(ours[k]).sum(axis=axes)).max() <= limit * (1 + 1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_trial_axis_is_where_the_layer_says(axis):
    kernels = np.random.default_rng(0).normal(size=(3, 7, 5)).astype(np.float32)
    moved = np.moveaxis(kernels, 0, axis)
    l1, l2 = np.array([0.1, 0.0, 2.0], np.float32), np.array([0.0, 0.5, 1.0], np.float32)
    limits = np.array([0.5, np.inf, 2.0], np.float32)
    for technique in (
        lambda weights, axis: penalty_gradient(weights, l1, l2, axis),
        lambda weights, axis: projected(weights, limits, axis),
    ):
        ours = np.moveaxis(as_array(technique(ops.convert_to_tensor(moved), axis)), axis, 0)
        first = as_array(technique(ops.convert_to_tensor(kernels), 0))
        np.testing.assert_allclose(ours, first, rtol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
def test_label_smoothing_is_keras_own_loss_per_trial(share):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(20, 2, 5)).astype(np.float32), rng.integers(0, 5, 20)
    shares = np.array([share, 0.3], np.float32)
    plain = np.mean(as_array(cross_entropy(labels, logits)), axis=0)
    form = TECHNIQUES["label_smoothing"].form
    added = as_array(form.added(ops.convert_to_tensor(logits), labels, shares))
    ours = plain + added.mean(axis=0)
    one_hot = np.eye(5, dtype=np.float32)[labels]
    for k, number in enumerate(shares.tolist()):
        theirs = float(form.keras(number)(one_hot, logits[:, k]))
        assert ours[k] == pytest.approx(theirs, rel=1e-6)


def test_noise_on_words_is_refused_with_what_to_do():
    noisy = replace(SMALL, input_noise=0.1)
    check_inputs(in_use([noisy]), "features")
    check_inputs(in_use([SMALL]), "multi_hot")
    expected = (
        "input_noise acts on inputs of the kind features or image, and these are multi_hot: leave "
        "input_noise out"
    )
    with pytest.raises(InputError) as caught:
        check_inputs(in_use([noisy]), "multi_hot")
    assert str(caught.value) == expected
    with pytest.raises(InputError, match="leave input_noise out"):
        run(CohortTrainer(newswires()), cohort_of(noisy))


def test_a_config_takes_a_technique_s_hyperparameter_as_it_takes_any_other():
    config = TrialConfig(depth=3, weight_decay=0.25)
    assert config.weight_decay == 0.25 and config.label_smoothing == 0.0
    assert replace(config, weight_decay=0.5).weight_decay == 0.5
    assert replace(config, depth=1) == TrialConfig(depth=1, weight_decay=0.25)
    assert replace(config, weight_decay=0.0) == TrialConfig(depth=3)
    assert hash(replace(config, weight_decay=0.0)) == hash(TrialConfig(depth=3))
    assert config.as_dict() == {**TrialConfig(depth=3).as_dict(), "weight_decay": 0.25}
    assert TrialConfig.from_dict(config.as_dict()) == config
    assert "weight_decay" not in TrialConfig().as_dict()
    with pytest.raises(TypeError, match="no hyperparameter 'weight_decoy'"):
        replace(config, weight_decoy=0.1)
    with pytest.raises(AttributeError, match="no hyperparameter 'weight_decoy'"):
        config.weight_decoy  # noqa: B018


def test_a_config_travels_to_another_process_and_back():
    import copy
    import pickle

    config = TrialConfig(weight_decay=0.25, input_noise=0.1)
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config


def test_reading_the_table_imports_no_keras():
    code = (
        "import sys; from pipeline.training.techniques import hyperparameters; hyperparameters();"
        "print([m for m in ('keras', 'tensorflow', 'jax', 'pydantic') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
