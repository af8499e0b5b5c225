"""A transport for tests (as httpx's MockTransport): its handler sees each call of MLflow's, and may
raise, answer in MLflow's place, or forward it.

::

    fake = FakeMlflow()
    store = connect(uri, transport=fake)
    fake.handler = lambda call: call.forward()
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """One call of MLflow's.

    Attributes:
        name: Of the function: ``log_batch``, ``write`` (files), ...
        arguments: Its positional arguments.
        named: Its named ones.
        function: The function itself.
    """

    name: str
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    function: Callable[..., Any]

    def forward(self, **changed: Any) -> Any:
        """Makes the call, with some named arguments changed; returns MLflow's answer."""
        return self.function(*self.arguments, **(self.named | changed))


def forward(call: Call) -> Any:
    """Lets a call pass."""
    return call.forward()


class FakeMlflow:
    """Passes calls to its handler, which forwards them until a test sets another one.

    Attributes:
        handler: Takes a :class:`Call`; what it returns or raises is MLflow's answer.
        names: Of the calls so far.
    """

    def __init__(self) -> None:
        self.handler: Callable[[Call], Any] = forward
        self.names: list[str] = []

    def __call__(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        call = Call(function.__name__, arguments, named, function)
        self.names.append(call.name)
        return self.handler(call)

    def reset(self) -> None:
        """Forwards all calls again."""
        self.handler = forward
