"""An assert that fails in a helper of the tests says what it compared, as a test's does."""

import sys
from pathlib import Path

import pytest
from small_space import small_space

HERE = Path(__file__).parent


def test_what_fails_in_a_helper_is_explained():
    with pytest.raises(AssertionError, match=r"^assert 'nowhere' in 'family: mlp"):
        small_space(("nowhere", ""))


def test_every_helper_is_rewritten_as_the_tests_are():
    helpers = {path.stem for path in HERE.rglob("*.py")}
    loaded = [
        (name, type(module.__spec__.loader).__name__)
        for name, module in sys.modules.items()
        if name in helpers and HERE in Path(getattr(module, "__file__", None) or "/").parents
    ]
    assert {loader for _, loader in loaded} == {"AssertionRewritingHook"}, loaded
