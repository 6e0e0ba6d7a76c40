# Everything from a fresh clone: `make demo` shows Celeriac at work, `make test` proves it.

PYTHON ?= python3
ARGS ?=
# Most of the time tests wait for processes that they start: with two at a time two cores are half idle.
PROCESSES ?= 3
PYTEST = -m pytest -n $(PROCESSES) --dist worksteal $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench soak

help:
	@echo "make demo              the example: web page and worker; ARGS=--once runs it once and ends"
	@echo "make test              every check and every test; ARGS=\"-k publish\" is handed to pytest"
	@echo "make lint              only the checks: style, types, import layers"
	@echo "make bench             Celeriac beside its peers, on this machine; ARGS=--quick, ARGS=--help"
	@echo "make soak              what is lost when processes are killed, for hours; ARGS=--quick, ARGS=--help"

demo:
	@$(PYTHON) tools/environment.py demo
	@.venv/bin/python example/demo.py $(ARGS)

test: lint
	@.venv/bin/python $(PYTEST)
	@if [ -x .venv-newest/bin/python ]; then .venv-newest/bin/python $(PYTEST); fi

lint:
	@$(PYTHON) tools/environment.py
	.venv/bin/ruff check --quiet
	.venv/bin/ruff format --check --quiet
	.venv/bin/mypy --no-error-summary
	.venv/bin/lint-imports --no-logo

bench:
	@$(PYTHON) tools/environment.py bench
	@.venv-bench/bin/python -m benchmarks $(ARGS)

soak:
	@$(PYTHON) tools/environment.py bench
	@.venv-bench/bin/python -m soak $(ARGS)
