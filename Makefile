# Everything is in two commands: `make serve` and `make test`. The rest is what they are made of.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARTIFACT := models/default
DATA := data
ENCODER := $(if $(wildcard models/default/manifest.json),models/default,onnx)
URL := http://127.0.0.1:8080
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: serve train test demo setup evaluate figures bench notebooks clean

serve: $(ARTIFACT)/manifest.json  ## serve on 127.0.0.1; trains first where there is no model
	$(BIN)/learnedrouter serve --artifact $(ARTIFACT)

train: $(VENV)/train  ## train on DATA over the encoder that is there, write ARTIFACT (make train DATA=mine.jsonl)
	$(BIN)/learnedrouter train --data $(DATA) --encoder $(ENCODER) --out $(ARTIFACT)

test: $(VENV)/dev $(ARTIFACT)/manifest.json  ## lint, types, tests, notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	HF_HUB_OFFLINE=1 $(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile --nbmake --nbmake-timeout=900 notebooks tests

demo: $(VENV)/serve  ## send a dozen varied requests to the running service
	$(BIN)/learnedrouter demo --url $(URL)

evaluate: $(VENV)/train  ## judge ARTIFACT on the rows of DATA that it has not seen
	$(BIN)/learnedrouter evaluate --artifact $(ARTIFACT) --data $(DATA)

figures: $(VENV)/train  ## write the figures of ARTIFACT into README.md
	$(BIN)/python benchmarks/figures.py $(ARTIFACT) $(DATA) README.md

bench: $(VENV)/dev  ## what the service and a decision cost; kept in benchmarks/README.md
	$(BIN)/python benchmarks $(ARTIFACT)

notebooks: $(VENV)/dev  ## execute the notebooks in place, so that they show the present model
	HF_HUB_OFFLINE=1 $(BIN)/pytest --nbmake --nbmake-timeout=900 --overwrite notebooks

setup: $(VENV)/dev  ## everything that training, tests and notebooks need

clean:  ## remove the environment and every cache
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis

# An artefact needs only the serving environment; to make one, the training environment is installed first.
$(ARTIFACT)/manifest.json: | $(VENV)/serve
	$(MAKE) train

$(VENV)/serve: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) .
	touch $@

$(VENV)/train: $(VENV)/serve
	$(INSTALL) '.[train]'
	touch $@

$(VENV)/dev: $(VENV)/train
	$(INSTALL) '.[train,dev,otel,parquet]'
	touch $@
