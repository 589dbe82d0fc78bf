package cli

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/expr"
)

// This file says what a shell offers for what is typed: see penstock completion --help. An offer
// is "what<TAB>description", as cobra wants it.

func offer(what, says string) string { return what + "\t" + brief(says) }

// brief gives the first clause of what is said, in one line.
func brief(says string) string {
	says, _, _ = strings.Cut(inText(says), "; ")
	says, _, _ = strings.Cut(says, ". ")
	return strings.ReplaceAll(says, "\n", " ")
}

// completeFunctions offers the names of functions for the first argument.
func completeFunctions(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return offersOf(typed, functionOffers("")), cobra.ShellCompDirectiveNoFileComp
}

// completeExpression offers the functions and fields of meta that the last word of an expression
// may become. Names of fields are those of a record that nobody has here.
func completeExpression(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	from := wordOfExpression(typed)
	var all []string
	for _, o := range offersOf(typed[from:], expressionOffers("(")) {
		all = append(all, typed[:from]+o)
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// wordOfExpression gives where the last word of an expression begins.
func wordOfExpression(typed string) int {
	return strings.LastIndexFunc(typed, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.')
	}) + 1
}

// expressionOffers are what a word of any expression may become: functions, with what is to stand
// behind their names, and fields of meta.
func expressionOffers(behind string) []string { return append(functionOffers(behind), metaOffers()...) }

func functionOffers(behind string) (all []string) {
	for _, f := range expr.Reference() {
		all = append(all, offer(f.Name+behind, f.Says))
	}
	return all
}

func metaOffers() (all []string) {
	for _, name := range expr.Meta() {
		all = append(all, offer("meta."+name, "of the record"))
	}
	return all
}

// offersOf keeps what begins as typed, in order.
func offersOf(typed string, all []string) []string {
	all = slices.DeleteFunc(all, func(o string) bool { return !strings.HasPrefix(o, typed) })
	slices.Sort(all)
	return all
}

// completeKinds offers the names of components, and of functions, for the argument of list.
func (g *globals) completeKinds(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []string
	for _, k := range g.kinds {
		all = append(all, offer(k.Name, string(k.Section)+": "+k.Doc))
	}
	if typed != "" { // list NAME explains a function, too
		all = append(all, functionOffers("")...)
	}
	slices.Sort(all)
	all = slices.CompactFunc(all, func(a, b string) bool { return nameOf(a) == nameOf(b) })
	return offersOf(typed, all), cobra.ShellCompDirectiveNoFileComp
}

func nameOf(offered string) string {
	name, _, _ := strings.Cut(offered, "\t")
	return name
}

// completeFiles offers files that end as one of these, and folders.
func completeFiles(endings ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return endings, cobra.ShellCompDirectiveFilterFileExt
	}
}

// firstOffers offers what f does for the first argument, and files for those behind it.
func firstOffers(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return f(cmd, args, typed)
	}
}

// oneOffer offers what f does for the first argument, and nothing for those behind it.
func oneOffer(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(cmd, args, typed)
	}
}

// lastOffers offers what f does for the last of several words with commas between, but for those in front of it.
func lastOffers(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		at := strings.LastIndexByte(typed, ',') + 1
		offers, directive := f(cmd, args, typed[at:])
		before := strings.Split(typed[:at], ",")
		var all []string
		for _, o := range offers {
			if !slices.Contains(before, nameOf(o)) {
				all = append(all, typed[:at]+o)
			}
		}
		return all, directive
	}
}

// completeWords offers the values of a flag that takes one of a few.
func completeWords(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// flagWords are the values of flags that take one of a few, by command.
var flagWords = map[string]map[string][]string{
	"eval":   {"as": inputForms},
	"check":  {"as": inputForms},
	"export": {"kind": exportKinds()},
	"graph":  {"format": {"text", "mermaid", "dot", "svg"}},
	"test":   {"format": {"pretty", "json", "junit"}},
	"fmt":    {"level": {"debug", "info", "warn", "error"}},
	"schema": {"event": eventNames()},
	"ls":     {"by": letterGroups},
	"replay": {"to": {"start", "step"}, "as": inputForms, "speed": {"max", "1x", "10x"}, "clock": {"record", "wall"}, "fail-on": {"dead_letter", "error"}},
}

// completeUntil offers the steps of the file among the arguments, or of --file.
func (g *globals) completeUntil(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if f := cmd.Flag("file"); f != nil {
		args = append(args, f.Value.String())
	}
	p := g.pipelineOf(args)
	if p == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []string
	for _, s := range p.Stages {
		all = append(all, offer(s.Name, s.Kind.Doc))
	}
	return offersOf(typed, all), cobra.ShellCompDirectiveNoFileComp
}

// completeAll registers what the flags and arguments of the commands below root offer, but for
// those that say it themselves.
func (g *globals) completeAll(root *cobra.Command) error {
	files := completeFiles("yaml", "yml")
	flags := map[string]cobra.CompletionFunc{
		"set": g.completeSet, "log-level": completeWords("debug", "info", "warn", "error", "disabled"), "log-format": completeWords("auto", "json", "console"),
		"until": g.completeUntil, "before": g.completeUntil, "key": completeExpression, "file": files,
		"step": lastOffers(g.completeRejecter), "reason": lastOffers(completeReasons), "where": completeExpression,
		"limit": cobra.NoFileCompletions, "rate": cobra.NoFileCompletions, "max-replays": cobra.NoFileCompletions, "pipeline": cobra.NoFileCompletions,
	}
	register := func(c *cobra.Command, flag string, f cobra.CompletionFunc) error {
		if _, ok := c.GetFlagCompletionFunc(flag); ok || c.LocalNonPersistentFlags().Lookup(flag) == nil && c.PersistentFlags().Lookup(flag) == nil {
			return nil
		}
		return c.RegisterFlagCompletionFunc(flag, f)
	}
	commands := append([]*cobra.Command{root}, root.Commands()...)
	for _, c := range root.Commands() {
		commands = append(commands, c.Commands()...)
	}
	for _, c := range commands {
		for flag, f := range flags {
			if err := register(c, flag, f); err != nil {
				return err
			}
		}
		for flag, words := range flagWords[c.Name()] {
			if err := register(c, flag, completeWords(words...)); err != nil {
				return err
			}
		}
		if c.ValidArgsFunction == nil {
			c.ValidArgsFunction = argumentsOf(c, files)
		}
	}
	return nil
}

// argumentsOf gives what a command's arguments offer, by its usage line; nil: files of any name.
func argumentsOf(c *cobra.Command, files cobra.CompletionFunc) cobra.CompletionFunc {
	_, what, _ := strings.Cut(c.Use, " ")
	switch {
	case c.HasSubCommands():
		return nil
	case strings.HasPrefix(what, "FILE FIXTURE"):
		return firstOffers(files)
	case strings.HasPrefix(what, "EXPR"):
		return firstOffers(completeExpression)
	case what == "FILE", strings.HasPrefix(what, "FILE [") && !strings.Contains(what, "..."):
		return oneOffer(files)
	case strings.HasPrefix(what, "FILE"), strings.HasPrefix(what, "[FILE]"), strings.HasPrefix(what, "[FILE|"):
		return files
	case what == "":
		return cobra.NoFileCompletions
	}
	return nil
}

// completeSet offers what --set takes: the settings of the file among the arguments, or of any,
// level by level, and behind the = the values of one that has only a few.
func (g *globals) completeSet(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	const stay = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	path, _, isValue := strings.Cut(typed, "=")
	if isValue {
		var all []string
		for _, value := range valuesOf(g.settingsAt(args, path)) {
			all = append(all, path+"="+value)
		}
		return offersOf(typed, all), cobra.ShellCompDirectiveNoFileComp
	}
	at := strings.LastIndexByte(path, '.') + 1
	var all []string
	for _, s := range g.settingsBelow(args, strings.TrimSuffix(path[:at], ".")) {
		behind := "="
		if s.Inner != nil {
			behind = "."
		}
		all = append(all, offer(path[:at]+s.Name+behind, s.Doc))
	}
	return offersOf(typed, all), stay
}

// valuesOf gives the values that a setting may have, when they are few.
func valuesOf(s *config.Setting) []string {
	switch {
	case s == nil:
		return nil
	case len(s.Enum) > 0:
		return s.Enum
	case s.Type == "order":
		return []string{"partition", "none", "key"}
	case strings.HasSuffix(s.Type, ", or off"):
		return []string{"off"}
	case s.Type == "true or false":
		return []string{"true", "false"}
	}
	return nil
}

// settingsAt gives the setting at a path; nil when there is none.
func (g *globals) settingsAt(args []string, path string) *config.Setting {
	at := strings.LastIndexByte(path, '.') + 1
	for _, s := range g.settingsBelow(args, strings.TrimSuffix(path[:at], ".")) {
		if s.Name == path[at:] {
			return &s
		}
	}
	return nil
}

// settingsBelow gives what may stand below a path of settings. What has settings within has an
// Inner, be it empty.
func (g *globals) settingsBelow(args []string, path string) []config.Setting {
	list := g.topSettings(args)
	if path == "" {
		return list
	}
	for name := range strings.SplitSeq(strings.ReplaceAll(path, "[", ".["), ".") {
		name = strings.Trim(name, "[]")
		i := slices.IndexFunc(list, func(s config.Setting) bool { return s.Name == name })
		if i < 0 {
			if i = slices.IndexFunc(list, func(s config.Setting) bool { return s.Name == "0" }); i < 0 || !isIndex(name) {
				return nil
			}
		}
		list = list[i].Inner
	}
	return list
}

func isIndex(name string) bool {
	n, err := strconv.Atoi(name)
	return err == nil && n >= 0
}

// topSettings gives the settings of a file, with the components that it has, or may have.
func (g *globals) topSettings(args []string) []config.Setting {
	list := config.FileSettingList()
	p := g.pipelineOf(args)
	for i := range list {
		switch s := &list[i]; s.Name {
		case "source":
			s.Inner = g.kindSettings(config.SourceSection)
			if p != nil {
				s.Inner = []config.Setting{ofKind(p.Source.Kind)}
			}
		case "limits":
			nameRates(s.Inner, p)
		case "dead_letter":
			s.Inner = append(g.kindSettings(config.SinkSection), config.DeadLetterSettingList(nil)...)
		case "stages":
			s.Inner = []config.Setting{{Name: "0", Doc: "the first; a step may be named too", Inner: append(g.kindSettings(config.StageSection), config.StepSettings(nil)...)}}
			if p != nil {
				s.Inner = nil
				for n, stage := range p.Stages {
					s.Inner = append(s.Inner, items(n, stage.Name, stage.Kind, config.StepSettings(stage.Kind))...)
				}
			}
		case "sinks":
			s.Inner = []config.Setting{{Name: "0", Doc: "the first; a sink may be named too", Inner: append(g.kindSettings(config.SinkSection), config.OutputSettingList(nil)...)}}
			if p != nil {
				s.Inner = nil
				for n, sink := range p.Sinks {
					s.Inner = append(s.Inner, items(n, sink.Name, sink.Kind, config.OutputSettingList(sink.Kind))...)
				}
			}
		}
	}
	return list
}

// nameRates puts the rates of a file, or none, in place of the one that stands for any.
func nameRates(limits []config.Setting, p *config.Pipeline) {
	i := slices.IndexFunc(limits, func(s config.Setting) bool { return s.Name == "rates" })
	one := limits[i].Inner[0]
	limits[i].Inner = []config.Setting{}
	if p == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.Limits.Rates)) {
		one.Name, one.Doc = name, p.Limits.Rates[name].Rate.String()
		limits[i].Inner = append(limits[i].Inner, one)
	}
}

// items gives an item of stages or sinks under its name and its number.
func items(n int, name string, k *config.Kind, beside []config.Setting) []config.Setting {
	inner := append([]config.Setting{ofKind(k)}, beside...)
	doc := string(k.Section) + " " + k.Name
	return []config.Setting{{Name: name, Doc: doc, Inner: inner}, {Name: strconv.Itoa(n), Doc: doc, Inner: inner}}
}

func ofKind(k *config.Kind) config.Setting {
	return config.Setting{Name: k.Name, Doc: k.Doc, Inner: append([]config.Setting{}, k.SettingList()...)}
}

func (g *globals) kindSettings(section config.Section) (all []config.Setting) {
	for i := range g.kinds {
		if g.kinds[i].Section == section {
			all = append(all, ofKind(&g.kinds[i]))
		}
	}
	return all
}

// pipelineOf gives the pipeline of the first file among the arguments that can be read.
func (g *globals) pipelineOf(args []string) *config.Pipeline {
	for _, file := range args {
		if !strings.HasSuffix(file, ".yaml") && !strings.HasSuffix(file, ".yml") {
			continue
		}
		loader := config.Loader{Kinds: g.kinds}
		if set, err := loader.Load(file); err == nil && len(set.Pipelines) == 1 {
			return set.Pipelines[0]
		}
	}
	return nil
}
