#!/usr/bin/env bash
# load.sh BROKER [more]   writes the flights into the topic flights, keyed by origin, and three records that cannot pass;
# with more also four that a filter is asked about. Needs kcat and jq. The topics must be there.
set -euo pipefail
cd "$(dirname "$0")"
put() { kcat -b "$1" -P -t flights -K '\t' -X partitioner=murmur2_random "${@:2}"; }
jq -r '.origin + "\t" + tojson' ../../../testdata/flights/flights.jsonl | put "$1"
printf '%s\t%s\n' BAD 'no json' BAD '{"delay":20,"destination":"LAS"}' \
  ZZZ '{"date":"2001/01/01 00:47","delay":66,"distance":1750,"origin":"ZZZ","destination":"LAS"}' | put "$1"
if [ "${2:-}" = more ]; then
  printf '%s\t\n' DTW HNL | put "$1" -Z # tombstones
  printf '%s\t%s\n' HNL '{"date":"2001/01/01 01:10","delay":95,"distance":2399,"origin":"HNL","destination":"SFO"}' | put "$1" -H test=1
  printf '%s\t%s\n' BAD 7 | put "$1"
fi
