package kafkatest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Wire stands between clients and the brokers of a cluster and disturbs what goes over it,
// request by request: see Fault. It understands the frames of Kafka's protocol, so that it can
// set a code in an answer, deliver a request late or lose its answer, while nothing is wrong with
// the broker. It is safe for concurrent use and works in virtual time with a Virtual cluster.
type Wire struct {
	cluster *Cluster
	decide  func(*Call) Fault
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	work    sync.WaitGroup

	mu     sync.Mutex
	closed bool
	killed map[string]bool // clients that were killed, and reach nothing any more
	links  map[*link]struct{}
	sent   map[callCount]int
}

type callCount struct {
	client string
	key    int16
}

// A Call is one request of a client.
type Call struct {
	Client string       // the name that it dials under
	Broker string       // the address that it dialled
	N      int          // how many requests of this key the client has sent before
	Req    kmsg.Request // not to be changed

	left chan struct{} // closed when the client has left
}

// Left says whether the client has closed the connection, or is about to.
func (c *Call) Left() bool {
	select {
	case <-c.left:
		return true
	default:
		return false
	}
}

// A BreakAt says where a connection ends.
type BreakAt int

// Where a connection may end.
const (
	BreakNowhere BreakAt = iota
	BreakRequest         // the broker never sees the request
	BreakAnswer          // the broker has done what was asked; the answer is lost
	BreakMidway          // as BreakAnswer, after some bytes of the answer
)

// A Fault is what befalls a call. Its parts go together; the zero value is none.
type Fault struct {
	// DelayRequest is how long the request is kept back. It is delivered even if the client has
	// left meanwhile, unless Unless returns true by then.
	DelayRequest time.Duration
	Unless       func(*Call) bool
	// Swallow loses the request; the connection stays open, and nothing more comes.
	Swallow bool
	// Answer is given in the broker's place, which does not see the request.
	Answer kmsg.Response
	// Seen is called with the broker's true answer, before Edit.
	Seen func(*Call, kmsg.Response)
	// Edit changes the answer on its way to the client.
	Edit func(kmsg.Response)
	// DelayAnswer is how long the answer is kept back.
	DelayAnswer time.Duration
	// Break is where the connection ends.
	Break BreakAt
}

// NewWire puts a wire before a cluster. decide is asked once for every request, from
// several goroutines. The wire is closed by the test's cleanup, if not by Close.
func NewWire(t T, c *Cluster, decide func(*Call) Fault) *Wire {
	w := &Wire{cluster: c, decide: decide, killed: map[string]bool{}, links: map[*link]struct{}{}, sent: map[callCount]int{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	t.Cleanup(w.Close)
	return w
}

// Dial gives the dialer of one client.
func (w *Wire) Dial(client string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		w.mu.Lock()
		dead := w.closed || w.killed[client]
		w.mu.Unlock()
		if dead {
			return nil, errors.New("dialling: the wire is cut")
		}
		broker, err := w.cluster.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		near, far := net.Pipe()
		l := &link{w: w, client: client, address: address, near: near, broker: broker, left: make(chan struct{})}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.closed || w.killed[client] {
			l.close()
			_ = far.Close()
			return nil, errors.New("dialling: the wire is cut")
		}
		w.links[l] = struct{}{}
		frames := make(chan []byte)
		w.work.Go(func() { l.listen(frames) })
		w.work.Go(func() { l.relay(frames) })
		return far, nil
	}
}

// Kill ends a client's connections for good, as the end of its process does. Requests of its that
// are delayed are still delivered.
func (w *Wire) Kill(client string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.killed[client] = true
	for l := range w.links {
		if l.client == client {
			_ = l.near.Close()
		}
	}
}

// Break ends the connections of a client to a broker's address; "" stands for any.
func (w *Wire) Break(client, address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.links {
		if (client == "" || l.client == client) && (address == "" || l.address == address) {
			_ = l.near.Close()
		}
	}
}

// Close ends all connections and drops what is delayed. It waits until nothing of the
// wire runs.
func (w *Wire) Close() {
	w.mu.Lock()
	w.closed = true
	for l := range w.links {
		l.close()
	}
	w.mu.Unlock()
	w.cancel()
	w.work.Wait()
}

func (w *Wire) sleep(d time.Duration) bool {
	if d <= 0 {
		return w.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

func (w *Wire) call(l *link, req kmsg.Request) *Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := callCount{l.client, req.Key()}
	c := &Call{Client: l.client, Broker: l.address, N: w.sent[at], Req: req, left: l.left}
	w.sent[at]++
	return c
}

// A link is one connection: the client's end, near, and the broker's.
type link struct {
	w               *Wire
	client, address string
	near, broker    net.Conn
	left            chan struct{} // closed when the client has left
}

func (l *link) close() {
	_ = l.near.Close()
	_ = l.broker.Close()
}

// listen reads the client's requests until it leaves.
func (l *link) listen(frames chan<- []byte) {
	defer close(frames)
	defer close(l.left)
	for {
		b, err := readFrame(l.near)
		if err != nil {
			return
		}
		select {
		case frames <- b:
		case <-l.w.ctx.Done():
			return
		}
	}
}

// relay passes requests on, one after the other, as a broker takes them.
func (l *link) relay(frames <-chan []byte) {
	w := l.w
	for b := range frames {
		if !l.serve(b) {
			break
		}
	}
	w.mu.Lock()
	delete(w.links, l)
	w.mu.Unlock()
	l.close()
	for range frames { // lets listen end
	}
}

// serve carries out one request, and says whether the connection goes on.
func (l *link) serve(b []byte) bool {
	w := l.w
	req, correlation, err := readRequest(b)
	if err != nil {
		return false
	}
	c := w.call(l, req)
	f := w.decide(c)
	if !w.sleep(f.DelayRequest) {
		return false
	}
	if f.Swallow {
		select {
		case <-l.left:
		case <-w.ctx.Done():
		}
		return false
	}
	if f.Break == BreakRequest || f.Unless != nil && f.Unless(c) {
		return false
	}
	if f.Answer != nil {
		f.Answer.SetVersion(req.GetVersion())
		return w.sleep(f.DelayAnswer) && l.answer(appendResponse(correlation, f.Answer), f.Break)
	}
	if err := writeFrame(l.broker, b); err != nil {
		return false
	}
	reply, err := readFrame(l.broker)
	if err != nil {
		return false
	}
	if f.Seen != nil || f.Edit != nil {
		resp, err := readResponse(req, reply)
		if err != nil {
			return false
		}
		if f.Seen != nil {
			f.Seen(c, resp)
		}
		if f.Edit != nil {
			f.Edit(resp)
			reply = appendResponse(correlation, resp)
		}
	}
	return w.sleep(f.DelayAnswer) && l.answer(reply, f.Break)
}

func (l *link) answer(b []byte, where BreakAt) bool {
	switch where {
	case BreakAnswer:
		return false
	case BreakMidway:
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(b)))
		_, _ = l.near.Write(append(size[:], b[:len(b)/2]...))
		return false
	}
	return writeFrame(l.near, b) == nil
}

// maxFrame is more than any request or answer of a test has.
const maxFrame = 64 << 20

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, errors.New("reading a frame: it is too long")
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...))
	return err
}

func readRequest(b []byte) (req kmsg.Request, correlation int32, err error) {
	r := kbin.Reader{Src: b}
	key, version := r.Int16(), r.Int16()
	correlation = r.Int32()
	r.NullableString() // client id
	if req = kmsg.RequestForKey(key); req == nil || !r.Ok() {
		return nil, 0, errors.New("reading a request: its header makes no sense")
	}
	req.SetVersion(version)
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	return req, correlation, req.ReadFrom(r.Src)
}

// flexibleHeader: ApiVersions alone is answered without tags in the header.
func flexibleHeader(resp kmsg.Response) bool {
	return resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions)
}

func readResponse(req kmsg.Request, b []byte) (kmsg.Response, error) {
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	r := kbin.Reader{Src: b}
	r.Int32() // correlation
	if flexibleHeader(resp) {
		kmsg.SkipTags(&r)
	}
	if !r.Ok() {
		return nil, errors.New("reading an answer: its header makes no sense")
	}
	return resp, resp.ReadFrom(r.Src)
}

func appendResponse(correlation int32, resp kmsg.Response) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(correlation))
	if flexibleHeader(resp) {
		b = append(b, 0)
	}
	return resp.AppendTo(b)
}
