#!/usr/bin/env bash
# Build the measurements and run those that bring their own input; each prints JSON lines.
# docs/performance.md says what else there is, and what it measured.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh bench
scripts/build.sh build-bench -Dbench=true --buildtype=release
meson test -C build-bench --benchmark --verbose
