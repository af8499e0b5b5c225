"""How entries reach MLflow: at once, or in the background from an outbox on disk.

In: :class:`Entry`s. Out: calls of ``deliver``. :class:`Direct` calls it where the entry is
written. :class:`Background` has a thread for it: training goes on while MLflow is written, slow or
away. What must not be lost is on disk before :meth:`Background.put` returns, and is removed from
there once delivered. While the store does not answer, the first entry is tried again, later and
later, and nothing overtakes it: a run's entries are delivered in order, each once (``entries``).
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.errors import SpoolError, TrackingError
from pipeline.redaction import masked
from pipeline.tracking.client import is_lasting, requests_tried
from pipeline.tracking.delivery.message import Entry
from pipeline.tracking.delivery.outbox import Outbox

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until an entry is tried again; doubled each time."""
SWITCH_SECONDS = 0.0005
CLOSING_SECONDS = 5.0
TOLD_SECONDS = 3.0
ANSWER_SECONDS = 30
PATIENCE_SECONDS = 60.0
"""How long the end of a search waits for a store that does not answer."""
Say = Callable[[str], None]


@dataclass(eq=False)
class Parcel:
    """An entry on its way.

    Attributes:
        entry: What is delivered; None for one that is read from ``path``, to hold no memory.
        path: Its file in the outbox.
        number: The trial's.
        delivered: Whether the store has it, or nobody needs it any more.
    """

    entry: Entry | None
    path: Path | None
    number: int
    delivered: bool = False


class Channel(Protocol):
    """Where entries are put."""

    def put(self, entry: Entry, *, lasting: bool = False) -> Parcel:
        """Takes an entry; one that is lasting survives this process."""

    def drain(self, patience: float = PATIENCE_SECONDS) -> None:
        """Returns when everything was delivered."""

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Gives what was put a moment to be delivered."""

    @property
    def troubled(self) -> bool:
        """Whether the store does not answer now."""


class Direct:
    """Delivers at once, in the caller's thread; refusals reach who wrote."""

    troubled = False

    def __init__(self, deliver: Callable[[Entry], None]) -> None:
        self._deliver = deliver

    def put(self, entry: Entry, *, lasting: bool = False) -> Parcel:
        """Delivers an entry.

        Raises:
            TrackingError: It could not be delivered.
        """
        self._deliver(entry)
        return Parcel(entry, None, entry.number, delivered=True)

    def drain(self, patience: float = PATIENCE_SECONDS) -> None:
        """Returns at once: nothing waits."""

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Returns at once: what was put is delivered."""


class Background:
    """Delivers from a thread of its own; ends with :meth:`close`.

    Args:
        deliver: Takes an entry; raises TrackingError.
        outbox: Where lasting entries are kept until they are delivered.
        parent: The parent run they belong to.
        address: The store's, for messages; without credentials.
        say: Tells the user when the store stops answering and when it answers again.
    """

    def __init__(
        self,
        deliver: Callable[[Entry], None],
        outbox: Outbox,
        parent: str,
        address: str,
        say: Say,
    ) -> None:
        self._deliver, self._outbox, self._parent = deliver, outbox, parent
        self._address, self._say = address, say
        self._queue: deque[Parcel] = deque()
        self._changed = threading.Condition()
        self._trouble: TrackingError | None = None
        self._refused: TrackingError | None = None
        self._gave_up = self._closing = False
        self._taken, self._waited_at = 0, -1
        self._thread = threading.Thread(target=self._run, name="mlflow-sender", daemon=True)
        self._switch_interval = sys.getswitchinterval()
        # The caller gives Python's lock up at every write to a disk; with the default it would wait
        # five milliseconds each time to get it back from this thread.
        sys.setswitchinterval(SWITCH_SECONDS)
        self._thread.start()

    @property
    def troubled(self) -> bool:
        """Whether the store does not answer now."""
        return self._trouble is not None

    def put(self, entry: Entry, *, lasting: bool = False) -> Parcel:
        """Queues an entry; a run's beginning goes before what was queued for other runs.

        Raises:
            SpoolError: It cannot be kept on disk.
            TrackingError: The store refused an earlier one for good. What is to last is kept even
                so.
        """
        if self._refused is not None and not lasting:
            raise self._refused
        path = self._outbox.put(entry, self._parent) if lasting else None
        parcel = Parcel(None if lasting else entry, path, entry.number)
        begins = entry.head is not None and not lasting
        with self._changed:
            if begins and not any(waiting.number == entry.number for waiting in self._queue):
                place = next((i for i, p in enumerate(self._queue) if p.path is not None), None)
                self._queue.insert(len(self._queue) if place is None else place, parcel)
            else:
                self._queue.append(parcel)
            self._changed.notify_all()
        return parcel

    def drain(self, patience: float = PATIENCE_SECONDS) -> None:
        """Returns when everything was delivered.

        Raises:
            TrackingError: The store took nothing for so many seconds, or refused for good. What was
                to last is in the outbox.
        """
        told = False
        with self._changed:
            last_progress = time.monotonic()
            left = len(self._queue)
            while self._queue and self._refused is None:
                if len(self._queue) != left:
                    left, last_progress = len(self._queue), time.monotonic()
                silent = time.monotonic() - last_progress
                if not told and not self._gave_up and (self._trouble or silent > TOLD_SECONDS):
                    self._say("waiting for MLflow")
                    told = True
                if silent > patience or (self._trouble is not None and self._gave_up):
                    self._gave_up = True
                    hangs = TrackingError(f"MLflow at {self._address} gives no answer")
                    raise self._undelivered(self._trouble or hangs)
                self._changed.wait(0.5)
            if self._refused is not None:
                raise self._refused

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Waits until something is so, but not twice for a store from which nothing came since."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not ready() and not self.troubled and self._taken != self._waited_at:
                left = deadline - time.monotonic()
                if left <= 0:
                    self._waited_at = self._taken
                    return
                self._changed.wait(left)

    def close(self) -> None:
        """Ends the thread; removes an empty outbox.

        An entry that a slow store is still taking is delivered again by the next search.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSING_SECONDS)
        sys.setswitchinterval(self._switch_interval)
        self._outbox.close()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            with self._changed:
                while not self._queue and not self._closing:
                    self._changed.wait()
                if self._closing:
                    return
                parcel = self._queue[0]
            try:
                # This thread tries again by itself, and looks first what a lost request has done.
                with requests_tried(again=0, timeout_seconds=ANSWER_SECONDS):
                    self._hand_over(parcel)
            except Exception as unsorted:
                error = self._as_refusal(unsorted)
                if is_lasting(error):
                    self._stop(error)
                    return
                self._pause(error, pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            self._delivered(parcel)

    def _hand_over(self, parcel: Parcel) -> None:
        """Delivers a parcel, unless what came later says all that it says."""
        if parcel.delivered:
            return
        entry = parcel.entry
        if entry is None and parcel.path is not None:
            entry, _ = self._outbox.read(parcel.path)
        if entry is not None:
            self._deliver(entry)
        if parcel.path is not None:
            self._forget(parcel.path)

    def _as_refusal(self, error: Exception) -> TrackingError:
        """Returns the error; what an artifact store's own library raised, as one that may pass."""
        if isinstance(error, TrackingError):
            return error
        reason = masked(f"{type(error).__name__}: {error}")[:500]
        refusal = TrackingError(f"MLflow at {self._address} could not take a result: {reason}")
        refusal.__cause__ = error
        return refusal

    def _forget(self, path: Path) -> None:
        try:
            self._outbox.remove(path)
        except SpoolError as error:
            # Delivered again by the next search, which changes nothing.
            self._say(str(error))

    def _delivered(self, parcel: Parcel) -> None:
        with self._changed:
            parcel.delivered = True
            self._taken += 1
            # What began meanwhile may have been put before it.
            self._queue.remove(parcel)
            recovered, self._trouble = self._trouble is not None, None
            self._gave_up = False
            self._changed.notify_all()
        if recovered:
            self._say(f"MLflow at {self._address} answers again: what waited is delivered")

    def _pause(self, error: TrackingError, seconds: float) -> None:
        with self._changed:
            first, self._trouble = self._trouble is None, error
            self._changed.notify_all()
        if first:
            self._say(
                f"{error}: training goes on, and what ends is kept in {self._outbox.folder} until "
                "MLflow takes it"
            )
        with self._changed:
            self._changed.wait_for(lambda: self._closing, seconds)

    def _stop(self, error: TrackingError) -> None:
        with self._changed:
            self._refused = self._undelivered(error)
            self._changed.notify_all()

    def _undelivered(self, error: TrackingError) -> TrackingError:
        return TrackingError(
            f"{error}; what it did not take is kept in {self._outbox.folder}. The same command "
            "delivers it and continues"
        )
