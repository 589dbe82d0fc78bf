package stages

import "github.com/penstockio/penstock/pipeline/jsontext"

// plain gives a value as text: a string's own characters, the JSON text of anything
// else.
func plain(text []byte) string {
	if text[0] == '"' {
		return jsontext.Unquote(text)
	}
	return string(text)
}
