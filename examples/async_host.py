"""
Business rules in Lua that call an asynchronous HTTP client as if it were an ordinary function.

Hundreds of orders are priced at once on two threads: a rule that waits for an answer holds no
thread. The web service that the rules ask, and that takes its time, is part of this program.

Run it: ``python examples/async_host.py``
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

try:
    import httpx
except ImportError:
    sys.exit("this example needs HTTPX: pip install httpx")

from threadpool_lua import Chunk, ThreadPool

PRICE = Chunk.from_file(Path(__file__).with_suffix(".lua"))
DELAY = 0.5  # seconds that the service takes for an answer

SERVICE: dict[str, object] = {
    "/customers/ada": {"loyal": True},
    "/customers/bob": {"loyal": False},
    "/products/lamp": {"price": 4000},
    "/products/bulb": {"price": 250},
    "/vouchers/SPRING": {"value": 500},
}
ORDERS = [
    {"customer": "ada", "product": "lamp", "quantity": 1},
    {"customer": "bob", "product": "lamp", "quantity": 2, "voucher": "SPRING"},
    {"customer": "bob", "product": "bulb", "quantity": 12, "voucher": "SUMMER"},
    {"customer": "ada", "product": "bulb", "quantity": 3},
] * 50
FAULTY_ORDER = {"customer": "ada", "product": "moon", "quantity": 1}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one HTTP request."""
    # The suppressed ones are those of a program that is ended early.
    with suppress(EOFError, asyncio.CancelledError):
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.decode().split()[1]
        await asyncio.sleep(DELAY)
        status = "200 OK" if path in SERVICE else "404 Not Found"
        body = json.dumps(SERVICE.get(path))
        writer.write(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{body}".encode())
    writer.close()


async def price(pool: ThreadPool, orders: list[dict[str, object]]) -> list[Any]:
    """Price orders at once, and tell how long it took."""
    start = time.perf_counter()
    results = await asyncio.gather(*(pool.submit(PRICE, order) for order in orders))
    print(f"orders: {len(orders)}, priced in {time.perf_counter() - start:.2f} s")
    return results


async def demonstrate(client: httpx.AsyncClient) -> None:
    """Price one order, then many, and then one that cannot be priced."""
    async with ThreadPool("rules", threads=2) as pool:

        @pool.function
        async def get(path: str) -> Any:
            response = await client.get(path)
            if response.status_code == httpx.codes.NOT_FOUND:
                raise LookupError(f"there is no {path}")
            return response.raise_for_status().json()

        await price(pool, ORDERS[1:2])
        results = await price(pool, ORDERS)
        total = sum(cents for cents, _ in results) / 100
        refused = sum(note is not None for _, note in results)
        print(f"{total:,.2f} in all; {refused} orders had a voucher that does not exist")

        # An exception that the rules do not handle comes out of the task as it is.
        try:
            await pool.submit(PRICE, FAULTY_ORDER)
        except LookupError as error:
            print(f"an order cannot be priced: {error}")


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    # All requests may be on their way at once, and none of them goes through a proxy.
    client = httpx.AsyncClient(
        base_url=f"http://{host}:{port}",
        limits=httpx.Limits(max_connections=None),
        timeout=30,
        trust_env=False,
    )
    async with server, client:
        await demonstrate(client)


if __name__ == "__main__":
    asyncio.run(main())
