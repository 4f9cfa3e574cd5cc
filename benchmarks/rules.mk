# What a table of speeds is made of, included by the Makefile at the top.
#
# make benchmarks    measures every row in some 40 minutes, and writes docs/design/speed.md
#
# It wants a quiet machine, Python 3.11 or earlier and FFmpeg, as one of those that are compared
# with needs them, and makes environments of their own for these in build/environments. MODEL=FILE,
# published weights in .keras, is measured in place of those of the tests, and adds the row of
# exported models.

ROWS := start log_mel sampling train_step gradient_cache step_memory probe stored growth
OF_MODEL := load_model forward one_file folder

.PHONY: benchmarks

benchmarks: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[benchmarks]'
	set -e; for row in $(ROWS); do echo "== $$row"; $(BIN)/python -m benchmarks.$$row; done
	set -e; for row in $(OF_MODEL) $(if $(MODEL),anywhere); do echo "== $$row"; \
		$(BIN)/python -m benchmarks.$$row $(if $(MODEL),--model $(MODEL)); done
	$(BIN)/python -m benchmarks.page
