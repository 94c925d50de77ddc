"""A Lua function on its way from one state to another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, eq=False, slots=True)
class Function:
    """
    A Lua function, taken apart by ``lua/functions.lua`` in the state that it comes from.

    Any state of the same Lua implementation runs it as it runs a chunk: with its arguments in
    place of ``...``, and each task with a copy of its own.
    """

    implementation: str
    """The implementation whose bytecode it holds."""

    packed: bytes
    """Its description, packed for Lua."""
