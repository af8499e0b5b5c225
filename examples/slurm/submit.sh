#!/bin/bash
# Searches with an array of jobs, then reports: `examples/slurm/submit.sh`, in the project's folder.
# DATASET, STUDY and TRIALS say what; ADDRESSES is the file with the addresses (addresses.env).
set -euo pipefail
cd "$(dirname "$0")/../.."

export DATASET=${DATASET:-digits} TRIALS=${TRIALS:-200}
export STUDY=${STUDY:-$DATASET} ADDRESSES=${ADDRESSES:-$HOME/addresses.env}
if ! [[ -r $ADDRESSES ]]; then
    echo "$0: there is no $ADDRESSES: copy examples/addresses.env there, fill it in, chmod 600" >&2
    exit 2
fi

search=$(sbatch --parsable examples/slurm/search_array.sh)
# Where a search did not end well the study may lack trials, and a report would lock the choice:
# then this job never runs; submit both again, the study continues.
report=$(sbatch --parsable --dependency="afterok:${search%%;*}" --kill-on-invalid-dep=yes \
    examples/slurm/report.sh)
echo "search: job array ${search%%;*}; report: job ${report%%;*}, its page in report-$STUDY/"
