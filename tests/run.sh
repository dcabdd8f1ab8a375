#!/usr/bin/env bash
# Check everything: style, types, import rules, documentation, and all tests on SQLite and PostgreSQL, in the AiiDA
# environment and in each engine environment, and on a cluster that is brought up on this machine.
#
#   tests/run.sh             all sections
#   tests/run.sh --list      their names
#   tests/run.sh NAME...     only these
#
# Every section runs even if an earlier one failed; a summary comes last and the exit status is 1 if any failed. What
# a section needs is set up first: environments (examples/environment.sh), PostgreSQL, RabbitMQ, graphviz, Chromium, GPAW,
# Quantum ESPRESSO and Slurm from the system's packages where this may install them. Logs stay in build/tests/.
# shellcheck disable=SC2046  # folders and process numbers are meant to be split
set -u
cd "$(dirname "$0")/.." || exit 2
ROOT=$PWD
LOGS=$ROOT/build/tests
PY=$ROOT/.venv/bin/python
# Bytecode is kept: the command line and daemons of the tests start some hundred interpreters.
export OMP_NUM_THREADS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONDONTWRITEBYTECODE
export PYTEST_ADDOPTS="-p no:cacheprovider --color=no --durations=10 --durations-min=5"
# What a person has set up for AiiDA has no say here.
unset AIIDA_PATH AIIDA_PROFILE LITRAJ_PYTHON

# Two lanes take these in turn, for two cores, the longest early, so that both end at about the same time.
SHARED=(ruff mypy imports docs unit postgresql chains sevennet e2e cli dft slurm examples services chaos engine mace browser gpaw chgnet)
LANES=2
CHAINS=(tests/calculations tests/parsers tests/workflows)
SECTIONS=(system environments "${SHARED[@]}")

about() {
  case $1 in
    system) echo 'packages of the system: PostgreSQL, RabbitMQ, graphviz, Chromium, GPAW, Quantum ESPRESSO, Slurm, ssh' ;;
    environments) echo '.venv, .venv-sevennet, .venv-mace, .venv-chgnet, .venv-gpaw' ;;
    ruff) echo 'style and format' ;;
    mypy) echo 'types of contract, engine, analysis and data sets' ;;
    imports) echo 'import rules between the rooms' ;;
    docs) echo 'documentation, warnings are errors' ;;
    unit) echo 'contract, analysis, report, data, codes and command line, on SQLite' ;;
    chains) echo 'calculations, parsers and chains of which jobs are faked, on SQLite' ;;
    postgresql) echo 'what depends on the database, on PostgreSQL: see STORAGE in tests/conftest.py' ;;
    browser) echo 'pages of reports in Chromium' ;;
    engine) echo 'the engine on analytic potentials, where there is no aiida' ;;
    sevennet | mace | chgnet) echo "the engine with the family $1, where there is no aiida" ;;
    gpaw) echo 'the engine with GPAW as its potential, one rank and several' ;;
    dft) echo 'labels of GPAW and Quantum ESPRESSO, and the chains upon them' ;;
    cli) echo 'the command line with real processes, engine and daemon, stopped and gone on from' ;;
    e2e) echo 'chains with real processes, engine and daemon, killed and gone on from' ;;
    slurm) echo 'chains on a cluster that is brought up on this machine: Slurm with accounting, over ssh' ;;
    services) echo 'each kind of chain on that cluster, on the other pairs of SQLite or PostgreSQL, ZeroMQ or RabbitMQ' ;;
    chaos) echo 'faults at random against each kind of chain on that cluster, a short campaign' ;;
    examples) echo 'quickstart and what the example scripts say: SevenNet-0 on one unit cell, a data set, toy dynamics' ;;
  esac
}

section_ruff() { .venv/bin/ruff check --output-format concise . && .venv/bin/ruff format --check .; }
section_mypy() { .venv/bin/mypy; }
section_imports() { .venv/bin/lint-imports --no-cache; }
section_docs() {
  "$PY" docs/generate_reference.py --check && "$PY" -m sphinx -W --keep-going -q -b html docs/source build/docs &&
    echo "pages: $(find build/docs -name '*.html' | wc -l), in build/docs/index.html"
}
section_unit() {
  "$PY" -m pytest tests --ignore=tests/engine --ignore=tests/e2e --ignore=tests/benchmarks "${CHAINS[@]/#/--ignore=}" \
    -m 'not e2e and not dft and not slurm and not browser'
}
section_chains() { "$PY" -m pytest "${CHAINS[@]}" -m 'not e2e and not dft and not slurm'; }
section_browser() { "$PY" -m pytest tests/report -m browser; }
section_postgresql() {
  "$PY" -m pytest tests --ignore=tests/engine --ignore=tests/benchmarks --storage postgresql \
    -m 'storage and not gpu and not dft and not slurm'
}
# The environments of the engines have no aiida, on purpose; test_imports.py holds there too.
section_engine() { engine sevennet 'not sevennet and not mace and not chgnet and not dft' tests/engine tests/test_imports.py; }
section_sevennet() { engine sevennet sevennet tests/engine; }
section_mace() { engine mace mace tests/engine; }
section_chgnet() { engine chgnet chgnet tests/engine; }
# The system's ASE is older than that which the tests compare with elsewhere.
# Four ranks share what the other lane leaves of two cores: they wait without spinning, and for long.
section_gpaw() {
  OMPI_MCA_mpi_yield_when_idle=1 engine gpaw dft --timeout=900 $(find tests/engine -name 'test_gpaw*.py')
}
section_dft() { "$PY" -m pytest tests --ignore=tests/engine --ignore-glob='*/cli/test_example*.py' -m 'dft and not gpu'; }
section_slurm() { "$PY" -m pytest tests --ignore=tests/engine -m 'slurm and not gpu and not chaos'; }
section_services() {
  local code=0 pair
  for pair in 'postgresql rabbitmq' 'sqlite rabbitmq' 'postgresql zeromq'; do
    echo "--- $pair"
    "$PY" -m pytest tests/e2e/test_cluster_chains.py --storage "${pair% *}" --broker "${pair#* }" || code=1
  done
  return $code
}
# Always the same faults here, as far as these can be the same; which others there are a longer one has to find out.
section_chaos() { LITRAJ_SEED=${LITRAJ_SEED:-7} "$PY" -m pytest tests/chaos -m 'not slow'; }
engine() {
  local environment=$1 marker=$2
  shift 2
  if ".venv-$environment/bin/python" -c 'import aiida' 2>/dev/null; then
    echo "error: .venv-$environment has aiida: the test would prove nothing. Remove the folder and run this again."
    return 1
  fi
  ".venv-$environment/bin/python" -m pytest -m "($marker) and not gpu" "$@"
}
section_cli() {
  "$PY" -m pytest tests/cli --ignore-glob='*/test_example*.py' -m 'e2e and not gpu and not dft and not slurm'
}
section_e2e() {
  "$PY" -m pytest tests --ignore=tests/engine --ignore=tests/cli -m 'e2e and not gpu and not dft and not slurm'
}
section_examples() {
  local place
  # A profile of its own: nothing of it may come from an earlier run.
  place=$(mktemp -d)
  # The tests then find the barrier of the quickstart in the cache; its crystal and potential are theirs.
  QUICKSTART_AIIDA_PATH=$place/aiida ./examples/quickstart.sh --supercell-min 4.8 --images 5 &&
    LITRAJ_QUICKSTART=$place "$PY" -m pytest tests/cli/test_example*.py
  local code=$?
  AIIDA_PATH=$place/aiida .venv/bin/verdi daemon stop >/dev/null 2>&1
  rm -rf "$place"
  return $code
}

section_system() {
  local missing=() as_root=
  have_postgresql || missing+=(postgresql)
  command -v dot >/dev/null || missing+=(graphviz)
  have_chromium || missing+=(chromium)
  have_gpaw || missing+=(gpaw gpaw-data python3-venv openmpi-bin)
  have_espresso || missing+=(quantum-espresso quantum-espresso-data)
  have_rabbitmq || missing+=(rabbitmq-server)
  have_slurm || missing+=(slurm-wlm slurmdbd munge mariadb-server openssh-server)
  if [ ${#missing[@]} -eq 0 ]; then
    echo 'all that the sections want is there'
    return 0
  fi
  if [ "$(id -u)" -ne 0 ]; then as_root='sudo -n'; fi
  if ! command -v apt-get >/dev/null || { [ -n "$as_root" ] && ! sudo -n true 2>/dev/null; }; then
    echo "cannot install ${missing[*]} here (that needs apt-get, and root or sudo without a password)"
    return 0
  fi
  # Without an update a fresh system knows no package; servers that come with one must not start on their own.
  # shellcheck disable=SC2016  # expanded by the inner shell
  $as_root apt-get -qq update && $as_root sh -c '
    policy=/usr/sbin/policy-rc.d
    [ -e $policy ] || { trap "rm -f $policy" EXIT; printf "#!/bin/sh\nexit 101\n" >$policy; chmod +x $policy; }
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null' sh "${missing[@]}" &&
    echo "installed ${missing[*]}"
}
have_chromium() { command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; }
have_gpaw() { command -v gpaw >/dev/null && command -v mpirun >/dev/null; }
have_espresso() { command -v pw.x >/dev/null; }
# Programs only: who may bring up a cluster with them is for left_out.
have_slurm() {
  python3 tests/testbed/cluster.py check >/dev/null 2>&1
  [ $? -ne 3 ]
}
# Debian's: see tests/fixtures/rabbitmq.py.
have_rabbitmq() { [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; }
have_postgresql() { command -v pg_ctl >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/pg_ctl' >/dev/null; }

# pip is a matter of downloads and of one core each, so two at a time.
section_environments() {
  local code=0
  examples/environment.sh aiida --tests & local first=$!
  examples/environment.sh sevennet --tests || code=1
  wait "$first" || code=1
  examples/environment.sh mace --tests & first=$!
  examples/environment.sh chgnet --tests || code=1
  wait "$first" || code=1
  ! have_gpaw || examples/environment.sh gpaw --tests || code=1
  return $code
}

# Why a section cannot run here, or nothing.
left_out() {
  case $1 in
    gpaw) have_gpaw || echo 'no GPAW with MPI on this machine' ;;
    dft) have_gpaw && have_espresso || echo 'no GPAW with MPI, or no Quantum ESPRESSO, on this machine' ;;
    postgresql) have_postgresql || echo 'no PostgreSQL on this machine' ;;
    browser) have_chromium || echo 'no Chromium on this machine' ;;
    slurm | chaos) no_cluster ;;
    services)
      if ! have_postgresql || ! have_rabbitmq; then echo 'no PostgreSQL, or no RabbitMQ, on this machine'; else no_cluster; fi ;;
  esac
}

no_cluster() { python3 tests/testbed/cluster.py check 2>&1 | sed -n 's/^error: //p'; }

run_section() {
  local name=$1 reason start=$SECONDS state=ok
  reason=$(left_out "$name")
  if [ -n "$reason" ]; then
    echo "$reason" >"$LOGS/$name.log"
    state='left out'
  else
    guarded "$name" >"$LOGS/$name.log" 2>&1 </dev/null || state=FAILED
  fi
  echo "$state;$((SECONDS - start))" >"$LOGS/$name.result"
}
# A section that hangs must not keep the others from being reported.
guarded() {
  local command=("$BASH" "$ROOT/tests/run.sh" --section "$1") code=0
  ! command -v timeout >/dev/null || command=(timeout --kill-after=30 2700 "${command[@]}")
  "${command[@]}" &
  echo $! >"$LOGS/$1.pid"
  wait $! || code=$?
  rm -f "$LOGS/$1.pid"
  [ $code -ne 124 ] || echo 'error: given up after 2700 s'
  return $code
}
# A section belongs to the lane that has made its folder.
run_lane() { for name in "$@"; do ! wanted "$name" || ! mkdir "$LOGS/$name.taken" 2>/dev/null || run_section "$name"; done; }
wanted() { [[ " ${CHOSEN[*]} " == *" $1 "* ]]; }

heading() { printf '\n=== %s: %s\n' "$1" "$(about "$1")"; }
# Wait for the given sections and show each one's log when it has ended, in the order in which they are listed.
show() {
  for name in "$@"; do
    wanted "$name" || continue
    heading "$name"
    until [ -f "$LOGS/$name.result" ]; do sleep 1; done
    cat "$LOGS/$name.log"
  done
}

# Numbers of the closing lines of pytest, of all its runs in a section, as "passed failed skipped".
counts() {
  awk '/^=+ .*(passed|failed|error|skipped|no tests ran).* in [0-9.]+s/ {
      n = split($0, word, /[ ,]+/)
      for (i = 2; i <= n; i++) {
        if (word[i] == "passed") passed += word[i-1]
        if (word[i] ~ /^(failed|errors?)$/) failed += word[i-1]
        if (word[i] == "skipped") skipped += word[i-1]
      }
    }
    END { print passed + 0, failed + 0, skipped + 0 }' "$1"
}

# How much of the processors was used since the start: whether a further lane would gain anything.
jiffies() { awk '/^cpu / { print $2 + $3 + $4 + $6 + $7 + $8 + $9, $5 }' /proc/stat 2>/dev/null; }
busy() {
  [ -z "$JIFFIES" ] || echo "$JIFFIES $(jiffies)" |
    awk '$3 + $4 > $1 + $2 { printf ", processors busy for %.0f %% of it", 100 * ($3 - $1) / ($3 + $4 - $1 - $2) }'
}

summary() {
  local name state seconds passed failed skipped total_passed=0 total_failed=0 total_skipped=0 bad=0
  printf '\n=== Summary\n%-14s %-9s %8s  %s\n' section result seconds tests
  for name in "${CHOSEN[@]}"; do
    IFS=';' read -r state seconds <"$LOGS/$name.result"
    read -r passed failed skipped < <(counts "$LOGS/$name.log")
    # A section that failed outside pytest, or before it could count, is one failure.
    if [ "$state" = FAILED ]; then bad=1; [ "$failed" -gt 0 ] || failed=1; fi
    local words=
    if [ $((passed + failed + skipped)) -gt 0 ]; then words="$passed passed, $failed failed, $skipped skipped"; fi
    [ "$state" != 'left out' ] || words=$(cat "$LOGS/$name.log")
    printf '%-14s %-9s %8s  %s\n' "$name" "$state" "$seconds" "$words"
    total_passed=$((total_passed + passed)) total_failed=$((total_failed + failed))
    total_skipped=$((total_skipped + skipped))
  done
  cat <<'END'

Not run here, for want of what it needs:
  twenty minutes   a hundred faults against chains on a cluster: python -m tests.chaos --faults 100; a short campaign is run
  a GPU            batches of images, halving on out-of-memory, faster kernels: pytest -m gpu in an engine environment
  downloads        MACE foundation models by name; their place is taken by a small model of our own
END
  printf '\n%s s in all%s\n' "$SECONDS" "$(busy)"
  echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
  return $bad
}

case ${1:-} in
  --list)
    for name in "${SECTIONS[@]}"; do printf '%-14s %s\n' "$name" "$(about "$name")"; done
    exit 0 ;;
  --section) # one section in the foreground, as the lanes start it
    for bin in /usr/lib/postgresql/*/bin; do [ ! -d "$bin" ] || PATH=$PATH:$bin; done
    "section_$2"
    exit $? ;;
  -*)
    sed -n '2,12s/^# \{0,1\}//p' tests/run.sh >&2
    exit 2 ;;
esac
CHOSEN=("$@")
[ $# -gt 0 ] || CHOSEN=(system environments "${SHARED[@]}")
for name in "${CHOSEN[@]}"; do
  [ -n "$(about "$name")" ] || { echo "unknown section $name; known are: ${SECTIONS[*]}" >&2; exit 2; }
done

JIFFIES=$(jiffies)
mkdir -p "$LOGS" && rm -rf "$LOGS"/*.log "$LOGS"/*.result "$LOGS"/*.pid "$LOGS"/*.taken
# On an interruption the lanes go too, each with what it runs.
stop() {
  trap - INT TERM
  kill $(jobs -p) $(cat "$LOGS"/*.pid 2>/dev/null) 2>/dev/null
  exit 130
}
trap stop INT TERM
run_lane system environments & show system environments; wait
for ((lane = 0; lane < LANES; lane++)); do run_lane "${SHARED[@]}" & done
show "${SHARED[@]}"; wait
summary
