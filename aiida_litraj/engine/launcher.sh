#!/bin/sh
# litraj-engine as it travels with a job: runs the engine in the folder of this file, whatever is installed on the node.
# LITRAJ_PYTHON names the interpreter that has the package of the potential; without it, python3 of the PATH is taken.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit 1
PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"
# Byte code would only add files to a folder that is copied around.
PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH PYTHONDONTWRITEBYTECODE
exec "${LITRAJ_PYTHON:-python3}" -m aiida_litraj.engine.cli "$@"
