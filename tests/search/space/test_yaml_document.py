"""Reading YAML: plain values and lines, a message for everything else, never another exception."""

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SearchSpaceError
from pipeline.search.space import yaml_document

FILE = Path("my.yaml")


def problems(content: bytes | str) -> str:
    """What is wrong with this content."""
    content = content.encode() if isinstance(content, str) else content
    with pytest.raises(SearchSpaceError) as caught:
        yaml_document.read(content, FILE).raise_problems()
    assert max(map(len, str(caught.value).splitlines())) < 700
    return str(caught.value)


def test_plain_values_keep_their_yaml_1_2_types_and_lines():
    text = "a: 1e-5\nb: [yes, null, 0x10, 007, 1.5, true]\nc:\n  d: text\n"
    document = yaml_document.read(text.encode(), FILE)
    assert document.values == {
        "a": 1e-5,
        "b": ["yes", None, 16, 7, 1.5, True],
        "c": {"d": "text"},
    }
    assert document.line(("b",)) == 2
    assert document.line(("c", "d")) == 4
    assert document.line(("c", "missing")) == 3
    assert document.problems == []


def test_a_byte_order_mark_and_windows_lines_are_fine():
    assert yaml_document.read(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", FILE).values == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "my.yaml:1: the file is empty; expected keys such as `family:`"),
        ("# only a comment\n", "my.yaml:1: the file is empty"),
        ("---\n", "my.yaml:1: the file is empty"),
        ("\n- a\n- b\n", "my.yaml:2: not a mapping; expected `key: value` lines"),
        ("just text", "my.yaml:1: not a mapping"),
        (b"a: 1\nb: \xff\n", "my.yaml:2: not UTF-8 text (byte 0xff); save the file as UTF-8"),
        (b"#" * 262_145, "my.yaml:1: the file is too large; expected at most 256 KiB, one search"),
        ("a: 1\nb: [1\nc: 2", "my.yaml:3: not valid YAML: expected ',' or ']'"),
        ("a: 1\nb: \x00\n", "my.yaml:2: not valid YAML: unacceptable character #x0000"),
        ("a: 1\n---\nb: 1\n", "my.yaml:2: not valid YAML: but found another document"),
        ("a: &x 1\nb: &x 2\n", "not valid YAML: "),
        ("[" * 2_000, "my.yaml:1: nested too deeply; a search space has at most four levels"),
        ("a: [" + "1," * 20_000 + "]", "my.yaml:1: more than 5,000 keys and values; a search"),
        ("\n" + "[" * 200_000, "my.yaml:2: nested too deeply"),
        ("a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}", "my.yaml:1: nested too deeply"),
        (b"\xff\xfea\x00:\x00", "my.yaml:1: not UTF-8 text (byte 0xff); save the file as UTF-8"),
        ("a: 1\nb: 2\na: 3\n", "my.yaml:3: a: given twice, first on line 1"),
        ("a:\n  b: 1\n  b: 1\n", "my.yaml:3: a.b: given twice, first on line 2"),
        ("1: 2\n", "my.yaml:1: the key '1' is not text; expected a name"),
        ("a:\n  ? [1]\n  : 2\n", "my.yaml:2: a: the key of a list or mapping is not text"),
        ("a: 1\n<<: {b: 2}\n", "my.yaml:2: the key '<<' is not text"),
        ("a: &x 1\nb: *x\n", "my.yaml:2: b: aliases (*name) are not supported; write the value"),
        ("a: &x [*x]\n", "my.yaml:1: a[0]: aliases (*name) are not supported"),
        ("a: !!python/object:os.system x\n", "a: the type !!python/object:os.system is not supp"),
        ("a: !!python/object/apply:os.system [x]\n", "my.yaml:1: a: the type !!python/object/ap"),
        ("a: !mine {b: 1}\n", "my.yaml:1: a: the type !mine is not supported; expected plain"),
        ("a: 2020-01-01\n", "my.yaml:1: a: the type !!timestamp is not supported"),
        ("a: !!int x\n", "my.yaml:1: a: 'x' cannot be read as an integer"),
        ("a: " + "9" * 5000, "cannot be read as an integer"),
        ("a: *" + "b" * 9000, "not valid YAML: found undefined alias 'b"),
        ('a: "\\ud800"\n', "my.yaml:1: a: '?' cannot be read as text"),
    ],
)
def test_what_a_search_space_cannot_hold_is_named_with_its_line(content, message):
    assert message in problems(content).replace("\\ud800", "?")


def test_an_alias_bomb_ends_at_its_first_alias():
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    message = problems("\n".join(layers))
    assert "my.yaml:2: a1[0]: aliases (*name) are not supported" in message
    assert message.splitlines()[-1] == "my.yaml: and 241 more problems"


@pytest.mark.parametrize("piece", ["[", "{", "- ", "? ", "1,", "k: 1\n", "\n", "x ", "  x\n\n"])
def test_the_largest_hostile_file_is_read_or_refused_in_seconds(piece):
    """A megabyte of brackets took 25 seconds before values and levels were bounded."""
    start = time.process_time()
    content = ("a: >\n" if piece[0] == " " else "") + piece * (262_000 // len(piece))
    with contextlib.suppress(SearchSpaceError):
        yaml_document.read(content.encode(), FILE)
    assert time.process_time() - start < 5


def test_hostile_keys_stay_on_one_printable_line():
    message = problems('a: 1\n"x\\ny": 1\n"\\u2028": 1\n')
    assert len(message.splitlines()) == 2
    assert message.replace("\n", "").isprintable()


WORDS = (
    "<< --- ... !!int !!python/name:x %YAML \\x \\ud800 1e5 .inf 0x 1_0 null true 2020-01-01 &a *a"
)
PIECES = st.sampled_from([*":-[]{},?!&*#|>'\"%@`~ab1 \n\t\r", "\n  ", "&a ", *WORDS.split()])


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.binary(), st.text().map(str.encode), st.lists(PIECES).map("".join)))
def test_whatever_the_bytes_only_a_search_space_error_comes_out(content):
    content = content if isinstance(content, bytes) else content.encode()
    try:
        yaml_document.read(content, FILE).raise_problems()
    except SearchSpaceError as error:
        assert str(error).startswith("my.yaml:")
