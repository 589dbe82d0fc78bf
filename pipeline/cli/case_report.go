package cli

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// mostShown bounds the differences of a case that are printed.
const mostShown = 10

// A caseResult is what became of one case.
type caseResult struct {
	name     string
	took     time.Duration
	updated  []string     // files that --update has changed
	problems []string     // errors, each one line or more
	diffs    []difference // records
	records  int          // that were read
}

func (r *caseResult) ok() bool { return len(r.problems) == 0 && len(r.diffs) == 0 }

// text shows what is wrong, for people.
func (r *caseResult) text() string {
	var b strings.Builder
	for _, p := range r.problems {
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(strings.TrimRight(p, "\n"), "\n", "\n  "))
	}
	for i, d := range r.diffs {
		if i == mostShown {
			fmt.Fprintf(&b, "  and %d more records\n", len(r.diffs)-i)
			break
		}
		switch d.What {
		case "missing":
			fmt.Fprintf(&b, "  %s: %s is missing\n", d.Sink, d.Position)
		case "unexpected":
			fmt.Fprintf(&b, "  %s: %s was not expected\n", d.Sink, d.Position)
		case "order":
			fmt.Fprintf(&b, "  %s: %s was expected at the place of another record\n", d.Sink, d.Position)
		default:
			fmt.Fprintf(&b, "  %s: %s differs\n", d.Sink, d.Position)
		}
		for _, f := range d.Fields {
			fmt.Fprintf(&b, "    %s: expected %s, got %s\n", f.Field, f.Expected, f.Got)
		}
		if d.Expected != "" {
			fmt.Fprintf(&b, "    expected %s\n", d.Expected)
		}
		if d.Got != "" {
			fmt.Fprintf(&b, "    got      %s\n", d.Got)
		}
	}
	return b.String()
}

// A caseReport prints results as they come.
type caseReport interface {
	add(*caseResult) error
	end() error
}

func newCaseReport(format string, w io.Writer) (caseReport, error) {
	switch format {
	case "pretty":
		return &prettyReport{w: w}, nil
	case "json":
		return &jsonReport{json.NewEncoder(w)}, nil
	case "junit":
		return &junitReport{w: w}, nil
	}
	return nil, usagef("--format %s: it is pretty, json or junit", format)
}

type prettyReport struct {
	w              io.Writer
	passed, failed int
}

func (p *prettyReport) add(r *caseResult) (err error) {
	switch {
	case !r.ok():
		p.failed++
		_, err = fmt.Fprintf(p.w, "FAIL %s (%.2fs)\n%s", r.name, r.took.Seconds(), r.text())
	case len(r.updated) > 0:
		p.passed++
		_, err = fmt.Fprintf(p.w, "new  %s: %s\n", r.name, strings.Join(r.updated, ", "))
	default:
		p.passed++
		_, err = fmt.Fprintf(p.w, "ok   %s (%.2fs, %d records)\n", r.name, r.took.Seconds(), r.records)
	}
	return err
}

func (p *prettyReport) end() error {
	_, err := fmt.Fprintf(p.w, "%d passed, %d failed\n", p.passed, p.failed)
	return err
}

// jsonReport prints one object a line.
type jsonReport struct{ enc *json.Encoder }

func (j *jsonReport) add(r *caseResult) error {
	return j.enc.Encode(struct {
		Case        string       `json:"case"`
		Passed      bool         `json:"passed"`
		DurationMs  int64        `json:"duration_ms"`
		Records     int          `json:"records"`
		Problems    []string     `json:"problems,omitempty"`
		Differences []difference `json:"differences,omitempty"`
		Updated     []string     `json:"updated,omitempty"`
	}{r.name, r.ok(), r.took.Milliseconds(), r.records, r.problems, r.diffs, r.updated})
}

func (j *jsonReport) end() error { return nil }

// junitReport prints one document at the end.
type junitReport struct {
	w     io.Writer
	suite junitSuite
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`

	took time.Duration
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (j *junitReport) add(r *caseResult) error {
	c := junitCase{Name: r.name, Class: "penstock", Time: fmt.Sprintf("%.3f", r.took.Seconds())}
	if !r.ok() {
		j.suite.Failures++
		c.Failure = &junitFailure{Message: fmt.Sprintf("%d problems, %d records differ", len(r.problems), len(r.diffs)), Text: r.text()}
	}
	j.suite.Tests++
	j.suite.took += r.took
	j.suite.Cases = append(j.suite.Cases, c)
	return nil
}

func (j *junitReport) end() error {
	j.suite.Name, j.suite.Time = "penstock test", fmt.Sprintf("%.3f", j.suite.took.Seconds())
	b, err := xml.MarshalIndent(j.suite, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(j.w, "%s%s\n", xml.Header, b)
	return err
}
