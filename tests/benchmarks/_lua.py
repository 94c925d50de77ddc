"""The Lua functions that contenders run, called from Python without a pool."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import lupa.luajit21

FOLDER = Path(__file__).parent / "lua"
PACKAGE_PATH = f"{FOLDER}/?.lua;;"

_here = threading.local()


def in_lua(name: str, *arguments: object) -> Any:
    """Call a function of work.lua, in a Lua state that belongs to this thread."""
    functions = getattr(_here, "functions", None)
    if functions is None:
        runtime = lupa.luajit21.LuaRuntime()
        runtime.globals().package.path = f"{FOLDER}/?.lua"
        functions = _here.functions = dict(runtime.eval("require('work')").items())
    return functions[name](*arguments)
