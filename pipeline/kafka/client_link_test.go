package kafka

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// warnings collects what Warn is told.
type warnings struct {
	mu   sync.Mutex
	list []string
}

func (w *warnings) warn(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, err.Error())
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.list
	w.list = nil
	return out
}

// reconnect leaves the connections of a client to what is on them.
func reconnect(c *Client) {
	c.mu.Lock()
	nodes := slices.Clone(c.seeds)
	for _, n := range c.nodes {
		nodes = append(nodes, n)
	}
	c.mu.Unlock()
	for _, n := range nodes {
		n.mu.Lock()
		l := n.data
		n.mu.Unlock()
		if l != nil {
			n.drop(l)
		}
	}
}

func put(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Authority, certificate and key are renewed on disk, as are the broker's: the next
// connection uses them. While a file is bad, what was read last stays in use, and that
// is told once.
func TestCertificatesAreRenewed(t *testing.T) {
	var made [2]kafkatest.Certs
	var sides [2]*tls.Config
	for i := range made {
		var err error
		if made[i], err = kafkatest.MakeCerts(filepath.Join(t.TempDir(), "made")); err != nil {
			t.Fatal(err)
		}
		sides[i] = made[i].ServerTLS(t)
	}
	var mu sync.Mutex
	side := 0
	present := func(i int) {
		mu.Lock()
		defer mu.Unlock()
		side = i
	}
	k := kafkatest.StartFake(t, kafkatest.Fake(kfake.TLS(&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		return sides[side], nil
	}})))
	dir := t.TempDir()
	files := TLS{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	install := func(c kafkatest.Certs) {
		put(t, c.CA, files.CA)
		put(t, c.ClientCert, files.Cert)
		put(t, c.ClientKey, files.Key)
	}
	install(made[0])
	var told warnings
	files.Warn = told.warn
	c := client(t, k.Addrs(), func(c *Config) {
		if err := c.Secure(&files, nil); err != nil {
			t.Fatal(err)
		}
	})
	works := func(when string, want bool) {
		t.Helper()
		reconnect(c)
		if err := c.Check(deadline(t)); (err == nil) != want {
			t.Fatalf("%s: %v", when, err)
		}
	}
	works("at first", true)
	present(1)
	works("the broker has another authority", false)
	install(made[1])
	works("the files are renewed", true)
	if got := told.take(); len(got) > 0 {
		t.Errorf("told %v", got)
	}

	put(t, made[0].ClientKey, files.Key)
	works("the key is another's", true)
	works("still", true)
	if got := told.take(); len(got) != 1 || !strings.Contains(got[0], files.Key) {
		t.Errorf("told %v", got)
	}
	put(t, made[1].ClientKey, files.Key)
	works("the key is right again", true)
	if err := os.Remove(files.CA); err != nil {
		t.Fatal(err)
	}
	works("the authority's file is gone", true)
	works("still", true)
	if got := told.take(); len(got) != 1 || !strings.Contains(got[0], files.CA) {
		t.Errorf("told %v", got)
	}
	present(0)
	install(made[0])
	works("back", true)
}

// A password that is changed at the broker and in its file is used from the next
// log-in on.
func TestPasswordFileIsReadForEveryLogIn(t *testing.T) {
	for _, mechanism := range Mechanisms {
		t.Run(mechanism, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "password")
			write := func(text string) {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("first\n")
			name := strings.ToUpper(mechanism)
			// Two clusters are two moments of one.
			first := kafkatest.StartFake(t, kafkatest.Fake(kfake.EnableSASL(), kfake.Superuser(name, "alice", "first")))
			second := kafkatest.StartFake(t, kafkatest.Fake(kfake.EnableSASL(), kfake.Superuser(name, "alice", "second")))
			var told warnings
			s := SASL{Mechanism: mechanism, Username: "alice", PasswordFile: file, Warn: told.warn}
			secure := func(c *Config) {
				if err := c.Secure(nil, &s); err != nil {
					t.Fatal(err)
				}
			}
			a := client(t, first.Addrs(), secure)
			b := client(t, second.Addrs(), secure)
			if err := a.Check(deadline(t)); err != nil {
				t.Fatal(err)
			}
			if err := b.Check(deadline(t)); err == nil || Temporary(err) {
				t.Fatalf("with the old password: %v", err)
			}
			write("second\r\n")
			if err := b.Check(deadline(t)); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				reconnect(b)
				if err := b.Check(deadline(t)); err != nil {
					t.Fatalf("the file is gone: %v", err)
				}
			}
			if got := told.take(); len(got) != 1 || !strings.Contains(got[0], file) || strings.Contains(got[0], "second") {
				t.Errorf("told %v", got)
			}
			if err := new(Config).Secure(nil, &s); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("at the start: %v", err)
			}
		})
	}
}

// No request is sent on a connection whose log-in has ended: a broker would close it.
func TestLogInIsRenewedBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lifetime = 30 * time.Second
		k := kafkatest.StartFake(t, append(virtual(1), kafkatest.Fake(kfake.EnableSASL(), kfake.Superuser("PLAIN", "alice", "secret"),
			kfake.BrokerConfigs(map[string]string{"connections.max.reauth.ms": "30000"}), kfake.SeedTopics(1, "t")))...)
		var mu sync.Mutex
		logIns, requests := 0, 0
		k.Fake().Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
			k.Fake().KeepControl()
			mu.Lock()
			defer mu.Unlock()
			switch kmsg.Key(req.Key()) {
			case kmsg.SASLAuthenticate:
				logIns++
			case kmsg.Metadata:
				requests++
			}
			return nil, nil, false
		})
		link := &kafkatest.Narrow{Under: k.Dial}
		c := client(t, k.Addrs(), func(c *Config) {
			c.Dial, c.Refresh = link.Dial, time.Hour
			if err := c.Secure(nil, &SASL{Mechanism: "plain", Username: "alice", Password: "secret"}); err != nil {
				t.Fatal(err)
			}
		})
		begin := time.Now()
		for time.Since(begin) < 10*lifetime {
			if err := c.Refresh(context.Background(), "t"); err != nil {
				t.Fatal(err)
			}
			for _, n := range c.seeds {
				if n.data.stale() {
					t.Fatal("a connection was used that is about to be closed")
				}
			}
			time.Sleep(time.Second)
		}
		mu.Lock()
		defer mu.Unlock()
		// The Transport asks for the brokers over a connection of its own, now and then.
		if logIns < 10 || logIns > 30 || logIns != link.Dialed() {
			t.Errorf("%d log-ins in ten lifetimes, on %d connections, for %d requests", logIns, link.Dialed(), requests)
		}
	})
}

// A link that is dropped while a request is about to use it leaves no connection
// behind that Close would wait for.
func TestLinkThatWasDroppedIsClosed(t *testing.T) {
	k := kafkatest.StartFake(t)
	c, err := NewClient(Config{Brokers: k.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	n := c.seeds[0]
	l, err := n.link(false)
	if err != nil {
		t.Fatal(err)
	}
	n.drop(l) // as another request does whose connection broke
	if err := n.sendOn(t.Context(), l, c.metadataRequest([]string{})); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
