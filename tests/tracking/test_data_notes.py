"""Notes on the data come back from their file as they were; a damaged file is none."""

import pytest

from pipeline.records import DataNotes
from pipeline.tracking.data_notes import as_text, from_text


@pytest.mark.parametrize("notes", [DataNotes((), ()), DataNotes(("ä", "b"), (("rare", 'a "b"'),))])
def test_there_and_back(notes):
    assert from_text(as_text(notes).encode()) == notes


@pytest.mark.parametrize(
    "text", [None, b"", b"[]", b"{}", b"\xff", b'{"about": [], "findings": 3}']
)
def test_what_is_no_file_of_notes_is_none(text):
    assert from_text(text) is None
