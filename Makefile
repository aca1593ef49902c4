# Every command of the project. The set-up (.venv, Node from pip, the CDK CLI from the lock file) runs by itself when something is missing.
PYTHON ?= python3
ifeq ($(strip $(PYTHON)),)
override PYTHON := python3
endif
STAGE  ?= dev
PORT   ?= 8080
# Settings of the stage on the command line: make deploy STAGE=prod SETTINGS="-c certificate_arn=arn:... -c cache.node_type=cache.r7g.xlarge"
SETTINGS ?=

export PORT
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := $(CURDIR):$(CURDIR)/lambda_src
export PYTHONDONTWRITEBYTECODE :=
# npm and the CDK CLI trust what this machine trusts, as pip and uv do: behind a proxy that inspects TLS nothing else works.
export NODE_USE_SYSTEM_CA := 1

READY := .venv/ready node_modules/.package-lock.json
CODE  := app.py stacks constructs_lib lambda_src local audit faults tools tests benchmarks examples
AUDIT := $(READY) .venv-audit/ready

.PHONY: help up seed test suite beside check lint types contracts unit snapshot docs mutants soak contract-soak rotations interruptions history wheels wheels-matrix bench-cache bench-web bench-logins cost audit audit-deps audit-mutants settings-matrix audit-secrets iam sbom synth diff deploy destroy lock clean
help: ## list the commands
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-16s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Run it on this machine

up: $(READY) ## deploy the dev stage on this machine and serve it on http://localhost:$PORT (WORKERS=2, DATABASE=mysql)
	@exec python -m local.up

seed: $(READY) ## 10,000 products and a million purchases for the running `make up` (PRODUCTS, PURCHASES, SEED)
	@python -m local.seed

URL ?= http://localhost:$(PORT)
history: $(READY) ## write and read products of a running `make up` for a minute and check what was read (KILL_EVERY=5: kill its cache)
	@python -m faults.storefront_history $(URL) $(if $(KILL_EVERY),--kill-every $(KILL_EVERY))

##@ Develop
# CI has two cores; where there are more: make test PROCESSES=8
PROCESSES ?= 2
test: $(AUDIT) lint contracts ## everything that CI runs (ENGINES=postgres skips MySQL, ENGINES=postgres,mysql insists)
	@$(MAKE) --no-print-directory --jobs=2 suite beside

suite: $(READY) ## the tests alone
	env -u MAKEFLAGS pytest -q -n $(PROCESSES) tests

# The tests wait for engines half of the time, which is time for these.
beside: $(AUDIT) ## types and audits, which make test runs beside the tests
	@$(MAKE) --no-print-directory types audit audit-mutants audit-secrets --jobs=1

check: $(READY) lint types contracts unit ## lint, types, import contracts and unit tests

lint: $(READY)
	ruff check --quiet $(CODE)
	ruff format --check --quiet $(CODE)

types: $(READY)
	mypy $(CODE)

contracts: $(READY)
	lint-imports --no-logo

unit: $(READY)
	pytest -q -n $(PROCESSES) -m "not engines and not cdk_cli and not bundling and not emulator" tests

snapshot: $(READY) ## accept the templates of today as the golden ones: review their diff as code
	pytest -q tests/infra --snapshot-update

docs: $(READY) ## write the generated pages and pictures anew
	CDK_VALIDATION=false python -m tools.generate_docs

##@ Prove
audit: $(AUDIT) ## every rule pack over both stages, as one table
	@python -m audit

settings-matrix: $(READY) ## validate every value of every setting, and synthesize all pairs of choices: a table
	@python -m audit.settings_matrix

audit-deps: $(AUDIT) ## known vulnerabilities of all that is pinned, where an advisory service is reachable
	@python -m audit.dependencies

audit-secrets: $(AUDIT) ## credentials among the files of the project; ruff finds passwords in the code
	@python -m audit.secret_scan

sbom: $(AUDIT) ## write bills of materials to .local/sbom
	@python -m audit.sbom .local/sbom

audit-mutants: $(AUDIT) ## one mistake at a time in prod: each must be caught by its rule
	@python -m audit.mutants

iam: $(READY) ## every AWS call decided by IAM's rules over the synthesized policies, with and without each statement
	@python -m audit.iam

mutants: $(READY) ## seeded mistakes in the cache protocol, each caught by name
	python -m faults.mutants

MINUTES ?= 30
soak: $(READY) ## histories, signals, cancellations, forks and slow replies for longer: make soak MINUTES=30
	HISTORY_SECONDS=$$(( $(MINUTES) * 35 )) INTERRUPTION_SECONDS=$$(( $(MINUTES) * 5 )) \
		pytest -q --timeout=0 tests/cache_aside/faults/test_history.py tests/cache_aside/faults/test_interruptions.py

rotations: $(READY) ## ten rotations of the AUTH token in five minutes while the app serves
	ROTATIONS=10 ROTATION_SECONDS=300 pytest -q -s --timeout=0 tests/rotation/test_rotations_under_load.py

FACTOR ?= 20
contract-soak: $(READY) ## hold the app against its OpenAPI document with so many times the generated requests: make contract-soak FACTOR=20
	CONTRACT_FACTOR=$(FACTOR) pytest -q --timeout=0 tests/openapi

interruptions: $(READY) ## interrupt `make up` at 30 moments and start it again, for about 40 minutes
	python -m faults.interrupted_up

wheels-matrix: $(READY) ## hold cache_aside's contract against old and new releases of redis-py, hiredis and msgspec
	@python -m tools.releases

##@ Measure
bench-cache: $(READY) .venv-bench/cache ## limits, and other libraries beside: writes docs/benchmarks
	PYTHONPATH="$(PYTHONPATH):$(CURDIR)/.venv-bench/cache" python -m benchmarks.cache_libraries

bench-logins: $(READY) ## 64 clients log in to a running `make up` beside readers: what reads cost with and without them
	python -m benchmarks.login_storm $(URL)

bench-web: $(READY) .venv-bench/web-framework ## Falcon beside Flask and Starlette, under Lambda and over HTTP
	PYTHONPATH="$(PYTHONPATH):$(CURDIR)/.venv-bench/web-framework" python -m benchmarks.web_framework

##@ Deploy to AWS
cost: $(READY) ## what a stage costs a month, and what settings change: make cost STAGE=prod SETTINGS="-c cache.nodes=2"
	@python -m tools.cost $(STAGE) $(SETTINGS)

synth: $(READY) ## the CloudFormation templates: make synth STAGE=prod SETTINGS="-c certificate_arn=..."
diff: $(READY) ## what a deployment would change
synth diff:
	npx cdk $@ -c stage=$(STAGE) $(SETTINGS)

deploy: $(READY) ## deploy to the AWS account and region that the stage configures
	python -m stacks.preflight -c stage=$(STAGE) $(SETTINGS)
	python -m stacks.deployment -c stage=$(STAGE) $(SETTINGS)

destroy: $(READY) ## delete a stage from AWS; what its removal policies retain stays
	python -m stacks.preflight -c stage=$(STAGE) $(SETTINGS)
	npx cdk destroy --all -c stage=$(STAGE) $(SETTINGS)

##@ Maintain
# The header of each file is the command that makes it, in the form that Renovate reads: long options, with an equals sign.
COMPILE := uv pip compile --universal --python-version=3.11 --generate-hashes
PIN = $(COMPILE) $(2) --output-file=$(1).txt $(1).in --quiet --no-emit-index-url --no-emit-find-links $(3) \
	--custom-compile-command '$(strip $(COMPILE) $(2)) --output-file=$(1).txt $(1).in'
PARTS := requirements lambda_src/storefront/requirements lambda_src/functions/schema_migration/requirements \
	benchmarks/requirements-cache benchmarks/requirements-web-framework
lock: $(READY) ## pin every requirement anew, with hashes, from the .in files (UPGRADE=--upgrade for newer releases)
	$(call PIN,requirements-dev,,$(UPGRADE))
	$(foreach part,$(PARTS),$(call PIN,$(part),--constraints=requirements-dev.txt) && )true
	$(call PIN,audit/requirements,,$(UPGRADE))

wheels: $(READY) ## build the wheels cache-aside and cache-aside-constructs into dist/
	@python -m tools.wheels

clean: ## remove what `make up` and the set-up left: deployment, database, packages
	rm -rf .local cdk.out dist node_modules .venv .venv-audit .venv-bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

WRITABLE = test -w . || { echo "error: $(CURDIR) is not writable, and .venv and node_modules go there: use a copy that is yours" >&2; exit 1; }
# Scripts in .venv name its path, so a checkout that was moved or copied needs another one.
MOVED := $(shell [ ! -e .venv/ready ] || [ "$$(cat .venv/ready)" = "$(CURDIR)" ] || echo moved)
.PHONY: moved
moved:

# pip installs uv, pinned and checked like all else; uv does the rest in seconds.
.venv/ready: requirements-dev.txt $(MOVED)
	@$(WRITABLE)
	@command -v "$(PYTHON)" >/dev/null || { echo "error: PYTHON=$(PYTHON) does not exist. Name Python 3.11 or newer: make PYTHON=python3.13 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: PYTHON=$(PYTHON) is not Python 3.11 or newer. Name one that is: make PYTHON=python3.13 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: PYTHON=$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "setting up .venv$(if $(MOVED), again: the checkout was moved or copied)"
	@rm -f $@ && "$(PYTHON)" -m venv $(if $(MOVED),--clear ).venv
	@awk '/^uv==/ {on=1} on {print} on && !/\\$$/ {exit}' requirements.txt > .venv/uv.txt
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r .venv/uv.txt
	@.venv/bin/uv pip sync --quiet --require-hashes --python .venv/bin/python requirements-dev.txt
	@echo "$(CURDIR)" > $@

# Programs that only audits need; checkov alone is as large as all the rest.
.venv-audit/ready: audit/requirements.txt .venv/ready
	@echo "setting up the auditors' programs"
	@rm -f $@ && uv venv --quiet --allow-existing --python .venv/bin/python .venv-audit
	@uv pip sync --quiet --require-hashes --python .venv-audit/bin/python audit/requirements.txt
	@touch $@

# What a benchmark compares, in a folder beside .venv: `uv run --with-requirements` would not check the hashes.
.venv-bench/%: benchmarks/requirements-%.txt .venv/ready
	@rm -rf $@ && uv pip install --quiet --no-deps --require-hashes --python .venv/bin/python --target $@ -r $<
	@touch $@

node_modules/.package-lock.json: package-lock.json .venv/ready
	@$(WRITABLE)
	@echo "installing the CDK CLI"
	@npm ci --loglevel=error --no-progress >/dev/null || { echo "error: npm could not install the CDK CLI; the reason is above." \
		"Behind a proxy that inspects TLS, add its root to the system's, or name it: NODE_EXTRA_CA_CERTS=root.pem make ..." >&2; exit 1; }
	@touch $@
