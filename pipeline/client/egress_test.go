package client

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A loopback is one server at several addresses of this machine, all at one port, that counts by
// address who came.
type loopback struct {
	port string

	mu   sync.Mutex
	came map[string]int // requests, by the address at which they came
}

// listen starts a loopback at 127.0.0.1 to 127.0.0.3, and at ::1 where that is there.
func listen(t *testing.T, handler http.HandlerFunc) *loopback {
	t.Helper()
	l := &loopback{came: map[string]int{}}
	var sockets []net.Listener
	for range 20 { // a port that is free at each address
		for _, s := range sockets {
			s.Close()
		}
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		sockets, l.port = []net.Listener{first}, strconv.Itoa(first.Addr().(*net.TCPAddr).Port)
		for _, host := range []string{"127.0.0.2", "127.0.0.3", "::1"} {
			s, err := net.Listen("tcp", net.JoinHostPort(host, l.port))
			if err == nil {
				sockets = append(sockets, s)
			} else if host != "::1" {
				break
			}
		}
		if len(sockets) >= 3 {
			break
		}
	}
	if len(sockets) < 3 {
		t.Fatal("no port is free at three addresses of loopback")
	}
	for _, s := range sockets {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			at, _, _ := net.SplitHostPort(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
			l.mu.Lock()
			l.came[at]++
			l.mu.Unlock()
			w.Header().Set("Connection", "close") // each call looks its host up
			handler(w, r)
		}))
		server.Config.Protocols = new(http.Protocols)
		server.Config.Protocols.SetHTTP1(true)
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Listener.Close()
		server.Listener = s
		server.Start()
		t.Cleanup(server.Close)
	}
	return l
}

// took gives how many requests came at an address since the last time.
func (l *loopback) took() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	came := l.came
	l.came = map[string]int{}
	return came
}

func addresses(texts ...string) []netip.Addr {
	out := make([]netip.Addr, len(texts))
	for i, s := range texts {
		out[i] = netip.MustParseAddr(s)
	}
	return out
}

// testNames are looked up by the clients of these tests. Those that alternate do so by the call.
var testNames = map[string][]netip.Addr{
	"good.test":     addresses("127.0.0.2"),
	"third.test":    addresses("127.0.0.3"),
	"loop.test":     addresses("127.0.0.1"),
	"six.test":      addresses("::1"),
	"mapped.test":   addresses("::ffff:127.0.0.1"),
	"private.test":  addresses("10.0.0.1"),
	"meta.test":     addresses("169.254.169.254"),
	"nat64.test":    addresses("64:ff9b::7f00:1"),
	"all.test":      addresses("127.0.0.1", "10.0.0.1", "::1", "fe80::1"),
	"both.test":     addresses("127.0.0.1", "127.0.0.2"),
	"zero.test":     addresses("0.0.0.0", "::"),
	"xn--bcher-kva": addresses("127.0.0.1"),
	"a.b.wild.test": addresses("127.0.0.1"),
	"closed.test":   addresses("127.0.0.1", "127.0.0.9"), // nobody listens at the second
}

func lookUp(name string) (alias string, _ []netip.Addr) {
	if name == "alias.test" {
		return "loop.test", testNames["loop.test"]
	}
	return "", testNames[name]
}

func hosts(t *testing.T, texts ...string) Hosts {
	t.Helper()
	h := make(Hosts, len(texts))
	for i, s := range texts {
		if err := h[i].UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func allow(t *testing.T, texts ...string) []Allow {
	t.Helper()
	a := make([]Allow, len(texts))
	for i, s := range texts {
		if err := a[i].UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// guarded gives a client that may go to every host at the port of l.
func guarded(t *testing.T, l *loopback, o HTTPOptions, open ...string) *HTTP {
	t.Helper()
	o.Egress = &Egress{Hosts: hosts(t, "*", "*:"+l.port), Allow: allow(t, open...)}
	if o.Resolver == nil {
		o.Resolver = pipelinetest.Names(lookUp)
	}
	h, err := NewHTTP(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// corpus are addresses that a record may hold and that lead to this machine, to its network or to
// no place at all. PORT is one at which a server waits for them.
var corpus = strings.Fields(`
http://127.0.0.1:PORT/ http://127.0.0.1.:PORT/ http://127.255.255.254:PORT/ http://127.0.0.1:PORT/x?http://good.test/
http://2130706433:PORT/ http://017700000001:PORT/ http://0177.0.0.1:PORT/ http://0177.0000.0000.0001:PORT/ http://00000177.0.0.1:PORT/
http://0x7f.0.0.1:PORT/ http://0x7f000001:PORT/ http://0X7F000001:PORT/ http://0x7f.1:PORT/ http://127.1:PORT/ http://127.0.1:PORT/
http://127.00.0.1:PORT/ http://127.0.0.01:PORT/ http://0:PORT/ http://0.0.0.0:PORT/ http://0.1.2.3:PORT/ http://4294967297:PORT/ http://127.0.0.1.0x:PORT/
http://[::1]:PORT/ http://[0:0:0:0:0:0:0:1]:PORT/ http://[::]:PORT/ http://[::ffff:127.0.0.1]:PORT/ http://[::ffff:7f00:1]:PORT/
http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/ http://[::ffff:0:127.0.0.1]:PORT/ http://[::127.0.0.1]:PORT/ http://[::7f00:1]:PORT/
http://[64:ff9b::127.0.0.1]:PORT/ http://[64:ff9b::a9fe:a9fe]:PORT/ http://[64:ff9b::10.0.0.1]:PORT/ http://[64:ff9b:1::8.8.8.8]:PORT/
http://[2002:7f00:1::]:PORT/ http://[2002:a00:1::1]:PORT/ http://[2001:0:7f00:1::]:PORT/ http://[2001:0:808:808::80ff:fffe]:PORT/
http://[2a00:1450::5efe:7f00:1]:PORT/ http://[2a00:1450::200:5efe:c0a8:1]:PORT/ http://[fe80::1]:PORT/ http://[fe80::1%25lo]:PORT/
http://[fc00::1]:PORT/ http://[fd12:3456::1]:PORT/ http://[fd00:ec2::254]:PORT/ http://[fec0::1]:PORT/ http://[ff02::1]:PORT/
http://[2001:db8::1]:PORT/ http://[3fff::1]:PORT/ http://[2001:2::1]:PORT/ http://[2001:20::1]:PORT/ http://[100::1]:PORT/ http://[5f00::1]:PORT/ http://[4000::1]:PORT/
http://10.0.0.1:PORT/ http://172.16.0.1:PORT/ http://172.31.255.255:PORT/ http://192.168.0.1:PORT/ http://100.64.0.1:PORT/ http://100.127.255.255:PORT/
http://169.254.169.254/latest/meta-data/ http://169.254.170.2/v2/credentials http://100.100.100.200/ http://168.63.129.16/ http://192.0.0.192/ http://169.254.0.1/
http://192.0.2.1/ http://192.88.99.1/ http://198.18.0.1/ http://198.19.255.255/ http://198.51.100.1/ http://203.0.113.1/ http://224.0.0.1/ http://239.255.255.255/
http://240.0.0.1/ http://255.255.255.255/
http://good.test@127.0.0.1:PORT/ http://good.test:80@127.0.0.1:PORT/ http://user:pass@good.test:PORT/ http://good.test%2f@127.0.0.1:PORT/ http://@127.0.0.1:PORT/
http://good.test\@127.0.0.1:PORT/ http:\\127.0.0.1:PORT\ http://127.0.0.1:PORT\@good.test/ http://127.0.0.1\.good.test/ http:/\127.0.0.1:PORT/
http://127.0.0.1:PORT#@good.test/ http://127.0.0.1:PORT?@good.test/ http://127.0.0.1#.good.test/ http://127.0.0.1:PORT;@good.test/
http://127%2e0%2e0%2e1:PORT/ http://%31%32%37.0.0.1:PORT/ http://127.0.0.1%00.good.test:PORT/ http://localhost%2e:PORT/ http://loop%E3%80%82test:PORT/
http://１２７.０.０.１:PORT/ http://127。0。0。1:PORT/ http://127．0．0．1:PORT/ http://127｡0｡0｡1:PORT/ http://①②⑦.⓪.⓪.①:PORT/ http://127%E3%80%820%E3%80%820%E3%80%821:PORT/
http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/ http://ｌｏｃａｌｈｏｓｔ:PORT/ http://bücher:PORT/ http://０x7f.1:PORT/ http://loop.test。:PORT/
http://localhost:PORT/ http://LOCALHOST:PORT/ http://localhost.:PORT/ http://loop.test:PORT/ http://LOOP.Test.:PORT/ http://a.b.wild.test:PORT/
http://six.test:PORT/ http://mapped.test:PORT/ http://private.test:PORT/ http://meta.test/ http://nat64.test:PORT/ http://all.test:PORT/ http://alias.test:PORT/ http://zero.test:PORT/
https://127.0.0.1:PORT/ https://loop.test:PORT/ HTTP://127.0.0.1:PORT/
file:///etc/passwd gopher://127.0.0.1:PORT/ ftp://127.0.0.1:PORT/ unix:///var/run/docker.sock http+unix://%2Fvar%2Frun%2Fdocker.sock/ ws://127.0.0.1:PORT/ jar:http://127.0.0.1:PORT!/
//127.0.0.1:PORT/ http:127.0.0.1:PORT/ http:///127.0.0.1:PORT/ http://:PORT/ http://[127.0.0.1]:PORT/ http://[::1:PORT/ http://[::1]x:PORT/ http://127.0.0.1:PORT:80/ http://..:PORT/ http://.127.0.0.1:PORT/
http://good.test:22/ http://good.test:6379/ http://good.test:0/ http://good.test:65536/ http://good.test:-1/
`)

func TestNoRecordLeadsInside(t *testing.T) {
	l := listen(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "inside") })
	rows := slices.Concat(corpus, []string{
		"http://127.0.0.1:PORT/\t", " http://127.0.0.1:PORT/", "http://127.0.0.1:PORT/\r\nHost: good.test", "http://127.0.0.1\x00.good.test:PORT/", "http://good.test \r\n@127.0.0.1:PORT/",
	})
	for _, mode := range []HTTP2{HTTP2Auto, HTTP2On} {
		h := guarded(t, l, HTTPOptions{AnyHost: true, HTTP2: mode}, "127.0.0.2")
		refused := 0
		for _, row := range rows {
			_, err := get(t, h, strings.ReplaceAll(row, "PORT", l.port)+"secret-value")
			reason, permanent := pipeline.IsPermanent(err)
			var failed *Error
			switch came := l.took(); {
			case !permanent || reason != TypeEgress && reason != TypeRequest:
				t.Errorf("%s: %v", row, err)
			case !errors.As(err, &failed) || !failed.NotAsked():
				t.Errorf("%s: %v is said to be of the server", row, err)
			case len(came) > 0:
				t.Errorf("%s: came to %v", row, came)
			case strings.Contains(err.Error(), "secret-value"):
				t.Errorf("%s: the error quotes more than the host: %v", row, err)
			default:
				refused++
			}
		}
		t.Logf("HTTP/2 %s: %d of %d refused", mode, refused, len(rows))
		// The same client gets to a server that is open.
		if a, err := get(t, h, "http://good.test:"+l.port); err != nil || string(a.Body) != "inside" || len(l.took()) != 1 {
			t.Errorf("good.test: %v, %+v", err, a)
		}
	}
	if len(rows) < 60 {
		t.Errorf("the corpus has %d rows", len(rows))
	}
	// One for which this machine is open gets to the others.
	for at, h := range map[string]*HTTP{"http://loop.test:": guarded(t, l, HTTPOptions{}, "127.0.0.0/8"), "http://LOOP.test.:": guarded(t, l, HTTPOptions{}, "loop.test"),
		"http://localhost:": guarded(t, l, HTTPOptions{}, "127.0.0.0/8", "::1"), "http://[::ffff:127.0.0.1]:": guarded(t, l, HTTPOptions{}, "127.0.0.1"), "http://alias.test:": guarded(t, l, HTTPOptions{}, "*.test")} {
		if a, err := get(t, h, at+l.port); err != nil || string(a.Body) != "inside" || len(l.took()) != 1 {
			t.Errorf("%s: %v, %+v", at, err, a)
		}
	}
}

// What a name leads to is judged with each connection: one that leads inside a moment later is
// refused then, and of several addresses those that are open are taken.
func TestNameThatLeadsElsewhere(t *testing.T) {
	l := listen(t, func(http.ResponseWriter, *http.Request) {})
	var mu sync.Mutex
	asked := 0
	h := guarded(t, l, HTTPOptions{Resolver: pipelinetest.Names(func(name string) (string, []netip.Addr) {
		if name != "rebind.test" {
			return lookUp(name)
		}
		mu.Lock()
		defer mu.Unlock()
		asked++ // twice for a connection: for each kind of address
		return "", addresses([]string{"127.0.0.2", "127.0.0.1"}[(asked-1)/2%2])
	})}, "127.0.0.2", "127.0.0.9")
	const calls = 40
	refused, reached := 0, 0
	for range calls {
		if _, err := get(t, h, "http://rebind.test:"+l.port); err == nil {
			reached++
		} else {
			is(t, err, TypeEgress, true)
			refused++
		}
	}
	came := l.took()
	t.Logf("%d of %d refused, the others came to %v", refused, calls, came)
	if refused != calls/2 || reached != calls/2 || came["127.0.0.1"] != 0 || came["127.0.0.2"] != reached {
		t.Errorf("refused %d, reached %d: %v", refused, reached, came)
	}
	if _, err := get(t, h, "http://both.test:"+l.port); err != nil {
		t.Error(err)
	}
	if came := l.took(); came["127.0.0.1"] != 0 || came["127.0.0.2"] != 1 {
		t.Errorf("of two addresses: %v", came)
	}
	// The one that is open does not answer: that may pass.
	_, err := get(t, h, "http://closed.test:"+l.port)
	is(t, err, TypeNetwork, false)
}

func TestNoRedirectLeadsInside(t *testing.T) {
	var to string
	l := listen(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/chain":
			w.Header().Set("Location", "http://third.test:"+to+"/301")
			w.WriteHeader(302)
		case strings.HasPrefix(r.URL.Path, "/3"):
			status, _ := strconv.Atoi(r.URL.Path[1:4])
			w.Header().Set("Location", r.URL.Query().Get("to"))
			if r.URL.RawQuery == "" {
				w.Header().Set("Location", "http://127.0.0.1:"+to+"/")
			}
			w.WriteHeader(status)
		}
	})
	to = l.port
	h := guarded(t, l, HTTPOptions{AnyHost: true}, "127.0.0.2", "127.0.0.3")
	refused, calls := 0, 0
	try := func(method, path string) {
		t.Helper()
		calls++
		r := Request{Method: method, URL: "http://good.test:" + l.port + path}
		if method == "POST" {
			r.Body = []byte("x")
		}
		a, err := h.Do(t.Context(), r)
		if method == "POST" && a != nil && a.Status/100 == 3 { // not followed
			err = StatusError("calling", a, nil)
		}
		var failed *Error
		if _, permanent := pipeline.IsPermanent(err); !permanent {
			t.Errorf("%s %s: %v, %+v", method, path, err, a)
		} else if errors.As(err, &failed) && failed.NotAsked() { // the server has answered: a breaker must know
			t.Errorf("%s %s: %v is said to be of nobody", method, path, err)
		} else if came := l.took(); came["127.0.0.1"]+came["::1"] != 0 {
			t.Errorf("%s %s: came to %v", method, path, came)
		} else {
			refused++
		}
	}
	for _, method := range []string{"GET", "HEAD", "POST"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			for _, host := range []string{"127.0.0.1", "[::1]", "2130706433", "loop.test", "alias.test", "localhost", "good.test@127.0.0.1", "169.254.169.254"} {
				try(method, fmt.Sprintf("/%d?to=%s", status, url.QueryEscape("http://"+host+":"+l.port+"/")))
			}
		}
	}
	for _, location := range []string{"//127.0.0.1:" + l.port, "file:///etc/passwd", "https://loop.test:" + l.port, "gopher://127.0.0.1/", "//good.test:22/"} {
		try("GET", "/302?to="+url.QueryEscape(location))
	}
	try("GET", "/chain")
	t.Logf("%d of %d refused", refused, calls)
	// The control: with 127.0.0.1 open the chain ends there.
	open := guarded(t, l, HTTPOptions{AnyHost: true}, "127.0.0.0/8")
	if _, err := get(t, open, "http://good.test:"+l.port+"/chain"); err != nil {
		t.Error(err)
	}
	if came := l.took(); came["127.0.0.1"] != 1 || came["127.0.0.3"] != 1 {
		t.Errorf("with all open: %v", came)
	}
}

// A proxy is the one of the file, to which the guard does not apply: no record names it. What a
// record names is judged as far as it can be without looking it up.
func TestGuardWithProxy(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
		t.Setenv(strings.ToLower(name), "http://127.0.0.1:1")
	}
	l := listen(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.String()) })
	if _, err := get(t, guarded(t, l, HTTPOptions{}, "127.0.0.2"), "http://good.test:"+l.port); err != nil {
		t.Errorf("the environment's proxy is asked: %v", err)
	}
	proxy, err := ParseProxy("http://127.0.0.1:" + l.port)
	if err != nil {
		t.Fatal(err)
	}
	h := guarded(t, l, HTTPOptions{Proxy: proxy})
	l.took()
	a, err := get(t, h, "http://nowhere.test/x")
	if err != nil || string(a.Body) != "http://nowhere.test/x" || l.took()["127.0.0.1"] != 1 {
		t.Errorf("%v, %+v", err, a)
	}
	for _, u := range []string{"http://127.0.0.1/", "http://[::ffff:10.0.0.1]/", "http://2130706433/", "http://good.test:22/"} {
		_, err := get(t, h, u)
		is(t, err, TypeEgress, true)
	}
	if came := l.took(); len(came) > 0 {
		t.Errorf("came to %v", came)
	}
}

// What is refused says what to write, and about whom.
func TestRefusalSaysWhatToWrite(t *testing.T) {
	h, err := NewHTTP(HTTPOptions{Egress: &Egress{Hosts: hosts(t, "api.test", "*.example.test", "loop.test", "10.1.2.3", "169.254.169.254"), Allow: allow(t, "169.254.0.0/16")}, Resolver: pipelinetest.Names(lookUp)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for u, want := range map[string]string{
		"http://loop.test/x":        "calling GET http://loop.test: the host loop.test leads to a loopback address, where no call goes whose address comes from a record: to open it, put it or its network under allow",
		"http://10.1.2.3/x":         "making the request: the host 10.1.2.3 leads to a private address, where no call goes whose address comes from a record: to open it, put it or its network under allow",
		"http://169.254.169.254/x":  "making the request: the host 169.254.169.254 leads to an address of a cloud's metadata, where no call goes whose address comes from a record: to open it, put it or that one address under allow",
		"http://API.test:8080/x":    "making the request: the host api.test may not be called: hosts names it, but not its port 8080: to call it, put api.test:8080 under hosts",
		"http://other.test/x":       "making the request: the host other.test may not be called: no pattern of hosts fits it: to call it, put it under hosts",
		"http://api.test@evil.test": "making the request: its URL holds a user name or a password",
		"http://example.test/":      "making the request: the host example.test may not be called: no pattern of hosts fits it: to call it, put it under hosts",
	} {
		_, err := get(t, h, u)
		is(t, err, TypeEgress, true)
		if err != nil && err.Error() != want {
			t.Errorf("%s:\n%v\n%s", u, err, want)
		}
	}
}
