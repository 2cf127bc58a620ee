# Everything runs in .venv, which `setup` makes and refreshes. See README.md.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

# Nothing leaves this machine, and no other run on it is heard.
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
export ROS_DOMAIN_ID := $(shell shuf -i 0-101 -n 1)
# Where the compiled messages lie; the wheels' own mark must not reach another Python.
export LD_LIBRARY_PATH := $(CURDIR)/$(VENV)/lib$(if $(LD_LIBRARY_PATH),:$(LD_LIBRARY_PATH))
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: setup demo test test-slow lint clean

setup:
	@$(PYTHON) tools/setup_env.py

demo: setup
	$(RUN) -m link_hoi_ros.demo --output demo_output

test: setup
	$(RUN) -m pytest -m 'not slow'

test-slow: setup
	$(RUN) -m pytest -m slow

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

clean:
	rm -rf $(VENV) build install log demo_output *.egg-info
