#!/usr/bin/env bash
# gpu_slot.sh COMMAND...: run COMMAND, holding one GPU of this machine.
#
# Snakemake counts GPUs (resources: gpu) but gives no job a particular one. Here a lock on a file a
# GPU chooses; COMMAND inherits the lock and the kernel drops it with the last process that holds it,
# however it ends. Under Slurm, where the scheduler has chosen already, and without a GPU it only runs
# COMMAND.
set -euo pipefail

if [ -n "${SLURM_JOB_ID:-}" ]; then exec "$@"; fi

if [ -n "${CUDA_VISIBLE_DEVICES:-}" ]; then
    IFS=, read -ra devices <<< "$CUDA_VISIBLE_DEVICES"
else
    devices=()
    for file in /dev/nvidia[0-9]*; do
        if [ -e "$file" ]; then devices+=("${file#/dev/nvidia}"); fi
    done
fi
if [ ${#devices[@]} = 0 ]; then exec "$@"; fi

locks=${AMANDA_GPU_LOCKS:-/tmp/amanda-gpus-$(id -u)}
mkdir -p "$locks"
while :; do
    for device in "${devices[@]}"; do
        exec {lock}> "$locks/${device//\//_}.lock"
        if flock --nonblock "$lock"; then
            export CUDA_VISIBLE_DEVICES=$device
            exec "$@"
        fi
        exec {lock}>&-
    done
    sleep 0.5
done
