#!/bin/bash
# A search on the cluster and its report, on its head node:
# `ray exec examples/ray/cluster.yaml '~/least-overfit/examples/ray/search.sh'`.
set -euo pipefail
cd "$(dirname "$0")/../.."

DATASET=${DATASET:-digits} TRIALS=${TRIALS:-200} WORKERS=${WORKERS:-8}
STUDY=${STUDY:-$DATASET}
set -a
# shellcheck source=examples/addresses.env
. "${ADDRESSES:-$HOME/addresses.env}"
set +a
PATH=$PWD/.venv/bin:$PATH
# The cluster that this node is the head of.
export RAY_ADDRESS=${RAY_ADDRESS:-auto} RAY_AUTH_MODE=token

# With GPUs: `--gpus-per-worker 1`, or 0.25 for four workers on each.
pipeline search --dataset "$DATASET" --study "$STUDY" --trials "$TRIALS" \
    --executor ray --workers "$WORKERS" --cpus-per-worker 2
pipeline report --study "$STUDY" --workers "$WORKERS" --cpus-per-worker 2 --output "report-$STUDY"
