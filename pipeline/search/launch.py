"""Starts a search: it alone has its study, its workers begin first, and signals end it in order.

In: what ``preparation`` made of the user's wishes. Out: the study with all its trials.
"""

from __future__ import annotations

from pipeline.records import StudyRecord
from pipeline.search import executors
from pipeline.search.interrupts import terminable
from pipeline.search.options import Prepared, SearchOptions, opener
from pipeline.search.progress import View
from pipeline.search.storage import DEFAULT_STORAGE
from pipeline.search.study_lock import alone
from pipeline.tracking.address import tracking_address


def launch(options: SearchOptions, prepared: Prepared, view: View) -> StudyRecord:
    """Runs the search to its end; running it again continues the study.

    Raises:
        InputError: Another search on this host runs the study.
        PipelineError: It cannot start, or cannot go on.
        StoppedError: It was interrupted once, and stopped in good order.
        KeyboardInterrupt: It was interrupted twice; what ended before is kept.
    """
    with (
        alone(prepared.study, (tracking_address(), options.storage or DEFAULT_STORAGE)),
        terminable(),
        executors.start(options.executor, opener(options, prepared), options.workers) as executor,
    ):
        # Workers import Keras and load the data while this process imports MLflow and Optuna.
        from pipeline.search.run import run_to_end

        return run_to_end(options, prepared, view, executor)
