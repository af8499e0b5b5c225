"""Models of one array through pyfunc and MLflow's scoring server: any type of number, one scale."""

import asyncio
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.tracking.models import registry
from pipeline.tracking.models.flavor import CheckedInputs

pytestmark = [
    # MLflow warns about its own type hints while it is imported; Keras's variables predate numpy 2.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]
BYTES = {"kind": "image", "shape": [3, 3, 1], "dtype": "uint8", "lowest": 0.0, "highest": 255.0}
NUMBERS = {"kind": "features", "shape": [4], "dtype": "float32", "lowest": -9.0, "highest": 9.0}
TOKENS = {"kind": "tokens", "num_words": 20}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Returns what saves a small model as a study's is registered, and loads it with pyfunc."""
    keras = pytest.importorskip("keras")
    from mlflow import pyfunc
    from mlflow.models import Model

    keras.utils.set_random_seed(0)
    softmax = keras.layers.Dense(3, activation="softmax")
    kinds = {
        "image": (BYTES, [keras.Input((3, 3, 1)), keras.layers.Rescaling(1 / 255)], np.uint8),
        "features": (NUMBERS, [keras.Input((4,))], np.float32),
        "tokens": (
            TOKENS,
            [
                keras.Input((None,), dtype="int32"),
                keras.layers.CategoryEncoding(20, output_mode="multi_hot"),
            ],
            np.int32,
        ),
    }
    made = {}

    def load(kind, tensor=True):
        if (kind, tensor) not in made:
            taken, layers, dtype = kinds[kind]
            model = keras.Sequential(
                [*layers, keras.layers.Flatten(), softmax.from_config(softmax.get_config())]
            )
            example = np.ones((2, *taken.get("shape", [5])), dtype)
            path = tmp_path_factory.mktemp(kind) / "model"
            flavor, _ = registry._keras_flavor()
            CheckedInputs(flavor, (), (), taken if tensor else None).save_model(
                str(path),
                Model(),
                model=model,
                signature=registry._signature(model, example),
                pip_requirements=registry.requirements(),
            )
            made[kind, tensor] = SimpleNamespace(model=model, served=pyfunc.load_model(str(path)))
        return made[kind, tensor]

    return load


def over_http(served, body):
    """Returns the status and JSON of ``mlflow models serve``, of its app, without its server."""
    from mlflow.pyfunc import scoring_server

    sent = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    answers = []

    async def receive():
        return sent.pop() if sent else await asyncio.sleep(60)

    async def send(message):
        answers.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "path": "/invocations", "raw_path": b"/invocations", "query_string": b"", "scheme": "http",
        "headers": [(b"content-type", b"application/json")], "client": ("test", 1),
        "server": ("test", 1), "root_path": "",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        # The app leaves it behind.
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
        asyncio.run(scoring_server.init(served)(scope, receive, send))
    return answers[0]["status"], json.loads(b"".join(one.get("body", b"") for one in answers[1:]))


def test_images_of_any_type_of_number_give_the_same(saved):
    held = saved("image")
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 3, 1)).astype(np.uint8)
    expected = held.model.predict(images, verbose=0)
    for dtype in ("uint8", "int32", "int64", "float32", "float64"):
        found = held.served.predict(images.astype(dtype))
        np.testing.assert_allclose(found, expected, atol=1e-6)
    for name in ("inputs", "instances"):
        for values in (images.tolist(), images.astype(float).tolist(), images[..., 0].tolist()):
            status, answer = over_http(held.served, {name: values})
            assert status == 200, answer
            np.testing.assert_allclose(answer["predictions"], expected, atol=1e-6)


def test_images_of_another_scale_are_refused_with_the_reason(saved):
    """By a type in the signature MLflow makes zeros of values below 1."""
    held = saved("image")
    images = np.random.default_rng(0).random((5, 3, 3, 1))
    reason = "as if the images were scaled to 0 to 1 already, but the model was trained on images"
    with pytest.raises(ValueError, match=reason):
        held.served.predict(images)
    status, answer = over_http(held.served, {"inputs": images.tolist()})
    assert status == 400
    assert reason in json.dumps(answer)
    with pytest.raises(
        ValueError, match=r"shape \[5, 9\]; expected images \[n, 3, 3, 1\] of whole"
    ):
        held.served.predict(images.reshape(5, 9))


def test_token_ids_of_any_type_and_length_give_the_same(saved):
    held = saved("tokens")
    ids = np.array([[3, 4, 0, 0], [19, 1, 2, 7]], np.int32)
    expected = held.model.predict(ids, verbose=0)
    for dtype in ("int32", "int64", "uint8"):
        np.testing.assert_allclose(held.served.predict(ids.astype(dtype)), expected, atol=1e-6)
    for values in (ids.tolist(), [[4, 3], [19, 1, 2, 7]]):
        status, answer = over_http(held.served, {"inputs": values})
        assert status == 200, answer
        np.testing.assert_allclose(answer["predictions"], expected, atol=1e-6)
    reason = "example 1 holds 20, which is beyond the vocabulary"
    with pytest.raises(ValueError, match=reason):
        held.served.predict(np.array([[1], [20]]))
    status, answer = over_http(held.served, {"inputs": [[1], [20]]})
    assert status == 400
    assert reason in json.dumps(answer)


def test_features_of_arrays_and_frames_give_the_same(saved):
    held = saved("features")
    rows = np.random.default_rng(0).integers(-9, 9, (6, 4))
    expected = held.model.predict(rows.astype(np.float32), verbose=0)
    frame = pd.DataFrame(rows, columns=list("abcd"))
    for values in (
        rows,
        rows.astype("float32"),
        rows.astype("float64"),
        frame,
        frame.astype(float),
    ):
        np.testing.assert_allclose(held.served.predict(values), expected, atol=1e-6)
    split = json.loads(frame.to_json(orient="split", index=False))
    for body in ({"inputs": rows.tolist()}, {"dataframe_split": split}):
        status, answer = over_http(held.served, body)
        assert status == 200, answer
        np.testing.assert_allclose(answer["predictions"], expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"shape \[6, 5\]; expected features \[n, 4\]"):
        held.served.predict(frame.assign(more=1))


def test_models_of_earlier_versions_still_load(saved):
    """They have MLflow's own loader, and a signature of one type."""
    held = saved("image", tensor=False)
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 3, 1)).astype(np.uint8)
    assert held.served.metadata.signature.inputs.inputs[0].type == np.uint8
    expected = held.model.predict(images, verbose=0)
    np.testing.assert_allclose(held.served.predict(images), expected, atol=1e-6)
