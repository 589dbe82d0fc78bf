package stages

// appendField appends a field to an object that has been begun: its name and its value
// as JSON text.
func appendField(object, name, text []byte) []byte {
	if object[len(object)-1] != '{' {
		object = append(object, ',')
	}
	return append(append(append(object, name...), ':'), text...)
}
