# Everything a fresh machine with Python 3.11+ and make needs: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check soak install perf fuzz baselines card clean

# The main job: the whole way on the bundled world, from landmarks to a leaderboard page.
demo: $(READY)
	$(BIN)/hierlandmarks demo --out demo

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile -q

# kill -9 five hundred times while fetching and while mining; minutes.
soak: $(READY)
	HIERLANDMARKS_KILLS=500 $(BIN)/python -m pytest -q -s tests/faults/test_kills.py

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(READY)

# torch first and pinned: otherwise another package pulls the newest one. Set TORCH= to keep a torch of your own.
TORCH ?= torch==2.13.0
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("hierlandmarks needs Python 3.11 or later: make PYTHON=python3.12, say" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(if $(TORCH),$(BIN)/python -m pip install --quiet $(TORCH) -c constraints.txt)
	$(BIN)/python -m pip install --quiet -e '.[all,dev]' -c constraints.txt
	touch $(READY)

# Speed and memory beside slow twins and peers, on a quiet machine; results go to benchmark/perf/results.
perf: $(READY)
	$(BIN)/python benchmark/perf/losses.py
	$(BIN)/python benchmark/perf/training.py
	$(BIN)/python benchmark/perf/metrics.py
	$(BIN)/python benchmark/perf/leaderboard.py
	$(BIN)/python benchmark/perf/dataset.py
	$(BIN)/python benchmark/perf/loading.py
	$(BIN)/python benchmark/perf/fetching.py
	$(BIN)/python benchmark/perf/labels.py
	$(BIN)/python benchmark/perf/names.py

# 10,000 damaged submissions: each refused in one sentence, or read as the right thing.
fuzz: $(READY)
	PYTHONPATH=pipelines:benchmark $(BIN)/python -m tests.fuzz 10000

# Entries of the track mini: every loss trained alike, and what needs no training; then the board and its table.
baselines: $(READY)
	$(BIN)/python benchmark/leaderboard/baselines.py
	$(BIN)/hierlandmarks bench leaderboard --submissions benchmark/leaderboard/submissions --out out/leaderboard
	$(BIN)/python docs/generate.py

# What is derived: the command line reference and the dataset card.
card: $(READY)
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) demo out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
