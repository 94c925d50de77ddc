"""
Large files: the same server with work that waits for the disk.

Each request of work reads one of many files to its end, by blocking reads of 64 KB in Lua, and then
has Linux forget the file's pages (`posix_fadvise`), so that the next one to read it waits for the
disk.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from ._bench import Bench
from ._sites import compare

ON = ("uvloop",)
MEGABYTE = 2**20


@contextmanager
def files(count: int, size: int) -> Iterator[list[str]]:
    """Make files that are on the disk, and in no cache as far as the machine allows."""
    # Not in a folder for temporary files, which may be in memory.
    Path("build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="build") as folder:
        paths = [Path(folder, str(number)).resolve() for number in range(count)]
        for path in paths:
            with path.open("wb") as file:
                file.write(os.urandom(size))
                file.flush()
                os.fsync(file.fileno())
                if hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        yield [quote(str(path), safe="") for path in paths]


async def reading(bench: Bench) -> None:
    """
    Quick requests and files of 16 MB.

    Threads wait for the disk side by side, up to what the disk can do.
    """
    count, size = bench.pick(full=(64, 16 * MEGABYTE), fast=(32, 16 * MEGABYTE), tiny=(1, 1000))
    with files(count, size) as paths:
        await compare(bench, "read", paths, bench.pick(full=3, fast=1, tiny=1))


SECTIONS = (reading,)
