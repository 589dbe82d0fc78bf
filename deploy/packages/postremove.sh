#!/bin/sh
# After the files have gone. deb: "remove", and "purge" when nothing is to stay; rpm: 0.
set -e
case "$1" in
remove | purge | 0) ;;
*) exit 0 ;;
esac
# Of a package that was unpacked and never set up, as after an installation that has failed, preremove.sh was not asked.
if [ -d /run/systemd/system ]; then
	systemctl stop penstock.service 'penstock@*.service' 2>/dev/null || :
fi
rm -rf /usr/lib/systemd/system/penstock.service.d /usr/lib/systemd/system/penstock@.service.d
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
	systemctl reset-failed penstock.service 'penstock@*.service' 2>/dev/null || :
fi

# What pipelines have written stays. It belongs to root from then on: the number of the user may be given to somebody else.
# The next start of a service gives it back.
if [ "$1" = purge ]; then
	if [ -d /var/lib/penstock ] && ! rmdir /var/lib/penstock 2>/dev/null; then
		chown -hR root:root /var/lib/penstock
	fi
	if getent passwd penstock >/dev/null && command -v userdel >/dev/null && ! userdel penstock; then
		echo "penstock: the user penstock stays. When it has no processes any more: userdel penstock" >&2
	elif getent group penstock >/dev/null && command -v groupdel >/dev/null; then
		groupdel penstock
	fi
fi
