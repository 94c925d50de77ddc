# Thin verbs; each does its own set-up in .venv. PYTHON names another interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test bench lint fix docs build clean

demo: $(VENV)/installed
	$(BIN)/python examples/echo_client.py

test: $(VENV)/dev-installed
	$(BIN)/python -m pytest $(ARGS)

bench: $(VENV)/dev-installed
	$(BIN)/python -m tests.benchmarks $(PARTS)

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
