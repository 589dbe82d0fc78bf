//go:build real

package kafkatest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// LibsEnv names the folder with Apache Kafka's jars.
const LibsEnv = "PENSTOCK_KAFKA_LIBS"

// User and Password are the SCRAM account of a real cluster.
const (
	User     = "alice"
	Password = "alice-secret"
)

// RealOptions are the settings of a real cluster.
type RealOptions struct {
	Nodes      int // 0: one
	Properties map[string]string
	Heap       string // -Xmx; "": 512m
	// Throughput leaves the JVM's compiler alone. Otherwise it starts faster and runs
	// slower.
	Throughput bool
}

// A Real is a cluster of Apache Kafka in KRaft mode on loopback, in processes of its
// own: a plaintext listener, one with TLS and SCRAM, and one with mutual TLS.
type Real struct {
	dir     string
	certs   Certs
	options RealOptions
	nodes   []*realNode
}

type realNode struct {
	id                      int
	dir                     string
	plain, scram, mtls, ctl int
	mutex                   sync.Mutex
	command                 *exec.Cmd
	done                    chan struct{}
}

// StartReal formats and starts a cluster with its data below dir, and returns when
// every node says that it has started.
func StartReal(ctx context.Context, dir string, o RealOptions) (*Real, error) {
	libs := os.Getenv(LibsEnv)
	if libs == "" {
		return nil, fmt.Errorf("starting Apache Kafka: %s is not set to the folder with its jars; run make test-real, which sets it", LibsEnv)
	}
	certs, err := MakeCerts(filepath.Join(dir, "certs"))
	if err != nil {
		return nil, err
	}
	o.Nodes = max(o.Nodes, 1)
	r := &Real{dir: dir, certs: certs, options: o}
	ports, err := freePorts(4 * o.Nodes)
	if err != nil {
		return nil, err
	}
	for i := range o.Nodes {
		r.nodes = append(r.nodes, &realNode{
			id: i + 1, dir: filepath.Join(dir, fmt.Sprintf("node-%d", i+1)),
			plain: ports[4*i], scram: ports[4*i+1], mtls: ports[4*i+2], ctl: ports[4*i+3],
		})
	}
	for _, n := range r.nodes {
		if err := r.format(ctx, n); err != nil {
			return nil, err
		}
	}
	failed := make(chan error, len(r.nodes))
	for _, n := range r.nodes {
		go func() { failed <- r.start(ctx, n) }()
	}
	for range r.nodes {
		err = errors.Join(err, <-failed)
	}
	if err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

// Addrs are the plaintext addresses, one a node.
func (r *Real) Addrs() []string { return r.addrs(func(n *realNode) int { return n.plain }) }

// ScramAddrs are the addresses that want TLS and SCRAM-SHA-512.
func (r *Real) ScramAddrs() []string { return r.addrs(func(n *realNode) int { return n.scram }) }

// MutualAddrs are the addresses that want a client certificate.
func (r *Real) MutualAddrs() []string { return r.addrs(func(n *realNode) int { return n.mtls }) }

// Certs are the certificates in use.
func (r *Real) Certs() Certs { return r.certs }

func (r *Real) addrs(port func(*realNode) int) []string {
	var a []string
	for _, n := range r.nodes {
		a = append(a, fmt.Sprintf("127.0.0.1:%d", port(n)))
	}
	return a
}

// Kill ends node id (from 1) with SIGKILL.
func (r *Real) Kill(id int) {
	n := r.nodes[id-1]
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.command != nil {
		_ = n.command.Process.Signal(syscall.SIGKILL)
		<-n.done
		n.command = nil
	}
}

// Freeze stops node id (from 1) with SIGSTOP: its connections stay open and nothing is
// answered, until Thaw.
func (r *Real) Freeze(id int) { r.signal(id, syscall.SIGSTOP) }

// Thaw lets a frozen node go on.
func (r *Real) Thaw(id int) { r.signal(id, syscall.SIGCONT) }

func (r *Real) signal(id int, s syscall.Signal) {
	n := r.nodes[id-1]
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.command != nil {
		_ = n.command.Process.Signal(s)
	}
}

// Process gives the process id of node id (from 1), 0 when it was killed.
func (r *Real) Process(id int) int {
	n := r.nodes[id-1]
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.command == nil {
		return 0
	}
	return n.command.Process.Pid
}

// Restart starts a killed node again, with its data.
func (r *Real) Restart(ctx context.Context, id int) error { return r.start(ctx, r.nodes[id-1]) }

// Stop ends all nodes at once: the cluster is thrown away.
func (r *Real) Stop() {
	for _, n := range r.nodes {
		r.Kill(n.id)
	}
}

func (r *Real) format(ctx context.Context, n *realNode) error {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(n.dir, "server.properties"), []byte(r.properties(n)), 0o600); err != nil {
		return err
	}
	const log4j = `Configuration:
  Appenders:
    Console:
      name: out
      PatternLayout: {pattern: "%d %p %c{1} %m%n"}
  Loggers:
    Root: {level: warn, AppenderRef: {ref: out}}
    Logger:
      - {name: kafka.server.KafkaRaftServer, level: info}
`
	if err := os.WriteFile(filepath.Join(n.dir, "log4j2.yaml"), []byte(log4j), 0o600); err != nil {
		return err
	}
	args := []string{"format", "-t", "cGVuc3RvY2t0ZXN0dXVpZA", "-c", "server.properties",
		"--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", User, Password)}
	if r.options.Nodes == 1 {
		args = append(args, "--standalone")
	}
	c := r.java(ctx, n, "kafka.tools.StorageTool", args...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("formatting node %d: %w\n%s", n.id, err, out)
	}
	return nil
}

func (r *Real) java(ctx context.Context, n *realNode, class string, args ...string) *exec.Cmd {
	heap := r.options.Heap
	if heap == "" {
		heap = "512m"
	}
	flags := []string{"-Xmx" + heap, "-XX:+UseSerialGC", "-Dlog4j2.configurationFile=log4j2.yaml", "-cp", filepath.Join(os.Getenv(LibsEnv), "*")}
	if !r.options.Throughput {
		flags = append([]string{"-XX:TieredStopAtLevel=1"}, flags...)
	}
	c := exec.CommandContext(ctx, "java", append(append(flags, class), args...)...)
	c.Dir = n.dir
	// The broker must not outlive the test that started it.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

func (r *Real) start(ctx context.Context, n *realNode) error {
	c := r.java(context.WithoutCancel(ctx), n, "kafka.Kafka", "server.properties")
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	c.Stderr = c.Stdout
	logFile, err := os.OpenFile(filepath.Join(n.dir, "kafka.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	started, ready, done := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer logFile.Close()
		// The kernel ties the child's death signal to the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.Start()
		started <- err
		if err != nil {
			return
		}
		follow(out, logFile, ready)
		_ = c.Wait()
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting node %d: %w; Java 17 or later must be on PATH", n.id, err)
	}
	n.mutex.Lock()
	n.command, n.done = c, done
	n.mutex.Unlock()
	select {
	case <-ready:
		return nil
	case <-done:
		text, _ := os.ReadFile(logFile.Name())
		return fmt.Errorf("starting node %d: it ended\n%s", n.id, tail(text, 3000))
	case <-ctx.Done():
		return fmt.Errorf("starting node %d: %w", n.id, ctx.Err())
	}
}

// follow copies a broker's output to its log and closes ready at the line that says
// that the broker serves.
func follow(out io.Reader, logFile io.Writer, ready chan<- struct{}) {
	lines, waiting := bufio.NewReader(out), true
	for {
		line, err := lines.ReadString('\n')
		_, _ = io.WriteString(logFile, line)
		if waiting && strings.Contains(line, "Kafka Server started") {
			waiting = false
			close(ready)
		}
		if err != nil {
			return
		}
	}
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

func (r *Real) properties(n *realNode) string {
	factor := min(r.options.Nodes, 3)
	p := map[string]string{
		"process.roles": "broker,controller",
		"node.id":       fmt.Sprint(n.id),
		"log.dirs":      filepath.Join(n.dir, "data"),
		"listeners": fmt.Sprintf("PLAIN://127.0.0.1:%d,SCRAM://127.0.0.1:%d,MUTUAL://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d",
			n.plain, n.scram, n.mtls, n.ctl),
		"advertised.listeners": fmt.Sprintf("PLAIN://127.0.0.1:%d,SCRAM://127.0.0.1:%d,MUTUAL://127.0.0.1:%d",
			n.plain, n.scram, n.mtls),
		"listener.security.protocol.map": "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,MUTUAL:SSL",
		"inter.broker.listener.name":     "PLAIN",
		"controller.listener.names":      "CONTROLLER",

		"sasl.enabled.mechanisms":                            "SCRAM-SHA-512",
		"listener.name.scram.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"ssl.keystore.type":                                  "PEM",
		"ssl.keystore.location":                              r.certs.ServerPair,
		"ssl.truststore.type":                                "PEM",
		"ssl.truststore.location":                            r.certs.CA,
		"listener.name.mutual.ssl.client.auth":               "required",
		"authorizer.class.name":                              "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":                                        "User:ANONYMOUS",
		"allow.everyone.if.no.acl.found":                     "true",

		"group.initial.rebalance.delay.ms":                 "0",
		"offsets.topic.num.partitions":                     "4",
		"offsets.topic.replication.factor":                 fmt.Sprint(factor),
		"transaction.state.log.num.partitions":             "4",
		"transaction.state.log.replication.factor":         fmt.Sprint(factor),
		"transaction.state.log.min.isr":                    fmt.Sprint(min(factor, 2)),
		"share.coordinator.state.topic.num.partitions":     "1",
		"share.coordinator.state.topic.replication.factor": fmt.Sprint(factor),
		"share.coordinator.state.topic.min.isr":            fmt.Sprint(min(factor, 2)),
		"default.replication.factor":                       fmt.Sprint(factor),
		"min.insync.replicas":                              fmt.Sprint(min(factor, 2)),
		"log.cleaner.dedupe.buffer.size":                   "8388608",
		"log.cleaner.backoff.ms":                           "500",
		"broker.session.timeout.ms":                        "6000",
		"auto.create.topics.enable":                        "false",
	}
	if r.options.Nodes == 1 {
		p["controller.quorum.bootstrap.servers"] = fmt.Sprintf("127.0.0.1:%d", n.ctl)
	} else {
		var voters []string
		for _, v := range r.nodes {
			voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", v.id, v.ctl))
		}
		p["controller.quorum.voters"] = strings.Join(voters, ",")
	}
	maps.Copy(p, r.options.Properties)
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", k, p[k])
	}
	return b.String()
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// Closed only at the end, so that no port comes twice.
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// startupTimeout is generous: three JVMs start on two busy cores.
const startupTimeout = 3 * time.Minute
