"""The exported model of texts: Keras's own layer makes the words that training counted."""

from random import Random

import keras
import numpy as np
import pytest

from pipeline.datasets.raw_rows import RawRows
from pipeline.datasets.text_encoding import TextEncoding, fit
from pipeline.datasets.user.text_folders import as_objects
from pipeline.errors import InputError
from pipeline.tracking.models.keras_archive import check_archive
from pipeline.training import raw_inputs

pytestmark = pytest.mark.filterwarnings(
    # Keras hands its variables to numpy in a way that numpy 2 deprecates.
    "ignore:__array__ implementation doesn't:DeprecationWarning"
)

ODD = (
    "", " \t\n", "It's A-B.c", "ÄPFEL Straße İI \u0131i", "a\u00a0b a\u2003b a\x0bb a\x0cb",
    "a\x85b a\u200bb \x1ca\x1fb a\0b a\0", "«Hallo» “x” …", "\uff21\uff11 ∑x 😀 e\u0301 é",
    "[UNK] unk [unk]", "$1,000.5 50% _a_", "a" * 300, "\\ ^ ` | ~ { } a\\b", "ǅ ǆ ß ẞ ﬁ",
    "\ufeffa a",
)  # fmt: skip


def random_texts(count):
    random = Random(0)
    signs = [chr(n) for n in (*range(1, 0x250), 0x1E9E, 0x2003, 0x2028, 0x3000, 0xFEFF, 0x1F600)]
    return ["".join(random.choices(signs, k=random.randrange(40))) for _ in range(count)]


@pytest.fixture(scope="module")
def texts():
    return RawRows({"said/so": as_objects([*ODD, *random_texts(1500)])})


@pytest.fixture(scope="module")
def encoding(texts):
    every = fit("said/so", texts)
    # Every other word, so that there are unknown ones.
    return TextEncoding("said/so", every.words[::2])


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras reads words with TensorFlow only"
)
def test_keras_makes_the_words_of_training(encoding, texts, tmp_path):
    model = raw_inputs.with_encoding(encoding, [])
    inputs = encoding.as_model_inputs(texts)
    assert list(inputs) == ["said|so"]
    found = raw_inputs.outputs(model, inputs, 256)
    expected = encoding.apply(texts).toarray()
    assert expected.sum() > 500
    assert expected[:, 0].sum() == 0, "unknown words have no column in training"
    assert found[:, 0].sum() > 100, "Keras's first column says that there are some"
    np.testing.assert_array_equal(found[:, 1:], expected[:, 1:])
    model.save(tmp_path / "x.keras")
    check_archive(tmp_path / "x.keras", "x")
    loaded = keras.saving.load_model(tmp_path / "x.keras", safe_mode=True)
    np.testing.assert_array_equal(raw_inputs.outputs(loaded, inputs, 999), found)


def test_another_backend_is_refused(encoding, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(
        InputError,
        match=r"exact numbers as they are \('said/so'\), which Ker",
    ):
        raw_inputs.with_encoding(encoding, [])
