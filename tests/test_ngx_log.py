"""``ngx.log``: what tasks log in Python's ``logging``."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from threadpool_lua import Chunk, LuaError, ThreadPool

LOGGER = "threadpool_lua.ngx"

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOGGER]


async def test_levels_become_those_of_python(
    pool: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    await pool.submit("""
        for _, name in ipairs { "STDERR", "EMERG", "ALERT", "CRIT", "ERR", "WARN", "NOTICE", "INFO",
                                "DEBUG" } do
          ngx.log(ngx[name], name)
        end
    """)
    assert [(r.getMessage(), r.levelname, r.__dict__["ngx_level"]) for r in caplog.records] == [
        ("STDERR", "CRITICAL", "stderr"),
        ("EMERG", "CRITICAL", "emerg"),
        ("ALERT", "CRITICAL", "alert"),
        ("CRIT", "CRITICAL", "crit"),
        ("ERR", "ERROR", "error"),
        ("WARN", "WARNING", "warn"),
        ("NOTICE", "INFO", "notice"),
        ("INFO", "INFO", "info"),
        ("DEBUG", "DEBUG", "debug"),
    ]


async def test_the_place_is_that_of_the_caller(
    lua: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "noisy.lua").write_text(
        "local M = {}\n\nfunction M.shout(s)\n  ngx.log(ngx.ERR, s)\nend\n\nreturn M\n"
    )
    chunk = Chunk(
        "local noisy = require 'noisy'\nnoisy.shout('from a module')\n"
        "ngx.log(ngx.ERR, 'from a chunk')\npcall(ngx.log, ngx.ERR, 'from C')",
        name="caller",
    )
    async with ThreadPool(threads=1, lua=lua, package_path=f"{tmp_path}/?.lua") as pool:
        await pool.submit(chunk)
    places = [(r.getMessage(), r.pathname, r.lineno, r.funcName) for r in caplog.records]
    module = str(tmp_path / "noisy.lua")
    assert places == [
        ("from a module", module, 4, "shout"),
        ("from a chunk", "caller", 3, "task"),  # as tracebacks call it
        ("from C", "caller", 4, "task"),
    ]
    assert caplog.records[0].filename == "noisy.lua"
    assert caplog.records[0].threadName is not None
    assert caplog.records[0].threadName.startswith("threadpool_lua")


async def test_the_message_is_all_the_values_in_a_row(
    pool: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    await pool.submit("""
        local named = setmetatable({}, { __tostring = function() return "me" end })
        ngx.log(ngx.ERR, "a", 1, 1.5, nil, true, false, ngx.null, named, nil)
        ngx.log(ngx.ERR)
        ngx.log("4", "100 % of %s {}")
        ngx.log(ngx.ERR, "caf\\195\\169 \\255 a\\0b\\nc")
        ngx.log(ngx.ERR, setmetatable({}, { __tostring = function() return {} end }))
    """)
    assert lines(caplog) == [
        "a11.5niltruefalsenullmenil",
        "",
        "100 % of %s {}",
        "café \\xff a\0b\nc",
        "",
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("ngx.log()", "bad argument #1 to 'log' (number expected, got no value)"),
        ("ngx.log(nil)", "bad argument #1 to 'log' (number expected, got nil)"),
        ("ngx.log('x', 1)", "bad argument #1 to 'log' (number expected, got string)"),
        ("ngx.log(9, 'x')", "bad argument #1 to 'log' (bad log level: 9)"),
        ("ngx.log(-1, 'x')", "bad argument #1 to 'log' (bad log level: -1)"),
        # As in OpenResty, the level is not counted.
        (
            "ngx.log(ngx.ERR, 'x', {})",
            "bad argument #2 to 'log' (expected table to have __tostring metamethod)",
        ),
        (
            "ngx.log(ngx.ERR, print)",
            "bad argument #1 to 'log' (string, number, boolean, or nil expected, got function)",
        ),
        (
            "ngx.log(ngx.ERR, io.stdout)",
            "bad argument #1 to 'log' (string, number, boolean, or nil expected, got userdata)",
        ),
    ],
)
async def test_what_cannot_be_logged(pool: ThreadPool, call: str, message: str) -> None:
    with pytest.raises(LuaError) as caught:
        await pool.submit(Chunk(call, name="bad"))
    assert str(caught.value) == f"bad:1: {message}"


async def test_nobody_looks_at_what_is_not_logged(
    pool: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    code = """
        local asked = false
        local value = setmetatable({}, { __tostring = function() asked = true return "x" end })
        ngx.log(ngx.INFO, value)
        return asked
    """
    caplog.set_level(logging.WARNING, LOGGER)
    assert await pool.submit(code) is False
    assert lines(caplog) == []
    caplog.set_level(logging.INFO, LOGGER)  # while the pool has its states
    assert await pool.submit(code) is True
    assert lines(caplog) == ["x"]


async def test_init_and_coroutines_log(lua: str, caplog: pytest.LogCaptureFixture) -> None:
    init = Chunk("ngx.log(ngx.WARN, 'from ', ngx.get_phase())", name="init")
    async with ThreadPool(threads=1, lua=lua, init=init) as pool:
        await pool.submit("""
            coroutine.wrap(function() ngx.log(ngx.WARN, "from a coroutine") end)()
            table.sort({ 2, 1 }, function(a, b) ngx.log(ngx.WARN, "from C") return a < b end)
        """)
    assert lines(caplog)[:2] == ["from init", "from a coroutine"]
    assert set(lines(caplog)[2:]) == {"from C"}
    assert caplog.records[0].pathname == "init"


async def test_what_a_filter_raises_is_an_error_in_lua(
    pool: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        raise ValueError(f"no {record.getMessage()}")

    logger = logging.getLogger(LOGGER)
    logger.addFilter(refuse)
    try:
        with pytest.raises(LuaError) as caught:
            await pool.submit(Chunk("ngx.log(ngx.ERR, 'sound')", name="noisy"))
    finally:
        logger.removeFilter(refuse)
    assert str(caught.value) == "noisy:1: ValueError: no sound"
    await pool.submit("ngx.log(ngx.ERR, 'sound')")
    assert lines(caplog) == ["sound"]
