"""The ordinary model of a trial: predicts like its slice, counts alike, loads on its own."""

import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from training_samples import (
    SETTINGS,
    SMALL,
    SMALL_CNN,
    cohort_of,
    cross_entropies,
    digits,
    newswires,
    pictures,
    raw_inputs,
    run,
)

from pipeline.datasets.formats.tokens import token_rows
from pipeline.training import export

WORDS = replace(SMALL, optimizer="rmsprop", standardize=False)
NETS = {
    "mlp": (digits, SMALL),
    "mlp batch norm, raw pixels": (digits, replace(SMALL, batch_norm=True, standardize=False)),
    "cnn": (pictures, replace(SMALL_CNN, batch_size=16, learning_rate_decay=1e-6)),
    "cnn batch norm": (
        pictures,
        replace(SMALL_CNN, batch_size=16, pooling=True, batch_norm=True, placement="dense"),
    ),
    "words": (newswires, WORDS),
}


@pytest.fixture(scope="module", params=NETS)
def trained(request, trainer_for):
    """Returns a dataset, a trained config with every technique, its outcome and ordinary model."""
    load, base = NETS[request.param]
    config = replace(base, **SETTINGS["all"], dropout_rate=0.2)
    outcome = run(trainer_for(load()), cohort_of(base, config)).outcomes[1]
    return load(), config, outcome, export.restore(config, load(), outcome.weights)


def test_it_predicts_like_the_stacked_slice(trained):
    dataset, _, outcome, model = trained
    probabilities = model.predict(raw_inputs(dataset.validation), verbose=0)
    chosen = probabilities[np.arange(len(probabilities)), dataset.validation.labels]
    np.testing.assert_allclose(np.exp(-outcome.validation.nll), chosen, atol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), outcome.validation.predicted)
    np.testing.assert_allclose(probabilities.max(axis=1), outcome.validation.confidence, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)


def test_its_losses_are_the_recorded_penalty_and_its_parameters_the_recorded_number(trained):
    _, _, outcome, model = trained
    penalty = float(sum(model.losses))
    assert penalty == pytest.approx(outcome.measurement.penalty, rel=1e-5)
    assert penalty > 0.01
    counted = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert outcome.measurement.num_parameters == counted


def test_it_has_keras_own_layers_with_the_trials_numbers(trained):
    _, config, _, model = trained
    assert isinstance(model, keras.Sequential)
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
    regularized = [la for la in model.layers if getattr(la, "kernel_regularizer", None)]
    convolutions = config.depth if config.placement == "all" else 0
    hidden = config.depth if config.family == "mlp" else convolutions + 1
    assert len(regularized) == hidden
    for layer in regularized:
        assert float(layer.kernel_regularizer.l1) == pytest.approx(config.lambda_l1)
        assert float(layer.kernel_regularizer.l2) == pytest.approx(config.lambda_l2)
        assert layer.kernel_constraint.max_value == config.max_norm
        expected = 0 if isinstance(layer, keras.layers.Dense) else (0, 1, 2)
        assert layer.kernel_constraint.axis == expected
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert [layer.rate for layer in dropouts] == [config.dropout_rate] * hidden
    assert model.layers[-1].kernel_regularizer is None


def test_it_is_compiled_so_that_evaluate_works(trained):
    dataset, _, outcome, model = trained
    part = dataset.validation
    loss, accuracy = model.evaluate(raw_inputs(part), part.labels, verbose=0)
    measurement = outcome.measurement
    assert accuracy == pytest.approx(measurement.val_accuracy, abs=1e-6)
    assert loss == pytest.approx(measurement.val_ce + measurement.penalty, rel=1e-4)


def test_linear_output_gives_the_logits(trained):
    dataset, config, outcome, model = trained
    linear = export.restore(config, dataset, outcome.weights, output="linear")
    inputs = raw_inputs(dataset.validation)
    logits = linear.predict(inputs, verbose=0)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, model.predict(inputs, verbose=0), atol=1e-5)
    assert logits.min() < 0 or logits.max() > 1


LOADS_ALONE = """
import importlib.util, pathlib
import numpy as np
assert importlib.util.find_spec("pipeline") is None, "this package must not be importable here"
import keras
for path in pathlib.Path().glob("*.keras"):
    model = keras.saving.load_model(path)
    np.save(f"{path.stem}.out.npy", model.predict(np.load(f"{path.stem}.in.npy"), verbose=0))
"""


@pytest.mark.slow
def test_it_loads_without_this_package_and_predicts_the_same_on_raw_inputs(tmp_path):
    expected = {}
    for number, (load, base) in enumerate(NETS.values()):
        config = replace(base, **SETTINGS["all"], dropout_rate=0.2)
        model, inputs = export.build(config, load()), load().raw_example(20)
        model.save(tmp_path / f"{number}.keras")
        np.save(tmp_path / f"{number}.in.npy", inputs)
        expected[number] = model.predict(inputs, verbose=0)
    # -I: neither the working folder nor PYTHONPATH; -S: no editable install.
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    script = f"import sys; sys.path.append({packages!r})\n{LOADS_ALONE}"
    command = [sys.executable, "-I", "-S", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    for number, outputs in expected.items():
        loaded = np.load(tmp_path / f"{number}.out.npy")
        np.testing.assert_allclose(loaded, outputs, atol=1e-6)


def test_padding_of_token_ids_does_not_matter(trainer_for):
    dataset = newswires()
    outcome = run(trainer_for(dataset), cohort_of(WORDS, WORDS)).outcomes[0]
    model = export.restore(WORDS, dataset, outcome.weights)
    tokens = token_rows(dataset.validation.inputs)
    longer = np.pad(tokens, ((0, 0), (0, 5)))
    before = np.pad(tokens, ((0, 0), (3, 0)))
    expected = model.predict(tokens, verbose=0)
    for padded in (longer, before):
        np.testing.assert_allclose(model.predict(padded, verbose=0), expected, atol=1e-6)
    # A row that needs no padding predicts the same alone, where there is none.
    row = tokens[0][tokens[0] > 0][None]
    np.testing.assert_allclose(model.predict(row, verbose=0), expected[:1], atol=1e-6)
    assert cross_entropies(model, dataset.validation).mean() == pytest.approx(
        outcome.measurement.val_ce, abs=1e-5
    )


def test_weights_of_another_config_are_refused():
    model = export.build(SMALL, digits())
    weights = [np.zeros(variable.shape) for variable in model.trainable_variables]
    with pytest.raises(ValueError, match="2 arrays more than the model has"):
        export.restore(
            replace(SMALL, depth=1), digits(), [*weights[:2], *weights[4:], *weights[:2]]
        )
    with pytest.raises(ValueError, match="shape"):
        export.restore(replace(SMALL, width=17), digits(), weights)


def test_the_decay_of_the_learning_rate_is_kept():
    model = export.build(replace(SMALL, learning_rate_decay=0.5, learning_rate=0.1), digits())
    schedule = model.optimizer.get_config()["learning_rate"]["config"]
    assert schedule["initial_learning_rate"] == 0.1
    assert (schedule["decay_rate"], schedule["decay_steps"]) == (0.5, 1)
    assert schedule["staircase"] is False
