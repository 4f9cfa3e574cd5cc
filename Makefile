# make test        creates .venv, installs what is needed, tests every property once
# make check       the inner loop: style, types, and the tests that need no TensorFlow and no codec
# make test-slow   what takes long: loops of kills, all combinations, the tutorials, the wheel
# make test-torch  what PyTorch is for, in .venv-torch
# make test-io     all in .venv-io, with tensorflow-io, which needs TensorFlow 2.17, and with the
#                  lowest supported versions of everything else
# make lint        checks style, formatting and types
# make quickstart, make miniature: the paper on a small data set, see examples/miniature/rules.mk
# make soak: kills, hostile files, memory over time, see tests/soak/rules.mk
# make docs, make dist: the documentation and the package, see docs/rules.mk, release/rules.mk
# make benchmarks: how fast it is, see benchmarks/rules.mk
# PYTHON chooses the interpreter (3.10 to 3.13), VENV where the environment lies.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# librosa and PaCMAP compile themselves into a cache when they are first imported. Where two processes
# do that at the same time, they can leave one that crashes all later ones.
COMPILED := "import librosa.core.pitch, librosa.filters, pacmap"

# Three on two cores, as some tests wait for other processes; none of the quick ones does.
PYTEST := python -m pytest --dist worksteal -n 3

.PHONY: check test test-slow test-torch test-io lint format clean

check: lint
	$(BIN)/$(PYTEST) -n 2 --quick -m "not slow" -r fE

test: $(VENV)/installed
	$(BIN)/$(PYTEST) -m "not slow"

test-slow: $(VENV)/installed
	$(BIN)/$(PYTEST) -m slow
	$(MAKE) dist

test-torch: .venv-torch/installed
	.venv-torch/bin/python -m pytest -k torch

test-io: .venv-io/installed
	.venv-io/bin/$(PYTEST) -m "not slow"

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test,cluster,docs,notebooks,quickstart]'
	$(BIN)/python -c $(COMPILED)
	touch $@

.venv-torch/installed: setup.py
	$(PYTHON) -m venv .venv-torch
	.venv-torch/bin/python -m pip install --quiet --upgrade pip
	.venv-torch/bin/python -m pip install --quiet torch --editable '.[test]'
	.venv-torch/bin/python -c $(COMPILED)
	touch $@

.venv-io/installed: setup.py tests/lowest_versions.txt
	$(PYTHON) -m venv .venv-io
	.venv-io/bin/python -m pip install --quiet --upgrade pip
	.venv-io/bin/python -m pip install --quiet --editable '.[io,test]' \
		--constraint tests/lowest_versions.txt
	.venv-io/bin/python -c $(COMPILED)
	touch $@

clean:
	rm -rf $(VENV) .venv-torch .venv-io build *.egg-info

include examples/miniature/rules.mk docs/rules.mk release/rules.mk tests/soak/rules.mk benchmarks/rules.mk
