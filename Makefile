# Every command for development and operation. `make` without a target lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NODE := node_modules/.installed
# Makes uv trust the system's certificates, as pip does. A company's proxy often has its own certificate.
export UV_SYSTEM_CERTS ?= true

PACK ?= mini
IMAGE_PACK ?= buffalo_l

# Let Python keep its bytecode. Otherwise each of the hundred processes that the tests start compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo up browser screenshots bench-page check test lint format formats fuzz bench bench-api bench-db bench-cluster bench-detect bench-load bench-search faults model migrate uninstall vector-index schema lock clean images base-image plan deploy smoke replay terraform-schema terraform-readme terraform-mistakes

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## install the packages of requirements.lock into .venv

$(INSTALLED): requirements.lock
	@command -v $(PYTHON) > /dev/null || { echo "Python 3.11 or newer is missing: install python3 (Debian: apt install python3 python3-venv), or give its path: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Trombi needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V). Give a newer one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null || { echo "Python's venv module is missing: install it (Debian: apt install python3-venv)"; exit 1; }
	@echo "Setting up $(VENV): about a hundred packages, 900 MB, a minute or less"
	@$(PYTHON) -m venv $(VENV)
	@awk '/^[a-z0-9]/ { keep = /^uv==/ } keep' requirements.lock > $(VENV)/uv.lock.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.lock.txt
	@UV_LINK_MODE=copy $(BIN)/uv pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@touch $@

demo: setup ## run the whole pipeline on your photos, or on a sample event: make demo [PHOTOS=folder]
	@$(BIN)/python -m local demo $(if $(PHOTOS),"$(PHOTOS)")

up: setup ## run the emulated cloud until Ctrl-C
	@$(BIN)/python -m local up

browser: ## find or install Chromium for the tests of the web page: make browser [CHROMIUM=/path/to/chromium]
	@found="$${CHROMIUM:-}"; for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		found="$${found:-$$(command -v $$name || true)}"; done; \
	if [ -n "$$found" ]; then echo "Chromium: $$found"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		echo "Installing Debian's chromium: about 300 MB, a minute or two"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium fonts-inter > /dev/null; \
	else echo "Chromium is missing: install it (Debian: sudo apt install chromium; macOS: brew install chromium), or give its path: CHROMIUM=/path/to/chromium"; exit 1; fi

screenshots: setup browser ## write pictures of the web page's main states to docs/images; all people in them are drawn
	@$(BIN)/python -m tests.browser.screenshots

check: setup ## run ruff, mypy, the unit tests and the message tests, in less than a minute
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n 2 -m "not long" tests/unit tests/contract/test_messages.py

# Tests run in the order of their folders. Reordered, the few tests that take minutes would come last, one after another.
# Three run at a time on two processors, because tests of the bus and of the whole cloud wait more than they compute.
test: setup ## run every check and test; prints coverage, the suites that could not run, and the ten slowest tests
	@$(MAKE) --no-print-directory -j 3 lint model $(if $(filter true,$(CI)),browser)
	@$(BIN)/python -m pytest -n 3 --no-loadscope-reorder --durations=10 -p tests.line_coverage

formats: setup ## regenerate docs/formats.md from the test cases
	@$(BIN)/python -m tests.unit.shared.formats_document

fuzz: setup ## fuzz the decoder, the push endpoint and the messages: make fuzz [TARGET=decode] [SECONDS=60]
	@$(BIN)/python -m tests.fuzz $(or $(TARGET),all) --seconds $(or $(SECONDS),60)

lint: setup $(NODE) ## run ruff and mypy, and biome and tsc on the page's JavaScript
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m local.page_check

# The tools that check the page's JavaScript. They are neither served nor shipped.
$(NODE): package-lock.json
	@command -v npm > /dev/null || { echo "npm is missing: install Node.js 20 or newer with npm (Debian: apt install npm)"; exit 1; }
	@npm ci --silent --ignore-scripts
	@touch $@

format: setup ## format the code with ruff
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

faults: model ## inject faults of every kind, many times, for the table of docs/reliability.md: make faults [SEEDS=20]
	@$(BIN)/python -m tests.faults --seeds $(or $(SEEDS),20)

bench: model ## measure images per second, milliseconds per stage, cold start and memory
	@$(BIN)/python -m benchmarks.pipeline

bench-api: setup ## measure the list of persons, alone and while fifty organisers make decisions
	@$(BIN)/python -m benchmarks.api

bench-db: setup ## measure the most frequent SQL statements at 1 million faces, and which slow down as the database grows: make bench-db [ARGS="--faces 100000"]
	@$(BIN)/python -m benchmarks.db $(ARGS)

bench-page: setup browser ## measure the web page with 500 persons by Chromium's tracing, and how long naming 15 people takes
	@$(BIN)/python -m benchmarks.page
	@$(BIN)/python -m benchmarks.naming

bench-search: setup ## measure exact search in an event's faces, and the cost and the misses of an approximate index
	@$(BIN)/python -m benchmarks.search

bench-cluster: setup ## compare clustering with hdbscan, scikit-learn and fast_hdbscan
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python -m benchmarks.cluster
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python -m benchmarks.cluster_run

bench-detect: model ## compare detection with insightface, with the same weights
	@$(BIN)/python -m benchmarks.detect

bench-load: model ## process 10,000 photos of 10 events at once with a stub of the model, then 1,000 with mini: make bench-load [ARGS="--photos 50 --events 2 --real 20"]
	@$(BIN)/python -m benchmarks.load $(ARGS)

model: setup ## get a model pack: make model PACK=mini, buffalo_l or auraface
	@$(BIN)/python -m functions.detect.packs fetch $(PACK)

migrate: setup ## apply the pending migrations to the database of DATABASE_URL
	@$(BIN)/python -m sql.migrate

uninstall: setup ## remove everything of Trombi from the database of DATABASE_URL: make uninstall [YES=1]; YES=1 if it holds data
	@$(BIN)/python -m sql.uninstall $(if $(YES),--yes)

vector-index: setup ## build an approximate index over all faces, for your own SQL: make vector-index [KIND=hnsw or ivfflat] [DROP=1]
	@$(BIN)/python -m sql.vector_index $(if $(DROP),--drop,--kind $(or $(KIND),hnsw))

schema: setup ## generate sql/schema.sql from the migrations
	@$(BIN)/python -m sql.schema

# Renovate reads this command from the lock's header. It understands only these options, written with an equals sign.
lock: setup ## resolve the dependencies of pyproject.toml into requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --all-extras --group=dev --universal --python-version=3.11 \
		--generate-hashes --quiet --output-file=requirements.lock

images: setup ## build the container images: make images [IMAGE_PACK=buffalo_l] [GPU=1] [PUSH=1]; PUSH=1 writes their digests for make plan
	@$(BIN)/python -m terraform.images --pack $(IMAGE_PACK) $(if $(GPU),--gpu) $(if $(PUSH),--push)

base-image: setup ## pin the base image by its digest
	@$(BIN)/python -m terraform.images --pin-base

plan: setup ## show what make deploy would change
	@$(BIN)/python -m terraform.deploy --plan

deploy: setup ## deploy terraform/terraform.tfvars.json, with images and migrations: make deploy [IMAGE_PACK=buffalo_l] [YES=1] [GPU=1]
	@$(BIN)/python -m terraform.deploy --pack $(IMAGE_PACK) $(if $(GPU),--gpu) $(if $(YES),--yes)

smoke: setup ## send a photo through the deployed system: make smoke [PHOTO=file] [EVENT=id]
	@$(BIN)/python -m terraform.smoke $(if $(PHOTO),"$(PHOTO)") $(if $(EVENT),--event "$(EVENT)")

replay: setup ## list or replay dead letters of the deployed system: make replay ARGS="--list", "--topic face-results", …
	@$(BIN)/python -m terraform.replay $(ARGS)

terraform-schema: setup ## extract the provider schemas that the tests use
	@$(BIN)/python -m tests.terraform.provider_schema

terraform-readme: setup ## regenerate the tables of terraform/README.md
	@$(BIN)/python -m tests.terraform.readme_tables

terraform-mistakes: setup ## seed mistakes into terraform/, one at a time, and verify that each is caught
	@$(BIN)/python -m tests.terraform.mistakes

clean: ## remove the virtual environment, the model packs and the emulated cloud's state
	@rm -rf $(VENV) node_modules .trombi .mypy_cache .ruff_cache .pytest_cache .hypothesis
