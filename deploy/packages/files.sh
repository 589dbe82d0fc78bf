#!/bin/sh
# Makes what packages hold beside the binary: files.sh FOLDER VERSION DAY. goreleaser calls it.
set -eu
to=$1 version=$2 day=$3
mkdir -p "$to"
CGO_ENABLED=0 go build -trimpath -ldflags "-X github.com/penstockio/penstock/pipeline/cli.version=$version" -o "$to/penstock" ./cmd/penstock
"$to/penstock" man --date "$day" | gzip -9n >"$to/penstock.1.gz"
for shell in bash zsh fish; do
	"$to/penstock" completion "$shell" >"$to/penstock.$shell"
done
rm "$to/penstock"
gzip -9n <CHANGELOG.md >"$to/changelog.gz" # where Debian has it; the rpm has the file itself
go run ./.ci/licences >"$to/LICENSES-OF-OTHERS"
