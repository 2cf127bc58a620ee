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

.PHONY: setup demo test test-slow lint results clean

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

# The figures of README.md, into benchmarks/results.
LINK_HOI_SHARED ?= ../shared
ANNOTATIONS = $(LINK_HOI_SHARED)/data/hicodet/instances_test2015.coco80.json.gz
results: setup
	@mkdir -p benchmarks/results
	$(RUN) -m link_hoi_core.evaluate hico-det --model boxes --boxes ground-truth \
		--annotations $(ANNOTATIONS) --robustness --json benchmarks/results/hico_det.json
	for rules in pvic gen-vlkt; do $(RUN) -m link_hoi_core.evaluate hico-det --model boxes \
		--boxes ground-truth --annotations $(ANNOTATIONS) --convention $$rules \
		--json benchmarks/results/hico_det_$$rules.json || exit 1; done
	$(RUN) -m link_hoi_core.evaluate hico-det --model boxes --boxes ground-truth \
		--annotations $(ANNOTATIONS) --protocol known-object \
		--json benchmarks/results/hico_det_known_object.json
	$(RUN) -m link_hoi_core.evaluate v-coco --model boxes --boxes ground-truth --sizes guess \
		--annotations $(LINK_HOI_SHARED)/data/vcoco/instances_vcoco_test.json.gz \
		--json benchmarks/results/v_coco_of_hico_det.json
	for size in b l; do $(RUN) -m link_hoi_core.benchmark complexity \
		--config config/experiments/link_$$size.yaml \
		--json benchmarks/results/complexity_link_$$size.json || exit 1; done
	$(RUN) -m link_hoi_core.benchmark latency --model boxes \
		--config config/experiments/link_b.yaml config/experiments/link_l.yaml \
		--json benchmarks/results/latency.json
	$(RUN) benchmarks/evaluation_speed.py $(ANNOTATIONS) --many 10000000
	$(RUN) benchmarks/photo_recall.py --shared $(LINK_HOI_SHARED)

clean:
	rm -rf $(VENV) build install log demo_output *.egg-info
