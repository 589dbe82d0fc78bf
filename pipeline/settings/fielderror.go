package settings

// A FieldError is what the method Validate of a component's settings returns for a
// value that is wrong in itself or beside another: Field is the yaml name ("table.key"
// for one in a nested struct, "keep[1]" for an item, "set.user.id" for the entry of a mapping),
// so that the configuration can point at it. errors.Join reports several.
type FieldError struct {
	Field string
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }
