package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/penstockio/penstock/pipeline/config"
	execstage "github.com/penstockio/penstock/stages/exec"
)

// execAnswersFile says what the processes of exec steps answer. Without it they are started.
const execAnswersFile = "answers/exec.jsonl"

// recordProcesses has the exec steps of a pipeline answered by the case's file, where it has one, and gives
// what knows the questions that were not in it.
func (c *testCase) recordProcesses(p *config.Pipeline) (*execstage.Recorded, error) {
	file := c.file(execAnswersFile)
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading answers: %w", err)
	}
	recorded, err := execstage.ReadRecorded(text, func(step string) bool { return answersValues(p, step) })
	if err != nil {
		return nil, fmt.Errorf("reading answers: %s:%w", file, err)
	}
	for i := range p.Stages {
		if s, ok := p.Stages[i].Settings.(*execstage.Settings); ok {
			s.Recorded = recorded
		}
	}
	return recorded, nil
}

// answersValues says whether an exec step of that name has lines that are values; "" is any.
func answersValues(p *config.Pipeline, step string) bool {
	for i := range p.Stages {
		s, ok := p.Stages[i].Settings.(*execstage.Settings)
		if ok && (step == "" || step == p.Stages[i].Name) && s.As == "value" {
			return true
		}
	}
	return false
}

// startProcesses starts a process of each exec step whose answers are not recorded: where it does not start, the
// records of the case would wait for it, and nothing would say why.
func startProcesses(ctx context.Context, a *assembled) error {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	for i, step := range a.options.Steps {
		s, ok := step.Stage.(*execstage.Stage)
		if !ok || a.file.Stages[i].Settings.(*execstage.Settings).Recorded != nil {
			continue
		}
		if err := s.Ping(ctx); err != nil {
			return fmt.Errorf("%s: step %s: %w; with %s nothing is started", a.file.Place(fmt.Sprintf("stages[%d].exec", i)), step.Name, err, execAnswersFile)
		}
	}
	return nil
}

// unansweredBy gives what is wrong when processes were asked for what the file does not have.
func unansweredBy(recorded *execstage.Recorded) (problems []string) {
	if recorded == nil {
		return nil
	}
	for _, question := range recorded.Unanswered() {
		step, value, _ := strings.Cut(question, " ")
		problems = append(problems, fmt.Sprintf("the process of %s was asked about %s, for which %s has no answer", step, value, execAnswersFile))
	}
	return problems
}
