package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline/tracing"
)

// value is that of a field whose name has the form of http.Header.
func value(h http.Header, name string) string {
	if lines := h[name]; len(lines) > 0 {
		return lines[0]
	}
	return ""
}

// traced gives the header of a request with that of the trace that the call is part of, if its server may be told. What the file
// gives itself stays.
func (h *HTTP) traced(r Request, t tracing.Context) http.Header {
	u, err := url.Parse(r.URL)
	if err != nil || !t.Tells(u, h.options.Egress == nil) { // what is wrong with the address is said elsewhere
		return r.Header
	}
	out := r.Header.Clone()
	if out == nil {
		out = http.Header{}
	}
	for _, add := range t.Call() {
		if name := http.CanonicalHeaderKey(add.Name); len(out[name]) == 0 && len(h.header[headerKey(name)]) == 0 {
			out[name] = []string{string(add.Value)}
		}
	}
	return out
}

// CheckHeader refuses a header that would change the request's structure.
func CheckHeader(name, value string) error {
	if name == "" {
		return errors.New("a header has no name")
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return fmt.Errorf("the header name %s holds a character that HTTP does not allow", strconv.Quote(name))
		}
	}
	switch http.CanonicalHeaderKey(name) {
	case "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Upgrade", "Te", "Accept-Encoding":
		return fmt.Errorf("the header %s is set by the client itself", name)
	}
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("the value of the header %s holds a line break or another control character", name)
		}
	}
	return nil
}
