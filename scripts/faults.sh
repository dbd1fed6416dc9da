#!/usr/bin/env bash
# The fault tests (docs/faults.md): processes are killed, servers paused, disks filled.
# 'full' runs all at full scale (about half an hour), 'short' the small form of the same tests.
# Further arguments go to pytest: scripts/faults.sh short -k f02
set -uo pipefail
cd "$(dirname "$0")/.."

side_by_side=()
case "${1:-full}" in
full) export TRAWL_FAULTS=full ;;
short)
    export TRAWL_FAULTS=short
    side_by_side=(-n 3) # most of them wait most of the time
    ;;
*)
    echo "usage: scripts/faults.sh [full|short] [arguments of pytest]" >&2
    exit 2
    ;;
esac
[ $# -gt 0 ] && shift

if [ "$TRAWL_FAULTS" = full ]; then
    scripts/setup.sh check || exit 1
    scripts/build.sh build -Dtests=enabled || exit 1
fi
exec /usr/bin/python3 -m pytest -q -ra "${side_by_side[@]}" tests/faults "$@"
