# make demo: set everything up and run the main job. make test: set everything up, services included, and test.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SERVICES := postgresql redis-server orthanc orthanc-dicomweb dcmtk dicom3tools prometheus rsyslog rsyslog-openssl nginx-light systemd rsync sqlite3
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo -n)

.PHONY: help install tools demo services docs image test test-quick acceptance viewer check bench chaos chaos-delivery scale fuzz soak stalls sbom clean

help:
	@echo "make install   the environment, in $(VENV)"
	@echo "make demo      the main job end to end on this machine"
	@echo "make test      every test; installs the services they use where missing"
	@echo "make test-quick  the unit tests alone: no server, about a minute"
	@echo "make acceptance  the overlay in a real viewer, OHIF, and the status page, in Chromium; fetches 220 MB once, 650 MB on the disk"
	@echo "make docs      the documentation as a site, in build/docs"
	@echo "make image     the steps of compose/Dockerfile in empty folders, and the command that they install; TORCH_INDEX=URL"
	@echo "make check     format, lint, types, import arrows"
	@echo "make bench     speeds beside those of a peer; PART=way (receiving, reading, encoding, stages, audit, thousand): that part alone"
	@echo "make chaos     kill -9 at random moments of receiving; ROUNDS=200 SEED=1"
	@echo "make chaos-delivery  kill -9 at random moments of delivering; ROUNDS=100 SEED=1"
	@echo "make scale     two listeners, two schedulers, three workers: 200 small series, each once; SERIES=200 WORKERS=3 ALONE=20"
	@echo "make fuzz      10,000 hostile headers, PDUs and multipart bodies each, beside a real sender"
	@echo "make soak      10,000 images, 1,000 associations, 10,000 connects: is anything kept?"
	@echo "make stalls    150,000 small images over 1,000 associations, three ways: is each answered?"
	@echo "make sbom      the software bill of materials of a site (CycloneDX): sbom.cdx.json"
	@echo "make clean     remove what these commands made here"

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

tools: $(VENV)/tools

$(VENV)/tools: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[deployment,docs]'
	@touch $@

demo: install
	$(BIN)/scleroscan demo

services:
	@missing=$$(for name in $(SERVICES); do dpkg -s $$name >/dev/null 2>&1 || echo $$name; done | tr '\n' ' '); \
	if [ -n "$$missing" ]; then \
		echo "installing $$missing"; \
		{ $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; } \
		|| { echo "Run this once as root, then again make test:  apt-get install -y --no-install-recommends $$missing"; exit 1; }; \
	fi

# Many tests wait for a server, a pause or a time limit: four at a time keep two cores busy. Threads of torch and numpy would only take
# turns. In the order of the folders: xdist would begin with the files of most tests, and end with one worker alone at the long ones.
# Hundreds of processes start: what one has compiled is kept for the next, whatever the environment says.
JOBS ?= 4

test: install services tools
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

test-quick: install
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/unit

OHIF := 3.13.2
# Three quarters of the package are networks and a microscope, which no chest CT asks for.
NOT_ASKED := --exclude=package/dist/ort --exclude=package/dist/dicom-microscopy-viewer

acceptance: install services viewer
	$(BIN)/python -m pytest -q -o timeout=1200 tests/viewer

viewer: install .viewer/$(OHIF)
	@command -v chromium >/dev/null || $(MAKE) --no-print-directory services SERVICES=chromium
	@$(BIN)/python -c "import playwright" 2>/dev/null || $(BIN)/pip install --quiet --editable '.[viewer]'

.viewer/$(OHIF):
	@command -v npm >/dev/null || $(MAKE) --no-print-directory services SERVICES=npm
	rm -rf .viewer && mkdir .viewer
	cd .viewer && tar xzf $$(npm pack --silent @ohif/app@$(OHIF)) $(NOT_ASKED) && rm *.tgz && touch $(OHIF)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install services
	$(BIN)/python -m tests.bench $(PART)

ROUNDS ?= 200
SEED ?= 1

chaos: install services
	$(BIN)/python -m tests.chaos --rounds $(ROUNDS) --seed $(SEED)

chaos-delivery: ROUNDS = 100
chaos-delivery: install services
	$(BIN)/python -m tests.chaos_delivery --rounds $(ROUNDS) --seed $(SEED)

SERIES ?= 200
WORKERS ?= 3
ALONE ?= 20

scale: install services
	$(BIN)/python -m tests.scale_out --series $(SERIES) --workers $(WORKERS) --alone $(ALONE)

fuzz: install
	$(BIN)/python -W ignore -m tests.fuzz

soak: install services
	$(BIN)/python -m tests.soak

stalls: install services
	$(BIN)/python -m tests.stalls

docs: tools
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict -f compose/mkdocs.yml

image: install
	$(BIN)/python -m tests.image $(TORCH_INDEX)

sbom: install
	$(BIN)/python -m tests.sbom sbom.cdx.json

clean:
	rm -rf $(VENV) .viewer build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache scleroscan-demo sbom.cdx.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
