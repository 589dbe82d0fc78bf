package sql

import (
	"fmt"
	"testing"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

func TestConforms(t *testing.T) {
	path := fileOf(t, "CREATE TABLE n (i INTEGER PRIMARY KEY, s TEXT)",
		"WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL SELECT x+1 FROM c WHERE x < 99) INSERT INTO n SELECT x, 'n'||x FROM c")
	for name, change := range map[string]func(*Settings){
		"first": func(s *Settings) { s.OnMiss = client.MissReject },
		"all":   func(s *Settings) { s.Rows, s.OnMiss = "all", client.MissReject },
	} {
		t.Run(name, func(t *testing.T) {
			pipelinetest.Stage(t, func(t *testing.T) pipelinetest.StageUnderTest {
				s := Default()
				s.Driver, s.Path, s.Query, s.Into, s.Args = "sqlite", path, "SELECT s FROM n WHERE i = ?", "got", exprs(t, "n")
				change(&s)
				st, err := New(s, env(8))
				if err != nil {
					t.Fatal(err)
				}
				return pipelinetest.StageUnderTest{
					Stage:  st,
					Hit:    func(n int) []byte { return fmt.Appendf(nil, `{"n":%d,"got":"before"}`, n%100) },
					Reject: []byte(`{"n":1000}`),
				}
			})
		})
	}
}
