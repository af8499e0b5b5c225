"""From configs to compiled networks: the shipped references, initial weights, no leftovers."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from training_samples import SMALL, cohort_of, digits, per_trial_weights

from pipeline import datasets
from pipeline.datasets.formats.tokens import multi_hot
from pipeline.datasets.preprocessing import assemble
from pipeline.records import DatasetSpec
from pipeline.search.space import space
from pipeline.training import export
from pipeline.training.cohort import CohortTrainer
from pipeline.training.layers import glorot_uniform

KERAS_DEFAULTS = {"adam": "Adam", "rmsprop": "RMSprop", "sgd": "SGD"}


def blank_cifar10():
    """Returns 40 grey images in CIFAR-10's shape."""
    labels = (np.arange(40) % 10).astype(np.int32)
    inputs = np.random.RandomState(0).randint(0, 256, (40, 32, 32, 3)).astype(np.uint8)
    raw = datasets.RawData("image", tuple("abcdefghij"), inputs, labels)
    return assemble("cifar10", raw, DatasetSpec("cifar10"))


def blank_reuters():
    """Returns 230 short rows in Reuters's shape: 10,000 words, 46 classes."""
    labels = (np.arange(230) % 46).astype(np.int32)
    rows = np.random.RandomState(0).randint(1, 10_000, (230, 9))
    names = tuple(f"topic {number}" for number in range(46))
    raw = datasets.RawData("multi_hot", names, multi_hot(rows, 10_000), labels)
    return assemble("reuters", raw, DatasetSpec("reuters"))


@pytest.fixture(scope="module")
def trainers():
    return {"cifar10": CohortTrainer(blank_cifar10()), "reuters": CohortTrainer(blank_reuters())}


REFERENCES = [
    pytest.param(name, reference, id=f"{name}-{reference.name}")
    for name in ("cifar10", "reuters")
    for reference in space.load(name).references
]

CONV, DENSE, FLATTEN, DROPOUT = "Conv2D", "Dense", "Flatten", "Dropout"
CIFAR10 = ("Normalization", CONV, CONV, CONV, FLATTEN, DENSE, DROPOUT, DENSE)
NORMALIZED = [layer for conv in [CONV] * 3 for layer in (conv, "BatchNormalization")]
REUTERS = ("CategoryEncoding", *(DENSE, DROPOUT) * 2, DENSE)
LAYERS = {
    ("cifar10", "raw"): CIFAR10[1:],
    ("cifar10", "augmentation"): (CIFAR10[0], "RandomFlip", "RandomTranslation", *CIFAR10[1:]),
    ("cifar10", "batch_norm"): ("Normalization", *NORMALIZED, FLATTEN, DENSE, DROPOUT, DENSE),
    ("reuters", "dropout"): ("CategoryEncoding", *(DENSE, DROPOUT) * 3, DENSE),
    ("reuters", "l1_l2"): ("CategoryEncoding", DENSE, DROPOUT, DENSE),
}
PARAMETERS = {
    "cifar10": 22_181_834,  # 896 + 2 * 9,248 + 22,152,192 + 10,250
    ("cifar10", "batch_norm"): 22_181_834 + 3 * 64,
    "reuters": 640_064 + 4_160 + 2_990,
    ("reuters", "smaller"): 160_016 + 272 + 782,
    ("reuters", "dropout"): 640_064 + 2 * 4_160 + 2_990,
    ("reuters", "l1_l2"): 640_064 + 2_990,
}


@pytest.mark.parametrize(("dataset", "reference"), REFERENCES)
def test_a_reference_builds_as_the_ordinary_net_people_made(trainers, dataset, reference):
    name, config = reference.name, reference.config
    model = export.build(config, trainers[dataset].dataset)
    default = {"cifar10": CIFAR10, "reuters": REUTERS}[dataset]
    assert tuple(type(layer).__name__ for layer in model.layers) == LAYERS.get(
        (dataset, name), default
    )
    expected = PARAMETERS.get((dataset, name), PARAMETERS[dataset])
    assert trainers[dataset].parameters(config) == expected
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == expected
    assert type(model.optimizer).__name__ == KERAS_DEFAULTS[config.optimizer]

    hidden = [layer for layer in model.layers if type(layer).__name__ in (CONV, DENSE)][:-1]
    first = "linear" if (dataset, name) == ("cifar10", "batch_norm") else "relu"
    assert [layer.activation.__name__ for layer in hidden] == [first] + ["relu"] * len(hidden[1:])
    units = {"cifar10": 1024, "reuters": 16 if name == "smaller" else 64}[dataset]
    for layer in hidden:
        dense = type(layer).__name__ == DENSE
        assert (
            (layer.units == units) if dense else (layer.filters, layer.kernel_size) == (32, (3, 3))
        )
        # On CIFAR-10 the techniques sit on the dense layer alone.
        assert (layer.kernel_regularizer is not None) == (dense and config.regularizer != "none")
        assert (layer.kernel_constraint is not None) == (dense and config.max_norm is not None)


@pytest.mark.parametrize(("dataset", "reference"), REFERENCES)
def test_a_reference_builds_stacked(trainers, dataset, reference):
    trainer = CohortTrainer(
        trainers[dataset].dataset
    )  # nothing of it is kept: these nets are large
    network = trainer.network(cohort_of(reference.config))
    counted = sum(int(np.prod(v.shape)) for v in network.model.trainable_variables)
    assert counted == trainer.parameters(reference.config)
    shapes = [weight.shape for weight in network.per_trial()[0]]
    model = export.build(reference.config, trainer.dataset)
    passive = (keras.layers.Normalization, keras.layers.Dropout)
    layers = [layer for layer in model.layers if not isinstance(layer, passive)]
    assert shapes == [tuple(v.shape) for layer in layers for v in layer.weights]


@pytest.mark.parametrize("shape", [(200, 50), (3, 3, 16, 32)])
def test_initial_kernels_are_keras_glorot_uniform(shape):
    ours = glorot_uniform(shape, seed=7, salt=3)
    theirs = np.asarray(keras.initializers.GlorotUniform(seed=1)(shape))
    assert ours.dtype == np.float32 and ours.shape == shape
    assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.01)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.03)
    assert abs(ours.mean()) < 5 * ours.std() / np.sqrt(ours.size)
    np.testing.assert_array_equal(ours, glorot_uniform(shape, seed=7, salt=3))
    for seed, salt in ((8, 3), (7, 4)):
        other = glorot_uniform(shape, seed, salt)
        assert abs(np.corrcoef(ours.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(ours.size)


def test_a_start_depends_on_the_seed_and_not_on_the_slot(trainer_for):
    network = trainer_for(digits()).network(cohort_of(*[SMALL] * 3))
    network.start(cohort_of(SMALL, SMALL, SMALL, seeds=[4, 5, 4]).trials)
    first, second, third = (per_trial_weights(network, k) for k in range(3))
    assert all(map(np.array_equal, first, third))
    assert not np.array_equal(first[0], second[0])
    network.start(cohort_of(SMALL, SMALL, SMALL, seeds=[6, 4, 7]).trials)
    assert all(map(np.array_equal, first, per_trial_weights(network, 1)))


def test_more_examples_per_step_than_there_are_is_one_step_of_all(trainer_for):
    network = trainer_for(digits()).network(cohort_of(replace(SMALL, batch_size=512)))
    assert (network.batch_size, network.steps_per_epoch) == (330, 1)
