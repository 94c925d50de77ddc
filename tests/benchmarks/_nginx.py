"""nginx itself, with lua-nginx-module: started on a port of this machine's, with one worker."""

from __future__ import annotations

import asyncio
import getpass
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template
from urllib.request import urlopen

from ._lua import FOLDER
from ._results import MissingError

THREADS = (1, 2, 4, 8, 16, 32, 64)
START_TIMEOUT = 10.0  # seconds
PACKAGES = "nginx and libnginx-mod-http-lua, as Debian names them"


def modules() -> Path:
    """Return where nginx has its modules."""
    if shutil.which("nginx") is None:
        raise MissingError(f"{PACKAGES}, are not installed")
    options = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=True).stderr
    path = re.search(r"--modules-path=(\S+)", options)
    if path is None or not (Path(path[1]) / "ngx_http_lua_module.so").exists():
        raise MissingError(f"nginx has no Lua; it takes {PACKAGES}")
    return Path(path[1])


@asynccontextmanager
async def nginx() -> AsyncIterator[str]:
    """
    Run nginx, with thread pools that are named by how many threads they have.

    Returns:
        Its address. The paths below it are a function of nginx_handlers.lua and its arguments.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        configuration = Template((FOLDER / "nginx.conf").read_text()).substitute(
            modules=modules(),
            user=getpass.getuser(),
            thread_pools="\n".join(f"thread_pool {n} threads={n};" for n in THREADS),
            lua=FOLDER,
            port=port,
        )
        file = Path(folder) / "nginx.conf"
        file.write_text(configuration)
        process = await asyncio.create_subprocess_exec(
            "nginx", "-e", "error.log", "-p", folder, "-c", str(file), stderr=subprocess.DEVNULL
        )
        try:
            await _answers(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _answers(port: int, process: asyncio.subprocess.Process) -> None:
    """Wait until nginx takes connections."""
    async with asyncio.timeout(START_TIMEOUT):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
    raise RuntimeError(f"nginx has ended with {process.returncode}")


def module_version() -> str | None:
    """Return the version of lua-nginx-module, which only a running nginx tells."""

    async def ask() -> str:
        async with nginx() as address:
            with urlopen(f"{address}/version") as answer:
                number = int(answer.read())
        return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"

    try:
        return asyncio.run(ask())
    except MissingError:
        return None
