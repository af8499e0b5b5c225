"""Small real and made datasets, cohorts of any configs, and plain Keras models beside them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline import datasets
from pipeline.datasets.formats.tokens import multi_hot
from pipeline.datasets.preprocessing import assemble
from pipeline.records import Cohort, DatasetSpec, EpochReport, Trial, TrialConfig
from pipeline.training.technique_forms import Structure, WeightAverage
from pipeline.training.techniques import TECHNIQUES

SMALL = TrialConfig(width=16)
"""An mlp that trains in a moment."""

SMALL_CNN = TrialConfig(family="cnn", width=4, dense_width=16, placement="all")
"""A cnn with the techniques on every hidden layer."""

SETTINGS: dict[str, dict[str, Any]] = {
    "none": {},
    **{
        name: dict(entry.example)
        for name, entry in TECHNIQUES.items()
        if not entry.random and not isinstance(entry.form, Structure | WeightAverage)
    },
    "all": {
        "regularizer": "l1_l2",
        "lambda_l1": 5e-4,
        "lambda_l2": 5e-3,
        "max_norm": 0.8,
        "weight_decay": 0.1,
        "label_smoothing": 0.1,
        "class_weight": "balanced",
    },
}
"""Strong enough to show in a few epochs; random ones are apart, and batch norm is a structure."""


@cache
def digits():
    """8x8x1 images: 330 for training, which no batch size here divides, 359 for validation."""
    return datasets.load(DatasetSpec("digits", train_examples=330))


@cache
def pictures():
    """12x12x3 noise with a tint per class, 3 classes: 96 for training."""
    rng = np.random.RandomState(0)
    labels = (np.arange(160) % 3).astype(np.int32)
    tints = 90 * np.eye(3)[labels][:, None, None, :]
    inputs = (rng.randint(0, 160, (160, 12, 12, 3)) + tints).astype(np.uint8)
    raw = datasets.RawData("image", ("red", "green", "blue"), inputs, labels)
    return assemble("pictures", raw, DatasetSpec("pictures"))


@cache
def newswires():
    """Rows of 3 to 12 of 60 words, which tell 4 classes apart most of the time; sparse."""
    rng = np.random.RandomState(0)
    labels = (np.arange(200) % 4).astype(np.int32)
    topics = 4 + (14 * labels[:, None] + rng.randint(0, 20, (200, 12))) % 56
    rows = [row[: rng.randint(3, 13)] for row in topics]
    raw = datasets.RawData("multi_hot", ("a", "b", "c", "d"), multi_hot(rows, 60), labels)
    return assemble("newswires", raw, DatasetSpec("newswires"))


def cohort_of(*configs: TrialConfig, seeds: list[int] | None = None, **options: Any) -> Cohort:
    """Returns a cohort of these configs: trial 0, 1, ..., seeds 1, 2, ... unless given."""
    numbered = enumerate(zip(configs, seeds or range(1, len(configs) + 1), strict=True))
    trials = tuple(Trial(number, config, seed) for number, (config, seed) in numbered)
    return Cohort(0, trials, **{"epochs": 3, "patience": 99, "order_seed": 5, **options})


@dataclass
class Run:
    """What a cohort recorded while it was trained, and what came of it."""

    events: list[Any] = field(default_factory=list)
    outcomes: tuple[Any, ...] = ()

    @property
    def reports(self) -> list[EpochReport]:
        """The epoch reports."""
        return [event for event in self.events if isinstance(event, EpochReport)]


def run(trainer: Any, cohort: Cohort, prune: Callable[[int], list[int]] | None = None) -> Run:
    """Trains a cohort; ``prune(epoch)`` says which trials are pruned after an epoch."""
    recorded = Run()

    def inbox() -> list[int]:
        return prune(len(recorded.reports)) if prune else []

    recorded.outcomes = trainer(cohort, recorded.events.append, inbox)
    return recorded


def same_numbers(one: Any, other: Any) -> bool:
    """Whether two outcomes are equal to the last bit, but for the time they took."""
    ours, theirs = (replace(o, seconds=0.0, weights=None, validation=None) for o in (one, other))
    arrays = [(o.validation.nll, o.validation.confidence, *o.weights) for o in (one, other)]
    return repr(ours) == repr(theirs) and all(map(np.array_equal, *arrays))


def per_trial_weights(network: Any, k: int) -> list[np.ndarray]:
    """Returns a copy of one trial's weights, in the order of the ordinary model."""
    return list(network.per_trial()[k])


def raw_inputs(part: Any) -> np.ndarray:
    """Returns a part's inputs as an ordinary model takes them."""
    if hasattr(part.inputs, "toarray"):
        return datasets.dataset.token_rows(part.inputs)
    return np.asarray(part.inputs, dtype=np.float32)


def cross_entropies(model: Any, part: Any) -> np.ndarray:
    """Returns -log p(true class) per example from Keras's own ``predict`` of probabilities."""
    probabilities = model.predict(raw_inputs(part), verbose=0, batch_size=128).astype(np.float64)
    return -np.log(probabilities[np.arange(len(part)), part.labels])


def weights_of(model: Any) -> list[np.ndarray]:
    """Returns an ordinary model's weights without those of preprocessing and seeds."""
    passive = (keras.layers.Normalization, keras.layers.Dropout, keras.layers.GaussianNoise)
    layers = [layer for layer in model.layers if not isinstance(layer, passive)]
    return [np.asarray(variable) for layer in layers for variable in layer.weights]


def as_array(tensor: Any) -> np.ndarray:
    """Returns a tensor as a NumPy array."""
    return np.asarray(ops.convert_to_numpy(tensor))
