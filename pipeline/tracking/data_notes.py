"""Keeps what was said about a study's data as a file of its parent run: notes to JSON, and back."""

from __future__ import annotations

import json

from pipeline.records import DataNotes

DATA_FILE = "data_findings.json"
"""File of a parent run: what was said about its data before training."""


def as_text(notes: DataNotes) -> str:
    """Returns the notes as JSON: ``about``, lines, and ``findings``, each a code and a message."""
    found = [{"code": code, "message": message} for code, message in notes.findings]
    return json.dumps({"about": list(notes.about), "findings": found}, indent=2)


def from_text(text: bytes | None) -> DataNotes | None:
    """Returns the notes of a file; None where there is none, or none that :func:`as_text` wrote."""
    if text is None:
        return None
    try:
        read = json.loads(text)
        found = ((str(entry["code"]), str(entry["message"])) for entry in read["findings"])
        return DataNotes(tuple(map(str, read["about"])), tuple(found))
    except (ValueError, KeyError, TypeError):  # somebody edited it: no reason to refuse a report
        return None
