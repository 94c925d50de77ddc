"""The Lua side of the library, and the only reader of its `.lua` files."""

from __future__ import annotations

from importlib.resources import files


def source(name: str) -> bytes:
    """Return the text of `name`, a Lua file of this package."""
    return files(__name__).joinpath(name).read_bytes()
