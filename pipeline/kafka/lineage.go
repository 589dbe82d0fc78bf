package kafka

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// A Lineage says of which log an offset is. It is stored beside a group's offset, which by itself
// only has the name of the topic.
type Lineage struct {
	Topic TopicID // zero: not known
	Epoch int32   // of the leader that appended the batch in front of the offset; -1: not known
}

// A storedLineage is what stands beside a group's offset.
type storedLineage struct {
	offset int64
	text   string // as it stands there, whoever wrote it
	Lineage
}

// What the fields of the text beside an offset begin with; spaces separate them. Kafka's own field
// for the epoch stays -1: some clients write 0 there whatever the epoch is, so that it cannot be
// believed, and others go back in the log when it is not exact.
const (
	topicMark = "topic_id="
	epochMark = "leader_epoch="
)

// String gives the id as Kafka's tools write it.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// text is what is stored beside an offset.
func (o Lineage) text() string {
	var fields []string
	if o.Topic != (TopicID{}) {
		fields = append(fields, topicMark+o.Topic.String())
	}
	if o.Epoch >= 0 {
		fields = append(fields, epochMark+strconv.Itoa(int(o.Epoch)))
	}
	return strings.Join(fields, " ")
}

// parseLineage reads what stands beside an offset. Text with anything in it that is not
// ours is somebody else's, and says nothing.
func parseLineage(text string) Lineage {
	o := Lineage{Epoch: -1}
	if text == "" {
		return o
	}
	for field := range strings.SplitSeq(text, " ") {
		if digits, ok := strings.CutPrefix(field, epochMark); ok {
			n, err := strconv.ParseInt(digits, 10, 32)
			if err != nil || n < 0 {
				return Lineage{Epoch: -1}
			}
			o.Epoch = int32(n)
			continue
		}
		name, ok := strings.CutPrefix(field, topicMark)
		id, err := base64.RawURLEncoding.DecodeString(name)
		if !ok || err != nil || len(id) != len(o.Topic) || TopicID(id).String() != name {
			return Lineage{Epoch: -1}
		}
		o.Topic = TopicID(id)
	}
	return o
}

// lineageText is what is stored beside an offset that is signed in a term.
func (m *member) lineageText(tp TopicPartition, offset int64, term int) string {
	if m.config.Lineage == nil {
		return ""
	}
	return m.config.Lineage(tp, offset, term).text()
}

// noteLineage reads what stands beside an offset.
func (m *member) noteLineage(tp TopicPartition, offset int64, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stored[tp] = storedLineage{offset, text, parseLineage(text)}
}

func (m *member) StoredLineage(tp TopicPartition, offset int64) Lineage {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.stored[tp]; ok && s.offset == offset {
		return s.Lineage
	}
	return Lineage{Epoch: -1}
}
