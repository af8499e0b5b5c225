"""Answers for a study that one search works on what ``shared_study`` asks other searches for.

In: nothing. Out: that there is nobody else. The loop of a search and its end are written for both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager


class Alone:
    """A study's questions about other searches, where there are none.

    Attributes:
        shared: Whether other searches may work on the study at the same time.
        num_elsewhere: Trials that other searches of the study train now.
        ended_as: State -> how many trials ended so, whoever trained them; None where one search
            trains them all and knows.
        lost: Numbers of trials that another search has taken over from this one.
        token: This search's name among those of the study.
    """

    shared = False
    num_elsewhere = 0
    ended_as: Counter[str] | None = None
    lost: Collection[int] = ()
    token = ""

    @property
    def living(self) -> Collection[str]:
        """The tokens of the other searches that are alive."""
        return ()

    def take_over(self) -> Collection[str]:
        """Takes over what dead searches left; returns the tokens of those that are alive."""
        return ()

    @property
    def about_others(self) -> str:
        """What the user reads about the other searches as this one begins."""
        return ""

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Keeps other searches from opening or ending the study while the context lasts."""
        yield

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Keeps other searches from asking while the context lasts, and sees what they did."""
        yield

    @contextmanager
    def leaving(self) -> Iterator[bool]:
        """Leaves the study at the end of the context; yields whether nobody else works on it."""
        yield True

    def agree_on(self, run_id: str | None, address: str) -> None:
        """Checks that other searches that are alive write to the same run of MLflow's.

        Args:
            run_id: The study's run at this search's MLflow; None where it has none.
            address: This search's MLflow.

        Raises:
            InputError: They write to another one.
        """

    def written_to(self, run_id: str) -> None:
        """Lets other searches know the study's run in MLflow."""

    def step_down(self) -> bool:
        """Leaves the study to other searches that work on it; returns whether there are any."""
        return False

    @property
    def may_ask(self) -> bool:
        """Whether it is worth asking; not again at once where there was nothing to ask for."""
        return True

    def share(self, count: int, missing: int, least: int) -> int:
        """Returns how many trials this search asks for at once, so that others have work, too.

        Args:
            count: What one search alone would ask for.
            missing: Trials up to the total that nobody asked for.
            least: Trials below which a share is not worth its cohorts.
        """
        return count

    def taken_over(self) -> tuple[list[int], list[str]]:
        """Returns the trials that were taken over from dead searches since, and from whom."""
        return [], []

    def came_back(self) -> bool:
        """Whether this search was taken for dead since, had nothing to lose, and joined again."""
        return False

    def train_again(self, numbers: Collection[int]) -> None:
        """Has trials trained again that ended, because what came of them is lost."""

    def check_own(self, numbers: Collection[int]) -> None:
        """Checks that these trials are still this search's.

        Raises:
            PipelineError: Another one took this search for dead and has taken them over.
        """

    def wait_for_others(self, total: int) -> str:
        """Waits a moment for what others train; returns what, empty for a complete study.

        Args:
            total: Trials after which the study is complete.
        """
        return ""
