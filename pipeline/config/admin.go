package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/penstockio/penstock/pipeline/internal/listen"
	"github.com/penstockio/penstock/pipeline/redact"
	"github.com/penstockio/penstock/pipeline/secretfiles"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Admin is the endpoint of a process.
type Admin struct {
	Listen    string          `yaml:"listen" required:"true" doc:"host:port, as 127.0.0.1:9600, or unix:/path, relative to the file; what other machines reach needs tls and a token"`
	TLS       *AdminTLS       `yaml:"tls" doc:"the certificate that the endpoint shows; requests have to come over TLS 1.2 or later then"`
	Token     settings.Secret `yaml:"token" doc:"has to come with every request but those for /livez and /readyz, as Authorization: Bearer; 16 characters at least when other machines reach the endpoint"`
	TokenFile settings.Path   `yaml:"token_file" doc:"file that holds the token; read again when it changes"`
	Hosts     []string        `yaml:"hosts" commas:"true" doc:"names that requests may be addressed to, beside localhost, the host of listen and plain addresses: one, or several"`
	Page      bool            `yaml:"page" doc:"answer / with a page for browsers that shows the pipelines live"`
	Pprof     bool            `yaml:"pprof" doc:"answer /debug/pprof/ too: profiles of the process, which cost it time while they are taken"`
	Tap       *AdminTap       `yaml:"tap" doc:"what penstock tap and /api/v1/tap may show of the records that pass a step while the process runs; without it nobody can look at any; the endpoint has to be a unix socket, or to have a token"`

	Commands         bool            `yaml:"commands" doc:"take commands too: pause, resume, drain, reload and others; they need a token, or a unix socket"`
	CommandToken     settings.Secret `yaml:"command_token" doc:"has to come with commands, in place of token, so that who may look may not steer; is taken for everything else too"`
	CommandTokenFile settings.Path   `yaml:"command_token_file" doc:"file that holds the token of commands; read again when it changes"`
}

// SetDefaults implements the defaults of settings that stand within others.
func (a *Admin) SetDefaults() { a.Page = true }

// AdminTap says what may be seen of records at the endpoint.
type AdminTap struct {
	Values bool             `yaml:"values" required:"true" doc:"show keys, headers and values; with false a record is where it stands, its time, how large it is and what becomes of it"`
	Redact *redact.Settings `yaml:"redact" doc:"what is taken out of each record before it is shown, also where a step has put it under another name; what the pipeline's dead_letter.redact names is taken out in any case"`
	Rate   settings.Rate    `yaml:"rate" doc:"most records a second that one tap shows; a tap may ask for fewer"`
}

// SetDefaults implements the defaults of settings that stand within others.
func (t *AdminTap) SetDefaults() { t.Rate = settings.Rate{N: 100, Per: time.Second} }

// AdminTLS is the certificate of the endpoint.
type AdminTLS struct {
	Cert settings.Path `yaml:"cert" required:"true" doc:"PEM file of the certificate, with those between it and the authority; read again when it changes"`
	Key  settings.Path `yaml:"key" required:"true" doc:"PEM file of its key; read again when it changes"`
}

// isEndpoint says whether a text is an address that somebody means to listen at, and nothing else: a socket, or the number of a machine
// with a port.
func isEndpoint(text string) bool {
	at, err := listen.Parse(text)
	_, noIP := netip.ParseAddr(at.Host)
	return err == nil && (at.Local() || at.Host == "" || noIP == nil)
}

// admin checks the endpoint. What other machines can reach has to have TLS and a token.
func (d *decoder) admin(p *Pipeline) {
	if p.Admin == nil {
		return
	}
	d.adminHosts(p.Admin)
	n := d.places["admin.listen"]
	at, err := listen.Parse(p.Admin.Listen)
	d.adminToken(p.Admin, err == nil && !at.Local())
	d.adminTap(p.Admin, err == nil && at.Socket != "")
	d.adminCommands(p.Admin, at, err == nil)
	if n == nil || n.kind != scalarNode || n.null {
		return
	}
	if tls := d.places["admin.tls"]; tls != nil && strings.HasPrefix(p.Admin.Listen, "unix:") {
		d.errorAt(tls, "admin.tls stands beside a unix socket", "remove tls: only the user of the process, and root, can connect to the socket")
	}
	if wrong := (*listen.Error)(nil); errors.As(err, &wrong) {
		text := n.conceal("admin.listen " + wrong.Text)
		if wrong.Form {
			text += ", not " + n.shown()
		}
		d.errorAt(n, text, n.conceal(wrong.Suggestion))
		return
	}
	if len(at.Socket) > maxSocket {
		d.errorAt(n, fmt.Sprintf("admin.listen names a socket whose path has %d bytes, more than the system takes", len(at.Socket)),
			"choose a path of at most 100 bytes; one that is relative begins at the folder of the file")
	}
	if at.Local() {
		return
	}
	missing := ""
	tls := p.Admin.TLS != nil || d.given("admin.tls") // what is wrong there has been said
	token := p.Admin.Token != "" || p.Admin.TokenFile != "" || d.given("admin.token") || d.given("admin.token_file")
	switch {
	case !tls && !token:
		missing = "no TLS and no token"
	case !tls:
		missing = "no TLS"
	case !token:
		missing = "no token"
	}
	if missing != "" && !d.damaged {
		d.errorAt(n, "admin.listen is reachable from other machines, and the endpoint has "+missing,
			"write 127.0.0.1:"+at.Port+", or unix:/path; or give it tls: {cert: …, key: …} and token_file: …")
	}
}

// adminTap checks that not every user of the machine sees records: on a loopback address without a token he could.
func (d *decoder) adminTap(a *Admin, socket bool) {
	n := d.keys["admin.tap"]
	if n == nil || a.Tap == nil || socket || d.damaged || d.places["admin.listen"] == nil {
		return
	}
	if a.Token == "" && a.TokenFile == "" && !d.given("admin.token") && !d.given("admin.token_file") {
		d.errorAt(n, "admin.tap shows records, and every user of the machine can ask the endpoint: it has no token",
			"write token_file: … beside it, or listen: unix:/path, to which only the user of the process can connect")
	}
}

// maxSocket is how many bytes the system takes of the path of a socket: 107 on Linux, 103 on macOS.
const maxSocket = len(syscall.RawSockaddrUnix{}.Path) - 1

// adminSocket makes the path of the socket absolute: it is relative to its file. This comes before several files are compared. An
// abstract socket has no path, and is refused for that.
func (d *decoder) adminSocket(a *Admin) {
	n := d.places["admin.listen"]
	if a == nil || n == nil {
		return
	}
	if at, err := listen.Parse(a.Listen); err == nil && at.Socket != "" && !filepath.IsAbs(at.Socket) {
		a.Listen = "unix:" + filepath.Join(n.folder(d.dir), at.Socket)
	}
}

// adminToken checks the token. shared says that other machines can reach the endpoint.
func (d *decoder) adminToken(a *Admin, shared bool) {
	if n := d.places["admin.token_file"]; n != nil && a.TokenFile != "" && a.Token != "" {
		d.errorAt(n, "admin has token and token_file", "give one of them")
	}
	d.checkToken("admin.token", a.Token, shared)
}

// checkToken checks a token that stands in the file.
func (d *decoder) checkToken(path string, token settings.Secret, shared bool) {
	n := d.places[path]
	if n == nil || n.kind != scalarNode || n.null {
		return
	}
	check := secretfiles.CheckToken
	if shared {
		check = secretfiles.CheckLongToken
	}
	if err := check(token.Reveal()); err != nil {
		d.errorAt(n, path+" is none: "+err.Error(), "")
	}
}

// adminCommands checks who may steer the process. On a port of this machine every user of it may ask: so commands need a token, or a
// socket, to which only the user of the process and root connect. known says that at is where the endpoint listens.
func (d *decoder) adminCommands(a *Admin, at listen.Address, known bool) {
	n, file := d.places["admin.commands"], d.places["admin.command_token_file"]
	token := d.places["admin.command_token"]
	if file != nil && token != nil && a.CommandTokenFile != "" && a.CommandToken != "" {
		d.errorAt(file, "admin has command_token and command_token_file", "give one of them")
	}
	d.checkToken("admin.command_token", a.CommandToken, known && !at.Local())
	if !a.Commands {
		for _, n := range []*node{token, file} {
			if n != nil && !d.damaged {
				d.errorAt(n, "it is the token of commands, and admin takes none", "add commands: true")
			}
		}
		return
	}
	if token != nil && a.Token != "" && a.CommandToken == a.Token {
		d.errorAt(token, "admin.command_token is that of admin.token: who may look could steer", "make another: openssl rand -hex 24")
	}
	given := a.Token != "" || a.TokenFile != "" || a.CommandToken != "" || a.CommandTokenFile != "" ||
		d.given("admin.token") || d.given("admin.token_file") || token != nil || file != nil // what is wrong there has been said
	if n != nil && known && at.Local() && at.Socket == "" && !given && !d.damaged {
		d.errorAt(n, "every user of this machine could steer the process: commands need a token, or a unix socket",
			"add token_file: …, or command_token_file: … for commands alone; or let it listen on unix:/run/penstock/admin.sock")
	}
}

func (d *decoder) adminHosts(a *Admin) {
	n := d.places["admin.hosts"]
	if n == nil {
		return
	}
	for _, host := range a.Hosts {
		if !listen.IsName(host) {
			d.errorAt(n, fmt.Sprintf("admin.hosts takes names, not %q", host), "write the name alone, without https:// and without a port")
			return
		}
	}
}
