// SPDX-License-Identifier: Apache-2.0

// Package page is what a browser shows of a running process: files of HTML, CSS and JavaScript that are part of the
// binary. They hold nothing of the process; what they show they ask of its endpoint, with the token that the
// person who looks has typed.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed files
var files embed.FS

// policy lets the page run and show its own files, ask its own address, and nothing else: what gets into it by way
// of a name or of the log can neither run nor be sent elsewhere. Nothing in it makes markup of a text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Prefix is where the files of the page are, beside the page itself at /.
const Prefix = "/page/"

// types are said here: what a system has for an extension differs.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// A file is one of the page, as it is answered.
type file struct {
	text      []byte
	kind, tag string
}

// Handler answers GET and HEAD for / and for all below Prefix; there is nothing else that it has.
func Handler() http.Handler {
	all := map[string]file{}
	_ = fs.WalkDir(files, "files", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(name) // it is in memory: nothing can fail
		sum := sha256.Sum256(text)
		at := Prefix + strings.TrimPrefix(name, "files/")
		if at == Prefix+"index.html" {
			at = "/"
		}
		all[at] = file{text: text, kind: types[path.Ext(name)], tag: `"` + hex.EncodeToString(sum[:12]) + `"`}
		return err
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		f, known := all[r.URL.Path]
		if !known {
			http.Error(w, "the page has no such file", http.StatusNotFound)
			return
		}
		h.Set("Content-Type", f.kind)
		h.Set("Cache-Control", "no-cache") // which asks each time, and is answered with 304
		h.Set("ETag", f.tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.text))
	})
}
