#!/usr/bin/env bash
# Installs a deb in a clean Debian, runs its unit under a systemd of its own, stops it, removes it, and says what is left.
#
#   deploy/install/run.sh penstock.deb [SUITE]     SUITE: trixie (default), bookworm, ...
#
# It needs root, debootstrap and systemd-nspawn (apt-get install debootstrap systemd-container). The clean system is kept under
# $PENSTOCK_INSTALL (/var/tmp/penstock-install) for the next time; what is done to it is done to a copy.
set -euo pipefail
deb=$(realpath "${1:?which deb?}")
suite=${2:-trixie}
here=$(realpath "$(dirname "$0")")
store=${PENSTOCK_INSTALL:-/var/tmp/penstock-install}
mkdir -p "$store"

clean=$store/$suite
if [ ! -e "$clean.done" ]; then
	rm -rf "$clean"
	debootstrap --variant=minbase --include=systemd-sysv "$suite" "$clean" >"$store/$suite.log" || { tail "$store/$suite.log"; exit 1; }
	touch "$clean.done"
fi
root=$(mktemp -d "$store/$suite.XXXXXX")
leader=
finish() {
	if [ -n "$leader" ]; then
		kill -s RTMIN+4 "$leader" 2>/dev/null || true # systemd's word for poweroff
		wait "$nspawn" 2>/dev/null || true
	fi
	rm -rf "$root"
}
trap finish EXIT
cp -a "$clean/." "$root/"
cp "$deb" "$root/root/penstock.deb"
cp "$here/inside.sh" "$root/root/inside.sh"

systemd-nspawn --quiet --register=no --keep-unit --console=pipe --machine=penstock-install --private-network -D "$root" --boot \
	</dev/null >"$store/$suite.boot.log" 2>&1 &
nspawn=$!
for _ in $(seq 600); do
	leader=$(pgrep -P "$nspawn" -x systemd || true)
	if [ -n "$leader" ] && nsenter -t "$leader" -a systemctl is-active -q multi-user.target 2>/dev/null; then
		break
	fi
	kill -0 "$nspawn" 2>/dev/null || { cat "$store/$suite.boot.log"; exit 1; }
	sleep 0.5
done
nsenter -t "$leader" -a --wdns=/root /bin/bash /root/inside.sh
