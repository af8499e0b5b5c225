"""How many points a space has; no point of it is trained twice."""

from math import inf
from pathlib import Path

import numpy as np
import pytest
from small_space import small_space

from pipeline.search.options import within_points
from pipeline.search.space import space
from pipeline.search.space.points import config_of, num_points, num_trials, points, untried

HEAD = "family: mlp\ntrials: 30\nepochs: 2\npatience: 2\n"
TWELVE = (
    HEAD + "search:\n  depth: {low: 1, high: 3}\n  width: [8, 16]\n  batch_norm: [false, true]\n"
)


def parsed(text):
    return space.parse(text.encode(), Path("few.yaml"), families=("mlp",))


SPACES = [
    (TWELVE, 12),
    (HEAD + "search:\n  width: {low: 8, high: 64, step: 8}\n", 8),
    (HEAD + "search:\n  max_norm: [null, 1, 2]\n", 3),
    (
        HEAD + "search:\n  regularizer: [none, l1, l2, l1_l2]\n  lambda_l1: [0.1, 0.2]\n"
        "  lambda_l2: [0.1, 0.2, 0.3]\n  depth: [1, 2]\n",
        2 * (1 + 2 + 3 + 6),
    ),
    (HEAD + "search:\n  dropout_rate: {low: 0.0, high: 0.5}\n", inf),
]


@pytest.mark.parametrize(("text", "count"), SPACES)
def test_the_number_of_points(text, count):
    chosen = parsed(text)
    assert num_points(chosen) == count
    if count < inf:
        found = list(points(chosen))
        assert len(found) == len(set(found)) == count
        assert all(config_of(chosen, chosen.parameters_of(config)) == config for config in found)


def test_the_last_points_are_found_and_then_none():
    chosen = parsed(TWELVE)
    tried, generator = set(), np.random.default_rng(0)
    for _ in range(12):
        drawn = untried(chosen, tried, generator)
        assert drawn not in tried
        tried.add(drawn)
    assert tried == set(points(chosen))
    assert untried(chosen, tried, generator) is None


def test_a_large_space_of_which_little_is_left_is_gone_through():
    chosen = parsed(HEAD + "search:\n  width: {low: 1, high: 3000}\n")
    tried = {config for config in points(chosen) if config.width != 1234}
    assert untried(chosen, tried, np.random.default_rng(0)).width == 1234


def test_suggestions_that_miss_a_value_are_no_configuration():
    assert config_of(small_space(), {"depth": 2, "regularizer": "l2", "dropout_rate": 0.1}) is None


REFERENCES = "references:\n  baseline: {}\n  wide: {width: 512}\n  again: {width: 512}\n"


@pytest.mark.parametrize(("references", "most"), [(True, 12 + 3 - 0), (False, 12)])
def test_references_outside_the_space_are_trained_beside_its_points(references, most):
    # A width of 64, the default, is outside the space, too.
    assert num_trials(parsed(TWELVE + REFERENCES), references) == most


def test_a_reference_in_the_space_is_one_of_its_points():
    text = TWELVE.replace("width: [8, 16]", "width: [64, 16]") + "references:\n  baseline: {}\n"
    chosen = parsed(text.replace("depth: {low: 1, high: 3}", "depth: {low: 1, high: 3}"))
    assert num_trials(chosen) == 12


def test_more_trials_than_points_become_as_many_and_are_told():
    chosen, told = within_points(parsed(TWELVE), references=True)
    assert chosen.trials == 12
    assert told == (
        "few.yaml has 12 different points: 12 trials are trained instead of 30, each point once",
    )
    chosen, told = within_points(parsed(TWELVE + REFERENCES), references=True)
    assert chosen.trials == 15
    assert "12 different points and 3 references beside them: 15 trials" in told[0]
    assert within_points(small_space(), references=True) == (small_space(), ())
