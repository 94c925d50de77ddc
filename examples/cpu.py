"""
A picture of the Mandelbrot set, computed by LuaJIT on all cores.

Lua runs without Python's interpreter lock, so the threads compute at the same time, and the event
loop draws a progress bar meanwhile. It needs Pillow and tqdm.

Run it: ``python examples/cpu.py [OUTPUT] [--width N] [--height N] [--threads N] [--iterations N]``
"""

import argparse
import asyncio
import os
import time
from pathlib import Path

from PIL import Image
from tqdm.asyncio import tqdm

from threadpool_lua import Chunk, ThreadPool

BAND = Chunk.from_file(Path(__file__).with_suffix(".lua"))
BAND_HEIGHT = 8  # rows; small enough that no thread is left alone with the last band for long


async def compute(width: int, height: int, iterations: int, threads: int) -> bytes:
    """Return the picture's pixels, three bytes each, from the top left to the bottom right."""
    # Without an encoding the bands arrive as bytes.
    async with ThreadPool("cpu", threads=threads, encoding=None) as pool:
        bands = []
        for first in range(0, height, BAND_HEIGHT):
            last = min(first + BAND_HEIGHT, height)
            # A picture of any height goes through the queue, however long that is.
            await pool.room()
            bands.append(pool.submit(BAND, width, height, first, last, iterations))
        # The bands end in any order, and come back in the order of the picture.
        return b"".join(await tqdm.gather(*bands, unit="band"))


def positive(text: str) -> int:
    """Read a number that is at least 1 from the command line."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description="Compute a picture of the Mandelbrot set.")
    parser.add_argument("output", nargs="?", type=Path, default=Path("mandelbrot.png"))
    parser.add_argument("--width", type=positive, default=1920)
    parser.add_argument("--height", type=positive, default=1280)
    parser.add_argument("--threads", type=positive, default=os.cpu_count() or 1)
    parser.add_argument("--iterations", type=positive, default=1000)
    options = parser.parse_args()

    start = time.perf_counter()
    pixels = asyncio.run(
        compute(options.width, options.height, options.iterations, options.threads)
    )
    seconds = time.perf_counter() - start

    Image.frombytes("RGB", (options.width, options.height), pixels).save(options.output, "PNG")
    print(f"computed in {seconds:.2f} s on {options.threads} threads, saved as {options.output}")


if __name__ == "__main__":
    main()
