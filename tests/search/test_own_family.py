"""A search of a model of the user's own begins only where its file can be run."""

import pytest
from own_models import SPACE, TEMPLATE

from pipeline.errors import InputError, StudyChangedError
from pipeline.search.opening import plan_lines
from pipeline.search.options import SearchOptions, prepare, worker_spec
from pipeline.search.plan import cohort_sizing, usable_workers
from pipeline.search.study import open_study
from pipeline.training.own import registry


@pytest.fixture(autouse=True)
def _forgotten():
    yield
    registry.forget()


@pytest.fixture
def options(folder):
    def made(text, space=SPACE, **more):
        (folder / "my_model.py").write_text(text)
        if space:
            (folder / "my_model.yaml").write_text(space)
        return SearchOptions("digits", train_examples=300, family="my_model.py:build", **more)

    return made


def test_what_is_searched_is_prepared_with_the_file_and_what_a_few_tries_say(options, folder):
    text = TEMPLATE.replace("kernel_regularizer=keras.regularizers.L2(config.my_l2),", "")
    text = "print('it was run')\n" + text.replace("inputs =", "print('so was this')\n    inputs =")
    asked = options(text, workers=2, executor="processes", device="cpu")
    prepared = prepare(asked)
    assert prepared.space.path == folder / "my_model.yaml"
    told = "my_model.py:build did not read my_l2 for 4 configurations: what a trial has of it"
    assert prepared.notes[0].startswith(told)
    # Conv 3x3x1 and Dense of 4x4x12 values, 12 units each, then 10 classes.
    assert prepared.own.size.num_parameters == (9 + 1) * 12 + (192 + 1) * 12 + 13 * 10
    assert prepared.own.size.num_multiply_adds > 64 * 9 * 12
    definition = prepared.definition["own_model"]
    assert definition == {
        "file": "my_model.py",
        "function": "build",
        "sha256": prepared.own.sha256,
        "hyperparameters": {"my_rate": "float", "my_width": "int", "my_l2": "float"},
    }
    assert worker_spec(asked, prepared).own == prepared.own
    sizing = cohort_sizing(asked, prepared.space, prepared.dataset)
    assert (sizing.first, sizing.later, sizing.largest) == (2, 2, 1)
    assert usable_workers(asked, prepared)[0] in (1, 2)  # by the cores of the machine
    line = f"model: {folder / 'my_model.py'}:build, 2,566 parameters in the largest of a few tries"
    assert any(found.startswith(line) for found in plan_lines(asked, prepared))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_library", "my_model.py, line 1: ModuleNotFoundError: No module named"),
        ("import os\nos._exit(9)", "the process that runs the file ended (exit code 9)"),
        ("def make(): pass", "my_model.py has no function build; it has make"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused(options, text, message):
    with pytest.raises(InputError) as caught:
        prepare(options(text))
    assert message in str(caught.value)
    assert "--family " in str(caught.value)


def test_a_mistake_in_the_function_is_told_and_the_search_may_begin(options):
    prepared = prepare(
        options("\n\ndef build(config, input_shape, num_classes):\n    return 1 / 0\n")
    )
    assert prepared.notes == (
        "trials will fail with: my_model.py, line 4: ZeroDivisionError: division by zero",
    )


def test_options_that_do_not_go_together_are_refused(options, folder):
    with pytest.raises(InputError, match=r"--cohort-size 8: a model of your own is trained one by"):
        prepare(options("pass", cohort_size=8))
    (folder / "my_model.yaml").unlink()
    with pytest.raises(InputError, match=r"give its search space, --search-space FILE; without"):
        prepare(options("pass", space=None))
    with pytest.raises(InputError, match=r"'mlp' is a family of this package, but --family names"):
        prepare(options("pass", search_space="digits"))


def test_a_study_goes_on_with_the_same_file_only(folder):
    def opened(sha256, function="build"):
        own = {"file": "my_model.py", "function": function, "sha256": sha256, "hyperparameters": {}}
        from pipeline.search.space import space

        return open_study(None, "mine", space.load("digits"), {"own_model": own}, 0)

    opened("1" * 64)
    opened("1" * 64)
    with pytest.raises(StudyChangedError) as caught:
        opened("2" * 64)
    assert str(caught.value) == (
        "study 'mine': my_model.py was changed since the study began, and models of two versions "
        "are not comparable: restore the file (the study's run in MLflow has a copy), or give "
        "--study NAME to start another study"
    )
    with pytest.raises(StudyChangedError, match=r'own_model: function was "build", is "other"'):
        opened("1" * 64, "other")


def test_a_study_notices_a_changed_module_and_one_of_an_older_version_goes_on(folder):
    from pipeline.search.space import space

    def opened(study, *modules):
        own = {"file": "my_model.py", "function": "build", "sha256": "1" * 64}
        own |= {"hyperparameters": {}} | ({"modules": dict(modules)} if modules else {})
        notes = []
        open_study(None, study, space.load("digits"), {"own_model": own}, 0, notes.append)
        return notes

    assert opened("new", ("my_blocks.py", "a")) == opened("new", ("my_blocks.py", "a")) == []
    told = "study 'new': my_other.py was changed since the study began"
    with pytest.raises(StudyChangedError, match=told):
        opened("new", ("my_blocks.py", "a"), ("my_other.py", "b"))
    with pytest.raises(StudyChangedError, match=r"study 'new': my_blocks.py was changed since"):
        opened("new", ("my_blocks.py", "b"))
    opened("old")
    assert opened("old", ("my_blocks.py", "a")) == [
        "study 'old' was begun with a version that did not remember what its file imports from its "
        "folder: a change of my_blocks.py goes unnoticed"
    ]
