package query_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/penstockio/penstock/pipeline/dashboards/internal/query"
	"github.com/penstockio/penstock/pipeline/event"
)

// A question is one of the page of queries.
type question struct {
	title   string
	logql   string
	mode    query.Mode
	raw     bool // jq -r: texts are printed without quotes
	program string
	wrong   []string // what the page lacks
}

var (
	inLogQL = regexp.MustCompile("(?s)```logql\n(.*?)```")
	inShell = regexp.MustCompile("(?s)```sh\n(.*?)```")
	jqLine  = regexp.MustCompile(`(?s)^jq((?: -[a-z])*) '([^']*)' penstock\.log\n$`)
)

// page takes the page of queries apart.
func page(text string) (all []question) {
	for _, part := range strings.Split("\n"+text, "\n### ")[1:] {
		part, _, _ = strings.Cut(part, "\n## ")
		title, body, _ := strings.Cut(part, "\n")
		q := question{title: title}
		if m := inLogQL.FindAllStringSubmatch(body, -1); len(m) == 1 {
			q.logql = m[0][1]
		} else {
			q.wrong = append(q.wrong, fmt.Sprintf("%d blocks of logql, want one", len(m)))
		}
		if m := inShell.FindAllStringSubmatch(body, -1); len(m) == 1 {
			q.jq(m[0][1])
		} else {
			q.wrong = append(q.wrong, fmt.Sprintf("%d blocks of sh, want one", len(m)))
		}
		all = append(all, q)
	}
	return all
}

func (q *question) jq(command string) {
	m := jqLine.FindStringSubmatch(command)
	if m == nil {
		q.wrong = append(q.wrong, "no line jq FLAGS 'PROGRAM' penstock.log")
		return
	}
	q.program = m[2]
	for _, flag := range strings.Fields(m[1]) {
		switch flag {
		case "-n":
			q.mode = query.Inputs
		case "-s":
			q.mode = query.Slurp
		case "-r":
			q.raw = true
		case "-c":
		default:
			q.wrong = append(q.wrong, "a flag "+flag+", which is not run here")
		}
	}
}

// streamLabels are those that the page says of streams.
const streamLabels = "service_name"

// check holds what a question names against the contract of the log.
func (q *question) check() error {
	var errs []error
	for _, w := range q.wrong {
		errs = append(errs, errors.New(w))
	}
	if q.wrong == nil {
		errs = append(errs, query.Check(q.logql, event.Registry, streamLabels), query.CheckJQ(q.program, event.Registry))
	}
	return errors.Join(errs...)
}
