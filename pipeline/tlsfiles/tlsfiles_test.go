// SPDX-License-Identifier: Apache-2.0

package tlsfiles

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What cannot be used at the start is an error that names the file. Renewal is tested
// by the clients that use it, over connections.
func TestOpenNamesTheFile(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.pem")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		paths Paths
		want  string
	}{
		"no authority":         {Paths{CA: none}, none},
		"nothing in it":        {Paths{CA: empty}, empty},
		"no certificate":       {Paths{Cert: none, Key: empty}, none},
		"no pair":              {Paths{Cert: empty, Key: empty}, empty},
		"key without its cert": {Paths{Key: none}, "both or none"},
	} {
		if _, err := Open(tt.paths, &tls.Config{}, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	base := &tls.Config{ServerName: "broker.test", MinVersion: tls.VersionTLS13}
	f, err := Open(Paths{}, base, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c := f.Config(); c.ServerName != base.ServerName || c.MinVersion != base.MinVersion || c != f.Config() {
		t.Error("without files the settings are not what was given, or new ones each time")
	}
}
