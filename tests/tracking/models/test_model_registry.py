import os
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from pipeline.errors import InputError
from pipeline.tracking.models import registry
from pipeline.tracking.models.load import fetched


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("digits", "digits-least-overfit"),
        ("fashion_mnist", "fashion_mnist-least-overfit"),
        ("data/my set.npz", "my-set.npz-least-overfit"),
        ("/data/cats:dogs/", "cats-dogs-least-overfit"),
    ],
)
def test_a_registered_name_is_the_datasets_without_what_mlflow_forbids(dataset, name):
    assert registry.model_name(dataset) == name


@pytest.mark.slow
def test_a_model_that_is_not_there_is_an_error(store_uri):
    address = "models:/digits-least-overfit@champion"
    with (
        pytest.raises(InputError, match=f"there is no model {address}"),
        fetched(address, store_uri),
    ):
        pass
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_registration_that_fails_leaves_mlflows_default_alone(tracking, open_study):
    run = open_study()
    broken = SimpleNamespace(predict_on_batch=lambda inputs: inputs[:, :1])
    with pytest.raises(AttributeError):
        tracking.register_model(run.run_id, broken, np.ones((2, 3), np.float32))
    assert not mlflow.is_tracking_uri_set()


def test_a_version_of_a_locked_choice_is_registered_once_wherever_it_was_cut_off(
    tracking, open_study, monkeypatch
):
    """Killed behind the new version, before its alias or the run's tag: it is that one."""
    run, logged = open_study("models", "digits"), []

    def log(client, run, *_):
        logged.append(run.info.run_id)
        entry = client.create_logged_model(
            run.info.experiment_id, name="model", source_run_id=run.info.run_id
        )
        return entry.model_id

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "_signature", lambda *_: None)
    monkeypatch.setattr(registry, "_log_model", log)
    for step in ("set_registered_model_alias", "set_tag"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(MlflowClient, step, killed)
            tracking.register_model(run.run_id, None, np.ones((2, 3)), locked="first choice")
    uri = tracking.register_model(run.run_id, None, np.ones((2, 3)), locked="first choice")
    assert (uri, len(logged)) == ("models:/digits-least-overfit/1", 1)
    assert tracking.tag(run.run_id, "model_uri") == uri
    assert len(tracking.search_model_versions("name = 'digits-least-overfit'")) == 1
    assert tracking.get_model_version_by_alias("digits-least-overfit", "champion").version == 1
    other = tracking.register_model(run.run_id, None, np.ones((2, 3)), locked="second choice")
    assert other == "models:/digits-least-overfit/2"


# MLflow warns about its own type hints while it is imported.
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_a_signature_has_the_inputs_dtype_and_the_models_shapes():
    """Token lists have any length, whatever that of the example."""
    model = SimpleNamespace(
        predict_on_batch=lambda inputs: np.ones((len(inputs), 3), np.float32),
        input_shape=(None, None),
        output_shape=(None, 3),
    )
    signature = registry._signature(model, np.ones((2, 7), np.int32))
    taken, given = signature.inputs.inputs[0], signature.outputs.inputs[0]
    assert (taken.shape, taken.type) == ((-1, -1), np.dtype(np.int32))
    assert (given.shape, given.type) == ((-1, 3), np.dtype(np.float32))


@pytest.mark.slow
# Keras hands TensorFlow variables to numpy in a way that numpy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_the_champion_predicts_what_the_model_does(tracking, open_study, monkeypatch):
    keras = pytest.importorskip("keras")
    run = open_study("models", "digits")
    run.study_finished()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    inputs = np.random.default_rng(0).random((5, 4)).astype(np.float32)
    uri = tracking.register_model(run.run_id, model, inputs)
    assert uri == "models:/digits-least-overfit/1"
    assert mlflow.active_run() is None
    assert not mlflow.is_tracking_uri_set()
    assert tracking.register_model(run.run_id, model, inputs) == "models:/digits-least-overfit/2"

    expected = model.predict_on_batch(inputs)
    with fetched("models:/digits-least-overfit@champion", tracking.tracking_uri) as files:
        champion = files.load()
    np.testing.assert_allclose(champion.predict_on_batch(inputs), expected, rtol=1e-6)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.tracking_uri)
    served = mlflow.pyfunc.load_model("models:/digits-least-overfit@champion")
    np.testing.assert_allclose(served.predict(inputs), expected, rtol=1e-6)
    assert served.metadata.signature.inputs.inputs[0].shape == (-1, 4)
    client = MlflowClient(tracking.tracking_uri)
    outputs = client.get_run(run.run_id).outputs.model_outputs
    logged = [client.get_logged_model(output.model_id) for output in outputs]
    assert {entry.experiment_id for entry in logged} == {
        client.get_run(run.run_id).info.experiment_id
    }
    assert [str(entry.status) for entry in logged] == ["READY", "READY"]
    # The first stays the champion until the second has been compared with it.
    version = client.get_model_version_by_alias("digits-least-overfit", "champion")
    assert (str(version.version), version.run_id) == ("1", run.run_id)
    assert client.get_run(run.run_id).info.status == "FINISHED"
    assert any(line.startswith("keras==") for line in registry.requirements())
