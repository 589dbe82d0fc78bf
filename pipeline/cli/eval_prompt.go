package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// maxPrompted bounds the records that a prompt holds.
const maxPrompted = 100

const promptHelp = `Type an expression and Enter: its result on the record is shown. The expression stays, to be edited on.
  :next :prev :N    go to another record       :record   show the record
  :help             this                       :quit     leave (so do Ctrl-C, and Ctrl-D when nothing was typed)
  Tab  names of fields and functions     Up, Down  earlier expressions     Ctrl-C  ends an evaluation that takes long
  Ctrl-U  delete what is before the cursor     A : at the end of an expression begins a command.
`

// promptOnTerminal runs a prompt on the terminal that the process is of, so that records may come
// from standard input.
func promptOnTerminal(ctx context.Context, g *globals, f *evalFlags, text string, r *evalRecords, files []string) (err error) {
	in, out, closeTerminal := terminalOf(g)
	if in == nil {
		return usagef("-i takes a terminal, and there is none")
	}
	defer closeTerminal()
	p := &prompt{flags: f, text: text, patience: 200 * time.Millisecond}
	if err := r.each(ctx, g.in, files, p.hold); err != nil {
		return err
	}
	r.report(g.err)
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return &exitError{exitEnvironment, fmt.Errorf("reading keys: %w", err)}
	}
	defer func() {
		if failed := term.Restore(int(in.Fd()), before); failed != nil {
			err = errors.Join(err, failed)
		}
	}()
	ctx, done := untilKilled(ctx)
	defer done()
	width, height, err := term.GetSize(int(out.Fd()))
	if err != nil {
		width, height = 80, 24
	}
	return p.run(ctx, struct {
		io.Reader
		io.Writer
	}{in, out}, width, height)
}

// untilKilled gives a context that a signal ends, so that the terminal is put right before the
// process is gone. Its cause has the exit code. On the terminal Ctrl-C is a key, and no signal.
func untilKilled(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, os.Interrupt)
	go func() {
		select {
		case s := <-c:
			code := exitTerminate
			if s == os.Interrupt {
				code = exitInterrupt
			}
			cancel(&exitError{code: code})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(c)
		cancel(nil)
	}
}

// terminalOf gives where keys are read and the screen is written; nil when there is no terminal.
func terminalOf(g *globals) (in, out *os.File, closeIt func()) {
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		return tty, tty, func() { _ = tty.Close() } // nothing was stored
	}
	if isTerminal(g.in) && isTerminal(g.out) { // of a system without the other
		return g.in.(*os.File), g.out.(*os.File), func() {}
	}
	return nil, nil, nil
}

// A prompt lets an expression be edited, over and over, and shows what it gives.
type prompt struct {
	flags   *evalFlags
	records []*pipeline.Record
	at      int    // of the record that is looked at
	text    string // the last expression
	right   bool   // it compiles

	patience time.Duration // how long an evaluation takes before Ctrl-C ends it, and not the prompt

	screen *term.Terminal
	keys   *keys
}

// hold keeps a record for the prompt.
func (p *prompt) hold(rec *pipeline.Record) error {
	p.records = append(p.records, rec)
	if len(p.records) == maxPrompted {
		return io.EOF
	}
	return nil
}

// run prompts until :quit or the end of what is typed.
func (p *prompt) run(ctx context.Context, rw io.ReadWriter, width, height int) error {
	if len(p.records) == 0 {
		p.records = []*pipeline.Record{emptyRecord()}
	}
	p.keys = newKeys(ctx, rw)
	defer p.keys.close()
	p.screen = term.NewTerminal(p.keys, "> ")
	if width > 0 && height > 0 {
		if err := p.screen.SetSize(width, height); err != nil {
			return err
		}
	}
	p.screen.SetBracketedPasteMode(true)
	defer p.screen.SetBracketedPasteMode(false)
	p.screen.AutoCompleteCallback = p.complete
	p.say("%s; :help says more\n", counted(len(p.records), "record"))
	p.where()
	if p.text != "" {
		p.show()
	}
	for {
		p.keys.putBefore(oneLine(p.text))
		line, err := p.screen.ReadLine()
		switch {
		case err == io.EOF:
			return nil
		case ctx.Err() != nil:
			return err
		case err != nil:
			return fmt.Errorf("reading keys: %w", err)
		}
		line = strings.TrimSpace(line)
		command, isCommand := strings.CutPrefix(line, ":")
		switch {
		case isCommand && !p.command(command):
			return nil
		case isCommand, line == "":
		default:
			p.text = line
			p.show()
		}
	}
}

// say writes to the screen, in which a value must not move the cursor, nor fill it many times over.
func (p *prompt) say(format string, args ...any) {
	text := []rune(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, fmt.Sprintf(format, args...)))
	const most = 10_000
	if len(text) > most {
		text = append(text[:most], []rune("…\n")...)
	}
	fmt.Fprint(p.screen, string(text))
}

// command does what stands behind a colon, and says whether to go on.
func (p *prompt) command(name string) bool {
	to := p.at
	switch name {
	case "quit", "q", "exit":
		return false
	case "help", "h", "?":
		p.say("%s", promptHelp)
		return true
	case "record", "r":
		p.say("%s\n", valueOf(p.records[p.at]))
		return true
	case "next", "n":
		to++
	case "prev", "p":
		to--
	default:
		n, err := strconv.Atoi(name)
		if err != nil {
			p.say("there is no :%s; :help says what there is\n", name)
			return true
		}
		to = n - 1
	}
	if to < 0 || to >= len(p.records) {
		p.say("there is no such record: %s are held\n", counted(len(p.records), "record"))
		return true
	}
	p.at = to
	p.where()
	if p.text != "" {
		p.show()
	}
	return true
}

func (p *prompt) where() {
	p.say("record %d of %d: %s\n", p.at+1, len(p.records), p.records[p.at].Position)
}

func valueOf(rec *pipeline.Record) string {
	if rec.Tombstone() {
		return "a tombstone"
	}
	return string(rec.Value())
}

// show evaluates on the record that is looked at, and counts what it gives on the others.
func (p *prompt) show() {
	e, problem := newEvaluation(p.flags, p.text)
	if p.right = problem == nil; !p.right {
		p.say("%s", problem.Detail())
		return
	}
	gave := map[string]int{}
	var result, absent string
	if !p.evaluate(func(stopped func() bool) {
		result = p.result(e)
		for _, rec := range p.records {
			if stopped() {
				return
			}
			gave[p.sort(e, rec)]++
		}
		absent = e.absent(p.records).Detail()
	}) {
		p.say("interrupted\n")
		return
	}
	p.say("%s%s\n%s", e.doubts().Detail(), result, absent)
	if len(p.records) == 1 {
		return
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(gave)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, gave[what]))
	}
	p.say("         of %s: %s\n", counted(len(p.records), "record"), strings.Join(parts, ", "))
}

// sort gives what e gives on a record: true, false, a type, or that it fails.
func (p *prompt) sort(e *evaluation, rec *pipeline.Record) string {
	v, failed := e.on(rec)
	switch {
	case failed != nil:
		return "fails"
	case v.Type == "bool":
		return string(v.JSON)
	}
	return v.Type
}

// evaluate does work, and says whether it came to its end. When that takes long, Ctrl-C and a signal
// stop it: what is evaluated on one record is bounded, and is waited for.
func (p *prompt) evaluate(work func(stopped func() bool)) bool {
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		work(stop.Load)
	}()
	select {
	case <-done:
		return true
	case <-time.After(p.patience):
	}
	for p.keys.goOn(done) {
	}
	select {
	case <-done:
		return true
	default:
	}
	stop.Store(true)
	<-done
	return false
}

func (p *prompt) result(e *evaluation) string {
	v, failed := e.on(p.records[p.at])
	if failed != nil {
		return strings.TrimSuffix(failed.Detail(), "\n")
	}
	return fmt.Sprintf("%-8s %s", v.Type, v.JSON)
}

// complete is called for each key that is not one for editing. Behind an expression that is whole a
// colon begins a command; Tab completes a name.
func (p *prompt) complete(line string, pos int, key rune) (string, int, bool) {
	switch {
	case key == ':' && p.right && pos == len(line) && line == oneLine(p.text):
		return ":", 1, true
	case key == '\t':
		from, names := wordOfExpression(line[:pos]), p.names()
		if dot := strings.LastIndexByte(line[:pos], '.'); dot >= from || dot >= 0 && dot == from-1 {
			from, names = dot+1, p.namesBelow(line[:dot])
		} else if from == pos {
			return line, pos, true
		}
		more := commonRest(line[from:pos], names)
		return line[:pos] + more + line[pos:], pos + len(more), true
	}
	return "", 0, false
}

// names are what a word may become: functions, fields of meta, and those of the record that is
// looked at. Of what is within a field nothing is known here.
func (p *prompt) names() (names []string) {
	for _, o := range expressionOffers("") {
		names = append(names, nameOf(o))
	}
	_ = p.records[p.at].Fields(func(name string, _ []byte) bool { // of no object there are none
		names = append(names, name)
		return true
	})
	return names
}

// namesBelow are those of the object that the path at the end of a text leads to in the record, or
// of meta.
func (p *prompt) namesBelow(text string) (names []string) {
	from := strings.LastIndexFunc(text, func(r rune) bool { return wordOfExpression(string(r)) > 0 && !strings.ContainsRune("?[]$", r) }) + 1
	written := strings.ReplaceAll(text[from:], "?", "")
	if written == "meta" {
		return expr.Meta()
	}
	path, err := jsontext.ParsePath(strings.TrimPrefix(written, "$env."))
	if rec := p.records[p.at]; err == nil && written != "" && !rec.Tombstone() && rec.CheckJSON() == nil {
		jsontext.Each(rec.Value(), path, func(value []byte) bool {
			if value[0] == '{' {
				jsontext.Members(value, func(name, _ []byte) bool {
					names = append(names, jsontext.Unquote(name))
					return true
				})
			}
			return true
		})
	}
	return names
}

// commonRest gives what all names that begin with a word have in common behind it.
func commonRest(word string, names []string) string {
	common, found := "", false
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, word)
		switch {
		case !ok:
		case !found:
			common, found = rest, true
		default:
			n := 0
			for n < len(rest) && n < len(common) && rest[n] == common[n] {
				n++
			}
			common = common[:n]
		}
	}
	return common
}
