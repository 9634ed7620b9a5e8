# `make check` is what to run before a commit; `make ci` is what CI runs, from nothing.
.PHONY: check format lint types test slow chaos coverage docs ci

check: lint types test

format:
	ruff format .
	ruff check --fix .

lint:
	ruff check .
	ruff format --check .

types:
	mypy

test:
	pytest

slow:
	pytest -m slow

chaos:
	pytest -m chaos -s

coverage:
	pytest --cov=lfs_ray

docs:
	python docs/make_losses.py

ci:
	.ci/run
