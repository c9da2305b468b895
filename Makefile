# Everything runs from a local .venv that the targets make by themselves. Another interpreter: PYTHON=python3.12 make ...
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install sweep sweep-short test test-slow test-all test-scale test-faults lint check docs clean gpu-compile \
  bench-sweep bench-suggest bench-envs bench-advantages bench-learning bench-signal bench-probes bench-train bench-members bench-honesty bench-real bench-curves bench-stops bench-dashboard bench-masters bench-effort bench-gpu

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

install: $(VENV)/.installed  ## create .venv with the project and its dev extra

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else f"`PYTHON` must be at least 3.11; got {v[0]}.{v[1]}.")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

sweep: install  ## the main job: sweep P3O on Pong, show and confirm the front of score against cost
	$(BIN)/python -m experiments.sweep --env pong --storage sqlite:///runs/pong.db --trials 24 --confirm 3 --confirm-points 3

sweep-short: install  ## the main job in two minutes: a few trials of small budgets
	$(BIN)/python -m experiments.sweep --env pong --storage sqlite:///runs/short.db --name short --trials 4 --bounds total_steps=5e4,4e5

PYTEST := $(BIN)/python -m pytest -q -n 2 --dist worksteal --haste
test: install  ## the test suite without its slow tests
	$(PYTEST) -m "not slow and not scale" $(ARGS)

test-slow: install  ## the slow tests alone
	$(PYTEST) -m "slow and not scale" $(ARGS)

test-all: install  ## the whole test suite
	$(PYTEST) -m "not scale" $(ARGS)

test-scale: install  ## many workers on one study in PostgreSQL, two of them killed, 5 minutes
	$(BIN)/python -m pytest -q -s tests/scale $(ARGS)

test-faults: install  ## break sweeps 200 times (kills, locks, full disks, cut connections), 20 minutes
	$(BIN)/python tests/faults/faults.py --out experiments/results/faults.md $(ARGS)

bench-sweep: $(VENV)/.bench  ## tuner quality against the peers, 20 minutes on two cores; all of it: ARGS=--full
	$(BIN)/python -m experiments.bench.tuner.sweep $(ARGS)

bench-suggest: $(VENV)/.bench  ## latency of a suggestion against the peers
	$(BIN)/python -m experiments.bench.tuner.suggest $(ARGS)

bench-envs: install  ## steps per second of every environment, beside gymnax's
	$(BIN)/python -m experiments.bench.envs $(ARGS)

bench-advantages bench-learning bench-probes bench-train: ARGS ?= --short
bench-advantages: install  ## the advantage operations beside the plain ones; the full form: ARGS=
	$(BIN)/python -m experiments.bench.kernels.advantages $(ARGS)

bench-learning: install  ## learning curves of P3O and PPO; the full form: ARGS=
	$(BIN)/python -m experiments.bench.learner.learning $(ARGS)

bench-probes: install  ## whether P3O finds the horizon of small tasks, beside PPO; the full form: ARGS=
	$(BIN)/python -m experiments.bench.learner.probes $(ARGS)

bench-signal: install  ## advantages against the truth, by rollouts, 15 minutes on a core
	$(BIN)/python -m experiments.bench.learner.advantage_signal $(ARGS)

bench-members: install  ## many trials as one program, against one by one
	$(BIN)/python -m experiments.bench.learner.members $(ARGS)

bench-real: install  ## whole sweeps of trainings by five tuners, judged by fresh trainings, 40 minutes a seed
	$(BIN)/python -m experiments.bench.tuner.real $(ARGS)

bench-honesty: $(VENV)/.bench  ## fronts against what they claim, on all tables, 15 minutes
	$(BIN)/python -m experiments.bench.tuner.honesty $(ARGS)

bench-curves: $(VENV)/.bench  ## learning curves as data and continued trainings, on all tables that hold curves
	$(BIN)/python -m experiments.bench.tuner.curves $(ARGS)

bench-stops: $(VENV)/.bench  ## what stopping hopeless trials saves and loses, on two tables
	$(BIN)/python -m experiments.bench.tuner.stops $(ARGS)

bench-dashboard: install  ## how fast the dashboard is with 2000 trials, in Chromium
	$(BIN)/python -m experiments.bench.dashboard $(ARGS)

bench-masters: install  ## train every environment by its preset with five seeds, hours; one: ARGS="--env pong"
	$(BIN)/python -m experiments.bench.masters $(ARGS)

bench-effort: install  ## P3O and PPO swept with the same budget, their fronts trained afresh, two hours on a core
	$(BIN)/python -m experiments.bench.effort $(ARGS)

bench-train: install  ## training throughput; the full form: ARGS=
	$(BIN)/python -m experiments.bench.learner.throughput $(ARGS)

bench-gpu: install  ## what waits for a GPU, by one command
	$(BIN)/python -m pytest -q tests/gpu
	$(BIN)/python -m experiments.bench.kernels.advantages
	$(BIN)/python -m experiments.bench.learner.throughput --updates 32 --rounds 3 --out experiments/results/train_gpu
	$(BIN)/python -m experiments.bench.learner.throughput --networks "mlp 64x2" --num-envs 16384 --updates 60 --rounds 3 \
	  --out experiments/results/train_large
	$(BIN)/python -m experiments.bench.learner.throughput --networks "mlp 64x2" --num-envs 64 --num-minibatches 4 --learners 256 \
	  --updates 60 --rounds 3 --out experiments/results/train_vmapped
	$(BIN)/python -m experiments.bench.learner.members --size 256 --num-envs 64 --name members_gpu
	$(BIN)/python -m experiments.bench.envs --save --num-envs 1024 16384

gpu-compile:  ## compile the kernels for an H200 without one (downloads 1.3 GB into .venv-gpu)
	test -x .venv-gpu/bin/python || $(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/python -m pip install --quiet --editable .
	.venv-gpu/bin/python -m pip install --quiet nvidia-cuda-nvcc nvidia-nvvm \
	  "jax-cuda13-plugin==$$(.venv-gpu/bin/python -c 'import jax; print(jax.__version__)')"
	.venv-gpu/bin/python -m experiments.bench.kernels.gpu_compile $(ARGS)

docs: $(VENV)/.docs  ## build the documentation into site/ and check its links
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet $(ARGS)
	@echo "The site is built: open $(CURDIR)/site/index.html"

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

$(VENV)/.bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

lint: install  ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/pyright

check: lint test-all  ## what CI runs, but for a short sweep

clean:  ## remove .venv and caches, keep runs/
	rm -rf $(VENV) .venv-gpu .pytest_cache .ruff_cache .hypothesis build site *.egg-info
