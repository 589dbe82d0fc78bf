package cli

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline/config"
)

const (
	daemonGOGC = 400
	// aboveBudget is for everything that is not a record in flight. The promise is at most 64 MiB
	// of resident memory above the budget. The collector lets all of Go's memory grow to the
	// limit, garbage included, and the kernel counts the pages of the program on top, 19 MiB: with
	// 48 MiB here, 63 MiB above a full budget were resident, which left no room.
	aboveBudget   = 40 << 20
	cgroupPercent = 90
)

// tuneMemory sets up the garbage collector for a daemon: it runs rarely, and a limit keeps
// the process small: the most bytes in flight, and what components may hold beside them. What the environment
// sets with GOGC or GOMEMLIMIT stays.
func tuneMemory(set *config.Set) {
	budget := int64(set.Process.Limits.InFlightBytes) + set.Beside()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(daemonGOGC)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit(budget, cgroupLimit("/")))
	}
}

// memoryLimit gives the smaller of the budget with its margin and the share of the
// cgroup's limit; cgroup is 0 when there is none.
func memoryLimit(budget, cgroup int64) int64 {
	limit := int64(math.MaxInt64)
	if budget < limit-aboveBudget {
		limit = budget + aboveBudget
	}
	if cgroup > 0 {
		limit = min(limit, cgroup/100*cgroupPercent)
	}
	return limit
}

// cgroupLimit gives the memory limit of the process's control group and of those above
// it, version 2 or 1, 0 when there is none. root is "/", or a folder of a test.
func cgroupLimit(root string) int64 {
	lowest := int64(0)
	take := func(file string) {
		text, err := os.ReadFile(file)
		if err != nil {
			return
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		const unlimited = 1 << 60 // version 1 writes a number near the largest
		if err == nil && n > 0 && n < unlimited && (lowest == 0 || n < lowest) {
			lowest = n
		}
	}
	base := filepath.Join(root, "sys", "fs", "cgroup")
	text, err := os.ReadFile(filepath.Join(root, "proc", "self", "cgroup"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		dir, file := base, "memory.max"
		if part[1] != "" {
			if part[1] != "memory" {
				continue
			}
			dir, file = filepath.Join(base, "memory"), "memory.limit_in_bytes"
		}
		for path := filepath.Clean("/" + part[2]); ; path = filepath.Dir(path) {
			take(filepath.Join(dir, path, file))
			if path == "/" {
				break
			}
		}
	}
	return lowest
}
