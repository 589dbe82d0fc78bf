package calls

// yield has the call keep nothing for itself while another of its gate asks: neither its moments in the
// timetables of rates, nor its place on a list of its host.
func (t *passage) yield() {
	h := &t.row.value
	h.mu.Lock()
	h.gates.shared.giveUp(h.buckets, &t.turn)
	t.unlist()
	t.woken = false
	wake := h.next()
	h.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// Yield implements pipeline.Yielder.
func (a *asking[A]) Yield() { a.passage.yield() }

// Yield implements pipeline.Yielder.
func (w *way) Yield() { w.passage.yield() }

// Yield implements pipeline.Yielder.
func (j *joining[A]) Yield() {
	if a, ok := j.instead.(*asking[A]); ok {
		a.Yield()
	}
}
