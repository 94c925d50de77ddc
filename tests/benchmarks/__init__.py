"""Benchmarks: `python -m tests.benchmarks [part ...]`, or `make bench`."""

PARTS = (
    "server",
    "files",
    "cpu",
    "dispatch",
    "growth",
    "paused",
    "resume",
    "values",
    "looplag",
    "isolation",
    "overload",
    "soak",
)
