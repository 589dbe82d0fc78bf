package bounded

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// An Error is what went wrong in the code, and where. Its text quotes no value: what does stands in Detail alone.
type Error struct {
	Cause  error    // what a builtin gave, or nil: ErrSteps, ErrMemory, the error of a context, what the host's own gave
	What   string   // what happened, without any value
	Quoted string   // what happened as the interpreter says it; "": What says it all
	Stack  []string // where, the innermost call first: "process at line 7, column 3"
	Line   int      // of the innermost; 0: none is known
	Column int
}

func (e *Error) Error() string {
	if len(e.Stack) == 0 {
		return e.What
	}
	return e.What + ", in " + strings.Join(e.Stack, ", called by ")
}

func (e *Error) Unwrap() error { return e.Cause }

// maxStack is how many calls an error names.
const maxStack = 8

// wrap makes an *Error of what the interpreter gives.
func (r *Run) wrap(err error) error {
	e := &Error{Cause: errors.Unwrap(err)}
	var eval *starlark.EvalError
	if errors.As(err, &eval) {
		for i := len(eval.CallStack) - 1; i >= 0 && len(e.Stack) < maxStack; i-- {
			f := eval.CallStack[i]
			if f.Pos.Line == 0 || f.Pos.Filename() == "<builtin>" {
				continue
			}
			if e.Line == 0 {
				e.Line, e.Column = int(f.Pos.Line), int(f.Pos.Col)
			}
			name := f.Name
			if name == "<toplevel>" {
				name = "the top level"
			}
			e.Stack = append(e.Stack, fmt.Sprintf("%s at line %d, column %d", name, f.Pos.Line, f.Pos.Col))
		}
	}
	if r.stopped != nil {
		e.Cause, e.What = r.stopped, r.stopped.Error()
		return e
	}
	var said *saying
	switch {
	case errors.As(err, &said):
		e.Cause, e.What, e.Quoted = said, said.what, said.quoted
	case eval == nil:
		e.What, e.Quoted = sayable(err.Error())
	default:
		e.What, e.Quoted = sayable(eval.Msg)
	}
	return e
}

// A saying is an error of this package: what is certain to quote no value, and what may.
type saying struct{ what, quoted string }

func (s *saying) Error() string {
	if s.quoted != "" {
		return s.quoted
	}
	return s.what
}

func say(format string, args ...any) error { return &saying{what: fmt.Sprintf(format, args...)} }

// Say makes an error of a function of the host, whose text quotes no value.
func Say(format string, args ...any) error { return say(format, args...) }

// Sayable splits an error of a Run's methods into what quotes no value, and what may, "" when the first says it all.
func Sayable(err error) (what, quoted string) {
	var said *saying
	if errors.As(err, &said) {
		return said.what, said.quoted
	}
	return sayable(err.Error())
}

// Plain are the messages of the interpreter that hold names of the code and types alone. Names of attributes and of arguments
// that the code has put together are refused before they come here.
var plain = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`unknown (?:binary|unary) op: [\w ]+ ?\S{1,3} \w+(?: \w+)?`,
	`\w+ has no \.\w+ field or method(?: \(did you mean \.\w+\?\))?`,
	`can't assign to \.\w+ field of \w+`,
	`(?:global|local) variable \w+ referenced before assignment`,
	`key "[^"]*" not in \w+`, // a literal: others do not come from the interpreter
	`(?:floating-point |floored )?division by zero`, `(?:integer|floating-point) modulo by zero`,
	`unhandled index operation \w+\[\w+\]`,
	`\w+ not implemented for [\w ]+`, `\w+ \S+ \w+ not implemented`,
	`function \w+ called recursively`,
	`function \w+ (?:accepts|missing|takes)[\w ,()]*`,
	`\w+: (?:missing argument for \w+|got \w+ arguments?, want [\w ]+)`,
	`\w+: for parameter \w+: got \w+, want [\w ]+`, `\w+: for parameter \d+: got \w+, want [\w ]+`,
	`(?:invalid call of non-function|unhashable:?(?: type:?)?|got) [\w() ]+`,
	`(?:\w+:? )?got \w+, want [\w ]+`, `(?:for loop: |in )?\w+(?: value)? is not iterable`,
	`got \w+ in sequence assignment`, `too (?:many|few) values to unpack \(got \d+, want \d+\)`,
	`comparison exceeded maximum recursion depth`,
	`cannot \w+ (?:frozen )?\w+(?: \w+){0,3} ?(?:during iteration)?`, `cannot insert into frozen hash table`,
	`\w+: cannot \w+(?: \w+){0,2} frozen \w+(?: \w+)?`, `\w+: cannot \w+(?: \w+){0,3} during iteration`,
	`\w+ value does not support item assignment`,
}, "|") + `)$`)

// sayable splits a message of the interpreter into what may be said anywhere and what may quote a value.
func sayable(msg string) (what, quoted string) {
	if len(msg) < 200 && plain.MatchString(msg) {
		return msg, ""
	}
	if len(msg) > 500 {
		msg = msg[:500]
	}
	what = "an operation failed on a value"
	for begin, says := range unsaid {
		if strings.HasPrefix(msg, begin) {
			what = says
		}
	}
	if name, _, ok := strings.Cut(msg, ":"); ok && wordOnly.MatchString(name) {
		what = name + " failed on a value"
	}
	return what, strings.ToValidUTF8(msg, "\ufffd")
}

// unsaid are the beginnings of messages that go on with a value, and what is said in their place.
var unsaid = map[string]string{
	"shift count too large": "an integer is shifted by too many bits: 511 are the most",
	"negative shift count":  "an integer is shifted by a negative number of bits",
}

// wordOnly are names of the functions that a message begins with.
var wordOnly = regexp.MustCompile(`^(?:int|float|bytes|ord|chr|join|split|rsplit|index|rindex|format|replace|remove|pop|popitem|dict|set|list|tuple|sorted|max|min|range|zip|enumerate|update|math\.\w+)$`)

// A CodeError is a mistake in the code, at line and column, counted from 1, in bytes.
type CodeError struct {
	Line, Column int
	Message      string
	Suggestion   string
}

func (e *CodeError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message) }

// codeError makes a CodeError of what parser and resolver give.
func codeError(err error) error {
	var s syntax.Error
	if errors.As(err, &s) {
		return &CodeError{int(s.Pos.Line), int(s.Pos.Col), s.Msg, ""}
	}
	var list resolve.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		return &CodeError{int(list[0].Pos.Line), int(list[0].Pos.Col), list[0].Msg, hint(list[0].Msg)}
	}
	return err
}

func hint(msg string) string {
	switch {
	case msg == "undefined: print":
		return "a script writes nowhere: set a field of the record, or reject it with a text"
	case strings.HasPrefix(msg, "undefined: ") && strings.Contains(" open exec eval import random os sys requests ", " "+strings.TrimPrefix(msg, "undefined: ")+" "):
		return "a script reads the record alone: no file, no network, no clock, nothing random"
	}
	return ""
}
