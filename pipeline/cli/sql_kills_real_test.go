//go:build real && chaos

package cli

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

var (
	rowsOfSQL   = flag.Int("sql.rows", 1_000_000, "flights of the tests of the sql sink")
	roundsOfSQL = flag.Int("sql.rounds", 3, "how often TestRowsBesideCopy has each side run")
	killsOfSQL  = flag.Int("sql.kills", 50, "how often TestRowsSurviveKills kills the daemon")
)

const (
	flightPartitions = 8
	flightBlock      = 1000 // flights whose versions come one after the other
	flightVersions   = 4
	flightColumns    = "id bigint PRIMARY KEY, version int, origin text, destination text, delay int, late boolean, flown timestamp, seen timestamptz"
)

// A flightFeed produces flights in blocks: the first version of each flight of a block, then the second of each. All
// versions of a flight are in one partition, in order.
type flightFeed struct {
	t        *testing.T
	client   *kgo.Client
	versions int
	lines    []string
	next     int
}

// at gives the flight and the version that record n is about.
func (f *flightFeed) at(n int) (id, version int) {
	block, within := n/(flightBlock*f.versions), n%(flightBlock*f.versions)
	return block*flightBlock + within%flightBlock, within/flightBlock + 1
}

// last gives what the last version of a flight says.
func (f *flightFeed) last(id int) string {
	n := id/flightBlock*flightBlock*f.versions + (f.versions-1)*flightBlock + id%flightBlock
	return f.lines[n%len(f.lines)]
}

func newFlightFeed(t *testing.T, addrs []string, topic string, versions int) *flightFeed {
	t.Helper()
	text, err := os.ReadFile("../../testdata/flights/flights.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(50_000))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &flightFeed{t: t, client: c, versions: versions, lines: strings.Split(strings.TrimSpace(string(text)), "\n")}
}

// send produces the next n flights, spread over about d, and waits until the broker has them.
func (f *flightFeed) send(n int, d time.Duration) {
	begin := time.Now()
	for i := range n {
		if i%500 == 0 {
			pass(f.t, time.Until(begin.Add(d*time.Duration(i)/time.Duration(n))))
		}
		id, version := f.at(f.next)
		f.client.Produce(context.Background(), &kgo.Record{
			Partition: int32(id % flightPartitions), Key: fmt.Append(nil, id),
			Value: fmt.Appendf(nil, `{"id":%d,"version":%d,%s`, id, version, f.lines[f.next%len(f.lines)][1:]),
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				f.t.Errorf("producing the flights: %v", err)
			}
		})
		f.next++
	}
	if err := f.client.Flush(context.Background()); err != nil {
		f.t.Error(err)
	}
}

// sqlServer opens the real PostgreSQL, in a schema of its own.
func sqlServer(t *testing.T) (db *sql.DB, dsn string) {
	t.Helper()
	dsn = os.Getenv("PENSTOCK_TEST_POSTGRES")
	if dsn == "" {
		t.Fatal("PENSTOCK_TEST_POSTGRES is not set: run make test-real")
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	execSQL(t, db, "DROP SCHEMA IF EXISTS kills CASCADE", "CREATE SCHEMA kills")
	return db, dsn
}

func execSQL(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func numberOf(t *testing.T, db *sql.DB, query string) (n int64) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func flightPipeline(addrs []string, topic, group, dsn, stop, beside string) string {
	return fmt.Sprintf(`pipeline: flights
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, instance: one, stop: %s}
sinks:
  - sql:
      driver: postgres
      dsn: %s
      table: kills.flights
      columns:
        id: id
        version: version
        origin: origin
        destination: destination
        delay: delay
        late: delay >= 15
        flown: date
        seen: meta.time
      mode: upsert
      key: [id]
%slog: {format: json, stats_every: 5s}
`, strings.Join(addrs, ", "), topic, group, stop, dsn, beside)
}

// TestRowsBesideCopy upserts flights from a real broker into PostgreSQL, and has psql copy the same rows
// into the same table, in turn; each is timed as a process, from its start to its end. It asserts that all are there;
// the rates are for people.
func TestRowsBesideCopy(t *testing.T) {
	if _, err := binary(); err != nil { // not in the time of the first round
		t.Fatal(err)
	}
	db, dsn := sqlServer(t)
	k := cluster(t, kafkatest.RealOptions{Throughput: true})
	a := adminOf(t, k.Addrs())
	topics(t, a, flightPartitions, 1, "flights")
	n := *rowsOfSQL
	newFlightFeed(t, k.Addrs(), "flights", 1).send(n, 0)
	path := filepath.Join(t.TempDir(), "rows")
	psql := func(text string) time.Duration {
		t.Helper()
		begin := time.Now()
		if out, err := exec.Command("psql", "-X", "-q", "-d", dsn, "-c", text).CombinedOutput(); err != nil {
			t.Fatalf("psql: %v\n%s", err, out)
		}
		return time.Since(begin)
	}
	fresh := func() {
		t.Helper()
		execSQL(t, db, "DROP TABLE IF EXISTS kills.flights", "CREATE TABLE kills.flights ("+flightColumns+")")
	}
	store := func(name, mode string) (took, cpu time.Duration) {
		t.Helper()
		text := strings.Replace(flightPipeline(k.Addrs(), "flights", name, dsn, "end", ""), "      mode: upsert\n      key: [id]\n", mode, 1)
		begin := time.Now()
		d := start(t, name, text)
		select {
		case <-d.done:
		case <-time.After(5 * time.Minute):
			t.Fatalf("it does not end; last lines:\n%s", d.tail(10))
		}
		took = time.Since(begin)
		if got := numberOf(t, db, "SELECT count(*) FROM kills.flights"); d.exit != 0 || got != int64(n) {
			t.Fatalf("exit code %d, %d of %d rows", d.exit, got, n)
		}
		return took, d.command.ProcessState.UserTime() + d.command.ProcessState.SystemTime()
	}
	const upsert, insert = "      mode: upsert\n      key: [id]\n", "      mode: insert\n"
	shares := map[string][]float64{}
	for round := range *roundsOfSQL {
		rates := map[string]float64{}
		took := func(what string, d time.Duration) { rates[what] = float64(n) / d.Seconds() }
		fresh()
		made, cpu := store(fmt.Sprintf("round-%d-new", round), upsert)
		took("new rows", made)
		replaced, _ := store(fmt.Sprintf("round-%d-replaced", round), upsert)
		took("replaced rows", replaced)
		if round == 0 {
			psql(`\copy kills.flights TO '` + path + `'`)
		}
		fresh()
		inserted, _ := store(fmt.Sprintf("round-%d-insert", round), insert)
		took("inserted rows", inserted)
		fresh()
		took("psql", psql(`\copy kills.flights FROM '`+path+`'`))
		for what, r := range rates {
			shares[what] = append(shares[what], r/rates["psql"])
		}
		t.Logf("round %d, rows a second: new %.0f, replaced %.0f, inserted %.0f, psql %.0f; CPU of the process of new rows %.2f µs a row", round,
			rates["new rows"], rates["replaced rows"], rates["inserted rows"], rates["psql"], float64(cpu.Microseconds())/float64(n))
	}
	for _, what := range []string{"new rows", "replaced rows", "inserted rows"} {
		l := shares[what]
		slices.Sort(l)
		t.Logf("%d %s: %.2f [%.2f to %.2f] of the rate of psql's \\copy", n, what, l[len(l)/2], l[0], l[len(l)-1])
	}
}

// TestRowsSurviveKills kills the daemon again and again while it upserts several versions of each flight: in the
// end each flight is there once, with its last version and all that belongs to it; one life of the daemon
// never stores an earlier version behind a later one, and none of an earlier life comes behind one of a later.
func TestRowsSurviveKills(t *testing.T) {
	db, dsn := sqlServer(t)
	// The table writes down who has stored what, in order.
	execSQL(t, db, "CREATE TABLE kills.flights ("+flightColumns+")",
		"CREATE SEQUENCE kills.seq CACHE 1", "CREATE UNLOGGED TABLE kills.history (seq bigint, life int, id bigint, version int)",
		`CREATE FUNCTION kills.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO kills.history VALUES (nextval('kills.seq'), substr(current_setting('application_name'), 6)::int, NEW.id, NEW.version); RETURN NULL; END $$`,
		"CREATE TRIGGER note AFTER INSERT OR UPDATE ON kills.flights FOR EACH ROW EXECUTE FUNCTION kills.note()")
	k := cluster(t, kafkatest.RealOptions{Throughput: true})
	a := adminOf(t, k.Addrs())
	topics(t, a, flightPartitions, 1, "flights")
	kills, total := *killsOfSQL, *rowsOfSQL
	keys := total / flightVersions / flightBlock * flightBlock
	total = keys * flightVersions
	f := newFlightFeed(t, k.Addrs(), "flights", flightVersions)
	stored := func() int64 { return numberOf(t, db, "SELECT last_value FROM kills.seq") }
	begin := time.Now()
	killedBusy := 0
	for life := range kills {
		fed := make(chan struct{})
		go func() {
			defer close(fed)
			f.send(total/(kills+1), 1500*time.Millisecond)
		}()
		before := stored()
		d := start(t, fmt.Sprintf("life-%d", life), flightPipeline(k.Addrs(), "flights", "flights", fmt.Sprintf("%s&application_name=life-%d", dsn, life), "never", smallWrites))
		for deadline := time.Now().Add(time.Minute); stored() == before; pass(t, 2*time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("life %d stores nothing; last lines:\n%s", life, d.tail(10))
			}
		}
		pass(t, time.Duration(rand.Int64N(int64(1800*time.Millisecond))))
		select {
		case <-fed:
		default:
			killedBusy++
		}
		d.stop(syscall.SIGKILL, 10*time.Second)
		<-fed
	}
	f.send(total-f.next, 0)
	d := start(t, "last", flightPipeline(k.Addrs(), "flights", "flights", fmt.Sprintf("%s&application_name=life-%d", dsn, kills), "end", smallWrites))
	select {
	case <-d.done:
	case <-time.After(5 * time.Minute):
		t.Fatalf("the last life does not end; last lines:\n%s", d.tail(10))
	}
	if d.exit != 0 {
		t.Errorf("exit code %d of the last life; last lines:\n%s", d.exit, d.tail(10))
	}
	t.Logf("%d flights in %d versions, %d records, killed %d times in %v, %d of them while more was being produced",
		keys, flightVersions, total, kills, time.Since(begin).Round(time.Second), killedBusy)
	checkFlights(t, db, f, keys)
	ordered := "FROM (SELECT id, version, life, lag(version) OVER w AS earlier, lag(life) OVER w AS behind FROM kills.history WINDOW w AS (PARTITION BY id ORDER BY seq)) AS h"
	within := numberOf(t, db, "SELECT count(*) "+ordered+" WHERE life = behind AND version <= earlier")
	late := numberOf(t, db, "SELECT count(*) "+ordered+" WHERE life < behind")
	back := numberOf(t, db, "SELECT count(*) "+ordered+" WHERE version < earlier")
	again := numberOf(t, db, "SELECT count(*) - count(DISTINCT (id, version)) FROM kills.history")
	lives := numberOf(t, db, "SELECT count(DISTINCT life) FROM kills.history")
	t.Logf("%d rows written by %d lives, %d of them again; versions that step back: %d behind a kill, %d within a life; rows of a life behind those of a later one: %d",
		numberOf(t, db, "SELECT count(*) FROM kills.history"), lives, again, back, within, late)
	if within != 0 || late != 0 {
		t.Errorf("%d out of order within a life, %d of an earlier life behind a later", within, late)
	}
	if lives != int64(kills)+1 {
		t.Errorf("%d of %d lives have stored something", lives, kills+1)
	}
}

// smallWrites has the versions of a flight come in writes of their own.
const smallWrites = "    batch: {records: 100}\n"

// checkFlights compares every row with the last version of its flight.
func checkFlights(t *testing.T, db *sql.DB, f *flightFeed, keys int) {
	t.Helper()
	rows, err := db.Query("SELECT id, version, origin, destination, delay, late FROM kills.flights ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	next, wrong := 0, 0
	for rows.Next() {
		var id, version, delay int
		var origin, destination string
		var late bool
		if err := rows.Scan(&id, &version, &origin, &destination, &delay, &late); err != nil {
			t.Fatal(err)
		}
		want := f.last(id)
		is := fmt.Sprintf(`"delay":%d,`, delay)
		if id != next || version != f.versions || late != (delay >= 15) || !strings.Contains(want, is) ||
			!strings.Contains(want, fmt.Sprintf(`"origin":%q,"destination":%q`, origin, destination)) {
			if wrong++; wrong <= 5 {
				t.Errorf("row %d: flight %d, version %d, %s to %s, %d late: want %s", next, id, version, origin, destination, delay, want)
			}
		}
		next++
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows, %d of them wrong, of %d flights", next, wrong, keys)
	if next != keys || wrong > 0 {
		t.Errorf("%d rows for %d flights, %d wrong", next, keys, wrong)
	}
}
