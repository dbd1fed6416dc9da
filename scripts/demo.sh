#!/usr/bin/env bash
# The main job on the embedded default: a worker with its beat fetches, seeds and embeds; then searches.
# Uses the real Hub when it answers, else the local stand-in with its small catalogue, and says which.
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
worker_pid=
stop_all() {
    for pid in $worker_pid $hub_pid; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}
trap stop_all EXIT

# The schedule, quicker than the default one: what is new is embedded every 5 s instead of 30 min.
start_worker() {
    local settings=$TRAWL_DATA_DIR/trawl.yaml ready=$TRAWL_DATA_DIR/ready.txt
    cat >"$settings" <<'YAML'
beat_schedule:
  generate-embeddings-every-30min:
    schedule: 5s
    kwargs: {drain: true}
YAML
    [ "$has_model" = yes ] || sed -i 's/schedule: 5s/enabled: false/; /kwargs/d' "$settings"
    printf '\n== A worker with its scheduler\n$ trawl worker --beat -c 2 &\n'
    "$trawl" worker --beat -c 2 --log-level info --config "$settings" \
        --logfile "$TRAWL_DATA_DIR/worker.log" >"$ready" 2>&1 &
    worker_pid=$!
    for _ in $(seq 100); do
        grep -q ^ready "$ready" && break
        kill -0 "$worker_pid" 2>/dev/null || break
        sleep 0.1
    done
    cat "$ready"
    grep -q ^ready "$ready" || exit 1
}

# A run that began when all was fetched, and that left nothing to embed.
is_embedded() {
    "$trawl" runs enrich.generate_embeddings --limit 1 --json | /usr/bin/python3 -c "
import json, sys
run = json.load(sys.stdin)[0]
sys.exit(run['started_at'] < sys.argv[1] or run['state'] != 'SUCCESS' or run['result']['remaining'] > 0)" "$1"
}

wait_for_embeddings() {
    printf '\n== Beat has the embedding task sent every 5 s; what it said last\n'
    local since
    since=$(date -u +%Y-%m-%dT%H:%M:%S)
    for _ in $(seq 600); do
        if is_embedded "$since" 2>/dev/null; then
            grep 'sent: schedule' "$TRAWL_DATA_DIR/worker.log" | tail -1
            return
        fi
        sleep 0.5
    done
    echo "demo: not all is embedded after 5 minutes, see $TRAWL_DATA_DIR/worker.log" >&2
    exit 1
}

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

"$trawl" db migrate --quiet >/dev/null # the catalogue of an earlier demo may be older
start_worker
step "Fetch datasets from the Hugging Face Hub" \
    call enrich.fetch_hf_datasets --limit "$limit" --days-back "$days_back" --wait
step "Seed from the Meta Kaggle dump (a small one that comes with the tests)" \
    call kaggle.seed_initial --path "$PWD/tests/fixtures/hub/meta-kaggle" --wait
if [ -n "$hub_pid" ]; then
    step "Fetch what is new on Kaggle" call kaggle.fetch_latest --limit 60 --wait
    step "Fetch the text of what is still minimal" call kaggle.enrich_pending --wait
fi
if [ "$has_model" = yes ]; then
    wait_for_embeddings
else
    echo "demo: no embedding model, so searches below use keywords only"
fi
step "Who is at work" status
step "What is there" stats
step "Search: air pollution" search "air pollution measurements in cities" --limit 3
step "Search: medical images" search "x-ray pictures of lungs" --limit 3
step "Search: reviews" search "what people think of restaurants and wines" --limit 3
