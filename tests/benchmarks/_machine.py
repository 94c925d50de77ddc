"""What a run was made on."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from threadpool_lua import __version__

from ._nginx import module_version
from ._peers import NODE_MODULES

GIGABYTE = 1e9


def machine() -> dict[str, str]:
    """Describe the machine: nothing that tells which one it is."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / GIGABYTE:.0f} GB",
        "system": f"{platform.system()} {_version(platform.release())}",
    }


def versions() -> dict[str, str]:
    """Return the versions of what takes part, as far as it is installed."""
    programs = {
        "nginx": _output("nginx", "-v"),
        "lua-nginx-module": module_version(),
        "wrk": _output("wrk", "-v"),
        "Node": _output("node", "--version"),
        "piscina": _version_of_piscina(),
    }
    return {
        "threadpool_lua": __version__,
        "Python": platform.python_version(),
        **{package: version(package) for package in ("lupa", "uvloop", "anyio", "msgspec")},
        **{name: found for name, found in programs.items() if found},
    }


def _version_of_piscina() -> str | None:
    package = NODE_MODULES / "piscina" / "package.json"
    return json.loads(package.read_text())["version"] if package.exists() else None


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    described = re.search(r"model name\s*: (.*)", text)
    return described[1] if described else platform.processor() or platform.machine()


def _output(program: str, option: str) -> str | None:
    """Return the version in what a program prints, if it is installed."""
    if shutil.which(program) is None:
        return None
    # wrk says that -v is wrong, after its version.
    printed = subprocess.run([program, option], capture_output=True, text=True, check=False)
    return _version(printed.stdout + printed.stderr)


def _version(text: str) -> str | None:
    found = re.search(r"\d+\.\d+\.\d+", text)
    return found[0] if found else None
