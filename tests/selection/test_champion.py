"""When a new model may take the champion's place: the rule's margins, applied to two models."""

from dataclasses import replace

import pytest

from pipeline.selection.champion import Figures, compare

CHAMPION = Figures(ce=0.200, accuracy=0.930, gap_ce=0.080)


@pytest.mark.parametrize(
    ("changes", "takes", "why"),
    [
        ({}, True, "it is as good and overfits no more: "),
        ({"gap_ce": 0.079}, True, "it is as good and overfits no more: "),
        ({"gap_ce": 0.0804}, True, "it is as good and overfits no more: "),
        ({"gap_ce": 0.082}, False, "it is as good, but overfits more: "),
        # Within both margins a smaller gap decides, although the figures are a little worse.
        ({"ce": 0.209, "accuracy": 0.921, "gap_ce": 0.05}, True, "it is as good and overfits no"),
        ({"ce": 0.211, "gap_ce": 0.0}, False, "it is worse: "),
        ({"accuracy": 0.919, "gap_ce": 0.0}, False, "it is worse: "),
        # Better by more than a margin: the gap is no longer asked for.
        ({"ce": 0.150, "gap_ce": 0.2}, True, "it is better: "),
        ({"accuracy": 0.95, "gap_ce": 0.2}, True, "it is better: "),
        ({"ce": float("nan")}, False, "it is worse: "),
        # The toy study of one epoch.
        ({"ce": 1.2, "accuracy": 0.70, "gap_ce": -0.01}, False, "it is worse: "),
        # Below zero a gap is noise.
        ({"gap_ce": -0.3}, True, "it is as good and overfits no more: "),
    ],
)
def test_a_model_takes_the_champions_place_where_it_is_not_worse(changes, takes, why):
    found, words = compare(replace(CHAMPION, **changes), CHAMPION)
    assert (found, words[: len(why)]) == (takes, why)


def test_the_figures_are_told():
    new = replace(CHAMPION, accuracy=0.70, ce=1.25)
    assert compare(new, CHAMPION)[1] == (
        "it is worse: accuracy 0.7000 against 0.9300, cross-entropy 1.2500 against 0.2000, gap "
        "0.0800 against 0.0800 on the same test part"
    )
