"""A proposed search space loads, fits its data, follows their size, and has every technique."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.datasets import summarize
from pipeline.errors import InputError
from pipeline.search import proposal
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.proposal import propose, size_for
from pipeline.search.space import space
from pipeline.training.techniques import TECHNIQUES, used

RNG = np.random.default_rng(0)
SHAPES = [(3,), (8, 8, 1), (5, 6), (32, 32, 3), (70, 90, 1)]


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def save(shape, num=60):
        np.savez("mine.npz", x=RNG.integers(0, 9, (num, *shape)), y=np.arange(num) % 3)
        return SearchOptions("mine.npz")

    return save


def proposed(options, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(propose(options, "mine.yaml"))
    return space.load(str(file))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_proposal_is_valid_and_can_be_searched(saved, tmp_path, shape):
    options = saved(shape)
    found = proposed(options, tmp_path)
    prepared = prepare(replace(options, search_space=str(tmp_path / "mine.yaml")))
    assert prepared.space.trials == found.trials
    assert {entry.name for entry in found.references if not entry.in_space} <= set()


@pytest.mark.parametrize("shape", [(3,), (32, 32, 3)])
def test_every_usual_technique_is_a_reference_alone_and_two_are_one_together(
    saved, tmp_path, shape
):
    """So no row of the isolation view is empty."""
    found = [used(entry.config) for entry in proposed(saved(shape), tmp_path).references]
    for name, entry in TECHNIQUES.items():
        if entry.usual:
            assert {name} in found
    assert set() in found
    assert {"l2", "dropout"} in found


def test_width_depth_and_epochs_follow_the_size(saved, tmp_path):
    summary = summarize(saved((3,)).spec)
    sizes = [
        size_for(replace(summary, split_sizes={"train": number}), "mlp")
        for number in (100, 5_000, 50_000, 500_000)
    ]
    assert [size.width for size in sizes] == [32, 64, 128, 256]
    assert [size.epochs for size in sizes] == [100, 50, 30, 20]
    assert [size.depth for size in sizes] == [(1, 2), (1, 3), (1, 3), (1, 3)]
    assert [size.batch_size for size in sizes] == [32, 32, 128, 512]
    sides = [replace(summary, input_shape=(side, side, 3)) for side in (8, 32, 100, 500)]
    assert [size_for(one, "cnn").depth for one in sides] == [(1, 2), (1, 2), (3, 4), (5, 6)]


def test_a_dataset_with_a_space_of_its_own_begins_with_that(tmp_path):
    found = proposed(SearchOptions("digits"), tmp_path)
    assert (found.family, found.fixed["width"]) == ("mlp", 64)


def test_networks_that_do_not_fit_into_memory_are_made_narrower(saved, tmp_path, monkeypatch):
    options = saved((32, 32, 3))
    widths = []

    def check(options, chosen, dataset, memory):
        widths.append(chosen.fixed["width"])
        if chosen.fixed["width"] > 4:
            raise InputError("too large")

    monkeypatch.setattr(proposal, "check_trials_fit", check)
    assert proposed(options, tmp_path).fixed["width"] == 4
    assert widths == [16, 8, 4]

    def refuse(*arguments):
        raise InputError("too large")

    monkeypatch.setattr(proposal, "check_trials_fit", refuse)
    with pytest.raises(InputError, match="too large"):
        propose(options, "mine.yaml")


def test_the_command_writes_a_file_that_check_and_search_take(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{i},{i * i % 7},{i // 5},{'ab'[i % 2]}\n" for i in range(80))
    (tmp_path / "my data.csv").write_text(f"x,z,nest,label\n{rows}")
    command = ["space", "init", "--dataset", "my data.csv", "--group", "nest", "--ignore", "id"]
    done = CliRunner().invoke(main, [*command, "--output", "my.yaml"])
    assert (done.exit_code, done.stdout) == (0, "")
    head = (tmp_path / "my.yaml").read_text().splitlines()[2]
    assert head == (
        "# Run: pipeline search --dataset 'my data.csv' --group nest --ignore id --search-space"
        " my.yaml"
    )
    checked = CliRunner().invoke(main, ["space", "check", "my.yaml"])
    assert "my.yaml: valid; 40 trials of at most 100 epochs; references: baseline, l1" in (
        checked.stdout
    )
    again = CliRunner().invoke(main, [*command, "--output", "my.yaml"])
    assert again.exit_code == 2
    assert "my.yaml is there already: give another --output, or move it" in again.stderr
    shown = CliRunner().invoke(main, command)
    assert shown.stderr == (
        "Next: pipeline space init --dataset 'my data.csv' --group nest --ignore id --output "
        "my_space.yaml\n"
    )
    assert shown.stdout == (tmp_path / "my.yaml").read_text().replace("my.yaml", "FILE")


def test_data_that_cannot_be_used_are_refused(tmp_path):
    done = CliRunner().invoke(main, ["space", "init", "--dataset", str(tmp_path / "gone.csv")])
    assert done.exit_code == 2
    assert "There is no file" in done.stderr


@pytest.mark.data
def test_multi_hot_data_have_a_proposal():
    options = SearchOptions("reuters", data_dir=Path(os.environ["PIPELINE_DATA_DIR"]))
    text = propose(options, "r.yaml")
    assert "standardize: false" in text
    assert "input_noise" not in text
