"""Devices and precision: what is not there is said, and what is chosen is named."""

import keras
import numpy as np
import pytest

from pipeline.errors import DeviceError
from pipeline.training import backend


@pytest.fixture(autouse=True)
def same_policy():
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture
def no_gpu():
    """Skips where the machine has a GPU."""
    if backend.prepare("auto", "float32", None) != "cpu":
        pytest.skip("this machine has a GPU")


def test_asking_for_a_gpu_where_there_is_none_says_what_to_do(no_gpu):
    with pytest.raises(DeviceError) as caught:
        backend.prepare("gpu", "float32", None)
    name = {"tensorflow": "TensorFlow", "jax": "JAX"}[keras.backend.backend()]
    assert str(caught.value) == (
        f"--device gpu: {name} sees no GPU on this machine; use --device auto or cpu, or install "
        "the extra 'gpu' (pip install 'least-overfit[gpu]') and check the driver with nvidia-smi"
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_a_gpu_the_device_is_the_cpu(no_gpu, device):
    assert backend.prepare(device, "float32", None) == "cpu"


def test_threads_that_come_too_late_are_no_error():
    assert float(keras.ops.sum(keras.ops.ones(3))) == 3.0  # the backend runs
    assert backend.prepare("cpu", "float32", 1) == "cpu"


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_precision_becomes_keras_policy(precision):
    backend.prepare("cpu", precision, None)
    assert keras.config.dtype_policy().name == precision


def test_the_environment_of_the_user_is_respected(monkeypatch):
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    backend.prepare("cpu", "float32", None)
    assert backend.os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"
    assert backend.os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def test_inference_is_the_model_in_inference_mode_with_its_current_weights():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(keras.layers.Dense(2)(inputs)))
    call = backend.inference(model)
    examples = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    for factor in (1.0, 2.0):
        kernel = np.full((3, 2), factor, dtype=np.float32)
        model.layers[1].kernel.assign(kernel)
        np.testing.assert_allclose(call(examples), examples @ kernel, rtol=1e-5)
    assert call(examples[:2]).shape == (2, 2)


def pretend_gpu(monkeypatch, folder, answer):
    """A GPU of TensorFlow's whose driver's tool answers so."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{answer}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(backend, "on_gpu", lambda: True)
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")


@pytest.mark.parametrize(
    ("answer", "free"),
    [
        ("echo 1024", 2.0**30),
        ("echo 1024; echo 2048", 2.0**30),
        ("echo '[N/A]'", None),
        ("true", None),
        ("exit 9", None),
    ],
)
def test_a_gpus_free_memory_is_what_its_driver_says(monkeypatch, tmp_path, answer, free):
    pretend_gpu(monkeypatch, tmp_path, answer)
    assert backend.free_bytes() == free


def test_without_a_gpu_or_its_tool_no_free_memory_is_known(no_gpu, monkeypatch, tmp_path):
    assert backend.free_bytes() is None
    monkeypatch.setattr(backend, "on_gpu", lambda: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert backend.free_bytes() is None
