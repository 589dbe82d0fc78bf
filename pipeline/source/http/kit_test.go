package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A mailbag is a source under test with a client that posts values one after another, each again until it is answered 200. The source
// ends when all are.
type mailbag struct {
	*Source
	left   *[]string // over a restart
	sent   chan struct{}
	ctx    context.Context
	cancel context.CancelCauseFunc
	first  sync.Once
	quit   context.CancelFunc
	client sync.WaitGroup
}

func (m *mailbag) Open(ctx context.Context, f pipeline.Feed) error {
	if err := m.Source.Open(ctx, f); err != nil {
		return err
	}
	ctx, m.quit = context.WithCancel(context.Background())
	m.client.Go(func() {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for ; len(*m.left) > 0; *m.left = (*m.left)[1:] {
			for !m.post(client, (*m.left)[0]) {
				if ctx.Err() != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}
		close(m.sent)
	})
	return nil
}

func (m *mailbag) post(client *http.Client, value string) bool {
	req, err := http.NewRequest(http.MethodPost, "http://"+m.server.Addr()+"/records", strings.NewReader(value))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}

func (m *mailbag) Read(ctx context.Context) (*pipeline.Batch, error) {
	m.first.Do(func() {
		m.ctx, m.cancel = context.WithCancelCause(ctx)
		m.client.Go(func() {
			select {
			case <-m.sent:
				m.cancel(io.EOF)
			case <-m.ctx.Done():
			}
		})
	})
	b, err := m.Source.Read(m.ctx)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(m.ctx), io.EOF) {
		err = io.EOF
	}
	return b, err
}

func (m *mailbag) Close(ctx context.Context) error {
	err := m.Source.Close(ctx)
	if m.quit != nil {
		m.quit()
	}
	m.client.Wait()
	return err
}

func TestSourceConforms(t *testing.T) {
	pipelinetest.Source(t, func(t *testing.T) pipelinetest.SourceUnderTest {
		var values []string
		for i := range 300 {
			values = append(values, fmt.Sprintf(`{"n":%d}`, i))
		}
		for i := range 10 {
			values = append(values, fmt.Sprintf(`{"wide":%d,"x":"%s"}`, i, strings.Repeat("x", 100<<10)))
		}
		left := values
		s := Defaults()
		s.Listen, s.Lanes = "127.0.0.1:0", 1
		return pipelinetest.SourceUnderTest{
			New: func() (pipeline.Source, error) {
				src, err := New(s, "orders")
				return &mailbag{Source: src, left: &left, sent: make(chan struct{})}, err
			},
			Lanes:   map[string][]string{"orders/0": values},
			Resumes: true,
		}
	})
}
