"""
Runs the parts that are named, or all.

Those that go on for a time (overload, soak) do so for as many seconds as BENCH_SECONDS in the
environment says.
"""

from __future__ import annotations

import argparse
from importlib import import_module

from ._measure import machine

PARTS = (
    "dispatch",
    "values",
    "looplag",
    "paused",
    "resume",
    "map",
    "isolation",
    "overload",
    "soak",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=(*PARTS, []), metavar="part", help=", ".join(PARTS)
    )
    parts = parser.parse_args().parts or PARTS
    print(machine())
    for part in parts:
        print(f"\n== {part}")
        import_module(f"tests.benchmarks.{part}").run()


if __name__ == "__main__":
    main()
