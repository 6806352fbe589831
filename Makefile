# make demo     sees the whole thing work on a private JACK server, in less than half a minute
# make test     runs every check and every test; continuous integration runs this and nothing else
# make run      runs the daemon in the foreground, on your own session and JACK server
# make install  installs it for your account, with its systemd user unit; make uninstall takes it away again
# make check    only the checks: formatting, lint, types, layers, compiler warnings
# make bench    the measurements that README and docs quote; BENCH="--quick reaction" for a glance at one of them
# make mutation changes the rule language in thousands of small ways and counts the changes that no test notices; half an hour
# make lock     newer versions into constraints.txt
# make clean    removes everything that was built
#
# Each sets up what it needs first: packages of the distribution, .venv, the kernel. PYTHON=python3.12 chooses another Python.

PYTHON ?= python3
export PYTHON

BIN := .venv/bin
KERNEL := jackd_router/jack_host/kernel.c
WARNINGS := -std=gnu11 -O3 -fopenmp-simd -ffp-contract=off -Wall -Wextra -Werror

.PHONY: help setup demo test run install uninstall check bench mutation lock clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup:
	@tools/setup

demo: setup
	@tests/isolate $(BIN)/python -m tools.demo

test: check
	tests/isolate $(BIN)/python -m pytest

run: setup
	@$(BIN)/jackd-router run

install:
	@tools/setup packages
	@tools/install

uninstall:
	@tools/uninstall

check: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	gcc $(WARNINGS) -fsyntax-only $(KERNEL)
	if command -v clang >/dev/null; then clang $(WARNINGS) -fsyntax-only $(KERNEL); fi

bench:
	@tools/setup bench
	tests/isolate $(BIN)/python -m benchmarks $(BENCH)

mutation:
	@tools/setup mutation
	tools/mutation

lock:
	tools/lock

clean:
	rm -rf .venv build dist mutants *.egg-info jackd_router/jack_host/_kernel.so
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
