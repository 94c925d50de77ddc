"""Lua's C modules, and real databases queried from four threads while the loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from threadpool_lua import Chunk, LuaError, ThreadPool

from .conftest import required

T = TypeVar("T")

FOLDERS = sorted(Path("/usr/lib").glob("*/lua/5.1"))
CPATH = f"{FOLDERS[0]}/?.so" if FOLDERS else ""
PATH = "/usr/share/lua/5.1/?.lua;;"
HERE = Path(__file__).parent


def need(module: str, package: str) -> None:
    if not FOLDERS or not (FOLDERS[0] / (module.replace(".", "/") + ".so")).exists():
        required(f"Debian's {package}")


async def while_ticking(work: Awaitable[T]) -> tuple[T, int]:
    """Await `work` and count how often the loop came round meanwhile."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticker = asyncio.ensure_future(tick())
    try:
        return await work, ticks
    finally:
        ticker.cancel()


async def test_cjson_encodes_and_decodes() -> None:
    need("cjson", "lua-cjson")
    async with ThreadPool("json", threads=2, package_cpath=CPATH) as pool:
        assert await pool.call("cjson", "encode", [1, {"a": True}]) == '[1,{"a":true}]'
        assert await pool.call("cjson", "decode", '{"a":[1,2]}') == {"a": [1, 2]}
        # The null of both is the same.
        assert await pool.call("cjson", "encode", [1, None]) == "[1,null]"
        assert await pool.call("cjson", "decode", "[1,null]") == [1, None]


async def test_luasocket_talks_to_a_server_on_the_loop() -> None:
    """Blocking sockets in Lua, and the server that they talk to on the loop of the same process."""
    need("socket.core", "lua-socket")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"you said " + await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    source = """
        local port, text = ...
        local client = assert(require('socket').connect('127.0.0.1', port))
        client:send(text .. '\\n')
        local line = client:receive('*l')
        client:close()
        return line
    """
    async with (
        server,
        ThreadPool("net", threads=4, package_path=PATH, package_cpath=CPATH) as pool,
    ):
        lines = await asyncio.gather(*(pool.submit(source, port, f"line {i}") for i in range(20)))
    assert lines == [f"you said line {i}" for i in range(20)]


async def test_sqlite_from_four_threads(tmp_path: Path) -> None:
    need("luasql.sqlite3", "lua-sql-sqlite3")
    file = str(tmp_path / "test.db")
    init = f"database = require('luasql.sqlite3').sqlite3():connect({file!r})"
    query = Chunk.from_file(HERE / "query.lua")
    async with ThreadPool("sqlite", threads=4, package_cpath=CPATH, init=init) as pool:
        await pool.submit(query, "CREATE TABLE squares (n INTEGER PRIMARY KEY, square INTEGER)")
        rows = ",".join(f"({n}, {n * n})" for n in range(1000))
        assert await pool.submit(query, f"INSERT INTO squares VALUES {rows}") == 1000

        async def squares() -> list[Any]:
            return await asyncio.gather(
                *(
                    pool.submit(query, f"SELECT square FROM squares WHERE n = {n}")
                    for n in range(200)
                )
            )

        found, ticks = await while_ticking(squares())
    assert [int(rows[0]["square"]) for rows in found] == [n * n for n in range(200)]
    assert ticks > 1


async def test_postgresql_from_four_threads() -> None:
    need("luasql.postgres", "lua-sql-postgres")
    init = Chunk.from_file(HERE / "postgres.lua")
    query = Chunk.from_file(HERE / "query.lua")
    async with ThreadPool("postgres", threads=4, package_cpath=CPATH, init=init) as pool:
        try:
            await pool.submit("return 1")
        except Exception as error:
            required(f"a PostgreSQL that answers ({error})")

        async def sleeping_squares() -> list[Any]:
            return await asyncio.gather(
                *(
                    pool.submit(query, f"SELECT {n} * {n} AS square, pg_sleep(0.01), $$ü$$ AS text")
                    for n in range(40)
                )
            )

        found, ticks = await while_ticking(sleeping_squares())
        with pytest.raises(LuaError, match='relation "nowhere" does not exist'):
            await pool.submit(query, "SELECT * FROM nowhere")
    assert [int(rows[0]["square"]) for rows in found] == [n * n for n in range(40)]
    assert {rows[0]["text"] for rows in found} == {"ü"}
    assert ticks > 10


async def test_only_one_implementation_can_load_c_modules() -> None:
    need("cjson", "lua-cjson")
    ThreadPool(package_cpath=CPATH)
    with pytest.raises(
        ValueError, match="^package_cpath: C modules in this process are for 'luajit21'"
    ):
        ThreadPool(lua="lua54", package_cpath=CPATH)


async def test_without_a_cpath_no_c_module_is_found(lua: str) -> None:
    async with ThreadPool("pure", threads=1, lua=lua) as pool:
        with pytest.raises(LuaError, match="module 'cjson' not found"):
            await pool.submit("return require('cjson')")
