# make demo | test | test-slow | lint | bench | clean
# Each target makes what it needs in .venv; a second call installs nothing.
# PYTHON=/path/to/python uses an environment that you keep yourself, and installs nothing into it.
# BASE_PYTHON (3.11 or later) makes .venv.

BASE_PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed

ifeq ($(origin PYTHON), undefined)
PYTHON := $(VENV)/bin/python
READY := $(STAMP)
endif

# Nothing is sent to anybody.
export MLFLOW_DISABLE_TELEMETRY := true
export RAY_USAGE_STATS_ENABLED := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PACKAGES := deepspace search_spaces controllers trainers cluster

.PHONY: demo test test-slow lint bench clean

$(STAMP): pyproject.toml constraints.txt
	$(BASE_PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: $(READY)
	$(PYTHON) -m cluster.cli search examples/digits-chain.yaml

lint: $(READY)
	$(PYTHON) -m ruff check $(PACKAGES) tests benchmarks
	$(PYTHON) -m ruff format --check $(PACKAGES) tests benchmarks
	$(PYTHON) -m mypy $(addprefix -p ,$(PACKAGES))

test: lint
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest --numprocesses 2 --dist worksteal

test-slow: $(READY)
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -m 'slow and not gpu' --timeout 600

bench: $(READY)
	status=0; for file in benchmarks/*.py; do \
		case $$file in */__init__.py|*/record.py) continue;; esac; \
		echo "== $$file"; $(PYTHON) -m "benchmarks.$$(basename $$file .py)" || status=1; \
	done; exit $$status

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
