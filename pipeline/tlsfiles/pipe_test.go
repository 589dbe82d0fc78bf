//go:build unix

package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAPipeInPlaceOfTheFile: what nobody writes to is not waited for; what was read before stays in use, and one warning says so.
func TestAPipeInPlaceOfTheFile(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var warnings []string
	f, err := Open(Paths{CA: path}, &tls.Config{MinVersion: tls.VersionTLS12}, func(err error) { warnings = append(warnings, err.Error()) })
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := server.Certificate().Verify(x509.VerifyOptions{Roots: f.Config().RootCAs}); err != nil {
			t.Error(err)
		}
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], path) || !strings.Contains(warnings[0], "no plain file") {
		t.Errorf("warnings: %q", warnings)
	}
	if _, err := Open(Paths{CA: path}, &tls.Config{MinVersion: tls.VersionTLS12}, nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("at the start: %v", err)
	}
}
