"""What ``lua/ngx/config.lua`` tells of the process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .worker import NgxWorker


def upcalls(worker: NgxWorker) -> dict[bytes, Callable[..., object]]:
    """Return what Lua calls on the spot, by name."""

    def prefix() -> bytes:
        folder = os.getcwdb() if worker.prefix is None else os.fsencode(worker.prefix)
        return os.path.join(folder, b"")

    return {b"pid": os.getpid, b"prefix": prefix, b"exiting": lambda: worker.exiting}
