# `make demo` and `make test` do all the set-up: Python >= 3.11 and make are enough, plus the package registries.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
UV ?= uv
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps

.PHONY: help demo test check docs bench lock clean
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMPS)/installed ## build the demo district from its source files, run it, draw it; writes out/
	@$(BIN)/cim demo

test: check ## every check, then every test; the last line is pytest's
	$(BIN)/python -m pytest --cov --cov-report=term

check: $(STAMPS)/installed ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMPS)/installed ## the documentation, in docs/_build
	$(BIN)/python -m sphinx -n -W --keep-going -b html docs docs/_build

bench: $(STAMPS)/installed ## the benchmarks, each a script; figures are ratios from one run
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

# The registry's address stays out of the lock: no setting of this machine may reach uv.
lock: ## write requirements.lock anew (needs uv)
	env -u UV_INDEX -u UV_DEFAULT_INDEX -u UV_INDEX_URL -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS \
		$(UV) --no-config pip compile pyproject.toml --all-extras --group dev --universal --fork-strategy fewest \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock

clean: ## remove what was built, the environment too
	rm -rf $(VENV) build dist out docs/_build docs/_generated htmlcov .coverage *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --- set-up: each step leaves a stamp, so that the second call starts at once ----------------------------------------------
$(STAMPS)/system: tools/system_packages.sh
	@$(if $(PYTHON),,echo "error: no Python >= 3.11 with venv found; on Debian: apt-get install python3-venv" >&2; exit 1)
	@tools/system_packages.sh
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/locked: requirements.lock $(STAMPS)/system
	@echo "installing the locked packages into $(VENV) (the first time takes minutes)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(STAMPS)/installed: pyproject.toml $(STAMPS)/locked
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
