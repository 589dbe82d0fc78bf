package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"

	"github.com/itchyny/gojq"
)

// A Mode is how jq gives a program the lines of a log.
type Mode string

const (
	// Inputs runs the program once, with the lines as inputs: jq -n. A log of any length fits.
	Inputs Mode = "-n"
	// Slurp runs the program once, on an array of all lines: jq -s.
	Slurp Mode = "-s"
	// Each runs the program on one line after another: jq without a flag.
	Each Mode = ""
)

// Run runs a jq program over a log and gives its answers: null, booleans, int, float64, *big.Int,
// string, []any and map[string]any. vars are variables of the program, with the dollar sign. A line
// that is no JSON, and an error of the program, is an error, as jq has it.
func Run(ctx context.Context, mode Mode, program string, log []byte, vars map[string]any) ([]any, error) {
	parsed, err := gojq.Parse(program)
	if err != nil {
		return nil, fmt.Errorf("parsing the jq program: %w", err)
	}
	lines, err := decode(log)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(vars))
	values := make([]any, len(names))
	for i, name := range names {
		values[i] = vars[name]
	}
	rest := gojq.NewIter(lines...)
	if mode != Inputs {
		rest = gojq.NewIter[any]()
	}
	code, err := gojq.Compile(parsed, gojq.WithVariables(names), gojq.WithInputIter(rest))
	if err != nil {
		return nil, fmt.Errorf("compiling the jq program: %w", err)
	}
	inputs := []any{nil}
	switch mode {
	case Slurp:
		inputs = []any{lines}
	case Each:
		inputs = lines
	}
	var answers []any
	for _, in := range inputs {
		more, err := collect(code.RunWithContext(ctx, in, values...))
		if err != nil {
			return nil, fmt.Errorf("running the jq program: %w", err)
		}
		answers = append(answers, more...)
	}
	return answers, nil
}

func collect(it gojq.Iter) (answers []any, err error) {
	for {
		v, ok := it.Next()
		if !ok {
			return answers, nil
		}
		if err, failed := v.(error); failed {
			var halt *gojq.HaltError
			if errors.As(err, &halt) && halt.Value() == nil {
				return answers, nil
			}
			return nil, err
		}
		answers = append(answers, v)
	}
}

// decode gives the lines of a log as jq has them.
func decode(log []byte) ([]any, error) {
	lines := []any{}
	n := 0
	for line := range bytes.Lines(log) {
		n++
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			return nil, fmt.Errorf("line %d of the log: %w", n, err)
		}
		lines = append(lines, numbers(v))
	}
	return lines, nil
}

// numbers makes gojq's numbers of those of encoding/json.
func numbers(v any) any {
	switch x := v.(type) {
	case json.Number:
		if i, err := strconv.Atoi(x.String()); err == nil {
			return i
		}
		if b, ok := new(big.Int).SetString(x.String(), 10); ok {
			return b
		}
		f, _ := x.Float64()
		return f
	case []any:
		for i := range x {
			x[i] = numbers(x[i])
		}
	case map[string]any:
		for key := range x {
			x[key] = numbers(x[key])
		}
	}
	return v
}
