# Every target sets up what it needs: a virtual environment in .venv with qdeploy and its tools.
#   make demo        train, prove, compile and benchmark three models; writes report/report.html
#   make test        lint, types and tests
#   make test-slow   the longer tests
#   make lint        lint, format and types only
#   make clean       remove everything that was made

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-slow lint clean
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	@$(RUN) -m qdeploy demo --output report --force

test: lint
	@$(RUN) -m pytest -n logical --dist loadfile

test-slow: $(INSTALLED)
	@$(RUN) -m pytest -m slow -n logical --dist loadfile

lint: $(INSTALLED)
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

clean:
	rm -rf $(VENV) report build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last: an interrupted installation is taken up again by the next call.
# An environment of another or a removed Python is made anew.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "qdeploy needs Python 3.11 or later, but '$(PYTHON)' is" \
	    "$$($(PYTHON) --version 2>/dev/null || echo missing);" \
	    "name another one with: make $(or $(MAKECMDGOALS),demo) PYTHON=python3.12" >&2; exit 1; }
	@$(RUN) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || $(PYTHON) -m venv --clear $(VENV) || { \
	  echo "no virtual environment could be made with '$(PYTHON) -m venv';" \
	    "on Debian and Ubuntu, install the package python3-venv" >&2; exit 1; }
	@echo "installing qdeploy and its dependencies into $(VENV); the first time takes minutes" >&2
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
