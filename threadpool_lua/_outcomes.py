"""The numbers by which Lua tells Python how a step of a task has ended."""

from __future__ import annotations

from typing import Final

# How values leave a step, where it is not nothing or one plain value: see encode.lua.
NOTHING, PLAIN, PACKED, SLICED, LARGE, REFUSED = range(1, 7)

# How else a step ends: see dispatcher.lua.
FAILED, UNCOMPILED, REFUSED_ARGUMENT, YIELDED, CALLED, BATCHED, LIMITED, REQUESTED = range(7, 15)

PAUSES: Final = frozenset({YIELDED, CALLED, REQUESTED})
"""Those after which the task waits to be resumed, in the place that comes next."""
