//go:build real && workload

package cli

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"time"
)

// profileEnv, when set, is the beginning of the names of the profiles that a program
// writes: NAME.cpu of its whole life, and NAME.heap of the time when its heap was
// largest.
const profileEnv = "PENSTOCK_TEST_PROFILE"

// profiled runs program, with profiles where they are asked for.
func profiled(program func()) {
	name := os.Getenv(profileEnv)
	if name == "" {
		// The daemon's own build takes no samples of the heap; a loop that is compared
		// with it must not pay for them either.
		runtime.MemProfileRate = 0
		program()
		return
	}
	cpu, err := os.Create(name + ".cpu")
	if err == nil {
		err = pprof.StartCPUProfile(cpu)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go watchHeap(name + ".heap")
	program()
	pprof.StopCPUProfile()
	_ = cpu.Close()
}

// watchHeap writes a heap profile each time that the heap has grown by a tenth, over
// the one before. It ends with the process.
func watchHeap(file string) {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	written := uint64(8 << 20)
	for range time.Tick(100 * time.Millisecond) {
		metrics.Read(heap)
		size := heap[0].Value.Uint64()
		if size < written+written/10 {
			continue
		}
		written = size
		// Under another name first: the process may end in the middle.
		f, err := os.Create(file + ".part")
		if err != nil {
			continue
		}
		err = pprof.Lookup("heap").WriteTo(f, 0)
		if f.Close() == nil && err == nil {
			_ = os.Rename(f.Name(), file)
		}
	}
}
