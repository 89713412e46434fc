package main

import (
	"math"
	"runtime"
	"runtime/debug"
)

// readingRoom is how much memory may be taken beyond what the mount itself takes
// before the collector runs, whatever it would wait for otherwise. go-fuse keeps
// answers in pools, one for each number of pages, so that reading files of all
// sizes leaves 128 MiB there (4 KiB + 8 KiB + … + 1 MiB), until they are collected.
const readingRoom = 48 << 20

// settleMemory is called when the mount is live. Merging has taken some three
// times what the tree takes; a process that does nothing would keep that for
// minutes. What is set by GOMEMLIMIT stays.
func settleMemory() {
	debug.FreeOSMemory()
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetMemoryLimit(int64(m.Sys-m.HeapReleased) + readingRoom)
}
