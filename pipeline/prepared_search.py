"""Prepares and runs a search: the one way of ``pipeline search``, ``pipeline run`` and Python.

In: values by the names of the arguments of ``api.search``. Out: a :class:`PreparedSearch`, which
says what would be done, or does it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.arguments import search_options
from pipeline.search.options import Prepared, SearchOptions, prepare

if TYPE_CHECKING:
    from pipeline.search.progress import View
    from pipeline.search.result import SearchResult
    from pipeline.search.run import Check


@dataclass(frozen=True)
class PreparedSearch:
    """A search that could start; nothing is written before :meth:`run`.

    Attributes:
        options: What was asked for.
        prepared: Its dataset, space and definition, checked.
    """

    options: SearchOptions
    prepared: Prepared

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> PreparedSearch:
        """Returns the search for these arguments of ``api.search``, by their names.

        Raises:
            InputError: An argument, the dataset or the search space cannot be used.
        """
        options = search_options(given)
        return cls(options, prepare(options))

    def run(self, view: View, check: Check | None = None) -> SearchResult:
        """Searches to the end, and returns how it ended.

        Args:
            view: What the user sees.
            check: What else has to hold before the first trial.

        Raises:
            StoppedError: It was interrupted once, and stopped in good order.
        """
        from pipeline.search.result import SearchResult
        from pipeline.search.run import run_search
        from pipeline.search.storage import DEFAULT_STORAGE
        from pipeline.tracking.address import tracking_address

        begun = time.monotonic()
        study = run_search(self.options, self.prepared, view, check)
        return SearchResult(
            study,
            self.prepared.space,
            time.monotonic() - begun,
            self.options.storage or DEFAULT_STORAGE,
            tracking_address(),
            self.next_command,
        )

    @property
    def next_command(self) -> list[str]:
        """The words of the command that reports on the study."""
        words, options = ["pipeline", "report", "--study", self.prepared.study], self.options
        named = None if options.data_dir is None else str(options.data_dir)
        if named is not None and named != os.environ.get("PIPELINE_DATA_DIR"):
            words += ["--data-dir", named]
        if options.family is not None:
            words += ["--family", options.family]
        return words + options.placement.words()
