package expr

// This file has the functions of arrays that ask whether two elements are equal.

// A valueSet holds values of which equal ones are one: the work does not grow with how many it
// has.
type valueSet struct {
	m       *machine
	have    map[string]bool
	scratch []byte
}

func newSet(m *machine) *valueSet { return &valueSet{m: m, have: map[string]bool{}} }

// id puts the identity of v into scratch.
func (s *valueSet) id(v value) (err error) {
	s.scratch, err = identity(s.m, s.scratch[:0], v, 0)
	return err
}

func (s *valueSet) has(v value) (bool, error) {
	err := s.id(v)
	return s.have[string(s.scratch)], err
}

// add says whether v is new.
func (s *valueSet) add(v value) (bool, error) {
	if there, err := s.has(v); err != nil || there {
		return false, err
	}
	s.have[string(s.scratch)] = true
	return true, s.m.grow(valueBytes + len(s.scratch))
}

// setOf gives the elements of an array as a set.
func setOf(m *machine, array value) (*valueSet, error) {
	s := newSet(m)
	for it := elements(m, array); ; {
		e, ok, err := it.next()
		if err == nil && ok {
			_, err = s.add(e)
		}
		if err != nil || !ok {
			return s, err
		}
	}
}

// union gives each of the elements of all arguments once, in the order in which they come first.
func union(m *machine, args []value) (value, error) {
	var out []value
	s := newSet(m)
	for _, a := range args {
		for it := elements(m, a); ; {
			e, ok, err := it.next()
			if err != nil {
				return vNil, err
			}
			if !ok {
				break
			}
			fresh, err := s.add(e)
			if err != nil {
				return vNil, err
			}
			if fresh {
				out = append(out, e)
			}
		}
	}
	return newList(out), nil
}

func intersect(m *machine, args []value) (value, error) {
	mine := newSet(m)
	return sieve(m, args, func(e value, others []*valueSet) (bool, error) {
		for _, o := range others {
			if there, err := o.has(e); err != nil || !there {
				return false, err
			}
		}
		return mine.add(e)
	})
}

func difference(m *machine, args []value) (value, error) {
	return sieve(m, args, func(e value, others []*valueSet) (bool, error) {
		for _, o := range others {
			if there, err := o.has(e); err != nil || there {
				return false, err
			}
		}
		return true, nil
	})
}

// sieve gives the elements of the first argument that stays keeps, which has the others as sets.
func sieve(m *machine, args []value, stays func(e value, others []*valueSet) (bool, error)) (value, error) {
	var others []*valueSet
	for _, a := range args[1:] {
		s, err := setOf(m, a)
		if err != nil {
			return vNil, err
		}
		others = append(others, s)
	}
	var out []value
	for it := elements(m, args[0]); ; {
		e, ok, err := it.next()
		if err != nil || !ok {
			return newList(out), err
		}
		keep, err := stays(e, others)
		if err == nil && keep {
			out = append(out, e)
			err = m.grow(valueBytes)
		}
		if err != nil {
			return vNil, err
		}
	}
}

func tally(m *machine, args []value) (value, error) {
	out := new(built)
	for it := elements(m, args[0]); ; {
		e, ok, err := it.next()
		if err != nil || !ok {
			return newMap(out), err
		}
		if e.is(mArray | mObject | mNil) {
			return vNil, faultf("an element is %s, which is no name", e.kind)
		}
		name := string(appendPlain(nil, e))
		n := int64(0)
		if i, there := out.find(name); there {
			n = out.items[i].num
		} else if err := m.grow(valueBytes + len(name)); err != nil {
			return vNil, err
		}
		out.set(name, vInt(n+1))
	}
}
