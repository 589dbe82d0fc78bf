package cli

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
)

func valueRecord(value string) *pipeline.Record {
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{Topic: "t", Offset: 1}, nil, []byte(value), nil, pipeline.NoTime)
	return rec
}

const evalValue = `{"n": 7, "s": "abc", "ü": 1, "user": {"mail": "a", "age": 3}, "items": [{"sku": "a", "price": 1}, {"sku": "b", "price": "2"}], "tags": ["x"]}`

// wrongExpressions are expressions with a ^ before what is wrong, which is taken out; those of
// failOnARecord compile, and fail on evalValue.
var (
	doNotCompile = []string{
		`^uper(s)`,
		`n > 3 and ^strtswith(s, "A")`,
		`n ^= 5`,
		`"Zürich" + ^lowr(s)`,
		`1 ^+ "a"`,
		`upper(^5)`,
		`filter(items, ^upper(.sku))`,
		`meta.^tpoic`,
		"n +\n  n *\n  ^uper(s)",
		`user.mail and ^5`,
		`s matches ^"("`,
		`(n^`,
		`flight ^number > 5`,
	}
	failOnARecord = []string{
		`upper(^n)`,
		`n + ^missing`,
		`"Zürich ✈" ^+ user.age`,
		`map(items, .price ^+ 1)`,
		`s | upper() | trimPrefix(^n)`,
		`lower(upper(trim(user.^age)))`,
		`n > 1 and user.^mail`,
		"let x = n;\nlet y = s;\n\tx ^> y",
		`filter(^user, # > 1)`,
		`any(items, upper(.^price) == "X")`,
		`$env["ü"] ^+ s`,
		`int(n) + ^int(s)`,
	}
)

// TestTheCaretIsRight: for each wrong expression the caret stands below what is wrong.
func TestTheCaretIsRight(t *testing.T) {
	for i, marked := range append(append([]string{}, doNotCompile...), failOnARecord...) {
		before, after, _ := strings.Cut(marked, "^")
		text := before + after
		line := strings.Count(before, "\n")
		at := before[strings.LastIndexByte(before, '\n')+1:]
		e, problem := newEvaluation(&evalFlags{}, text)
		if compiles := problem == nil; compiles != (i >= len(doNotCompile)) {
			t.Errorf("%s: compiles: %v", text, compiles)
			continue
		}
		if problem == nil {
			if _, problem = e.on(valueRecord(evalValue)); problem == nil {
				t.Errorf("%s does not fail", text)
				continue
			}
		}
		shown := strings.Split(problem.Detail(), "\n")
		if len(shown) < 3 || problem.Line != line+1 || problem.Column != utf8.RuneCountInString(at)+1 {
			t.Errorf("%s: line %d, column %d, want %d, %d:\n%s", text, problem.Line, problem.Column, line+1, utf8.RuneCountInString(at)+1, problem.Detail())
			continue
		}
		_, source, _ := strings.Cut(shown[1], "| ")
		_, carets, _ := strings.Cut(shown[2], "| ")
		if want := strings.Split(text, "\n")[line]; source != want {
			t.Errorf("%s: the line is shown as %q, want %q", text, source, want)
		}
		blank := strings.Map(func(r rune) rune {
			if r == '\t' {
				return r
			}
			return ' '
		}, at)
		if !strings.HasPrefix(carets, blank+"^") {
			t.Errorf("%s: the caret stands elsewhere:\n%s", text, problem.Detail())
		}
	}
}

// A typist is a terminal at which keys are typed: each Read gives what stands before the next |,
// when what was typed before has been answered.
type typist struct {
	keys   []string
	screen bytes.Buffer
}

func (y *typist) Read(b []byte) (int, error) {
	if len(y.keys) == 0 {
		return 0, io.EOF
	}
	n := copy(b, y.keys[0])
	if y.keys[0] = y.keys[0][n:]; y.keys[0] == "" {
		y.keys = y.keys[1:]
	}
	return n, nil
}

func (y *typist) Write(b []byte) (int, error) { return y.screen.Write(b) }

// TestPrompt: the last expression is edited on, results follow it, and commands go through the
// records.
func TestPrompt(t *testing.T) {
	const (
		enter, up, left, home, clear = "\r", "\x1b[A", "\x1b[D", "\x01", "\x15"
		pasteBegin, pasteEnd         = "\x1b[200~", "\x1b[201~"
	)
	for _, c := range []struct {
		name, text string
		keys       []string
		want       []string // on the screen, in this order
	}{
		{"from the beginning", "n + 1", nil, []string{"2 records", "record 1 of 2: t/0@1", "int      8", "of 2 records: fails 1, int 1", "> n + 1"}},
		{"edited on", "", []string{"n", enter, " * 2", enter}, []string{"int      7", "> n", "int      14"}},
		{"typed ahead", "", []string{"n" + enter + " * 2" + enter}, []string{"int      7", "int      14"}},
		{"within", "n + 1", []string{left + left + left + "0" + enter}, []string{"unexpected"}},
		{"at its beginning", "n", []string{home + "-" + enter}, []string{"int      -7"}},
		{"wrong, and put right", "upper(n", []string{")" + enter, clear + "upper(s)" + enter}, []string{
			"ends too early", "    1 | upper(n", "upper: argument 1 is a number", "    1 | upper(n)", "|       ^", `string   "ABC"`}},
		{"commands", "n", []string{":next" + enter, ":prev" + enter, ":prev" + enter, ":2" + enter, ":record" + enter, ":what" + enter, ":1x" + enter, ":1.5" + enter, ":help" + enter, ":quit" + enter}, []string{
			"record 2 of 2", "int      8", "record 1 of 2", "int      7", "there is no such record", "record 2 of 2", `{"n": 8}`, "there is no :what", "there is no :1x", "there is no :1.5", "Ctrl-U"}},
		{"a colon within", "", []string{"n > 7 ? 1 ", ": 2" + enter}, []string{"int      2"}},
		{"earlier ones", "", []string{"n" + enter, clear + "s" + enter, clear + up + up + enter}, []string{"int      7", `string   "abc"`, "int      7"}},
		{"completion", "", []string{"trimPre\t(s, us\t.mail)" + enter}, []string{"trimPrefix(s, user.mail)", `string   "bc"`}},
		{"completion of meta", "", []string{"meta.tomb\t" + enter}, []string{"meta.tombstone", "bool     false"}},
		{"several lines", "", []string{pasteBegin + "n +\nn +\nn" + pasteEnd + enter}, []string{"int      21"}},
		{"lines behind something", "", []string{"n * (", pasteBegin + "1 + // \"one\r\n\t2 +\n3" + pasteEnd, ")" + enter, " + 1" + enter}, []string{"int      42", "int      43"}},
		{"a comment in several lines", "n +\n// of it\n 1", []string{" + 1" + enter}, []string{"int      8", "> n +   1", "int      9"}},
		{"an escape alone", "", []string{"n", "\x1b" + left + "-" + enter}, []string{"int      -7"}},
		{"names below", "", []string{"user.m\t" + enter, clear + "user.mail + meta.of\t" + enter, clear + "$env.user?.m\t" + enter, clear + "upper(items[0].sk\t)" + enter}, []string{"user.mail", "meta.offset", "$env.user?.mail", "upper(items[0].sku)"}},
		{"Ctrl-D at what is offered", "n", []string{"\x04", " + 1" + enter}, []string{"> n"}},
		{"Ctrl-D at what is typed", "n", []string{left + "\x04", "s" + enter}, []string{`string   "abc"`}},
		{"lines of another system", "n", []string{" + 1\r\n", " + 2\r\n"}, []string{"int      8", "int      10"}},
		{"Ctrl-C", "n", []string{"\x03", " + 1" + enter}, []string{"int      7"}},
		{"an empty line", "", []string{enter, "n" + enter}, []string{"int      7"}},
	} {
		y := &typist{keys: c.keys}
		p := &prompt{flags: &evalFlags{}, text: c.text, patience: time.Hour, records: []*pipeline.Record{valueRecord(evalValue), valueRecord(`{"n": 8}`)}}
		if c.name == "from the beginning" {
			p.records[1] = valueRecord(`{"n": "x"}`)
		}
		if err := p.run(context.Background(), y, 100, 40); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		rest := y.screen.String()
		for _, want := range c.want {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Errorf("%s: %q is not on the screen, or not in this order:\n%s", c.name, want, y.screen.String())
				break
			}
			rest = after
		}
		if strings.HasPrefix(c.name, "Ctrl-") && strings.Contains(y.screen.String(), "int      8") {
			t.Errorf("%s: it goes on", c.name)
		}
	}
}

// A slowTypist types Ctrl-C when an evaluation has begun.
type slowTypist struct {
	typist
	begun chan struct{}
}

func (y *slowTypist) Read(b []byte) (int, error) {
	if y.begun != nil {
		<-y.begun
		y.begun = nil
	}
	return y.typist.Read(b)
}

// TestInterrupt: Ctrl-C ends an evaluation that is going on, and not the prompt; a signal ends both.
func TestInterrupt(t *testing.T) {
	for _, bySignal := range []bool{false, true} {
		y := &slowTypist{typist{keys: []string{"n\x03n\r"}}, make(chan struct{})}
		ctx, cancel := context.WithCancelCause(context.Background())
		p := &prompt{flags: &evalFlags{}, records: []*pipeline.Record{valueRecord(evalValue)}, keys: newKeys(ctx, y)}
		began := false
		whole := p.evaluate(func(stopped func() bool) {
			if began = true; bySignal {
				cancel(&exitError{code: exitTerminate})
			} else {
				close(y.begun)
			}
			for !stopped() {
				runtime.Gosched()
			}
		})
		if whole || !began {
			t.Errorf("by signal: %v: it came to its end", bySignal)
		}
		key, err := p.keys.one()
		if bySignal && exitCode(err) != exitTerminate || !bySignal && (key != 'n' || err != nil) {
			t.Errorf("by signal: %v: behind it %q, %v", bySignal, key, err)
		}
		if bySignal {
			close(y.begun)
		}
		p.keys.close()
		cancel(nil)
	}
}

// TestOneLine: an expression on one line is the same expression.
func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"a\n+ b": "a + b", "a // x": "a // x", "a // x\n+ b": "a  + b", "\"a // x\"\n+ b": "\"a // x\" + b", "'it\\'s // x' +\r\n\tb // end": "'it\\'s // x' +   b",
		"`\\` + // x\n1": "`\\` +  1", "\"\\": "\"\\", "ü\n\x1b": "ü", "": "",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("%q on one line is %q, want %q", text, got, want)
		}
	}
}

// TestTemplatesAsTheyAre: what a template gives is shown as it is, without escapes for HTML.
func TestTemplatesAsTheyAre(t *testing.T) {
	e, problem := newEvaluation(&evalFlags{template: true}, "<{s}>&\n")
	if problem != nil {
		t.Fatal(problem.Detail())
	}
	if v, failed := e.on(valueRecord(evalValue)); failed != nil || string(v.JSON) != `"<abc>&\n"` {
		t.Errorf("it gives %s, %v", v.JSON, failed)
	}
}

// TestEvalCallsServers: a step that calls a server calls it, as in a replay.
func TestEvalCallsServers(t *testing.T) {
	dir := filepath.Join(repo, "testdata", "cases", "http-get")
	answers, err := serveAnswers(filepath.Join(dir, "answers", "http.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer answers.close()
	t.Setenv("HTTP", answers.base)
	var out, errs bytes.Buffer
	code := execute(context.Background(), []string{
		"eval", "weather", filepath.Join(dir, "input.jsonl"), "--file", filepath.Join(dir, "pipeline.yaml"),
	}, streams{strings.NewReader(""), &out, &errs}, catalog.Kinds())
	if code != exitDone || !strings.Contains(out.String(), `"temp"`) {
		t.Errorf("code %d, %q, %q", code, out.String(), errs.String())
	}
}
