# `make demo` runs the main job, `make test` passes the tests. Each makes its own virtual environment.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
PYTEST_WORKERS ?= 2
DEMO_ARGS ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-es8 soak lint format wheel-check bench clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.demo ## the main job on this machine, in about a minute (DEMO_ARGS="--load 1")
	@$(BIN)/ordertrace demo $(DEMO_ARGS)

test: $(VENV)/.test ## all tests but the long soaks (PYTEST_ARGS="-k name")
	@[ "$$CI" = true ] || [ -x /usr/bin/chromium ] || echo "make: no /usr/bin/chromium: the browser tests will be skipped; on Debian: apt-get install chromium fonts-noto-cjk"
	@tests/elasticsearch/prepare.sh || [ "$$CI" = true ] || echo "make: no Elasticsearch: its tests will be skipped; they need ORDERTRACE_TEST_ES_URL, or Docker, or a JDK >= 21 and mvn (tests/elasticsearch/README.md)"
	@$(BIN)/python -m pytest -m "not soak" -n $(PYTEST_WORKERS) $(PYTEST_ARGS)

test-es8: $(VENV)/.test ## the stores' tests on Elasticsearch 8.19, by the client of version 8 (in an environment of its own)
	@tests/elasticsearch/test_on_8.sh $(BIN)/python $(PYTEST_ARGS)

soak: $(VENV)/.test ## the long tests
	@$(BIN)/python -m pytest -m soak --timeout 3600 $(PYTEST_ARGS)

lint: $(VENV)/.test ## ruff, pyright, and the shipped playbooks
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/ordertrace lint

format: $(VENV)/.test ## put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

wheel-check: $(VENV)/.test ## build the wheel, install it in clean environments, try it there
	@tests/wheel/check.sh $(BIN)/python

bench: $(VENV)/.test ## the benchmarks of docs/benchmarks.md
	@for file in bench/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean: ## remove what the targets made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; install Python 3.11 or later, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is $$($(PYTHON) -V); ordertrace needs 3.11 or later: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "make: $(PYTHON) has no venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "making the virtual environment $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

NO_INSTALL = { echo "make: pip could not install ordertrace[$(1)]; what it said is above. It needs a package index: PyPI, or one named in PIP_INDEX_URL" >&2; exit 1; }

$(VENV)/.demo: setup.cfg pyproject.toml | $(BIN)/python
	@echo "installing ordertrace[demo] into $(VENV) (about a minute, the first time) ..."
	@$(BIN)/python -m pip install -q -e '.[demo]' || $(call NO_INSTALL,demo)
	@touch $@

$(VENV)/.test: setup.cfg pyproject.toml | $(BIN)/python
	@echo "installing ordertrace[test] into $(VENV) (a minute or two, the first time) ..."
	@$(BIN)/python -m pip install -q -e '.[test]' || $(call NO_INSTALL,test)
	@touch $@ $(VENV)/.demo
