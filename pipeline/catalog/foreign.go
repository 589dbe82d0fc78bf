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
	"mysql": "write sql: {driver: mysql, …}", "mariadb": "write sql: {driver: mariadb, …}", "sqlite": "write sql: {driver: sqlite, …}",
	"postgres": "write sql: {driver: postgres, …}", "postgresql": "write sql: {driver: postgres, …}",
	"sql_select": writeQuery, "sql_raw": writeQuery, "jdbc": writeQuery, "jdbc_streaming": writeQuery,
}

var hintsOfSQL = map[string]string{
	"": writeQuery, "table": writeQuery, "columns": writeQuery, "where": writeQuery, "statement": writeQuery, "select": writeQuery, "sql": writeQuery,
	"args_mapping": writeArgs, "params": writeArgs, "parameters": writeArgs, "values": writeArgs, "key": writeArgs,
	"url": writeDSN, "uri": writeDSN, "address": writeDSN, "host": writeDSN, "user": writeDSN, "password": writeDSN, "database": writeDSN,
	"data_source_name": writeDSN, "connection": writeDSN, "file": "write path: airports.db",
	"field": "write into: from", "target": "write into: from", "max_open": "write max_conns: 8", "pool_size": "write max_conns: 8",
	"batch_size": "write batch: 64",
}

const (
	writeHTTP   = "write http: {url: \"https://api.example/weather/{city}\", into: weather}"
	writeURL    = "write url: https://api.example/weather/{city}: a part in braces is an expression over the record"
	writeBodies = "write json: '{city: city}', an expression; or body:, form: or text:"
	writeAuth   = "write auth: {basic: {username: shop, password_file: /run/password}}, {bearer: …}, {header: …} or {oauth2: …}"
	writeLimit  = "beside http, at the margin of the step: limit: api, with limits: {rates: {api: {rate: 100/s, per: host}}} for the file"
	writeRetry  = "beside http, at the margin of the step: retry: {attempts: 5, backoff: 100ms}"
)

var foreignHTTP = map[string]string{
	"http_client": writeHTTP, "http_request": writeHTTP, "rest": writeHTTP, "web": writeHTTP, "fetch": writeHTTP, "curl": writeHTTP,
	"request": writeHTTP, "api": writeHTTP, "webhook": writeHTTP,
}

var hintsOfHTTP = map[string]string{
	"verb": "write method: POST", "endpoint": writeURL, "uri": writeURL, "address": writeURL, "base_url": writeURL, "path": writeURL,
	"params": "write them into url: https://api.example/find?city={city}", "query": "write it into url: https://api.example/find?city={city}",
	"data": writeBodies, "payload": writeBodies, "json_body": writeBodies, "template": writeBodies,
	"target": "write into: weather, a path in the record", "output": "write into: weather, a path in the record", "result_map": "write into: weather; more is done by a map behind it",
	"basic_auth": writeAuth, "oauth2": writeAuth, "oauth": writeAuth, "bearer_token": writeAuth, "token": writeAuth, "username": writeAuth, "password": writeAuth,
	"authorization": writeAuth, "jwt": "write the token's header as auth: {bearer: {token_file: /run/token}}",
	"rate_limit": writeLimit, "throttle": writeLimit, "retries": writeRetry, "max_retry_backoff": writeRetry,
	"backoff_on": "write retry_status: [429, 5xx]", "drop_on": "what is in no list of statuses rejects the record: miss_status, ok_status, retry_status",
	"successful_on": "write ok_status: [2xx, 409]", "expected_status": "write ok_status: [2xx, 409]", "extract_headers": "write headers_into: h, keep_headers: [etag]",
	"verify": "a server is always checked: tls: {ca: /etc/ca.pem}", "insecure": "a server is always checked: tls: {ca: /etc/ca.pem}", "proxy_url": "write proxy: http://proxy.example:3128",
	"follow_redirects": "write redirects: same_host or any_host", "parallel": "beside http, at the margin of the step: workers: 64",
	"auth.username": writeAuth, "auth.password": writeAuth, "auth.token": writeAuth, "auth.token_url": writeAuth, "auth.enabled": writeAuth, "auth.type": writeAuth,
}

const writeSelector = "write select: {title: title, links: {css: 'a[href]', attr: href, all: true}}"

const (
	writeExec    = "write exec: {command: [python3, enrich.py], into: enriched}"
	writeCommand = "write command: [python3, enrich.py]: the program, and each argument by itself"
)

var foreignExec = map[string]string{"subprocess": writeExec, "command": writeExec, "python": writeExec, "shell": writeExec, "process": writeExec}

var hintsOfExec = map[string]string{
	"": writeExec, "cmd": writeCommand, "args": writeCommand, "name": writeCommand, "program": writeCommand, "script": writeCommand, "shell": "there is none: " + writeCommand,
	"cwd": "write dir: scripts", "working_directory": "write dir: scripts", "environment": "write env: {NAME: value}", "variables": "write env: {NAME: value}",
	"workers": "write processes: 4", "replicas": "write processes: 4", "max_buffer": "write max_line: 1MiB", "max_bytes": "write max_line: 1MiB",
	"timeout": "timeout stands beside exec, as that of every step that waits", "memory_limit": "write memory: 512MiB", "codec": "write as: record, or as: value",
	"field": "write into: enriched", "target": "write into: enriched",
}

var hintsOfScrape = map[string]string{
	"selector": writeSelector, "selectors": writeSelector, "css": writeSelector, "xpath": "selectors are CSS: " + writeSelector, "fields": writeSelector,
	"select": writeSelector, "user_agent": "write agent: \"acme-docs/1.0 (+https://acme.example/bot; bots@acme.example)\"",
	"allowed_domains": "write hosts: [example.org, '*.example.org']", "domains": "write hosts: [example.org, '*.example.org']",
	"robots_txt": "write robots: obey, which is the default, or robots: ignore", "obey_robots": "write robots: obey, which is the default, or robots: ignore",
	"delay": "write limit: NAME beside scrape, and the rate under limits.rates; Crawl-delay of robots.txt is kept by itself", "follow": "redirects are followed, links are not: send them where records are read from",
}

const writeScript = "write script: | and below it def process(record):, in Starlark, a small Python"

var foreignScripts = map[string]string{
	"python": writeScript, "starlark": writeScript, "javascript": writeScript, "js": writeScript, "lua": writeScript, "code": writeScript, "function": writeScript,
	"processor": writeScript,
}

const (
	writeRedis   = "write redis: {address: 127.0.0.1:6379, command: get, key: \"user:{id}\", into: user}"
	writeAddress = "write address: 127.0.0.1:6379; username, password, db and tls are settings of their own"
)

var foreignRedis = map[string]string{"valkey": writeRedis, "redis_get": writeRedis, "keydb": writeRedis}

var hintsOfRedis = map[string]string{
	"": writeRedis, "url": writeAddress, "uri": writeAddress, "host": writeAddress, "port": writeAddress, "addr": writeAddress, "server": writeAddress, "dsn": writeAddress,
	"addresses": "of a cluster or of sentinels nothing is known here: " + writeAddress, "kind": "of a cluster or of sentinels nothing is known here: " + writeAddress,
	"master": "of a cluster or of sentinels nothing is known here: " + writeAddress, "database": "write db: 0", "user": "write username: penstock", "args_mapping": "write key: \"user:{id}\"",
	"operator": "write command: get, mget, hget or hgetall", "target": "write into: user", "pool_size": "write max_conns: 4",
}

const writeRedisSink = "write redis: {address: 127.0.0.1:6379, command: set, key: \"user:{id}\"}, or command: hset, xadd or publish"

var foreignRedisSink = map[string]string{
	"valkey": writeRedisSink, "redis_streams": "write redis: {command: xadd, key: events, …}", "redis_pubsub": "write redis: {command: publish, key: events, …}",
	"redis_hash": "write redis: {command: hset, key: \"user:{id}\", …}", "redis_list": "lists are none of the commands: write redis: {command: xadd, …}, a stream",
}

var hintsOfRedisSink = map[string]string{
	"": writeRedisSink, "url": writeAddress, "uri": writeAddress, "host": writeAddress, "port": writeAddress, "addr": writeAddress, "server": writeAddress, "dsn": writeAddress,
	"addresses": "of a cluster or of sentinels nothing is known here: " + writeAddress, "kind": "of a cluster or of sentinels nothing is known here: " + writeAddress,
	"master": "of a cluster or of sentinels nothing is known here: " + writeAddress, "database": "write db: 0", "user": "write username: penstock",
	"stream": "write command: xadd and key: events", "channel": "write command: publish and key: events", "expire": "write ttl: 1h", "expiration": "write ttl: 1h",
	"body_key": "write fields: {body: $env}", "max_length": "write maxlen: 100000", "max_in_flight": "beside redis: workers: 4", "pool_size": "write max_conns: 4",
}
