"""Explains terms where a page uses them first, for a reader who knows statistics and no more.

A further term is an entry of :data:`TERMS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from pipeline.report.content import Content, Figure, Numbers, Table, Text


@dataclass(frozen=True)
class Term:
    """A word that needs explaining.

    Attributes:
        words: A pattern of it, in all its forms.
        meaning: What stands in brackets behind its first use.
    """

    words: str
    meaning: str


TERMS = (
    Term(
        "[Cc]ross-entrop(y|ies)( \\(CE\\))?",
        "the mean of -ln p, p being the probability given to the right class",
    ),
    Term("nats", "units of the natural logarithm: 0.1 more is a p about 10% smaller"),
    Term("seeds?", "random numbers of a training, such as its first weights"),
    Term("[Ff]inalists?", "configurations that were trained again with other seeds"),
    Term("[Ee]ligible( set| trials?)?", "as good as the best, within the rule's margins"),
    Term("resamples", "drawn at random with repetition, as many as there are"),
)

UNEXPLAINED = ("headline", "answer", "warning", "commands")
"""Styles of texts that stay as short as they are; what an answer needs stands below its numbers."""


class Explained:
    """The contents of one page, in their order, with every term explained once."""

    def __init__(self) -> None:
        self._left = list(TERMS)

    def __call__(self, content: Content) -> Content:
        """Returns the next content; terms that appear here first are explained in it."""
        match content:
            case Text() if content.style not in UNEXPLAINED:
                return replace(content, lines=tuple(map(self._words, content.lines)))
            case Numbers():
                return replace(content, note=self._words(content.note))
            case Table():
                note = self._words(content.note)
                cells = (*content.headings, *(cell for row in content.rows for cell in row))
                return replace(content, note=" ".join([note, *self._below(cells)]).strip())
            case Figure():
                return replace(content, caption=self._words(content.caption))
        return content

    def _words(self, text: str) -> str:
        """Returns a text with the terms explained that appear here first."""
        for term in tuple(self._left):
            text, found = re.subn(_pattern(term), _explaining(term), text, count=1)
            if found:
                self._left.remove(term)
        return text

    def _below(self, cells: Iterable[str]) -> Iterator[str]:
        """Yields a sentence for each term that appears first in a table's cells."""
        text = "\n".join(cells)
        for term in tuple(self._left):
            if found := re.search(_pattern(term), text):
                self._left.remove(term)
                word = found[0]
                yield f"{word[0].upper()}{word[1:]}: {term.meaning}."


def _pattern(term: Term) -> str:
    # No option and no name: those stand behind a hyphen or between quotes.
    return rf"(?<![-\w'`]){term.words}(?![-\w'`])"


def _explaining(term: Term) -> Callable[[re.Match[str]], str]:
    return lambda found: f"{found[0]} ({term.meaning})"
