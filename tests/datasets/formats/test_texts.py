"""Text files: which encodings are read, and where lines end."""

import pytest

from pipeline.datasets.formats.texts import read_lines, read_text
from pipeline.errors import DatasetError

TEXT = "Ärger, naïve\nçirkin"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_are_told_by_their_bytes_are_read(tmp_path, encoding):
    path = tmp_path / "x.txt"
    path.write_bytes(TEXT.encode(encoding))
    assert read_text(path) == TEXT
    assert read_lines(path) == TEXT.split("\n")


def test_other_encodings_are_refused_with_the_byte(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(TEXT.encode("latin-1"))
    with pytest.raises(DatasetError, match=r"x.txt is no text in UTF-8 \(byte 0 is c4\); expected"):
        read_text(path)


def test_a_line_ends_at_a_line_feed_alone(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes("a\r\n\nb\u2028c\x0cd\x85e\n".encode())
    assert read_lines(path) == ["a", "", "b\u2028c\x0cd\x85e"]
    path.write_bytes(b"")
    assert read_lines(path) == []
