package expr

// A Section is one of what the reference says of the language beside its functions. The examples
// read the record of Sample; in a Section of templates they are templates, and Gives is the text.
type Section struct {
	Title     string
	Says      string // Markdown
	Templates bool
	Examples  []Example
}

// Language gives the sections in the order of the reference.
func Language() []Section {
	return []Section{
		{Title: "Names and paths", Says: "A name is a field at the top of the record's value, read when the evaluation comes to it. `a.b` is b within a, `a[0]` an element of an " +
			"array or a character of a text, `a[-1]` the last, `a[1:3]` those from 1 to before 3. `$env[\"…\"]` is a field whose name is no identifier, or " +
			"a word of the language; `a[\"…\"]` is the same deeper. `$env` alone is the whole value, of whatever type. `get`, `with`, `without` and `pick` take a path as text, with `[*]` for every element and " +
			"`*` for every member. Upper and lower case count. Of a name that stands twice in an object the first counts.",
			Examples: []Example{{`customer.address.city`, `"London"`}, {`items[0].sku`, `"a1"`}, {`items[-1].sku`, `"c3"`}, {`tags[0:1]`, `["new"]`}, {`order.id[0]`, `"A"`},
				{`$env["flight number"]`, `12`}, {`"tags" in $env`, `true`}, {`keys($env)[0]`, `"order"`}, {`merge($env, {seen: true}).seen`, `true`}, {`customer["address"].zip`, `"N1"`}, {`get(items, "[*].sku")`, `["a1","b2","c3"]`}, {`Tags`, `null`}}},
		{Title: "What is missing", Says: "What is not there and what is null are one: nil. So are `a.b` of a missing a, an index out of range, and every field of a tombstone. nil is " +
			"false in a condition and orders against nothing: `missing < 5` and `missing >= 5` are both false. `==` compares it. Arithmetic, `+` and functions " +
			"fail on it, so that a missing field does not become a wrong result; `type` and `get` take it, and so do those that say so. `??` puts something in " +
			"its place. `a?.b` is the same as `a.b`. A record whose value is no object has no fields: reading one is an error, `not_object`; within it, what is a text or a number has no members, and they are nil.",
			Examples: []Example{{`customer.phone`, `null`}, {`customer.phone.prefix`, `null`}, {`note == nil`, `true`}, {`customer.phone < 5`, `false`}, {`not customer.phone`, `true`},
				{`customer.phone ?? "none"`, `"none"`}, {`customer.phone + "x"`, `error: + on a missing value`}, {`upper(customer.phone)`, `error: upper: argument 1 is missing`}}},
		{Title: "Literals", Says: "Numbers are `42`, `1.5`, `1e3`, `0x2A` and `1_000`. A text stands in `\"`, `'` or backquotes; in the first two a backslash escapes: `\\n`, `\\r`, `\\t`, `\\\\`, the quote, " +
			"`\\x`, `\\u` and `\\U` with two, four and eight digits of a character's number, `\\u{…}`; two halves of a surrogate pair are one character, as in JSON. " +
			"`true`, `false`, `nil`; an array is `[1, \"a\"]`, an object `{\"name\": value}`, where a name that is an identifier needs no quotes. `1..3` is an " +
			"array of integers between two constants; `range` takes any. A text in a pipeline file has quotes of its own: `country: '\"DE\"'`. " +
			"A comment is `/* … */`, or `//` at the beginning of a line up to its end.",
			Examples: []Example{{`[1_000, 0x2A, 1e3]`, `[1000,42,1000]`}, {`'it is "so"'`, `"it is \"so\""`}, {`{"id": order.id, total: order.total}`, `{"id":"A-17","total":129.50}`}, {`"\u00e9\ud83d\ude00" == "é😀"`, `true`}, {`1 /* one */ + 1`, `2`}, {`1..4`, `[1,2,3,4]`}, {`[1, nil, "a"]`, `[1,null,"a"]`}}},
		{Title: "Operators", Says: operatorTable,
			Examples: []Example{{`order.total * 2`, `259`}, {`7 / 2`, `3.5`}, {`7 % 4`, `3`}, {`2 ** 3`, `8`}, {`order.id + "-" + customer.name`, `"A-17-Ada Lovelace"`}, {`1 < 3 < 2`, `false`}, {`1 == 1.0`, `true`}, {`1 == "1"`, `false`},
				{`order.total > 100 and "eu" in tags`, `true`}, {`customer.mail matches "(?i)@example\\.org$"`, `true`}, {`customer.name contains "Love"`, `true`}, {`order.total in 100..200`, `false`},
				{`"zip" in customer.address`, `true`}, {`customer.name | lower() | split(" ")`, `["ada","lovelace"]`}, {`not (order.total < 100)`, `true`}, {`not order.id == "x"`, `error: not goes with what stands before == alone`}, {`1 + "a"`, `error: + does not go with a number and a string`},
				{`order.total > "a"`, `error: ordering a number against a string`}, {`order.total / (note ?? 0)`, `error: division by zero`}}},
		{Title: "Numbers", Says: "An integer has 64 bits and stays one; a result beyond that is an error, and so is a division by zero. `/` gives a float when it does not divide. " +
			"What is passed on keeps the text that it came with: `129.50` stays `129.50`, and an integer of any length stays whole.",
			Examples: []Example{{`order.total`, `129.50`}, {`[order.total]`, `[129.50]`}, {`9223372036854775807 + 1`, `error: does not fit 64 bits`}, {`9007199254740993 + 0`, `9007199254740993`}}},
		{Title: "Conditions and names of one's own", Says: "`a ? b : c` and `if a { b } else { c }` evaluate only what is needed. `let name = …; …` names a value for what follows; without `let` there is no `;`.",
			Examples: []Example{{`order.total > 100 ? "large" : "small"`, `"large"`}, {`if order.paid { "paid" } else { "open" }`, `"paid"`}, {`let net = order.total / 1.19; round(net)`, `109`}, {`let a = order; a.id`, `"A-17"`}}},
		{Title: "Predicates", Says: "Functions like `filter` evaluate an expression for each element of an array: `#` is the element, `.x` its member x, `#index` its number from 0. In " +
			"`mapValues`, `mapKeys` and `filterValues` it is evaluated for each member of an object: `#` is its value and `#key` its name. Within one predicate " +
			"may stand another, whose `#` is its own. Several expressions need braces: `{let p = .price; p > 3}`. " +
			"So an object that is made of each stands in parentheses: `({id: .sku})`.",
			Examples: []Example{{`filter(items, .price > 4 and .count > 1)`, `[{"sku":"a1","price":5,"count":2}]`}, {`map(tags, string(#index) + ":" + #)`, `["0:new","1:eu"]`}, {`map(items, filter(tags, # != "eu"))`, `[["new"],["new"],["new"]]`},
				{`mapValues(customer.address, lower(#))`, `{"city":"london","zip":"n1"}`}, {`count(items, {let p = .price * .count; p > 9})`, `2`}, {`map(items, ({id: .sku}))`, `[{"id":"a1"},{"id":"b2"},{"id":"c3"}]`}, {`map(items, {id: .sku})`, `error: unexpected :`}, {`map(items, #key)`, `error: there is no #key of an element`}}},
		{Title: "The record itself", Says: "`meta.topic`, `meta.partition`, `meta.offset`; `meta.time` in milliseconds since 1970, nil without one; `meta.key`, the bytes of the key as text, nil " +
			"without one; `meta.tombstone`, whether the value is null; `meta.headers`, an object with the last header of each name as text; `meta.value`, the " +
			"bytes of the value as text, with what stages have changed, whether they are JSON or not, nil for a tombstone. `header(\"name\")` is the last " +
			"header of that name. What reads only these takes a value that is no JSON. A text holds bytes: `toBase64(meta.key)` is exact, UTF-8 or not.",
			Examples: []Example{{`meta.topic + "/" + string(meta.partition) + "@" + string(meta.offset)`, `"orders/3@42"`}, {`date(meta.time)`, `"2026-03-01T12:30:00Z"`}, {`meta.key`, `"A-17"`}, {`meta.tombstone`, `false`},
				{`meta.headers`, `{"trace":"t1","source":"shop"}`}, {`meta.headers.source ?? "none"`, `"shop"`}, {`header("trace")`, `"t1"`}, {`fromJSON(meta.value).order.id`, `"A-17"`}, {`meta.name`, `error: meta has no name`}}},
		{Title: "Templates", Templates: true, Says: "A template is text with parts in braces, as in `out/{order.id}.jsonl`. `{{` and `}}` stand for braces. What a part gives is data: in a file name a " +
			"`/` of it is encoded, in a URL all that is reserved, in a JSON document quotes; in a name or a URL a missing or empty part is an error. In the path of the `url` of a call, `{raw(path)}` " +
			"keeps the slashes of `path`.",
			Examples: []Example{{`{order.id}: {order.total} EUR`, `A-17: 129.50 EUR`}, {`{customer.phone}.`, `.`}, {`{{{order.id}}}`, `{A-17}`}, {`{upper(tags[0])}/{len(items)}`, `NEW/3`}}},
		{Title: "Limits", Says: "An expression has at most 16 KiB and 1,000 parts. One evaluation takes at most 1,000,000 steps, about one for each operation on one element or " +
			"64 bytes, and builds at most 16 MiB in all and 1 MiB in one value; a record's own bytes are never too many. A path has at most 1,000 bytes, a " +
			"pattern 1,000, `a..b` 1,000 integers. What goes beyond rejects the record with `expression`, as other errors do; no message quotes a value of " +
			"the record. What can be known without a record is an error of the file, at line and column.",
			Examples: []Example{{`map(1..1000, map(1..1000, map(1..1000, #)))`, `error: takes too many steps`}, {`1..2000`, `error: a range of more than 1,000 integers`}, {`customer.name matches "("`, `error: an invalid pattern`}}},
	}
}

const operatorTable = "The loosest first; parentheses make another order. `??` beside another operator needs them, and so does a comparison " +
	"behind `not`.\n\n" +
	"| Operators | |\n|---|---|\n" +
	"| `a \\| f(…)` | `f(a, …)` |\n" +
	"| `or`, the same as `\\|\\|` | the right side is evaluated when the left does not settle it |\n" +
	"| `and`, the same as `&&` | the same |\n" +
	"| `==` `!=` | two of different types are not the same; numbers are compared by what they stand for |\n" +
	"| `<` `<=` `>` `>=` | of two numbers, texts, dates or durations; others are an error |\n" +
	"| `in`, `not in` | an element of an array, a name of an object, an integer of a range |\n" +
	"| `contains`, `startsWith`, `endsWith` | of texts; nil is false |\n" +
	"| `matches` | a pattern of RE2, which is constant, and matches anywhere if it has no `^` and `$`; nil is false |\n" +
	"| `..` | a range |\n" +
	"| `+` `-` | of numbers; `+` joins texts; of dates and durations |\n" +
	"| `not`, the same as `!` | |\n" +
	"| `*` `/` `%` | of numbers |\n" +
	"| `-a`, `+a` | of a number or a duration |\n" +
	"| `**`, the same as `^` | a power |\n" +
	"| `??` | the right side when the left is nil |\n\n" +
	"`==` to `matches` are as loose as each other. `a < b < c` is `a < b and b < c`."
