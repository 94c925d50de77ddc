# Thin verbs; each does its own set-up in .venv. PYTHON names another interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test bench lint fix docs build clean

demo: $(VENV)/installed
	$(BIN)/python examples/echo_client.py

test: $(VENV)/installed
	$(BIN)/python -m pytest $(ARGS)

bench: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks $(PARTS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict examples

fix: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/installed
	$(BIN)/sphinx-build --quiet --fail-on-warning docs build/docs

build: $(VENV)/installed
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
