#!/usr/bin/env bash
# Install the Debian packages that are missing.  'build' is what a build and the demo need, 'check' adds
# what the tests need, 'bench' the peers of the measurements.  Lists them first; does nothing, quickly,
# when all are there.
set -euo pipefail

build_packages=(
    gcc libc6-dev meson ninja-build pkg-config ca-certificates
    libbz2-dev libcurl4-openssl-dev libdnnl-dev libsqlite3-dev libssl-dev libuv1-dev libyaml-dev
    libzip-dev zlib1g-dev python3 python3-pip
)
check_packages=(
    libcmocka-dev clang-14 libclang-rt-14-dev libfaketime python3-celery python3-pytest
    python3-pytest-xdist python3-redis python3-venv redis-server redis-tools sqlite3
)
bench_packages=(libcsv-dev python3-venv redis-server redis-tools)

case "${1:-build}" in
build) wanted=("${build_packages[@]}") ;;
check) wanted=("${build_packages[@]}" "${check_packages[@]}") ;;
bench) wanted=("${build_packages[@]}" "${bench_packages[@]}") ;;
*)
    echo "usage: scripts/setup.sh build|check|bench" >&2
    exit 2
    ;;
esac

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    [ "${status:0:2}" = ii ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "setup: installing from Debian: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "setup: run as root, or install sudo, or install these packages yourself" >&2
        exit 1
    }
    as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
"${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}"
