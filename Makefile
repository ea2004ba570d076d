# Everything from a fresh clone: `make demo`, `make test`. Needs git, make and a Rust toolchain;
# installs what else is missing (Debian 12, Ubuntu 24.04).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := all

CARGO ?= cargo

# Debian's name, or the program to look for and, after the colon, Debian's name.
BUILD_NEEDS := gcc:gcc pkg-config:pkg-config libsqlite3-dev libopus-dev
DEMO_NEEDS := flite:flite espeak-ng:espeak-ng
TEST_NEEDS := sipp:sip-tester baresip:baresip-core sox:sox libsox-fmt-all ffmpeg:ffmpeg opusdec:opus-tools \
	multimon-ng:multimon-ng pocketsphinx_continuous:pocketsphinx pocketsphinx-en-us tshark:tshark strace:strace \
	openssl:openssl chromium:chromium node:nodejs npm:npm systemd-analyze:systemd

BENCH_NEEDS := flite:flite python3-venv python3-dev

# Who judges voices (PESQ, ITU-T P.862): a Python package that is compiled when it is installed.
PESQ := target/pesq

.PHONY: all build test demo bench check fmt clippy install-deps clean help

all: build

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

build: ## the daemon as it is installed: target/release/baton
	@$(call need,$(BUILD_NEEDS))
	$(CARGO) build --locked --release

# The dev profile, so that the first run is quick and shares its build with `make test`.
demo: ## a whole contact centre on loopback, and one call through it; ONCE=1 ends after the call
	@$(call need,$(BUILD_NEEDS) $(DEMO_NEEDS))
	$(CARGO) run --locked -- demo $(if $(filter 1,$(ONCE)),--once)

test: ## format, lints, hardening, every test, the browser and the demo, then a summary
	@$(call need,$(BUILD_NEEDS) $(DEMO_NEEDS) $(TEST_NEEDS))
	CARGO='$(CARGO)' bash tests/run.sh

# The yardstick is not installed here: Debian's package starts a service. Without it, and without
# PESQ, the rows that want them say so.
bench: ## the benchmarks, as tables; apt-get install rtpengine-daemon for the yardstick
	@$(call need,$(BUILD_NEEDS) $(BENCH_NEEDS))
	$(PESQ)/bin/python -c 'import pesq' 2>/dev/null || {
		rm -rf $(PESQ)
		python3 -m venv $(PESQ) && $(PESQ)/bin/pip install --quiet numpy pesq==0.0.4
	} || echo 'PESQ cannot be installed: voices will not be judged' >&2
	BATON_PYTHON=$$PWD/$(PESQ)/bin/python $(CARGO) bench --locked --bench baton

check: ## does it compile
	@$(call need,$(BUILD_NEEDS))
	$(CARGO) check --locked --all-targets

fmt: ## format the code
	$(CARGO) fmt

clippy: ## lints, warnings forbidden
	@$(call need,$(BUILD_NEEDS))
	$(CARGO) clippy --locked --all-targets -- -D warnings

install-deps: ## every system package that building, the demo and the tests need
	@$(call need,$(BUILD_NEEDS) $(DEMO_NEEDS) $(TEST_NEEDS))

clean: ## forget what was built
	$(CARGO) clean

# $(call need,NEEDS): name the system packages that are missing, then install them.
define need
command -v $(firstword $(CARGO)) >/dev/null || { echo 'a Rust toolchain is missing: cargo is not on the PATH' >&2; exit 1; }
missing=()
for need in $(1); do
	package=$${need#*:}
	if [ "$$package" != "$$need" ]; then
		command -v "$${need%%:*}" >/dev/null || missing+=("$$package")
	else
		dpkg -s "$$package" 2>/dev/null | grep -q '^Status: .* installed$$' || missing+=("$$package")
	fi
done
# Ubuntu has the browser under another name.
for i in "$${!missing[@]}"; do
	if [ "$${missing[$$i]}" = chromium ] && command -v chromium-browser google-chrome >/dev/null; then
		unset "missing[$$i]"
	elif [ "$${missing[$$i]}" = chromium ] && grep -q '^ID=ubuntu' /etc/os-release; then
		missing[$$i]=chromium-browser
	fi
done
if [ $${#missing[@]} -gt 0 ]; then
	echo "installing system packages: $${missing[*]}"
	command -v apt-get >/dev/null || { echo 'this system has no apt-get: install their like by hand' >&2; exit 1; }
	as_root=$$([ "$$(id -u)" = 0 ] || echo sudo)
	$$as_root apt-get update -qq
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$${missing[@]}" </dev/null >/dev/null
fi
endef
