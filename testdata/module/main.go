// Command own is penstock with a stage of one's own.
package main

import (
	"os"

	"github.com/penstockio/penstock/pipeline/cli"
)

func main() { os.Exit(cli.Main(kind)) }
