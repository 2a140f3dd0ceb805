# make app      the app on http://localhost:8501 (PORT=... for another port), for this computer alone
# make class    the same for a class: it listens on the network, and every browser has a workspace of its own
# make browser  onnxruntime-web, fetched once, so that readers' own browsers can run models
# make check    lint, types and the quick tests of all but pages and parity: while you work
# make test     lint, types and the whole test suite, in PROCESSES=2 processes: what decides
# make cluster  the tests of trainings on a Ray cluster, as root on Linux; it installs Ray (240 MB)
# make bench    the engine against PyTorch in one run
PYTHON ?= python3
PORT ?= 8501
ADDRESS ?= 127.0.0.1
PROCESSES ?= 2
PY := .venv/bin/python
PIP = $(PY) -m pip install --disable-pip-version-check -q $(PIP_OPTIONS)
# Longest files first (tests/conftest.py). What was compiled is kept: the suite starts hundreds of processes.
PYTEST = env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

.PHONY: app class browser check test lint chromium runtime cluster bench clean
.DEFAULT_GOAL := app

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Name another with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "The venv module is missing; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

# A stamp a requirements file: a second start installs nothing.
.venv/.app: requirements.txt .venv/.python
	$(PIP) -r requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.app
	$(PIP) -r requirements-dev.txt
	@touch $@

app: .venv/.app
	$(PY) -m playground app --port $(PORT) --address $(ADDRESS)

class: .venv/.app
	$(PY) -m playground app --class --port $(PORT)

browser: .venv/.app
	$(PY) -m playground browser

lint: .venv/.dev
	$(PY) -m ruff check .
	$(PY) -m mypy

check: lint
	$(PYTEST) -m "not slow" --ignore=tests/browser --ignore=tests/pages --ignore=tests/parity

chromium:
	@sh tests/browser/find_chromium.sh

runtime: .venv/.dev
	@sh tests/browser/fetch_runtime.sh $(PY)

test: lint chromium runtime
	$(PYTEST)

.venv/.cluster: requirements-cluster.txt .venv/.dev
	$(PY) -m pip install --disable-pip-version-check -q -r requirements-cluster.txt
	@touch $@

cluster: .venv/.cluster
	$(PY) -m pytest -rs tests/playground/test_cluster.py tests/playground/test_ray_cluster.py

bench: .venv/.dev
	$(PY) -m bench.bench_engine

clean:
	rm -rf .venv .mypy_cache .ruff_cache
