package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// This file takes random scripts of edits through a Record, through a tree that keeps every byte
// (record_tree_test.go), and through the maps of encoding/json.

// dice are choices out of bytes; when these are used up every one of them is the first.
type dice struct {
	left  []byte
	paths []jsontext.Path // made so far
}

func (d *dice) roll(n int) int {
	if len(d.left) == 0 {
		return 0
	}
	b := d.left[0]
	d.left = d.left[1:]
	return int(b) % n
}

func pick[T any](d *dice, of []T) T { return of[d.roll(len(of))] }

var (
	spaces  = []string{"", "", "", " ", "\n\t", "  ", "\r\n "}
	quoted  = []string{`"a"`, `"b"`, `"c"`, `"d"`, `"long_name"`, `"\u0061"`, `"a.b"`, `""`, `"é"`, `"\u00e9"`, `"q\"x"`, `"\\"`, `"*"`, `"s\/h"`}
	scalars = []string{"1", `"x"`, "null", "1.10", "-0", "1e5", "9007199254740993", "true", "false", `""`, `"{\"a\":[1,2]}"`, `"\u00e9\n]}"`, `"ü"`, "null"}
)

// text makes JSON text. Unless names may repeat they do not, in one object.
func (d *dice) text(b []byte, depth int, repeat bool) []byte {
	kind := d.roll(8)
	if depth == 0 || depth < 4 && kind < 4 {
		return append(b, pick(d, scalars)...)
	}
	if n := d.roll(6); kind == 4 || kind == 5 && depth < 4 {
		b = append(append(b, '['), pick(d, spaces)...)
		for i := range n {
			if i > 0 {
				b = append(append(b, ','), pick(d, spaces)...)
			}
			b = append(d.text(b, depth-1, repeat), pick(d, spaces)...)
		}
		return append(b, ']')
	}
	return d.object(b, d.roll(7), depth, repeat)
}

func (d *dice) object(b []byte, n, depth int, repeat bool) []byte {
	b = append(append(b, '{'), pick(d, spaces)...)
	seen := map[string]bool{}
	for range n {
		name := pick(d, quoted)
		if decoded := jsontext.Unquote([]byte(name)); seen[decoded] && !repeat {
			continue
		} else if len(seen) > 0 {
			b = append(append(b, ','), pick(d, spaces)...)
			seen[decoded] = true
		} else {
			seen[decoded] = true
		}
		b = append(append(append(append(b, name...), pick(d, spaces)...), ':'), pick(d, spaces)...)
		b = append(d.text(b, depth-1, repeat), pick(d, spaces)...)
	}
	return append(b, '}')
}

// path makes a path, which mostly leads to something in value, or to where an earlier one leads,
// above it, below it or beside it.
func (d *dice) path(value any) (path jsontext.Path) {
	if n := d.roll(8); n > 2 && len(d.paths) > 0 {
		was := pick(d, d.paths)
		path = slices.Clone(was[:max(1, len(was)-d.roll(3))])
		for range d.roll(3) {
			path = append(path, d.step(nil))
		}
	} else {
		for range 1 + d.roll(5) {
			s := d.step(value)
			path = append(path, s)
			switch v := value.(type) {
			case map[string]any:
				value = v[s.Name]
			case []any:
				if s.Index < 0 {
					s.Index += len(v)
				}
				if value = nil; s.Index >= 0 && s.Index < len(v) {
					value = v[s.Index]
				}
			}
		}
	}
	d.paths = append(d.paths, path)
	return path
}

// step makes a step that may lead to something in value.
func (d *dice) step(value any) jsontext.Step {
	if d.roll(16) == 1 {
		return pick(d, []jsontext.Step{{Kind: jsontext.EveryMember}, {Kind: jsontext.EveryElement}, {Kind: jsontext.Indexed}, {Kind: jsontext.Indexed, Index: -1}})
	}
	switch v := value.(type) {
	case map[string]any:
		if len(v) > 0 && d.roll(3) > 0 {
			return jsontext.Step{Name: pick(d, slices.Sorted(maps.Keys(v)))}
		}
	case []any:
		return jsontext.Step{Kind: jsontext.Indexed, Index: d.roll(len(v)+2) - d.roll(2)*(len(v)+1)}
	}
	return jsontext.Step{Name: jsontext.Unquote([]byte(pick(d, quoted)))}
}

// An action is one step of a script.
type action struct {
	kind     string
	path, to jsontext.Path
	text     []byte
}

var kinds = []string{"set", "set", "set", "set", "remove", "remove", "move", "read", "read", "fields", "value", "clone", "attempt", "whole"}

func (d *dice) script(value any) (script []action) {
	for range 1 + d.roll(16) {
		a := action{kind: pick(d, kinds), path: d.path(value)}
		switch a.kind {
		case "set":
			a.text = d.text(nil, d.roll(3), false)
		case "move":
			a.to = d.path(value)
		case "whole":
			if d.roll(4) > 0 {
				a.kind = "read"
			} else {
				a.text = d.object(nil, d.roll(5), 2, false)
			}
		}
		script = append(script, a)
	}
	return script
}

// A trial is a record with its models.
type trial struct {
	t      *testing.T
	rec    *Record
	tree   *tree
	plain  any // as encoding/json has it, but of names that repeat the first
	clones []struct {
		rec  *Record
		want string
	}
	log []action
}

func (y *trial) fail(format string, args ...any) {
	y.t.Helper()
	text := fmt.Sprintf(format, args...)
	for _, a := range y.log {
		text += fmt.Sprintf("\n%s %s %s %s", a.kind, a.path, a.to, a.text)
	}
	y.t.Fatal(text)
}

// do takes one action, and compares what it says.
func (y *trial) do(a action) {
	y.t.Helper()
	y.log = append(y.log, a)
	switch a.kind {
	case "set":
		y.set(a.path, a.text)
	case "remove":
		y.remove(a.path)
	case "move":
		if text := y.read(a.path); text != nil {
			y.remove(a.path)
			y.set(a.to, text)
		}
	case "read":
		y.read(a.path)
	case "fields":
		y.fields()
	case "value":
		y.value()
	case "clone":
		c := y.rec.Clone()
		if y.rec.Position.Offset++; y.rec.Position.Offset%2 == 0 {
			y.rec, c = c, y.rec
		}
		y.clones = append(y.clones, struct {
			rec  *Record
			want string
		}{c, y.tree.copy().flush()})
	case "whole":
		y.rec.SetValue(a.text)
		y.tree, y.plain = newTree(a.text), plain(a.text)
	}
}

func (y *trial) set(path jsontext.Path, text []byte) {
	y.t.Helper()
	err := y.rec.SetRawAt(path, text)
	is, plainErr := setPlain(y.plain, path, plain(text))
	treeErr := y.tree.set(path, text)
	if slices.ContainsFunc(path, func(s jsontext.Step) bool { return s.Kind == jsontext.EveryMember }) {
		plainErr = treeErr // that may be about a member whose name repeats: the maps have the first alone
	}
	if (err == nil) != (plainErr == nil) || (err == nil) != (treeErr == nil) {
		y.fail("setting %s: %v, in maps %v, in the tree %v", path, err, plainErr, treeErr)
	}
	if err == nil {
		y.plain = is
		return
	}
	var no *jsontext.NoPathError
	if reason, _ := IsPermanent(err); reason != ReasonNoPath || !errors.As(err, &no) || !strings.HasPrefix(path.String(), no.Path.String()) {
		y.fail("setting %s: %v", path, err)
	}
}

func (y *trial) remove(path jsontext.Path) {
	y.t.Helper()
	if err := y.rec.RemoveAt(path); err != nil {
		y.fail("removing %s: %v", path, err)
	}
	y.plain = removePlain(y.plain, path)
	y.tree.remove(path)
}

func (y *trial) read(path jsontext.Path) []byte {
	y.t.Helper()
	text, err := y.rec.At(path)
	want, ok := y.tree.read(path)
	if err != nil || (text != nil) != ok || string(text) != want {
		y.fail("%s is %q, %v; want %q, %v", path, text, err, want, ok)
	}
	return text
}

func (y *trial) fields() {
	y.t.Helper()
	var got []string
	if err := y.rec.Fields(func(name string, text []byte) bool {
		got = append(got, name+"="+string(text))
		return true
	}); err != nil {
		y.fail("%v", err)
	}
	if want := y.tree.fields(); !reflect.DeepEqual(got, want) {
		y.fail("fields %q, want %q", got, want)
	}
}

func (y *trial) value() {
	y.t.Helper()
	want := y.tree.flush()
	if got := y.rec.AppendValue([]byte("x")); string(got[1:]) != want {
		y.fail("appended it is\n%s, want\n%s", got[1:], want)
	}
	if got := y.rec.Value(); string(got) != want {
		y.fail("it is\n%s, want\n%s", got, want)
	}
	if got := plain([]byte(want)); !reflect.DeepEqual(got, y.plain) {
		y.fail("it is %v, in maps %v", got, y.plain)
	}
}

// through takes a script through a record whose bytes are asked for where cut says.
func through(t *testing.T, value []byte, script []action, cut func(i int) bool) any {
	t.Helper()
	y := &trial{t: t, rec: new(Record), tree: newTree(value), plain: plain(value), log: []action{{text: value}}}
	y.rec.Init(Position{}, nil, bytes.Clone(value), nil, NoTime)
	for i := 0; i < len(script); i++ {
		if script[i].kind == "attempt" { // the next three are undone, and then done again
			var s savepoint
			s.Save(y.rec)
			tree, is := y.tree.copy(), y.plain
			y.log = append(y.log, script[i])
			for _, a := range script[i+1 : min(i+4, len(script))] {
				y.do(a)
			}
			s.Restore(y.rec)
			y.tree, y.plain = tree, is
			y.log = append(y.log, action{kind: "undone"})
			continue
		}
		y.do(script[i])
		if cut(i) {
			y.log = append(y.log, action{kind: "cut"})
			y.value()
		}
	}
	y.fields()
	y.value()
	for _, c := range y.clones {
		if got := c.rec.AppendValue(nil); string(got) != c.want {
			y.fail("a clone is\n%s, want\n%s", got, c.want)
		}
	}
	if _, came, _ := y.rec.Original(); string(came) != string(value) {
		y.fail("the original is %s", came)
	}
	return y.plain
}

// editScript does what value and script are dice for, or on value itself where that is an object.
func editScript(t *testing.T, value, choices []byte) {
	t.Helper()
	d := &dice{left: choices}
	if jsonRecord(string(value)).readable() != nil || !utf8.Valid(value) {
		made := &dice{left: value}
		value = append(made.object([]byte(pick(made, spaces)), 1+made.roll(7), 4, made.roll(4) == 1), pick(made, spaces)...)
	}
	script := d.script(plain(value))
	never := through(t, value, script, func(int) bool { return false })
	always := through(t, value, script, func(int) bool { return true })
	at := d.roll(256)
	some := through(t, value, script, func(i int) bool { return at>>(i%8)&1 == 1 })
	if !reflect.DeepEqual(never, always) || !reflect.DeepEqual(never, some) {
		t.Fatalf("%s: %v, asked for each time %v, at times %v", value, never, always, some)
	}
}

// FuzzEdits: whatever is set, removed and read at whatever depth, the record is what the maps of
// encoding/json are, and every byte that no edit was about is where it was.
func FuzzEdits(f *testing.F) {
	f.Add([]byte(bigEvent), []byte("\x08\x00\x04\x01\x01\x07"))
	f.Add([]byte(`{"a":{"b":[1,{"c":null}],"a":{}},"b":null,"a":2}`), []byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	for seed := range uint64(40) {
		f.Add(randomBytes(seed, 120), randomBytes(seed+1000, 250))
	}
	f.Fuzz(func(t *testing.T, value, script []byte) { editScript(t, value, script) })
}

func randomBytes(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 10))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestEditScripts is FuzzEdits with the same 10,000 scripts each time.
func TestEditScripts(t *testing.T) {
	for seed := range uint64(10_000) {
		editScript(t, randomBytes(seed, 30+int(seed%200)), randomBytes(seed+1<<32, 250))
	}
}

// plain decodes with encoding/json, but of a name that repeats it takes the first.
func plain(text []byte) any {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	v, err := decodeFirst(dec)
	if err != nil {
		panic(fmt.Sprintf("%v in %s", err, text))
	}
	return v
}

func decodeFirst(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	switch tok {
	case json.Delim('{'):
		m := map[string]any{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeFirst(dec)
			if err != nil {
				return nil, err
			}
			if _, there := m[name.(string)]; !there {
				m[name.(string)] = v
			}
		}
		_, err = dec.Token()
		return m, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeFirst(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	return tok, err
}
