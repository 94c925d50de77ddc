"""
Runs the benchmarks, and makes a page of what they find.

A run of all parts in full writes docs/benchmarks.md, the pictures in docs/benchmarks/, and the raw
figures docs/benchmarks/figures.json that both are made from. Any other run writes the same into
build/benchmarks/.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from time import perf_counter

from . import PARTS, _machine, _pages, _plots
from ._bench import run as run_part
from ._results import Mode, Run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=(*PARTS, []), metavar="part", help=", ".join(PARTS)
    )
    parser.add_argument("--fast", action="store_true", help="take a first look, in 2 minutes")
    parser.add_argument("--seconds", type=float, help="how long overload and soak go on")
    parser.add_argument(
        "--page", action="store_true", help="run nothing: make the page of the last run anew"
    )
    arguments = parser.parse_args()
    mode = Mode.FAST if arguments.fast else Mode.FULL
    is_complete = mode is Mode.FULL and not arguments.parts
    page = Path("docs" if is_complete else "build", "benchmarks.md")
    figures = page.with_suffix("") / "figures.json"
    if arguments.page:
        write_page(Run.read(figures), page)
        return

    page.with_suffix("").mkdir(parents=True, exist_ok=True)
    start = perf_counter()
    run = Run(
        command=command(arguments),
        mode=mode,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=_machine.machine(),
        versions=_machine.versions(),
    )
    for name in arguments.parts or PARTS:
        print(f"\n== {name}", flush=True)
        module = import_module(f"tests.benchmarks.{name}")
        run.parts.append(run_part(module, mode, arguments.seconds))
        run.seconds = perf_counter() - start
        run.write(figures)
        print(f"\n{run.seconds:.0f} s until here", flush=True)
    write_page(run, page)
    print(f"\n{page}: {run.seconds:.0f} s")


def command(arguments: argparse.Namespace) -> str:
    """Return the command that makes a run like this."""
    variables = {
        "PARTS": f'"{" ".join(arguments.parts)}"' if arguments.parts else None,
        "FAST": 1 if arguments.fast else None,
        "SECONDS": arguments.seconds,
    }
    given = [f"{name}={value}" for name, value in variables.items() if value is not None]
    return " ".join(["make bench", *given])


def write_page(run: Run, page: Path) -> None:
    """Write the page, and the pictures next to it."""
    pictures = page.with_suffix("")
    page.write_text(_pages.page(run, pictures.name))
    _plots.draw(run, pictures)


if __name__ == "__main__":
    main()
