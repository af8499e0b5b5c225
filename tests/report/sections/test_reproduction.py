"""The commands that make a study and its page again."""

from dataclasses import replace

from full_reports import searched_study

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
