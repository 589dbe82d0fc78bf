package catalog

import (
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/stages"
	execstage "github.com/penstockio/penstock/stages/exec"
	httpstage "github.com/penstockio/penstock/stages/http"
	"github.com/penstockio/penstock/stages/redis"
	"github.com/penstockio/penstock/stages/scrape"
	"github.com/penstockio/penstock/stages/script"
	"github.com/penstockio/penstock/stages/sql"
)

// stageKinds is the part of the table with the stages.
//
// Reason for its size: it is a table, with an entry for each kind.
func stageKinds() config.Kinds {
	return config.Kinds{
		{
			Section: config.StageSection, Name: "filter", Short: "when", Foreign: foreignFilters,
			Doc:      "lets a record pass when a condition holds, and ends it on purpose when it does not",
			Example:  "filter: delay >= 15",
			Settings: settingsOf(zero[stages.FilterSettings]),
			Build: build(func(s stages.FilterSettings, _ config.Env) (*stages.Filter, error) {
				return stages.NewFilter(s)
			}),
		},
		{
			Section: config.StageSection, Name: "map", Foreign: foreignMaps, Hints: hintsOfMap,
			Doc: "edits a record: its value as a whole, fields at any depth, key, time and headers, or makes a tombstone of it",
			Example: `map:
  set:
    late_minutes: delay
    route.name: origin + "-" + destination
  remove: [delay, crew.phone]
  rename: {crew.captain: captain}
  key: flight
  set_headers: {airline: airline}`,
			Settings: settingsOf(zero[stages.MapSettings]),
			Build: build(func(s stages.MapSettings, _ config.Env) (*stages.Map, error) {
				return stages.NewMap(s)
			}),
		},
		{
			Section: config.StageSection, Name: "parse", Short: "as",
			Doc:      "makes JSON of text that is none: of the value, or of a field",
			Example:  "parse: {as: logfmt, field: line, into: log}",
			Settings: settingsOf(stages.DefaultParse),
			Build: build(func(s stages.ParseSettings, _ config.Env) (*stages.Parse, error) {
				return stages.NewParse(s)
			}),
		},
		{
			Section: config.StageSection, Name: "format", Short: "as",
			Doc:      "writes the value, or a field, as text: the inverse of parse",
			Example:  "format: {as: csv, columns: [id, name], into: line}",
			Settings: settingsOf(zero[stages.FormatSettings]),
			Build: build(func(s stages.FormatSettings, _ config.Env) (*stages.Format, error) {
				return stages.NewFormat(s)
			}),
		},
		{
			Section: config.StageSection, Name: "split", Short: "field",
			Doc:      "makes one record of each element of an array",
			Example:  "split: {field: legs, into: leg}",
			Settings: settingsOf(stages.DefaultSplit),
			Build: build(func(s stages.SplitSettings, _ config.Env) (*stages.Split, error) {
				return stages.NewSplit(s)
			}),
		},
		{
			Section: config.StageSection, Name: "redact",
			Doc:      "takes values out of fields, headers and the key; dead letters hold a record as it came, unless dead_letter has a redact too",
			Example:  "redact: {fields: [passenger.email, card.number], headers: [authorization]}",
			Settings: settingsOf(stages.DefaultRedact),
			Build: build(func(s stages.RedactSettings, _ config.Env) (*stages.Redact, error) {
				return stages.NewRedact(s)
			}),
		},
		{
			Section: config.StageSection, Name: "validate", Hints: hintsOfValidate, Refers: true,
			Doc: "rejects a record whose value does not fit a JSON Schema; the error names the place in the value and the rule",
			Example: `validate:
  schema:
    inline:
      type: object
      required: [origin, delay]
      properties:
        origin: {type: string, pattern: "^[A-Z]{3}$"}
        delay: {type: number, minimum: 0}`,
			Settings: settingsOf(stages.DefaultValidate),
			Check: func(settings any, _ *config.Pipeline) error {
				return settings.(*stages.ValidateSettings).Check()
			},
			Warn: func(settings any, _ *config.Pipeline) []config.Warning {
				return warnKeywords(settings.(*stages.ValidateSettings))
			},
			Build: build(func(s stages.ValidateSettings, _ config.Env) (*stages.Validate, error) {
				return stages.NewValidate(s)
			}),
		},
		{
			Section: config.StageSection, Name: "dedupe", Short: "key", OneByOne: true,
			Doc: "filters a record whose key another record has had before, as far as memory goes; a record that is rejected or abandoned " +
				"behind this step was not there, but what repeats it before that is filtered; one that is filtered behind this step stays remembered",
			Example:  "dedupe: {key: id, size: 100000, ttl: 1h}",
			Settings: settingsOf(stages.DefaultDedupe),
			Build: build(func(s stages.DedupeSettings, _ config.Env) (*stages.Dedupe, error) {
				return stages.NewDedupe(s)
			}),
		},
		{
			Section: config.StageSection, Name: "lookup",
			Doc: "puts the row of a table held in memory into a field; the table is read again when its file changes",
			Example: `lookup:
  table: {file: airports.csv, key: iata}
  match: origin
  into: from`,
			Settings: settingsOf(stages.DefaultLookup),
			Check: func(settings any, _ *config.Pipeline) error {
				return settings.(*stages.LookupSettings).Check()
			},
			Warn: func(settings any, _ *config.Pipeline) []config.Warning {
				return warnNoRows(settings.(*stages.LookupSettings))
			},
			Build: build(func(s stages.LookupSettings, _ config.Env) (*stages.Lookup, error) {
				return stages.NewLookup(s)
			}),
		},
		{
			Section: config.StageSection, Name: "script", Short: "code", Waits: true, Computes: true, Foreign: foreignScripts,
			Doc: "calls a function in Starlark, a small Python, with each record; the function sees the record alone, and its steps and memory are bounded",
			Example: `script: |
  def process(record):
      if record.get("cancelled"):
          filter()
      minutes = record["delay"] // 60
      record["late"] = "%dh%d" % (minutes // 60, minutes % 60)`,
			Settings: settingsOf(script.Defaults),
			Check: func(settings any, _ *config.Pipeline) error {
				return settings.(*script.Settings).Check()
			},
			Build: build(func(s script.Settings, _ config.Env) (*script.Stage, error) {
				return script.New(s)
			}),
		},
		{
			Section: config.StageSection, Name: "http", Waits: true, Answers: true, Foreign: foreignHTTP, Hints: hintsOfHTTP, Freshness: true,
			Doc: "calls a server for each record and puts the answer into its fields",
			Example: `http:
  url: "http://127.0.0.1:8080/weather/{origin}"
  into: weather
workers: 64
timeout: 500ms
deadline: 10s`,
			Settings: settingsOf(httpstage.Defaults),
			AnyHost:  func(settings any) bool { return len(settings.(*httpstage.Settings).Hosts) > 0 },
			Check: func(settings any, p *config.Pipeline) error {
				for i := range p.Stages {
					if p.Stages[i].Settings == settings {
						return settings.(*httpstage.Settings).CheckCalls(p.Stages[i].Calls)
					}
				}
				return nil
			},
			Warn: func(settings any, p *config.Pipeline) []config.Warning {
				s := settings.(*httpstage.Settings)
				all := append(warnNoBody(s), warnSecretParts(s.SecretHeaders, "write what the record holds under headers, which take parts")...)
				return append(all, warnRedactedHost(s, &s.URL, p)...)
			},
			Build: build(func(s httpstage.Settings, env config.Env) (*httpstage.Stage, error) {
				return httpstage.New(s, env.Pipeline+"/"+env.Name, env.Calls)
			}),
		},
		{
			Section: config.StageSection, Name: "scrape", Waits: true, Answers: true, Freshness: true, PerHost: 1, Hints: hintsOfScrape,
			Doc: "fetches a web page for each record, as robots.txt of its host allows, and puts what CSS selectors find in it into a field; " +
				"a host has one call at a time unless max_per_host says otherwise. It fetches what everybody may see: it has neither a log-in nor headers, as the http stage has",
			Example: `scrape:
  url: "http://127.0.0.1:8080/docs/{page}"
  agent: "acme-docs/1.0 (+https://acme.example/bot; bots@acme.example)"
  select:
    title: title
    links: {css: "a[href]", attr: href, all: true, absolute: true}
    prices: {css: "table tr", all: true, select: {name: td.name, price: td.price}}
  into: found
workers: 10`,
			Settings: settingsOf(scrape.Defaults),
			AnyHost:  func(any) bool { return true },
			Warn: func(settings any, p *config.Pipeline) []config.Warning {
				s := settings.(*scrape.Settings)
				return append(warnCutName(s), warnRedactedHost(s, &s.URL, p)...)
			},
			Build: build(func(s scrape.Settings, env config.Env) (*scrape.Stage, error) {
				return scrape.New(s, env.Calls)
			}),
		},
		{
			Section: config.StageSection, Name: "sql", Waits: true, Answers: true, Hints: hintsOfSQL, Foreign: foreignSQL,
			Doc: "looks a record up in SQLite, PostgreSQL, MySQL or MariaDB and puts the row into a field; look-ups that wait at the same moment become one query",
			Example: `sql:
  driver: sqlite
  path: airports.db
  query: SELECT name, city FROM airports WHERE iata = ?
  args: [origin]
  into: from
workers: 8`,
			Settings: settingsOf(sql.Default),
			Build: build(func(s sql.Settings, env config.Env) (*sql.Stage, error) {
				return sql.New(s, env.Calls)
			}),
		},
		{
			Section: config.StageSection, Name: "redis", Waits: true, Answers: true, Hints: hintsOfRedis, Foreign: foreignRedis,
			Doc: "looks a record up in Redis or Valkey and puts what is there into a field; look-ups that wait at the same moment go together",
			Example: `redis:
  address: 127.0.0.1:6379
  command: get
  key: "user:{id}"
  into: user
workers: 64
timeout: 500ms`,
			Settings: settingsOf(redis.Default),
			Build: build(func(s redis.Settings, env config.Env) (*redis.Stage, error) {
				return redis.New(s, env.Calls)
			}),
		},
		{
			Section: config.StageSection, Name: "exec", Waits: true, Hints: hintsOfExec, Foreign: foreignExec,
			Doc: "has long-running child processes in any language work on records: each takes a line and gives a line, as the page of the protocol says; " +
				"one that ends, hangs or writes what is no answer costs its record an attempt, and is started again",
			Example: `exec:
  command: [python3, enrich.py]
  processes: 4
  memory: 512MiB
  into: enriched
timeout: 5s`,
			Settings: settingsOf(execstage.Default),
			Slots:    func(settings any) int { return settings.(*execstage.Settings).Slots() },
			Check: func(settings any, p *config.Pipeline) error {
				return settings.(*execstage.Settings).CheckFiles(p.Dir)
			},
			Build: build(func(s execstage.Settings, env config.Env) (*execstage.Stage, error) {
				return execstage.New(s, execstage.Place{Pipeline: env.Pipeline, Step: env.Name, Dir: env.Dir, Calls: env.Calls})
			}),
		},
	}
}
