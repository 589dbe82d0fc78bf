package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// This file judges what one part of a file names by the records that reach it.

// A namedPlace is a place of a record that a mention names.
type namedPlace struct {
	path     jsontext.Path
	columns  []int // of its steps, in the text of the mention
	optional int   // how many of its first steps may lead to nothing
	meant    int   // so many of its steps lead to what the expression compares with nil; 0: none
	unread   bool  // the expression came to it on none of the records
}

// A placedExpr is one expression of a mention.
type placedExpr struct {
	*expr.Expr
	condition *expr.Condition // of a condition
	offset    int             // of its text in that of the mention
}

// expressionsOf gives the expressions of a mention: those of a template are several.
func expressionsOf(m config.Mention) []placedExpr {
	switch v := m.Value.(type) {
	case *expr.Expr:
		return []placedExpr{{Expr: v}}
	case *expr.Condition:
		return []placedExpr{{Expr: &v.Expr, condition: v}}
	case *expr.Template:
		var all []placedExpr
		for _, p := range v.Parts() {
			all = append(all, placedExpr{Expr: p.Expr, offset: p.Offset})
		}
		return all
	}
	return nil
}

// placesOf gives the places that a mention reads, moves, keeps or takes out.
func placesOf(m config.Mention) []namedPlace {
	switch m.Role {
	case config.Evaluates:
		var all []namedPlace
		for _, e := range expressionsOf(m) {
			all = append(all, readsOf(e)...)
		}
		return all
	case config.Reads, config.TakesOut:
		at := namedPlace{path: m.Path}
		if m.Role == config.TakesOut && !m.Through { // what is redacted is not to be missed for a slip
			at.optional = len(at.path)
		}
		for _, o := range m.Offsets {
			at.columns = append(at.columns, o+1)
		}
		return []namedPlace{at}
	}
	return nil
}

func readsOf(e placedExpr) []namedPlace { return readsReached(e, nil) }

// reachedBy gives placesOf(m). What an expression reads on none of the records may be missing: of
// gh != nil and gh.x > 1 nobody can say what gh.x would be.
func reachedBy(m config.Mention, records []*pipeline.Record) []namedPlace {
	switch m.Role {
	case config.Reads, config.TakesOut:
		return placesOf(m)
	case config.Writes:
		return arrayOf(m)
	}
	var all []namedPlace
	for _, e := range expressionsOf(m) {
		trace := e.Trace()
		for _, rec := range records {
			if !rec.Tombstone() || !m.OfValue() {
				trace.Evaluate(rec)
			}
		}
		all = append(all, readsReached(e, trace)...)
	}
	return all
}

// arrayOf gives the array in which a path that is set goes to an element: nothing makes one. Where
// it goes to all of them, there may be none.
func arrayOf(m config.Mention) []namedPlace {
	for i, step := range m.Path {
		if step.Kind != jsontext.Indexed && step.Kind != jsontext.EveryElement || i == 0 {
			continue
		}
		at := namedPlace{path: m.Path[:i]}
		if step.Kind == jsontext.EveryElement {
			at.optional = i
		}
		for _, o := range m.Offsets[:i] {
			at.columns = append(at.columns, o+1)
		}
		return []namedPlace{at}
	}
	return nil
}

// readsReached gives what e reads. A nil trace comes to all of it.
func readsReached(e placedExpr, trace *expr.Trace) []namedPlace {
	var all []namedPlace
	reads := e.Reads()
	for _, r := range reads {
		at := namedPlace{path: r.Path, optional: r.Optional}
		for _, n := range reads {
			if n.Nil && leadsOn(n.Path, r.Path) && readElsewhere(n.Path, reads) {
				at.meant = max(at.meant, len(n.Path))
			}
		}
		if trace != nil && !trace.Reached(r) {
			at.optional, at.unread = len(at.path), true
		}
		for _, c := range r.Columns {
			at.columns = append(at.columns, c+e.offset)
		}
		all = append(all, at)
	}
	return all
}

// readElsewhere says whether what is compared with nil at a path is read there for its value too: else
// the comparison is all there is of the name, and as likely a slip as any.
func readElsewhere(path jsontext.Path, reads []expr.Read) bool {
	return slices.ContainsFunc(reads, func(r expr.Read) bool { return !r.Nil && leadsOn(path, r.Path) })
}

// leadsOn says whether path leads to what the beginning of another leads to.
func leadsOn(path, other jsontext.Path) bool {
	return len(path) <= len(other) && slices.Equal(path, other[:len(path)])
}

// judge says of everything that mentions name how it stands in the records. behind is the step that
// may set something read here, and was not called; "" when there is none.
func (s *sampler) judge(mentions []config.Mention, records []*pipeline.Record) (part sampledPart, behind string) {
	done, all, edited := map[string]bool{}, records, s.edited(mentions, records)
	for _, m := range mentions {
		if records = all; m.OfValue() || m.Role != config.Evaluates {
			records = edited
		}
		beside := pathsOf(mentions, m.Role)
		if m.Role == config.Evaluates {
			beside = pathsOf([]config.Mention{m}, m.Role)
		}
		absent := false
		for _, at := range reachedBy(m, records) {
			if m.Role != config.Evaluates && s.madeHere(mentions, m, at.path) {
				continue
			}
			field, missing := s.field(m, at, records, beside, done)
			if field != nil {
				part.add(*field)
			}
			absent = absent || missing
			if by := s.mayBeSetBy(at.path); by != "" && behind == "" {
				behind = by
			}
		}
		if m.Role == config.Evaluates {
			part.Expressions = append(part.Expressions, s.expressions(m, records, absent)...)
		}
	}
	return part, behind
}

// add notes a field. Of one that was counted in other records, those that have more say more.
func (p *sampledPart) add(f sampledField) {
	for i, before := range p.Fields {
		if before.Path == f.Path && before.Of != f.Of {
			if f.Of > before.Of {
				p.Fields[i] = f
			}
			return
		}
	}
	p.Fields = append(p.Fields, f)
}

// edited gives the records whose value a step edits: not those of which it makes a tombstone. It is
// all of them when the condition for that looks like a slip, and none when it is not known.
func (s *sampler) edited(mentions []config.Mention, records []*pipeline.Record) []*pipeline.Record {
	at := slices.IndexFunc(mentions, func(m config.Mention) bool { return m.Setting == "tombstone" && m.Role == config.Evaluates })
	if at < 0 {
		return records
	}
	condition, ok := mentions[at].Value.(*expr.Condition)
	if !ok {
		return records
	}
	for _, place := range placesOf(mentions[at]) {
		if s.mayBeSetBy(place.path) != "" {
			return nil
		}
		p := newPresence(place.path, false)
		for _, rec := range records {
			p.add(rec)
		}
		if i := p.missing(); i >= place.optional {
			return records
		}
	}
	var edited []*pipeline.Record
	for _, rec := range records {
		if holds, err := condition.Condition(rec); !holds || err != nil {
			edited = append(edited, rec)
		}
	}
	return edited
}

// pathsOf gives the paths that the mentions of one role have.
func pathsOf(mentions []config.Mention, role config.Role) (paths []jsontext.Path) {
	for _, m := range mentions {
		if m.Role != role {
			continue
		}
		for _, at := range placesOf(m) {
			paths = append(paths, at.path)
		}
	}
	return paths
}

// madeHere says whether a path that a mention names is set by another of the same step, so that the
// records which reach the step say nothing of it.
func (s *sampler) madeHere(mentions []config.Mention, by config.Mention, path jsontext.Path) bool {
	if by.Setting == "field" { // it is read before the step sets anything: split: {field: legs, into: legs}
		return false
	}
	return replacesAll(mentions) || slices.ContainsFunc(mentions, func(m config.Mention) bool {
		n := min(len(m.Path), len(path))
		if by.Role == config.Writes && len(m.Path) > len(path) { // as by itself, which goes into what is there
			return false
		}
		return m.Role == config.Writes && slices.Equal(m.Path[:n], path[:n])
	})
}

// field counts one place, and warns when its name stands nowhere. It gives nil for one that was
// counted in this part before.
func (s *sampler) field(m config.Mention, at namedPlace, records []*pipeline.Record, beside []jsontext.Path, done map[string]bool) (f *sampledField, missing bool) {
	key := fmt.Sprint(at.path, m.Through, len(records)) // a tombstone has fewer that are edited
	known, counted := done[key]
	if counted && (known || at.unread || !done["unread "+key]) {
		return nil, known
	}
	p := newPresence(at.path, m.Through)
	for _, rec := range records {
		p.add(rec)
	}
	place := s.file.Warning(m, at.columns[0], "", "")
	f = &sampledField{Path: s.shown(m, at.path), Setting: m.Setting, Place: problemPlace(place), In: p.there(), Of: p.records, DependsOn: s.mayBeSetBy(at.path)}
	if f.DependsOn == "" && !s.mayHave(at.path) {
		missing = s.warnMissing(m, at, p, records, beside, done)
	}
	done[key], done["unread "+key] = missing, at.unread // of one that was unread another says more
	if counted {
		return nil, missing
	}
	return f, missing
}

// shown gives a path with the names of variables in place of what they gave. That is put in step by
// step, because a path has escapes of its own.
func (s *sampler) shown(m config.Mention, path jsontext.Path) string {
	concealed := slices.Clone(path)
	for i := range path {
		concealed[i].Name = s.file.Conceal(m, path[i].Name)
	}
	if slices.Equal(concealed, path) {
		return path.String()
	}
	return strings.NewReplacer(`$\{`, "${", `\}`, "}").Replace(concealed.String())
}

// warnMissing warns of a name that stands in no record.
func (s *sampler) warnMissing(m config.Mention, at namedPlace, p *presence, records []*pipeline.Record, beside []jsontext.Path, done map[string]bool) bool {
	i, near := p.absence(at, beside, records)
	if i < 0 {
		return false
	}
	said := "missing " + at.path[:i+1].String() // of another path that begins so
	if done[said] {
		return true
	}
	done[said] = true
	shown, suggestion := s.shown(m, at.path[:i+1]), p.suggest(i, near, records)
	if m.Role == config.Evaluates && i < at.optional && !at.unread {
		suggestion += " what is meant and may be missing is compared with nil: " + shown + " == nil ? x : y"
	}
	s.problems = append(s.problems, s.file.Warning(m, at.columns[i], p.saysMissing(shown), suggestion))
	return true
}

// expressions evaluates those of a mention on all records. absent: a field that they read is in
// none of them, which has been said.
func (s *sampler) expressions(m config.Mention, records []*pipeline.Record, absent bool) []sampledExpression {
	var all []sampledExpression
	for _, e := range expressionsOf(m) {
		r := sampledExpression{Setting: m.Setting, Text: s.file.Conceal(m, e.Written())} // a variable may be a secret
		for _, at := range readsOf(e) {
			if by := s.mayBeSetBy(at.path); by != "" && r.DependsOn == "" {
				r.DependsOn = by
			}
		}
		if s.unknownBehind != "" && r.DependsOn == "" && len(readsOf(e)) > 0 {
			r.DependsOn = s.unknownBehind
		}
		if r.DependsOn == "" {
			s.evaluate(m, e, records, &r)
			if r.Failed == r.Of && r.Of > 0 && !absent {
				s.problems = append(s.problems, s.failure(m, r.First, fmt.Sprintf("fails in all %s: %s", counted(r.Of, "record"), r.First.Message)))
			}
		}
		all = append(all, r)
	}
	return all
}

func (s *sampler) evaluate(m config.Mention, e placedExpr, records []*pipeline.Record, r *sampledExpression) {
	r.Types = map[string]int{}
	held := 0
	for _, rec := range records {
		if rec.Tombstone() && m.OfValue() {
			continue
		}
		r.Of++
		var v expr.Value
		var err error
		if e.condition != nil {
			var ok bool
			if ok, err = e.condition.Condition(rec); ok {
				held++
			}
		} else {
			v, err = e.Evaluate(rec)
		}
		switch {
		case err == nil && e.condition == nil:
			r.Types[v.Type]++
		case err != nil:
			if r.Failed++; r.First == nil {
				r.First = s.firstFailure(m, e, rec, err)
			}
		}
	}
	if e.condition != nil {
		r.Held = &held
	}
}

func (s *sampler) firstFailure(m config.Mention, e placedExpr, rec *pipeline.Record, err error) *firstFailure {
	at := e.Locate(rec)
	if e.condition != nil {
		at = e.condition.Locate(rec)
	}
	if at == nil { // it does not fail a second time
		at = &expr.Error{Column: 1, Message: err.Error()}
	}
	f := &firstFailure{Record: rec.Position.String(), Message: at.Message, column: at.Column + e.offset, suggestion: at.Suggestion}
	p := s.failure(m, f, at.Message)
	p.Severity = "" // it may well be meant to fail on such a record
	f.Place, f.detail = problemPlace(p), p.Detail()
	return f
}

func (s *sampler) failure(m config.Mention, f *firstFailure, text string) config.Problem {
	return s.file.Warning(m, f.column, text, f.suggestion)
}

func problemPlace(p config.Problem) string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }
