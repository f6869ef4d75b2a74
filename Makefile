# Each target works from nothing: it makes a virtual environment in .venv and
# installs the versions of constraints.txt there, once.

VENV = .venv
PYTHON = $(VENV)/bin/python
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help demo test trials benchmark tables docs clean BUILD
.NOTPARALLEL:

help:
	@echo "make demo       train and attack two small networks, show a report"
	@echo "make test       check style, imports and types, run the tests"
	@echo "make trials     kill commands, give them wrong flags, damaged files"
	@echo "make benchmark  time everything, beside other libraries: half an hour"
	@echo "make tables     write README.md and docs/ from the records in results/"
	@echo "make docs       build the pages and the API reference in build/site"
	@echo "make BUILD      write the file BUILD from the imports"
	@echo "make clean      remove .venv and what was built, not runs/"

# Trains and attacks two networks, unless runs/demo holds their records already.
demo: $(VENV)/installed-cpu
	@if ls $(DEMO_RECORDS) > /dev/null 2>&1; then \
	    echo "The runs in runs/demo are complete; rm -r runs/demo repeats them"; \
	else \
	    $(MAKE) --no-print-directory $(DEMO_RECORDS); \
	fi
	@$(PYTHON) -m peernets_tf.report --output_dir=runs/demo/report \
	    runs/demo/*/record.json runs/demo/*/*/record.json

DEMO_RECORDS = $(addsuffix /record.json, $(addprefix runs/demo/, \
    lenet5 pr_lenet5 lenet5_pgd pr_lenet5_pgd/identity))

runs/demo/lenet5/record.json:
	$(PYTHON) -m peernets_tf.train --flagfile=demo_lenet5

runs/demo/pr_lenet5/record.json:
	$(PYTHON) -m peernets_tf.train --flagfile=demo_pr_lenet5

runs/demo/lenet5_pgd/record.json: | runs/demo/lenet5/record.json
	$(PYTHON) -m peernets_tf.evaluate --flagfile=demo_attack \
	    --checkpoint=runs/demo/lenet5/model.keras \
	    --output_dir=runs/demo/lenet5_pgd

# Follows the exact gradient, and after it the identity backward pass.
runs/demo/pr_lenet5_pgd/identity/record.json: | runs/demo/pr_lenet5/record.json
	$(PYTHON) -m peernets_tf.evaluate --flagfile=demo_attack \
	    --checkpoint=runs/demo/pr_lenet5/model.keras \
	    --output_dir=runs/demo/pr_lenet5_pgd

test: $(VENV)/installed-cpu,jax,cleverhans,onnx,test
	$(PYTHON) -m ruff check
	$(VENV)/bin/lint-imports --no-logo
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest --numprocesses=2 --dist=loadfile

# About 20 minutes on two cores; writes results/trials.json.
trials: $(VENV)/installed-cpu
	PYTHONPATH=tests $(PYTHON) -m trials

benchmark: $(VENV)/installed-cpu,benchmark
	$(PYTHON) -m benchmarks.nearest_neighbors
	$(PYTHON) -m benchmarks.attention
	$(PYTHON) -m benchmarks.training_step
	$(PYTHON) -m benchmarks.inference
	$(PYTHON) -m benchmarks.precision
	$(PYTHON) -m benchmarks.workers
	$(PYTHON) -m benchmarks.scaling
	$(PYTHON) -m benchmarks.set_peers
	$(PYTHON) -m benchmarks.search_in_blocks
	$(PYTHON) -m benchmarks.attacks
	$(PYTHON) -m benchmarks.adversarial_training

tables: $(VENV)/installed-cpu
	$(PYTHON) tests/generate_tables.py

docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict --quiet
	@echo "Wrote build/site/index.html: open it in a browser"

BUILD: | $(PYTHON)
	$(PYTHON) tests/generate_build.py

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .import_linter_cache \
	    .ruff_cache .mypy_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# An environment with the extras of setup.cfg that the name lists.
$(VENV)/installed-%: setup.cfg pyproject.toml constraints.txt | $(PYTHON)
	@echo "Installing peernets_tf[$*] in $(VENV): up to 3 GB, some minutes"
	@$(PYTHON) -m pip install -qq --disable-pip-version-check \
	    --constraint constraints.txt --editable ".[$*]"
	@touch $@

$(PYTHON):
	@for python in python3.11 python3.12 python3; do \
	    if $$python -c 'import ensurepip, sys; \
	        sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
	        2> /dev/null; then \
	        echo "Making $(VENV) with $$python"; \
	        $$python -m venv --clear $(VENV) && exit; \
	        rm -rf $(VENV); exit 1; \
	    fi; \
	done; \
	echo "error: this needs Python 3.11 or 3.12 with its venv module" >&2; \
	exit 1
