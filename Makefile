# Everything from bare Python 3.11 to 3.13 and make. `make demo` and `make test` set up what they need in .venv/.
#
#   make demo PYTHON=python3.12     with a Python of your choice
#   make test PYTEST="-k ledger"    with more arguments for pytest
#
# Works with GNU make 3.81, which macOS ships.

VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml requirements/runtime.txt .ci/venv
PYTEST ?=
# Tests run side by side; threads of BLAS on top of that would only wait for each other.
ONE_THREAD := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
export PYTHON

.PHONY: help setup setup-dev demo test slow faults bench lint types imports doctests ci clean

help:
	@echo "make setup     a virtual environment with stagewright in .venv/"
	@echo "make demo      setup, then a whole study on the built-in cohort"
	@echo "make test      setup with the development tools, then the tests"
	@echo "make slow      the slower tests"
	@echo "make faults    kills at every write, random kills, full disks, damage, contention; about 20 minutes"
	@echo "make bench     the benchmarks; writes benchmarks.json"
	@echo "make lint | types | imports | doctests    one check each"
	@echo "make ci        everything that CI runs"
	@echo "make clean     removes .venv/ and caches; runs in experiments/ stay"

setup: $(VENV)/runtime.stamp
setup-dev: $(VENV)/dev.stamp

$(VENV)/runtime.stamp: $(INPUTS)
	@.ci/venv $(VENV) runtime
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp requirements/dev.txt
	@.ci/venv $(VENV) dev
	@touch $@

demo: setup
	$(BIN)/stagewright demo

test: setup-dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow and not faults" $(PYTEST)

# pytest leaves with 5 when it finds no test at all; there being no slow test is no failure.
slow: setup-dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 -m "slow and not faults" $(PYTEST) || test $$? -eq 5

faults: setup-dev
	$(BIN)/python -m pytest -m faults -n 4 --dist loadgroup $(PYTEST) tests/faults

bench: setup-dev
	$(BIN)/python tests/benchmarks/run_benchmarks.py

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup-dev
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

imports: setup-dev
	$(BIN)/lint-imports

doctests: setup-dev
	$(BIN)/python -m pytest --doctest-modules .src/stagewright

ci:
	.ci/run

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
