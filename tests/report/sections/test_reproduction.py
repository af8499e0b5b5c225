"""The commands that make a study and its page again."""

import shlex
from dataclasses import replace

import click
from full_reports import searched_study

from pipeline.cli_options import SEARCH, data_options, with_options
from pipeline.records import DataOptions
from pipeline.report.report import Report
from pipeline.report.sections.reproduction import commands
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select


def test_commands_say_how_to_get_the_page_again(make_trial, make_study):
    study = replace(searched_study(make_trial, make_study), study="my study")
    asked = {**study.definition, "train_examples": 500, "precision": "float32"}
    report = Report(replace(study, definition=asked), select(study, RuleSettings(name="one_se")))
    assert commands(report).lines == (
        "pipeline search --dataset digits --search-space search_space.yaml --study 'my study' "
        "--seed 3 --epochs 6 --train-examples 500 --precision float32 --trials 26",
        "pipeline report --study 'my study' --rule one_se",
        f"pipeline reproduce run{report.selection.winner}",
    )


def test_the_command_names_how_the_data_are_read_and_split(make_trial, make_study):
    given = DataOptions(
        label="a b", drop=("c", 'd,"e'), group="patient", classes=True, image_size=(8, 9)
    )
    study = searched_study(make_trial, make_study, definition={"data": given.given()})
    words = shlex.split(commands(Report(study, select(study, RuleSettings()))).lines[0])[1:]
    found = {}

    @click.command()
    @with_options(SEARCH)
    def search(**options):
        found.update(options)

    search.main(words[1:], standalone_mode=False)
    assert data_options(found) == given
