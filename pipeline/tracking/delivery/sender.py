"""Sends messages to MLflow: at once, or in the background from an outbox on disk.

In: :class:`Message`s. Out: calls of ``deliver``. :class:`Direct` calls it where the message is
written. :class:`Background` has a thread for it: training goes on while MLflow is written, slow or
away. What must not be lost is on disk before :meth:`Background.put` returns, and is removed from
there once delivered. While the store does not answer, the first message is tried again, later and
later, and nothing overtakes it: a run's messages are delivered in order.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import SpoolError, TrackingError
from pipeline.tracking.client import as_tracking_error, is_permanent, request_limits
from pipeline.tracking.delivery.message import PATIENCE_SECONDS, Message, Parcel
from pipeline.tracking.delivery.outbox import Outbox

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until a message is tried again; doubled each time."""
SWITCH_SECONDS = 0.0005
CLOSING_SECONDS = 5.0
"""How long the end waits for a message that is being sent."""
NOTICE_SECONDS = 3.0
"""After so long without progress the user reads that the end waits for MLflow."""
ANSWER_SECONDS = 30
"""How long a request may take."""
WAITED_SECONDS, WAITED_SHARE = 2.0, 0.01
"""What :meth:`Background.wait_until` may take in all: so many seconds and this share of the time
since the beginning. A slow store must not slow what trains."""
Say = Callable[[str], None]


class Direct:
    """Delivers at once, in the caller's thread; errors reach who wrote."""

    unreachable = False

    def __init__(self, deliver: Callable[[Message], None]) -> None:
        self._deliver = deliver

    def put(self, message: Message, *, durable: bool = False) -> Parcel:
        """Delivers a message.

        Raises:
            TrackingError: It could not be delivered.
        """
        self._deliver(message)
        return Parcel(message, None, message.number, delivered=True)

    def drain(self, patience: float = PATIENCE_SECONDS) -> None:
        """Returns at once: nothing waits."""

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Returns at once: what was put is delivered."""


class Background:
    """Delivers from a thread of its own; ends with :meth:`close`.

    Args:
        deliver: Takes a message; raises TrackingError.
        outbox: Where durable messages are kept until they are delivered.
        parent: The parent run they belong to.
        address: The store's, for messages; without credentials.
        say: Tells the user when the store stops answering and when it answers again.
    """

    def __init__(
        self,
        deliver: Callable[[Message], None],
        outbox: Outbox,
        parent: str,
        address: str,
        say: Say,
    ) -> None:
        self._deliver, self._outbox, self._parent = deliver, outbox, parent
        self._address, self._say = address, say
        self._queue: deque[Parcel] = deque()
        self._changed = threading.Condition()
        # Of the two, the first passes when the store answers again, the second never.
        self._outage: TrackingError | None = None
        self._refusal: TrackingError | None = None
        self._gave_up = self._closing = False
        self._num_delivered, self._waited_at = 0, -1
        self._begun, self._waited = time.monotonic(), 0.0
        self._thread = threading.Thread(target=self._run, name="mlflow-sender", daemon=True)
        self._switch_interval = sys.getswitchinterval()
        # The caller gives Python's lock up at every write to a disk; with the default it would wait
        # five milliseconds each time to get it back from this thread.
        sys.setswitchinterval(SWITCH_SECONDS)
        self._thread.start()

    @property
    def unreachable(self) -> bool:
        """Whether the store does not answer now."""
        return self._outage is not None

    def put(self, message: Message, *, durable: bool = False) -> Parcel:
        """Queues a message; a run's beginning goes before what was queued for other runs.

        Raises:
            SpoolError: It cannot be kept on disk.
            TrackingError: The store refused an earlier one for good. What is durable is kept even
                so.
        """
        if self._refusal is not None and not durable:
            raise self._refusal
        path = self._outbox.put(message, self._parent) if durable else None
        parcel = Parcel(None if durable else message, path, message.number)
        begins = message.new_run is not None and not durable
        with self._changed:
            if begins and not any(waiting.number == message.number for waiting in self._queue):
                place = next((i for i, p in enumerate(self._queue) if p.path is not None), None)
                self._queue.insert(len(self._queue) if place is None else place, parcel)
            else:
                self._queue.append(parcel)
            self._changed.notify_all()
        return parcel

    def drain(self, patience: float = PATIENCE_SECONDS) -> None:
        """Returns when everything was delivered.

        Raises:
            TrackingError: The store took nothing for so many seconds, or refused for good. What is
                durable is in the outbox.
        """
        announced = False
        with self._changed:
            last_progress = time.monotonic()
            left = len(self._queue)
            while self._queue and self._refusal is None:
                if len(self._queue) != left:
                    left, last_progress = len(self._queue), time.monotonic()
                silent = time.monotonic() - last_progress
                if (
                    not announced
                    and not self._gave_up
                    and (self._outage or silent > NOTICE_SECONDS)
                ):
                    self._say("waiting for MLflow")
                    announced = True
                if silent > patience or (self._outage is not None and self._gave_up):
                    self._gave_up = True
                    hangs = TrackingError(f"MLflow at {self._address} gives no answer")
                    raise self._undelivered(self._outage or hangs)
                self._changed.wait(0.5)
            if self._refusal is not None:
                raise self._refusal

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Waits until something is so, but not twice for a store from which nothing came since.

        All waits together take two seconds and a hundredth of the time at most.
        """
        begun = time.monotonic()
        allowed = WAITED_SECONDS + WAITED_SHARE * (begun - self._begun) - self._waited
        deadline = begun + min(seconds, allowed)
        with self._changed:
            while not ready() and not self.unreachable and self._num_delivered != self._waited_at:
                left = deadline - time.monotonic()
                if left <= 0:
                    self._waited_at = self._num_delivered
                    break
                self._changed.wait(left)
        self._waited += time.monotonic() - begun

    def close(self) -> None:
        """Ends the thread; removes an empty outbox.

        A message that a slow store is still taking is delivered again by the next search.
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
                with request_limits(retries=0, timeout_seconds=ANSWER_SECONDS):
                    asked = self._deliver_parcel(parcel)
            except Exception as unsorted:
                error = as_tracking_error(unsorted, self._address)
                if is_permanent(error):
                    self._stop(error)
                    return
                self._pause(error, pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            self._mark_delivered(parcel, asked)

    def _deliver_parcel(self, parcel: Parcel) -> bool:
        """Delivers a parcel, unless what came later says all that it says; returns whether."""
        if parcel.delivered:
            return False
        message = parcel.message
        if message is None and parcel.path is not None:
            message, _ = self._outbox.read(parcel.path)
        if message is not None:
            self._deliver(message)
        if parcel.path is not None:
            self._remove(parcel.path)
        return message is not None

    def _remove(self, path: Path) -> None:
        try:
            self._outbox.remove(path)
        except SpoolError as error:
            # Delivered again by the next search, which changes nothing.
            self._say(str(error))

    def _mark_delivered(self, parcel: Parcel, asked: bool) -> None:
        """Takes a parcel out of the queue.

        Args:
            parcel: The parcel.
            asked: Whether the store took it now; otherwise nothing is known of the store.
        """
        with self._changed:
            recovered = asked and self._outage is not None
            if asked:
                self._outage, self._gave_up = None, False
        if recovered:
            # Before anybody sees that it was delivered, who may end or say something else first.
            self._say(f"MLflow at {self._address} answers again: what waited is being delivered")
        with self._changed:
            parcel.delivered = True
            self._num_delivered += 1
            # What began meanwhile may have been put before it.
            self._queue.remove(parcel)
            self._changed.notify_all()

    def _pause(self, error: TrackingError, seconds: float) -> None:
        if self._outage is None:
            # Before anybody sees the outage, who may say that it waits.
            self._say(
                f"{error}: training goes on, and what ends is kept in {self._outbox.folder} until "
                "MLflow takes it"
            )
        with self._changed:
            self._outage = error
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closing, seconds)

    def _stop(self, error: TrackingError) -> None:
        with self._changed:
            self._refusal = self._undelivered(error)
            self._changed.notify_all()

    def _undelivered(self, error: TrackingError) -> TrackingError:
        return TrackingError(
            f"{error}; what it did not take is kept in {self._outbox.folder}. The same command "
            "delivers it and continues"
        )
