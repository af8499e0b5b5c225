"""The pictures: files that open, captions with the numbers, and none of it by pyplot."""

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from full_reports import full_report, searched_study
from matplotlib.text import Text

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


def watched(report):
    """The same, from a study whose early stopping looked at a part of validation."""
    definition = {**report.study.definition, "validation_per_epoch": 2_000}
    return replace(report, study=replace(report.study, definition=definition))


def both(picture):
    return picture.svg, picture.narrow_svg


def drawn(report, name, narrow=False):
    with canvas.style(name):
        return figures.FIGURES[name][1](report, narrow)


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


def test_every_picture_is_drawn_again_for_a_narrow_screen(full):
    for picture in on_the_page(full):
        widths = [int(re.search(r"min\(100%,(\d+)px\)", svg)[1]) for svg in both(picture)]
        assert widths[1] == 96 * canvas.NARROW < 352, "a phone of 390 pixels shows it whole"
        assert widths[0] > widths[1]
        assert f'id="{picture.name}-narrow-' in picture.narrow_svg


def test_nothing_of_a_narrow_picture_is_cut_off(full):
    for name in figures.FIGURES:
        with canvas.style(name):
            figure, _ = figures.FIGURES[name][1](full, True)
            figure.draw_without_rendering()
        box = figure.get_tightbbox()
        assert box.x0 >= -0.02, name
        assert box.x1 <= canvas.NARROW + 0.02, name


def test_every_trial_and_finalist_says_what_it_is_where_somebody_points_at_it(full):
    picture = figures.draw_figure(full, "tradeoff")
    for svg in both(picture):
        titles = re.findall(r"<circle [^>]*><title>(.*?)</title>", svg)
        assert len(titles) == len(full.study.trials) + len(full.confirmation.finalists)
        assert "trial 2: depth 2, dropout 0.3; cross-entropy 0.3050, gap 0.0500" in titles
        assert "trial 0, mean of 3 seeds; cross-entropy 0.3000, gap 0.2000" in titles


def test_the_text_of_a_mark_lies_over_it(full):
    svg = figures.draw_figure(full, "tradeoff").svg
    marks = re.findall(r'<use xlink:href="[^"]*" x="([\d.]+)" y="([\d.]+)"', svg)
    marks = np.array(marks, dtype=float)
    areas = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    for area in np.array(areas, dtype=float):
        assert np.hypot(*(marks - area).T).min() < 0.5


def test_names_cover_neither_each_other_nor_leave_the_axes(full):
    figure, _ = drawn(full, "tradeoff")
    (axes,) = figure.axes
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == [
        "winner (2)", "best score (1)", "no regularization (0)",
    ]  # fmt: skip
    room = axes.get_window_extent()
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:place])
        assert room.x0 <= box.x0
        assert box.x1 <= room.x1


def test_trials_far_off_do_not_squeeze_the_others(make_trial, make_study):
    study = make_study(make_trial(0), make_trial(1, val_ce=0.31), make_trial(2, val_ce=14.0))
    figure, caption = drawn(Report(study, select(study, RuleSettings())), "tradeoff")
    assert figure.axes[0].get_xlim()[1] < 1
    assert caption.startswith("2 measured trials, a dot each (1 far worse left out);")


def test_the_same_report_gives_the_same_picture(full):
    for name in ("hyperparameters", "importance"):
        svgs = []
        for report in (full, replace(full)):
            figure, _ = drawn(report, name)
            with canvas.style(name):
                svgs.append(canvas.as_svg(figure, name, ""))
        assert svgs[0] == svgs[1]


def test_captions_carry_the_numbers(full):
    caption = drawn(full, "tradeoff")[1]
    assert caption.startswith("26 measured trials, a dot each; 3 as good as the best. A cross is ")
    assert "winner, trial 2: 4 of 6" in drawn(full, "curves")[1]
    for name in ("curves", "overlay"):
        assert "of the validation examples" not in drawn(full, name)[1]
        assert "Validation curves are of 2,000 of the validation" in drawn(watched(full), name)[1]
    assert drawn(watched(full), "curves")[1].endswith("The dots are of all of them.")
    assert "Against trial 0; " in drawn(full, "techniques")[1]
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
    number = selection.winner
    figure, _ = drawn(replace(full, confirmation=confirmation, selection=selection), "tradeoff")
    (axes,) = figure.axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    (name,) = [text for text in axes.texts if text.get_text() == f"winner, best score ({number})"]
    assert name.xy == (0.3333, 0.0777)
    assert lines["5% above the best"][0][0] == pytest.approx(1.05 * 0.3333)


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
    assert "Test part, 100 classes, the 20 worst shown;" in caption


def test_where_nothing_can_be_drawn_the_caption_says_why(make_study):
    study = make_study()
    report = Report(study, select(study, RuleSettings()))
    for picture in on_the_page(report):
        assert both(picture) == ("", "")
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
