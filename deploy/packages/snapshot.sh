#!/bin/sh
# Makes a release that is not published: snapshot.sh GO [SYSTEM/ARCHITECTURE]. Its tools are compiled the first time, and kept in .cache/tools.
set -eu
go=$1 target=${2:-}
cd "$(dirname "$0")/../.."
tools=$PWD/.cache/tools
config=.goreleaser.yaml
# Each tool with a go.mod of its own: what they need is nothing that penstock needs.
install_tool() {
	[ -e "$tools/${1##*/}@$3" ] || { GOFLAGS=-mod=mod GOBIN=$tools "$go" install "$2@$3" && touch "$tools/${1##*/}@$3"; }
}
install_tool goreleaser github.com/goreleaser/goreleaser/v2 v2.15.1
install_tool cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod v1.10.0
if [ -n "$target" ]; then
	config=.cache/one.goreleaser.yaml
	sed -e "s/goos: \[.*\]/goos: [${target%/*}]/" -e "s/goarch: \[.*\]/goarch: [${target#*/}]/" .goreleaser.yaml >"$config"
fi
# Without a remote goreleaser knows neither the commit nor its day.
git remote get-url origin >/dev/null 2>&1 || { echo "no remote of the name origin: goreleaser needs one (git remote add origin https://github.com/penstockio/penstock)" >&2; exit 2; }
PATH=$tools:$(dirname "$(command -v "$go")"):$PATH goreleaser release --snapshot --clean --skip=docker --config "$config"
