package kafka

// A Request is a kind of request that an error code answers.
type Request uint8

// The kinds, which are the columns of the table. FindCoordinator counts as the request
// for whose sake the coordinator is looked for, and as one of all others in the check at
// the start. After any code of InitProducerId it is sent again, as long as a batch waits
// for its answer; who gives up waiting is told the last.
const (
	OnProduce  Request = iota // Produce
	OnFetch                   // Fetch
	OnCommit                  // OffsetCommit
	OnOffsets                 // OffsetFetch
	OnGroup                   // JoinGroup, SyncGroup, Heartbeat, LeaveGroup
	OnMetadata                // Metadata, ListOffsets, OffsetForLeaderEpoch and all others
	requests
)

// An Action is what follows on a code.
type Action uint8

const (
	_      Action = iota
	Done          // as good as no error
	Retry         // sent again after a pause
	Lookup        // leader or coordinator are asked for anew, and it is sent again: at once the first time
	NewID         // sent again under another producer id
	Refuse        // the record will never be taken
	Report        // told to the caller, who keeps what it has and tries again
	Rejoin        // the member joins its group again
	Range         // the offsets that there are are asked for, and on_gap decides
	Stop          // the pipeline ends: somebody must change something
)

// A Ruling is what a code means as the answer to one kind of request.
type Ruling struct {
	Does Action
	// Doubt: a batch that this answers may be stored. It stays in doubt until an answer
	// settles it, and nobody else gets its sequence meanwhile.
	Doubt bool
	// Absent: an answer from the leader proves that the batch is not stored, whatever
	// earlier requests with it may have done.
	Absent bool
	// Own: the batch itself may be the cause, so that waiting for a better answer may keep
	// others waiting for ever. It ends the tries for a batch that nobody waits for, after
	// orphanPatience.
	Own    bool
	Reason string // of a RefusedError
	Why    string
}

// Passes says whether the same request may succeed later without anybody changing anything.
func (r Ruling) Passes() bool { return r.Does == Retry || r.Does == Lookup }

// A codeRow is what one code means. A column that is left out follows from the others,
// as Ruling does it.
type codeRow struct{ produce, fetch, commit, offsets, group, metadata Ruling }

func (r codeRow) columns() [requests]Ruling {
	return [requests]Ruling{r.produce, r.fetch, r.commit, r.offsets, r.group, r.metadata}
}

// Ruling gives what e means as the answer to a kind of request. Every code has one,
// also those that no broker of today knows. Temporary and everything that the producer
// does with an answer come from it.
func (e Error) Ruling(on Request) Ruling {
	given := codeRows[e].columns()[on]
	if given.Does != 0 {
		return given
	}
	passes := on != OnMetadata && e.Ruling(OnMetadata).Passes()
	switch on {
	case OnProduce:
		return Ruling{Does: Retry, Doubt: true, Own: true, Why: "no answer to this request that is known of: taken for one that says nothing"}
	case OnFetch:
		if passes {
			return Ruling{Does: Lookup, Why: "passes"}
		}
	case OnCommit:
		if passes {
			return Ruling{Does: Retry, Why: "passes"}
		}
		return Ruling{Does: Report, Why: "reported, and tried again by the engine; the first offsets of a group that starts at latest or a time end the pipeline"}
	case OnOffsets, OnGroup:
		if passes {
			return Ruling{Does: Retry, Why: "passes"}
		}
	}
	return Ruling{Does: Stop, Why: "does not pass by itself"}
}

// Shorthands of the produce column. What a broker says before it appends leaves no doubt whether
// the batch is stored: the checks of ReplicaManager.appendRecords and of
// Partition.appendRecordsToLeader up to UnifiedLog.append. What it says while the batch waits for
// its replicas (DelayedProduce), or when something breaks, does.
func before(does Action, why string) Ruling { return Ruling{Does: does, Why: why} }
func after(does Action, why string) Ruling  { return Ruling{Does: does, Doubt: true, Why: why} }
func refuses(reason, why string) Ruling     { return Ruling{Does: Refuse, Reason: reason, Why: why} }

const (
	whyTransactions = "of transactions, which this producer has none of; the id is of no use any more"
	whyUnheardOf    = "no broker of today says it to this request; once it meant a move of the leader"
)

var (
	moved       = Ruling{Does: Lookup, Why: "the leader is in doubt"}
	noSessions  = Ruling{Does: Retry, Why: "of fetch sessions, which are not used: each request says all"}
	passing     = Ruling{Does: Retry, Why: "passes"}
	coordinator = codeRow{
		commit:   Ruling{Does: Lookup, Why: "the coordinator is in doubt"},
		offsets:  Ruling{Does: Lookup, Why: "the coordinator is in doubt"},
		group:    Ruling{Does: Lookup, Why: "the coordinator is in doubt"},
		metadata: Ruling{Does: Retry, Why: "a coordinator comes up"},
	}
)

var codeRows = map[Error]codeRow{
	0: {
		produce: before(Done, "stored by all replicas in sync"),
		fetch:   Ruling{Does: Done}, commit: Ruling{Does: Done}, offsets: Ruling{Does: Done}, group: Ruling{Does: Done}, metadata: Ruling{Does: Done},
	},
	UnknownServerError: {
		produce: Ruling{Does: Retry, Doubt: true, Own: true, Why: "anything may have failed, also behind the append"},
		fetch:   Ruling{Does: Retry, Why: "anything may have failed, as a remote storage of old segments; reported"},
		group:   Ruling{Does: Retry, Why: "a join stops the pipeline at the fifth in a row: members of another protocol make brokers say it"},
	},
	OffsetOutOfRange: {fetch: Ruling{Does: Range, Why: "deleted, cut off, or a replica that lags"}},
	CorruptMessage: {
		produce: Ruling{Does: Retry, Own: true, Why: "damaged on its way and not taken"},
		fetch:   Ruling{Does: Stop, Why: "the log is damaged: on_corrupt needs to know where it goes on"},
	},
	UnknownTopicOrPartition: {
		produce: Ruling{Does: Lookup, Doubt: true, Own: true,
			Why: "also while the batch waits for its replicas: the partition moves away from this broker, or its topic is deleted, and the log with it"},
		commit:   Ruling{Does: Report, Why: "the topic is gone"},
		metadata: moved,
	},
	LeaderNotAvailable: {produce: after(Lookup, whyUnheardOf), metadata: moved},
	NotLeaderOrFollower: {
		produce:  after(Lookup, "also when the leader steps down while the batch waits for its replicas, which may have it"),
		metadata: moved,
	},
	RequestTimedOut: {
		produce:  after(Lookup, "appended, and its replicas did not have it in time"),
		metadata: passing,
	},
	brokerNotAvailable:  {metadata: moved},
	ReplicaNotAvailable: {produce: after(Lookup, whyUnheardOf), metadata: moved},
	MessageTooLarge:     {produce: refuses(RefusedTooLarge, "above max.message.bytes")},
	NetworkException: {
		produce:  after(Lookup, "a broker between lost its connection"),
		metadata: passing,
	},
	CoordinatorLoadInProgress: coordinator,
	CoordinatorNotAvailable:   coordinator,
	NotCoordinator:            coordinator,
	InvalidTopic:              {produce: before(Report, "not a topic that may be written to")},
	RecordListTooLarge:        {produce: refuses(RefusedTooLarge, "above segment.bytes")},
	NotEnoughReplicas: {
		produce:  before(Retry, "checked in front of the append"),
		metadata: passing,
	},
	NotEnoughReplicasAfter: {
		produce:  after(Retry, "appended, and then too few replicas were in sync"),
		metadata: passing,
	},
	invalidRequiredAcks: {produce: before(Report, "the request is refused whole")},
	IllegalGeneration: {
		commit: Ruling{Does: Rejoin, Why: "the heartbeat hears the same; refused for good when that loses the partition"},
		group:  Ruling{Does: Rejoin, Why: "everything is lost, the member id is kept"},
	},
	InconsistentGroupProtocol: {group: Ruling{Does: Stop, Why: "members of another protocol are in the group"}},
	UnknownMemberID: {
		commit: Ruling{Does: Rejoin, Why: "the heartbeat hears the same; refused for good when that loses the partition"},
		group:  Ruling{Does: Rejoin, Why: "everything is lost, also the member id"},
	},
	InvalidSessionTimeout: {group: Ruling{Does: Stop, Why: "a setting is out of the broker's limits"}},
	RebalanceInProgress: {
		commit:   Ruling{Does: Retry, Why: "the member goes on with another generation"},
		group:    Ruling{Does: Rejoin, Why: "partitions are kept"},
		metadata: passing,
	},
	TopicAuthorizationFailed:   {produce: before(Report, "checked in front of everything else")},
	ClusterAuthorizationFailed: {produce: before(Report, "old brokers want a right for producer ids; checked in front of everything else")},
	InvalidTimestamp:           {produce: refuses(RefusedTimestamp, "out of the topic's limits")},
	illegalSASLState:           {produce: before(Report, "the request is refused whole")},
	UnsupportedVersion:         {produce: before(Report, "the request is refused whole")},
	NotController:              {metadata: passing},
	invalidRequest:             {produce: before(Report, "the request is refused whole")},
	unsupportedForFormat:       {produce: before(Report, "the topic keeps a format of before Kafka 0.11")},
	// The leader looks for the batch among the producer's last five before it looks at
	// the order (UnifiedLog.analyzeAndValidateProducerState, ProducerAppendInfo), and
	// nothing of ours comes behind a batch in doubt: it would be found. A leader of an
	// earlier epoch proves nothing: its log may lack what its successor has.
	OutOfOrderSequence: {produce: Ruling{Does: NewID, Absent: true, Why: "what came in front is gone from the log (an unclean election); had the leader the batch, it would call it a repeat"}},
	DuplicateSequence:  {produce: before(Done, "appended before")},
	// Only a producer that has our id can have raised the epoch, so the last five are
	// its, and a batch of ours may stand behind them.
	InvalidProducerEpoch:     {produce: before(NewID, "another has the id; says nothing of the batch")},
	InvalidTxnState:          {produce: before(NewID, whyTransactions)},
	invalidProducerIDMapping: {produce: before(NewID, whyTransactions)},
	ConcurrentTransactions:   {metadata: passing},
	TransactionalIDDenied:    {produce: before(Report, "checked in front of everything else")},
	OperationNotAttempted:    {produce: before(Retry, "not tried")},
	KafkaStorageError: {
		produce:  after(Lookup, "the disk failed, perhaps behind the append: replicas may have the batch"),
		metadata: moved,
	},
	// Kafka before 2.5, for a sequence other than 0 of a producer that it knows nothing
	// of: that may have expired with the batch in the log.
	UnknownProducerID: {produce: before(NewID, "the producer is forgotten, by its records' age or with its log; says nothing of the batch")},
	GroupIDNotFound: {
		group: Ruling{Does: Rejoin, Why: "the group is gone, and with it everything, also the member id; a join without an id stops the pipeline: the group is used by another protocol"},
	},
	fetchSessionNotFound:     {fetch: noSessions},
	invalidFetchSessionEpoch: {fetch: noSessions},
	fetchSessionTopicID:      {fetch: noSessions},
	listenerNotFound:         {metadata: Ruling{Does: Lookup, Why: "of a partition whose leader lacks the listener that we came by: while listeners are changed"}},
	FencedLeaderEpoch:        {produce: after(Lookup, whyUnheardOf), metadata: moved},
	UnknownLeaderEpoch:       {produce: after(Lookup, whyUnheardOf), metadata: moved},
	UnsupportedCompression:   {produce: before(Report, "checked in front of the append; the sink ends the pipeline")},
	OffsetNotAvailable:       {metadata: passing},
	MemberIDRequired:         {group: Ruling{Does: Rejoin, Why: "at once, with the id that the answer gives"}},
	FencedInstanceID:         {group: Ruling{Does: Stop, Why: "another member has the instance id"}},
	InvalidRecord:            {produce: refuses(RefusedInvalid, "refused by the broker's check of the records")},
	UnstableOffsetCommit:     {metadata: passing},
	ThrottlingQuotaExceeded:  {metadata: passing},
	ProducerFenced:           {produce: before(NewID, whyTransactions)},
	UnknownTopicID:           {produce: after(Lookup, whyUnheardOf), metadata: moved},
	InconsistentTopicID:      {produce: after(Lookup, whyUnheardOf), metadata: moved},
	transactionAbortable:     {produce: before(NewID, whyTransactions)},
}

// Codes of the table that nothing else names.
const (
	brokerNotAvailable       Error = 8
	invalidRequiredAcks      Error = 21
	illegalSASLState         Error = 34
	invalidRequest           Error = 42
	unsupportedForFormat     Error = 43
	invalidProducerIDMapping Error = 49
	fetchSessionNotFound     Error = 70
	invalidFetchSessionEpoch Error = 71
	listenerNotFound         Error = 72
	fetchSessionTopicID      Error = 106
	transactionAbortable     Error = 120
)
