package pipeline

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A tree is an object with every byte of its text, edited in the simplest way there is. It is
// what a Record should be; its fields that were removed keep their place until the bytes are asked
// for, as those of a Record do.
type tree struct {
	before, after string // white space around the value
	top           *leafOrMore
	fresh         []*part
}

// A leafOrMore is a value.
type leafOrMore struct {
	open  byte   // '{' or '['; 0: it is a leaf
	leaf  string // its text
	parts []*part
	empty string // white space between the brackets when there are no parts
}

// A part is a member or an element, with the white space around it.
type part struct {
	before, quoted, colon, after string
	name                         string
	value                        *leafOrMore
	gone                         bool
}

var errInTheWay = errors.New("in the way")

func newTree(text []byte) *tree {
	s := string(text)
	t := new(tree)
	t.before = space(&s)
	t.top = parse(&s)
	t.after = s
	return t
}

// space takes the white space off the front.
func space(s *string) string {
	rest := strings.TrimLeft(*s, " \n\r\t")
	is := (*s)[:len(*s)-len(rest)]
	*s = rest
	return is
}

// token takes a leaf or a name off the front.
func token(s *string) string {
	n := 1
	if (*s)[0] == '"' {
		for ; (*s)[n] != '"'; n++ {
			if (*s)[n] == '\\' {
				n++
			}
		}
		n++
	} else if n = strings.IndexAny(*s, " \n\r\t,]}"); n < 0 {
		n = len(*s)
	}
	is := (*s)[:n]
	*s = (*s)[n:]
	return is
}

func parse(s *string) *leafOrMore {
	c := (*s)[0]
	if c != '{' && c != '[' {
		return &leafOrMore{leaf: token(s)}
	}
	v := &leafOrMore{open: c}
	for *s = (*s)[1:]; ; *s = (*s)[1:] {
		p := &part{before: space(s)}
		if (*s)[0] == '}' || (*s)[0] == ']' {
			v.empty = p.before
			break
		}
		if c == '{' {
			p.quoted = token(s)
			p.name = jsontext.Unquote([]byte(p.quoted))
			before := space(s)
			*s = (*s)[1:]
			p.colon = before + ":" + space(s)
		}
		p.value = parse(s)
		p.after = space(s)
		v.parts = append(v.parts, p)
		if (*s)[0] != ',' {
			break
		}
	}
	*s = (*s)[1:]
	return v
}

func (v *leafOrMore) String() string {
	if v.open == 0 {
		return v.leaf
	}
	if len(v.parts) == 0 {
		return string(v.open) + v.empty + string(v.open+2)
	}
	var texts []string
	for _, p := range v.parts {
		texts = append(texts, p.before+p.quoted+p.colon+p.value.String()+p.after)
	}
	return string(v.open) + strings.Join(texts, ",") + string(v.open+2)
}

func (v *leafOrMore) copy() *leafOrMore {
	c := *v
	c.parts = copyParts(v.parts)
	return &c
}

func copyParts(parts []*part) (list []*part) {
	for _, p := range parts {
		q := *p
		q.value = p.value.copy()
		list = append(list, &q)
	}
	return list
}

func (t *tree) copy() *tree {
	c := *t
	c.top, c.fresh = t.top.copy(), copyParts(t.fresh)
	return &c
}

// flush gives the text, as Record.Value does.
func (t *tree) flush() string {
	for i := len(t.top.parts) - 1; i >= 0; i-- {
		if t.top.parts[i].gone {
			t.top.drop(i)
		}
	}
	for _, p := range t.fresh {
		if !p.gone {
			t.top.add(p)
		}
	}
	t.fresh = nil
	return t.before + t.top.String() + t.after
}

// drop drops a part with one comma, and the white space around that.
func (v *leafOrMore) drop(i int) {
	p := v.parts[i]
	switch {
	case i > 0:
		v.parts[i-1].after = p.after
	case len(v.parts) > 1:
		v.parts[1].before = p.before
	default:
		v.empty = p.before + p.after
	}
	v.parts = slices.Delete(v.parts, i, i+1)
}

// add adds a member behind the last one.
func (v *leafOrMore) add(p *part) {
	if n := len(v.parts); n > 0 {
		last := v.parts[n-1]
		p.after, last.after = last.after, ""
	} else {
		p.after, v.empty = v.empty, ""
	}
	v.parts = append(v.parts, p)
}

func newPart(name string, value *leafOrMore) *part {
	return &part{name: name, quoted: string(jsontext.AppendName(nil, name)), colon: ":", value: value}
}

// makeFor gives what is set where nothing is; nil: nothing.
func makeFor(path jsontext.Path, value *leafOrMore) (*leafOrMore, error) {
	for _, s := range path {
		if s.Kind == jsontext.Indexed {
			return nil, errInTheWay
		} else if s.Kind != jsontext.Named {
			return nil, nil
		}
	}
	for _, s := range slices.Backward(path) {
		value = &leafOrMore{open: '{', parts: []*part{newPart(s.Name, value)}}
	}
	return value, nil
}

// leads gives the numbers of the parts to which a step leads.
func (v *leafOrMore) leads(s jsontext.Step) (list []int) {
	if v.open != '{' && (s.Kind == jsontext.Named || s.Kind == jsontext.EveryMember) || v.open != '[' && (s.Kind == jsontext.Indexed || s.Kind == jsontext.EveryElement) {
		return nil
	}
	for i, p := range v.parts {
		if s.Kind >= jsontext.EveryMember || s.Kind == jsontext.Named && p.name == s.Name || s.Kind == jsontext.Indexed && (i == s.Index || i == s.Index+len(v.parts)) {
			list = append(list, i)
		}
	}
	return list
}

func (v *leafOrMore) set(path jsontext.Path, value *leafOrMore) error {
	if len(path) == 0 {
		*v = *value.copy()
		return nil
	}
	s := path[0]
	if v.leaf == "null" {
		is, err := makeFor(path, value)
		if is != nil {
			*v = *is.copy()
		}
		return err
	}
	if object := s.Kind == jsontext.Named || s.Kind == jsontext.EveryMember; v.open == 0 || object != (v.open == '{') {
		return errInTheWay
	}
	there := v.leads(s)
	switch {
	case s.Kind >= jsontext.EveryMember:
		for _, i := range there {
			if s.Kind == jsontext.EveryMember && v.stands(v.parts[i].name) < i {
				continue
			}
			if err := v.parts[i].value.set(path[1:], value); err != nil {
				return err
			}
		}
		for _, i := range slices.Backward(there) {
			if s.Kind == jsontext.EveryMember && v.stands(v.parts[i].name) < i {
				v.drop(i)
			}
		}
	case len(there) > 0:
		if err := v.parts[there[0]].value.set(path[1:], value); err != nil {
			return err
		}
		for _, i := range slices.Backward(there[1:]) {
			v.drop(i)
		}
	case s.Kind == jsontext.Indexed:
		return errInTheWay
	default:
		is, err := makeFor(path[1:], value)
		if is != nil {
			v.add(newPart(s.Name, is.copy()))
		}
		return err
	}
	return nil
}

// stands gives the number of the first part of that name.
func (v *leafOrMore) stands(name string) int {
	return slices.IndexFunc(v.parts, func(p *part) bool { return p.name == name })
}

func (v *leafOrMore) remove(path jsontext.Path) {
	for _, i := range slices.Backward(v.leads(path[0])) {
		if len(path) > 1 {
			v.parts[i].value.remove(path[1:])
		} else {
			v.drop(i)
		}
	}
}

func (v *leafOrMore) read(path jsontext.Path) (string, bool) {
	if len(path) == 0 {
		return v.String(), true
	}
	for _, i := range v.leads(path[0]) {
		if is, ok := v.parts[i].value.read(path[1:]); ok || path[0].Kind < jsontext.EveryMember {
			return is, ok
		}
	}
	return "", false
}

// named gives the fields of a name that are there or were.
func (t *tree) named(name string) (list []*part) {
	for _, p := range slices.Concat(t.top.parts, t.fresh) {
		if p.name == name {
			list = append(list, p)
		}
	}
	return list
}

func (t *tree) set(path jsontext.Path, text []byte) error {
	s := string(text)
	value := parse(&s)
	if path[0].Kind != jsontext.Named {
		t.flush()
		top := t.top.copy()
		if err := top.set(path, value); err != nil {
			return err
		}
		t.top = top
		return nil
	}
	list := t.named(path[0].Name)
	is := &leafOrMore{leaf: "null"}
	if len(list) > 0 && !list[0].gone {
		is = list[0].value.copy()
	}
	before := is.String()
	if err := is.set(path[1:], value); err != nil {
		return err
	}
	switch {
	case path.Many() && is.String() == before: // nothing was there
	case len(list) == 0:
		t.fresh = append(t.fresh, newPart(path[0].Name, is))
	default:
		for _, p := range list {
			p.gone = true
		}
		list[0].value, list[0].gone = is, false
	}
	return nil
}

func (t *tree) remove(path jsontext.Path) {
	if path[0].Kind != jsontext.Named {
		t.flush()
		t.top.remove(path)
		return
	}
	list := t.named(path[0].Name)
	switch {
	case len(path) == 1:
		for _, p := range list {
			p.gone = true
		}
	case len(list) > 1 && !list[1].gone:
		t.flush()
		t.top.remove(path)
	case len(list) > 0 && !list[0].gone:
		list[0].value.remove(path[1:])
	}
}

func (t *tree) read(path jsontext.Path) (string, bool) {
	if path[0].Kind != jsontext.Named {
		t.flush()
		return t.top.read(path)
	}
	if list := t.named(path[0].Name); len(list) > 0 && !list[0].gone {
		return list[0].value.read(path[1:])
	}
	return "", false
}

// fields gives what Record.Fields does.
func (t *tree) fields() (list []string) {
	for _, p := range slices.Concat(t.top.parts, t.fresh) {
		if !p.gone && t.named(p.name)[0] == p {
			list = append(list, p.name+"="+p.value.String())
		}
	}
	return list
}

// setPlain sets what path leads to in values of encoding/json.
func setPlain(in any, path jsontext.Path, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	s, rest := path[0], path[1:]
	if in == nil {
		if path.Many() && !slices.ContainsFunc(path[:slices.IndexFunc(path, func(s jsontext.Step) bool { return s.Kind >= jsontext.EveryMember })], func(s jsontext.Step) bool { return s.Kind == jsontext.Indexed }) {
			return nil, nil
		} else if s.Kind == jsontext.Indexed {
			return nil, errInTheWay
		}
		is, err := setPlain(nil, rest, value)
		return map[string]any{s.Name: is}, err
	}
	var err error
	switch v := in.(type) {
	case map[string]any:
		v = maps.Clone(v)
		if s.Kind == jsontext.EveryMember {
			for name := range v {
				if v[name], err = setPlain(v[name], rest, value); err != nil {
					return nil, err
				}
			}
			return v, nil
		} else if s.Kind == jsontext.Named {
			was, there := v[s.Name]
			is, err := setPlain(was, rest, value)
			if there || is != nil || len(rest) == 0 {
				v[s.Name] = is
			}
			return v, err
		}
	case []any:
		v = slices.Clone(v)
		if s.Index < 0 {
			s.Index += len(v)
		}
		if s.Kind == jsontext.EveryElement {
			for i := range v {
				if v[i], err = setPlain(v[i], rest, value); err != nil {
					return nil, err
				}
			}
			return v, nil
		} else if s.Kind == jsontext.Indexed && s.Index >= 0 && s.Index < len(v) {
			v[s.Index], err = setPlain(v[s.Index], rest, value)
			return v, err
		}
	}
	return nil, errInTheWay
}

// removePlain removes what path leads to in values of encoding/json.
func removePlain(in any, path jsontext.Path) any {
	s, last := path[0], len(path) == 1
	switch v := in.(type) {
	case map[string]any:
		v = maps.Clone(v)
		for name := range v {
			switch leads := s.Kind == jsontext.EveryMember || s.Kind == jsontext.Named && name == s.Name; {
			case leads && last:
				delete(v, name)
			case leads:
				v[name] = removePlain(v[name], path[1:])
			}
		}
		return v
	case []any:
		list := []any{}
		for i, e := range v {
			switch leads := s.Kind == jsontext.EveryElement || s.Kind == jsontext.Indexed && (i == s.Index || i == s.Index+len(v)); {
			case leads && last:
			case leads:
				list = append(list, removePlain(e, path[1:]))
			default:
				list = append(list, e)
			}
		}
		return list
	}
	return in
}
