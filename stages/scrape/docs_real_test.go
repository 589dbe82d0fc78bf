//go:build real && workload

package scrape

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// TestScrapeOfDocs scrapes the documentation of Python as Debian has it (python3-doc), which nginx serves on loopback
// under three names: ten calls at once, five a second for each host, a part that robots.txt forbids. What nginx has in its log counts.
// Where the names a.docs.test, b.docs.test and c.docs.test lead to this machine they are used, else
// three addresses of it.
func TestScrapeOfDocs(t *testing.T) {
	const perSecond, slots = 5, 10
	root := docs(t)
	dir := t.TempDir()
	port := serveDocs(t, dir, root)
	hosts := docHosts(port)
	links, forbidden := docLinks(t, root, hosts)
	if len(links) < 500 {
		t.Fatalf("%s has %d pages, want 500", root, len(links))
	}
	var urls bytes.Buffer
	for _, link := range links {
		fmt.Fprintf(&urls, `{"link":%q}`+"\n", link)
	}
	text := fmt.Sprintf(`
pipeline: docs
source: {replay: {files: [urls.jsonl], as: value}}
limits:
  rates:
    polite: {rate: %d/s, per: host}
stages:
  - scrape:
      url: "{link}"
      hosts: [%s]
      allow: [127.0.0.0/8]
      agent: "acme-docs/1.0 (+https://acme.example/bot; bots@acme.example)"
      select:
        title: title
        links: {css: "a[href]", attr: href, all: true, absolute: true}
      into: page
      max_bytes: 8MiB
    workers: %d
    limit: polite
    max_per_host: %d
sinks:
  - file: {path: out.jsonl}
dead_letter:
  file: {path: dead.jsonl}
`, perSecond, strings.Join(hosts, ", "), slots, slots)
	for name, text := range map[string]string{"urls.jsonl": urls.String(), "docs.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "penstock")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("building the daemon: %v\n%s", err, out)
	}
	began := time.Now()
	daemon := exec.CommandContext(t.Context(), path, "run", "docs.yaml")
	daemon.Dir = dir
	if out, err := daemon.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took := time.Since(began)
	judgeDocs(t, dir, links, forbidden, perSecond)
	u := daemon.ProcessState.SysUsage().(*syscall.Rusage)
	t.Logf("%d pages and %d that are forbidden in %.1f s: %.1f pages a second of at most %d; CPU %.2f s, peak memory %d MiB",
		len(links)-forbidden, forbidden, took.Seconds(), float64(len(links)-forbidden)/took.Seconds(), 3*perSecond,
		float64(u.Utime.Nano()+u.Stime.Nano())/1e9, u.Maxrss>>10)
}

// docs gives the folder of the documentation.
func docs(t *testing.T) string {
	found, err := filepath.Glob("/usr/share/doc/python3*/html/index.html")
	if err != nil || len(found) == 0 {
		t.Fatal("there is no documentation of Python: install python3-doc")
	}
	root, err := filepath.EvalSymlinks(filepath.Dir(found[0]))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// docHosts gives three names of this machine, with the port.
func docHosts(port string) []string {
	hosts := []string{"a.docs.test", "b.docs.test", "c.docs.test"}
	for i, h := range hosts {
		if a, err := net.LookupHost(h); err != nil || !slices.Contains(a, "127.0.0.1") {
			hosts = []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}
			break
		}
		hosts[i] = h
	}
	for i := range hosts {
		hosts[i] += ":" + port
	}
	return hosts
}

// docLinks gives the addresses of all pages, the hosts in turn, and how many of them are forbidden.
func docLinks(t *testing.T, root string, hosts []string) (links []string, forbidden int) {
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) != ".html" {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if strings.HasPrefix(rel, "whatsnew/") {
			forbidden++
		}
		links = append(links, "http://"+hosts[len(links)%len(hosts)]+"/"+filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return links, forbidden
}

// serveDocs starts nginx on a free port; it ends with the test.
func serveDocs(t *testing.T, dir, root string) (port string) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx"
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	if err := os.WriteFile(filepath.Join(dir, "robots.txt"), []byte("User-agent: *\nDisallow: /whatsnew/\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
worker_processes 1;
events {}
http {
  types { text/html html; text/plain txt; }
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  log_format calls '$msec $host $request_uri $status "$http_user_agent"';
  access_log %[1]s/access.log calls;
  gzip on;
  server {
    listen %[2]s;
    root %[3]s;
    location = /robots.txt { alias %[1]s/robots.txt; }
  }
}
`, dir, port, root)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(dir, 0o755)
	_ = os.Chmod(filepath.Dir(dir), 0o755) // the worker is another user
	c := exec.Command(nginx, "-c", file, "-p", dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Signal(syscall.SIGTERM); _ = c.Wait() })
	for range 100 {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = conn.Close()
			return port
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("nginx does not listen")
	return ""
}

// judgeDocs compares what came out, and what nginx was asked for, with what was to be.
func judgeDocs(t *testing.T, dir string, links []string, forbidden, perSecond int) {
	asked := map[string][]float64{} // by host, in seconds
	robots := map[string]int{}
	for _, line := range fileLines(t, filepath.Join(dir, "access.log")) {
		f := strings.Fields(line)
		at, err := strconv.ParseFloat(f[0], 64)
		if err != nil {
			t.Fatal(line)
		}
		asked[f[1]] = append(asked[f[1]], at)
		switch {
		case strings.HasPrefix(f[2], "/whatsnew"):
			t.Errorf("what is forbidden was asked for: %s", line)
		case f[2] == "/robots.txt":
			robots[f[1]]++
		}
		if f[3] != "200" || !strings.Contains(line, "acme-docs/1.0") {
			t.Errorf("asked for %s", line)
		}
	}
	for host, times := range asked {
		slices.Sort(times)
		worst := 0
		for i, from := range times {
			n := 0
			for n < len(times)-i && times[i+n] < from+1 {
				n++
			}
			worst = max(worst, n)
		}
		t.Logf("%s: %d calls, of them %d for robots.txt; worst second %d", host, len(times), robots[host], worst)
		// A burst of one: the log's own time is to the millisecond, when the answer was sent.
		if worst > perSecond+1 || robots[host] != 1 {
			t.Errorf("%s: %d calls in a second, %d for robots.txt", host, worst, robots[host])
		}
	}
	var want []string
	for _, l := range links {
		if !strings.Contains(l, "/whatsnew/") {
			want = append(want, l)
		}
	}
	out := fileLines(t, filepath.Join(dir, "out.jsonl"))
	if len(out) != len(want) {
		t.Fatalf("%d records out, want %d", len(out), len(want))
	}
	titles, found := 0, 0
	for i, line := range out {
		v := gjson.Parse(line)
		if v.Get("link").String() != want[i] {
			t.Fatalf("record %d is of %s, want %s", i, v.Get("link"), want[i])
		}
		if v.Get("page.title").String() != "" {
			titles++
		}
		found += int(v.Get("page.links.#").Int())
	}
	dead := fileLines(t, filepath.Join(dir, "dead.jsonl"))
	if len(dead) != forbidden {
		t.Errorf("%d dead letters, want %d", len(dead), forbidden)
	}
	for _, line := range dead {
		var letter struct{ Headers []string }
		if err := json.Unmarshal([]byte(line), &letter); err != nil || !slices.Contains(letter.Headers, "robots") {
			t.Errorf("dead letter %s", line)
		}
	}
	if titles != len(want) {
		t.Errorf("%d titles of %d pages", titles, len(want))
	}
	t.Logf("in order: %d records, %d titles, %d links", len(out), titles, found)
}

func fileLines(t *testing.T, path string) (lines []string) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return lines
}
