package event

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestEveryEventIsEmitted: what the contract promises is written by some code outside of tests.
func TestEveryEventIsEmitted(t *testing.T) {
	var code strings.Builder
	for _, dir := range []string{"pipeline", "stages", "sinks"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			code.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range Registry {
		name := reflect.TypeOf(Registry[i].Struct).Name()
		made := []string{"event." + name + "{", "[event." + name + "]"}
		if name == reflect.TypeFor[LogSuppressed]().Name() {
			made = []string{"planOf(" + name + "{"} // by the limiter and the queue of this package
		}
		if !strings.Contains(code.String(), made[0]) && !strings.Contains(code.String(), made[len(made)-1]) {
			t.Errorf("%s is in the Registry, and nothing emits it", Registry[i].Name)
		}
	}
}
