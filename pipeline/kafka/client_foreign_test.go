package kafka

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// says gives a server that writes a text, at once or when something has come, and then
// reads on or closes.
func says(text string, first, closes bool) func(net.Conn) {
	return func(conn net.Conn) {
		if !first {
			if _, err := conn.Read(make([]byte, 512)); err != nil {
				return
			}
		}
		if _, err := io.WriteString(conn, text); err != nil || closes {
			return
		}
		_, _ = io.Copy(io.Discard, conn)
	}
}

// answers gives a server that answers the first request with a length prefix, the
// request's number, and rest.
func answers(length uint32, rest string) func(net.Conn) {
	return func(conn net.Conn) {
		var head [12]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		out := binary.BigEndian.AppendUint32(nil, length)
		out = append(append(out, head[8:]...), rest...)
		_, _ = conn.Write(out)
		_, _ = io.Copy(io.Discard, conn)
	}
}

func httpServer(t *testing.T) string {
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// Something else than a broker answers at the address, or it wants another kind of
// connection: the error says so.
func TestAnswersThatAreNotKafkas(t *testing.T) {
	secure := func(t *testing.T) func(*Config) {
		return func(c *Config) { c.TLS = &tls.Config{InsecureSkipVerify: true} }
	}
	certs, err := kafkatest.MakeCerts(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(certs.ServerCert, certs.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	tlsSide := &tls.Config{Certificates: []tls.Certificate{pair}}
	for name, tc := range map[string]struct {
		address func(*testing.T) string
		tls     bool
		want    string
	}{
		"HTTP": {func(t *testing.T) string {
			return kafkatest.Listen(t, "127.0.0.1:0", says("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", false, false))
		}, false, "connected, but the answer is HTTP and not Kafka's: check the address and the port"},
		"HTTP over TLS, asked without": {func(t *testing.T) string {
			s := httptest.NewTLSServer(http.NotFoundHandler())
			t.Cleanup(s.Close)
			return s.Listener.Addr().String()
		}, false, "does it expect tls or sasl on this port?"},
		"HTTP over TLS, asked with": {func(t *testing.T) string {
			return kafkatest.Listen(t, "127.0.0.1:0", func(conn net.Conn) { says("HTTP/1.0 400 Bad Request\r\n\r\n", false, true)(tls.Server(conn, tlsSide)) })
		}, true, "the answer is HTTP and not Kafka's"},
		"SSH": {func(t *testing.T) string {
			return kafkatest.Listen(t, "127.0.0.1:0", says("SSH-2.0-OpenSSH_9.6\r\n", true, false))
		}, false, "the answer is SSH and not Kafka's"},
		"mail": {func(t *testing.T) string {
			return kafkatest.Listen(t, "127.0.0.1:0", says("220 mail.example.org ESMTP\r\n", true, false))
		}, false, "the answer is not Kafka's: another service, or TLS?"},
		"Redis": {func(t *testing.T) string {
			return kafkatest.Listen(t, "127.0.0.1:0", says("-ERR unknown command\r\n", false, false))
		}, false, "the answer is not Kafka's"},
		"PostgreSQL": {func(t *testing.T) string {
			return kafkatest.Listen(t, "127.0.0.1:0", says("E\x00\x00\x00\x90SFATAL\x00", false, true))
		}, false, "the answer is not Kafka's"},
		"a word and out": {func(t *testing.T) string { return kafkatest.Listen(t, "127.0.0.1:0", says("bye\n", false, true)) }, false, "the answer is not Kafka's"},
		"an echo": {func(t *testing.T) string {
			return kafkatest.Listen(t, "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(c, c) })
		}, false, "the answer is not Kafka's"},
		"closes at once":   {func(t *testing.T) string { return kafkatest.Listen(t, "127.0.0.1:0", func(net.Conn) {}) }, false, "does it expect tls or sasl on this port?"},
		"an absurd length": {func(t *testing.T) string { return kafkatest.Listen(t, "127.0.0.1:0", answers(0x48545450, "xxxx")) }, false, "the answer is not Kafka's"},
		"a length below 0": {func(t *testing.T) string { return kafkatest.Listen(t, "127.0.0.1:0", answers(0xfffffff0, "xxxx")) }, false, "the answer is not Kafka's"},
		"no length":        {func(t *testing.T) string { return kafkatest.Listen(t, "127.0.0.1:0", answers(0, "xxxx")) }, false, "the answer is not Kafka's"},
		"an empty answer":  {func(t *testing.T) string { return kafkatest.Listen(t, "127.0.0.1:0", answers(4, "")) }, false, "the answer is not Kafka's"},
		"a broker with TLS, asked without": {func(t *testing.T) string {
			return kafkatest.StartFake(t, kafkatest.Fake(kfake.TLS(tlsSide))).Addrs()[0]
		}, false, "does it expect tls or sasl on this port?"},
		"HTTP, asked with TLS": {httpServer, true, "does not answer in TLS"},
		"a broker that wants a log-in": {func(t *testing.T) string {
			return kafkatest.StartFake(t, kafkatest.Fake(kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "p"))).Addrs()[0]
		}, false, "does it expect tls or sasl on this port?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := func(*Config) {}
			if tc.tls {
				change = secure(t)
			}
			c := client(t, []string{tc.address(t)}, change)
			err := c.Check(deadline(t))
			var check *CheckError
			if !errors.As(err, &check) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v\nnot: %s", err, tc.want)
			}
		})
	}
}

// An answer of HTTP begins with what would be a length of 1.2 GB: nothing is made for it.
func TestALengthThatIsNoneTakesNoMemory(t *testing.T) {
	for _, rest := range []string{"", strings.Repeat("x", 1<<16)} {
		c := client(t, []string{kafkatest.Listen(t, "127.0.0.1:0", answers(0x48545450, rest))})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := c.Check(deadline(t)); err == nil || !strings.Contains(err.Error(), "not Kafka's") {
			t.Error(err)
		}
		runtime.ReadMemStats(&after)
		if made := after.TotalAlloc - before.TotalAlloc; made > 16<<20 {
			t.Errorf("%d bytes were allocated", made)
		}
	}
}

// A connection comes about, and then nothing: a service that waits for more, a listener
// that nobody serves.
func TestAnAddressThatIsSilent(t *testing.T) {
	for want, secure := range map[string]bool{
		"connected, but no answer came: is this the port of a broker, and does it expect tls?": false,
		"connected, but no answer came: is this the port of a broker, and does it speak TLS?":  true,
	} {
		synctest.Test(t, func(t *testing.T) {
			c := client(t, []string{"silent:9092"}, func(c *Config) {
				if secure {
					c.TLS = &tls.Config{InsecureSkipVerify: true}
				}
				c.Dial = func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					go func() { _, _ = io.Copy(io.Discard, far) }()
					return near, nil
				}
			})
			err := c.Check(deadline(t))
			var check *CheckError
			if !errors.As(err, &check) || !strings.Contains(err.Error(), want) || errorTypeOf(err) != "timeout" {
				t.Errorf("%v (%s)", err, errorTypeOf(err))
			}
		})
	}
}

func errorTypeOf(err error) string {
	b := &BrokerError{Err: err}
	return b.ErrorType()
}

// A broker that was there goes, and something else takes its address: what is said at the
// next request is the same.
func TestAServiceThatTakesABrokersPlace(t *testing.T) {
	k := kafkatest.StartFake(t)
	var foreign bool
	busy := make(chan struct{}, 1)
	busy <- struct{}{}
	address := kafkatest.Listen(t, "127.0.0.1:0", func(conn net.Conn) {
		<-busy
		other := foreign
		busy <- struct{}{}
		if other {
			says("HTTP/1.1 503 Service Unavailable\r\n\r\n", false, true)(conn)
			return
		}
		broker, err := net.Dial("tcp", k.Addrs()[0])
		if err != nil {
			return
		}
		defer broker.Close()
		go func() { _, _ = io.Copy(broker, conn); _ = broker.Close() }()
		_, _ = io.Copy(conn, bufio.NewReader(broker))
	})
	c := client(t, k.Addrs(), func(c *Config) {
		c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	})
	if err := c.Check(deadline(t)); err != nil {
		t.Fatal(err)
	}
	<-busy
	foreign = true
	busy <- struct{}{}
	reconnect(c)
	err := c.Refresh(deadline(t))
	if err == nil || !strings.Contains(err.Error(), "the answer is HTTP and not Kafka's") || !Temporary(err) {
		t.Errorf("%v, temporary: %v", err, Temporary(err))
	}
	<-busy
	foreign = false
	busy <- struct{}{}
	if err := c.Refresh(deadline(t)); err != nil {
		t.Error(err)
	}
}
