# A machine needs Python 3.11 or later, make and git; all else goes into .venv. Which Python, if there are
# several: PYTHON3=/usr/bin/python3.11, for instance, where .venv is not made yet.
PYTHONS := $(or $(PYTHON3),python3 python3.14 python3.13 python3.12 python3.11)
SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
CONTRACT_VENV := .venv-contract
CONTRACT_STAMP := $(CONTRACT_VENV)/.installed
# The dev lock holds all of the runtime lock: where it is installed, running needs nothing more.
READY_TO_RUN := $(if $(wildcard $(DEV_STAMP)),$(DEV_STAMP),$(RUN_STAMP))

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore
# Container images often forbid bytecode files. Then each of some 300 processes of a test run would compile
# all of the project anew, at 0.4 s of CPU. `make clean` removes them.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help run test lint fmt bench load load-ui chaos mutations drills contract simulations lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# exec: tayang alone handles Ctrl-C and SIGTERM, and its exit code is the recipe's.
run: $(READY_TO_RUN) ## Start everything: embedded PostgreSQL, API, backoffice, maintenance, examples
	@exec $(BIN)/tayang up

# Not reordered: xdist would begin with the files of most tests, and end with those of few long ones, alone.
test: lint ## Lint, then all tests, against a real primary and replica
	$(PYTHON) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(DEV_STAMP) ## Style, formatting, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(DEV_STAMP) ## Format the code, and correct what can be corrected
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# For instance ARGS="--only http --rounds 3"; exec, as below.
bench: $(DEV_STAMP) ## Measure this machine, beside the old design and Redis
	@exec $(PYTHON) -m loadtests.bench $(ARGS)

# For instance ARGS="--shape spike --rate 600 --seconds 60"; its exit code names the gate that failed.
load: $(DEV_STAMP) ## Two minutes of phones (Locust) at 2,000 requests/s, with gates
	@exec $(PYTHON) -m loadtests.load $(ARGS)

load-ui: $(DEV_STAMP) ## The same phones, started and watched in Locust's web UI
	@exec $(PYTHON) -m loadtests.load --ui-port 8089 $(ARGS)

# For instance ARGS="--only kill-backend --rounds 20 --seed 7"; exec: it alone handles Ctrl-C.
chaos: $(DEV_STAMP) ## Attack a service for 200 rounds, and audit every impression
	@exec $(PYTHON) -m tests.adversity.chaos $(ARGS)

# For instance ARGS="--number 100000 --seed 7".
mutations: $(DEV_STAMP) ## Send 10,000 mutated requests over every route, and look at every answer (some minutes)
	@exec $(PYTHON) -m tests.adversity.mutations $(ARGS)

# For instance ARGS="--requests 5000 --seed 7".
contract: $(DEV_STAMP) $(CONTRACT_STAMP) ## A generated client, and 50,000 requests made from /openapi.json (6 minutes)
	@exec $(PYTHON) -m tests.contract --client $(CONTRACT_VENV)/bin $(ARGS)

drills: $(DEV_STAMP) ## Measure what docs/guarantees.md promises (about half an hour)
	$(PYTHON) -m tests.adversity.drills.overshoot
	$(PYTHON) -m tests.adversity.drills.hard_budget
	$(PYTHON) -m tests.adversity.drills.failover --picture docs/failover.svg
	$(PYTHON) -m tests.adversity.drills.double_failure
	$(PYTHON) -m tests.adversity.drills.commit_modes
	$(PYTHON) -m tests.adversity.drills.flood
	$(PYTHON) -m tests.adversity.drills.pause
	$(PYTHON) -m tests.adversity.drills.erasure
	$(PYTHON) -m tests.adversity.drills.audience

simulations: $(DEV_STAMP) ## The engine alone: 200,000 cases against the oracle, pacing, draws, cost (a quarter of an hour)
	$(PYTHON) -m tests.oracle --cases 200000 --jobs 2
	$(PYTHON) -m tests.oracle.http --cases 3000
	$(PYTHON) -m tests.simulations.pacing --picture docs/pacing.svg
	$(PYTHON) -m tests.simulations.assignment
	$(PYTHON) -m tests.simulations.selection
	$(PYTHON) -m tests.simulations.guard

# With the indexes of this machine and without their addresses (docs/decisions/0002).
lock: $(DEV_STAMP) ## Write the lock files again, from pyproject.toml and requirements-contract.in
	$(BIN)/uv pip compile pyproject.toml --extra embedded --group build --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate -o requirements.lock >/dev/null
	$(BIN)/uv pip compile pyproject.toml --extra embedded --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate -c requirements.lock -o requirements-dev.lock >/dev/null
	$(BIN)/uv pip compile requirements-contract.in --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate -o requirements-contract.lock >/dev/null

clean: ## Remove .venv and the caches (the data in .tayang stays)
	rm -rf $(VENV) $(CONTRACT_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN_STAMP): requirements.lock pyproject.toml $(PYTHON)
	$(call install,requirements.lock)

$(DEV_STAMP): requirements-dev.lock requirements.lock pyproject.toml $(PYTHON)
	$(call install,requirements-dev.lock)

# The client's generator has pins that are not ours.
$(CONTRACT_STAMP): requirements-contract.lock $(PYTHON)
	@echo "Installing $< into $(CONTRACT_VENV)"
	@$(PYTHON) -m venv --clear $(CONTRACT_VENV)
	@$(CONTRACT_VENV)/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

define install
@echo "Installing $(1) into $(VENV) (a minute or two, only now and when it changes)"
@$(PYTHON) -m pip install --quiet --require-hashes -r $(1)
@$(PYTHON) -m pip install --quiet --no-deps --no-build-isolation -e .
@touch $@
endef

# Made again also when its Python was uninstalled (a dangling link is no file). A half-made environment is
# removed: the next run would take it for a whole one.
$(PYTHON):
	@for python in $(PYTHONS); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		"$$python" -c 'import ensurepip, venv' 2>/dev/null || { lacking="$$python"; continue; }; \
		"$$python" -m venv --clear $(VENV) && exit 0; \
		rm -rf $(VENV); exit 1; \
	done; \
	if [ -n "$$lacking" ]; then \
		version=$$("$$lacking" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		echo "$$lacking has no venv module: apt-get install python$$version-venv (or your system's equal)" >&2; \
	else \
		echo "Python 3.11 or later is needed, and there is none among: $(PYTHONS)" >&2; \
	fi; \
	exit 1
