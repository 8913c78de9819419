# make demo    the whole way on two generated corpora: results/ie2msp.json and results/report.html
# make test    the tests
# make oracles losses and validators against other people's implementations, in .venv-oracles
# make check   formatting, types, lint of code and workflow
# make docs    the documentation as pages: build/docs/index.html
# make bench   what measures speed and memory
# make setup   the environment that each of these needs, in .venv; under 2 s when nothing changed

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.PHONY: setup demo test oracles check docs bench requirements

# The Python to build .venv with, 3.11 to 3.13: make setup PYTHON=/path/to/python3.12
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
CORES ?= 8
READY := .venv/ready

# A .venv whose Python is gone is built anew.
ifeq ($(wildcard .venv/bin/python),)
$(shell rm -f $(READY))
endif

setup: $(READY)

# uv builds .venv; a machine without uv gets it from the package index, inside .venv. requirements.txt
# is complete, so nothing is left to resolve (--no-deps). Compiled once here, each of the many processes
# of a run starts in less than half the time, also where Python is told to write no bytecode.
$(READY): requirements.txt pyproject.toml
	@fail() { echo "Error: $$1" >&2; exit 1; }
	"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2> /dev/null ||
	    fail "'$(PYTHON)' is not Python 3.11 to 3.13; say where one is: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"
	if ! .venv/bin/python -c '' 2> /dev/null; then
	    rm -rf .venv
	    if command -v uv > /dev/null; then
	        uv venv --quiet --python "$(PYTHON)" .venv
	    else
	        "$(PYTHON)" -m venv .venv ||
	            fail "$(PYTHON) makes no virtual environments; on Debian and Ubuntu: apt-get install python3-venv"
	    fi
	fi
	uv=$$(command -v uv || echo .venv/bin/uv)
	[ -x "$$uv" ] || .venv/bin/python -m pip install --quiet uv
	# Where pip was told of another index, uv is told too.
	index=$${PIP_INDEX_URL:-$$("$(PYTHON)" -m pip config get global.index-url 2> /dev/null || true)}
	if [ -n "$$index" ] && [ -z "$${UV_DEFAULT_INDEX:-}$${UV_INDEX_URL:-}" ]; then
	    export UV_DEFAULT_INDEX=$$index
	fi
	echo "Installing the packages of requirements.txt into .venv; the first time this takes minutes."
	"$$uv" pip install --quiet --compile-bytecode --python .venv/bin/python --no-deps -r requirements.txt -e .
	touch $@

demo: setup
	@.venv/bin/snakemake --cores $(CORES) --config 'pairs=[ie2msp]' -- results/ie2msp.json results/report.html
	cat logs/pair/ie2msp.log
	echo
	echo "Figures:      results/ie2msp.json"
	echo "Predictions:  results/ie2msp.predictions.csv"
	echo "Report:       results/report.html (open it in a browser)"

test: setup
	@.venv/bin/python -m pytest $(PYTEST_FLAGS)

# The libraries that tests/oracles compares with ask for other versions than ours, so they get an
# environment of their own. Where they do not install, the comparison is left out and says why.
oracles: setup
	@uv=$$(command -v uv || echo .venv/bin/uv)
	[ -x "$$uv" ] || .venv/bin/python -m pip install --quiet uv
	index=$${PIP_INDEX_URL:-$$(.venv/bin/python -m pip config get global.index-url 2> /dev/null || true)}
	if [ -n "$$index" ] && [ -z "$${UV_DEFAULT_INDEX:-}$${UV_INDEX_URL:-}" ]; then
	    export UV_DEFAULT_INDEX=$$index
	fi
	[ -x .venv-oracles/bin/python ] || "$$uv" venv --quiet --python .venv/bin/python .venv-oracles
	if ! why=$$("$$uv" pip install --quiet --python .venv-oracles/bin/python \
	    --constraints requirements.txt -r tests/oracles/requirements.txt -e . 2>&1); then
	    echo "Skipped: the libraries to compare with do not install here: $$why"
	    exit 0
	fi
	.venv-oracles/bin/python -m pytest -q -W ignore -p no:cacheprovider tests/oracles

check: setup
	@.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/snakefmt --check Snakefile workflow
	.venv/bin/snakemake --lint

# A link that leads nowhere is an error.
docs: setup
	@.venv/bin/sphinx-build -W --keep-going -q -b html docs build/docs
	echo "Documentation: build/docs/index.html (open it in a browser)"

bench: setup
	@.venv/bin/snakemake --cores $(CORES) -- features/ie.h5 features/msp.h5
	.venv/bin/python -m benchmarks.learnable_gap ie2msp msp2ie --features features
	.venv/bin/python -m benchmarks.interval_coverage
	.venv/bin/python -m benchmarks.manifests
	.venv/bin/python -m benchmarks.many_trainings
	.venv/bin/python -m benchmarks.training_step
	.venv/bin/python -m benchmarks.training_run
	.venv/bin/python -m benchmarks.extraction --parts decode s3fd clip memory estimate
	.venv/bin/python -m benchmarks.prediction

# The exact environment, from the ranges of pyproject.toml.
requirements:
	@printf '%s\n' torch==2.11.0 torchvision==0.26.0 torchaudio==2.11.0 > .constraints.txt
	trap 'rm -f .constraints.txt' EXIT
	uv pip compile pyproject.toml --extra all --extra docs --python-version 3.11 --universal --no-header \
	    --no-annotate --no-emit-index-url --constraints .constraints.txt --output-file requirements.txt
