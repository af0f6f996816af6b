# Everything runs in .venv, made from constraints.txt on first use; afterwards no target but `install-all` needs the network.
# On the machine: Python 3.11 or later and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV ?= .venv
VENV_TL3 ?= .venv-tl3
MODELS ?= mini planted-static planted-nested planted-dynamic planted-step
REAL_MODEL ?= smollm2-135m
PRESET ?= quick
WORKERS ?= 2
DOCS_OUT ?= docs/_build/html

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed-dev
INSTALLED_ALL := $(VENV)/.installed-all
INSTALLED_CLUSTER := $(VENV)/.installed-cluster
OFFLINE := HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TRANSFORMERS_OFFLINE=1
# Twice, for older and newer pip: the second holds for what builds the package.
PIP_INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/pip -qq --disable-pip-version-check install
# The same versions with TransformerLens 3.9, and what that needs besides.
TL3_PINS := $(VENV_TL3)/constraints.txt
INSTALLED_TL3 := $(VENV_TL3)/.installed
TL3_TESTS := $(addprefix tests/,models/test_hooked.py models/test_load.py $(addprefix decoding/,test_engines.py test_ablation.py test_trace.py))
REAL_TESTS := $(addprefix tests/,decoding/test_real_model.py decoding/test_ablation_modes.py experiments/test_real_model.py)
# Another preset is another run, so it gets another folder.
RUN_SUFFIX := $(if $(filter-out quick,$(PRESET)),-$(PRESET))
TUTORIALS := $(OFFLINE) $(BIN)/python .ci/tutorials.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install install-all verify real test-real test lint test-slow faults cluster-demo test-tl3 docs tutorials tutorials-save pictures gallery clean

help:
	@echo "make verify      check the paper's first claim on the bundled model and both controls (offline, resumes)"
	@echo "make real        fetch a real language model ($(REAL_MODEL)), check the paper's first claim on it, hold its traces against eager code"
	@echo "make test        linters, types, layers, tests, README snippets"
	@echo "make test-slow   the tests that take longer"
	@echo "make faults      break runs on purpose: kills, full disks, flipped bytes, bad input (an hour or more)"
	@echo "make cluster-demo  a Ray cluster of two nodes on this machine, and a small sweep on it"
	@echo "make test-tl3    the engines' tests with TransformerLens 3.9, its bridge and its HookedTransformer, in $(VENV_TL3)"
	@echo "make docs        the documentation, warnings being errors, into $(DOCS_OUT)"
	@echo "make tutorials   run every tutorial on the bundled model, and hold it against its notebook"
	@echo "make pictures    draw the pictures of README and documentation anew (needs Chromium)"
	@echo "make gallery     draw docs/views.md, a picture of every public view, anew (needs Chromium)"
	@echo "make clean       remove caches and built files (keeps $(VENV) and runs)"

install: $(INSTALLED)

install-all: $(INSTALLED_ALL)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "mechdyn needs Python 3.11 or later, $(PYTHON) is $$($(PYTHON) --version 2>&1); install it, or name one: make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; }
	@test -x $(BIN)/pip || { echo "== install: creating $(VENV)"; $(PYTHON) -m venv $(VENV); } || { \
	  echo "$(PYTHON) cannot create a virtual environment (see above); on Debian and Ubuntu install python3-venv" >&2; exit 1; }
	@echo "== install: mechdyn with its development tools, as pinned in constraints.txt (some minutes the first time)"
	@$(PIP_INSTALL) --editable ".[dev]"
	@touch $@

$(INSTALLED_ALL): $(INSTALLED)
	@echo "== install: what docs, images, notebooks and training need"
	@$(PIP_INSTALL) --editable ".[dev,docs,images,notebooks,train]"
	@touch $@

verify: $(INSTALLED)
	@for model in $(MODELS); do \
	  out=runs/verify-$$model$(RUN_SUFFIX); \
	  echo "== verify: dynamism on $$model, preset $(PRESET), into $$out"; \
	  $(OFFLINE) $(BIN)/mechdyn verify dynamism --model $$model --preset $(PRESET) --out $$out || exit 1; \
	done
	@echo "== verify: the controls must have their known verdicts"
	@$(BIN)/python .ci/expect_verdict.py $(foreach model,$(filter planted-%,$(MODELS)),runs/verify-$(model)$(RUN_SUFFIX))

# Fetched once; afterwards all of it runs offline.
real: $(INSTALLED)
	@echo "== real: fetching $(REAL_MODEL), where it is not here yet"
	@$(BIN)/mechdyn models get $(REAL_MODEL)
	@echo "== real: dynamism on $(REAL_MODEL), preset $(PRESET), into runs/verify-$(REAL_MODEL)$(RUN_SUFFIX)"
	@$(OFFLINE) $(BIN)/mechdyn verify dynamism --model $(REAL_MODEL) --preset $(PRESET) --out runs/verify-$(REAL_MODEL)$(RUN_SUFFIX)
	@$(MAKE) --no-print-directory test-real

# They skip where the model has not been fetched.
test-real: $(INSTALLED)
	@echo "== test-real: traces of smollm2-135m against plain Hugging Face eager code"
	@$(OFFLINE) $(BIN)/pytest -q -m "real and not slow" $(REAL_TESTS)

lint: $(INSTALLED)
	@echo "== test: ruff check"
	@$(BIN)/ruff check --quiet .
	@echo "== test: ruff format --check"
	@$(BIN)/ruff format --check --quiet . || { echo "some files are not formatted; run $(BIN)/ruff format" >&2; exit 1; }
	@echo "== test: mypy"
	@$(BIN)/mypy
	@echo "== test: import-linter"
	@$(BIN)/lint-imports --no-logo

# One thread a worker: the tests are small, and two workers with all threads each only get in each other's way.
test: lint
	@echo "== test: pytest with jaxtyping and beartype, README snippets included"
	@OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(WORKERS) --dist loadfile

test-slow: $(INSTALLED)
	@echo "== test-slow: pytest -m slow"
	@$(BIN)/pytest -q -m slow

faults: $(INSTALLED_CLUSTER)
	@echo "== faults: pytest -m faults, into docs/fault_results.md"
	@OMP_NUM_THREADS=1 $(OFFLINE) $(BIN)/pytest -q -m faults tests/faults -o junit_family=xunit1 --junitxml=$(VENV)/faults.xml
	@$(BIN)/python -m experiments.fault_results $(VENV)/faults.xml --out docs/fault_results.md

$(INSTALLED_CLUSTER): $(INSTALLED)
	@echo "== install: Ray"
	@$(PIP_INSTALL) --editable ".[dev,cluster]"
	@touch $@

cluster-demo: $(INSTALLED_CLUSTER)
	@echo "== cluster-demo: two nodes on this machine, into runs/cluster-demo"
	@OMP_NUM_THREADS=1 $(OFFLINE) $(BIN)/python -m experiments.cluster_demo

$(INSTALLED_TL3): pyproject.toml constraints.txt constraints-tl3.txt
	@echo "== install: mechdyn with TransformerLens 3.9 into $(VENV_TL3)"
	@test -x $(VENV_TL3)/bin/pip || $(PYTHON) -m venv $(VENV_TL3)
	@grep -v '^transformer-lens==' constraints.txt | cat - constraints-tl3.txt > $(TL3_PINS)
	@PIP_CONSTRAINT=$(TL3_PINS) PIP_BUILD_CONSTRAINT=$(TL3_PINS) $(VENV_TL3)/bin/pip -qq --disable-pip-version-check install \
	  --editable . beartype hypothesis psutil pytest
	@touch $@

# `models` and `decoding` alone import TransformerLens; these tests go through everything that they ask of it.
test-tl3: $(INSTALLED_TL3)
	@echo "== test-tl3: the models' and engines' tests with TransformerLens 3.9"
	@OMP_NUM_THREADS=1 $(VENV_TL3)/bin/python -m pytest -q -m "not slow" $(TL3_TESTS)

docs: $(INSTALLED_ALL)
	@echo "== docs: sphinx, warnings being errors, into $(DOCS_OUT)"
	@rm -rf docs/_api
	@$(OFFLINE) $(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --builder html docs $(DOCS_OUT)

tutorials: $(INSTALLED_ALL)
	@echo "== tutorials: run each, and hold it against its notebook"
	@$(TUTORIALS) check

# After a change that is meant: the notebooks with their outputs and pictures, to be reviewed and committed.
tutorials-save: $(INSTALLED_ALL)
	@$(PIP_INSTALL) --editable ".[images]"
	@$(TUTORIALS) save

pictures: $(INSTALLED_ALL)
	@echo "== pictures: of README and docs, into docs/pictures (needs Chromium)"
	@$(PIP_INSTALL) --editable ".[images]"
	@$(OFFLINE) $(BIN)/python -m experiments.pictures

gallery: $(INSTALLED_ALL)
	@echo "== gallery: a picture of every public view, and docs/views.md (needs Chromium)"
	@$(OFFLINE) $(BIN)/python -m experiments.gallery

clean:
	@echo "== clean: caches and built files"
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache docs/_build docs/_api
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -not -path './$(VENV_TL3)/*' -prune -exec rm -rf {} +
