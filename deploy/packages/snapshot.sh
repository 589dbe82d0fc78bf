#!/bin/sh
# Makes a release that is not published, in dist: snapshot.sh GO [SYSTEM/ARCHITECTURE]. It is made of the last commit, in a clone: what is
# not committed is in no release. The tools are compiled the first time, and kept in .cache/tools.
set -eu
go=$1 target=${2:-}
cd "$(dirname "$0")/../.."
here=$PWD tools=$PWD/.cache/tools source=$PWD/.cache/source

# Installed by their versions and not by go.mod: what they need is nothing that penstock needs.
install_tool() { # NAME PACKAGE VERSION
	if [ ! -e "$tools/$1-$3" ]; then
		GOBIN=$tools GOFLAGS= "$go" install "$2@$3"
		mv "$tools/$1" "$tools/$1-$3"
	fi
	ln -sf "$1-$3" "$tools/$1"
}
install_tool goreleaser github.com/goreleaser/goreleaser/v2 v2.15.1
install_tool cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod v1.10.0

rm -rf "$source"
git clone --quiet . "$source"
cd "$source"
git remote set-url origin https://github.com/penstockio/penstock # without one goreleaser does not know the commit
config=.goreleaser.yaml
if [ -n "$target" ]; then
	config=$here/.cache/one.goreleaser.yaml
	sed -e "s/goos: \[.*\]/goos: [${target%/*}]/" -e "s/goarch: \[.*\]/goarch: [${target#*/}]/" .goreleaser.yaml >"$config"
fi
PATH=$tools:$PATH GOFLAGS= goreleaser release --snapshot --clean --skip=docker --parallelism 1 --config "$config"
rm -rf "$here/dist"
mv dist "$here/dist"
rm -rf "$source"
