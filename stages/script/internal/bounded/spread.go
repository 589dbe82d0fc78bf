package bounded

import (
	"iter"
	"strings"

	"go.starlark.net/starlark"
)

// This file counts what it takes to find a key among those that fall into the same bucket of a dict or a set. A table has a bucket for each
// six keys or so, and an integer falls into one by its lowest bits: those which differ above them alone, fractions between the same two
// integers, and short texts that somebody has looked for, make one long chain, and to put n of them into it takes n times n.

const (
	crowd    = 512 // keys from which on it is known how they fall: fewer make no chain that matters
	longList = 64  // keys in one bucket that cost nothing beside the operation: chance puts no more there
	inBucket = 8
	perTable = 6 // keys for each bucket, at which a table grows
)

// A spread is how the keys of a dict or a set fall into its buckets.
type spread struct {
	counts []uint32 // by the lowest bits of the hash
	most   uint32   // of them
}

func (s *spread) of(hash uint32) *uint32 {
	if hash == 0 { // as in the interpreter
		hash = 1
	}
	return &s.counts[hash&uint32(len(s.counts)-1)]
}

func (s *spread) add(hash uint32) {
	n := s.of(hash)
	*n++
	s.most = max(s.most, *n)
}

// chain is how many keys stand where one of that hash is looked for.
func (s *spread) chain(hash uint32) int64 {
	if s == nil || s.counts == nil {
		return 0
	}
	return int64(*s.of(hash))
}

// longest is how many keys stand in one bucket at most.
func (s *spread) longest() int64 {
	if s == nil {
		return 0
	}
	return int64(s.most)
}

// room is how many keys the table may have had at once: it never shrinks.
func (s *spread) room() int64 {
	if s == nil {
		return 0
	}
	return int64(len(s.counts)) * perTable
}

// keysOf gives the keys of a dict or a set; nil for what is neither.
func keysOf(v starlark.Value) iter.Seq[starlark.Value] {
	switch v := v.(type) {
	case *starlark.Set:
		return v.Elements()
	case *starlark.Dict:
		return func(yield func(starlark.Value) bool) {
			for k := range v.Entries() {
				if !yield(k) {
					return
				}
			}
		}
	}
	return nil
}

// spread gives how the keys of a dict or a set fall; nil when they are few, or frozen: those are of the top level, and of the script alone.
func (r *Run) spread(of starlark.Value) (*spread, error) {
	n := starlark.Len(of)
	if n < crowd && len(r.spreads) == 0 {
		return nil, nil
	}
	s, known := r.spreads[of]
	switch {
	case !known && (n < crowd || keysOf(of) == nil):
		return nil, nil
	case !known && frozen(of):
		s = nil
	case !known || s != nil && n > perTable*len(s.counts):
		var err error
		if s, err = r.spreadOf(of, n); err != nil {
			return nil, err
		}
	default:
		return s, nil
	}
	if r.spreads == nil {
		r.spreads = map[starlark.Value]*spread{}
	}
	r.spreads[of] = s
	return s, nil
}

func (r *Run) spreadOf(of starlark.Value, n int) (*spread, error) {
	buckets := 1
	for n > perTable*buckets {
		buckets *= 2
	}
	if err := r.Take(bytesSmall + 4*int64(buckets)); err != nil {
		return nil, err
	}
	if err := r.hashed(of, false); err != nil {
		return nil, err
	}
	s := &spread{counts: make([]uint32, buckets)}
	for k := range keysOf(of) {
		hash, err := k.Hash()
		if err != nil {
			return nil, err
		}
		s.add(hash)
	}
	return s, nil
}

// frozen says whether a dict or a set cannot be changed any more: one is asked to remove what cannot be in it.
func frozen(v starlark.Value) bool {
	var err error
	switch v := v.(type) {
	case *starlark.Dict:
		_, _, err = v.Delete(new(starlark.List))
	case *starlark.Set:
		_, err = v.Delete(new(starlark.List))
	}
	return err != nil && strings.Contains(err.Error(), "frozen")
}

// find counts what it takes to look for a key in a dict or a set.
func (r *Run) find(in, key starlark.Value) error {
	s, err := r.spread(in)
	if s == nil || s.most < longList {
		return err
	}
	hash, err := key.Hash()
	if err != nil {
		return nil // the error is that of whoever looks
	}
	return r.chained(s.chain(hash))
}

// chained counts what it takes to go through so many keys.
func (r *Run) chained(keys int64) error {
	if keys < longList {
		return nil
	}
	return r.Work(keys / inBucket)
}

// grown notes that a key is in a dict or a set that had so many before.
func (r *Run) grown(in, key starlark.Value, before int) {
	s := r.spreads[in]
	if s == nil || starlark.Len(in) <= before {
		return
	}
	if hash, err := key.Hash(); err == nil {
		s.add(hash)
	}
}

// Get is that of a dict, counted.
func (r *Run) Get(d *starlark.Dict, key starlark.Value) (starlark.Value, bool, error) {
	if err := r.find(d, key); err != nil {
		return nil, false, err
	}
	return d.Get(key)
}

// SetKey is that of a dict, counted but for the bytes.
func (r *Run) SetKey(d *starlark.Dict, key, v starlark.Value) error {
	if err := r.find(d, key); err != nil {
		return err
	}
	before := d.Len()
	if err := d.SetKey(key, v); err != nil {
		return err
	}
	r.grown(d, key, before)
	return nil
}

// Delete is that of a dict, counted.
func (r *Run) Delete(d *starlark.Dict, key starlark.Value) error {
	if err := r.find(d, key); err != nil {
		return err
	}
	_, _, err := d.Delete(key)
	return err
}

// insert adds a key to a set, counted but for the bytes.
func (r *Run) insert(s *starlark.Set, key starlark.Value) error {
	if err := r.find(s, key); err != nil {
		return err
	}
	before := s.Len()
	if err := s.Insert(key); err != nil {
		return err
	}
	r.grown(s, key, before)
	return nil
}

// keys gives the keys that an iterable has, or with pairs the first of each of its elements.
func keys(v starlark.Value, pairs bool) iter.Seq[starlark.Value] {
	if all := keysOf(v); all != nil {
		return all
	}
	return func(yield func(starlark.Value) bool) {
		it := starlark.Iterate(v)
		if it == nil {
			return // the error is that of whoever wants the elements
		}
		defer it.Done()
		var x starlark.Value
		for it.Next(&x) {
			if pair, ok := x.(starlark.Indexable); ok && pairs && pair.Len() > 0 {
				x = pair.Index(0)
			}
			if !yield(x) {
				return
			}
		}
	}
}

// distinct gives a dict or a set with the keys that an iterable has. What cannot be a key ends it: whoever wants the elements says so.
func (r *Run) distinct(v starlark.Value, pairs bool) (starlark.Value, error) {
	if keysOf(v) != nil {
		return v, nil
	}
	s := new(starlark.Set)
	for k := range keys(v, pairs) {
		before := s.Len()
		if err := r.insert(s, k); err != nil {
			return s, r.stopped
		}
		if s.Len() > before {
			if err := r.Take(bytesEntry); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// merge counts what it takes to find each of the keys of an iterable in a dict or a set, nil for an empty one, and to put them there.
// stay says that they will be in it.
func (r *Run) merge(into, v starlark.Value, pairs, stay bool) error {
	var in *spread
	var err error
	if into != nil {
		if in, err = r.spread(into); err != nil {
			return err
		}
	}
	n := starlark.Len(v)
	if in == nil && n >= 0 && n < crowd {
		return nil
	}
	if in.longest() < longList && !stay && n >= 0 && n < crowd {
		return nil
	}
	all, err := r.distinct(v, pairs)
	if err != nil {
		return err
	}
	more, err := r.spread(all)
	if err != nil {
		return err
	}
	if in.longest()+more.longest() >= longList {
		for k := range keys(v, pairs) {
			hash, err := k.Hash()
			if err != nil {
				return nil // the error is that of whoever puts it there
			}
			if err := r.chained(in.chain(hash) + more.chain(hash)); err != nil {
				return err
			}
		}
	}
	if !stay || in == nil {
		return nil
	}
	for k := range keysOf(all) {
		if there, err := has(into, k); err == nil && !there {
			hash, _ := k.Hash()
			in.add(hash)
		}
	}
	return nil
}

func has(in, key starlark.Value) (there bool, err error) {
	switch in := in.(type) {
	case *starlark.Dict:
		_, there, err = in.Get(key)
	case *starlark.Set:
		there, err = in.Has(key)
	}
	return there, err
}

// looksUp counts what a method of a dict or a set takes that looks for one key, or goes through the table.
func (r *Run) looksUp(name string, x starlark.Value, args starlark.Tuple) error {
	switch name {
	case "get", "pop", "setdefault", "add", "remove", "discard":
		if len(args) > 0 {
			return r.find(x, args[0])
		}
		if name != "pop" { // that of a set removes the first
			return nil
		}
	case "popitem":
	case "clear", "issubset", "issuperset", "intersection", "intersection_update": // which go through buckets that are empty, too
		s, err := r.spread(x)
		if err != nil {
			return err
		}
		if err := r.Work(max(int64(starlark.Len(x)), s.room())); err != nil || name == "clear" {
			return err
		}
		return r.Take(bytesSlot * s.room())
	default:
		return nil
	}
	for first := range keysOf(x) {
		return r.find(x, first)
	}
	return nil
}

// stays says whether the keys of what a method of a set is called with are in the set behind it.
func stays(method string) bool {
	return method == "update" || method == "symmetric_difference_update"
}

// entry puts a key and its value into what the innermost comprehension makes.
func (r *Run) entry(k, v starlark.Value) error {
	if err := r.key(k); err != nil {
		return err
	}
	if err := r.Take(bytesEntry); err != nil {
		return err
	}
	return r.SetKey(r.making[len(r.making)-1], k, v)
}
