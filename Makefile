# `make` alone prints what there is.

PYTHON ?= python3
VENV := .venv/bin
RUN := $(VENV)/python -m

.DEFAULT_GOAL := help
.PHONY: help setup tools run up down logs test lint format lock bench build deploy clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: tools ## Install everything into this checkout (the other targets do so themselves)

tools:
	@$(PYTHON) -m local.bootstrap project tools

.PHONY: project
project:
	@$(PYTHON) -m local.bootstrap project

run: tools ## Start the local cloud, deploy, run the demonstration, stop everything
	@$(RUN) local.run

up: tools ## Start the local cloud, deploy, leave it running; writes .local/env (ARGS=--reset-trust)
	@$(RUN) local.up $(ARGS)

down: project ## Stop what `make up` started
	@$(RUN) local.down

logs: project ## Show the functions' logs of the running local cloud (ARGS="--follow --function audit")
	@$(RUN) local.logs $(ARGS)

test: tools ## Run all test suites, the one against the local cloud too (ARGS="-k name")
	@$(RUN) local.test $(ARGS)

lint: tools ## Check format, style, types, template and documentation
	@$(RUN) local.lint

format: project ## Put the code into its format
	@$(VENV)/ruff format .
	@$(VENV)/ruff check --fix --quiet .

lock: project ## Compile the hashed requirements files anew
	@$(RUN) local.lock $(ARGS)

bench: tools ## Measure against the budgets
	@$(RUN) bench $(ARGS)

build: tools ## Build the functions and the layer for AWS (python3.13, arm64)
	@$(RUN) local.aws build $(ARGS)

deploy: tools ## Build and deploy to AWS with the credentials of the environment (ARGS="--config-env prod")
	@$(RUN) local.aws deploy $(ARGS)

clean: ## Remove everything that was installed or built; stops the local cloud
	@if [ -x $(VENV)/python ]; then $(RUN) local.down; fi
	@rm -rf .venv .local .aws-sam .pytest_cache .mypy_cache .ruff_cache .hypothesis
