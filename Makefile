# The commands of this project. `make quickstart` and `make test` are all that a newcomer needs.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(shell find protos -name '*.proto')

.PHONY: protos
protos: ## Generate the stubs of every contract
	deploy/generate-protos protos

.PHONY: sync-client
sync-client: ## Make the sync client of the async one
	$(BIN)/python deploy/generate-sync-client client/scow/client/_sync
