#!/usr/bin/env bash
# Build the measurements and run those that bring their own input; each prints JSON lines.
#
#   scripts/bench.sh                      all of them
#   scripts/bench.sh celery [options]     beside Celery (bench/celery/run.py --help)
#   scripts/bench.sh encoder [options]    the encoder in each precision beside the usual engines
#                                         (bench/encoder/run.py --help), then how exact each precision
#                                         is; half an hour; needs the model and ../shared/data (or
#                                         TRAWL_MODEL_DIR, TRAWL_SHARED_DATA)
#
# docs/performance.md says what else there is, and what it measured.
set -euo pipefail
cd "$(dirname "$0")/.."

bench_encoder() {
    local model=${TRAWL_MODEL_DIR:-$PWD/.cache/models/all-MiniLM-L6-v2}
    local work=.cache/encoder-bench
    local python

    ninja -C build-bench --quiet bench/bench_encoder bench/embed_file
    python=$(scripts/encoder_venv.sh .cache/encoder-venv)
    /usr/bin/python3 bench/encoder/texts.py "${TRAWL_SHARED_DATA:-../shared/data}" "$work"
    "$python" bench/encoder/run.py "$model" build-bench/bench "$work" "$@"
    "$python" bench/encoder/accuracy.py "$model" build-bench/bench/embed_file "$work"
}

scripts/setup.sh bench
scripts/build.sh build-bench -Dbench=true --buildtype=release
if [ "${1:-}" = celery ]; then
    shift
    python=$(scripts/celery_venv.sh .cache/celery-venv)
    exec /usr/bin/python3 bench/celery/run.py --python "$python" "$@"
fi
if [ "${1:-}" = encoder ]; then
    bench_encoder "${@:2}"
    exit
fi
meson test -C build-bench --benchmark --verbose
