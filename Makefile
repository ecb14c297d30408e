# Everything here works from a bare Python with pip; `make` alone prints this list.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := $(VENV)/peers
SCALE ?= 20M
CRASHES ?= 100

.DEFAULT_GOAL := help
.PHONY: help demo test crash-test lint notebooks bench bench-small figures scale samples docs clean

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/cjm: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[images]"
	@touch $@

$(VENV)/.dev: $(BIN)/cjm
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

demo: $(BIN)/cjm ## set up, ingest the samples, write demo/report.html and the funnel chart
	$(BIN)/cjm demo

test: $(VENV)/.dev ## set up, and pass the tests
	$(BIN)/python -m pytest

crash-test: $(VENV)/.dev ## kill writers of the event store at hundreds of instants (CRASHES=100 of each kind of write)
	CJM_CRASHES=$(CRASHES) $(BIN)/python -m pytest tests/test_events_crash.py

lint: $(VENV)/.dev ## ruff, mypy, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

notebooks: $(VENV)/.dev ## execute all notebooks, top to bottom
	$(BIN)/python -m pytest tests/test_notebooks.py

$(VENV)/.bench: $(BIN)/cjm
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

# Retentioneering and PM4Py want other versions of what we stand on, so they live apart.
$(PEERS)/.done: $(BIN)/cjm
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(PEERS)/bin/python -m pip install --quiet --group peers
	@touch $@

bench: $(VENV)/.bench ## every work against its peers (SCALE=100M for the big one), into benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py $(SCALE)

bench-small: $(VENV)/.bench $(PEERS)/.done ## every analysis of a million events against Retentioneering and PM4Py
	$(BIN)/python benchmarks/run.py --small --peers $(PEERS)/bin/python

figures: $(VENV)/.bench ## what takes the time, the whole road, the loaders, and identity, into benchmarks/
	$(BIN)/python benchmarks/limits.py $(SCALE)
	$(BIN)/python benchmarks/road.py $(SCALE) --to benchmarks/ROAD.md
	$(BIN)/python benchmarks/loaders.py --to benchmarks/LOADERS.md
	$(BIN)/python benchmarks/identity.py --to benchmarks/IDENTITY.md
	$(BIN)/python benchmarks/persons.py --to benchmarks/PERSONS.md

scale: $(BIN)/cjm ## the whole road at 1M, 100M and 500M events (SIZES="1M 100M"), into benchmarks/SCALE.md
	$(BIN)/python benchmarks/scale.py $(SIZES)

samples: $(BIN)/cjm ## make data/samples again from its seed
	$(BIN)/python data/samples/generate.py
	$(BIN)/python data/samples/three_systems/generate.py

docs: $(BIN)/cjm ## build the documentation into build/docs
	$(BIN)/python -m pip install --quiet --group docs
	$(BIN)/mkdocs build --strict --quiet --site-dir build/docs

clean: ## remove what the other targets made
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis
