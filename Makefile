# `make demo` shows it, `make test` tests it; `make help` names the rest.
#
# All of it needs Python 3.11 or newer and nothing else: what is missing is installed into $(VENV),
# once, and again when pyproject.toml changes. PYTHON=… chooses an interpreter, ARGS=… goes to the
# command: make demo ARGS="--duration 30 --no-browser", make test ARGS="tests/unit -x".

VENV ?= .venv
PYTHON ?=
ARGS ?=

python := $(VENV)/bin/python
# Wheels only: where a package has none, a clear refusal beats the log of a compiler that isn't there.
install := $(python) -m pip --disable-pip-version-check install --quiet --only-binary :all:

.DEFAULT_GOAL := help
.PHONY: demo test check docs wheels audit faults simulate soak hostile mutants bench format clean help

demo: $(VENV)/.demo  ## buses through the whole service, on a broker of its own
	@$(VENV)/bin/geoweir demo $(ARGS)

test: $(VENV)/.dev  ## the test suite, on the brokers that are here
	@$(python) -m pytest -m "not (slow or container or browser or mutants)" $(ARGS)

check: $(VENV)/.dev  ## style, types and import rules
	@$(python) -m ruff check
	@$(python) -m ruff format --check
	@$(python) -m mypy
	@$(VENV)/bin/lint-imports

faults: $(VENV)/.dev  ## every fault at full size (about an hour), and a table of what came out
	@GEOWEIR_FAULTS=full $(python) -m pytest -m faults $(ARGS)

simulate: $(VENV)/.dev  ## SEEDS=500 from FIRST=0: the service in simulated worlds of faults, on every core
	@cd tests && ../$(python) -m simulation --seeds $(or $(SEEDS),500) --first $(or $(FIRST),0) $(ARGS)

soak: $(VENV)/.dev  ## MINUTES=60 of work with faults mixed in, and the slope of memory
	@GEOWEIR_SOAK_MINUTES=$(or $(MINUTES),60) $(python) -m pytest -m faults -k test_n_ $(ARGS)

hostile: $(VENV)/.dev  ## MINUTES=60 at RATE=5000 positions a second, one in a hundred of them hostile
	@GEOWEIR_HOSTILE_MINUTES=$(or $(MINUTES),60) GEOWEIR_HOSTILE_RATE=$(or $(RATE),5000) \
	  $(python) -m pytest tests/faults/test_hostile.py $(ARGS)

mutants: $(VENV)/.dev  ## removes each guard and sees the tests fail that watch it
	@$(python) -m pytest -m mutants $(ARGS)

bench: $(VENV)/.dev  ## messages/s, latency and cost beside a raw echo, the plain pattern and Node-RED
	@$(python) bench/end_to_end.py $(ARGS)

docs: $(VENV)/.docs  ## the documentation as a site: build/site/index.html
	@$(python) -m sphinx -W --keep-going -q docs build/site $(ARGS) && echo build/site/index.html

wheels: $(VENV)/.release  ## a release's wheels for x86-64 and aarch64, and its sources: dist/
	@$(python) deploy/wheels.py $(ARGS)

audit: $(VENV)/.release  ## known faults in what the image holds; says what it could not look at
	@$(python) deploy/audit.py $(ARGS)

format: $(VENV)/.dev  ## the formatter, and what ruff can repair
	@$(python) -m ruff check --fix-only
	@$(python) -m ruff format

clean:  ## removes what these commands made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache bench/results
	@find service tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##/\1/p' $(firstword $(MAKEFILE_LIST)) | while read -r name what; do \
	  printf 'make %-7s %s\n' "$$name" "$$what"; done

$(VENV)/.python:
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	  "$$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	    && "$$python" -m venv --clear $(VENV) && touch $@ && exit; \
	done; \
	echo "geoweir needs Python 3.11 or newer, with venv (Debian, Ubuntu: apt install python3-venv):" \
	  "none of $(or $(PYTHON),python3, python3.14 … python3.11) has it." >&2; exit 1

$(VENV)/.demo: pyproject.toml setup.py $(wildcard service/geoweir/spatial/kernel/[!_]*.[ch]) $(VENV)/.python
	@echo "Installing geoweir into $(VENV) (once, under a minute)"
	@$(install) -e '.[demo]' || { $(install) -e . \
	  && echo "The demo's own broker has no package for this Python: it needs a mosquitto." >&2; }
	@touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/.demo
	@echo "Installing what makes the documentation into $(VENV) (once)"
	@$(install) 'pip>=25.1'
	@$(install) --group docs
	@touch $@

$(VENV)/.release: pyproject.toml $(VENV)/.demo
	@echo "Installing what makes a release into $(VENV) (once)"
	@$(install) 'pip>=25.1'
	@$(install) --group release
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.demo
	@echo "Installing the development tools into $(VENV) (once)"
	@$(install) 'pip>=25.1'  # the first that reads dependency groups
	@$(install) --group dev
	@touch $@
