// SPDX-License-Identifier: Apache-2.0

// Command types looks whether the packages of this module, and all that they import, have no errors of syntax or types on
// other systems: what `go build` finds there, without the minutes that it takes to make code of all of them once more.
//
//	go run ./.ci/types darwin windows
package main

import (
	"fmt"
	"os"

	"golang.org/x/tools/go/packages"
)

func main() {
	failed := false
	for _, system := range os.Args[1:] {
		config := &packages.Config{
			Mode: packages.LoadAllSyntax | packages.NeedModule,
			Env:  append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0"),
		}
		all, err := packages.Load(config, "./...")
		if err != nil {
			fmt.Fprintln(os.Stderr, system+":", err)
			os.Exit(1)
		}
		n := 0
		packages.Visit(all, nil, func(p *packages.Package) {
			n++
			for _, err := range p.Errors {
				fmt.Fprintln(os.Stderr, system+":", p.PkgPath+":", err)
				failed = true
			}
			if p.IllTyped && len(p.Errors) == 0 {
				fmt.Fprintln(os.Stderr, system+":", p.PkgPath+": imports what has errors")
				failed = true
			}
		})
		if len(all) == 0 || n == len(all) { // nothing but the module is there: it was not looked at as a whole
			fmt.Fprintln(os.Stderr, system+": no packages")
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}
