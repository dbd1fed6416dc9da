#!/usr/bin/env bash
# Build the fuzz targets with clang and run each for SECONDS, from the seeds in fuzz/seeds/NAME.
# With a second argument, writes a JUnit report there.
set -uo pipefail
cd "$(dirname "$0")/.."

seconds=$1
report=${2:-}
CC=clang-14 scripts/build.sh build-fuzz -Dfuzz=true -Dtests=disabled \
    -Db_sanitize=address,undefined -Db_lundef=false || exit 1

status=0
cases=
for target in build-fuzz/fuzz/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    name=$(basename "$target")
    corpus=$(mktemp -d)
    seeds=fuzz/seeds/$name
    [ -d "$seeds" ] || seeds=
    if "$target" "$corpus" $seeds -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
        -artifact_prefix="$corpus/" >"$corpus.log" 2>&1; then
        echo "$name: ok, $(grep -Eo 'Done [0-9]+ runs' "$corpus.log" | tail -1)"
        cases+="<testcase name=\"$name\"/>"
    else
        echo "$name: FAILED"
        tail -30 "$corpus.log"
        cases+="<testcase name=\"$name\"><failure/></testcase>"
        status=1
    fi
    rm -rf "$corpus" "$corpus.log"
done
[ -z "$report" ] || echo "<testsuite name=\"fuzz\">$cases</testsuite>" >"$report"
exit $status
