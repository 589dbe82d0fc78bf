package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// largestEvent is how many bytes a line of a stream may have: a record of a tap, whose value is written as base64, twice over.
const largestEvent = 1 << 20

// Stream asks for a path that answers with server-sent events, and calls each for one after the other, until the stream ends, each
// gives an error, or ctx ends. by is who asks, as he says; "": he does not. It gives that error, and else those of Get; nil: the endpoint has ended the stream.
// The beginning of the answer has to come within 10 seconds, and then something within a minute.
func (c *Client) Stream(ctx context.Context, path, by string, each func(event string, data []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(clientPatience, func() { cancel(errNoAnswer) })
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return fmt.Errorf("asking the admin endpoint at %s for %s: %w", c.address, path, err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if by != "" {
		req.Header.Set(headerBy, by)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	path, _, _ = strings.Cut(path, "?") // for messages: the query may quote what is looked for
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, largestEvent))
		if err != nil {
			return c.unreachable(ctx, path, err)
		}
		return c.refused(path, resp.StatusCode, body, new(struct{}))
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return c.foreign(path, fmt.Errorf("the answer is no stream of events"))
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, largestEvent)
	event := ""
	for lines.Scan() {
		silence.Reset(streamSilence)
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			event = name
			continue
		}
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		silence.Stop()
		if err := each(event, []byte(data)); err != nil {
			return err
		}
		silence.Reset(streamSilence)
	}
	if err := lines.Err(); err != nil {
		return c.unreachable(ctx, path, err)
	}
	return nil
}

// streamSilence is how long a stream may say nothing.
const streamSilence = time.Minute
