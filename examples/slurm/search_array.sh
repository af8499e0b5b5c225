#!/bin/bash
# One of several searches of one study: each job of the array takes trials from the same storage.
#SBATCH --job-name=least-overfit-search
#SBATCH --array=1-4
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@180
#SBATCH --requeue
#SBATCH --output=search-%A_%a.log
# On nodes with GPUs: one worker for each of two, with the extra gpu installed.
##SBATCH --gres=gpu:2
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?}"

# Addresses and passwords: no command line shows them.
set -a
# shellcheck source=examples/addresses.env
. "${ADDRESSES:?}"
set +a
PATH=$PWD/.venv/bin:$PATH

# `exec`: three minutes before the time is over SLURM tells the search, not this shell; it stops in
# good order, and the same job again goes on.
exec pipeline search --dataset "${DATASET:?}" --study "${STUDY:?}" --trials "${TRIALS:?}" \
    --workers auto
