# Works with GNU make 3.81 and later. `make` alone lists the targets.
# PYTHON: any Python 3.11 to 3.13; only looked for while .venv does not exist.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& { echo $$python; exit; }; done; echo python3)
PIP_ARGS ?=
DATA ?= ml-100k
EPOCHS ?=
FINETUNE_EPOCHS ?=
PRESET ?=
DEVICE ?=
NAMES ?=
COUNT ?= 20000
SEED ?= 0
# Test files run side by side, each process on one core.
JOBS ?= 2

# Tests that `make check` leaves out; pyproject.toml says what the marks mean.
QUICK := not (training or browser or grading or notebooks)
# Every chapter is run and compared with its committed outputs; a cell has 300 seconds.
NBVAL := --nbval --nbval-current-env --nbval-sanitize-with nbval_sanitize.cfg --nbval-cell-timeout=300 --timeout=360

BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile
STAMP := .venv/.installed
OPTIONS = $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(FINETUNE_EPOCHS),--finetune-epochs $(FINETUNE_EPOCHS)) \
	$(if $(PRESET),--preset $(PRESET)) $(if $(DEVICE),--device $(DEVICE))

.PHONY: help venv reproduce check test fuzz style hooks lab bench study times notebooks release grade marks readme clean

help:
	@echo 'make reproduce   pre-train, fine-tune and evaluate on ml-100k; leaves a table, data/results and figures'
	@echo '                 options: DATA=lastfm EPOCHS=50 FINETUNE_EPOCHS=100 PRESET=authors DEVICE=cuda'
	@echo 'make check       check style, imports and types, and run the quick tests; about a minute'
	@echo 'make test        the same with all tests: training, chapters, labs in a browser, grading; about 10 minutes'
	@echo 'make fuzz        20,000 damaged checkpoints, as many hostile ones and texts; about an hour; COUNT=1000 SEED=1'
	@echo 'make lab         open JupyterLab on the notebooks'
	@echo 'make bench       measure the speed of pre-training and evaluation here; option: DATA=lastfm'
	@echo 'make study       ablations, data shares, epochs and seeds for chapter 10; about 3 hours; option: DATA=lastfm'
	@echo 'make times       measure what running each chapter takes'
	@echo 'make notebooks   run all chapters anew and keep their outputs and figures'
	@echo 'make release     student versions of the assignments; then: make grade, make marks; option: NAMES=02_views'
	@echo 'make readme      refresh the tables of README.md from data/results and the settings'
	@echo 'make venv        only create .venv and install into it; options: PYTHON=python3.12 PIP_ARGS=...'
	@echo 'make hooks       let git check style and notebooks before each commit'
	@echo 'make clean       delete .venv and caches; downloads, training states and results stay'

venv: $(STAMP)

# The stamp is written last and removed first, so an install that was interrupted is done again from an empty .venv.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo 'Needs Python 3.11, 3.12 or 3.13; found none of them.' \
		'Install one, then name it: make venv PYTHON=/path/to/python3.12' >&2; exit 1; }
	@if [ -f $(STAMP) ]; then rm -f $(STAMP); else $(PYTHON) -m venv --clear .venv; fi
	$(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) \
		-c constraints.txt -e '.[tune,bench,notebooks,teaching,test]'
	@touch $(STAMP)

reproduce: $(STAMP)
	$(BIN)/s3rec-lite reproduce --data '$(DATA)' $(OPTIONS)

check: style
	$(PYTEST) -m '$(QUICK)'

test: style
	$(PYTEST)
	$(PYTEST) $(NBVAL) notebooks/*.ipynb

# Damaged and hostile files, many more than the tests take; a failure prints the seed of its file.
fuzz: $(STAMP)
	S3REC_FUZZ=$(COUNT) S3REC_FUZZ_SEED=$(SEED) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) tests/runs/test_fuzz.py

# Style, what may import what, and types.
style: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

hooks: $(STAMP)
	$(BIN)/pre-commit install

lab: $(STAMP)
	$(BIN)/jupyter lab --ServerApp.root_dir=$(if $(wildcard notebooks),notebooks,.)

bench: $(STAMP)
	$(BIN)/s3rec-lite bench --data '$(DATA)' --against reference --results data/results

study: $(STAMP)
	$(BIN)/s3rec-lite study --data '$(DATA)'

times: $(STAMP)
	$(BIN)/python -m tools.course times

notebooks: $(STAMP)
	$(BIN)/python -m tools.course execute

release: $(STAMP)
	$(BIN)/python -m tools.assignments release

grade: $(STAMP)
	$(BIN)/python -m tools.assignments grade $(NAMES)

marks: $(STAMP)
	$(BIN)/python -m tools.assignments marks

readme: $(STAMP)
	$(BIN)/python -m tools.readme

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis *.egg-info
	find s3rec_lite tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
