package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// A foreignError says that what answers is no broker. What it said is not shown, beyond
// the service that it is the sign of: it may be anything.
type foreignError struct{ service string }

func (e *foreignError) Error() string {
	if e.service != "" {
		return fmt.Sprintf("connected, but the answer is %s and not Kafka's: check the address and the port", e.service)
	}
	return "connected, but the answer is not Kafka's: another service, or TLS? check the address, the port and tls"
}

// foreign makes the error of an answer that begins with head.
func foreign(head []byte) error {
	switch {
	case len(head) >= 4 && string(head[:4]) == "HTTP":
		return &foreignError{"HTTP"}
	case len(head) >= 4 && string(head[:4]) == "SSH-":
		return &foreignError{"SSH"}
	}
	return &foreignError{}
}

// A silentError says that a connection came about, and then no answer that it needs to
// be of use. err is why it was not waited for any longer.
type silentError struct {
	tls bool // it was to speak TLS
	err error
}

func (e *silentError) Error() string {
	if e.tls {
		return "connected, but no answer came: is this the port of a broker, and does it speak TLS?"
	}
	return "connected, but no answer came: is this the port of a broker, and does it expect tls?"
}

func (e *silentError) Unwrap() error { return e.err }

// asSilentError makes a silentError of an error that is the end of the time for a connection.
func asSilentError(err error, c *Config) error {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return &silentError{c.encrypted(), err}
}
