package stages

import "encoding/json"

// unquote gives the characters of a JSON string.
func unquote(text []byte) string {
	for _, c := range text {
		if c == '\\' {
			var s string
			_ = json.Unmarshal(text, &s) // it is valid
			return s
		}
	}
	return string(text[1 : len(text)-1])
}

// plain gives a value as text: a string's own characters, the JSON text of anything
// else.
func plain(text []byte) string {
	if text[0] == '"' {
		return unquote(text)
	}
	return string(text)
}
