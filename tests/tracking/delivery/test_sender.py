"""The sender delivers in order, each message once, while the store comes and goes."""

import threading
import time

import pytest
from mlflow.exceptions import MlflowException

from pipeline.errors import TrackingError
from pipeline.tracking.delivery import sender
from pipeline.tracking.delivery.message import Message, NewRun
from pipeline.tracking.delivery.outbox import Outbox
from pipeline.tracking.delivery.sender import Background

NEW_RUN = NewRun("trial", {}, {}, 1)


class Store:
    """Takes entries; it may be away, refuse, or be slow."""

    def __init__(self):
        self.taken, self.begun, self.tries = [], 0, 0
        self.error = None
        self.take = lambda message: self.taken.append((message.number, message.action))
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, message):
        self.begun += 1
        self.gate.wait(120)
        self.tries += 1
        if self.error is not None:
            raise TrackingError(f"MLflow could not {message.action}") from self.error
        self.take(message)


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setattr(sender, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(sender, "LONGEST_PAUSE", 0.05)
    store, lines = Store(), []
    outbox = Outbox(tmp_path / "outbox")
    channel = Background(store, outbox, "parent", "sqlite:///x", lines.append)
    yield channel, store, outbox, lines
    store.gate.set()
    channel.close()


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_entries_are_delivered_in_order_and_leave_the_disk(made):
    channel, store, outbox, lines = made
    store.gate.clear()
    parcels = [channel.put(Message(n, "finish", NEW_RUN), durable=True) for n in range(20)]
    assert len(outbox.waiting()) == 20
    assert not any(parcel.delivered for parcel in parcels)
    store.gate.set()
    channel.drain()
    assert store.taken == [(n, "finish") for n in range(20)]
    assert all(parcel.delivered for parcel in parcels)
    assert (outbox.waiting(), lines) == ([], [])


def test_a_beginning_goes_before_the_ends_of_others_but_not_of_its_own(made):
    channel, store, _, _ = made
    store.gate.clear()
    channel.put(Message(0, "finish", NEW_RUN), durable=True)
    until(lambda: store.begun == 1)
    channel.put(Message(1, "finish", NEW_RUN), durable=True)
    channel.put(Message(2, "start", NEW_RUN))
    channel.put(Message(1, "start", NEW_RUN))
    store.gate.set()
    channel.drain()
    own = [action for number, action in store.taken if number == 1]
    assert own == ["finish", "start"]
    assert store.taken.index((2, "start")) < store.taken.index((1, "finish"))


def test_a_store_that_is_away_is_told_once_and_gets_everything_later(made):
    channel, store, outbox, lines = made
    store.error = ConnectionError("refused")
    for number in range(3):
        channel.put(Message(number, f"finish trial {number}", NEW_RUN), durable=True)
    until(lambda: store.tries >= 3)
    assert channel.unreachable
    assert len(outbox.waiting()) == 3
    store.error = None
    channel.drain()
    assert [number for number, _ in store.taken] == [0, 1, 2]
    assert not channel.unreachable
    assert [lines[0], lines[-1]] == [
        f"MLflow could not finish trial 0: training goes on, and what ends is kept in "
        f"{outbox.folder} until MLflow takes it",
        "MLflow at sqlite:///x answers again: what waited is being delivered",
    ]


def test_the_user_reads_of_an_outage_and_of_its_end_before_anybody_acts_on_it(made, monkeypatch):
    channel, store, _, _ = made
    told = []
    monkeypatch.setattr(
        channel, "_say", lambda line: told.append((channel.unreachable, len(channel._queue)))
    )
    store.error = ConnectionError("refused")
    channel.put(Message(0, "finish trial 0", NEW_RUN), durable=True)
    until(lambda: channel.unreachable)
    store.error = None
    until(lambda: not channel._queue)
    assert told == [(False, 1), (False, 1)]


def test_what_needs_no_delivery_any_more_does_not_mean_that_the_store_answers(made):
    """Epochs wait; the message with the end of their trial says all that they say."""
    channel, store, _, lines = made
    store.error = ConnectionError("refused")
    epochs = [channel.put(Message(0, "log trial 0", NEW_RUN)) for _ in range(3)]
    until(lambda: channel.unreachable)
    channel.put(Message(0, "finish trial 0", NEW_RUN), durable=True)
    for parcel in epochs:
        parcel.delivered = True
    until(lambda: len(channel._queue) == 1)
    tries = store.tries
    until(lambda: store.tries >= tries + 2)
    assert channel.unreachable
    assert len(lines) == 1, lines
    store.error = None
    channel.drain()
    assert lines[1:] in (
        ["MLflow at sqlite:///x answers again: what waited is being delivered"],
        ["waiting for MLflow", "MLflow at sqlite:///x answers again: what waited is being "
         "delivered"],
    )  # fmt: skip


def test_the_end_waits_for_a_store_that_is_away_and_then_says_where_things_are(made):
    channel, store, outbox, lines = made
    store.error = ConnectionError("refused")
    channel.put(Message(0, "finish trial 0", NEW_RUN), durable=True)
    until(lambda: channel.unreachable)
    with pytest.raises(TrackingError) as raised:
        channel.drain(patience=0.1)
    assert str(raised.value) == (
        "MLflow could not finish trial 0; what it did not take is kept in "
        f"{outbox.folder}. The same command delivers it and continues"
    )
    assert lines[-1] == "waiting for MLflow"
    started = time.monotonic()
    with pytest.raises(TrackingError):
        channel.drain()
    assert time.monotonic() - started < 5, "it waits once only"


def test_a_refusal_for_good_stops_the_search_and_keeps_what_was_not_delivered(made):
    channel, store, outbox, _ = made
    store.error = MlflowException("gone", error_code=404)
    store.error.error_code = "RESOURCE_DOES_NOT_EXIST"
    channel.put(Message(0, "finish trial 0", NEW_RUN), durable=True)
    with pytest.raises(
        TrackingError, match=r"could not finish trial 0; what it did not take is kept"
    ):
        channel.drain()
    assert store.tries == 1
    assert len(outbox.waiting()) == 1


def test_what_nobody_needs_any_more_is_left_out(made):
    channel, store, _, _ = made
    store.gate.clear()
    channel.put(Message(0, "finish", NEW_RUN), durable=True)
    until(lambda: store.begun == 1)
    start = channel.put(Message(1, "start", NEW_RUN))
    start.delivered = True
    store.gate.set()
    channel.drain()
    assert store.taken == [(0, "finish")]


class Looks:
    """What never comes; counts how often it was looked for."""

    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1
        return False


def waits(channel, seconds):
    """Waits for what never comes; returns for how long, and whether it did not give up at once."""
    looks, started = Looks(), time.monotonic()
    channel.wait_until(looks, seconds)
    return time.monotonic() - started, looks.count > 1


def test_a_store_that_hangs_is_waited_for_once(made):
    channel, store, _, _ = made
    store.gate.clear()
    channel.put(Message(0, "start", NEW_RUN))
    first, waited = waits(channel, 0.3)
    assert waited
    assert first >= 0.3
    assert not waits(channel, 0.3)[1]
    store.gate.set()
    channel.drain()
    again, waited = waits(channel, 0.3)
    assert waited
    assert again >= 0.3


def test_a_slow_store_is_waited_for_no_longer_than_a_moment_in_all(made, monkeypatch):
    channel, store, _, _ = made
    monkeypatch.setattr(sender, "WAITED_SECONDS", 0.3)
    store.take = lambda message: time.sleep(0.05)
    # How long a wait was to be; a busy machine wakes nobody at once.
    planned, wait, here = [], channel._changed.wait, threading.current_thread()

    def counted(seconds=None):
        if threading.current_thread() is here:
            planned[-1] = max(planned[-1], seconds)
        return wait(seconds)

    monkeypatch.setattr(channel._changed, "wait", counted)
    begun, taken = time.monotonic(), []
    for number in range(10):
        channel.put(Message(number, "start", NEW_RUN))
        planned.append(0.0)
        taken.append(waits(channel, 0.2)[0])
        until(lambda: not channel._queue)
    share = sender.WAITED_SHARE * (time.monotonic() - begun + 1.0)
    assert sum(taken) > 0.25
    assert sum(planned) <= 0.3 + share


def test_nobody_waits_long_for_a_store_that_is_away(made, monkeypatch):
    channel, store, _, _ = made
    monkeypatch.setattr(sender, "WAITED_SECONDS", 120.0)
    store.error = ConnectionError("refused")
    channel.put(Message(0, "start", NEW_RUN))
    assert waits(channel, 120)[0] < 60
    assert channel.unreachable
    assert not waits(channel, 120)[1]


def test_a_store_that_hangs_ends_the_patience_too(made):
    channel, store, outbox, _ = made
    store.gate.clear()
    channel.put(Message(0, "finish trial 0", NEW_RUN), durable=True)
    with pytest.raises(TrackingError) as raised:
        channel.drain(patience=0.1)
    assert str(raised.value).startswith("MLflow at sqlite:///x gives no answer; what it did not ")
    assert len(outbox.waiting()) == 1


def test_an_error_of_another_library_is_tried_again(made):
    channel, store, _, lines = made

    class ClientError(Exception):
        """As an object store's library raises it."""

    def broken(message):
        if store.tries < 3:
            raise ClientError("https://me:secret@bucket is slow")
        store.taken.append(message.number)

    store.take = broken
    channel.put(Message(0, "finish trial 0", NEW_RUN), durable=True)
    channel.drain()
    assert store.taken == [0]
    assert "could not take a result: ClientError: https://***@bucket is slow" in lines[0]


def test_what_was_trained_is_kept_although_the_store_has_refused(made):
    channel, store, outbox, _ = made
    store.error = MlflowException("no")
    store.error.error_code = "PERMISSION_DENIED"
    channel.put(Message(0, "finish trial 0", NEW_RUN), durable=True)
    with pytest.raises(TrackingError):
        channel.drain()
    channel.put(Message(1, "finish trial 1", NEW_RUN), durable=True)
    assert len(outbox.waiting()) == 2
    with pytest.raises(TrackingError, match="could not finish trial 0"):
        channel.put(Message(2, "start trial 2", NEW_RUN))
