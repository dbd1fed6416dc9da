#!/usr/bin/env bash
# Every test: unit (gcc, then ASan+UBSan), fuzz targets for a few seconds each, integration with real
# processes.  Ends with one line over all suites: "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh check || exit 1
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
status=0

suite() {
    printf '\n== %s (at %d:%02d)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60))
}

# Waits for the network, while the compiler does not.
scripts/celery_venv.sh .cache/celery-venv >"$reports/celery_python" &
celery_pid=$!

suite "build"
scripts/build.sh build -Dtests=enabled || exit 1
export TRAWL_MODEL_DIR=$PWD/.cache/models/all-MiniLM-L6-v2
scripts/fetch_model.sh build/cli/trawl .cache/models ||
    echo "check: no embedding model, tests that need real weights will be skipped"

if wait "$celery_pid"; then
    TRAWL_CELERY_PYTHON=$(<"$reports/celery_python")
    export TRAWL_CELERY_PYTHON
else
    echo "check: no Celery from the Python package index, tests against it will be skipped"
fi

suite "unit tests"
meson test -C build --suite unit --quiet --print-errorlogs || status=1
cp build/meson-logs/testlog.junit.xml "$reports/unit.xml"

suite "unit tests under AddressSanitizer and UndefinedBehaviorSanitizer"
scripts/build.sh build-asan -Dtests=enabled -Db_sanitize=address,undefined -Db_lundef=false || exit 1
meson test -C build-asan --suite unit --quiet --print-errorlogs --timeout-multiplier 8 || status=1
cp build-asan/meson-logs/testlog.junit.xml "$reports/asan.xml"

suite "fuzz targets"
scripts/fuzz.sh "${FUZZ_SECONDS:-5}" "$reports/fuzz.xml" || status=1

suite "integration tests" # three files at a time: most of them wait most of the time
/usr/bin/python3 -m pytest -q -ra -n 3 --dist loadfile --junitxml "$reports/integration.xml" \
    tests/integration tests/interop tests/hub || status=1

suite "fault tests, short form"
scripts/faults.sh short --junitxml "$reports/faults.xml" || status=1

/usr/bin/python3 scripts/count_tests.py "$reports" || status=1
exit $status
