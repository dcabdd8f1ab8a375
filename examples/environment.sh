#!/bin/sh
# Make or update one environment of this clone, with the versions that the project is tested with.
#
#   examples/environment.sh aiida      .venv           plugin, verdi, aiida-litraj and the plugins of DFT codes; no torch
#   examples/environment.sh sevennet   .venv-sevennet  torch and SevenNet; no aiida (the engine travels with the job)
#   examples/environment.sh mace       .venv-mace      torch, MACE and graph-pes, which pin the same
#   examples/environment.sh chgnet     .venv-chgnet    torch and CHGNet
#   examples/environment.sh gpaw       .venv-gpaw      the GPAW that the system has, for DFT on paths
#
# "--tests" after the name adds what the tests need. An environment that is up to date is left alone; another Python
# than python3 is taken from the variable PYTHON.
set -eu
cd "$(dirname "$0")/.."
self=examples/environment.sh

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $1"; shift; for line in "$@"; do say "  $line"; done; exit 1; }

name=${1:-}
tests=${2:-}
case $name in
  aiida) folder=.venv; wanted='-e .[aiida,dft]'; [ -z "$tests" ] || wanted='-e .[aiida,dft,tests,docs,dev]' ;;
  sevennet) folder=.venv-sevennet; wanted='torch sevenn pydantic numpy' ;;
  mace) folder=.venv-mace; wanted='torch mace-torch graph-pes pydantic numpy' ;;
  chgnet) folder=.venv-chgnet; wanted='torch chgnet pydantic numpy' ;;
  # GPAW is compiled against the MPI and the libraries of a machine, so it comes from there.
  gpaw) folder=.venv-gpaw; wanted='pydantic' ;;
  *) sed -n '2,11s/^# \{0,1\}//p' $self >&2; exit 2 ;;
esac
case $tests in
  '') ;;
  --tests) [ "$name" = aiida ] || wanted="$wanted pytest pytest-timeout" ;;
  *) fail "unknown option $tests" 'Known is: --tests' ;;
esac

fits() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || return 1
  [ "$name" != gpaw ] || "$1" -c 'import gpaw' 2>/dev/null
}
python=
for candidate in ${PYTHON:-python3 /usr/bin/python3 python3.13 python3.12 python3.11 python3.10}; do
  if fits "$candidate"; then python=$candidate; break; fi
done
[ -n "$python" ] || [ "$name" != gpaw ] || fail 'no Python of version 3.10 or newer that has GPAW was found' \
  'Debian, Ubuntu: sudo apt-get install gpaw gpaw-data python3-venv' \
  'elsewhere: conda create -n gpaw -c conda-forge gpaw' \
  'or name one: PYTHON=/path/to/envs/gpaw/bin/python '"$self $name"
[ -n "$python" ] || fail 'no Python of version 3.10 or newer was found' \
  'Debian, Ubuntu: sudo apt-get install python3 python3-venv' \
  'Fedora: sudo dnf install python3' \
  'macOS: brew install python' \
  'or name one: PYTHON=/path/to/python3.12 '"$self $name"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python cannot make environments: its module venv is missing" \
  'Debian, Ubuntu: sudo apt-get install python3-venv'

# What an environment was made from; it is made again when any of this changes.
made_from=$("$python" - "constraints/$name.txt" pyproject.toml $self <<'PYTHON_END'
import hashlib, os, sys
total = hashlib.sha256(repr((sys.version_info[:2], os.getcwd())).encode())
for path in sys.argv[1:]:
    total.update(open(path, 'rb').read())
print(total.hexdigest())
PYTHON_END
)
stamp=$folder/made-from
if [ -f "$stamp" ] && [ -x "$folder/bin/python" ]; then
  read -r old old_tests <"$stamp" || true
  if [ "$old" = "$made_from" ] && { [ -z "$tests" ] || [ "${old_tests:-}" = "$tests" ]; }; then
    say "$folder is up to date"
    exit 0
  fi
  # Never take away from an environment that has more.
  if [ -z "$tests" ] && [ "${old_tests:-}" = --tests ]; then exec $self "$name" --tests; fi
fi

rm -f "$stamp"
if ! fits "$folder/bin/python"; then
  rm -rf "$folder"
  if [ "$name" = gpaw ]; then "$python" -m venv --system-site-packages "$folder"; else "$python" -m venv "$folder"; fi
fi
# shellcheck disable=SC2086  # the list of packages is meant to be split
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check -c "constraints/$name.txt" $wanted ||
  fail "pip could not install $wanted into $folder" 'Its own message is above. Run this again when the cause is gone.'
printf '%s %s\n' "$made_from" "$tests" >"$stamp"
say "$folder is ready: $("$folder/bin/python" --version), $(printf '%s' "$wanted" | sed 's/-e //')"
