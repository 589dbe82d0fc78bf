package client

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/settings"
)

// leastSecret is how long a secret is, in bytes, that is worth hiding: what is shorter stands in other
// texts too.
const leastSecret = 4

// Secrets gives what the values of secret headers hide.
func Secrets(headers map[string]settings.Secret) []string {
	var all []string
	for _, v := range headers {
		all = append(all, v.Reveal())
	}
	return all
}

// conceal puts stars in place of what only this side and the server may know, in what the server has
// answered to req: some quote the request.
func (h *HTTP) conceal(req *http.Request, text []byte) []byte {
	secrets := slices.Clone(h.options.Secrets)
	if h.auth != nil {
		secrets = append(secrets, h.auth.secrets()...)
		secrets = append(secrets, req.Header.Get(h.auth.name())) // as it was when it was sent
	}
	if p := h.options.Proxy; p != nil && p.User != nil {
		password, _ := p.User.Password()
		secrets = append(secrets, password, base64.StdEncoding.EncodeToString([]byte(p.User.Username()+":"+password)))
	}
	for _, form := range secretForms(secrets) {
		text = bytes.ReplaceAll(text, []byte(form), []byte("***"))
	}
	if h.options.Conceal != nil {
		return []byte(h.options.Conceal(string(text)))
	}
	return text
}

// secretForms gives secrets as they may stand in a text, the longest first: what stands behind the
// scheme of a log-in alone too, and each as JSON, HTML and addresses write it.
func secretForms(secrets []string) []string {
	var all []string
	add := func(s string) {
		if len(s) < leastSecret {
			return
		}
		all = append(all, s, html.EscapeString(s), url.QueryEscape(s), url.PathEscape(s), strings.ReplaceAll(s, "/", `\/`))
		if quoted, err := json.Marshal(s); err == nil {
			all = append(all, string(quoted[1:len(quoted)-1]))
		}
	}
	for _, s := range secrets {
		add(s)
		if _, value, ok := strings.Cut(s, " "); ok {
			add(value)
		}
		if plain, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "Basic ")); err == nil && strings.HasPrefix(s, "Basic ") {
			_, password, _ := strings.Cut(string(plain), ":")
			add(password)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(all)
}
