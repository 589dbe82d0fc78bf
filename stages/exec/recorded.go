package execstage

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A Recorded answers in place of processes, from lines that were written down: the answers of a case.
type Recorded struct {
	mu      sync.Mutex
	answers map[string][][]byte // by step, name of the value, and value
	unknown []string
}

// recordedLine is one line: what is answered to a value.
type recordedLine struct {
	Step   string          `json:"step"`
	Value  json.RawMessage `json:"value"`
	Text   json.RawMessage `json:"text"`
	Answer json.RawMessage `json:"answer"`
}

// ReadRecorded reads the lines. An error begins with the number of the line. Several for one value are given in turn, the last again and again.
// values says whether the answers of a step are values, as with as: value; "" is any step.
func ReadRecorded(text []byte, values func(step string) bool) (*Recorded, error) {
	r := &Recorded{answers: map[string][][]byte{}}
	for n, line := range bytes.Split(text, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := r.add(line, values); err != nil {
			return nil, fmt.Errorf("%d: %w", n+1, err)
		}
	}
	return r, nil
}

func (r *Recorded) add(line []byte, values func(step string) bool) error {
	const form = `an answer is {"step": STEP, "value": what the process gets, "answer": what it says, without the id}; step may be left out, and text stands for a value that is no JSON`
	var l recordedLine
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if dec.Decode(&l) != nil || l.Answer == nil || (l.Value == nil) == (l.Text == nil) {
		return errors.New(form)
	}
	if l.Answer[0] == '{' && !values(l.Step) {
		if _, _, _, err := readAnswer(withID(1, l.Answer)); err != nil {
			return fmt.Errorf("%w; %s", err, form)
		}
	}
	key := l.key()
	r.answers[key] = append(r.answers[key], l.Answer)
	return nil
}

// key is the same for equal values, whatever their white space is.
func (l *recordedLine) key() string {
	name, value := "value", l.Value
	if value == nil {
		name, value = "text", l.Text
	}
	var b bytes.Buffer
	b.WriteString(l.Step + " " + name + " ")
	_ = json.Compact(&b, value) // it was read as JSON
	return b.String()
}

// withID puts an id into an object, in place of one that was written down with the answer.
func withID(id uint64, object []byte) []byte {
	object = jsontext.Remove(nil, object, jsontext.Path{{Kind: jsontext.Named, Name: "id"}})
	b := fmt.Appendf(nil, `{"id":%d`, id)
	if rest := bytes.TrimSpace(object[1:]); rest[0] != '}' {
		b = append(b, ',')
	}
	return append(b, object[1:]...)
}

// answer gives the answer to a value of a step.
func (r *Recorded) answer(l *recordedLine) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	anyStep := *l
	anyStep.Step = ""
	for _, key := range []string{l.key(), anyStep.key()} {
		switch all := r.answers[key]; len(all) {
		case 0:
			continue
		case 1:
			return all[0]
		default:
			r.answers[key] = all[1:]
			return all[0]
		}
	}
	if asked := l.key(); !slices.Contains(r.unknown, asked) {
		r.unknown = append(r.unknown, asked)
	}
	return []byte(`{"reject":"the case has no answer"}`)
}

// Unanswered gives the questions for which there was no answer: the step, value or text, and what it is.
func (r *Recorded) Unanswered() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.unknown)
}

// recordedProcess is what stands in for a process.
type recordedProcess struct {
	in    *io.PipeReader
	feed  *io.PipeWriter
	out   *io.PipeReader
	tells *io.PipeWriter
	done  chan struct{}
}

// start starts what answers lines of a step, which are as its setting as says.
func (r *Recorded) start(step, as string) process {
	p := &recordedProcess{done: make(chan struct{})}
	p.in, p.feed = io.Pipe()
	p.out, p.tells = io.Pipe()
	go func() {
		defer close(p.done)
		defer func() { _ = p.tells.Close() }()
		lines := bufio.NewReader(p.in)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			if _, err = p.tells.Write(append(r.say(step, as, line), '\n')); err != nil {
				return
			}
		}
	}()
	return p
}

// say answers a line, which is an object with an id, or a value.
func (r *Recorded) say(step, as string, line []byte) []byte {
	if as == asValue { // which may look like the other
		return r.answer(&recordedLine{Step: step, Value: bytes.TrimSpace(line)})
	}
	var asked struct {
		ID          *uint64
		Value, Text json.RawMessage
	}
	if err := json.Unmarshal(line, &asked); err != nil || asked.ID == nil || asked.Value == nil && asked.Text == nil {
		return r.answer(&recordedLine{Step: step, Value: bytes.TrimSpace(line)})
	}
	answer := r.answer(&recordedLine{Step: step, Value: asked.Value, Text: asked.Text})
	if answer[0] != '{' {
		return answer
	}
	return appendOneLine(nil, withID(*asked.ID, answer))
}

func (p *recordedProcess) stdin() io.WriteCloser  { return p.feed }
func (p *recordedProcess) stdout() io.Reader      { return p.out }
func (p *recordedProcess) stderr() io.Reader      { return bytes.NewReader(nil) }
func (p *recordedProcess) pid() int               { return 0 }
func (p *recordedProcess) ended() <-chan struct{} { return p.done }
func (p *recordedProcess) how() string            { return "recorded answers" }
func (p *recordedProcess) settle()                {}
func (p *recordedProcess) terminate()             { p.close() }
func (p *recordedProcess) kill()                  { p.close() }
func (p *recordedProcess) close()                 { _, _ = p.in.Close(), p.out.Close() }
