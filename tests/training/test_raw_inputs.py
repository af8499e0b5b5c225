"""The exported model of a table: raw values by name in, the numbers of training inside."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from pipeline.datasets.dataset import RawColumn
from pipeline.datasets.raw_rows import RawRows, Words, input_names
from pipeline.datasets.table_encoding import fit
from pipeline.training import raw_inputs

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras reads words with TensorFlow only"
)

COLUMNS = (
    RawColumn("km/h", "number"),
    RawColumn("dense", "boolean"),
    RawColumn("when", "date", "%Y-%m-%d"),
    RawColumn("network", "category"),
    RawColumn("rare only", "category"),
    RawColumn("output", "category"),
)


def rows(seed=0, count=400):
    """Rows with gaps, rare words, seconds that float32 cannot hold."""
    rng = np.random.default_rng(seed)
    speed = 1.7e9 + 40.0 * rng.integers(0, 50, count)
    speed[rng.random(count) < 0.1] = np.nan
    day = 86_400.0 * rng.integers(17_000, 19_000, count) + 3_600.0 * rng.integers(0, 24, count)
    words = ("", "b b", "ä", "ö\"x'", "once", "twice")
    codes = rng.integers(0, 4, count).astype(np.int32)
    codes[:3] = 4, 5, 5
    many = tuple(f"w{i}" for i in range(count))
    return RawRows(
        {
            "km/h": speed,
            "dense": np.where(rng.random(count) < 0.2, np.nan, rng.integers(0, 2, count)),
            "when": day,
            "network": Words(codes, words),
            "rare only": Words(np.arange(count, dtype=np.int32), many),
            "output": Words((codes > 1).astype(np.int32), ("no", "yes")),
        }
    )


@pytest.fixture(scope="module")
def encoding():
    return fit(COLUMNS, rows())


@pytest.fixture(scope="module")
def model(encoding):
    return raw_inputs.with_encoding(encoding, [])


def numbers_of(model, encoding, raw):
    inputs = encoding.as_model_inputs(raw)
    return raw_inputs.outputs(model, inputs, batch_size=64)


@needs_tensorflow
def test_the_layers_give_the_numbers_that_the_network_was_trained_on(model, encoding):
    for raw in (rows(), rows(7, 50)):
        expected = encoding.apply(raw)
        assert expected.shape == (len(raw), *encoding.input_shape)
        np.testing.assert_allclose(numbers_of(model, encoding, raw), expected, atol=1e-6)


@needs_tensorflow
def test_a_column_may_be_called_as_a_layer_and_a_slash_is_replaced(model):
    assert set(model.input) == {column.name.replace("/", "|") for column in COLUMNS}
    assert input_names(["a/b", "a|b", "a||b"]) == ["a|b|", "a|b", "a||b"]


@needs_tensorflow
def test_it_loads_in_plain_keras_with_the_package_blocked(model, encoding, tmp_path):
    model.save(tmp_path / "m.keras")
    few = rows(3, 20)
    np.save(tmp_path / "expected.npy", encoding.apply(few))
    inputs = encoding.as_model_inputs(few)
    plain = {name: array.astype(str) for name, array in inputs.items() if array.dtype == object}
    np.savez(tmp_path / "in.npz", **inputs | plain)
    script = f"""
import sys
sys.modules["pipeline"] = None
import keras, numpy as np
model = keras.saving.load_model({str(tmp_path / "m.keras")!r}, safe_mode=True)
path = {str(tmp_path / "in.npz")!r}
with np.load(path) as stored:
    inputs = {{name: stored[name] for name in stored.files}}
found = np.asarray(model(inputs))
np.testing.assert_allclose(found, np.load({str(tmp_path / "expected.npy")!r}), atol=1e-6)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_column_of_one_word_only_gives_no_number(encoding):
    alone = fit(COLUMNS[4:], replace(rows(), columns={**rows().columns}))
    assert alone.categories[0].words == ()
    assert alone.categories[0].pools_rare
    assert alone.input_shape == (1 + 2,)


def test_unknown_encodings_are_an_error():
    with pytest.raises(KeyError):
        raw_inputs.with_encoding(SimpleNamespace(columns=()), [keras.layers.Dense(1)])
