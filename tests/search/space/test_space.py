"""A search space suggests what it says, knows what it contains, and tells what changed."""

import json
import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SearchSpaceError
from pipeline.records import TrialConfig
from pipeline.search.space import space
from pipeline.search.space.space import Choice, FloatRange, IntRange

TEXT = """\
family: mlp
trials: 9
epochs: 3
patience: 2
fixed:
  width: 32
  learning_rate: 1e-2
search:
  lambda_l2: {low: 1e-6, high: 1e-1, log: true}   # before what it depends on
  lambda_l1: {low: 1e-7, high: 1e-2, log: true}
  depth: {low: 1, high: 5, step: 2}
  regularizer: [none, l1, l2, l1_l2]
  dropout_rate: {low: 0.0, high: 0.7}
  max_norm: [null, 1, 2]
  batch_norm: [false, true]
  batch_size: {low: 8, high: 64, log: true}
reference_defaults: {depth: 3, learning_rate: 1e-2}
references:
  baseline: {}
  l2: {regularizer: l2, lambda_l2: 0.01}
  wide: {width: 64}
  even: {depth: 2}
  strong: {regularizer: l1_l2, lambda_l1: 0.5, lambda_l2: 0.01}
"""


def parsed(text: str = TEXT) -> space.SearchSpace:
    return space.parse(text.encode(), Path("folder/mine.yaml"), families=("mlp", "cnn"))


class Draws:
    """A trial that lets hypothesis choose, and notes what it was asked."""

    def __init__(self, data):
        self.data = data
        self.asked = {}

    def suggest_float(self, name, low, high, *, log=False):
        self.asked[name] = value = self.data.draw(st.floats(low, high), label=name)
        return value

    def suggest_int(self, name, low, high, *, step=1, log=False):
        steps = self.data.draw(st.integers(0, (high - low) // step), label=name)
        self.asked[name] = low + steps * step
        return self.asked[name]

    def suggest_categorical(self, name, choices):
        self.asked[name] = value = self.data.draw(st.sampled_from(choices), label=name)
        return value


def test_a_file_becomes_a_frozen_search_space():
    found = parsed()
    assert (found.name, found.family, found.trials, found.epochs, found.patience) == (
        "mine", "mlp", 9, 3, 2,
    )  # fmt: skip
    assert found.fixed == {"width": 32, "learning_rate": 0.01}
    assert found.parameters == {
        "depth": IntRange(1, 5, step=2),
        "regularizer": Choice(("none", "l1", "l2", "l1_l2")),
        "lambda_l1": FloatRange(1e-7, 1e-2, log=True),
        "lambda_l2": FloatRange(1e-6, 1e-1, log=True),
        "dropout_rate": FloatRange(0.0, 0.7),
        "max_norm": Choice((None, 1.0, 2.0)),
        "batch_norm": Choice((False, True)),
        "batch_size": IntRange(8, 64, log=True),
    }
    with pytest.raises(FrozenInstanceError):
        found.trials = 3
    with pytest.raises(TypeError):
        found.fixed["width"] = 3


def test_what_a_reference_does_not_name_is_shared_then_fixed_then_off():
    by_name = {entry.name: entry.config for entry in parsed().references}
    baseline = TrialConfig(depth=3, width=32, learning_rate=0.01)
    assert by_name["baseline"] == baseline
    assert by_name["l2"] == replace(baseline, regularizer="l2", lambda_l2=0.01)
    assert by_name["wide"] == replace(baseline, width=64)


def test_a_reference_knows_whether_the_search_could_suggest_it():
    inside = {entry.name: entry.in_space for entry in parsed().references}
    assert inside == {"baseline": True, "l2": True, "wide": False, "even": False, "strong": False}


@settings(deadline=None)
@given(st.data())
def test_a_suggestion_respects_ranges_and_conditions(data):
    found, trial = parsed(), Draws(data)
    config = found.suggest(trial)
    assert (config.family, config.width, config.learning_rate) == ("mlp", 32, 0.01)
    assert config.depth in (1, 3, 5)
    assert ("lambda_l1" in trial.asked) == (config.regularizer in ("l1", "l1_l2"))
    assert ("lambda_l2" in trial.asked) == (config.regularizer in ("l2", "l1_l2"))
    assert (config.lambda_l1 is not None) == ("lambda_l1" in trial.asked)
    assert (config.lambda_l2 is not None) == ("lambda_l2" in trial.asked)
    assert config.lambda_l2 is None or 1e-6 <= config.lambda_l2 <= 1e-1
    assert 0 <= config.dropout_rate <= 0.7
    assert 8 <= config.batch_size <= 64
    assert found.parameters_of(config) == trial.asked


@pytest.mark.parametrize(
    "change",
    [
        {"family": "cnn"},
        {"width": 33},
        {"depth": 2},
        {"depth": 7},
        {"dropout_rate": 0.71},
        {"max_norm": 3.0},
        {"standardize": False},
        {"lambda_l1": 0.001},
        {"regularizer": "l1", "lambda_l1": None},
        {"regularizer": "l1", "lambda_l1": 0.1},
    ],
)
def test_a_config_outside_of_the_space_has_no_parameters(change):
    config = TrialConfig(depth=3, width=32, learning_rate=0.01)
    assert parsed().parameters_of(config) is not None
    assert parsed().parameters_of(replace(config, **change)) is None


def test_optuna_asks_and_enqueues_as_a_study_does():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study, found = optuna.create_study(), parsed()
    wanted = [entry.config for entry in found.references if entry.in_space]
    for config in wanted:
        study.enqueue_trial(found.parameters_of(config))
    for number in range(20):
        trial = study.ask()
        config = found.suggest(trial)
        assert found.parameters_of(config) == trial.params
        if number < len(wanted):
            assert config == wanted[number]
        study.tell(trial, float(number))


def test_a_fixed_lambda_counts_only_with_its_regularizer():
    text = TEXT.replace("  lambda_l2: {low: 1e-6, high: 1e-1, log: true}", "")
    found = parsed(text.replace("fixed:\n", "fixed:\n  lambda_l2: 0.01\n"))
    by_name = {entry.name: entry for entry in found.references}
    assert by_name["baseline"].config.lambda_l2 is None
    assert by_name["l2"].in_space
    assert found.parameters_of(by_name["l2"].config)["regularizer"] == "l2"
    assert "lambda_l2" not in found.parameters_of(by_name["l2"].config)


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, len(TEXT)),
    st.integers(0, 12),
    st.one_of(st.text(max_size=4), st.sampled_from(["null", "[]", "{}", "-1", ".nan", ": ", "*a"])),
)
def test_a_damaged_file_loads_or_says_what_is_wrong(start, length, damage):
    try:
        found = parsed(TEXT[:start] + damage + TEXT[start + length :])
    except SearchSpaceError as error:
        assert all(row.startswith("folder/mine.yaml:") for row in str(error).split("\n"))
    else:
        assert parsed(found.text).definition() == found.definition()


def test_the_grid_names_what_varies_then_what_is_fixed_then_defaults():
    rows = parsed().grid()
    assert [(row.name, row.values, row.condition) for row in rows if row.role == "searched"] == [
        ("depth", "1 to 5, step 2", ""),
        ("regularizer", "none, l1, l2, l1_l2", ""),
        ("lambda_l1", "1e-07 to 0.01, log", "regularizer is l1 or l1_l2"),
        ("lambda_l2", "1e-06 to 0.1, log", "regularizer is l2 or l1_l2"),
        ("dropout_rate", "0 to 0.7", ""),
        ("max_norm", "null, 1, 2", ""),
        ("batch_norm", "false, true", ""),
        ("batch_size", "8 to 64, log", ""),
    ]
    fixed = [(row.name, row.values) for row in rows if row.role == "fixed"]
    assert fixed == [("width", "32"), ("learning_rate", "0.01")]
    defaults = {row.name for row in rows if row.role == "default"}
    assert defaults == {"standardize", "first_activation", "optimizer", "learning_rate_decay"}
    assert [row.role for row in rows] == sorted(
        (row.role for row in rows), key=["searched", "fixed", "default"].index
    )


def test_an_activation_is_searched_and_a_space_without_one_is_what_it_was():
    assert "hidden_activation" not in json.dumps(parsed().definition())
    choices = "  hidden_activation: [relu, gelu]\n"
    found = parsed(TEXT.replace("search:\n", f"search:\n{choices}") + "  tanh: {depth: 1}\n")
    assert found.definition()["search"]["hidden_activation"] == {"choices": ["relu", "gelu"]}
    assert found.parameters_of(TrialConfig(width=32, learning_rate=1e-2, depth=3)) is not None
    baseline = found.references[0]
    assert baseline.in_space and baseline.config.hidden_activation == "relu"
    fixed = parsed(TEXT.replace("fixed:\n", "fixed:\n  hidden_activation: selu\n"))
    assert fixed.definition()["fixed"]["hidden_activation"] == "selu"
    assert {reference.config.hidden_activation for reference in fixed.references} == {"selu"}
    rows = {row.name: row for row in fixed.grid()}
    assert "first_activation" not in rows  # it would not count
    assert rows["hidden_activation"].role == "fixed"
    again = space.parse(fixed.text.encode(), Path("folder/mine.yaml"), families=("mlp",))
    assert again.definition() == fixed.definition()


def test_epochs_and_patience_of_trials_are_searched_below_the_studys():
    searched = "  epochs: {low: 1, high: 3}\n  patience: [1, 2]\n"
    found = parsed(TEXT.replace("search:\n", f"search:\n{searched}"))
    assert found.definition()["search"]["patience"] == {"choices": [1, 2]}
    baseline = found.references[0]
    assert (baseline.config.epochs, baseline.config.patience) == (3, 2)  # the study's
    assert baseline.in_space
    again = space.parse(found.text.encode(), Path("folder/mine.yaml"), families=("mlp",))
    assert again.definition() == found.definition()
    assert (found.largest("epochs"), found.largest("patience")) == (3, 2)
    plain = parsed()
    assert plain.largest("epochs") == 0
    assert plain.references[0].config.epochs is None
    assert not {"epochs", "patience"} & {row.name for row in plain.grid()}
    assert "epochs" not in plain.definition()["fixed"] | plain.definition()["references"]["l2"]


def test_the_definition_survives_json_and_the_resolved_text_gives_the_same_space():
    found = parsed()
    assert json.loads(json.dumps(found.definition(), allow_nan=False)) == found.definition()
    again = parsed(found.text)
    assert again.definition() == found.definition()
    assert again.references == found.references
    assert again.trials == found.trials
    assert found.text.startswith("# Resolved from mine: defaults are written out.\n")


def test_the_definition_ignores_comments_order_trials_and_defaults_by_name():
    same = "# another comment\n" + TEXT.replace("trials: 9", "trials: 90")
    same = same.replace("fixed:\n", "fixed:\n  optimizer: adam\n")
    assert space.changes(parsed().definition(), parsed(same).definition()) == []


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("high: 0.7", "high: 0.5", "search.dropout_rate: high was 0.7, is 0.5"),
        ("epochs: 3", "epochs: 4", "epochs: was 3, is 4"),
        ("width: 32", "width: 16", "fixed: width was 32, is 16"),
        ("[null, 1, 2]", "[1, 2]", "search.max_norm: choices was [null, 1.0, 2.0], is [1.0, 2.0]"),
        ("lambda_l2: 0.01}\n  w", "lambda_l2: 1e-5}\n  w",
         "references.l2: lambda_l2 was 0.01, is 1e-05"),
        ("  batch_norm: [false, true]\n", "", 'search.batch_norm was removed: it was {"choices": '
         "[false, true]}"),
        ("  batch_norm: [false, true]\n", "", "fixed.batch_norm was added: false"),
    ],
)  # fmt: skip
def test_a_change_is_a_sentence(old, new, sentence):
    changed = TEXT.replace(old, new)
    assert changed != TEXT
    sentences = space.changes(parsed().definition(), parsed(changed).definition())
    assert sentence in sentences


def test_a_search_space_can_be_changed_by_replace_and_its_records_sent_to_a_worker():
    shorter = replace(parsed(), epochs=1)
    assert space.changes(parsed().definition(), shorter.definition()) == ["epochs: was 3, is 1"]
    assert "epochs: 1\n" in shorter.text
    assert pickle.loads(pickle.dumps(shorter.references)) == parsed().references


def test_another_question_is_one_yaml_file(tmp_path):
    file = tmp_path / "my question.yaml"
    file.write_text(TEXT)
    found = space.load(file)
    assert (found.name, found.path) == ("my question", file)
    assert space.load(str(file)) == found


def test_a_name_or_path_that_is_not_there_lists_the_names_and_the_closest(tmp_path):
    with pytest.raises(
        SearchSpaceError, match="cannot read the search space 'digitz': No such fi"
    ) as caught:
        space.load("digitz")
    assert "expected the path of a YAML file or one of cifar10, " in str(caught.value)
    assert str(caught.value).endswith("(did you mean 'digits'?)")
    with pytest.raises(SearchSpaceError, match="Is a directory"):
        space.load(tmp_path)
    with pytest.raises(SearchSpaceError, match="null byte"):
        space.load("a\0b")


def test_a_kind_of_data_without_default_is_named():
    with pytest.raises(SearchSpaceError) as caught:
        space.default_for("images")
    assert str(caught.value) == (
        "no default search space for data of the kind 'images'; expected one of features, image, "
        "multi_hot (did you mean 'image'?); or give one with --search-space FILE"
    )


@pytest.mark.parametrize(
    ("kind", "shape", "name"),
    [
        ("image", (8, 8, 1), "default_image"),
        ("image", (7, 30, 3), "default_features"),
        ("image", (30, 1, 3), "default_features"),
        ("image", (), "default_image"),
        ("features", (3,), "default_features"),
        ("multi_hot", (3,), "default_multi_hot"),
    ],
)
def test_pictures_too_small_for_its_convolutions_do_not_get_the_default_for_images(
    kind, shape, name
):
    assert space.default_for(kind, shape).name == name


def test_a_name_that_cannot_be_printed_stays_on_one_line(tmp_path):
    (tmp_path / "a\nb.yaml").write_text("x")
    for path in (tmp_path / "a\nb.yaml", "gone\nfile"):
        with pytest.raises(SearchSpaceError) as caught:
            space.load(path)
        assert str(caught.value).isprintable()
    (tmp_path / "a\nb\udce9.yaml").write_text(TEXT)
    assert "# Resolved from a?b?: defaults" in space.load(tmp_path / "a\nb\udce9.yaml").text


def test_a_family_is_known_by_its_file_in_training_models():
    models = Path(space.__file__).parents[1] / "training" / "models"
    files = sorted(file.stem for file in models.glob("*.py") if file.stem != "__init__")
    with pytest.raises(SearchSpaceError, match=f"expected one of {', '.join(files)}"):
        space.parse(TEXT.replace("mlp", "nothing").encode(), Path("mine.yaml"))


YOUNGER = ("weight_decay", "label_smoothing", "input_noise")


def test_a_technique_that_is_younger_than_a_study_and_off_changes_nothing_of_it():
    plain = parsed()
    off = parsed(TEXT.replace("width: 32", "width: 32\n  weight_decay: 0"))
    assert off.definition() == plain.definition() and off.references == plain.references
    for text in (json.dumps(plain.definition()), plain.text, str(plain.grid())):
        assert not any(name in text for name in YOUNGER)
    assert not any(name in entry.config.as_dict() for entry in plain.references for name in YOUNGER)


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_it_can_be_searched_fixed_and_used_in_references(data):
    found = parsed(
        TEXT.replace("width: 32", "width: 32\n  label_smoothing: 0.1")
        .replace("batch_norm: [false, true]", "input_noise: {low: 0.0, high: 0.5}\n"
                 "  weight_decay: [0, 1e-3, 0.1]\n  standardize: [false, true]")
        .replace("  baseline: {}", "  baseline: {}\n  decay: {weight_decay: 0.1, depth: 1}")
    )  # fmt: skip
    draws = Draws(data)
    config = found.suggest(draws)
    assert config.label_smoothing == 0.1
    assert config.weight_decay == draws.asked["weight_decay"]
    assert ("input_noise" in draws.asked) == config.standardize
    assert config.input_noise == draws.asked.get("input_noise", 0.0)
    assert found.parameters_of(config) == draws.asked
    decay = next(entry.config for entry in found.references if entry.name == "decay")
    assert (decay.weight_decay, decay.label_smoothing) == (0.1, 0.1)
    assert parsed(found.text).definition() == found.definition()
    assert {"weight_decay", "input_noise"} <= found.definition()["search"].keys()
    assert found.definition()["fixed"]["label_smoothing"] == 0.1
