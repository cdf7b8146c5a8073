# Everything a person does with this checkout. Needs Python 3.11 or newer and the package registries.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test check lock clean

setup: $(VENV)/.runtime ## install the service into .venv
	@echo "the command line is $(BIN)/pas"

$(VENV)/.runtime: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

lock: ## pin the newest allowed versions, with hashes (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-annotate --no-header --generate-hashes \
	    pyproject.toml --group build -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-annotate --no-header --generate-hashes \
	    pyproject.toml --group build --group dev -c requirements.lock -o requirements-dev.lock
