#!/bin/sh
# Before the files go. deb: "remove"; rpm: 0. An upgrade leaves running what runs: postinstall.sh starts it anew when the new binary takes its files.
set -e
case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl stop penstock.service 'penstock@*.service' || :
fi
for link in /etc/systemd/system/*.wants/penstock.service /etc/systemd/system/*.wants/penstock@*.service; do
	if [ -L "$link" ]; then
		systemctl --no-reload disable "${link##*/}" || rm -f "$link"
	fi
done
