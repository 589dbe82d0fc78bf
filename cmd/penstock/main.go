// SPDX-License-Identifier: Apache-2.0

// Command penstock runs, checks, replays and tests pipelines.
package main

import (
	"os"

	"github.com/penstockio/penstock/pipeline/cli"
)

func main() { os.Exit(cli.Main()) }
