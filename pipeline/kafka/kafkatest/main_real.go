//go:build real

package kafkatest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// RunMain runs m against a real broker: the one that Env names, or one that it
// starts for these tests alone. It returns the exit code. Without the flag -run it
// runs the tests that may meet a real server; the others are those of make test.
func RunMain(m *testing.M) int {
	if err := chooseTests(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if os.Getenv(Env) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "penstock-real-")
	if err == nil {
		defer os.RemoveAll(dir)
		ctx, cancel := context.WithTimeout(context.Background(), startupTimeout)
		defer cancel()
		var r *Real
		if r, err = StartReal(ctx, dir, RealOptions{}); err == nil {
			defer r.Stop()
			err = os.Setenv(Env, r.Addrs()[0])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// chooseTests sets the flag -run to the tests that meet real servers, when it is not set.
func chooseTests() error {
	flag.Parse()
	if flag.Lookup("test.run").Value.String() != "" {
		return nil
	}
	tests, err := meet(".") // go test runs tests in the folder of their package
	if err != nil {
		return err
	}
	return flag.Set("test.run", "^("+strings.Join(tests, "|")+")$")
}
