# A thin face over the CMake presets: everything here can be done with cmake, ctest and the scripts in
# tests/ and .ci/ alone. `make help` lists the targets.
#
#   MIGD_ADDR=127.0.0.1:9000 make run      another address
#   make install DESTDIR=/tmp/stage PREFIX=/usr
#   make bench PAIRS=3 ONLY=fan,idle       make soak SECONDS=600     make fuzz SECONDS=60

JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PREFIX ?= /usr/local
PAIRS ?= 5
FUZZ_SECONDS = $(or $(SECONDS),10)
SOAK_SECONDS = $(or $(SECONDS),60)
sources = $(shell git ls-files -co --exclude-standard '*.c' '*.h' | grep -v '@')

# $(call cmake,PRESET[,TARGET]): configure when new, build.
cmake = cmake --preset $(1) >/dev/null && cmake --build --preset $(1) -j $(JOBS) $(2:%=--target %)

build: ## build/release/migd, build/release/migctl (the default)
	@$(call cmake,release)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

deps: ## install the packages that the build needs (root or sudo; nothing when they are there)
	@.ci/deps

deps-dev: ## and those of the tests and checks
	@.ci/deps dev

run: deps build ## packages, build, daemon on 127.0.0.1:8080 in the foreground
	@mkdir -p build/state
	@addr=$${MIGD_ADDR:-127.0.0.1:8080}; case $$addr in :*) addr=127.0.0.1$$addr;; esac; \
	 sed -e "s|@ADDR@|$$addr|g" .ci/welcome; \
	 MIGD_STATE_DIR="$${MIGD_STATE_DIR:-build/state}" MIGD_DATA_DIR="$${MIGD_DATA_DIR-data}" exec build/release/migd --manifest manifests/default.yaml

test: deps-dev ## the whole test suite, closing with a count
	@.ci/test

bench: deps-dev build ## against nginx, in one run; writes build/bench.json
	@python3 tests/bench/bench.py --build build/release --pairs $(PAIRS) $(if $(ONLY),--only $(ONLY)) --out build/bench.json

asan: deps-dev ## unit and contract tests with address and undefined behaviour sanitizers
	@$(call cmake,asan)
	@tests/run_unit build/asan

tsan: deps-dev ## the tests that cross threads, and reloads under load, with the thread sanitizer
	@$(call cmake,tsan)
	@.ci/tsan build/tsan

fuzz: deps-dev ## each parser for SECONDS (10)
	@$(call cmake,fuzz,fuzzers)
	@.ci/fuzz build/fuzz $(FUZZ_SECONDS)

autobahn: deps-dev ## the Autobahn testsuite against our WebSockets (CASES, root, a Debian 11 beside)
	@$(call cmake,asan,ws_engine)
	@.ci/autobahn build/asan "$(CASES)"

soak: deps-dev build ## reloads under load for SECONDS (60)
	@tests/soak/run build/release $(SOAK_SECONDS)

abi: deps-dev ## layouts, symbols, frozen headers, old plugins
	@$(call cmake,asan)
	@tests/abi/run build/asan

lint: deps-dev build ## layers, clang-tidy, cppcheck
	@.ci/layers
	@.ci/lint build/release

format: deps-dev ## rewrites our C files with clang-format
	@clang-format -i $(sources)

install: ## PREFIX (/usr/local), DESTDIR honoured
	@cmake --preset release -DCMAKE_INSTALL_PREFIX="$(PREFIX)" >/dev/null
	@cmake --build --preset release -j $(JOBS)
	@DESTDIR="$(DESTDIR)" cmake --install build/release

package: deps-dev ## a .deb and a .tar.gz in build/package
	@cmake --preset package -DMIGD_BUNDLE_YYJSON=$$(. /etc/os-release; [ "$$ID$$VERSION_ID" = debian12 ] && echo ON || echo OFF) >/dev/null
	@cmake --build --preset package -j $(JOBS)
	@cd build/package && cpack && ls *.deb *.tar.gz

clean: ## removes build/
	@rm -rf build

.NOTPARALLEL:
.PHONY: build help deps deps-dev run test bench asan tsan fuzz autobahn soak abi lint format install package clean
