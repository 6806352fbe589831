# make demo     sees the whole thing work on a private JACK server, in less than half a minute
# make test     runs every check and every test, those that need a server on JACK2 and on PipeWire; as continuous integration does
# make run      runs the daemon in the foreground, on your own session and JACK server
# make install  installs it for your account, with its systemd user unit; make uninstall takes it away again
# make check    only the checks: formatting, lint, types, layers, the reference and the stability of the D-Bus API, warnings
# make bench    the measurements that README and docs quote; BENCH="--quick reaction" for a glance at one of them
# make soak     500 deaths of servers, frozen ones, and 1,000 rounds of churn beside one daemon; 20 minutes. SOAK_DEATHS, SOAK_SEED
# make fuzz     a million calls of the D-Bus interface, most of them nonsense; half an hour. FUZZ_CALLS, FUZZ_SEED
# make faults   what fails and is killed, longer than `make test` does: daemon, JACK host, state file; ten minutes. KILLS, KILL_SEED
# make mutation changes the rule language in thousands of small ways and counts the changes that no test notices; an hour
# make wheel    builds what can be given to others: dist/*.whl, for every Python from 3.11 and glibc from 2.17 on
# make api      writes docs/api.md, the reference of the D-Bus API, from dbus/*.xml; its busctl lines are run on a real daemon
# make lock     newer versions into constraints.txt
# make clean    removes everything that was built
#
# Each sets up what it needs first: packages of the distribution, .venv, the kernel. PYTHON=python3.12 chooses another Python.

PYTHON ?= python3
export PYTHON

BIN := .venv/bin
KERNEL := $(wildcard jackd_router/jack_host/*.c)
WARNINGS := -std=gnu11 -O3 -fopenmp-simd -ffp-contract=off -Wall -Wextra -Werror

.PHONY: help setup demo test run install uninstall check bench soak fuzz faults mutation wheel api lock clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup:
	@tools/setup

demo: setup
	@tests/isolate $(BIN)/python -m tools.demo

# Where a JACK client of the tests crashes in the libjack of PipeWire 0.3.65, or is refused by it: that is tried again, nothing else.
test: check
	tests/isolate $(BIN)/python -m pytest -n 3 --dist loadgroup
	tests/isolate $(BIN)/python -m pytest -n 3 --dist loadgroup --server=pipewire --reruns 2 --only-rerun JackClientError

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
	$(BIN)/python -m tools.api --check
	tools/interface-diff
	for file in $(KERNEL); do gcc $(WARNINGS) -c -o /dev/null $$file && clang $(WARNINGS) -c -o /dev/null $$file || exit; done

bench:
	@tools/setup bench
	tests/isolate $(BIN)/python -m benchmarks $(BENCH)

soak: setup
	tests/isolate $(BIN)/python -m soak $(SOAK)

fuzz: export FUZZ_CALLS ?= 1000000
fuzz: export FUZZ_SEED ?= $(shell date +%s)
fuzz: setup
	tests/isolate $(BIN)/python -m pytest tests/daemon/test_fuzz.py -s

faults: export KILLS ?= 100
faults: export KILL_SEED ?= $(shell date +%s)
faults: export HOST_DEATHS ?= 60
faults: export STATE_FAULTS ?= all
faults: setup
	@echo KILL_SEED=$(KILL_SEED)
	tests/isolate $(BIN)/python -m pytest tests/daemon/test_killed.py tests/daemon/test_host_fails.py tests/runtime/test_state_file_killed.py

mutation:
	@tools/setup mutation
	tools/mutation

wheel: setup
	@tools/wheel

api: setup
	tests/isolate $(BIN)/python -m tools.api --record

lock:
	tools/lock

clean:
	rm -rf .venv build dist mutants *.egg-info jackd_router/jack_host/_kernel.so
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
