package kafka

import (
	"context"
	"fmt"

	"github.com/segmentio/kafka-go/protocol"
)

type coordinatorKey struct {
	kind int8
	name string
}

const (
	groupCoordinator       int8 = 0
	transactionCoordinator int8 = 1
)

// Coordinator gives the broker that coordinates a group. Call DropCoordinator on
// codes 14, 15 and 16 and when that broker cannot be reached.
func (c *Client) Coordinator(ctx context.Context, group string) (int32, error) {
	return c.coordinator(ctx, coordinatorKey{groupCoordinator, group})
}

// DropCoordinator makes the next Coordinator of the group ask the cluster.
func (c *Client) DropCoordinator(group string) {
	c.dropCoordinator(coordinatorKey{groupCoordinator, group})
}

// TransactionCoordinator is Coordinator for a transactional id.
func (c *Client) TransactionCoordinator(ctx context.Context, id string) (int32, error) {
	return c.coordinator(ctx, coordinatorKey{transactionCoordinator, id})
}

// DropTransactionCoordinator is DropCoordinator for a transactional id.
func (c *Client) DropTransactionCoordinator(id string) {
	c.dropCoordinator(coordinatorKey{transactionCoordinator, id})
}

func (c *Client) dropCoordinator(k coordinatorKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.coords, k)
}

func (c *Client) coordinator(ctx context.Context, k coordinatorKey) (int32, error) {
	c.mu.Lock()
	id, ok := c.coords[k]
	c.mu.Unlock()
	if ok {
		return id, nil
	}
	x := &exchange{
		key: protocol.FindCoordinator, broker: -1, clientID: c.config.ClientID,
		body: func(w *writer) {
			w.string(k.name)
			w.int8(k.kind)
		},
	}
	what := "group"
	if k.kind == transactionCoordinator {
		what = "transactional id"
	}
	if err := c.do(ctx, x); err != nil {
		return -1, fmt.Errorf("finding the coordinator of %s %s: %w", what, k.name, err)
	}
	r := &reader{b: x.answer}
	r.int32() // throttle
	code := codeError(r.int16())
	r.string() // message
	id, host, port := r.int32(), r.string(), r.int32()
	if code == nil {
		code = r.err
	}
	if code != nil {
		return -1, fmt.Errorf("finding the coordinator of %s %s: %w", what, k.name, code)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setNode(id, host, port)
	c.coords[k] = id
	return id, nil
}
