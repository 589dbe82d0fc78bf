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
	GroupIDNotFound            Error = 69
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
	4:                          {"INVALID_FETCH_SIZE", "this size of a fetch is not allowed"},
	LeaderNotAvailable:         {"LEADER_NOT_AVAILABLE", "the partition has no leader at the moment"},
	NotLeaderOrFollower:        {"NOT_LEADER_OR_FOLLOWER", "the broker is not the partition's leader any more"},
	RequestTimedOut:            {"REQUEST_TIMED_OUT", "the broker did not finish the request in time"},
	8:                          {"BROKER_NOT_AVAILABLE", "the broker is not available"},
	ReplicaNotAvailable:        {"REPLICA_NOT_AVAILABLE", "the replica is not available"},
	MessageTooLarge:            {"MESSAGE_TOO_LARGE", "the batch is larger than the topic's max.message.bytes"},
	11:                         {"STALE_CONTROLLER_EPOCH", "the controller has moved"},
	12:                         {"OFFSET_METADATA_TOO_LARGE", "the text beside the offset is too long"},
	NetworkException:           {"NETWORK_EXCEPTION", "the broker was disconnected from another one"},
	CoordinatorLoadInProgress:  {"COORDINATOR_LOAD_IN_PROGRESS", "the coordinator is loading"},
	CoordinatorNotAvailable:    {"COORDINATOR_NOT_AVAILABLE", "there is no coordinator at the moment"},
	NotCoordinator:             {"NOT_COORDINATOR", "the broker is not the coordinator any more"},
	InvalidTopic:               {"INVALID_TOPIC_EXCEPTION", "this is no valid name of a topic"},
	RecordListTooLarge:         {"RECORD_LIST_TOO_LARGE", "the batch is larger than a segment"},
	NotEnoughReplicas:          {"NOT_ENOUGH_REPLICAS", "fewer replicas are in sync than the topic demands"},
	NotEnoughReplicasAfter:     {"NOT_ENOUGH_REPLICAS_AFTER_APPEND", "written, and then too few replicas were in sync"},
	21:                         {"INVALID_REQUIRED_ACKS", "this number of acknowledgements is not allowed"},
	IllegalGeneration:          {"ILLEGAL_GENERATION", "the generation of the group has passed"},
	InconsistentGroupProtocol:  {"INCONSISTENT_GROUP_PROTOCOL", "the group is used by members with another protocol"},
	24:                         {"INVALID_GROUP_ID", "this is no valid name of a group"},
	UnknownMemberID:            {"UNKNOWN_MEMBER_ID", "the group does not know this member any more"},
	InvalidSessionTimeout:      {"INVALID_SESSION_TIMEOUT", "the session timeout is outside of what the broker allows"},
	RebalanceInProgress:        {"REBALANCE_IN_PROGRESS", "the group is rebalancing"},
	28:                         {"INVALID_COMMIT_OFFSET_SIZE", "the offsets to commit are too many bytes"},
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
	39:                         {"INVALID_REPLICA_ASSIGNMENT", "replicas cannot be placed like this"},
	40:                         {"INVALID_CONFIG", "a setting of the topic is not valid"},
	NotController:              {"NOT_CONTROLLER", "the broker is not the controller"},
	42:                         {"INVALID_REQUEST", "the broker finds the request malformed"},
	43:                         {"UNSUPPORTED_FOR_MESSAGE_FORMAT", "the topic keeps an old format, which cannot do this"},
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
	57:                         {"LOG_DIR_NOT_FOUND", "the broker has no such log directory"},
	SASLAuthenticationFailed:   {"SASL_AUTHENTICATION_FAILED", "the broker does not accept user name and password"},
	UnknownProducerID:          {"UNKNOWN_PRODUCER_ID", "the broker has forgotten this producer"},
	60:                         {"REASSIGNMENT_IN_PROGRESS", "the partition is being moved"},
	61:                         {"DELEGATION_TOKEN_AUTH_DISABLED", "delegation tokens are switched off"},
	62:                         {"DELEGATION_TOKEN_NOT_FOUND", "there is no such delegation token"},
	63:                         {"DELEGATION_TOKEN_OWNER_MISMATCH", "the delegation token is somebody else's"},
	64:                         {"DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", "delegation tokens cannot be asked for on this connection"},
	65:                         {"DELEGATION_TOKEN_AUTHORIZATION_FAILED", "the user may not use delegation tokens"},
	66:                         {"DELEGATION_TOKEN_EXPIRED", "the delegation token has expired"},
	67:                         {"INVALID_PRINCIPAL_TYPE", "this kind of user is not supported"},
	68:                         {"NON_EMPTY_GROUP", "the group has members"},
	GroupIDNotFound:            {"GROUP_ID_NOT_FOUND", "the group does not exist, or is used by another protocol"},
	70:                         {"FETCH_SESSION_ID_NOT_FOUND", "the fetch session is gone"},
	71:                         {"INVALID_FETCH_SESSION_EPOCH", "the fetch session has moved on"},
	72:                         {"LISTENER_NOT_FOUND", "the leader has no listener of this name"},
	73:                         {"TOPIC_DELETION_DISABLED", "deleting topics is switched off"},
	FencedLeaderEpoch:          {"FENCED_LEADER_EPOCH", "the partition's leader has changed"},
	UnknownLeaderEpoch:         {"UNKNOWN_LEADER_EPOCH", "the broker does not know of this leader yet"},
	UnsupportedCompression:     {"UNSUPPORTED_COMPRESSION_TYPE", "the broker does not support this compression"},
	77:                         {"STALE_BROKER_EPOCH", "the broker was restarted"},
	OffsetNotAvailable:         {"OFFSET_NOT_AVAILABLE", "a new leader does not know its offsets yet"},
	MemberIDRequired:           {"MEMBER_ID_REQUIRED", "join again with the member id"},
	80:                         {"PREFERRED_LEADER_NOT_AVAILABLE", "the preferred leader is not available"},
	GroupMaxSizeReached:        {"GROUP_MAX_SIZE_REACHED", "the group has as many members as the broker allows"},
	FencedInstanceID:           {"FENCED_INSTANCE_ID", "another member uses this instance id"},
	83:                         {"ELIGIBLE_LEADERS_NOT_AVAILABLE", "no replica may become leader"},
	84:                         {"ELECTION_NOT_NEEDED", "the leader is the right one already"},
	85:                         {"NO_REASSIGNMENT_IN_PROGRESS", "the partition is not being moved"},
	86:                         {"GROUP_SUBSCRIBED_TO_TOPIC", "the group is reading the topic"},
	InvalidRecord:              {"INVALID_RECORD", "the broker refuses a record of the batch"},
	UnstableOffsetCommit:       {"UNSTABLE_OFFSET_COMMIT", "a transaction is about to move these offsets"},
	ThrottlingQuotaExceeded:    {"THROTTLING_QUOTA_EXCEEDED", "the quota is used up"},
	ProducerFenced:             {"PRODUCER_FENCED", "another producer has taken over"},
	91:                         {"RESOURCE_NOT_FOUND", "there is no such thing"},
	92:                         {"DUPLICATE_RESOURCE", "the request names something twice"},
	93:                         {"UNACCEPTABLE_CREDENTIAL", "the broker does not take these credentials"},
	94:                         {"INCONSISTENT_VOTER_SET", "the voter is not an expected one"},
	95:                         {"INVALID_UPDATE_VERSION", "this version of a feature is not allowed"},
	96:                         {"FEATURE_UPDATE_FAILED", "features could not be changed"},
	97:                         {"PRINCIPAL_DESERIALIZATION_FAILURE", "the controller cannot read who the user is"},
	98:                         {"SNAPSHOT_NOT_FOUND", "there is no such snapshot"},
	99:                         {"POSITION_OUT_OF_RANGE", "the position is not in the snapshot"},
	UnknownTopicID:             {"UNKNOWN_TOPIC_ID", "the broker does not know this topic id"},
	101:                        {"DUPLICATE_BROKER_REGISTRATION", "the broker id is in use"},
	102:                        {"BROKER_ID_NOT_REGISTERED", "the broker id is not registered"},
	InconsistentTopicID:        {"INCONSISTENT_TOPIC_ID", "the topic was created again"},
	104:                        {"INCONSISTENT_CLUSTER_ID", "the broker belongs to another cluster"},
	105:                        {"TRANSACTIONAL_ID_NOT_FOUND", "there is no such transactional id"},
	106:                        {"FETCH_SESSION_TOPIC_ID_ERROR", "the fetch session mixes topic ids"},
	107:                        {"INELIGIBLE_REPLICA", "a replica may not be in sync"},
	108:                        {"NEW_LEADER_ELECTED", "the leader has changed meanwhile"},
	109:                        {"OFFSET_MOVED_TO_TIERED_STORAGE", "the offset is in remote storage"},
	110:                        {"FENCED_MEMBER_EPOCH", "the group has moved on without this member"},
	111:                        {"UNRELEASED_INSTANCE_ID", "the instance id is still in use"},
	112:                        {"UNSUPPORTED_ASSIGNOR", "the broker does not have this assignor"},
	113:                        {"STALE_MEMBER_EPOCH", "the member's epoch has passed"},
	114:                        {"MISMATCHED_ENDPOINT_TYPE", "the request belongs to another kind of server"},
	115:                        {"UNSUPPORTED_ENDPOINT_TYPE", "this kind of server is not supported"},
	116:                        {"UNKNOWN_CONTROLLER_ID", "there is no such controller"},
	117:                        {"UNKNOWN_SUBSCRIPTION_ID", "the telemetry subscription is out of date"},
	118:                        {"TELEMETRY_TOO_LARGE", "the telemetry is too many bytes"},
	119:                        {"INVALID_REGISTRATION", "the broker's registration is refused"},
	120:                        {"TRANSACTION_ABORTABLE", "the transaction must be aborted"},
	121:                        {"INVALID_RECORD_STATE", "the record cannot be acknowledged any more"},
	122:                        {"SHARE_SESSION_NOT_FOUND", "the share session is gone"},
	123:                        {"INVALID_SHARE_SESSION_EPOCH", "the share session has moved on"},
	124:                        {"FENCED_STATE_EPOCH", "the state has moved on"},
	125:                        {"INVALID_VOTER_KEY", "the voter's key is another one"},
	126:                        {"DUPLICATE_VOTER", "the voter is one already"},
	127:                        {"VOTER_NOT_FOUND", "there is no such voter"},
	128:                        {"INVALID_REGULAR_EXPRESSION", "the regular expression is not valid"},
	129:                        {"REBOOTSTRAP_REQUIRED", "what the client knows of the cluster is too old"},
	130:                        {"STREAMS_INVALID_TOPOLOGY", "the topology is not valid"},
	131:                        {"STREAMS_INVALID_TOPOLOGY_EPOCH", "the topology's epoch is not valid"},
	132:                        {"STREAMS_TOPOLOGY_FENCED", "the topology is out of date"},
	133:                        {"SHARE_SESSION_LIMIT_REACHED", "there are as many share sessions as the broker allows"},
	134:                        {"GROUP_DELETION_FAILED", "a group could not be deleted"},
	135:                        {"STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", "the topology's description could not be stored"},
	136:                        {"CONTROLLER_ID_NOT_REGISTERED", "the controller id is not registered"},
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
// broker, without anybody changing anything: the last column of the table of codes,
// without which kind of request was answered.
func (e Error) Temporary() bool { return e.Ruling(OnMetadata).Passes() }

// leaderMoved says whether the leader that we know of is in doubt.
func (e Error) leaderMoved() bool { return e.Ruling(OnMetadata).Does == Lookup }

// coordinatorMoved says whether the coordinator that we know of is in doubt.
func (e Error) coordinatorMoved() bool { return e.Ruling(OnGroup).Does == Lookup }

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
	var foreign *foreignError
	switch {
	case errors.As(e.Err, &foreign):
		return "not_kafka"
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
