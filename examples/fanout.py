"""
A request that fans out: for each of many products, Lua asks several backends and sums up.

A task that waits for backends is only a paused coroutine: it holds no thread, and no Lua state of
its own. So two threads are enough for a thousand at a time, out of an iterable of any length.

Run it: ``python examples/fanout.py``
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from threadpool_lua import Chunk, ThreadPool

SUMMARY = Chunk.from_file(Path(__file__).with_suffix(".lua"))
PRODUCTS = range(1, 3001)
AT_ONCE = 1000

# What stands here for services somewhere else.
BACKENDS: dict[str, Callable[[int], int | None]] = {
    "prices": lambda product: product % 90 + 10,
    "stocks": lambda product: product % 20,
    "ratings": lambda product: product % 6 or None,  # Some are not rated: nil in Lua.
    "replacements": lambda product: product + 1,
}
DELAY = 0.25  # seconds that each takes for an answer

asked: Counter[str] = Counter()


async def ask_one(backend: str, product: int) -> int | None:
    """Ask one backend."""
    asked[backend] += 1
    await asyncio.sleep(DELAY)
    return BACKENDS[backend](product)


async def ask(product: int, *backends: str) -> tuple[int | None, ...]:
    """Ask several backends at once. Each answer is a value of its own in Lua."""
    return tuple(await asyncio.gather(*(ask_one(backend, product) for backend in backends)))


async def main() -> None:
    sold_out = most_paused = 0
    async with ThreadPool("fanout", threads=2, functions={"ask": ask}) as pool:
        # The summaries come in the order of the products.
        async for summary in pool.map(SUMMARY, PRODUCTS, in_flight=AT_ONCE):
            sold_out += "replacement" in summary
            most_paused = max(most_paused, pool.statistics().paused)
        statistics = pool.statistics()

    print(f"the last summary: {summary}")
    print(f"{len(PRODUCTS)} products, {sold_out} of them sold out")
    print("asked for", ", ".join(f"{count} {backend}" for backend, count in asked.items()))
    print(f"up to {most_paused} tasks were paused at the same time")
    print(f"threads: {statistics.threads}, Lua states: {statistics.states}")


if __name__ == "__main__":
    asyncio.run(main())
