"""Benchmarks: `python -m tests.benchmarks [part ...]`, or `make bench`."""
