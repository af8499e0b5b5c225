"""A space for a model of the user's own names hyperparameters that only its function reads."""

import pytest

from pipeline.errors import SearchSpaceError
from pipeline.records import TrialConfig
from pipeline.search.space import space
from pipeline.search.space.points import RandomSuggester
from pipeline.training.descriptions import describe
from pipeline.training.models import hyperparameters_of
from pipeline.training.own import registry
from pipeline.training.techniques import hyperparameters, structure

TEXT = """\
family: own
trials: 8
epochs: 2
patience: 2
fixed: {my_depth: 3, batch_size: 64, dropout_rate: 0.1}
search:
  my_rate: {low: 0, high: 0.5}
  my_l2: {low: 1.0e-5, high: 0.1, log: true}
  my_units: {low: 4, high: 16, step: 4}
  my_kind: [wide, deep]
  my_flag: [true, false]
  my_limit: [null, 1, 2]
  learning_rate: {low: 0.001, high: 0.1, log: true}
reference_defaults: {my_units: 4, my_kind: wide, my_flag: false}
references:
  baseline: {my_rate: 0, my_l2: 0}
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "my_model.py"
    path.write_text("raise RuntimeError('it ran')")
    yield registry.family_of(f"{path}:build")
    registry.forget()


@pytest.fixture
def load(own, tmp_path):
    def parsed(text=TEXT):
        return space.parse(text.encode(), tmp_path / "my_model.yaml", own=own)

    return parsed


def test_own_names_are_searched_by_the_kind_that_their_values_have(load, own):
    loaded = load()
    assert dict(registry.known(own.name).kinds) == {
        "my_rate": "float", "my_l2": "float", "my_units": "int", "my_kind": "str",
        "my_flag": "bool", "my_limit": "int", "my_depth": "int", "dropout_rate": "float",
    }  # fmt: skip
    import numpy as np

    drawn = [loaded.suggest(RandomSuggester(np.random.default_rng(n))) for n in range(40)]
    assert {config.family for config in drawn} == {"my_model.py:build"}
    assert {config.my_units for config in drawn} == {4, 8, 12, 16}
    assert {config.my_limit for config in drawn} == {None, 1, 2}
    assert all(0 <= config.my_rate <= 0.5 and config.my_depth == 3 for config in drawn)
    assert all(loaded.parameters_of(config) for config in drawn)
    assert len({structure(config) for config in drawn}) == 40
    (baseline,) = loaded.references
    assert (baseline.config.my_rate, baseline.config.my_flag) == (0.0, False)
    assert type(baseline.config.my_rate) is float
    assert not baseline.in_space  # my_l2 has no logarithm at 0


def test_the_resolved_space_loads_to_the_same_space(load):
    loaded = load()
    again = load(loaded.text)
    assert again.definition() == loaded.definition()
    assert loaded.definition()["family"] == "my_model.py:build"


def test_what_the_function_does_not_read_is_not_said_of_it(load, own):
    config = load().references[0].config
    taken = hyperparameters_of(own.name)
    assert {"my_rate", "dropout_rate", "label_smoothing", "optimizer"} <= taken
    assert taken.isdisjoint({"depth", "width", "pooling", "lambda_l2", "batch_norm"})
    words = describe(config, {"family", "depth", "width", "my_units", "my_rate", "dropout_rate"})
    assert words == "my_model.py:build, my rate 0, my units 4, dropout 0.1"
    grid = {row.name for row in load().grid()}
    assert grid.isdisjoint({"depth", "width", "regularizer"})
    assert "my_rate" not in hyperparameters_of("mlp")
    mlp = describe(TrialConfig(), {"family", "depth", "width", "my_rate"})
    assert mlp == "mlp, depth 2, width 64"


def test_a_space_that_is_read_again_forgets_the_names_of_the_last(load, own):
    load()
    text = TEXT.replace("  my_kind: [wide, deep]\n", "").replace(", my_kind: wide", "")
    load(text)
    assert "my_kind" not in hyperparameters()


PROBLEMS = {
    "another family": (
        TEXT.replace("family: own", "family: mlp"),
        "family: 'mlp' is a family of this package, but --family names my_model.py:build; expected "
        "`family: own`, or no --family",
    ),
    "a reference without it": (
        TEXT.replace("my_kind: wide, ", ""),
        "references.baseline: my_kind is missing, and it has no default; expected my_kind in each "
        "reference or under `reference_defaults`",
    ),
    "a reference alone": (
        TEXT + "  more: {my_rate: 0, my_l2: 0, my_other: 3}\n",
        "references.more.my_other: given to references only; expected it under `search` or `fixed`",
    ),
    "mixed": (
        TEXT.replace("[wide, deep]", "[wide, 3]"),
        "search.my_kind: its values are of different kinds; expected numbers, words or true and",
    ),
    "no name": (
        TEXT + "  more: {my_rate: 0, my_l2: 0, 'a b': 3}\n",
        "a b: not a name for a hyperparameter; expected letters, digits and `_`",
    ),
    "taken": (
        TEXT.replace("my_depth: 3", "family: 3"), "not a name for a hyperparameter"
    ),
    "a wrong choice": (
        TEXT.replace("my_kind: wide", "my_kind: 3"),
        "reference_defaults.my_kind: 3 is not valid; expected a text",
    ),
    "out of range": (
        TEXT.replace("low: 4, high: 16, step: 4", "low: 16, high: 4"),
        "search.my_units: the range 16 to 4 is inverted",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_mistake_in_the_space_is_told_by_its_key(name, load):
    text, message = PROBLEMS[name]
    with pytest.raises(SearchSpaceError) as caught:
        load(text)
    assert message in str(caught.value)


def test_without_the_option_one_sentence_says_what_is_missing(tmp_path):
    with pytest.raises(SearchSpaceError) as caught:
        space.parse(TEXT.encode(), tmp_path / "my_model.yaml")
    assert str(caught.value).endswith(
        "my_model.yaml:1: family: the space is for a model of your own; give --family "
        "FILE.py:FUNCTION, the file and the function that makes it"
    )
