#!/bin/sh
# A program in shell: its settings are environment variables, and its last line gives score and cost.
#
#   neocarbs run --space space.toml --command "sh experiments/examples/train.sh" --trials 20
#
# The space has the axes lr and steps, as the one that `neocarbs new` writes. awk stands for the real work.
set -eu
echo "trial $NEOCARBS_TRIAL, files in $NEOCARBS_FOLDER"
awk -v lr="$NEOCARBS_VALUE_LR" -v steps="$NEOCARBS_VALUE_STEPS" 'BEGIN {
  miss = log(lr) / log(10) + 3
  printf "{\"score\": %.6f, \"cost\": %.6f}\n", 1 - 1 / log(steps) - miss * miss, steps / 1000
}'
