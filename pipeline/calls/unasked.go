package calls

// Unasked marks the error of a call that was not made, because of what is in the record. nil stays
// nil. A circuit that is open would take it for an answer otherwise, and close.
func Unasked(err error) error {
	if err == nil {
		return nil
	}
	return &unasked{err}
}

type unasked struct{ err error }

func (u *unasked) Error() string  { return u.err.Error() }
func (u *unasked) Unwrap() error  { return u.err }
func (u *unasked) NotAsked() bool { return true }
