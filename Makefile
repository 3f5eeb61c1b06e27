# Two commands need no preparation: `make demo` and `make test`. The rest are parts of them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHEEL_VENV := .venv-wheel
LOWEST_VENV := .venv-lowest
CODE := pulltrace exporter aggregator kubectl alerts dashboards demo deploy tests
# More than there are cores: tests with daemons wait for some of their time, those without for most of it.
JOBS ?= 4
LIGHT_JOBS ?= 6
# What depends on the bounds that the programs declare. import-linter holds that models and state machines import no
# library.
PURE := $(addprefix tests/,pulltrace/model exporter/model exporter/tracking kubectl/model kubectl/core \
	$(addprefix aggregator/,controller diagnosis join kubelet pods))
PROGRAMS_TESTS := tests/pulltrace tests/exporter tests/aggregator tests/kubectl $(addprefix --ignore=,$(PURE))
# What a target needs is made side by side.
MAKEFLAGS += --jobs=2

.DEFAULT_GOAL := help

.PHONY: help
help: ## What can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: demo
demo: $(VENV)/ok ## Watch a cluster's pulls, all of it stand-ins; NODE=1 one node's; REAL=1 (root) a real containerd's
	@PYTHONPATH=tests:demo $(BIN)/python -m pulltrace_demo $(if $(filter 1,$(REAL)),--real) $(if $(filter 1,$(NODE)),--node)

.PHONY: stack
stack: $(VENV)/ok ## Prometheus and Alertmanager with our rules on a real node (root), or on stand-ins, to look around
	@PYTHONPATH=tests:alerts:deploy $(BIN)/python -m rig.stack

.PHONY: cluster
cluster: $(VENV)/ok ## A current Kubernetes of three nodes, Prometheus, Alertmanager, the chart, and pulls to look at (root)
	@PYTHONPATH=tests $(BIN)/python -m rig.kubernetes.real

.PHONY: check
check: lint types $(VENV)/ok ## Lint, types and the tests that start nothing, in less than two minutes
	$(BIN)/pytest -n $(JOBS) -m unit

.PHONY: lint
lint: $(VENV)/ok ## Style, which package may import which, and the Containerfile
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/lint-imports
	$(BIN)/hadolint deploy/Containerfile

.PHONY: types
types: $(VENV)/ok ## mypy, strict
	$(BIN)/mypy

.PHONY: test
test: lint types packages $(WHEEL_VENV)/ok $(LOWEST_VENV)/ok ## Everything, on the built wheel, with real daemons
	TEST_THE_INSTALLED=1 $(WHEEL_VENV)/bin/pytest -n $(JOBS) --dist loadgroup --durations 10
	TEST_THE_INSTALLED=1 $(LOWEST_VENV)/bin/pytest -n $(LIGHT_JOBS) -m "unit or contract" $(PROGRAMS_TESTS)

.PHONY: coverage
coverage: $(VENV)/ok packages ## Which lines no test runs. What runs in a process of its own is not seen
	$(BIN)/pytest -n $(JOBS) -m "unit or contract" --cov --cov-report term:skip-covered

.PHONY: dist
dist: dist/ok ## Wheel and sdist of this version

.PHONY: packages
packages: $(VENV)/ok ## The daemons and tools that tests run, into a cache outside the checkout
	@PYTHONPATH=tests $(BIN)/python -m rig.debian
	@PYTHONPATH=tests $(BIN)/python -m rig.npm
	@PYTHONPATH=tests $(BIN)/python -m rig.grafana
	@PYTHONPATH=tests $(BIN)/python -m rig.go_programs.build

.PHONY: bench
bench: $(VENV)/ok ## Cost and speed, as a table; judges nothing
	@PYTHONPATH=tests:alerts $(BIN)/python -m bench

.PHONY: fuzz
fuzz: $(VENV)/ok ## Inputs of broken and hostile peers, by a fuzzer: SECONDS=60, or RUNS=1000000; TARGETS="containerd client"
	@PYTHONPATH=tests $(BIN)/python -m fuzz $(if $(RUNS),--runs $(RUNS),--seconds $(or $(SECONDS),60)) $(TARGETS)

.PHONY: faults
faults: $(VENV)/ok ## Faults under pulls on real daemons, checked after each (root): SEED=1 STEPS=24
	@PYTHONPATH=tests $(BIN)/python -m faults --seed $(or $(SEED),1) --steps $(or $(STEPS),24)

.PHONY: soak
soak: $(VENV)/ok ## Pulls and faults for long, and what the programs hold meanwhile (root): MINUTES=30 SEED=1
	@PYTHONPATH=tests $(BIN)/python -m faults.soak --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1)

.PHONY: docs
docs: $(VENV)/ok ## The pages that are generated from tables in code
	$(BIN)/python -m pulltrace_exporter.config > docs/exporter-flags.md
	$(BIN)/python -m pulltrace_aggregator.config > docs/aggregator-flags.md
	$(BIN)/python -m pulltrace_aggregator.diagnosis.blocked_by > docs/causes.md
	{ $(BIN)/python -m pulltrace_exporter.metrics && $(BIN)/python -m pulltrace_aggregator.metrics; } > docs/metrics.md

.PHONY: rules
rules: $(VENV)/ok ## The rules for Prometheus, from their table
	PYTHONPATH=alerts $(BIN)/python -m pulltrace_alerts > alerts/pulltrace.rules.yaml
	@$(MAKE) --no-print-directory chart

.PHONY: dashboards
dashboards: $(VENV)/ok ## The dashboards' JSON files from their source
	@PYTHONPATH=alerts:dashboards $(BIN)/python -m pulltrace_dashboards
	@$(MAKE) --no-print-directory chart

.PHONY: chart
chart: $(VENV)/ok ## What is generated of the Helm chart, and the plain manifests
	@PYTHONPATH=alerts:deploy $(BIN)/python -m pulltrace_chart

.PHONY: screenshots
screenshots: $(VENV)/ok ## The dashboards' pictures in the docs, by Grafana's packages in Chromium; REVIEW=folder: all cases
	@PYTHONPATH=tests:alerts:dashboards $(BIN)/python -m rig.screenshots $(REVIEW)

.PHONY: pictures
pictures: $(VENV)/ok ## The pictures of the terminal in the docs, from a run of the client on the demo
	@PYTHONPATH=tests:demo $(BIN)/python -m pulltrace_demo.pictures

.PHONY: images
images: dist/ok ## Build both images and push them: REGISTRY=registry.example/team; prints the values of the chart
	@VERSION=$$($(BIN)/python -c 'import pulltrace; print(pulltrace.__version__)') sh deploy/images.sh

.PHONY: chart-package
chart-package: ## The chart as a package in dist/; REGISTRY=registry.example/charts pushes it there, too (needs helm)
	@command -v helm > /dev/null || { echo "chart-package: no helm here: https://helm.sh/docs/intro/install" >&2; exit 1; }
	helm package deploy/helm/pulltrace --destination dist
	$(if $(REGISTRY),helm push dist/pulltrace-$$(sed -n 's/^version: //p' deploy/helm/pulltrace/Chart.yaml).tgz oci://$(REGISTRY))

.PHONY: format
format: $(VENV)/ok ## Lay out the code
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

# Generated code of a newer grpcio-tools refuses older runtimes, so the lowest supported one is used.
STUBS_VENV := .venv-stubs
API := exporter/pulltrace_exporter/containerd/api
.PHONY: stubs
stubs: ## The gRPC stubs from our .proto files
	$(PYTHON) -m venv $(STUBS_VENV)
	$(STUBS_VENV)/bin/pip install --quiet --no-deps --require-hashes -r requirements/stubs.txt
	$(STUBS_VENV)/bin/python -m grpc_tools.protoc -Iexporter --python_out=exporter --pyi_out=exporter \
		--grpc_python_out=$(STUBS_VENV) $(API)/*.proto
	mv $(STUBS_VENV)/$(API:exporter/%=%)/*_pb2_grpc.py tests/rig/containerd_stubs/
	cd tests && ../$(STUBS_VENV)/bin/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. \
		--grpc_python_out=. rig/cri/runtime.proto
	rm -f tests/rig/containerd_stubs/descriptor_pb2_grpc.py tests/rig/containerd_stubs/payloads_pb2_grpc.py

# Hashes and no addresses: whichever index a machine uses, it must deliver these very files.
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate
.PHONY: lock
lock: $(VENV)/ok ## The locked requirements from pyproject.toml
	$(LOCK) --extra exporter --extra aggregator --extra kubectl --group dev --output-file requirements/dev.txt
	$(LOCK) --extra exporter --extra aggregator --extra kubectl --group test --output-file requirements/test.txt
	$(LOCK) --extra exporter --output-file requirements/exporter.txt
	$(LOCK) --extra aggregator --output-file requirements/aggregator.txt
	$(LOCK) --extra exporter --extra aggregator --extra kubectl --group test --resolution lowest-direct --output-file requirements/lowest.txt
	echo 'grpcio-tools==1.62.3' | $(BIN)/uv pip compile - --quiet --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --output-file requirements/stubs.txt

.PHONY: clean
clean: ## Remove what was made in the checkout
	rm -rf $(VENV) $(WHEEL_VENV) $(LOWEST_VENV) $(STUBS_VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A fresh Debian has no venv module.
.PHONY: python
python:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { apt-get update -q && apt-get install -qy python3-venv; }

$(VENV)/ok: requirements/dev.txt pyproject.toml | python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

SOURCES := $(shell find pulltrace exporter aggregator kubectl -type f -not -path '*/__pycache__/*')
dist/ok: $(VENV)/ok $(SOURCES) README.md LICENSE
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist . > /dev/null
	touch $@

# What they need comes before the wheel is built, beside the other virtual environment.
$(WHEEL_VENV)/requirements: requirements/test.txt
$(LOWEST_VENV)/requirements: requirements/lowest.txt
$(WHEEL_VENV)/requirements $(LOWEST_VENV)/requirements: | python
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --no-deps --require-hashes -r $<
	touch $@

$(WHEEL_VENV)/ok $(LOWEST_VENV)/ok: %/ok: %/requirements dist/ok
	$(@D)/bin/pip install --quiet --no-deps --force-reinstall dist/*.whl
	touch $@
