#!/usr/bin/env bash
# Configure (once) and build into the given folder; further arguments go to 'meson setup'.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$1
shift
if [ ! -f "$dir/build.ninja" ]; then
    CC=${CC:-gcc} meson setup "$dir" "$@" >"/dev/null" || {
        tail -20 "$dir/meson-logs/meson-log.txt" >&2
        exit 1
    }
elif [ $# -gt 0 ]; then
    meson configure "$dir" "$@"
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
ninja -C "$dir" --quiet >"$log" || {
    cat "$log" >&2
    exit 1
}
