#!/bin/sh
# From a fresh clone to a migration barrier: environments, AiiDA profile, SevenNet-0, and the first example, the hop of
# a lithium ion in gamma-Li3PO4 in a supercell with at least 8 Ang between images (127 atoms).
#
#   ./examples/quickstart.sh [OPTIONS OF examples/01_barrier_li3po4.py]
#
# What is there already is used: running it again goes on where it stopped, and a barrier that is known is taken from
# the cache. Everything stays in this folder: .venv, .venv-sevennet, and the profile in .aiida.
set -eu
cd "$(dirname "$0")/.."

step() { printf '\n[%s/4] %s\n' "$1" "$2"; }
fail() { printf 'error: %s\n' "$1" >&2; shift; for line in "$@"; do printf '  %s\n' "$line" >&2; done; exit 1; }

start=$(date +%s)
logs=build/quickstart
mkdir -p "$logs"

step 1 'Environments: .venv (plugin and AiiDA) and .venv-sevennet (PyTorch and SevenNet). Downloads, so minutes the first time.'
# Side by side; the one is bound by many small packages, the other by a few large ones.
examples/environment.sh aiida >"$logs/aiida.log" 2>&1 &
first=$!
trap 'kill $first 2>/dev/null || true; exit 130' INT TERM
second_failed=
examples/environment.sh sevennet >"$logs/sevennet.log" 2>&1 || second_failed=yes
first_failed=
wait "$first" || first_failed=yes
trap - INT TERM
grep -hv '^WARNING' "$logs/aiida.log" "$logs/sevennet.log" | sed 's/^/      /'
[ -z "$first_failed$second_failed" ] || fail 'an environment could not be made; the reason is above.'

# A profile of this clone alone: a person's own AiiDA is left as it is.
AIIDA_PATH=${QUICKSTART_AIIDA_PATH:-$PWD/.aiida}
export AIIDA_PATH
unset AIIDA_PROFILE
PATH=$PWD/.venv/bin:$PATH
export PATH

step 2 "AiiDA profile, computer and code, in $AIIDA_PATH"
aiida-litraj setup --name sevennet --engine-python .venv-sevennet/bin/python

step 3 'Potential: SevenNet-0, packaged with SevenNet'
aiida-litraj potential import --family sevennet --name 7net-0

step 4 'Barrier of the lithium hop (examples/01_barrier_li3po4.py). Some minutes on two cores.'
trap : INT  # example 01 takes Ctrl-C, ends its job and says so; then this ends too
verdi run examples/01_barrier_li3po4.py "$@"
trap - INT

printf '\nDone after %s s. Go on in this folder with\n' $(($(date +%s) - start))
printf '  export AIIDA_PATH=%s; . .venv/bin/activate\n' "$AIIDA_PATH"
printf '  aiida-litraj hops YOUR.cif\n'
printf '  aiida-litraj launch barrier YOUR.cif --hop SOURCE,TARGET,0,0,0 --potential 7net-0\n'
printf '  verdi run examples/02_query_provenance.py\n'
