package stages

import (
	"reflect"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
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
	s.OnMiss, s.Columns = MissFilter, []settings.FieldPath{"city", "iata"}
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
	s.Columns = []settings.FieldPath{"at", "none"}
	l, err = NewLookup(s)
	processes(t, must(t, l, err), []row{{`{"origin":"DTW"}`, `{"origin":"DTW","from":{"at":[1.10, {"x": 2}]}}`}})
}

// Keys and columns of jsonl may be deeper in the row, and the row in the record.
func TestLookupPaths(t *testing.T) {
	s := lookupSettings(t, "airports.jsonl", `{"id":{"iata":"DTW"},"at":{"lat": 1.10,"lon":2},"a.b":1}`+"\n"+`{"id":{"iata":"OSL"},"at":5}`)
	s.Table.Key, s.Into = "id.iata", "flight.from"
	s.Columns = []settings.FieldPath{"at.lat", `a\.b`}
	l, err := NewLookup(s)
	processes(t, must(t, l, err), []row{
		{`{"origin":"DTW","flight":{"n":1}}`, `{"origin":"DTW","flight":{"n":1,"from":{"at":{"lat":1.10},"a.b":1}}}`},
		{`{"origin":"OSL"}`, `{"origin":"OSL","flight":{"from":{}}}`},
		{`{"origin":"XXX"}`, `{"origin":"XXX","flight":{"from":null}}`},
		{`{"origin":"DTW","flight":7}`, "rejected: no_path"},
	})
	s.Table.Key = "id.icao"
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), `:1: "id.icao" is missing or empty`) {
		t.Error(err)
	}
	s.Columns, s.Into = []settings.FieldPath{"a[*].b", "a[0]", "a"}, "*.from"
	if got, want := names(s.Validate()), []string{"into", "columns[0]", "columns[1]"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	s = lookupSettings(t, "t.csv", "a.b\nx\n")
	s.Table.Key, s.Columns = "a.b", []settings.FieldPath{"a[0]", `a\.b`}
	if err := s.Validate(); !reflect.DeepEqual(names(err), []string{"table.key", "columns[0]"}) || !strings.Contains(err.Error(), `is written 'a\.b'`) {
		t.Errorf("columns of csv: %v", err)
	}
}

func TestLookupBadTables(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"t.csv", "", "table.file: reading the table: FILE: it is empty"},
		{"t.csv", "\n\r\n", "FILE: it is empty"},
		{"t.csv", "\ufeff", "FILE: it is empty"},
		{"t.csv", "iata,city\nA,x\nB\n", "FILE:3: values: 1, columns in the header: 2"},
		{"t.csv", "iata,city\nA,\"x\ny\"\n\nB,z,\n", "FILE:5: values: 3, columns in the header: 2"},
		{"t.csv", "iata,city\nA,x\n \n", "FILE:3: values: 1, columns in the header: 2"},
		{"t.csv", "iata,city\nA,\"x\nB,y\n", "FILE:3: column 5: extraneous or missing \" in quoted-field; the row begins in line 2"},
		{"t.csv", "iata,city\nA,x\"y\n", "FILE:2: column 4: bare \" in non-quoted-field"},
		{"t.csv", "iata,city\rA,x\rB,y\r", `FILE:1: a carriage return without a line feed; lines end with \n or \r\n: convert the file`},
		{"t.csv", "iata\r", "FILE:1: a carriage return"},
		{"t.csv", "iata,city\r\nA,x\nB,y\rC,z\n", "FILE:3: a carriage return"},
		{"t.csv", "iata,city\r\nA,\"x\r\ny\"\r\nB,y\r", "FILE:4: a carriage return"},
		{"t.csv", "\xff\xfei\x00a\x00t\x00a\x00\n\x00", "FILE:1: it is UTF-16; save it as UTF-8"},
		{"t.csv", "\xfe\xff\x00i\x00a\x00t\x00a", "FILE:1: it is UTF-16; save it as UTF-8"},
		{"t.csv", "i\x00a\x00t\x00a\x00\n\x00", "FILE:1: a NUL byte; is the file UTF-16"},
		{"t.csv", "iata,city\nA,x\x00\n", "FILE:2: a NUL byte"},
		{"t.csv", "iata;city\nA;x\n", `table.key: the table has no column "iata"; it has "iata;city"; the file seems to have ";" between its columns: write commas`},
		{"t.csv", "city\t\"iata\"\n", "FILE:1: column "},
		{"t.csv", "city\tiata\nx\tA\n", `it has "city\tiata"; the file seems to have "\t" between its columns`},
		{"t.csv", "city | iata\n", `the file seems to have "|" between its columns`},
		{"t.csv", "\"iata;city\"\n", `the file seems to have ";" between its columns`},
		{"t.csv", "city, iata\n", `it has city, " iata"; did you mean " iata"?`},
		{"t.csv", "IATA,city\n", `it has IATA, city; did you mean "IATA"?`},
		{"t.csv", "iata,,city\nA,x,y\n", "FILE:1: column 2 has no name; name it"},
		{"t.csv", "iata,city,\nA,x,\n", "FILE:1: column 3 has no name"},
		{"t.csv", "\n\niata,city,iata\n", `FILE:3: two columns are called "iata"`},
		{"t.csv", "iata,city,iata\n", `FILE:1: two columns are called "iata"`},
		{"t.csv", "code,city\n", `table.key: the table has no column "iata"; it has code, city`},
		{"t.csv", "iata\nA\nB\nA\n", `FILE:4: "iata" is the same as in line 2`},
		{"t.csv", "iata,city\n,x\n", `FILE:2: "iata" is empty`},
		{"t.csv", "iata,city\nA,\xff\n", `FILE:2: column "city" is not valid UTF-8`},
		{"t.csv", "iata,city\nA,\"x\n\xff\"\nB,\xff\n", `FILE:2: column "city" is not valid UTF-8; save the file as UTF-8`},
		{"t.csv", "iata,\xff\n", `FILE:1: not valid UTF-8`},
		{"t.jsonl", "{\"iata\":1}\r{\"iata\":2}\r", "FILE:1: not a JSON object; each line holds one, whole"},
		{"t.jsonl", "{\"iata\":1}\r\n{\n\"iata\":2}\r\n", "FILE:2: not a JSON object"},
		{"t.jsonl", "[{\"iata\":1}]", "FILE:1: not a JSON object"},
		{"t.jsonl", "\xff\xfe{\x00", "FILE:1: it is UTF-16"},
		{"t.jsonl", "{\"iata\":1}\n{\"iata\":\"\x00\"}", "FILE:2: a NUL byte"},
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
	s.Columns = []settings.FieldPath{"city"}
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

// What a spreadsheet or an editor writes is right, whatever its line ends.
func TestLookupGoodTables(t *testing.T) {
	for _, text := range []string{
		"iata,city\nA,x\nB,y\n", "\ufeffiata,city\r\nA,x\r\nB,y\r\n", "iata,city\r\nA,x\nB,y", "\n\niata,city\n\nA,x\r\n\r\nB,y\n\n",
		"\"iata\",\"city\"\n\"A\",\"x\"\nB,y\n", "iata,city,,\nA,x,1,2\nB,y,,\n",
	} {
		s := lookupSettings(t, "t.csv", text)
		s.Columns = []settings.FieldPath{"city"} // columns without a name are left out
		l, err := NewLookup(s)
		processes(t, must(t, l, err), []row{
			{`{"origin":"A"}`, `{"origin":"A","from":{"city":"x"}}`},
			{`{"origin":"B"}`, `{"origin":"B","from":{"city":"y"}}`},
		})
	}
	// A line end in quotes belongs to the value; the reader makes \n of \r\n.
	for text, city := range map[string]string{"x\ny": `x\ny`, "x\ry": `x\ry`, "x\r\ny": `x\ny`} {
		l, err := NewLookup(lookupSettings(t, "t.csv", "iata,city\nA,\""+text+"\"\nB,z\n"))
		processes(t, must(t, l, err), []row{{`{"origin":"A"}`, `{"origin":"A","from":{"iata":"A","city":"` + city + `"}}`}})
	}
}
