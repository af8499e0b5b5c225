"""Data that a backend of Keras cannot deliver a model for are refused before a search begins."""

import pandas as pd
import pytest

from pipeline.errors import InputError
from pipeline.records import DataOptions
from pipeline.search.options import SearchOptions, prepare


@pytest.fixture
def news(tmp_path):
    path = tmp_path / "news.csv"
    texts = [f"word{i} {'ball' if i % 2 else 'bank'}" for i in range(40)]
    frame = pd.DataFrame(
        {"said": texts, "n": [i * i % 7 for i in range(40)], "label": ["a", "b"] * 20}
    )
    frame.to_csv(path, index=False)
    return str(path)


def test_texts_need_tensorflow(news, monkeypatch):
    data = DataOptions(text="said", ignore=("beside_text",))
    chosen = SearchOptions(news, data=data, device="cpu")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert prepare(chosen).dataset.raw_columns == ("said",)
    assert prepare(chosen).definition["data"] == {"text": "said"}
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    message = r"as they are \('said'\), which Keras does with TensorFlow only, but its"
    with pytest.raises(InputError, match=message):
        prepare(chosen)
    numbers = DataOptions(drop=("said",))
    assert prepare(SearchOptions(news, data=numbers, device="cpu")).dataset.raw_columns == ()
