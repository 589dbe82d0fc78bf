// Reads queries as a JSON array from standard input, and prints where the grammar of LogQL does not know what it
// reads: for each query an array of the texts from there on. PENSTOCK_LEZER_LOGQL is where the grammar is installed.
const { createRequire } = require('node:module');
const { parser } = createRequire(process.env.PENSTOCK_LEZER_LOGQL + '/x')('@grafana/lezer-logql');
const queries = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(queries.map((query) => {
  const wrong = [];
  parser.parse(query).iterate({ enter(node) { if (node.type.isError) wrong.push(query.slice(node.from)); } });
  return wrong;
})));
