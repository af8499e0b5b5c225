"""What waits for MLflow is on disk, whole and in order, until it is removed."""

import pytest

from pipeline.errors import SpoolError, TrackingError
from pipeline.tracking.delivery.message import Message
from pipeline.tracking.delivery.outbox import Outbox


def test_entries_wait_in_order_across_processes(tmp_path):
    folder = tmp_path / "journal.outbox" / "study"
    first = Outbox(folder)
    for number in (5, 3):
        first.put(Message(number, "finish"), "parent")
    again = Outbox(folder)
    again.put(Message(9, "finish"), "parent")
    assert [again.read(path)[0].number for path in again.waiting()] == [5, 3, 9]
    again.remove(again.waiting()[0])
    again.remove(folder / "gone.entry")
    assert [again.read(path)[0].number for path in again.waiting()] == [3, 9]


def test_an_empty_outbox_leaves_no_folder_and_a_full_one_stays(tmp_path):
    empty, full = (Outbox(tmp_path / "o" / name) for name in ("a", "b"))
    full.put(Message(0, "finish"), "parent")
    full.close()
    empty.close()
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["b"]
    full.remove(full.waiting()[0])
    full.close()
    assert not (tmp_path / "o").exists()


def test_what_was_not_written_to_its_end_is_not_there(tmp_path):
    (tmp_path / "0000000003.unfinished").write_bytes(b"PK")
    outbox = Outbox(tmp_path)
    assert outbox.waiting() == []
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_entry_is_named(tmp_path):
    outbox = Outbox(tmp_path)
    path = outbox.put(Message(0, "finish"), "parent")
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(TrackingError) as raised:
        outbox.read(path)
    assert str(raised.value).startswith(f"{path}, which waits for MLflow, cannot be read: it is ")
    assert str(raised.value).endswith("Restore it, or remove it to give up what it holds")


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError) as raised:
        Outbox(tmp_path / "file" / "study")
    assert str(raised.value) == (
        f"cannot keep what waits for MLflow in {tmp_path}/file/study (Not a directory): free "
        "space there, or make it writable; then the same command continues"
    )
    assert raised.value.exit_code == 1


def test_a_full_disk_names_the_trial(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    outbox = Outbox(tmp_path)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SpoolError, match=r"^cannot keep trial 4 in .* \(No space left on device\)"):
        outbox.put(Message(4, "finish trial 4"), "parent")
    assert outbox.waiting() == []
