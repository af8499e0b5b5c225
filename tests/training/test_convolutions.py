"""Per-trial convolutions: every form computes the same, and the device's fastest is taken."""

import keras
import numpy as np
import pytest
from training_samples import SMALL_CNN, as_array, cohort_of, pictures, run

from pipeline.training import backend, convolutions
from pipeline.training.cohort import CohortTrainer
from pipeline.training.convolutions import FORMS, fastest, grouped, split
from pipeline.training.layers import StackedConv

INPUTS, KERNELS = (3, 4, 6, 7, 2), (3, 3, 3, 2, 5)


@pytest.fixture(autouse=True)
def nothing_chosen():
    """The choice is kept for a process; each test makes its own."""
    fastest.cache_clear()
    yield
    fastest.cache_clear()


def gpu_where(monkeypatch, faster):
    """Pretends a GPU on which one form is faster; returns what was timed."""
    timed = []

    def seconds(form, shapes, dtype):
        timed.append((form, shapes, dtype))
        return 0.1 if form is faster else 0.2

    monkeypatch.setattr(backend, "on_gpu", lambda: True)
    monkeypatch.setattr(backend, "seconds_per_call", seconds)
    return timed


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_keras_convolution_per_trial(form):
    rng = np.random.default_rng(0)
    inputs, kernels = (rng.normal(size=s).astype(np.float32) for s in (INPUTS, KERNELS))
    outputs = as_array(form(*map(keras.ops.convert_to_tensor, (inputs, kernels))))
    for k in range(len(inputs)):
        ordinary = keras.layers.Conv2D(5, 3, use_bias=False)
        ordinary.build(inputs[k].shape)
        ordinary.kernel.assign(kernels[k])
        np.testing.assert_allclose(outputs[k], as_array(ordinary(inputs[k])), rtol=1e-5, atol=1e-5)


def test_on_a_cpu_trials_are_split_and_nothing_is_timed(monkeypatch):
    timed = gpu_where(monkeypatch, grouped)
    monkeypatch.setattr(backend, "on_gpu", lambda: False)
    assert fastest(INPUTS, KERNELS, "float32") is split
    assert not timed


@pytest.mark.parametrize("faster", FORMS)
def test_on_a_gpu_the_faster_form_is_taken_and_timed_once(monkeypatch, faster):
    timed = gpu_where(monkeypatch, faster)
    assert {fastest(INPUTS, KERNELS, "float32") for _ in range(3)} == {faster}
    assert timed == [(form, (INPUTS, KERNELS), "float32") for form in FORMS]


def test_a_layer_asks_for_its_own_shapes_and_computes_the_same_in_both_forms(monkeypatch):
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=INPUTS).astype(np.float32)
    weights = rng.normal(size=KERNELS).astype(np.float32)
    outputs = []
    for form in FORMS:
        fastest.cache_clear()
        timed = gpu_where(monkeypatch, form)
        layer = StackedConv(3, 5, examples=4)
        layer.build((3, None, *INPUTS[2:]))
        layer.kernel.assign(weights)
        outputs.append(as_array(layer(inputs)))
        assert layer.separate is form
        assert {shapes for _, shapes, _ in timed} == {(INPUTS, KERNELS)}
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_times_them_tells_fifty_convolutions_from_one(dtype):
    def long(inputs, kernels):
        return sum(split(inputs * step, kernels) for step in range(1, 51))

    shapes = ((2, 32, 16, 16, 8), (2, 3, 3, 8, 8))
    one, fifty = (backend.seconds_per_call(form, shapes, dtype) for form in (split, long))
    assert 0 < 3 * one < fifty


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_cohort_where_forms_are_timed_trains_as_one_where_they_are_not(monkeypatch, precision):
    monkeypatch.setattr(convolutions, "FORMS", (grouped,))
    kept = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        cohort = cohort_of(*[SMALL_CNN] * 3, epochs=1)
        plain = run(CohortTrainer(pictures()), cohort).outcomes
        monkeypatch.setattr(backend, "on_gpu", lambda: True)
        fastest.cache_clear()
        timed = run(CohortTrainer(pictures()), cohort).outcomes
    finally:
        keras.config.set_dtype_policy(kept)
    tolerance = 1e-4 if precision == "float32" else 2e-2
    assert fastest.cache_info().misses > 0
    for one, other in zip(plain, timed, strict=True):
        assert one.state == other.state == "COMPLETE"
        assert one.curves["val_ce"] == pytest.approx(other.curves["val_ce"], rel=tolerance)


def test_a_machine_without_a_gpu_is_known_as_such():
    if backend.prepare("auto", "float32", None) != "cpu":
        pytest.skip("this machine has a GPU")
    assert not backend.on_gpu()
    assert convolutions.fastest(INPUTS, KERNELS, "float32") is split
