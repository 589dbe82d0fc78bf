package event

import "errors"

// TypeOf gives the error_type that an error, or one that it wraps, says of itself by a method
// ErrorType() string. What stands for an error that says nothing is for whoever emits the
// event: it knows what kinds of errors it meets.
func TypeOf(err error) (errorType string, ok bool) {
	var typed interface{ ErrorType() string }
	if !errors.As(err, &typed) {
		return "", false
	}
	return typed.ErrorType(), true
}
