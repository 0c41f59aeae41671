# The one door. `make` alone lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PACK ?= mini

.PHONY: help setup demo up test lint format bench bench-cluster model migrate schema lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## everything of the lock, into .venv

$(INSTALLED): requirements.lock
	@command -v $(PYTHON) > /dev/null || { echo "Python 3.11 or newer is missing: install python3 (Debian: apt install python3 python3-venv), or name yours: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Trombi needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V): name a newer one, make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null || { echo "Python's venv module is missing: install it (Debian: apt install python3-venv)"; exit 1; }
	@echo "Setting up $(VENV): some hundred packages, about 900 MB, a minute or less"
	@$(PYTHON) -m venv $(VENV)
	@awk '/^[a-z0-9]/ { keep = /^uv==/ } keep' requirements.lock > $(VENV)/uv.lock.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.lock.txt
	@UV_LINK_MODE=copy $(BIN)/uv pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@touch $@

demo: setup ## the whole pipeline on photos: make demo PHOTOS=folder, or a sample event without
	@$(BIN)/python -m local demo $(if $(PHOTOS),"$(PHOTOS)")

up: setup ## the emulated cloud, until Ctrl-C
	@$(BIN)/python -m local up

test: lint model ## everything that is checked; ends with what could not run here
	@$(BIN)/python -m pytest -n auto --maxprocesses 2 --dist loadfile

lint: setup ## ruff and mypy
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary

format: setup ## put the code into ruff's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: model ## images a second, milliseconds by stage, cold start, memory
	@$(BIN)/python -m benchmarks.pipeline

bench-cluster: setup ## clustering beside hdbscan, scikit-learn and fast_hdbscan
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python -m benchmarks.cluster

model: setup ## a model pack: make model PACK=mini, buffalo_l or auraface
	@$(BIN)/python -m functions.detect.packs fetch $(PACK)

migrate: setup ## bring the database of DATABASE_URL up to the newest migration
	@$(BIN)/python -m local.migrate

schema: setup ## write sql/schema.sql anew from the migrations
	@$(BIN)/python -m local.schema

lock: setup ## resolve the dependencies of pyproject.toml into requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --quiet -o requirements.lock

clean: ## remove the virtual environment, the model packs and the emulated cloud's state
	@rm -rf $(VENV) .trombi .mypy_cache .ruff_cache .pytest_cache .hypothesis
