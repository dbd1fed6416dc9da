#!/usr/bin/env bash
# Build the measurements and run those that bring their own input; each prints JSON lines.
# 'bench.sh celery [options] [section ...]' measures beside Celery instead (bench/celery/run.py --help).
# docs/performance.md says what else there is, and what it measured.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh bench
scripts/build.sh build-bench -Dbench=true --buildtype=release
if [ "${1:-}" = celery ]; then
    shift
    python=$(scripts/celery_venv.sh .cache/celery-venv)
    exec /usr/bin/python3 bench/celery/run.py --python "$python" "$@"
fi
meson test -C build-bench --benchmark --verbose
