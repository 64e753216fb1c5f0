# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
PYTHON ?= python3
export PYTHON

BIN := .venv/bin
# The installed copy is what a user has; every call of Ansible here looks for collections there alone.
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build/collections
# A checkout that belongs to somebody else is still this checkout (reuse asks git what is ignored).
own_checkout := GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$(CURDIR)
SHELL_SCRIPTS := .ci/run demo/run tools/make-venv tools/install-collection \
	tests/tools/system-packages tests/bench/prepare
TESTED := tests/unit tests/simulator tests/tools tests/integration/storage tests/integration/ring
# Most tests wait more than they compute. Each process has namespaces, addresses and ports of its own; one test at a
# time is handed out, so that none is left with all the long ones.
PYTEST = $(BIN)/python -m pytest --no-skips-as-root \
	--numprocesses auto --maxprocesses 4 --dist load --maxschedchunk 1

.PHONY: help
help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

.PHONY: install
install: ## Make .venv and install the collection below build/collections
	@tools/make-venv
	@tools/install-collection

.PHONY: demo
demo: ## Clone a disk image to one of two racks of local nodes, and prove it (needs no root)
	@demo/run check
	@$(MAKE) --no-print-directory install
	@demo/run prepare clone prove

.PHONY: pyz
pyz: ## Write dist/dolly.pyz, the command line (needs only Python 3.9 or later)
	@$(PYTHON) tools/make_pyz.py

.PHONY: test
test: ## Lint, unit tests, simulated rings, rings of real processes (some minutes)
	@tests/tools/system-packages
	@$(MAKE) --no-print-directory install
	@$(MAKE) --no-print-directory lint
	@mkdir -p build && rm -f build/test-counts
	$(PYTEST) --counts build/test-counts $(wildcard $(TESTED))
	@echo "make test: $$(cat build/test-counts); lint passed"

.PHONY: test-all
test-all: ## make test, and then playbooks, mutants, sanity, pythons, galaxy
	@$(MAKE) --no-print-directory test
	@rm -f build/test-all-counts
	$(PYTEST) --counts build/test-all-counts tests/integration/ansible
	@$(MAKE) --no-print-directory mutants
	@$(MAKE) --no-print-directory sanity pythons galaxy
	@echo "make test-all: $$(cat build/test-counts); playbooks: $$(cat build/test-all-counts);" \
	  "lint, mutants, sanity, pythons and galaxy passed"

.PHONY: lint
lint: install ## ruff, mypy, ansible-lint, changelog, licences, shell scripts
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/shellcheck $(wildcard $(SHELL_SCRIPTS))
	$(BIN)/antsibull-changelog lint
	cd $(ANSIBLE_COLLECTIONS_PATH)/ansible_collections/dolly/ring && PATH=$(CURDIR)/$(BIN):$$PATH \
	  antsibull-docs lint-collection-docs --plugin-docs .
	$(own_checkout) $(BIN)/reuse lint --quiet || { $(own_checkout) $(BIN)/reuse lint; exit 1; }
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/ansible-lint --offline --profile production --nocolor </dev/null

.PHONY: unit
unit: install ## Unit tests of the engine and of the tools
	$(PYTEST) $(wildcard tests/unit tests/simulator tests/tools)

.PHONY: soak
soak: install ## Simulated rings with faults of new seeds, for MINUTES=10, and one of 10,000 nodes
	$(BIN)/python -m tests.simulator --minutes $(or $(MINUTES),10) --large 10000

.PHONY: mutants
mutants: install ## Break the engine on purpose (tests/mutants): the named tests must notice
	$(BIN)/python tests/tools/mutants.py

.PHONY: ring
ring: install ## Ring and Ansible tests; the ones that need root are skipped without it
	@tests/tools/system-packages
	$(PYTEST) $(wildcard tests/integration)

.PHONY: sanity
sanity: install ## ansible-test sanity with the oldest and the newest ansible-core (needs Python 3.9 to 3.13)
	$(BIN)/python tests/tools/sanity_and_units.py sanity

.PHONY: pythons
pythons: install ## Unit tests by ansible-test on each Python of the nodes, 3.9 to 3.13
	$(BIN)/python tests/tools/sanity_and_units.py units

.PHONY: galaxy
galaxy: install ## galaxy-importer on the built collection; an execution environment with it
	$(BIN)/python tests/tools/galaxy.py

.PHONY: bench
bench: install ## Measure it beside other tools (BENCH='--quick'; see BENCH=--help); writes docs/performance.md
	@tests/bench/prepare
	@PYTHONPATH=tests $(BIN)/python -m bench $(BENCH)

.PHONY: faults
faults: install ## Measure what a fault costs the others (root; FAULTS='--cells kill'); the figures of docs/faults.md
	@PYTHONPATH=tests $(BIN)/python -m bench.faults --json build/faults.json $(FAULTS)

.PHONY: clean
clean: ## Remove everything that was made here
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis
