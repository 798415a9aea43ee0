package kafka

import (
	"errors"
	"fmt"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/rowmesh/rowmesh/services/errs"
)

// RecordError says that one record is larger than what may be sent.
type RecordError struct {
	// Index is its place in the batch.
	Index int
	// Size is the bytes of its key and value, Max what is allowed.
	Size, Max int
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("record of %d bytes is larger than max.request.size (%d)", e.Size, e.Max)
}

// FromKafka gives an error of confluent-kafka-go its kind and next step, for callers that use the library beside a Producer.
func FromKafka(what string, err error) error { return classify(what, err) }

// classify turns an error of confluent-kafka-go into one of services/errs. The kind decides what a lane does: Stale gives up, Unavailable and NotFound are
// tried again, the others stop it.
func classify(what string, err error) error {
	kind, next := kindOf(codeOf(err))
	if next != "" {
		next = "; " + next
	}
	return errs.E(kind, "%s: %w%s", what, err, next)
}

// codeOf returns the Kafka error code of err.
func codeOf(err error) kafka.ErrorCode {
	var e kafka.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return kafka.ErrFail
}

func kindOf(code kafka.ErrorCode) (errs.Kind, string) {
	switch code {
	case kafka.ErrFenced, kafka.ErrProducerFenced, kafka.ErrInvalidProducerEpoch, kafka.ErrInvalidProducerIDMapping:
		// Another producer with our transactional id came after us.
		return errs.Stale, "another worker has taken this task over"
	case kafka.ErrTransactionalIDAuthorizationFailed:
		return errs.Denied, "grant Write and Describe on the transactional id (kafka-acls --add --producer --transactional-id …)"
	case kafka.ErrTopicAuthorizationFailed:
		return errs.Denied, "grant Write, Describe and Create on the topic to the connector's Kafka user"
	case kafka.ErrGroupAuthorizationFailed:
		return errs.Denied, "grant Read on the group to the connector's Kafka user"
	case kafka.ErrClusterAuthorizationFailed:
		return errs.Denied, "grant IdempotentWrite (and Create, for topics) on the cluster to the connector's Kafka user"
	case kafka.ErrSaslAuthenticationFailed, kafka.ErrAuthentication:
		return errs.Denied, "correct sasl.username, sasl.password or sasl.mechanism"
	case kafka.ErrMsgSizeTooLarge, kafka.ErrRecordListTooLarge:
		return errs.Invalid, "raise the topic's max.message.bytes (and max.request.size), or leave the large column out"
	case kafka.ErrUnsupportedVersion, kafka.ErrUnsupportedFeature, kafka.ErrUnsupportedForMessageFormat:
		return errs.Unsupported, "the broker is too old for this: transactions need Kafka 0.11, topics with the broker's defaults 2.4"
	case kafka.ErrTopicException, kafka.ErrInvalidConfig, kafka.ErrInvalidPartitions, kafka.ErrInvalidReplicationFactor, kafka.ErrInvalidRequiredAcks,
		kafka.ErrPolicyViolation, kafka.ErrInvalidReplicaAssignment:
		return errs.Invalid, "correct topic.creation.* or create the topic yourself"
	case kafka.ErrInvalidTransactionTimeout:
		return errs.Invalid, "the broker's transaction.max.timeout.ms is lower than the producer's transaction.timeout.ms"
	case kafka.ErrUnknownTopicOrPart, kafka.ErrUnknownTopic, kafka.ErrUnknownPartition:
		// Deleted, or its partitions changed, under us: it is looked up, and made, again.
		return errs.NotFound, ""
	case kafka.ErrInvalidRecord, kafka.ErrInvalidMsg, kafka.ErrInvalidTimestamp:
		// InvalidRecord: the topic's own rules refuse it, for example a null key in a compacted topic.
		return errs.Invalid, "the topic refuses this record; a compacted topic needs records with a key"
	}
	// What is left is connections, elections, time and states that a new producer does not have.
	return errs.Unavailable, ""
}
