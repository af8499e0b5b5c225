"""The shipped search spaces: all valid, and every known system is the one that people made."""

import subprocess
import sys
from dataclasses import replace

import pytest

from pipeline.records import TrialConfig
from pipeline.search.space import space

DATASETS = ("cifar10", "cifar100", "digits", "fashion_mnist", "imdb", "mnist", "reuters")
DEFAULTS = ("default_features", "default_image", "default_multi_hot")

CIFAR10 = TrialConfig(
    family="cnn", depth=3, width=32, dense_width=1024, batch_size=128, learning_rate_decay=1e-6
)
REUTERS = TrialConfig(optimizer="rmsprop", batch_size=512, standardize=False)
SYSTEMS = {
    "cifar10": {
        "raw": replace(CIFAR10, standardize=False),
        "baseline": CIFAR10,
        "batch_norm": replace(CIFAR10, batch_norm=True, first_activation="linear"),
        "l2": replace(CIFAR10, regularizer="l2", lambda_l2=0.01),
        "l1": replace(CIFAR10, regularizer="l1", lambda_l1=0.01),
        "elastic_net": replace(CIFAR10, regularizer="l1_l2", lambda_l1=0.01, lambda_l2=0.01),
        "max_norm": replace(CIFAR10, max_norm=3.0),
        "dropout": replace(CIFAR10, dropout_rate=0.25),
        "max_norm_dropout": replace(CIFAR10, max_norm=3.0, dropout_rate=0.5),
        "augmentation": replace(CIFAR10, more=(("flip", True), ("shift", 0.1))),
    },
    "reuters": {
        "baseline": REUTERS,
        "smaller": replace(REUTERS, width=16),
        "l2": replace(REUTERS, regularizer="l2", lambda_l2=2e-5),
        "l1": replace(REUTERS, regularizer="l1", lambda_l1=2e-6),
        "dropout": replace(REUTERS, depth=3, dropout_rate=0.2),
        "l1_l2": replace(REUTERS, depth=1, regularizer="l1_l2", lambda_l1=1e-6, lambda_l2=1e-5),
    },
}


def test_every_dataset_and_kind_has_a_search_space():
    assert set(space.names()) >= {*DATASETS, *DEFAULTS}
    assert [space.default_for(kind).name for kind in ("features", "image", "multi_hot")] == [
        *DEFAULTS
    ]


@pytest.mark.parametrize("name", space.names())
def test_a_shipped_search_space_is_complete(name):
    found = space.load(name)
    assert {"depth", "regularizer", "lambda_l1", "lambda_l2", "dropout_rate", "max_norm",
            "batch_norm"} <= found.parameters.keys()  # fmt: skip
    assert "baseline" in {entry.name for entry in found.references}
    assert found.trials > len(found.references)
    configs = [entry.config for entry in found.references]
    assert len(set(configs)) == len(configs)
    for entry in found.references:
        assert entry.in_space == (found.parameters_of(entry.config) is not None)


@pytest.mark.parametrize("name", space.names())
def test_a_header_says_question_cost_and_how_to_run_it(name):
    lines = space.load(name).path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# Question: ")
    assert any(line.startswith("# Cost: ") for line in lines)
    assert any(line.startswith("# Run: pipeline search --dataset ") for line in lines)
    if name in DATASETS:
        assert f"# Run: pipeline search --dataset {name}" in lines


@pytest.mark.parametrize(
    ("dataset", "name"), [(dataset, name) for dataset, rows in SYSTEMS.items() for name in rows]
)
def test_a_known_system_is_as_its_authors_built_it(dataset, name):
    by_name = {entry.name: entry.config for entry in space.load(dataset).references}
    assert by_name[name] == SYSTEMS[dataset][name]


def test_there_are_no_more_than_the_known_systems():
    assert [entry.name for entry in space.load("cifar10").references] == [*SYSTEMS["cifar10"]]
    assert [entry.name for entry in space.load("reuters").references] == [*SYSTEMS["reuters"]]


@pytest.mark.parametrize(
    ("name", "side"), [("cifar10", 32), ("cifar100", 32), ("mnist", 28), ("fashion_mnist", 28),
                       ("default_image", 8)]
)  # fmt: skip
def test_the_deepest_cnn_fits_on_its_images(name, side):
    found = space.load(name)
    assert found.fixed["pooling"]
    for index in range(found.parameters["depth"].high):
        side = (side if index == 0 else side // 2) - 2
    assert side >= 1


def test_reading_a_search_space_imports_no_keras_optuna_or_mlflow():
    # The table of techniques is training's, so this imports of it what has no Keras.
    code = (
        "import sys; from pipeline.search.space import space; space.load('digits');"
        "print([m for m in ('optuna', 'keras', 'tensorflow', 'jax', 'mlflow', 'click')"
        " if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
