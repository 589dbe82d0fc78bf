package client

import "testing"

// An address in a message is what the file says, and shows nothing that a variable holds.
func TestAddressForMessages(t *testing.T) {
	for _, tt := range []struct{ text, written, want string }{
		{"http://h:1/a/{b}?k=1", "http://h:1/a/{b}?k=1", "http://h:1/a/{b}"},
		{"http://h:1", "http://h:1", "http://h:1"},
		{"http://h:1/s3cr/{b}", "http://h:1/${TOKEN}/{b}", "http://h:1/${TOKEN}/{b}"},
		{"http://h:1/a", "http://${HOST}/a", "http://h:1/a"},
		{"http://h:1/a/{b}?k=1", "${BASE}/a/{b}?k=1", "http://h:1/a/{b}"},
		{"http://h:1/v2/a", "${BASE}/a", "http://h:1 (${BASE}/a)"},
		{"http://h:1/s3cr", "${URL}", "http://h:1 (${URL})"},
		{"http://h:1/{a ? 1 : 2}/b#c", "http://h:1/{a ? 1 : 2}/b#c", "http://h:1/{a ? 1 : 2}/b"},
	} {
		host, err := StaticHost(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Address(host, tt.text, tt.written); got != tt.want {
			t.Errorf("%s, written %s: %s, want %s", tt.text, tt.written, got, tt.want)
		}
	}
}
