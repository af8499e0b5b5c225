"""Runs jobs in warm worker processes of this machine: spawned, opened once, many jobs each.

``pool`` hands jobs to workers and replaces those that die or grow; ``worker`` is the supervisor's
side of one process, ``serving`` what runs in it, ``folder`` where all of them leave their files.
"""

from pipeline.search.executors.processes.pool import ProcessesExecutor

EXECUTOR = ProcessesExecutor
