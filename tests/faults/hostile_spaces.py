"""Search space files that nobody should have written: a random source in, bytes out.

``damaged`` breaks the shipped files byte by byte and line by line; ``structured`` is hypothesis's:
files of the right shape with any values, so that the checks behind the parser are reached, too.
"""

from __future__ import annotations

import json
from random import Random

from hypothesis import strategies as st

from pipeline.search.space import space
from pipeline.training.techniques import hyperparameters

HYPERPARAMETERS = hyperparameters()

SHIPPED = [space.load(name).path.read_bytes() for name in space.names()]
PIECES = [
    *(b"", b"\n", b"\t", b"  ", b": ", b"- ", b"{", b"}", b"[", b"]", b"[]", b"{}", b"'", b'"'),
    *(b"#", b"|\n", b">\n", b"? ", b"&a ", b"*a", b"<<: *a", b"!!python/object:os.system x"),
    *(b"!!binary aGk=", b"!!int x", b"%YAML 1.1\n", b"---\n", b"...\n", b".nan", b".inf", b"-.inf"),
    *(b"1e400", b"-1", b"0", b"0x", b"9" * 400, b"1_0", b"null", b"~", b"yes", b"2020-01-01"),
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xc3\x28", b"\\ud800", b'"\\ud800"', "é\u2028".encode()),
    *(b"[" * 400, b"- " * 400, b"1, " * 2000, b"k: 1\n" * 400, b"{a: " * 50, b"x" * 5000),
]
KEYS = ["family", "trials", "epochs", "patience", "search", "fixed", "references",
        "reference_defaults", "low", "high", "log", "step", *HYPERPARAMETERS]  # fmt: skip


def damaged(random: Random) -> bytes:
    """Returns a shipped search space after a few random changes."""
    content = random.choice(SHIPPED)
    for _ in range(random.choice([1, 1, 2, 3, 8])):
        content = random.choice([_splice, _flip, _lines, _swap_words, _repeat])(content, random)
    return content


def _splice(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content) + 1)
    return content[:place] + random.choice(PIECES) + content[place + random.choice([0, 1, 9]) :]


def _flip(content: bytes, random: Random) -> bytes:
    place = random.randrange(max(len(content), 1))
    return content[:place] + random.randbytes(1) + content[place + 1 :]


def _lines(content: bytes, random: Random) -> bytes:
    lines = content.splitlines(keepends=True)
    random.shuffle(lines)
    return b"".join(lines[: random.randrange(len(lines) + 1)])


def _swap_words(content: bytes, random: Random) -> bytes:
    old, new = (random.choice(KEYS).encode() for _ in range(2))
    return content.replace(old, random.choice([new, old[::-1], b"", old + b"x"]))


def _repeat(content: bytes, random: Random) -> bytes:
    low = random.randrange(len(content) + 1)
    piece = content[low : low + random.choice([1, 30, 300])]
    return content[:low] + piece * random.choice([2, 2, 50, 2000]) + content[low:]


NUMBERS = st.one_of(
    st.integers(-2, 70), st.integers(), st.floats(), st.sampled_from([0, 1, 1e-3, 0.5, 10**30])
)
SCALARS = st.one_of(
    NUMBERS,
    NUMBERS,
    st.booleans(),
    st.none(),
    st.text(max_size=20),
    st.sampled_from(["none", "l1", "l2", "l1_l2", "adam", "relu", "dense", "mlp", "cnn", "on"]),
)
RANGES = st.fixed_dictionaries(
    {}, optional={"low": NUMBERS, "high": NUMBERS, "log": st.booleans(), "step": SCALARS}
)
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=6), RANGES, st.dictionaries(st.text(), RANGES)
)
NAMES = st.one_of(st.sampled_from(list(HYPERPARAMETERS)), st.text(max_size=12))
SECTIONS = st.one_of(st.dictionaries(NAMES, VALUES, max_size=6), VALUES)
COUNTS = st.one_of(st.integers(1, 40), SCALARS)
FILES = st.fixed_dictionaries(
    {"family": st.one_of(st.sampled_from(["mlp", "cnn"]), SCALARS), "search": SECTIONS},
    optional={
        **dict.fromkeys(("trials", "epochs", "patience"), COUNTS),
        **dict.fromkeys(("fixed", "reference_defaults"), SECTIONS),
        "references": st.one_of(st.dictionaries(st.text(max_size=9), SECTIONS, max_size=3), VALUES),
    },
)


def _valid_choice(name: str) -> st.SearchStrategy:
    entry = HYPERPARAMETERS[name]
    if entry.options:
        return st.lists(st.sampled_from(entry.options), min_size=1, unique=True)
    if not entry.is_number:
        return st.just([False, True])
    low = st.floats(1e-6, 0.4) if entry.kind is float else st.integers(1, 8)
    return st.builds(lambda x: {"low": x, "high": x * 2, "log": entry.kind is float}, low)


GOOD = st.lists(st.sampled_from([*HYPERPARAMETERS]), unique=True, max_size=9).flatmap(
    lambda names: st.fixed_dictionaries({name: _valid_choice(name) for name in names})
)
COMPLETE = st.builds(
    lambda search, lambdas, more: {
        "family": "cnn",
        "trials": 5,
        "epochs": 3,
        "patience": 2,
        "search": {**lambdas, "regularizer": ["none", "l1_l2"], **search},
        **more,
    },
    GOOD,
    st.fixed_dictionaries({name: _valid_choice(name) for name in ("lambda_l1", "lambda_l2")}),
    st.dictionaries(st.sampled_from(["fixed", "references", "epochs"]), SECTIONS, max_size=1),
)


def structured() -> st.SearchStrategy[bytes]:
    """Returns a strategy of files with the right keys and any values, as JSON, which YAML reads."""
    return st.one_of(FILES, COMPLETE).map(
        lambda values: json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")
    )
