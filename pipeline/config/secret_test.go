package config

import "testing"

// TestConcealCode: what looks like a password is hidden in the texts of an expression and of a
// template; code stays, and patterns do.
func TestConcealCode(t *testing.T) {
	for _, c := range []struct {
		code     string
		template bool
		want     string
	}{
		{`replaceMatch(line, "(token=)[^&]*", "${1}***")`, false, ""},
		{`token == x and password == "y"`, false, ""},
		{`let token = x; token`, false, ""},
		{`s matches "token=[a-z]+" or s matches 'pwd=\\w+' or s matches "://[^:]*:[^@]+@"`, false, ""},
		{`s + "?token=" + t // token=abc`, false, ""},
		{"\"it's\" + `token=\"a` + 'token='", false, "\"it's\" + `token=\"a` + 'token='"},
		{`s + "?token=abc&x=1"`, false, `s + "?token=***&x=1"`},
		{`s == "postgres://u:p*ss!@host/db"`, false, `s == "postgres://u:***@host/db"`},
		{`s /* " */ + "token=abc"`, false, `s /* " */ + "token=***"`},
		{`s + '\'token=abc'`, false, `s + '\'token=***'`},
		{`https://{user}:{pass}@host/?token={t}`, true, ""},
		{`{let token = x; token}{{token=abc}}{t}`, true, `{let token = x; token}{{token=***}}{t}`},
		{`http://u:secret1@h/?token=abc&q={ {"a": "token=xyz"}.a }`, true, `http://u:***@h/?token=***&q={ {"a": "token=***"}.a }`},
		{`a{`, true, ""}, {`{"a`, true, ""}, {`"a`, false, ""}, {`{{{a}`, true, ""}, {``, true, ""},
	} {
		if c.want == "" {
			c.want = c.code
		}
		if got := concealCode(c.code, c.template, nil); got != c.want {
			t.Errorf("%s\nbecomes %s\nand not %s", c.code, got, c.want)
		}
	}
	if got := concealCode(`s + "a\"b" + 'abc'`, false, secretTexts([]string{`a"b`, "ab", "abc"})); got != `s + "***" + '***'` {
		t.Error(got)
	}
}

// TestShortSecrets: a secret of few bytes is hidden where it stands, and does not take the letters of
// everything else.
func TestShortSecrets(t *testing.T) {
	d := &decoder{reading: &reading{}}
	d.takeText("a1")
	d.takeText("first line\n  second line\n")
	problems := Problems{
		{Text: "data1: a1", Source: "X: a1"}, {Text: "second line", Source: "    second line"},
	}
	problems.concealAll(secretTexts(d.secrets), secretTexts(d.hidden))
	want := []Problem{{Text: "data1: a1", Source: "X: **"}, {Text: "***", Source: "    ***********"}}
	for i, w := range want {
		if p := problems[i]; p.Text != w.Text || p.Source != w.Source {
			t.Errorf("%q, %q", p.Text, p.Source)
		}
	}
}

// TestCodeInLines: an expression is code, whatever its key is called; its texts are hidden, as is what
// stands beside it.
func TestCodeInLines(t *testing.T) {
	src := &source{lines: []string{`{é: 1, password: uper(id), token: 'a + ''b c''', secret: "a\"b", dsn: abc}`}}
	src.beginsCode(1, 18)
	src.beginsCode(1, 35)
	problems := Problems{src.problem(SeverityError, 1, 18, 4, "text", "")}
	problems.concealAll(nil, nil)
	if want := `{é: 1, password: uper(id), token: 'a + ''***''', secret: ******, dsn: ***}`; problems[0].Source != want {
		t.Errorf("%s\nand not\n%s", problems[0].Source, want)
	}
}
