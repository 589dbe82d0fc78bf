package catalog

// This file says what to write here for what other tools have, or for what is likely tried.

const (
	writeFilter = "records that stay are said by a condition, filter: delay >= 15; fields are taken out with map: {remove: [delay]}"
	writeSet    = "write map: {set: {late: delay > 15}}: a field, and the expression for it"
	writeRemove = "write map: {remove: [delay]}"
	writeRename = "write map: {rename: {old: new}}"
)

var foreignFilters = map[string]string{"drop": writeFilter, "delete": writeFilter, "discard": writeFilter, "where": "write filter: delay >= 15"}

var foreignMaps = map[string]string{
	"rename": writeRename, "unset": writeRemove, "omit": writeRemove, "mapping": writeSet, "bloblang": writeSet, "mutation": writeSet, "mutate": writeSet,
	"remap": writeSet, "transform": writeSet, "add": writeSet, "add_fields": writeSet, "remove_fields": writeRemove, "rename_fields": writeRename,
	"remove_field": writeRemove, "add_field": writeSet, "project": "write map: {keep: [delay]}", "select": "write map: {keep: [delay]}",
}

var hintsOfMap = map[string]string{
	"delete": "write remove: [delay]", "drop": "write remove: [delay]", "unset": "write remove: [delay]", "omit": "write remove: [delay]",
	"add": "write set: {late: delay > 15}", "headers": "write set_headers: {name: expression}, or remove_headers: [name]", "only": "write keep: [delay]",
	"set": "write set: {late: delay > 15}: a field, and the expression for it", "rename": "write rename: {old: new}",
}

const (
	writeSchema = "write schema: {file: event.schema.json}, or the schema itself below inline: schema: {inline: {type: object}}"
	writeInline = "a schema itself stands below inline: schema: {inline: {type: object}}"
)

var hintsOfValidate = map[string]string{
	"": "write validate: {schema: {file: event.schema.json}}", "schema": writeSchema, "file": "write schema: {file: event.schema.json}",
	"inline": writeInline, "type": writeInline, "properties": writeInline, "required": writeInline, "schema_file": "write schema: {file: event.schema.json}",
	"schema.type": writeInline, "schema.properties": writeInline, "schema.required": writeInline, "schema.items": writeInline, "schema.$schema": writeInline,
	"schema.$ref": "write schema: {file: event.schema.json}", "schema.path": "write schema: {file: event.schema.json}",
	"schema.url": "no address is opened: write schema: {file: event.schema.json}, with a copy of it",
}

const (
	writeQuery = "write query: SELECT name, city FROM airports WHERE iata = ?, and args: [origin]"
	writeArgs  = "write args: [origin], an expression for each parameter of the query, in order"
	writeDSN   = "write dsn: postgres://user:password@host:port/database, or mysql://…; of sqlite path: airports.db"
)

var foreignSQL = map[string]string{
	"mysql": "write sql: {driver: mysql, …}", "mariadb": "write sql: {driver: mysql, …}", "sqlite": "write sql: {driver: sqlite, …}",
	"postgres": "write sql: {driver: postgres, …}", "postgresql": "write sql: {driver: postgres, …}",
	"sql_select": writeQuery, "sql_raw": writeQuery, "jdbc": writeQuery, "jdbc_streaming": writeQuery,
}

var hintsOfSQL = map[string]string{
	"": writeQuery, "table": writeQuery, "columns": writeQuery, "where": writeQuery, "statement": writeQuery, "select": writeQuery, "sql": writeQuery,
	"args_mapping": writeArgs, "params": writeArgs, "parameters": writeArgs, "values": writeArgs, "key": writeArgs,
	"url": writeDSN, "uri": writeDSN, "address": writeDSN, "host": writeDSN, "user": writeDSN, "password": writeDSN, "database": writeDSN,
	"data_source_name": writeDSN, "connection": writeDSN, "file": "write path: airports.db",
	"field": "write into: from", "target": "write into: from", "max_open": "write max_conns: 8", "pool_size": "write max_conns: 8",
	"batch.size": "write batch: 64", "batch_size": "write batch: 64",
}
