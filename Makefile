# make demo · make test · make lint · make bench · make scripts: each sets up .venv by itself and can be repeated.
PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY ?= PASSIVE
QT_LINE := Qt needs system libraries here. On Debian/Ubuntu: apt-get install -y libegl1 libgl1 libdbus-1-3 libfontconfig1 libglib2.0-0 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xkb1

.PHONY: demo test lint bench clinic scripts e2e screenshots rule-pictures clean

demo: .venv/installed
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then $(BIN)/python -c "import PyQt6.QtWidgets" || echo "$(QT_LINE)"; fi
	@$(BIN)/convdebug demo

test: lint
	@QT_QPA_PLATFORM=offscreen $(BIN)/python -c "import PyQt6.QtWidgets" || { echo "$(QT_LINE)"; exit 1; }
	@OMP_NUM_THREADS=1 QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=.:gui:sessions $(BIN)/lint-imports --no-cache

bench: .venv/installed-dev
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

# every sick and every healthy training of the clinic: how well the rules tell them apart
clinic: .venv/installed-dev
	@$(BIN)/python -m tests.clinic --write

# every user script of tests/scripts bare and under `convdebug run`, then its sick twins (about ten minutes)
scripts: .venv/installed-dev
	@OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m tests.scripts.prove

screenshots: .venv/installed-dev
	@QT_QPA_PLATFORM=offscreen $(BIN)/python -m convdebug_gui.screenshots docs/images guide

# the sick run of each rule, trained and drawn (a few minutes), then the page that shows them
rule-pictures: .venv/installed-dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.rules.pictures docs/images/rules
	@$(BIN)/python -m convdebug.rules.table docs/rules.md

# a real window on a virtual screen, by mouse and keyboard: needs xvfb and xdotool
e2e: .venv/installed-dev
	@$(BIN)/python tests/window/e2e_xvfb.py

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache

.venv/installed: pyproject.toml
	@echo "Setting up .venv (torch, torchvision, PyQt6 …): a few minutes the first time."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/installed-dev: .venv/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@
