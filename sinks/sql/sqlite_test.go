package sqlsink

import "testing"

// An INTEGER takes whole numbers of 64 bits, and becomes no float.
func TestSQLiteIntegers(t *testing.T) {
	p := sqlitePlace(t)
	p.exec("CREATE TABLE f (id INTEGER PRIMARY KEY, v BIGINT)")
	k := p.sink("f", nil, "id", "meta.offset", "v", "v")
	isOutcome(t, k.Write(t.Context(), records(`{"v":9223372036854775807}`, `{"v":9223372036854775808}`, `{"v":1e30}`, `{"v":1.5}`, `{"v":5.0}`, `{"v":-9223372036854775809}`, `{"v":2e3}`)), "1 sql, 2 sql, 3 sql, 5 sql")
	p.wants("SELECT id, v, typeof(v) FROM f ORDER BY id", "0 9223372036854775807 integer", "4 5 integer", "6 2000 integer")
}
