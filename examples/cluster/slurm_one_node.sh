#!/bin/bash
# The paper's run on one node of 8 GPUs:  sbatch examples/cluster/slurm_one_node.sh my.yaml
# After a kill or a time limit, the same line with --resume goes on:  sbatch ... my.yaml --resume
#SBATCH --job-name=oger
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=72:00:00
#SBATCH --output=oger-%j.log
set -euo pipefail

recipe="${1:?usage: sbatch slurm_one_node.sh RECIPE [key=value ...] [--resume]}"
shift
config="${OGER_CLUSTER:-$SLURM_SUBMIT_DIR/examples/cluster}/${OGER_SHARDING:-fsdp2}.yaml"

export OMP_NUM_THREADS=8
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}"   # models and data are on the file system; 0 lets the nodes download

exec accelerate launch --config_file "$config" -m oger.cli.main train "$recipe" "$@"
