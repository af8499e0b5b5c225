#!/bin/bash
# One search whose workers are spread over several nodes by Ray, then its report:
# `sbatch examples/slurm/ray_symmetric_run.sh`, in the project's folder.
#SBATCH --job-name=least-overfit-ray
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --output=ray-%j.log
# On nodes with GPUs, which Ray finds by itself; give `--gpus-per-worker` below, too.
##SBATCH --gres=gpu:2
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?}"

DATASET=${DATASET:-digits} TRIALS=${TRIALS:-200} WORKERS=${WORKERS:-8}
STUDY=${STUDY:-$DATASET}
set -a
# shellcheck source=examples/addresses.env
. "${ADDRESSES:-$HOME/addresses.env}"
set +a
PATH=$PWD/.venv/bin:$PATH

# Others on these nodes could run code by Ray's ports: a token, in your home, keeps them out.
export RAY_AUTH_MODE=token
ray get-auth-token --generate > /dev/null

# A port of its own: other jobs on the head node may have Ray, too.
head=$(scontrol show hostnames "${SLURM_JOB_NODELIST:?}" | head -n 1)
address=$head:$((20000 + ${SLURM_JOB_ID:?} % 10000))

# The same on every node: Ray starts there, and the command behind -- runs on the head alone.
on_every_node() {
    srun --nodes="${SLURM_JOB_NUM_NODES:?}" --ntasks="$SLURM_JOB_NUM_NODES" \
        ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
        --num-cpus "${SLURM_CPUS_PER_TASK:?}" -- "$@"
}

on_every_node pipeline search --dataset "$DATASET" --study "$STUDY" --trials "$TRIALS" \
    --executor ray --ray-address "$address" --workers "$WORKERS" --cpus-per-worker 2
on_every_node pipeline report --study "$STUDY" --ray-address "$address" --workers "$WORKERS" \
    --cpus-per-worker 2 --output "report-$STUDY"
