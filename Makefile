# On a fresh machine `make demo` and `make test` do all the set-up themselves.
# What they need: Linux, Python 3.11 or newer with venv, make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint types imports check fuzz bench wheel clean

demo: $(VENV)/.core
	@BIN=$(BIN) sh examples/demo.sh

# As root on Debian it installs the programs that the tests use; what is missing skips tests.
test: $(VENV)/.dev
	$(BIN)/python -m tests.needs
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

check: lint types imports

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

# Optional: installs the fuzzer if it can, and says so if it cannot. Then the codec against construct.
FUZZ_SECONDS ?= 60
FUZZ_INPUTS ?= 0
FUZZ_SEED ?= 1
FUZZ_COMPARISONS ?= 100000
fuzz: $(VENV)/.dev
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(FUZZ_SECONDS) --inputs $(FUZZ_INPUTS)
	$(BIN)/python -m tests.protocol.law.fuzz --seed $(FUZZ_SEED) --count $(FUZZ_COMPARISONS)

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/bench.py

wheel: $(VENV)/.dev
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) dist build benchmarks/build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp for each of the two sets of packages: the demo needs only what users get.
$(VENV)/.core: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --group dev
	touch $@
