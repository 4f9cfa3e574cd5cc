# The paper on a small data set, included by the Makefile at the top.
#
# make quickstart   shows that the whole chain works: a quarter of an hour on two cores
# make miniature    the same with more tracks and the serious recipes of configs/miniature
# make publish      puts what the README shows of the miniature into docs/
#
# Every product below quickstart/ or miniature/ is made by one command, once; an interrupted make
# resumes. DATA_FLAGS, TRAIN_FLAGS and PROBE_FLAGS are handed to the commands, to shrink them.
# MODELS="supervised contrastive contrastive_paper random" has the paper's own recipe too.

SCALES := quickstart miniature
MODELS := supervised contrastive random
SEEDS := 0 1 2 3 4
RUN := $(BIN)/python -m
RECIPES := examples/miniature/configs

.PHONY: quickstart miniature publish

quickstart miniature: export TF_CPP_MIN_LOG_LEVEL ?= 3
quickstart miniature: %: %/report.html
	@echo "== $*/report.html is the page to look at"

miniature/data/README.md: DATA_FLAGS := --tracks 3200

$(SCALES:=/data/README.md): | $(VENV)/installed
	@echo "== 1 of 7: compose and play the data set"
	$(RUN) examples.miniature.dataset --output $(@D) $(DATA_FLAGS)

$(SCALES:=/records/done): %/records/done: %/data/README.md
	@echo "== 2 of 7: log-mel spectrograms of the parts for training and validation"
	$(RUN) tfrecord_tools.write --table $*/data/train.csv --vocabulary $*/data/labels.txt \
		--shard_megabytes 32 --output $*/records/train
	$(RUN) tfrecord_tools.write --table $*/data/valid.csv --vocabulary $*/data/labels.txt \
		--shard_megabytes 32 --output $*/records/valid
	@touch $@

$(SCALES:=/models/supervised/model.keras): %/models/supervised/model.keras: %/records/done
	@echo "== 3 of 7: pre-train with labels"
	$(RUN) mar.train --config $(RECIPES)/$*/supervised.yaml --output $(@D) $(TRAIN_FLAGS)

$(SCALES:=/models/contrastive/model.keras): %/models/contrastive/model.keras: %/records/done
	@echo "== 4 of 7: pre-train without labels"
	$(RUN) mar.train --config $(RECIPES)/$*/contrastive.yaml --output $(@D) $(TRAIN_FLAGS)

$(SCALES:=/models/contrastive_paper/model.keras): %/models/contrastive_paper/model.keras: %/records/done
	@echo "== 4 of 7: and by the paper's recipe"
	$(RUN) mar.train --config $(RECIPES)/$*/contrastive_paper.yaml --output $(@D) $(TRAIN_FLAGS)

$(SCALES:=/models/random/model.keras): %/models/random/model.keras: %/records/done
	@echo "== 4 of 7: and the same network as it is before training"
	$(RUN) mar.train --config $(RECIPES)/$*/contrastive.yaml --output $(@D) $(TRAIN_FLAGS) \
		--set Trainer.steps=0

$(SCALES:=/embeddings/done): %/embeddings/done: $(MODELS:%=\%/models/%/model.keras)
	@echo "== 5 of 7: embed all tracks and notes with each model"
	for model in $(MODELS); do $(RUN) mar.embed --model $*/models/$$model/model.keras \
		--output $*/embeddings/$$model $*/data/audio.m3u || exit; done
	$(RUN) mar.embed --model logmel_mean --output $*/embeddings/logmel_mean $*/data/audio.m3u
	@touch $@

TASKS := key instrument genre meter tempo pitch

$(SCALES:=/results/done): %/results/done: %/embeddings/done
	@echo "== 6 of 7: probe six tasks"
	$(RUN) mar.probe --output $*/results $(PROBE_FLAGS) $(TASKS:%=--task $*/data/tasks/%.csv) \
		$(addprefix --embeddings $*/embeddings/,$(MODELS) logmel_mean) $(SEEDS:%=--seed %)
	@touch $@

$(SCALES:=/report.html): %/report.html: %/results/done
	@echo "== 7 of 7: the report"
	$(RUN) examples.miniature.report $* --output $@

# What the tables and figures are drawn from, and the page: neither probes, pictures nor sound, and
# of the predictions those of one seed.
publish: miniature/report.html
	rm -rf docs/miniature
	mkdir -p docs/miniature
	cp -r miniature/results docs/miniature/results
	find docs/miniature/results '(' -name done -o -name probe.keras -o -name head.safetensors \
		-o -name '*.png' ')' -delete
	find docs/miniature/results -path '*/$(firstword $(SEEDS))/*' -o -name predictions.npz -delete
	find docs/miniature/results -name result.json -exec sed -i 's|$(CURDIR)/||g' {} +
	$(RUN) mar.tables --results docs/miniature/results --output miniature/tables
	cp miniature/tables/tasks.svg docs/miniature/tasks.svg
	$(RUN) examples.miniature.report miniature --nosound --output docs/miniature/report.html
