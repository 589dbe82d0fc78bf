package catalog

import (
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/stages"
	"github.com/penstockio/penstock/stages/sql"
)

func stageKinds() config.Kinds {
	return config.Kinds{
		{
			Section: config.StageSection, Name: "filter", Short: "when",
			Doc:      "lets a record pass when a condition holds, and ends it on purpose when it does not",
			Example:  "filter: delay >= 15",
			Settings: settings(zero[stages.FilterSettings]),
			Build: build(func(s stages.FilterSettings, _ config.Env) (*stages.Filter, error) {
				return stages.NewFilter(s)
			}),
		},
		{
			Section: config.StageSection, Name: "map",
			Doc: "edits the top-level fields of a record: set, then remove, rename, keep",
			Example: `map:
  set:
    late_minutes: delay
    route: origin + "-" + destination
  remove: [delay]`,
			Settings: settings(zero[stages.MapSettings]),
			Build: build(func(s stages.MapSettings, _ config.Env) (*stages.Map, error) {
				return stages.NewMap(s)
			}),
		},
		{
			Section: config.StageSection, Name: "http", Waits: true,
			Doc: "calls a server for each record and puts the answer into a field",
			Example: `http:
  url: "http://127.0.0.1:8080/weather/{origin}"
  into: weather
workers: 64
timeout: 500ms
deadline: 10s`,
			Settings: settings(stages.DefaultHTTP),
			Build: build(func(s stages.HTTPSettings, env config.Env) (*stages.HTTP, error) {
				return stages.NewHTTP(s, env.Workers)
			}),
		},
		{
			Section: config.StageSection, Name: "sql", Waits: true,
			Doc: "looks a record up in SQLite or PostgreSQL and puts the row into a field",
			Example: `sql:
  driver: sqlite
  path: airports.db
  query: SELECT name, city FROM airports WHERE iata = ?
  args: [origin]
  into: from
workers: 8`,
			Settings: settings(sql.Default),
			Build: build(func(s sql.Settings, env config.Env) (*sql.Stage, error) {
				return sql.New(s, env.Workers)
			}),
		},
	}
}
