package main

import (
	"slices"
	"strings"

	"ocifs.dev/ocifs/cache"
)

// What images have been opened is kept in the cache, for shells to complete:
// a list of names in full, the latest first, a line each. Nothing else reads
// it. Of two processes that add to it at once, one's name may be lost.
const (
	recentKey = "recent"
	maxRecent = 200     // names
	maxName   = 1 << 10 // bytes; longer names are nobody's to type
)

// remember puts a name first in the list. A name that is near its head stays
// where it is, so that what is used daily writes nothing.
func remember(store *cache.Store, name string) {
	if len(name) > maxName || !plain(name) {
		return
	}
	names := recentIn(store)
	i := slices.Index(names, name)
	if i >= 0 && i < maxRecent/2 {
		return
	}
	if i >= 0 {
		names = slices.Delete(names, i, i+1)
	}
	names = append([]string{name}, names...)
	store.Put(recentKey, []byte(strings.Join(names[:min(len(names), maxRecent)], "\n")))
}

func recentIn(store *cache.Store) []string {
	b, err := store.Get(recentKey)
	if err != nil || len(b) > maxRecent*(maxName+1) {
		return nil
	}
	return slices.DeleteFunc(strings.Split(string(b), "\n"), func(n string) bool { return !plain(n) })
}

// recent is the list in a cache, which need not be there.
func recent(cacheDir string) []string {
	store, err := cache.Open(cacheDir, cache.Options{Existing: true})
	if err != nil {
		return nil
	}
	defer store.Close()
	return recentIn(store)
}
