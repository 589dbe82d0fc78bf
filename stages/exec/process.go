package execstage

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline/settings"
)

// A process is a child as this package needs it: three streams, and an end.
type process interface {
	stdin() io.WriteCloser
	stdout() io.Reader
	stderr() io.Reader
	pid() int
	// ended is closed when it has ended, and nobody of its group is left.
	ended() <-chan struct{}
	// how says how it has ended: "exit status 1". It comes after ended.
	how() string
	// settle has reads of its output come to an end soon, whoever else holds the other end.
	settle()
	terminate() // asks it to end
	kill()
	close() // lets go of the streams; it comes last
}

// A command is what is started.
type command struct {
	path   string
	args   []string // the first is the name of the program
	dir    string
	env    []string
	memory settings.Size
}

// osProcess is a process of the operating system.
type osProcess struct {
	cmd          *exec.Cmd
	in, out, err *os.File
	done         chan struct{}

	mu   sync.Mutex
	gone bool // it was waited for: its number may be another's by now
}

// start starts it. The process ends with this one, also when that is killed, where the system can do that:
// Linux ties it to the thread that has started it, so that thread waits for it.
func (c *command) start() (process, error) {
	if err := canLimit(c.memory); err != nil {
		return nil, err
	}
	p := &osProcess{cmd: &exec.Cmd{Path: c.path, Args: c.args, Dir: c.dir, Env: c.env}, done: make(chan struct{})}
	theirs, err := p.pipes()
	if err != nil {
		return nil, err
	}
	together(p.cmd)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		for _, f := range theirs {
			_ = f.Close()
		}
		if err == nil {
			if err = limit(p.cmd.Process.Pid, c.memory); err != nil {
				p.kill()
				p.wait()
			}
		}
		started <- err
		if err == nil {
			p.wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// pipes makes the streams, and gives the ends of the process.
func (p *osProcess) pipes() (theirs []*os.File, err error) {
	pair := func(ours **os.File, writes bool) *os.File {
		r, w, e := os.Pipe()
		if e != nil {
			err = e
			return nil
		}
		if writes {
			r, w = w, r
		}
		*ours = r
		theirs = append(theirs, w)
		return w
	}
	in, out, errs := pair(&p.in, true), pair(&p.out, false), pair(&p.err, false)
	if err != nil {
		p.close()
		for _, f := range theirs {
			_ = f.Close()
		}
		return nil, err
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in, out, errs
	return theirs, nil
}

// wait waits for the end and has nobody of the group left.
func (p *osProcess) wait() {
	waitUnreaped(p.cmd)
	p.mu.Lock()
	defer p.mu.Unlock()
	killGroup(p.cmd.Process.Pid)
	_ = p.cmd.Wait() // how it has ended is in its state
	p.gone = true
}

func (p *osProcess) close() {
	for _, f := range []*os.File{p.in, p.out, p.err} {
		if f != nil {
			_ = f.Close()
		}
	}
}

func (p *osProcess) stdin() io.WriteCloser  { return p.in }
func (p *osProcess) stdout() io.Reader      { return &output{file: p.out, rest: mostRest} }
func (p *osProcess) stderr() io.Reader      { return &output{file: p.err, rest: mostRest} }
func (p *osProcess) pid() int               { return p.cmd.Process.Pid }
func (p *osProcess) ended() <-chan struct{} { return p.done }
func (p *osProcess) how() string            { return p.cmd.ProcessState.String() }

// settleTime is how long a process whose streams have ended has to end too, and, where what is in a pipe cannot be
// read without waiting, how long it is read on when somebody outside of its group holds it open.
var settleTime = time.Second // tests change it

func (p *osProcess) settle() {
	for _, f := range []*os.File{p.out, p.err} {
		if f.SetReadDeadline(time.Now().Add(waitForRest)) != nil { // a pipe can do that, but on Windows
			time.AfterFunc(settleTime, func() { _ = f.Close() })
		}
	}
}

// mostRest is more than a pipe holds: who writes on into it, though the process has ended, is not heard.
const mostRest = 1 << 20

// An output is what a process writes. When it has settled it ends where nothing more is there, whoever else holds it.
type output struct {
	file *os.File
	rest int // bytes that are read behind that at most
}

func (o *output) Read(b []byte) (int, error) {
	n, err := o.file.Read(b)
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	if n = readThere(o.file, b[:min(len(b), o.rest)]); n == 0 {
		return 0, io.EOF
	}
	o.rest -= n
	return n, nil
}

func (p *osProcess) terminate() { p.signal(terminateGroup) }
func (p *osProcess) kill()      { p.signal(killGroup) }

func (p *osProcess) signal(send func(pid int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		send(p.cmd.Process.Pid)
	}
}

// inherited are the variables that every process gets, and those that begin with LC_.
var inherited = map[string]bool{
	"PATH": true, "HOME": true, "USER": true, "LANG": true, "TZ": true, "TMPDIR": true,
	// Windows, where names have no case: without these many programs do not start.
	"SYSTEMROOT": true, "PATHEXT": true, "COMSPEC": true, "TEMP": true, "TMP": true, "USERPROFILE": true,
}

// environment gives the variables of a process. Secrets of the pipeline's own environment are not in it.
func environment(own []string, add map[string]settings.Secret, pipeline, step string) []string {
	var env []string
	for _, v := range own {
		name, _, _ := strings.Cut(v, "=")
		if name = strings.ToUpper(name); inherited[name] || strings.HasPrefix(name, "LC_") {
			env = append(env, v)
		}
	}
	env = append(env, "PENSTOCK_EXEC_PROTOCOL="+protocolText, "PENSTOCK_PIPELINE="+pipeline, "PENSTOCK_STEP="+step,
		"PYTHONUNBUFFERED=1") // else an answer lies in a buffer, and the record waits for it in vain
	for name, value := range add {
		env = append(env, name+"="+value.Reveal()) // of two the last counts
	}
	return env
}
