# Everything a person does with this checkout. Needs Python 3.11 or newer and the package registries; `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first one that is new enough; `make PYTHON=/path/to/python3.12 …` names another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
    $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Names each package while it is fetched: the first time takes a minute or two.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --require-hashes --progress-bar off
NAMED = sed -un 's/^Collecting \([^ ]*\).*/  \1/p; s/^Installing collected packages:.*/  unpacking them/p'

AUDIT := .venv-audit
LOCK ?= --upgrade

.PHONY: help setup demo unit coverage test pictures check audit sbom format servers lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(VENV)/.runtime ## install the service into .venv; the command line is then .venv/bin/pas

demo: $(VENV)/.runtime ## start the service and an example source, archive real documents, print reports and metadata, stop both
	@$(BIN)/python -m examples.demo

STRICT := -W error::ResourceWarning -W error::pytest.PytestUnraisableExceptionWarning

unit: $(VENV)/.dev ## the unit tests: no servers, 130 s of CPU on two workers; ARGS=… goes to pytest
	$(BIN)/python -m pytest tests/unit -n 2 --dist loadfile -q -p no:schemathesis $(STRICT) $(ARGS)

coverage: $(VENV)/.dev ## the unit tests with the lines and branches of app/ that they run; what is missing, file by file
	$(BIN)/python -m pytest tests/unit -n 2 --dist loadfile -q $(STRICT) --cov --cov-report term-missing:skip-covered $(ARGS)

# Most of it is waiting, so two workers do it together. Each has servers of its own, and a file stays with one worker;
# in their order, as the long tests come first.
test: $(VENV)/.dev ## all tests, on real servers that are fetched into .servers/; ARGS=… goes to pytest (-n 0: one by one)
	@$(BIN)/python -m tests.servers --fetch || [ "$${CI:-}" != true ]
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=10 $(ARGS)

.PHONY: test-faults
test-faults: $(VENV)/.dev ## crashes and outages in their full form (25 minutes); PAS_FAULTS_SEED=… repeats a run
	PAS_FAULTS=full $(BIN)/python -m pytest tests/faults --durations=0 $(ARGS)

.PHONY: bench-check
bench-check: $(VENV)/.dev ## whether a task costs clearly more CPU than bench/expected.json says, in floors (3 minutes, nothing else running)
	$(BIN)/python -m bench.check $(ARGS)

pictures: $(VENV)/.dev ## the pictures of docs/ anew, from the page in Chromium
	PAS_PICTURES=docs/pictures CI=true $(BIN)/python -m pytest tests/browser/test_every_view.py -k pictures -q

check: $(VENV)/.dev ## lint, format, types, import direction, compose.yaml, Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/hadolint Dockerfile

audit: $(AUDIT)/.audit ## known vulnerabilities of what the service is installed from (asks pypi.org; exceptions: docs/security.md)
	$(AUDIT)/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict $(AUDIT_ARGS)

sbom: $(AUDIT)/.audit ## software bill of materials of the service: build/sbom.cdx.json (CycloneDX)
	@mkdir -p build
	$(AUDIT)/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible \
	    --output-file build/sbom.cdx.json

format: $(VENV)/.dev ## what ruff can put right by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

servers: $(VENV)/.dev ## Kafka, PostgreSQL, S3 and an OAuth server until Ctrl-C; prints settings for a shell
	@$(BIN)/python -m tests.servers

lock: ## pin what pyproject.toml allows, with hashes (needs uv); LOCK= keeps the pins that still fit
	uv pip compile --quiet --universal --python-version 3.11 $(LOCK) --no-annotate --no-header --generate-hashes \
	    pyproject.toml --group build -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 $(LOCK) --no-annotate --no-header --generate-hashes \
	    pyproject.toml --group build --group dev -c requirements.lock -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 $(LOCK) --no-annotate --no-header --generate-hashes \
	    --group audit -o requirements-audit.lock

clean: ## remove what the other targets made, except for the archive in .pas/
	rm -rf $(VENV) $(AUDIT) .servers .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage* *.egg-info build

# Python that is new enough, or the end with the way out.
NEW_ENOUGH = "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
    { echo "Python 3.11 or newer is needed; name one with make PYTHON=…" >&2; exit 1; }

$(BIN)/python:
	@$(NEW_ENOUGH)
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing the service into $(VENV)"
	@$(INSTALL) -r requirements.lock | $(NAMED)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "installing what the tests need into $(VENV)"
	@$(INSTALL) -r requirements-dev.lock | $(NAMED)
	@touch $@

$(AUDIT)/.audit: requirements-audit.lock
	@$(NEW_ENOUGH)
	@$(PYTHON) -m venv $(AUDIT)
	@echo "installing the audit tools into $(AUDIT)"
	@$(AUDIT)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-audit.lock
	@touch $@
