package event

import "errors"

// TypeOf gives the error_type of an error: what its method ErrorType() string gives, or that
// of an error that it wraps. Without one, whoever emits the event chooses: it knows what kinds
// of errors it meets.
func TypeOf(err error) (errorType string, ok bool) {
	var typed interface{ ErrorType() string }
	if !errors.As(err, &typed) {
		return "", false
	}
	return typed.ErrorType(), true
}
