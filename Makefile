# Two commands: `make demo` merges the bundled samples, `make test` runs every check.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test check coverage lock clean

demo: $(READY)
	$(BIN)/dollymix merge examples/recipe.yaml -o demo-out
	@echo
	@echo "Look into demo-out/README.md first, then demo-out/dolly/train/00000.jsonl. One record's life:"
	@echo "  $(BIN)/dollymix explain demo-out 'kovicuna/ko_dataset.json#3'"

test: $(READY) check
	$(BIN)/python -m pytest -n auto

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Of the modules that pyproject.toml names, by the tests that are enough for it.
COVERAGE_TESTS := tests/framing tests/laws/test_conservation.py tests/test_export.py \
	tests/test_publish.py tests/test_verify.py tests/test_stdin.py \
	tests/test_duplicate_keys.py tests/fuzz

coverage: $(READY)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto $(COVERAGE_TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The lock holds every package with its digests, and no address.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

lock:
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.lock

clean:
	rm -rf $(VENV) demo-out .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
