package cli

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A wayOut is a way to be rejected: what stands under stages and sinks, and the reason.
type wayOut struct {
	stages, sinks, order string
	value                string // "": canaryRecord
	reason               string
}

const canaryRecord = `{"card":"C4N4RY-field","number":424242424242,"people":[{"phone":"C4N4RY-phone"}],"long":"LONG","many":["C4N4RY-1","C4N4RY-2"],"id":7,"target":"http://127.0.0.1:1/C4N4RY"}`

// copies is a step that puts what is redacted under other names, into a value that only the steps
// behind it see.
const copies = `  - map: {set: {copy: card, cop_y: people, number_copy: number, header: 'header("authorization")', of_key: meta.key, text: '"see " + card'}}` + "\n"

// waysOut are the ways to be rejected that files can have without a broker. SERVER is one that
// answers with what it was sent, and the status that the path names.
var waysOut = []wayOut{
	{stages: `filter: card + 1 > 0`, reason: "expression"},
	{stages: `filter: card > 5`, reason: "expression"},
	{stages: `map: {set: {x: int(card)}}`, reason: "expression"},
	{stages: `map: {set: {x: float(card) + 1}}`, reason: "expression"},
	{stages: `map: {set: {x: 'date(card, "2006-01-02")'}}`, reason: "expression"},
	{stages: `map: {set: {x: 'date(card)'}}`, reason: "expression"},
	{stages: `map: {set: {x: 'duration(card)'}}`, reason: "expression"},
	{stages: `map: {set: {x: 'fromJSON(card)'}}`, reason: "expression"},
	{stages: `map: {set: {x: 'fromBase64(card + "%")'}}`, reason: "expression"},
	{stages: `map: {set: {x: 'fromHex(card)'}}`, reason: "expression"},
	{stages: `map: {set: {x: 'parseURL(":" + card)'}}`, reason: "expression"},
	{stages: `map: {set: {card.x: 1}}`, reason: "no_path"},
	{stages: `map: {rename: {card: number.x}}`, reason: "no_path"},
	{stages: `map: {key: 'card + 1'}`, reason: "expression"},
	{stages: `map: {set: {x: 1}}`, value: `{"card":"C4N4RY"`, reason: "invalid_json"},
	{stages: `map: {set: {x: 1}}`, value: `[{"card":"C4N4RY"}]`, reason: "not_object"},
	{stages: `filter: a > 1`, value: `"C4N4RY"`, reason: "not_object"},
	{stages: `split: card`, reason: "not_array"},
	{stages: `split: {field: many, max_parts: 1}`, reason: "too_many_parts"},
	{stages: `split: {field: many, max_bytes: 5B}`, reason: "too_large"},
	{stages: `validate: {schema: {inline: {properties: {card: {type: number}}}}}`, reason: "schema"},
	{stages: `validate: {schema: {inline: {properties: {card: {pattern: "^a$"}}}}}`, reason: "schema"},
	{stages: `validate: {schema: {inline: {properties: {card: {enum: [a, b]}}}}}`, reason: "schema"},
	{stages: `validate: {schema: {inline: {properties: {card: {const: a}}}}}`, reason: "schema"},
	{stages: `validate: {schema: {inline: {properties: {number: {maximum: 5}}}}}`, reason: "schema"},
	{stages: `validate: {schema: {inline: {additionalProperties: {type: integer}}}}`, reason: "schema"},
	{stages: `lookup: {table: {file: table.csv, key: id}, match: card, into: row, on_miss: reject}`, reason: "no_match"},
	{stages: `parse: {as: json, field: card}`, reason: "not_parsed"},
	{stages: `parse: {as: csv, field: card, columns: [a, b]}`, reason: "not_parsed"},
	{stages: `parse: {as: timestamp, field: card, layouts: [rfc3339]}`, reason: "not_parsed"},
	{stages: `parse: {as: regex, field: card, pattern: '^(?P<a>\d+)$'}`, reason: "not_parsed"},
	{stages: `parse: {as: gzip, field: card}`, reason: "not_parsed"},
	{stages: `parse: {as: access_log, field: card}`, reason: "not_parsed"},
	{stages: `parse: {as: syslog, field: card}`, reason: "not_parsed"},
	{stages: `parse: {as: hex, field: card}`, reason: "not_parsed"},
	{stages: `format: {as: url, field: card}`, reason: "not_formatted"},
	{stages: `format: {as: timestamp, field: card, layout: rfc2822}`, reason: "not_formatted"},
	{stages: `redact: {fields: [x]}`, value: `card=C4N4RY`, reason: "invalid_json"},
	{stages: `dedupe: {key: card + 1}`, reason: "expression"},
	{stages: "http: {url: 'SERVER/404/{card}/{number}', into: x}", reason: "no_match"},
	{stages: "http: {url: 'SERVER/422', method: POST, json: $env, headers: {x-card: '{card}'}, into: x}", reason: "http_4xx"},
	{stages: "http: {url: 'SERVER/429', method: POST, text: '{card}', into: x, retry_status: ['503']}", reason: "http_429"},
	{stages: "http: {url: 'SERVER/501/{card}', into: x, retry_status: ['503']}", reason: "http_5xx"},
	{stages: "http: {url: 'SERVER/503/{card}', into: x}\n    retry: {attempts: 2, backoff: 1ms}", reason: "attempts"},
	{stages: "http: {url: 'SERVER/503/{card}', into: x}\n    breaker: off\n    deadline: 150ms\n    retry: {attempts: 50, backoff: 100ms}", reason: "deadline"},
	{stages: "http: {url: 'SERVER/hang/{card}', into: x}\n    timeout: 30ms\n    retry: {attempts: 1}", reason: "attempts"},
	{stages: "http: {url: 'SERVER/cut/{card}', into: x}\n    retry: {attempts: 2, backoff: 1ms}", reason: "attempts"},
	{stages: "http: {url: 'SERVER/302/{card}', into: x}", reason: "redirect"},
	{stages: "http: {url: 'SERVER/304/{card}', into: x}", reason: "http_3xx"},
	{stages: "http: {url: 'SERVER/json/{card}', into: x}", reason: "bad_answer"},
	{stages: "http: {url: 'SERVER/200/{card}', into: x, max_bytes: 3B}", reason: "too_large"},
	{stages: "http: {url: '{card}', into: x, hosts: ['*']}", reason: "egress"},
	{stages: "http: {url: SERVER/200, into: x, headers: {x-a: '{lines}'}}", value: `{"card":"C4N4RY","lines":"a\nC4N4RY"}`, reason: "request"},
	{stages: "http: {url: '{target}', into: x, hosts: ['*']}", reason: "egress"},
	{stages: "http: {url: 'SERVER/200/{card + 1}', into: x}", reason: "expression"},
	{stages: "http: {url: 'SERVER/503/{card}', into: x}\n    max_wait: 10ms\n    limit: slow\n    retry: {attempts: 5, backoff: 1ms}", reason: "max_wait"},
	{stages: "http: {url: 'SERVER/hang/{card}', into: x}\n    timeout: 10ms\n    breaker: {failures: 1%, calls: 1, open: 20ms, give_up: 1s}\n    deadline: 20s\n    retry: {attempts: 500, backoff: 1ms}", reason: "host_down"},
	{stages: "scrape: {url: 'SERVER/private/{card}', into: x, select: {t: title}, agent: 'x-bot (+https://x.example/)', on_forbidden: reject}", reason: "robots"},
	{stages: "scrape: {url: 'SERVER/404/{card}', into: x, select: {t: title}, agent: 'x-bot (+https://x.example/)'}", reason: "no_match"},
	{stages: "sql: {driver: sqlite, path: db.sqlite, query: 'SELECT json(?) AS c', args: [card], into: x}", reason: "sql"},
	{stages: "redis: {address: REDIS, key: 'k:{card}', into: x}", reason: "redis"},
	{sinks: "redis: {address: REDIS, command: set, key: 'k:{card}'}", reason: "redis"},
	{sinks: "redis: {address: REDIS, command: set, key: k, value: card}", reason: "redis"},
	{stages: script(`reject("it is", record["card"])`), reason: "script_rejected"},
	{stages: script(`fail(record.value, record.key, record.headers)`), reason: "script_failed"},
	{stages: script(`{}[record["card"]]`), reason: "script_failed"},
	{stages: script(`getattr(record, record["card"])`), reason: "script_failed"},
	{stages: script(`dict(**{record["card"]: 1, "a": int(record["card"])})`), reason: "script_failed"},
	{stages: script(`{record["card"]: 1, record["card"]: 2}`), reason: "script_failed"},
	{stages: script(`(lambda a: a)(**{record["card"]: 1})`), reason: "script_failed"},
	{stages: script(`record["card"] * (1 << 30)`), reason: "script_memory"},
	{stages: script(`[x for x in range(1 << 30) if record["card"] == str(x)]`), reason: "script_steps"},
	{stages: script(`sorted(range(1 << 20), key = lambda x: [record["card"]])`, "steps: 100000000000", "memory: 64GiB") + "\n    timeout: 20ms", reason: "script_timeout"},
	{stages: "exec: {command: [sh, child.sh, reject], into: x}", reason: "child_rejected"},
	{stages: "exec: {command: [sh, child.sh, retry], into: x}\n    retry: {attempts: 2, backoff: 1ms}", reason: "attempts"},
	{stages: "exec: {command: [sh, child.sh, junk], into: x}\n    retry: {attempts: 1}", reason: "attempts"},
	{stages: "exec: {command: [sh, child.sh, die], into: x}\n    retry: {attempts: 1}", reason: "attempts"},
	{stages: "exec: {command: [sh, child.sh, hang], into: x}\n    timeout: 50ms\n    retry: {attempts: 1}", reason: "attempts"},
	{stages: "exec: {command: [cat], as: value}", value: `{"card":"C4N4RY"`, reason: "invalid_json"},
	{sinks: "sql: {driver: sqlite, path: db.sqlite, table: t, columns: {id: card}}", reason: "sql"},
	{sinks: "sql: {driver: sqlite, path: db.sqlite, table: t, columns: {id: card + 1}}", reason: "expression"},
	{sinks: "http: {url: 'SERVER/422/{card}', format: single}", reason: "http_4xx"},
	{sinks: "http: {url: 'SERVER/422', format: ndjson, as: fixture}", reason: "http_4xx"},
	{sinks: "file: {path: 'out/{long}.jsonl'}", reason: "file_name"},
	{sinks: "file: {path: 'out/{card}/../../../{long}.jsonl'}", reason: "file_name"},
	{sinks: "file: {path: 'out/{card + 1}.jsonl'}", reason: "expression"},
	{sinks: "when: card + 1 > 0\n    stdout: {}", reason: "expression"},
	{stages: `format: {as: text, field: lines}`, sinks: "stdout: {}", value: `{"card":"C4N4RY","lines":"a\nC4N4RY"}`, reason: "not_one_line"},
	{order: "{key: card + 1}", reason: "expression"},
	{stages: "map: {set: {c: card}, remove: [card]}\n  - filter: c + 1 > 0", value: `{"card":{"C4N4RY":null,"C4N4RYb":true}}`, reason: "expression"},
	{stages: "map: {set: {c: keys(card)}, remove: [card]}\n  - filter: c + 1 > 0", value: `{"card":{"C4N4RY":null,"C4N4RYb":true}}`, reason: "expression"},
	{stages: "map: {set: {c: card}, remove: [card]}\n  - filter: c + 1 > 0", value: `{"card":[[{"C4N4RY":{}}]]}`, reason: "expression"},
	{stages: "map: {set: {c: toJSON(card), d: urlEncode(card), e: htmlEscape(card)}}\n  - filter: c - 1 > 0", value: canaryForms, reason: "expression"},
	{stages: "map: {set: {c: toJSON(card)}}\n  - filter: c - 1 > 0", value: canaryForms, reason: "expression"},
	{stages: "map: {set: {c: urlEncode(card)}}\n  - filter: c - 1 > 0", value: canaryForms, reason: "expression"},
	{stages: "map: {set: {c: htmlEscape(card)}}\n  - filter: c - 1 > 0", value: canaryForms, reason: "expression"},
	{stages: "map: {set: {c: toJSON(toJSON($env))}, remove: [card]}\n  - filter: c - 1 > 0", value: canaryForms, reason: "expression"},
	{stages: "map: {set: {c: lower(card)}}\n  - filter: c - 1 > 0", value: canaryForms, reason: "expression"},
}

// script is a step whose function does that. more are further settings.
func script(does string, more ...string) string {
	return fmt.Sprintf("script: {%s}", strings.Join(append(more, fmt.Sprintf("code: %q", "def process(record):\n  "+does)), ", "))
}

// canaryForms has a text that looks another in each of the forms that a step may give it.
const canaryForms = `{"card":"a \"C4N4RY\" \\ <b>\u00e9&"}`

// childScript is a child process that says what it was asked, to its standard error too.
const childScript = `while read -r line; do
  echo "asked about $line" >&2
  id=${line#'{"id":'}
  case $1 in
  junk) echo "$line and more" ;;
  die) exit 3 ;;
  hang) sleep 100 ;;
  *) printf '{"id":%s,"%s":"C4N4RY","message":"C4N4RY-field"}\n' "${id%%,*}" "$1" ;;
  esac
done
`

// echo answers with the request as it came: in the status line's text, headers and body. The path
// begins with the status.
func echo(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		word, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		status := 200
		switch word {
		case "hang":
			<-r.Context().Done()
			return
		case "cut":
			panic(http.ErrAbortHandler)
		case "robots.txt":
			fmt.Fprint(w, "User-agent: *\nDisallow: /private\n")
			return
		case "json":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"echo": %s`, r.URL.Path)
			return
		default:
			_, _ = fmt.Sscan(word, &status)
		}
		if status == 302 {
			w.Header().Set("Location", "http://127.0.0.1:1"+r.URL.Path)
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, "you sent %s %v %s", r.URL, r.Header, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// echoOfRedis is a Redis that refuses every command for what it holds, and quotes it.
func echoOfRedis(t *testing.T) string {
	m := miniredis.RunT(t)
	var sent []string // within a transaction
	m.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		switch cmd {
		case "GET":
			c.WriteError("WRONGTYPE you sent " + strings.Join(args, " "))
		case "MULTI":
			sent = nil
			c.WriteOK()
		case "SET":
			sent = append(sent, strings.Join(args, " "))
			c.WriteInline("QUEUED")
		case "EXEC":
			c.WriteLen(len(sent))
			for _, text := range sent {
				c.WriteError("WRONGTYPE you sent " + text)
			}
		default:
			return false
		}
		return true
	})
	return m.Addr()
}

// redacting is the block of the file that redacts letters.
const redacting = "\n  redact: {fields: [card, people.phone, number, long, many, lines, target], headers: [authorization], key: true}"

// planted finds what must not show.
var planted = regexp.MustCompile(`(?i)c4n4ry|424242424242|fffffff`)

// runWay runs a pipeline whose one record is rejected to the sink that dead says, and gives its log.
func runWay(t *testing.T, w wayOut, url, dead string) (dir string, log []byte) {
	dir = t.TempDir()
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := "C4N4RY" + strings.Repeat("f", 300)
	value := w.value
	if value == "" {
		value = strings.ReplaceAll(canaryRecord, "LONG", long)
	}
	put("in.jsonl", fmt.Sprintf(`{"topic":"orders","partition":3,"offset":4711,"key":"C4N4RY-key","headers":["authorization","C4N4RY-header","x","y"],"payload":%q}`+"\n", value))
	put("child.sh", childScript)
	put("table.csv", "id,name\na,b\n")
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "db.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE t (id TEXT CHECK (id = 'x'))"); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	var b strings.Builder
	b.WriteString("pipeline: p\nsource: {replay: {files: [in.jsonl]}}\nlimits: {rates: {slow: {rate: 1/h}}}\n")
	if w.order != "" {
		fmt.Fprintf(&b, "order: %s\n", w.order)
	}
	b.WriteString("stages:\n")
	if w.value == "" {
		b.WriteString(copies)
	} else {
		b.WriteString("  - filter: 'true'\n")
	}
	if w.stages != "" {
		fmt.Fprintf(&b, "  - %s\n", w.stages)
	}
	sink := w.sinks
	if sink == "" {
		sink = "file: {path: delivered.jsonl}"
	}
	fmt.Fprintf(&b, "sinks:\n  - %s\ndead_letter:\n  %s\nlog: {format: json, level: debug, stats_every: 100ms}\n", sink, dead)
	text := strings.ReplaceAll(b.String(), "SERVER", url)
	if strings.Contains(text, "REDIS") {
		text = strings.ReplaceAll(text, "REDIS", echoOfRedis(t))
	}
	put("p.yaml", text)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "penstock", "run", "p.yaml")
	c.Dir = dir
	log, err = c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, b.String(), log)
	}
	return dir, log
}

// What stands in redacted fields, in redacted headers and in the key of a record is in no dead
// letter, log line or error text, in whatever way the record is rejected, and though a step has put
// it under other names before.
func TestNoCanaryInLettersOfFiles(t *testing.T) {
	server := echo(t)
	seen := map[string]bool{}
	for i, w := range waysOut {
		kind, _, _ := strings.Cut(w.order+w.stages+w.sinks, ":")
		t.Run(fmt.Sprintf("%d-%s-%s", i, kind, w.reason), func(t *testing.T) {
			dir, log := runWay(t, w, server, "file: {path: dead.jsonl}"+redacting)
			letters, err := os.ReadFile(filepath.Join(dir, "dead.jsonl"))
			if err != nil || bytes.Count(letters, []byte("\n")) != 1 {
				t.Fatalf("%v: the letters:\n%s%s", err, letters, log)
			}
			if !bytes.Contains(letters, []byte(`"penstock-reason","`+w.reason+`"`)) || !bytes.Contains(letters, []byte(`"penstock-redacted","`)) {
				t.Errorf("not rejected with %s, or not redacted:\n%s", w.reason, letters)
			}
			clean(t, "the letter", letters)
			clean(t, "the log", log)
			seen[w.reason] = true
		})
	}
	everyReason(t, seen)
}

func clean(t *testing.T, what string, text []byte) {
	t.Helper()
	if at := planted.FindIndex(text); at != nil {
		t.Errorf("%s has what is redacted: …%s", what, text[max(0, at[0]-300):min(len(text), at[1]+100)])
	}
}

// notTried are the reasons that no way here leads to.
var notTried = map[string]string{
	"panic": "only a component of one's own panics", "permanent": "only components of one's own give it",
	"invalid_record": "a broker's word", "invalid_timestamp": "a broker's word", "topic_denied": "a broker's word",
	"skipped":         "its text is the same for every record",
	"too_many_topics": "needs a thousand topics, and says a number alone",
	"invalid_topic":   "see waysOutOfKafka", "unknown_topic": "see waysOutOfKafka",
}

// everyReason checks that there is a way here to every reason for which a record is rejected.
func everyReason(t *testing.T, seen map[string]bool) {
	page, err := os.ReadFile(filepath.Join(repo, "docs", "reference", "reasons.md"))
	if err != nil {
		t.Fatal(err)
	}
	page, _, divided := bytes.Cut(page, []byte("\n## Types of errors\n")) // behind it stand types that are no reasons
	if !divided {
		t.Fatal("the page of reasons has no section of types")
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` ").FindAllSubmatch(page, -1)
	if len(rows) < 20 {
		t.Fatalf("only %d reasons", len(rows))
	}
	for _, row := range rows {
		if reason := string(row[1]); !seen[reason] && notTried[reason] == "" {
			t.Errorf("no way here leads to %s", reason)
		}
	}
}

var waysOutOfKafka = []wayOut{
	{sinks: "kafka: {topic: '{target}', brokers: [BROKER]}", reason: "invalid_topic"},
	{sinks: "kafka: {topic: '{card}', brokers: [BROKER]}", reason: "unknown_topic"},
	{sinks: "kafka: {topic: '{card + 1}', brokers: [BROKER]}", reason: "expression"},
	{stages: `validate: {schema: {inline: {properties: {card: {enum: [a, b]}}}}}`, reason: "schema"},
	{stages: "http: {url: 'SERVER/422', method: POST, json: $env, headers: {x-card: '{card}'}, into: x}", reason: "http_4xx"},
	{stages: `map: {set: {x: 1}}`, value: `{"card":"C4N4RY"`, reason: "invalid_json"},
}

// The same holds for letters that stand in a topic, also where they have keys of their own and a header for that of the record.
func TestNoCanaryInLettersOfKafka(t *testing.T) {
	c, server := kafkatest.Start(t), echo(t)
	for i, w := range waysOutOfKafka {
		t.Run(fmt.Sprintf("%d-%s", i, w.reason), func(t *testing.T) {
			topic, broker := c.Topic(t, 1), c.Addrs()[0]
			w.sinks = strings.ReplaceAll(w.sinks, "BROKER", broker)
			key := []string{"", ", key: string(meta.offset)"}[i%2]
			_, log := runWay(t, w, server, fmt.Sprintf("kafka: {topic: %s, brokers: [%q]%s}", topic, broker, key)+redacting)
			letters := c.ConsumeN(t, topic, 1)
			var text bytes.Buffer
			fmt.Fprintf(&text, "key %s\nvalue %s\n", letters[0].Key, letters[0].Value)
			for _, h := range letters[0].Headers {
				fmt.Fprintf(&text, "%s: %s\n", h.Key, h.Value)
			}
			if !strings.Contains(text.String(), "penstock-reason: "+w.reason+"\n") || !strings.Contains(text.String(), "penstock-redacted: ") {
				t.Errorf("not rejected with %s, or not redacted:\n%s", w.reason, text.String())
			}
			if has := strings.Contains(text.String(), "penstock-key: ***\n"); has != (key != "") {
				t.Errorf("with %q the letter is\n%s", key, text.String())
			}
			clean(t, "the letter", text.Bytes())
			clean(t, "the log", log)
		})
	}
}

// A host that is made of a redacted field is masked in the letter. Logs name hosts, as the manual says.
func TestNoCanaryInHostsOfLetters(t *testing.T) {
	for _, url := range []string{"http://{card}.example/x", "{'http://' + card + '.example'}"} {
		dir, _ := runWay(t, wayOut{stages: fmt.Sprintf("http: {url: %q, into: x, hosts: ['*.other.example']}", url)}, "", "file: {path: dead.jsonl}"+redacting)
		letters, err := os.ReadFile(filepath.Join(dir, "dead.jsonl"))
		if err != nil || !bytes.Contains(letters, []byte(`"penstock-reason","egress"`)) || !bytes.Contains(letters, []byte(".example may not be called")) {
			t.Fatalf("%v: %s", err, letters)
		}
		clean(t, "the letter", letters)
	}
}

// Without redact the canaries are found: what looks for them works.
func TestCanariesWithoutRedact(t *testing.T) {
	dir, _ := runWay(t, wayOut{stages: `split: card`}, "", "file: {path: dead.jsonl}")
	letters, err := os.ReadFile(filepath.Join(dir, "dead.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(planted.FindAll(letters, -1)); n < 10 || !bytes.Contains(letters, []byte("penstock-value")) {
		t.Errorf("%d canaries are found in\n%s", n, letters)
	}
}
