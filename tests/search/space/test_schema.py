"""Every fault of a search space file is named: file, line, key, what was expected, closest name."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SearchSpaceError
from pipeline.records import TrialConfig
from pipeline.search.space import space
from pipeline.search.space.hyperparameters import check as check_value
from pipeline.search.space.hyperparameters import defaults
from pipeline.training.techniques import further_hyperparameters, hyperparameters

HYPERPARAMETERS, DEFAULTS = hyperparameters(), defaults()

HEAD = "family: mlp\ntrials: 4\nepochs: 2\npatience: 1\n"
SEARCH = "search:\n  depth: [1, 2]\n"
LAMBDA = "{low: 1e-6, high: 1e-2, log: true}"


def check(text: str) -> space.SearchSpace:
    return space.parse(text.encode(), Path("my.yaml"), families=("mlp", "cnn"))


def problems(text: str) -> list[str]:
    with pytest.raises(SearchSpaceError) as caught:
        check(text)
    return str(caught.value).splitlines()


def test_the_table_covers_exactly_the_fields_of_a_trial_config():
    own = [entry.name for entry in fields(TrialConfig) if entry.name not in ("family", "more")]
    further = further_hyperparameters()
    assert [name for name in HYPERPARAMETERS if name not in further] == own
    assert {*HYPERPARAMETERS} == {*own, *further}


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_every_default_is_a_valid_value_or_off(name):
    if DEFAULTS[name] is not None:
        assert check_value(HYPERPARAMETERS[name], DEFAULTS[name]) == DEFAULTS[name]


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_a_hyperparameter_comes_after_what_it_needs(name):
    needs = HYPERPARAMETERS[name].needs
    names = list(HYPERPARAMETERS)
    assert needs is None or names.index(needs[0]) < names.index(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("family: mlp", "family: mpl"), "1: family: unknown model family 'mpl'; expected one of "
         "cnn, mlp (did you mean 'mlp'?)"),
        (("family: mlp", "family: " + "x" * 900), f"1: family: unknown model family '{'x' * 57}.."),
        (("family: mlp", "family: 3"), "1: family: 3 is not valid; expected a model family"),
        (("family: mlp\n", ""), "1: family: missing; expected a model family"),
        (("trials: 4", "trials: 0"), "2: trials: 0 is not valid; expected a whole number from 1"),
        (("trials: 4", "trials: 4.0"), "2: trials: 4 is not valid; expected a whole number"),
        (("trials: 4", "trials: many"), "2: trials: 'many' is not valid; expected a whole number"),
        (("trials: 4", "trials: true"), "2: trials: true is not valid; expected a whole number"),
        (("trials: 4", "trails: 4"), "2: trails: unknown key; expected one of family, trials, epoc"
         "hs, patience, sampler, pruner, search, fixed, references, reference_defaults (did you "
         "mean 'trials'?)"),
        (("epochs: 2", "epochs: -1"), "3: epochs: -1 is not valid; expected a whole number from 1"),
        (("patience: 1", "patience:"), "4: patience: null is not valid; expected a whole number"),
        (("search:\n  depth: [1, 2]", "search: {}"), "5: search: {} is not valid; expected a "
         "mapping with at least one hyperparameter"),
        (("search:\n  depth: [1, 2]", "search: [depth]"), "5: search: ['depth'] is not valid"),
    ],
)  # fmt: skip
def test_faults_of_the_file(change, message):
    text = (HEAD + SEARCH).replace(*change)
    assert any(row.startswith(f"my.yaml:{message}") for row in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("widht: [1, 2]", "widht: unknown hyperparameter; expected one of depth, width,"),
        ("widht: [1, 2]", "(did you mean 'width'?)"),
        ("lambda: [0.1]", "(did you mean 'lambda_l2'?)|(did you mean 'lambda_l1'?)"),
        (f"width: {[*range(1, 258)]}", "257 choices are too many; expected at most 256, or a rang"),
        ("width: 64", "width: 64 does not vary; expected a list of choices or {low: ..., high:"),
        ("batch_norm: true", "batch_norm: true does not vary; expected a list of choices; a const"),
        ("width: []", "width: the list of choices is empty; expected a whole number from 1 to"),
        ("width: [8, 8]", "width[1]: 8 is given twice; expected distinct choices"),
        ("width: [8, 0]", "width[1]: 0 is not valid; expected a whole number from 1 to 65536"),
        ("width: [8, 1.5]", "width[1]: 1.5 is not valid; expected a whole number"),
        ("width: [true, 8]", "width[0]: true is not valid; expected a whole number"),
        ("width: [null]", "width[0]: null is not valid; expected a whole number"),
        ("width: {low: 0, high: 8}", "width.low: 0 is not valid; expected a whole number from 1"),
        ("width: {low: 8, high: 4}", "width: the range 8 to 4 is inverted; expected low below"),
        ("width: {low: 8, high: 8}", "width: the range 8 to 8 is empty; expected low below high"),
        ("width: {low: 8}", "width.high: missing; expected the largest value of the range"),
        ("width: {low: 1, hihg: 2, high: 3}", "width.hihg: unknown key; expected one of low, high,"
         " step, log (did you mean 'high'?)"),
        ("width: {low: 1, high: 4, step: 0}", "width.step: 0 is not valid; expected a whole numb"),
        ("width: {low: 1, high: 4, step: 2}", "width.step: 2 does not lead from 1 to 4; expected"),
        ("width: {low: 1, high: 4, step: 3, log: true}", "width.step: a logarithmic range has no"),
        ("width: {low: 1, high: 4, log: 1}", "width.log: 1 is not valid; expected true or false"),
        ("dropout_rate: {low: 0, high: 1}", "dropout_rate.high: 1 is not valid; expected a number "
         "from 0 up to, but not including, 1"),
        ("dropout_rate: {low: -0.1, high: 0.5}", "dropout_rate.low: -0.1 is not valid"),
        ("dropout_rate: [0, .nan]", "dropout_rate[1]: nan is not valid"),
        ("dropout_rate: {low: 0, high: 0.5, log: true}", "dropout_rate.low: 0 has no logarithm"),
        ("dropout_rate: {low: 0, high: 0.4, step: 1}", "dropout_rate.step: only whole numbers"),
        ("max_norm: {low: null, high: 2}", "max_norm.low: null is not valid; expected a finite n"),
        ("max_norm: {low: 1, high: .inf}", "max_norm.high: inf is not valid; expected a finite n"),
        ("max_norm: [off, 1]", "max_norm[0]: 'off' is not valid; expected a finite number above 0"
         ", or null for off"),
        ("learning_rate: {low: .nan, high: 1}", "learning_rate.low: nan is not valid"),
        ("regularizer: [none, l3]", "regularizer[1]: 'l3' is not valid; expected one of none, l1, "
         "l2, l1_l2 (did you mean 'l"),
        ("regularizer: {low: 1, high: 2}", "regularizer: a range makes no sense here; expected a "
         "list of choices, one of none, l1, l2, l1_l2"),
        ("optimizer: [adam, adm]", "optimizer[1]: 'adm' is not valid; expected one of adam, rmspro"
         "p, sgd (did you mean 'adam'?)"),
        ("hidden_activation: [relu, sigmoid]", "hidden_activation[1]: 'sigmoid' is not valid; expec"
         "ted one of relu, elu, gelu, leaky_relu, selu, silu, tanh"),
        ("first_activation: [relu, tanh]", "first_activation[1]: 'tanh' is not valid"),
        ("pooling: [true, false]", "pooling: the family mlp has no pooling; expected one of depth"),
        ("placement: [dense, all]", "placement: the family mlp has no placement"),
        ("dense_width: [8, 16]", "dense_width: the family mlp has no dense_width"),
        ("lambda_l1: " + LAMBDA, "lambda_l1: nothing activates it; expected that regularizer is l1"
         " or l1_l2, fixed or searched"),
        ("regularizer: [none, l2]", "regularizer: l2 needs lambda_l2, which is neither fixed nor s"
         "earched; expected lambda_l2 beside it, a finite number above 0"),
    ],
)  # fmt: skip
def test_faults_of_what_varies(entry, message):
    rows = problems(f"{HEAD}search:\n  {entry}\n")
    assert all(row.startswith("my.yaml:6: search.") for row in rows)
    assert any(part in row for row in rows for part in message.split("|")), rows


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("search:\n  epochs: {low: 1, high: 3}\n", "6: search.epochs: 3 is above `epochs: 2` at the"
         " top of the file, the largest of all trials; expected at most 2, or `epochs: 3` there"),
        ("search:\n  patience: [1, 2]\n", "6: search.patience: 2 is above `patience: 1` at the to"),
        ("fixed: {patience: 5}\n" + SEARCH, "5: fixed.patience: 5 is above `patience: 1`"),
        (SEARCH + "references:\n  long: {epochs: 9}\n", "8: references.long.epochs: 9 is above `e"),
    ],
)  # fmt: skip
def test_a_trial_has_no_more_epochs_than_the_study(change, told):
    assert any(f"my.yaml:{told}" in row for row in problems(HEAD + change))


def test_a_range_of_a_lambda_is_logarithmic():
    text = f"{HEAD}search:\n  regularizer: [none, l1]\n  lambda_l1: {{low: 1e-6, high: 1e-2}}\n"
    assert problems(text) == [
        "my.yaml:7: search.lambda_l1: spans orders of magnitude; expected `log: true` in its range"
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("depth: 0", "fixed.depth: 0 is not valid; expected a whole number from 1 to 64"),
        ("width: -3", "fixed.width: -3 is not valid"),
        ("width: '64'", "fixed.width: '64' is not valid; expected a whole number"),
        ("width: [8, 16]", "fixed.width: [8, 16] is not valid; expected a whole number from 1 to "
         "65536; what varies belongs under `search`"),
        ("dropout_rate: 1", "fixed.dropout_rate: 1 is not valid; expected a number from 0 up to"),
        ("batch_norm: yes", "fixed.batch_norm: 'yes' is not valid; expected true or false"),
        ("optimizer: Adam", "fixed.optimizer: 'Adam' is not valid; expected one of adam, rmsprop"),
        ("learning_rate: 0", "fixed.learning_rate: 0 is not valid; expected a finite number above"),
        ("max_norm: 0", "fixed.max_norm: 0 is not valid"),
        ("pooling: true", "fixed.pooling: the family mlp has no pooling"),
        ("lerning_rate: 1", "fixed.lerning_rate: unknown hyperparameter; expected one of"),
        ("family: cnn", "fixed.family: unknown hyperparameter"),
        ("regularizer: l1", "fixed.regularizer: l1 needs lambda_l1, which is neither fixed nor"),
        ("first_activation: linear\n  hidden_activation: gelu", "fixed.first_activation: nothing "
         "activates it; expected that hidden_activation is relu, fixed or searched"),
        ("input_noise: 0.1\n  standardize: false", "fixed.input_noise: nothing activates it; expect"
         "ed that standardize is true, fixed or searched"),
        ("weight_decay: -1", "weight_decay: -1 is not valid; expected a finite number of at least"),
        ("input_noise: 1.5", "fixed.input_noise: 1.5 is not valid; expected a number from 0 to 1"),
        ("label_smoothing: 1", "fixed.label_smoothing: 1 is not valid; expected a number from 0"),
        ("weigth_decay: 1", "(did you mean 'weight_decay'?)"),
        ("lambda_l2: 0.1", "fixed.lambda_l2: nothing activates it; expected that regularizer is"),
        ("depth: 2", "search.depth: also under `fixed` (line 8); expected either fixed or searche"),
    ],
)  # fmt: skip
def test_faults_of_what_is_fixed(entry, message):
    rows = problems(f"{HEAD}{SEARCH}fixed:\n  {entry}\n")
    assert any(message in row for row in rows), rows
    assert all(row.startswith(("my.yaml:8: fixed.", "my.yaml:6: search.depth")) for row in rows)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("a: 3", "references.a: 3 is not valid; expected a mapping of names to hyperparameters"),
        ("a b: {}", "references.a b: not a name for a reference; expected 1 to 64 letters"),
        ("a: {dept: 2}", "references.a.dept: unknown hyperparameter; expected one of depth"),
        ("a: {depth: 0}", "references.a.depth: 0 is not valid"),
        ("a: {regularizer: l2}", "references.a: lambda_l2 is missing where regularizer is l2; exp"),
        ("a: {lambda_l2: 0.1}", "references.a.lambda_l2: unused; expected that regularizer is l2 "
         "or l1_l2, or no lambda_l2"),
        ("a: {regularizer: l2, lambda_l2: 0.1, lambda_l1: 0.1}", "references.a.lambda_l1: unused"),
        ("a: {regularizer: l1_l2, lambda_l2: 0.1}", "references.a: lambda_l1 is missing"),
        ("a: {placement: all}", "references.a.placement: the family mlp has no placement"),
    ],
)  # fmt: skip
def test_faults_of_references(entry, message):
    rows = problems(f"{HEAD}{SEARCH}references:\n  {entry}\n")
    assert len(rows) == 1
    assert rows[0].startswith(f"my.yaml:8: {message}")


def test_a_reference_default_is_checked_too():
    rows = problems(f"{HEAD}{SEARCH}reference_defaults: {{dropout_rate: 2}}\n")
    assert rows[0].startswith("my.yaml:7: reference_defaults.dropout_rate: 2 is not valid")


def test_all_faults_are_listed_in_the_order_of_the_lines():
    rows = problems(
        "family: rnn\ntrials: 0\nfixed:\n  widht: 1\nsearch:\n  depth: {low: 3, high: 1}\n"
    )
    assert [row.split(": ")[1] for row in rows if "missing" not in row] == [
        "family", "trials", "fixed.widht", "search.depth",
    ]  # fmt: skip
    assert sum("missing" in row for row in rows) == 2


def test_a_lambda_may_be_fixed_or_chosen_from_a_list():
    text = f"{HEAD}fixed: {{lambda_l2: 0.1}}\nsearch:\n  regularizer: [none, l2, l1]\n"
    text += "  lambda_l1: [1e-4, 1e-3]\n"
    assert check(text).parameters["lambda_l1"] == space.Choice((1e-4, 1e-3))


def test_empty_sections_and_fewer_trials_than_references_are_fine():
    text = HEAD.replace("trials: 4", "trials: 1") + SEARCH
    text += "fixed:\nreferences:\n  baseline:\n  deep: {depth: 9}\n"
    assert [entry.name for entry in check(text).references] == ["baseline", "deep"]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
WORDS = st.sampled_from([*HYPERPARAMETERS, "low", "high", "log", "step", "none", "l1", "l2", "mlp"])
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(), inner, max_size=4)
    ),
    max_leaves=8,
)
ENTRIES = st.dictionaries(st.sampled_from([*HYPERPARAMETERS]), VALUES, max_size=5)
FILES = st.fixed_dictionaries(
    {"family": WORDS | VALUES, "trials": st.integers() | VALUES, "search": ENTRIES | VALUES},
    optional={
        "epochs": VALUES | st.just(3),
        "patience": VALUES | st.just(3),
        "fixed": ENTRIES | VALUES,
        "references": st.dictionaries(st.text(), ENTRIES | VALUES, max_size=3) | VALUES,
        "reference_defaults": ENTRIES | VALUES,
        "other": VALUES,
    },
)


@settings(deadline=None, max_examples=200)
@given(FILES)
def test_whatever_the_structure_only_a_search_space_error_comes_out(values):
    text = json.dumps(values).replace("NaN", ".nan").replace("Infinity", ".inf")
    try:
        check(text)
    except SearchSpaceError as error:
        assert all(row.startswith("my.yaml:") for row in str(error).split("\n"))
