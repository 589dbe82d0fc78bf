package kafka

import (
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/protocol"
)

// OldestKafka is the first release of Apache Kafka whose brokers take every request
// of the table below. A broker of another make works when it takes them too.
const OldestKafka = "2.4"

// A need is a request that this package sends, in the versions that it can write and
// read, the best first. A broker gets the first that it takes, so that brokers of
// several releases may stand in one cluster while it is upgraded.
type need struct {
	key      protocol.ApiKey
	versions []int16
	kafka    string // first release of Apache Kafka that takes the last of versions
	optional bool   // not asked for at start-up
}

// needs are all requests. Each last version is the least with which nothing is lost
// that is promised:
//
//   - Metadata 10 tells topic ids; with 7, which tells the epochs of leaders, a topic
//     that was created again is noticed by its offsets alone.
//   - Produce 8 names the records for which a batch is refused; with 7 the batch is
//     halved until they are found. Before 7 there is no zstd.
//   - OffsetFetch 7 waits for transactions that are about to move the group's
//     offsets. Offsets are committed here without transactions, so that 6 loses this
//     for groups alone that another program commits to in a transaction: they may be
//     read before its end, which repeats records and skips none.
//   - Fetch 11, ListOffsets 5 and FindCoordinator 2 refuse what a leader that was
//     replaced would answer.
//   - OffsetForLeaderEpoch 3 is the first that consumers may send. Without it a log that
//     was truncated and has grown past what was read is not noticed; it is optional.
//   - JoinGroup 5, SyncGroup 3, Heartbeat 3, LeaveGroup 3 and OffsetCommit 7 carry the
//     instance id, without which two processes of one id would not fence each other.
var needs = []need{
	{key: protocol.ApiVersions, versions: []int16{0}, kafka: "0.10.0"},
	{key: protocol.Metadata, versions: []int16{10, 7}, kafka: "2.1"},
	{key: protocol.FindCoordinator, versions: []int16{2}, kafka: "2.0"},
	{key: protocol.Fetch, versions: []int16{11}, kafka: "2.3"},
	{key: protocol.ListOffsets, versions: []int16{5}, kafka: "2.2"},
	{key: protocol.Produce, versions: []int16{8, 7}, kafka: "2.1"},
	{key: protocol.InitProducerId, versions: []int16{1}, kafka: "2.0"},
	{key: protocol.JoinGroup, versions: []int16{5}, kafka: "2.3"},
	{key: protocol.SyncGroup, versions: []int16{3}, kafka: "2.3"},
	{key: protocol.Heartbeat, versions: []int16{3}, kafka: "2.3"},
	{key: protocol.LeaveGroup, versions: []int16{3}, kafka: "2.4"},
	{key: protocol.OffsetCommit, versions: []int16{7}, kafka: "2.3"},
	{key: protocol.OffsetFetch, versions: []int16{7, 6}, kafka: "2.4"},
	{key: protocol.OffsetForLeaderEpoch, versions: []int16{3}, kafka: "2.3", optional: true},
	{key: protocol.CreateTopics, versions: []int16{4}, kafka: "2.4", optional: true},
}

// flexible says whether a version has the compact forms (KIP-482), of those that are
// sent.
func flexible(key protocol.ApiKey, version int16) bool {
	switch key {
	case protocol.ApiVersions:
		return version >= 3
	case protocol.Metadata:
		return version >= 9
	case protocol.OffsetFetch:
		return version >= 6
	}
	return false
}

// A VersionError says that a broker takes a request in none of the versions in which
// it is sent. It does not pass by itself.
type VersionError struct {
	Request       string
	Oldest, Best  int16 // that are sent
	Least, Newest int16 // that the broker takes; Newest -1: it does not know the request
}

func (e *VersionError) Error() string {
	want := fmt.Sprintf("version %d", e.Oldest)
	if e.Oldest != e.Best {
		want = fmt.Sprintf("versions %d to %d", e.Oldest, e.Best)
	}
	switch {
	case e.Newest < 0:
		return fmt.Sprintf("the broker does not know request %s, of which %s must be taken: use Apache Kafka %s or later, or a broker that takes it",
			e.Request, want, OldestKafka)
	case e.Least > e.Best:
		return fmt.Sprintf("the broker takes request %s from version %d on, and %s is sent: this program is too old for the broker",
			e.Request, e.Least, want)
	}
	return fmt.Sprintf("the broker takes request %s up to version %d, and %s must be taken: use Apache Kafka %s or later, or a broker that takes it",
		e.Request, e.Newest, want, OldestKafka)
}

// Temporary is false: somebody must change the broker.
func (e *VersionError) Temporary() bool { return false }

// ranges are the versions that a broker takes, least and newest of each request.
type ranges map[protocol.ApiKey][2]int16

// pick gives the version in which a request of the table is sent to the broker.
func (r ranges) pick(n *need) (int16, error) {
	has, ok := r[n.key]
	for _, v := range n.versions {
		if ok && v >= has[0] && v <= has[1] {
			return v, nil
		}
	}
	e := &VersionError{Request: n.key.String(), Oldest: n.versions[len(n.versions)-1], Best: n.versions[0], Newest: -1}
	if ok {
		e.Least, e.Newest = has[0], has[1]
	}
	return 0, e
}

// all checks every request that is needed at start-up.
func (r ranges) all() error {
	for i := range needs {
		if n := &needs[i]; !n.optional {
			if _, err := r.pick(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// negotiate gives x the best version that the broker takes.
func (x *exchange) negotiate(r ranges) (err error) {
	for i := range needs {
		if needs[i].key == x.key {
			x.version, err = r.pick(&needs[i])
			x.flexible = flexible(x.key, x.version)
			return err
		}
	}
	return fmt.Errorf("request %s is not in the table of requests", x.key)
}

// askVersions asks the broker at the other end of a connection what it takes.
func askVersions(rw io.ReadWriter, clientID string) (ranges, error) {
	x := &exchange{key: protocol.ApiVersions, version: 3, flexible: true, clientID: clientID, body: func(w *writer) {
		w.compactString("penstock")
		w.compactString("1")
		w.tags()
	}}
	if err := x.roundTrip(rw); err != nil {
		return nil, err
	}
	r := &reader{b: x.answer}
	code := Error(r.int16())
	if code == UnsupportedVersion { // a broker before 2.4, which tells no more than that
		x = &exchange{key: protocol.ApiVersions, version: 0, clientID: clientID, body: func(*writer) {}}
		if err := x.roundTrip(rw); err != nil {
			return nil, err
		}
		r = &reader{b: x.answer}
		code = Error(r.int16())
	}
	if _, known := errorTexts[code]; code != 0 && !known {
		return nil, foreign(nil)
	}
	if code != 0 {
		return nil, fmt.Errorf("asking for the broker's versions: %w", code)
	}
	n := 0
	if x.flexible {
		n = r.compactArray()
	} else {
		n = r.array()
	}
	out := make(ranges, n)
	for ; n > 0 && r.err == nil; n-- {
		out[protocol.ApiKey(r.int16())] = [2]int16{r.int16(), r.int16()}
		if x.flexible {
			r.tags()
		}
	}
	if r.err != nil {
		return nil, foreign(nil)
	}
	return out, nil
}
