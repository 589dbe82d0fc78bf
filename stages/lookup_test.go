package stages

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

func lookupSettings(t *testing.T, name, text string) LookupSettings {
	t.Helper()
	s := DefaultLookup()
	s.Table.File, s.Table.Key = tableFile(t, name, text), "iata"
	s.Match, s.Into = expression(t, "origin"), "from"
	return s
}

const airports = "\ufeffiata,name,city\r\nDTW,\"Detroit, Metro\",\"De\"\"troit\"\r\n7,seven,Köln\r\n"

func TestLookupCSV(t *testing.T) {
	s := lookupSettings(t, "airports.csv", airports)
	l, err := NewLookup(s)
	processes(t, must(t, l, err), []row{
		{`{"origin":"DTW","x":1.0}`, `{"origin":"DTW","x":1.0,"from":{"iata":"DTW","name":"Detroit, Metro","city":"De\"troit"}}`},
		{`{"origin":7}`, `{"origin":7,"from":{"iata":"7","name":"seven","city":"Köln"}}`},
		{`{"origin":7.0}`, `{"origin":7.0,"from":null}`},
		{`{"origin":"XXX","from":1}`, `{"origin":"XXX","from":null}`},
		{`{}`, `{"from":null}`},
		{`{"origin":null}`, `{"origin":null,"from":null}`},
		{`[1]`, "rejected: not_object"},
		{`{"origin":`, "rejected: invalid_json"},
		{"tombstone", "tombstone"},
	})
	if got, want := l.Report(), (pipeline.Report{CacheHits: 2, CacheMisses: 4}); !reflect.DeepEqual(got, want) {
		t.Errorf("report %+v", got)
	}
	s.OnMiss = MissReject
	l, err = NewLookup(s)
	processes(t, must(t, l, err), []row{{`{"origin":"XXX"}`, "rejected: no_match"}, {"tombstone", "tombstone"}})
	s.OnMiss, s.Columns = MissFilter, []pipeline.FieldName{"city", "iata"}
	l, err = NewLookup(s)
	processes(t, must(t, l, err), []row{{`{"origin":"XXX"}`, "filtered"}, {`[]`, "rejected: not_object"}, {`{"origin":"DTW"}`, `{"origin":"DTW","from":{"iata":"DTW","city":"De\"troit"}}`}})
}

func TestLookupJSONL(t *testing.T) {
	const text = "\ufeff{\"iata\":\"DTW\", \"at\": [1.10, {\"x\": 2}]}\n\n  {\"iata\":7,\"\\u0069ata\":8}\r\n"
	s := lookupSettings(t, "airports.jsonl", text)
	l, err := NewLookup(s)
	processes(t, must(t, l, err), []row{
		{`{"origin":"DTW"}`, `{"origin":"DTW","from":{"iata":"DTW", "at": [1.10, {"x": 2}]}}`},
		{`{"origin":7}`, `{"origin":7,"from":{"iata":7,"\u0069ata":8}}`},
		{`{"origin":"7"}`, `{"origin":"7","from":{"iata":7,"\u0069ata":8}}`},
		{`{"origin":8}`, `{"origin":8,"from":null}`},
	})
	s.Columns = []pipeline.FieldName{"at", "none"}
	l, err = NewLookup(s)
	processes(t, must(t, l, err), []row{{`{"origin":"DTW"}`, `{"origin":"DTW","from":{"at":[1.10, {"x": 2}]}}`}})
}

func TestLookupBadTables(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"t.csv", "", "table.file: reading the table: FILE: it is empty"},
		{"t.csv", "iata,city\nA,x\nB\n", "FILE:3: column 1: wrong number of fields"},
		{"t.csv", "iata,city\nA,\"x\n", "FILE:"},
		{"t.csv", "iata,city,iata\n", `FILE:1: two columns are called "iata"`},
		{"t.csv", "code,city\n", `table.key: the table has no column "iata"; it has code, city`},
		{"t.csv", "iata\nA\nB\nA\n", `FILE:4: "iata" is the same as in line 2`},
		{"t.csv", "iata,city\n,x\n", `FILE:2: "iata" is empty`},
		{"t.csv", "iata,city\nA,\xff\n", `FILE:2: column "city" is not valid UTF-8`},
		{"t.csv", "iata,\xff\n", `FILE:1: not valid UTF-8`},
		{"t.jsonl", "{\"iata\":1}\n[1]\n", "FILE:2: not a JSON object"},
		{"t.jsonl", "{\"iata\":1}\n\n{\"iata\":\n", "FILE:3: not a JSON object"},
		{"t.jsonl", "{\"city\":1}", `FILE:1: "iata" is missing or empty`},
		{"t.jsonl", "{\"iata\":null}", `FILE:1: "iata" is missing or empty`},
		{"t.jsonl", "{\"iata\":1}\n{\"iata\":\"1\"}", `FILE:2: "iata" is the same as in line 1`},
		{"t.jsonl", "{\"iata\":\"\xff\"}", "FILE:1: not valid UTF-8"},
		{"t.jsonl", strings.Repeat(" ", 2000), "larger than max_bytes, 1000B"},
	} {
		s := lookupSettings(t, c.file, c.text)
		s.Table.MaxBytes = 1000
		want := strings.ReplaceAll(c.want, "FILE", string(s.Table.File))
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) || len(names(err)) != 1 || names(err)[0] == "" {
			t.Errorf("%q: got %v, want %s", c.text, err, want)
		}
	}
	s := lookupSettings(t, "t.csv", "iata\n")
	s.Columns = []pipeline.FieldName{"city"}
	if _, err := NewLookup(s); err == nil || !strings.HasPrefix(err.Error(), "columns: the table has no column \"city\"") {
		t.Error(err)
	}
	s.Table.File = "/nonexistent/t.csv"
	if _, err := NewLookup(s); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
	s.Table.File = "/tmp.csv/.."
	s.Table.Format = "csv"
	if _, err := NewLookup(s); err == nil {
		t.Error("a folder is a table")
	}
}

func TestLookupSettings(t *testing.T) {
	s := LookupSettings{Table: TableSettings{File: "t.txt"}, OnMiss: "stop"}
	if got, want := names(s.Validate()), []string{"into", "table.format", "table.key", "on_miss"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestLookupReadsAgain(t *testing.T) {
	s := lookupSettings(t, "t.csv", "iata,v\nA,1\n")
	path := string(s.Table.File)
	synctest.Test(t, func(t *testing.T) {
		l, err := NewLookup(s)
		must(t, l, err)
		var log bytes.Buffer
		l.Attach(event.New(&log, event.Options{}))
		is := func(want string) {
			t.Helper()
			processes(t, l, []row{{`{"origin":"A"}`, `{"origin":"A","from":` + want + `}`}})
		}
		write := func(text string, day int) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			at := time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
		const one, two = `{"iata":"A","v":"1"}`, `{"iata":"A","v":"2"}`
		is(one)
		write("iata,v\nA,2\n", 1)
		is(one)
		time.Sleep(lookEvery)
		is(one) // seen, and may still be written
		time.Sleep(lookEvery)
		is(two)

		// One that goes on changing is left alone until it rests.
		for day := 2; day < 5; day++ {
			write("iata,v\n", day)
			time.Sleep(lookEvery)
			is(two)
		}
		write("iata,v\nA,1\n", 5)
		time.Sleep(lookEvery)
		is(two)
		time.Sleep(lookEvery)
		is(one)
		log.Reset()

		// A broken one changes nothing, and is reported once.
		write("iata,v\nA,1\nA,2\n", 6)
		for range 5 {
			time.Sleep(lookEvery)
			is(one)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "the same as in line 2") {
			t.Errorf("log %s", log.String())
		}
		// So does one that is gone.
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(lookEvery)
			is(one)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("log %s", log.String())
		}
		write("iata,v\nA,2\n", 7)
		time.Sleep(lookEvery)
		is(one)
		time.Sleep(lookEvery)
		is(two)
	})
}
