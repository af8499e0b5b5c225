"""Writes the files of a report: every page and picture by its name, for MLflow and for a folder.

A :class:`Report` in, files out; what stands in them is made beside this file and by ``figures``.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pipeline.errors import InputError
from pipeline.report.render import render
from pipeline.report.render.kept import PAGES
from pipeline.report.report import Report

LONGEST_NAME = 75
"""Characters of a study's name in a file's: file systems take 255 bytes, up to three for each."""


def pages_of(report: Report) -> dict[str, str | bytes]:
    """Returns the pages of a report and its pictures, by file name."""
    # It imports matplotlib, which a report that only prints does without.
    from pipeline.report import figures

    pages: dict[str, str | bytes] = {name: render(report, page) for page, name in PAGES.items()}
    return pages | figures.png_files(report)


def write_files(report: Report, folder: Path) -> None:
    """Writes every page and picture of a report into a folder, made if missing.

    Raises:
        InputError: The folder cannot be written.
    """
    files = {"report.txt": render(report, "text")} | pages_of(report)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            (folder / name).write_bytes(data)
    except OSError as error:
        raise InputError(
            f"--output {folder}: cannot be written ({error.strerror}); give another folder"
        ) from error


def write_html(report: Report, folder: Path | None = None) -> Path:
    """Returns where the page was written that a browser shows: ``report-STUDY.html`` in a folder.

    Raises:
        InputError: The folder cannot be written.
    """
    path = (folder or Path()) / f"report-{file_stem(report.study.study)}.html"
    try:
        path.write_text(render(report, "html"), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); give a folder with --output"
        ) from error
    return path


def file_stem(study: str) -> str:
    """Returns a study's name as part of a file's: another one for every study.

    What a file's name cannot hold becomes ``-``; then, or where it is cut, a hash tells apart what
    looks alike.
    """
    name = re.sub(r"[^\w.-]+", "-", study).strip("-")[:LONGEST_NAME] or "study"
    return name if name == study else f"{name}-{hashlib.sha256(study.encode()).hexdigest()[:8]}"
