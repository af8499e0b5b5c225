"""Runs jobs on the machines of a Ray cluster, or of one that it starts here; needs the extra `ray`.

``executor`` is the supervisor's side: it places an actor per worker, hands jobs out, and gives
those of a lost machine to another. ``actor`` is what runs there: the supervisor of one worker
process, which is the same as that of ``processes``. ``cluster`` connects to Ray and counts what the
cluster has; ``software`` compares what is installed. Ray is imported when an executor starts.
"""

from pipeline.search.executors.ray.executor import RayExecutor

EXECUTOR = RayExecutor
