"""A mistake in the user's model file is told by file and line, in the trial that meets it."""

import pytest
from own_models import known
from training_samples import cohort_of, pictures, run

from pipeline.errors import InputError, OwnModelError
from pipeline.training.own import loading, registry
from pipeline.training.own.trainer import OwnTrainer

HEAD = """\
import keras
from keras import layers, ops


def build(config, input_shape, num_classes):
"""


def file(*lines):
    """Returns a model file whose function's first line is line 6."""
    return HEAD + "".join(f"    {line}\n" for line in lines)


def net(*middle, end="layers.Dense(num_classes)"):
    listed = ", ".join(["keras.Input(input_shape)", "layers.Flatten()", *middle, end])
    return f"return keras.Sequential([{listed}])"


MISTAKES = {
    "exception": (
        file("units = config.my_width", "raise ValueError('my reason')"),
        "my_model.py, line 7: ValueError: my reason",
    ),
    "Keras refuses": (
        file(net("layers.Dense(-3)")),
        "my_model.py, line 6: ValueError: Received an invalid value for `units`",
    ),
    "no such hyperparameter": (
        file("return config.my_widht"),
        "my_model.py, line 6: AttributeError: the search space has no my_widht (did you mean "
        "'my_width'?); it has batch_size, ",
    ),
    "no such key": (
        file("return config['my_widht']"),
        "my_model.py, line 6: KeyError: the search space has no my_widht (did you mean",
    ),
    "no model": (
        file("return 7"),
        "my_model.py, line 5, build: it returned a builtins.int; expected a keras.Model",
    ),
    "nothing": (file("pass"), "line 5, build: it returned None; expected a keras.Model"),
    "compiled": (
        file(net().replace("return", "model ="), "model.compile(loss='mse')", "return model"),
        "line 5, build: it returned a compiled model; leave compile() out",
    ),
    "wrong number of classes": (
        file(net(end="layers.Dense(7)")),
        "line 5, build: the model's outputs have the shape (batch, 7); expected (batch, 3), a "
        "number for each class",
    ),
    "a picture for each example": (
        file("return keras.Sequential([keras.Input(input_shape), layers.Conv2D(3, 3)])"),
        "the model's outputs have the shape (batch, 10, 10, 3); expected (batch, 3)",
    ),
    "two outputs": (
        file("i = keras.Input(input_shape)", "f = layers.Flatten()(i)",
             "return keras.Model(i, [layers.Dense(3)(f), layers.Dense(3)(f)])"),
        "the model has 2 outputs; expected one",
    ),
    "another input": (
        file("return keras.Sequential([keras.Input((4,)), layers.Dense(num_classes)])"),
        "my_model.py, line 5, build: ValueError: ",
    ),
    "NaN": (
        file("i = keras.Input(input_shape)", "f = layers.Flatten()(i)",
             "return keras.Model(i, layers.Dense(3)(f) * float('nan'))"),
        "line 5, build: the model's outputs on training examples are not finite (NaN or inf)",
    ),
    "sigmoid": (
        file(net(end="layers.Dense(num_classes, activation='sigmoid')")),
        "the last layer's activation is sigmoid, which gives neither logits nor probabilities",
    ),
    "softmax over the examples": (
        file("i = keras.Input(input_shape)", "f = layers.Dense(3)(layers.Flatten()(i))",
             "return keras.Model(i, layers.Softmax(axis=0)(f))"),
        "the softmax at the end is not over the classes: its rows do not sum to 1",
    ),
    "nothing to train": (
        file("i = keras.Input(input_shape)", "f = layers.Flatten()(i)",
             "return keras.Model(i, f[:, :num_classes])"),
        "the model has no weights to train",
    ),
    "a lambda": (
        file(net("layers.Lambda(lambda x: 2 * x)")),
        "the model has a Lambda, which is not Keras's own: what is delivered loads without your",
    ),
    "a layer of their own": (
        file(net("Mine()")) + "\n\nclass Mine(layers.Layer):\n    def call(self, x):\n        "
        "return x\n",
        "the model has Mine, which is not Keras's own",
    ),
    "a model class of their own": (
        file("return Mine()") + "\n\nclass Mine(keras.Model):\n    def call(self, x):\n        "
        "return x\n",
        "Mine, which is not Keras's own",
    ),
    "it leaves": (
        "import sys\n" + file("sys.exit(3)"),
        "my_model.py, line 7: SystemExit: 3",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def trainer():
    return OwnTrainer(pictures())


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_by_file_and_line(name, tmp_path, trainer):
    text, message = MISTAKES[name]
    with known(tmp_path, text, my_width=4) as config, pytest.raises(OwnModelError) as caught:
        run(trainer, cohort_of(config, epochs=1))
    assert message in str(caught.value)
    assert str(caught.value).startswith("my_model.py, line ")


def test_the_same_model_twice_is_refused(tmp_path, trainer):
    text = file("global MODEL", "MODEL = globals().get('MODEL') or made(input_shape)",
                "return MODEL") + (
        "\n\ndef made(input_shape):\n    return keras.Sequential([keras.Input(input_shape), "
        "layers.Flatten(), layers.Dense(3)])\n"
    )  # fmt: skip
    with known(tmp_path, text) as config:
        (outcome,) = run(trainer, cohort_of(config, epochs=1)).outcomes
        assert outcome.state == "COMPLETE"
        with pytest.raises(OwnModelError, match=r"it returned the model of an earlier trial again"):
            run(trainer, cohort_of(config, epochs=1))


REFUSED = {
    "syntax": ("def build(:\n", "build", "my_model.py, line 1: SyntaxError: "),
    "import": ("\nimport no_such_library\n", "build",
               "my_model.py, line 2: ModuleNotFoundError: No module named 'no_such_library'"),
    "it leaves": ("raise SystemExit\n", "build", "my_model.py, line 1: SystemExit"),
    "no function": (file(net()), "biuld", "my_model.py has no function biuld; it has build"),
    "no callable": ("build = 7\n", "build", "my_model.py has no function build"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_run_is_refused(name, tmp_path):
    text, function, message = REFUSED[name]
    with known(tmp_path, text, function), pytest.raises(InputError) as caught:
        loading.function_of(f"my_model.py:{function}")
    assert f"--family {tmp_path / 'my_model.py'}:{function}: {message}" in str(caught.value)


def test_a_file_that_was_changed_is_not_run(tmp_path):
    with known(tmp_path, file(net())) as config:
        (tmp_path / "my_model.py").write_text("raise RuntimeError('it ran')")
        with pytest.raises(InputError, match=r"my_model\.py was changed since the study began"):
            loading.function_of(config.family)


def test_a_study_that_is_read_back_runs_no_code(tmp_path):
    with known(tmp_path, "raise RuntimeError('it ran')", my_width=4) as config:
        family = registry.known(config.family)
        definition = {registry.KEY: family.as_definition()}
    registry.register_from(definition)
    try:
        assert registry.taken_by(config.family) == {"my_width"}
        with pytest.raises(InputError, match=r"needs your model's code: give --family FILE\.py"):
            loading.function_of(config.family)
        for option, message in {
            None: "the report needs your model's code: give --family FILE.py:build, the file "
            "my_model.py of the search; it is only run where the option names it",
            f"{tmp_path / 'my_model.py'}:other": "the study trained my_model.py:build",
        }.items():
            with pytest.raises(InputError) as caught:
                registry.checked_for(definition, option, "the report")
            assert message in str(caught.value)
        (tmp_path / "my_model.py").write_text("pass")
        with pytest.raises(InputError, match=r"was changed since the study began"):
            registry.checked_for(definition, f"{tmp_path / 'my_model.py'}:build", "the report")
        with pytest.raises(InputError, match=r"the study did not train a model of your own"):
            registry.checked_for({}, f"{tmp_path / 'my_model.py'}:build", "the report")
    finally:
        registry.forget()


@pytest.mark.parametrize("option", ["mlp", "my_model.py", "my_model.py:", "my_model.py:a b", "x:y"])
def test_an_option_that_names_no_function_of_a_file_is_refused(option):
    with pytest.raises(InputError, match=r"expected FILE\.py:FUNCTION, such as my_model\.py:build"):
        registry.family_of(option)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no\.py cannot be read: No such file"):
        registry.family_of(f"{tmp_path / 'no.py'}:build")
