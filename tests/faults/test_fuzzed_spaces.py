"""A seeded sample of hostile search spaces; the full counts: see ``fuzz``."""

import fuzz
import pytest


@pytest.mark.slow
def test_a_hostile_search_space_is_valid_or_refused_in_lines(tmp_path):
    tally = fuzz.run("spaces", 500, 0, tmp_path / "kept")
    assert tally.failures == []
    assert tally.cases == 500
    assert 10 < tally.accepted < 490
    assert tally.peak_bytes < fuzz.MEMORY_BYTES


def test_the_judge_sees_a_message_of_too_many_lines_and_a_traceback(tmp_path, monkeypatch):
    from pipeline.errors import SearchSpaceError
    from pipeline.search.space import space

    path = tmp_path / "any.yaml"

    def refuse(message):
        def load(path):
            raise SearchSpaceError(message)

        monkeypatch.setattr(space, "load", load)
        return fuzz.judge_space(path)[1]

    assert refuse(f"{path}:1: bad\n{path}:2: bad") == ""
    assert "not a line per fault" in refuse(f"{path}:1: bad\nand so on")
    assert "not printable" in refuse(f"{path}:1: b\x07d")
    tally = fuzz.Tally()
    fuzz.case(tally, tmp_path, lambda path: 1 / 0, lambda place: place / "any.yaml")
    assert "ZeroDivisionError" in tally.failures[0]
    assert (tmp_path / "case-0").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "limits", "told"),
    [
        ("import time; time.sleep(60)", "WALL_SECONDS = 2.0", "Timeout"),
        ("bytearray(3 * 2**30)", "", "MemoryError"),
        ("import os; os.abort()", "", "Aborted"),
        ("sum(range(10**7))", "CPU_SECONDS = 0.01", "took "),
    ],
)
def test_the_child_ends_at_its_limits_and_the_end_is_a_failure(
    tmp_path, monkeypatch, code, limits, told
):
    """The harness can fail: whatever a case does, it is told."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nsys.path.insert(0, {str(fuzz.HERE)!r})\nimport fuzz\n"
        f"{limits and 'fuzz.' + limits}\n"
        f"def judge(path):\n    {code}\n    return True, ''\n"
        "fuzz.JUDGES['spaces'] = judge\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    tally = fuzz.run("spaces", 1, 0, tmp_path / "kept")
    assert told in "".join(tally.failures)
