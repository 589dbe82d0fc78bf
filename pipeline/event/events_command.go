package event

import "fmt"

// This file has the events of commands: what somebody asks a running process to do. registry.go says what the
// tags mean.

// CommandDone is command.done: a command that somebody with the right to it has asked for has been done, or could not be.
type CommandDone struct {
	Command      string `json:"command" required:"true" enum:"pause,resume,drain,reload,loglevel,workers,rate,skip,unskip"`
	Outcome      string `json:"outcome" required:"true" enum:"done,refused,failed"`
	Lane         string `json:"lane"`
	Step         string `json:"step"`
	Limit        string `json:"limit"`
	KeyHash      string `json:"key_hash"`
	Topic        string `json:"topic"`
	Partition    int64  `json:"partition" with:"topic"`
	Offset       int64  `json:"offset" with:"topic"`
	Was          string `json:"was"`
	Is           string `json:"is"`
	ForMs        int64  `json:"for_ms" unknown:"0"`
	DurationMs   int64  `json:"duration_ms"`
	AskedBy      string `json:"asked_by" max:"128"`
	AskedFrom    string `json:"asked_from"`
	ErrorMessage string `json:"error_message" max:"512"`
}

// CommandDenied is command.denied: somebody without the right to it has asked for a command; limited.
type CommandDenied struct {
	Command   string `json:"command" enum:"pause,resume,drain,reload,loglevel,workers,rate,skip,unskip"`
	Reason    string `json:"reason" required:"true" enum:"token,page"`
	AskedBy   string `json:"asked_by" max:"128"`
	AskedFrom string `json:"asked_from"`
}

// words says in a line what a command has done.
func (ev CommandDone) words() string {
	text := ev.Command
	for _, of := range []string{ev.Step, ev.Lane, ev.Limit, ev.KeyHash} {
		if of != "" {
			text += " " + of
		}
	}
	if ev.Topic != "" {
		text += fmt.Sprintf(" %s/%d@%d", ev.Topic, ev.Partition, ev.Offset)
	}
	text += ": " + ev.Outcome
	switch {
	case ev.ErrorMessage != "":
		return text + ": " + ev.ErrorMessage
	case ev.Is != "" && ev.Was != "":
		text += ", " + ev.Was + " -> " + ev.Is
	case ev.Is != "":
		text += ", " + ev.Is
	}
	if ev.ForMs > 0 {
		text += " for " + ms(float64(ev.ForMs))
	}
	return text
}
