#!/bin/bash
# A run on several nodes of 8 GPUs; recipe and run folder lie on a file system that all nodes see:
#   sbatch examples/cluster/slurm_multi_node.sh my.yaml
#SBATCH --job-name=oger
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=72:00:00
#SBATCH --output=oger-%j.log
set -euo pipefail

recipe="${1:?usage: sbatch slurm_multi_node.sh RECIPE [key=value ...] [--resume]}"
shift
config="${OGER_CLUSTER:-$SLURM_SUBMIT_DIR/examples/cluster}/${OGER_SHARDING:-fsdp2}.yaml"
head_node="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"

export OMP_NUM_THREADS=8
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}"

# SLURM_PROCID differs from node to node, so the inner shell reads it.
srun --kill-on-bad-exit=1 bash -c '
  config="$1" head_node="$2" recipe="$3"
  shift 3
  exec accelerate launch --config_file "$config" \
    --num_machines "$SLURM_NNODES" --num_processes "$((SLURM_NNODES * 8))" --machine_rank "$SLURM_PROCID" \
    --main_process_ip "$head_node" --main_process_port 29500 \
    -m oger.cli.main train "$recipe" "$@"
' launch "$config" "$head_node" "$recipe" "$@"
