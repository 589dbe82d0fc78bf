package pipeline

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

func pathOf(text string) jsontext.Path {
	path, err := jsontext.ParsePath(text)
	if err != nil {
		panic(err)
	}
	return path
}

// setAll sets each path to true, and - before one removes it.
func setAll(r *Record, paths ...string) (err error) {
	for _, p := range paths {
		if name, remove := strings.CutPrefix(p, "-"); remove {
			err = errors.Join(err, r.RemoveAt(pathOf(name)))
		} else {
			err = errors.Join(err, r.SetRawAt(pathOf(p), []byte("true")))
		}
	}
	return err
}

func TestEditsAtDepth(t *testing.T) {
	for _, c := range []struct {
		value string
		edits []string
		want  string
		cuts  int // that wait before the bytes are asked for
	}{
		{` { "a" : { "b" : 1.10 } , "z":0} `, []string{"a.b"}, ` { "a" : { "b" : true } , "z":0} `, 1},
		{`{"a":{"b":1}}`, []string{"a.c", "a.d", "a.e"}, `{"a":{"b":1,"c":true,"d":true,"e":true}}`, 3},
		{`{"a":{ },"b":{"c":[1,{}]}}`, []string{"a.x", "b.c[1].d", "a.y", "b.c[0]"}, `{"a":{"x":true,"y":true },"b":{"c":[true,{"d":true}]}}`, 4},
		{`{"a":{"b":1}}`, []string{"a.g.x", "a.g.y", "a.g.z"}, `{"a":{"b":1,"g":{"x":true,"y":true,"z":true}}}`, 1},
		{`{"a":{"b":null}}`, []string{"a.b.x", "a.b.y"}, `{"a":{"b":{"x":true,"y":true}}}`, 1},
		{`{}`, []string{"a.x", "a.y", "a.z"}, `{"a":{"x":true,"y":true,"z":true}}`, 2},
		{`{"a":{"b":1,"c":2,"d":3}}`, []string{"-a.c", "-a.d"}, `{"a":{"b":1}}`, 2},
		{`{"a":{"b":1,"c":2,"d":3}}`, []string{"-a.b", "-a.d"}, `{"a":{"c":2}}`, 2},
		{`{"a":{"b":1,"c":2}}`, []string{"-a.b", "-a.c"}, `{"a":{}}`, 1},
		{`{"a":{"b":1}}`, []string{"-a.b", "a.c"}, `{"a":{"c":true}}`, 1},
		{`{"a":{"b":1}}`, []string{"a.c", "-a.c", "-a.zz", "-zz.a"}, `{"a":{"b":1}}`, 1},
		{`{"a":{"b":{"c":1}}}`, []string{"a.b.c", "a.b"}, `{"a":{"b":true}}`, 1},
		{`{"a":{"b":1}}`, []string{"a.b", "-a"}, `{}`, 0},
		{`{"a":{"b":1}}`, []string{"-a", "a.b"}, `{"a":{"b":true}}`, 0},
		{`{"a":[1,2,3]}`, []string{"-a[0]", "a[0]"}, `{"a":[true,3]}`, 1},
		{`{"a":{"b":1},"a":2}`, []string{"a.b"}, `{"a":{"b":true}}`, 1},
		{`{"a":{"b":1},"a":{"b":2,"c":3}}`, []string{"-a.b"}, `{"a":{},"a":{"c":3}}`, 0},
		{`{"a":{"b":1,"b":2}}`, []string{"a.b"}, `{"a":{"b":true}}`, 0},
		{`{"a":{"b":1},"c":2}`, []string{"a.b", "c", "-a.zz", "d"}, `{"a":{"b":true},"c":true,"d":true}`, 1},
		{`{"a":{"b":[{},{"c":1}]}}`, []string{"a.x", "a.b[*].c"}, `{"a":{"b":[{"c":true},{"c":true}],"x":true}}`, 0},
		{`{"a":{"b":1},"c":{"b":2}}`, []string{"*.b", "-*.zz"}, `{"a":{"b":true},"c":{"b":true}}`, 0},
	} {
		r := jsonRecord(c.value)
		if err := setAll(r, c.edits...); err != nil {
			t.Fatalf("%s, %v: %v", c.value, c.edits, err)
		}
		cuts := 0
		if r.live {
			cuts = len(r.extras.cuts)
		}
		if got := string(r.Value()); got != c.want || cuts != c.cuts {
			t.Errorf("%s, %v: %s with %d cuts, want %s with %d", c.value, c.edits, got, cuts, c.want, c.cuts)
		}
	}
}

// What stands in the way leaves the record as it was, with what was done to it before.
func TestNoPath(t *testing.T) {
	for path, why := range map[string]string{
		"a.b.c": "a.b is no object", "a[0]": "a is no array", "list[7].x": "list has no element [7]", "[0]": "the value is no array", "new.x[0]": "new.x is no array", "n.x[1].y": "n.x is no array",
		"a.new.x[0]": "a.new.x is no array", "list[*].x": "list[*] is no object", "*.x": "* is no object", "a.added.x": "a.added is no object",
	} {
		r := jsonRecord(`{"a":{"b":"secret"},"list":[1],"n":null}`)
		if err := setAll(r, "a.added"); err != nil {
			t.Fatal(err)
		}
		err := r.SetRawAt(pathOf(path), []byte("1"))
		if reason, _ := IsPermanent(err); reason != ReasonNoPath || err.Error() != "setting "+path+": "+why {
			t.Errorf("%s: %v, want %s", path, err, why)
		}
		if got := string(r.Value()); got != `{"a":{"b":"secret","added":true},"list":[1],"n":null}` {
			t.Errorf("%s leaves %s", path, got)
		}
	}
}

// The empty path, tombstones, and values that are no objects.
func TestPathsOfOddValues(t *testing.T) {
	r := jsonRecord(` {"a":1} `)
	_ = setAll(r, "b")
	if got, err := r.At(nil); string(got) != `{"a":1,"b":true}` || err != nil {
		t.Errorf("the empty path leads to %s, %v", got, err)
	}
	if err := errors.Join(r.RemoveAt(nil), r.SetRawAt(nil, []byte("[1]"))); err != nil || string(r.Value()) != "[1]" {
		t.Errorf("the empty path sets %s, %v", r.Value(), err)
	}
	for _, path := range []string{"a.b", "*.a", "[0]"} {
		_, err := r.At(pathOf(path))
		for _, err := range []error{err, r.SetRawAt(pathOf(path), nil), r.RemoveAt(pathOf(path))} {
			if reason, _ := IsPermanent(err); reason != ReasonNotObject {
				t.Errorf("%s of an array: %v", path, err)
			}
		}
	}
	r.SetValue(nil)
	for _, path := range []jsontext.Path{nil, pathOf("a.b"), pathOf("*.a"), pathOf("a[*]")} {
		if text, err := r.At(path); text != nil || err != nil {
			t.Errorf("%s of a tombstone is %s, %v", path, text, err)
		}
		if err := errors.Join(r.SetRawAt(path, []byte("1")), r.RemoveAt(path)); err != nil || !r.Tombstone() {
			t.Errorf("%s of a tombstone: %v", path, err)
		}
	}
	r = jsonRecord(`{"a":{"b":1}}`)
	if err := r.SetRawAt(pathOf("a.b"), nil); err != nil || string(r.Value()) != `{"a":{"b":null}}` {
		t.Errorf("no text sets %s, %v", r.Value(), err)
	}
}

// Edits within a field do not copy it each time: in a place that has served before they allocate
// nothing until the bytes are asked for, and a megabyte is copied once however many there are.
func TestEditsAtDepthDoNotCopy(t *testing.T) {
	big := []byte(`{"a":{"pad":"` + strings.Repeat("x", 1<<20) + `","b":{}}}`)
	paths := make([]jsontext.Path, 0, 40)
	for i := range 20 {
		paths = append(paths, pathOf(fmt.Sprintf("a.n%d", i)), pathOf(fmt.Sprintf("a.b.n%d", i)))
	}
	var r Record
	text := []byte("true")
	n := testing.AllocsPerRun(5, func() {
		r.Init(Position{}, nil, big, nil, 0)
		for _, path := range paths {
			if err := r.SetRawAt(path, text); err != nil {
				t.Fatal(err)
			}
			if is, err := r.At(path); string(is) != "true" || err != nil {
				t.Fatal(string(is), err)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	made := []jsontext.Path{pathOf("a.new.x"), pathOf("a.new.y"), pathOf("a.new.z"), pathOf("new.x"), pathOf("new.y")}
	if n := testing.AllocsPerRun(5, func() {
		r.Init(Position{}, nil, big, nil, 0)
		for _, path := range made {
			_ = r.SetRawAt(path, text)
		}
	}); n != 0 {
		t.Errorf("%v allocations for objects that are made", n)
	}
}

// More members than are held as cuts, in an object of their own and in one that is made for them.
func TestManyEditsAtDepth(t *testing.T) {
	const n = 3*manyCuts + 1
	r, want := jsonRecord(`{"a":{}}`), `{"a":{`
	for i := range n {
		for _, parent := range []string{"a", "made.of", "a.b"} {
			if err := r.SetRawAt(pathOf(fmt.Sprintf("%s.n%d", parent, i)), []byte("1")); err != nil {
				t.Fatal(err)
			}
		}
		if len(r.extras.cuts) > 3*manyCuts {
			t.Fatalf("%d cuts", len(r.extras.cuts))
		}
	}
	for _, parent := range []string{"a", "made.of", "a.b"} {
		for i := range n {
			if got, _ := r.At(pathOf(fmt.Sprintf("%s.n%d", parent, i))); string(got) != "1" {
				t.Fatalf("%s.n%d is %q", parent, i, got)
			}
		}
	}
	if got := r.Value(); !jsontext.Valid(got) || !strings.HasPrefix(string(got), want) {
		t.Errorf("%.100s", got)
	}
}

// What cuts take is told, and that they are gone; a place that serves another record is charged
// for the list.
func TestCutsAreTold(t *testing.T) {
	r := jsonRecord(`{"a":{"b":"` + strings.Repeat("x", 500) + `"}}`)
	_, _ = r.Field("a")
	r.grown()
	_ = setAll(r, "a.c")
	want := int64(len(`,"c":true`))
	if added, growing, owed := r.grown(); added != want || growing != want || owed != fewEdits*editSize+fewCuts*cutSize {
		t.Errorf("for a member: %d, %d and %d bytes of lists", added, growing, owed)
	}
	_, _ = r.Field("a") // puts it in
	if added, growing, owed := r.grown(); added < 500 || growing != added || owed != 0 {
		t.Errorf("for the field anew: %d, %d and %d", added, growing, owed)
	}
	_ = setAll(r, "a.d", "-a")
	if added, _, _ := r.grown(); added > 10 || len(r.extras.cuts) != 0 {
		t.Errorf("for a field that is removed: %d, and %d cuts", added, len(r.extras.cuts))
	}
	x := r.leave()
	var next Record
	next.lend(x)
	next.Init(Position{}, nil, []byte(`{"a":{}}`), nil, 0)
	_ = setAll(&next, "a.x")
	if _, _, owed := next.grown(); owed != extrasSize+fewEdits*editSize+fewCuts*cutSize+int64(cap(x.room)) {
		t.Errorf("extras of another are told as %d", owed)
	}
	if got := string(next.Value()); got != `{"a":{"x":true}}` {
		t.Error(got)
	}
}

// A copy, a clone and an attempt that is undone do not see each other's cuts.
func TestCutsAreOfOneRecord(t *testing.T) {
	r := jsonRecord(`{"a":{"b":1}}`)
	_ = setAll(r, "a.c", "a.m.x")
	is := func(r *Record, want string) {
		t.Helper()
		if got := string(r.AppendValue(nil)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	const before = `{"a":{"b":1,"c":true,"m":{"x":true}}}`
	var s savepoint
	s.Save(r)
	_ = setAll(r, "a.d", "a.m.y", "-a.b", "a.c")
	s.Restore(r)
	is(r, before)
	clone, copied := r.Clone(), *r
	_ = setAll(clone, "a.m.y", "a.d")
	_ = setAll(&copied, "a.m.z", "-a.b")
	is(r, before)
	is(clone, `{"a":{"b":1,"c":true,"m":{"x":true,"y":true},"d":true}}`)
	is(&copied, `{"a":{"c":true,"m":{"x":true,"z":true}}}`)
	_ = setAll(r, "a.c.e")
	is(clone, `{"a":{"b":1,"c":true,"m":{"x":true,"y":true},"d":true}}`)
	r.SetValue([]byte(`{"a":{}}`))
	_ = setAll(r, "a.n")
	is(r, `{"a":{"n":true}}`)
}

// All that paths to many places add to a record has a bound, and what would go past it takes no
// memory. A record that comes into its place begins anew, and so does an attempt that is undone.
func TestManyPlacesHaveABound(t *testing.T) {
	long := `"` + strings.Repeat("x", 1<<20) + `"`
	var r Record
	init := func(n int) {
		r.Init(Position{}, nil, []byte(`{"l":[`+strings.Repeat(`{},`, n-1)+`{}],"m":{"a":[[],[{},{}]]}}`), nil, 0)
	}
	set := func(at, text string, wants bool) {
		t.Helper()
		var before string
		if !wants {
			before = string(r.AppendValue(nil))
		}
		err := r.SetRawAt(pathOf(at), []byte(text))
		if reason, _ := IsPermanent(err); (err == nil) != wants || err != nil && (reason != ReasonTooLarge || string(r.AppendValue(nil)) != before) {
			t.Errorf("%s: %v", at, err)
		}
	}
	init(20_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	set("l[*].x", long, false)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 { // of the 20 GB that it would become
		t.Errorf("%d bytes", took)
	}
	set("l[*]", long, false)
	set("*[*]", long, false)
	set("l[*].x.y", `"`+strings.Repeat("x", 800)+`"`, true)
	set("l[*].z", `"`+strings.Repeat("x", 100)+`"`, false)
	set("l[0].x", long, true) // one place
	set("m.a[1][*].x", `1`, true)
	init(10)
	set("l[*].x", long, true)
	set("l[*].x", long, true) // which adds nothing
	set("l[*].y", long, false)
	set("m.a[*][*].x", long, true)
	set("m.a[*][*].x", "1", true)
	set("m.*[1][*].y.z", long, true)
	set("m.*[1][*].z", long, false)
	init(10)
	var s savepoint
	s.Save(&r)
	set("l[*].x", long, true)
	s.Restore(&r)
	set("l[*].x", long, true)
	part := r
	if err := part.SetRawAt(pathOf("l[*].y"), []byte(long)); err == nil {
		t.Error("a copy has a bound of its own")
	}
}
