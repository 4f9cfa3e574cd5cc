# What a release needs, included by the Makefile at the top.
#
# make dist      builds sdist and wheel into dist/, checks them, installs the wheel into a bare
#                environment and embeds a file there
# make extras    checks that all extras can be installed together, but for io, which says why

# The keys of EXTRAS in setup.py, but io, with commas.
EXTRAS = $(shell sed -n '/^EXTRAS/,/^}/s/^    "\([a-z]*\)":.*/\1/p' setup.py | grep -vx io | paste -sd,)

.PHONY: dist extras

dist: .venv-dist/installed
	rm -rf dist .venv-wheel
	.venv-dist/bin/python -m build --outdir dist .
	.venv-dist/bin/python -m twine check --strict dist/*
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet dist/*.whl
	.venv-wheel/bin/python -I release/try_wheel.py
	rm -rf .venv-wheel

extras: .venv-dist/installed
	.venv-dist/bin/python -m pip install --quiet --dry-run --ignore-installed \
		'.[$(EXTRAS)]'

.venv-dist/installed:
	$(PYTHON) -m venv .venv-dist
	.venv-dist/bin/python -m pip install --quiet --upgrade pip
	.venv-dist/bin/python -m pip install --quiet build twine 'readme_renderer[md]'
	touch $@
