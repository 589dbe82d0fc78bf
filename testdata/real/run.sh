#!/usr/bin/env bash
# run.sh [GO [TAGS [PACKAGES and flags of go test]]]
# Runs the tests with the build tag `real`: against Apache Kafka's own jars, fetched with Maven and started by the
# tests, against a PostgreSQL and a MariaDB started here, and with Debian's Redis and Prometheus, which the tests start; with the tag
# `browser` also those in Chromium. Installs what is missing where it may (Debian, root); else says so and fails. It never passes by skipping.
set -euo pipefail
cd "$(dirname "$0")/../.."
go=${1:-go}
tags=${2:-real,browser}
packages=("${@:3}")
# By default those with tests that meet a real server: the others do what `make test` has them do. Of the tests of one
# that are not built for a real server alone, kafkatest.RunMain runs those that may meet a broker.
[ $# -gt 2 ] || mapfile -t packages < <(grep -rlE --include='*_test.go' '^//go:build real$|kafkatest\.Start\(' pipeline sinks stages cmd | sed 's|^|./|; s|/[^/]*$||' | sort -u)
here=testdata/real

need() { # need COMMAND PACKAGE...
  command -v "$1" >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${@:2}" >/dev/null
  fi
  command -v "$1" >/dev/null || { echo "make test-real needs $1: install ${*:2}" >&2; exit 1; }
}
need java openjdk-17-jre-headless
need mvn maven
need kcat kcat
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need initdb postgresql
PATH=$PATH:/usr/sbin # mariadbd is there, which not every user has in PATH
need mariadbd mariadb-server
need openssl openssl
need redis-server redis-server
case ,$tags, in *,browser,*) need chromium chromium ;; esac
major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
[ "${major:-0}" -ge 17 ] || { echo "make test-real needs Java 17 or later, found ${major:-none}" >&2; exit 1; }

# Prometheus is unpacked and not installed: the package starts a server that listens on every address of the machine.
if ! command -v prometheus >/dev/null || ! command -v promtool >/dev/null; then
  unpacked=${XDG_CACHE_HOME:-$HOME/.cache}/penstock/prometheus
  if ! [ -x "$unpacked/usr/bin/prometheus" ] || ! [ -x "$unpacked/usr/bin/promtool" ]; then
    mkdir -p "$unpacked"
    [ "$(id -u)" != 0 ] || apt-get update -qq || true
    (cd "$unpacked" && apt-get -o APT::Sandbox::User=root download -qq prometheus && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb) ||
      { echo "make test-real needs prometheus and promtool: install prometheus" >&2; exit 1; }
  fi
  PATH=$PATH:$unpacked/usr/bin
fi
export PENSTOCK_PROMETHEUS=$(command -v prometheus) PENSTOCK_PROMTOOL=$(command -v promtool)

# The grammar of LogQL that Grafana uses.
need node nodejs
need python3 python3
need npm npm
export PENSTOCK_LEZER_LOGQL=${XDG_CACHE_HOME:-$HOME/.cache}/penstock/logql
if ! cmp -s $here/logql/package-lock.json "$PENSTOCK_LEZER_LOGQL/package-lock.json" || ! [ -d "$PENSTOCK_LEZER_LOGQL/node_modules" ]; then
  mkdir -p "$PENSTOCK_LEZER_LOGQL"
  cp $here/logql/package.json $here/logql/package-lock.json "$PENSTOCK_LEZER_LOGQL"
  npm ci --prefix "$PENSTOCK_LEZER_LOGQL" --ignore-scripts --no-audit --no-fund --silent
fi

libs=${PENSTOCK_KAFKA_LIBS:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock/kafka-4.1.0}
if ! ls "$libs"/kafka_2.13-4.1.0.jar >/dev/null 2>&1; then
  mkdir -p "$libs"
  mvn -q -B -f $here/pom.xml dependency:copy-dependencies -DoutputDirectory="$libs" -DincludeScope=runtime
fi
export PENSTOCK_KAFKA_LIBS=$libs

work=$(mktemp -d)
stop() {
  [ ! -s "$work/pg/postmaster.pid" ] || kill -QUIT "$(head -1 "$work/pg/postmaster.pid")" 2>/dev/null || true
  [ -z "${maria:-}" ] || { kill -KILL "$maria" 2>/dev/null && wait "$maria" 2>/dev/null; } || true
  rm -rf "$work"
}
trap stop EXIT
pgbin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1); pgbin=${pgbin:-$(dirname "$(command -v initdb)")}
port=$((20000 + RANDOM % 10000))
as=()
if [ "$(id -u)" = 0 ]; then as=(runuser -u postgres --); chown postgres "$work"; chmod 755 "$work"; fi # PostgreSQL refuses root
(cd / && "${as[@]}" "$pgbin/initdb" -D "$work/pg" -U penstock -A trust --no-sync >/dev/null)
(cd / && "${as[@]}" "$pgbin/pg_ctl" -D "$work/pg" -w -l "$work/pg/log" -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off" start >/dev/null)
export PENSTOCK_TEST_POSTGRES="postgres://penstock@127.0.0.1:$port/postgres?sslmode=disable"

# MariaDB has no way to start only when it is ready: it is asked for until it is. A port that is taken ends it.
mkdir "$work/maria"
user=()
if [ "$(id -u)" = 0 ]; then user=(--user=mysql); chown mysql "$work/maria"; fi # MariaDB refuses root
mariadb-install-db --no-defaults "${user[@]}" --datadir="$work/maria/data" --auth-root-authentication-method=normal --skip-test-db >"$work/maria.log" 2>&1 ||
  { cat "$work/maria.log" >&2; exit 1; }
(
  cd "$work/maria"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile <(echo subjectAltName=DNS:localhost) -out server.pem
  chmod 644 server.key
) >"$work/tls.log" 2>&1 || { cat "$work/tls.log" >&2; exit 1; }
for _ in 1 2 3 4 5; do
  port=$((20000 + RANDOM % 10000))
  mariadbd --no-defaults "${user[@]}" --datadir="$work/maria/data" --bind-address=127.0.0.1 --port=$port --socket="$work/maria/s" --pid-file="$work/maria/pid" \
    --ssl-cert="$work/maria/server.pem" --ssl-key="$work/maria/server.key" --innodb-flush-log-at-trx-commit=0 >>"$work/maria.log" 2>&1 &
  maria=$!
  for _ in $(seq 300); do
    [ ! -s "$work/maria/pid" ] && kill -0 $maria 2>/dev/null || break
    sleep 0.1
  done
  ! kill -0 $maria 2>/dev/null || break
done
mariadb --no-defaults --protocol=socket --socket="$work/maria/s" -u root -e 'CREATE DATABASE penstock_test' || { cat "$work/maria.log" >&2; exit 1; }
export PENSTOCK_TEST_MARIADB="mysql://root@127.0.0.1:$port/?charset=utf8mb4" PENSTOCK_TEST_MARIADB_CA="$work/maria/ca.pem"

# Without cgo, as `make test` and the vet of `make check` build, so that nothing is compiled once more; vet is theirs.
tests=(env CGO_ENABLED=0 "$go" test -vet=off -tags "$tags" -count=1 -p 1 -timeout 30m)
if [ $# -gt 2 ]; then
  "${tests[@]}" "${packages[@]}"
  exit
fi
# Two packages at a time, as they wait more than they compute: those about Kafka beside all others. Within each half one after
# another: the databases are one for all, and of Kafka each package starts a broker of its own.
kafka=() others=()
for p in "${packages[@]}"; do
  case $p in */kafka*) kafka+=("$p") ;; *) others+=("$p") ;; esac
done
"${tests[@]}" "${kafka[@]}" >"$work/kafka.log" 2>&1 &
beside=$!
failed=0
"${tests[@]}" "${others[@]}" || failed=1
wait $beside || failed=1
cat "$work/kafka.log"
exit $failed
