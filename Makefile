# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml CMakeLists.txt $(shell find core src -type f -not -name '*.pyc' -not -name '*.so')
THIMBLE_MODELS ?= $(abspath ../shared/models)
export THIMBLE_MODELS
# Cross compilers and emulated microcontrollers. Tests say aloud that they are skipped where these cannot be installed.
EMULATORS := gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm qemu-system-misc gcc-riscv64-unknown-elf \
  picolibc-riscv64-unknown-elf gcc-avr avr-libc simavr libsimavr-dev libelf-dev

.PHONY: demo test emulators lint types fuzz bench golden docs clean
demo: .venv/installed
	@mkdir -p out
	$(BIN)/thimble fit demo --board nucleo-l4r5zi --plot out/demo.png

test: .venv/test-installed emulators
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/pytest

emulators:
	@missing=""; for name in $(EMULATORS); do dpkg -s $$name >/dev/null 2>&1 || missing="$$missing $$name"; done; \
	if [ -n "$$missing" ]; then \
	  { apt-get update && apt-get install -y --no-install-recommends $$missing; } || echo "not installed:$$missing"; \
	fi

fuzz: .venv/test-installed
	$(BIN)/python tests/mutate.py --count 20000 --seed 1

docs: .venv/installed
	$(BIN)/python -m thimble.supported docs/supported_ops.md

golden: .venv/test-installed
	$(BIN)/pytest --update-golden

clean:
	rm -rf .venv build out

.venv/python:
	@command -v c++ >/dev/null || command -v g++ >/dev/null || (apt-get update && apt-get install -y --no-install-recommends g++)
	@$(PYTHON) -m venv .venv || (apt-get update && apt-get install -y --no-install-recommends python3-venv && $(PYTHON) -m venv .venv)
	@touch $@

.venv/installed: .venv/python $(SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check .
	@touch $@

.venv/test-installed: .venv/python $(SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[test]'
	@touch .venv/installed $@
