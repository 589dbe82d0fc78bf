package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/secretfiles"
)

// A tokenServer answers requests for tokens without a network.
type tokenServer struct {
	asked atomic.Int64
	do    func(n int64, r *http.Request) (status int, body string)
}

func (s *tokenServer) RoundTrip(r *http.Request) (*http.Response, error) {
	n := s.asked.Add(1)
	status, body := s.do(n, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// hang waits until the request is given up.
func hang(r *http.Request) (int, string) {
	<-r.Context().Done()
	return 0, ""
}

func token(n int64) string {
	return fmt.Sprintf(`{"access_token":"%d","token_type":"bearer","expires_in":300}`, n)
}

func fakeTokens(t *testing.T, do func(n int64, r *http.Request) (int, string)) (*tokens, *tokenServer) {
	s := &tokenServer{do: do}
	secret, err := secretfiles.Open(secretfiles.Options{Literal: canary})
	if err != nil {
		t.Fatal(err)
	}
	tk := newTokens(&OAuth2Auth{TokenURL: "https://id.test/token", ClientID: "me", ClientSecret: canary}, secret, s, "getting a token from https://id.test")
	t.Cleanup(tk.close)
	return tk, s
}

// Whoever needs a token while one is asked for waits for that one, and it is renewed before it ends,
// without anybody's waiting.
func TestTokensAreRenewedBeforeTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tk, s := fakeTokens(t, func(n int64, r *http.Request) (int, string) {
			time.Sleep(time.Second)
			return 200, token(n)
		})
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if v, err := tk.value(t.Context()); err != nil || v != "Bearer 1" {
					t.Errorf("%s %v", v, err)
				}
			})
		}
		wg.Wait()
		if n := s.asked.Load(); n != 1 {
			t.Fatalf("%d requests for 64 calls at once", n)
		}
		// One call a second for an hour: none of them waits, each has a token that is good.
		waited := 0
		for range 3600 {
			time.Sleep(time.Second)
			began := time.Now()
			if _, err := tk.value(t.Context()); err != nil {
				t.Fatal(err)
			}
			if time.Since(began) > 0 {
				waited++
			}
		}
		synctest.Wait()
		t.Logf("%d requests for an hour of tokens of five minutes, %d calls waited", s.asked.Load(), waited)
		if n := s.asked.Load(); waited != 0 || n < 3600/300 || n > 3600/240+2 {
			t.Errorf("%d calls waited, %d requests", waited, n)
		}
		// Idle for an hour: nothing is asked for meanwhile, and then the token is over.
		before := s.asked.Load()
		time.Sleep(time.Hour)
		if s.asked.Load() != before {
			t.Error("tokens are got that nobody needs")
		}
		if v, err := tk.value(t.Context()); err != nil || v != fmt.Sprintf("Bearer %d", before+1) {
			t.Errorf("%s %v", v, err)
		}
	})
}

// A server of tokens that is down costs nothing while the token that is there is good, and is
// asked once a second at most.
func TestTokenServerThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		tk, s := fakeTokens(t, func(n int64, r *http.Request) (int, string) {
			if down {
				return 503, canary
			}
			return 200, token(n)
		})
		if _, err := tk.value(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(241 * time.Second) // renewed from 240 s on
		down = true
		for range 500 {
			time.Sleep(100 * time.Millisecond)
			if v, err := tk.value(t.Context()); err != nil || v != "Bearer 1" {
				t.Fatalf("%s %v", v, err)
			}
		}
		if n := s.asked.Load(); n < 20 || n > 55 {
			t.Errorf("%d requests in 50 s", n)
		}
		time.Sleep(10 * time.Second)
		_, err := tk.value(t.Context())
		is(t, err, TypeAuth, false)
		if err.Error() != "getting a token from https://id.test: answered status 503" {
			t.Error(err)
		}
		down = false
		if _, err := tk.value(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// One that hangs holds a call for as long as the call has, and is given up after its own time.
func TestTokenServerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tk, s := fakeTokens(t, func(n int64, r *http.Request) (int, string) {
			if n <= 2 { // both ways of sending the secret
				return hang(r)
			}
			return 200, token(n)
		})
		began := time.Now()
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			_, err := tk.value(ctx)
			cancel()
			is(t, err, TypeTimeout, false)
			if err.Error() != "getting a token from https://id.test: no answer within 2s" {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("three calls of 2 s took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := tk.value(ctx)
		is(t, err, TypeTimeout, false)
		if took := time.Since(began); took != tokenLimit {
			t.Errorf("it was given up after %v", took)
		}
		stopped, stop := context.WithCancel(t.Context())
		stop()
		if v, err := tk.value(ctx); err != nil || v != fmt.Sprintf("Bearer %d", s.asked.Load()) {
			t.Errorf("%s %v", v, err)
		}
		tk.refused("Bearer 3")
		_, err = tk.value(stopped)
		is(t, err, TypeCanceled, false)
	})
}

// A refused token is got anew at once, one for all who were refused it; a server that refuses every
// token is not asked for one with each call.
func TestRefusedTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tk, s := fakeTokens(t, func(n int64, r *http.Request) (int, string) { return 200, token(n) })
		value := func() string {
			t.Helper()
			v, err := tk.value(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		first := value()
		for range 64 {
			if !tk.refused(first) {
				t.Fatal("no second attempt")
			}
		}
		if second := value(); second != "Bearer 2" || !tk.refused(first) || value() != second {
			t.Errorf("then it is %s", second)
		}
		for range 600 { // a minute
			tk.refused(value())
			time.Sleep(100 * time.Millisecond)
		}
		if n := s.asked.Load(); n > 2+6 {
			t.Errorf("%d tokens in a minute of refusals", n)
		}
	})
}

// What a server of tokens may answer, and that no text shows the secret, even when it comes back.
func TestTokenErrors(t *testing.T) {
	for body, tt := range map[string]struct {
		status int
		want   string
	}{
		`{"error":"invalid_client","error_description":"` + canary + `"}`: {401, "answered status 401 (invalid_client)"},
		`{"error":"` + canary + ` is wrong"}`:                             {400, "answered status 400"},
		`{"error":"invalid_scope"}`:                                       {200, "answered status 200 (invalid_scope)"},
		canary:                                                            {502, "answered status 502"},
		`{"error":"slow_down"}`:                                           {429, "answered status 429 (slow_down)"},
		"<html>" + canary:                                                 {200, "the answer holds no token"},
		`{}`:                                                              {200, "the answer holds no token"},
		`{"access_token":"a\nb","token_type":"bearer"}`: {200, "the answer holds no token"},
		"":                         {302, "answered status 302"},
		strings.Repeat(" ", 2<<20): {200, "the answer holds no token"},
	} {
		synctest.Test(t, func(t *testing.T) {
			tk, _ := fakeTokens(t, func(int64, *http.Request) (int, string) { return tt.status, body })
			_, err := tk.value(t.Context())
			is(t, err, TypeAuth, false)
			var failed *Error
			if !errors.As(err, &failed) || failed.AsksToWait() { // not the server that is called
				t.Errorf("%.40s: %v asks to wait", body, err)
			}
			if err.Error() != "getting a token from https://id.test: "+tt.want || strings.Contains(fmt.Sprintf("%+v", err), canary) {
				t.Errorf("%.40s: %v", body, err)
			}
		})
	}
}

// Over connections: what is sent, once more after a 401 and with the secret as it is by then, and with
// the TLS settings of the calls.
func TestOAuth2(t *testing.T) {
	var mu sync.Mutex
	var forms []string
	secretNow, good, issued := "one", "", 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/token" {
			if r.Header.Get("Authorization") != "Bearer "+good {
				w.WriteHeader(401)
			}
			body, _ := io.ReadAll(r.Body)
			_, _ = w.Write(body)
			return
		}
		_ = r.ParseForm()
		forms = append(forms, r.PostForm.Encode()+" "+r.Header.Get("User-Agent"))
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("me:"+secretNow)) {
			w.WriteHeader(401)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		issued++
		good = fmt.Sprint("t", issued)
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"bearer","expires_in":3600}`, good)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	path := keyFile(t, "one")
	trust := s.Client().Transport.(*http.Transport).TLSClientConfig
	h := newHTTP(t, HTTPOptions{TLS: trust, Agent: "tester", Auth: &Auth{OAuth2: &OAuth2Auth{
		TokenURL: s.URL + "/token", ClientID: "me", ClientSecretFile: path, Scopes: []string{"read", "write"}, Audience: "api"}}})
	call := func() *Answer {
		t.Helper()
		a, err := h.Do(t.Context(), Request{Method: "POST", URL: s.URL, Body: []byte("body")})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if a, err := h.Do(t.Context(), Request{Method: "POST", URL: s.URL, Body: []byte("body")}); err != nil || a.Status != 200 || string(a.Body) != "body" {
				t.Errorf("%v %+v", err, a)
			}
		})
	}
	wg.Wait()
	if len(forms) != 1 || forms[0] != "audience=api&grant_type=client_credentials&scope=read+write tester" {
		t.Errorf("sent for tokens: %q", forms)
	}
	mu.Lock()
	good = "" // taken back
	mu.Unlock()
	for range 64 {
		wg.Go(func() {
			if a, err := h.Do(t.Context(), Request{Method: "POST", URL: s.URL, Body: []byte("body")}); err != nil || a.Status != 200 || string(a.Body) != "body" {
				t.Errorf("%v %+v", err, a)
			}
		})
	}
	wg.Wait()
	if issued != 2 {
		t.Errorf("%d tokens after all were refused one", issued)
	}
	// The secret is another one by now.
	mu.Lock()
	good, secretNow = "", "two"
	mu.Unlock()
	if err := os.WriteFile(string(path), []byte("two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tk := h.auth.(*tokens)
	tk.secret.Expire()
	tk.mu.Lock()
	tk.renewed = time.Time{}
	tk.mu.Unlock()
	if a := call(); a.Status != 200 || issued != 3 {
		t.Errorf("%+v, %d tokens", a, issued)
	}
	// Without the authority there is no token, and no call.
	strict := newHTTP(t, HTTPOptions{Auth: &Auth{OAuth2: &OAuth2Auth{TokenURL: s.URL + "/token", ClientID: "me", ClientSecret: canary}}})
	_, err := get(t, strict, s.URL)
	is(t, err, TypeTLS, false)
	if !strings.HasPrefix(err.Error(), "getting a token from https://127.0.0.1:") || strings.Contains(err.Error(), canary) {
		t.Error(err)
	}
}
