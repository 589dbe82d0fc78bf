package engine

// A plan is what of the options a [Change] replaces, and what follows from it. It does not change once it is made:
// another one takes its place, while nothing is in flight. Parts of a run ask for it where they need it,
// and do not keep it longer than they have a record in hand.
type plan struct {
	steps          []Step
	sinks          []Output
	dead           DeadLetter
	hash           string      // of the configuration
	rejects        *rejections // the budget of rejections; nil: there is none
	undoes         bool        // some step is an Undoer
	keepsLaneOrder bool        // records reach the one sink in the order of their lane
	keys           bool        // records need their keys' hash
}

// newPlan makes the plan of options that are checked and filled in.
func (p *shared) newPlan(o *Options) *plan {
	n := &plan{
		steps: o.Steps, sinks: o.Sinks, dead: o.DeadLetter, hash: o.ConfigHash,
		keepsLaneOrder: len(o.Sinks) == 1 && o.Order == OrderPartition, keys: o.needKeys(),
	}
	for _, conf := range n.steps {
		n.undoes = n.undoes || undoerOf(conf) != nil
	}
	n.rejects = newRejections(p, n)
	return n
}

func (p *shared) plan() *plan          { return p.current.Load() }
func (p *shared) rejects() *rejections { return p.plan().rejects }

// forbidPauses has no pause of the budget of rejections begin any more, also when the plan is replaced meanwhile.
func (p *shared) forbidPauses() {
	p.noPauses.Store(true)
	p.rejects().forbid()
}

// endPauses ends the pause that is on, and forbids every later one.
func (p *shared) endPauses() {
	p.noPauses.Store(true)
	p.rejects().end()
}
