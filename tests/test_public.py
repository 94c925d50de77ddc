"""The public face: names, types, layers, and what the built wheel carries."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import threadpool_lua

from .helpers import ROOT

PACKAGE = ROOT / "threadpool_lua"


def test_every_public_name_is_listed_and_shows_where_it_is_imported_from() -> None:
    public = {
        name
        for name, value in vars(threadpool_lua).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(threadpool_lua.__all__)
    for name in public:
        assert getattr(threadpool_lua, name).__module__ == "threadpool_lua"


def test_every_public_name_has_a_docstring() -> None:
    for name in threadpool_lua.__all__:
        thing = getattr(threadpool_lua, name)
        assert inspect.getdoc(thing), name
        for member, value in vars(thing).items():
            if not member.startswith("_") and callable(value):
                assert inspect.getdoc(value), f"{name}.{member}"


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {"." * node.level + name for name in names}
    return found


def test_modules_import_downwards_only() -> None:
    """The pool knows nothing of lupa, a state nothing of the loop, a value nothing of either."""
    below = {
        "_pool": {
            "_limits",
            "_chunk",
            "_coroutine",
            "_exceptions",
            "_host",
            "_implementation",
            "_map",
            "_ngx.light_threads",
            "_ngx.worker",
            "_pace",
            "_records",
            "_slow",
            "_state",
            "_statistics",
            "_stream",
            "_supervisor",
            "_task",
            "_threads",
        },
        "_pools": {"_exceptions", "_nginx_conf", "_ngx.shared", "_ngx.worker", "_pool"},
        "_nginx_conf": {"_chunk", "_exceptions", "_ngx.shared"},
        "testing": {"_chunk", "_pool", "_task"},
        "_pace": set(),
        "_threads": {"_state", "_task", "_exceptions"},
        "_coroutine": {"_task", "_state", "_host", "_exceptions"},
        "_stream": {"_task", "_state", "_host", "_exceptions"},
        "_map": {"_task", "_state", "_exceptions"},
        "_task": {"_state", "_host", "_exceptions"},
        "_limits": {"_exceptions", "_outcomes"},
        "_supervisor": {"_exceptions"},
        "_outcomes": set(),
        "_state": {
            "_chunk",
            "_exceptions",
            "_limits",
            "_ngx.semaphores",
            "_outcomes",
            "_function",
            "_host",
            "_implementation",
            "_upcalls",
            "_values",
            "lua",
        },
        "_upcalls": {"_limits"},
        "_host": set(),
        "_records": {"_exceptions", "_sampling"},
        "_sampling": {"_statistics", "_task"},
        "_slow": {"_chunk", "_task"},
        "_statistics": set(),
        "_values": {"_exceptions"},
        "_implementation": set(),
        "_chunk": set(),
        "_function": set(),
        "_exceptions": set(),
    }
    # Names of types only, under TYPE_CHECKING.
    typing_only = {
        "_pace": {"_threads"},
        "_sampling": {"_chunk", "_map", "_state"},
        "_slow": {"_pool", "_threads"},
        "_supervisor": {"_pool", "_threads"},
        "_threads": {"_pool"},
        "_coroutine": {"_chunk", "_pool"},
        "_stream": {"_chunk", "_pool"},
        "_map": {"_chunk", "_pool"},
        "_state": {"_ngx.worker"},
        "_task": {"_chunk", "_ngx.context", "_pool"},
    }
    for module, allowed in below.items():
        found = imports(PACKAGE / f"{module}.py")
        ours = {name.removeprefix(".") for name in found if name.startswith(".")}
        assert ours <= allowed | typing_only.get(module, set()), module
        assert not any(name.split(".")[0] == "lupa" for name in found), module
        if module in ("_state", "_host", "_values", "_implementation", "_chunk", "_exceptions"):
            assert "asyncio" not in found, module


def test_ngx_is_between_the_tasks_and_the_pool() -> None:
    """Its modules know tasks and their states, and of the pool only the type."""
    for path in (PACKAGE / "_ngx").glob("*.py"):
        found = imports(path)
        above = {name for name in found if name.startswith("..")}
        assert above <= {".._exceptions", ".._host", ".._pool", ".._state", ".._task"}, path.name
        if ".._pool" in found:
            assert "from .._pool import" not in path.read_text().split("if TYPE_CHECKING:")[0]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    [built] = out.glob("*.whl")
    return built


@pytest.mark.timeout(240)
def test_the_wheel_works_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    """It carries the Lua files and the mark of a typed package."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", wheel],
        check=True,
        capture_output=True,
        timeout=200,
    )
    program = """
import asyncio, importlib.resources, threadpool_lua

async def main():
    async with threadpool_lua.ThreadPool(threads=1) as pool:
        print(await pool.call("string", "rep", "ab", 3), await pool.submit("return {1, 2}"))

asyncio.run(main())
assert importlib.resources.files(threadpool_lua).joinpath("py.typed").is_file()
"""
    done = subprocess.run(
        [python, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("ababab [1, 2]\n", "")
