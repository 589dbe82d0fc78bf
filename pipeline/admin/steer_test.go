package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/settings"
)

// An obedient Commander notes what it is told, and answers as its fields say.
type obedient struct {
	mu   sync.Mutex
	told []Command
	done Done
	err  error
	wait chan struct{} // Do returns when it is closed; nil: at once
}

func (o *obedient) Do(ctx context.Context, c Command) (Done, error) {
	o.mu.Lock()
	o.told = append(o.told, c)
	o.mu.Unlock()
	if o.wait != nil {
		select {
		case <-o.wait:
		case <-ctx.Done():
			return Done{}, ctx.Err()
		}
	}
	return o.done, o.err
}

// taken gives what it was told since the last call.
func (o *obedient) taken() (all []Command) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all, o.told = o.told, nil
	return all
}

const looks, steers = "canary-who-looks-", "canary-who-steers"

// steerable are options of an endpoint that takes commands, with a token of their own.
func steerable(o *obedient) Options {
	all := healthy()
	all.Token = looks
	all.Commands = Commanding{Do: o, Token: steers}
	return all
}

// post sends a command, and gives status and body.
func post(t *testing.T, s *Server, path, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	status, text, header := ask(t, client(t, &http.Transport{}), "POST", "http://"+s.Addr()+path, func(r *http.Request) {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+steers)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		if change != nil {
			change(r)
		}
	})
	if !json.Valid([]byte(text)) || header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %v %s", path, header, text)
	}
	return status, text
}

// TestEachCommandComes as it was asked for, under the names that its path and body give.
func TestEachCommandComes(t *testing.T) {
	o := &obedient{done: Done{Was: "1", Is: "2"}}
	s := start(t, steerable(o))
	for _, tt := range []struct {
		path, body string
		want       Command
	}{
		{"/api/v1/reload", `{}`, Command{Verb: VerbReload}},
		{"/api/v1/reload", ``, Command{Verb: VerbReload}},
		{"/api/v1/loglevel", `{"level":"debug"}`, Command{Verb: VerbLogLevel, Level: "debug"}},
		{"/api/v1/loglevel", `{"level":"disabled","for":"10m"}`, Command{Verb: VerbLogLevel, Level: "disabled", For: 10 * time.Minute}},
		{"/api/v1/rates/a%2Fb", `{"rate":"50/s"}`, Command{Verb: VerbRate, Rate: "a/b", Per: settings.Rate{N: 50, Per: time.Second}}},
		{"/api/v1/rates/api", `{"burst":7}`, Command{Verb: VerbRate, Rate: "api", Burst: 7}},
		{"/api/v1/pipelines/p/pause", `{}`, Command{Verb: VerbPause, Pipeline: "p"}},
		{"/api/v1/pipelines/p/pause", ``, Command{Verb: VerbPause, Pipeline: "p"}},
		{"/api/v1/pipelines/p/resume", `{"lane":"t/3"}`, Command{Verb: VerbResume, Pipeline: "p", Lane: "t/3"}},
		{"/api/v1/pipelines/p/drain", `{}`, Command{Verb: VerbDrain, Pipeline: "p"}},
		{"/api/v1/pipelines/p/steps/we%20%2f/workers", `{"workers":8}`, Command{Verb: VerbWorkers, Pipeline: "p", Step: "we /", Workers: 8}},
		{"/api/v1/pipelines/p/skip", `{"key":"k"}`, Command{Verb: VerbSkip, Pipeline: "p", Key: []byte("k")}},
		{"/api/v1/pipelines/p/skip", `{"key":""}`, Command{Verb: VerbSkip, Pipeline: "p", Key: []byte{}}},
		{"/api/v1/pipelines/p/unskip", `{"key_base64":"AP8="}`, Command{Verb: VerbUnskip, Pipeline: "p", Key: []byte{0, 255}}},
		{"/api/v1/pipelines/p/skip", `{"record":"/var/log/a@b/3@4711"}`, Command{Verb: VerbSkip, Pipeline: "p", Record: &pipeline.Position{Topic: "/var/log/a@b", Partition: 3, Offset: 4711}}},
	} {
		status, body := post(t, s, tt.path, tt.body, func(r *http.Request) { r.Header.Set("Penstock-By", "ada@host") })
		if want := `{"command":"` + string(tt.want.Verb) + `","was":"1","is":"2"}`; status != 200 || body != want {
			t.Errorf("%s %s: %d %s", tt.path, tt.body, status, body)
		}
		all := o.taken()
		if len(all) != 1 {
			t.Fatalf("%s %s: %d commands", tt.path, tt.body, len(all))
		}
		got := all[0]
		if got.By != "ada@host" || !strings.HasPrefix(got.From, "127.0.0.1:") {
			t.Errorf("%s: by %q from %q", tt.path, got.By, got.From)
		}
		got.By, got.From = "", ""
		if a, b := asJSON(got), asJSON(tt.want); a != b || (got.Key == nil) != (tt.want.Key == nil) {
			t.Errorf("%s %s: %s, want %s", tt.path, tt.body, a, b)
		}
		// The client asks for it in the same way.
		c, err := NewClient(ClientOptions{Address: s.Addr(), Token: steers})
		if err != nil {
			t.Fatal(err)
		}
		if done, err := c.Steer(t.Context(), tt.want); err != nil || done != o.done {
			t.Errorf("%s: the client: %v %v", tt.path, done, err)
		}
		if all := o.taken(); len(all) != 1 || asJSON(withoutFrom(all[0])) != asJSON(tt.want) {
			t.Errorf("%s: the client has asked for %s", tt.path, asJSON(all))
		}
	}
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func withoutFrom(c Command) Command {
	c.From = ""
	return c
}

// TestWhoMayNotSteer: without the right, from a page of another site or in a form that a page can send nothing is done, and who was denied is told
// of; a token that may look may not steer.
func TestWhoMayNotSteer(t *testing.T) {
	o := &obedient{}
	options := steerable(o)
	var mu sync.Mutex
	var denied []event.CommandDenied
	options.Commands.Denied = func(pipeline string, ev event.CommandDenied) {
		mu.Lock()
		defer mu.Unlock()
		if pipeline != "p" {
			t.Errorf("denied at the pipeline %q", pipeline)
		}
		denied = append(denied, ev)
	}
	s := start(t, options)
	const path = "/api/v1/pipelines/p/pause"
	for name, tt := range map[string]struct {
		change func(*http.Request)
		status int
		reason string // of the event; "": there is none
	}{
		"no token":         {func(r *http.Request) { r.Header.Del("Authorization") }, 401, "token"},
		"another token":    {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+steers+"x") }, 401, "token"},
		"the one to look":  {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+looks) }, 403, "token"},
		"another site":     {func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403, "page"},
		"a sandboxed page": {func(r *http.Request) { r.Header.Set("Origin", "null") }, 403, "page"},
		"a form":           {func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415, ""},
		"text of a page":   {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, ""},
		"no content type":  {func(r *http.Request) { r.Header.Del("Content-Type") }, 415, ""},
		"another host":     {func(r *http.Request) { r.Host = "evil.example" }, 421, ""},
		"GET":              {func(r *http.Request) { r.Method = "GET" }, 405, ""},
		"PUT":              {func(r *http.Request) { r.Method = "PUT" }, 405, ""},
		"OPTIONS":          {func(r *http.Request) { r.Method = "OPTIONS" }, 405, ""},
	} {
		denied = nil
		status, body := post(t, s, path, `{}`, func(r *http.Request) {
			r.Header.Set("Penstock-By", "eve")
			tt.change(r)
		})
		if status != tt.status || strings.Contains(body, "canary") {
			t.Errorf("%s: %d %s", name, status, body)
		}
		mu.Lock()
		switch {
		case tt.reason == "" && len(denied) > 0:
			t.Errorf("%s: %+v", name, denied)
		case tt.reason != "" && (len(denied) != 1 || denied[0].Reason != tt.reason || denied[0].Command != "pause" || denied[0].AskedBy != "eve" || denied[0].AskedFrom == ""):
			t.Errorf("%s: %+v", name, denied)
		}
		mu.Unlock()
	}
	if all := o.taken(); len(all) > 0 {
		t.Errorf("done without the right: %s", asJSON(all))
	}
	// Who may steer may look, from a page of this address too; and what is no command takes no POST of anybody.
	for token, want := range map[string]int{looks: 200, steers: 200, "": 401} {
		status, body, _ := ask(t, client(t, &http.Transport{}), "GET", "http://"+s.Addr()+"/version", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
		if status != want {
			t.Errorf("looking with %q: %d %s", token, status, body)
		}
	}
	if status, body := post(t, s, path, `{}`, func(r *http.Request) { r.Header.Set("Origin", "http://"+r.Host) }); status != 200 {
		t.Errorf("the own page: %d %s", status, body)
	}
	if status, _ := post(t, s, "/api/v1/stats", `{}`, nil); status != 405 {
		t.Errorf("POST to the stats: %d", status)
	}
}

// TestWithoutTheSettingNothingIsTaken: then a POST says which setting it wants.
func TestWithoutTheSettingNothingIsTaken(t *testing.T) {
	s := start(t, healthy())
	for _, path := range []string{"/api/v1/reload", "/api/v1/pipelines/p/pause", "/api/v1/stats", "/nothing"} {
		if status, body := post(t, s, path, `{}`, nil); status != 405 || !strings.Contains(body, "admin.commands: true") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// TestCommandsThatAreWrong: what a command does not take is refused with the names that there are, and nothing is done.
func TestCommandsThatAreWrong(t *testing.T) {
	o := &obedient{}
	s := start(t, steerable(o))
	for _, tt := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/api/v1/reload", `{"now":true}`, 400, `there is no member "now" here: it takes none`},
		{"/api/v1/loglevel", `{"levl":"debug"}`, 400, `there is no member "levl" here: there is level, for`},
		{"/api/v1/loglevel", `{"level":"loud"}`, 400, "debug, info, warn, error or disabled"},
		{"/api/v1/loglevel", `{"level":7}`, 400, "level is no text"},
		{"/api/v1/loglevel", `{"level":"debug","for":"soon"}`, 400, "like 10m"},
		{"/api/v1/loglevel", `{"level":"debug","for":"-1s"}`, 400, "like 10m"},
		{"/api/v1/loglevel", `[]`, 400, "no JSON object"},
		{"/api/v1/loglevel", `null`, 400, "no JSON object"},
		{"/api/v1/loglevel", `{"level":"debug"}{}`, 400, "no JSON object"},
		{"/api/v1/rates/api", `{}`, 400, "it takes rate"},
		{"/api/v1/rates/api", `{"rate":"often"}`, 400, "rate"},
		{"/api/v1/rates/api", `{"burst":0}`, 400, "burst is"},
		{"/api/v1/rates/", `{"burst":1}`, 404, "/api/v1/rates/NAME"},
		{"/api/v1/pipelines/p/steps/s/workers", `{}`, 400, "workers is"},
		{"/api/v1/pipelines/p/steps/s/workers", `{"workers":1.5}`, 400, "workers is no whole number"},
		{"/api/v1/pipelines/p/skip", `{}`, 400, "it takes key"},
		{"/api/v1/pipelines/p/skip", `{"key":"canary","key_base64":"AA=="}`, 400, "it takes key"},
		{"/api/v1/pipelines/p/skip", `{"key_base64":"canary!"}`, 400, "base64"},
		{"/api/v1/pipelines/p/skip", `{"key":["canary"]}`, 400, "key is no text"},
		{"/api/v1/pipelines/p/skip", `{"record":"orders/3"}`, 400, "topic/partition@offset"},
		{"/api/v1/pipelines/p/skip", `{"record":"orders/-3@1"}`, 400, "topic/partition@offset"},
		{"/api/v1/pipelines/p/skip", `{"record":"/3@1"}`, 400, "topic/partition@offset"},
		{"/api/v1/pipelines/p/skip", `{"record":"orders/3@-1"}`, 400, "topic/partition@offset"},
		{"/api/v1/pipelines/p/skip", `{"record":"orders/3@1","key":"canary"}`, 400, "it takes key"},
		{"/api/v1/pipelines/p/pause", `{"lane":""}`, 400, "lane is empty: name one"},
		{"/api/v1/pipelines/p/resume", `{"lane":null}`, 400, "lane is empty: name one"},
		{"/api/v1/pipelines/p/pause", `{"lane":"t/3","lane":null}`, 400, "lane is empty: name one"},
		{"/api/v1/pipelines/p/pause", `{"Lane":"t/3"}`, 400, `there is no member "Lane" here: there is lane`},
		{"/api/v1/pipelines/p/pause", `{"lane":3}`, 400, "lane is no text"},
		{"/api/v1/pipelines/p/pause?lane=t/3", `{}`, 400, "a command takes no query"},
		{"/api/v1/reload?", `{}`, 400, "a command takes no query"},
		{"/api/v1/pipelines/p/stop", `{}`, 404, "…/drain"},
		{"/api/v1/pipelines/p", `{}`, 404, "…/drain"},
		{"/api/v1/loglevel", `{"level":"` + strings.Repeat("x", largestCommand) + `"}`, 413, "64 KiB"},
	} {
		status, body := post(t, s, tt.path, tt.body, nil)
		if status != tt.status || !strings.Contains(body, strings.ReplaceAll(tt.want, `"`, `\"`)) || strings.Contains(body, "canary") {
			t.Errorf("%s %.60s: %d %s, want %d %s", tt.path, tt.body, status, body, tt.status, tt.want)
		}
	}
	if all := o.taken(); len(all) > 0 {
		t.Errorf("done all the same: %s", asJSON(all))
	}
}

// TestWhatACommandComesTo: a refusal has the status that it says, and another error is 500.
func TestWhatACommandComesTo(t *testing.T) {
	o := &obedient{}
	s := start(t, steerable(o))
	c, err := NewClient(ClientOptions{Address: s.Addr(), Token: steers})
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{404, 409, 422, 501, 500} {
		if o.err = errors.New("it is not so"); status != 500 {
			o.err = &RefusedError{status, o.err}
		}
		var answer *AnswerError
		if _, err := c.Steer(t.Context(), Command{Verb: VerbReload}); !errors.As(err, &answer) || answer.Status != status || answer.Why != "it is not so" {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// TestACommandGoesOnWithoutItsCaller: who leaves does not leave it half done.
func TestACommandGoesOnWithoutItsCaller(t *testing.T) {
	begun, left, seen := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	options := steerable(&obedient{})
	options.Commands.Do = commanderFunc(func(ctx context.Context, _ Command) (Done, error) {
		close(begun)
		<-left
		seen <- ctx.Err()
		return Done{}, nil
	})
	s := start(t, options)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := NewClient(ClientOptions{Address: s.Addr(), Token: steers})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = c.Steer(ctx, Command{Verb: VerbReload})
		close(left)
	}()
	<-begun
	cancel()
	if err := <-seen; err != nil {
		t.Error(err)
	}
}

type commanderFunc func(context.Context, Command) (Done, error)

func (f commanderFunc) Do(ctx context.Context, c Command) (Done, error) { return f(ctx, c) }

// TestWhoSteersASocket: a socket needs no token, and the user who has connected is told.
func TestWhoSteersASocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	o := &obedient{}
	options := healthy()
	options.Listen, options.Commands.Do = "unix:"+filepath.Join(dir, "s"), o
	start(t, options)
	c, err := NewClient(ClientOptions{Address: options.Listen})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Steer(t.Context(), Command{Verb: VerbPause, Pipeline: "p"}); err != nil {
		t.Fatal(err)
	}
	if all := o.taken(); len(all) != 1 || all[0].From != userOfSockets() {
		t.Errorf("told %+v, want from %s", all, userOfSockets())
	}
}

// TestAPortWithoutATokenTakesNoCommands: every user of the machine could steer.
func TestAPortWithoutATokenTakesNoCommands(t *testing.T) {
	options := healthy()
	options.Commands.Do = &obedient{}
	if _, err := New(options); err == nil || !strings.Contains(err.Error(), "commands need a token, or a unix socket") {
		t.Error(err)
	}
	options.Commands.Token = "x y"
	if _, err := New(options); err == nil || !strings.Contains(err.Error(), "the token is none") {
		t.Error(err)
	}
}

// TestWhoAsksIsCut: what a caller says of himself is short and whole text.
func TestWhoAsksIsCut(t *testing.T) {
	for by, want := range map[string]string{"": "", "ada": "ada", strings.Repeat("é", 200): strings.Repeat("é", 63), "a\xff": "a?"} {
		if got := askedBy(&http.Request{Header: http.Header{"Penstock-By": {by}}}); got != want {
			t.Errorf("%.20q: %q", by, got)
		}
	}
}
