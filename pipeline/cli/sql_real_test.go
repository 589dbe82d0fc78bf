//go:build real

package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The process puts lists and texts of a database into records as such, takes a list as an
// argument, and says of what it refuses which argument it was. A query that can never give
// an object stops it before the first record.
func TestValuesOfARealDatabase(t *testing.T) {
	dsn := os.Getenv("PENSTOCK_TEST_POSTGRES")
	if dsn == "" {
		t.Fatal("PENSTOCK_TEST_POSTGRES is not set: run make test-real")
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("in.jsonl", `{"ids":[5,6],"n":5.0}
{"ids":[5,"canary"],"n":5.0}
{"ids":[7],"n":5.5}
`)
	file := func(query string) string {
		return write("p.yaml", fmt.Sprintf(`pipeline: p
source: {replay: {files: [in.jsonl], as: value}}
stages:
  - sql:
      driver: postgres
      dsn: %s
      query: %s
      args: [ids, n]
      into: found
    retry: {attempts: 1}
sinks: [{stdout: {as: value}}]
dead_letter: {file: {path: dead.jsonl}}
`, dsn, query))
	}
	run := func(args ...string) (stdout, stderr string, code int) {
		t.Helper()
		var out, log bytes.Buffer
		c := exec.Command("penstock", args...)
		c.Stdout, c.Stderr = &out, &log
		_ = c.Run()
		return out.String(), log.String(), c.ProcessState.ExitCode()
	}

	right := file("SELECT '<a/>'::xml AS x, ARRAY[1,2] AS l, 6 = ANY($1) AS has, $2::int AS n WHERE 1 = ANY(ARRAY[1])")
	if _, log, code := run("check", "--connect", right); code != 0 {
		t.Fatalf("check: exit code %d: %s", code, log)
	}
	out, log, code := run("run", right)
	want := `{"ids":[5,6],"n":5.0,"found":{"x":"<a/>","l":[1,2],"has":true,"n":5}}` + "\n"
	if code != 0 || out != want {
		t.Errorf("exit code %d, %s, want %s", code, out, want)
	}
	dead, err := os.ReadFile(filepath.Join(dir, "dead.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{
		"argument 1 is an array that the query does not take as integer[] (SQLSTATE 22P02: not the text of such a value)",
		"argument 2 is a number with a fraction, and the query takes integer",
	} {
		if !strings.Contains(string(dead), says) || !strings.Contains(log, says) {
			t.Errorf("no %q in the dead letters or the log:\n%s\n%s", says, dead, log)
		}
	}
	if strings.Contains(log, "canary") {
		t.Errorf("the log quotes a value:\n%s", log)
	}

	slow := file("SELECT pg_sleep(60)::text AS s WHERE 1 = ANY($1::int[]) OR $2::numeric > 0")
	text, err := os.ReadFile(slow)
	if err != nil {
		t.Fatal(err)
	}
	write("p.yaml", strings.Replace(string(text), "    retry:", "    timeout: 70ms\n    retry:", 1))
	if _, log, code := run("run", slow); code != 0 || !strings.Contains(log, ": no answer within 70ms") || strings.Contains(log, "deadline exceeded") {
		t.Errorf("exit code %d: %s", code, log)
	}

	twice := file("SELECT 1 AS a, 2 AS a WHERE 1 = ANY($1::int[]) AND $2::int > 0")
	for _, args := range [][]string{{"check", "--connect", twice}, {"run", twice}} {
		_, log, code := run(args...)
		if code != 3 || !strings.Contains(log, "two columns have the name ") || !strings.Contains(log, ": give one another name with AS") || !strings.Contains(log, "p.yaml:4:") {
			t.Errorf("%s: exit code %d: %s", args[0], code, log)
		}
	}
}
