# siaran on Debian 12, from a fresh checkout: `make run` to use it, `make test` to check it. README.md tells more.
SHELL := /bin/bash -o pipefail
.DELETE_ON_ERROR:
.PHONY: build run test lint bench chaos camera-test encoding-test deps deps-build deps-test assets clean

# Cargo's own directory for what it makes; may lie elsewhere.
target := $(or $(CARGO_TARGET_DIR),target)
export PATH := $(HOME)/.cargo/bin:$(PATH)

run: build
	@mkdir -p data
	target/release/siaran serve --data ./data $(ARGS)

build: deps-build assets
	cargo build --release --locked
	@[ "$(target)" = target ] || { mkdir -p target/release && ln -sf "$(abspath $(target))/release/siaran" target/release/siaran; }

# --- what must be installed -----------------------------------------------------------------------
# A package is wanted unless it is installed, or the command behind its colon is there from elsewhere.
runtime_packages := gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly \
  gstreamer1.0-libav gstreamer1.0-alsa gstreamer1.0-x fonts-dejavu-core
build_packages := build-essential pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev nodejs:node npm:npm
test_packages := ffmpeg:ffmpeg gstreamer1.0-tools:gst-launch-1.0 chromium:chromium faketime:faketime e2fsprogs:mkfs.ext4 \
  mount:mount

deps: deps-build
deps-build:
	@.make/install-packages $(runtime_packages) $(build_packages)
	@.make/install-rust
deps-test: deps-build
	@.make/install-packages $(test_packages)

# --- what the pages load --------------------------------------------------------------------------
assets_from := $(shell find static -type f -not -path 'static/dist*' -not -path 'static/node_modules/*' 2> /dev/null)
assets: $(if $(wildcard static/package.json),static/dist/manifest.json)

static/dist/manifest.json: static/node_modules/.package-lock.json $(assets_from)
	cd static && node build.mjs

static/node_modules/.package-lock.json: static/package.json static/package-lock.json
	cd static && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# --- tests ----------------------------------------------------------------------------------------
# In CI the virtual machine with cameras runs as well; elsewhere only when it is asked for.
test: deps-test assets lint
	@.make/run-tests $(if $(CI),--cameras)

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

camera-test: deps-build assets
	cargo build --locked
	tests/camera/run tests/camera/walk.sh "$(abspath $(target))/debug/siaran"

# The same with cameras that encode; an emulated processor must have a quiet machine for it.
encoding-test: deps-build assets
	cargo build --locked
	tests/camera/run tests/camera/encoding.sh "$(abspath $(target))/debug/siaran"

# Deliberate failures for half an hour: faults under a live broadcast, then two hundred power cuts; and a start
# with a hundred hours of recordings. Needs root. CHAOS_SEED
# brings a run back, CHAOS_FAULTS says how many faults.
chaos: deps-test assets
	cargo test --locked --test suite -- --ignored --nocapture --test-threads=1 chaos:: power:: disk_faults:: hundred_hours::

bench: build deps-test
	tests/bench/run

clean:
	rm -rf static/dist static/node_modules tests/browser/node_modules target
	$(if $(filter-out target,$(target)),cargo clean)
