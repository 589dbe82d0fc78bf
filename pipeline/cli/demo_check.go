package cli

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A demoFlight is a decoded record.
type demoFlight map[string]any

// byOrigin are flights in order, by origin.
type byOrigin map[string][]demoFlight

// expectedFlights works out, from the input alone and with none of penstock's code, what the
// pipeline must have made of it.
func expectedFlights(flights, airports string) (all, severe byOrigin, err error) {
	table, err := demoAirports(airports)
	if err != nil {
		return nil, nil, err
	}
	lines, err := readFlights(flights)
	if err != nil {
		return nil, nil, err
	}
	all, severe = byOrigin{}, byOrigin{}
	for _, f := range lines {
		delay := f["delay"].(float64)
		if delay < 15 {
			continue
		}
		origin, destination := f["origin"].(string), f["destination"].(string)
		delete(f, "delay")
		f["late_minutes"] = delay
		f["route"] = origin + "-" + destination
		f["from"], f["to"] = table[origin], table[destination]
		f["weather"] = map[string]any{"station": origin, "sky": skyOf(origin)}
		all[origin] = append(all[origin], f)
		if delay >= 120 {
			severe[origin] = append(severe[origin], f)
		}
	}
	return all, severe, nil
}

func demoAirports(name string) (map[string]any, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	table := map[string]any{}
	for _, row := range rows[1:] {
		m := map[string]any{}
		for i, name := range rows[0] {
			m[name] = row[i]
		}
		table[row[0]] = m
	}
	return table, nil
}

func readFlights(name string) ([]demoFlight, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []demoFlight
	for s := bufio.NewScanner(f); s.Scan(); {
		decoded := demoFlight{}
		if err := json.Unmarshal(s.Bytes(), &decoded); err != nil {
			return nil, fmt.Errorf("reading %s: line %d: %w", name, len(all)+1, err)
		}
		all = append(all, decoded)
	}
	return all, nil
}

// readFlightsOf reads a topic to its end with a client that is not ours.
func readFlightsOf(ctx context.Context, addrs []string, topic string, want int) (byOrigin, int, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, 0, err
	}
	defer client.Close()
	found, n := byOrigin{}, 0
	// After the last record that is expected it waits a moment for more: one too many is wrong too.
	limit := 10 * time.Second
	for {
		ctx, cancel := context.WithTimeout(ctx, limit)
		fetches := client.PollFetches(ctx)
		ended := ctx.Err() != nil
		cancel()
		if ended {
			return found, n, nil
		}
		var bad error
		fetches.EachRecord(func(r *kgo.Record) {
			decoded := demoFlight{}
			if err := json.Unmarshal(r.Value, &decoded); err != nil {
				bad = fmt.Errorf("reading %s/%d@%d: %w", topic, r.Partition, r.Offset, err)
				return
			}
			origin, _ := decoded["origin"].(string)
			if origin != string(r.Key) {
				bad = fmt.Errorf("reading %s/%d@%d: the key is not the origin", topic, r.Partition, r.Offset)
			}
			found[origin] = append(found[origin], decoded)
			n++
		})
		if bad != nil {
			return nil, 0, bad
		}
		if n >= want {
			limit = 300 * time.Millisecond
		}
	}
}

func readFlightFiles(dir string) (byOrigin, int, error) {
	names, err := filepath.Glob(filepath.Join(dir, "severe-*.jsonl"))
	if err != nil {
		return nil, 0, err
	}
	found, n := byOrigin{}, 0
	for _, name := range names {
		flights, err := readFlights(name)
		if err != nil {
			return nil, 0, err
		}
		for _, f := range flights {
			origin, _ := f["origin"].(string)
			found[origin] = append(found[origin], f)
			n++
		}
	}
	return found, n, nil
}

// differ says where b is not what was expected, in content, number and order per
// origin; "" when it is.
func (b byOrigin) differ(want byOrigin) string {
	for origin, flights := range want {
		got := b[origin]
		for i, f := range flights {
			if i >= len(got) {
				return fmt.Sprintf("%s: %d flights, want %d", origin, len(got), len(flights))
			}
			if !reflect.DeepEqual(map[string]any(got[i]), map[string]any(f)) {
				return fmt.Sprintf("%s, flight %d: got %v, want %v", origin, i+1, got[i], f)
			}
		}
		if len(got) > len(flights) {
			return fmt.Sprintf("%s: %d flights, want %d", origin, len(got), len(flights))
		}
	}
	for origin := range maps.Keys(b) {
		if want[origin] == nil {
			return fmt.Sprintf("%s: flights that should not be there", origin)
		}
	}
	return ""
}

func (b byOrigin) count() (n int) {
	for _, f := range b {
		n += len(f)
	}
	return n
}
