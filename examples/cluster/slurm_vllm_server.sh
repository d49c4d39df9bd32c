#!/bin/bash
# As slurm_multi_node.sh, with generation on the last node: a vLLM server that gets the new weights after each step.
#   sbatch --nodes=5 examples/cluster/slurm_vllm_server.sh my.yaml
# OGER_SERVER_GPUS must divide the model's attention heads: 4 for the 28 heads of Qwen2.5-7B.
# The model and its window are read from the recipe. The server's port is open to the cluster's network, without a password.
#SBATCH --job-name=oger
#SBATCH --nodes=5
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=72:00:00
#SBATCH --output=oger-%j.log
set -euo pipefail

recipe="${1:?usage: sbatch slurm_vllm_server.sh RECIPE [key=value ...] [--resume]}"
shift
config="${OGER_CLUSTER:-$SLURM_SUBMIT_DIR/examples/cluster}/${OGER_SHARDING:-fsdp2}.yaml"
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head_node="${nodes[0]}" server_node="${nodes[-1]}"
trainers="$((SLURM_NNODES - 1))"
value() { sed -n "s/^$1: *\([^ #]*\).*/\1/p" "$recipe"; }
model="$(value model)"
window="$(value vllm_max_model_length)"

export OMP_NUM_THREADS=8
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}"

# The weight transfer and the log-probabilities after temperature are what TRL's trainer asks of the server.
VLLM_SERVER_DEV_MODE=1 srun --overlap --nodes=1 --ntasks=1 --nodelist="$server_node" \
  vllm serve "$model" --host 0.0.0.0 --port 8000 --dtype bfloat16 \
  --tensor-parallel-size "${OGER_SERVER_GPUS:-4}" --max-model-len "$window" --gpu-memory-utilization 0.9 \
  --weight-transfer-config '{"backend": "nccl"}' --logprobs-mode processed_logprobs --max-logprobs -1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT

srun --overlap --kill-on-bad-exit=1 --nodes="$trainers" --ntasks="$trainers" --exclude="$server_node" bash -c '
  config="$1" head_node="$2" server_node="$3" trainers="$4" recipe="$5"
  shift 5
  exec accelerate launch --config_file "$config" \
    --num_machines "$trainers" --num_processes "$((trainers * 8))" --machine_rank "$SLURM_PROCID" \
    --main_process_ip "$head_node" --main_process_port 29500 \
    -m oger.cli.main train "$recipe" vllm_mode=server vllm_server_host="$server_node" vllm_server_port=8000 \
    vllm_server_timeout=1800 "$@"
' launch "$config" "$head_node" "$server_node" "$trainers" "$recipe" "$@"
