# `make demo` and `make test` do all their own set-up; they need git, make and Python 3.11-3.13.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: assets demo test test-web test-services test-cluster check bench bench-ledger format clean help

help:
	@echo "make demo    a simulated 12-filter night, from raw frames to a published release (in ./$(DEMO))"
	@echo "make test    the test suite, with line coverage"
	@echo "make test-web  pages in a headless Chromium"
	@echo "make test-services  the ledger and the flow on a real PostgreSQL, sites over rsync"
	@echo "make test-cluster   the engines on a real Grid Engine and Slurm, which it brings up"
	@echo "make check   ruff, mypy and the import contract"
	@echo "make bench   the benchmarks of docs/benchmarks.md"
	@echo "make bench-ledger  the ledger with 8 million frames: hours, and 35 GB of disk"

$(BIN)/python:
	@python="$$(bash tools/find-python)" || exit 1; \
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "This Python cannot make virtual environments: install its venv module (on Debian or Ubuntu: sudo apt install python3-venv)." >&2; exit 1; }

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[simulate]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(VENV)/.demo

# The viewer of the sky and htmx come from npm: of the machine, or of the wheel of Node.js on PyPI.
# Pages work without them, so nothing here may stop the demonstration.
assets: $(VENV)/.demo
	@command -v npm >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[npm]' || true
	@$(BIN)/tesela serve setup || true

demo: $(VENV)/.demo assets
	$(BIN)/tesela demo $(DEMO)

test: $(VENV)/.test
	$(BIN)/tesela doctor
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -m "not browser and not cluster" $(PYTEST)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under=85 --skip-covered

# Pages in a headless Chromium; skipped with a sentence where there is none.
test-web: $(VENV)/.test
	$(BIN)/python -m pytest -m browser tests/web $(PYTEST)

# The same tests as on SQLite, on a private PostgreSQL; skipped with a sentence where there is none.
test-services: $(VENV)/.test
	TESELA_TEST_LEDGER=postgresql $(BIN)/python -m pytest tests/ledger tests/flow tests/sites $(PYTEST)

# Skipped with a sentence where Grid Engine or Slurm cannot be had.
test-cluster: $(VENV)/.test
	$(BIN)/python -m pytest -m cluster tests/cluster $(PYTEST)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.test
	$(BIN)/python benchmarks/run.py $(WRITE)
	$(BIN)/python benchmarks/frame.py $(WRITE)

# QUICK=--quick measures one size of each database, in minutes. PostgreSQL is a server of its own.
bench-ledger: $(VENV)/.test
	@bash tools/install-services
	$(BIN)/python benchmarks/ledger.py $(QUICK) $(WRITE)

clean:
	rm -rf $(VENV) $(DEMO) build dist .coverage* .mypy_cache .ruff_cache .pytest_cache
