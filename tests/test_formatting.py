"""Numbers as text: one rounding for every page and message."""

import pytest

from pipeline.formatting import decimal, probability


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.1235"),
        (-0.00001, "0.0000"),
        (float("nan"), "-"),
        (None, "-"),
        (123456.7, "1.235e+05"),
    ],
)
def test_one_rounding(value, text):
    assert decimal(value) == text


def test_small_probabilities_do_not_become_zero():
    assert probability(0.000512) == "0.00051"
