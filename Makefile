# Thin verbs; each does its own set-up in .venv. PYTHON names another interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test bench lint fix docs build clean

demo: $(VENV)/installed
	$(BIN)/python examples/echo_client.py

test: $(VENV)/dev-installed
	$(BIN)/python -m pytest $(ARGS)

# FAST=1 takes a first look; PARTS names some; SECONDS is how long overload and soak go on.
bench: $(VENV)/bench-installed build/node_modules/piscina
	$(BIN)/python -m tests.benchmarks $(PARTS) $(if $(FAST),--fast) $(if $(SECONDS),--seconds $(SECONDS))

lint: $(VENV)/dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict examples

fix: $(VENV)/dev-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/dev-installed
	$(BIN)/sphinx-build --quiet --fail-on-warning docs build/docs

build: $(VENV)/dev-installed
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/dev-installed: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/bench-installed: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	touch $@

# The benchmarks do without it, if need be.
build/node_modules/piscina:
	-npm install --silent --prefix build piscina@5
