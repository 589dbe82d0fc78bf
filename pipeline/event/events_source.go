package event

// This file has the events of a source: its partitions, brokers, offsets and commits.
// registry.go says what the tags mean.

// SourceAssigned is source.assigned: partitions came with a generation.
type SourceAssigned struct {
	ConsumerGroup string `json:"consumer_group"`
	Generation    int64  `json:"generation"`
	Partitions    int64  `json:"partitions"`
	PartitionList string `json:"partition_list" max:"8192"`
	MemberID      string `json:"member_id"`
}

// SourceRevoked is source.revoked: partitions went.
type SourceRevoked struct {
	ConsumerGroup    string `json:"consumer_group"`
	Generation       int64  `json:"generation"`
	Partitions       int64  `json:"partitions"`
	PartitionList    string `json:"partition_list" max:"8192"`
	Reason           string `json:"reason"`
	InflightAtRevoke int64  `json:"inflight_at_revoke"`
	Drained          int64  `json:"drained"`
	Returned         int64  `json:"returned"`
	Abandoned        int64  `json:"abandoned"`
}

// SourceConnected is source.connected: the broker answers again.
type SourceConnected struct {
	Broker string `json:"broker" required:"true"`
	DownMs int64  `json:"down_ms"`
}

// SourceDisconnected is source.disconnected: the broker does not answer.
type SourceDisconnected struct {
	Broker       string `json:"broker" required:"true"`
	ErrorType    string `json:"error_type" required:"true"`
	ErrorMessage string `json:"error_message" max:"512"`
}

// SourceListening is source.listening: a source that is called listens.
type SourceListening struct {
	ListensAt   string `json:"listens_at" required:"true"`
	RequestPath string `json:"request_path"`
}

// SourceGap is source.gap: offsets that were committed or expected do not exist, or bytes of a file.
type SourceGap struct {
	Topic      string `json:"topic" required:"true"`
	Partition  int64  `json:"partition"`
	OffsetFrom int64  `json:"offset_from"`
	OffsetTo   int64  `json:"offset_to"`
	Reason     string `json:"reason" required:"true"`
	Policy     string `json:"policy"`
}

// SourceCorrupt is source.corrupt: a batch, or lines of a file, that cannot be read.
type SourceCorrupt struct {
	Topic      string `json:"topic" required:"true"`
	Partition  int64  `json:"partition"`
	OffsetFrom int64  `json:"offset_from"`
	OffsetTo   int64  `json:"offset_to"`
	Reason     string `json:"reason" required:"true"`
	Policy     string `json:"policy"`
}

// CommitFailed is commit.failed: marks could not be committed, or not within 10 s; they
// are tried again.
type CommitFailed struct {
	Topic        string `json:"topic"`
	Partition    int64  `json:"partition" with:"topic"`
	Offset       int64  `json:"offset" with:"topic"`
	Generation   int64  `json:"generation"`
	ErrorType    string `json:"error_type" required:"true"`
	ErrorMessage string `json:"error_message" max:"512"`
	Attempt      int64  `json:"attempt"`
}

// TransactionAborted is transaction.aborted: a transaction was given up.
type TransactionAborted struct {
	Topic        string `json:"topic"`
	Partition    int64  `json:"partition" with:"topic"`
	Offset       int64  `json:"offset" with:"topic"`
	Generation   int64  `json:"generation"`
	ErrorType    string `json:"error_type" required:"true"`
	ErrorMessage string `json:"error_message" max:"512"`
	Attempt      int64  `json:"attempt"`
}
