package script

import (
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/stages/script/internal/bounded"
)

// A compiled script is ready to be called by several goroutines.
type compiled struct {
	name     string // of its file; "": it stands in the pipeline file
	program  *bounded.Program
	function *starlark.Function
	limits   bounded.Limits
}

// topLevel are the bounds of the top level of a script, whatever those of a call are: check runs it too, and ends soon.
var topLevel = bounded.Limits{Steps: 10_000_000, Memory: 64 << 20}

// compile reads and compiles the script. Errors are settings.FieldErrors.
func compile(s *Settings) (*compiled, error) {
	text, name, err := s.source()
	if err != nil {
		return nil, err
	}
	field := "code"
	if name != "" {
		field = "file"
	}
	limits := bounded.Limits{Steps: s.Steps, Memory: int64(s.Memory)}
	program, err := bounded.Compile("script", text, names(), topLevel)
	var wrong *bounded.CodeError
	var ran *bounded.Error
	switch {
	case errors.As(err, &wrong) && name == "":
		return nil, &settings.FieldError{Field: field, Err: placed(text, err)}
	case errors.As(err, &wrong) && wrong.Suggestion != "":
		return nil, &settings.FieldError{Field: field, Err: fmt.Errorf("%s:%w; %s", name, err, wrong.Suggestion)}
	case errors.As(err, &wrong):
		return nil, &settings.FieldError{Field: field, Err: fmt.Errorf("%s:%w", name, err)}
	case errors.As(err, &ran): // there is no record yet that it could quote
		what := ran.What
		if ran.Quoted != "" {
			what = ran.Quoted
		}
		err = &bounded.CodeError{Line: max(ran.Line, 1), Column: max(ran.Column, 1), Message: "running the top level of the script: " + what}
		if name == "" {
			return nil, &settings.FieldError{Field: field, Err: placed(text, err)}
		}
		return nil, &settings.FieldError{Field: field, Err: fmt.Errorf("%s:%w", name, err)}
	case err != nil:
		return nil, &settings.FieldError{Field: field, Err: err}
	}
	function, err := program.Function(s.Function)
	if err != nil {
		return nil, &settings.FieldError{Field: "function", Err: err}
	}
	if !takesOne(function) {
		return nil, &settings.FieldError{Field: "function", Err: fmt.Errorf("%s is called with the record alone: write def %s(record)", s.Function, s.Function)}
	}
	return &compiled{name, program, function, limits}, nil
}

// takesOne says whether a function can be called with one argument.
func takesOne(f *starlark.Function) bool {
	named := f.NumParams() - f.NumKwonlyParams()
	if f.HasKwargs() {
		named--
	}
	if f.HasVarargs() {
		named--
	}
	if named == 0 && !f.HasVarargs() {
		return false
	}
	for i := 1; i < named; i++ {
		if f.ParamDefault(i) == nil {
			return false
		}
	}
	for i := named; i < named+f.NumKwonlyParams(); i++ {
		if f.ParamDefault(i) == nil {
			return false
		}
	}
	return true
}
