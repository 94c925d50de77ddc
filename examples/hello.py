"""
The shortest tour: Lua source, a function of a Lua module, a Lua file, and a Lua error.

Run it: ``python examples/hello.py``
"""

import asyncio
from pathlib import Path

from threadpool_lua import Chunk, LuaError, ThreadPool

COUNT_PRIMES = Chunk.from_file(Path(__file__).with_suffix(".lua"))
LIMITS = (10_000, 100_000, 1_000_000)


async def main() -> None:
    async with ThreadPool(threads=4) as pool:
        # The arguments of a task are "..." in its source.
        total = await pool.submit("local a, b = ...; return a + b", 2, 3)
        print(f"2 + 3 = {total}")

        # Any module that Lua's require() finds will do; "string" is always there.
        print("string.rep:", await pool.call("string", "rep", "ab", 3))

        # Tasks run at the same time, one on each thread, and gather() keeps their order.
        counts = await asyncio.gather(*(pool.submit(COUNT_PRIMES, limit) for limit in LIMITS))
        for limit, count in zip(LIMITS, counts, strict=True):
            print(f"primes up to {limit:,}: {count:,}")

        # An error in Lua reaches whoever awaits the task; the pool goes on.
        try:
            await pool.submit(COUNT_PRIMES, "many")
        except LuaError as error:
            print(f"Lua failed at line {error.line}: {error.message}")


if __name__ == "__main__":
    asyncio.run(main())
