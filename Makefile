# make setup  run time alone (no torch, no VTK): .venv
# make demo   the main job on a made sample
# make test   adds the test extras, runs every test      make lint   ruff and mypy
# make test-py312 PYTHON312=...  the tests that need no torch, on the Python that Slicer runs
# make bench  writes docs/benchmarks.md: quality, speed and memory, side by side with the papers' path
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt

.PHONY: setup setup-test demo test test-py312 lint bench clean

setup: $(VENV)/.setup
setup-test: $(VENV)/.setup-test

$(VENV)/.setup: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Faithful Imaging needs Python 3.11 or newer, not %d.%d: make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/.setup-test: $(VENV)/.setup
	$(PIP) -e '.[test]'
	touch $@

demo: setup
	$(BIN)/inference-core demo

test: setup-test
	$(BIN)/python -m pytest

# The Python that Slicer runs, without torch. Slicer's own base classes instead of stand-ins:
# SLICER_PYTHON=<Slicer source>/Base/Python/slicer make test-py312
PYTHON312 ?= python3.12
test-py312:
	$(PYTHON312) -m venv .venv312
	.venv312/bin/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[colon]' pytest hypothesis slicer-core
	.venv312/bin/python -m pytest Testing/core Testing/slicer

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check inference_core Testing LowDoseDenoise ColonFoldSim2Real FaithfulImagingLib
	$(BIN)/mypy

# BENCH='--low QUARTER --full FULL' scores denoisers on real pairs too
bench: setup-test
	$(PIP) -e '.[bench]'
	$(BIN)/python Testing/benchmarks/report.py $(BENCH)

clean:
	rm -rf $(VENV) demo build .pytest_cache .mypy_cache .ruff_cache .hypothesis
