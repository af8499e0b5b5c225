#!/bin/bash
# Chooses the model, once all searches of the array have ended well.
#SBATCH --job-name=least-overfit-report
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=02:00:00
#SBATCH --signal=B:TERM@180
#SBATCH --output=report-%j.log
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?}"

set -a
# shellcheck source=examples/addresses.env
. "${ADDRESSES:?}"
set +a
PATH=$PWD/.venv/bin:$PATH

exec pipeline report --study "${STUDY:?}" --workers auto --output "report-$STUDY"
