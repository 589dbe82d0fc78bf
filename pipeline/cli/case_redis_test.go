package cli

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstockio/penstock/pipeline/catalog"
)

// TestRedisOfACaseAnswersAsARealOneDoes, to the commands that look up, and holds what its file says.
func TestRedisOfACaseAnswersAsARealOneDoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "redis.jsonl")
	text := `{"key":"a","value":"text\n\u00e9"}` + "\n\n" + `{"key":"b","value": {"x":[1.10]} }` + "\n" + `{"key":"h","hash":{"z":"1","a":2}}` + "\n" + `{"key":"n","value":null}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := serveRedis(file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	c := goredis.NewClient(&goredis.Options{Addr: s.address, Password: "any", DB: 3, MaxRetries: -1})
	defer c.Close()
	for command, want := range map[string]string{
		"GET a": "text\né", "GET b": `{"x":[1.10]}`, "GET n": "redis: nil", "GET none": "redis: nil", "HGET h z": "1", "HGET h a": "2", "HGET h x": "redis: nil", "HGET none x": "redis: nil",
		"MGET a": "[text\né]", "MGET a none h": "[text\né <nil> <nil>]", "HGETALL h": "[a 2 z 1]", "HGETALL none": "[]", "PING": "PONG",
		"GET h":     "WRONGTYPE Operation against a key holding the wrong kind of value",
		"HGETALL a": "WRONGTYPE Operation against a key holding the wrong kind of value",
		"HGET a x":  "WRONGTYPE Operation against a key holding the wrong kind of value",
		"DEL a":     "ERR unknown command", "GET a b": "ERR unknown command", "MGET": "ERR unknown command",
	} {
		var args []any
		for _, a := range strings.Fields(command) {
			args = append(args, a)
		}
		cmd := c.Do(t.Context(), args...)
		got := ""
		if err := cmd.Err(); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(cmd.Val())
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", command, got, want)
		}
	}
	if s.missing() {
		t.Error("there is a file")
	}
}

func TestMistakesInWhatRedisHolds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "redis.jsonl")
	for line, want := range map[string]string{
		`{"key":"a"}`:                          redisForm,
		`{"key":"a","value":1,"hash":{"b":1}}`: redisForm,
		`{"value":1}`:                          redisForm,
		`{"key":1,"value":1}`:                  redisForm,
		`{"key":"a","hash":[1]}`:               redisForm,
		`{"key":"a","value":1,"ttl":3}`:        redisForm,
		`["a"]`:                                redisForm,
		`{"key":"a","value":1} x`:              "there is more behind the object",
		`{"key":"first","value":1}`:            "the key stands in a line before",
		`{"key":"a","value":1}{"key":"b"}`:     "there is more behind the object",
	} {
		if err := os.WriteFile(file, []byte(`{"key":"first","value":1}`+"\n"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := serveRedis(file); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "redis.jsonl:2: ") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestLookUpsWithoutTheFileFailTheCase, which may have forgotten it.
func TestLookUpsWithoutTheFileFailTheCase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "case")
	for name, text := range map[string]string{
		"pipeline.yaml":     "pipeline: p\nsource: {replay: {files: [input.jsonl]}}\nstages:\n  - redis: {address: '${REDIS}', key: 'k:{id}', into: x}\nsinks:\n  - stdout: {}\n",
		"input.values":      `{"id":1}` + "\n",
		"want/stdout.jsonl": `{"payload_json":{"id":1,"x":null}}` + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func() *caseResult {
		cases, err := findCases([]string{dir}, catalog.Kinds())
		if err != nil || len(cases) != 1 {
			t.Fatalf("%d cases, %v", len(cases), err)
		}
		return cases[0].run(t.Context(), nil, false)
	}
	r := run()
	if len(r.problems) != 1 || !strings.Contains(r.problems[0], "there is no answers/redis.jsonl") {
		t.Errorf("%q", r.problems)
	}
	if err := os.Mkdir(filepath.Join(dir, "answers"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "answers", "redis.jsonl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(); !r.ok() {
		t.Errorf("%s", r.text())
	}
}

// TestRedisOfACaseEnds: it ends also beside a client that has just come and stays.
func TestRedisOfACaseEnds(t *testing.T) {
	for range 500 {
		s, err := serveRedis("no-such-file")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		s.close()
		_ = conn.Close()
	}
}
