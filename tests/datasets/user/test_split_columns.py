"""Columns of a table that say how it is split: what they do, and what each refusal says."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.datasets import SelectionLock, load
from pipeline.errors import DatasetError
from pipeline.records import DataOptions, DatasetSpec

ROWS = 120
RNG = np.random.default_rng(0)
BASE = {"a": RNG.normal(size=ROWS), "b": RNG.normal(size=ROWS), "label": np.arange(ROWS) % 2}


@pytest.fixture
def table(tmp_path):
    def load_table(suffix="parquet", train_examples=None, columns=BASE, **options):
        path = tmp_path / f"mine.{suffix}"
        made = pa.table(dict(columns))
        if suffix == "csv":
            from pyarrow import csv

            csv.write_csv(made, path)
        else:
            parquet.write_table(made, path)
        spec = DatasetSpec(str(path), None, 0, train_examples, DataOptions(**options))
        return load(spec)

    return load_table


def told(dataset):
    return {finding.code: finding.message for finding in dataset.findings}


def in_parts(dataset, values):
    """Returns the values of a column in train, validation and test, looked up by column a."""
    values = np.asarray(values)
    parts = (dataset.train, dataset.validation, dataset.test.read(SelectionLock("r")))
    lookup = {np.float32(a): value for a, value in zip(BASE["a"], values, strict=True)}
    return [[lookup[a] for a in part.inputs[:, 0]] for part in parts]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("kind", ["text", "integer"])
def test_a_group_stays_in_one_part_and_is_no_feature(table, suffix, kind):
    patients = [f"p{i // 4}" if kind == "text" else i // 4 for i in range(ROWS)]
    dataset = table(suffix, columns=BASE | {"patient": patients}, group="patient")
    assert dataset.columns.features == ("a", "b")
    train, validation, test = map(set, in_parts(dataset, patients))
    assert not (train & validation or train & test or validation & test)
    assert (len(train), len(validation), len(test)) == (18, 6, 6)
    assert told(dataset)["groups"] == (
        "rows of one 'patient' stay in one part; groups: train 18, validation 6, test 6. Intervals"
        " count rows, and would be wider if they counted groups"
    )


def test_a_group_with_equal_rows_of_another_keeps_both_together(table):
    patients = np.arange(ROWS) // 4
    columns = BASE | {"patient": patients, "a": BASE["a"].copy(), "b": BASE["b"].copy()}
    columns["a"][4], columns["b"][4] = columns["a"][0], columns["b"][0]
    dataset = table(columns=columns, group="patient")
    homes = [part for part in (dataset.split.train, dataset.split.validation, dataset.split.test)
             if set(part) & set(range(8))]  # fmt: skip
    assert len(homes) == 1


DATES = np.arange("2024-01-01", "2024-04-30", dtype="M8[D]")[:ROWS]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("values", "border"),
    [
        (DATES.astype(object), "2024-03-12"),
        (DATES.astype("M8[ms]") + np.timedelta64(90, "m"), "2024-03-12T01:30:00"),
        ([str(day) for day in DATES], "2024-03-12"),
        ([f"{day.astype(object):%d.%m.%Y}" for day in DATES], "2024-03-12"),
        ([f"{place / 4:.2f}" for place in range(ROWS)], "17.75"),
        (np.arange(ROWS), "71"),
        (np.arange(ROWS) / 4, "17.75"),
    ],
)
def test_an_order_cuts_by_time_or_number(table, suffix, values, border):
    shuffled = np.random.RandomState(1).permutation(ROWS)
    when = [values[place] for place in shuffled]
    dataset = table(suffix, columns=BASE | {"when": when}, order_by="when")
    train, validation, test = (set(map(str, part)) for part in in_parts(dataset, when))
    order = [str(value) for value in values]
    assert train == set(order[:72])
    assert validation == set(order[72:96])
    assert test == set(order[96:])
    assert f"cut by 'when': train up to {border}" in told(dataset)["order"]
    assert "when" not in dataset.columns.features


def test_the_words_of_a_split_column(table):
    words = [["train", "Training", "val", "VALID", " dev ", "validation", "test", "Test"][i % 8]
             for i in range(ROWS)]  # fmt: skip
    dataset = table(columns=BASE | {"fold": words}, split="fold")
    assert dataset.split_sizes == {"train": 30, "validation": 60, "test": 30}
    train, _, test = in_parts(dataset, words)
    assert set(train) == {"train", "Training"}
    assert set(test) == {"test", "Test"}
    assert told(dataset)["given_split"] == "the parts are those of column 'fold'"


@pytest.mark.parametrize(
    ("words", "sizes", "message"),
    [
        (["train", "test"], (36, 24, 60), "names no validation: cut from train"),
        (["train", "val"], (36, 60, 24), "names no test: cut from train"),
        (["train"], (72, 24, 24), "names no validation and no test: cut from train"),
    ],
)
def test_a_part_that_the_column_lacks_is_cut_from_train_and_told(table, words, sizes, message):
    column = [words[i // 2 % len(words)] for i in range(ROWS)]
    dataset = table(columns=BASE | {"fold": column}, split="fold")
    assert tuple(dataset.split_sizes.values()) == sizes
    assert message in told(dataset)["given_split"]


def test_equal_rows_in_the_given_parts_are_told(table):
    columns = BASE | {"fold": ["train", "val", "test"] * 40, "a": BASE["a"].copy()}
    columns["b"] = BASE["b"].copy()
    columns["a"][1::3], columns["b"][1::3] = columns["a"][::3], columns["b"][::3]
    assert (
        "the given parts hold equal ones, so that 100% of validation is known"
        in told(table(columns=columns, split="fold"))["repeated"]
    )


def test_test_rows_that_training_has_are_told(table):
    columns = BASE | {"fold": ["train", "val", "test"] * 40, "a": BASE["a"].copy()}
    columns["b"] = BASE["b"].copy()
    for name in "ab":
        columns[name][2:32:3] = columns[name][:30:3]
    dataset = table(columns=columns, split="fold")
    assert told(dataset)["repeated_test"].startswith(
        "10 of 40 test examples equal training or validation examples in every input; the given"
        " parts hold equal ones, so that test figures look better"
    )
    assert "repeated_test" not in told(
        table(columns=BASE | {"fold": columns["fold"]}, split="fold")
    )
    ignored = table(columns=columns, split="fold", ignore=("repeated_test",))
    assert "repeated_test" not in told(ignored)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_groups_that_are_probably_one_are_told(table, suffix):
    patients = [f"{'Pp'[i % 2]}{i // 12}{' ' * (i % 3 == 0)}" for i in range(ROWS)]
    dataset = table(suffix, columns=BASE | {"patient": patients}, group="patient")
    found = [one.message for one in dataset.findings if one.code == "case"]
    assert len(found) == 2
    assert (
        "groups of 'patient' that differ in capitals, blanks or zeros only stay apart" in found[0]
    )
    assert "'P0', 'P1'" in found[0]
    assert "groups of 'patient' that differ in blanks around them only are one: 'P0 '" in found[1]
    decomposed = [("ka\u0308", "k\u00e4")[i % 2] + str(i // 12) for i in range(ROWS)]
    dataset = table(suffix, columns=BASE | {"patient": decomposed}, group="patient")
    assert "train 6, validation 2, test 2" in told(dataset)["groups"]
    assert "'ka\u03080'" in told(dataset)["case"]


def test_an_order_by_years_of_two_digits_is_told(table):
    days = [f"{i % 28 + 1:02}.{i % 12 + 1:02}.{60 + i // 6}" for i in range(ROWS)]
    dataset = table(columns=BASE | {"when": days}, order_by="when")
    assert told(dataset)["century"].endswith("others 2000 to 2068: 'when'")


def test_equal_rows_at_other_times_are_told(table):
    columns = BASE | {"when": np.arange(ROWS), "a": BASE["a"].copy(), "b": BASE["b"].copy()}
    columns["a"][72:84], columns["b"][72:84] = columns["a"][:12], columns["b"][:12]
    assert (
        "the cut by 'when' parts some, so that 50% of validation is known from training"
        in (told(table(columns=columns, order_by="when"))["repeated"])
    )


GROUPS = [f"g{i // 4}" for i in range(ROWS)]
REFUSED = [
    ({"group": "patiant"}, {}, r"has no column 'patiant' \(--group\) \(did you mean 'patient'\?\)"),
    ({"group": "label"}, {}, "'label' is both the label and --group"),
    ({"group": "b", "drop": ("b",)}, {}, "'b' is both --drop and --group"),
    ({"group": "patient", "split": "b"}, {}, "--group and --split each say how rows are split"),
    ({"group": "a"}, {}, "has another value in every row, so that no rows belong together"),
    ({"group": "patient"}, {"patient": ["x", "y", "z", "w"] * 30},
     "has 4 different values; expected at least 5 groups"),
    ({"group": "patient"}, {"patient": [None, *GROUPS[1:]]}, r"misses a value in row 1;"),
    ({"group": "patient"}, {"patient": [*GROUPS[1:], " "]}, "misses a value in row 120"),
    ({"order_by": "patient"}, {}, "holds texts such as 'g0'; expected numbers, or dates such as"),
    ({"order_by": "a"}, {"a": [*BASE["a"][:-1], np.nan]}, "misses a value in row 120"),
    ({"order_by": "patient"}, {"patient": [1.0] * ROWS},
     "the column of --order-by has too few different values to cut 120 examples in two"),
    ({"split": "patient"}, {"patient": ["train", "tset"] * 60},
     r"holds 'tset' in row 2 \(did you mean 'test'\?\); expected train, validation"),
    ({"split": "patient"}, {"patient": ["val", "test"] * 60}, "has no row of 'train'"),
    ({"split": "patient"}, {"patient": ["train", "test"] * 60},
     "for the test have the classes '1', which no other row has"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "columns", "message"), REFUSED)
def test_refusals_name_column_place_and_remedy(table, options, columns, message):
    with pytest.raises(DatasetError, match=message) as caught:
        table(columns=BASE | {"patient": GROUPS} | columns, **options)
    assert str(caught.value).isprintable()


def test_no_feature_left_is_refused(table):
    with pytest.raises(DatasetError, match="no feature is left beside 'b', 'label', 'patient'"):
        table(columns={"b": BASE["b"], "label": BASE["label"], "patient": GROUPS},
              group="patient", drop=("b",))  # fmt: skip


def test_penguins_that_come_twice_are_suspected(table):
    pairs = np.concatenate([np.arange(80), np.arange(40)])
    found = told(table(columns=BASE | {"Individual ID": [f"N{i}" for i in pairs]}))
    assert found["possible_groups"].startswith("'Individual ID' has 80 values in 120 rows")


@pytest.mark.parametrize(
    "name", ["patient", "Patient ID", "subjectId", "user_no", "userid", "participants", "FAMILY"]
)
def test_a_column_that_names_subjects_is_suspected(table, name):
    found = told(table(columns=BASE | {name: np.arange(ROWS) // 5}))
    assert found["possible_groups"] == (
        f"'{name}' has 24 values in 120 rows: if rows of one value belong together, results on new"
        f" ones are worse than shown unless --group '{name}' keeps them in one part"
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("patient", np.arange(ROWS) % 9),  # a category
        ("patient", np.arange(ROWS)),  # nothing repeats
        ("family_size", np.arange(ROWS) // 5),
        ("age", np.arange(ROWS) // 5),
        ("user rating", np.arange(ROWS) // 5),
    ],
)
def test_other_columns_are_not(table, name, values):
    assert "possible_groups" not in told(table(columns=BASE | {name: values}))


def test_fewer_training_examples_are_rows_of_the_groups_that_train_has(table):
    columns = BASE | {"patient": GROUPS}
    everything = table(columns=columns, group="patient")
    fewer = table(columns=columns, group="patient", train_examples=20)
    np.testing.assert_array_equal(fewer.split.train, everything.split.train[:20])
