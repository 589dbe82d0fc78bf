//go:build real

package sqlsink

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/penstockio/penstock/pipeline/settings"
)

// A value stays one value, whatever character set the server has its connections begin with.
func TestMariaCharacterSets(t *testing.T) {
	p := mariaPlace(t)
	p.exec("CREATE TABLE f (id int PRIMARY KEY, a varchar(200), b varchar(200))", "DROP USER IF EXISTS plain@'%'", "CREATE USER plain@'%'", "GRANT ALL ON sinktest.* TO plain@'%'")
	t.Cleanup(func() { p.exec("SET GLOBAL init_connect = ''", "DROP USER plain@'%'") }) // whom it does not spare, as it does root
	for i, set := range []string{"gbk", "sjis", "big5", "cp932", "latin1"} {
		p.exec("SET GLOBAL init_connect = 'SET NAMES "+set+"'", "DELETE FROM f")
		k := p.sink("f", func(s *Settings) {
			upsertBy("id")(s)
			u, err := url.Parse(s.DSN.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			u.User, u.RawQuery = url.User("plain"), ""
			s.DSN = settings.Secret(u.String())
		}, "id", "id", "a", "a", "b", "b")
		isOutcome(t, k.Write(t.Context(), records(fmt.Sprintf(`{"id":%d,"a":"丿'é\\","b":", version())# "}`, i))), "")
		p.wants("SELECT id, a, b FROM f", fmt.Sprintf(`%d 丿'é\ , version())# `, i))
	}
}
