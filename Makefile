# Every target sets itself up: a virtual environment in .venv with all that heliograph and its tests need.
PYTHON ?= python3
BIN := .venv/bin
SEEDS ?= 2000
FIRST_SEED ?= 0

.PHONY: demo test soak check bench clean

demo: .venv/ready
	$(BIN)/helio demo

test: .venv/ready
	$(BIN)/pytest -n 2 --dist loadfile

soak: .venv/ready
	$(BIN)/pytest tests/sim/test_campaign.py -n 2 -q --seeds=$(SEEDS) --first-seed=$(FIRST_SEED)

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
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
