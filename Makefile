# `make` lists the targets. Everything is built in .venv from requirements.lock; nothing else is asked of the machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# `make demo` alone installs no more than a demo needs.
DEMO   := $(VENV)/.ready-demo
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help venv demo test chaos soak fuzz check format docs docs-check bench bench-stages bench-ledger lock vendor vendor-check dist pyz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@tools/venv $(PYTHON) $(VENV)
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@ $(DEMO)

$(DEMO): requirements-demo.lock pyproject.toml
	@tools/venv $(PYTHON) $(VENV)
	$(PIP) --require-hashes -r requirements-demo.lock
	$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

venv: $(READY) ## the virtual environment, from the lock file

demo: $(DEMO) ## the incident and its end, on a real OpenBao and PostgreSQL started on this machine
	$(BIN)/stepcreds demo

test: $(READY) ## every test but the slower rows of `make chaos`, on real servers
	@tools/servers
	@tools/node-tools $(VENV)
	$(BIN)/python -m pytest -q -n $${STEPCREDS_TEST_JOBS:-3} --dist loadfile --no-loadscope-reorder $(ARGS)

chaos: $(READY) ## break everything at every stage, and kill steps at 300 points; one table of what came of it
	@tools/servers
	$(BIN)/python -m pytest -q -n $${STEPCREDS_TEST_JOBS:-3} --dist worksteal -m "chaos or not chaos" tests/chaos $(ARGS)

soak: $(READY) ## by hand, about an hour: 5,000 steps and 10,000 kills, and whether anything lives on or grows
	$(BIN)/python tools/soak.py $(ARGS)

fuzz: $(READY) ## give each parser of foreign bytes what atheris finds, for 20 s; longer: ARGS="--seconds 300"
	$(BIN)/python tools/fuzz.py $(ARGS)

check: $(READY) ## format, lint, types, the import contract, workflows and scripts, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/lint.py
	$(MAKE) --no-print-directory docs-check
	$(MAKE) --no-print-directory vendor-check

format: $(READY) ## rewrite to the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## rewrite the generated parts of README and docs
	$(BIN)/python tools/docs.py

docs-check: $(READY) ## fail when a generated part is stale
	$(BIN)/python tools/docs.py --check

bench: $(READY) ## what a step costs, beside curl, the bao CLI and Python's bare start; then bench-ledger, ten minutes
	$(BIN)/python tools/bench.py $(ARGS)
	$(BIN)/python tools/bench_ledger.py

bench-stages: $(READY) ## where the time goes between a credential's issue and its proven death
	$(BIN)/python tools/bench_stages.py $(ARGS)

bench-ledger: $(READY) ## what a record and a signature cost, and verifying, sealing, asking and reporting of a million
	$(BIN)/python tools/bench_ledger.py $(ARGS)

lock: ## pin every dependency into requirements.lock (needs uv); newer versions: ARGS=--upgrade
	uv pip compile pyproject.toml --quiet --universal --python-version 3.10 --all-extras --group dev $(ARGS) \
	  --generate-hashes --no-emit-index-url --no-header --output-file requirements.lock
	uv pip compile pyproject.toml --quiet --universal --python-version 3.10 --extra demo --group build \
	  --constraint requirements.lock --generate-hashes --no-emit-index-url --no-header --output-file requirements-demo.lock
	uv pip compile pyproject.toml --quiet --universal --python-version 3.10 --extra mysql --extra ci \
	  --constraint requirements.lock --generate-hashes --no-emit-index-url --no-header --output-file requirements-vendor.lock

vendor: $(READY) ## unpack what travels with the Action, as requirements-vendor.lock names it
	$(BIN)/python tools/vendor.py

vendor-check: $(READY) ## fail where vendor/ differs by a byte from what the lock names
	$(BIN)/python tools/vendor.py --check

dist: $(READY) ## sdist, wheel, stepcreds.pyz and SHA256SUMS in dist/, the same bytes every time
	$(BIN)/python tools/dist.py

pyz: $(READY) ## dist/stepcreds.pyz alone: one file for any Python 3.10 or newer
	$(BIN)/python tools/pyz.py

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
