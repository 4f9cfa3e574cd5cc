# The documentation, included by the Makefile at the top.
#
# make docs    builds the site into docs/_build/html; warnings are errors

.PHONY: docs

docs: $(VENV)/installed
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "docs/_build/html/index.html is the page to begin with"
