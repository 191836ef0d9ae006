# What `gridengine` and `slurm` share. Sourced, not run.
#
# Words for the tests: exit 0, done (status: it is up); 1, it failed (status: it is down);
# 3, such a cluster cannot be had on this machine, and the one sentence on stderr says why.

export DEBIAN_FRONTEND=noninteractive LC_ALL=C
slots=${TESELA_CLUSTER_SLOTS:-4}
memory=${TESELA_CLUSTER_MEMORY:-$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)}
here=$(hostname -s)
state=/var/lib/tesela-cluster/$name   # what this script did to the machine
log=$state/log

say() { echo "$name: $*" >&2; }
fail() { say "$*"; exit 1; }
cannot() { say "cannot be had here: $*"; exit 3; }

usage() {
  cat >&2 <<TEXT
usage: tools/cluster/$name up | status | down [--purge]
  up        install and start it, or mend what is down; prints the environment that clients need
  status    the same words if it answers, else exit 1
  down      stop what \`up\` started; --purge also removes the packages that \`up\` installed
settings:   TESELA_CLUSTER_SLOTS=$slots   TESELA_CLUSTER_MEMORY=$memory (MiB, of all jobs together)
TEXT
  exit 2
}

dispatch() {
  case "${1:-} ${2:-}" in
    "up " | "status " | "down ") "$1" ;;
    "down --purge") need_machine; down; purge ;;
    *) usage ;;
  esac
}

need_machine() {
  [ "$(id -u)" -eq 0 ] || cannot "packages and daemons need root, and this is user $(id -un)"
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
    cannot "its packages are Debian's, and this system has no apt-get"
  getent hosts "$here" >/dev/null || cannot "the machine's own name, $here, resolves to no address"
}

# A process that has ended may stay in the table for as long as its parent does not look.
alive() { [ -n "$1" ] && grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" 2>/dev/null; }

# Is the process of a pid file alive, and the program it should be? A number is soon used again.
runs() { # PIDFILE PROGRAM
  local pid; pid=$(number_in "$1")
  alive "$pid" && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]
}
number_in() { { tr -d " \n" < "$1"; } 2>/dev/null || true; }

wait_until() { # SECONDS COMMAND...
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2
  done
}

stop() { # PIDFILE PROGRAM
  runs "$1" "$2" || return 0
  local pid; pid=$(number_in "$1")
  kill "$pid"
  wait_until 15 has_ended "$pid" || { say "$2 does not end by itself, it is killed"; kill -9 "$pid"; }
  rm -f "$1"
}
has_ended() { ! alive "$1"; }

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Install what is missing and remember it. What counts is that our packages are there afterwards:
# apt also fails when some package that has nothing to do with us is half configured.
install_packages() { # PACKAGE...
  local missing=() package
  for package; do is_installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  dpkg-query -W -f '${Package}\n' | sort > "$state/before"
  for refresh in no yes; do
    if [ $refresh = yes ]; then apt-get -o DPkg::Lock::Timeout=120 update -qq >>"$log" 2>&1 || true; fi
    apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends "${missing[@]}" \
      >>"$log" 2>&1 </dev/null || true
    for package in "${missing[@]}"; do is_installed "$package" || continue 2; done
    dpkg-query -W -f '${Package}\n' | sort | comm -13 "$state/before" - >> "$state/packages"
    return 0
  done
  cannot "${missing[*]} could not be installed ($(grep -m1 '^E:' "$log" || echo "see $log"))"
}

purge_packages() {
  [ -s "$state/packages" ] || return 0
  # dpkg takes these and nothing else away, and none that something else has come to need.
  mapfile -t packages < "$state/packages"
  dpkg --purge "${packages[@]}" >>"$log" 2>&1 || say "not all packages could be removed: see $log"
}

