//go:build real

package kafkatest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The tests that may meet a broker are found through functions, variables, types and their methods, in
// whatever file those are; what has the name of one of them and is another thing does not count.
func TestMeet(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"kit_test.go": `package p

var shared = sync.OnceValue(begin)

func begin() *kafkatest.Cluster { return kafkatest.Start(nil) }

type world struct{ c *kafkatest.Cluster }

func (w *world) open(t *testing.T) { w.c = kafkatest.At(t, "127.0.0.1:1") }

type box[T any] struct{ in T }

func (b *box[T]) open() { _ = os.Getenv(kafkatest.Env) }

func first() int { return second() }
func second() int { return len(shared().Addrs()) }

func init() { shared() }
`,
		"own_test.go": `//go:build unix

package p_test

func TestMain(m *testing.M) { kafkatest.RunMain(m) }

func TestItself(t *testing.T)    { kafkatest.Start(t) }
func TestBySteps(t *testing.T)   { t.Run("", func(t *testing.T) { first() }) }
func TestByType(t *testing.T)    { new(world).open(t) }
func TestByGeneric(t *testing.T) { b := box[int]{}; b.open() }
func ExampleOfOne()              { first() }
func FuzzOne(f *testing.F)       { first() }

func TestFake(t *testing.T)      { kafkatest.StartFake(t) }
func TestNothing(t *testing.T)   { t.Log(1) }
func TestLocal(t *testing.T)     { first := 1; t.Log(first) }
func TestMethod(t *testing.T)    { t.first() }
func FirstOfAll(t *testing.T)    { first() }
func (x *thing) TestNoTest()     { first() }
`,
		"more_real_test.go": "//go:build real && chaos\n\npackage p\n\nfunc TestReal(t *testing.T) {}\nfunc inReal() {}\nfunc (w *quiet) more() {}\n",
		"less_test.go":      "//go:build !real\n\npackage p\n\nfunc TestLess(t *testing.T) {}\ntype quiet struct{}\nfunc TestQuiet(t *testing.T) { _ = quiet{} }\nfunc TestUsesReal(t *testing.T) { inReal() }\n",
		"code.go":           "package p\n\nfunc TestNotATestFile() { kafkatest.Start(nil) }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := meet(dir)
	want := []string{"ExampleOfOne", "FuzzOne", "TestByGeneric", "TestBySteps", "TestByType", "TestItself", "TestReal", "TestUsesReal"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken_test.go"), []byte("package p\n\nfunc {"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := meet(dir); err == nil {
		t.Errorf("a file that is no Go gives %v", got)
	}
}
