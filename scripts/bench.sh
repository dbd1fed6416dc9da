#!/usr/bin/env bash
# Build the measurements and run those that bring their own input; each prints JSON lines.
#
#   scripts/bench.sh             all of them
#   scripts/bench.sh encoder     the encoder in each precision beside the usual engines, then how exact
#                                each precision is; takes half an hour, the model and ../shared/data
#                                (or TRAWL_SHARED_DATA)
#
# docs/performance.md says what else there is, and what it measured.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh bench
scripts/build.sh build-bench -Dbench=true --buildtype=release
if [ "${1:-}" != encoder ]; then
    exec meson test -C build-bench --benchmark --verbose
fi

model=${TRAWL_MODEL_DIR:-$PWD/.cache/models/all-MiniLM-L6-v2}
work=.cache/encoder-bench
ninja -C build-bench --quiet bench/bench_encoder bench/embed_file
python=$(scripts/encoder_venv.sh .cache/encoder-venv)
/usr/bin/python3 bench/encoder/texts.py "${TRAWL_SHARED_DATA:-../shared/data}" "$work"
"$python" bench/encoder/run.py "$model" build-bench/bench "$work" "${@:2}"
"$python" bench/encoder/accuracy.py "$model" build-bench/bench/embed_file "$work"
