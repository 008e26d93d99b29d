# Every target sets up what it needs; the second run is quick.
PYTHON ?= $(or $(shell command -v python3.11),python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCHES := $(patsubst tests/bench/bench_%.py,bench-%,$(wildcard tests/bench/bench_*.py))
ARGS ?=
# Where an environment forbids them, every daemon of a test would compile all of itself anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo test test-system check soak bench docs screens deb lock clean

setup: $(STAMP)

# A venv without pip is what `python -m venv` leaves where ensurepip is missing: it is made anew.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "bayd needs Python 3.11; found $$($(PYTHON) --version). Try: make PYTHON=python3.11 …" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "Python's venv module is not complete here. On Debian: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(STAMP)
	$(BIN)/bayd demo $(ARGS)

# A third of it waits for lines and processes: three at a time also on two cores.
test: $(STAMP)
	$(BIN)/python -m pytest -n 3 -m "not system and not soak and not bench" $(ARGS)

# In the order of the file: what has a life of its own (a machine, a daemon) goes on from test to test. Much of it waits:
# four at a time also on two cores, the longest files first (tests/longest_first.py).
test-system: $(STAMP)
	$(BIN)/python -m pytest -m "system and not soak" -p no:randomly --timeout=300 -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: $(STAMP)
	$(BIN)/python -m pytest -m soak --timeout=0 $(ARGS)

bench: $(BENCHES)

# make bench-journal ARGS=--json
bench-%: $(STAMP)
	$(BIN)/python -m tests.bench.bench_$(subst -,_,$*) $(ARGS)

# The pages and files that are made from the code.
docs: $(STAMP)
	$(BIN)/python -m tests.generated_pages

# The Debian package of this machine's architecture and Python, in dist/.
deb: $(STAMP)
	systemd/deb/build $(ARGS)

# Pictures of every state of every page, by Chromium, into docs/img; ARGS="playing locked" makes those alone.
screens: $(STAMP)
	$(BIN)/python -m tests.browser.screenshots $(ARGS)

# Writes requirements.lock anew from pyproject.toml, keeping the versions that still fit; ARGS=--upgrade does not.
lock: $(STAMP)
	test -x $(VENV)/uv/bin/uv || { $(PYTHON) -m venv $(VENV)/uv && $(VENV)/uv/bin/python -m pip install --quiet --disable-pip-version-check uv; }
	$(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --group dev --output-file requirements.lock $(ARGS) pyproject.toml requirements-build.in

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
