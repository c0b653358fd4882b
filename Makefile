# Every target sets itself up: a virtual environment in .venv with all that heliograph and its tests need.
# The first of these that is there and new enough.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
TEST_SEEDS ?= 40
SEEDS ?= 2000
GRAPHS ?= 1000
RUNS ?= 50
GRAPH_RUNS ?= 20
FIRST_SEED ?= 0
SECONDS ?= 20
TARGETS ?=

.PHONY: demo test soak fuzz check bench clean

demo: .venv/ready
	$(BIN)/helio demo

# Hundreds of processes start in the tests, and each in half the time when the modules are compiled, which Python does not
# keep by itself where PYTHONDONTWRITEBYTECODE is set.
test: .venv/ready
	$(BIN)/python -m compileall -q src
	$(BIN)/pytest -n 2 --dist loadfile -m "not planted" --seeds=$(TEST_SEEDS) --runs=1 --graphs=4

soak: .venv/ready
	$(BIN)/pytest -m hypothesis -n 2 -q --hypothesis-profile=thorough --timeout=1800
	$(BIN)/pytest tests/sim/test_campaign.py -n 2 -q --seeds=$(SEEDS) --first-seed=$(FIRST_SEED)
	$(BIN)/pytest tests/sim/test_graphs.py -k any_graph -n 2 -q --graphs=$(GRAPHS) --first-seed=$(FIRST_SEED)
	$(BIN)/pytest tests/sim/test_topologies.py -n 2 -q --most-sites=9
	$(BIN)/pytest tests/system/test_histories.py -k right -q --runs=$(RUNS) --first-seed=$(FIRST_SEED)
	$(BIN)/pytest tests/system/test_graphs.py -q --graph-runs=$(GRAPH_RUNS) --first-seed=$(FIRST_SEED)
	$(BIN)/pytest tests/system -m planted -q

# Every parser, guided by the code that its input reaches: SECONDS for each of TARGETS (all of them).
fuzz: .venv/ready
	$(BIN)/python -m pip install --quiet --editable '.[dev,fuzz]'
	$(BIN)/python -m tests.parsers.fuzz --seconds=$(SECONDS) $(TARGETS)

check: .venv/ready
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/ready
	$(BIN)/helio bench wan --json --embedded --put-all=100 --clients=16

clean:
	rm -rf .venv

.venv/ready: pyproject.toml
	$(if $(PYTHON),,$(error heliograph needs Python 3.11 or newer: install it, or name it with make PYTHON=...))
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
