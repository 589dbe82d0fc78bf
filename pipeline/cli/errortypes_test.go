package cli

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The types of errors are a public format, as reasons are: events, counters and alerts hold them. The page of reasons lists them
// behind the reasons; the tests here hold the list to the code.

// errorTypes says what each type means that the code gives beside reasons.
var errorTypes = map[string]string{
	"_other":         "none of these: the message says more. Of `error.stats` and the counters also what a step or sink has beyond its first 20 types",
	"auth":           "no token could be got for the call",
	"authentication": "the broker refuses the log-in",
	"child_died":     "the process of an exec step ended before it had answered: by itself, by a signal, or for want of memory",
	"child_retry":    "the process of an exec step asked for another attempt",
	"child_unready":  "no process of an exec step could be started, or none was ready in time",
	"canceled":       "the pipeline gave the call up, as when it stops",
	"corrupt_*":      "a batch of the broker cannot be read; behind the line stands what is wrong with it, as `corrupt_crc`",
	"disconnected":   "the broker ended the connection without an answer",
	"dns":            "the broker's name is not known",
	"error":          "of `circuit.changed`: calls to the host fail, and their errors have no type",
	"held_back":      "a record in front of it in its partition was not stored",
	"kafka_*":        "the broker's own code in small letters, as `kafka_not_enough_replicas`",
	"network":        "no connection, or it broke",
	"no_space":       "the disk is full, or a quota of it is spent",
	"not_kafka":      "what answers at the broker's address is no broker",
	"timeout":        "no answer in time",
	"tls":            "the server's certificate or protocol was refused",
	"unknown":        "of `source.disconnected`: an error without a type",
}

// typesGiven reads which types the code gives: what functions called ErrorType or errorType return, and the constants of package client.
func typesGiven(t *testing.T) map[string]bool {
	given := map[string]bool{"unknown": true} // fetch.go has it in place of a type that is not there
	word := regexp.MustCompile(`^[a-z0-9_]+$`)
	literal := func(n ast.Node) {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		switch text, _ := strconv.Unquote(lit.Value); {
		case strings.HasSuffix(text, "_"): // of a family: the rest follows
			given[text+"*"] = true
		case word.MatchString(text):
			given[text] = true
		}
	}
	for _, top := range []string{"pipeline", "stages", "sinks"} {
		err := filepath.WalkDir(filepath.Join(repo, top), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					if strings.EqualFold(n.Name.Name, "errorType") {
						ast.Inspect(n.Body, func(n ast.Node) bool {
							if r, ok := n.(*ast.ReturnStmt); ok {
								ast.Inspect(r, func(n ast.Node) bool { literal(n); return true })
							}
							return true
						})
					}
				case *ast.ValueSpec:
					if name := n.Names[0].Name; len(n.Values) == 1 && (name == "Other" && file.Name.Name == "event" || strings.HasPrefix(name, "Type") && file.Name.Name == "client") {
						literal(n.Values[0])
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return given
}

// TestErrorTypesAreListed: a type that the code gives is a reason, or has a sentence; and no sentence is of a type that nothing gives.
func TestErrorTypesAreListed(t *testing.T) {
	oneGoroutine(t)
	given, reasons := typesGiven(t), readReasons(t).sentences(t)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if errorTypes[name] == "" && len(reasons[name]) == 0 {
			t.Errorf("errors have the type %s, and the page of reasons does not say what it means", name)
		}
	}
	for name := range errorTypes {
		if !given[name] {
			t.Errorf("the page of reasons has the type %s, and no error has it", name)
		}
	}
	if len(given) < 20 {
		t.Errorf("found only %d types", len(given))
	}
}

const typesHead = `
## Types of errors

Each attempt that fails has a type: ` + "`error_type`" + ` of events, of metrics, of ` + "`/api/v1/errors`" + ` and of ` + "`why`" + `. It is one of these, or a reason from above, or
what a stage or sink of your own says. An attempt is tried again or rejects its record; the type alone does not say which.

| Type | The attempt failed because |
|---|---|
`

// writeErrorTypes writes the section of the types.
func writeErrorTypes(w io.Writer) {
	fmt.Fprint(w, typesHead)
	for _, name := range slices.Sorted(maps.Keys(errorTypes)) {
		fmt.Fprintf(w, "| `%s` | %s |\n", name, errorTypes[name])
	}
}
