"""What Lua asks Python for while its task is paused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """
    A function that a part of ``ngx`` calls by ``api.request``.

    Attributes:
        function: is called with the `Task` and the arguments, strings as bytes. It returns what Lua
            gets, a tuple as several values, or something to await.
        on_loop: whether it is called on the loop, or else on the pool thread.
    """

    function: Callable[..., Any]
    on_loop: bool = False
