"""Texts and pictures from search to predict: every way to a model gives the same probabilities."""

import contextlib
import csv
import json
import re
import subprocess
import sys
from io import StringIO
from random import Random

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
from click.testing import CliRunner
from mlflow_servers import served_model
from PIL import Image
from real_studies import REAL_STUDY

from pipeline.cli import main
from pipeline.tracking.models.load import fetched

pytestmark = REAL_STUDY
SPACE = """
family: {family}
trials: 2
epochs: 20
patience: 20
fixed: {{depth: 1, width: 8, batch_size: 16, learning_rate: 0.01}}
search: {{dropout_rate: {{low: 0.0, high: 0.1}}}}
references: {{baseline: {{}}}}
"""


def call(*arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result


def predicted(model, name, *options):
    model = f"models:/{model}-least-overfit@champion"
    result = call("predict", "--model", model, "--input", name, "--probabilities", *options)
    rows = list(csv.DictReader(StringIO(result.stdout)))
    found = [[float(row[key]) for key in row if key.startswith("p(")] for row in rows]
    return rows, np.array(found), result.stderr


def searched(path, family, *options):
    (path / "small.yaml").write_text(SPACE.format(family=family))
    told = call("search", *options, "--search-space", "small.yaml", "--executor", "inline").stderr
    call("report", "--seeds", "1", "--dataset", options[1].split(".")[0])
    return told


def texts(seed, count=200):
    """What a text is about depends on one word among others."""
    random = Random(seed)
    common = ["the", "A", "of,and", "it's", "In", "Österreich", "ÖSTERREICH", "to\tdon't…", "«x»"]
    rows = []
    for number in range(count):
        topic = ("sport", "Börse")[number % 2]
        word = {"sport": ("Goal!", "match", "ärger"), "Börse": ("SHARES", "euro.", "Straße")}[topic]
        words = random.choices(common, k=6) + random.choices(word, k=2)
        random.shuffle(words)
        rows.append({"id": number, "said so": " ".join(words), "label": topic})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts")
    with contextlib.chdir(path):
        texts(0).to_csv("news.csv", index=False)
        told = searched(path, "mlp", "--dataset", "news.csv", "--text", "said so")
        assert "no other column is used: 'id' [beside_text]" in told
        yield path


def test_a_text_gives_the_same_however_it_comes(text_folder):
    new = texts(1, 60)
    new.loc[3, "said so"] = ""
    new[["label", "said so"]].to_csv("new.csv", index=False)
    new.to_parquet("new.parquet")
    rows, expected, told = predicted("news", "new.csv")
    assert "1 text holds no word, first in row 4 [wordless]" in told
    right = [row["class"] == label for row, label in zip(rows, new["label"], strict=True)]
    assert np.mean(right) > 0.95
    np.testing.assert_array_equal(predicted("news", "new.parquet")[1], expected)
    (text_folder / "new.txt").write_text("\n".join(new["said so"]) + "\n", encoding="utf-8")
    np.testing.assert_array_equal(predicted("news", "new.txt")[1], expected)
    for number, text in enumerate(new["said so"]):
        file = text_folder / "new texts" / f"{number:03}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    rows, found, _ = predicted("news", "new texts")
    np.testing.assert_array_equal(found, expected)
    assert (list(rows[0])[-1], rows[5]["file"]) == ("file", "005.txt")
    model = mlflow.pyfunc.load_model("models:/news-least-overfit@champion")
    np.testing.assert_allclose(np.asarray(model.predict(new)), expected, atol=1e-6)
    with fetched("models:/news-least-overfit@champion") as files:
        script = f"""
import sys
sys.modules["pipeline"] = None
import keras, numpy as np, pandas as pd
model = keras.saving.load_model({str(files.file)!r}, safe_mode=True)
texts = pd.read_parquet("new.parquet")[["said so"]].to_numpy(object)
np.save("plain.npy", np.asarray(model({{"said so": texts}})))
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load("plain.npy"), expected, atol=1e-6)


def test_mlflow_serves_texts_over_http(text_folder, monkeypatch):
    new = texts(2, 40)
    new.loc[[3, 5], "said so"] = ["", "unheard-of"]
    new.to_csv("served.csv", index=False)
    expected = predicted("news", "served.csv")[1]
    split = json.loads(new.to_json(orient="split", index=False))
    records = json.loads(new[["said so"]].to_json(orient="records"))
    model = "models:/news-least-overfit@champion"
    with served_model(text_folder, model, monkeypatch) as address:
        for body in ({"dataframe_split": split}, {"dataframe_records": records}):
            answer = requests.post(f"{address}/invocations", json=body, timeout=60)
            assert answer.ok, answer.text
            np.testing.assert_allclose(answer.json()["predictions"], expected, atol=1e-6)
        wrong = {"dataframe_records": [{"said so": 7}]}
        answer = requests.post(f"{address}/invocations", json=wrong, timeout=60)
        assert not answer.ok
        assert "column 'said so' holds 7 in row 1, no text" in answer.text


def test_a_table_without_the_text_is_refused_by_name(text_folder):
    texts(1, 4)[["id"]].to_csv("bare.csv", index=False)
    model = "models:/news-least-overfit@champion"
    result = CliRunner().invoke(main, ["predict", "--model", model, "--input", "bare.csv"])
    assert result.exit_code == 2
    assert "bare.csv lacks 1 of the model's 1 columns: 'said so'" in result.stderr


def paint(path, warm, random):
    """A picture of some size and kind: warm ones are bright at the top, the others below."""
    height, width = random.randrange(12, 40), random.randrange(12, 40)
    half = np.arange(height) < height / 2
    values = np.where(half if warm else ~half, 230, 20).astype(np.uint8)
    grey = np.repeat(values[:, None], width, axis=1)
    image = Image.fromarray(grey).convert(random.choice(("L", "RGB", "RGBA", "P", "CMYK")))
    path.parent.mkdir(parents=True, exist_ok=True)
    if random.random() < 0.3:
        exif = Image.Exif()
        exif[0x0112] = 6
        image = image.transpose(Image.Transpose.ROTATE_90).convert("RGB")
        image.save(path.with_suffix(".jpg"), exif=exif)
    else:
        image.save(path.with_suffix(".tif" if image.mode == "CMYK" else ".png"))


def photos(root, seed, count):
    random = Random(seed)
    for number in range(count):
        warm = number % 2 == 0
        paint(root / ("warm" if warm else "kühl") / f"{number:03}.x", warm, random)


@pytest.fixture(scope="module")
def photo_folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos")
    with contextlib.chdir(path):
        photos(path / "photos", 0, 80)
        told = searched(path, "cnn", "--dataset", "photos", "--image-size", "12x10")
        assert "scaled to 12x10, stretched where proportions differ [scaled]" in told
        assert "turned upright, as the camera noted (EXIF) [rotated]" in told
        yield path


def test_pictures_of_other_sizes_are_classified_as_in_training(photo_folder):
    photos(photo_folder / "new", 1, 40)
    rows, expected, told = predicted("photos", "new")
    assert "scaled to 12x10, stretched where proportions differ [scaled]" in told
    assert re.search(r"pictures? with transparency \(RGBA\) (was|were) put on white \[rgba\]", told)
    assert np.mean([row["file"].startswith(row["class"]) for row in rows]) > 0.95
    single = photo_folder / "new" / rows[7]["file"]
    np.testing.assert_allclose(predicted("photos", str(single))[1], expected[7:8], atol=1e-6)
    flat, found, _ = predicted("photos", "new/warm")
    np.testing.assert_allclose(found, expected[20:], atol=1e-6)
    assert flat[0]["file"] == rows[20]["file"].removeprefix("warm/")


def test_a_folder_of_texts_is_no_input_of_a_model_for_pictures(photo_folder):
    (photo_folder / "texts").mkdir()
    (photo_folder / "texts" / "1.txt").write_text("a")
    model = "models:/photos-least-overfit@champion"
    result = CliRunner().invoke(main, ["predict", "--model", model, "--input", "texts"])
    assert result.exit_code == 2
    assert "texts/1.txt cannot be read here; expected only .png" in result.stderr
