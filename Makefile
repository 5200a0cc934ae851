# `make demo` and `make test` need Python 3.11 to 3.13, the tests of reports Chromium too; `make help` lists all targets.
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3
export NO_MKDOCS_2_WARNING := 1
export DENO_DIR ?= $(abspath $(VENV))/.deno
export DENO_NO_UPDATE_CHECK := 1
SCRIPTS := keras_vad/report/scripts

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint format docs results picture clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' Makefile | expand -t 12

venv: $(INSTALLED)  ## set up the virtual environment (PYTHON=python3.12 to choose, VENV=.venv)

demo: $(INSTALLED)  ## train, evaluate, export, serve and score on generated data; minutes
	@$(BIN)/python tools/demo.py demo

test: $(INSTALLED)  ## run all tests
	@$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(INSTALLED)  ## check format, code, types of Python and scripts, and that what is made from other files is current
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python tools/page_types.py --check
	@$(BIN)/deno fmt --check --config $(SCRIPTS)/deno.json $(SCRIPTS)
	@$(BIN)/deno lint --config $(SCRIPTS)/deno.json $(SCRIPTS)
	@$(BIN)/deno check --config $(SCRIPTS)/deno.json $(SCRIPTS)/main.js
	@$(BIN)/python tools/results.py --check
	@$(BIN)/python tools/study.py --check

format: $(INSTALLED)  ## format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/deno fmt --quiet --config $(SCRIPTS)/deno.json $(SCRIPTS)

docs: $(INSTALLED)  ## build the documents as a site, build/site/index.html; a link that leads nowhere fails
	@$(BIN)/mkdocs build --quiet

results: $(INSTALLED)  ## make the tables of results in the documents from zoo/results.csv
	@$(BIN)/python tools/results.py
	@$(BIN)/python tools/study.py

picture: demo  ## make the README's picture from the demo's data and model
	@$(BIN)/keras-vad picture Test001 --dataset shapes --data-dir demo/shapes --model demo/run \
		--output docs/images/scored_video.png --overwrite

clean:  ## delete what can be made again: environment, demo, build files, caches (not runs/ and zoo/)
	rm -rf .venv demo build *.egg-info serving/server/*.egg-info serving/client/build serving/client/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The file is made last, so an installation that was interrupted starts again.
$(INSTALLED): constraints.txt setup.py serving/client/pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: there is no $(PYTHON); install Python 3.11 to 3.13 \
	(Debian: apt-get install python3 python3-venv) or name one, as in make $(MAKECMDGOALS) PYTHON=python3.12." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "error: \
	$$($(PYTHON) --version 2>&1) is not supported, TensorFlow and Keras need 3.11 to 3.13; name another, \
	as in make $(MAKECMDGOALS) PYTHON=python3.12." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: $(PYTHON) cannot make virtual environments; \
	install its package for that (Debian: apt-get install \
	python$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv)." >&2; exit 1; }
	@echo "Setting up $(VENV); this takes a minute or two."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet -c constraints.txt setuptools wheel
	@$(BIN)/python -m pip install --quiet -c constraints.txt --no-build-isolation -e serving/client -e '.[dev]'
	@touch $@
