# make demo: set up, fetch the model, run the main job, write the report.   make test: set up, run the tests.
# Each target does all of its own set-up, works from any starting state, and may be run again at any time.
PYTHON ?= python3
TORCH  ?= torch==2.13.0
VENV   ?= .venv
BIN     = $(VENV)/bin

# Some machines forbid Python to keep what it compiled: each process of the tests would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-referee test-all test-thorough test-slow test-budget check lint site env model clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   set up, fetch SmolLM2-135M (93 MB), run superposition and gated-sae, write the report"
	@echo "make test   set up, run the tests, six minutes; make test-all: all but those that take minutes, docs/tests.md says more"
	@echo "make test-referee   the test cases with known answers (referee/), half a minute"
	@echo "make check  a minute while writing: what the change touches, see docs/tests.md"
	@echo "make lint   ruff, mypy, import contracts"
	@echo "make site   these pages as a site in build/site, every link checked; it needs no network to be read"
	@echo "make clean  remove the environment (results stay)"

env: $(VENV)/.ready

# torch goes first and alone: a package that asks for it before would pull a build with gigabytes of GPU libraries;
# a build that is already there, for a GPU say, stays.
$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "Setting up $(VENV): a download of about 0.5 GB (torch 0.2 GB), about 1.7 GB on disk, 1–5 minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c "import torch" 2>/dev/null || { echo "1 of 2: torch …"; $(BIN)/python -m pip install --disable-pip-version-check $(TORCH); }
	@echo "2 of 2: the other packages, some fifty; 1–2 minutes. pip names each as it fetches it."
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.ready

model: env
	@$(BIN)/assay fetch smollm2

demo: env model
	@$(BIN)/assay run superposition
	@$(BIN)/assay run gated-sae
	@$(BIN)/assay report gated-sae
	@echo "Its dictionary in the browser: $(BIN)/assay serve gated-sae/showcase --open"
	@echo "It is a short one; a better one takes five minutes more: $(BIN)/assay make-showcase"

# Three for two cores: a core would idle while a test waits for a process that it started, or for a clock.
# Compiled once: the tests start many processes, and where PYTHONDONTWRITEBYTECODE is set each would compile the package anew.
test: env model
	@$(BIN)/python -m compileall -q -j 2 src
	@$(BIN)/python -m pytest -n 3 --dist worksteal

# Test cases with known answers: a project of its own, which needs no model.
test-referee: env
	@$(BIN)/python -m pytest referee/tests

test-all: env model
	@$(BIN)/python -m compileall -q -j 2 src
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow"

# What make test leaves of make test-all, so that nothing runs twice.
test-thorough: env model
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m "thorough and not slow"

# One process, so that what a test costs is its own; a report, which asks nothing.
test-budget: env model
	@$(BIN)/python -m compileall -q -j 2 src
	@$(BIN)/python -m pytest -q --budget

test-slow: env model
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m slow --durations=0 --durations-min=1

check: env
	@$(BIN)/ruff check src tests benchmarks referee docs
	@$(BIN)/mypy
	@$(BIN)/python tests/touched.py | xargs -r $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --within 40

lint: env
	@$(BIN)/ruff check src tests benchmarks referee docs
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# -W: a link that leads nowhere, or a page that stands in no contents, ends it.
site: env
	@$(BIN)/sphinx-build -q -W --keep-going -d build/doctrees -c site . build/site
	@echo "Open build/site/index.html"

clean:
	rm -rf $(VENV)
