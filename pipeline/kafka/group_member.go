package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// run keeps the member in its group: join, then heartbeats until there is a reason to
// join again.
func (m *member) run() {
	defer close(m.done)
	defer m.tasks.Wait()
	defer m.cancel()
	var err error
	for err == nil && m.ctx.Err() == nil {
		if err = m.join(); err == nil {
			err = m.serve()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	if m.ctx.Err() != nil {
		m.events.drop()
		return
	}
	lost := sortedPartitions(m.owned)
	m.life++
	clear(m.owned)
	m.emit(Event{Lost: lost, Err: fmt.Errorf("as a member of group %s: %w", m.config.Group, err)})
	m.events.end()
}

// errLeft ends the loop when the member leaves.
var errLeft = errors.New("the member has left")

// pause waits a little longer each time.
func (m *member) pause(try int) error {
	wait := min(groupBackoff<<min(try, 8), maxBackoff)
	if !sleep(m.ctx, wait/2+rand.N(wait/2+1)) {
		return errLeft
	}
	return nil
}

// join makes the member one of the next generation, however many tries it takes. An
// error is final.
func (m *member) join() error {
	unknown := 0   // answers with UnknownServerError
	named := false // the broker has asked for a member id: only the first time is there no pause
	for try := 0; ; try++ {
		if m.ctx.Err() != nil {
			return errLeft
		}
		code, does, err := m.react(m.joinOnce())
		switch {
		case does == Done:
			return nil
		case does == Stop:
			return err
		case code == MemberIDRequired && !named:
			named = true // joinOnce has noted the id
			continue
		case code == RebalanceInProgress:
			try = min(try, 2)
		case code == UnknownServerError:
			if unknown++; unknown >= 5 {
				return m.otherProtocol(err)
			}
		}
		if err := m.pause(try); err != nil {
			return err
		}
	}
}

// ruled gives what follows on an error of a request to a coordinator, and its code, 0 when it has
// none. A request that did not come through is sent again.
func ruled(err error, on Request) (code Error, does Action) {
	switch {
	case err == nil:
		return 0, Done
	case errors.As(err, &code):
		return code, code.Ruling(on).Does
	case Temporary(err), errors.Is(err, context.DeadlineExceeded):
		return 0, Retry
	}
	return 0, Stop
}

// react takes in what the group's answer means for the member: it may have lost its partitions, and
// its id. It gives what follows. An error with Stop is the one to end with.
func (m *member) react(err error) (code Error, does Action, _ error) {
	code, does = ruled(err, OnGroup)
	switch {
	case err != nil && m.ctx.Err() != nil:
		return code, Stop, errLeft
	case code == GroupIDNotFound && !m.named():
		// A join without an id makes a group that is not there. Refused, the group is there and of another kind.
		return code, Stop, m.otherProtocol(err)
	case does == Stop:
		return code, does, m.explain(code, err)
	case does == Rejoin && (code == UnknownMemberID || code == GroupIDNotFound):
		m.lose(true)
	case does == Rejoin && code == IllegalGeneration:
		m.lose(false)
	}
	return code, does, err
}

// named says whether the group has given the member an id.
func (m *member) named() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id != ""
}

// explain says what to do about an error that ends the member.
func (m *member) explain(code Error, err error) error {
	switch code {
	case InconsistentGroupProtocol:
		return m.otherProtocol(err)
	case FencedInstanceID:
		return fmt.Errorf("another member uses the instance id %q; give each member one of its own: %w", m.config.Instance, err)
	case InvalidSessionTimeout:
		return fmt.Errorf("a session timeout of %v is not allowed by the broker (group.min.session.timeout.ms): %w", m.config.Session, err)
	}
	return err
}

func (m *member) otherProtocol(err error) error {
	return fmt.Errorf("the group is used by members of another protocol or assignor than %s; stop them first, or use another group: %w", groupProtocol, err)
}

// joinOnce is one JoinGroup and SyncGroup.
func (m *member) joinOnce() error {
	m.mu.Lock()
	id := m.id
	claim := sortedPartitions(m.owned)
	generation := m.generation
	m.rejoin, m.beat = false, false
	m.mu.Unlock()
	j, err := m.sendJoin(id, subscription{topics: m.config.Topics, owned: claim, generation: generation})
	if j != nil && j.memberID != "" && (err == nil || errors.Is(err, MemberIDRequired)) {
		m.mu.Lock()
		m.id = j.memberID
		m.mu.Unlock()
	}
	if err != nil {
		return err
	}
	if j.protocol != groupProtocol {
		return fmt.Errorf("joining group %s: %w", m.config.Group, InconsistentGroupProtocol)
	}
	m.mu.Lock()
	m.generation = j.generation
	m.leading = j.leader == j.memberID
	m.mu.Unlock()
	var plan map[string][]byte
	var base map[string]topicState
	if j.leader == j.memberID {
		if plan, base, err = m.plan(j); err != nil {
			return err
		}
	}
	assignment, err := m.sendSync(j, plan)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.topics = base
	m.takeAssignment(assignment)
	return nil
}

// takeAssignment makes the assignment of a generation the member's. Partitions that it owns and did
// not get are revoked; those that are being given back stay as they are. The caller holds m.mu.
func (m *member) takeAssignment(assignment []TopicPartition) {
	clear(m.assigned)
	var e Event
	for _, tp := range assignment {
		m.assigned[tp] = struct{}{}
		if m.owned[tp] == nil {
			e.Assigned = append(e.Assigned, tp)
		}
	}
	for _, tp := range sortedPartitions(m.owned) {
		if _, ok := m.assigned[tp]; !ok && !m.owned[tp].revoked {
			m.owned[tp].revoked = true
			e.Revoked = append(e.Revoked, tp)
		}
	}
	if len(e.Assigned) > 0 {
		m.begin(e.Assigned)
		e.Term = m.term
	}
	m.emit(e)
}

// draining says whether partitions are being given back. The caller holds m.mu.
func (m *member) draining() bool {
	for _, h := range m.owned {
		if h.revoked {
			return true
		}
	}
	return false
}

// serve sends heartbeats until the group must be joined again.
func (m *member) serve() error {
	watch := m.watch()
	defer watch.stop()
	misses := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		m.mu.Lock()
		rejoin, beat := m.rejoin, m.beat
		draining := rejoin && m.draining()
		m.beat = false
		pace := m.config.Heartbeat
		if time.Since(m.changed) < fastFor {
			pace = min(pace, fastHeartbeat)
		}
		m.mu.Unlock()
		if rejoin {
			if draining {
				// Partitions are often released one after another; a short wait spares the
				// group a rebalance for each.
				_ = sleep(m.ctx, releaseWait)
			}
			return nil
		}
		if !beat {
			timer.Reset(pace)
			select {
			case <-m.ctx.Done():
				return errLeft
			case <-m.wake:
				continue
			case <-watch.changed:
				return nil
			case <-timer.C:
			}
		}
		again, err := m.heartbeat(&misses)
		if again || err != nil {
			return err
		}
	}
}

// heartbeat says whether the group must be joined again. A coordinator that cannot be reached is no
// reason to give partitions up: only it can say whether others have them, and it refuses the commits
// of a member that has lost them.
func (m *member) heartbeat(misses *int) (rejoin bool, err error) {
	m.mu.Lock()
	id, generation := m.id, m.generation
	m.mu.Unlock()
	_, does, err := m.react(m.sendHeartbeat(id, generation))
	switch does {
	case Done:
		*misses = 0
		return false, nil
	case Rejoin:
		return true, nil
	case Stop:
		return false, err
	}
	*misses++
	return false, m.pause(*misses)
}

// A watcher notices when topics change that an assignment is based on.
type watcher struct {
	changed chan struct{}
	cancel  context.CancelFunc
	done    chan struct{}
}

// watch looks at the topics from time to time. At a change the leader joins again at once. The
// others do so if the group has not after three more looks: a leader that was restarted under its
// instance id does not know that it leads.
func (m *member) watch() *watcher {
	ctx, cancel := context.WithCancel(m.ctx)
	w := &watcher{changed: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	m.mu.Lock()
	base, leading := m.topics, m.leading
	m.mu.Unlock()
	names := m.config.Topics
	if leading {
		names = slices.Sorted(maps.Keys(base))
	}
	go func() {
		defer close(w.done)
		if !leading {
			base = m.look(ctx, names)
		}
		for seen := 0; sleep(ctx, m.config.Watch); {
			asked, cancel := context.WithTimeout(ctx, requestTimeout)
			err := m.client.Refresh(asked, names...)
			cancel()
			if err != nil {
				continue
			}
			if !m.isNews(base, m.look(ctx, names)) {
				seen = 0
			} else if seen++; leading || seen > 3 {
				w.changed <- struct{}{}
				return
			}
		}
	}()
	return w
}

func (w *watcher) stop() {
	w.cancel()
	<-w.done
}

// look gives the state of topics as the client last heard it; one of which nothing is
// known has no partitions.
func (m *member) look(ctx context.Context, names []string) map[string]topicState {
	out := make(map[string]topicState, len(names))
	for _, name := range names {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		var s topicState
		if s.partitions, s.doubt = m.client.Partitions(ctx, name); s.doubt == nil {
			s.id, _ = m.client.TopicID(ctx, name)
		} else {
			s.partitions = 0
		}
		cancel()
		out[name] = s
	}
	return out
}
