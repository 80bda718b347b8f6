# make demo: set up, fetch a model, ask it a question, write the page of the answer.   make test: set up, run the tests.
# Each target does all of its own set-up, works from any starting state, and may be run again at any time.
PYTHON ?= python3
TORCH  ?= torch==2.13.0
VENV   ?= .venv
BIN     = $(abspath $(VENV))/bin

# pip's torch for Linux is the CUDA build, 2.7 GB. So PyTorch's index of CPU builds goes first where no NVIDIA driver is found, pip's
# configuration names no wheels of its own, and the index answers within 3 s. TORCH_INDEX=URL chooses another index, TORCH_INDEX= none.
CPU_INDEX ?= https://download.pytorch.org/whl/cpu
DRIVER    ?= /proc/driver/nvidia
ANSWERS    = import signal, urllib.request as web; signal.alarm(3); web.urlopen("$(CPU_INDEX)/torch/")
ifeq ($(origin TORCH_INDEX),undefined)
TORCH_INDEX = $$(command -v nvidia-smi >/dev/null || test -e $(DRIVER) || \
	$(BIN)/python -m pip config list | grep -E "find-links|no-index" >/dev/null || \
	{ $(BIN)/python -c '$(ANSWERS)' && echo $(CPU_INDEX); } 2>/dev/null)
endif

# Some machines forbid Python to keep what it compiled: each process of the tests would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo showcase test test-catalogue test-referee test-thorough lint site notebooks wheels env model clean
.DEFAULT_GOAL := help

help:
	@echo "make demo            set up, fetch SmolLM2-135M (93 MB), ask it about capitals, write the page of the answer"
	@echo "make showcase        train a dictionary on SmolLM2 and open the explorer: about 20 minutes on one core"
	@echo "make test            set up, run the device's tests; make test-catalogue, make test-referee: the others"
	@echo "make test-thorough   what takes minutes, of all three projects"
	@echo "make lint            ruff, mypy, import contracts"
	@echo "make site            the pages of all three as a site in build/site, every link checked; it needs no network to be read"
	@echo "make notebooks       execute the notebooks of docs/notebooks: six minutes the first time, then half a minute"
	@echo "make wheels          the wheels of all three projects in dist/, to install from there"
	@echo "make clean           remove the environment (results stay)"

env: $(VENV)/.ready

# torch goes first and alone: a package that asks for it before would pull a build with gigabytes of GPU libraries;
# a build that is already there, for a GPU say, stays.
$(VENV)/.ready: pyproject.toml catalogue/pyproject.toml referee/pyproject.toml constraints.txt
	@echo "Setting up $(VENV): a download of about 0.6 GB (torch 0.2 GB; with CUDA 2.7 GB), about 2.5 GB on disk, 1–5 minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c "import torch" 2>/dev/null || { index=$(TORCH_INDEX); echo "1 of 2: torch from $${index:-the default of pip} …"; \
	  $(BIN)/python -m pip install --disable-pip-version-check $${index:+--extra-index-url $$index} $(TORCH); }
	@echo "2 of 2: the other packages, some 130; 1–2 minutes. pip names each as it fetches it."
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[dev]' -e ./catalogue -e ./referee
	@touch $(VENV)/.ready

model: env
	@$(BIN)/assay fetch smollm2

demo: env model
	@$(BIN)/assay run examples/country.toml
	@$(BIN)/assay report examples/country.toml
	@echo "The page of the answer: $(CURDIR)/report/country.html"

showcase: env model
	@$(BIN)/assay train-dictionary smollm2 --showcase
	@$(BIN)/assay serve showcase/smollm2 --model smollm2 --text docs --open

# Two for two cores: a third worker saves no time here, and what the three take from each other counts as CPU-seconds.
# Compiled once: the tests start many processes, and where PYTHONDONTWRITEBYTECODE is set each would compile the package anew.
test: env model
	@$(BIN)/python -m compileall -q -j 2 src
	@$(BIN)/python -m pytest -n 2 --dist worksteal --durations=15

test-catalogue: env model
	@$(BIN)/python -m compileall -q -j 2 src catalogue/src
	@cd catalogue && $(BIN)/python -m pytest -n 3 --dist worksteal --durations=15

test-referee: env
	@$(BIN)/python -m pytest referee/tests

# What the other three leave out, so that nothing runs twice.
test-thorough: env model
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "thorough or slow" --durations=20
	@cd catalogue && $(BIN)/python -m pytest -n 2 --dist worksteal -m "thorough or slow" --durations=20

lint: env
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# -W: a link that leads nowhere, or a page that is in no contents, ends it.
site: env
	@$(BIN)/sphinx-build -q -W --keep-going -d build/doctrees -c site . build/site
	@echo "Open build/site/index.html"

# What they show is kept in their files; a test holds each to the code that it was executed with.
notebooks: env model
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[notebooks]'
	@$(BIN)/assay train-dictionary smollm2 --showcase
	@$(BIN)/python docs/gallery.py

wheels: env
	@$(BIN)/python -m pip wheel -q --disable-pip-version-check --no-deps -w dist . ./catalogue ./referee
	@echo "pip install --find-links dist 'interp-assay[all]' assay-catalogue assay-vectors"

clean:
	rm -rf $(VENV)
