#!/bin/sh
# After unpacking. deb: "configure" and, at an upgrade, the version before. rpm: how many versions are there now.
# Nothing is started and nothing is enabled: what moves records begins when somebody says so.
set -e
case "$1" in
configure) before=$2 ;;
1) before= ;;
[2-9]) before=some ;;
*) exit 0 ;;
esac

# The user belongs to the files in /usr/lib/sysusers.d; without systemd, as in a container, it is made by hand.
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers penstock.conf
elif ! getent passwd penstock >/dev/null; then
	useradd --system --user-group --no-create-home --home-dir /var/lib/penstock --shell /usr/sbin/nologin --comment "penstock pipelines" penstock
fi

# systemd before 253 does not know Type=notify-reload.
systemd=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
for unit in penstock.service penstock@.service; do
	rm -rf "/usr/lib/systemd/system/$unit.d"
	if [ "${systemd:-999}" -lt 253 ]; then
		mkdir -p "/usr/lib/systemd/system/$unit.d"
		ln -s /usr/share/penstock/before-253.conf "/usr/lib/systemd/system/$unit.d/before-253.conf"
	fi
done

# Whether the new binary takes the files that a service runs: as its user, in its folder, and with the variables that its process has.
# They are exported and not written on a command line, which everybody may read.
takes_files() { (
	unit=$1
	cd "$(systemctl show -P WorkingDirectory "$unit")" || exit 1
	pid=$(systemctl show -P MainPID "$unit")
	while IFS= read -r variable; do
		case $variable in
		[A-Za-z_]*=*) export "$variable" ;;
		esac
	done <<-END
	$(tr '\0' '\n' <"/proc/$pid/environ")
	END
	# The words behind "run", but those of its flags that check does not have.
	set -f
	set -- $(systemctl show -P ExecStart "$unit" | sed -n 's/.*argv\[\]=\/usr\/bin\/penstock run \([^;]*\) ; .*/\1/p')
	n=$#
	while [ "$n" -gt 0 ]; do
		n=$((n - 1))
		word=$1
		shift
		case $word in
		--watch | --fail-fast | --watch=* | --fail-fast=* | --drain=*) ;;
		--drain)
			n=$((n - 1))
			shift
			;;
		*) set -- "$@" "$word" ;;
		esac
	done
	if [ $# -eq 0 ]; then
		exit 0 # it runs something else, of which nothing is known
	fi
	user=$(systemctl show -P User "$unit")
	exec runuser -u "${user:-root}" -- /usr/bin/penstock check "$@"
); }

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
	if [ -n "$before" ]; then
		for unit in $(systemctl list-units --plain --no-legend --state=active penstock.service 'penstock@*.service' | sed 's/ .*//'); do
			if takes_files "$unit"; then
				systemctl try-restart "$unit" || :
			else
				echo "penstock: $unit goes on with the version before: this one does not take its files. Mend them, then: systemctl restart $unit" >&2
			fi
		done
	fi
fi
