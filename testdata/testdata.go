// SPDX-License-Identifier: Apache-2.0

// Package testdata is the part of this folder that the binary brings with it, so that `penstock demo` needs nothing else.
package testdata

import "embed"

// Demo holds the pipeline file of the demo, at demo/late-flights.yaml, and what it reads, under flights.
//
//go:embed demo/late-flights.yaml flights/flights.jsonl flights/airports.csv
var Demo embed.FS
