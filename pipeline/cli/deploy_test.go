package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
)

// What stands in deploy repeats what the binary does: times of an end, exit codes, addresses. The tests here hold it to that.

const patienceOfAnEnd = 5 * time.Second // beyond the drain, as docs/operations.md has it

func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repo, "deploy", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// settingOf gives what stands behind NAME= in a unit, "" when nothing does.
func settingOf(unit, name string) string {
	m := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindStringSubmatch(unit)
	if m == nil {
		return ""
	}
	return m[1]
}

func TestUnits(t *testing.T) {
	unit := deployed(t, "systemd/penstock.service")
	stop, err := time.ParseDuration(settingOf(unit, "TimeoutStopSec") + "s")
	if want := engine.DefaultDrain + patienceOfAnEnd; err != nil || stop != want {
		t.Errorf("TimeoutStopSec is %v (%v), want the drain and 5 s, %v", stop, err, want)
	}
	for name, want := range map[string]string{
		"Type": "notify-reload", "Restart": "on-failure", "RestartPreventExitStatus": fmt.Sprint(exitUsage), "User": "penstock",
		"Environment": "GOTRACEBACK=crash", // else a crash of the runtime ends with 2, as a mistake in a file does, and nothing is started again
	} {
		if got := settingOf(unit, name); got != want {
			t.Errorf("%s=%s, want %s", name, got, want)
		}
	}
	of := strings.NewReplacer(
		"all pipelines of /etc/penstock\n", "the pipelines of /etc/penstock/%i\n", "run /etc/penstock\n", "run /etc/penstock/%i\n",
		"WorkingDirectory=/var/lib/penstock\n", "WorkingDirectory=/var/lib/penstock/%i\n", "StateDirectory=penstock\n", "StateDirectory=penstock penstock/%i\n",
		"RuntimeDirectory=penstock\n", "RuntimeDirectory=penstock-%i\n", "credentials/penstock.service", "credentials/penstock@%i.service",
		"/etc/penstock/secrets", "/etc/penstock/%i/secrets")
	if got, want := deployed(t, "systemd/penstock@.service"), of.Replace(unit); got != want {
		t.Errorf("penstock@.service is not penstock.service with its own folders:\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(deployed(t, "systemd/sysusers.conf"), "u penstock ") {
		t.Error("the user of the units is not made")
	}
}

// TestFilesThatArePackaged: goreleaser finds what it is told to pack, and a shell reads the scripts.
func TestFilesThatArePackaged(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repo, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile(`(?m)(?:src: "?|install: |remove: |dockerfile: |- )((?:deploy|LICENSE|README|CHANGELOG)[^\s",}]*)`).FindAllStringSubmatch(string(text), -1) {
		n++
		if _, err := os.Stat(filepath.Join(repo, m[1])); err != nil {
			t.Errorf(".goreleaser.yaml: %v", err)
		}
	}
	if n < 15 {
		t.Errorf("only %d files were found", n)
	}
	scripts, err := filepath.Glob(filepath.Join(repo, "deploy", "*", "*.sh"))
	if err != nil || len(scripts) < 6 {
		t.Fatal(scripts, err)
	}
	for _, s := range scripts {
		shell := "sh"
		if first, _, _ := strings.Cut(deployed(t, filepath.ToSlash(strings.TrimPrefix(s, filepath.Join(repo, "deploy")))), "\n"); strings.Contains(first, "bash") {
			shell = "bash"
		}
		if out, err := exec.Command(shell, "-n", s).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", s, err, out)
		}
	}
}

// TestAnUpgradeOfFilesWithAMistake: a service whose files the new binary does not take goes on with the old one, and others are started anew. The
// script runs with a systemctl, and all that it changes, in a folder of the test.
func TestAnUpgradeOfFilesWithAMistake(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	const runs = `echo "{ path=/usr/bin/penstock ; argv[]=/usr/bin/penstock run `
	put("bin/systemctl", `#!/bin/sh
case "$*" in
--version) echo 'systemd 255 (255.4-1)' ;;
'show -P WorkingDirectory '*) echo DIR/work ;;
'show -P MainPID '*) echo 42 ;;
'show -P User '*) echo penstock ;;
'show -P ExecStart penstock.service') `+runs+`--drain 30s --watch /etc/penstock --set a=b ; ignore_errors=no ; pid=42 }" ;;
'show -P ExecStart penstock@one.service') `+runs+`/etc/penstock/one ; ignore_errors=no ; pid=42 }" ;;
'list-units '*) printf 'penstock.service loaded active running all\npenstock@one.service loaded active running one\n' ;;
*) echo "$*" >>DIR/did ;;
esac
`)
	put("bin/systemd-sysusers", "#!/bin/sh\n")
	put("bin/runuser", "#!/bin/sh\necho \"as $2\" >>DIR/did\nshift 3\nexec \"$@\"\n")
	put("bin/penstock", `#!/bin/sh
echo "$BROKERS, in $PWD: $*" >>DIR/did
case "$*" in *one) exit 2 ;; esac
`)
	put("work/none", "")
	put("running/none", "")
	put("proc/42/environ", "HOME=/\x00BROKERS=kafka-0:9092,kafka-1:9092\x00")
	put("postinstall.sh", strings.NewReplacer("/usr/lib/systemd/system", "DIR/units", "/run/systemd/system", "DIR/running", "/proc/", "DIR/proc/",
		"/usr/bin/penstock check", "DIR/bin/penstock check").Replace(deployed(t, "packages/postinstall.sh")))
	cmd := exec.Command("sh", filepath.Join(dir, "postinstall.sh"), "configure", "0.1.0")
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"), "BROKERS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), "penstock@one.service goes on with the version before") || strings.Contains(string(out), "penstock.service goes on") {
		t.Errorf("it says %q", out)
	}
	did, err := os.ReadFile(filepath.Join(dir, "did"))
	want := strings.ReplaceAll(`daemon-reload
as penstock
kafka-0:9092,kafka-1:9092, in DIR/work: check /etc/penstock --set a=b
try-restart penstock.service
as penstock
kafka-0:9092,kafka-1:9092, in DIR/work: check /etc/penstock/one
`, "DIR", dir)
	if err != nil || string(did) != want {
		t.Errorf("%v, it does\n%swant\n%s", err, did, want)
	}
}

// TestAPurgeThatFindsProcesses: what was started between a remove and a purge, where no script runs before the files go, is ended too, and a user who still
// has processes of his own stays. The purge is done all the same.
func TestAPurgeThatFindsProcesses(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"systemctl", "userdel", "groupdel", "chown", "getent"} {
		put("bin/"+name, "#!/bin/sh\necho \""+name+" $*\" >>DIR/did\ntest "+name+" != userdel\n")
	}
	put("running/none", "")
	put("data/late.jsonl", "")
	put("postremove.sh", strings.NewReplacer("/usr/lib/systemd/system", "DIR/units", "/run/systemd/system", "DIR/running", "/var/lib/penstock", "DIR/data").
		Replace(deployed(t, "packages/postremove.sh")))
	cmd := exec.Command("sh", filepath.Join(dir, "postremove.sh"), "purge")
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "the user penstock stays") {
		t.Errorf("%v: %s", err, out)
	}
	did, err := os.ReadFile(filepath.Join(dir, "did"))
	stop, reload := strings.Index(string(did), "systemctl stop penstock.service penstock@*.service\n"), strings.Index(string(did), "systemctl daemon-reload\n")
	if err != nil || stop < 0 || stop > reload || !strings.Contains(string(did), "chown -hR root:root "+dir+"/data\n") {
		t.Errorf("%v, it does\n%s", err, did)
	}
}

// TestPipelinesThatAreDeployed: check has nothing to say about them.
func TestPipelinesThatAreDeployed(t *testing.T) {
	t.Setenv("BROKERS", "kafka-0:9092,kafka-1:9092")
	for _, name := range []string{"packages/example.yaml", "kubernetes/base/late-flights.yaml"} {
		if code, out, errs := command(t, "check", "--strict", filepath.Join(repo, "deploy", name)); code != exitDone {
			t.Errorf("%s: %d %s%s", name, code, out, errs)
		}
	}
	base, own := deployed(t, "kubernetes/base/late-flights.yaml"), deployed(t, "kubernetes/metrics/late-flights.yaml")
	before, _, _ := strings.Cut(base, "# Probes")
	if !strings.HasPrefix(own, before) {
		t.Error("the pipeline of kubernetes/metrics has more of its own than its endpoint")
	}
	l := config.Loader{Kinds: catalog.Kinds()}
	if _, err := l.Load(filepath.Join(repo, "deploy/kubernetes/metrics/late-flights.yaml")); err != nil {
		t.Error(err)
	}
}

// manifestsOf gives the documents of a YAML file, each decoded into a T.
func manifestsOf[T any](t *testing.T, name string) (all []T) {
	t.Helper()
	for dec := yaml.NewDecoder(bytes.NewReader([]byte(deployed(t, name)))); ; {
		var one T
		if err := dec.Decode(&one); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, one)
	}
}

type probed struct {
	Exec struct {
		Command []string `yaml:"command"`
	} `yaml:"exec"`
	Period    int `yaml:"periodSeconds"`
	Threshold int `yaml:"failureThreshold"`
}

// A deployment is what is looked at of one.
type deployment struct {
	Spec struct {
		Strategy struct {
			Type string `yaml:"type"`
		} `yaml:"strategy"`
		Template struct {
			Spec struct {
				Grace    int `yaml:"terminationGracePeriodSeconds"`
				Security struct {
					User int `yaml:"runAsUser"`
				} `yaml:"securityContext"`
				Containers []struct {
					Image     string   `yaml:"image"`
					Args      []string `yaml:"args"`
					Startup   probed   `yaml:"startupProbe"`
					Live      probed   `yaml:"livenessProbe"`
					Ready     probed   `yaml:"readinessProbe"`
					Resources struct {
						Limits struct {
							Memory string `yaml:"memory"`
						} `yaml:"limits"`
					} `yaml:"resources"`
				} `yaml:"containers"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

func TestManifests(t *testing.T) {
	t.Setenv("BROKERS", "kafka:9092")
	l := config.Loader{Kinds: catalog.Kinds()}
	set, err := l.Load(filepath.Join(repo, "deploy/kubernetes/base/late-flights.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	limits, p := set.Process.Limits, set.Pipelines[0]
	pod := manifestsOf[deployment](t, "kubernetes/base/deployment.yaml")[0].Spec.Template.Spec
	if grace := time.Duration(pod.Grace) * time.Second; grace != limits.Drain+patienceOfAnEnd {
		t.Errorf("the grace is %v, want that of the drain and 5 s, %v", grace, limits.Drain+patienceOfAnEnd)
	}
	c := pod.Containers[0]
	if want := fmt.Sprintf("%dMi", int64(limits.InFlightBytes)>>20+128); c.Resources.Limits.Memory != want {
		t.Errorf("the limit of memory is %s, want that of the records and 128 MiB, %s", c.Resources.Limits.Memory, want)
	}
	for what, probe := range map[string]probed{"live": c.Live, "ready": c.Ready} {
		if got, want := strings.Join(probe.Exec.Command, " "), "/usr/bin/penstock probe "+what+" --addr "+set.Process.Admin.Listen; got != want {
			t.Errorf("the probe is %q, want %q", got, want)
		}
	}
	if patience := time.Duration(c.Live.Period*c.Live.Threshold) * time.Second; patience < 5*time.Minute {
		t.Errorf("a restart comes after %v beyond what /livez waits for: too soon for a sink that is down", patience)
	}
	for _, image := range []string{"docker/Dockerfile", "docker/Dockerfile.source"} {
		text := deployed(t, image)
		if user := fmt.Sprintf("USER %d:%d\n", pod.Security.User, pod.Security.User); !strings.Contains(text, user) || !strings.Contains(text, `ENTRYPOINT ["/usr/bin/penstock"]`) {
			t.Errorf("%s does not run /usr/bin/penstock as %s", image, user)
		}
	}
	type scaled struct {
		Spec struct {
			Triggers []struct {
				Metadata map[string]string `yaml:"metadata"`
			} `yaml:"triggers"`
		} `yaml:"spec"`
	}
	m := manifestsOf[scaled](t, "kubernetes/keda/scaledobject.yaml")[0].Spec.Triggers[0].Metadata
	if m["consumerGroup"] != p.Name || m["topic"] != "flights" {
		t.Errorf("the scaler looks at group %s and topic %s, and not at those of the pipeline", m["consumerGroup"], m["topic"])
	}
}
