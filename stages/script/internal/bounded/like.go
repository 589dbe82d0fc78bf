package bounded

import (
	"go.starlark.net/starlark"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// Same says whether a value that is no container is what stands in JSON text, so that the text can stay.
func Same(text []byte, v starlark.Value) bool {
	switch v := v.(type) {
	case starlark.NoneType:
		return text[0] == 'n'
	case starlark.Bool:
		return text[0] == 't' && bool(v) || text[0] == 'f' && !bool(v)
	case starlark.String:
		return text[0] == '"' && jsontext.Unquote(text) == string(v)
	case starlark.Int, starlark.Float, Decimal:
		if c := text[0]; c != '-' && (c < '0' || c > '9') {
			return false
		}
		switch is := numberOf(string(text)).(type) {
		case starlark.Int:
			v, ok := v.(starlark.Int)
			return ok && v.BigInt().Cmp(is.BigInt()) == 0
		case starlark.Float:
			v, ok := v.(starlark.Float)
			return ok && v == is
		case Decimal:
			return is == v
		}
	}
	return false
}

// AppendLike appends a value as JSON text, as AppendJSON does, but for what is as it was in text, which was read to make the value: that
// keeps its bytes. same says whether all is as it was.
func (r *Run) AppendLike(dst, text []byte, v starlark.Value) (out []byte, same bool, err error) {
	return r.appendLike(dst, text, v, 0)
}

func (r *Run) appendLike(dst, text []byte, v starlark.Value, depth int) (out []byte, same bool, err error) {
	if depth > MaxDepth {
		return dst, false, errDeep
	}
	from := len(dst)
	switch c := v.(type) {
	case *starlark.Dict:
		if text[0] != '{' {
			break
		}
		if out, same, err = r.objectLike(dst, text, c, depth); same {
			out = append(out[:from], text...)
		}
		return out, same, err
	case *starlark.List:
		if text[0] != '[' {
			break
		}
		if out, same, err = r.arrayLike(dst, text, c, depth); same {
			out = append(out[:from], text...)
		}
		return out, same, err
	}
	if Same(text, v) {
		return append(dst, text...), true, r.both(int64(len(text)))
	}
	out, err = r.AppendJSON(dst, v)
	return out, false, err
}

func (r *Run) objectLike(out, text []byte, d *starlark.Dict, depth int) (_ []byte, same bool, err error) {
	if err := r.elements(int64(d.Len()), bytesSlot); err != nil {
		return out, false, err
	}
	if err := r.container(text, int64(len(text))); err != nil {
		return out, false, err
	}
	same = true
	seen := map[starlark.String]bool{}
	out = append(out, '{')
	name := func(n starlark.String) {
		if out[len(out)-1] != '{' {
			out = append(out, ',')
		}
		out = append(jsontext.AppendString(out, string(n)), ':')
	}
	jsontext.Members(text, func(quoted, value []byte) bool {
		n := starlark.String(jsontext.Unquote(quoted))
		if seen[n] {
			return true
		}
		seen[n] = true
		v, there, _ := d.Get(n)
		if !there {
			same = false
			return true
		}
		name(n)
		var is bool
		out, is, err = r.appendLike(out, value, v, depth+1)
		same = same && is
		return err == nil
	})
	for k, v := range d.Entries() {
		if err != nil {
			break
		}
		n, ok := k.(starlark.String)
		if !ok {
			return out, false, say("a key of a dict is a %s, and names in JSON are texts", k.Type())
		}
		if seen[n] {
			continue
		}
		same = false
		name(n)
		out, err = r.AppendJSON(out, v)
	}
	return append(out, '}'), same && err == nil, err
}

func (r *Run) arrayLike(out, text []byte, l *starlark.List, depth int) (_ []byte, same bool, err error) {
	if err := r.elements(int64(l.Len()), bytesSlot); err != nil {
		return out, false, err
	}
	if err := r.container(text, int64(len(text))); err != nil {
		return out, false, err
	}
	same = true
	out = append(out, '[')
	i := 0
	jsontext.Elements(text, func(element []byte) bool {
		if i >= l.Len() {
			same = false
			return false
		}
		if i > 0 {
			out = append(out, ',')
		}
		var is bool
		out, is, err = r.appendLike(out, element, l.Index(i), depth+1)
		same = same && is
		i++
		return err == nil
	})
	for ; i < l.Len() && err == nil; i++ {
		if same = false; i > 0 {
			out = append(out, ',')
		}
		out, err = r.AppendJSON(out, l.Index(i))
	}
	return append(out, ']'), same && err == nil, err
}
