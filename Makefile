PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest

# Those that `make bench` runs, one after the other; the last makes the page of them all.
BENCHMARKS := updates profiled sure bound pairs convolutions classes labels rows batches replicas processes variance memory command short page

.PHONY: demo test test-oldest test-gpu lint docs linkcheck soak bench dist clean

demo: $(VENV)/installed
	$(BIN)/pyro-ssvae compare vade m2 supervised --seeds 2 --epochs 60 --out runs/demo --overwrite

test: lint
	$(BIN)/python -m pytest -n auto

# With the oldest versions that pyproject.toml allows of what the library needs.
test-oldest: $(OLDEST)/installed
	$(OLDEST)/bin/python -m pytest -n auto

# On a machine with a GPU: the tests that need one, several at once.
test-gpu: $(VENV)/installed
	$(BIN)/python -m pytest -n 8 --dist=load -m gpu tests/test_gpu.py

lint: $(VENV)/installed
	$(BIN)/flake8
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/python -m sphinx -W --keep-going -n -c docs . build/docs
	@echo "see build/docs/index.html"

# Asks the servers of all links to other places, which needs a network.
linkcheck: $(VENV)/installed
	$(BIN)/python -m sphinx -b linkcheck -c docs . build/linkcheck

soak: $(VENV)/installed
	rm -f tests/soak.json
	SOAK=100000 SOAK_RESULT=tests/soak.json $(BIN)/python -m pytest -n auto tests/test_fuzz.py

bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev,bench]'
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done

# The wheel is built from the source distribution, so that what is left in build/ has no part in it.
dist: $(VENV)/installed
	rm -rf dist
	$(BIN)/python -m build --no-isolation

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(OLDEST)/installed: pyproject.toml
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -c 'import tomllib; print(*(need.replace(">=", "==") for need in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]), sep="\n")' > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --editable '.[dev]' --constraint $(OLDEST)/constraints.txt
	touch $@

clean:
	rm -rf $(VENV) $(OLDEST) build dist runs *.egg-info
