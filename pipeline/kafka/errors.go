package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

// An Error is an error code of Kafka's protocol. Zero is no error and is never
// returned as one.
type Error int16

// The codes that decisions are made on.
const (
	UnknownServerError         Error = -1
	OffsetOutOfRange           Error = 1
	CorruptMessage             Error = 2
	UnknownTopicOrPartition    Error = 3
	LeaderNotAvailable         Error = 5
	NotLeaderOrFollower        Error = 6
	RequestTimedOut            Error = 7
	ReplicaNotAvailable        Error = 9
	MessageTooLarge            Error = 10
	NetworkException           Error = 13
	CoordinatorLoadInProgress  Error = 14
	CoordinatorNotAvailable    Error = 15
	NotCoordinator             Error = 16
	InvalidTopic               Error = 17
	RecordListTooLarge         Error = 18
	NotEnoughReplicas          Error = 19
	NotEnoughReplicasAfter     Error = 20
	IllegalGeneration          Error = 22
	InconsistentGroupProtocol  Error = 23
	UnknownMemberID            Error = 25
	InvalidSessionTimeout      Error = 26
	RebalanceInProgress        Error = 27
	TopicAuthorizationFailed   Error = 29
	GroupAuthorizationFailed   Error = 30
	ClusterAuthorizationFailed Error = 31
	InvalidTimestamp           Error = 32
	UnsupportedVersion         Error = 35
	TopicAlreadyExists         Error = 36
	NotController              Error = 41
	OutOfOrderSequence         Error = 45
	DuplicateSequence          Error = 46
	InvalidProducerEpoch       Error = 47
	InvalidTxnState            Error = 48
	ConcurrentTransactions     Error = 51
	TransactionalIDDenied      Error = 53
	OperationNotAttempted      Error = 55
	KafkaStorageError          Error = 56
	SASLAuthenticationFailed   Error = 58
	UnknownProducerID          Error = 59
	FencedLeaderEpoch          Error = 74
	UnknownLeaderEpoch         Error = 75
	UnsupportedCompression     Error = 76
	OffsetNotAvailable         Error = 78
	MemberIDRequired           Error = 79
	GroupMaxSizeReached        Error = 81
	FencedInstanceID           Error = 82
	InvalidRecord              Error = 87
	UnstableOffsetCommit       Error = 88
	ThrottlingQuotaExceeded    Error = 89
	ProducerFenced             Error = 90
	UnknownTopicID             Error = 100
	InconsistentTopicID        Error = 103
)

type errorText struct{ name, text string }

var errorTexts = map[Error]errorText{
	UnknownServerError:         {"UNKNOWN_SERVER_ERROR", "the broker met an unexpected error"},
	OffsetOutOfRange:           {"OFFSET_OUT_OF_RANGE", "the offset is not in the partition"},
	CorruptMessage:             {"CORRUPT_MESSAGE", "the batch does not match its checksum"},
	UnknownTopicOrPartition:    {"UNKNOWN_TOPIC_OR_PARTITION", "the broker does not have this topic or partition"},
	LeaderNotAvailable:         {"LEADER_NOT_AVAILABLE", "the partition has no leader at the moment"},
	NotLeaderOrFollower:        {"NOT_LEADER_OR_FOLLOWER", "the broker is not the partition's leader any more"},
	RequestTimedOut:            {"REQUEST_TIMED_OUT", "the broker did not finish the request in time"},
	ReplicaNotAvailable:        {"REPLICA_NOT_AVAILABLE", "the replica is not available"},
	MessageTooLarge:            {"MESSAGE_TOO_LARGE", "the batch is larger than the topic's max.message.bytes"},
	NetworkException:           {"NETWORK_EXCEPTION", "the broker was disconnected from another one"},
	CoordinatorLoadInProgress:  {"COORDINATOR_LOAD_IN_PROGRESS", "the coordinator is loading"},
	CoordinatorNotAvailable:    {"COORDINATOR_NOT_AVAILABLE", "there is no coordinator at the moment"},
	NotCoordinator:             {"NOT_COORDINATOR", "the broker is not the coordinator any more"},
	InvalidTopic:               {"INVALID_TOPIC_EXCEPTION", "this is no valid name of a topic"},
	RecordListTooLarge:         {"RECORD_LIST_TOO_LARGE", "the batch is larger than a segment"},
	NotEnoughReplicas:          {"NOT_ENOUGH_REPLICAS", "fewer replicas are in sync than the topic demands"},
	NotEnoughReplicasAfter:     {"NOT_ENOUGH_REPLICAS_AFTER_APPEND", "written, and then too few replicas were in sync"},
	IllegalGeneration:          {"ILLEGAL_GENERATION", "the generation of the group has passed"},
	InconsistentGroupProtocol:  {"INCONSISTENT_GROUP_PROTOCOL", "the group is used by members with another protocol"},
	24:                         {"INVALID_GROUP_ID", "this is no valid name of a group"},
	UnknownMemberID:            {"UNKNOWN_MEMBER_ID", "the group does not know this member any more"},
	InvalidSessionTimeout:      {"INVALID_SESSION_TIMEOUT", "the session timeout is outside of what the broker allows"},
	RebalanceInProgress:        {"REBALANCE_IN_PROGRESS", "the group is rebalancing"},
	TopicAuthorizationFailed:   {"TOPIC_AUTHORIZATION_FAILED", "the user may not use this topic"},
	GroupAuthorizationFailed:   {"GROUP_AUTHORIZATION_FAILED", "the user may not use this group"},
	ClusterAuthorizationFailed: {"CLUSTER_AUTHORIZATION_FAILED", "the user may not do this on the cluster"},
	InvalidTimestamp:           {"INVALID_TIMESTAMP", "the record's time is out of the range that the topic accepts"},
	33:                         {"UNSUPPORTED_SASL_MECHANISM", "the broker does not offer this SASL mechanism"},
	34:                         {"ILLEGAL_SASL_STATE", "the connection is not ready for this request"},
	UnsupportedVersion:         {"UNSUPPORTED_VERSION", "the broker does not speak this version of the request"},
	TopicAlreadyExists:         {"TOPIC_ALREADY_EXISTS", "the topic exists already"},
	37:                         {"INVALID_PARTITIONS", "this number of partitions is not allowed"},
	38:                         {"INVALID_REPLICATION_FACTOR", "the cluster has too few brokers for this replication factor"},
	40:                         {"INVALID_CONFIG", "a setting of the topic is not valid"},
	NotController:              {"NOT_CONTROLLER", "the broker is not the controller"},
	42:                         {"INVALID_REQUEST", "the broker finds the request malformed"},
	44:                         {"POLICY_VIOLATION", "the broker's policy refuses this"},
	OutOfOrderSequence:         {"OUT_OF_ORDER_SEQUENCE_NUMBER", "a batch of this producer is missing in front of this one"},
	DuplicateSequence:          {"DUPLICATE_SEQUENCE_NUMBER", "the batch has been written before"},
	InvalidProducerEpoch:       {"INVALID_PRODUCER_EPOCH", "another producer has taken over"},
	InvalidTxnState:            {"INVALID_TXN_STATE", "the transaction is in another state"},
	49:                         {"INVALID_PRODUCER_ID_MAPPING", "the producer id does not belong to the transactional id"},
	50:                         {"INVALID_TRANSACTION_TIMEOUT", "the transaction timeout is above the broker's limit"},
	ConcurrentTransactions:     {"CONCURRENT_TRANSACTIONS", "the previous transaction is still being finished"},
	52:                         {"TRANSACTION_COORDINATOR_FENCED", "the transaction coordinator has moved"},
	TransactionalIDDenied:      {"TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "the user may not use this transactional id"},
	54:                         {"SECURITY_DISABLED", "the broker has no authorizer"},
	OperationNotAttempted:      {"OPERATION_NOT_ATTEMPTED", "not tried, because another part of the request was refused"},
	KafkaStorageError:          {"KAFKA_STORAGE_ERROR", "the broker has trouble with its disk"},
	SASLAuthenticationFailed:   {"SASL_AUTHENTICATION_FAILED", "the broker does not accept user name and password"},
	UnknownProducerID:          {"UNKNOWN_PRODUCER_ID", "the broker has forgotten this producer"},
	69:                         {"GROUP_ID_NOT_FOUND", "the group does not exist, or is used by another protocol"},
	FencedLeaderEpoch:          {"FENCED_LEADER_EPOCH", "the partition's leader has changed"},
	UnknownLeaderEpoch:         {"UNKNOWN_LEADER_EPOCH", "the broker does not know of this leader yet"},
	UnsupportedCompression:     {"UNSUPPORTED_COMPRESSION_TYPE", "the broker does not support this compression"},
	77:                         {"STALE_BROKER_EPOCH", "the broker was restarted"},
	OffsetNotAvailable:         {"OFFSET_NOT_AVAILABLE", "a new leader does not know its offsets yet"},
	MemberIDRequired:           {"MEMBER_ID_REQUIRED", "join again with the member id"},
	GroupMaxSizeReached:        {"GROUP_MAX_SIZE_REACHED", "the group has as many members as the broker allows"},
	FencedInstanceID:           {"FENCED_INSTANCE_ID", "another member uses this instance id"},
	InvalidRecord:              {"INVALID_RECORD", "the broker refuses a record of the batch"},
	UnstableOffsetCommit:       {"UNSTABLE_OFFSET_COMMIT", "a transaction is about to move these offsets"},
	ThrottlingQuotaExceeded:    {"THROTTLING_QUOTA_EXCEEDED", "the quota is used up"},
	ProducerFenced:             {"PRODUCER_FENCED", "another producer has taken over"},
	UnknownTopicID:             {"UNKNOWN_TOPIC_ID", "the broker does not know this topic id"},
	InconsistentTopicID:        {"INCONSISTENT_TOPIC_ID", "the topic was created again"},
	110:                        {"FENCED_MEMBER_EPOCH", "the group has moved on without this member"},
	111:                        {"UNRELEASED_INSTANCE_ID", "the instance id is still in use"},
	112:                        {"UNSUPPORTED_ASSIGNOR", "the broker does not have this assignor"},
	113:                        {"STALE_MEMBER_EPOCH", "the member's epoch has passed"},
	120:                        {"TRANSACTION_ABORTABLE", "the transaction must be aborted"},
}

// codeError gives nil for zero.
func codeError(code int16) error {
	if code == 0 {
		return nil
	}
	return Error(code)
}

// Code is the number on the wire.
func (e Error) Code() int16 { return int16(e) }

// Name is the code's name in Kafka's documentation.
func (e Error) Name() string {
	if t, ok := errorTexts[e]; ok {
		return t.name
	}
	return "ERROR_" + strconv.Itoa(int(e))
}

func (e Error) Error() string {
	if t, ok := errorTexts[e]; ok {
		return fmt.Sprintf("%s (%s, code %d)", t.text, t.name, int16(e))
	}
	return fmt.Sprintf("the broker answered error code %d", int16(e))
}

// ErrorType is the short name under which logs count the error.
func (e Error) ErrorType() string { return "kafka_" + strings.ToLower(e.Name()) }

// Temporary says whether the same request may succeed later, perhaps at another
// broker, without anybody changing anything.
func (e Error) Temporary() bool {
	switch e {
	case UnknownTopicOrPartition, LeaderNotAvailable, NotLeaderOrFollower, RequestTimedOut, ReplicaNotAvailable,
		NetworkException, CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator, NotEnoughReplicas,
		NotEnoughReplicasAfter, RebalanceInProgress, NotController, ConcurrentTransactions, KafkaStorageError,
		FencedLeaderEpoch, UnknownLeaderEpoch, OffsetNotAvailable, UnstableOffsetCommit, ThrottlingQuotaExceeded,
		UnknownTopicID, InconsistentTopicID:
		return true
	}
	return false
}

// leaderMoved says whether the leader that we know of is in doubt.
func (e Error) leaderMoved() bool {
	switch e {
	case UnknownTopicOrPartition, LeaderNotAvailable, NotLeaderOrFollower, ReplicaNotAvailable, KafkaStorageError,
		FencedLeaderEpoch, UnknownLeaderEpoch, UnknownTopicID, InconsistentTopicID:
		return true
	}
	return false
}

// coordinatorMoved says whether the coordinator that we know of is in doubt.
func (e Error) coordinatorMoved() bool {
	return e == CoordinatorLoadInProgress || e == CoordinatorNotAvailable || e == NotCoordinator
}

// ErrClosed is returned by every method of a closed Client.
var ErrClosed = errors.New("the Kafka client is closed")

// A BrokerError says that a broker could not be asked: no connection, a broken one,
// refused credentials, no answer in time, or an answer that cannot be read.
type BrokerError struct {
	Address string
	Err     error
}

func (e *BrokerError) Error() string { return "asking broker " + e.Address + ": " + e.Err.Error() }
func (e *BrokerError) Unwrap() error { return e.Err }

// Temporary is false when the broker refused the credentials, or does not take what
// is sent to it.
func (e *BrokerError) Temporary() bool {
	var version *VersionError
	return !isAuth(e.Err) && !errors.As(e.Err, &version)
}

// ErrorType is the short name under which logs count the error.
func (e *BrokerError) ErrorType() string {
	var dns *net.DNSError
	var version *VersionError
	switch {
	case isAuth(e.Err):
		return "authentication"
	case errors.As(e.Err, &version):
		return UnsupportedVersion.ErrorType()
	case isTLS(e.Err):
		return "tls"
	case errors.As(e.Err, &dns):
		return "dns"
	case errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(e.Err, io.EOF), errors.Is(e.Err, io.ErrUnexpectedEOF):
		return "disconnected"
	}
	return "network"
}

// Temporary says whether trying err again may help: network errors and those codes
// of the protocol that pass by themselves.
func Temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}
