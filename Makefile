# Two commands matter: `make run` opens the app, `make test` runs tests, lint and types.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The first Python of the usual names that is new enough; PYTHON=... overrides.
PY := $(shell for p in $(PYTHON) python3.11 python3.12 python3.13 python3.14; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: run test lint types compiled unit anywhere torture snapshots documents pictures demo lesson wheel clean

run: $(VENV)/.app
	$(BIN)/charlstm-tui

# Lint and what compiles the tests use one core for some seconds each, types and tests use all cores.
test: $(VENV)/.dev
	@$(MAKE) --no-print-directory -j2 types lint compiled
	@$(MAKE) --no-print-directory --old-file=compiled unit
	@$(BIN)/python tests/weight.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mdformat --check *.md checkpoints/README.md docs tests
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

# Two at once for each core keep it busy, since many wait for another process or for the app; more cost each other time.
TESTERS = $$($(BIN)/python -c 'import os; print(min(16, 2 * (os.cpu_count() or 1)))')
compiled unit: export PYTHONDONTWRITEBYTECODE = # Python is started hundreds of times: it keeps what it compiled
compiled: $(VENV)/.dev
	@$(BIN)/python -m pytest --collect-only -q > /dev/null || true # compiles what else each tester would compile

unit: compiled
	$(BIN)/python -m pytest -n $(TESTERS) --dist worksteal

# What matters under other conditions: Python 3.13, lowest versions, other kernels, the locale C, unusual folders, a busy
# machine; ONLY='locale' runs one of them. Takes 20 to 30 minutes. What this machine lacks for it is named.
anywhere: $(VENV)/.dev
	$(BIN)/python tests/anywhere.py $(ONLY)

# What tries to lose data, TIMES as often as `make test` does: kills, power cuts, damaged files, random keys and examples.
# Takes up to an hour.
TIMES ?= 50
torture: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "torture or hypothesis" --times $(TIMES)

$(VENV)/bin/python:
	@test -n "$(PY)" || { echo "charlstm needs Python 3.11 or newer; install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	$(PY) -m venv $(VENV)

$(VENV)/.app: pyproject.toml | $(VENV)/bin/python
	@echo "Installing charlstm and what it needs, such as PyTorch, into $(VENV): one to five minutes, this once ..."
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.app
	$(BIN)/python -c 'import tomllib; print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"]))' > $(VENV)/dev-requirements.txt
	$(BIN)/python -m pip install --quiet --editable . --requirement $(VENV)/dev-requirements.txt
	@touch $@

# What the screens look like, which tests/tui/test_screens.py compares, written anew. Read the diff before you commit it.
snapshots: $(VENV)/.dev
	CHARLSTM_WRITE_SNAPSHOTS=1 $(BIN)/python -m pytest tests/tui/test_screens.py
	git diff --stat -- tests/tui/snapshots

# The parts of the documents that are derived from declarations, which tests/test_documents.py compares, written anew.
documents: $(VENV)/.dev
	$(BIN)/python tests/test_documents.py
	git diff --stat -- docs

# The README's picture, drawn by the real app on a real run, of a novel if TEXT=FILE names one. Takes two minutes.
pictures: $(VENV)/.dev
	$(BIN)/python tests/pictures/draw.py $(if $(TEXT),--text "$(TEXT)")

# Trains the model that comes with charlstm again, on the books of checkpoints/books.csv, which are in BOOKS as text files.
# First as paragraphs, then, at a lower rate, with some books in lines too. The wheel takes the model from checkpoints/.
DEMO_MINUTES ?= 85
DEMO_SETTINGS = --preset standard --batch-size 64 --seq-length 100 --set head_lr=5 --set dropout=0 --set weight_drop=0 \
	--set ema_decay=0.999 --set patience=none --split blocks --val-fraction 0.01 --fold-rare 100 \
	--max-minutes $(DEMO_MINUTES) --runs-dir build/demo/runs
demo: $(VENV)/.app
	@test -d "$(BOOKS)" || { echo "Name the folder with the books: make demo BOOKS=FOLDER"; exit 1; }
	rm -rf build/demo
	$(BIN)/python checkpoints/prepare_books.py "$(BOOKS)" build/demo/books build/demo/both build/demo/held-out
	$(BIN)/charlstm train build/demo/books --from none --lr 4e-3 --name first $(DEMO_SETTINGS)
	$(BIN)/charlstm train build/demo/both --from build/demo/runs/first/model.safetensors --lr 1.5e-3 --lines keep \
		--name second $(DEMO_SETTINGS)
	$(BIN)/python checkpoints/pack_demo.py build/demo/runs/second build/demo/books build/demo/held-out \
		checkpoints/demo.safetensors

# Makes the texts of the lesson and its three runs again: two minutes. docs/lesson.md has figures of them.
lesson: $(VENV)/.app
	rm -rf build/lesson
	$(BIN)/python checkpoints/make_lesson.py build/lesson checkpoints/lesson.zip

wheel: $(VENV)/.dev
	$(BIN)/python -m hatchling build --target wheel

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
