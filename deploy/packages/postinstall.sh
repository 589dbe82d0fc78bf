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

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
	if [ -n "$before" ]; then
		systemctl try-restart penstock.service 'penstock@*.service' || :
	fi
fi
