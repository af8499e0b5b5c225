"""What is found in a user's data before training, and what is not."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from pipeline.cli import main
from pipeline.datasets import DatasetSummary, as_lines, data_notes, describe, load, spec_of
from pipeline.datasets.findings import CODES
from pipeline.errors import DatasetError
from pipeline.records import DataOptions, DatasetSpec
from pipeline.search.opening import plan_lines
from pipeline.search.options import SearchOptions, prepare

N = 1000
RNG = np.random.default_rng(0)
X = {"a": RNG.normal(size=N), "b": RNG.normal(size=N)}
Y = np.arange(N) % 2


@pytest.fixture
def loaded(tmp_path):
    def make(labels=Y, seed=0, columns=X, **options):
        path = tmp_path / "mine.parquet"
        parquet.write_table(pa.table({**columns, "label": list(labels)}), path)
        return load(DatasetSpec(str(path), None, seed, None, DataOptions(**options)))

    return make


def told(dataset):
    found = {}
    for finding in dataset.findings:
        found.setdefault(finding.code, []).append(finding.message)
    return found


def test_sound_data_are_told_nothing_but_what_a_small_validation_part_means(loaded):
    more = {name: RNG.normal(size=2 * N) for name in "ab"}
    assert told(loaded(np.tile(Y, 2), columns=more)) == {}
    assert told(loaded()) == {
        "small_validation": [
            "validation has 200 examples: an accuracy near 50% is known to +-7%, one near 90% to"
            " +-4% (95% intervals); differences below that cannot be told from chance by accuracy"
        ]
    }


def test_contradictions_are_named_by_row_and_say_what_they_cost(loaded):
    columns = {name: np.concatenate([values, values[:100]]) for name, values in X.items()}
    labels = [*Y, *(1 - Y[:100])]
    dataset = loaded(labels, columns=columns)
    (message,) = told(dataset)["contradictions"]
    open_rows = set(np.concatenate([dataset.split.train, dataset.split.validation]))
    pairs = [row for row in range(100) if row in open_rows]
    assert 70 < len(pairs) < 90
    assert message.startswith(f"{len(pairs)} sets of equal inputs have different labels, such as")
    first, second = re.findall(r"rows ([\d,]+) \('(\d)'\) and ([\d,]+) \('(\d)'\)", message)[0][::2]
    assert int(second.replace(",", "")) - int(first) == 1000
    assert int(first) - 1 in pairs
    share = 1 - len(pairs) / len(open_rows)
    assert f"no model can be right on more than {share:.0%} of training" in message


def test_nothing_of_the_test_part_is_told_but_its_size_and_classes(loaded):
    """Whatever its inputs and labels are, the same is found: two classes of it are exchanged."""
    columns = {**X, "fold": (["train"] * 6 + ["val", "val", "test", "test"]) * 100}
    labels = np.arange(N) % 4
    in_test = np.array([word == "test" for word in columns["fold"]])
    clean = told(loaded(labels, columns=columns, split="fold"))
    spoiled = {name: np.array(values) for name, values in columns.items()}
    spoiled["a"][in_test] = 0.0
    spoiled["b"][in_test] = labels[in_test]
    changed = labels.copy()
    changed[in_test] = labels[in_test][::-1]
    assert told(loaded(changed, columns=spoiled, split="fold")) == clean


@pytest.mark.parametrize(
    ("feature", "leak"),
    [
        (Y * 3.5, "'c' (100% right)"),
        (-Y + RNG.normal(size=N) / 20, "'c' (100% right)"),
        (np.where(RNG.random(N) < 0.01, 1 - Y, Y) * 1.0, "'c' (99% right)"),
        (Y + RNG.normal(size=N) / 2, None),  # strong, and honest
        (np.abs(Y - 0.5) + RNG.normal(size=N), None),
    ],
)
def test_a_feature_that_alone_predicts_the_label(loaded, feature, leak):
    found = told(loaded(columns={**X, "c": feature}))
    if leak is None:
        assert "leak" not in found
    else:
        assert found["leak"] == [
            f"each of these features alone predicts the label on validation: {leak}; if one is"
            " known only after the answer is, leave it out with --drop"
        ]


def test_a_copy_of_a_hundred_classes_and_an_id_sorted_by_class_leak(loaded):
    labels = np.repeat(np.arange(100), 20)
    columns = {"copy": 7 * labels, "id": np.arange(2000), "noise": RNG.normal(size=2000)}
    (message,) = told(loaded(labels, columns=columns))["leak"]
    assert "'copy' (100% right)" in message
    assert "noise" not in message
    by_id = {**X, "id": np.arange(N)}
    assert "leak" not in told(loaded(np.repeat([0, 1], 500), columns=by_id))
    by_class = told(loaded(np.repeat([0, 1], 500), columns=by_id, ignore=("id",)))
    assert "'id' (99% right)" in by_class["leak"][0]


def test_the_petals_of_irises_are_no_leak(loaded):
    from sklearn.datasets import load_iris

    iris = load_iris()
    columns = {f"c{place}": iris.data[:, place] for place in range(4)}
    for seed in range(8):
        assert "leak" not in told(loaded(iris.target, seed=seed, columns=columns))


def test_imbalance_rare_and_lacking_classes(loaded):
    labels = np.zeros(N, int)
    labels[:30], labels[30:36], labels[36] = 1, 2, 3
    found = told(loaded(labels))
    assert found["imbalance"][0].startswith("the largest class '0' has 96% of training and valida")
    assert found["rare"] == [
        "classes with fewer than 10 training and validation examples: '2', '3'; nothing can be"
        " said of how well they are known"
    ]
    assert "validation has no example of '3'" in found["absent"]
    assert "the test part has no example of '3'" in found["absent"]
    assert "imbalance" not in told(loaded(np.arange(N) % 10 == 0))


def test_a_class_only_in_the_test_part_is_told(loaded):
    labels = np.where(np.arange(N) >= 950, 2, Y)
    found = told(loaded(labels, columns={**X, "when": np.arange(N)}, order_by="when"))
    assert found["absent"] == ["only in the test part, so never learned: '2'"]


def test_a_class_that_train_lacks_is_told(loaded):
    labels = np.where((np.arange(N) >= 700) & (np.arange(N) < 750), 2, Y)
    found = told(loaded(labels, columns={**X, "when": np.arange(N)}, order_by="when"))
    assert "train has no example of '2'" in found["absent"]


def test_a_finding_is_silenced_by_its_code(loaded):
    labels = np.where(np.arange(N) < 3, 2, Y)
    assert set(told(loaded(labels))) == {"absent", "imbalance", "rare", "small_validation"}
    silent = loaded(labels, ignore=("rare", "absent", "small_validation"))
    assert set(told(silent)) == {"imbalance"}
    with pytest.raises(DatasetError, match=r"--ignore rar: .*\(did you mean 'rare'\?\); expected"):
        loaded(labels, ignore=("rar",))


def test_every_finding_has_a_code_of_the_table(loaded):
    labels = np.where(np.arange(N) < 3, 2, Y)
    assert {finding.code for finding in loaded(labels).findings} <= set(CODES)


def test_findings_are_told_by_a_dry_run_and_shown(loaded, tmp_path):
    dataset = loaded()
    path = str(tmp_path / "mine.parquet")
    line = f"{told(dataset)['small_validation'][0]} [small_validation]"
    assert line in as_lines(describe(dataset))
    options = SearchOptions(path)
    assert f"  {line}" in plan_lines(options, prepare(options))
    shown = CliRunner().invoke(main, ["datasets", "show", path, "--format", "json"])
    assert json.loads(shown.stdout)["findings"][0]["code"] == "small_validation"


def test_what_is_ignored_does_not_change_a_study(loaded, tmp_path):
    loaded()
    path = str(tmp_path / "mine.parquet")
    plain = prepare(SearchOptions(path))
    silent = prepare(SearchOptions(path, data=DataOptions(ignore=("small_validation",))))
    assert plain.definition == silent.definition
    assert (len(plain.dataset.findings), len(silent.dataset.findings)) == (1, 0)


def test_ignoring_an_id_keeps_it_and_so_belongs_to_the_study(loaded, tmp_path):
    loaded(columns={**X, "id": np.arange(N)})
    options = DataOptions(ignore=("id", "small_validation"))
    prepared = prepare(SearchOptions(str(tmp_path / "mine.parquet"), data=options))
    assert prepared.definition["data"] == {"ignore": ["id"]}
    again = spec_of({**prepared.definition, "source": str(tmp_path / "mine.parquet")}, None)
    assert load(again).split_id == prepared.dataset.split_id
    assert load(again).columns.features == ("a", "b", "id")


def test_a_wide_table_is_examined_in_seconds(tmp_path):
    import time

    path = tmp_path / "wide.npz"
    np.savez(path, x=RNG.normal(size=(200, 10_000)), y=np.arange(200) % 2)
    start = time.perf_counter()
    assert "leak" not in told(load(DatasetSpec(str(path))))
    assert time.perf_counter() - start < 60


def test_what_is_kept_with_the_study_names_label_and_features_by_type(loaded):
    columns = {**X, "kind": RNG.choice(["p", "q", "r"], N).tolist(), "one": [7] * N}
    notes = data_notes(DatasetSummary.of(loaded(columns=columns)))
    assert notes.about == (
        "label 'label' (2 classes); features (3): a, b, kind",
        "features by type: number 2, category 1",
    )
    assert [code for code, _ in notes.findings] == ["constant", "small_validation"]


def test_who_trains_on_what_was_told_before_examines_nothing_and_has_the_same_data(tmp_path):
    path = tmp_path / "mine.parquet"
    parquet.write_table(pa.table({**X, "copy": Y, "label": Y}), path)
    spec = DatasetSpec(str(path))
    told_of, quiet = load(spec), load(spec, examined=False)
    assert told_of.split_id == quiet.split_id
    assert "leak" in told(told_of) and "leak" not in told(quiet)
