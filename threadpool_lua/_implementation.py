"""The Lua implementations that lupa bundles, and what differs between them."""

from __future__ import annotations

import ctypes
import importlib
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

_DOUBLE_INTEGERS = range(-(2**53), 2**53 + 1)  # the integers that a double holds exactly
_INT64_INTEGERS = range(-(2**63), 2**63)

_INTEGERS: Final = {
    "luajit21": _DOUBLE_INTEGERS,
    "luajit20": _DOUBLE_INTEGERS,
    "lua51": _DOUBLE_INTEGERS,
    "lua52": _DOUBLE_INTEGERS,
    "lua53": _INT64_INTEGERS,
    "lua54": _INT64_INTEGERS,
    "lua55": _INT64_INTEGERS,
}

NAMES: Final = tuple(_INTEGERS)
"""The names that `ThreadPool` takes as ``lua``."""


@dataclass(frozen=True)
class Implementation:
    """One Lua implementation, loaded."""

    name: str
    module: Any
    """lupa's extension module."""

    integers: range
    """The integers that this Lua holds exactly."""

    @property
    def wire(self) -> str:
        """The name of the Lua file that reads and writes numbers and strings for it."""
        return "wire_luajit.lua" if self.name.startswith("luajit") else "wire_puc.lua"


def load(name: str) -> Implementation:
    """
    Load the implementation `name`, one of `NAMES`.

    Raises:
        ImportError: this build of lupa does not bundle it.
    """
    return Implementation(name, importlib.import_module(f"lupa.{name}"), _INTEGERS[name])


_c_modules_lock = threading.Lock()
_c_modules_name: str | None = None  # guarded by the lock above


def allow_c_modules(implementation: Implementation) -> None:
    """
    Make the functions of `implementation` visible to the C modules that Lua code requires.

    Raises:
        ValueError: another implementation has been made visible in this process. C modules find
            Lua's functions by name, so there can be only one.
    """
    global _c_modules_name
    with _c_modules_lock:
        if _c_modules_name not in (None, implementation.name):
            raise ValueError(
                f"package_cpath: C modules in this process are for {_c_modules_name!r} already, "
                f"and can be for one Lua implementation only, not also for {implementation.name!r}"
            )
        if _c_modules_name is None:
            # An implementation that were loaded later would find these functions where it looks
            # for its own. Those loaded now keep the ones that they have found.
            for name in NAMES:
                with suppress(ImportError):
                    load(name)
            # Python has loaded the extension with its names hidden from others; loading it once
            # more as global only opens them up.
            ctypes.CDLL(implementation.module.__file__, mode=ctypes.RTLD_GLOBAL)
            _c_modules_name = implementation.name
