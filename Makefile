# Each target sets up what it needs: Python, make and one of pip, uv and venv are enough on a fresh machine.
# The pins in requirements/ decide what is installed; an environment is made again when they change.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3

# Airflow 2.11 does not run on Python 3.13. A python3.x found by name may be a shim that only prints an error,
# so each candidate has to run before it is believed.
IS_FOR_2_11 := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
PYTHON_2_11 ?= $(shell for python in "$(PYTHON)" python3.12 python3.11 python3.10; do \
	if "$$python" -c '$(IS_FOR_2_11)' >/dev/null 2>&1; then echo "$$python"; break; fi; done)

UV := .venv-tools/bin/uv
PYTEST_ARGS ?=
# Each worker of pytest-xdist runs whole files; three on two cores, since many tests wait for a rate window.
# PYTEST_ARGS="-n 0" runs all in one process, as --pdb needs it.
PYTEST_WORKERS ?= 3
BENCH_ARGS ?=
FAULTS_ARGS ?=
NAMES ?=
CLUSTER_ARGS ?=

# Nothing here may download an interpreter, report usage or show Airflow's own examples.
export UV_PYTHON_DOWNLOADS := never
# As pip does: a company's proxy has its authority in the system's store alone.
export UV_SYSTEM_CERTS ?= true
export AIRFLOW__CORE__LOAD_EXAMPLES := False
export AIRFLOW__USAGE_DATA_COLLECTION__ENABLED := False
export SCARF_ANALYTICS := false
# Settings of the caller's own Airflow would change what is tested.
unexport AIRFLOW_CONFIG AIRFLOW__CORE__DAGS_FOLDER AIRFLOW__DATABASE__SQL_ALCHEMY_CONN

# What targets print at the same time is kept apart, where this make can (macOS has one that cannot).
OUTPUT_SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync)

IN_WORKERS := --numprocesses $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder

# Every run has an Airflow home of its own, removed at the end: never ~/airflow.
IN_NEW_AIRFLOW_HOME = home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && AIRFLOW_HOME="$$home"

.PHONY: help demo test lint type format docs test-current test-2.11 test-wheel bench faults standalone cluster pictures dist lock clean

help: ## Show the targets
	@grep -hE '^[a-z0-9.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([^:]+):.*## /  \1\t/' | expand -t 18

demo: .venv/.made ## Push a generated shop's customers into the sandbox, on two nights
	.venv/bin/python -m demo

# One environment is made while checks run in another. The suite on the current Airflow comes last, so that the run closes
# with its summary.
test: ## All checks: style, types, docs, Airflow 2.11, Airflow 3.3, the wheel
	$(MAKE) --no-print-directory -j 2 $(OUTPUT_SYNC) lint type docs $(if $(PYTHON_2_11),.venv-2.11/.made)
	$(MAKE) --no-print-directory test-2.11
	$(MAKE) --no-print-directory test-current

lint: .venv/.made ## Style: ruff check and ruff format --check
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

type: .venv/.made ## Types: mypy --strict
	.venv/bin/mypy

format: .venv/.made ## Mend what ruff can mend
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# Not --quiet: MkDocs counts only warnings that it logs, and a broken link would pass. The variable turns off a notice of
# the theme's makers that is nobody's business here.
docs: .venv-docs/.made ## Build the documentation into site/; a broken link or anchor fails
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

test-current: .venv/.made ## The whole suite on Airflow 3.3, the wheel included
	$(IN_NEW_AIRFLOW_HOME) .venv/bin/python -m pytest $(IN_WORKERS) $(PYTEST_ARGS)

ifneq ($(PYTHON_2_11),)
test-2.11: .venv-2.11/.made ## What also holds on Airflow 2.11, in an environment of its own
	$(IN_NEW_AIRFLOW_HOME) .venv-2.11/bin/python -m pytest $(IN_WORKERS) -m "not airflow_3 and not volume" $(PYTEST_ARGS)
else
test-2.11:
	@echo "##########################################################################################" >&2
	@echo "## THE AIRFLOW 2.11 CHECKS WERE NOT RUN: it needs Python 3.10, 3.11 or 3.12, and neither" >&2
	@echo "## $(PYTHON) ($$($(PYTHON) -V 2>&1 || true)) nor python3.12, python3.11, python3.10 is one that runs." >&2
	@echo "## Name one with: make $@ PYTHON_2_11=/path/to/python3.12" >&2
	@echo "##########################################################################################" >&2
endif

test-wheel: .venv/.made ## Build the wheel, install it into an empty environment, ask Airflow what it sees
	$(IN_NEW_AIRFLOW_HOME) .venv/bin/python -m pytest tests/packaging/test_wheel.py $(PYTEST_ARGS)

# Never part of the tests: what it measures is worth something on a machine that does nothing else.
bench: .venv-bench/.made ## Measure every figure against its rival; BENCH_ARGS names some, or has --write
	$(IN_NEW_AIRFLOW_HOME) .venv-bench/bin/python -m benchmarks $(BENCH_ARGS)

# Never part of the tests: a short version of it is.
faults: .venv/.made ## Kill tasks at 200 random moments and look for what is lost; FAULTS_ARGS has --seed, --only, --changed-only or --write
	$(IN_NEW_AIRFLOW_HOME) .venv/bin/python -m faults $(FAULTS_ARGS)

# Never part of the tests: it takes minutes. It makes an Airflow home of its own.
standalone: .venv/.made ## Deferral, killed workers, changed rows, the sensor, assets, the live page, the quick start and the tutorial under a real Airflow; NAMES names some
	.venv/bin/python -m faults.standalone $(NAMES)

# Never part of the tests: it takes minutes. It starts its own PostgreSQL and Redis, whose programs the machine must have.
cluster: .venv-cluster/.made ## Eight shards on Celery, PostgreSQL, Redis and S3, and a killed worker; CLUSTER_ARGS has --short
	$(IN_NEW_AIRFLOW_HOME) .venv-cluster/bin/python -m faults.cluster $(CLUSTER_ARGS)

# Never part of the tests: it takes minutes, and needs a Chromium.
pictures: .venv/.made ## Take the documentation's pictures again, under a real Airflow and in a real Chromium
	.venv/bin/python -m faults.pictures

# The SBOM is generated from an environment with what the wheel requires under the pins of the tests, and nothing else. It
# stays in no checkout: a later build from there would carry what may no longer be true.
dist: .venv-release/.made ## Build the source distribution and the wheel into dist/, with the SBOM inside, and check them
	rm -rf dist .venv-required
	trap 'rm -rf sbom.cdx.json .venv-required' EXIT \
	&& $(UV) venv --quiet --python "$(PYTHON)" .venv-required \
	&& $(UV) pip install --quiet --python .venv-required --constraint requirements/airflow-3.3.txt --requirement pyproject.toml \
	&& .venv-release/bin/python -m release.sbom .venv-required \
	&& .venv-release/bin/python -m build --no-isolation \
	&& .venv-release/bin/python -m twine check --strict dist/*

# Compiled for every platform and every supported Python at once, so that one file serves them all.
# mysqlclient has to be compiled against the client library of MariaDB or MySQL, so it has a file of its own.
COMPILE := pip compile --quiet --universal --python-version 3.10 --upgrade --custom-compile-command "make lock"
WITHOUT_MYSQLCLIENT := --no-emit-package mysqlclient

lock: $(UV) ## Refresh the pins in requirements/ from the .in files
	$(UV) $(COMPILE) requirements/tools.in --output-file requirements/tools.txt
	$(UV) $(COMPILE) requirements/docs.in --output-file requirements/docs.txt
	$(UV) $(COMPILE) requirements/release.in --output-file requirements/release.txt
	$(UV) $(COMPILE) requirements/mysqlclient.in --output-file requirements/mysqlclient.txt
	$(UV) $(COMPILE) --no-deps requirements/warehouses.in --output-file requirements/warehouses.txt
	$(UV) $(COMPILE) $(WITHOUT_MYSQLCLIENT) requirements/airflow-3.3.in --output-file requirements/airflow-3.3.txt
	$(UV) $(COMPILE) $(WITHOUT_MYSQLCLIENT) --constraint requirements/airflow-3.3.txt requirements/cluster.in --output-file requirements/cluster.txt
	# The rivals meet the very versions that the tests run with.
	$(UV) $(COMPILE) $(WITHOUT_MYSQLCLIENT) --constraint requirements/airflow-3.3.txt requirements/bench.in --output-file requirements/bench.txt
	$(UV) $(COMPILE) $(WITHOUT_MYSQLCLIENT) requirements/airflow-2.11.in --output-file requirements/airflow-2.11.txt

clean: ## Remove environments, builds, caches and the demo's state
	rm -rf .venv .venv-2.11 .venv-bench .venv-cluster .venv-docs .venv-release .venv-required .venv-tools build dist site sbom.cdx.json demo/.run .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --target works where a distribution ships Python without venv or marks it as externally managed. A uv venv has no pip:
# there a uv on PATH installs it, or a venv with a pip of its own.
$(UV): requirements/tools.txt
	rm -rf .venv-tools
	export PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1; \
	if "$(PYTHON)" -c 'import pip' 2>/dev/null; then "$(PYTHON)" -m pip install --quiet --target .venv-tools --requirement $<; \
	elif command -v uv >/dev/null; then uv pip install --quiet --python "$(PYTHON)" --target .venv-tools --requirement $<; \
	else "$(PYTHON)" -m venv .venv-tools && .venv-tools/bin/python -m pip install --quiet --requirement $<; fi
	touch $@

# Adds mysqlclient to the environment $(1), after it was synchronised, where its build finds what it needs; the tests that
# need it are skipped elsewhere. Not isolated: so the pinned setuptools builds it.
define ADD_MYSQLCLIENT
{ command -v cc && { pkg-config --exists libmariadb || pkg-config --exists mysqlclient; } \
	&& $(UV) pip install --quiet --python $(1) --no-deps --no-build-isolation --requirement requirements/mysqlclient.txt; } \
	>/dev/null || echo "mysqlclient is not in $(1): it is built with a C compiler, Python's headers, pkg-config and the client" \
	"library of MariaDB or MySQL (on Debian: gcc python3-dev pkg-config libmariadb-dev). Tests that need it are skipped." >&2
endef

# pyproject.toml is a prerequisite because the entry points are written when the project is installed. Bytecode is
# compiled at once: many short processes follow, and some machines forbid them to write it.
.venv/.made: requirements/airflow-3.3.txt requirements/mysqlclient.txt pyproject.toml $(UV)
	$(UV) venv --quiet --allow-existing --python "$(PYTHON)" .venv
	$(UV) pip sync --quiet --compile-bytecode --python .venv requirements/airflow-3.3.txt
	@$(call ADD_MYSQLCLIENT,.venv)
	$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	touch $@

# The hooks of BigQuery and Snowflake are here and not beside Airflow 3.3, whose SQLAlchemy theirs does not know.
.venv-2.11/.made: requirements/airflow-2.11.txt requirements/mysqlclient.txt requirements/warehouses.txt pyproject.toml $(UV)
	$(UV) venv --quiet --allow-existing --python "$(PYTHON_2_11)" .venv-2.11
	$(UV) pip sync --quiet --compile-bytecode --python .venv-2.11 requirements/airflow-2.11.txt
	$(UV) pip install --quiet --python .venv-2.11 --no-deps --requirement requirements/warehouses.txt
	@$(call ADD_MYSQLCLIENT,.venv-2.11)
	$(UV) pip install --quiet --python .venv-2.11 --no-deps --no-build-isolation --editable .
	touch $@

.venv-bench/.made: requirements/bench.txt pyproject.toml $(UV)
	$(UV) venv --quiet --allow-existing --python "$(PYTHON)" .venv-bench
	$(UV) pip sync --quiet --compile-bytecode --python .venv-bench requirements/bench.txt
	$(UV) pip install --quiet --python .venv-bench --no-deps --no-build-isolation --editable .
	touch $@

.venv-cluster/.made: requirements/cluster.txt pyproject.toml $(UV)
	$(UV) venv --quiet --allow-existing --python "$(PYTHON)" .venv-cluster
	$(UV) pip sync --quiet --compile-bytecode --python .venv-cluster requirements/cluster.txt
	$(UV) pip install --quiet --python .venv-cluster --no-deps --no-build-isolation --editable .
	touch $@

.venv-docs/.made: requirements/docs.txt $(UV)
	$(UV) venv --quiet --allow-existing --python "$(PYTHON)" .venv-docs
	$(UV) pip sync --quiet --python .venv-docs requirements/docs.txt
	touch $@

.venv-release/.made: requirements/release.txt $(UV)
	$(UV) venv --quiet --allow-existing --python "$(PYTHON)" .venv-release
	$(UV) pip sync --quiet --python .venv-release requirements/release.txt
	touch $@
