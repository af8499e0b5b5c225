"""Terms are explained where a page uses them first, once, in every format for people."""

import re

import pytest

from pipeline.report.content import EVERY_FORMAT, Column, Figure, Table, Text, tabulate
from pipeline.report.render import render
from pipeline.report.sections.order import page_of
from pipeline.report.sections.terms import TERMS, UNEXPLAINED, Explained


def prose(content):
    """What a reader reads of a content, but for its title."""
    match content:
        case Text():
            return " ".join(content.lines)
        case Table():
            return " ".join([*content.headings, *sum(content.rows, ()), content.note])
        case Figure():
            return content.caption
    return content.note


@pytest.mark.parametrize("page", EVERY_FORMAT)
@pytest.mark.parametrize("report", ["with_finalists", "every_state"])
def test_a_term_is_explained_where_it_is_used_first_and_only_there(report, page, request):
    report, left = request.getfixturevalue(report), list(TERMS)
    for part, content in page_of(report, page):
        # The answer's terms are explained below its numbers.
        if not part.explained or (isinstance(content, Text) and content.style in UNEXPLAINED):
            continue
        words = prose(content)
        for term in TERMS:
            if term in left and re.search(rf"(?<![-'\w]){term.words}(?![-'\w])", words):
                left.remove(term)
                assert words.count(term.meaning) == 1, term
            elif term not in left:
                assert term.meaning not in words, term
    assert len(left) <= (0 if report.confirmation else 1)


@pytest.mark.parametrize("page", EVERY_FORMAT)
def test_the_gap_and_the_ensemble_are_explained_in_the_head(with_finalists, page):
    text = " ".join(re.sub(r"<[^>]*>", " ", render(with_finalists, page)).split())
    assert text.count("Gap, the generalization gap: test minus training cross-entropy (the ") == 1
    assert text.count("The mean of 3 seeds is an ensemble: one model") == 1


def test_programs_read_no_explanations(with_finalists):
    page = render(with_finalists, "json")
    assert not [term for term in TERMS if term.meaning in page]


def test_options_and_names_are_no_uses():
    explained = Explained()
    for line in ("--seeds 2 or `seeds`", "column 'seeds'", "re-seeds"):
        assert explained(Text((line,))).lines == (line,)
    assert explained(Text(("Two seeds. More seeds.",))).lines == (
        "Two seeds (random numbers of a training, such as its first weights). More seeds.",
    )
    assert explained(Text(("Seeds and seeds.",))).lines == ("Seeds and seeds.",)


def test_a_term_in_a_cell_is_explained_below_the_table():
    table = tabulate("Trials", [Column("why not", lambda cell: cell)], ["eligible, but worse"])
    explained = Explained()
    assert explained(table).note == "Eligible: as good as the best, within the rule's margins."
    assert explained(table) == table
