package websocketsink

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"golang.org/x/net/html"

	"github.com/penstockio/penstock/pipeline"
)

const maxPage = 4 << 20

// A page is one file of HTML with everything in it.
//
// Its policy lets it run and show what stands in it and nothing else, and call this server and the sites that the settings name: what
// gets into it by way of a record cannot run, and cannot be sent elsewhere.
type page struct {
	text   []byte
	policy string // without the addresses of this server
	calls  []string
}

// readPage reads it. An error is an EnvironmentError.
func readPage(file string, calls []string) (*page, error) {
	fail := func(err error) error {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("reading the page %s: %w", file, err)}
	}
	if st, err := os.Stat(file); err == nil && !st.Mode().IsRegular() { // a pipe would be waited for
		return nil, fail(errors.New("it is no plain file"))
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fail(withoutPath(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPage+1))
	switch {
	case err != nil:
		return nil, fail(withoutPath(err))
	case len(text) > maxPage:
		return nil, fail(errors.New("it has more than 4 MiB"))
	}
	scripts, styles := inline(text)
	policy := "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; img-src 'self' data:; script-src " +
		sources(scripts) + "; style-src " + sources(styles)
	return &page{text: text, policy: policy, calls: calls}, nil
}

// withoutPath gives an error of a file without its path, which stands before it.
func withoutPath(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// sources gives the hashes of texts as a policy has them.
func sources(texts [][]byte) string {
	if len(texts) == 0 {
		return "'none'"
	}
	var all []string
	for _, text := range texts {
		sum := sha256.Sum256(text)
		all = append(all, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	return strings.Join(all, " ")
}

// inline gives the texts of the scripts and of the styles that stand in a page, as a browser hashes them: its lines end with \n.
func inline(text []byte) (scripts, styles [][]byte) {
	text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
	z := html.NewTokenizer(bytes.NewReader(text))
	for within := ""; ; {
		switch z.Next() {
		case html.ErrorToken:
			return scripts, styles
		case html.StartTagToken:
			name, _ := z.TagName()
			within = string(name)
		case html.TextToken:
			switch within {
			case "script":
				scripts = append(scripts, bytes.Clone(z.Raw()))
			case "style":
				styles = append(styles, bytes.Clone(z.Raw()))
			}
			within = ""
		default:
			within = ""
		}
	}
}

// serve answers a request for the page, which is addressed to this server.
func (p *page) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "the page is read with GET")
		return
	}
	// Not every browser takes 'self' for the WebSocket of the page's own address.
	connect := append([]string{"'self'", "ws://" + r.Host, "wss://" + r.Host}, p.calls...)
	if r.Host == "" || strings.ContainsAny(r.Host, " ;,'\"") {
		connect = append([]string{"'self'"}, p.calls...)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy+"; connect-src "+strings.Join(connect, " "))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(p.text)
}
