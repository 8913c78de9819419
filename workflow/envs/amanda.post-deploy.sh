#!/usr/bin/env bash
# Run by Snakemake in the repository, inside the environment that it has just made.
set -euo pipefail
python -m pip install --no-deps -r requirements.txt -e .
