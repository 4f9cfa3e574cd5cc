# make test    creates .venv, installs what is needed, runs the tests
# make test-io the same in .venv-io, with tensorflow-io, which needs TensorFlow 2.17, and with the
#              lowest supported versions of everything else
# make lint    checks style, formatting and types
# make quickstart, make miniature: the paper on a small data set, see examples/miniature/rules.mk
# make docs, make dist: the documentation and the package, see docs/rules.mk, release/rules.mk
# PYTHON chooses the interpreter (3.10 to 3.13), VENV where the environment lies.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# librosa compiles itself into a cache when it is first imported. Where two processes do that at the
# same time, they can leave one that crashes all later ones.
COMPILED := "import librosa.core.pitch, librosa.filters"

.PHONY: test test-io lint format clean

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-io: .venv-io/installed
	.venv-io/bin/python -m pytest -n 2 --dist worksteal

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

.venv-io/installed: setup.py tests/lowest_versions.txt
	$(PYTHON) -m venv .venv-io
	.venv-io/bin/python -m pip install --quiet --upgrade pip
	.venv-io/bin/python -m pip install --quiet --editable '.[io,test]' \
		--constraint tests/lowest_versions.txt
	.venv-io/bin/python -c $(COMPILED)
	touch $@

clean:
	rm -rf $(VENV) .venv-io build *.egg-info

include examples/miniature/rules.mk docs/rules.mk release/rules.mk
