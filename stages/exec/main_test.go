//go:build unix

package execstage

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asChild makes the test binary a child process that speaks the protocol.
const asChild = "PENSTOCK_EXEC_CHILD"

func TestMain(m *testing.M) {
	switch mode := os.Getenv(asChild); mode {
	case "":
		goleak.VerifyTestMain(m)
	case "parent":
		runAsParent()
	case "sleep": // a child of a child
		time.Sleep(time.Hour)
	default:
		(&testChild{out: bufio.NewWriter(os.Stdout), dir: os.Getenv("TEST_DIR")}).run(mode)
	}
}

// A testChild does what the value of a record says.
type testChild struct {
	out   *bufio.Writer
	dir   string
	names map[string]json.RawMessage // of the line at hand
	held  [][]byte                   // answers that wait for a later record
}

type order struct {
	N    int    `json:"n"`
	Do   string `json:"do"`
	Once string `json:"once"` // the same, but only the first time that this file is made; its name is the order, and -once
}

func (c *testChild) run(mode string) {
	c.note("started")
	switch mode {
	case "broken":
		fmt.Fprintln(os.Stderr, "Traceback of what was tried")
		fmt.Fprintln(os.Stderr, "NoSuchThing: there is no such thing")
		os.Exit(7)
	case "slow start":
		time.Sleep(300 * time.Millisecond)
		c.write([]byte(`{"ready":1}`))
	case "never ready":
		time.Sleep(time.Hour)
	case "other version":
		c.write([]byte(`{"ready":99}`))
	case "deaf":
		time.Sleep(time.Hour)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	case "forks":
		c.fork()
	}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		if mode == "values" {
			c.write([]byte(strings.TrimSpace(string(line))))
			continue
		}
		if mode == "work" {
			time.Sleep(4 * time.Millisecond)
		}
		c.answer(line)
	}
	if mode == "stubborn" {
		time.Sleep(time.Hour)
	}
	c.note("ended")
}

// fork starts a child of its own, which nothing ends.
func (c *testChild) fork() {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asChild+"=sleep")
	cmd.Stderr = os.Stderr // it holds the stream open
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	_ = os.WriteFile(filepath.Join(c.dir, "grandchild"), fmt.Append(nil, cmd.Process.Pid), 0o600)
}

// note leaves a file with its number.
func (c *testChild) note(what string) {
	if c.dir != "" {
		_ = os.WriteFile(filepath.Join(c.dir, fmt.Sprint(what, "-", os.Getpid())), nil, 0o600)
	}
}

func (c *testChild) write(line []byte) {
	_, _ = c.out.Write(append(line, '\n'))
	_ = c.out.Flush()
}

func (c *testChild) say(format string, args ...any) {
	c.write(fmt.Appendf(nil, `{"id":%s,`+format+"}", append([]any{c.names["id"]}, args...)...))
}

func (c *testChild) answer(line []byte) {
	c.names = nil
	if json.Unmarshal(line, &c.names) != nil {
		panic("no line of the protocol")
	}
	if _, err := os.Stat(filepath.Join(c.dir, "hang")); c.dir != "" && err == nil {
		_ = os.WriteFile(filepath.Join(c.dir, "stuck"), nil, 0o600)
		time.Sleep(time.Hour)
	}
	var o order
	if value := c.names["value"]; json.Unmarshal(value, &o) != nil || value[0] != '{' {
		c.say(`"reject":"no object"`)
		return
	}
	if o.Once != "" {
		if f, err := os.OpenFile(filepath.Join(c.dir, o.Once), os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_ = f.Close()
			o.Do, _, _ = strings.Cut(o.Once, "-once")
		}
	}
	c.obey(&o, line)
}

// obey does what a record says. Reason for its size: it is a list.
func (c *testChild) obey(o *order, line []byte) {
	switch o.Do {
	case "":
		c.say(`"value":{"n":%d,"pid":%d}`, o.N, os.Getpid())
	case "double":
		c.say(`"value":%d`, 2*o.N)
	case "whole line":
		text, _ := json.Marshal(string(line))
		c.say(`"value":%s`, text)
	case "text":
		c.say(`"text":"so be it"`)
	case "filter":
		c.say(`"filter":true`)
	case "reject":
		c.say(`"reject":"of no use","message":"canary-7"`)
	case "retry":
		c.say(`"retry":"not now"`)
	case "exit":
		fmt.Fprintln(os.Stderr, "canary-8: no way out")
		os.Exit(3)
	case "done":
		os.Exit(0)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "panic":
		panic("oh")
	case "last word":
		c.say(`"value":{"n":%d,"pid":%d}`, o.N, os.Getpid())
		os.Exit(3)
	case "hold": // somebody outside of its group holds its output
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), asChild+"=sleep")
		cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdout, os.Stderr, &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		c.say(`"value":%d`, cmd.Process.Pid)
	case "junk":
		c.write([]byte("print was called with canary-9"))
	case "no id":
		c.write([]byte(`{"value":1}`))
	case "no word":
		c.say(`"value":1,"filter":true`)
	case "unknown id":
		c.write([]byte(`{"id":123456789,"value":1}`))
	case "twice":
		c.say(`"value":1`)
		c.say(`"value":1`)
	case "endless line":
		for {
			if _, err := os.Stdout.WriteString(strings.Repeat("x", 1<<12)); err != nil {
				os.Exit(1)
			}
		}
	case "hang":
		time.Sleep(time.Hour)
	case "loop":
		for n := 0; ; n++ {
			_ = n
		}
	case "hang for good":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Hour)
	case "flood":
		for range 4 << 10 {
			_, _ = os.Stderr.WriteString(strings.Repeat("y", 1<<10) + "\n")
		}
		c.say(`"value":{"n":%d,"pid":%d}`, o.N, os.Getpid())
	case "close input":
		_ = os.Stdin.Close()
		time.Sleep(time.Hour)
	case "close output":
		_ = os.Stdout.Close()
		time.Sleep(time.Hour)
	case "memory":
		var all [][]byte
		for range 1 << 10 {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
		}
		c.say(`"value":%d`, len(all))
	case "later": // answers when the next record comes, behind its answer
		c.held = append(c.held, fmt.Appendf(nil, `{"id":%s,"value":{"n":%d,"pid":%d}}`, c.names["id"], o.N, os.Getpid()))
	case "now":
		c.say(`"value":{"n":%d,"pid":%d}`, o.N, os.Getpid())
		for _, line := range c.held {
			c.write(line)
		}
		c.held = nil
	default:
		panic(o.Do)
	}
}
