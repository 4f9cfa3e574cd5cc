# What a table of speeds is made of, included by the Makefile at the top.
#
# make benchmarks    measures every row, and writes docs/design/speed.md
#
# MODEL=FILE.keras, published weights, adds the rows that compare with programs that load them.

ROWS := start forward log_mel sampling train_step gradient_cache step_memory probe growth
OF_MODEL := one_file anywhere

.PHONY: benchmarks

benchmarks: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[benchmarks]'
	set -e; for row in $(ROWS); do echo "== $$row"; $(BIN)/python -m benchmarks.$$row; done
ifdef MODEL
	set -e; for row in $(OF_MODEL); do $(BIN)/python -m benchmarks.$$row --model $(MODEL); done
endif
	$(BIN)/python -m benchmarks.page
