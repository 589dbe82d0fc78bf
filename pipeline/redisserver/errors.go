package redisserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
)

// An About says what an error is about.
type About uint8

const (
	AboutNow    About = iota // the connection, or the server as it is now: another attempt may do
	AboutRecord              // what the record asks for: no attempt cures it
	AboutSetup               // the log-in, the rights or the server's settings: somebody has to mend it
	AboutAny                 // the record, when others pass; else the server
)

// A meaning is what a code of the server says, in words of ours: its own may quote what was sent.
type meaning struct {
	about About
	text  string
	busy  bool // the server is there, and has too much to do
}

// codes are the first words of errors.
var codes = map[string]meaning{
	"WRONGTYPE":   {about: AboutRecord, text: "the key holds a value of another type"},
	"NOAUTH":      {about: AboutSetup, text: "the server wants a log-in: give password or password_file, and username where it has users"},
	"WRONGPASS":   {about: AboutSetup, text: "the server refuses the log-in: mend username, password or password_file"},
	"NOPERM":      {about: AboutAny, text: "the user may not do this, or not with this key: mend the rights of the user (ACL)"},
	"DENIED":      {about: AboutSetup, text: "the server is in protected mode: give it a password, or have it listen where this side is"},
	"MOVED":       {about: AboutSetup, text: "the server is part of a cluster, of which nothing is known here: name a server of its own, or a proxy that hides the cluster"},
	"ASK":         {about: AboutSetup, text: "the server is part of a cluster, of which nothing is known here: name a server of its own, or a proxy that hides the cluster"},
	"CROSSSLOT":   {about: AboutSetup, text: "the server is part of a cluster, of which nothing is known here: name a server of its own, or a proxy that hides the cluster"},
	"LOADING":     {text: "the server is loading its data"},
	"READONLY":    {text: "the server is a replica and takes no writes: has another become the master?"},
	"MASTERDOWN":  {text: "the server is a replica that has lost its master"},
	"CLUSTERDOWN": {text: "the cluster is down"},
	"TRYAGAIN":    {text: "the cluster is moving the keys"},
	"NOREPLICAS":  {text: "too few replicas are in sync"},
	"MISCONF":     {text: "the server cannot save its data to disk, and takes no writes until it can"},
	"BUSY":        {text: "the server is busy with a script", busy: true},
	"UNKILLABLE":  {text: "the server is busy with a script", busy: true},
	"EXECABORT":   {text: "the server has not begun the transaction"},
	"OOM":         {text: "the server has no memory left for writes (maxmemory)", busy: true},
}

// texts are how errors begin that have ERR for a code.
var texts = []struct {
	begins string
	meaning
}{
	{"max number of clients", meaning{text: "the server has no room for another connection (maxclients)", busy: true}},
	{"Protocol error: invalid bulk length", meaning{about: AboutRecord, text: "a value is larger than the server takes (proto-max-bulk-len)"}},
	{"Protocol error: invalid multibulk length", meaning{about: AboutRecord, text: "there are more values than the server takes in a command"}},
	{"string exceeds maximum allowed size", meaning{about: AboutRecord, text: "a value is larger than the server takes (proto-max-bulk-len)"}},
	{"invalid password", codes["WRONGPASS"]},
	{"AUTH ", meaning{about: AboutSetup, text: "the server has no password for the user: leave password out, or mend username"}},
	{"Client sent AUTH", meaning{about: AboutSetup, text: "the server has no password: leave it out"}},
	{"DB index is out of range", meaning{about: AboutSetup, text: "the server has no database of this number: mend db"}},
	{"invalid DB index", meaning{about: AboutSetup, text: "the server has no database of this number: mend db"}},
	{"SELECT is not allowed", meaning{about: AboutSetup, text: "the server has one database: leave db out"}},
	{"unknown command", meaning{about: AboutSetup, text: "the server does not know the command: is it older, or a proxy that leaves it out?"}},
}

// Code gives the first word of what the server has said: WRONGTYPE, ERR. "": the server has not said it.
func Code(err error) string {
	var said goredis.Error
	if !errors.As(err, &said) || errors.Is(err, goredis.Nil) {
		return ""
	}
	word, _, _ := strings.Cut(said.Error(), " ")
	if word == "" || strings.ToUpper(word) != word {
		return "ERR"
	}
	return word
}

// Said gives what the server has said, which may quote a record; "": it has said nothing.
func Said(err error) string {
	var said goredis.Error
	if !errors.As(err, &said) {
		return ""
	}
	return said.Error()
}

// reasons are what the server says of a transaction that it has not begun, for what it says of a command otherwise.
var reasons = []struct{ holds, code string }{
	{"'maxmemory'", "OOM"}, {"read only replica", "READONLY"}, {"persist to disk", "MISCONF"}, {"enough good replicas", "NOREPLICAS"},
}

// mean gives what an error of the server says.
func mean(err error) (code string, m meaning) {
	code = Code(err)
	if code == "EXECABORT" {
		for _, r := range reasons {
			if strings.Contains(Said(err), r.holds) {
				return r.code, codes[r.code]
			}
		}
	}
	if m, ok := codes[code]; ok {
		return code, m
	}
	text := strings.TrimPrefix(Said(err), "ERR ")
	for _, t := range texts {
		if strings.HasPrefix(text, t.begins) {
			return code, t.meaning
		}
	}
	if strings.Contains(text, "WRONGTYPE") { // of a script, by older servers
		return "WRONGTYPE", codes["WRONGTYPE"]
	}
	return code, meaning{about: AboutAny, text: "the server refuses the command"}
}

// Of says what an error of a command is about. nil is about nothing, which is AboutNow.
func Of(err error) About {
	if Code(err) == "" {
		return AboutNow
	}
	_, m := mean(err)
	return m.about
}

// Meaning says what an error of the server means, in words that quote nothing.
func Meaning(err error) string {
	code, m := mean(err)
	return m.text + " (" + code + ")"
}

// Explain says what an error of a command is about, and gives one that quotes no value of a record, for what
// was being done. One about the record is permanent, and its detail is what the server has said. ctx is that of the call.
func Explain(ctx context.Context, what string, err error) (About, error) {
	var own *client.Error
	if errors.As(err, &own) {
		return AboutNow, err
	}
	if none := new(noTransactionsError); errors.As(err, &none) {
		return AboutSetup, &outOfServiceError{client.NewError(client.TypeRedis, what+": "+none.Error(), nil)}
	}
	if Code(err) == "" {
		return AboutNow, transport(ctx, what, err)
	}
	code, m := mean(err)
	e := client.NewError(client.TypeRedis, what+": "+m.text+" ("+code+")", nil).WithDetail(Said(err))
	switch {
	case m.about == AboutRecord:
		return m.about, pipeline.Reject(client.TypeRedis, e)
	case m.busy:
		return m.about, &busyError{e}
	case m.about == AboutAny:
		return m.about, e
	}
	return m.about, &outOfServiceError{e}
}

// transport is the error of a connection.
func transport(ctx context.Context, what string, err error) error {
	var dial *dialError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var verify *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var alert tls.AlertError
	var slow net.Error
	// The deadline of the socket is that of ctx, which may be noticed a little later.
	late := errors.As(err, &slow) && slow.Timeout() && !errors.As(err, &dial)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return client.NewError(client.TypeCanceled, what+": given up", context.Canceled)
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded), late:
		return client.NewError(client.TypeTimeout, what+": "+context.DeadlineExceeded.Error(), context.DeadlineExceeded)
	case errors.Is(err, ErrTooLarge):
		return client.NewError(client.TypeTooLarge, what+": "+ErrTooLarge.Error(), err)
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &verify), errors.As(err, &header), errors.As(err, &alert):
		return client.NewError(client.TypeTLS, what+": "+err.Error(), err)
	case errors.As(err, new(*limitError)), errors.As(err, &slow) && slow.Timeout():
		return client.NewError(client.TypeTimeout, what+": "+err.Error(), err)
	case errors.As(err, &dial):
		return client.NewError(client.TypeNetwork, what+": "+err.Error(), err)
	}
	// The library may quote what it has read, when that is no answer.
	return client.NewError(client.TypeNetwork, what+": the connection was lost, or what came over it is no answer of Redis", err)
}

// A busyError has all steps leave the server alone for a while.
type busyError struct{ err *client.Error }

func (e *busyError) Error() string    { return e.err.Error() }
func (e *busyError) Unwrap() error    { return e.err }
func (e *busyError) AsksToWait() bool { return true }

// An outOfServiceError has all steps leave the server alone until it serves again.
type outOfServiceError struct{ err *client.Error }

func (e *outOfServiceError) Error() string      { return e.err.Error() }
func (e *outOfServiceError) Unwrap() error      { return e.err }
func (e *outOfServiceError) OutOfService() bool { return true }

// pingAnswers is how much a server may say when it is connected to, and asked for a sign of life.
const pingAnswers = 64 << 10

// Ping connects, logs in and asks for a sign of life.
func (v *Server) Ping(ctx context.Context) error {
	err := v.Do(ctx, pingAnswers, func(ctx context.Context, c *goredis.Client) error { return c.Ping(ctx).Err() })
	if err == nil || Code(err) == "NOPERM" { // the user may do other things
		return nil
	}
	_, err = Explain(ctx, "connecting to redis "+v.Host(), err)
	return &pipeline.EnvironmentError{Err: err}
}
