package bounded

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

// attacks ask for far more than a run may have. Each is the body of def f(x), and x is a text of 1,000 characters.
var attacks = map[string]string{
	"text times":             `return "a" * (1 << 30)`,
	"times text":             `return (1 << 30) * "a"`,
	"bytes times":            `return b"a" * (1 << 30)`,
	"list times":             `return [0] * 1000000000`,
	"times list":             `return 1000000000 * [0]`,
	"tuple times":            `return (0, x) * 1000000000`,
	"text doubled":           "s = x\nwhile True:\n  s = s + s",
	"text doubled in place":  "s = x\nwhile True:\n  s += s",
	"text grows":             "s = x\nwhile True:\n  s = s + x",
	"kept texts":             "l = []\nfor i in range(1000000):\n  l.append(x + str(i))\nreturn l",
	"list doubled":           "l = [x]\nwhile True:\n  l = l + l",
	"list doubled in place":  "l = [x]\nwhile True:\n  l += l",
	"list extends itself":    "l = [x]\nwhile True:\n  l.extend(list(l))",
	"element in place":       "l = [x]\nwhile True:\n  l[0] += l[0]",
	"member in place":        "d = {'a': x}\nwhile True:\n  d['a'] += d['a']",
	"element of a tuple":     "l = [x]\nwhile True:\n  l[0], y = l[0] + l[0], 1",
	"element of a loop":      "l = [x]\nfor l[0] in range(100000):\n  l.append([l[0]] * 1000)",
	"append":                 "l = []\nwhile True:\n  l.append(1.5)",
	"append a method":        "l = []\na = l.append\nwhile True:\n  a([])",
	"append dicts":           "l = []\nfor i in range(10000000):\n  l.append({})",
	"append literals":        "l = []\nfor i in range(10000000):\n  l.append([[], [], [], {}, {}, [], [], []])",
	"append functions":       "l = []\nfor i in range(10000000):\n  l.append(lambda y: i + len(x) + y)",
	"append closures":        "l = []\ndef g():\n  def h(): return g\n  return h\nfor i in range(10000000):\n  l.append(g())",
	"append bound methods":   "l = []\nfor i in range(10000000):\n  l.append(x.upper)",
	"append slices":          "l = list(range(10000))\nm = []\nwhile True:\n  m.append(l[:])",
	"append reversed texts":  "l = []\nwhile True:\n  l.append(x[::-1])",
	"append arguments":       "l = []\ndef g(*a): return a\nm = list(range(10000))\nwhile True:\n  l.append(g(*m))",
	"append named arguments": "l = []\ndef g(**k): return k\nm = {str(i): i for i in range(1000)}\nwhile True:\n  l.append(g(**m))",
	"append one argument":    "l = []\ndef g(**k): return k\nfor i in range(10000000):\n  l.append(g(a=1))",
	"append no arguments":    "l = []\ng = lambda *a, **k: k\nfor i in range(10000000):\n  l.append(g())",
	"insert":                 "l = []\nwhile True:\n  l.insert(0, 1.5)",
	"comprehension":          `return [i for i in range(1000000000)]`,
	"nested comprehension":   `return [[j for j in range(100000)] for i in range(100000)]`,
	"dict comprehension":     `return {i: i for i in range(1000000000)}`,
	"dict grows":             "d = {}\nfor i in range(1000000000):\n  d[i] = i",
	"dict setdefault":        "d = {}\nfor i in range(1000000000):\n  d.setdefault(i, [])",
	"dict update":            "d = {}\nfor i in range(1000000000):\n  d.update([(i, x)])",
	"dict union":             "d = {i: i for i in range(1000)}\nl = []\nwhile True:\n  l.append(d | d)",
	"dict union in place":    "d = {}\nfor i in range(1000000000):\n  d |= {i: i}",
	"dict items":             "d = {i: i for i in range(1000)}\nl = []\nwhile True:\n  l.append(d.items())",
	"dict of a list":         "return dict([(i, i) for i in range(1000000000)])",
	"set grows":              "s = set()\nfor i in range(1000000000):\n  s.add(i)",
	"set of a range":         `return set(range(1000000000))`,
	"set union":              "s = set(range(1000))\nl = []\nwhile True:\n  l.append(s | s)",
	"set update":             "s = set()\ns.update(range(1000000000))",
	"list of a range":        `return list(range(1000000000))`,
	"tuple of a range":       `return tuple(range(1000000000))`,
	"sorted range":           `return sorted(range(1000000000))`,
	"reversed range":         `return reversed(range(1000000000))`,
	"enumerated range":       `return enumerate(range(1000000000))`,
	"zipped ranges":          `return zip(range(1000000000), range(1000000000))`,
	"zip of itself":          "l = [x]\nwhile True:\n  l = zip(l + l, l + l)",
	"unpacked range":         "def g(*a): return a\nreturn g(*range(1000000000))",
	"max of a range":         `return max(range(1000000000))`,
	"max by key":             `return max(range(1000000000), key=lambda i: [i] * 1000)`,
	"any of a range":         `return any(range(1000000000))`,
	"join":                   "return x.join([x] * 100000)",
	"join range":             "return ','.join([str(i) for i in range(100000000)])",
	"replace":                "s = x\nwhile True:\n  s = s.replace('a', 'aa')",
	"replace nothing":        "s = x\nwhile True:\n  s = s.replace('', x)",
	"format":                 "s = x\nwhile True:\n  s = '{0}{0}'.format(s)",
	"format named":           "s = x\nwhile True:\n  s = '{a}{a}{a}'.format(a=s)",
	"percent":                "s = x\nwhile True:\n  s = '%s%s' % (s, s)",
	"percent of a dict":      "s = x\nwhile True:\n  s = '%(a)s%(a)s' % {'a': s}",
	"repr of repr":           "s = '\"'\nwhile True:\n  s = repr(s)",
	"split":                  "l = []\ns = ',' * 10000\nwhile True:\n  l.append(s.split(','))",
	"split spaces":           "l = []\ns = 'a ' * 10000\nwhile True:\n  l.append(s.split())",
	"splitlines":             "l = []\ns = '\\n' * 10000\nwhile True:\n  l.append(s.splitlines())",
	"elems":                  "l = []\ns = 'a' * 10000\nwhile True:\n  l.append(list(s.elems()))",
	"codepoints":             "l = []\ns = 'ä' * 10000\nwhile True:\n  l.append(list(s.codepoint_ords()))",
	"upper":                  "l = []\ns = 'ŉ' * 10000\nwhile True:\n  l.append(s.upper())",
	"capitalize":             "l = []\nwhile True:\n  l.append(x.capitalize())",
	"partition":              "l = []\nwhile True:\n  l.append((x + x).partition('b'))",
	"bytes of a text":        "l = []\nwhile True:\n  l.append(bytes(x))",
	"text of bytes":          "l = []\nb = b'\\xff' * 1000\nwhile True:\n  l.append(str(b))",
	"integer squared":        "n = 3\nwhile True:\n  n = n * n",
	"integer shifted":        "n = 1\nwhile True:\n  n = n << 500",
	"kept integers":          "l = []\nn = 1 << 500\nn = n * n * n * n * n * n * n * n\nwhile True:\n  l.append(n + len(l))",
	"negated integers":       "l = []\nn = 1 << 500\nn = n * n * n * n * n * n * n * n\nwhile True:\n  l.append(-n)",
	"integer of digits":      "return int('9' * 1000000)",
	"digits of an integer":   "l = []\nn = 1 << 500\nn = n * n * n * n * n * n * n * n\nwhile True:\n  l.append(str(n))",
	"print a tree":           "l = [x]\nfor i in range(60):\n  l = [l, l]\nreturn str(l)",
	"print a tuple":          "l = (x,)\nfor i in range(60):\n  l = (l, l)\nreturn str(l)",
	"print a dict":           "l = {}\nfor i in range(60):\n  l = {'a': l, 'b': l}\nreturn repr(l)",
	"percent a tree":         "l = [x]\nfor i in range(60):\n  l = [l, l]\nreturn '%r' % l",
	"format a tree":          "l = [x]\nfor i in range(60):\n  l = [l, l]\nreturn '{}'.format(l)",
	"fail with a tree":       "l = [x]\nfor i in range(60):\n  l = [l, l]\nfail(l)",
	"encode a tree":          "l = [x]\nfor i in range(60):\n  l = [l, l]\nreturn json.encode(l)",
	"compare trees":          "l = [x]\nm = [x]\nfor i in range(9):\n  l = [l] * 100\n  m = [m] * 100\nreturn l == m",
	"order trees":            "l = [x]\nm = [x]\nfor i in range(9):\n  l = [l] * 100\n  m = [m] * 100\nreturn l < m",
	"sort trees":             "l = [x]\nm = [x]\nfor i in range(9):\n  l = [l] * 100\n  m = [m] * 100\nreturn sorted([l, m])",
	"max of trees":           "l = [x]\nm = [x]\nfor i in range(9):\n  l = [l] * 100\n  m = [m] * 100\nreturn max(l, m)",
	"tree in a list":         "l = [x]\nm = [x]\nfor i in range(9):\n  l = [l] * 100\n  m = [m] * 100\nreturn l in [m, m]",
	"index of a tree":        "l = [x]\nm = [x]\nfor i in range(9):\n  l = [l] * 100\n  m = [m] * 100\nreturn [m].index(l)",
	"hash a tuple":           "t = (x,)\nwhile True:\n  t = (t, t)\n  {t: 1}",
	"tuple plus":             "t = (x,)\nwhile True:\n  t = ((t + t),)\n  {}.get(t)",
	"tuple of zip":           "t = (x,)\nwhile True:\n  t = zip([t], [t])[0]\n  {}.get(t)",
	"tuple of items":         "t = (x,)\nwhile True:\n  t = {t: t}.items()[0]\n  {}.get(t)",
	"tuple of popitem":       "t = (x,)\nwhile True:\n  t = {t: t}.popitem()\n  {}.get(t)",
	"tuple of arguments":     "t = (x,)\ng = lambda *a: a\nwhile True:\n  t = g(t, t)\n  {}.get(t)",
	"tuple of enumerate":     "t = (x,)\nwhile True:\n  t = tuple(enumerate([t, t]))\n  {}.get(t)",
	"deep list":              "l = []\nfor i in range(10000000):\n  l = [l]\nreturn str(l)",
	"deep printed":           "l = []\nfor i in range(100000):\n  l = [l]\nreturn str(l)",
	"deep tuple":             "l = ()\nfor i in range(100000):\n  l = (l,)\nreturn {l: 1}",
	"deep compared":          "l, m = [], []\nfor i in range(100000):\n  l, m = [l], [m]\nreturn l == m",
	"deep encoded":           "l = []\nfor i in range(100000):\n  l = [l]\nreturn json.encode(l)",
	"deep decoded":           "return json.decode('[' * 5000 + ']' * 5000)",
	"decoded":                "s = '[' + ','.join(['0'] * 100000) + ']'\nl = []\nwhile True:\n  l.append(json.decode(s))",
	"decoded objects":        "s = '[' + ','.join(['{}'] * 10000) + ']'\nl = []\nwhile True:\n  l.append(json.decode(s))",
	"holds itself":           "l = []\nl.append(l)\nreturn str(l)",
	"decodes itself":         "s = x\nwhile True:\n  s = json.encode(s + s)",
	"loop without end":       "while True:\n  pass",
	"calls itself":           "def g(): return g()\nreturn g()",
	"calls by a list":        "l = []\nl.append(lambda: l[0]())\nreturn l[0]()",
	"key not there":          "return {}[x * 1000000]",
	"key twice":              "k = x * 10000\nreturn {k: 1, k: 2}",
	"attribute not there":    "return getattr(x, x * 1000000)",
	"argument not there":     "def g(): pass\nreturn g(**{x * 10000: 1})",
	"integer of a text":      "return int(x * 1000000)",
	"search":                 "s = 'a' * 10000000\nn = 0\nfor i in range(10000000):\n  n += s.count('b')",
	"search a list":          "l = list(range(100000))\nfor i in range(10000000):\n  -1 in l",
	"pop from the front":     "l = list(range(100000))\nwhile True:\n  l.insert(0, l.pop(0))",
	"dir":                    "l = []\nwhile True:\n  l.append(dir(x))",
	"getattr":                "l = []\nwhile True:\n  l.append(getattr(x, 'join')([x, x]))",
	"sort by key":            "return sorted([x] * 1000, key=lambda y: [y] * 100000)",
	"list plus nothing":      "l = list(range(10000))\nm = []\nwhile True:\n  m.append(l + [])",
	"tuple plus nothing":     "l = tuple(range(10000))\nm = []\nwhile True:\n  m.append(l + ())",
	"list times one":         "l = list(range(10000))\nm = []\nwhile True:\n  m.append(l * 1)",
	"print elems":            "e = (x * 1000).elems()\nl = []\nwhile True:\n  l.append(str(e))",
	"print codepoints":       "e = (x * 1000).codepoints()\nl = []\nwhile True:\n  l.append('%r' % e)",
	"print bytes elems":      "e = bytes(x * 1000).elems()\nl = []\nwhile True:\n  l.append([str(e)])",
	"percent of floats":      "f = '%f' * 1000\nt = (1e308,) * 1000\nl = []\nwhile True:\n  l.append(f % t)",
	"strip":                  "return ('a' * 4000000).strip('ä' * 1000000 + 'a')",
	"many beginnings":        "s = x * 1000\nreturn s.startswith((s + 'b', s + 'c') * 100000)",
	"one text in a set":      "s = x * 2000\nreturn set([s] * 200000)",
	"one text in a dict":     "s = x * 2000\nreturn dict([(s, 1)] * 20000)",
	"update by one text":     "s = x * 2000\nd = {}\nd.update([(s, 1)] * 20000)",
	"one text into a set":    "s = x * 2000\nd = set()\nd.update([s] * 200000)",
	"one tuple in a set":     "s = tuple(range(10000))\nreturn set([s] * 200000)",
	"text among texts":       "s, t = x * 1000 + 'a', x * 1000 + 'b'\nreturn s in [t] * 200000",
	"index of a text":        "s, t = x * 1000 + 'a', x * 1000 + 'b'\nreturn ([t] * 200000).index(s)",
	"hash of a text":         "s = x * 5000\nwhile True:\n  hash(s)",
	"compare bytes":          "s, t = bytes(x * 1000 + 'a'), bytes(x * 1000 + 'b')\nwhile True:\n  s == t",
	"format into nothing":    "l = [0] * 100000\nwhile True:\n  ''.format(l)",
	"decode what is deep":    "s = '[' * 900 + json.encode('a' * 100000) + ']' * 900\nwhile True:\n  json.decode(s)",
	"many variables":         "l = []\nfor i in range(100000000):\n  l += [(i, i, [i])]",
}

func attack(t *testing.T, body string, limits Limits) (*Run, starlark.Callable) {
	t.Helper()
	source := "def f(x):\n  " + strings.ReplaceAll(body, "\n", "\n  ") + "\n"
	p, err := Compile("attack", []byte(source), nil, Limits{Steps: 1e6, Memory: 1 << 20})
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	f, err := p.Function("f")
	if err != nil {
		t.Fatal(err)
	}
	return NewRun(limits, nil), f
}

// TestAttacks: none gets more memory than it may, none goes on for longer than its steps, and each ends with an error.
func TestAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures memory, and nothing in it is concurrent")
	}
	limits := Limits{Steps: 200_000, Memory: 16 << 20}
	for name, body := range attacks {
		t.Run(name, func(t *testing.T) {
			r, f := attack(t, body, limits)
			r.Begin(context.Background())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			v, err := r.Call(f, starlark.String(strings.Repeat("a", 1000)))
			runtime.ReadMemStats(&after)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("it gave a %T and the error %v", v, err)
			}
			// Garbage of the interpreter is in it: frames of calls, buffers that grow.
			if size := after.TotalAlloc - before.TotalAlloc; size > 8*uint64(limits.Memory) {
				t.Errorf("%d KiB were allocated, of which %d were counted: %v", size>>10, r.used>>10, err)
			}
			if r.thread.Steps > uint64(limits.Steps)+1 || r.used > limits.Memory {
				t.Errorf("it took %d steps and %d bytes: %v", r.thread.Steps, r.used, err)
			}
		})
	}
}
