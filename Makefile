# make                       set up .venv and run the analysis of config.yaml (at first the demo)
# make help                  print these lines
# make plan                  say what the next run would do, and why, in a few lines
# make init FRAMES=folder    propose config.yaml for your own frames (OVERWRITE=yes replaces one that you wrote)
# make handover              write masters and calibrated lights as Siril and PixInsight store their own
# make check FLAT=file      compare an old master flat with the new ones of all sets (SET=name: of one): does it still hold?
# make tidy                  move results that no set or light of the configuration claims to unclaimed/
# make share                 pack report, tables, masters, configuration and code into flatfield-shared.zip
# make verify                make all results again in another folder and compare them, byte for byte
# make site                  build the pages of the documentation, with the demo's report, in site/
# make test                  set up .venv and run all tests (make test-long: with all simulations in full)
# make test-oldest           run some of the tests with the oldest versions that are allowed (Python 3.11 or 3.12)
# make test-demo             compare the demo on Slurm, in bands, and in a bucket with a local run (root; Debian's slurm-wlm)
# make test-slurm            play what befalls a cluster: lost nodes, controllers, heads, jobs (the same needed)
# make faults                run the long campaigns of faults and hostile files (an hour; some faults need root)
# make truth                 write docs/truth.md: all quoted errors and verdicts against 300 simulated worlds (an hour)
# make bench                 measure speed and memory against other programs (half an hour, 30 GB)
# make flatbench            write docs/flatbench.md: the same frames through this workflow and other programs (half an hour)
# make lock                  renew the pinned requirements (needs uv)
# make clean                 remove results, the demo's frames and Snakemake's records; .venv stays
#
# CONFIG=night2.yaml         with all of these up to verify: that configuration, and not config.yaml (its results go to its own
#                            folder if it says so: pathvars: {results: results_night2})
# PROJECT=~/nights/new       with each of the above up to verify, and clean: work in that folder, where config.yaml, results and
#                            records lie, and not here (make init PROJECT=~/nights/ proposes a name)

PYTHON ?= python3
CORES ?= all
CONFIG ?= config.yaml
ARCHIVE ?= flatfield-shared.zip
PROJECT ?=
FOLDER := $(or $(patsubst ~/%,$(HOME)/%,$(PROJECT)),.)
BIN := .venv/bin
# A configuration with another name is named from the folder of the project, as those of all other targets.
OTHER := $(filter-out config.yaml,$(CONFIG))
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES) $(if $(PROJECT),--directory "$(FOLDER)") \
	$(if $(OTHER),--configfile "$(if $(filter /%,$(OTHER)),,$(FOLDER)/)$(OTHER)")
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

# Tests that together use all libraries.
OLDEST := tests/test_library.py tests/test_modelling.py tests/test_docs.py tests/test_report.py tests/test_share.py \
	tests/test_bad_input.py tests/test_hostile_text.py

.PHONY: all help plan init handover check tidy share verify site test test-long test-oldest test-demo test-slurm faults truth bench flatbench lock clean

all: .venv/installed
	@$(SNAKEMAKE)

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

plan: .venv/installed
	@$(BIN)/python tools/plan.py "$(FOLDER)" --config "$(CONFIG)"

init: .venv/installed
	@test -n "$(FRAMES)" || { echo 'error: give the folder of your frames: make init FRAMES=folder'; exit 1; }
	@$(BIN)/python tools/init.py "$(FRAMES)" --config "$(CONFIG)" $(if $(PROJECT),--project "$(FOLDER)") \
	$(if $(OVERWRITE),--overwrite)

handover: .venv/installed
	@$(SNAKEMAKE) handover
	@echo 'Files are in for_siril/ and for_pixinsight/ of each set, and of each light; steps: docs/other-programs.md'

# Seen from a project, a file named from here is found by its whole path only.
check: OLD = $(if $(PROJECT),$(shell realpath -m -- "$(FLAT)"),$(FLAT))
check: .venv/installed
	@test -n "$(FLAT)" || { echo 'error: give an old master flat: make check FLAT=old/flat_cfa.fits'; exit 1; }
	@$(SNAKEMAKE) check --config $(if $(SET),'sets={"$(SET)": {"compare_with": "$(OLD)"}}','compare_with=$(OLD)')
	@echo 'Verdicts are in validity.tsv of each set (first row), figures in plots/validity.png; columns: docs/tables.md'

tidy: .venv/installed
	@$(BIN)/python tools/tidy.py --config "$(CONFIG)" --project "$(FOLDER)"

share: .venv/installed
	@$(BIN)/python tools/share.py --config "$(CONFIG)" --archive "$(ARCHIVE)" --project "$(FOLDER)"

verify: .venv/installed
	@$(BIN)/python tools/verify.py --config "$(CONFIG)" --project "$(FOLDER)"

site: .venv/installed-site
	@$(BIN)/python tools/build_site.py

test: .venv/installed-test
	$(BIN)/python -m pytest -n auto --dist worksteal --ignore tests/slurm $(PYTEST)

test-long: .venv/installed-test
	FLATFIELD_LONG=1 $(BIN)/python -m pytest -n auto --dist worksteal --ignore tests/slurm $(PYTEST)

test-oldest: .venv-oldest/installed
	.venv-oldest/bin/python -m pytest -n auto --dist worksteal $(OLDEST) $(PYTEST)

.venv/installed: envs/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(PIP) -r envs/requirements.txt
	@touch $@

.venv/installed-test: .venv/installed envs/requirements-test.txt
	$(PIP) -r envs/requirements-test.txt
	@touch $@

.venv/installed-site: .venv/installed envs/requirements-site.txt
	$(PIP) -r envs/requirements-site.txt
	@touch $@

.venv-oldest/installed: envs/requirements-test-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv/installed-bench: .venv/installed envs/requirements-bench.txt
	$(PIP) -r envs/requirements-bench.txt
	@touch $@

test-demo: .venv/installed-test
	FLATFIELD_LONG=1 $(BIN)/python -m pytest -rs tests/slurm tests/test_storage.py -k demo $(PYTEST)

test-slurm: .venv/installed-test
	$(BIN)/python -m pytest -rs tests/slurm -k "not demo" $(PYTEST)

faults: .venv/installed-test
	$(BIN)/python tests/faults/hostile.py --files 2000
	$(BIN)/python tests/faults/campaign.py --runs 220

truth: .venv/installed-test
	$(BIN)/python tests/truth/calibrate.py --worlds 0:300 --page docs/truth.md

bench: .venv/installed-bench
	$(BIN)/python benchmarks/bench.py

flatbench: .venv/installed-bench
	$(BIN)/python benchmarks/flatbench.py

lock:
	$(PYTHON) envs/lock.py

clean:
	cd "$(FOLDER)" && rm -rf results resources/demo resources/bench resources/flatbench .snakemake
