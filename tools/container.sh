#!/bin/sh
# Entry point of the container: Snakemake in /project, with its arguments; without a configuration there, one is proposed
# for the frames in /frames first. Where that has guesses, it ends there: the same command again goes on.
set -eu
code=${FLATFIELD_CODE:-/opt/flatfield} frames=${FLATFIELD_FRAMES:-/frames} project=${FLATFIELD_PROJECT:-/project}
cd "$project"
if [ ! -e config.yaml ]; then
    python "$code/tools/init.py" "$frames" --config config.yaml
    if grep -q '# ?' config.yaml; then
        echo "config.yaml is in the folder of the project. Look at its lines marked '# ?', then give the same command again."
        exit 0
    fi
fi
exec python -m snakemake -s "$code/Snakefile" --cores all "$@"
