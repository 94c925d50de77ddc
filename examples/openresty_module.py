"""
A Lua module written for OpenResty, used as it is.

``openresty_module.lua`` signs cookies, and keeps who logs in too often in ``ngx.shared``. Nothing
in it knows of Python, and Python calls its functions. The dictionaries are the same ones in all
Lua states of all pools, and Python reaches them, too.

Run it: ``python examples/openresty_module.py``
"""

import asyncio
import logging
import os
import secrets
from pathlib import Path
from typing import Any

from threadpool_lua import ThreadPool, ThreadPools

HERE = Path(__file__).parent
ADA, EVE = "YWRh", "ZXZl"  # in base64
AT_ONCE = 20


async def main() -> None:
    async with ThreadPools(
        ThreadPool("web", threads=4, package_path=f"{HERE}/?.lua;;"),
        shared={"logins": "1m", "revoked": "1m"},
    ) as pools:

        def call(function: str, argument: str) -> asyncio.Future[Any]:
            return pools["web"].call("openresty_module", function, argument)

        cookie = await call("login", "ada")
        print("a cookie:", cookie)
        print("it belongs to", await call("user", cookie))
        forged = EVE + cookie.removeprefix(ADA)
        print("with another name in it:", await call("user", forged))
        await call("logout", cookie)
        print("after the logout:", await call("user", cookie))

        # On four threads, each with a Lua state of its own; all count in one dictionary.
        cookies = await asyncio.gather(*(call("login", "eve") for _ in range(AT_ONCE)))
        given = sum(isinstance(cookie, str) for cookie in cookies)
        print(f"of {AT_ONCE} logins at once {given} got a cookie, {AT_ONCE - given} did not")

        logins = pools.shared["logins"]
        print("counted:", {user: logins[user] for user in sorted(logins)})


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(filename)s:%(lineno)d: %(message)s")
    os.environ["SESSION_SECRET"] = secrets.token_hex()
    asyncio.run(main())
