#!/usr/bin/env bash
# What run.sh does inside the clean Debian. Each line that begins with ok is something that was looked at.
set -euo pipefail
set -E
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
fail() {
	echo "FAILED: $*"
	trap - ERR
	systemctl status --no-pager -n 0 penstock 2>&1 || true
	journalctl --no-pager -u penstock -n 20 2>&1 | cut -c1-300 || true
	exit 1
}
trap 'fail "line $LINENO"' ERR
ok() { echo "ok: $*"; }
until_true() { # WHAT COMMAND...: within a minute
	local what=$1
	shift
	for _ in $(seq 300); do
		if "$@" >/dev/null 2>&1; then
			ok "$what"
			return
		fi
		sleep 0.2
	done
	fail "$what: not within a minute"
}
property() { systemctl show -P "$1" "${2:-penstock.service}"; }

# All that there is, but what any package leaves behind: dpkg's own books, logs, caches, and copies that passwd makes.
files() {
	find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp -o -path /root -o -path /var/log -o -path /var/cache \
		-o -path /var/lib/dpkg -o -path /var/lib/systemd \) -prune -o \( -path /etc/passwd- -o -path /etc/group- -o -path /etc/shadow- -o -path /etc/gshadow- \
		-o -path /etc/.pwd.lock \) -o -type f -printf '%p %m %U %G ' -exec sha256sum {} \; -o -printf '%p %y %m %U %G %l\n' | sort
}
# Once a user has come and gone the files of passwd are written anew: the order of their fields and lines is the same, their time is not kept.
files >/root/before

dpkg -i /root/penstock.deb
getent passwd penstock >/dev/null || fail "no user"
[ "$(systemctl is-enabled penstock || true)" = disabled ] || fail "it is enabled without being asked"
[ "$(systemctl is-active penstock || true)" = inactive ] || fail "it runs without being asked"
ok "installed: a user, nothing enabled, nothing running"
systemd-analyze verify --man=no penstock.service penstock@one.service >/root/verify 2>&1 || true
if [ "$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -lt 253 ]; then
	sed -i '/ignoring: notify-reload$/d' /root/verify # which the drop-in says otherwise
fi
[ ! -s /root/verify ] || fail "systemd-analyze verify: $(cat /root/verify)"
ok "systemd-analyze verify has nothing to say"
systemd-analyze security --no-pager penstock.service >/root/security || true
tail -n 1 /root/security
runuser -u penstock -- penstock check /etc/penstock || fail "the example is not right"

echo '{"origin":"BOS","delay":20}' >/root/flight
systemctl enable -q penstock
systemctl start penstock || fail "start"
[ "$(property ActiveState) $(property SubState)" = "active running" ] || fail "not running"
ok "started, and told so (Type=$(property Type))"
pid=$(property MainPID)
[ "$(stat -c %U /proc/$pid)" = penstock ] || fail "it runs as $(stat -c %U /proc/$pid)"
until_true "ready" penstock probe ready /etc/penstock
cat /root/flight >>/var/lib/penstock/flights.jsonl
until_true "a record has passed" grep -q '"BOS"' /var/lib/penstock/late.jsonl
until_true "a status stands in systemctl status" bash -c 'systemctl show -P StatusText penstock | grep -q "^ready; .* records/s in"'
[ "$(property WatchdogTimestampMonotonic)" -gt 0 ] || fail "no sign of life"
ok "signs of life"

sed -i 's/delay >= 15/delay >= 30/' /etc/penstock/example.yaml
systemctl reload penstock || fail "reload"
until_true "the log says that the edit was loaded" bash -c 'journalctl --no-pager -u penstock | grep -q "configuration applied"'
[ "$(property MainPID)" = "$pid" ] || fail "a reload has started it anew"
[ "$(property ActiveState)" = active ] || fail "not active after a reload"
printf '%s\n' '{"origin":"ORD","delay":20}' '{"origin":"SFO","delay":40}' >>/var/lib/penstock/flights.jsonl
until_true "a record has passed the filter that was edited" grep -q '"SFO"' /var/lib/penstock/late.jsonl
if grep -q '"ORD"' /var/lib/penstock/late.jsonl; then fail "the filter is what it was before the edit"; fi
ok "reloaded, the same process"

# What must bring it back, and what must not.
kill -SEGV "$pid" # the runtime ends as it does when it crashes
until_true "a crash brings a new process" bash -c '[ "$(systemctl show -P MainPID penstock)" != '"$pid"' ] && [ "$(systemctl show -P MainPID penstock)" != 0 ] && systemctl is-active -q penstock'
pid=$(property MainPID)
mkdir -p /run/systemd/system/penstock.service.d
printf '[Service]\nWatchdogSec=2s\n' >/run/systemd/system/penstock.service.d/quick.conf
systemctl daemon-reload
systemctl restart penstock
pid=$(property MainPID)
sleep 5
[ "$(property MainPID)" = "$pid" ] || fail "the watchdog has ended a process that does well"
kill -STOP "$pid" # neither signs of life nor anything else
until_true "the watchdog brings a new process for one that hangs" bash -c '[ "$(systemctl show -P MainPID penstock)" != '"$pid"' ] && [ "$(systemctl show -P MainPID penstock)" != 0 ] && systemctl is-active -q penstock'
rm -r /run/systemd/system/penstock.service.d
systemctl daemon-reload
systemctl stop penstock
cp /etc/penstock/example.yaml /root/example.yaml
echo 'nonsense: 1' >>/etc/penstock/example.yaml
if systemctl start penstock 2>/dev/null; then fail "it starts with a mistake in its file"; fi
until_true "a mistake in a file is not tried again" bash -c '[ "$(systemctl show -P ActiveState penstock)" = failed ] && [ "$(systemctl show -P ExecMainStatus penstock)" = 2 ]'
[ "$(property NRestarts)" = 0 ] || fail "it was tried $(property NRestarts) times"
cp /root/example.yaml /etc/penstock/example.yaml
systemctl reset-failed penstock

mkdir /etc/penstock/one
sed -e 's#/var/lib/penstock/#/var/lib/penstock/one/#; s#/example.position#/example.position#; s#^admin:.*#admin: {listen: "unix:/run/penstock-one/admin.sock"}#' /etc/penstock/example.yaml >/etc/penstock/one/one.yaml
systemctl start penstock penstock@one || fail "start of an instance"
until_true "an instance beside it" penstock probe ready /etc/penstock/one
echo '{"origin":"JFK","delay":30}' >>/var/lib/penstock/one/flights.jsonl
until_true "a record has passed the instance" grep -q '"JFK"' /var/lib/penstock/one/late.jsonl

# An upgrade, here to the same version, leaves running what runs.
was=$(property MainPID)
dpkg -i /root/penstock.deb >/dev/null
until_true "an upgrade starts anew what ran" bash -c '[ "$(systemctl show -P MainPID penstock)" != '"$was"' ] && systemctl is-active -q penstock penstock@one'

# One with a mistake in a file leaves running what could not be started again, and only that.
echo 'nonsense: 1' >>/etc/penstock/example.yaml
systemctl reload penstock || true
until_true "a reload that was refused stands in the status" bash -c 'systemctl show -P StatusText penstock | grep -q "not reloaded: "'
was=$(property MainPID) one=$(property MainPID penstock@one)
dpkg -i /root/penstock.deb >/root/upgrade 2>&1 || fail "upgrade with a mistake in a file: $(cat /root/upgrade)"
[ "$(property MainPID) $(property ActiveState)" = "$was active" ] || fail "an upgrade has ended what cannot be started again"
grep -q "penstock.service goes on with the version before" /root/upgrade || fail "nothing says so"
until_true "an upgrade leaves running what has a mistake in its file, and starts anew the others" \
	bash -c '[ "$(systemctl show -P MainPID penstock@one)" != '"$one"' ] && systemctl is-active -q penstock penstock@one'
cp /root/example.yaml /etc/penstock/example.yaml

systemctl stop penstock || fail "stop"
[ "$(property Result) $(property ExecMainStatus)" = "success 0" ] || fail "it has ended with $(property Result), $(property ExecMainStatus)"
ok "stopped within its time, with 0"

rm -r /etc/penstock/one # what the stranger has put there is the stranger's to remove
dpkg --remove penstock
[ "$(systemctl is-active penstock@one || true)" != active ] || fail "an instance runs without its binary"
[ -e /etc/penstock/example.yaml ] || fail "remove has taken the settings"
dpkg --purge penstock
ok "removed and purged"
files >/root/after
diff /root/before /root/after >/root/left || true
sed -n 's/^/   /p' /root/left
if grep -v '^[0-9,]*[acd][0-9,]*$' /root/left | grep -v '^> /var/lib/penstock[/ ]'; then fail "left behind beside the data"; fi
if grep '^> /var/lib/penstock' /root/left | grep -v ' 0 0 '; then fail "data that belongs to a user who is gone"; fi
[ -e /var/lib/penstock/late.jsonl ] || fail "the data is gone"
ok "nothing is left but data, which is root's"

dpkg -i /root/penstock.deb >/dev/null
systemctl start penstock || fail "start after it came back"
until_true "it comes back to its data" penstock probe ready /etc/penstock
[ "$(stat -c %U /var/lib/penstock/late.jsonl)" = penstock ] || fail "its data is not its own again"
systemctl stop penstock
rm -r /var/lib/penstock
dpkg --purge penstock >/dev/null
files >/root/after
diff /root/before /root/after || fail "left behind"
ok "and without its data nothing at all"
