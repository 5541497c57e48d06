# The commands of this project. A newcomer needs two: `make quickstart` and `make test`.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Flags for the test runner: make test PYTEST="-k journal"
PYTEST ?=

.PHONY: help
help: ## Tell what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

.PHONY: quickstart
quickstart: install ## Start an engine and run a first container that answers over a published port
	deploy/quickstart

.PHONY: install
install: .packages-runtime .venv/.node ## Install scow and scowd into .venv/bin
	@echo "scow and scowd are in $(CURDIR)/$(BIN)"

.PHONY: .packages-runtime .packages-test
.packages-runtime:
	@deploy/install-packages deploy/packages/runtime.txt
.packages-test: .packages-runtime
	@deploy/install-packages deploy/packages/test.txt

# Byte code (pip makes that of other projects), since whoever runs it may not be allowed to write it, or told not to by
# PYTHONDONTWRITEBYTECODE; and the quick `scow` in place of pip's.
define make-quick
$(BIN)/python -m compileall -q client protos services shim
$(BIN)/python -m scow.cli.resident.launcher $(BIN)
endef

.venv/bin/python: | .packages-runtime
	$(PYTHON) -m venv .venv

.venv/.node: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --editable '.[node]'
	$(make-quick)
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --editable '.[dev]'
	$(make-quick)
	@touch $@ .venv/.node

.PHONY: test
test: .packages-test .venv/.dev lint ## Install what tests need and run them all
	$(BIN)/pytest -n 2 --dist loadgroup $(PYTEST)

.PHONY: lint
lint: .venv/.dev ## Check style, types, the direction of imports and generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	deploy/check-generated
	deploy/check-protos

.PHONY: protos
protos: .venv/.dev ## Generate the stubs of every contract
	deploy/generate-protos protos

.PHONY: sync-client
sync-client: .venv/.dev ## Generate the sync client from the async one
	$(BIN)/python deploy/generate-sync-client client/scow/client/_sync

# Seconds for each target, and which: make fuzz SECONDS_EACH=600 TARGETS="layer index"
SECONDS_EACH ?= 60
TARGETS ?= reference document configuration create change header index question answer mounts archive layer
.PHONY: fuzz
fuzz: .packages-test .venv/.dev ## Fuzz what parses strangers' input, led by coverage
	for target in $(TARGETS); do \
		$(BIN)/python -m tests.fuzz.atheris_run $$target -max_total_time=$(SECONDS_EACH) -max_len=8192 || exit 1; \
	done

.PHONY: bench
bench: .packages-test .venv/.dev ## Measure scow beside docker and podman
	$(BIN)/python -m tests.bench $(BENCH)

.PHONY: test-vm
test-vm: .packages-test .venv/.dev ## Run the shim's and the container service's tests on pure cgroup v2 in a VM
	$(BIN)/python -m tests.vm.run
