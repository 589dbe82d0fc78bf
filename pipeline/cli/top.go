package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/top"
)

// A topSession is what top was told to look at, and how.
type topSession struct {
	where        endpointFlags // but for its address
	addrs        []string
	logs         []string
	follow       bool
	once, asJSON bool
	every        time.Duration
	color        string
}

func newTop(g *globals) *cobra.Command {
	var t topSession
	cmd := &cobra.Command{
		Use:   "top [FILE|DIR...|-]",
		Short: "Watch pipelines while they run, or afterwards in their log",
		Long: `Watch pipelines while they run: rates, steps with their queues and times, partitions with their lag, errors, and what each partition waits
for. The process is asked over its admin endpoint: that of the file, or of --addr; without either ` + defaultEndpoint + `. With several --addr, or
a log of several instances, those of a pipeline are put together: counts and rates are added up, of times and percentiles the worst is shown.

top - reads a log from standard input, and --file one from a file, plain or with gzip: no port is needed. What stands in front of a line, or around
it, is left out: docker logs, kubectl logs --prefix, journalctl. Of a log < and > go back and forth in time.

On a terminal it is a screen; ? tells its keys. Else, and with --once, it prints tables: of a process after two looks, of a log its end. --json prints
an object a line: of a process for each look, of a log that is followed for each interval, else its end.`,
		Example: `  penstock top late-flights.yaml
  kubectl logs -f deploy/late-flights --all-pods --prefix | penstock top -
  penstock top --file app.log.1.gz --file app.log
  penstock top --addr 10.0.0.5:9600 --addr 10.0.0.6:9600 --once`,
		Args: takes(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd.Context(), g, args) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&t.addrs, "addr", nil, "address of an endpoint: host:port, https://host:port or unix:/path; may be repeated; default: admin.listen of the file, or "+defaultEndpoint)
	t.where.addTrust(cmd)
	f.StringArrayVar(&t.logs, "file", nil, "a log file, in place of an endpoint; may be repeated, the oldest first")
	f.BoolVar(&t.follow, "follow", false, "go on with what is written to the last --file, also when it is rotated")
	f.BoolVar(&t.once, "once", false, "print tables once, and end")
	f.BoolVar(&t.asJSON, "json", false, "print JSON, one object a line")
	f.DurationVar(&t.every, "every", time.Second, "how often an endpoint is asked")
	f.StringVar(&t.color, "color", "auto", "auto, always or never; auto: on a terminal, unless NO_COLOR is set")
	return cmd
}

// A topFeed fills the store of top until ctx ends, or nothing more comes.
type topFeed struct {
	store   *top.Store
	fromLog bool
	lasting bool // it goes on for as long as it is looked at
	first   func(ctx context.Context) error
	proceed func(ctx context.Context)
	looks   atomic.Int64 // that proceed has had at endpoints, also in vain
	wants   func(uint32)
}

func (t *topSession) run(ctx context.Context, g *globals, args []string) error {
	if err := t.check(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var (
		feed *topFeed
		err  error
	)
	switch {
	case len(args) == 1 && args[0] == "-":
		feed, err = t.ofInput(g)
	case len(t.logs) > 0:
		feed, err = t.ofLogs()
	default:
		feed, err = t.ofEndpoints(g, args)
	}
	if err != nil {
		return err
	}
	terminal := isTerminal(g.out) && os.Getenv("TERM") != "dumb"
	switch {
	case t.asJSON:
		return t.printJSON(ctx, g, feed)
	case t.once || !terminal:
		return t.printOnce(ctx, g, feed)
	}
	return t.show(ctx, g, feed)
}

func (t *topSession) check(args []string) error {
	stdin := len(args) > 0 && args[0] == "-"
	switch {
	case t.every < 100*time.Millisecond:
		return usagef("--every %v: it is a time like 2s, at least 100ms", t.every)
	case t.color != "auto" && t.color != "always" && t.color != "never":
		return usagef("--color %s: it is auto, always or never", t.color)
	case stdin && len(args) > 1:
		return usagef("top - reads standard input alone: it takes no %s", args[1])
	case (stdin || len(t.logs) > 0) && len(t.addrs) > 0:
		return usagef("a log and --addr are two places to look at: name one of them")
	case len(t.logs) > 0 && len(args) > 0:
		return usagef("a log and %s are two places to look at: name one of them", args[0])
	case t.follow && len(t.logs) == 0:
		return usagef("--follow goes on with a --file: name one; standard input is followed as it is")
	}
	return nil
}

// ofEndpoints looks at processes that run.
func (t *topSession) ofEndpoints(g *globals, files []string) (*topFeed, error) {
	addrs := t.addrs
	if len(addrs) == 0 {
		addrs = []string{""}
	}
	var all []*endpoint
	var names []string
	for _, addr := range addrs {
		one := t.where
		one.addr = addr
		e, err := one.open(g, files)
		if err != nil {
			return nil, err
		}
		all, names = append(all, e), append(names, e.address)
	}
	store := top.NewStore(strings.Join(names, ", ")+" every "+t.every.String(), 10*time.Minute)
	asked := make(chan struct{}, 1)
	var looks []*top.Endpoint
	for _, e := range all {
		looks = append(looks, top.NewEndpoint(store, e.address, func(ctx context.Context, path string, into any) error {
			if strings.HasPrefix(path, "/api/") {
				return e.ofPipelines(ctx, path, into)
			}
			return e.get(ctx, path, into)
		}))
	}
	feed := &topFeed{store: store, lasting: true, first: func(ctx context.Context) error { return lookAll(ctx, looks) }}
	feed.proceed = func(ctx context.Context) {
		for ticks := time.Tick(t.every); ; {
			select {
			case <-ctx.Done():
				return
			case <-ticks:
				_ = lookAll(ctx, looks) // what does not answer is told on the screen
				feed.looks.Add(1)
			case <-asked:
				for _, l := range looks {
					l.Ask(ctx, time.Now())
				}
			}
		}
	}
	feed.wants = func(what uint32) {
		for _, l := range looks {
			if l.Wants.Swap(what) != what && what != 0 {
				select {
				case asked <- struct{}{}: // now, and not only with the next look
				default:
				}
			}
		}
	}
	return feed, nil
}

// seen counts what has come: looks at endpoints, and intervals of a log.
func (f *topFeed) seen() int64 {
	if f.fromLog {
		return int64(len(f.store.Frames()))
	}
	return f.looks.Load()
}

// lookAll asks all at once. The error is there when none answers.
func lookAll(ctx context.Context, looks []*top.Endpoint) error {
	errs := make([]error, len(looks))
	var wait sync.WaitGroup
	for i, l := range looks {
		wait.Go(func() { errs[i] = l.Look(ctx, time.Now()) })
	}
	wait.Wait()
	for _, err := range errs {
		if err == nil {
			return nil
		}
	}
	return errors.Join(errs...)
}

// printOnce prints tables: of a process after two looks, since a rate is of what lies between them.
func (t *topSession) printOnce(ctx context.Context, g *globals, feed *topFeed) error {
	if err := t.settle(ctx, feed); err != nil {
		return err
	}
	return top.WriteTable(g.out, feed.store.View(top.ViewOf{Instance: top.All}))
}

// settle waits until there are figures to be printed.
func (t *topSession) settle(ctx context.Context, feed *topFeed) error {
	if !feed.lasting {
		return feed.first(ctx)
	}
	if feed.wants != nil {
		feed.wants(top.WantErrors)
	}
	if err := feed.first(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(t.every):
	}
	return feed.first(ctx)
}

// printJSON prints an object for each look.
func (t *topSession) printJSON(ctx context.Context, g *globals, feed *topFeed) error {
	if err := t.settle(ctx, feed); err != nil {
		return err
	}
	write := func() error {
		v := feed.store.View(top.ViewOf{Instance: top.All})
		if len(v.Instances) == 0 && !v.Ended { // of a stream nothing has come yet
			return nil
		}
		return writeView(g.out, v, isTerminal(g.out))
	}
	if err := write(); err != nil || t.once || !feed.lasting && feed.proceed == nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		feed.proceed(ctx)
	}()
	for seen := feed.seen(); ; {
		select {
		case <-ended:
			if ctx.Err() != nil {
				return nil
			}
			return write()
		case <-time.After(t.every / 4):
		}
		if n := feed.seen(); n != seen {
			seen = n
			if err := write(); err != nil {
				return err
			}
		}
	}
}

// writeView writes a view as a line of JSON: on a terminal with escapes in place of what disturbs one.
func writeView(w io.Writer, v *top.View, terminal bool) error {
	if !terminal {
		return top.WriteJSON(w, v)
	}
	var line bytes.Buffer
	if err := top.WriteJSON(&line, v); err != nil {
		return err
	}
	return onlyError(fmt.Fprintf(w, "%s\n", harmless(bytes.TrimSuffix(line.Bytes(), []byte("\n")))))
}

// show draws on the terminal until somebody has seen enough.
func (t *topSession) show(ctx context.Context, g *globals, feed *topFeed) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if feed.lasting {
		if err := feed.first(ctx); err != nil {
			return err
		}
		go feed.proceed(ctx)
	} else {
		go func() { // of a large log the screen shows what has been read so far
			feed.store.End(feed.first(ctx))
			if feed.proceed != nil {
				feed.proceed(ctx)
			}
		}()
	}
	color := t.color == "always" || t.color == "auto" && os.Getenv("NO_COLOR") == ""
	model := top.NewModel(feed.store, top.Options{Color: color, ASCII: asciiTerminal(), FromLog: feed.fromLog, Wants: feed.wants})
	// Colours are chosen by the model: the profile lets through what it draws.
	program := tea.NewProgram(model, tea.WithContext(ctx), tea.WithoutSignalHandler(), tea.WithFPS(10), tea.WithColorProfile(colorprofile.ANSI), tea.WithOutput(g.out))
	_, err := program.Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("drawing on the terminal: %w; penstock top --once prints tables", err)
	}
	return nil
}

// asciiTerminal says whether the locale has no more than ASCII. That of Windows and macOS is not told by these variables.
func asciiTerminal() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToUpper(v)
			return v == "C" || v == "POSIX" || !strings.Contains(v, "UTF") && strings.Contains(v, ".")
		}
	}
	return runtime.GOOS == "linux"
}
