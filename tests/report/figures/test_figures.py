"""The pictures: files that open, captions with the numbers, and none of it by pyplot."""

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from full_reports import full_report, searched_study

from pipeline.formatting import decimal
from pipeline.report import figures
from pipeline.report.evidence.calibration import Calibration
from pipeline.report.figures import canvas
from pipeline.report.figures.errors import MAX_CLASSES, calibration_sentence
from pipeline.report.figures.hyperparameters import axis_positions
from pipeline.report.report import Report
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select

pytestmark = pytest.mark.slow


@pytest.fixture
def full(make_trial, make_study):
    return full_report(make_trial, make_study)


def on_the_page(report):
    return [figures.draw_figure(report, name) for name in figures.FIGURES]


def drawn(report, name):
    with canvas.style(name):
        return figures.FIGURES[name][1](report)


def test_every_picture_is_a_png_and_an_svg_with_a_text_alternative(full):
    files = figures.png_files(full)
    assert list(files) == [f"{name}.png" for name in figures.FIGURES]
    assert all(content.startswith(b"\x89PNG") for content in files.values())
    for picture in on_the_page(full):
        assert picture.svg.startswith('<svg role="img"')
        assert "currentColor" in picture.svg
        assert canvas.INK not in picture.svg
        assert re.search(r"\d", picture.caption), picture.caption
        assert all(
            i.startswith(f"{picture.name}-") for i in re.findall(r'\bid="(.*?)"', picture.svg)
        )


def test_the_same_report_gives_the_same_picture(full):
    for name in ("hyperparameters", "importance"):
        svgs = []
        for report in (full, replace(full)):
            figure, _ = drawn(report, name)
            with canvas.style(name):
                svgs.append(canvas.as_svg(figure, name, ""))
        assert svgs[0] == svgs[1]


def test_captions_carry_the_numbers(full):
    winner = full.trial(full.selection.winner).measurement
    caption = drawn(full, "tradeoff")[1]
    assert f"has cross-entropy {decimal(winner.val_ce)} and gap {decimal(winner.gap_ce)}" in caption
    assert "at its best epoch 4 of 6 cross-entropy" in drawn(full, "curves")[1]
    assert "Against trial 0, the baseline: " in drawn(full, "techniques")[1]
    assert "Expected calibration error 0." in drawn(full, "calibration")[1]
    assert "Macro-F1 0." in drawn(full, "class_errors")[1]
    assert re.search(r"falls from 0\.\d\d to -?\d\.\d\d \(", drawn(full, "importance")[1])


def test_finalists_stand_where_they_were_judged_at_the_mean_over_seeds(full):
    mean = {"val_ce": 0.3333, "gap_ce": 0.0777}
    finalists = tuple(
        replace(f, measurement=replace(f.measurement, **mean)) if f.number == number else f
        for f in full.confirmation.finalists
        for number in [full.selection.winner]
    )
    confirmation = replace(full.confirmation, finalists=finalists)
    selection = replace(full.selection, reference=full.selection.winner)
    figure, caption = drawn(
        replace(full, confirmation=confirmation, selection=selection), "tradeoff"
    )
    lines = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}
    number = selection.winner
    assert lines[f"winner: {number}"] == lines[f"best validation: {number}"] == [[0.3333, 0.0777]]
    assert lines["margin: 5% above the best"][0][0] == pytest.approx(1.05 * 0.3333)
    assert (
        f"the winner, trial {number}, has cross-entropy 0.3333 and gap 0.0777 (mean of 3 seeds)"
        in (caption)
    )


def test_confidence_within_chance_of_the_accuracy_is_not_called_overconfident():
    def told(confidence):
        return calibration_sentence(Calibration("test", 100, (), None, confidence, 0.9))

    assert "on the whole neither over- nor underconfident beyond chance" in told(0.94)
    assert "accuracy 0.9000 (95% 0.8256 to 0.9448), on the whole overconfident." in told(0.95)
    assert "on the whole underconfident." in told(0.8)


def test_of_many_classes_the_worst_are_shown(make_trial, make_study):
    report = full_report(make_trial, make_study, num_classes=100)
    figure, caption = drawn(report, "class_errors")
    assert len(figure.axes[0].get_yticks()) == MAX_CLASSES
    assert "Test part, 100 classes, the 20 worst shown." in caption


def test_where_nothing_can_be_drawn_the_caption_says_why(make_study):
    study = make_study()
    report = Report(study, select(study, RuleSettings()))
    for picture in on_the_page(report):
        assert picture.svg == ""
        assert picture.caption.endswith(".")
    assert figures.png_files(report) == {}


def test_a_large_study_keeps_its_marks_as_pixels(make_trial, make_study):
    study = searched_study(make_trial, make_study, num=canvas.MAX_VECTOR_POINTS + 100)
    figure, _ = drawn(Report(study, select(study, RuleSettings())), "hyperparameters")
    with canvas.style("hyperparameters"):
        svg = canvas.as_svg(figure, "hyperparameters", "")
    assert len(svg) < 400_000
    assert svg.count("<image") > 0


def test_off_has_a_place_of_its_own():
    places, off, _ = axis_positions([None, 1e-4, 1e-2], True)
    assert places[0] == off < 1e-4
    places, off, _ = axis_positions([None, 1.0, 4.0], False)
    assert places[0] == off > 4
    places, off, words = axis_positions([True, False], False)
    assert (off, words, np.rint(places).tolist()) == (None, ["off", "on"], [1, 0])


def test_drawing_does_not_touch_pyplot():
    script = "import sys; from pipeline.report import figures; from pipeline.report.figures import "
    script += "canvas; canvas.new_figure(1, 1); print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
