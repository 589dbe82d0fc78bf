package settings

// A Field is one entry of Fields.
type Field[T any] struct {
	Name  FieldPath
	Value T
}

// Fields is a mapping in a pipeline file that keeps the order in which it was
// written: the fields that a stage sets, those that it renames. Its keys are paths. Package
// config sees to it that each stands in it once, however it is written.
type Fields[T any] []Field[T]

// Add appends an entry with the zero value and gives a pointer to that value, a *T,
// which is valid until the next Add. The configuration fills it in.
func (f *Fields[T]) Add(name string) any {
	*f = append(*f, Field[T]{Name: FieldPath(name)})
	return &(*f)[len(*f)-1].Value
}

// A HeaderField is one entry of HeaderFields.
type HeaderField[T any] struct {
	Name  HeaderName
	Value T
}

// HeaderFields is Fields whose keys are names of headers.
type HeaderFields[T any] []HeaderField[T]

// Add is that of Fields.
func (f *HeaderFields[T]) Add(name string) any {
	*f = append(*f, HeaderField[T]{Name: HeaderName(name)})
	return &(*f)[len(*f)-1].Value
}
