package top

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// redrawEvery is how often is looked whether something has come. The screen is drawn when it has, and each second.
const redrawEvery = 500 * time.Millisecond

// Options say how the figures are shown on a terminal.
type Options struct {
	Color, ASCII bool
	FromLog      bool              // the figures are of a log
	Wants        func(what uint32) // is told what the tab that is open needs, as WantWhy; nil: nobody is
	Now          func() time.Time  // nil: time.Now
}

// A Model is the screen with its keys, for bubbletea. What moves is the figures of its store.
type Model struct {
	store         *Store
	options       Options
	look          Looking
	of            ViewOf
	view          *View
	width, height int
	seen          uint64
	drawn         string
	drawnAt       time.Time
}

// NewModel makes the screen of a store.
func NewModel(s *Store, o Options) *Model {
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Model{store: s, options: o, of: ViewOf{Instance: All, Events: 500}, width: leastWidth, height: leastHeight}
	m.look = Looking{Tab: TabPartitions, FromLog: o.FromLog, Moves: o.FromLog}
	m.fresh()
	return m
}

type tick struct{}

func again() tea.Cmd {
	return tea.Tick(redrawEvery, func(time.Time) tea.Msg { return tick{} })
}

// Init implements tea.Model.
func (m *Model) Init() tea.Cmd { return again() }

// Update implements tea.Model.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.fresh()
	case tick:
		if n := m.store.Changes(); !m.look.Frozen && (n != m.seen || m.options.Now().Sub(m.drawnAt) >= time.Second) {
			m.fresh()
		}
		return m, again()
	case tea.KeyPressMsg:
		of := m.of
		if quits := m.key(msg.String()); quits {
			return m, tea.Quit
		}
		if m.of != of {
			m.fresh()
		} else {
			m.draw()
		}
	}
	return m, nil
}

// key does what a key says, and says whether that ends it.
func (m *Model) key(key string) (quits bool) {
	l := &m.look
	if key == "ctrl+c" {
		return true
	}
	if l.Help {
		l.Help = false
		return false
	}
	switch key {
	case "q":
		return true
	case "?", "h":
		l.Help = true
	case "p", "e", "w", "l", "g":
		l.Tab, l.Scroll = Tab(key[0]), 0
	case "tab":
		m.turn(&l.Pipeline, 0, len(m.view.Pipelines), 1)
		l.Step, l.Scroll = 0, 0
	case "shift+tab":
		m.turn(&l.Pipeline, 0, len(m.view.Pipelines), -1)
		l.Step, l.Scroll = 0, 0
	case "i":
		if len(m.view.Instances) > 1 {
			m.turn(&m.of.Instance, All, len(m.view.Instances)+1, 1)
			l.Frozen = false
		}
	case "up", "k":
		l.Step = max(l.Step-1, 0)
	case "down", "j":
		l.Step = min(l.Step+1, max(m.steps()-1, 0))
	case "pgup", "b":
		l.Scroll = m.scrolled(-5)
	case "pgdown", "f":
		l.Scroll = m.scrolled(5)
	case "space", " ":
		if l.Frozen = !l.Frozen; !l.Frozen {
			m.view = m.store.View(m.of)
		}
	case "<", ",", "left":
		m.move(-1)
	case ">", ".", "right":
		m.move(1)
	case "{":
		m.moveFor(-graphSpan)
	case "}":
		m.moveFor(graphSpan)
	case "home":
		m.move(-len(m.store.Frames()))
	case "end":
		m.of.At = time.Time{}
	}
	return false
}

// turn moves a number on within n from least on, round and round.
func (m *Model) turn(at *int, least, n, by int) {
	if n > 0 {
		*at = (*at-least+by+n)%n + least
	}
}

// scrolled is how far the tab is scrolled after so many lines more down. That of events is counted from its end.
func (m *Model) scrolled(by int) int {
	if m.look.Tab == TabLog {
		by = -by
	}
	return min(max(m.look.Scroll+by, 0), m.rows())
}

func (m *Model) steps() int {
	if p := m.pipeline(); p != nil {
		return len(p.Steps)
	}
	return 0
}

// rows is how many lines the tab has at most.
func (m *Model) rows() int {
	p := m.pipeline()
	if p == nil {
		return 0
	}
	return max(len(p.Partitions), len(p.Errors), 8*len(p.Holds), len(m.view.Events), len(m.look.Graphs))
}

func (m *Model) pipeline() *Pipeline {
	if len(m.view.Pipelines) == 0 {
		return nil
	}
	return &m.view.Pipelines[min(max(m.look.Pipeline, 0), len(m.view.Pipelines)-1)]
}

// move goes so many intervals on, or back. Beyond the last one is what comes.
func (m *Model) move(by int) {
	frames := m.store.Frames()
	if !m.look.Moves || len(frames) == 0 {
		return
	}
	m.look.Frozen = false
	at := len(frames) - 1
	if !m.of.At.IsZero() {
		at = max(len(frames)-1-after(frames, m.of.At), 0)
	}
	if at += by; at >= len(frames)-1 {
		m.of.At = time.Time{}
		return
	}
	m.of.At = frames[max(at, 0)]
}

// after is how many of the moments are later than t.
func after(frames []time.Time, t time.Time) (n int) {
	for n < len(frames) && frames[len(frames)-1-n].After(t) {
		n++
	}
	return n
}

// moveFor goes to the interval that is so much later, or earlier.
func (m *Model) moveFor(d time.Duration) {
	frames := m.store.Frames()
	if len(frames) == 0 {
		return
	}
	at := frames[len(frames)-1]
	if !m.of.At.IsZero() {
		at = m.of.At
	}
	m.move(after(frames, at) - after(frames, at.Add(d)))
}

// fresh takes what the store has now, and draws it.
func (m *Model) fresh() {
	m.seen = m.store.Changes()
	if !m.look.Frozen || m.view == nil {
		m.view = m.store.View(m.of)
	}
	m.draw()
}

// draw draws what was taken last.
func (m *Model) draw() {
	m.tell()
	m.look.Graphs = nil
	if p := m.pipeline(); p != nil && m.look.Tab == TabGraphs {
		step := ""
		if n := len(p.Steps); n > 0 {
			step = p.Steps[min(m.look.Step, n-1)].Name
		}
		m.look.Graphs, m.look.Back = m.store.Graphs(m.of, p.Name, step, graphColumns(m.width, step))
	}
	m.drawn = m.Screen().Terminal(m.options.Color, m.options.ASCII)
	m.drawnAt = m.options.Now()
}

// tell says what the tab that is open needs.
func (m *Model) tell() {
	if m.options.Wants == nil {
		return
	}
	switch m.look.Tab {
	case TabErrors:
		m.options.Wants(WantErrors)
	case TabWhy:
		m.options.Wants(WantWhy)
	default:
		m.options.Wants(0)
	}
}

// Screen gives what is to be seen.
func (m *Model) Screen() *Screen { return Draw(m.view, &m.look, m.width, m.height) }

// View implements tea.Model.
func (m *Model) View() tea.View {
	v := tea.NewView(m.drawn)
	v.AltScreen = true
	return v
}
