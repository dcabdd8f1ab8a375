#!/bin/sh
# litraj-engine as it travels with a job: runs the engine in the archive beside it, whatever is installed on the node.
# LITRAJ_PYTHON names the interpreter that has the package of the potential; without it, python3 of the PATH is taken.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit 1
PYTHONPATH="$here/aiida_litraj.zip${PYTHONPATH:+:$PYTHONPATH}"
# Else Python takes files of the folder it is started in for modules: a numpy.py in that of the job, say.
PYTHONSAFEPATH=1
export PYTHONPATH PYTHONSAFEPATH
exec "${LITRAJ_PYTHON:-python3}" -m aiida_litraj.engine.cli "$@"
