# Thin: it drives Meson.  'make demo' and 'make check' work on a fresh Debian 12 machine.

BUILD  ?= build
PREFIX ?= /usr/local

.PHONY: all build setup demo check check-faults install uninstall bench fuzz format clean help

all: build

help:
	@echo "make demo       set up, build, get the model, run the main job, search"
	@echo "make check      set up, build, run every test"
	@echo "make check-faults  the fault tests at full scale (FAULTS='-k f02' for some of them)"
	@echo "make build      build into $(BUILD)/ (what 'make setup' installs must be there)"
	@echo "make setup      install the packages that are missing"
	@echo "make install    install below PREFIX=$(PREFIX), DESTDIR=$(DESTDIR)"
	@echo "make uninstall  remove what 'make install' installed"
	@echo "make bench      run the benchmarks"
	@echo "make fuzz       run the fuzz targets for FUZZ_SECONDS=60 each"

setup:
	@scripts/setup.sh build

build:
	@scripts/build.sh $(BUILD)

demo:
	@scripts/demo.sh

check:
	@scripts/check.sh

check-faults:
	@scripts/faults.sh full $(FAULTS)

install:
	@scripts/build.sh $(BUILD)
	@meson configure $(BUILD) --prefix=$(abspath $(PREFIX))
	@scripts/build.sh $(BUILD)
	@meson install -C $(BUILD) --no-rebuild --quiet $(if $(DESTDIR),--destdir=$(abspath $(DESTDIR)))

uninstall:
	@scripts/uninstall.sh "$(abspath $(PREFIX))" "$(if $(DESTDIR),$(abspath $(DESTDIR)))"

bench:
	@scripts/bench.sh

fuzz:
	@scripts/fuzz.sh $(or $(FUZZ_SECONDS),60)

format:
	@git ls-files '*.[ch]' | xargs clang-format-14 -i

clean:
	rm -rf build build-*
