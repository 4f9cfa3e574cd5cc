# What it survives, included by the Makefile at the top; the table is docs/design/faults.md.
#
# make soak          all parts, one after the other: three and a half hours on two cores
# make soak-inputs   60 damaged and hostile files of each kind, read in processes that are watched
# make soak-kills    50 kills of each command; resumes
# make soak-surroundings: full and read-only disks, outputs that are removed; needs root
# make soak-embed, soak-train, soak-explore: half an hour of work each, memory and descriptors
# make soak-fuzz     coverage-guided, of the parsers that are ours: needs atheris, Python 3.11
#
# CASES, KILLS and MINUTES say how many, and how long.

CASES ?= 60
KILLS ?= 50
MINUTES ?= 30
SOAK := PYTHONPATH=tests:. TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m

.PHONY: soak soak-inputs soak-kills soak-surroundings soak-embed soak-train soak-explore soak-fuzz

soak: soak-inputs soak-kills soak-surroundings soak-embed soak-train soak-explore

soak-inputs: $(VENV)/installed
	$(SOAK) soak.inputs --count $(CASES)

soak-kills: $(VENV)/installed
	$(SOAK) soak.kills --kills $(KILLS)

soak-surroundings: $(VENV)/installed
	$(SOAK) soak.surroundings

soak-embed soak-train soak-explore: soak-%: $(VENV)/installed
	$(SOAK) soak.growth $* --minutes $(MINUTES)

soak-fuzz: $(VENV)/installed
	$(SOAK) soak.fuzz
