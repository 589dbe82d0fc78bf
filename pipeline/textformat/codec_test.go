package textformat

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A compressed is one of the three, for tests that are about all.
type compressed struct {
	name     string
	make     func(dst, data []byte) ([]byte, error)
	read     func(dst, text []byte, most int) ([]byte, error)
	streamed func(w io.Writer) io.WriteCloser // writes no size in front
}

func compressions(c *Compression) []compressed {
	return []compressed{
		{"gzip", c.AppendGzip, c.AppendFromGzip, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }},
		{"zstd", c.AppendZstd, c.AppendFromZstd, func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
			if err != nil {
				panic(err)
			}
			return z
		}},
		{"lz4", c.AppendLZ4, c.AppendFromLZ4, func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) }},
	}
}

func TestCompression(t *testing.T) {
	for _, c := range compressions(new(Compression)) {
		t.Run(c.name, func(t *testing.T) {
			for _, data := range []string{"", "x", strings.Repeat("abc", 100_000)} {
				packed, err := c.make([]byte("before"), []byte(data))
				if err != nil || !bytes.HasPrefix(packed, []byte("before")) {
					t.Fatal(err)
				}
				packed = packed[len("before"):]
				out, err := c.read([]byte("before"), packed, max(len(data), 1))
				if err != nil || string(out) != "before"+data {
					t.Errorf("%d bytes came back as %d, %v", len(data), len(out), err)
				}
				if len(data) > 1 {
					if got := outcome(c.read([]byte("before"), packed, len(data)-1)); got != fmt.Sprintf("!what is compressed has more than %d bytes", len(data)-1) {
						t.Errorf("one byte too many: %.100s", got)
					}
					if got := outcome(c.read([]byte("before"), packed[:len(packed)-3], len(data))); !strings.HasPrefix(got, "!the "+c.name+" breaks off or is damaged") {
						t.Errorf("cut off: %.100s", got)
					}
					if got := outcome(c.read([]byte("before"), append(bytes.Clone(packed), "rubbish"...), len(data))); got[0] != '!' {
						t.Errorf("with rubbish behind: %.100s", got)
					}
				}
			}
			for _, text := range []string{"", "x", "no " + c.name} {
				if got := outcome(c.read([]byte("before"), []byte(text), 100)); got != "!column 1: it does not begin as "+c.name+" does" {
					t.Errorf("%q: %s", text, got)
				}
			}
		})
	}
}

// TestBombs: a gigabyte of zeros is an error before there is memory for it, whether its size is
// written in front or not.
func TestBombs(t *testing.T) {
	const most = 1 << 20
	for _, c := range compressions(new(Compression)) {
		t.Run(c.name, func(t *testing.T) {
			var packed bytes.Buffer
			w := c.streamed(&packed)
			zeros := make([]byte, 1<<20)
			for range 1 << 10 {
				if _, err := w.Write(zeros); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			_, _ = c.read(nil, packed.Bytes(), most) // what the codec keeps is there
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := outcome(c.read([]byte("before"), packed.Bytes(), most))
			runtime.ReadMemStats(&after)
			if got != fmt.Sprintf("!what is compressed has more than %d bytes", most) {
				t.Errorf("got %.100s", got)
			}
			// Growing to the bound takes several times the bound in all; the pool may have lost its window.
			if taken := after.TotalAlloc - before.TotalAlloc; taken > 8*most+2*window {
				t.Errorf("%d bytes of memory were taken for a bound of %d", taken, most)
			}
		})
	}
	t.Run("zstd, its size in front", func(t *testing.T) {
		c := new(Compression)
		packed, err := c.AppendZstd(nil, make([]byte, 4<<20))
		if err != nil {
			t.Fatal(err)
		}
		if got := outcome(c.AppendFromZstd([]byte("before"), packed, most)); got != fmt.Sprintf("!what is compressed has more than %d bytes", most) {
			t.Errorf("got %.100s", got)
		}
	})
}

// TestRealLines: every line of the logs in testdata is read, and says what it says.
func TestRealLines(t *testing.T) {
	for name, read := range map[string]func(dst, text []byte) ([]byte, error){
		"access.log": AppendAccessLog, "syslog.log": plainSyslog, "app.logfmt": Pairs{Logfmt: true}.AppendObject, "firewall.log": Pairs{}.AppendObject,
	} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range bytes.Lines(text) {
			n++
			if out, err := read(nil, line); err != nil || len(out) < len(line)/2 {
				t.Errorf("%s:%d: %s, %v", name, n, out, err)
			}
		}
		if n < 8 {
			t.Errorf("%s has %d lines", name, n)
		}
	}
}
