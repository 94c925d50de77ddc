"""The core on every Lua implementation that lupa bundles."""

from __future__ import annotations

import asyncio

import pytest

from threadpool_lua import LuaError, LuaSyntaxError, MarshalError, ThreadPool
from threadpool_lua._implementation import NAMES

from .helpers import run_python

VALUE = [None, True, 1, -1.5, "ü", 2**40, -(2**53), {"k": [[], {}]}, 5e-324, 1e308, -0.0]


@pytest.mark.parametrize("lua", NAMES)
async def test_tasks_values_and_errors(lua: str) -> None:
    async with ThreadPool("smoke", threads=2, lua=lua, init="answer = 42") as pool:
        assert await asyncio.gather(*(pool.submit("return 2 * ...", i) for i in range(50))) == list(
            range(0, 100, 2)
        )
        back = await pool.submit("return ...", VALUE)
        assert back == VALUE
        assert [type(item) for item in back] == [type(item) for item in VALUE]
        assert await pool.call("string", "rep", "ab", 3) == "ababab"
        assert await pool.submit("x = answer return x, _G.x, python") == (42, 42, None)
        with pytest.raises(LuaError, match=r'^\[string "error.*"\]:1: boom') as caught:
            await pool.submit("error('boom')")
        assert caught.value.line == 1
        with pytest.raises(LuaSyntaxError):
            await pool.submit("return (")
        with pytest.raises(MarshalError, match="result 1: cannot pass a function"):
            await pool.submit("return print")


@pytest.mark.parametrize("lua", NAMES)
async def test_the_implementation_is_the_one_that_was_asked_for(lua: str) -> None:
    async with ThreadPool("which", threads=1, lua=lua) as pool:
        version = await pool.submit("return jit and jit.version or _VERSION")
    name, number = version.split(" ")
    assert (name.lower() + number.replace(".", "")).startswith(lua)


FAILING_GC = """
    for _ = 1, 1000 do
      local function fail() error('in __gc') end
      if newproxy then getmetatable(newproxy(true)).__gc = fail
      else setmetatable({}, {__gc = fail}) end
    end
"""


@pytest.mark.parametrize("lua", NAMES)
def test_a_gc_that_fails_is_at_most_an_error_of_the_task_that_runs(lua: str) -> None:
    """In a process of its own: where lupa passes arguments, such an error would end it."""
    done = run_python(
        f"""
        import asyncio
        from threadpool_lua import LuaError, ThreadPool

        async def main():
            async with ThreadPool(threads=1, lua={lua!r}) as pool:
                results = await asyncio.gather(
                    pool.submit({FAILING_GC!r}),
                    *(pool.submit("return #...", b"x" * 2000 + b"%d" % i) for i in range(10000)),
                    return_exceptions=True,
                )
                assert all(result is None or type(result) in (int, LuaError) for result in results)
                for _ in range(2000):
                    try:
                        await pool.submit("collectgarbage() return 1")
                        break
                    except LuaError:
                        pass
                assert await pool.submit("return #...", b"x" * 2000) == 2000
            print("well")

        asyncio.run(main())
        """
    )
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr[-2000:]
