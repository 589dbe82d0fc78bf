package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A redisKey is one line of answers/redis.jsonl: what a case's Redis holds at a key.
type redisKey struct {
	Key   *string                    `json:"key"`
	Value json.RawMessage            `json:"value"` // a string is held as it is, anything else as JSON; null: nothing is there
	Hash  map[string]json.RawMessage `json:"hash"`  // likewise, by field
}

// A held is what stands at a key.
type held struct {
	hash   bool
	text   string
	fields []string // of a hash: names and texts in turn, by name
}

const redisForm = `a line is {"key": "user:1", "value": …} or {"key": "user:1", "hash": {"name": …}}`

func readRedisKey(line []byte) (key string, h held, there bool, err error) {
	var k redisKey
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&k); err != nil || k.Key == nil || (k.Value == nil) == (k.Hash == nil) {
		return "", held{}, false, errors.New(redisForm)
	}
	if _, err := dec.Token(); err != io.EOF {
		return "", held{}, false, errors.New("there is more behind the object; it is one a line")
	}
	text := func(raw json.RawMessage) string {
		if raw[0] == '"' {
			return jsontext.Unquote(raw)
		}
		return string(raw)
	}
	if k.Hash == nil {
		return *k.Key, held{text: text(k.Value)}, string(k.Value) != "null", nil
	}
	h.hash = true
	var names []string
	for name := range k.Hash {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		h.fields = append(h.fields, name, text(k.Hash[name]))
	}
	return *k.Key, h, len(names) > 0, nil
}

// A redisServer is a Redis on loopback that holds what a file says, and is read from alone.
type redisServer struct {
	address string
	listen  net.Listener
	all     sync.WaitGroup

	holds  map[string]held
	noFile bool

	mu     sync.Mutex
	asked  bool
	closed bool
	conns  map[net.Conn]bool
}

// serveRedis reads the file and listens. The caller closes the server. Without the file it is one that holds nothing.
func serveRedis(file string) (*redisServer, error) {
	s := &redisServer{holds: map[string]held{}, conns: map[net.Conn]bool{}}
	if err := s.read(file); err != nil {
		return nil, err
	}
	var err error
	if s.listen, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("serving %s: %w", file, err)
	}
	s.address = s.listen.Addr().String()
	s.all.Go(s.accept)
	return s, nil
}

func (s *redisServer) read(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		s.noFile = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading answers: %w", err)
	}
	n := 0
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if n++; len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		key, h, there, err := readRedisKey(bytes.TrimSpace(line))
		if _, twice := s.holds[key]; err == nil && twice {
			err = errors.New("the key stands in a line before")
		}
		if err != nil {
			return fmt.Errorf("reading answers: %s:%d: %w", file, n, err)
		}
		if there {
			s.holds[key] = h
		}
	}
	return nil
}

func (s *redisServer) accept() {
	for {
		conn, err := s.listen.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		closed := s.closed // close has not seen this one
		s.conns[conn] = true
		s.mu.Unlock()
		if closed {
			_ = conn.Close()
			return
		}
		s.all.Go(func() {
			s.serve(conn)
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
			_ = conn.Close()
		})
	}
}

// serve answers the commands of a connection until it ends.
func (s *redisServer) serve(conn net.Conn) {
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	for {
		args, err := readCommand(in)
		if err != nil {
			return
		}
		_, _ = out.Write(s.answer(args))
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

// readCommand reads an array of texts.
func readCommand(in *bufio.Reader) (args []string, err error) {
	number := func(kind byte) (int, error) {
		line, err := in.ReadString('\n')
		if err != nil || len(line) < 2 || line[0] != kind {
			return 0, errors.Join(err, errors.New("no command"))
		}
		n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
		if n < 0 || n > 64<<20 {
			err = errors.New("no command")
		}
		return n, err
	}
	n, err := number('*')
	for range n {
		size, err := number('$')
		if err != nil {
			return nil, err
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(in, text); err != nil {
			return nil, err
		}
		args = append(args, string(text[:size]))
	}
	return args, err
}

const wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"

// answer gives what the server says to a command.
func (s *redisServer) answer(args []string) []byte {
	if len(args) == 0 {
		return []byte("-ERR no command\r\n")
	}
	switch command := strings.ToUpper(args[0]); {
	case command == "PING":
		return []byte("+PONG\r\n")
	case command == "AUTH", command == "SELECT", command == "CLIENT":
		return []byte("+OK\r\n")
	case command == "MGET" && len(args) > 1:
		s.note()
		out := fmt.Appendf(nil, "*%d\r\n", len(args)-1)
		for _, key := range args[1:] {
			h, there := s.holds[key]
			out = appendBulk(out, h.text, there && !h.hash)
		}
		return out
	case command == "GET" && len(args) == 2, command == "HGET" && len(args) == 3, command == "HGETALL" && len(args) == 2:
		s.note()
		h, there := s.holds[args[1]]
		switch {
		case there && h.hash != (command != "GET"):
			return []byte(wrongType)
		case command == "GET":
			return appendBulk(nil, h.text, there)
		case command == "HGETALL":
			out := fmt.Appendf(nil, "*%d\r\n", len(h.fields))
			for _, f := range h.fields {
				out = appendBulk(out, f, true)
			}
			return out
		}
		for i := 0; i < len(h.fields); i += 2 {
			if h.fields[i] == args[2] {
				return appendBulk(nil, h.fields[i+1], true)
			}
		}
		return appendBulk(nil, "", false)
	}
	return []byte("-ERR unknown command\r\n")
}

func appendBulk(out []byte, text string, there bool) []byte {
	if !there {
		return append(out, "$-1\r\n"...)
	}
	return fmt.Appendf(out, "$%d\r\n%s\r\n", len(text), text)
}

// note takes down that somebody has looked something up.
func (s *redisServer) note() {
	s.mu.Lock()
	s.asked = true
	s.mu.Unlock()
}

// missing says that keys were looked up, and there is no file that says what is there.
func (s *redisServer) missing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked && s.noFile
}

// hideAddress puts ${REDIS} in place of the server's address, which has another port in each run.
func (s *redisServer) hideAddress(text []byte) []byte {
	if !bytes.Contains(text, []byte(s.address)) {
		return text
	}
	return bytes.ReplaceAll(text, []byte(s.address), []byte("${REDIS}"))
}

func (s *redisServer) close() {
	_ = s.listen.Close()
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}
