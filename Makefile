# Everything a newcomer types. Needs Python >= 3.11 and make; the rest is installed into .venv, pinned and hash-checked.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: drill up test check bench faults containment mutants soak history lock clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

.venv/.run: requirements/run.txt pyproject.toml
	@command -v '$(PYTHON)' > /dev/null || \
	  { echo "There is no '$(PYTHON)' here. Nothing was installed: name a Python 3.11 or newer, as in 'make PYTHON=python3.12'." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Backstop needs Python 3.11 or newer; '$(PYTHON)' is older. Nothing was installed: try 'make PYTHON=python3.12'." >&2; exit 2; }
	@echo "Setting up .venv (once)…" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.run requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

drill: .venv/.run ## one incident, a naive agent and Backstop side by side
	@$(BIN)/backstop drill $(ARGS)

up: .venv/.run ## a demo shop to break, and Backstop on call for it, at http://127.0.0.1:8033/run
	@$(BIN)/backstop up $(ARGS)

test: .venv/.dev ## the tests
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/.dev ## types, lint, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/.dev ## recovery, models, extraction, redaction, the engine and the console, timed beside what they compare with
	@for of in $(or $(ARGS),recovery models extraction redaction engine console); do echo "== bench/$$of.py"; $(BIN)/python bench/$$of.py || exit 1; done

faults: .venv/.dev ## every fault of a model provider against four chains; writes docs/fault-matrix.md
	@$(BIN)/python bench/fault_matrix.py $(ARGS)

mutants: .venv/.dev ## mutation testing of the breaker and the policy, on a copy; lists what survives (minutes)
	@rm -rf .backstop/mutants && mkdir -p .backstop/mutants && cp -R src tests pyproject.toml .backstop/mutants
	@cd .backstop/mutants && PYTHONPATH=src ../../$(BIN)/mutmut run $(ARGS) && ../../$(BIN)/mutmut results

soak: .venv/.dev ## 200 incidents in which processes are killed wherever chance has it (half an hour)
	@$(BIN)/python -m tests.crash.soak $(ARGS)

containment: .venv/.dev ## how often a wrong model output becomes a harmful write; writes docs/containment.md
	@$(BIN)/python bench/containment.py $(ARGS)

history: .venv/.dev ## records anew what this version leaves unfinished, for later ones to finish (tests/engine/histories)
	@$(BIN)/python -m tests.engine.record_history

lock: ## pin requirements/*.in anew, with hashes, naming no index (needs uv)
	@cd requirements && for set in run dev litellm; do \
	  uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 --universal $$set.in -o $$set.txt; done

clean: ## remove what the other commands made
	rm -rf .venv .venv-litellm .backstop .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
