#!/usr/bin/env bash
# The main job on the embedded default: fetch, seed, embed, search.  Uses the real Hub when it answers,
# else the local stand-in with its small catalogue, and says which.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh build
scripts/build.sh build
trawl=build/cli/trawl
export TRAWL_DATA_DIR=$PWD/.cache/demo
export TRAWL_MODELS_DIR=$PWD/.cache/models
export TRAWL_LOG_LEVEL=${TRAWL_LOG_LEVEL:-warning}
mkdir -p "$TRAWL_DATA_DIR"

step() {
    printf '\n== %s\n' "$1"
    shift
    printf '$ trawl %s\n' "$*"
    local begin=$EPOCHREALTIME status=0
    "$trawl" "$@" || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 5 ] || exit "$status" # 5: done, but for some rows
    printf '   (%.1f s)\n' "$(/usr/bin/python3 -c "print($EPOCHREALTIME - $begin)")"
}

hub_pid=
stop_hub() { [ -z "$hub_pid" ] || kill "$hub_pid" 2>/dev/null || true; }
trap stop_hub EXIT

hub_answers() {
    /usr/bin/python3 - <<'PY' 2>/dev/null
import urllib.request
urllib.request.urlopen("https://huggingface.co/api/datasets?limit=1", timeout=5).read()
PY
}

has_model=yes
scripts/fetch_model.sh "$trawl" "$TRAWL_MODELS_DIR" || has_model=no

if hub_answers; then
    echo "demo: the Hugging Face Hub answers, taking the 2,000 datasets changed last"
    limit=2000
    days_back=1
else
    echo "demo: the Hugging Face Hub does not answer, using the local stand-in (tests/hub)"
    announce=$(mktemp)
    /usr/bin/python3 tests/hub/hub.py --quiet --newest now --announce "$announce" \
        --meta-kaggle tests/fixtures/hub/meta-kaggle >/dev/null &
    hub_pid=$!
    for _ in $(seq 100); do
        [ -s "$announce" ] && break
        sleep 0.1
    done
    read_key() { /usr/bin/python3 -c "import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])" "$announce" "$1"; }
    HF_ENDPOINT=$(read_key hf_endpoint)
    TRAWL_KAGGLE_ENDPOINT=$(read_key kaggle_endpoint)
    TRAWL_TRUSTED_ORIGINS=$(read_key storage)
    export HF_ENDPOINT TRAWL_KAGGLE_ENDPOINT TRAWL_TRUSTED_ORIGINS
    export KAGGLE_USERNAME=test KAGGLE_KEY=test-key TRAWL_KAGGLE_MIN_INTERVAL_MS=0
    limit=0
    days_back=0
fi

step "Fetch datasets from the Hugging Face Hub" \
    run enrich.fetch_hf_datasets --limit "$limit" --days-back "$days_back"
step "Seed from the Meta Kaggle dump (a small one that comes with the tests)" \
    run kaggle.seed_initial --path tests/fixtures/hub/meta-kaggle
if [ -n "$hub_pid" ]; then
    step "Fetch what is new on Kaggle" run kaggle.fetch_latest --limit 60
    step "Fetch the text of what is still minimal" run kaggle.enrich_pending
fi
if [ "$has_model" = yes ]; then
    step "Embed everything" run enrich.generate_embeddings --drain
else
    echo "demo: no embedding model, so searches below use keywords only"
fi
step "What is there" stats
step "Search: air pollution" search "air pollution measurements in cities" --limit 3
step "Search: medical images" search "x-ray pictures of lungs" --limit 3
step "Search: reviews" search "what people think of restaurants and wines" --limit 3
