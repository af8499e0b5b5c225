"""What a study of many trials costs but for its training: search, the sampler's questions, report.

CPU time throughout, so that other work on the machine counts for little. Nobody trains:
``no_op_workers.py`` makes outcomes up. All else is the product's.

``search``: plan, sampler, a journal on disk, leaderboard, and MLflow's delivery to a SQLite store
in a temporary folder, to an address, or none of it. For every window of trials the table says what
one trial cost, in milliseconds of CPU time of this process:

- all: MLflow's sending thread included
- Optuna asks: the sampler and what it reads
- Optuna else: reporting epochs, the pruner, telling, the journal
- delivery: the sending thread (a server's own time is not in it)
- fake: making the outcomes up, which a real supervisor has not to do
- ours: the rest, the supervisor's own; it should be flat

``ask``: one question to each sampler after so many trials. ``report``: choosing and writing the
pages of a made study, and with ``--store`` reading the one that ``search --folder`` left.

Run: nice python benchmarks/scale.py search --trials 10000 --sampler random --workers 1 256
     nice python benchmarks/scale.py search --trials 1000 --tracking sqlite http://127.0.0.1:5000
     nice python benchmarks/scale.py ask --trials 100 1000 3000 10000
     nice python benchmarks/scale.py report --trials 1000 10000
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from no_op_workers import PARTS, Clock, NoLog, SilentView, SimulatedWorkers, outcome

from pipeline import tracking
from pipeline.records import StudyRecord, Trial, TrialRecord
from pipeline.search.cost import Estimate
from pipeline.search.options import SearchOptions, data_size, prepare
from pipeline.search.plan import plan_of
from pipeline.search.samplers import sampler_of
from pipeline.search.study import Study, open_study
from pipeline.search.supervisor import Supervisor
from pipeline.tracking.delivery.child_runs import ChildRuns

NUM_WINDOWS = 10
ASKS = 10
DRAIN_SECONDS = 3_600.0


def main() -> None:
    """Reads the options and prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True)
    search = commands.add_parser("search")
    search.set_defaults(run=run_search)
    search.add_argument("--trials", type=int, default=2_000)
    search.add_argument("--workers", type=int, nargs="+", default=[1])
    search.add_argument("--tracking", nargs="+", default=["off"], help="off, sqlite, an address")
    search.add_argument("--sampler", default="tpe")
    search.add_argument("--cohort-size", type=int)
    search.add_argument("--folder", type=Path, help="where the study stays")
    search.add_argument("--profile", type=int, default=0, metavar="LINES", help="of cProfile")
    ask = commands.add_parser("ask")
    ask.set_defaults(run=run_ask)
    ask.add_argument("--trials", type=int, nargs="+", default=[100, 1_000, 3_000])
    ask.add_argument("--samplers", nargs="+", default=["tpe", "random", "qmc"])
    report = commands.add_parser("report")
    report.set_defaults(run=run_report)
    report.add_argument("--trials", type=int, nargs="+", default=[1_000, 3_000])
    report.add_argument("--store", help="MLflow's address of the study that a search left")
    arguments = parser.parse_args()
    arguments.run(arguments)


def run_search(arguments: argparse.Namespace) -> None:
    """Searches once for each way of tracking and number of workers."""
    for way in arguments.tracking:
        for workers in arguments.workers:
            options = SearchOptions(
                trials=arguments.trials,
                sampler=arguments.sampler,
                cohort_size=arguments.cohort_size,
                workers=workers,
                executor="processes" if workers > 1 else "inline",
            )
            clock, profile = Clock(), cProfile.Profile()
            kept = arguments.folder and nullcontext(str(arguments.folder))
            with kept or tempfile.TemporaryDirectory() as folder:
                # MLflow puts files of a database that is none of its own below the working folder.
                os.chdir(folder)
                show_head(f"{options.sampler}, {workers} worker(s), MLflow's delivery: {way}")
                if arguments.profile:
                    profile.enable()
                searched(Path(folder), options, clock, way)
                profile.disable()
            if arguments.profile:
                pstats.Stats(profile).sort_stats("cumulative").print_stats(arguments.profile)


def searched(folder: Path, options: SearchOptions, clock: Clock, way: str) -> StudyRecord:
    """Searches a study of no-ops; the clock has a mark per window when it ends."""
    prepared = prepare(options)
    study = open_study(str(folder / "studies.journal"), "no-op", prepared.space, {}, options.seed)
    timing = {"ask": "Optuna asks", "report": "Optuna else", "tell": "Optuna else"}
    for name, what in timing.items():
        setattr(study, name, clock.timed(what, getattr(study, name)))
    study.resume(references=True)
    marking(study, clock, max(int(options.trials or 0) // NUM_WINDOWS, 1))
    plan = plan_of(options, prepared, None)
    chance, split = prepared.dataset.chance, prepared.dataset.split_id
    with (
        study_run(folder, "no-op", clock, way) as run,
        SimulatedWorkers(clock, options.workers) as executor,
    ):
        if way != "off":
            run.log_dataset(split, chance)
        empty = StudyRecord("no-op", "digits", split, "none", chance, {}, ())
        estimate = Estimate(data_size(prepared.dataset), plan.space.epochs)
        view: Any = SilentView()
        clock.begin()  # what opening takes is not asked here
        return Supervisor(plan, study, executor, run, view, empty, estimate).run()


@contextmanager
def study_run(folder: Path, name: str, clock: Clock, way: str) -> Iterator[Any]:
    """Yields MLflow's side of the study: delivered in the background, or nothing at all."""
    if way == "off":
        yield NoLog()
        return
    deliver = clock.timed("delivery", ChildRuns.deliver)
    ChildRuns.deliver = deliver  # type: ignore[method-assign]
    address = f"sqlite:///{folder / 'mlflow.db'}" if way == "sqlite" else way
    store = tracking.connect(address)
    run = store.open_study(f"{name} {time.time():.0f}", "digits", {"name": name}, {})
    with run.in_background(folder / "outbox", print):
        begun = time.monotonic()
        yield run
        left, ended = len(list((folder / "outbox").glob("*"))), time.monotonic()
        run.drain(DRAIN_SECONDS)
        print(
            f"searched in {ended - begun:.0f} s of wall time, then {left} trials were delivered in "
            f"{time.monotonic() - ended:.0f} s; {1e3 * clock.spent['delivery']:.0f} ms of the "
            "sending thread's CPU in all"
        )
    run.study_finished()


def marking(study: Study, clock: Clock, window: int) -> None:
    """Has the clock marked, and the window shown, whenever its last trial was told."""
    tell = study.tell

    def told(*arguments: Any) -> None:
        tell(*arguments)
        if study.num_ended % window == 0:
            clock.mark()
            show_window(clock, window)

    study.tell = told  # type: ignore[method-assign]


def show_head(title: str) -> None:
    """Prints what is measured, and the table's head."""
    print(f"\n{title}\n\n| trials | all | {' | '.join(PARTS)} | ours |")
    print("|---" * (len(PARTS) + 3) + "|", flush=True)


def show_window(clock: Clock, window: int) -> None:
    """Prints the row of the last window: milliseconds of CPU time a trial."""
    before, after = clock.marks[-2:]
    took = {name: 1_000 * (after[name] - before[name]) / window for name in after}
    ours = took["all"] - sum(took[name] for name in PARTS)
    figures = " | ".join(f"{value:.1f}" for value in (*took.values(), ours))
    end = (len(clock.marks) - 1) * window
    print(f"| {end - window} to {end} | {figures} |", flush=True)


def run_ask(arguments: argparse.Namespace) -> None:
    """Prints what a question costs each sampler after so many trials, which were drawn at random.

    The median of ten questions, the trials asked about closed before the next sampler's turn.
    """
    print(f"| trials | {' | '.join(arguments.samplers)} |")
    print("|---" * (1 + len(arguments.samplers)) + "|")
    prepared = prepare(SearchOptions(sampler="random"))
    with tempfile.TemporaryDirectory() as folder:
        storage = str(Path(folder) / "studies.journal")
        study = open_study(storage, "asked", replace(prepared.space, references=()), {}, 0)
        for trials in sorted(arguments.trials):
            while study.num_ended < trials:
                answer(study, study.ask())
            costs = [cost_of_asking(storage, study, name) for name in arguments.samplers]
            print(f"| {trials} | {' | '.join(f'{cost:.1f}' for cost in costs)} |", flush=True)


def answer(study: Study, suggestion: Any) -> None:
    """Tells what came of a trial."""
    made = outcome(Trial(suggestion.number, suggestion.config, suggestion.seed), 6)
    for epoch, value in enumerate(made.curves["val_ce"], start=1):
        study.report(made.number, epoch, value)
    study.tell(made, {})


def cost_of_asking(storage: str, study: Study, sampler: str) -> float:
    """Returns milliseconds of CPU time of one question."""
    space = replace(prepare(SearchOptions(sampler=sampler)).space, references=())
    asking = open_study(storage, "asked", space, {}, 1)
    asking._study.sampler = sampler_of(sampler, 1)
    asking._may_wait = False
    asked, took = [], []
    for _ in range(ASKS):
        begun = time.process_time()
        asked.append(asking.ask())
        took.append(1_000 * (time.process_time() - begun))
    for suggestion in asked:
        answer(asking, suggestion)
        study.num_ended += 1
    return sorted(took)[ASKS // 2]


def run_report(arguments: argparse.Namespace) -> None:
    """Prints CPU seconds and the peak of memory of what a report does on a study."""
    from pipeline.report.render import render
    from pipeline.report.render.files import pages_of
    from pipeline.report.report import Report
    from pipeline.selection.records import RuleSettings
    from pipeline.selection.select import select

    print("| trials | read | select | JSON | HTML | all pages | MiB at most |")
    print("|---|---|---|---|---|---|---|")
    for trials in arguments.trials:
        times: list[float] = []
        if arguments.store:
            store = tracking.connect(arguments.store)
            study = timed(times, store.read_study)
        else:
            times.append(float("nan"))
            study = made_study(trials)
        settings = RuleSettings(seeds=1)
        selection = timed(times, lambda study=study, settings=settings: select(study, settings))
        report = Report(study, selection)
        timed(times, lambda report=report: render(report, "json"))
        timed(times, lambda report=report: render(report, "html"))
        timed(times, lambda report=report: pages_of(report))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10
        figures = " | ".join(f"{seconds:.2f}" for seconds in times)
        print(f"| {len(study.trials)} | {figures} | {peak} |", flush=True)


def timed(times: list[float], function: Callable[[], Any]) -> Any:
    """Returns what a function returns; its CPU seconds are appended."""
    begun = time.process_time()
    found = function()
    times.append(time.process_time() - begun)
    return found


def made_study(trials: int) -> StudyRecord:
    """Returns a study whose configurations were drawn at random and whose outcomes are made up."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from made_studies import build_study

    prepared = prepare(SearchOptions(sampler="random", trials=trials))
    with tempfile.TemporaryDirectory() as folder:
        study = open_study(str(Path(folder) / "s.journal"), "made", prepared.space, {}, 0)
        study.resume(references=True)
        records = [record_of(study.ask()) for _ in range(trials)]
    made: StudyRecord = build_study(*records, chance=prepared.dataset.chance)
    return replace(made, definition=dict(prepared.definition))


def record_of(suggestion: Any) -> TrialRecord:
    """Returns the record of a trial that ended."""
    made = outcome(Trial(suggestion.number, suggestion.config, suggestion.seed), 30)
    return TrialRecord(
        number=made.number,
        state="COMPLETE",
        config=suggestion.config,
        split_id="split-a",
        name=suggestion.name,
        measurement=made.measurement,
        validation=made.validation,
        curves=made.curves,
        seconds=made.seconds,
        mlflow_run_id=f"run{made.number}",
    )


if __name__ == "__main__":
    main()
