# Every target sets up what it needs in .venv first; a second run skips that.
# `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON38 = $(firstword $(wildcard $(shell pyenv root 2>/dev/null)/versions/3.8.*/bin/python) python3.8)

.DEFAULT_GOAL := help
.PHONY: help demo test test-all fuzz check bench docs peers clean
.NOTPARALLEL: # pip installs into one environment

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(READY)/demo ## the book's listings, then a net trained on handwritten digits
	$(BIN)/python examples/demo.py

test: $(READY)/dev ## tests, and the examples in docstrings and docs
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-all: test ## the same, then the tests marked slow
	$(BIN)/python -m pytest -n 2 --dist load -m slow tests

fuzz: $(READY)/dev ## damaged weights files, 100,000 of each format (half an hour)
	$(BIN)/python -m tests.fuzz.run

check: $(READY)/dev ## lint, format, types, and who may import whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)/bench ## the ratios to raw JAX and to torch
	$(BIN)/python -m benchmarks.run

docs: $(READY)/docs ## the pages, in docs/_build
	rm -rf docs/api/generated # a page of a name that is gone would stay
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build

peers: $(READY)/peers $(READY)/gluon ## torch, Keras, Paddle, MXNet, transformers, IPython, treescope: some tests need them, or skip

clean: ## remove what the targets wrote; .venv stays
	rm -rf build dist docs/_build docs/api/generated runs
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# --- the environment -----------------------------------------------------------------------------
# An empty file in .venv/.ready says that a set of packages is installed as pyproject.toml asks.

# Python 3.11 brings a pip that does not know dependency groups (PEP 735, pip 25.1).
$(READY)/pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@mkdir -p $(READY) && touch $@

$(READY)/demo: pyproject.toml $(READY)/pip
	$(BIN)/python -m pip install --quiet --editable ".[all]"
	@touch $@

$(READY)/dev $(READY)/docs $(READY)/peers $(READY)/bench: $(READY)/%: pyproject.toml $(READY)/demo
	$(BIN)/python -m pip install --quiet --group $*
	@touch $@

# MXNet's last release is for Python 3.8 at most, and for a NumPy of that time.
$(READY)/gluon: $(READY)/pip
	@if $(PYTHON38) -c "" 2>/dev/null; then \
		$(PYTHON38) -m venv $(VENV)/gluon && \
		$(VENV)/gluon/bin/python -m pip install --quiet "mxnet==1.9.1" "numpy==1.23.5" && touch $@; \
	else echo "no Python 3.8 here, so the tests beside MXNet skip"; fi
