# make quickstart and make test do all the set-up; make install alone creates .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One thread per process: two torch processes with two threads each slow one another down on two cores.
ONE_THREAD := OMP_NUM_THREADS=1

.PHONY: install quickstart test lint types soak clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed; set PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

quickstart: install
	$(BIN)/oger quickstart

test: lint types
	$(ONE_THREAD) $(BIN)/pytest --numprocesses 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

soak: install
	$(ONE_THREAD) $(BIN)/pytest --soak -m soak --timeout 3600

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
