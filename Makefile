# Everything works from a fresh clone on Debian 12 with Python 3.11, as root.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
DEMO := waitspy-demo

FRONTEND := $(wildcard frontend/*.* frontend/src/*.*)
ASSETS := profiler/waitspy/render/assets/made-from

# CPythons that few machines have, and what tests import in Pythons that are not the tests' own.
RARE_PYTHONS := 3.14 3.15
SITES := $(addprefix .pythons/site-,3.8 3.9 3.10 3.11 3.12 3.13 $(RARE_PYTHONS))

.PHONY: demo test unit slow lint bench accuracy soak mutants fuzz faults assets scenarios clean system pythons libraries pictures gallery

demo: .venv/ready $(ASSETS)
	rm -rf $(DEMO) && mkdir $(DEMO)
	@echo "== the loop itself waits for messages"
	$(BIN)/waitspy scenario run buffer-vs-job --profile -o $(DEMO)/off -- --small --park off --json $(DEMO)/off.json
	@echo
	@echo "== the same work, but the worker parks in a blocking wait while its flushes are under way"
	$(BIN)/waitspy scenario run buffer-vs-job --profile -o $(DEMO)/block -- --small --park block --json $(DEMO)/block.json
	$(BIN)/waitspy flamegraph $(DEMO)/block -o $(DEMO)/block.svg
	$(BIN)/waitspy report $(DEMO)/block --format markdown -o $(DEMO)/block.md
	$(BIN)/waitspy report $(DEMO)/block --format html -o $(DEMO)/block.html
	@echo
	@echo "latencies:   $(DEMO)/block.json $(DEMO)/off.json"
	@echo "recordings:  $(DEMO)/block $(DEMO)/off"
	@echo "flamegraph:  $(DEMO)/block.svg"
	@echo "report:      $(DEMO)/block.md"
	@echo "report page: $(DEMO)/block.html  (open it in a browser)"

test: lint unit

# What computes takes the CPU from what is watched: the processes of these folders come after. They
# wait most of the time, so that there is room for three on two cores.
LIVE := tests/live tests/faults

unit: .venv/dev $(ASSETS) system
	@test -d .pythons/usr || $(MAKE) pythons || echo "going on without Pythons from Debian sid" >&2
	$(BIN)/python -m tests.again -n 2 --dist worksteal -m "not alone and not slow" $(LIVE:%=--ignore=%)
	$(BIN)/python -m tests.again -n 3 --dist worksteal -m "not alone and not slow" $(LIVE)
	$(BIN)/python -m tests.again -m "alone and not slow"

# Every variant of every scenario, recorded under load and compared with its truth.
scenarios: .venv/dev system
	$(BIN)/python -m pytest tests/live/test_scenarios.py

# What make test leaves out: most Pythons but the newest, where these take long.
slow: .venv/dev system
	$(BIN)/python -m pytest -m slow --ignore=tests/live/test_scenarios.py

lint: .venv/dev $(ASSETS)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@test ! -d frontend/node_modules || npm --prefix frontend run --silent check

bench: .venv/dev
	$(BIN)/python -m pip install -q --group bench || echo "going on without it" >&2
	$(BIN)/python -m tests.benchmarks

# How often findings are right, on every CPython here; takes hours. One case: ONLY=sleep; who holds
# what others wait for: ONLY='held-*'
accuracy: .venv/dev system
	$(BIN)/python -m tests.accuracy $(if $(ONLY),--only '$(ONLY)',--everything)

# A busy server in which nothing is wrong, for three minutes, or SECONDS=60: nothing may be said of it.
soak: .venv/dev system
	$(BIN)/python -m tests.soak $(or $(SECONDS),180)

# Which changes of the judge no unit test notices; takes hours, goes on where it was stopped.
# Some files: ONLY="pools fifo"
mutants: .venv/dev
	$(BIN)/python tools/mutants.py $(ONLY)

# Everything that may go wrong, on purpose; writes docs/reliability.md. Takes half an hour.
faults: .venv/dev system
	$(BIN)/python -m tests.faults

# Reports on recordings that were damaged by chance: for 30 minutes, or SECONDS=60.
fuzz: .venv/dev
	$(BIN)/python -m tests.fuzz $(or $(SECONDS),1800)

# System packages: only what is missing, and only where apt can install it.
system:
	@tests/system-packages.sh chromium=chromium chromedriver=chromium-driver node=nodejs npm=npm ip=iproute2 \
		redis-server=redis-server pg_createcluster=postgresql \
		uwsgi_python3=uwsgi-plugin-python3

pythons: $(SITES)
	timeout 120 tools/sid_pythons.sh .pythons $(RARE_PYTHONS)

.pythons/site-%: | .venv/dev
	$(BIN)/python -m pip install -q --target $@ --python-version $* --only-binary :all: \
		anyio asgiref fastapi uvicorn uvloop \
		exceptiongroup typing-extensions  # pip asks its own version whether these are needed

# Libraries with pools of connections and of threads, for another Python than the tests' own: what
# make accuracy ONLY='held-*' uses there. Another one: make libraries LIBRARIES_FOR=3.12
LIBRARIES_FOR ?= 3.13
libraries: .pythons/libraries-$(LIBRARIES_FOR)

.pythons/libraries-%: | .venv/dev
	$(BIN)/python -m pip install -q --target $@ --python-version $* --only-binary :all: \
		aiohttp aiomysql aiosqlite asyncpg httpx psycopg psycopg-binary psycopg-pool pymongo redis \
		requests 'sqlalchemy[asyncio]' twisted waitress greenlet exceptiongroup typing-extensions

# The scripts of the report page; Node is needed for these only.
assets: $(ASSETS)

$(ASSETS): $(FRONTEND)
	@tests/system-packages.sh npm=npm
	$(PYTHON) frontend/assets.py
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "waitspy needs Python 3.11 or newer: make PYTHON=/path/to/it"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || tests/system-packages.sh =python3-venv
	$(PYTHON) -m venv .venv

.venv/ready: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install -q --upgrade 'pip>=25.1'  # the first with --group
	$(BIN)/python -m pip install -q --editable .
	@touch $@

.venv/dev: .venv/ready
	$(BIN)/python -m pip install -q --editable '.[scenarios]' --group dev
	@touch $@

pictures: .venv/dev $(ASSETS) system
	$(BIN)/python docs/pictures.py

# Findings of all scenarios, recorded anew (five minutes). One scenario: ONLY=gil-hog
gallery: .venv/dev system
	$(BIN)/python -m docs.gallery $(ONLY)

clean:
	rm -rf frontend/node_modules profiler/waitspy/render/assets
	rm -rf .venv .mutants .pythons $(DEMO) .mypy_cache .ruff_cache .pytest_cache
