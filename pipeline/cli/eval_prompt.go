package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"

	"github.com/penstockio/penstock/pipeline"
)

// maxPrompted bounds the records that a prompt holds.
const maxPrompted = 100

const promptHelp = `Type an expression and Enter: its result on the record is shown. The expression stays, to be edited on.
  :next :prev :N    go to another record       :record   show the record
  :help             this                       :quit     leave (so do Ctrl-C and Ctrl-D)
  Tab  names of fields and functions     Up, Down  earlier expressions
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
	p := &prompt{flags: f, text: text}
	if err := r.each(ctx, g.in, files, p.hold); err != nil {
		return err
	}
	r.report(g.err)
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return &exitError{exitEnvironment, fmt.Errorf("reading keys: %w", err)}
	}
	defer func() { err = errors.Join(err, term.Restore(int(in.Fd()), before)) }()
	width, height, err := term.GetSize(int(out.Fd()))
	if err != nil {
		width, height = 80, 24
	}
	return p.run(struct {
		io.Reader
		io.Writer
	}{in, out}, width, height)
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
func (p *prompt) run(rw io.ReadWriter, width, height int) error {
	if len(p.records) == 0 {
		p.records = []*pipeline.Record{emptyRecord()}
	}
	p.keys = &keys{rw: rw}
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
	pasted := ""
	for {
		if pasted == "" {
			p.keys.putBefore(strings.ReplaceAll(p.text, "\n", " "))
		}
		line, err := p.screen.ReadLine()
		switch {
		case err == term.ErrPasteIndicator: // a line of several
			pasted += line + "\n"
			continue
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("reading keys: %w", err)
		}
		line, pasted = strings.TrimSpace(pasted+line), ""
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
	p.say("%s%s\n%s", e.doubts().Detail(), p.result(e), e.absent(p.records).Detail())
	if len(p.records) == 1 {
		return
	}
	gave := map[string]int{}
	for _, rec := range p.records {
		v, failed := e.on(rec)
		switch {
		case failed != nil:
			gave["fails"]++
		case v.Type == "bool":
			gave[string(v.JSON)]++
		default:
			gave[v.Type]++
		}
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(gave)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, gave[what]))
	}
	p.say("         of %s: %s\n", counted(len(p.records), "record"), strings.Join(parts, ", "))
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
	case key == ':' && p.right && pos == len(line) && line == strings.ReplaceAll(p.text, "\n", " "):
		return ":", 1, true
	case key == '\t':
		more := commonRest(line[wordOfExpression(line[:pos]):pos], p.names())
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

// commonRest gives what all names that begin with a word have in common behind it.
func commonRest(word string, names []string) string {
	common, found := "", false
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, word)
		switch {
		case !ok || word == "":
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

// keys are what is typed, with what is put before it: the last expression, as if it had been typed.
// They come one by one, so that what is typed ahead stays behind that.
type keys struct {
	rw      io.ReadWriter
	pending []byte
	enter   bool // the last key was Enter
}

func (k *keys) putBefore(text string) { k.pending = []byte(text) }

// Read implements io.Reader.
func (k *keys) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(k.pending) > 0 {
		n := copy(b, k.pending)
		k.pending = k.pending[n:]
		return n, nil
	}
	for {
		n, err := k.rw.Read(b[:1])
		if n == 1 && k.enter && b[0] == '\n' { // of a \r\n
			k.enter = false
			continue
		}
		k.enter = n == 1 && b[0] == '\r'
		return n, err
	}
}

// Write implements io.Writer.
func (k *keys) Write(b []byte) (int, error) { return k.rw.Write(b) }
