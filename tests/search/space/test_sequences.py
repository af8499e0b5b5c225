"""A grid has every point once, Sobol's points fill a space evenly, and both are always the same."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import SearchSpaceError
from pipeline.search.options import within_points
from pipeline.search.space import space
from pipeline.search.space.points import num_points
from pipeline.search.space.sequences import SEQUENCES, grid_lines, grid_of, grid_values

HEAD = "family: mlp\ntrials: 30\nepochs: 2\npatience: 2\n"
MIXED = HEAD + (
    "search:\n  depth: {low: 1, high: 3}\n  width: {low: 16, high: 256, log: true}\n"
    "  regularizer: [none, l2]\n  lambda_l2: {low: 1e-6, high: 1e-2, log: true}\n"
    "  dropout_rate: {low: 0.0, high: 0.5}\n  max_norm: [null, 1, 2]\n"
)
SMALL = HEAD + (
    "search:\n  regularizer: [none, l2]\n  lambda_l2: {low: 1e-6, high: 1e-2, log: true}\n"
    "  dropout_rate: {low: 0.0, high: 0.5}\n"
)
BASELINE = "references:\n  baseline: {}\n  strong: {regularizer: l2, lambda_l2: 2e-3}\n"


def parsed(text):
    return space.parse(text.encode(), Path("some.yaml"), families=("mlp",))


def test_a_grid_takes_five_values_of_a_decimal_range_its_ends_exactly():
    entries = parsed(MIXED).parameters
    assert grid_values(entries["dropout_rate"]) == (0.0, 0.125, 0.25, 0.375, 0.5)
    assert grid_values(entries["lambda_l2"]) == (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


def test_every_point_of_a_grid_comes_once_and_is_in_the_space():
    chosen = parsed(SMALL)
    found = list(SEQUENCES["grid"](chosen, 3))
    assert len(found) == len(set(found)) == num_points(grid_of(chosen)) == 5 + 5 * 5
    assert all(chosen.parameters_of(config) is not None for config in found)
    assert {config.lambda_l2 for config in found} == {None, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2}
    assert found == list(SEQUENCES["grid"](chosen, 3))
    assert found != list(SEQUENCES["grid"](chosen, 4))


def test_the_grid_is_told():
    assert grid_lines(parsed(SMALL)) == [
        "grid: 30 points, in a random order",
        "  lambda_l2: 1e-06, 1e-05, 0.0001, 0.001, 0.01",
        "  dropout_rate: 0, 0.125, 0.25, 0.375, 0.5",
    ]


def test_a_grid_too_large_to_list_is_refused_with_the_remedies():
    text = MIXED.replace("high: 256, log: true", "high: 4000")
    with pytest.raises(SearchSpaceError) as caught:
        grid_of(parsed(text))
    assert str(caught.value) == (
        "some.yaml: its grid has 1,075,950 points, 5 for each decimal range; expected at most "
        "100,000: give lists of choices or a step, search fewer hyperparameters, or use "
        "--sampler qmc"
    )


def test_a_study_has_no_more_trials_than_its_grid_and_the_references_beside_it():
    chosen = parsed("sampler: grid\n" + SMALL.replace("trials: 30", "trials: 90") + BASELINE)
    limited, told = within_points(chosen, references=True)
    assert limited.trials == 31  # `strong` lies in the space, beside the grid
    assert told == (
        "the grid of some.yaml has 30 different points and 1 references beside them: 31 trials "
        "are trained instead of 90, each point once",
    )


def test_sobols_points_fill_every_hyperparameter_evenly():
    chosen = parsed(MIXED)
    found = list(islice(SEQUENCES["qmc"](chosen, 0), 256))
    assert all(chosen.parameters_of(config) is not None for config in found)
    assert len(set(found)) == 256
    share = np.bincount([config.depth for config in found], minlength=4)[1:] / 256
    assert np.allclose(share, 1 / 3, atol=0.01)
    rates = np.histogram([config.dropout_rate for config in found], bins=8, range=(0, 0.5))[0]
    assert rates.tolist() == [32] * 8
    exponents = [np.log10(c.lambda_l2) for c in found if c.lambda_l2 is not None]
    assert len(exponents) == 128
    assert np.ptp(np.histogram(exponents, bins=4, range=(-6, -2))[0]) <= 4
    widths = [config.width for config in found]
    assert min(widths) >= 16
    assert max(widths) <= 256
    assert abs(np.mean([width < 64 for width in widths]) - 0.5) < 0.03
    assert found == list(islice(SEQUENCES["qmc"](chosen, 0), 256))
    assert found[:8] != list(islice(SEQUENCES["qmc"](chosen, 1), 8))


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_space_that_names_its_sampler_resolves_to_the_same(name):
    chosen = parsed(f"sampler: {name}\npruner: none\n" + SMALL)
    again = parsed(chosen.text)
    assert (again.sampler, again.pruner) == (name, "none")
    assert again.definition() == chosen.definition()
    # Older studies name none, and continue.
    assert {"sampler", "pruner"}.isdisjoint(parsed(SMALL).definition())
    assert parsed("sampler: tpe\npruner: percentile\n" + SMALL).definition() == (
        parsed(SMALL).definition()
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sampler: tpee", "tpee' is not valid; expected one of tpe, random, grid, qmc"),
        ("sampler: 3", "3 is not valid; expected one of tpe, random, grid, qmc"),
        ("pruner: median", "median' is not valid; expected one of percentile, none"),
    ],
)
def test_another_name_is_refused_with_its_line(line, told):
    with pytest.raises(SearchSpaceError) as caught:
        parsed(line + "\n" + SMALL)
    assert told in str(caught.value)
    assert "some.yaml:1" in str(caught.value)
