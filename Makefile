# Each target works from nothing: it makes a virtual environment in .venv and
# installs the versions of constraints.txt there, once.

VENV = .venv
PYTHON = $(VENV)/bin/python
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help demo test trials benchmark clean BUILD
.NOTPARALLEL:

help:
	@echo "make demo       train LeNet-5 and its PeerNet on 4,000 digits, compare"
	@echo "make test       check style, imports and types, run the tests"
	@echo "make trials     kill commands, give them wrong flags, damaged files"
	@echo "make benchmark  time the neighbour search, training steps and attacks"
	@echo "make BUILD      write the file BUILD from the imports"
	@echo "make clean      remove .venv and what was built, not runs/"

demo: $(VENV)/installed-cpu
	$(PYTHON) -m peernets_tf.train --flagfile=flags/demo_lenet5.flags
	$(PYTHON) -m peernets_tf.train --flagfile=flags/demo_pr_lenet5.flags
	$(PYTHON) -m peernets_tf.report runs/demo_lenet5/record.json \
	    runs/demo_pr_lenet5/record.json

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
	$(PYTHON) -m benchmarks.attacks
	$(PYTHON) -m benchmarks.adversarial_training

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
