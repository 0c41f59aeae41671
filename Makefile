# The one door. `make` alone lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NODE := node_modules/.installed
# uv trusts the certificates that the system trusts, as pip does: a company's proxy has one of its own.
export UV_SYSTEM_CERTS ?= true

PACK ?= mini
IMAGE_PACK ?= buffalo_l
# Each of the hundred processes that the tests start would compile all of its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo up browser screenshots bench-page check test lint format formats fuzz bench bench-api bench-db bench-cluster bench-detect bench-load bench-search faults model migrate uninstall vector-index schema lock clean images base-image plan deploy smoke replay terraform-schema terraform-readme terraform-mistakes

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

browser: ## Chromium, for the tests of the web page (CHROMIUM=/path/to/chromium names one of your own)
	@found="$${CHROMIUM:-}"; for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		found="$${found:-$$(command -v $$name || true)}"; done; \
	if [ -n "$$found" ]; then echo "Chromium: $$found"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		echo "Installing Debian's chromium, some 300 MB, a minute or two"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium fonts-inter > /dev/null; \
	else echo "Chromium is missing: install it (Debian: sudo apt install chromium; macOS: brew install chromium), or name yours: CHROMIUM=/path/to/chromium"; exit 1; fi

screenshots: setup browser ## the web page's main states into docs/images; everybody in them is drawn
	@$(BIN)/python -m tests.browser.screenshots

check: setup ## in less than a minute: ruff, mypy, and the tests of pure parts and of messages
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n 2 -m "not long" tests/unit tests/contract/test_messages.py

# In the order of the folders: reordered, the few tests that take minutes would come last and wait for each other.
# Three at a time, for two processors: the tests of the bus and of whole clouds wait more than they compute.
test: setup ## everything that is checked; ends with coverage, what could not run here, and the ten slowest
	@$(MAKE) --no-print-directory -j 3 lint model $(if $(filter true,$(CI)),browser)
	@$(BIN)/python -m pytest -n 3 --no-loadscope-reorder --durations=10 -p tests.line_coverage

formats: setup ## write docs/formats.md anew from the cases of the tests
	@$(BIN)/python -m tests.unit.shared.formats_document

fuzz: setup ## hostile bytes on the decoder, the push entry and the messages: make fuzz [TARGET=decode] [SECONDS=60]
	@$(BIN)/python -m tests.fuzz $(or $(TARGET),all) --seconds $(or $(SECONDS),60)

lint: setup $(NODE) ## ruff and mypy; biome and tsc for the page's JavaScript
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m local.page_check

# What checks the page's JavaScript: nothing of it is served or shipped.
$(NODE): package-lock.json
	@command -v npm > /dev/null || { echo "npm is missing: install Node.js 20 or newer with npm (Debian: apt install npm)"; exit 1; }
	@npm ci --silent --ignore-scripts
	@touch $@

format: setup ## put the code into ruff's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

faults: model ## everything that can fail fails, many times: make faults [SEEDS=20]; the table of docs/reliability.md
	@$(BIN)/python -m tests.faults --seeds $(or $(SEEDS),20)

bench: model ## images a second, milliseconds by stage, cold start, memory
	@$(BIN)/python -m benchmarks.pipeline

bench-api: setup ## the list of persons, alone and while fifty organisers decide
	@$(BIN)/python -m benchmarks.api

bench-db: setup ## the hottest statements at 1 million faces, and which grow with what is kept: make bench-db [ARGS="--faces 100000"]
	@$(BIN)/python -m benchmarks.db $(ARGS)

bench-page: setup browser ## the web page with 500 persons, traced by Chromium; and how long 15 people take to name
	@$(BIN)/python -m benchmarks.page
	@$(BIN)/python -m benchmarks.naming

bench-search: setup ## searching the faces of an event: exact, and what an approximate index would cost and lose
	@$(BIN)/python -m benchmarks.search

bench-cluster: setup ## clustering beside hdbscan, scikit-learn and fast_hdbscan
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python -m benchmarks.cluster
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python -m benchmarks.cluster_run

bench-detect: model ## detection beside insightface, with the same weights
	@$(BIN)/python -m benchmarks.detect

bench-load: model ## 10,000 photos of 10 events at once with a stub of the model, 1,000 with mini: make bench-load [ARGS="--photos 50 --events 2 --real 20"]
	@$(BIN)/python -m benchmarks.load $(ARGS)

model: setup ## a model pack: make model PACK=mini, buffalo_l or auraface
	@$(BIN)/python -m functions.detect.packs fetch $(PACK)

migrate: setup ## bring the database of DATABASE_URL up to the newest migration
	@$(BIN)/python -m sql.migrate

uninstall: setup ## remove everything of Trombi's from the database of DATABASE_URL: make uninstall [YES=1]; YES where it holds data
	@$(BIN)/python -m sql.uninstall $(if $(YES),--yes)

vector-index: setup ## an approximate index over all faces, for SQL of your own: make vector-index [KIND=hnsw or ivfflat] [DROP=1]
	@$(BIN)/python -m sql.vector_index $(if $(DROP),--drop,--kind $(or $(KIND),hnsw))

schema: setup ## write sql/schema.sql from the migrations
	@$(BIN)/python -m sql.schema

# Its header names the command: Renovate reads it, and knows these options, with an equals sign.
lock: setup ## resolve the dependencies of pyproject.toml into requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --all-extras --group=dev --universal --python-version=3.11 \
		--generate-hashes --quiet --output-file=requirements.lock

images: setup ## the images: make images [IMAGE_PACK=buffalo_l] [GPU=1] [PUSH=1]; PUSH writes their digests for make plan
	@$(BIN)/python -m terraform.images --pack $(IMAGE_PACK) $(if $(GPU),--gpu) $(if $(PUSH),--push)

base-image: setup ## pin the images' base by its digest
	@$(BIN)/python -m terraform.images --pin-base

plan: setup ## what make deploy would change
	@$(BIN)/python -m terraform.deploy --plan

deploy: setup ## everything of terraform/terraform.tfvars.json, images and migrations included: make deploy [YES=1] [GPU=1]
	@$(BIN)/python -m terraform.deploy --pack $(IMAGE_PACK) $(if $(GPU),--gpu) $(if $(YES),--yes)

smoke: setup ## a photo through the deployed system: make smoke [PHOTO=file] [EVENT=id]
	@$(BIN)/python -m terraform.smoke $(if $(PHOTO),"$(PHOTO)") $(if $(EVENT),--event "$(EVENT)")

replay: setup ## replay dead letters of the deployed system: make replay ARGS="--list", "--topic face-results", …
	@$(BIN)/python -m terraform.replay $(ARGS)

terraform-schema: setup ## read the providers' schemas that the tests use anew
	@$(BIN)/python -m tests.terraform.provider_schema

terraform-readme: setup ## write the tables of terraform/README.md anew
	@$(BIN)/python -m tests.terraform.readme_tables

terraform-mistakes: setup ## seed mistakes into terraform/, one at a time, and see that each is caught
	@$(BIN)/python -m tests.terraform.mistakes

clean: ## remove the virtual environment, the model packs and the emulated cloud's state
	@rm -rf $(VENV) node_modules .trombi .mypy_cache .ruff_cache .pytest_cache .hypothesis
