"""Generated tables with a known rule: learned from one file, predicted from another spelling of it.

The network is a single layer whose weights scikit-learn finds, so that a case takes seconds; what
is tried is everything around it: reading, typing, encoding, the exported model, reading again.
"""

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline.datasets import load
from pipeline.datasets.raw_rows import input_names
from pipeline.datasets.table_encoding import TableEncoding
from pipeline.predict.table_inputs import read_raw_inputs
from pipeline.records import DataOptions, DatasetSpec
from pipeline.training.raw_inputs import outputs, with_encoding

pytestmark = [
    pytest.mark.slow,
    # Keras hands its variables to numpy in a way that numpy 2 deprecates.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]
NAMES = ["km/h", "a b", "größe", 'it\'s "x"', "nan", "1e3", "Country", "country", "output", "x,y"]
WORDS = ["red", "grün", "a b", "x,y", 'say "no"', "p;q", "Yes", "0", "tab|bar"]
FORMS = ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y"]
ROWS = 800


def column(kind, rng):
    """Returns a column and what it adds to the sum that the rule looks at."""
    if kind == "words":
        words = rng.choice(WORDS, 4, replace=False)
        codes = rng.integers(0, 4, ROWS)
        return words[codes], np.array([-2.0, -1.0, 1.0, 2.0])[codes]
    if kind == "flag":
        flag = rng.random(ROWS) < 0.5
        return flag, 2.0 * flag - 1
    if kind == "stamp":
        ticks = rng.integers(0, 100, ROWS)
        return 1_700_000_000 + 40 * ticks, (ticks - 50) / 25
    if kind == "date":
        days = rng.integers(0, 700, ROWS)
        moment = pd.Timestamp("2021-03-01") + pd.to_timedelta(days, "D")
        return moment.strftime(str(rng.choice(FORMS))).to_numpy(object), (days - 350) / 175
    scale = 10.0 ** rng.integers(-3, 6)
    values = rng.normal(size=ROWS)
    return (values * scale + rng.integers(0, 3) * 50 * scale).round(6), 1.5 * values


def table(seed):
    """Returns a table of mixed columns and its label, which a sum of them decides."""
    rng = np.random.default_rng(seed)
    kinds = ["words", "number", *rng.choice(["words", "flag", "stamp", "date", "number"], 3)]
    names = rng.choice(NAMES, len(kinds), replace=False)
    columns, total = {}, np.zeros(ROWS)
    for name, kind in zip(names, kinds, strict=True):
        values, part = column(kind, rng)
        gaps = rng.random(ROWS) < rng.choice([0.0, 0.05])
        values = pd.Series(values)
        columns[name] = values.astype(object).mask(gaps, None) if gaps.any() else values
        total += np.where(gaps, 0.0, part)
    frame = pd.DataFrame(columns)
    for name, kind in zip(names, kinds, strict=True):
        if kind in ("stamp", "number"):
            frame[name] = frame[name].astype(float)
    label = np.where(total > np.median(total), "yes", "no")
    return frame, label


def write(frame, path, rng):
    """Writes a table in a spelling of its own; returns the options that it needs."""
    if path.suffix in (".parquet", ".feather"):
        getattr(frame, f"to_{path.suffix[1:]}")(path)
        return {}
    mark, decimal = [(",", "."), (";", ","), (";", "."), ("\t", "."), ("|", ",")][rng.integers(5)]
    encoding = rng.choice(["utf-8", "utf-8-sig", "utf-16"])
    gap = rng.choice(["", "NA", "?", "-"])
    ending = rng.choice(["\n", "\r\n"])
    frame.to_csv(
        path, index=False, sep=mark, decimal=decimal, encoding=encoding, na_rep=gap,
        lineterminator=ending,
    )  # fmt: skip
    # Words and names hold every mark, so that what separates the columns may have to be said.
    return {"delimiter": mark, "decimal": decimal}


@pytest.mark.parametrize("seed", range(12))
def test_a_rule_is_learned_and_followed_in_any_spelling(tmp_path, seed):
    rng = np.random.default_rng(1_000 + seed)
    frame, label = table(seed)
    known = tmp_path / f"known{rng.choice(['.csv', '.tsv', '.csv.gz', '.parquet', '.feather'])}"
    options = write(frame[:600].assign(target=label[:600]), known, rng)
    dataset = load(DatasetSpec(str(known), options=DataOptions(label="target", **options)))
    assert set(dataset.columns.features) == set(frame.columns)
    assert isinstance(dataset.encoding, TableEncoding)

    learner = LogisticRegression(C=100.0, max_iter=2_000)
    learner.fit(dataset.train.inputs, dataset.train.labels)
    layer = keras.layers.Dense(1, activation="sigmoid")
    model = with_encoding(dataset.encoding, [layer])
    layer.set_weights([learner.coef_.T.astype("float32"), learner.intercept_.astype("float32")])

    new = frame[600:].reset_index(drop=True)
    found = []
    for name in ("new.csv", "new.tsv", "new.csv.gz", "new.parquet", "new.feather"):
        turned = new[rng.permutation(new.columns)].assign(more="extra")
        said = write(turned, tmp_path / name, rng)
        notes = []
        inputs = read_raw_inputs(tmp_path / name, dataset.encoding.columns, notes.append, **said)
        assert list(inputs) == input_names([one.name for one in dataset.encoding.columns])
        assert "ignored: 'more'" in notes[0]
        found.append(outputs(model, inputs, 64)[:, 0])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-6)
    assert ((found[0] > 0.5) == (label[600:] == "yes")).mean() > 0.9
