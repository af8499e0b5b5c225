"""Whole studies, seeded and paired: does the sampler learn as well in rounds; which rule buys what?

``run`` searches a study per problem, mode and seed (``study_runs.py``) and keeps each in a file
with the test results of all its trials; a stopped run goes on where it stopped. ``confirm`` trains
their finalists (``study_finalists.py``), ``repeat`` those of a wide margin with more seeds and
keeps all that they predict (``study_seeds.py``). ``tables`` (``study_tables.py``) and ``pruners``
(``pruner_replay.py``) print what the files say.

Run: KERAS_BACKEND=jax python benchmarks/studies.py run --seeds 20 --modes rounds single
     python benchmarks/studies.py tables
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pickle
import time
from pathlib import Path

from problems import PROBLEMS
from pruner_replay import check, print_cohorts, print_pruners
from study_deliveries import Case, Rule, print_deliveries
from study_finalists import confirm_study, print_finalists
from study_runs import CACHE, MODES, Bench, Finished, run_study
from study_seeds import repeat_study
from study_tables import Key, print_tables


def run(options: argparse.Namespace) -> None:
    """Runs what is not there yet, seed by seed, so that a stopped run is balanced."""
    bench = Bench()
    options.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for problem, name in itertools.product(options.problems, options.modes):
            path = options.folder / f"{problem}-{name}-{seed}.pickle"
            if path.exists():
                continue
            found = run_study(bench, problem, seed, MODES[name], options.trials)
            keep(path, found)
            states = [trial.state for trial in found.record.trials]
            counts = json.dumps({state: states.count(state) for state in sorted(set(states))})
            print(f"{path.stem}: {found.seconds:.1f} s, {counts}", flush=True)


def repeat(options: argparse.Namespace) -> None:
    """Searches what is not there yet, seed by seed, and trains its finalists with more seeds."""
    bench = Bench()
    options.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for problem in options.problems:
            stem = options.folder / f"{problem}-{options.mode}-{seed}"
            searched, repeated = stem.with_suffix(".pickle"), stem.with_suffix(".seeds")
            if repeated.exists():
                continue
            start = time.perf_counter()
            if not searched.exists():
                keep(searched, run_study(bench, problem, seed, MODES[options.mode], None))
            study = pickle.loads(searched.read_bytes())
            found = repeat_study(bench, problem, seed, study, options.finalists)
            keep(repeated, found)
            trained = 0 if found is None else sum(map(len, found.measurements.values()))
            seconds = time.perf_counter() - start
            print(f"{stem.name}: {seconds:.1f} s, {trained} trainings repeated", flush=True)


def confirm(options: argparse.Namespace) -> None:
    """Trains finalists of finished studies where that is not done yet, and prints their table."""
    bench = Bench()
    studies = finished(options.folder)
    confirmations = {}
    for (problem, mode, seed), study in studies.items():
        if mode not in options.modes:
            continue
        path = options.folder / f"{problem}-{mode}-{seed}.finalists"
        if not path.exists():
            keep(path, confirm_study(bench, problem, seed, study))
        confirmations[problem, mode, seed] = pickle.loads(path.read_bytes())
    print_finalists(studies, confirmations)


def deliveries(options: argparse.Namespace) -> None:
    """Prints what rules and deliveries are worth, by what finalists predict."""
    wanted = range(options.first_seed, options.first_seed + options.seeds)
    cases = {}
    for (problem, mode, seed), study in finished(options.folder).items():
        path = options.folder / f"{problem}-{mode}-{seed}.seeds"
        if seed in wanted and path.exists():
            repeated = pickle.loads(path.read_bytes())
            if repeated is None:
                print(f"{path.stem}: no trial has skill, or a training failed; left out")
            else:
                cases[problem, mode, seed] = Case(study, repeated)
    if not cases:
        raise SystemExit(f"{options.folder} holds none of these seeds: studies.py repeat")
    for problem in dict.fromkeys(problem for problem, _, _ in cases):
        print(f"{problem}: n {sum(key[0] == problem for key in cases)}")
    rule = Rule(options.trained, options.finalists, tuple(options.margins))
    print_deliveries(cases, rule, all_rules=options.grid)


def keep(path: Path, found: object) -> None:
    """Writes a result, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(pickle.dumps(found))
    partial.rename(path)


def finished(folder: Path) -> dict[Key, Finished]:
    """Returns the studies of a folder; only files that ``run`` wrote may lie there."""
    studies: dict[Key, Finished] = {}
    for path in sorted(folder.glob("*.pickle")):
        problem, _, rest = path.stem.partition("-")
        mode, _, seed = rest.rpartition("-")
        studies[problem, mode, int(seed)] = pickle.loads(path.read_bytes())
    if not studies:
        raise SystemExit(f"{folder} holds no finished study; search some first: studies.py run")
    return studies


def tables(options: argparse.Namespace) -> None:
    """Prints what the finished studies say."""
    print_tables(finished(options.folder))


def pruners(options: argparse.Namespace) -> None:
    """Replays pruners on the studies that were searched without one."""
    studies = finished(options.folder)
    print(f"decisions of Optuna's own pruner that the replay makes differently: {check(studies)}")
    print_pruners(studies)
    print_cohorts(studies)


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, default=CACHE / "studies", help="of finished studies"
    )
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("run", help="run studies that are not in the folder yet")
    command.add_argument(
        "--problems", nargs="+", choices=PROBLEMS, default=["digits", "noisy", "fashion"]
    )
    command.add_argument("--modes", nargs="+", choices=MODES, default=["rounds", "single"])
    command.add_argument("--seeds", type=int, default=20, help="how many")
    command.add_argument("--first-seed", type=int, default=0)
    command.add_argument("--trials", type=int, help="per study; the space's 40 by default")
    command.set_defaults(act=run)
    command = commands.add_parser("confirm", help="train finalists of finished studies")
    command.add_argument("--modes", nargs="+", choices=MODES, default=["rounds"])
    command.set_defaults(act=confirm)
    command = commands.add_parser("repeat", help="run studies and train finalists with 5 seeds")
    command.add_argument("--problems", nargs="+", choices=PROBLEMS, default=[*PROBLEMS])
    command.add_argument("--seeds", type=int, default=30, help="how many")
    command.add_argument("--first-seed", type=int, default=0)
    command.add_argument("--mode", choices=MODES, default="rounds")
    command.add_argument("--finalists", type=int, default=9, help="of the wide margin")
    command.set_defaults(act=repeat)
    command = commands.add_parser("deliveries", help="print what rules and deliveries are worth")
    command.add_argument("--seeds", type=int, default=1_000, help="how many studies a problem")
    command.add_argument("--first-seed", type=int, default=0)
    command.add_argument("--trained", type=int, default=3, help="seeds per finalist")
    command.add_argument("--finalists", type=int, default=9)
    command.add_argument("--margins", type=float, nargs=3, default=(1.0, 0.05, 0.01))
    command.add_argument("--grid", action="store_true", help="all margins instead")
    command.set_defaults(act=deliveries)
    command = commands.add_parser("tables", help="print what the finished studies say")
    command.set_defaults(act=tables)
    command = commands.add_parser("pruners", help="replay pruners on rounds-unpruned studies")
    command.set_defaults(act=pruners)
    options = parser.parse_args()
    options.act(options)


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "jax")
    main()
